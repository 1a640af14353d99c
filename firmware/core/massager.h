/* The device of SPEC.md as a portable core: lease, motor gate, run limit and rest, feet, faults and
 * their latch, emergency stop, sessions, and the judging of commands. This header is its manual.
 *
 * A board gives it a configuration, three functions and the passing of time:
 *
 *     massager_boot()                 once, after reset
 *     massager_step()                 once for every millisecond that has passed
 *     massager_receive() or massager_datagram()   what came from the host
 *     massager_feet(), massager_button(), massager_sense()   what the inputs read
 *
 * All of them are called from one thread of control, never from an interrupt. The core allocates
 * nothing, uses no floating point and no 64-bit numbers, and never waits. Clause numbers in comments
 * are those of firmware_protocol/SPEC.md.
 */
#ifndef MASSAGER_H
#define MASSAGER_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    MASSAGER_EVENT_RING = 6, /* events kept until the line has room or a command comes (3.6) */
    MASSAGER_SENSE_MAX_MS = 500, /* readings older than this are a SENSOR fault */
};

/* What one device is. It must not change while the device runs. */
struct massager_config {
    char device_id[8];          /* 1…8 of A–Z a–z 0–9 _ -, then zero bytes; unique in a house (4.6) */
    uint16_t model;             /* the maker's model number, any */
    uint16_t gentlest_permille; /* ‰, 1…999: the lowest level that surely turns the motor */
    uint16_t max_permille;      /* ‰, gentlest + 1…1000 */
    uint16_t steps;             /* levels that the motor driver can tell apart; for information */
    uint16_t capabilities;      /* MASSAGER_CAPABILITY_…: the inputs that exist; others are ignored */
    int16_t hot_dc;             /* 0.1 °C: at or above it, OVER_TEMPERATURE */
    int16_t sensor_low_dc;      /* 0.1 °C: below it, the temperature sensor is broken (SENSOR) */
    int16_t sensor_high_dc;     /* 0.1 °C: above it, the same */
    uint16_t over_current_ma;   /* mA: at or above it, OVER_CURRENT */
    uint16_t spin_down_ms;      /* ms, 0…500: how long the motor may turn on after output 0 (9.9) */
};

/* What the sensors read. A field whose capability bit is clear is not looked at. */
struct massager_readings {
    int16_t temperature_dc; /* 0.1 °C, motor; a mean over some 50 ms, one wrong value is a fault */
    uint16_t current_ma;    /* mA, motor; a mean over some 50 ms, so that starting is no fault */
    bool is_moving;         /* the motor turned within the last 50 ms */
};

/* What the core asks of a board. `context` is what massager_boot() was given. */
struct massager_io {
    /* Drive the motor at this many ‰ (0 = off, the pin low), from now on. Called by the motor gate
     * and by nobody else, at boot and at every change of whole ‰. */
    void (*drive)(void *context, uint16_t permille);
    /* Send one protected frame (2.4), 9…41 bytes, whole. False: there is no room for all of it now,
     * and nothing of it was sent; the core never waits. A stream writes it by massager_put_stream(). */
    bool (*send)(void *context, const uint8_t *frame, uint8_t size);
    /* Something happened (enum massager_note): for traces and debuggers. May be null. */
    void (*note)(void *context, uint8_t note);
};

/* What `note` tells, at the very moment at which `now` shows it; the words of 11.4. */
enum massager_note {
    MASSAGER_NOTE_STEP, /* a millisecond is done; comes last of what it brought */
    MASSAGER_NOTE_BOOT,
    MASSAGER_NOTE_HELLO,
    MASSAGER_NOTE_IDENTIFY,
    MASSAGER_NOTE_GET_LIMITS,
    MASSAGER_NOTE_SET_LEVEL,
    MASSAGER_NOTE_STOP,
    MASSAGER_NOTE_EMERGENCY_STOP,
    MASSAGER_NOTE_CLEAR,
    MASSAGER_NOTE_GET_STATUS,
    MASSAGER_NOTE_REPEAT,
    MASSAGER_NOTE_BUTTON,
    MASSAGER_NOTE_LEASE_EXPIRED,
    MASSAGER_NOTE_TAKEN_OVER,
    MASSAGER_NOTE_RUN_LIMIT,
    MASSAGER_NOTE_REST_OVER,
    MASSAGER_NOTE_FEET_LIFTED,
    MASSAGER_NOTE_FEET_BACK,
    MASSAGER_NOTE_FAULT, /* + the number of the fault's bit, 0…6: the last notes */
    MASSAGER_NOTES = MASSAGER_NOTE_FAULT + 7,
};

/* Where the device stands. It is the first member of struct massager and lies the same on every
 * compiler, since each field is aligned by its place: a debugger or an emulator can read it. */
struct massager_now {
    uint32_t uptime_ms;     /* ms since boot; wraps after 49.7 days */
    uint32_t output;        /* 1/1000 ‰: what the motor gets */
    uint32_t ceiling;       /* 1/1000 ‰: what has been earned; the gentlest level at output 0 */
    uint32_t run_ms;        /* ms of output > 0 since the last 60 s at output 0 (9.3) */
    uint16_t boot_id;       /* 1…65,535 */
    uint16_t token;         /* of the open session; 0 = none */
    uint16_t setpoint;      /* ‰, as asked */
    uint16_t lease_left_ms; /* ms, 0…5000; 0 where no lease runs */
    uint16_t below_ms;      /* ms, 0…15,001: how long the target has been below the ceiling */
    uint16_t fall;          /* ‰/s: 0, 500 or 1000; above 0 the output falls to 0 by itself */
    uint16_t zero_ms;       /* ms, 0…60,000: how long the output has been 0 */
    uint16_t event_id;      /* of the newest event */
    uint16_t faults;        /* MASSAGER_FAULT_…, latched */
    uint16_t latch_id;      /* 0 = nothing is latched */
    uint16_t bad_frames;    /* stays at 65,535 */
    uint8_t is_leased;      /* 1 = a lease runs */
    uint8_t is_resting;     /* 1 = after the run limit, until REST_OVER */
    uint8_t feet_on;        /* 1 = the sensor reads on, or there is none */
    uint8_t feet_blocked;   /* 1 = until a SET_LEVEL 0 with the feet on (9.8) */
    uint8_t last_end;       /* why the session that ended last in this boot did: MASSAGER_END_REASON_… */
    uint8_t reset_cause;    /* MASSAGER_RESET_CAUSE_… */
};

/* An event that has not been sent yet. */
struct massager_event {
    uint32_t uptime_ms;
    uint16_t id;
    uint16_t token;
    uint8_t code;
    uint8_t state;
};

/* The whole device. Zero-initialised or not, massager_boot() makes it new. Nobody but the core
 * writes to it; a board may read `now`. */
struct massager {
    struct massager_now now;
    const struct massager_config *config;
    const struct massager_io *io;
    void *context;

    uint32_t nonce;      /* of the session's HELLO */
    uint16_t last_latch; /* the id that was given last */
    uint16_t feet_off_ms; /* how long the feet have been off in this session */
    uint16_t blocked_ms; /* how long the driven motor has stood still */
    uint16_t off_ms;     /* how long the motor has been off, up to spin_down_ms; 0 at boot, since a
                            motor may still run out from before the reset */
    uint16_t stuck_ms;   /* how long it has moved though it should stand */
    uint16_t sense_age_ms;
    struct massager_readings readings;
    uint8_t tokens;       /* the counter in the token (6.3) */
    uint8_t feet_lifted;  /* 1 = FEET_LIFTED was told, FEET_BACK not yet */
    uint8_t last_sequence;
    uint8_t last_type;
    uint8_t reply_size;   /* of `reply`; 0 = none is kept */
    uint8_t reply[MASSAGER_HEADER_BYTES + MASSAGER_PAYLOAD_MAX_BYTES]; /* raw, for a repeat (5.9) */

    uint8_t candidate_size; /* ENCODED_MAX + 1: too long, the rest is dropped up to the delimiter */
    uint8_t candidate[MASSAGER_ENCODED_MAX_BYTES];

    uint8_t events_first;
    uint8_t events_count;
    struct massager_event events[MASSAGER_EVENT_RING];
};

/* Boot: output 0, no session, nothing latched, event BOOT. `boot_id` is 1…65,535 and one higher than
 * that of the boot before, whatever caused this one (4.7). */
void massager_boot(struct massager *device, const struct massager_config *config,
                   const struct massager_io *io, void *context, uint16_t boot_id,
                   uint8_t reset_cause);

/* One millisecond has passed: the gate, the protection, then what is due (8.7). */
void massager_step(struct massager *device);

/* One byte came over a serial line or a TCP stream. */
void massager_receive(struct massager *device, uint8_t byte);

/* A new connection was made: what is held of the old one is forgotten (2.12). */
void massager_line_opened(struct massager *device);

/* One message came over a broker: a protected frame, or something else of any size. Not for messages
 * with the retain flag set: those must be ignored (2.20). */
void massager_datagram(struct massager *device, const uint8_t *data, uint16_t size);

/* What the feet sensor reads, as often as the board likes; nothing without that capability. */
void massager_feet(struct massager *device, bool are_on);

/* The button was pressed: a soft stop. Contact bounce does no harm. */
void massager_button(struct massager *device);

/* What the sensors read. With any of TEMPERATURE, CURRENT and MOTION it is due at least every
 * MASSAGER_SENSE_MAX_MS; where it stays away the device latches SENSOR. */
void massager_sense(struct massager *device, const struct massager_readings *readings);

/* Write a protected frame as a stream carries it (2.5): 00, COBS, 00, size + 3 bytes, in order. */
void massager_put_stream(const uint8_t *frame, uint8_t size,
                         void (*put)(void *context, uint8_t byte), void *context);

/* The state that STATUS tells (4.13): MASSAGER_STATE_…. */
uint8_t massager_state(const struct massager_now *now);

#ifdef __cplusplus
}
#endif

#endif
