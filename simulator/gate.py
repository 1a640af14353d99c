"""The motor gate: the only place from which the motor gets its output. Pure; it is told how much
time has passed and knows nothing of sessions.

The gate is defined by what it does in one millisecond (`_next`). Everything else here only says for
how many milliseconds the same change repeats, so that ten minutes cost a handful of steps. Inside,
levels are integers of 1/1000 ‰, so that no rounding depends on how the time is cut.
"""

from typing import Final, NamedTuple

from firmware_protocol.limits import (
    CEILING_HOLD_MS,
    CEILING_RISE_PERMILLE_S,
    CEILING_SINK_PERMILLE_S,
    GATE_RISE_PERMILLE_S,
)

_FOREVER: Final = 1 << 60


class Motion(NamedTuple):
    """Where the gate stands, or by how much one millisecond moves it."""

    output: int  # 1/1000 ‰: what the motor gets
    ceiling: int  # 1/1000 ‰: what has been earned
    below_ms: int  # how long the target has been below the ceiling


_STILL: Final = Motion(0, 0, 0)


class Gate:
    """Output follows the setpoint, cut at the ceiling, or falls to 0 by itself.

    At output 0 the ceiling is the gentlest level. A rate in ‰/s is the same number in 1/1000 ‰
    per millisecond.
    """

    __slots__ = ("_fall_rate", "_gentlest", "_motion", "_setpoint", "_step", "_step_ms")

    _motion: Motion  # assigned in `_drive` and nowhere else
    _fall_rate: int  # 1/1000 ‰ per ms; 0 while the output follows the setpoint
    _step: Motion  # by how much each of the next `_step_ms` milliseconds moves it;
    _step_ms: int  # 0 where that is not known

    def __init__(self, gentlest_permille: int) -> None:
        self._gentlest = gentlest_permille * 1000
        self._setpoint = 0
        self._drive(Motion(0, self._gentlest, 0))

    @property
    def motion(self) -> Motion:
        """The exact state, in 1/1000 ‰."""
        return self._motion

    @property
    def setpoint_permille(self) -> int:
        """As asked, also where it is below the gentlest level and so means off."""
        return self._setpoint // 1000

    @property
    def output_permille(self) -> int:
        """What the motor gets now, rounded down."""
        return self._motion.output // 1000

    @property
    def ceiling_permille(self) -> int:
        """What has been earned, rounded down; the gentlest level at output 0."""
        return self._motion.ceiling // 1000

    @property
    def is_falling(self) -> bool:
        """Whether the output is falling to 0 by itself; nothing can raise it until it is there."""
        return self._fall_rate > 0

    @property
    def is_rising(self) -> bool:
        """Whether the output is on its way up."""
        return not self.is_falling and self._target() > self._motion.output

    def follow(self, setpoint_permille: int) -> None:
        """Take a setpoint: it counts from the next millisecond on, and is ignored in a fall."""
        if not self.is_falling and setpoint_permille * 1000 != self._setpoint:
            self._setpoint = setpoint_permille * 1000
            self._step_ms = 0

    def fall(self, rate_permille_s: int) -> None:
        """Forget the setpoint and fall to 0; a fall in progress only ever gets faster."""
        self._setpoint = 0
        if self._motion.output:
            self._fall_rate = max(self._fall_rate, rate_permille_s)
        self._step_ms = 0

    def cut(self) -> None:
        """Output 0 at once, in this instant."""
        self._setpoint = 0
        self._drive(Motion(0, self._gentlest, 0))

    def start_over(self, rate_permille_s: int) -> None:
        """Fall as in `fall`, and whatever was earned counts no more: somebody else asks now."""
        self.fall(rate_permille_s)
        self._drive(Motion(self._motion.output, self._gentlest, 0))

    def advance(self, ms: int) -> None:
        """Let `ms` milliseconds pass."""
        while ms > 0:
            ms -= self._advance_piece(ms, to_change=False)

    def advance_to_change(self, ms: int) -> int:
        """Let at most `ms` (≥ 1) pass, ending where `output_permille` changes; returns how many."""
        before = self.output_permille
        passed = 0
        while passed < ms and self.output_permille == before:
            passed += self._advance_piece(ms - passed, to_change=True)
        return passed

    def ms_to_zero(self) -> int:
        """How long a fall still takes. Needs `is_falling`."""
        return (self._motion.output - self._gentlest) // self._fall_rate + 1

    def _drive(self, motion: Motion) -> None:
        """The one assignment of the motor's output."""
        if motion.output == 0:
            motion = Motion(0, self._gentlest, 0)
            self._fall_rate = self._step_ms = 0
        self._motion = motion

    def _target(self) -> int:
        return self._setpoint if self._setpoint >= self._gentlest else 0

    def _next(self) -> Motion:
        """The definition: the state one millisecond later."""
        output, ceiling, below_ms = self._motion
        target = self._target()
        if output == 0:
            ceiling, below_ms = self._gentlest, 0
        elif target >= ceiling:
            ceiling, below_ms = min(target, ceiling + CEILING_RISE_PERMILLE_S), 0
        else:
            below_ms += 1
            if below_ms > CEILING_HOLD_MS:
                ceiling = max(target, ceiling - CEILING_SINK_PERMILLE_S, self._gentlest)
        return Motion(self._next_output(target, ceiling), ceiling, below_ms)

    def _next_output(self, target: int, ceiling: int) -> int:
        output = self._motion.output
        if self._fall_rate:
            output -= self._fall_rate
            return output if output >= self._gentlest else 0
        allowed = min(target, ceiling)
        if allowed and output == 0:
            return self._gentlest
        return min(allowed, output + GATE_RISE_PERMILLE_S)

    def _advance_piece(self, ms: int, *, to_change: bool) -> int:
        """Let some of `ms` pass, at most to the next change of a whole ‰; returns how many."""
        if self._step_ms == 0:
            self._look_ahead()
        step, now = self._step, self._motion
        count = min(ms, self._step_ms)
        if to_change and step.output:
            count = min(count, _steps_to_change(now.output, step.output))
        self._step_ms -= count
        if step != _STILL:
            self._drive(
                Motion(
                    now.output + count * step.output,
                    now.ceiling + count * step.ceiling,
                    now.below_ms + count * step.below_ms,
                )
            )
        return count

    def _look_ahead(self) -> None:
        now, following = self._motion, self._next()
        self._step = Motion(
            following.output - now.output,
            following.ceiling - now.ceiling,
            following.below_ms - now.below_ms,
        )
        self._step_ms = max(1, self._repeats(self._step))

    def _repeats(self, step: Motion) -> int:
        """For how many milliseconds `step`, the next one, surely repeats.

        Too few is exact still, so a limit that moves along is taken where it stands.
        """
        return min(self._output_repeats(step), self._ceiling_repeats(step))

    def _output_repeats(self, step: Motion) -> int:
        now = self._motion
        if step.output == 0:
            return _FOREVER
        if step.output == GATE_RISE_PERMILLE_S:
            return (min(self._target(), now.ceiling) - now.output) // GATE_RISE_PERMILLE_S
        if step.output == step.ceiling:
            return _FOREVER  # along the ceiling, which has an end of its own
        if step.output == -self._fall_rate:
            return (now.output - self._gentlest) // self._fall_rate
        return 1

    def _ceiling_repeats(self, step: Motion) -> int:
        now, target = self._motion, self._target()
        if step.below_ms not in (0, 1):
            return 1
        if step.ceiling == 0:
            held = step.below_ms == 1 and now.below_ms < CEILING_HOLD_MS
            return CEILING_HOLD_MS - now.below_ms if held else _FOREVER
        if step.ceiling == CEILING_RISE_PERMILLE_S:
            return (target - now.ceiling) // CEILING_RISE_PERMILLE_S
        return (now.ceiling - max(target, self._gentlest)) // CEILING_SINK_PERMILLE_S


def _steps_to_change(output: int, step: int) -> int:
    """How many steps until the whole ‰ of `output` is another."""
    if step > 0:
        return -(-(1000 - output % 1000) // step)
    return output % 1000 // -step + 1
