"""The tables of the history, and how an older file becomes today's. One script for each version.

A session's wall clock stands there twice: as text with its offset, for whoever looks with another
tool, and as ms of UTC. Beside it what the clocks of this computer cannot spoil (records.Stamp).
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

APPLICATION_ID: Final = 0x464F4F54  # `FOOT`: no other program's database is taken for ours
# What `hidden` says: only the numbers for the dose are left, or nobody saw it.
SHOWN, ERASED, ASSUMED = 0, 1, 2

_SCRIPTS: Final = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE sessions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        device TEXT,
        url TEXT NOT NULL,
        simulated INTEGER,
        counts INTEGER NOT NULL,
        speed INTEGER NOT NULL,
        program TEXT NOT NULL,
        intensity INTEGER NOT NULL,
        minutes REAL NOT NULL,
        warmup_s REAL NOT NULL,
        origin TEXT NOT NULL,
        started_at TEXT NOT NULL,
        started_utc_ms INTEGER NOT NULL,
        started_offset_min INTEGER NOT NULL,
        started_boot TEXT NOT NULL,
        started_boot_ms INTEGER NOT NULL,
        started_synchronised INTEGER NOT NULL,
        seen_at TEXT NOT NULL,
        seen_utc_ms INTEGER NOT NULL,
        seen_offset_min INTEGER NOT NULL,
        seen_boot TEXT NOT NULL,
        seen_boot_ms INTEGER NOT NULL,
        seen_synchronised INTEGER NOT NULL,
        ended_at TEXT,
        ended_utc_ms INTEGER,
        ended_offset_min INTEGER,
        ended_boot TEXT,
        ended_boot_ms INTEGER,
        ended_synchronised INTEGER,
        stop_reason TEXT,
        detail TEXT,
        because TEXT,
        motor_on_ms INTEGER NOT NULL DEFAULT 0,
        highest_permille INTEGER NOT NULL DEFAULT 0,
        output_confirmed INTEGER,
        pid INTEGER NOT NULL,
        hidden INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        elapsed_ms INTEGER NOT NULL,
        at TEXT NOT NULL,
        utc_ms INTEGER NOT NULL,
        offset_min INTEGER NOT NULL,
        boot TEXT NOT NULL,
        boot_ms INTEGER NOT NULL,
        synchronised INTEGER NOT NULL,
        kind TEXT NOT NULL,
        text TEXT NOT NULL
    );
    CREATE INDEX events_of_session ON events (session_id, id);
    CREATE TABLE samples (
        session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        elapsed_ms INTEGER NOT NULL,
        phase TEXT NOT NULL,
        setpoint_permille INTEGER,
        output_permille INTEGER,
        intensity INTEGER,
        feet TEXT,
        temperature_c REAL,
        PRIMARY KEY (session_id, elapsed_ms)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE sessions ADD COLUMN person TEXT NOT NULL DEFAULT '';
    CREATE INDEX sessions_of_person ON sessions (person, id);
    CREATE INDEX sessions_open ON sessions (id) WHERE ended_utc_ms IS NULL;
    """,
)
VERSION: Final = len(_SCRIPTS)


def version_of(connection: sqlite3.Connection) -> int:
    """The version of the tables in the file; 0: there are none yet."""
    [version] = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def is_somebody_elses(connection: sqlite3.Connection) -> bool:
    """Whether another program made this database."""
    [application] = connection.execute("PRAGMA application_id").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(tables) and application != APPLICATION_ID


def migrate(connection: sqlite3.Connection, scripts: Sequence[str] = _SCRIPTS) -> None:
    """Bring the tables to today's version, each step whole or not at all.

    The connection is in autocommit mode (`isolation_level=None`).
    """
    while (version := version_of(connection)) < len(scripts):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if version_of(connection) == version:  # no other process was quicker
                for statement in scripts[version].split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
