"""SQLite for the history: a connection that is safe to write with, and its errors in words.

A file that is another program's, or of a newer version of this one, is never touched.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from massager.errors import HistoryUnusable
from massager.history.schema import VERSION, is_somebody_elses, migrate, version_of

BUSY_S: Final = 2.0  # another process commits within milliseconds
_LOG_PAGES: Final = 100  # of 4 kB: a disk that is nearly full has no room for a long log
_CACHE_KIB: Final = 256  # else the check of half a year of sessions stays in memory, 2 MB of it
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file's content, and not its disk or its rights, is the trouble."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Errors of the file become ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise HistoryUnusable(f"the history {path} cannot be used: {_words(error)}") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise HistoryUnusable(f"the history {path} cannot be used: {reason}") from error


def _words(error: sqlite3.Error) -> str:
    if is_damaged(error):
        return "it is damaged; the next start moves it aside and begins a new one"
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return "the disk is full; make room"
        case sqlite3.SQLITE_READONLY:
            return "it may not be written; set MASSAGER_HISTORY to a file that you may write"
        case sqlite3.SQLITE_BUSY:
            return "another program keeps it locked"
        case sqlite3.SQLITE_IOERR:
            return f"the disk reports an error ({error})"
        case _:
            return str(error)


def connect(path: Path, mode: str = "?mode=rw") -> sqlite3.Connection:
    """A connection in autocommit mode, for one thread. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        path.absolute().as_uri() + mode, uri=True, timeout=BUSY_S, isolation_level=None
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
    except BaseException:
        connection.close()
        raise
    return connection


def checked(path: Path) -> sqlite3.Connection:
    """A connection to a whole file with today's tables. Raises sqlite3.Error."""
    connection = connect(path)
    try:
        refuse_others(connection, path)
        [verdict] = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            damaged = sqlite3.DatabaseError(str(verdict))
            damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damaged
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def refuse_others(connection: sqlite3.Connection, path: Path) -> None:
    """Raises HistoryUnusable."""
    if is_somebody_elses(connection):
        raise HistoryUnusable(
            f"{path} is another program's database and was not touched; "
            "set MASSAGER_HISTORY to another file"
        )
    version = version_of(connection)
    if version > VERSION:
        raise HistoryUnusable(
            f"the history {path} was written by a newer version of this program (its tables are "
            f"{version}, this version knows {VERSION}) and was not touched; update the program, or "
            "set MASSAGER_HISTORY to another file"
        )


def identity(path: Path) -> tuple[int, int] | None:
    """Which file has this name now; None where none has."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
