/* What the files of the core share. Not for boards: those include massager.h alone. */
#ifndef MASSAGER_CORE_H
#define MASSAGER_CORE_H

#include "massager.h"

/* --- gate.c: the only place from which the motor gets its output (8) --------------------------- */

/* Output 0, and the motor is told so. */
void gate_boot(struct massager *device);

/* Take a setpoint in ‰: it counts from the next step on, and is ignored in a fall. */
void gate_follow(struct massager *device, uint16_t setpoint);

/* Forget the setpoint and fall to 0 at this rate in ‰/s; a fall only ever gets faster (8.4). */
void gate_fall(struct massager *device, uint16_t rate);

/* Fall, and whatever was earned counts no more: somebody else asks now (6.2). */
void gate_start_over(struct massager *device, uint16_t rate);

/* Output 0 in this instant (8.5). */
void gate_cut(struct massager *device);

/* One millisecond (8.3). False: the output broke a rule of section 8. */
bool gate_step(struct massager *device);

/* 1/1000 ‰ as whole ‰, rounded down. */
uint16_t whole_permille(uint32_t level);

/* --- frame.c: CRC and COBS (2) ---------------------------------------------------------------- */

/* Append the CRC to a raw frame of `size` bytes; there is room for it behind. */
void frame_protect(uint8_t *raw, uint8_t size);

/* Whether `size` bytes are a protected frame: 9…41 bytes with a good CRC (2.13). */
bool frame_is_good(const uint8_t *frame, uint16_t size);

/* --- judge.c: commands and their answers (5) -------------------------------------------------- */

/* Take one verified raw frame: the events that were due, the answer, the events it made. */
void judge(struct massager *device, const uint8_t *raw, uint8_t size);

/* Send what waits in the event ring, the oldest first. False: the line had no room for all. */
bool send_events(struct massager *device);

/* --- machine.c: what the device does alone (9) ------------------------------------------------ */

bool has(const struct massager *device, uint16_t capability);
void note(struct massager *device, uint8_t what);

/* A new owner: whatever runs falls softly and nothing earned is inherited (6.2). */
void machine_open_session(struct massager *device, uint32_t nonce, uint8_t sequence);

/* A setpoint that was accepted, and the lease with it (5.10 g). */
void machine_set_level(struct massager *device, uint16_t level, uint16_t lease_ms);

/* Soft stop (9.1). Whether it ended a session; only then the event is sent. */
bool machine_stop(struct massager *device, uint8_t event_code);

void machine_emergency_stop(struct massager *device);
void machine_clear(struct massager *device);

/* Latched fault bits whose cause is still there (5.11 b). */
uint16_t machine_causes(const struct massager *device);

#endif
