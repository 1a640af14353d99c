"""Follows one session from before its start to its end and hands its rows to the history.

It never waits for the disk while the session runs, and decides nothing about the motor: whoever
owns the session asks `begin` first and refuses a real device where that fails.
"""

import asyncio
from contextlib import suppress
from typing import Final, Protocol

from massager.errors import HistoryUnusable
from massager.history import stamps
from massager.history.records import End, Event, Identified, NewSession, Sample, Sign, Spent
from massager.history.session_log import Line, Met, Note, SessionLog, Totals
from massager.history.writer import END_PATIENCE_S, History
from massager.session.model import Request
from massager.snapshot import Snapshot

_LOOK_S: Final = 0.5  # a session of which nothing is heard still gives a sign of life


class Followed(Protocol):
    """Whose session it is: a Controller, or what stands before one."""

    def snapshot(self) -> Snapshot:
        """The session now."""

    async def changed(self) -> None:
        """Wait for its next change."""


class Recording:
    """The rows of one session."""

    def __init__(self, history: History, new: NewSession, *, as_real: bool = False) -> None:
        self._history = history
        self._new = new
        self._as_real = as_real
        self._log = SessionLog()
        self._row: int | None = None
        self._refused: str | None = None
        self._closed = False
        self._told: str | None = None
        self._notices = 0

    @property
    def session_id(self) -> int | None:
        """The number of its row; None where it has none."""
        return self._row

    def news(self, now: Snapshot) -> list[str]:
        """What a person should be told, each once: sentences without their full stop."""
        news = self._history.notices[self._notices :]
        self._notices += len(news)
        problem, goes_on = self._history.problem, "the session goes on, and it is tried again"
        if self._row is None:
            is_simulated = now.simulated and not self._as_real
            problem, goes_on = self._refused, "this simulated session leaves no record"
            problem = problem if is_simulated else None
        if problem != self._told:
            self._told = problem
            news += [] if problem is None else [f"{problem}; {goes_on}"]
        return news

    async def begin(self) -> list[Spent]:
        """The row of a start that is asked for: on the disk when this returns.

        What had been spent before it, read in the same transaction. Raises HistoryUnusable: there
        is no row, and all that follows goes nowhere.
        """
        try:
            begun = await self._history.begin(self._new)
        except HistoryUnusable as error:
            self._refused = str(error)
            raise
        self._row = begun.id
        return begun.spent

    def asked(self, request: Request, refusal: str | None, now: Snapshot) -> None:
        """Somebody asked the session for something."""
        self._write(self._log.asked(request, refusal, now))

    async def follow(self, followed: Followed) -> None:
        """Until the session has ended; `end` is for whoever knows the last word."""
        while (now := followed.snapshot()).phase != "ended":
            self.see(now)
            with suppress(TimeoutError):
                await asyncio.wait_for(followed.changed(), _LOOK_S)

    def see(self, now: Snapshot) -> None:
        """The session as it is now. Nothing after `end`: a sign of life would open the row."""
        if self._closed:
            return
        for line in self._log.of(now):
            self._write(line)

    async def end(self, ended: Snapshot, patience_s: float = END_PATIENCE_S) -> None:
        """The session's last word, on the disk when this returns. Raises HistoryUnusable.

        A second call does nothing: an end is written once.
        """
        if self._row is None or self._closed:
            return
        self._closed = True
        for line in self._log.of(ended):
            if not isinstance(line, Totals):
                self._write(line)
        end = End(
            stamps.now(),
            ended.reason or "",
            ended.detail or "",
            ended.motor_on_ms,
            ended.highest_output_permille,
            bool(ended.output_confirmed),
        )
        await self._history.end(self._row, end, patience_s)

    def _write(self, line: Line) -> None:
        row = self._row
        if row is None:
            return
        match line:
            case Met(device, simulated):
                counts = self._as_real or not simulated
                self._history.identified(row, Identified(device, simulated, counts))
            case Totals(motor_on_ms, highest_permille):
                sign = Sign(stamps.now(), motor_on_ms, highest_permille)
                self._history.sign(row, sign)
            case Note(elapsed_ms, kind, text):
                self._history.event(row, Event(elapsed_ms, stamps.now(), kind, text))
            case Sample():
                self._history.sample(row, line)
