#include "reset.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/wdt.h>

#include "protocol.h"

/* Not among the variables that start-up code sets to zero: they are written before it runs. */
static uint8_t reset_flags __attribute__((section(".noinit")));
static uint8_t boot_loader_flags __attribute__((section(".noinit")));

/* Runs before main, as soon as there is a stack: it must not be called, and calls nothing.
 *
 * The motor first. After a reset its pin is an input and the gate's pull-down holds it; if a program
 * that went astray jumped to address 0 the pin may still be the timer's.
 *
 * Then the watchdog: after its own reset it stays on, at its shortest 16 ms, until WDRF and then WDE
 * are cleared. Most boot loaders clear MCUSR before us; Optiboot hands it on in r2 from its version
 * 4.6 on. With an older one, as many Arduinos have, the cause is UNKNOWN unless r2 happens to hold
 * what looks like one. */
static void before_main(void) __attribute__((naked, used, section(".init3")));
static void before_main(void)
{
    uint8_t handed_on;
    __asm__ volatile("mov %0, r2" : "=r"(handed_on));
    cli();
    TCCR1A = 0;
    PORTB &= (uint8_t)~_BV(PORTB1);
    DDRB |= _BV(DDB1);
    boot_loader_flags = handed_on;
    reset_flags = MCUSR;
    MCUSR = 0;
    wdt_disable();
}

uint8_t reset_cause(void)
{
    uint8_t flags = reset_flags;
    if (flags == 0 && boot_loader_flags < 0x10) { /* anything else is no set of reset flags */
        flags = boot_loader_flags;
    }
    /* The supply's coming may set the others, too. Optiboot ends its wait for a new program, after
     * the reset pin, by a watchdog reset of its own: the pin comes first. */
    if (flags & _BV(PORF)) {
        return MASSAGER_RESET_CAUSE_POWER_ON;
    }
    if (flags & _BV(EXTRF)) {
        return MASSAGER_RESET_CAUSE_EXTERNAL;
    }
    if (flags & _BV(BORF)) {
        return MASSAGER_RESET_CAUSE_BROWN_OUT;
    }
    if (flags & _BV(WDRF)) {
        return MASSAGER_RESET_CAUSE_WATCHDOG;
    }
    return MASSAGER_RESET_CAUSE_UNKNOWN;
}
