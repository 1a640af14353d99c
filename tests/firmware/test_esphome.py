"""The ESPHome component as ESPHome itself sees it: its YAML is checked, and C++ comes out of it.

Nothing is compiled for the chip here: its compiler is not in the package index. The first run
fetches ESPHome into `firmware/build/esphome-venv`; after that a check takes a third of a second.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from simulator.firmware.build import FIRMWARE, esphome

pytestmark = [
    pytest.mark.needs("esphome"),
    pytest.mark.timeout(600),  # the first of them fetches ESPHome
]

BOARD = FIRMWARE / "boards" / "esp32"
EXAMPLE = (BOARD / "example.yaml").read_text(encoding="utf-8")
SECRETS = (BOARD / "secrets.example.yaml").read_text(encoding="utf-8")
INPUTS = EXAMPLE[EXAMPLE.index("  # Each input") :]
RUNNER = Path(__file__).parent / "esp32" / "run_esphome.py"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Outcome(NamedTuple):
    """How one run of `esphome` ended."""

    code: int
    output: str  # standard output and error, without colours

    @property
    def one_line(self) -> str:
        return " ".join(self.output.split())


def write(folder: Path, yaml: str) -> str:
    """The name of a file with this YAML, with the secrets beside it."""
    folder.mkdir(exist_ok=True)
    (folder / "secrets.yaml").write_text(SECRETS, encoding="utf-8")
    file = folder / "massager.yaml"
    file.write_text(
        yaml.replace("path: components", f"path: {BOARD / 'components'}"), encoding="utf-8"
    )
    return str(file)


def output_of(*command: str, errors: int = subprocess.STDOUT) -> tuple[int, str]:
    """Exit code and output of a command."""
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        check=False,
    )
    return done.returncode, COLOUR.sub("", done.stdout)


def run(folder: Path, yaml: str, *command: str) -> Outcome:
    """`esphome COMMAND` on this YAML."""
    return Outcome(*output_of(str(esphome()), *command, write(folder, yaml)))


def changed(*replacements: tuple[str, str]) -> str:
    """The example with each of these texts, which it must have once, replaced."""
    yaml = EXAMPLE
    for old, new in replacements:
        assert yaml.count(old) == 1, old
        yaml = yaml.replace(old, new)
    return yaml


def generated(folder: Path, yaml: str) -> Path:
    """The build tree that ESPHome makes of this YAML."""
    outcome = run(folder, yaml, "compile", "--only-generate")
    assert outcome.code == 0, outcome.output
    return folder / ".esphome" / "build" / "foot-massager"


def setters(tree: Path) -> list[str]:
    """The calls on the component in the generated `main.cpp`, in order."""
    text = (tree / "src" / "main.cpp").read_text(encoding="utf-8")
    return re.findall(r"^  foot_massager_massagercomponent_id->(set_.*);$", text, re.MULTILINE)


def test_the_example_is_valid(tmp_path: Path) -> None:
    outcome = run(tmp_path, EXAMPLE, "config")
    assert outcome.code == 0, outcome.output
    assert "Configuration is valid" in outcome.output


def test_the_example_holds_no_secret_and_the_example_of_the_secrets_holds_all_of_them() -> None:
    used = set(re.findall(r"!secret (\w+)", EXAMPLE))
    assert used == set(re.findall(r"^(\w+):", SECRETS, re.MULTILINE))
    for key in ("ssid", "password", "broker", "username", "ca_certificate"):
        assert re.findall(rf"^ +{key}: (\S+)", EXAMPLE, re.MULTILINE) != []
        assert set(re.findall(rf"^ +{key}: (\S+)", EXAMPLE, re.MULTILINE)) == {"!secret"}


def test_the_example_becomes_the_calls_that_set_up_the_device(tmp_path: Path) -> None:
    calls = setters(generated(tmp_path, EXAMPLE))
    certificate = next(call for call in calls if call.startswith("set_ca_certificate"))
    assert "BEGIN CERTIFICATE" in certificate
    calls.remove(certificate)
    assert calls == [
        'set_device_id("foot-001")',
        "set_model(1)",
        "set_levels(150, 1000)",
        "set_motor_pin(25, 25000, 500)",
        'set_broker("broker.example", 8883)',
        "set_keepalive(15)",
        'set_login("device-foot-001", "and another one")',
        "set_feet(26)",
        "set_button(27)",
        "set_motion(33)",
        "set_temperature(34, 10000, 3950)",
        "set_temperature_limits(700, -200, 1200)",
        "set_current(35, 1800, 1000)",
    ]


def test_without_inputs_tls_and_password_nothing_of_them_is_set_up(tmp_path: Path) -> None:
    yaml = re.sub(r"    (username|password|ca_certificate): !secret mqtt.*\n", "", EXAMPLE)
    calls = setters(generated(tmp_path, yaml.replace(INPUTS, "")))
    assert calls == [
        'set_device_id("foot-001")',
        "set_model(1)",
        "set_levels(150, 1000)",
        "set_motor_pin(25, 25000, 500)",
        'set_broker("broker.example", 1883)',
        "set_keepalive(15)",
    ]


def test_the_build_holds_every_file_of_the_core_and_of_the_component_unchanged(
    tmp_path: Path,
) -> None:
    source = generated(tmp_path, EXAMPLE) / "src"
    for folder, built in (
        (FIRMWARE / "core", source / "massager_core"),
        (BOARD / "components" / "massager", source / "esphome" / "components" / "massager"),
    ):
        expected = {
            path.name: path.read_bytes()
            for path in folder.iterdir()
            if path.suffix in {".c", ".cpp", ".h"}
        }
        assert {path.name: path.read_bytes() for path in built.iterdir()} == expected
        assert len(expected) >= 6


def test_a_file_that_the_core_has_no_more_leaves_the_build(tmp_path: Path) -> None:
    core = generated(tmp_path, EXAMPLE) / "src" / "massager_core"
    (core / "gone.c").write_text("#error stale\n", encoding="utf-8")
    generated(tmp_path, EXAMPLE)
    assert not (core / "gone.c").exists()
    assert (core / "massager.h").exists()


def test_esp_idf_is_told_what_the_device_needs(tmp_path: Path) -> None:
    tree = generated(tmp_path, EXAMPLE)
    settings = (tree / "sdkconfig.foot-massager").read_text(encoding="utf-8")
    assert "CONFIG_ESP_SYSTEM_PANIC_SILENT_REBOOT=y" in settings
    assert "CONFIG_FREERTOS_HZ=1000" in settings
    project = (tree / "platformio.ini").read_text(encoding="utf-8")
    (excluded,) = re.findall(r"-DEXCLUDE_COMPONENTS=(\S+)", project)
    assert not {"mqtt", "esp_adc", "esp_driver_ledc"} & set(excluded.split(";"))
    defines = (tree / "src" / "esphome" / "core" / "defines.h").read_text(encoding="utf-8")
    assert "#define USE_OTA_STATE_LISTENER" in defines


@pytest.mark.parametrize(
    ("variant", "pins"),
    [
        ("esp32c3", ("GPIO10", "GPIO5", "GPIO6", "GPIO7", "GPIO0", "GPIO1")),
        ("esp32s3", ("GPIO4", "GPIO5", "GPIO6", "GPIO7", "GPIO1", "GPIO2")),
    ],
)
def test_the_other_chips_work_with_pins_of_their_own(
    tmp_path: Path, variant: str, pins: tuple[str, ...]
) -> None:
    old = ("GPIO25", "GPIO26", "GPIO27", "GPIO33", "GPIO34", "GPIO35")
    yaml = changed(("variant: esp32", f"variant: {variant}"), *zip(old, pins, strict=True))
    assert f"set_motor_pin({pins[0][4:]}, 25000, 500)" in setters(generated(tmp_path, yaml))


MOTOR = "gentlest_permille: 150"


MISTAKES = (
    (
        MOTOR,
        "gentlest_permille: 500\n    max_permille: 500",
        "motor: gentlest_permille is 500, but must be below max_permille, 500: lower the one",
    ),
    (MOTOR, "gentlest_permille: 0", "motor: gentlest_permille is 0, but must be 1…999 ‰"),
    (MOTOR, "gentlest_permille: 15%", "motor: gentlest_permille is 15%, but must be 1…999 ‰"),
    (MOTOR, f"{MOTOR}\n    max_permille: 1001", "max_permille is 1001, but must be 2…1000 ‰"),
    (MOTOR, f"{MOTOR}\n    frequency: 1kHz", "frequency is 1kHz, but must be 20000…31250 Hz"),
    (MOTOR, f"{MOTOR}\n    spin_down: 501ms", "motor: spin_down must be 0…500 ms"),
    (
        "device_id: foot-001",
        "device_id: foot-0001",
        "device_id is 'foot-0001', but must have 1…8 characters out of A–Z, a–z, 0–9, _ and -",
    ),
    (
        "device_id: foot-001",
        "device_id: fuß",
        "device_id is 'fuß', but must have 1…8 characters out of A–Z, a–z, 0–9, _ and -",
    ),
    ("device_id: foot-001", 'device_id: "a/b"', "device_id is 'a/b', but must have 1…8"),
    ("  device_id: foot-001", "  # device_id", "device_id is missing: 1…8 characters, such as"),
    ("pin: GPIO25", "#", "motor: pin is missing: the GPIO that drives the motor"),
    (f"    {MOTOR}", "#", "motor: gentlest_permille is missing: 1…999 ‰, found by trying"),
    ("broker: !secret mqtt_broker", "#", "mqtt: broker is missing: the name or address"),
    (
        "pin: GPIO25",
        "pin: GPIO12",
        "motor: pin GPIO12 is driven or pulled while the chip starts, and could turn the motor "
        "before the program runs: choose one that is not, such as GPIO25",
    ),
    ("pin: GPIO25", "pin: GPIO34", "GPIO34 (34-39) does not support output pin mode"),
    ("pin: GPIO25", "pin: GPIO26", "Pin 26 is used in multiple places"),
    ("pin: GPIO26", "pin: GPIO36", "GPIO36 (34-39) does not support pullups"),
    (
        "pin: GPIO34",
        "pin: GPIO4",
        "temperature: pin GPIO4 is no input of converter 1, the only one that works beside "
        "Wi-Fi: choose one of GPIO32, GPIO33, GPIO34",
    ),
    ("hot: 70°C", "hot: 700°C", "temperature: hot is 700°C, but must be 30…110 °C"),
    (
        "hot: 70°C",
        "hot: 90°C\n    sensor_high: 80°C",
        "hot is 90 °C, but must be between sensor_low, -20 °C, and sensor_high, 80 °C",
    ),
    ("limit: 1.8A", "limit: 3A", "limit gives 3000 mV at the pin, but must give 150…2400 mV"),
    ("limit: 1.8A", "limit: 100A", "current: limit is 100A, but must be 0.05…60 A"),
    ("    limit: 1.8A", "#", "current: limit is missing: in A, such as 1.8A"),
    ("    username: !secret mqtt_username", "#", "password is set, but username is not"),
    (
        "broker: !secret mqtt_broker",
        "broker: b\n    port: 0",
        "mqtt: port is 0, but must be 1…65535",
    ),
    (
        "broker: !secret mqtt_broker",
        "broker: b\n    keepalive: 1s",
        "mqtt: keepalive must be 5…300 s",
    ),
    ("  button:", "  buttton:", "Did you mean [button]?"),
    ("  power_save_mode: none", "#", "wifi: power_save_mode must be none"),
    ("variant: esp32", "variant: esp32c6", "made for ESP32, ESP32-C3 and ESP32-S3: set esp32"),
    ("type: esp-idf", "type: arduino", "framework: type to esp-idf"),
    ("logger:", "deep_sleep:\nlogger:", "cannot be used together with component deep_sleep"),
    (
        "logger:",
        "output:\n  - platform: ledc\n    id: lamp\n    pin: GPIO18\nlogger:",
        "output: platform ledc resets the timers that turn the motor: take it out",
    ),
    (
        "logger:",
        "sensor:\n  - platform: adc\n    name: a\n    pin: GPIO32\nlogger:",
        "sensor: platform adc takes the converter that temperature and current need",
    ),
)


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """What `esphome config` says of each of MISTAKES, from one start."""
    folder = tmp_path_factory.mktemp("mistakes")
    files = [
        write(folder / str(number), changed((old, new)))
        for number, (old, new, _) in enumerate(MISTAKES)
    ]
    python = str(esphome().with_name("python"))
    code, output = output_of(python, str(RUNNER), "config", *files, errors=subprocess.DEVNULL)
    assert code == 0
    return [Outcome(code, COLOUR.sub("", text)) for code, text in json.loads(output)]


@pytest.mark.parametrize(
    "number", range(len(MISTAKES)), ids=[message for _, _, message in MISTAKES]
)
def test_a_mistake_is_refused_by_the_key_its_range_and_the_way_out(
    refusals: list[Outcome], number: int
) -> None:
    refusal = refusals[number]
    assert refusal.code != 0, refusal.output
    assert MISTAKES[number][2] in refusal.one_line
    assert "Traceback" not in refusal.output


def test_the_text_of_the_readme_names_every_key_with_its_default() -> None:
    readme = (BOARD / "README.md").read_text(encoding="utf-8")
    component = (BOARD / "components" / "massager" / "__init__.py").read_text(encoding="utf-8")
    keys = set(re.findall(r'^CONF_\w+ = "(\w+)"$', component, re.MULTILINE))
    assert len(keys) >= 20
    for key in sorted(keys):
        assert f"`{key}`" in readme, key
