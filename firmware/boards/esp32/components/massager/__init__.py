"""The foot massager as a component of ESPHome: its YAML, checked, and the C++ that it becomes.

The core is not copied into this folder: `_add_core` puts its files beside ESPHome's own sources
when the code is generated, so the whole repository must be there, as it is where
`external_components` names a checkout or the Git repository.
"""

import re
from pathlib import Path

import esphome.codegen as cg
import esphome.config_validation as cv
import esphome.final_validate as fv
from esphome import pins
from esphome.components import esp32
from esphome.components.adc import ESP32_VARIANT_ADC1_PIN_TO_CHANNEL
from esphome.components.esp32.const import VARIANT_ESP32, VARIANT_ESP32C3, VARIANT_ESP32S3
from esphome.const import CONF_ID
from esphome.core import CORE

DEPENDENCIES = ["esp32", "network"]
CONFLICTS_WITH = ["deep_sleep"]  # asleep, the core's task would not run

CORE_FOLDER = Path(__file__).resolve().parents[4] / "core"
CORE_TARGET = "src/massager_core"

CONF_B_CONSTANT = "b_constant"
CONF_BROKER = "broker"
CONF_BUTTON = "button"
CONF_CA_CERTIFICATE = "ca_certificate"
CONF_CURRENT = "current"
CONF_DEVICE_ID = "device_id"
CONF_FEET = "feet"
CONF_FREQUENCY = "frequency"
CONF_GENTLEST = "gentlest_permille"
CONF_HIGH = "sensor_high"
CONF_HOT = "hot"
CONF_KEEPALIVE = "keepalive"
CONF_LIMIT = "limit"
CONF_LOW = "sensor_low"
CONF_MAX = "max_permille"
CONF_MILLIVOLTS_PER_AMPERE = "millivolts_per_ampere"
CONF_MODEL = "model"
CONF_MOTION = "motion"
CONF_MOTOR = "motor"
CONF_PASSWORD = "password"
CONF_PIN = "pin"
CONF_PORT = "port"
CONF_SERIES = "series_resistance"
CONF_SPIN_DOWN = "spin_down"
CONF_TEMPERATURE = "temperature"
CONF_USERNAME = "username"

PORT_PLAIN = 1883
PORT_TLS = 8883

# Strapping pins decide how the chip starts, and some are pulled up; the others here carry a signal
# or a pull-up from reset on. Any of them could turn the motor before the program runs.
NOT_FOR_THE_MOTOR = {
    VARIANT_ESP32: {0, 1, 2, 3, 5, 12, 14, 15},
    VARIANT_ESP32C3: {2, 8, 9, 18, 19, 20, 21},
    VARIANT_ESP32S3: {0, 3, 19, 20, 39, 40, 41, 42, 43, 44, 45, 46},
}
VARIANTS = list(NOT_FOR_THE_MOTOR)

foot_massager_ns = cg.esphome_ns.namespace("foot_massager")
MassagerComponent = foot_massager_ns.class_("MassagerComponent", cg.Component)


def needed(key, name, way_out):
    """A required key whose message says what to put there."""
    return cv.Required(key, msg=f"{name} is missing: {way_out}")


def whole(name, low, high, unit, way_out):
    """A validator of whole numbers whose message names the key, the range and the way out."""

    def check(value):
        try:
            number = cv.int_(value)
        except cv.Invalid:
            number = None
        if number is None or not low <= number <= high:
            raise cv.Invalid(f"{name} is {value}, but must be {low}…{high}{unit}: {way_out}")
        return number

    return check


def measured(name, validator, low, high, unit, way_out):
    """The same for a quantity with a unit, such as 70°C or 1.8A; low, high in `unit`."""

    def check(value):
        try:
            number = validator(value)
        except cv.Invalid:
            number = None
        if number is None or not low <= number <= high:
            raise cv.Invalid(
                f"{name} is {value}, but must be {low:g}…{high:g} {unit}, written with its unit: "
                f"{way_out}"
            )
        return number

    return check


def chip_and_framework(config):
    """Before everything else, since the checks of pins ask for the variant."""
    if not CORE.is_esp32 or esp32.get_esp32_variant() not in VARIANTS:
        raise cv.Invalid(
            "massager is made for ESP32, ESP32-C3 and ESP32-S3: set esp32: variant to the one of "
            "them that is on your board"
        )
    if CORE.target_framework != "esp-idf":
        raise cv.Invalid("massager is made for ESP-IDF: set esp32: framework: type to esp-idf")
    return config


def device_id(value):
    """1…8 characters that a device id may have (SPEC 4.6)."""
    text = cv.string_strict(value)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,8}", text):
        raise cv.Invalid(
            f"device_id is {text!r}, but must have 1…8 characters out of A–Z, a–z, 0–9, _ and -: "
            "choose a short name that no other massager of the house has, such as foot-001"
        )
    return text


def motor_pin(value):
    """An output that nothing drives or pulls up before the program runs."""
    pin = pins.internal_gpio_output_pin_number(value)
    if pin in NOT_FOR_THE_MOTOR[esp32.get_esp32_variant()]:
        raise cv.Invalid(
            f"motor: pin GPIO{pin} is driven or pulled while the chip starts, and could turn the "
            "motor before the program runs: choose one that is not, such as GPIO25 (ESP32), GPIO10 "
            "(ESP32-C3) or GPIO4 (ESP32-S3)"
        )
    return pin


def converter_pin(name):
    """A pin of the first converter; Wi-Fi takes the second."""

    def check(value):
        pin = pins.internal_gpio_input_pin_number(value)
        allowed = sorted(ESP32_VARIANT_ADC1_PIN_TO_CHANNEL[esp32.get_esp32_variant()])
        if pin not in allowed:
            listed = ", ".join(f"GPIO{number}" for number in allowed)
            raise cv.Invalid(
                f"{name}: pin GPIO{pin} is no input of converter 1, the only one that works beside "
                f"Wi-Fi: choose one of {listed}"
            )
        return pin

    return check


def levels_in_order(config):
    """The gentlest level is below the highest."""
    gentlest, highest = config[CONF_GENTLEST], config[CONF_MAX]
    if gentlest >= highest:
        raise cv.Invalid(
            f"motor: gentlest_permille is {gentlest}, but must be below max_permille, {highest}: "
            "lower the one or raise the other",
            [CONF_GENTLEST],
        )
    return config


def limits_in_order(config):
    """sensor_low < hot < sensor_high, else one of the faults could never be told."""
    low, hot, high = config[CONF_LOW], config[CONF_HOT], config[CONF_HIGH]
    if not low < hot < high:
        raise cv.Invalid(
            f"temperature: hot is {hot:g} °C, but must be between sensor_low, {low:g} °C, and "
            f"sensor_high, {high:g} °C: move one of the three",
            [CONF_HOT],
        )
    return config


def password_with_user(config):
    """MQTT 3.1.1 has no password without a user name."""
    if CONF_PASSWORD in config and CONF_USERNAME not in config:
        raise cv.Invalid(
            "mqtt: password is set, but username is not: add username, or leave both out",
            [CONF_PASSWORD],
        )
    return config


MOTOR_SCHEMA = cv.All(
    cv.Schema(
        {
            needed(
                CONF_PIN, "motor: pin", "the GPIO that drives the motor, such as GPIO25"
            ): motor_pin,
            cv.Optional(CONF_FREQUENCY, default="25kHz"): measured(
                "motor: frequency",
                cv.frequency,
                20000,
                31250,
                "Hz",
                "below it the motor sings, above it the driver gets hot",
            ),
            needed(CONF_GENTLEST, "motor: gentlest_permille", "1…999 ‰, found by trying"): whole(
                "motor: gentlest_permille",
                1,
                999,
                " ‰",
                "the lowest level that surely turns the motor, found by trying",
            ),
            cv.Optional(CONF_MAX, default=1000): whole(
                "motor: max_permille", 2, 1000, " ‰", "1000 is the whole supply voltage"
            ),
            cv.Optional(CONF_SPIN_DOWN, default="500ms"): cv.All(
                cv.positive_time_period_milliseconds,
                cv.Range(
                    max=cv.TimePeriod(milliseconds=500),
                    msg="motor: spin_down must be 0…500 ms: a motor that turns on for longer "
                    "counts as stuck on",
                ),
            ),
        }
    ),
    levels_in_order,
)

MQTT_SCHEMA = cv.All(
    cv.Schema(
        {
            needed(CONF_BROKER, "mqtt: broker", "the name or address of the broker"): cv.All(
                cv.string_strict, cv.Length(min=1)
            ),
            cv.Optional(CONF_PORT): whole(
                "mqtt: port", 1, 65535, "", "1883 is usual, and 8883 with ca_certificate"
            ),
            cv.Optional(CONF_USERNAME): cv.string_strict,
            cv.Optional(CONF_PASSWORD): cv.string_strict,
            cv.Optional(CONF_CA_CERTIFICATE): cv.string_strict,
            cv.Optional(CONF_KEEPALIVE, default="15s"): cv.All(
                cv.positive_time_period_seconds,
                cv.Range(
                    min=cv.TimePeriod(seconds=5),
                    max=cv.TimePeriod(seconds=300),
                    msg="mqtt: keepalive must be 5…300 s: it only finds dead connections; the "
                    "lease stops the motor long before",
                ),
            ),
        }
    ),
    password_with_user,
)

SWITCH_SCHEMA = cv.Schema(
    {
        needed(
            CONF_PIN, "pin", "the GPIO of this input, such as GPIO26"
        ): pins.internal_gpio_input_pullup_pin_number
    }
)

TEMPERATURE_SCHEMA = cv.All(
    cv.Schema(
        {
            needed(
                CONF_PIN, "temperature: pin", "a converter's input, such as GPIO34"
            ): converter_pin("temperature"),
            cv.Optional(CONF_SERIES, default="10kOhm"): measured(
                "temperature: series_resistance",
                cv.resistance,
                1000,
                100000,
                "Ω",
                "the fixed resistor from the pin to 3.3 V",
            ),
            cv.Optional(CONF_B_CONSTANT, default=3950): whole(
                "temperature: b_constant", 2000, 5000, " K", "it is in the thermistor's data sheet"
            ),
            cv.Optional(CONF_HOT, default="70°C"): measured(
                "temperature: hot",
                cv.temperature,
                30,
                110,
                "°C",
                "what the motor's maker allows; at it, the motor is cut off",
            ),
            cv.Optional(CONF_LOW, default="-20°C"): measured(
                "temperature: sensor_low",
                cv.temperature,
                -39,
                20,
                "°C",
                "below it, the sensor counts as broken",
            ),
            cv.Optional(CONF_HIGH, default="120°C"): measured(
                "temperature: sensor_high",
                cv.temperature,
                40,
                199,
                "°C",
                "above it, the sensor counts as broken",
            ),
        }
    ),
    limits_in_order,
)

CURRENT_SCHEMA = cv.Schema(
    {
        needed(CONF_PIN, "current: pin", "a converter's input, such as GPIO35"): converter_pin(
            "current"
        ),
        needed(CONF_LIMIT, "current: limit", "in A, such as 1.8A"): measured(
            "current: limit",
            cv.current,
            0.05,
            60,
            "A",
            "what the motor never draws for 50 ms while it is healthy, starting included",
        ),
        cv.Optional(CONF_MILLIVOLTS_PER_AMPERE, default=1000): whole(
            "current: millivolts_per_ampere",
            10,
            10000,
            " mV",
            "the shunt in mΩ times the amplifier's gain: 50 mΩ × 20 = 1000",
        ),
    }
)


def limit_can_be_read(config):
    """The voltage at the current limit must be one that the converter can read."""
    if CONF_CURRENT not in config:
        return config
    current = config[CONF_CURRENT]
    millivolts = round(current[CONF_LIMIT] * current[CONF_MILLIVOLTS_PER_AMPERE])
    if not 150 <= millivolts <= 2400:
        raise cv.Invalid(
            f"current: limit gives {millivolts} mV at the pin, but must give 150…2400 mV, which "
            "every chip can read: choose another shunt or amplifier, and set millivolts_per_ampere "
            "to it",
            [CONF_CURRENT, CONF_LIMIT],
        )
    return config


CONFIG_SCHEMA = cv.All(
    chip_and_framework,
    cv.Schema(
        {
            cv.GenerateID(): cv.declare_id(MassagerComponent),
            needed(CONF_DEVICE_ID, "device_id", "1…8 characters, such as foot-001"): device_id,
            cv.Optional(CONF_MODEL, default=1): whole(
                "model", 0, 65535, "", "any number of yours for this kind of device"
            ),
            needed(CONF_MOTOR, "motor", "its pin and its gentlest_permille"): MOTOR_SCHEMA,
            needed("mqtt", "mqtt", "its broker, and what the broker asks for"): MQTT_SCHEMA,
            cv.Optional(CONF_FEET): SWITCH_SCHEMA,
            cv.Optional(CONF_BUTTON): SWITCH_SCHEMA,
            cv.Optional(CONF_MOTION): SWITCH_SCHEMA,
            cv.Optional(CONF_TEMPERATURE): TEMPERATURE_SCHEMA,
            cv.Optional(CONF_CURRENT): CURRENT_SCHEMA,
        }
    ).extend(cv.COMPONENT_SCHEMA),
    limit_can_be_read,
)


def _uses(full, domain, platform):
    return any(entry.get("platform") == platform for entry in full.get(domain, []))


def fits_the_rest(config):
    """What else is in the YAML must leave the timer, the converter and the radio to this device."""
    full = fv.full_config.get()
    if _uses(full, "output", "ledc"):
        raise cv.Invalid(
            "output: platform ledc resets the timers that turn the motor: take it out of this "
            "device"
        )
    if (CONF_TEMPERATURE in config or CONF_CURRENT in config) and _uses(full, "sensor", "adc"):
        raise cv.Invalid(
            "sensor: platform adc takes the converter that temperature and current need: take the "
            "sensor out, or temperature and current"
        )
    wifi = full.get("wifi")
    if wifi is not None and str(wifi.get("power_save_mode", "LIGHT")).upper() != "NONE":
        raise cv.Invalid(
            "wifi: power_save_mode must be none: while the radio sleeps, a stop waits for it, and "
            "answers come later than the 50 ms that hosts may rely on"
        )
    return config


FINAL_VALIDATE_SCHEMA = fits_the_rest


def _add_core():
    """The core's files into `src/massager_core`: ESPHome builds whatever lies in `src`."""
    files = {path.name: path for path in CORE_FOLDER.iterdir() if path.suffix in {".c", ".h"}}
    for name, path in sorted(files.items()):
        esp32.add_extra_build_file(f"{CORE_TARGET}/{name}", path)
    for old in CORE.relative_build_path(CORE_TARGET).glob("*"):
        if old.name not in files:  # the core had it when this build was made before
            old.unlink()


async def to_code(config):
    """The setters of MassagerComponent, the core's files and what ESP-IDF needs to be told."""
    _add_core()
    esp32.include_builtin_idf_component("mqtt")
    esp32.include_builtin_idf_component("esp_adc")
    # A panic that first writes to the console would leave the motor's timer running for seconds.
    esp32.add_idf_sdkconfig_option("CONFIG_ESP_SYSTEM_PANIC_SILENT_REBOOT", True)

    var = cg.new_Pvariable(config[CONF_ID])
    await cg.register_component(var, config)
    cg.add(var.set_device_id(config[CONF_DEVICE_ID]))
    cg.add(var.set_model(config[CONF_MODEL]))
    motor = config[CONF_MOTOR]
    cg.add(var.set_levels(motor[CONF_GENTLEST], motor[CONF_MAX]))
    cg.add(
        var.set_motor_pin(
            motor[CONF_PIN],
            round(motor[CONF_FREQUENCY]),
            motor[CONF_SPIN_DOWN].total_milliseconds,
        )
    )
    _add_broker(var, config["mqtt"])
    _add_inputs(var, config)
    if "ota" in CORE.config:
        from esphome.components import ota

        ota.request_ota_state_listeners()


def _add_broker(var, mqtt):
    tls = CONF_CA_CERTIFICATE in mqtt
    port = mqtt.get(CONF_PORT, PORT_TLS if tls else PORT_PLAIN)
    cg.add(var.set_broker(mqtt[CONF_BROKER], port))
    cg.add(var.set_keepalive(mqtt[CONF_KEEPALIVE].total_seconds))
    if CONF_USERNAME in mqtt:
        password = mqtt.get(CONF_PASSWORD, "")
        cg.add(var.set_login(mqtt[CONF_USERNAME], password))
    if tls:
        cg.add(var.set_ca_certificate(mqtt[CONF_CA_CERTIFICATE]))


def _add_inputs(var, config):
    if CONF_FEET in config:
        cg.add(var.set_feet(config[CONF_FEET][CONF_PIN]))
    if CONF_BUTTON in config:
        cg.add(var.set_button(config[CONF_BUTTON][CONF_PIN]))
    if CONF_MOTION in config:
        cg.add(var.set_motion(config[CONF_MOTION][CONF_PIN]))
    if CONF_TEMPERATURE in config:
        sensor = config[CONF_TEMPERATURE]
        cg.add(
            var.set_temperature(
                sensor[CONF_PIN], round(sensor[CONF_SERIES]), sensor[CONF_B_CONSTANT]
            )
        )
        limits = (round(sensor[key] * 10) for key in (CONF_HOT, CONF_LOW, CONF_HIGH))
        cg.add(var.set_temperature_limits(*limits))
    if CONF_CURRENT in config:
        sensor = config[CONF_CURRENT]
        cg.add(
            var.set_current(
                sensor[CONF_PIN],
                round(sensor[CONF_LIMIT] * 1000),
                sensor[CONF_MILLIVOLTS_PER_AMPERE],
            )
        )
