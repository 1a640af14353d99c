/* How a command is judged and answered: sections 3 to 6 of SPEC.md, in the order of section 5. */
#include "core.h"

#include <string.h>

enum {
    TYPE_AT = 1,
    SEQUENCE_AT = 2,
    TOKEN_AT = 3,
    PAYLOAD_AT = MASSAGER_HEADER_BYTES,
};

/* A refusal, or, with reason 0, none. */
struct verdict {
    uint8_t reason;
    uint16_t limit;
};

static const struct verdict ACCEPTED = {0u, 0u};

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | (uint16_t)bytes[1] << 8);
}

static uint32_t get32(const uint8_t *bytes)
{
    return get16(bytes) | (uint32_t)get16(bytes + 2) << 16;
}

static void put16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *bytes, uint32_t value)
{
    put16(bytes, (uint16_t)value);
    put16(bytes + 2, (uint16_t)(value >> 16));
}

/* --- what is sent ------------------------------------------------------------------------------ */

/* The size of a raw frame of this type, and its header. */
static uint8_t begin(uint8_t *raw, uint8_t type, uint8_t payload_size, uint8_t sequence,
                     uint16_t token)
{
    raw[0] = MASSAGER_PROTOCOL_MAJOR;
    raw[TYPE_AT] = type;
    raw[SEQUENCE_AT] = sequence;
    put16(raw + TOKEN_AT, token);
    return (uint8_t)(MASSAGER_HEADER_BYTES + payload_size);
}

static bool send_frame(struct massager *device, uint8_t *raw, uint8_t size)
{
    frame_protect(raw, size);
    return device->io->send(device->context, raw, (uint8_t)(size + MASSAGER_CRC_BYTES));
}

bool send_events(struct massager *device)
{
    uint8_t raw[MASSAGER_HEADER_BYTES + MASSAGER_EVENT_SIZE + MASSAGER_CRC_BYTES];
    uint8_t *payload = raw + PAYLOAD_AT;

    while (device->events_count != 0u) {
        const struct massager_event *event = &device->events[device->events_first];
        uint8_t size = begin(raw, MASSAGER_TYPE_EVENT, MASSAGER_EVENT_SIZE, 0u, event->token);

        put16(payload + MASSAGER_EVENT_EVENT_ID_AT, event->id);
        payload[MASSAGER_EVENT_CODE_AT] = event->code;
        payload[MASSAGER_EVENT_STATE_AT] = event->state;
        put32(payload + MASSAGER_EVENT_UPTIME_MS_AT, event->uptime_ms);
        if (!send_frame(device, raw, size)) {
            return false;
        }
        device->events_first = (uint8_t)((device->events_first + 1u) % MASSAGER_EVENT_RING);
        device->events_count--;
    }
    return true;
}

/* --- answers: each writes into `raw` and returns the size of the raw frame ------------------------ */

static uint8_t answer(uint8_t *raw, const uint8_t *command, uint8_t type, uint8_t payload_size)
{
    return begin(raw, type, payload_size, command[SEQUENCE_AT], get16(command + TOKEN_AT));
}

static uint8_t nak(uint8_t *raw, const uint8_t *command, uint8_t reason, uint16_t limit)
{
    uint8_t *payload = raw + PAYLOAD_AT;

    payload[MASSAGER_NAK_TYPE_AT] = command[TYPE_AT];
    payload[MASSAGER_NAK_REASON_AT] = reason;
    put16(payload + MASSAGER_NAK_LIMIT_AT, limit);
    return answer(raw, command, MASSAGER_TYPE_NAK, MASSAGER_NAK_SIZE);
}

static uint8_t identity(const struct massager *device, uint8_t *raw, const uint8_t *command,
                        uint32_t nonce, uint16_t token)
{
    const struct massager_config *config = device->config;
    uint8_t *payload = raw + PAYLOAD_AT;
    uint8_t size = answer(raw, command, MASSAGER_TYPE_IDENTITY, MASSAGER_IDENTITY_SIZE);

    put16(raw + TOKEN_AT, token);
    payload[MASSAGER_IDENTITY_MAJOR_AT] = MASSAGER_PROTOCOL_MAJOR;
    payload[MASSAGER_IDENTITY_MINOR_AT] = MASSAGER_PROTOCOL_MINOR;
    put32(payload + MASSAGER_IDENTITY_HOST_NONCE_AT, nonce);
    memcpy(payload + MASSAGER_IDENTITY_DEVICE_ID_AT, config->device_id, sizeof config->device_id);
    put16(payload + MASSAGER_IDENTITY_BOOT_ID_AT, device->now.boot_id);
    payload[MASSAGER_IDENTITY_RESET_CAUSE_AT] = device->now.reset_cause;
    put16(payload + MASSAGER_IDENTITY_MODEL_AT, config->model);
    payload[MASSAGER_IDENTITY_SPEED_AT] = 1u;
    put16(payload + MASSAGER_IDENTITY_CAPABILITIES_AT, config->capabilities);
    put32(payload + MASSAGER_IDENTITY_FINGERPRINT_AT, MASSAGER_FINGERPRINT);
    return size;
}

static uint8_t limits(const struct massager *device, uint8_t *raw, const uint8_t *command)
{
    const struct massager_config *config = device->config;
    uint8_t *payload = raw + PAYLOAD_AT;

    put16(payload + MASSAGER_LIMITS_GENTLEST_PERMILLE_AT, config->gentlest_permille);
    put16(payload + MASSAGER_LIMITS_MAX_PERMILLE_AT, config->max_permille);
    put16(payload + MASSAGER_LIMITS_RISE_PERMILLE_S_AT, MASSAGER_CEILING_RISE_PERMILLE_S);
    put16(payload + MASSAGER_LIMITS_FALL_PERMILLE_S_AT, MASSAGER_SOFT_FALL_PERMILLE_S);
    put16(payload + MASSAGER_LIMITS_LEASE_MIN_MS_AT, MASSAGER_LEASE_MIN_MS);
    put16(payload + MASSAGER_LIMITS_LEASE_MAX_MS_AT, MASSAGER_LEASE_MAX_MS);
    put16(payload + MASSAGER_LIMITS_RUN_MAX_S_AT, MASSAGER_RUN_MAX_S);
    put16(payload + MASSAGER_LIMITS_REST_S_AT, MASSAGER_REST_S);
    put16(payload + MASSAGER_LIMITS_STEPS_AT, config->steps);
    return answer(raw, command, MASSAGER_TYPE_LIMITS, MASSAGER_LIMITS_SIZE);
}

static uint8_t feet(const struct massager *device)
{
    if (!has(device, MASSAGER_CAPABILITY_FEET_SENSOR)) {
        return MASSAGER_FEET_NO_SENSOR;
    }
    return device->now.feet_on ? MASSAGER_FEET_ON : MASSAGER_FEET_OFF;
}

static uint8_t status(const struct massager *device, uint8_t *raw, const uint8_t *command)
{
    const struct massager_now *now = &device->now;
    uint8_t *payload = raw + PAYLOAD_AT;

    payload[MASSAGER_STATUS_STATE_AT] = massager_state(now);
    payload[MASSAGER_STATUS_END_REASON_AT] =
        now->token == 0u ? now->last_end : MASSAGER_END_REASON_NONE;
    put16(payload + MASSAGER_STATUS_BOOT_ID_AT, now->boot_id);
    put16(payload + MASSAGER_STATUS_EVENT_ID_AT, now->event_id);
    put16(payload + MASSAGER_STATUS_FAULTS_AT, now->faults);
    put16(payload + MASSAGER_STATUS_SETPOINT_PERMILLE_AT, now->setpoint);
    put16(payload + MASSAGER_STATUS_CEILING_PERMILLE_AT, whole_permille(now->ceiling));
    put16(payload + MASSAGER_STATUS_OUTPUT_PERMILLE_AT, whole_permille(now->output));
    put16(payload + MASSAGER_STATUS_LEASE_LEFT_MS_AT, now->lease_left_ms);
    put16(payload + MASSAGER_STATUS_RUN_TIME_S_AT, (uint16_t)(now->run_ms / 1000u));
    put16(payload + MASSAGER_STATUS_LATCH_ID_AT, now->latch_id);
    put32(payload + MASSAGER_STATUS_UPTIME_MS_AT, now->uptime_ms);
    put16(payload + MASSAGER_STATUS_BAD_FRAMES_AT, now->bad_frames);
    payload[MASSAGER_STATUS_FEET_AT] = feet(device);
    put16(payload + MASSAGER_STATUS_TEMPERATURE_DC_AT,
          has(device, MASSAGER_CAPABILITY_TEMPERATURE)
              ? (uint16_t)device->readings.temperature_dc
              : (uint16_t)MASSAGER_TEMPERATURE_NOT_MEASURED);
    put16(payload + MASSAGER_STATUS_CURRENT_MA_AT, has(device, MASSAGER_CAPABILITY_CURRENT)
                                                       ? device->readings.current_ma
                                                       : MASSAGER_CURRENT_NOT_MEASURED);
    return answer(raw, command, MASSAGER_TYPE_STATUS, MASSAGER_STATUS_SIZE);
}

/* --- judging: the first clause that decides ends it ------------------------------------------------ */

static struct verdict refused(uint8_t reason, uint16_t limit)
{
    struct verdict verdict = {reason, limit};

    return verdict;
}

/* The payload length of a command type (4.1); UINT8_MAX where nobody knows the type. */
static uint8_t length_of(uint8_t type)
{
    switch (type) {
    case MASSAGER_TYPE_SET_LEVEL:
        return MASSAGER_SET_LEVEL_SIZE;
    case MASSAGER_TYPE_CLEAR:
        return MASSAGER_CLEAR_SIZE;
    case MASSAGER_TYPE_STOP:
        return MASSAGER_STOP_SIZE;
    case MASSAGER_TYPE_GET_LIMITS:
        return MASSAGER_GET_LIMITS_SIZE;
    case MASSAGER_TYPE_GET_STATUS:
        return MASSAGER_GET_STATUS_SIZE;
    default:
        return UINT8_MAX;
    }
}

/* 5.2: HELLO, under any major, token and sequence. */
static uint8_t hello(struct massager *device, uint8_t *raw, const uint8_t *command,
                     uint8_t payload_size)
{
    const uint8_t *payload = command + PAYLOAD_AT;
    uint16_t token;
    uint32_t nonce;

    if (payload_size != MASSAGER_HELLO_SIZE) {
        return nak(raw, command, MASSAGER_REASON_LENGTH, MASSAGER_HELLO_SIZE);
    }
    if (payload[MASSAGER_HELLO_MIN_MAJOR_AT] > MASSAGER_PROTOCOL_MAJOR ||
        payload[MASSAGER_HELLO_MAX_MAJOR_AT] < MASSAGER_PROTOCOL_MAJOR) {
        return nak(raw, command, MASSAGER_REASON_VERSION, MASSAGER_PROTOCOL_MAJOR);
    }
    nonce = get32(payload + MASSAGER_HELLO_HOST_NONCE_AT);
    if ((payload[MASSAGER_HELLO_FLAGS_AT] & MASSAGER_HELLO_FLAG_IDENTIFY_ONLY) != 0u) {
        token = 0u;
        note(device, MASSAGER_NOTE_IDENTIFY);
    } else if (device->now.token != 0u && nonce == device->nonce) {
        token = device->now.token;
        note(device, MASSAGER_NOTE_REPEAT);
    } else {
        machine_open_session(device, nonce, command[SEQUENCE_AT]);
        token = device->now.token;
        note(device, MASSAGER_NOTE_HELLO);
    }
    return identity(device, raw, command, nonce, token);
}

/* 5.10 a–f. */
static struct verdict verdict_on_level(const struct massager *device, uint16_t level,
                                       uint16_t lease_ms)
{
    const struct massager_now *now = &device->now;

    if (level > device->config->max_permille) {
        return refused(MASSAGER_REASON_RANGE, device->config->max_permille);
    }
    if (lease_ms < MASSAGER_LEASE_MIN_MS) {
        return refused(MASSAGER_REASON_LEASE, MASSAGER_LEASE_MIN_MS);
    }
    if (lease_ms > MASSAGER_LEASE_MAX_MS) {
        return refused(MASSAGER_REASON_LEASE, MASSAGER_LEASE_MAX_MS);
    }
    if (now->latch_id != 0u) {
        return refused(MASSAGER_REASON_LATCHED, now->latch_id);
    }
    /* Only a fall because of the feet has a lease running; its host goes on streaming 0. */
    if (now->fall != 0u && (level != 0u || !now->is_leased)) {
        return refused(MASSAGER_REASON_STOPPING, whole_permille(now->output));
    }
    if (now->is_resting) {
        uint16_t left_ms = (uint16_t)(MASSAGER_REST_S * 1000u - now->zero_ms);

        return refused(MASSAGER_REASON_RESTING, (uint16_t)((left_ms + 999u) / 1000u));
    }
    /* Nothing starts without feet; what moves may go on for the 5 s of shifting in the chair. */
    if (level != 0u && (now->feet_blocked || (!now->feet_on && now->output == 0u))) {
        return refused(MASSAGER_REASON_FEET, 0u);
    }
    return ACCEPTED;
}

/* 5.11 a–b. */
static struct verdict verdict_on_clear(const struct massager *device, uint16_t latch_id)
{
    uint16_t causes;

    if (device->now.latch_id == 0u || latch_id != device->now.latch_id) {
        return refused(MASSAGER_REASON_STATE, device->now.latch_id);
    }
    causes = machine_causes(device);
    return causes == 0u ? ACCEPTED : refused(MASSAGER_REASON_FAULT, causes);
}

/* 5.10, 5.11: what changes something, under the session's token and in order. */
static struct verdict apply(struct massager *device, const uint8_t *command)
{
    const uint8_t *payload = command + PAYLOAD_AT;
    struct verdict verdict;

    if (command[TYPE_AT] == MASSAGER_TYPE_SET_LEVEL) {
        uint16_t level = get16(payload + MASSAGER_SET_LEVEL_LEVEL_PERMILLE_AT);
        uint16_t lease_ms = get16(payload + MASSAGER_SET_LEVEL_LEASE_MS_AT);

        verdict = verdict_on_level(device, level, lease_ms);
        if (verdict.reason == 0u) {
            machine_set_level(device, level, lease_ms);
            note(device, MASSAGER_NOTE_SET_LEVEL);
        }
        return verdict;
    }
    verdict = verdict_on_clear(device, get16(payload + MASSAGER_CLEAR_LATCH_ID_AT));
    if (verdict.reason == 0u) {
        machine_clear(device);
        note(device, MASSAGER_NOTE_CLEAR);
    }
    return verdict;
}

/* 5.12, and 5.7. */
static uint8_t query(struct massager *device, uint8_t *raw, const uint8_t *command)
{
    if (command[TYPE_AT] == MASSAGER_TYPE_GET_LIMITS) {
        note(device, MASSAGER_NOTE_GET_LIMITS);
        return limits(device, raw, command);
    }
    note(device, MASSAGER_NOTE_GET_STATUS);
    return status(device, raw, command);
}

static bool is_query(uint8_t type)
{
    return type == MASSAGER_TYPE_GET_LIMITS || type == MASSAGER_TYPE_GET_STATUS;
}

/* How far a sequence is ahead of the last one, on the ring of 255 (5.9). */
static uint8_t ahead_of(uint8_t sequence, uint8_t last)
{
    uint16_t ahead = (uint16_t)(sequence + MASSAGER_SEQUENCE_MAX - last);

    return (uint8_t)(ahead % MASSAGER_SEQUENCE_MAX);
}

/* 5.9: the session's own commands, in their order. */
static uint8_t in_order(struct massager *device, uint8_t *raw, const uint8_t *command)
{
    uint8_t sequence = command[SEQUENCE_AT];
    uint8_t last = device->last_sequence;
    uint8_t ahead = ahead_of(sequence, last);

    if (sequence != 0u && ahead == 0u && command[TYPE_AT] == device->last_type &&
        device->reply_size <= sizeof device->reply) {
        note(device, MASSAGER_NOTE_REPEAT);
        memcpy(raw, device->reply, device->reply_size);
        return device->reply_size;
    }
    if (sequence == 0u || ahead == 0u || ahead > MASSAGER_SEQUENCE_AHEAD_MAX) {
        return nak(raw, command, MASSAGER_REASON_STALE, last);
    }
    device->last_sequence = sequence;
    device->last_type = command[TYPE_AT];
    if (is_query(command[TYPE_AT])) {
        device->reply_size = query(device, raw, command);
    } else {
        struct verdict verdict = apply(device, command);

        device->reply_size = verdict.reason == 0u
                                 ? status(device, raw, command)
                                 : nak(raw, command, verdict.reason, verdict.limit);
    }
    memcpy(device->reply, raw, device->reply_size);
    return device->reply_size;
}

/* 5.3 to 5.9: everything but ESTOP and HELLO. */
static uint8_t ordinary(struct massager *device, uint8_t *raw, const uint8_t *command,
                        uint8_t payload_size)
{
    uint8_t length = length_of(command[TYPE_AT]);
    uint16_t token = get16(command + TOKEN_AT);

    if (command[0] != MASSAGER_PROTOCOL_MAJOR) {
        return nak(raw, command, MASSAGER_REASON_VERSION, MASSAGER_PROTOCOL_MAJOR);
    }
    if (length == UINT8_MAX) {
        return nak(raw, command, MASSAGER_REASON_UNKNOWN_TYPE, 0u);
    }
    if (payload_size != length) {
        return nak(raw, command, MASSAGER_REASON_LENGTH, length);
    }
    if (command[TYPE_AT] == MASSAGER_TYPE_STOP) {
        machine_stop(device, MASSAGER_EVENT_CODE_STOPPED);
        note(device, MASSAGER_NOTE_STOP);
        return status(device, raw, command);
    }
    if (token == 0u && is_query(command[TYPE_AT])) {
        return query(device, raw, command);
    }
    if (device->now.token == 0u || token != device->now.token) {
        return nak(raw, command, MASSAGER_REASON_SESSION, device->now.last_end);
    }
    return in_order(device, raw, command);
}

void judge(struct massager *device, const uint8_t *raw, uint8_t size)
{
    uint8_t reply[MASSAGER_RAW_MAX_BYTES];
    uint8_t payload_size = (uint8_t)(size - MASSAGER_HEADER_BYTES);
    uint8_t reply_size;

    if ((raw[TYPE_AT] & MASSAGER_FROM_DEVICE) != 0u) {
        return; /* an echo (3.2) */
    }
    /* Events that were due come before the reply (3.6); one that finds no room is lost. */
    if (!send_events(device)) {
        device->events_count = 0u;
    }
    if (raw[TYPE_AT] == MASSAGER_TYPE_ESTOP) {
        machine_emergency_stop(device);
        note(device, MASSAGER_NOTE_EMERGENCY_STOP);
        reply_size = status(device, reply, raw);
    } else if (raw[TYPE_AT] == MASSAGER_TYPE_HELLO) {
        reply_size = hello(device, reply, raw, payload_size);
    } else {
        reply_size = ordinary(device, reply, raw, payload_size);
    }
    (void)send_frame(device, reply, reply_size); /* no room: lost, the host asks again (10.6) */
    (void)send_events(device);
}
