"""The built firmware on an emulated ATmega328P, as a device for the conformance tests.

A test's millisecond is the device's: while a frame travels over the chip's line, at the line's
speed, its tick stands still. Whatever the device says its output is, the edges of the motor's pin
must agree.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Final

from firmware_protocol.framing import StreamFraming
from simulator.device import TraceRow
from simulator.firmware.board import TOLERANCE_PERMILLE, Board, BoardState, eeprom_for, variant
from simulator.firmware.chip import Program, ResetFlag
from simulator.physics import Motor

KEPT_EVERY_MS: Final = 10_000  # how much the chip may have to do again to come back to a moment


class ChipDevice:
    """One board with one line, its clock standing still but in `advance`."""

    def __init__(self, program: Program, boot_id: int) -> None:
        self.board = Board(program, eeprom=eeprom_for(boot_id), in_steps=True)
        self._framing = StreamFraming()

    @property
    def output(self) -> int:
        return self.board.chip.now.output // 1000

    def send(self, raw: bytes) -> list[bytes]:
        self.board.chip.send(self._framing.encode(raw))
        self.board.settle()
        return self._frames()

    def advance(self, ms: int) -> list[bytes]:
        self.board.advance(ms)
        return self._frames()

    def take_rows(self) -> list[TraceRow]:
        return self.board.take_trace()

    def set_feet(self, on: bool) -> None:
        self.board.set_feet(on)
        self.board.settle()

    def press_button(self) -> None:
        self.board.set_button(True)
        self.board.settle()
        self.board.set_button(False)
        self.board.settle()

    def inject(self, fault: str) -> None:
        self.board.inject(fault)

    def reboot(self) -> None:
        self.board.reset(ResetFlag.EXTERNAL)
        self.board.settle()

    def _frames(self) -> list[bytes]:
        self._check_pin()
        return self._framing.receive(self.board.chip.take())

    def _check_pin(self) -> None:
        pin, output = self.board.chip.pin(), self.output
        assert pin.is_known
        if output == 0:
            assert (pin.on_timer, pin.level) == (0, 0)
        else:
            assert abs(self.board.duty_permille - output) <= TOLERANCE_PERMILLE


@dataclass
class Moment:
    """What came of one call after all the calls that led to it."""

    frames: list[bytes]
    rows: list[TraceRow]
    output: int
    after: dict[tuple[object, ...], "Moment"] = field(default_factory=dict)
    state: BoardState | None = None


class Shared:
    """One chip for all tests that want the same build, and what it did at every call of theirs.

    The chip, its line and its motor are deterministic, so what was done once since the boot need
    not be done again: the tests reach 40 s at some level over and over, which takes a second.
    """

    def __init__(self, device: ChipDevice) -> None:
        self.device = device
        self.first = self._moment([])
        self.first.state = device.board.save()
        self._calls: list[tuple[object, ...]] | None = []  # those that led to what the chip is now
        self._lasted_ms = 0  # since the last state that was kept

    def call(self, calls: list[tuple[object, ...]]) -> Moment:
        """Let the chip do the last of these calls, which nobody made here before."""
        moment = self._bring_to(calls[:-1])
        if self._lasted_ms > KEPT_EVERY_MS and moment.state is None:
            self._keep(moment)
        after = self._do(calls[-1])
        moment.after[calls[-1]] = after
        self._calls = list(calls)
        return after

    def _bring_to(self, calls: list[tuple[object, ...]]) -> Moment:
        path = [self.first]
        for call in calls:
            path.append(path[-1].after[call])
        if self._calls == calls:
            return path[-1]
        known = max(index for index, moment in enumerate(path) if moment.state is not None)
        state = path[known].state
        assert state is not None
        self.device.board.load(state)
        for index in range(known, len(calls)):
            again = self._do(calls[index])
            assert (again.frames, again.rows) == (path[index + 1].frames, path[index + 1].rows)
        self._keep(path[-1])
        return path[-1]

    def _keep(self, moment: Moment) -> None:
        moment.state = self.device.board.save()
        self._lasted_ms = 0

    def _do(self, call: tuple[object, ...]) -> Moment:
        self._calls = None  # if it fails nobody knows
        name, *arguments = call
        if name == "advance":
            self._lasted_ms += int(str(arguments[0]))
        return self._moment(getattr(self.device, str(name))(*arguments) or [])

    def _moment(self, frames: list[bytes]) -> Moment:
        return Moment(frames, self.device.take_rows(), self.device.output)


class SharedChip:
    """A device of the tests' own, on a shared chip."""

    faults = Motor.FAULTS

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._calls: list[tuple[object, ...]] = []
        self._moment = shared.first
        self._rows = list(shared.first.rows)

    @property
    def output(self) -> int:
        return self._moment.output

    def send(self, raw: bytes) -> list[bytes]:
        return self._call("send", raw)

    def advance(self, ms: int) -> list[bytes]:
        return self._call("advance", ms)

    def trace(self) -> list[TraceRow]:
        return self._rows

    def set_feet(self, on: bool) -> None:
        self._call("set_feet", on)

    def press_button(self) -> None:
        self._call("press_button")

    def inject(self, fault: str) -> None:
        self._call("inject", fault)

    def reboot(self) -> None:
        self._call("reboot")

    def _call(self, *call: object) -> list[bytes]:
        self._calls.append(call)
        known = self._moment.after.get(call)
        self._moment = known or self._shared.call(self._calls)
        self._rows += self._moment.rows
        return self._moment.frames


@cache
def shared_chip(
    gentlest_permille: int, max_permille: int, feet_sensor: bool, boot_id: int
) -> Shared:
    """The one chip for devices like this."""
    firmware = program(gentlest_permille, max_permille, feet_sensor)
    return Shared(ChipDevice(firmware, boot_id))


def program(gentlest_permille: int, max_permille: int, feet_sensor: bool) -> Program:
    """The firmware for a device like this; one build for each that the tests want."""
    wanted = {
        "GENTLEST_PERMILLE": gentlest_permille,
        "MAX_PERMILLE": max_permille,
        "HAS_FEET_SENSOR": int(feet_sensor),
    }
    name = f"gentlest-{gentlest_permille}-max-{max_permille}-feet-{int(feet_sensor)}"
    return variant(name, device_id="sim-0001", **wanted)
