"""A program: a pattern around the chosen intensity. Pure: told the time, returns a fraction.

A fraction f of the chosen intensity is the level `gentlest + f · (target − gentlest)`, so a dip
never stops the motor. The files' rules are checked by the loader, not here.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from math import cos, tau
from typing import Final

# A sine touches its peak for an instant, between two setpoints of the stream; the device's ceiling
# stays up only while a setpoint reaches it. So the top 2 % of the swing are flat, 9 % of the
# period.
CREST: Final = 0.98


@dataclass(frozen=True, slots=True)
class Steady:
    """The chosen intensity, unchanged."""

    peak: float = field(default=1.0, init=False)
    moves: bool = field(default=False, init=False)
    cycle_ms: int = field(default=1_000, init=False)

    def fraction_at(self, elapsed_ms: int) -> float:
        """1 at any time."""
        return 1.0


@dataclass(frozen=True, slots=True)
class Sine:
    """Slow waves between two fractions, from the high one; the crest is slightly flattened."""

    high: float
    low: float
    cycle_ms: int

    @property
    def peak(self) -> float:
        """The highest fraction it reaches."""
        return self.high

    @property
    def moves(self) -> bool:
        """Whether it has a shape to draw at all."""
        return self.high > self.low

    def fraction_at(self, elapsed_ms: int) -> float:
        """The fraction after `elapsed_ms` (≥ 0) of the pattern."""
        wave = 0.5 + 0.5 * cos(tau * (elapsed_ms % self.cycle_ms) / self.cycle_ms)
        if wave >= CREST:
            return self.high
        return self.low + (self.high - self.low) * max(wave, 0.0) / CREST


@dataclass(frozen=True, slots=True)
class Step:
    """Stays at `fraction` for `hold_ms`, then moves in `ramp_ms` to the next step's fraction."""

    fraction: float
    hold_ms: int
    ramp_ms: int


@dataclass(frozen=True, slots=True)
class Steps:
    """Holds joined by straight ramps, from the first step's hold; the last leads to the first."""

    steps: tuple[Step, ...]
    cycle_ms: int = field(init=False)
    peak: float = field(init=False)
    moves: bool = field(init=False)
    _times: tuple[int, ...] = field(init=False, repr=False)
    _fractions: tuple[float, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        times, fractions, now_ms = [0], [self.steps[0].fraction], 0
        for step, following in zip(self.steps, (*self.steps[1:], self.steps[0]), strict=True):
            times += (now_ms + step.hold_ms, now_ms + step.hold_ms + step.ramp_ms)
            fractions += (step.fraction, following.fraction)
            now_ms = times[-1]
        object.__setattr__(self, "cycle_ms", now_ms)
        object.__setattr__(self, "peak", max(fractions))
        object.__setattr__(self, "moves", max(fractions) > min(fractions))
        object.__setattr__(self, "_times", tuple(times))
        object.__setattr__(self, "_fractions", tuple(fractions))

    def fraction_at(self, elapsed_ms: int) -> float:
        """The fraction after `elapsed_ms` (≥ 0) of the pattern."""
        now_ms = elapsed_ms % self.cycle_ms
        after = bisect_right(self._times, now_ms)
        from_ms, to_ms = self._times[after - 1], self._times[after]
        start, end = self._fractions[after - 1], self._fractions[after]
        return start + (end - start) * (now_ms - from_ms) / (to_ms - from_ms)


Shape = Steady | Sine | Steps


@dataclass(frozen=True, slots=True)
class FinalFall:
    """A straight fall to the gentlest, from `numerator / denominator` of the massage to its end."""

    numerator: int
    denominator: int

    def start_ms(self, massage_total_ms: int) -> int:
        """The massage time at which it begins."""
        return massage_total_ms * self.numerator // self.denominator

    def factor_at(self, massage_elapsed_ms: int, massage_total_ms: int) -> float:
        """1 before the fall, 0 at the end of the massage."""
        start_ms = self.start_ms(massage_total_ms)
        if massage_elapsed_ms <= start_ms:
            return 1.0
        left_ms = max(massage_total_ms - massage_elapsed_ms, 0)
        return left_ms / (massage_total_ms - start_ms)


@dataclass(frozen=True, slots=True)
class Program:
    """One pattern with its name and its sentence. Fractions are in 0…1."""

    name: str
    description: str
    shape: Shape
    final_fall: FinalFall | None = None

    @property
    def peak(self) -> float:
        """The highest fraction it reaches before a final fall."""
        return self.shape.peak

    @property
    def moves(self) -> bool:
        """Whether it swings, so that setpoints have to follow closely. A final fall does not."""
        return self.shape.moves

    @property
    def cycle_ms(self) -> int:
        """The length of one cycle; 1000 ms for a steady one."""
        return self.shape.cycle_ms

    def fall_at(self, massage_elapsed_ms: int, massage_total_ms: int) -> float:
        """What the final fall leaves of the pattern: 1 without one."""
        if self.final_fall is None:
            return 1.0
        return self.final_fall.factor_at(massage_elapsed_ms, massage_total_ms)

    def fraction_at(self, massage_elapsed_ms: int, massage_total_ms: int) -> float:
        """The fraction of the chosen intensity, 0…1, for a pattern that began with the massage."""
        cycle = self.shape.fraction_at(massage_elapsed_ms)
        return cycle * self.fall_at(massage_elapsed_ms, massage_total_ms)
