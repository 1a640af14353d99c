"""`massager plan`: a session in plain words and as a curve. Opens nothing and sends nothing."""

import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from massager.cli.choice import add_choice_arguments, choice_from
from massager.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from massager.plan import Levels, Segment, SessionPlan

EXAMPLE_LEVELS: Final = "150:1000"  # a common motor: it turns from 15 % on

_SAMPLE_MS: Final = 100  # as often as setpoints are sent while a pattern moves
_JSON_SAMPLE_MS: Final = 1_000


def add_arguments(parser: ArgumentParser) -> None:
    """The choice of a session, the example device, `--json`."""
    add_choice_arguments(parser)
    parser.add_argument(
        "--levels",
        metavar="G:M",
        default=EXAMPLE_LEVELS,
        help="the device's gentlest and highest level in ‰ (example device: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run_plan(args: Namespace) -> int:
    """Prints the plan of `args`; UsageError or ConfigError for a choice that cannot be."""
    from massager.cli.drawing import draws_blocks, terminal_width
    from massager.plan import plan_session

    plan = plan_session(choice_from(args), _levels(args.levels))
    if args.json:
        sys.stdout.write(_as_json(plan) + "\n")
        return ExitCode.OK
    blocks = draws_blocks(sys.stdout)
    sys.stdout.write("\n".join(_in_words(plan, terminal_width(), blocks)) + "\n")
    return ExitCode.OK


def _levels(text: str) -> "Levels":
    from massager.plan import Levels

    parts = re.fullmatch(r"([0-9]{1,4}):([0-9]{1,4})", text)
    try:
        if parts is None:
            raise ValueError
        return Levels(int(parts[1]), int(parts[2]))
    except ValueError:
        raise UsageError(
            f"--levels is G:M in ‰ with 1 <= G < M <= 1000, such as {EXAMPLE_LEVELS}, "
            f"not {text[:40]!r}"
        ) from None


def _in_words(plan: "SessionPlan", width: int, blocks: bool) -> Iterator[str]:
    from massager.cli.drawing import clock, draw_curve, wrapped

    choice, levels = plan.choice, plan.levels
    yield from wrapped(
        f"Intensity {choice.intensity} of 10, program {choice.program.name}: "
        f"{choice.program.description}",
        width,
        blocks=blocks,
    )
    yield from wrapped(
        f"Levels for an example device that turns from {levels.gentlest_permille} to "
        f"{levels.max_permille} ‰ of its range (--levels G:M for another). Nothing is sent.",
        width,
        blocks=blocks,
    )
    yield ""
    for start_ms, segment in _timed(plan):
        seconds = segment.duration_ms / 1000
        lasts = clock(seconds) if seconds >= 1 else f"{seconds:.1f} s"
        row = f"{clock(start_ms / 1000):>5}  {segment.phase.value:<8}  {lasts:>5}  "
        yield from wrapped(row + _describe(segment), width, indent=len(row), blocks=blocks)
    yield f"{clock(plan.duration_ms / 1000):>5}  off"
    yield ""
    yield from draw_curve(
        _curve(plan, _SAMPLE_MS), width=width, top=levels.max_permille, blocks=blocks
    )


def _timed(plan: "SessionPlan") -> Iterator[tuple[int, "Segment"]]:
    start_ms = 0
    for segment in plan.segments:
        yield start_ms, segment
        start_ms += segment.duration_ms


def _describe(segment: "Segment") -> str:
    from massager.cli.drawing import clock
    from massager.plan import Hold, Phase, Ramp

    then_off = ", then off" if segment.phase is Phase.SOFT_END else ""
    match segment:
        case Hold(permille=level):
            return f"stays at {level} ‰{then_off}"
        case Ramp(from_permille=start, to_permille=end):
            moves = "rises" if end > start else "falls"
            return f"{moves} from {start} to {end} ‰{then_off}"
        case pattern:
            program = pattern.program
            low, high = _bounds(segment)
            text = f"stays at {high} ‰"
            if program.moves:
                text = f"goes between {low} and {high} ‰ every {program.cycle_ms / 1000:g} s"
            if program.final_fall is None:
                return text
            start_ms = program.final_fall.start_ms(pattern.massage_total_ms)
            left_ms = min(pattern.massage_total_ms - start_ms, pattern.duration_ms)
            falls = f"falls to {pattern.gentlest_permille} ‰ in its last {clock(left_ms / 1000)}"
            return f"{text}, {falls}"


def _bounds(segment: "Segment") -> tuple[int, int]:
    """The lowest and the highest level of a segment, a final fall left out."""
    from massager.plan import Pattern

    if not isinstance(segment, Pattern):
        ends = (segment.setpoint_at(at).level_permille for at in (0, segment.duration_ms))
        low, high = sorted(ends)
        return low, high
    cycle_ms = min(segment.program.cycle_ms, segment.duration_ms)
    cycle = [segment.setpoint_at(at).level_permille for at in range(0, cycle_ms, 10)]
    return min(cycle), max(cycle)


def _curve(plan: "SessionPlan", sample_ms: int) -> list[tuple[float, float]]:
    from massager.plan import setpoint_at

    times = [*range(0, plan.duration_ms, sample_ms), plan.duration_ms]
    return [(at / 1000, float(setpoint_at(plan, at).level_permille)) for at in times]


def _as_json(plan: "SessionPlan") -> str:
    import json

    choice, levels = plan.choice, plan.levels
    phases = []
    for start_ms, segment in _timed(plan):
        low, high = _bounds(segment)
        phases.append(
            {
                "phase": segment.phase.value,
                "does": type(segment).__name__.lower(),
                "starts_ms": start_ms,
                "duration_ms": segment.duration_ms,
                "from_permille": segment.setpoint_at(0).level_permille,
                "to_permille": segment.setpoint_at(segment.duration_ms).level_permille,
                "lowest_permille": low,
                "highest_permille": high,
            }
        )
    return json.dumps(
        {
            "intensity": choice.intensity,
            "program": choice.program.name,
            "shape": choice.shape.value,
            "massage_ms": choice.massage_ms,
            "warmup_ms": choice.warmup_ms,
            "gentlest_permille": levels.gentlest_permille,
            "max_permille": levels.max_permille,
            "duration_ms": plan.duration_ms,
            "phases": phases,
            "curve_s_permille": [
                [round(at), round(level)] for at, level in _curve(plan, _JSON_SAMPLE_MS)
            ],
        },
        indent=2 if sys.stdout.isatty() else None,
    )
