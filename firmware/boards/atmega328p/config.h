/* What a maker decides about one device. Edit the values here, or pass them:
 * `make firmware DEVICE_ID=bed-0002`, `make firmware DEFINES="-DHAS_FEET_SENSOR=0"`.
 * The pins are in motor.c, uart.c, inputs.c and sensors.c. */
#ifndef CONFIG_H
#define CONFIG_H

#ifndef DEVICE_ID
#define DEVICE_ID "foot-001" /* 1…8 of A–Z a–z 0–9 _ -; another one for each device of a house */
#endif

#ifndef MODEL
#define MODEL 1 /* 0…65,535: the maker's own number for this design */
#endif

/* The motor. Find GENTLEST_PERMILLE with the motor in its place, cold and loaded: the level at which
 * it starts every time, and 20 % more. */
#ifndef GENTLEST_PERMILLE
#define GENTLEST_PERMILLE 150 /* ‰ of the supply, 1…999 */
#endif

#ifndef MAX_PERMILLE
#define MAX_PERMILLE 1000 /* ‰, GENTLEST_PERMILLE + 1…1000: a motor for less than the supply needs less */
#endif

#ifndef STEPS
#define STEPS 512 /* what the PWM can tell apart; for information */
#endif

#ifndef SPIN_DOWN_MS
#define SPIN_DOWN_MS 500 /* ms, 0…500: how long the motor may turn on after it was switched off */
#endif

/* The inputs: 1 = it is there, 0 = it is not. Each that is there is one that can stop the motor. */
#ifndef HAS_FEET_SENSOR
#define HAS_FEET_SENSOR 1 /* a switch from D2 to ground, closed while the feet are on it */
#endif

#ifndef HAS_BUTTON
#define HAS_BUTTON 1 /* a normally closed push button from D3 to ground */
#endif

#ifndef HAS_MOTION
#define HAS_MOTION 1 /* pulses on D4 while the motor turns, at least 20 changes a second */
#endif

#ifndef HAS_TEMPERATURE
#define HAS_TEMPERATURE 1 /* a thermistor on the motor, from A0 to ground; see thermistor.c */
#endif

#ifndef HAS_CURRENT
#define HAS_CURRENT 1 /* the motor's current as a voltage on A1 */
#endif

/* Temperatures in 0.1 °C. Outside SENSOR_LOW_DC…SENSOR_HIGH_DC it is the thermistor that is broken. */
#ifndef HOT_DC
#define HOT_DC 700 /* at or above it the motor stops: what a cover over it may reach without harm */
#endif

#ifndef SENSOR_LOW_DC
#define SENSOR_LOW_DC (-200) /* not below -250, the coldest that thermistor.c can tell */
#endif

#ifndef SENSOR_HIGH_DC
#define SENSOR_HIGH_DC 1200 /* not above 1250, the hottest that thermistor.c can tell */
#endif

#ifndef OVER_CURRENT_MA
#define OVER_CURRENT_MA 1800 /* mA, mean of 50 ms; above what the motor takes to start, below the fuse */
#endif

#ifndef CURRENT_FULL_SCALE_MA
#define CURRENT_FULL_SCALE_MA 5000 /* mA that would put 5 V on A1: 5 V / (50 mΩ × 20) */
#endif

#endif
