/* The motor's pin: D9 (PB1, OC1A), 31.25 kHz, above what ears hear. Only main.c's io table and
 * whoever switches off call this. */
#ifndef MOTOR_H
#define MOTOR_H

#include <stdint.h>

void motor_start(void);

/* From now on this many ‰ of the supply; 0 = off. The first pulse after 0 is as long as the others. */
void motor_drive(uint16_t permille);

/* Off within a microsecond, whatever the timer does: the pin is taken from it and held low. */
void motor_off(void);

#endif
