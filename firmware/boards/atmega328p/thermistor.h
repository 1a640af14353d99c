/* From the converter's readings to 0.1 °C: a table of the thermistor, in integers. */
#ifndef THERMISTOR_H
#define THERMISTOR_H

#include <stdint.h>

enum {
    THERMISTOR_READINGS = 5,     /* that the sum below is made of */
    THERMISTOR_TOO_COLD = -400,  /* 0.1 °C, as is an open wire */
    THERMISTOR_TOO_HOT = 1400,   /* 0.1 °C, as is a short circuit */
};

/* Of the sum of five readings of 10 bits. Between -25 and 125 °C within 0.1 °C of the formula. */
int16_t thermistor_dc(uint16_t sum);

#endif
