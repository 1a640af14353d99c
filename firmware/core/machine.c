/* What the device does alone: lease, run limit, rest, feet, protection, latch; section 9 of SPEC.md.
 *
 * Everything the motor gets goes through the gate; this file says only follow, fall or cut.
 */
#include "core.h"

#include <stddef.h>
#include <string.h>

/* Whoever reads the memory of a device relies on this layout. */
_Static_assert(offsetof(struct massager, now) == 0, "`now` comes first");
_Static_assert(offsetof(struct massager_now, boot_id) == 16, "no padding before boot_id");
_Static_assert(offsetof(struct massager_now, is_leased) == 38, "no padding before is_leased");
_Static_assert(sizeof(struct massager_now) == 44, "no padding behind");

_Static_assert(MASSAGER_REST_S * 1000ul + 999ul <= UINT16_MAX, "the rest fits 16 bits");
_Static_assert(MASSAGER_CEILING_HOLD_MS < UINT16_MAX, "the hold of the ceiling fits 16 bits");

static const uint32_t RUN_MAX_MS = MASSAGER_RUN_MAX_S * 1000ul;
static const uint16_t REST_MS = MASSAGER_REST_S * 1000u;
static const uint16_t SENSED =
    MASSAGER_CAPABILITY_TEMPERATURE | MASSAGER_CAPABILITY_CURRENT | MASSAGER_CAPABILITY_MOTION;

bool has(const struct massager *device, uint16_t capability)
{
    return (device->config->capabilities & capability) != 0u;
}

void note(struct massager *device, uint8_t what)
{
    if (device->io->note != NULL) {
        device->io->note(device->context, what);
    }
}

uint8_t massager_state(const struct massager_now *now)
{
    if (now->latch_id != 0u) {
        return MASSAGER_STATE_LATCHED;
    }
    if (now->fall != 0u) {
        return MASSAGER_STATE_STOPPING;
    }
    if (now->is_resting) {
        return MASSAGER_STATE_RESTING;
    }
    if (now->token == 0u) {
        return MASSAGER_STATE_IDLE;
    }
    return now->is_leased ? MASSAGER_STATE_RUNNING : MASSAGER_STATE_READY;
}

/* The next of 1…65,535. */
static uint16_t next_id(uint16_t id)
{
    return id == UINT16_MAX ? 1u : (uint16_t)(id + 1u);
}

static void add_event(struct massager *device, uint8_t code)
{
    struct massager_event *event;

    if (device->events_count == MASSAGER_EVENT_RING) {
        device->events_first = (uint8_t)((device->events_first + 1u) % MASSAGER_EVENT_RING);
        device->events_count--;
    }
    event = &device->events[(device->events_first + device->events_count) % MASSAGER_EVENT_RING];
    device->events_count++;
    device->now.event_id = next_id(device->now.event_id);
    event->id = device->now.event_id;
    event->token = device->now.token;
    event->code = code;
    event->state = massager_state(&device->now);
    event->uptime_ms = device->now.uptime_ms;
}

/* --- the ends of a session -------------------------------------------------------------------- */

/* Void the token. Whether there was one. */
static bool end_session(struct massager *device, uint8_t reason)
{
    if (device->now.token == 0u) {
        return false;
    }
    device->now.token = 0u;
    device->now.is_leased = 0u;
    device->now.lease_left_ms = 0u;
    device->now.last_end = reason;
    device->reply_size = 0u;
    return true;
}

static void cut(struct massager *device)
{
    if (device->now.output != 0u) {
        device->now.zero_ms = 0u;
    }
    gate_cut(device);
}

static void latch(struct massager *device, uint16_t faults, uint8_t reason)
{
    cut(device);
    (void)end_session(device, reason);
    device->now.faults |= faults;
    if (device->now.latch_id == 0u) {
        device->last_latch = next_id(device->last_latch);
        device->now.latch_id = device->last_latch;
    }
}

/* Something is wrong. What is latched already ends no session, or nobody could ask to clear it. */
static void fault(struct massager *device, uint16_t found)
{
    uint16_t fresh = found & (uint16_t)~device->now.faults;

    cut(device);
    if (fresh == 0u) {
        return;
    }
    latch(device, fresh, MASSAGER_END_REASON_FAULT);
    for (uint8_t bit = 0u; MASSAGER_NOTE_FAULT + bit < MASSAGER_NOTES; bit++) {
        if ((fresh >> bit & 1u) != 0u) {
            note(device, (uint8_t)(MASSAGER_NOTE_FAULT + bit));
        }
    }
    add_event(device, MASSAGER_EVENT_CODE_FAULT);
}

/* --- what is done to it ------------------------------------------------------------------------ */

void massager_boot(struct massager *device, const struct massager_config *config,
                   const struct massager_io *io, void *context, uint16_t boot_id,
                   uint8_t reset_cause)
{
    memset(device, 0, sizeof *device);
    device->config = config;
    device->io = io;
    device->context = context;
    device->now.boot_id = boot_id;
    device->now.reset_cause = reset_cause;
    device->now.feet_on = 1u;
    gate_boot(device);
    note(device, MASSAGER_NOTE_BOOT);
    add_event(device, MASSAGER_EVENT_CODE_BOOT);
    (void)send_events(device);
}

void machine_open_session(struct massager *device, uint32_t nonce, uint8_t sequence)
{
    bool taken_over = end_session(device, MASSAGER_END_REASON_TAKEN_OVER);

    gate_start_over(device, MASSAGER_SOFT_FALL_PERMILLE_S);
    if (taken_over) {
        add_event(device, MASSAGER_EVENT_CODE_TAKEN_OVER);
        note(device, MASSAGER_NOTE_TAKEN_OVER);
    }
    device->tokens = device->tokens == UINT8_MAX ? 1u : (uint8_t)(device->tokens + 1u);
    device->now.token = (uint16_t)((device->now.boot_id & 0xFFu) << 8 | device->tokens);
    device->nonce = nonce;
    device->feet_off_ms = 0u;
    device->last_sequence = sequence;
    device->last_type = MASSAGER_TYPE_HELLO;
    add_event(device, MASSAGER_EVENT_CODE_SESSION_OPENED);
}

void machine_set_level(struct massager *device, uint16_t level, uint16_t lease_ms)
{
    gate_follow(device, level);
    device->now.is_leased = 1u;
    device->now.lease_left_ms = lease_ms;
    if (level == 0u && device->now.feet_on) {
        device->now.feet_blocked = 0u;
    }
}

bool machine_stop(struct massager *device, uint8_t event_code)
{
    bool ended = end_session(device, MASSAGER_END_REASON_STOP);

    gate_fall(device, MASSAGER_SOFT_FALL_PERMILLE_S);
    if (ended) {
        add_event(device, event_code);
    }
    return ended;
}

void machine_emergency_stop(struct massager *device)
{
    bool was_latched = device->now.latch_id != 0u;

    latch(device, MASSAGER_FAULT_EMERGENCY_STOP, MASSAGER_END_REASON_EMERGENCY_STOP);
    if (!was_latched) {
        add_event(device, MASSAGER_EVENT_CODE_EMERGENCY_STOPPED);
    }
}

void machine_clear(struct massager *device)
{
    device->now.latch_id = 0u;
    device->now.faults = 0u;
    add_event(device, MASSAGER_EVENT_CODE_CLEARED);
}

void massager_button(struct massager *device)
{
    if (has(device, MASSAGER_CAPABILITY_BUTTON) &&
        machine_stop(device, MASSAGER_EVENT_CODE_BUTTON)) {
        note(device, MASSAGER_NOTE_BUTTON);
        (void)send_events(device);
    }
}

void massager_feet(struct massager *device, bool are_on)
{
    if (!has(device, MASSAGER_CAPABILITY_FEET_SENSOR) || are_on == (device->now.feet_on != 0u)) {
        return;
    }
    device->now.feet_on = are_on;
    device->feet_off_ms = 0u;
    if (are_on && device->feet_lifted) {
        device->feet_lifted = 0u;
        add_event(device, MASSAGER_EVENT_CODE_FEET_BACK);
        note(device, MASSAGER_NOTE_FEET_BACK);
        (void)send_events(device);
    }
}

void massager_sense(struct massager *device, const struct massager_readings *readings)
{
    device->readings = *readings;
    device->sense_age_ms = 0u;
}

/* --- protection (9.9) -------------------------------------------------------------------------- */

static uint16_t faults_of_readings(const struct massager *device)
{
    const struct massager_config *config = device->config;
    int16_t temperature_dc = device->readings.temperature_dc;
    uint16_t found = 0u;

    if (has(device, MASSAGER_CAPABILITY_TEMPERATURE)) {
        if (temperature_dc < config->sensor_low_dc || temperature_dc > config->sensor_high_dc) {
            found |= MASSAGER_FAULT_SENSOR;
        } else if (temperature_dc >= config->hot_dc) {
            found |= MASSAGER_FAULT_OVER_TEMPERATURE;
        }
    }
    if (has(device, MASSAGER_CAPABILITY_CURRENT) &&
        device->readings.current_ma >= config->over_current_ma) {
        found |= MASSAGER_FAULT_OVER_CURRENT;
    }
    if (has(device, SENSED) && device->sense_age_ms >= MASSAGER_SENSE_MAX_MS) {
        found |= MASSAGER_FAULT_SENSOR;
    }
    return found;
}

static uint16_t faults_of_motion(struct massager *device)
{
    bool is_moving = device->readings.is_moving;

    if (device->now.output != 0u) {
        device->off_ms = 0u;
        device->stuck_ms = 0u;
        device->blocked_ms = is_moving ? 0u : (uint16_t)(device->blocked_ms + 1u);
        return device->blocked_ms >= MASSAGER_STALL_MS ? MASSAGER_FAULT_STALL : 0u;
    }
    device->blocked_ms = 0u;
    if (device->off_ms < device->config->spin_down_ms) {
        device->off_ms++;
        return 0u;
    }
    if (!is_moving) {
        device->stuck_ms = 0u;
    } else if (device->stuck_ms < MASSAGER_STUCK_ON_MS) {
        device->stuck_ms++;
    }
    return device->stuck_ms >= MASSAGER_STUCK_ON_MS ? MASSAGER_FAULT_STUCK_ON : 0u;
}

uint16_t machine_causes(const struct massager *device)
{
    uint16_t found = faults_of_readings(device);

    if (has(device, MASSAGER_CAPABILITY_MOTION) && device->readings.is_moving) {
        found |= MASSAGER_FAULT_STUCK_ON;
    }
    return found & device->now.faults;
}

static void protect(struct massager *device, bool gate_is_sound)
{
    uint16_t found = gate_is_sound ? 0u : MASSAGER_FAULT_INTERNAL;

    if (device->sense_age_ms < MASSAGER_SENSE_MAX_MS) {
        device->sense_age_ms++;
    }
    found |= faults_of_readings(device);
    if (has(device, MASSAGER_CAPABILITY_MOTION)) {
        found |= faults_of_motion(device);
    }
    if (found != 0u) {
        fault(device, found);
    }
}

/* --- the passing of time ------------------------------------------------------------------------ */

static void count_run(struct massager_now *now, bool was_on)
{
    if (now->output != 0u) {
        now->run_ms++;
        now->zero_ms = 0u;
    } else if (was_on) {
        now->zero_ms = 0u;
    } else if (now->zero_ms < REST_MS) {
        now->zero_ms++;
    }
}

static void expire_lease(struct massager *device)
{
    if (!device->now.is_leased) {
        return;
    }
    device->now.lease_left_ms--;
    if (device->now.lease_left_ms != 0u) {
        return;
    }
    (void)end_session(device, MASSAGER_END_REASON_LEASE_EXPIRED);
    gate_fall(device, MASSAGER_LEASE_FALL_PERMILLE_S);
    add_event(device, MASSAGER_EVENT_CODE_LEASE_EXPIRED);
    note(device, MASSAGER_NOTE_LEASE_EXPIRED);
}

static void expire_run(struct massager *device)
{
    if (device->now.run_ms < RUN_MAX_MS || device->now.is_resting) {
        return;
    }
    device->now.is_resting = 1u;
    (void)end_session(device, MASSAGER_END_REASON_RUN_LIMIT);
    gate_fall(device, MASSAGER_SOFT_FALL_PERMILLE_S);
    add_event(device, MASSAGER_EVENT_CODE_RUN_LIMIT);
    note(device, MASSAGER_NOTE_RUN_LIMIT);
}

static void expire_rest(struct massager *device)
{
    if (device->now.zero_ms < REST_MS) {
        return;
    }
    device->now.run_ms = 0u;
    if (device->now.is_resting) {
        device->now.is_resting = 0u;
        add_event(device, MASSAGER_EVENT_CODE_REST_OVER);
        note(device, MASSAGER_NOTE_REST_OVER);
    }
}

static void expire_feet(struct massager *device)
{
    if (device->now.token == 0u || device->now.feet_on || device->feet_lifted) {
        return;
    }
    device->feet_off_ms++;
    if (device->feet_off_ms < MASSAGER_FEET_OFF_MS) {
        return;
    }
    device->feet_lifted = 1u;
    device->now.feet_blocked = 1u;
    gate_fall(device, MASSAGER_SOFT_FALL_PERMILLE_S);
    add_event(device, MASSAGER_EVENT_CODE_FEET_LIFTED);
    note(device, MASSAGER_NOTE_FEET_LIFTED);
}

void massager_step(struct massager *device)
{
    bool was_on = device->now.output != 0u;
    bool gate_is_sound;

    device->now.uptime_ms++;
    gate_is_sound = gate_step(device);
    count_run(&device->now, was_on);
    protect(device, gate_is_sound);
    expire_lease(device);
    expire_run(device);
    expire_rest(device);
    expire_feet(device);
    note(device, MASSAGER_NOTE_STEP);
    (void)send_events(device);
}
