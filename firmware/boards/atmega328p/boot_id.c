#include "boot_id.h"

#include <avr/eeprom.h>
#include <stdbool.h>

#include "watchdog.h"

/* A slot is the boot id and its complement, 4 bytes; the slots lie at addresses 0 and 4. */
enum { SLOTS = 2, SLOT_BYTES = 4 };

static uint16_t *address_of(uint8_t slot)
{
    return (uint16_t *)(uintptr_t)(slot * SLOT_BYTES);
}

/* 0 where the slot holds none: an erased EEPROM is all ones. */
static uint16_t read(uint8_t slot)
{
    uint16_t id = eeprom_read_word(address_of(slot));
    uint16_t complement = eeprom_read_word(address_of(slot) + 1);
    return complement == (uint16_t)~id ? id : 0;
}

static void write(uint8_t slot, uint16_t id)
{
    eeprom_update_word(address_of(slot), id);
    eeprom_update_word(address_of(slot) + 1, (uint16_t)~id);
    eeprom_busy_wait();
}

uint16_t boot_id_next(void)
{
    uint16_t first = read(0);
    uint16_t second = read(1);
    /* Ahead on the ring, so that 1 is newer than 65,535. */
    bool first_is_newer = second == 0 || (first != 0 && (int16_t)(first - second) > 0);
    uint16_t newest = first_is_newer ? first : second;
    uint16_t next = newest == UINT16_MAX ? 1 : (uint16_t)(newest + 1u);
    uint8_t slot = first_is_newer && first != 0 ? 1 : 0;
    write(slot, next);
    if (read(slot) != next) { /* worn out: no motor without a boot id of its own (4.7) */
        watchdog_bite();
    }
    return next;
}
