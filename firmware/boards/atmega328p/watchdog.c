#include "watchdog.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/wdt.h>

#include "motor.h"

void watchdog_start(void)
{
    wdt_enable(WDTO_250MS);
}

void watchdog_feed(void)
{
    wdt_reset();
}

void watchdog_bite(void)
{
    cli();
    motor_off();
    wdt_enable(WDTO_15MS);
    for (;;) {
    }
}

/* An interrupt that nobody enabled: the program or the chip is not what it should be. */
ISR(BADISR_vect)
{
    watchdog_bite();
}
