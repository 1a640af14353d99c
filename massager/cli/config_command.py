"""`massager config`: which settings hold and where each comes from; where the file is; is it good."""

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import Final

from massager.errors import UsageError

ACTIONS: Final = ("show", "path", "check")


def add_arguments(parser: ArgumentParser) -> None:
    """`[show|path|check] [--json]`."""
    parser.add_argument(
        "action",
        nargs="?",
        metavar="|".join(ACTIONS),
        type=_action,
        default="show",
        help="show every value and its source (default), print the file's path, or check the file "
        "and the programs",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _action(text: str) -> str:
    if text not in ACTIONS:
        raise UsageError(f"write: massager config {'|'.join(ACTIONS)}, not {text[:40]!r}")
    return text
