/* What is done before main: the motor's pin low, the watchdog off, the reset's cause kept. */
#ifndef RESET_H
#define RESET_H

#include <stdint.h>

/* Why the chip started: MASSAGER_RESET_CAUSE_…. */
uint8_t reset_cause(void);

#endif
