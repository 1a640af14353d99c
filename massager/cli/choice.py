"""The arguments by which a person chooses a session: `start` and `plan` share them.

Every value is checked against its range while it is parsed. Loads nothing until a choice is asked
for, so that `massager --help` and a stop stay quick.
"""

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING, Final

from massager import limits
from massager.errors import UsageError

if TYPE_CHECKING:
    from massager.plan import Choice

SHAPES: Final = ("linear", "hold")
_MINUTES: Final = limits.MASSAGE_DEFAULT_MS / 60_000
_WARMUP_S: Final = limits.WARMUP_DEFAULT_MS / 1000


def add_choice_arguments(parser: ArgumentParser) -> None:
    """--intensity, --minutes, --warmup, --shape, --program. Parsing raises UsageError."""
    parser.add_argument(
        "--intensity",
        metavar="N",
        type=_whole("--intensity", limits.INTENSITY_MIN, limits.INTENSITY_MAX),
        help=f"{limits.INTENSITY_MIN} to {limits.INTENSITY_MAX} "
        f"(default: {limits.INTENSITY_DEFAULT})",
    )
    low, high = limits.MASSAGE_MIN_MS // 60_000, limits.MASSAGE_MAX_MS // 60_000
    parser.add_argument(
        "--minutes",
        metavar="M",
        type=_number("--minutes", low, high),
        help=f"of massage, {low} to {high} (default: {_MINUTES:g})",
    )
    low, high = limits.WARMUP_MIN_MS // 1000, limits.WARMUP_MAX_MS // 1000
    parser.add_argument(
        "--warmup",
        metavar="S",
        type=_number("--warmup", low, high),
        help=f"seconds of warm-up, {low} to {high} (default: {_WARMUP_S:g})",
    )
    parser.add_argument(
        "--shape",
        metavar="SHAPE",
        type=_shape,
        help="the warm-up: linear (rises all the time, the default) or hold (stays at the "
        "gentlest, then rises)",
    )
    parser.add_argument(
        "--program",
        metavar="NAME",
        help=f"a program's name or file (default: {limits.PROGRAM_DEFAULT}; "
        "see: massager programs)",
    )


def choice_from(args: Namespace) -> "Choice":
    """The choice in the parsed arguments, with a default for each that is None.

    `args.programs_dir`, where the shell sets it, is the folder of a person's own programs.
    UsageError for an unknown program, ConfigError for a file that cannot be used.
    """
    from massager.plan import Choice, Shape
    from massager.programs import load_program

    return Choice(
        intensity=args.intensity or limits.INTENSITY_DEFAULT,
        massage_ms=round((args.minutes or _MINUTES) * 60_000),
        warmup_ms=round((args.warmup or _WARMUP_S) * 1000),
        shape=Shape(args.shape or SHAPES[0]),
        program=load_program(
            args.program or limits.PROGRAM_DEFAULT, getattr(args, "programs_dir", None)
        ),
    )


def _whole(flag: str, low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise UsageError(f"{flag} is a whole number from {low} to {high}, not {text[:40]!r}")
        return int(text)

    return parse


def _number(flag: str, low: int, high: int) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not isfinite(value) or not low <= value <= high:
            raise UsageError(f"{flag} is a number from {low} to {high}, not {text[:40]!r}")
        return value

    return parse


def _shape(text: str) -> str:
    if text not in SHAPES:
        raise UsageError(f"--shape is {' or '.join(SHAPES)}, not {text[:40]!r}")
    return text
