"""What the component asks of ESP-IDF, and in which order: compiled with ESPHome's own headers and
stand-ins for those of ESP-IDF (`esp32/idf`), whose board writes down what it is asked.

It is not the chip, and the stand-ins are no proof of what ESP-IDF does.
"""

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware_protocol.codec import decode, encode
from firmware_protocol.framing import protect, verify
from firmware_protocol.messages import Event, EventCode, Hello, Identity, ResetCause, SetLevel
from simulator.firmware.build import FIRMWARE
from tests.firmware.test_esp32_seam import library as seam
from tests.firmware.test_esphome import EXAMPLE, generated

pytestmark = [pytest.mark.needs("cc", "cxx", "esphome"), pytest.mark.timeout(600)]

HERE = Path(__file__).parent / "esp32" / "idf"
COMPONENT = FIRMWARE / "boards" / "esp32" / "components" / "massager"
DEFINES = ("USE_ESP32", "USE_ESP_IDF", "USE_ESP32_FRAMEWORK_ESP_IDF", "USE_ESP32_VARIANT_ESP32")
FROM_ESPHOME = "esp_log.h esp_attr.h esp_cpu.h esp_task_wdt.h esp_heap_caps.h freertos/semphr.h"
DOWN = "massager/foot-001/link/down"
CONNECTED, DISCONNECTED, SUBSCRIBED, DATA = 1, 2, 3, 6
POWER_ON, EXTERNAL, SOFTWARE, PANIC, WATCHDOG, BROWN_OUT = 1, 2, 3, 4, 7, 9
UPDATE_STARTED, UPDATE_FAILED = 1, 4


def stand_in_headers(folder: Path) -> None:
    """A header that leads to the stand-ins for each of ESP-IDF's, and a small one of ESPHome's."""
    named = set(FROM_ESPHOME.split()) | {"sdkconfig.h", "esp_err.h"}
    for path in COMPONENT.glob("massager_component.*"):
        named |= set(re.findall(r"^#include <(\S+\.h)>", path.read_text("utf-8"), re.MULTILINE))
    for name in named:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('#include "standins.h"\n', encoding="utf-8")
    network = folder / "esphome" / "components" / "network"
    network.mkdir(parents=True)
    (network / "util.h").write_text(
        "#pragma once\nnamespace esphome::network { bool is_connected(); }\n", encoding="utf-8"
    )


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The component with the core and the stand-ins, as a library."""
    seam()  # builds the core
    folder = tmp_path_factory.mktemp("shell")
    source = generated(folder, EXAMPLE) / "src"
    util = (source / "esphome" / "components" / "network" / "util.h").read_text("utf-8")
    assert "inline bool is_connected()" in util  # what the stand-in stands in for
    stand_in_headers(folder / "headers")
    made = folder / "shell.so"
    done = subprocess.run(
        [
            "c++", "-std=gnu++20", "-O1", "-fPIC", "-shared", "-fno-rtti", "-fno-exceptions",
            "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-Wl,-z,defs",
            *(f"-D{name}" for name in DEFINES), "-DESPHOME_LOG_LEVEL=5",
            f"-I{COMPONENT}", f"-I{HERE}", "-isystem", str(folder / "headers"),
            "-isystem", str(source), "-o", str(made),
            *map(str, COMPONENT.glob("*.cpp")), str(HERE / "fakes.cpp"),
            *map(str, (FIRMWARE / "build" / "esp32" / "core").glob("*.o")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return made


class Shell:
    """One component on its board; a copy of the library, since it has one world."""

    def __init__(
        self,
        made: Path,
        folder: Path,
        boot_id: int | None = None,
        reset: int = POWER_ON,
        failing: str = "",
        inputs: bool = False,
        tls: bool = False,
    ) -> None:
        copy = shutil.copy(made, folder / f"{len(list(folder.iterdir()))}.so")
        self._c = ctypes.CDLL(str(copy))
        self._c.shell_new.restype = ctypes.c_void_p
        self._c.shell_has_failed.restype = ctypes.c_bool
        settings = (boot_id is not None, boot_id or 0, reset, failing.encode(), inputs, tls)
        self._device = ctypes.c_void_p(self._c.shell_new(*settings))
        self._sequence = 0
        self._c.shell_setup(self._device)

    @property
    def has_failed(self) -> bool:
        failed: bool = self._c.shell_has_failed()
        return failed

    def record(self, without: str = "fed") -> list[str]:
        """What was asked since the last call, but for what begins with `without`."""
        text = ctypes.create_string_buffer(1_000_000)
        self._c.shell_record(text, len(text))
        return [line for line in text.value.decode().splitlines() if not line.startswith(without)]

    def run(self, ms: int) -> None:
        self._c.shell_run(ms)

    def stall(self, ms: int) -> None:
        """The whole chip stands still."""
        self._c.shell_stall(ms)

    def update(self, state: int) -> None:
        self._c.shell_update(state)

    def fail(self, call: str) -> None:
        """From now on this call of ESP-IDF fails."""
        self._c.shell_fail(call.encode())

    def restart(self) -> None:
        self._c.shell_restart()

    def event(self, event: int, data: bytes = b"", retained: bool = False, of: int = 11) -> None:
        """The client tells the component something."""
        self._c.shell_event(event, of, DOWN.encode(), data, len(data), retained)

    def connect(self) -> None:
        """With network and broker, and the subscription granted."""
        self.run(1)
        self._c.shell_loop(self._device, True)
        self.event(CONNECTED)
        self.event(SUBSCRIBED, b"\x00")
        self.run(2)

    def ask_for_network(self, there: bool) -> None:
        self._c.shell_loop(self._device, there)

    def command(self, message: Hello | SetLevel, token: int = 0, retained: bool = False) -> None:
        self._sequence += 1
        frame = protect(encode(message, self._sequence, token))
        self.event(DATA, frame, retained=retained)
        self.run(2)

    def drive(self) -> None:
        """A session whose motor turns."""
        self.connect()
        self.command(Hello(flags=0, min_major=1, max_major=1, host_nonce=5))
        (token,) = {
            int.from_bytes(raw[3:5], "little") for raw in published(self.record()) if raw[1] == 0x81
        }
        self.command(SetLevel(level_permille=0, lease_ms=5000), token)
        self.command(SetLevel(level_permille=400, lease_ms=5000), token)
        self.run(5)
        assert "duty 154" in self.record()


Maker = Callable[..., Shell]


@pytest.fixture
def make(shell: Path, tmp_path: Path) -> Maker:
    return lambda **settings: Shell(shell, tmp_path, **settings)


def published(record: list[str]) -> list[bytes]:
    """The raw frames that were published, in order."""
    frames = [line.split()[-1] for line in record if line.startswith("publish ")]
    return [verify(bytes.fromhex(frame)) for frame in frames]


def test_the_pin_is_low_and_the_boot_id_committed_before_anything_can_turn_the_motor(
    make: Maker,
) -> None:
    assert make(boot_id=41).record() == [
        "level 25 0",
        "pin 25 out down",
        "level 25 0",
        "boot id 42",
        "commit",
        "timer 25000 Hz 10 bits",
        "channel on 25 duty 0",
        "off 0",
        "task massager_up priority 5",
        "task massager priority 24 core 1",
    ]


def test_the_watchdog_of_the_rtc_is_on_before_the_first_command_and_then_fed(make: Maker) -> None:
    device = make()
    device.record()
    device.run(1)
    assert device.record() == [
        "off 0",
        "watchdog of the RTC",
        "stage 0 after 37500 ticks resets the system",  # 250 ms of 150 kHz
        "stage 1 after 18750 ticks resets everything",
        "watchdog on",
    ]
    device.run(100)
    assert 99 <= device.record(without="off").count("fed") <= 100


@pytest.mark.parametrize(
    "call",
    [
        *("gpio_config", "nvs_open", "nvs_get_u16", "nvs_set_u16", "nvs_commit"),
        *("ledc_timer_config", "ledc_channel_config", "adc_oneshot_new_unit"),
    ],
)
def test_where_the_start_fails_the_device_stays_off(make: Maker, call: str) -> None:
    device = make(failing=call, inputs=True)
    assert device.has_failed
    device.run(100)
    record = device.record(without="level 25 0")
    assert not [line for line in record if line.startswith(("task massager priority", "duty"))]


def test_the_client_is_started_once_with_a_clean_session_and_no_will(make: Maker) -> None:
    device = make(tls=True)
    device.run(1)
    device.record()
    device.ask_for_network(False)
    assert device.record() == []
    device.ask_for_network(True)
    device.ask_for_network(True)
    assert device.record() == [
        "client massager-device-foot-001 broker.example:8883 TLS clean=1 keepalive=15 "
        "version=3.1.1 will=none login=user/word"
    ]


def test_after_each_connection_it_subscribes_at_qos_0_and_then_tells_its_boot(make: Maker) -> None:
    device = make(boot_id=41)
    device.run(1)
    device.ask_for_network(True)
    device.record()
    device.event(CONNECTED)
    device.run(5)
    assert device.record() == [f"subscribe {DOWN} qos=0"]
    device.event(SUBSCRIBED, b"\x00")
    device.run(5)
    record = device.record()
    assert [line.rsplit(" ", 1)[0] for line in record] == [
        "publish massager/foot-001/link/up qos=0 retain=0"
    ]
    boot = decode(published(record)[0])
    assert isinstance(boot, Event)
    assert boot.code == EventCode.BOOT
    device.event(DISCONNECTED)
    device.event(CONNECTED)
    device.run(5)
    assert device.record() == [f"subscribe {DOWN} qos=0"]


def test_a_refused_subscription_leaves_the_device_silent(make: Maker) -> None:
    device = make()
    device.run(1)
    device.ask_for_network(True)
    device.event(CONNECTED)
    device.record()
    device.event(SUBSCRIBED, b"\x80")
    device.event(SUBSCRIBED, b"\x00", of=12)
    device.run(10)
    assert device.record() == []


@pytest.mark.parametrize(
    ("reset", "cause"),
    [
        (POWER_ON, ResetCause.POWER_ON),
        (EXTERNAL, ResetCause.EXTERNAL),
        (SOFTWARE, ResetCause.SOFTWARE),
        (PANIC, ResetCause.UNKNOWN),
        (WATCHDOG, ResetCause.WATCHDOG),
        (BROWN_OUT, ResetCause.BROWN_OUT),
    ],
)
def test_hello_is_answered_with_boot_id_reset_cause_and_capabilities(
    make: Maker, reset: int, cause: ResetCause
) -> None:
    device = make(boot_id=65_535, reset=reset, inputs=True)
    device.connect()
    device.record()
    device.command(Hello(flags=1, min_major=1, max_major=1, host_nonce=5))
    (identity,) = map(decode, published(device.record()))
    assert isinstance(identity, Identity)
    assert (identity.boot_id, identity.reset_cause, identity.capabilities) == (1, cause, 0x07)


def test_a_retained_command_is_ignored(make: Maker) -> None:
    device = make()
    device.connect()
    device.record()
    device.command(Hello(flags=0, min_major=1, max_major=1, host_nonce=5), retained=True)
    assert published(device.record()) == []


def test_the_motor_is_off_within_the_lease_and_a_second_when_the_broker_is_gone(
    make: Maker,
) -> None:
    device = make()
    device.drive()
    device.event(DISCONNECTED)
    device.run(6000)
    assert device.record(without="fed")[-1] == "off 0"


def test_what_happens_without_a_connection_is_told_after_the_next_one(make: Maker) -> None:
    device = make()
    device.drive()
    device.event(DISCONNECTED)
    device.run(6000)
    assert published(device.record()) == []
    device.event(CONNECTED)
    device.event(SUBSCRIBED, b"\x00")
    device.run(2)
    told = [decode(raw) for raw in published(device.record())]
    assert [event.code for event in told if isinstance(event, Event)] == [EventCode.LEASE_EXPIRED]


def test_a_converter_that_fails_is_a_fault_within_a_second(make: Maker) -> None:
    device = make(inputs=True)
    device.drive()
    device.fail("adc_oneshot_read")
    device.run(1000)
    record = device.record()
    told = [decode(raw) for raw in published(record)]
    assert [event.code for event in told if isinstance(event, Event)] == [EventCode.FAULT]
    assert [line for line in record if line.startswith(("duty", "off"))][-1] == "off 0"


def test_before_an_update_the_motor_is_off_and_the_watchdog_too(make: Maker) -> None:
    device = make()
    device.drive()
    device.update(UPDATE_STARTED)
    assert device.record()[-2:] == ["off 0", "watchdog off"]
    device.stall(20_000)
    device.run(100)
    assert device.record(without="none") == []
    device.update(UPDATE_FAILED)
    assert device.record() == ["restart"]


def test_an_update_that_never_began_restarts_nothing(make: Maker) -> None:
    device = make()
    device.drive()
    device.update(UPDATE_FAILED)
    assert "restart" not in device.record()


def test_before_a_restart_the_motor_is_off(make: Maker) -> None:
    device = make()
    device.drive()
    device.restart()
    assert device.record()[-3:] == ["off 0", "watchdog off", "restart"]


def test_a_chip_that_stood_still_turns_the_motor_off_and_restarts(make: Maker) -> None:
    device = make()
    device.drive()
    device.stall(501)
    assert device.record() == ["off 0", "restart"]  # the watchdog stays on


def test_no_task_but_the_sending_one_ever_waits_for_a_queue(make: Maker) -> None:
    device = make()
    device.drive()
    for _ in range(100):
        device.event(DATA, b"nonsense")
    device.run(50)
    assert not [line for line in device.record() if "WAITED" in line]
