/* An emulated ATmega328P and what is soldered to it, for tests and for trying the firmware by hand:
 * libsimavr behind a few functions, to be loaded by ctypes. Host code; no global state.
 *
 * Time is the chip's cycle counter, 16,000 a millisecond; nothing here waits. The line is a real one:
 * a byte takes its ten bits each way. Whatever the chip tells by GPIOR0 goes to a recorder with the
 * device's own memory (struct massager_now) at that very instruction.
 */
#ifndef CHIP_H
#define CHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder.h"

struct chip;

/* Why chip_run() came back: bits. It always does at the cycle that was asked for. */
enum chip_halt {
    CHIP_HALT_STEP = 1,  /* as many NOTE_STEPs as chip_stop_after_steps() said; the tick is frozen */
    CHIP_HALT_FRAME = 2, /* the 00 behind a frame has left the chip */
    CHIP_HALT_QUIET = 4, /* the chip sleeps and has sent and received all there was */
    CHIP_HALT_RESET = 8, /* it was reset by itself and has not run since: always looked for */
    CHIP_HALT_CRASH = 16, /* it ran into what is no code, or sleeps with interrupts off; the same */
};

enum chip_hang {
    CHIP_HANG_LOOP, /* the main loop is lost, interrupts go on */
    CHIP_HANG_DEAF, /* the same with interrupts off */
    CHIP_HANG_TICK, /* the main loop goes on, the tick has stopped */
};

enum chip_level { CHIP_LOW, CHIP_HIGH, CHIP_OPEN }; /* open: what the pull-up makes of it */

/* What the motor's pin has done since chip_watch_pin(); times in cycles. */
struct chip_pin {
    uint64_t high; /* of the last whole period that was looked at, and that period */
    uint64_t period;
    uint64_t longest_high; /* the longest time it was high in one piece */
    uint64_t rises;
    uint8_t level;
    uint8_t on_timer; /* 1 = the timer drives it, not the port */
    uint8_t is_known; /* 0 = its timer was changed within the last few periods: `high` is older */
};

/* A new chip, not yet reset. `device` is the address of the struct massager in its memory. Null
 * where libsimavr has no ATmega328P. */
struct chip *chip_new(const uint8_t *flash, uint32_t size, uint16_t device);
void chip_free(struct chip *chip);

/* Reset it with these bits in MCUSR; its memory, but for the EEPROM, is as after power was away. */
void chip_reset(struct chip *chip, uint8_t mcusr);

/* Run up to this cycle or, before, to what `halts` names. The reasons, as bits; 0 = the cycle. */
uint32_t chip_run(struct chip *chip, uint64_t until, uint32_t halts);
uint64_t chip_cycle(const struct chip *chip);

/* Let time pass without running, as while power is away. */
void chip_skip(struct chip *chip, uint64_t cycles);

/* The motor trace: take its rows, and let it forget them. */
struct recorder *chip_recorder(struct chip *chip);

/* The device's milliseconds, counted on over boots, up to the last note. A boot takes none, or, for
 * a chip that goes by its cycles, begins at those that have passed. */
void chip_go_by_cycles(struct chip *chip);
uint64_t chip_device_ms(const struct chip *chip);

/* Stop at the `steps`-th NOTE_STEP from now and freeze the tick there; 0 = never. */
void chip_stop_after_steps(struct chip *chip, uint32_t steps);
uint64_t chip_steps(const struct chip *chip);

/* Let the tick stand still, and the watchdog with it, or go on: between two ticks no time of the
 * device's passes, whatever travels on the line. */
void chip_freeze(struct chip *chip, bool is_frozen);

/* The line. Bytes from the host leave one after another; what has not begun can be discarded. */
uint32_t chip_send(struct chip *chip, const uint8_t *data, uint32_t size);
uint32_t chip_unsent(const struct chip *chip);
void chip_discard_unsent(struct chip *chip);
uint64_t chip_sent_at(const struct chip *chip); /* when the last bit of the last byte is there */
/* Take what has left the chip: the bytes, and the cycles at which each was complete. */
uint32_t chip_take(struct chip *chip, uint8_t *data, uint64_t *at, uint32_t size);
bool chip_is_busy(const struct chip *chip); /* something travels, either way */
uint32_t chip_overruns(const struct chip *chip); /* bytes that the chip came too late for */

/* Pins and voltages. `pulse` is the cycles between two changes of the motion pin; 0 = it stands. */
void chip_set_pin(struct chip *chip, char port, uint8_t bit, uint8_t level);
void chip_set_adc(struct chip *chip, uint8_t channel, uint32_t millivolts);
void chip_set_pulse(struct chip *chip, char port, uint8_t bit, uint64_t pulse);
/* After a change of the motor's timer some periods are looked at, then none until the next one; or
 * every edge, which is slower. */
void chip_watch_pin(struct chip *chip, bool every_edge);
void chip_pin(const struct chip *chip, struct chip_pin *pin);

/* Memory. Data addresses as the program sees them: registers, I/O, RAM. */
void chip_read(const struct chip *chip, uint16_t address, uint8_t *data, uint16_t size);
void chip_write(struct chip *chip, uint16_t address, const uint8_t *data, uint16_t size);
void chip_read_eeprom(const struct chip *chip, uint16_t address, uint8_t *data, uint16_t size);
void chip_write_eeprom(struct chip *chip, uint16_t address, const uint8_t *data, uint16_t size);

void chip_hang(struct chip *chip, uint32_t how);

/* Watch the I bit at every instruction (slower), from now on; the longest time it was 0 since, in
 * cycles, and where it was taken away. What comes before the first `sei` after a reset is boot. */
void chip_watch_interrupts(struct chip *chip, bool is_watched);
uint64_t chip_longest_off(const struct chip *chip, uint32_t *pc);

/* All there is to a chip at one moment but the rows of its trace, to go back to on the same chip. */
struct chip_state;
struct chip_state *chip_save(const struct chip *chip);
void chip_load(struct chip *chip, const struct chip_state *state);
void chip_state_free(struct chip_state *state);

#endif
