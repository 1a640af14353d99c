"""What a program file may say. Pure: a parsed table in, a Program or a RuleBroken out.

A file has a `description`, a `pattern` and that pattern's keys; percents are of the chosen
intensity, times are seconds:

    pattern = "steady"    nothing more
    pattern = "sine"      high_percent, low_percent, period_s
    pattern = "steps"     [[step]] tables of percent, hold_s, ramp_s: stays at `percent` for
                          `hold_s`, then moves in `ramp_s` to the next step, after the last to
                          the first
    final_fall_from       optional, "2/3": from there a straight fall to the gentlest
"""

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from math import pi
from operator import itemgetter
from typing import Final

from massager import limits
from massager.programs.program import (
    CREST,
    FinalFall,
    Program,
    Shape,
    Sine,
    Steady,
    Step,
    Steps,
)

Table = Mapping[str, object]
Place = tuple[str | int, ...]  # ("period_s",) or ("step", 1, "hold_s")

DESCRIPTION_MAX: Final = 160  # one line on most screens, one sentence
STEPS_MAX: Final = 50
STEP_MAX_S: Final = 600  # the longest massage

_SHARED: Final = ("description", "pattern")
_KEYS: Final = {
    "steady": (),
    "sine": ("high_percent", "low_percent", "period_s"),
    "steps": ("step",),
}
_OPTIONAL: Final = ("final_fall_from",)
_STEP_KEYS: Final = ("percent", "hold_s", "ramp_s")


class RuleBroken(Exception):
    """A table that is no program: where, and the sentence for the person."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.place = place
        self.text = text


def program_from(name: str, table: Table) -> Program:
    """The program in a parsed file. Raises RuleBroken for the first rule that is broken."""
    pattern = table.get("pattern")
    if "pattern" not in table:
        raise RuleBroken((), f"'pattern' is missing; it is {_listed(_KEYS)}")
    if not isinstance(pattern, str) or pattern not in _KEYS:
        raise RuleBroken(("pattern",), f"pattern is {_listed(_KEYS)}, not {_shown(pattern)}")
    _check_keys(table, (*_SHARED, *_KEYS[pattern]), _OPTIONAL, ())
    description = _description(table["description"])
    shape = _shape(pattern, table)
    return Program(name, description, shape, _final_fall(table))


def nearest(word: str, words: Iterable[str]) -> str:
    """The word of `words` (not empty) that is most like `word`."""
    from difflib import get_close_matches

    return get_close_matches(word[:80], list(words), n=1, cutoff=0.0)[0]


def _shape(pattern: str, table: Table) -> Shape:
    if pattern == "sine":
        return _sine(table)
    if pattern == "steps":
        return _steps(table["step"])
    return Steady()


def _sine(table: Table) -> Sine:
    high = _number(table, "high_percent", 0, 100)
    low = _number(table, "low_percent", 0, 100)
    period_s = _number(table, "period_s", 0, STEP_MAX_S)
    if low > high:
        raise RuleBroken(("low_percent",), f"low_percent is {low:g}, above high_percent, {high:g}")
    cycle_ms = round(period_s * 1000)
    _check_cycle(cycle_ms, ("period_s",))
    if cycle_ms > limits.PATTERN_BELOW_PEAK_MAX_MS:
        raise RuleBroken(("period_s",), _below_peak_text(cycle_ms))
    _check_rise(pi * (high - low) * 10 / (cycle_ms / 1000) / CREST, ("period_s",))
    return Sine(high / 100, low / 100, cycle_ms)


def _steps(tables: object) -> Steps:
    if not isinstance(tables, list) or not 1 <= len(tables) <= STEPS_MAX:
        raise RuleBroken(("step",), f"step is 1 to {STEPS_MAX} tables, each headed [[step]]")
    steps = tuple(_step(table, index) for index, table in enumerate(tables))
    for index, (step, following) in enumerate(zip(steps, (*steps[1:], steps[0]), strict=True)):
        rise = (following.fraction - step.fraction) * 1000
        if rise > 0:
            rate = rise * 1000 / step.ramp_ms if step.ramp_ms else float("inf")
            _check_rise(rate, ("step", index, "ramp_s"))
    _check_cycle(sum(step.hold_ms + step.ramp_ms for step in steps), ("step",))
    shape = Steps(steps)
    below_ms = _longest_below_peak_ms(shape)
    if below_ms is None:
        raise RuleBroken(
            ("step",),
            f"its peak, {shape.peak:.0%}, is never held for {limits.PATTERN_PEAK_MIN_MS / 1000:g} s"
            ", so no setpoint would reach it",
        )
    if below_ms > limits.PATTERN_BELOW_PEAK_MAX_MS:
        raise RuleBroken(("step",), _below_peak_text(below_ms))
    return shape


def _step(table: object, index: int) -> Step:
    place: Place = ("step", index)
    if not isinstance(table, dict):
        raise RuleBroken(place, "a step is a table of percent, hold_s and ramp_s")
    _check_keys(table, _STEP_KEYS, (), place)
    percent = _number(table, "percent", 0, 100, place)
    hold_s = _number(table, "hold_s", 0, STEP_MAX_S, place)
    ramp_s = _number(table, "ramp_s", 0, STEP_MAX_S, place)
    return Step(percent / 100, round(hold_s * 1000), round(ramp_s * 1000))


def _longest_below_peak_ms(shape: Steps) -> int | None:
    """The longest stretch between two visits to the peak; None without a visit long enough."""
    pieces: list[tuple[bool, int]] = []
    for step, following in zip(shape.steps, (*shape.steps[1:], shape.steps[0]), strict=True):
        at_peak = step.fraction == shape.peak
        pieces.append((at_peak, step.hold_ms))
        pieces.append((at_peak and following.fraction == shape.peak, step.ramp_ms))
    pieces = [(at_peak, ms) for at_peak, ms in pieces if ms]
    if all(at_peak for at_peak, _ in pieces):
        return 0
    arrivals = [n for n, (at_peak, _) in enumerate(pieces) if at_peak and not pieces[n - 1][0]]
    first = arrivals[0] if arrivals else 0
    cycle = _runs(pieces[first:] + pieces[:first])
    visits = [(at_peak and ms >= limits.PATTERN_PEAK_MIN_MS, ms) for at_peak, ms in cycle]
    if not any(visit for visit, _ in visits):
        return None
    twice = _runs(visits * 2)  # a stretch may run over the cycle's end
    return max(ms for visit, ms in twice if not visit)


def _runs(pieces: list[tuple[bool, int]]) -> list[tuple[bool, int]]:
    """Neighbours of the same kind joined into one."""
    joined = groupby(pieces, key=itemgetter(0))
    return [(kind, sum(ms for _, ms in run)) for kind, run in joined]


def _final_fall(table: Table) -> FinalFall | None:
    if "final_fall_from" not in table:
        return None
    value = table["final_fall_from"]
    parts = re.fullmatch(r"([0-9]{1,3})/([0-9]{1,3})", value) if isinstance(value, str) else None
    if parts is None or not 0 < int(parts[1]) < int(parts[2]):
        raise RuleBroken(
            ("final_fall_from",),
            f'final_fall_from is a part of the massage such as "2/3", not {_shown(value)}',
        )
    return FinalFall(int(parts[1]), int(parts[2]))


def _description(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or not value.strip():
        raise RuleBroken(("description",), "description is one sentence on one line")
    if len(value) > DESCRIPTION_MAX:
        raise RuleBroken(
            ("description",),
            f"description is at most {DESCRIPTION_MAX} characters long, not {len(value)}",
        )
    return value


def _check_keys(
    table: Table, required: tuple[str, ...], optional: tuple[str, ...], place: Place
) -> None:
    known = (*required, *optional)
    for key in table:
        if key not in known:
            raise RuleBroken(
                (*place, key), f"unknown key {_shown(key)}; the nearest is '{nearest(key, known)}'"
            )
    for key in required:
        if key not in table:
            raise RuleBroken(place, f"'{key}' is missing")


def _number(table: Table, key: str, low: int, high: int, place: Place = ()) -> float:
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise RuleBroken(
            (*place, key), f"{key} is a number from {low} to {high}, not {_shown(value)}"
        )
    return float(value)


def _check_cycle(cycle_ms: int, place: Place) -> None:
    least_ms = limits.PATTERN_CYCLE_MIN_MS
    if cycle_ms < least_ms:
        raise RuleBroken(
            place,
            f"a cycle lasts {cycle_ms / 1000:g} s; it must last {least_ms / 1000:g} s or more",
        )


def _check_rise(permille_s: float, place: Place) -> None:
    if permille_s > limits.PATTERN_RISE_MAX_PERMILLE_S + 1e-6:  # 1e-6: 0.8 · 1000 / 1.6 in floats
        moves = "at once" if permille_s == float("inf") else f"at up to {permille_s:.0f} ‰/s"
        raise RuleBroken(
            place,
            f"rises {moves} at the full range; the motor gate allows "
            f"{limits.PATTERN_RISE_MAX_PERMILLE_S} ‰/s",
        )


def _below_peak_text(below_ms: int) -> str:
    return (
        f"stays below its peak for {below_ms / 1000:g} s at a stretch; at most "
        f"{limits.PATTERN_BELOW_PEAK_MAX_MS // 1000} s, or the device's ceiling sinks"
    )


def _listed(words: Iterable[str]) -> str:
    return "one of " + ", ".join(f"'{word}'" for word in words)


def _shown(value: object) -> str:
    """A value from a stranger's file in a message: short, on one line, printable."""
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a huge number"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
