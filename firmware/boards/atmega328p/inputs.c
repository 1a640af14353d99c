#include "inputs.h"

#include <avr/interrupt.h>
#include <avr/io.h>

#define FEET _BV(PIND2)
#define BUTTON _BV(PIND3)
#define MOTION _BV(PIND4)

enum { MOVING_MS = 50 };

static uint8_t motion_level;
static uint8_t still_ms = MOVING_MS; /* since the motion pin changed, up to MOVING_MS */

/* It switches itself off until the loop has read the pins: a wire that hums cannot keep the chip
 * busy with interrupts. */
ISR(PCINT2_vect)
{
    PCICR = 0;
}

void inputs_start(void)
{
    DDRD &= (uint8_t)~(FEET | BUTTON | MOTION);
    PORTD |= FEET | BUTTON | MOTION; /* pull-ups: a broken wire reads as feet off and button pressed */
    PCMSK2 = FEET | BUTTON;
    motion_level = PIND & MOTION;
}

struct inputs inputs_read(void)
{
    PCICR = _BV(PCIE2); /* before the reading, or a change right after it would be missed */
    uint8_t pins = PIND;
    if ((pins & MOTION) != motion_level) {
        motion_level = pins & MOTION;
        still_ms = 0;
    }
    return (struct inputs){.feet_are_on = !(pins & FEET), .is_pressed = (pins & BUTTON) != 0};
}

bool inputs_have_changed(void)
{
    return PCICR == 0;
}

void inputs_step(void)
{
    if (still_ms < MOVING_MS) {
        still_ms++;
    }
}

bool inputs_are_moving(void)
{
    return still_ms < MOVING_MS;
}
