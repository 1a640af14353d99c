"""The devices that the conformance tests run against. A further one is a class and a line below."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from firmware_protocol.framing import DatagramFraming, StreamFraming
from firmware_protocol.messages import ResetCause
from simulator.device import Device, DeviceConfig, TraceRow
from simulator.firmware.core import HostCore, raw_frame
from simulator.physics import Motor
from simulator.port import SimulatedPort
from tests.conformance.chip import SharedChip, shared_chip


@dataclass(frozen=True)
class Build:
    """The device a test wants."""

    gentlest_permille: int = 150
    max_permille: int = 1000
    feet_sensor: bool = True
    boot_id: int = 1


class Backend(Protocol):
    """One device, and a clock of its own that stands still unless `advance` moves it."""

    @property
    def output(self) -> int:
        """What the motor gets now, ‰."""

    @property
    def faults(self) -> frozenset[str]:
        """What `inject` can break; a test that needs more is skipped."""

    def send(self, raw: bytes) -> list[bytes]:
        """One verified raw frame in; raw frames out."""

    def advance(self, ms: int) -> list[bytes]:
        """Let time pass; raw frames that came by themselves."""

    def trace(self) -> list[TraceRow]:
        """All rows since the device was built."""

    def set_feet(self, on: bool) -> None:
        """Feet on the sensor, or lifted."""

    def press_button(self) -> None:
        """The button on the device."""

    def inject(self, fault: str) -> None:
        """Break something, or `clear`."""

    def reboot(self) -> None:
        """Reset; the boot id counts on, the clock too."""


class PureDevice:
    """`simulator.device.Device`, called directly."""

    faults = Motor.FAULTS

    def __init__(self, build: Build) -> None:
        self._config = DeviceConfig(
            gentlest_permille=build.gentlest_permille,
            max_permille=build.max_permille,
            feet_sensor=build.feet_sensor,
        )
        self._now_ms = 0
        self._rows: list[TraceRow] = []
        self._feet_on = True
        self._device = Device(self._config, boot_id=build.boot_id)

    @property
    def output(self) -> int:
        return self._device.output_permille

    def send(self, raw: bytes) -> list[bytes]:
        return self._device.on_frame(raw, self._now_ms)

    def advance(self, ms: int) -> list[bytes]:
        self._now_ms += ms
        return self._device.tick(self._now_ms)

    def trace(self) -> list[TraceRow]:
        self._rows += self._device.take_trace()
        return self._rows

    def set_feet(self, on: bool) -> None:
        self._feet_on = on
        self._device.set_feet(on, self._now_ms)

    def press_button(self) -> None:
        self._device.press_button(self._now_ms)

    def inject(self, fault: str) -> None:
        self._device.inject(fault, self._now_ms)

    def reboot(self) -> None:
        self._device.power_off(self._now_ms)
        self.trace()
        self._device = Device(
            self._config,
            boot_id=self._device.boot_id % 65_535 + 1,
            reset_cause=ResetCause.EXTERNAL,
            now_ms=self._now_ms,
        )
        self._device.set_feet(self._feet_on, self._now_ms)  # the feet do not boot


class PortDevice:
    """The same device behind its port: every frame goes through framing and the line."""

    faults = Motor.FAULTS

    def __init__(self, build: Build, framing: type[StreamFraming | DatagramFraming]) -> None:
        config = DeviceConfig(
            gentlest_permille=build.gentlest_permille,
            max_permille=build.max_permille,
            feet_sensor=build.feet_sensor,
        )
        self._now_ms = 0
        self._rows: list[TraceRow] = []
        self._framing = framing()
        datagrams = framing is DatagramFraming
        self._port = SimulatedPort(config, datagrams=datagrams, boot_id=build.boot_id)

    @property
    def output(self) -> int:
        return self._port.device.output_permille

    def send(self, raw: bytes) -> list[bytes]:
        self._port.receive(self._framing.encode(raw), self._now_ms)
        return self._frames()

    def advance(self, ms: int) -> list[bytes]:
        self._now_ms += ms
        self._port.tick(self._now_ms)
        return self._frames()

    def trace(self) -> list[TraceRow]:
        self._rows += self._port.take_trace()
        return self._rows

    def set_feet(self, on: bool) -> None:
        if self._port.config.feet_sensor:  # it refuses to lift what it does not have
            self._command({"feet": on})

    def press_button(self) -> None:
        self._command({"button": "press"})

    def inject(self, fault: str) -> None:
        self._command({"fault": "none" if fault == "clear" else fault})

    def reboot(self) -> None:
        self._command({"fault": "reboot"})
        self._now_ms += 300  # dark until the boot loader is through
        self._port.tick(self._now_ms)

    def _command(self, request: dict[str, object]) -> None:
        answer = self._port.command(request, self._now_ms)
        assert answer["ok"], answer

    def _frames(self) -> list[bytes]:
        chunks = self._port.data_to_send(self._now_ms)
        return [raw for chunk in chunks for raw in self._framing.receive(chunk)]


class CoreDevice:
    """The firmware's C core as a library of this computer, its own framing included."""

    faults = Motor.FAULTS

    def __init__(self, build: Build, framing: type[StreamFraming | DatagramFraming]) -> None:
        self._framing = framing()
        self._rows: list[TraceRow] = []
        self._core = HostCore(
            DeviceConfig(
                gentlest_permille=build.gentlest_permille,
                max_permille=build.max_permille,
                feet_sensor=build.feet_sensor,
            ),
            boot_id=build.boot_id,
        )

    @property
    def output(self) -> int:
        return self._core.output_permille

    def send(self, raw: bytes) -> list[bytes]:
        wire = self._framing.encode(raw)
        if isinstance(self._framing, StreamFraming):
            self._core.receive(wire)
        else:
            self._core.datagram(wire)
        return self._frames()

    def advance(self, ms: int) -> list[bytes]:
        self._core.advance(ms)
        return self._frames()

    def trace(self) -> list[TraceRow]:
        self._rows += self._core.take_trace()
        return self._rows

    def set_feet(self, on: bool) -> None:
        self._core.set_feet(on)

    def press_button(self) -> None:
        self._core.press_button()

    def inject(self, fault: str) -> None:
        self._core.inject(fault)

    def reboot(self) -> None:
        self._core.reboot()

    def _frames(self) -> list[bytes]:
        return [raw_frame(frame) for frame in self._core.take_frames()]


def chip_device(build: Build) -> Backend:
    """The built firmware on an emulated chip."""
    wanted = build.gentlest_permille, build.max_permille, build.feet_sensor, build.boot_id
    return SharedChip(shared_chip(*wanted))


BACKENDS: Final[dict[str, Callable[[Build], Backend]]] = {
    "pure device": PureDevice,
    "behind a stream": partial(PortDevice, framing=StreamFraming),
    "behind datagrams": partial(PortDevice, framing=DatagramFraming),
    "C core": partial(CoreDevice, framing=StreamFraming),
    "C core behind datagrams": partial(CoreDevice, framing=DatagramFraming),
    "ATmega328P": chip_device,
}
# What has to be installed for them, out of TOOLS in simulator/firmware/build.py.
NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "C core": ("cc",),
    "C core behind datagrams": ("cc",),
    "ATmega328P": ("cc", "avr", "simavr"),
}
