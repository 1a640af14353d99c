"""Puts a session before the person: live, as plain lines, as JSON lines, or hardly at all.

Nothing here waits for whoever reads: a session must not stand still because a pipe is full or
Ctrl-S was pressed. What cannot be written now is written later, and the least of it never.
"""

import json
import os
import re
import select
import shutil
import stat
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from textwrap import wrap
from typing import Final, Protocol, TextIO

from massager.cli import events
from massager.cli.drawing import draws_blocks, in_ascii
from massager.cli.ending import closing_lines
from massager.cli.progress import Look, draw
from massager.errors import ExitCode
from massager.snapshot import Snapshot

REDRAW_S: Final = 0.2
MESSAGE_S: Final = 4.0
_CHUNK_BYTES: Final = 4_096  # what a pipe that can be written to takes without waiting
_UNREAD_MAX: Final = 1_000
_LAST_WAIT_S: Final = 1.0

_STYLE: Final = re.compile(r"\x1b\[\d*m")
_GOOD: Final = (ExitCode.OK, ExitCode.INTERRUPTED, ExitCode.TERMINATED)


class Outlet:
    """Text to a stream, never waiting for its reader."""

    def __init__(self, stream: TextIO) -> None:
        self.broken = False  # nobody reads any more
        self._encoding = stream.encoding or "ascii"
        stream.flush()
        self._fd, self._own = _without_waiting(stream.fileno())
        self._waiting: deque[bytes] = deque()

    @property
    def is_behind(self) -> bool:
        """Whether something waits for the reader."""
        self._push()
        return bool(self._waiting)

    def write(self, text: str) -> None:
        """Write it, or keep it until it can be written."""
        data = text.encode(self._encoding, "replace")
        for start in range(0, len(data), _CHUNK_BYTES):
            if len(self._waiting) < _UNREAD_MAX:
                self._waiting.append(data[start : start + _CHUNK_BYTES])
        self._push()

    def close(self) -> None:
        """Give the reader a last moment."""
        if self.is_behind and not self.broken:
            select.select([], [self._fd], [], _LAST_WAIT_S)
            self._push()
        if self._own:
            os.close(self._fd)

    def _push(self) -> None:
        try:
            while self._waiting and select.select([], [self._fd], [], 0)[1]:
                data = self._waiting[0]
                written = os.write(self._fd, data)
                self._waiting.popleft()
                if written < len(data):
                    self._waiting.appendleft(data[written:])
        except BlockingIOError:
            return
        except OSError:  # the pipe's reader or the terminal is gone
            self.broken = True
            self._waiting.clear()


class Reporter(Protocol):
    """What the foreground session tells."""

    @property
    def broken(self) -> bool:
        """Whether nobody reads any more."""

    def show(self, now: Snapshot) -> None:
        """The session as it is now; called often."""

    def note(self, text: str) -> None:
        """Something that a person should read for a moment."""

    def warn(self, text: str) -> None:
        """Something that is wrong beside the session; it must not be lost."""

    def refused(self, why: str) -> None:
        """A person's request that was not done."""

    def ended(self, now: Snapshot, exit_code: ExitCode) -> None:
        """The end; the last call."""

    def left(self) -> None:
        """The last call where the session goes on unseen."""


class JsonReporter:
    """One JSON object a line."""

    def __init__(self, outlet: Outlet, facts: events.Event) -> None:
        self._outlet = outlet
        self._url = facts["url"]
        self._events = events.Events(facts)

    @property
    def broken(self) -> bool:
        """Whether nobody reads any more."""
        return self._outlet.broken

    def show(self, now: Snapshot) -> None:
        """Every event; a status only where the reader keeps up."""
        for event in self._events.of(now):
            if event["event"] != "status" or not self._outlet.is_behind:
                self._write(event)

    def note(self, text: str) -> None:
        """The phase tells it already."""

    def warn(self, text: str) -> None:
        """An event."""
        self._write({"event": "warning", "text": text})

    def refused(self, why: str) -> None:
        """An event."""
        self._write(events.refused(why))

    def ended(self, now: Snapshot, exit_code: ExitCode) -> None:
        """An event; in words on stderr, too, where something is wrong."""
        self._write(events.ended(now, exit_code))
        self._outlet.close()
        _complain(now, exit_code, self._url, quietly=self.broken)

    def left(self) -> None:
        """Nothing to say."""
        self._outlet.close()

    def _write(self, event: events.Event) -> None:
        self._outlet.write(json.dumps(event) + "\n")


class PlainReporter:
    """Lines for a log: changes of phase, pauses, and one a minute. `quiet`: only the end."""

    def __init__(self, outlet: Outlet, facts: events.Event, *, blocks: bool, quiet: bool) -> None:
        self._outlet = outlet
        self._url = facts["url"]
        self._events = events.Events(facts)
        self._blocks = blocks
        self._quiet = quiet
        self._minute = 0

    @property
    def broken(self) -> bool:
        """Whether nobody reads any more."""
        return self._outlet.broken

    def show(self, now: Snapshot) -> None:
        """A line for each event that has one."""
        for event in self._events.of(now):
            line = events.sentence_of(event, now)
            if line is not None:
                self._line(line)
        minute = now.at_ms // 60_000
        if minute > self._minute and now.time_left_ms is not None:
            self._line(events.minute_line(now))
        self._minute = minute

    def note(self, text: str) -> None:
        """A line."""
        self._line(text)

    def warn(self, text: str) -> None:
        """A line on stderr, however quiet."""
        with suppress(OSError):
            sys.stderr.write(f"massager: {text}\n")

    def refused(self, why: str) -> None:
        """A line."""
        self._line(f"Refused: {why}")

    def ended(self, now: Snapshot, exit_code: ExitCode) -> None:
        """Why, and what is known of the motor; on stderr where something is wrong."""
        if exit_code in _GOOD:
            self._quiet = False
            for line in closing_lines(now, self._url):
                self._line(line)
        self._outlet.close()
        _complain(now, exit_code, self._url, quietly=self.broken)

    def left(self) -> None:
        """Nothing to say."""
        self._outlet.close()

    def _line(self, text: str) -> None:
        if not self._quiet:
            self._outlet.write((text if self._blocks else in_ascii(text)) + "\n")


class LiveReporter:
    """A picture that is drawn anew, at most 5 times a second."""

    def __init__(
        self,
        outlet: Outlet,
        url: str,
        *,
        blocks: bool,
        colour: bool,
        speed: int,
        keys: tuple[str, ...],
        time_s: Callable[[], float],
    ) -> None:
        self._outlet = outlet
        self._url = url
        self._blocks, self._colour, self._speed = blocks, colour, speed
        self._keys = keys
        self._time_s = time_s
        self._drawn: list[int] = []  # lengths of the lines on the screen, the cursor behind them
        self._drawn_s = -REDRAW_S
        self._last = Snapshot("idle")
        self._message: str | None = None
        self._message_until_s = 0.0
        self._warnings: list[str] = []

    @property
    def broken(self) -> bool:
        """Whether the terminal is gone."""
        return self._outlet.broken

    def show(self, now: Snapshot) -> None:
        """Draw, unless it was drawn a moment ago or the terminal is behind."""
        self._last = now
        if self._time_s() - self._drawn_s >= REDRAW_S and not self._outlet.is_behind:
            self._draw()

    def note(self, text: str) -> None:
        """Shown at once, for a few seconds."""
        self._message, self._message_until_s = text, self._time_s() + MESSAGE_S
        self._draw()

    def warn(self, text: str) -> None:
        """Shown at once, and again at the end."""
        self._warnings.append(text)
        self.note(text)

    def refused(self, why: str) -> None:
        """Shown at once, for a few seconds."""
        self.note(f"Refused: {why}")

    def ended(self, now: Snapshot, exit_code: ExitCode) -> None:
        """The picture makes room for why it ended and what is known of the motor."""
        columns = max(shutil.get_terminal_size((80, 24)).columns, 20)
        text = "".join(
            f"{row}\n"
            for line in (*closing_lines(now, self._url), *self._warnings)
            for row in wrap(line, columns)
        )
        self._outlet.write(self._back() + "\x1b[J" + (text if self._blocks else in_ascii(text)))
        self._outlet.close()

    def left(self) -> None:
        """The picture stays."""
        self._outlet.write("\n" if self._drawn else "")
        self._outlet.close()

    def _draw(self) -> None:
        self._drawn_s = self._time_s()
        if self._drawn_s > self._message_until_s:
            self._message = None
        columns = shutil.get_terminal_size((80, 24)).columns
        look = Look(columns - 1, self._blocks, self._colour, self._speed)
        wall = datetime.now().astimezone()
        lines = draw(self._last, look, wall, keys=self._keys, message=self._message)
        self._outlet.write(self._back() + "\x1b[K\n".join(lines) + "\x1b[K\x1b[J")
        self._drawn = [len(_STYLE.sub("", line)) for line in lines]

    def _back(self) -> str:
        """To the start of what was drawn; a terminal made narrower has wrapped its lines."""
        columns = shutil.get_terminal_size((80, 24)).columns
        rows = sum(max(1, -(-length // columns)) for length in self._drawn)
        return "\r" + (f"\x1b[{rows - 1}A" if rows > 1 else "")


def reporter_for(
    stream: TextIO,
    facts: events.Event,
    *,
    as_json: bool,
    quiet: bool,
    keys: tuple[str, ...],
    speed: int,
    time_s: Callable[[], float],
) -> Reporter:
    """Live on a terminal that can be drawn on, else lines."""
    outlet = Outlet(stream)
    blocks = draws_blocks(stream)
    if as_json:
        return JsonReporter(outlet, facts)
    if quiet or not can_draw(stream):
        return PlainReporter(outlet, facts, blocks=blocks, quiet=quiet)
    colour = not os.environ.get("NO_COLOR")
    return LiveReporter(
        outlet,
        facts["url"],
        blocks=blocks,
        colour=colour,
        speed=speed,
        keys=keys,
        time_s=time_s,
    )


def can_draw(stream: TextIO) -> bool:
    """Whether the cursor can be moved there."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _complain(now: Snapshot, exit_code: ExitCode, url: str, *, quietly: bool) -> None:
    """What is wrong, on stderr; nobody who has closed a pipe wants to read that all is off."""
    if exit_code in _GOOD or (quietly and now.output_confirmed):
        return
    with suppress(OSError):
        sys.stderr.write("\n".join(f"massager: {line}" for line in closing_lines(now, url)) + "\n")


def _without_waiting(fd: int) -> tuple[int, bool]:
    """A descriptor to the same place on which a write never waits, and whether it is a new one.

    The flag cannot be set on the old one: other processes share it.
    """
    kind = os.fstat(fd).st_mode
    if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
        with suppress(OSError):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
            return os.open(f"/dev/fd/{fd}", flags), True
    return fd, False
