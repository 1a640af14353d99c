"""What a start from a front end chooses: its own values, checked, and the config's for the rest."""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Final

from massager import limits
from massager.config.keys import RULES
from massager.errors import UsageError
from massager.plan import Choice, Shape
from massager.programs import load_program

_SHOWN_MAX: Final = 40


@dataclass(frozen=True, slots=True)
class Defaults:
    """For whatever a start leaves out. `programs_dir` holds a person's own programs."""

    intensity: int = limits.INTENSITY_DEFAULT
    minutes: float = limits.MASSAGE_DEFAULT_MS / 60_000
    warmup_s: float = limits.WARMUP_DEFAULT_MS / 1000
    shape: str = "linear"
    program: str = limits.PROGRAM_DEFAULT
    programs_dir: Path | None = None

    def choice(
        self,
        *,
        intensity: object = None,
        minutes: object = None,
        warmup_s: object = None,
        shape: object = None,
        program: object = None,
    ) -> Choice:
        """The choice; None takes the default, and nothing is clamped.

        Raises UsageError that names the value and its range, ConfigError for a broken program.
        """
        intensity = self.intensity if intensity is None else intensity
        minutes = self.minutes if minutes is None else minutes
        warmup_s = self.warmup_s if warmup_s is None else warmup_s
        shape = self.shape if shape is None else shape
        program = self.program if program is None else program
        if type(intensity) is not int or not (
            limits.INTENSITY_MIN <= intensity <= limits.INTENSITY_MAX
        ):
            raise _wrong("intensity", intensity)
        massage_ms = _span_ms("minutes", minutes, 60_000)
        warmup_ms = _span_ms("warmup", warmup_s, 1000)
        if not limits.MASSAGE_MIN_MS <= massage_ms <= limits.MASSAGE_MAX_MS:
            raise _wrong("minutes", minutes)
        if not limits.WARMUP_MIN_MS <= warmup_ms <= limits.WARMUP_MAX_MS:
            raise _wrong("warmup", warmup_s)
        if not isinstance(shape, str) or shape not in tuple(Shape):
            raise _wrong("shape", shape)
        if not isinstance(program, str):
            raise _wrong("program", program)
        return Choice(
            intensity,
            massage_ms,
            warmup_ms,
            Shape(shape),
            load_program(program, self.programs_dir),
        )


def _span_ms(key: str, value: object, unit_ms: int) -> int:
    if type(value) not in (int, float) or not isfinite(value):  # type: ignore[arg-type]
        raise _wrong(key, value)
    return round(value * unit_ms)  # type: ignore[operator]


def _wrong(key: str, value: object) -> UsageError:
    shown = ascii(value)
    shown = shown if len(shown) <= _SHOWN_MAX else f"{shown[: _SHOWN_MAX - 1]}…"
    return UsageError(f"{key} is {RULES[key]}, not {shown}")
