/* The core as a device on a computer, for tests and the simulator: the board is memory.
 *
 * Frames that it sends wait until they are taken; readings stay until others are given; time passes
 * when it is told. Its trace is a recorder's. Used through ctypes by simulator/firmware/core.py.
 */
#ifndef MASSAGER_HOST_H
#define MASSAGER_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "massager.h"
#include "recorder.h"

struct host;

/* A device that has just booted; the clock is at 0. Null without memory. */
struct host *host_new(const struct massager_config *config, uint16_t boot_id, uint8_t reset_cause);
void host_free(struct host *host);

/* The same device after a reset. The clock goes on, and readings and the feet are as they were. */
void host_boot(struct host *host, uint16_t boot_id, uint8_t reset_cause);

/* Let at most `ms` pass. Gives back how many did: while the motor is driven it returns one
 * millisecond before each multiple of 100, since then the readings for that one are due. */
uint32_t host_advance(struct host *host, uint32_t ms);

/* Let the clock run on without the device: it is held in reset. */
void host_wait(struct host *host, uint32_t ms);

/* What came from the host: bytes of a stream, or one message of a broker. */
void host_receive(struct host *host, const uint8_t *bytes, size_t size);
void host_datagram(struct host *host, const uint8_t *bytes, uint16_t size);
void host_line_opened(struct host *host);

/* What the inputs read. Readings are given to the core by themselves every 100 ms. */
void host_feet(struct host *host, bool are_on);
void host_button(struct host *host);
void host_sense(struct host *host, int16_t temperature_dc, uint16_t current_ma, bool is_moving);

/* From now on the line takes no frame, or takes them again. */
void host_block_line(struct host *host, bool is_blocked);

/* What was sent since it was taken, each protected frame behind a byte that tells its size. */
const uint8_t *host_sent(const struct host *host, size_t *size);
void host_forget_sent(struct host *host);

/* A frame as a stream carries it, at most 44 bytes, into `wire`. Its size. */
size_t host_stream(const uint8_t *frame, uint8_t size, uint8_t *wire);

/* What the motor gets: the last that the gate asked for, ‰. */
uint16_t host_driven(const struct host *host);

uint64_t host_clock_ms(const struct host *host);
const struct massager_now *host_now(const struct host *host);
struct recorder *host_recorder(struct host *host);

/* The core's buffer of what is received: of a frame that just ended, what COBS hid. */
const uint8_t *host_candidate(const struct host *host);
size_t host_candidate_room(void);

#endif
