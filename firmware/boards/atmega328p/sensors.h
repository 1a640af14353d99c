/* Temperature on A0 (ADC0) and current on A1 (ADC1), against the 5 V of the board. Each is read every
 * 10 ms; what is told is the mean of the last five readings. */
#ifndef SENSORS_H
#define SENSORS_H

#include <stdbool.h>
#include <stdint.h>

/* Reads both once, in less than 1 ms, so that there is a mean from the beginning. */
void sensors_start(void);

/* A millisecond has passed. True every 10 ms: there are new readings. It is never true again where
 * the converter has stopped working. */
bool sensors_step(void);

/* 0.1 °C; -400 or 1400, outside of what is believed, with the wire open or shorted. */
int16_t sensors_temperature_dc(void);

/* mA. */
uint16_t sensors_current_ma(void);

#endif
