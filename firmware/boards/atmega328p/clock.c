#include "clock.h"

#include <avr/interrupt.h>
#include <avr/io.h>

/* One byte each, with one writer each: neither side ever needs the other's interrupts off. */
static volatile uint8_t counted; /* by the interrupt */
static volatile uint8_t taken;   /* by the loop */

ISR(TIMER0_COMPA_vect)
{
    uint8_t next = (uint8_t)(counted + 1u);
    if (next != taken) { /* or 256 lost milliseconds would look like none */
        counted = next;
    }
}

void clock_start(void)
{
    TCCR0A = _BV(WGM01); /* back to 0 after OCR0A */
    OCR0A = 249;         /* 16 MHz / 64 / (249 + 1) = 1000 Hz */
    TCNT0 = 0;
    TIFR0 = _BV(OCF0A);
    TIMSK0 = _BV(OCIE0A);
    TCCR0B = _BV(CS01) | _BV(CS00); /* divided by 64 */
}

uint8_t clock_due(void)
{
    return (uint8_t)(counted - taken);
}

void clock_take(void)
{
    taken = (uint8_t)(taken + 1u);
}
