#include "motor.h"

#include <avr/io.h>
#include <stdbool.h>

#include "watchdog.h"

/* Timer 1 in mode 6: fast PWM of 9 bits, high from BOTTOM to OCR1A. 16 MHz / 512 = 31.25 kHz. */
enum { TOP = 511 };

#define MODE_A _BV(WGM11)
#define MODE_B _BV(WGM12)
#define PIN_ON_TIMER _BV(COM1A1)
#define CLOCK_UNDIVIDED _BV(CS10)

void motor_off(void)
{
    TCCR1A = 0; /* the pin shows PORTB1 again, in this very cycle */
    PORTB &= (uint8_t)~_BV(PORTB1);
    TCCR1B = 0;
}

void motor_start(void)
{
    motor_off();
    DDRB |= _BV(DDB1);
    TIMSK1 = 0;
}

/* The share of TOP + 1, rounded: permille × 512 / 1000, cut by 8 so that 16 bits hold it. */
static uint16_t compare_of(uint16_t permille)
{
    return (uint16_t)((permille * 64u + 62u) / 125u - 1u);
}

/* From off. In PWM OCR1A is taken over at BOTTOM only, and the pin shows what the timer's latch held
 * when it was last cut off. So the timer starts at TOP: its first clock is BOTTOM, where a pulse
 * begins with the right OCR1A, and a latch that was left high makes it longer by some cycles only. */
static void connect(uint16_t compare)
{
    OCR1A = compare; /* the timer stands in its normal mode: this goes straight to the comparator */
    TCNT1 = TOP;
    TCCR1A = PIN_ON_TIMER | MODE_A;
    TCCR1B = MODE_B;
    OCR1A = compare; /* and this to the buffer that BOTTOM copies */
    TCCR1B = MODE_B | CLOCK_UNDIVIDED;
}

void motor_drive(uint16_t permille)
{
    if (permille == 0) {
        motor_off();
        return;
    }
    if (permille > 1000) {
        watchdog_bite();
    }
    uint16_t compare = compare_of(permille);
    bool is_running = TCCR1B != 0;
    if (is_running) {
        OCR1A = compare;
    } else {
        connect(compare);
    }
}
