"""Rules of the core that only show from inside: its own checks, and sensors that say nothing."""

import ctypes
from struct import pack
from zlib import crc32

import pytest

from firmware_protocol.codec import decode, encode
from firmware_protocol.messages import Capability, Fault, Hello, SetLevel, Status
from simulator.firmware.core import HostCore, raw_frame
from simulator.machine import DeviceConfig

pytestmark = pytest.mark.needs("cc")

GET_STATUS = bytes.fromhex("01070c0000701f8f6f")


class Opened(HostCore):
    """A core whose memory can be written, and whose sensors can be kept from speaking."""

    def poke(self, field: str, value: int) -> None:
        """Write one of Now's fields, as a fault of the chip would."""
        setattr(self._now, field, value)

    def step_without_sensors(self, ms: int) -> None:
        for _ in range(ms):
            self._library.massager_step(ctypes.byref(self._now))

    def sense(self, temperature_dc: int) -> None:
        self._library.host_sense(self._host, temperature_dc, 0, False)
        self._library.massager_step(ctypes.byref(self._now))

    @property
    def status(self) -> Status:
        self.take_frames()
        self.datagram(GET_STATUS)
        (frame,) = self.take_frames()
        message = decode(raw_frame(frame))
        assert isinstance(message, Status)
        return message


def protected(raw: bytes) -> bytes:
    return raw + pack("<I", crc32(raw))


def running(capabilities: Capability | None = None) -> Opened:
    """At 300 ‰ of at most 600, with a lease of 5 s that has just begun."""
    config = DeviceConfig(gentlest_permille=200, max_permille=600)
    core = Opened(config) if capabilities is None else Opened(config, capabilities=capabilities)
    core.datagram(protected(encode(Hello(0, 1, 1, 7), 1, 0)))
    for sequence in (2, 3):
        core.datagram(protected(encode(SetLevel(300, 5000), sequence, 0x0101)))
        core.advance(4_500)
    core.datagram(protected(encode(SetLevel(300, 5000), 4, 0x0101)))
    assert (core.output_permille, core.status.faults) == (300, 0)
    return core


# --- the gate does not trust the memory ---------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"token": 0}, id="without a session"),
        pytest.param({"is_leased": 0}, id="without a lease"),
        pytest.param({"lease_left_ms": 0}, id="with a lease that is over"),
        pytest.param({"lease_left_ms": 5_001}, id="with a lease that nobody may ask for"),
        pytest.param({"output": 700_000, "ceiling": 700_000, "setpoint": 700}, id="above the max"),
        pytest.param({"output": 4_000_000_000, "fall": 500}, id="far above the max, in a fall"),
        pytest.param({"fall": 1}, id="in a fall that hardly falls"),
        pytest.param({"output": 199_000, "ceiling": 199_000, "setpoint": 200}, id="too gentle"),
    ],
)
def test_memory_that_says_what_cannot_be_is_output_0_and_a_latched_fault(
    damage: dict[str, int],
) -> None:
    core = running()
    for field, value in damage.items():
        core.poke(field, value)
    core.step_without_sensors(1)
    assert (core.output_permille, core.status.faults) == (0, Fault.INTERNAL)


def test_memory_that_says_more_is_earned_raises_nothing_beyond_the_setpoint() -> None:
    core = running()
    core.poke("ceiling", 4_000_000_000)
    core.step_without_sensors(2)
    assert core.output_permille == 300


def test_an_output_that_jumped_up_comes_down_to_what_was_asked_for() -> None:
    core = running()
    core.poke("output", 590_000)
    core.step_without_sensors(1)
    assert (core.output_permille, core.status.faults) == (300, 0)


@pytest.mark.parametrize("level", [1, 1_000, 199_999])
def test_an_output_below_the_gentlest_is_left_in_the_next_millisecond(level: int) -> None:
    core = running()
    core.poke("output", level)
    core.step_without_sensors(1)
    assert core.output_permille == 0 or core.output_permille >= 200


def test_a_sound_memory_is_no_fault() -> None:
    core = running()
    core.step_without_sensors(100)
    assert (core.output_permille, core.status.faults) == (300, 0)


# --- sensors ------------------------------------------------------------------------------------


def test_sensors_that_say_nothing_for_500_ms_are_a_fault() -> None:
    core = running()
    core.advance(0)
    core.step_without_sensors(399)  # they spoke at most 100 ms ago
    assert core.status.faults == 0
    core.step_without_sensors(101)
    assert (core.output_permille, core.status.faults) == (0, Fault.SENSOR)


def test_a_device_without_sensors_waits_for_none() -> None:
    core = running(Capability.FEET_SENSOR | Capability.BUTTON)
    core.step_without_sensors(600)
    assert (core.output_permille, core.status.faults) == (300, 0)


@pytest.mark.parametrize(
    ("temperature_dc", "fault"),
    [
        (-201, Fault.SENSOR),
        (-200, 0),
        (699, 0),
        (700, Fault.OVER_TEMPERATURE),
        (1200, Fault.OVER_TEMPERATURE),
        (1201, Fault.SENSOR),
    ],
)
def test_a_temperature_is_sound_hot_or_broken(temperature_dc: int, fault: int) -> None:
    core = running()
    core.sense(temperature_dc)
    assert core.status.faults == fault
