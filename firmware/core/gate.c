/* The motor gate: section 8 of SPEC.md, one millisecond at a time, in integers of 1/1000 ‰.
 *
 * A rate in ‰/s is the same number in 1/1000 ‰ per step. `drive` is called here and nowhere else.
 */
#include "core.h"

/* Where the gate stood before a step. */
struct motion {
    uint32_t output;
    uint32_t ceiling;
    uint16_t fall;
};

static uint32_t exact(uint16_t permille)
{
    return permille * 1000ul;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

uint16_t whole_permille(uint32_t level)
{
    return (uint16_t)(level / 1000u);
}

/* The one assignment of the motor's output. */
static void set_output(struct massager *device, uint32_t output)
{
    uint16_t before;
    uint16_t after;

    if (output == device->now.output && output != 0u) {
        return; /* the usual case, and a division is long on a small chip */
    }
    before = whole_permille(device->now.output);
    after = whole_permille(output);
    device->now.output = output;
    if (output == 0u) {
        device->now.ceiling = exact(device->config->gentlest_permille);
        device->now.below_ms = 0u;
        device->now.fall = 0u;
    }
    if (after != before || after == 0u) {
        device->io->drive(device->context, after);
    }
}

void gate_boot(struct massager *device)
{
    set_output(device, 0u);
}

void gate_follow(struct massager *device, uint16_t setpoint)
{
    if (device->now.fall == 0u) {
        device->now.setpoint = setpoint;
    }
}

void gate_fall(struct massager *device, uint16_t rate)
{
    device->now.setpoint = 0u;
    if (device->now.output != 0u && rate > device->now.fall) {
        device->now.fall = rate;
    }
}

void gate_start_over(struct massager *device, uint16_t rate)
{
    gate_fall(device, rate);
    device->now.ceiling = exact(device->config->gentlest_permille);
    device->now.below_ms = 0u;
}

void gate_cut(struct massager *device)
{
    device->now.setpoint = 0u;
    set_output(device, 0u);
}

/* The highest level that is earned: it rises with the target and is kept for a while below it. */
static void step_ceiling(struct massager_now *now, uint32_t target, uint32_t gentlest)
{
    if (now->output == 0u) {
        now->ceiling = gentlest;
        now->below_ms = 0u;
    } else if (target >= now->ceiling) {
        now->ceiling = smaller(target, now->ceiling + MASSAGER_CEILING_RISE_PERMILLE_S);
        now->below_ms = 0u;
    } else if (now->below_ms < MASSAGER_CEILING_HOLD_MS) {
        now->below_ms++;
    } else {
        now->below_ms = MASSAGER_CEILING_HOLD_MS + 1u;
        now->ceiling -= smaller(now->ceiling, MASSAGER_CEILING_SINK_PERMILLE_S);
        now->ceiling = larger(now->ceiling, larger(target, gentlest));
    }
}

static uint32_t next_output(const struct massager_now *now, uint32_t target, uint32_t gentlest)
{
    uint32_t allowed = smaller(target, now->ceiling);

    if (now->fall != 0u) {
        return now->output >= gentlest + now->fall ? now->output - now->fall : 0u;
    }
    if (now->output == 0u && allowed != 0u) {
        return gentlest;
    }
    return smaller(allowed, now->output + MASSAGER_GATE_RISE_PERMILLE_S);
}

/* The invariants, switched on for good: neither this file nor the memory is trusted. What is left
 * to trust is that the session is one, and that what was earned is below the setpoint. */
static bool keeps_the_rules(const struct massager *device, const struct motion *before)
{
    const struct massager_now *now = &device->now;
    uint32_t gentlest = exact(device->config->gentlest_permille);

    if (now->output == 0u) {
        return true;
    }
    if (now->output < gentlest || now->output > exact(device->config->max_permille)) {
        return false;
    }
    if (before->fall != 0u) {
        return now->output + MASSAGER_SOFT_FALL_PERMILLE_S <= before->output;
    }
    if (now->token == 0u || now->output > now->ceiling) {
        return false;
    }
    if (now->is_leased == 0u || now->lease_left_ms == 0u ||
        now->lease_left_ms > MASSAGER_LEASE_MAX_MS) {
        return false; /* a lease that is lost or has no end is one that never stops (7.2) */
    }
    if (before->output == 0u) {
        return now->output == gentlest;
    }
    return now->output <= before->output + MASSAGER_GATE_RISE_PERMILLE_S &&
           now->ceiling <= before->ceiling + MASSAGER_CEILING_RISE_PERMILLE_S;
}

bool gate_step(struct massager *device)
{
    struct massager_now *now = &device->now;
    uint32_t gentlest = exact(device->config->gentlest_permille);
    uint32_t target = exact(now->setpoint) >= gentlest ? exact(now->setpoint) : 0u;
    const struct motion before = {now->output, now->ceiling, now->fall};

    if (now->output == 0u && target == 0u) {
        return true;
    }
    step_ceiling(now, target, gentlest);
    set_output(device, next_output(now, target, gentlest));
    return keeps_the_rules(device, &before);
}
