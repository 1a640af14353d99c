/* The chip's own timer, which resets a hung program 250 ms (nominal) after it was last fed. */
#ifndef WATCHDOG_H
#define WATCHDOG_H

#include <stdint.h>

void watchdog_start(void);

/* Only where the gate has stepped and the line was served, and never from an interrupt. */
void watchdog_feed(void);

/* For states that cannot be: the motor off at once, and a reset within some 16 ms. */
void watchdog_bite(void) __attribute__((noreturn));

#endif
