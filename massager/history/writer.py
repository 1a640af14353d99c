"""The history for an event loop: one thread owns the file, and a running session never waits.

Only `begin`, `end` and `ask` wait, each for a bounded time. What cannot be written now is kept and
tried again with whatever comes next: a disk that was full for a while loses nothing.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from massager.errors import HistoryUnusable
from massager.history import stamps
from massager.history.file import Place, free_room
from massager.history.records import (
    End,
    Event,
    Identified,
    NewSession,
    Sample,
    Sign,
    Spent,
    Stamp,
)
from massager.history.store import Begun, Store

_log = logging.getLogger(__name__)

BEGIN_PATIENCE_S: Final = 5.0  # a disk that wakes up, another process that commits
END_PATIENCE_S: Final = 2.0
_KEPT_MAX: Final = 5_000  # rows that wait for a disk; samples go first
_ABANDONED: Final = End(Stamp(0, 0, "", 0), "refused", "given up before it began", 0, 0, True)

_T = TypeVar("_T")


@dataclass(slots=True)
class _Write:
    """One change of the file, done together with those that wait beside it."""

    apply: Callable[[Store], object]
    done: "Future[None] | None" = None
    is_sample: bool = False
    counts: bool = False  # a session that counts was identified, or one has ended: to be known
    ends: int | None = None  # the session that is over with it


@dataclass(slots=True)
class _Ask:
    """Something with an answer, done by itself after what waits before it."""

    ask: Callable[[Store], Any]
    answer: "Future[Any]"
    abandoned: bool = False


@dataclass(slots=True)
class _Live:
    """A session that runs: what it takes to make its row again in another file."""

    new: NewSession
    started: Stamp
    who: Identified | None = None


# Stores of files that lost their name, kept until the process ends: on closing, SQLite would remove
# the log of whatever file has the name now.
_ORPHANS: Final[list[Store]] = []


class History:
    """See the file. `problem` is why nothing can be written now, in words; None where it can.

    `notices` is what a person should be told: a file that was moved aside, a rest that is assumed.
    """

    def __init__(self, place: Place, keep_days: int | None = None) -> None:
        self.problem: str | None = None
        self.notices: list[str] = []
        self._place = place
        self._keep_days = keep_days
        self._queue: SimpleQueue[_Write | _Ask | None] = SimpleQueue()
        self._store: Store | None = None
        self._kept: deque[_Write] = deque()
        self._live: dict[int, _Live] = {}
        self._over: Future[None] = Future()
        # A daemon: a disk that hangs must not keep the process from ending.
        threading.Thread(target=self._work, name="history", daemon=True).start()

    # --- for the event loop -------------------------------------------------------------------

    async def begin(self, new: NewSession) -> Begun:
        """A new row, on the disk when this returns. Raises HistoryUnusable, and then there is none.

        With what had been spent until then, in the same transaction.
        """

        def begin(store: Store) -> Begun:
            now = stamps.now()
            begun = store.begin(new, now)
            self._live[begun.id] = _Live(new, now)
            return begun

        asked = _Ask(begin, Future())
        self._queue.put(asked)
        try:
            begun: Begun = await self._answer(asked, BEGIN_PATIENCE_S)
            return begun
        except BaseException:
            asked.abandoned = True
            self._queue.put(_Write(lambda store: self._abandon(store, asked)))
            raise

    def identified(self, number: int, who: Identified) -> None:
        """The device has said who it is."""

        def note(store: Store) -> None:
            if number in self._live:
                self._live[number].who = who
            store.identified(number, who)

        self._queue.put(_Write(note, counts=who.counts))

    def sign(self, number: int, sign: Sign) -> None:
        """The session runs still."""
        self._queue.put(_Write(lambda store: store.sign(number, sign)))

    def event(self, number: int, event: Event) -> None:
        """Something happened."""
        self._queue.put(_Write(lambda store: store.add_event(number, event)))

    def sample(self, number: int, sample: Sample) -> None:
        """How it is; the first to go where too much waits for the disk."""
        self._queue.put(_Write(lambda store: store.add_sample(number, sample), is_sample=True))

    async def end(self, number: int, end: End, patience_s: float = END_PATIENCE_S) -> None:
        """The session is over; on the disk when this returns. Raises HistoryUnusable.

        It is tried again as long as the process lives.
        """

        written: Future[None] = Future()
        self._queue.put(
            _Write(lambda store: store.end(number, end), written, counts=True, ends=number)
        )
        try:
            async with asyncio.timeout(patience_s):
                await asyncio.wrap_future(written)
        except TimeoutError:
            raise self._too_slow() from None

    async def ask(self, ask: Callable[[Store], _T], patience_s: float = BEGIN_PATIENCE_S) -> _T:
        """Whatever a store can tell. Raises HistoryUnusable."""
        asked = _Ask(ask, Future())
        self._queue.put(asked)
        answer: _T = await self._answer(asked, patience_s)
        return answer

    async def spent(self, person: str = "") -> list[Spent]:
        """What uses up a person's dose now. Raises HistoryUnusable."""
        return await self.ask(lambda store: store.spent(person))

    async def close(self, patience_s: float = END_PATIENCE_S) -> None:
        """A last try to write what waits, and let go. Never raises; `problem` tells."""
        self._queue.put(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await asyncio.wrap_future(self._over)

    async def _answer(self, asked: _Ask, patience_s: float) -> Any:
        try:
            async with asyncio.timeout(patience_s):
                return await asyncio.wrap_future(asked.answer)
        except TimeoutError:
            raise self._too_slow() from None

    def _too_slow(self) -> HistoryUnusable:
        return HistoryUnusable(f"the history {self._place.path} cannot be used: its disk hangs")

    # --- in the thread ------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (job := self._queue.get()) is not None:
                for each in (job, *self._waiting()):
                    self._take(each)
                self._flush()
            self._flush()
            self._let_go()
        finally:
            if self._over.set_running_or_notify_cancel():  # else nobody waits any more
                self._over.set_result(None)

    def _take(self, job: _Write | _Ask | None) -> None:
        match job:
            case _Write():
                self._keep(job)
            case _Ask():
                self._flush()
                self._reply(job)
            case None:
                self._queue.put(None)

    def _waiting(self) -> list[_Write | _Ask | None]:
        """Whatever else waits already: one commit for all of it."""
        found = []
        try:
            while True:
                found.append(self._queue.get_nowait())
        except Empty:
            return found

    def _keep(self, write: _Write) -> None:
        if len(self._kept) >= _KEPT_MAX:
            if write.is_sample:
                return
            sample = next((kept for kept in self._kept if kept.is_sample), None)
            if sample is not None:
                self._kept.remove(sample)
        self._kept.append(write)

    def _reply(self, asked: _Ask) -> None:
        if asked.abandoned or not asked.answer.set_running_or_notify_cancel():
            return
        try:
            answer = asked.ask(self._opened())
        except BaseException as error:
            self._failed(error)
            asked.answer.set_exception(error)
        else:
            self.problem = None
            asked.answer.set_result(answer)

    def _flush(self) -> None:
        """Write what is kept, whole; else keep it."""
        writes = list(self._kept)
        if not writes:
            return
        error = self._tried(writes)
        if error is not None and any(write.ends for write in writes):
            free_room(self._place.path)  # an end is what the room was kept for
            error = self._tried(writes)
        if error is None:
            self._kept.clear()
            for write in writes:
                self._live.pop(write.ends or 0, None)
        elif not isinstance(error, HistoryUnusable):  # our own fault, and would be again
            _log.error("what was to be written to the history is lost", exc_info=error)
            self._kept.clear()
        for write in writes:
            _settle(write, error)

    def _tried(self, writes: list[_Write]) -> Exception | None:
        """Write them in one transaction; what stands in the way."""
        try:
            store = self._opened()
            with store.transaction():
                for write in writes:
                    write.apply(store)
            if any(write.counts for write in writes):
                store.note_counting(stamps.now())
        except Exception as error:
            self._failed(error)
            return error
        self.problem = None
        return None

    def _opened(self) -> Store:
        """The store of the file that has the name now; what runs is in it."""
        if self._store is not None and not self._store.is_in_place():
            self._let_go()
        if self._store is None:
            above = max(self._live, default=0)
            store = Store.open(self._place, stamps.now(), self._keep_days, above)
            self.notices += store.notices
            with store.transaction():
                for number, live in self._live.items():
                    store.put_back(number, live.new, live.started)
                    if live.who is not None:
                        store.identified(number, live.who)
            self._store = store
        return self._store

    def _abandon(self, store: Store, asked: _Ask) -> None:
        """A start that nobody waits for any more; if it has a row, it ends here."""
        answer = asked.answer
        if answer.done() and not answer.cancelled() and answer.exception() is None:
            begun: Begun = answer.result()
            self._live.pop(begun.id, None)
            store.end(begun.id, replace(_ABANDONED, at=stamps.now()))

    def _failed(self, error: BaseException) -> None:
        self.problem = str(error) if isinstance(error, HistoryUnusable) else repr(error)
        self._let_go()  # after an error of the disk a connection is not to be trusted

    def _let_go(self) -> None:
        store, self._store = self._store, None
        if store is None:
            return
        if store.is_in_place():
            store.close()
        else:
            _ORPHANS.append(store)


def _settle(write: _Write, error: Exception | None) -> None:
    """Tell whoever waits for it, once."""
    done, write.done = write.done, None
    if done is None or not done.set_running_or_notify_cancel():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
