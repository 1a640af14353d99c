"""An emulated chip and what is wired to it: motor, sensors, switches. Told how far to run.

The motor turns by what the chip's pin does, measured at its edges, and the chip reads it back as
voltages and pulses; nothing else passes between `simulator.physics` and the program.
"""

from copy import copy
from ctypes import sizeof
from dataclasses import dataclass
from functools import cache
from math import exp
from typing import Final

from firmware_protocol.messages import Capability
from simulator.device import DeviceConfig, TraceRow
from simulator.firmware.build import built
from simulator.firmware.chip import (
    CYCLES_PER_MS,
    Chip,
    ChipState,
    Halt,
    Hang,
    Level,
    Program,
    ResetFlag,
)
from simulator.firmware.core import Config, Now, row_of, without_power
from simulator.physics import STEP_MS, Motor

FEET: Final = ("D", 2)  # closed to ground with the feet on
BUTTON: Final = ("D", 3)  # closed to ground unless it is pressed
MOTION: Final = ("D", 4)
TEMPERATURE: Final = 0  # inputs of the converter
CURRENT: Final = 1

SUPPLY_MV: Final = 5000
TOLERANCE_PERMILLE: Final = 2  # the timer has 512 steps
_PULSE_CYCLES: Final = 10 * CYCLES_PER_MS  # between two changes of the motion sensor
_GRID: Final = STEP_MS * CYCLES_PER_MS
_THERMISTOR_B: Final = 3950  # 10 kΩ at 25 °C, to ground, and 10 kΩ to the supply
_ZERO_K: Final = 273.15
_ROOM_K: Final = 298.15
_SETTLE_CYCLES: Final = 3000  # by then the pin's level is known after a change
ROUND_MS: Final = 6_400  # all counters come around: 256 ticks, and 5 readings every 10 ms
_BOOT_MAX_CYCLES: Final = 200 * CYCLES_PER_MS


@dataclass(frozen=True)
class BoardState:
    """What `Board.save` gave."""

    chip: ChipState
    motor: Motor
    next_grid: int
    duty_permille: int


class Board:
    """One chip with its surroundings, running from the start.

    `in_steps`: its clock is the device's own milliseconds, and it stands still but in `advance`.
    Otherwise the clock is the chip's cycle counter, and `run` lets it pass. Raises CannotBuild.
    """

    def __init__(
        self,
        program: Program | None = None,
        *,
        eeprom: bytes = b"",
        in_steps: bool = False,
    ) -> None:
        self.chip = Chip(program or default_program())
        self.chip.eeprom = eeprom
        self.config = self._config()
        # What the timer rounds down still turns the motor.
        self.motor = Motor(self.config.gentlest_permille - TOLERANCE_PERMILLE)
        self._rows: list[TraceRow] = []
        self._next_grid = _GRID
        self._duty_permille = 0
        self.set_feet(True)
        self.set_button(False)
        self._tell()
        self._by_cycles = not in_steps
        if in_steps:
            self.chip.freeze(True)
            self.settle()
        else:
            self.chip.go_by_cycles()

    # --- what can be seen ---------------------------------------------------------------------

    @property
    def duty_permille(self) -> int:
        """What the motor gets, from the edges of the chip's pin."""
        pin = self.chip.pin()
        if not pin.on_timer:
            return 1000 * pin.level
        if pin.is_known:
            self._duty_permille = round(1000 * pin.high / pin.period)
        return self._duty_permille

    def take_trace(self) -> list[TraceRow]:
        """Rows since the last call."""
        rows, self._rows = [*self._rows, *self.chip.take_trace()], []
        return rows

    def _config(self) -> DeviceConfig:
        """What the program was built for: struct massager_config in its memory image."""
        program = self.chip.program
        config = Config.from_buffer_copy(program.initial("config", sizeof(Config)))
        return DeviceConfig(
            device_id=bytes(config.device_id).rstrip(b"\0").decode("ascii"),
            gentlest_permille=config.gentlest_permille,
            max_permille=config.max_permille,
            feet_sensor=bool(config.capabilities & Capability.FEET_SENSOR),
            model=config.model,
            steps=config.steps,
        )

    # --- time ---------------------------------------------------------------------------------

    def run(self, until: int, halts: Halt = Halt.NOTHING) -> Halt:
        """Up to the cycle `until`, or before to one of `halts`; a reset is one."""
        halted = Halt.NOTHING
        while self.chip.cycle < until and not halted:
            halted = self.chip.run(min(until, self._next_grid), halts)
            if self.chip.cycle >= self._next_grid:
                self._next_grid += _GRID
                self._step_motor()
        if Halt.RESET in halted:
            self._note_reboot()
        if Halt.CRASH in halted:
            raise RuntimeError("the chip ran into what is no program")
        return halted

    def wait(self, until: int) -> None:
        """Let time pass up to the cycle `until` without power, after a `reset`."""
        while self.chip.cycle < until:
            self.chip.skip(min(until, self._next_grid) - self.chip.cycle)
            if self.chip.cycle >= self._next_grid:
                self._next_grid += _GRID
                self._step_motor()

    def advance(self, ms: int) -> None:
        """Let exactly so many of the device's milliseconds pass."""
        before = b""
        while ms:
            now_ms = self.chip.device_ms
            piece_ms = min(ms, STEP_MS - now_ms % STEP_MS)
            if self._is_at_rest:
                piece_ms = min(ms, ROUND_MS)
                if piece_ms == ROUND_MS and before == (before := self.chip.image()):
                    ms -= self._skip_rounds(ms)
                    continue
            self._step_chip(piece_ms)
            ms -= piece_ms
            if (now_ms + piece_ms) % STEP_MS == 0:
                self._step_motor()
        self.settle()

    def _step_chip(self, ms: int) -> None:
        chip = self.chip
        chip.stop_after_steps(ms)
        chip.freeze(False)
        halted = chip.run(chip.cycle + (ms + 500) * CYCLES_PER_MS, Halt.STEP)
        if halted != Halt.STEP:
            raise RuntimeError(f"the chip does not step: {halted!r}")
        self.settle()

    def _skip_rounds(self, ms: int) -> int:
        """At rest: in a whole round nothing in the chip has changed but its uptime, so nothing will
        in the next ones either. An hour of it is done at once; how much that was."""
        skipped_ms = ms // ROUND_MS * ROUND_MS
        self.chip.set_uptime_ms(self.chip.now.uptime_ms + skipped_ms)
        return skipped_ms

    def settle(self) -> None:
        """Let the chip finish whatever it has begun while its clock stands still."""
        chip = self.chip
        steps = chip.steps
        if chip.run(chip.cycle + _BOOT_MAX_CYCLES, Halt.QUIET) != Halt.QUIET:
            raise RuntimeError("the chip does not come to rest")
        if not chip.pin().is_known:
            chip.run(chip.cycle + _SETTLE_CYCLES)
        if chip.steps != steps:
            raise RuntimeError("the chip stepped while its clock stood still")

    def save(self) -> "BoardState":
        """The chip and everything around it, to go back to; take the trace before."""
        motor = copy(self.motor)
        motor.faults = set(motor.faults)
        return BoardState(self.chip.save(), motor, self._next_grid, self._duty_permille)

    def load(self, state: "BoardState") -> None:
        """Go back to what this very board was."""
        self.chip.load(state.chip)
        self.motor = copy(state.motor)
        self.motor.faults = set(state.motor.faults)
        self._next_grid, self._duty_permille = state.next_grid, state.duty_permille
        self._rows.clear()

    # --- what is done to it -------------------------------------------------------------------

    def set_feet(self, on: bool) -> None:
        """Put feet on the sensor or lift them."""
        self.chip.set_pin(*FEET, Level.LOW if on else Level.OPEN)

    def set_button(self, pressed: bool) -> None:
        """The button on the device."""
        self.chip.set_pin(*BUTTON, Level.OPEN if pressed else Level.LOW)

    def inject(self, fault: str) -> None:
        """Break the motor or a sensor (`Motor.FAULTS`), or `clear` what was broken."""
        if fault == "clear":
            self.motor.faults.clear()
        else:
            self.motor.faults.add(fault)
        self._tell()

    def hang(self, how: Hang = Hang.LOOP) -> None:
        """Lose the program: the pin goes on as it is until the watchdog resets."""
        self._note("hang", self.chip.now)
        self.chip.hang(how)

    def reset(self, flag: ResetFlag) -> None:
        """Reset the chip from outside; it runs on from there, or waits without power."""
        self._note_reboot()
        self.chip.reset(flag)
        self._duty_permille = 0

    # --- physics ------------------------------------------------------------------------------

    @property
    def _is_at_rest(self) -> bool:
        now = self.chip.now
        return now.output == 0 and now.setpoint == 0 and self.motor.is_at_rest

    def _step_motor(self) -> None:
        self.motor.step(self.duty_permille)
        self._tell()

    def _tell(self) -> None:
        motor, chip = self.motor, self.chip
        is_broken = "stuck_sensor" in motor.faults
        chip.set_adc(TEMPERATURE, SUPPLY_MV if is_broken else thermistor_mv(motor.temperature_dc))
        chip.set_adc(CURRENT, motor.current_ma)  # a shunt of 50 mΩ and an amplifier of 20
        chip.set_pulse(*MOTION, _PULSE_CYCLES if motor.is_moving else 0)

    # --- trace --------------------------------------------------------------------------------

    def _note_reboot(self) -> None:
        self._note("reboot", without_power(self.chip.now, self.config.gentlest_permille))

    def _note(self, why: str, now: Now) -> None:
        """A row that the chip could not write itself."""
        self._rows += self.chip.take_trace()
        now_ms = self.chip.device_ms
        if self._by_cycles:
            now_ms = max(now_ms, self.chip.cycle // CYCLES_PER_MS)
        self._rows.append(row_of(now, now_ms, why))


def thermistor_mv(temperature_dc: int) -> int:
    """The voltage at a thermistor of so many tenths of a degree."""
    kelvin = temperature_dc / 10 + _ZERO_K
    ratio = exp(_THERMISTOR_B * (1 / kelvin - 1 / _ROOM_K))
    return round(SUPPLY_MV * ratio / (ratio + 1))


def eeprom_for(boot_id: int) -> bytes:
    """What makes the next boot the one with this id."""
    before = (boot_id - 2) % 65_535 + 1
    return before.to_bytes(2, "little") + (before ^ 0xFFFF).to_bytes(2, "little")


def default_program() -> Program:
    """The firmware as `make -C firmware hex` builds it. Raises CannotBuild."""
    return _program("build/atmega328p")


def variant(name: str, *, device_id: str = "", **defines: int) -> Program:
    """The firmware built with other values of its config.h. Raises CannotBuild."""
    settings = " ".join(f"-D{macro}={value}" for macro, value in sorted(defines.items()))
    return _program(f"build/{name}", settings, device_id)


@cache
def _program(out: str, defines: str = "", device_id: str = "") -> Program:
    settings = {"OUT": out, "DEFINES": defines, "DEVICE_ID": device_id}
    given = {name: value for name, value in settings.items() if value}
    return Program.load(built(f"{out}/massager.elf", "avr", "simavr", **given))
