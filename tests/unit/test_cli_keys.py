"""Keys from a terminal: what was pressed beside an arrow or a function key still counts."""

import os
import pty
from collections.abc import Iterator

import pytest

from massager.cli.keys import Keys


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends: where a person types, and where the program reads."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


@pytest.mark.parametrize(
    ("typed", "pressed"),
    [
        (b"\x1b[Ax", "x"),
        (b"x\x1b[A", "x"),
        (b"\x1b[1;5C\x1b[15~x", "x"),
        (b"\x1bOPx\x1bOQ", "x"),
        (b"\x1b\x1b[Bx", "x"),
        (b"\x1bx", "x"),
        (b"+\x1b[A-Q", "+-q"),
        (b"\x1b", ""),
        (b"\x1b[A", ""),
        (b"\x1bOx", ""),
    ],
)
def test_a_key_in_one_read_with_an_escape_sequence_is_kept(
    typed: bytes, pressed: str, terminal: tuple[int, int]
) -> None:
    keyboard, screen = terminal
    with Keys(screen) as keys:
        os.write(keyboard, typed)

        assert "".join(keys.read()) == pressed
