/* See recorder.h. */
#include "recorder.h"

#include <stdlib.h>

enum {
    TICK_MS = 100,
    ROOM_AT_FIRST = 1024,
};

static const char *const WORDS[RECORDER_WHYS] = {
    [MASSAGER_NOTE_BOOT] = "boot",
    [MASSAGER_NOTE_HELLO] = "hello",
    [MASSAGER_NOTE_IDENTIFY] = "identify",
    [MASSAGER_NOTE_GET_LIMITS] = "get_limits",
    [MASSAGER_NOTE_SET_LEVEL] = "set_level",
    [MASSAGER_NOTE_STOP] = "stop",
    [MASSAGER_NOTE_EMERGENCY_STOP] = "emergency_stop",
    [MASSAGER_NOTE_CLEAR] = "clear",
    [MASSAGER_NOTE_GET_STATUS] = "get_status",
    [MASSAGER_NOTE_REPEAT] = "repeat",
    [MASSAGER_NOTE_BUTTON] = "button",
    [MASSAGER_NOTE_LEASE_EXPIRED] = "lease_expired",
    [MASSAGER_NOTE_TAKEN_OVER] = "taken_over",
    [MASSAGER_NOTE_RUN_LIMIT] = "run_limit",
    [MASSAGER_NOTE_REST_OVER] = "rest_over",
    [MASSAGER_NOTE_FEET_LIFTED] = "feet_lifted",
    [MASSAGER_NOTE_FEET_BACK] = "feet_back",
    [MASSAGER_NOTE_FAULT + 0] = "over_temperature",
    [MASSAGER_NOTE_FAULT + 1] = "over_current",
    [MASSAGER_NOTE_FAULT + 2] = "stall",
    [MASSAGER_NOTE_FAULT + 3] = "stuck_on",
    [MASSAGER_NOTE_FAULT + 4] = "sensor",
    [MASSAGER_NOTE_FAULT + 5] = "emergency_stop",
    [MASSAGER_NOTE_FAULT + 6] = "internal",
    [RECORDER_GATE] = "gate",
    [RECORDER_TICK] = "tick",
};

/* The next row. A trace with a hole would be judged as true, so without memory there is no going on. */
static struct recorder_row *next_row(struct recorder *recorder)
{
    if (recorder->count == recorder->room) {
        recorder->room = recorder->room == 0u ? ROOM_AT_FIRST : 2u * recorder->room;
        recorder->rows = realloc(recorder->rows, recorder->room * sizeof *recorder->rows);
        if (recorder->rows == NULL) {
            abort();
        }
    }
    return &recorder->rows[recorder->count++];
}

static void add_row(struct recorder *recorder, uint64_t device_ms, const struct massager_now *now,
                    uint8_t why)
{
    struct recorder_row *row = next_row(recorder);

    row->device_ms = device_ms;
    row->boot = now->boot_id;
    row->token = now->token;
    row->setpoint = now->setpoint;
    row->lease_left = now->lease_left_ms;
    row->ceiling = (uint16_t)(now->ceiling / 1000u);
    row->output = (uint16_t)(now->output / 1000u);
    row->state = massager_state(now);
    row->why = why;
    recorder->row_ms = device_ms;
    recorder->row_output = row->output;
}

/* The end of a millisecond: it has a row where it has none yet and the output asks for one. */
static void end_millisecond(struct recorder *recorder, uint64_t device_ms,
                            const struct massager_now *now)
{
    if (recorder->row_ms == device_ms) {
        return;
    }
    if (now->output / 1000u != recorder->row_output) {
        add_row(recorder, device_ms, now, RECORDER_GATE);
    } else if (now->output != 0u && device_ms % TICK_MS == 0u) {
        add_row(recorder, device_ms, now, RECORDER_TICK);
    }
}

void recorder_note(struct recorder *recorder, uint64_t device_ms, const struct massager_now *now,
                   uint8_t note)
{
    if (note == MASSAGER_NOTE_STEP) {
        end_millisecond(recorder, device_ms, now);
    } else {
        add_row(recorder, device_ms, now, note);
    }
}

void recorder_forget(struct recorder *recorder)
{
    recorder->count = 0u;
}

void recorder_free(struct recorder *recorder)
{
    static const struct recorder EMPTY = {0};

    free(recorder->rows);
    *recorder = EMPTY;
}

const char *recorder_word(uint8_t why)
{
    return why < RECORDER_WHYS ? WORDS[why] : NULL;
}
