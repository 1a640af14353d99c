/* The switches: feet on D2, stop button on D3, motion pulses on D4. Read in every pass of the loop;
 * their interrupt does nothing but wake it. */
#ifndef INPUTS_H
#define INPUTS_H

#include <stdbool.h>
#include <stdint.h>

struct inputs {
    bool feet_are_on;
    bool is_pressed; /* the stop button, or its wire is broken */
};

void inputs_start(void);

/* Read all pins now. */
struct inputs inputs_read(void);

/* A pin has changed since inputs_read(): do not sleep. */
bool inputs_have_changed(void);

/* A millisecond has passed. */
void inputs_step(void);

/* The motion pin has changed within the last 50 ms. */
bool inputs_are_moving(void);

#endif
