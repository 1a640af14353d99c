/* The device on an ATmega328P at 16 MHz: Arduino Nano or Uno. What it is for is in ../../core/massager.h,
 * how it is wired in docs/HARDWARE.md, what a maker sets in config.h. */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <stddef.h>

#include "boot_id.h"
#include "clock.h"
#include "config.h"
#include "inputs.h"
#include "massager.h"
#include "motor.h"
#include "reset.h"
#include "sensors.h"
#include "uart.h"
#include "watchdog.h"

_Static_assert(F_CPU == 16000000ul, "the timers and the line are set for 16 MHz");
_Static_assert(sizeof(DEVICE_ID) >= 2 && sizeof(DEVICE_ID) <= 9, "DEVICE_ID: 1…8 characters");
_Static_assert(MODEL >= 0 && MODEL <= 65535, "MODEL: 0…65535");
_Static_assert(GENTLEST_PERMILLE >= 1 && GENTLEST_PERMILLE < MAX_PERMILLE, "GENTLEST_PERMILLE");
_Static_assert(MAX_PERMILLE <= 1000, "MAX_PERMILLE: at most 1000");
_Static_assert(SPIN_DOWN_MS >= 0 && SPIN_DOWN_MS <= 500, "SPIN_DOWN_MS: 0…500");
_Static_assert(SENSOR_LOW_DC >= -250 && SENSOR_HIGH_DC <= 1250, "what thermistor.c can tell");
_Static_assert(SENSOR_LOW_DC < HOT_DC && HOT_DC <= SENSOR_HIGH_DC, "HOT_DC");
_Static_assert(OVER_CURRENT_MA >= 1 && OVER_CURRENT_MA < CURRENT_FULL_SCALE_MA, "OVER_CURRENT_MA");

enum {
    /* So many milliseconds behind is no delay any more but a fault: better a reset than making up
     * for them with the motor. The longest honest pass of the loop is some 5. */
    MOST_BEHIND_MS = 100,
};

/* Not static: the emulator and the debugger find the device by its name. */
struct massager device;

static const struct massager_config config = {
    .device_id = DEVICE_ID,
    .model = MODEL,
    .gentlest_permille = GENTLEST_PERMILLE,
    .max_permille = MAX_PERMILLE,
    .steps = STEPS,
    .capabilities = (HAS_FEET_SENSOR ? MASSAGER_CAPABILITY_FEET_SENSOR : 0u)
        | (HAS_TEMPERATURE ? MASSAGER_CAPABILITY_TEMPERATURE : 0u)
        | (HAS_CURRENT ? MASSAGER_CAPABILITY_CURRENT : 0u)
        | (HAS_MOTION ? MASSAGER_CAPABILITY_MOTION : 0u)
        | (HAS_BUTTON ? MASSAGER_CAPABILITY_BUTTON : 0u),
    .hot_dc = HOT_DC,
    .sensor_low_dc = SENSOR_LOW_DC,
    .sensor_high_dc = SENSOR_HIGH_DC,
    .over_current_ma = OVER_CURRENT_MA,
    .spin_down_ms = SPIN_DOWN_MS,
};

static void drive(void *context, uint16_t permille)
{
    (void)context;
    motor_drive(permille);
}

static bool send(void *context, const uint8_t *frame, uint8_t size)
{
    (void)context;
    return uart_send_frame(frame, size);
}

/* Into a register that nothing else uses: one instruction, and an emulator sees each note. */
static void note(void *context, uint8_t what)
{
    (void)context;
    GPIOR0 = what;
}

static const struct massager_io io = {.drive = drive, .send = send, .note = note};

static void sense(void)
{
    struct massager_readings readings = {
        .temperature_dc = sensors_temperature_dc(),
        .current_ma = sensors_current_ma(),
        .is_moving = inputs_are_moving(),
    };
    massager_sense(&device, &readings);
}

static void start(void)
{
    motor_start();
    watchdog_start();
    inputs_start();
    uint16_t boot_id = boot_id_next();
    sensors_start();
    uart_start();
    massager_boot(&device, &config, &io, NULL, boot_id, reset_cause());
    sense();
    clock_start();
    sei();
}

static void read_inputs(void)
{
    struct inputs inputs = inputs_read();
    massager_feet(&device, inputs.feet_are_on);
    if (HAS_BUTTON && inputs.is_pressed) { /* in each pass: while it is held nobody can start */
        massager_button(&device);
    }
}

static void run_due(void)
{
    if (clock_due() > MOST_BEHIND_MS) {
        watchdog_bite();
    }
    while (clock_due() > 0) {
        clock_take();
        inputs_step();
        if (sensors_step()) {
            sense();
        }
        massager_step(&device);
        if (device.now.output == 0) {
            motor_off(); /* again and again: a disturbed register does not turn the motor for long */
        }
    }
}

static void read_line(void)
{
    for (uint8_t left = uart_received(); left > 0; left--) { /* later ones wait for their turn */
        massager_receive(&device, uart_take());
    }
}

/* Until the next interrupt. The last look and the sleep are one: interrupts are let in by the
 * instruction before `sleep`, which the chip runs together with it, so none slips in between. */
static void sleep_if_idle(void)
{
    cli();
    if (clock_due() == 0 && uart_received() == 0 && !inputs_have_changed()) {
        SMCR = SLEEP_MODE_IDLE | _BV(SE);
        sei();
        sleep_cpu();
        SMCR = 0;
    }
    sei();
}

int main(void)
{
    start();
    uint8_t fed_at = 0;
    for (;;) {
        read_inputs(); /* first, so that no step moves the motor under a button that is held */
        run_due();     /* what is due by itself comes before a command (8.7) */
        read_line();
        /* The line was served; that the gate has stepped, the device's own time tells (9.15). */
        uint8_t stepped_to = (uint8_t)device.now.uptime_ms;
        if (stepped_to != fed_at) {
            fed_at = stepped_to;
            watchdog_feed();
        }
        sleep_if_idle();
    }
}
