/* See host.h. */
#include "host.h"

#include <stdlib.h>
#include <string.h>

enum {
    GRID_MS = 100, /* the physics' step, and how often readings are given */
    AMBIENT_DC = 250,
};

struct host {
    struct massager device;
    struct massager_config config;
    struct massager_readings readings;
    struct recorder recorder;
    uint64_t clock_ms;
    uint8_t *sent;
    size_t sent_size;
    size_t sent_room;
    uint16_t driven;
    bool feet_on;
    bool is_blocked;
};

/* --- what the core asks of a board ------------------------------------------------------------- */

static void drive(void *context, uint16_t permille)
{
    struct host *host = context;

    host->driven = permille;
}

static bool send(void *context, const uint8_t *frame, uint8_t size)
{
    struct host *host = context;

    if (host->is_blocked) {
        return false;
    }
    if (host->sent_size + size + 1u > host->sent_room) {
        host->sent_room = 2u * host->sent_room + 256u;
        host->sent = realloc(host->sent, host->sent_room);
        if (host->sent == NULL) {
            abort();
        }
    }
    host->sent[host->sent_size++] = size;
    memcpy(host->sent + host->sent_size, frame, size);
    host->sent_size += size;
    return true;
}

static void note(void *context, uint8_t what)
{
    struct host *host = context;

    recorder_note(&host->recorder, host->clock_ms, &host->device.now, what);
}

static const struct massager_io IO = {.drive = drive, .send = send, .note = note};

/* --- the device's life -------------------------------------------------------------------------- */

struct host *host_new(const struct massager_config *config, uint16_t boot_id, uint8_t reset_cause)
{
    struct host *host = calloc(1u, sizeof *host);

    if (host == NULL) {
        return NULL;
    }
    host->config = *config;
    host->readings.temperature_dc = AMBIENT_DC;
    host->feet_on = true;
    host_boot(host, boot_id, reset_cause);
    return host;
}

void host_free(struct host *host)
{
    if (host != NULL) {
        recorder_free(&host->recorder);
        free(host->sent);
        free(host);
    }
}

void host_boot(struct host *host, uint16_t boot_id, uint8_t reset_cause)
{
    massager_boot(&host->device, &host->config, &IO, host, boot_id, reset_cause);
    massager_sense(&host->device, &host->readings);
    massager_feet(&host->device, host->feet_on);
}

uint32_t host_advance(struct host *host, uint32_t ms)
{
    for (uint32_t passed = 1u; passed <= ms; passed++) {
        host->clock_ms++;
        if (host->clock_ms % GRID_MS == 0u) {
            massager_sense(&host->device, &host->readings);
        }
        massager_step(&host->device);
        if (host->device.now.output != 0u && (host->clock_ms + 1u) % GRID_MS == 0u) {
            return passed;
        }
    }
    return ms;
}

void host_wait(struct host *host, uint32_t ms)
{
    host->clock_ms += ms;
}

/* --- what comes from outside ------------------------------------------------------------------- */

void host_receive(struct host *host, const uint8_t *bytes, size_t size)
{
    while (size-- != 0u) {
        massager_receive(&host->device, *bytes++);
    }
}

void host_datagram(struct host *host, const uint8_t *bytes, uint16_t size)
{
    massager_datagram(&host->device, bytes, size);
}

void host_line_opened(struct host *host)
{
    massager_line_opened(&host->device);
}

void host_feet(struct host *host, bool are_on)
{
    host->feet_on = are_on;
    massager_feet(&host->device, are_on);
}

void host_button(struct host *host)
{
    massager_button(&host->device);
}

void host_sense(struct host *host, int16_t temperature_dc, uint16_t current_ma, bool is_moving)
{
    host->readings.temperature_dc = temperature_dc;
    host->readings.current_ma = current_ma;
    host->readings.is_moving = is_moving;
    massager_sense(&host->device, &host->readings);
}

void host_block_line(struct host *host, bool is_blocked)
{
    host->is_blocked = is_blocked;
}

/* --- what can be seen ---------------------------------------------------------------------------- */

const uint8_t *host_sent(const struct host *host, size_t *size)
{
    *size = host->sent_size;
    return host->sent;
}

void host_forget_sent(struct host *host)
{
    host->sent_size = 0u;
}

static void put(void *context, uint8_t byte)
{
    uint8_t **end = context;

    *(*end)++ = byte;
}

size_t host_stream(const uint8_t *frame, uint8_t size, uint8_t *wire)
{
    uint8_t *end = wire;

    massager_put_stream(frame, size, put, &end);
    return (size_t)(end - wire);
}

uint16_t host_driven(const struct host *host)
{
    return host->driven;
}

uint64_t host_clock_ms(const struct host *host)
{
    return host->clock_ms;
}

const struct massager_now *host_now(const struct host *host)
{
    return &host->device.now;
}

struct recorder *host_recorder(struct host *host)
{
    return &host->recorder;
}

const uint8_t *host_candidate(const struct host *host)
{
    return host->device.candidate;
}

size_t host_candidate_room(void)
{
    return sizeof((struct massager *)0)->candidate;
}
