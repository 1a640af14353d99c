/* See script.h. */
#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "massager.h"

enum {
    SENSE_EVERY_MS = 100,
    FRAME_MAX = 41,
    ENCODED_MAX = 42,
    CANDIDATE_DROPPED = ENCODED_MAX + 1,
};

struct script {
    const uint8_t *data;
    size_t left;
    uint32_t left_ms;

    struct massager_config config;
    struct massager device;
    struct massager_readings readings;
    uint16_t driven;
    bool is_blocked;    /* the line takes nothing */
    bool is_broken;     /* the readings are the script's, not those of a sound motor */
    bool had_session;   /* since boot */
    uint32_t clock_ms;
    uint32_t replies;   /* since the last look: all that is no EVENT */
    uint16_t bad_frames; /* as they must be */
    uint8_t sequence;   /* of the last command of our own */
    uint8_t shadow[ENCODED_MAX];
    uint8_t shadow_size; /* of what lies since the last delimiter; CANDIDATE_DROPPED: too long */
    struct script_totals totals;
};

/* --- judging --------------------------------------------------------------------------------- */

static void demand(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "breach: %s\n", what);
        abort();
    }
}

static uint32_t crc_of(const uint8_t *bytes, size_t size)
{
    uint32_t crc = UINT32_MAX;

    for (size_t at = 0u; at < size; at++) {
        for (unsigned bit = 0u; bit < 8u; bit++) {
            uint32_t differs = (crc ^ (uint32_t)bytes[at] >> bit) & 1u;

            crc = crc >> 1 ^ (differs != 0u ? 0xEDB88320u : 0u);
        }
    }
    return ~crc;
}

static bool is_protected(const uint8_t *frame, size_t size)
{
    uint32_t crc;

    if (size < 9u || size > FRAME_MAX) {
        return false;
    }
    crc = crc_of(frame, size - 4u);
    return frame[size - 4u] == (uint8_t)crc && frame[size - 3u] == (uint8_t)(crc >> 8) &&
           frame[size - 2u] == (uint8_t)(crc >> 16) && frame[size - 1u] == (uint8_t)(crc >> 24);
}

/* COBS by 2.10, into a buffer of its own. 0: not decodable. */
static size_t decoded(const uint8_t *candidate, size_t size, uint8_t *frame)
{
    size_t at = 0u;
    size_t length = 0u;

    while (at < size) {
        size_t next = at + candidate[at];

        if (next > size) {
            return 0u;
        }
        for (at++; at < next; at++) {
            frame[length++] = candidate[at];
        }
        if (at < size) {
            frame[length++] = 0u;
        }
    }
    return length;
}

/* What must hold at any moment, whatever came before. */
static void judge_now(const struct script *script)
{
    const struct massager_now *now = &script->device.now;
    uint32_t gentlest = script->config.gentlest_permille * 1000u;

    demand(now->output == 0u || now->output >= gentlest, "output between 0 and the gentlest level");
    demand(now->output <= script->config.max_permille * 1000u, "output above the highest level");
    demand(now->output == 0u || script->had_session, "output without a session");
    demand(now->output == 0u || now->latch_id == 0u, "output while something is latched");
    demand(now->output == 0u || now->fall != 0u || (now->is_leased && now->lease_left_ms > 0u),
           "output without a lease, and not falling");
    demand(now->output == 0u || now->fall != 0u || now->output <= now->ceiling,
           "output above the ceiling");
    demand(now->output == 0u || !now->is_resting || now->fall != 0u, "output in the rest");
    demand(script->driven == now->output / 1000u, "the motor got another level than the output");
    demand(now->token != 0u || (!now->is_leased && now->setpoint == 0u), "a void session has a lease");
    demand(now->lease_left_ms <= 5000u, "a lease longer than 5 s");
    demand(now->setpoint <= script->config.max_permille, "a setpoint above the highest level");
    demand(now->fall == 0u || now->output != 0u, "falling at output 0");
    demand((now->faults != 0u) == (now->latch_id != 0u), "faults and latch disagree");
    demand((now->faults & 64u) == 0u, "the device found its own gate broken");
    demand(now->run_ms <= 902000u, "the motor ran on after the run limit");
    demand(now->bad_frames == script->bad_frames, "bad frames were counted wrong");
    demand(script->device.candidate_size <= CANDIDATE_DROPPED, "a candidate longer than its buffer");
    demand(script->device.events_count <= MASSAGER_EVENT_RING, "more events than the ring has");
    demand(script->device.events_first < MASSAGER_EVENT_RING, "an event outside the ring");
}

static void drive(void *context, uint16_t permille)
{
    struct script *script = context;

    demand(permille == 0u || (permille >= script->config.gentlest_permille &&
                              permille <= script->config.max_permille),
           "the motor got a level that does not exist");
    script->driven = permille;
}

static bool send(void *context, const uint8_t *frame, uint8_t size)
{
    struct script *script = context;

    demand(is_protected(frame, size), "a frame was sent that is none");
    demand(frame[0] == 1u && (frame[1] & 0x80u) != 0u, "a header was sent that no device sends");
    if (frame[1] == MASSAGER_TYPE_EVENT) {
        demand(frame[2] == 0u, "an event has a sequence");
        return !script->is_blocked;
    }
    script->replies++;
    if (frame[1] == MASSAGER_TYPE_IDENTITY && (frame[3] | frame[4]) != 0u) {
        script->totals.sessions += script->had_session ? 0u : 1u;
        script->had_session = true;
    }
    return !script->is_blocked;
}

static void note(void *context, uint8_t what)
{
    demand(what < MASSAGER_NOTES, "a note that nobody knows");
    (void)context;
}

static const struct massager_io IO = {.drive = drive, .send = send, .note = note};

/* --- what is done to the device ------------------------------------------------------------------ */

static uint8_t take(struct script *script)
{
    if (script->left == 0u) {
        return 0u;
    }
    script->left--;
    return *script->data++;
}

static uint16_t take16(struct script *script)
{
    uint8_t low = take(script);

    return (uint16_t)(low | take(script) << 8);
}

static void boot(struct script *script, uint16_t boot_id, uint8_t cause)
{
    script->had_session = false;
    script->bad_frames = 0u;
    script->shadow_size = 0u;
    massager_boot(&script->device, &script->config, &IO, script, boot_id, cause);
    demand(script->device.now.output == 0u && script->driven == 0u, "output after boot");
}

/* One frame or what is taken for one was given to the device: what had to come of it did. */
static void judge_frame(struct script *script, const uint8_t *frame, size_t size)
{
    bool is_good = is_protected(frame, size);
    uint32_t expected = is_good && (frame[1] & 0x80u) == 0u ? 1u : 0u;

    if (!is_good && script->bad_frames < UINT16_MAX) {
        script->bad_frames++;
        script->totals.bad_frames++;
    }
    demand(script->replies == expected,
           is_good ? "a command got no reply or two, or an echo got one" : "a bad frame was answered");
    script->totals.replies += script->replies;
    script->replies = 0u;
}

static void receive(struct script *script, uint8_t byte)
{
    uint8_t frame[ENCODED_MAX];
    uint8_t size = script->shadow_size;

    massager_receive(&script->device, byte);
    if (byte == 0u) {
        script->shadow_size = 0u;
        if (size != 0u && size != CANDIDATE_DROPPED) {
            judge_frame(script, frame, decoded(script->shadow, size, frame));
        }
    } else if (size < ENCODED_MAX) {
        script->shadow[script->shadow_size++] = byte;
    } else if (size == ENCODED_MAX) {
        script->shadow_size = CANDIDATE_DROPPED;
        judge_frame(script, frame, 0u);
    }
    demand(script->replies == 0u, "something was answered that was no frame");
    judge_now(script);
}

static void put(void *context, uint8_t byte)
{
    receive(context, byte);
}

static void datagram(struct script *script, const uint8_t *bytes, uint16_t size)
{
    massager_datagram(&script->device, bytes, size);
    judge_frame(script, bytes, size);
}

static void give_protected(struct script *script, uint8_t *frame, uint8_t size, bool as_stream)
{
    uint32_t crc = crc_of(frame, size);

    for (unsigned i = 0u; i < 4u; i++) {
        frame[size++] = (uint8_t)(crc >> 8 * i);
    }
    if (as_stream) {
        massager_put_stream(frame, size, put, script);
    } else {
        datagram(script, frame, size);
    }
}

/* Bytes that may be anything, over the line or as a message. */
static void give_bytes(struct script *script, bool as_stream)
{
    uint8_t bytes[64];
    uint8_t size = take(script) % sizeof bytes;

    for (uint8_t i = 0u; i < size; i++) {
        bytes[i] = take(script);
    }
    if (!as_stream) {
        datagram(script, bytes, size);
        return;
    }
    for (uint8_t i = 0u; i < size; i++) {
        receive(script, bytes[i]);
    }
}

/* A frame with a good CRC and anything else. */
static void give_frame(struct script *script, bool as_stream)
{
    uint8_t frame[FRAME_MAX];
    uint8_t size = (uint8_t)(5u + take(script) % 33u);

    for (uint8_t i = 0u; i < size; i++) {
        frame[i] = take(script);
    }
    give_protected(script, frame, size, as_stream);
}

/* A command as a host would make it: major 1, the session's token. */
static void give_made(struct script *script, uint8_t type, const uint8_t *payload, uint8_t size,
                      bool as_stream)
{
    uint8_t frame[FRAME_MAX] = {1u, type, script->sequence};

    frame[3] = (uint8_t)script->device.now.token;
    frame[4] = (uint8_t)(script->device.now.token >> 8);
    memcpy(frame + 5, payload, size);
    give_protected(script, frame, (uint8_t)(5u + size), as_stream);
}

static void next_sequence(struct script *script)
{
    script->sequence = script->sequence == 255u ? 1u : (uint8_t)(script->sequence + 1u);
}

static void give_hello(struct script *script, uint8_t nonce)
{
    const uint8_t payload[7] = {0u, 0u, 1u, nonce, 2u, 3u, 4u};

    next_sequence(script);
    give_made(script, MASSAGER_TYPE_HELLO, payload, sizeof payload, true);
}

static void give_level(struct script *script, uint16_t level, uint16_t lease_ms)
{
    const uint8_t payload[4] = {(uint8_t)level, (uint8_t)(level >> 8), (uint8_t)lease_ms,
                                (uint8_t)(lease_ms >> 8)};

    next_sequence(script);
    give_made(script, MASSAGER_TYPE_SET_LEVEL, payload, sizeof payload, true);
}

/* A command of the script's choice: often a sensible one, now and then a repeat. */
static void give_command(struct script *script, bool as_stream)
{
    static const uint8_t SIZES[] = {0u, 7u, 0u, 4u, 0u, 0u, 2u, 0u};
    uint8_t payload[7];
    uint8_t choice = take(script);
    uint8_t type = choice % 8u;

    for (uint8_t i = 0u; i < SIZES[type]; i++) {
        payload[i] = take(script);
    }
    if ((choice & 0xC0u) == 0x40u && type == MASSAGER_TYPE_HELLO) {
        give_hello(script, payload[0]);
        return;
    }
    if ((choice & 0xC0u) == 0x40u && type == MASSAGER_TYPE_SET_LEVEL) {
        give_level(script, (uint16_t)(payload[0] * 4u), (uint16_t)(500u + payload[2] * 16u));
        return;
    }
    if ((choice & 0xC0u) == 0x40u && type == MASSAGER_TYPE_CLEAR) {
        payload[0] = (uint8_t)script->device.now.latch_id;
        payload[1] = (uint8_t)(script->device.now.latch_id >> 8);
    }
    if ((choice & 0x80u) == 0u) {
        next_sequence(script);
    }
    give_made(script, type, payload, SIZES[type], as_stream);
}

static void sense(struct script *script)
{
    if (!script->is_broken) {
        script->readings.temperature_dc = 300;
        script->readings.current_ma = 200u;
        script->readings.is_moving = script->device.now.output != 0u;
    }
    massager_sense(&script->device, &script->readings);
}

static void step(struct script *script)
{
    struct massager_now before = script->device.now;
    const struct massager_now *now = &script->device.now;

    script->clock_ms++;
    if (!script->is_broken && script->clock_ms % SENSE_EVERY_MS == 0u) {
        sense(script);
    }
    massager_step(&script->device);
    demand(now->uptime_ms == before.uptime_ms + 1u, "the clock does not count");
    demand(now->output <= before.output + 500u ||
               (before.output == 0u && now->output == script->config.gentlest_permille * 1000u),
           "the output rose faster than 500 ‰/s");
    demand(now->ceiling <= before.ceiling + 25u || now->ceiling == 1000u * script->config.gentlest_permille,
           "the ceiling rose faster than 25 ‰/s");
    demand(before.fall == 0u || now->output < before.output, "a fall did not fall");
    demand(before.token != 0u || now->output <= before.output, "the output rose without a session");
    demand(script->replies == 0u, "the device answered though nobody asked");
    script->totals.moving_ms += now->output != 0u ? 1u : 0u;
    judge_now(script);
}

static void pass(struct script *script, uint16_t ms)
{
    while (ms-- != 0u && script->left_ms != 0u) {
        script->left_ms--;
        step(script);
    }
}

/* Mostly under a second; rarely long enough for the ceiling's hold. */
static void pass_time(struct script *script)
{
    uint8_t choice = take(script);

    pass(script, choice < 0xF0u ? (uint16_t)(choice * 4u) : (uint16_t)((choice - 0xEFu) * 1024u));
}

/* A level that a host renews for a while. */
static void stream(struct script *script)
{
    uint16_t level = (uint16_t)(take(script) * 4u);
    uint8_t times = take(script) % 32u;

    while (times-- != 0u) {
        give_level(script, level, 1500u);
        pass(script, 250u);
    }
}

static void change_inputs(struct script *script)
{
    uint8_t what = take(script);

    switch (what % 7u) {
    case 0u:
    case 1u:
        massager_feet(&script->device, what % 7u == 0u);
        break;
    case 2u:
        massager_button(&script->device);
        break;
    case 3u:
        script->readings.temperature_dc = (int16_t)take16(script);
        script->readings.current_ma = take16(script);
        script->readings.is_moving = (take(script) & 1u) != 0u;
        script->is_broken = true;
        sense(script);
        break;
    case 4u:
        script->is_broken = false;
        sense(script);
        break;
    case 5u:
        script->is_blocked = !script->is_blocked;
        break;
    default:
        massager_line_opened(&script->device);
        script->shadow_size = 0u;
        break;
    }
}

static void operate(struct script *script)
{
    uint8_t what = take(script);
    bool as_stream = (what & 0x80u) == 0u;

    script->totals.operations++;
    switch (what % 13u) {
    case 0u:
        give_bytes(script, as_stream);
        break;
    case 1u:
    case 2u:
        give_frame(script, as_stream);
        break;
    case 3u:
    case 4u:
    case 5u:
    case 6u:
        give_command(script, as_stream);
        break;
    case 7u:
    case 8u:
    case 9u:
        pass_time(script);
        break;
    case 10u:
        change_inputs(script);
        break;
    case 11u:
        stream(script);
        break;
    default:
        if (take(script) % 8u == 0u) {
            boot(script, (uint16_t)(script->device.now.boot_id % 65535u + 1u), take(script));
        }
        break;
    }
    judge_now(script);
}

struct script_totals script_run(const uint8_t *data, size_t size, uint32_t ms_max)
{
    struct script *script = calloc(1u, sizeof *script);
    struct script_totals totals;
    uint8_t variant;

    if (script == NULL) {
        abort();
    }
    script->data = data;
    script->left = size;
    script->left_ms = ms_max;
    variant = take(script);
    memcpy(script->config.device_id, "fuzz-001", 8u);
    script->config.gentlest_permille = (variant & 0x40u) == 0u ? 150u : 1u;
    script->config.max_permille = (variant & 0x80u) == 0u ? 1000u : 600u;
    script->config.capabilities = (uint16_t)(~variant & 0x1Fu);
    script->config.hot_dc = 700;
    script->config.sensor_low_dc = -200;
    script->config.sensor_high_dc = 1200;
    script->config.over_current_ma = 1800u;
    script->config.spin_down_ms = 500u;
    boot(script, 1u, MASSAGER_RESET_CAUSE_POWER_ON);
    if ((take(script) & 1u) != 0u) { /* nobody waits for the run limit */
        script->device.now.run_ms = 899000u;
    }
    if ((variant & 0x20u) != 0u) { /* in the middle of a session */
        give_hello(script, variant);
        give_level(script, 400u, 5000u);
        pass(script, 300u);
    }
    while (script->left != 0u) {
        operate(script);
    }
    totals = script->totals;
    free(script);
    return totals;
}
