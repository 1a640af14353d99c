/* Milliseconds, counted by timer 0's interrupt and taken one by one by the loop. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

void clock_start(void);

/* How many milliseconds have passed that the loop has not taken; stays at 255. */
uint8_t clock_due(void);

/* The loop takes one. Only where clock_due() is not 0. */
void clock_take(void);

#endif
