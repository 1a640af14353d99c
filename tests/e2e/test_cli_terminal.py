"""The live picture on a real terminal: keys, signals, and a terminal that is put back."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import COMMAND, environment_in, massager

_ON_TERMINAL = """
import os, sys
fd = os.open(sys.argv.pop(1), os.O_RDWR)  # of a session's leader: it becomes its terminal
for number in range(3):
    os.dup2(fd, number)
os.execv(sys.argv[1], sys.argv[1:])
"""
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A process in the foreground of a terminal of its own."""

    def __init__(self, folder: Path, *words: str, columns: int = 80, **extra: str) -> None:
        self._master, self._slave = pty.openpty()
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
        self.modes_before = self.modes()
        self.raw = ""
        environment = environment_in(folder, **{"TERM": "xterm", **extra})
        environment.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _ON_TERMINAL, os.ttyname(self._slave), *COMMAND, *words],
            env=environment,
            start_new_session=True,
        )

    def modes(self) -> list[Any]:
        """How the terminal is set."""
        return termios.tcgetattr(self._slave)

    def press(self, keys: str) -> None:
        """As from the keyboard."""
        os.write(self._master, keys.encode())

    def read(self) -> None:
        """Take what was printed."""
        while select.select([self._master], [], [], 0.02)[0]:
            self.raw += os.read(self._master, 65_536).decode("utf-8", "replace")

    def shows(self, words: str) -> None:
        """Wait until the newest picture has these words."""
        end = time.monotonic() + 10
        while words not in self.picture():
            assert time.monotonic() < end, f"no {words!r} in {self.picture()!r}"
            self.read()

    def picture(self) -> str:
        """What was drawn last, without colours."""
        newest = re.split(r"\x1b\[\d+A", self.raw)[-1]
        return _CONTROL.sub("", newest)

    def wait(self) -> int:
        """The exit code."""
        end = time.monotonic() + 10
        while self.process.poll() is None:
            assert time.monotonic() < end, "it does not end"
            self.read()
        self.read()
        return self.process.returncode

    def close(self) -> None:
        """End what still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self._slave)
        os.close(self._master)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts sessions on terminals."""
    opened: list[Terminal] = []

    def start(*words: str, **given: Any) -> Terminal:
        sim = ("start", "--device", "sim:", "--speed", "10")
        opened.append(Terminal(tmp_path, *sim, *words, **given))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_the_picture_shows_the_session_and_q_stops_it(terminal: Callable[..., Terminal]) -> None:
    screen = terminal()
    screen.shows("Warm-up · intensity 3 · classic · sim-0001 (simulated)")
    screen.shows("setpoint █")
    screen.shows("left, ends ")
    screen.shows("q stop")

    screen.press("q")

    assert screen.wait() == 0
    assert "The session was stopped.\r\nThe motor is off (the device confirmed it)." in screen.raw
    assert screen.modes() == screen.modes_before


def test_keys_pause_resume_change_the_intensity_and_extend(
    terminal: Callable[..., Terminal],
) -> None:
    screen = terminal()
    screen.shows("Warm-up · intensity 3")

    screen.press("+")
    screen.shows("intensity 4")
    screen.press("--")
    screen.shows("intensity 2")
    screen.press(" ")
    screen.shows("Paused · intensity 2")
    screen.shows("space go on")
    screen.press("e")
    screen.shows("1 min more.")
    screen.press(" ")
    screen.shows("Warm-up · intensity 2")
    screen.press("eee")
    screen.shows("Refused: 1 min more would pass the limit of 10 min")
    screen.press("x")

    assert screen.wait() == 0
    assert "Emergency stop.\r\nThe motor is off" in screen.raw  # the latch ended with it


def test_arrows_and_other_keys_mean_nothing(terminal: Callable[..., Terminal]) -> None:
    screen = terminal()
    screen.shows("Warm-up")

    for keys in ("\x1b[A", "\x1b[15~", "\x1bOx", "zZ7\t\r", "\x1a"):
        screen.press(keys)
        screen.read()
    screen.shows("Warm-up · intensity 3")
    screen.press("Q")

    assert screen.wait() == 0


def test_ctrl_c_is_a_soft_stop(terminal: Callable[..., Terminal]) -> None:
    screen = terminal()
    screen.shows("Warm-up")

    screen.press("\x03")

    assert screen.wait() == 130
    assert "The motor is off" in screen.raw
    assert screen.modes() == screen.modes_before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_is_put_back_after_a_signal(
    number: int, terminal: Callable[..., Terminal]
) -> None:
    screen = terminal()
    screen.shows("Warm-up")
    assert screen.modes() != screen.modes_before

    screen.process.send_signal(number)

    assert screen.wait() == 143
    assert screen.modes() == screen.modes_before


def test_it_fits_40_columns(terminal: Callable[..., Terminal]) -> None:
    screen = terminal(columns=40)

    screen.shows("x emergency stop")

    assert max(map(len, screen.picture().splitlines())) <= 40
    screen.press("q")
    assert screen.wait() == 0


def test_no_color_and_ascii_are_kept(terminal: Callable[..., Terminal]) -> None:
    screen = terminal(NO_COLOR="1", PYTHONIOENCODING="ascii")
    screen.shows("setpoint #")
    screen.press("q")

    assert screen.wait() == 0
    assert screen.raw.isascii()
    assert not re.search(r"\x1b\[[0-9;]*m", screen.raw)


def test_a_dumb_terminal_gets_plain_lines(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    screen = terminal(TERM="dumb")
    screen.shows("Warm-up: 9:")

    assert massager(tmp_path, "stop").code == 0

    assert screen.wait() == 0
    assert "\x1b" not in screen.raw


def test_a_terminal_that_is_closed_stops_the_session(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    screen = terminal()
    screen.shows("Warm-up")
    os.close(screen._master)
    screen._master = os.open(os.devnull, os.O_RDONLY)

    assert screen.process.wait(10) == 143
    assert "No session of yours runs" in massager(tmp_path, "status").out
