"""The plan of a session: which level at which moment. Pure: it is told the elapsed time.

A plan is a row of segments: a ramp, a hold or a pattern, each with its phase and its length. All
times are integer milliseconds, all levels integer ‰ of the device's range. Every plan keeps four
promises: it begins at the gentlest level when the motor is off; it never asks for more than the
chosen intensity; it never asks for a level below the gentlest other than 0; and it rises to a new
strength no faster than the gentle rate. A pattern's swings are not a new strength: they return to
one that has been reached before.
"""

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from massager import limits
from massager.errors import UsageError
from massager.programs.program import Program


class Phase(StrEnum):
    """What the person is told the session is doing."""

    WARM_UP = "warm-up"
    MASSAGE = "massage"
    SOFT_END = "soft-end"


class Shape(StrEnum):
    """How the warm-up rises."""

    LINEAR = "linear"  # from the gentlest to the target over the whole warm-up
    HOLD = "hold"  # the gentlest for the whole warm-up, then a rise at the gentle rate


@dataclass(frozen=True, slots=True)
class Levels:
    """The lowest level that turns the motor and the highest, in ‰, as the device told them."""

    gentlest_permille: int
    max_permille: int

    def __post_init__(self) -> None:
        if not 1 <= self.gentlest_permille < self.max_permille <= 1000:
            raise ValueError(
                f"levels must be 1 <= gentlest < max <= 1000 ‰, "
                f"not {self.gentlest_permille} and {self.max_permille}"
            )

    @property
    def span_permille(self) -> int:
        """From the gentlest to the highest level."""
        return self.max_permille - self.gentlest_permille


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person chose. Raises UsageError, with the range, for anything outside it."""

    intensity: int
    massage_ms: int
    warmup_ms: int
    shape: Shape
    program: Program

    def __post_init__(self) -> None:
        _check_intensity(self.intensity)
        _check_time("massage", self.massage_ms, limits.MASSAGE_MIN_MS, limits.MASSAGE_MAX_MS)
        _check_time("warm-up", self.warmup_ms, limits.WARMUP_MIN_MS, limits.WARMUP_MAX_MS)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a session has come. Paused time counts as neither."""

    warmup_left_ms: int
    massage_left_ms: int
    massage_done_ms: int

    def __post_init__(self) -> None:
        if min(self.warmup_left_ms, self.massage_left_ms, self.massage_done_ms) < 0:
            raise ValueError(f"times of a session's progress must be 0 or more: {self}")
        if self.massage_total_ms > limits.MASSAGE_MAX_MS:
            raise ValueError(f"a massage takes at most {limits.MASSAGE_MAX_MS} ms: {self}")

    @property
    def massage_total_ms(self) -> int:
        """The length of the whole massage phase."""
        return self.massage_done_ms + self.massage_left_ms


@dataclass(frozen=True, slots=True)
class Setpoint:
    """What to ask for at one moment.

    `level_permille` is with the pattern. `target_permille` is without it, the pattern's peak: the
    level to send instead while the device's ceiling is still below it. It is never the smaller one.
    """

    level_permille: int
    target_permille: int
    phase: Phase
    moving_pattern: bool


_OFF: Final = Setpoint(0, 0, Phase.SOFT_END, False)


@dataclass(frozen=True, slots=True)
class Ramp:
    """A straight line from one level to another."""

    phase: Phase
    duration_ms: int
    from_permille: int
    to_permille: int

    def setpoint_at(self, elapsed_ms: int) -> Setpoint:
        """`elapsed_ms` is 0 … duration, counted in this segment; rounded down."""
        rise = (self.to_permille - self.from_permille) * elapsed_ms // self.duration_ms
        level = self.from_permille + rise
        return Setpoint(level, level, self.phase, False)


@dataclass(frozen=True, slots=True)
class Hold:
    """One level."""

    phase: Phase
    duration_ms: int
    permille: int

    def setpoint_at(self, elapsed_ms: int) -> Setpoint:
        """The same at any time."""
        return Setpoint(self.permille, self.permille, self.phase, False)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A program's pattern between the gentlest level and the target."""

    duration_ms: int
    gentlest_permille: int
    target_permille: int
    program: Program
    massage_from_ms: int  # massage time at the segment's start: a final fall goes by it
    massage_total_ms: int
    cycle_from_ms: int = 0  # 0: it begins with the cycle's start

    phase: Phase = field(default=Phase.MASSAGE, init=False)

    def setpoint_at(self, elapsed_ms: int) -> Setpoint:
        """`elapsed_ms` is 0 … duration, counted in this segment; rounded to the nearest ‰."""
        program, floor = self.program, self.gentlest_permille
        fall = program.fall_at(self.massage_from_ms + elapsed_ms, self.massage_total_ms)
        span = fall * (self.target_permille - floor)
        fraction = program.shape.fraction_at(self.cycle_from_ms + elapsed_ms)
        return Setpoint(
            floor + int(fraction * span + 0.5),
            floor + int(program.peak * span + 0.5),
            Phase.MASSAGE,
            program.moves,
        )


Segment = Ramp | Hold | Pattern


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """Segments one after the other; at `duration_ms` the level is 0."""

    segments: tuple[Segment, ...]
    choice: Choice
    levels: Levels
    massage_done_ms: int  # massage time that lies before this plan
    duration_ms: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "duration_ms", sum(part.duration_ms for part in self.segments))


def level_of(intensity: int, levels: Levels) -> int:
    """The level in ‰ of an intensity 1…10, to the nearest; UsageError outside."""
    _check_intensity(intensity)
    steps = limits.INTENSITY_MAX - limits.INTENSITY_MIN
    rise = (2 * (intensity - limits.INTENSITY_MIN) * levels.span_permille + steps) // (2 * steps)
    return levels.gentlest_permille + rise


def gentle_rate_permille_s(levels: Levels) -> float:
    """The rate in ‰/s at which a session rises to a new strength: never faster."""
    rate = levels.span_permille * 1000 / limits.GENTLE_RISE_MS
    return min(rate, float(limits.GENTLE_RATE_MAX_PERMILLE_S))


def plan_session(choice: Choice, levels: Levels) -> SessionPlan:
    """A whole session, from off: warm-up, massage, soft end."""
    progress = Progress(choice.warmup_ms, choice.massage_ms, 0)
    return continue_session(choice, levels, progress, 0)


def continue_session(
    choice: Choice, levels: Levels, progress: Progress, from_permille: int
) -> SessionPlan:
    """The rest of a session: after a pause, a change of intensity or an extension.

    `from_permille` is the setpoint now; 0 (and anything below the gentlest) means: from the
    gentlest. What is left of warm-up and massage is spent in full; a rise counts as warm-up
    while that lasts, then as massage. ValueError when `from_permille` is outside 0 … max.
    """
    if not 0 <= from_permille <= levels.max_permille:
        raise ValueError(f"a plan goes on from 0 … {levels.max_permille} ‰, not {from_permille}")
    start = max(from_permille, levels.gentlest_permille)
    segments = _warm_up(choice, levels, progress.warmup_left_ms, start)
    segments += _massage(choice, levels, progress, _end_of(segments, start))
    segments += _soft_end(choice, levels, _end_of(segments, start))
    return SessionPlan(tuple(segments), choice, levels, progress.massage_done_ms)


def extend_session(plan: SessionPlan, elapsed_ms: int, more_ms: int) -> SessionPlan:
    """The rest of the plan after `elapsed_ms`, with `more_ms` more massage.

    A pattern keeps its step. UsageError, with the range, beyond the longest massage.
    """
    now = progress_at(plan, elapsed_ms)
    left_ms = now.massage_left_ms + more_ms
    choice = replace(plan.choice, massage_ms=now.massage_done_ms + left_ms)
    progress = replace(now, massage_left_ms=left_ms)
    segment, inside_ms = _segment_at(plan, elapsed_ms)
    if not isinstance(segment, Pattern) or segment.program.final_fall is not None:
        level = setpoint_at(plan, elapsed_ms).level_permille
        return continue_session(choice, plan.levels, progress, level)
    longer = replace(
        segment,
        duration_ms=left_ms,
        massage_from_ms=now.massage_done_ms,
        massage_total_ms=choice.massage_ms,
        cycle_from_ms=segment.cycle_from_ms + inside_ms,
    )
    end = _soft_end(choice, plan.levels, longer.setpoint_at(left_ms).level_permille)
    return SessionPlan((longer, *end), choice, plan.levels, now.massage_done_ms)


def end_now(
    plan: SessionPlan, from_permille: int, left_ms: int = limits.SOFT_END_MS
) -> SessionPlan:
    """Only the soft end, or its last `left_ms`, from the setpoint now; from 0 it is over at once.

    Take `progress_at` from the old plan first: this one holds no massage any more.
    """
    if from_permille == 0:
        return replace(plan, segments=())
    if not plan.levels.gentlest_permille <= from_permille <= plan.levels.max_permille:
        raise ValueError(f"a soft end begins at a level that turns the motor, not {from_permille}")
    return replace(plan, segments=_soft_end(plan.choice, plan.levels, from_permille, left_ms))


def setpoint_at(plan: SessionPlan, elapsed_ms: int) -> Setpoint:
    """What to ask for `elapsed_ms` after the plan's start, cut to 0 … duration; 0 ‰ at its end."""
    segment, inside_ms = _segment_at(plan, elapsed_ms)
    return _OFF if segment is None else segment.setpoint_at(inside_ms)


def progress_at(plan: SessionPlan, elapsed_ms: int) -> Progress:
    """What is left and what is done `elapsed_ms` after the plan's start, cut to 0 … duration."""
    left = {Phase.WARM_UP: 0, Phase.MASSAGE: 0, Phase.SOFT_END: 0}
    done_ms = plan.massage_done_ms
    ahead_ms = max(elapsed_ms, 0)
    for segment in plan.segments:
        spent_ms = min(ahead_ms, segment.duration_ms)
        ahead_ms -= spent_ms
        left[segment.phase] += segment.duration_ms - spent_ms
        if segment.phase is Phase.MASSAGE:
            done_ms += spent_ms
    return Progress(left[Phase.WARM_UP], left[Phase.MASSAGE], done_ms)


# --- the parts of a plan -----------------------------------------------------------------


def _warm_up(choice: Choice, levels: Levels, left_ms: int, start: int) -> list[Segment]:
    if left_ms == 0:
        return []
    if choice.shape is Shape.HOLD:
        goal = levels.gentlest_permille
    else:
        goal = level_of(choice.intensity, levels)
    if start < goal:
        move_ms = max(_gentle_ms(goal - start, levels), left_ms)
    else:
        move_ms = _lowering_ms(start - goal)
    return _approach(Phase.WARM_UP, start, goal, move_ms, left_ms)


def _massage(choice: Choice, levels: Levels, progress: Progress, start: int) -> list[Segment]:
    done_ms, total_ms = progress.massage_done_ms, progress.massage_total_ms
    if done_ms == total_ms:
        return []
    target, program = level_of(choice.intensity, levels), choice.program
    whole = Pattern(total_ms, levels.gentlest_permille, target, program, 0, total_ms)

    def peak_at(massage_ms: int) -> int:
        return whole.setpoint_at(massage_ms).target_permille

    def reached_by(massage_ms: int) -> bool:
        rise = max(peak_at(massage_ms) - start, 0)
        return done_ms + _gentle_ms(rise, levels) <= massage_ms

    if start > peak_at(done_ms):
        joined_ms = min(done_ms + _lowering_ms(start - peak_at(done_ms)), total_ms)
    else:  # the peak only ever falls, a rise only ever rises: they meet once
        moments = range(done_ms, total_ms)
        joined_ms = done_ms + bisect_left(moments, True, key=reached_by)
    if joined_ms == total_ms:
        goal = peak_at(done_ms)
        move_ms = max(_gentle_ms(goal - start, levels), _lowering_ms(start - goal))
        return _approach(Phase.MASSAGE, start, goal, move_ms, total_ms - done_ms)
    segments: list[Segment] = []
    if joined_ms > done_ms:
        segments = _approach(
            Phase.MASSAGE, start, peak_at(joined_ms), joined_ms - done_ms, joined_ms - done_ms
        )
    rest_ms = total_ms - joined_ms
    if program.moves or program.final_fall is not None:
        pattern = replace(whole, duration_ms=rest_ms, massage_from_ms=joined_ms)
        return [*segments, pattern]
    return [*segments, Hold(Phase.MASSAGE, rest_ms, peak_at(joined_ms))]


def _soft_end(
    choice: Choice, levels: Levels, start: int, left_ms: int = limits.SOFT_END_MS
) -> tuple[Segment, ...]:
    """What is above the chosen intensity, because that was just lowered, goes first and quickly."""
    begin = min(start, level_of(choice.intensity, levels))
    lower_ms = min(_lowering_ms(start - begin), left_ms)
    lower = [Ramp(Phase.SOFT_END, lower_ms, start, begin)] if lower_ms else []
    rest_ms = left_ms - lower_ms
    return (*lower, *_approach(Phase.SOFT_END, begin, levels.gentlest_permille, rest_ms, rest_ms))


def _approach(phase: Phase, start: int, goal: int, move_ms: int, budget_ms: int) -> list[Segment]:
    """From `start` to `goal` in `move_ms`, then stay; cut at `budget_ms`, so maybe short of it."""
    if start == goal:
        return [Hold(phase, budget_ms, goal)]
    if move_ms < budget_ms:
        return [Ramp(phase, move_ms, start, goal), Hold(phase, budget_ms - move_ms, goal)]
    reached = start + (goal - start) * budget_ms // move_ms
    return [Ramp(phase, budget_ms, start, reached)]


def _end_of(segments: list[Segment], otherwise: int) -> int:
    if not segments:
        return otherwise
    return segments[-1].setpoint_at(segments[-1].duration_ms).level_permille


def _segment_at(plan: SessionPlan, elapsed_ms: int) -> tuple[Segment | None, int]:
    """The segment at a moment and the time inside it; None after the end."""
    inside_ms = max(elapsed_ms, 0)
    for segment in plan.segments:
        if inside_ms < segment.duration_ms:
            return segment, inside_ms
        inside_ms -= segment.duration_ms
    return None, 0


def _gentle_ms(rise_permille: int, levels: Levels) -> int:
    """The shortest time for a rise at the gentle rate, rounded up.

    The rate's cap of 20 ‰/s needs no code here: the widest range, 999 ‰, in 60 s is 16.65 ‰/s.
    """
    return -(-rise_permille * limits.GENTLE_RISE_MS // levels.span_permille)


def _lowering_ms(fall_permille: int) -> int:
    return fall_permille * limits.LOWER_MS_PER_PERMILLE


def _check_intensity(intensity: int) -> None:
    if intensity not in range(limits.INTENSITY_MIN, limits.INTENSITY_MAX + 1):
        raise UsageError(
            f"intensity is a whole number from {limits.INTENSITY_MIN} to {limits.INTENSITY_MAX}, "
            f"not {intensity}"
        )


def _check_time(name: str, value_ms: int, min_ms: int, max_ms: int) -> None:
    if not min_ms <= value_ms <= max_ms:
        raise UsageError(
            f"{name} is {min_ms // 1000} to {max_ms // 1000} s "
            f"({min_ms / 60_000:g} to {max_ms / 60_000:g} min), not {value_ms / 1000:g} s"
        )
