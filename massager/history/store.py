"""The history's file, opened for writing or for reading: one connection, used by one thread.

What cannot be trusted counts against whoever wants more: a damaged file is moved aside, and a
history that is gone, was set back or is another one than the last that counted is taken for a
sitting that has just ended. Every error is a HistoryUnusable in words.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Final, NamedTuple, Self

from massager.ages import surely_passed_ms
from massager.errors import HistoryUnusable
from massager.history.connection import (
    checked,
    connect,
    explained,
    identity,
    is_damaged,
    refuse_others,
)
from massager.history.file import (
    Known,
    Place,
    keep_room,
    locked,
    make_file,
    move_aside,
    read_known,
    remove_moved,
    write_known,
)
from massager.history.records import (
    UNKNOWN_END,
    End,
    Event,
    Identified,
    NewSession,
    Sample,
    SessionRow,
    Sign,
    Spent,
    Stamp,
)
from massager.history.rows import (
    EVENT_COLUMNS,
    NEW_COLUMNS,
    SAMPLE_COLUMNS,
    SESSION_COLUMNS,
    assignments,
    event_of,
    event_values,
    marks,
    names,
    new_values,
    sample_of,
    sample_values,
    session_of,
    stamp_columns,
    stamp_values,
)
from massager.history.schema import ASSUMED, SHOWN, VERSION, version_of
from massager.history.uses import day_ms, needed_for_a_day, newest_counting, uses
from massager.limits import DAY_MAX_MS, DAY_MS, SITTING_MAX_MS

ALIVE_MS: Final = 10_000  # a session that runs has signed within it, unless its disk hangs


class Begun(NamedTuple):
    """A session's row, and what had been spent when it began, in one transaction."""

    id: int
    spent: list[Spent]


class Store:
    """See the file. `notices` is what a person should be told about the opening, in sentences."""

    def __init__(self, place: Place, connection: sqlite3.Connection) -> None:
        self.place = place
        self.notices: list[str] = []
        self._connection = connection
        self._file = identity(place.path)

    # --- opening ------------------------------------------------------------------------------

    @classmethod
    def open(cls, place: Place, now: Stamp, keep_days: int | None = None, above: int = 0) -> Self:
        """For writing. What is older than `keep_days` goes; a new history counts from `above` on.

        Raises HistoryUnusable; a file of a newer version or of another program is not touched.
        """
        make_file(place.path)
        with explained(place.path), locked(place.path):
            store, moved = cls._opened(place, now)
            try:
                with store.transaction():
                    store._recognise(now, moved, above)
                    store._close_left_open(now)
                    store._prune(now, keep_days)
                store._keep_known(now)
            except BaseException:
                store.close()
                raise
        return store

    @classmethod
    def read(cls, place: Place) -> Self:
        """For reading only: nothing is moved, made or changed, but for the tables of an older
        version, which become today's. Raises HistoryUnusable."""
        if not place.path.is_file():
            raise HistoryUnusable(f"there is no history yet: {place.path} is not there")
        with explained(place.path):
            try:
                connection = connect(place.path, "?mode=ro")
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            except sqlite3.OperationalError:  # in a folder where nothing may be written
                connection = connect(place.path, "?immutable=1")
            try:
                refuse_others(connection, place.path)
                if not version_of(connection):
                    raise HistoryUnusable(f"there is no history yet: {place.path} is empty")
                if version_of(connection) < VERSION:
                    with locked(place.path):
                        checked(place.path).close()
            except BaseException:
                connection.close()
                raise
        return cls(place, connection)

    @classmethod
    def _opened(cls, place: Place, now: Stamp) -> tuple[Self, Path | None]:
        """The store, and where a damaged file went."""
        try:
            return cls(place, checked(place.path)), None
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
        moved = move_aside(place.path, now)
        make_file(place.path)
        return cls(place, checked(place.path)), moved

    def _recognise(self, now: Stamp, moved: Path | None, above: int) -> None:
        """Is this the history that counted last, whole? If not, a sitting has just ended."""
        known = read_known(self.place.known)
        mine = self._meta("history")
        if mine is None:
            self._connection.execute("INSERT INTO meta VALUES ('history', ?)", (token_hex(8),))
        self._count_from(above)
        if moved is not None:
            why = f"the history was damaged; it is kept as {moved}, and a new one has begun"
        elif known is None or (
            known.history == mine and known.newest <= self._newest() and known.ends <= self._ends()
        ):
            return
        elif mine is None:
            why = "the history is gone, and a new one has begun"
        elif known.history != mine:
            why = "this history is not the one that was written last"
        else:
            why = "the history was set back: its newest sessions, or their ends, are missing"
        self.notices.append(f"{why}; as if a sitting had just ended, a rest comes first")
        self._count_from(0 if known is None else known.newest)
        if known is not None and known.at is not None and known.day_ms > 0:
            self._assume_day(known.day_ms, known.at, now)
        self._assume(SITTING_MAX_MS, now)

    def _count_from(self, number: int) -> None:
        """No number is given twice, even where the sessions that had them are gone."""
        if self._newest() < number:
            self._connection.execute("DELETE FROM sqlite_sequence WHERE name = 'sessions'")
            self._connection.execute(
                "INSERT INTO sqlite_sequence VALUES ('sessions', ?)", (number,)
            )

    def _assume_day(self, day_ms: int, at: Stamp, now: Stamp) -> None:
        """What the lost history had told of its last 24 hours, if they may not be over yet."""
        if surely_passed_ms(at, now) < DAY_MS:
            self._assume(min(day_ms, DAY_MAX_MS), at)

    def _assume(self, motor_on_ms: int, at: Stamp) -> None:
        """A use that nobody can look up any more, over at `at`."""
        new = NewSession("", "", 0, 0, 0, "", counts=True)
        number = self._insert(new, at, hidden=ASSUMED)
        self.end(number, End(at, UNKNOWN_END, "", motor_on_ms, 0, True))

    def _keep_known(self, now: Stamp) -> None:
        """Note which history counts, how far, and what the day has been; kept outside it."""
        newest = newest_counting(self._connection)
        mine = (self._meta("history") or "", newest, self._ends())
        known = read_known(self.place.known)
        if newest and (known is None or (known.history, known.newest, known.ends) != mine):
            with suppress(OSError):  # then a loss may go unnoticed; nothing else depends on it
                write_known(self.place.known, Known(*mine, day_ms(self._connection, now), now))

    # --- a session that runs --------------------------------------------------------------------

    def begin(self, new: NewSession, now: Stamp) -> Begun:
        """A new row; it is there for good when this returns."""
        with self.transaction():
            self._close_left_open(now)
            spent = self.spent(new.person)
            number = self._insert(new, now)
        keep_room(self.place.path)
        return Begun(number, spent)

    def put_back(self, number: int, new: NewSession, started: Stamp) -> None:
        """The row of a session that runs, where another file has taken the place of the one it
        was in. Inside a `transaction`."""
        self._connection.execute(
            f"INSERT OR IGNORE INTO sessions (id, pid, {names(NEW_COLUMNS)}) "
            f"VALUES (?, ?, {marks(NEW_COLUMNS)})",
            (number, os.getpid(), *new_values(new, started)),
        )

    def identified(self, number: int, who: Identified) -> None:
        """The device has said who it is. Inside a `transaction`."""
        self._connection.execute(
            "UPDATE sessions SET device = ?, simulated = ?, counts = ? WHERE id = ?",
            (who.device, who.simulated, who.counts, number),
        )

    def sign(self, number: int, sign: Sign) -> None:
        """It runs still, whatever others thought. Inside a `transaction`."""
        nothing = ", ".join(f"{name} = NULL" for name in stamp_columns("ended"))
        self._connection.execute(
            f"UPDATE sessions SET {assignments(stamp_columns('seen'))}, {nothing}, "
            "stop_reason = NULL, output_confirmed = NULL, motor_on_ms = ?, highest_permille = ? "
            "WHERE id = ?",
            (*stamp_values(sign.at), sign.motor_on_ms, sign.highest_permille, number),
        )

    def add_event(self, number: int, event: Event) -> None:
        """Nothing where its session is gone. Inside a `transaction`."""
        self._connection.execute(
            f"INSERT INTO events (session_id, {names(EVENT_COLUMNS)}) "
            f"SELECT id, {marks(EVENT_COLUMNS)} FROM sessions WHERE id = ?",
            (*event_values(event), number),
        )

    def add_sample(self, number: int, sample: Sample) -> None:
        """Nothing where its session is gone. Inside a `transaction`."""
        self._connection.execute(
            f"INSERT OR REPLACE INTO samples (session_id, {names(SAMPLE_COLUMNS)}) "
            f"SELECT id, {marks(SAMPLE_COLUMNS)} FROM sessions WHERE id = ?",
            (*sample_values(sample), number),
        )

    def end(self, number: int, end: End) -> None:
        """It is over. Inside a `transaction`."""
        both = stamp_columns("ended") + stamp_columns("seen")
        self._connection.execute(
            f"UPDATE sessions SET {assignments(both)}, "
            "stop_reason = ?, detail = ?, motor_on_ms = ?, highest_permille = ?, "
            "output_confirmed = ? WHERE id = ?",
            (
                *stamp_values(end.at),
                *stamp_values(end.at),
                end.stop_reason,
                end.detail,
                end.motor_on_ms,
                end.highest_permille,
                end.output_confirmed,
                number,
            ),
        )
        self._connection.execute(
            "INSERT INTO meta SELECT 'ends', 1 FROM sessions WHERE id = ? AND counts "
            "ON CONFLICT (key) DO UPDATE SET value = value + 1",
            (number,),
        )

    def note_counting(self, now: Stamp) -> None:
        """After a session that counts was identified or has ended: its loss will be noticed."""
        with explained(self.place.path):
            self._keep_known(now)

    def set_because(self, number: int, text: str) -> None:
        """What a person gives as the reason of a stop, then or later."""
        with self.transaction():
            self._connection.execute("UPDATE sessions SET because = ? WHERE id = ?", (text, number))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is on the disk when it ends, or none of it is."""
        with explained(self.place.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    with suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                raise

    # --- what was -------------------------------------------------------------------------------

    def spent(self, person: str = "") -> list[Spent]:
        """What uses up a person's dose, in the order it began; as far back as can matter.

        What nobody is named for counts for everybody, and for nobody in particular all counts.
        """
        with explained(self.place.path):
            return [spent for _, spent in uses(self._connection, person)][::-1]

    def sessions(
        self, since_utc_ms: int | None = None, limit: int = -1, person: str | None = None
    ) -> list[SessionRow]:
        """The newest first; a negative limit is none. None: everybody's."""
        return self._sessions(
            "WHERE NOT hidden AND started_utc_ms >= ? AND (? IS NULL OR person = ?) "
            "ORDER BY id DESC LIMIT ?",
            (-(1 << 62) if since_utc_ms is None else since_utc_ms, person, person, limit),
        )

    def newest_use(self, person: str = "") -> SessionRow | None:
        """The newest session that moved a motor that counts, and is over; whose as in `spent`."""
        found = self._sessions(
            "WHERE NOT hidden AND counts AND motor_on_ms > 0 AND ended_utc_ms IS NOT NULL "
            "AND (? = '' OR person IN (?, '')) ORDER BY id DESC LIMIT 1",
            (person, person),
        )
        return found[0] if found else None

    def session(self, number: int) -> SessionRow | None:
        """One of them, if it is there."""
        found = self._sessions("WHERE NOT hidden AND id = ?", (min(number, (1 << 63) - 1),))
        return found[0] if found else None

    def events(self, number: int) -> list[Event]:
        """In the order they were noted."""
        with explained(self.place.path):
            rows = self._connection.execute(
                f"SELECT {names(EVENT_COLUMNS)} FROM events WHERE session_id = ? ORDER BY id",
                (number,),
            )
            return [event_of(row) for row in rows]

    def samples(self, number: int) -> list[Sample]:
        """In the order of the session's time."""
        with explained(self.place.path):
            rows = self._connection.execute(
                f"SELECT {names(SAMPLE_COLUMNS)} FROM samples WHERE session_id = ? "
                "ORDER BY elapsed_ms",
                (number,),
            )
            return [sample_of(row) for row in rows]

    def _sessions(self, which: str, values: tuple[object, ...]) -> list[SessionRow]:
        with explained(self.place.path):
            rows = self._connection.execute(
                f"SELECT {names(SESSION_COLUMNS)} FROM sessions {which}", values
            )
            return [session_of(row) for row in rows]

    # --- taking away ----------------------------------------------------------------------------

    def erase(self, now: Stamp) -> int:
        """Everything but what runs now; how many sessions went. The dose keeps its bare numbers."""
        shown = "WHERE NOT hidden AND ended_utc_ms IS NOT NULL"
        with self.transaction():
            self._close_left_open(now)
            [number] = self._connection.execute(f"SELECT count(*) FROM sessions {shown}").fetchone()
            self._forget(now, shown)
        with explained(self.place.path):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            remove_moved(self.place.path)
        return int(number)

    def _prune(self, now: Stamp, keep_days: int | None) -> None:
        """What is too old goes, and bare numbers that no dose needs any more.

        A clock that nobody vouches for and that would have everything go is not believed.
        """
        self._forget(now, "WHERE hidden")
        if keep_days is None:
            return
        before_ms = now.utc_ms - keep_days * DAY_MS
        [newest] = self._connection.execute("SELECT max(seen_utc_ms) FROM sessions").fetchone()
        if newest is not None and (newest >= before_ms or now.synchronised):
            self._forget(
                now, "WHERE ended_utc_ms IS NOT NULL AND NOT hidden AND seen_utc_ms < ?", before_ms
            )

    def _forget(self, now: Stamp, which: str, *values: int) -> None:
        """Remove these sessions; of those that the dose may still need, all but the numbers."""
        connection = self._connection
        numbers = {row[0] for row in connection.execute(f"SELECT id FROM sessions {which}", values)}
        needed = numbers & needed_for_a_day(connection, now)
        for number in numbers - needed:
            connection.execute("DELETE FROM sessions WHERE id = ?", (number,))
        for number in needed:
            connection.execute("DELETE FROM events WHERE session_id = ?", (number,))
            connection.execute("DELETE FROM samples WHERE session_id = ?", (number,))
            connection.execute(
                "UPDATE sessions SET hidden = max(hidden, 1), url = '', program = '', origin = '', "
                "intensity = 0, minutes = 0, warmup_s = 0, detail = NULL, because = NULL, "
                "device = iif(device IS NULL, NULL, '') WHERE id = ?",
                (number,),
            )

    # --- the rest -------------------------------------------------------------------------------

    def is_in_place(self) -> bool:
        """Whether what is written still goes into the file of that name."""
        return self._file is not None and identity(self.place.path) == self._file

    def close(self) -> None:
        """Let go of it."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _insert(self, new: NewSession, now: Stamp, *, hidden: int = SHOWN) -> int:
        done = self._connection.execute(
            f"INSERT INTO sessions (pid, hidden, {names(NEW_COLUMNS)}) "
            f"VALUES (?, ?, {marks(NEW_COLUMNS)})",
            (os.getpid(), hidden, *new_values(new, now)),
        )
        assert done.lastrowid is not None
        return done.lastrowid

    def _close_left_open(self, now: Stamp) -> None:
        """Whose program is gone without a word ended when it was last seen, or soon after."""
        for row in self._sessions("WHERE ended_utc_ms IS NULL", ()):
            if not is_alive(row, now):
                detail = "the program that drove it ended without a word"
                end = End(
                    row.seen, UNKNOWN_END, detail, row.motor_on_ms, row.highest_permille, False
                )
                self.end(row.id, end)

    def _meta(self, key: str) -> str | None:
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def _ends(self) -> int:
        """How many ends of sessions that count were ever written."""
        return int(self._meta("ends") or 0)

    def _newest(self) -> int:
        """The highest number that was ever given."""
        row = self._connection.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = 'sessions'"
        ).fetchone()
        return 0 if row is None else int(row[0])


def is_alive(row: SessionRow, now: Stamp) -> bool:
    """Whether a session without an end may still run."""
    if row.ended is not None or not row.seen.boot or row.seen.boot != now.boot:
        return False
    return now.boot_ms - row.seen.boot_ms < ALIVE_MS and _is_running(row.pid)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's, so there is one
        return True
    return True
