/* The motor trace of a device: rows as SPEC.md 11.3 asks for, from the core's notes.
 *
 * For programs on a computer that run the core or watch a chip that does. It links with the core,
 * whose massager_state() tells the state.
 */
#ifndef MASSAGER_RECORDER_H
#define MASSAGER_RECORDER_H

#include <stddef.h>
#include <stdint.h>

#include "massager.h"

/* `why` beyond the notes: what the recorder finds at the end of a millisecond. */
enum {
    RECORDER_GATE = MASSAGER_NOTES, /* the output changed by itself */
    RECORDER_TICK,                  /* every 100 ms while it is above 0 */
    RECORDER_WHYS,
};

struct recorder_row {
    uint64_t device_ms; /* the caller's: it counts on over boots, which uptime_ms does not */
    uint16_t boot;
    uint16_t token;      /* 0 = no open session */
    uint16_t setpoint;   /* ‰ */
    uint16_t lease_left; /* ms */
    uint16_t ceiling;    /* ‰, rounded down */
    uint16_t output;     /* ‰, rounded down */
    uint8_t state;       /* MASSAGER_STATE_… */
    uint8_t why;         /* enum massager_note, or above */
};

/* Zero-initialised it is empty. Only for recorder.c, but for `rows` and `count`. */
struct recorder {
    struct recorder_row *rows;
    size_t count;
    size_t room;
    uint64_t row_ms;     /* of the last row, also of one that was forgotten */
    uint16_t row_output; /* ‰, the same */
};

/* What the core's `note` tells, with the device as it is at that moment. */
void recorder_note(struct recorder *recorder, uint64_t device_ms, const struct massager_now *now,
                   uint8_t note);

/* The rows were taken: begin anew. */
void recorder_forget(struct recorder *recorder);

/* Give the memory back; the recorder is empty. */
void recorder_free(struct recorder *recorder);

/* The word of 11.4 for a row's `why`; null for a number that has none. */
const char *recorder_word(uint8_t why);

#endif
