"""`massager programs`: what patterns there are, and what each looks like."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from massager import limits
from massager.errors import ConfigError, ExitCode, UsageError

if TYPE_CHECKING:
    from massager.programs import Program

_SAMPLES: Final = 2_000  # enough for the widest terminal


def add_arguments(parser: ArgumentParser) -> None:
    """`[show NAME] [--json]`."""
    parser.add_argument("action", nargs="?", metavar="show", help="draw the program NAME")
    parser.add_argument("name", nargs="?", metavar="NAME", help="a program's name or file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run_programs(args: Namespace) -> int:
    """Prints all programs or one; UsageError or ConfigError for one that cannot be shown.

    `args.programs_dir`, where the shell sets it, is the folder of a person's own programs.
    """
    from massager.cli.drawing import draws_blocks

    own_dir: Path | None = getattr(args, "programs_dir", None)
    blocks = draws_blocks(sys.stdout)
    if args.action is None:
        lines = _json_list(own_dir) if args.json else _list(own_dir, blocks)
    elif args.action != "show" or args.name is None:
        name = args.name or (args.action if args.action != "show" else "NAME")
        raise UsageError(f"write: massager programs show {name}")
    else:
        from massager.programs import load_program

        program = load_program(args.name, own_dir)
        lines = _json_of(program) if args.json else _show(program, blocks)
    sys.stdout.write("\n".join(lines) + "\n")
    return ExitCode.OK


def _list(own_dir: Path | None, blocks: bool) -> Iterator[str]:
    from massager.cli.drawing import terminal_width, wrapped

    found = list(_all(own_dir))
    margin = max(len(name) for name, _, _ in found) + 2
    for name, description, error in found:
        text = f"{name:<{margin}}{description if error is None else f'cannot be used: {error}'}"
        yield from wrapped(text, terminal_width(), indent=margin, blocks=blocks)


def _json_list(own_dir: Path | None) -> Iterator[str]:
    import json

    yield json.dumps(
        [
            {"name": name, "description": description, "error": error}
            for name, description, error in _all(own_dir)
        ]
    )


def _all(own_dir: Path | None) -> Iterator[tuple[str, str | None, str | None]]:
    """Name, description and error of each: a broken file of one's own hides no other program."""
    from massager.programs import load_program, program_names

    for name in program_names(own_dir):
        try:
            yield name, load_program(name, own_dir).description, None
        except ConfigError as error:
            yield name, None, str(error)


def _show(program: "Program", blocks: bool) -> Iterator[str]:
    from massager.cli.drawing import clock, draw_curve, terminal_width, wrapped

    width = terminal_width()
    yield from wrapped(f"{program.name}: {program.description}", width, blocks=blocks)
    what, _ = _window(program)
    yield from wrapped(f"{what}, in percent of the chosen intensity:", width, blocks=blocks)
    yield ""
    yield from draw_curve(
        _curve(program),
        width=width,
        top=100,
        blocks=blocks,
        x_text=lambda seconds: f"{seconds:g} s" if seconds < 60 else clock(seconds),
    )


def _window(program: "Program") -> tuple[str, int]:
    """What to draw, in words, and its length in ms: two cycles, or a massage with its fall."""
    if program.final_fall is not None:
        minutes = limits.MASSAGE_DEFAULT_MS // 60_000
        return f"A massage of {minutes} min", limits.MASSAGE_DEFAULT_MS
    if not program.moves:
        return "Any stretch of it", 2 * program.cycle_ms
    return f"Two cycles of {program.cycle_ms / 1000:g} s", 2 * program.cycle_ms


def _curve(program: "Program") -> list[tuple[float, float]]:
    _, window_ms = _window(program)
    times = (window_ms * sample // _SAMPLES for sample in range(_SAMPLES + 1))
    total_ms = limits.MASSAGE_DEFAULT_MS
    return [(at / 1000, 100 * program.fraction_at(at, total_ms)) for at in times]


def _json_of(program: "Program") -> Iterator[str]:
    import json

    fall = program.final_fall
    yield json.dumps(
        {
            "name": program.name,
            "description": program.description,
            "peak_percent": round(100 * program.peak, 3),
            "cycle_ms": program.cycle_ms if program.moves else None,
            "final_fall_from": f"{fall.numerator}/{fall.denominator}" if fall else None,
            "curve_s_percent": [[at, round(percent, 1)] for at, percent in _curve(program)[::20]],
        }
    )
