/* The number of this boot, kept in the EEPROM over resets and power. */
#ifndef BOOT_ID_H
#define BOOT_ID_H

#include <stdint.h>

/* Raise it by 1 and return it: 1…65,535, then 1 again. It takes up to 14 ms and wants interrupts
 * off. Two slots take turns, so that power may go away at any time: the one that is being written is
 * not valid before its last byte, and the other one stays. An EEPROM of 100,000 writes lasts
 * 200,000 boots. */
uint16_t boot_id_next(void);

#endif
