"""Records to the columns of schema.py and back. Pure but for how a stamp is written as text."""

from typing import Any, Final

from massager.history.records import (
    Event,
    NewSession,
    Sample,
    SessionRow,
    Spent,
    Stamp,
)
from massager.history.schema import ASSUMED
from massager.history.stamps import iso_of

Row = tuple[Any, ...]
_OF_STAMP: Final = ("utc_ms", "offset_min", "boot", "boot_ms", "synchronised")


def stamp_columns(name: str) -> tuple[str, ...]:
    """Where the stamp `name` lies: its text, then its fields."""
    return (f"{name}_at", *(f"{name}_{field}" for field in _OF_STAMP))


def stamp_values(stamp: Stamp) -> Row:
    """The values of those columns."""
    numbers = (stamp.utc_ms, stamp.offset_min, stamp.boot, stamp.boot_ms, stamp.synchronised)
    return (iso_of(stamp), *numbers)


def _stamp_of(values: Row) -> Stamp:
    utc_ms, offset_min, boot, boot_ms, synchronised = values
    return Stamp(utc_ms, offset_min, boot, boot_ms, bool(synchronised))


_PLAIN: Final = (
    *("id", "device", "url", "simulated", "counts", "speed", "program", "intensity", "minutes"),
    *("warmup_s", "origin", "stop_reason", "detail", "because", "motor_on_ms", "highest_permille"),
    *("output_confirmed", "pid", "person"),
)
SESSION_COLUMNS: Final = (
    *_PLAIN,
    *(f"{name}_{field}" for name in ("started", "seen", "ended") for field in _OF_STAMP),
)


def session_of(row: Row) -> SessionRow:
    """A row of SESSION_COLUMNS."""
    known = dict(zip(_PLAIN, row, strict=False))
    stamps = row[len(_PLAIN) :]
    for name in ("simulated", "counts", "output_confirmed"):
        known[name] = None if known[name] is None else bool(known[name])
    return SessionRow(
        **known,
        started=_stamp_of(stamps[:5]),
        seen=_stamp_of(stamps[5:10]),
        ended=None if stamps[10] is None else _stamp_of(stamps[10:]),
    )


NEW_COLUMNS: Final = (
    *("url", "program", "intensity", "minutes", "warmup_s", "origin", "counts", "speed", "person"),
    *stamp_columns("started"),
    *stamp_columns("seen"),
)


def new_values(new: NewSession, now: Stamp) -> Row:
    """The values of NEW_COLUMNS."""
    wish = (new.program, new.intensity, new.minutes, new.warmup_s, new.origin)
    how = (new.counts, new.speed, new.person)
    return (new.url, *wish, *how, *stamp_values(now), *stamp_values(now))


SPENT_COLUMNS: Final = (
    *("motor_on_ms", "output_confirmed", "hidden", "speed"),
    *(f"{name}_{field}" for name in ("started", "ended") for field in _OF_STAMP),
)


def spent_of(row: Row) -> Spent:
    """A row of SPENT_COLUMNS."""
    motor_on_ms, confirmed, hidden, speed, *stamps = row
    began = _stamp_of(tuple(stamps[:5]))
    ended = None if stamps[5] is None else _stamp_of(tuple(stamps[5:]))
    return Spent(motor_on_ms, began, ended, bool(confirmed), hidden == ASSUMED, speed)


EVENT_COLUMNS: Final = ("elapsed_ms", "at", *_OF_STAMP, "kind", "text")


def event_of(row: Row) -> Event:
    """A row of EVENT_COLUMNS."""
    elapsed_ms, _, *stamp, kind, text = row
    return Event(elapsed_ms, _stamp_of(tuple(stamp)), kind, text)


def event_values(event: Event) -> Row:
    """The values of EVENT_COLUMNS."""
    return (event.elapsed_ms, *stamp_values(event.at), event.kind, event.text)


SAMPLE_COLUMNS: Final = (
    *("elapsed_ms", "phase", "setpoint_permille", "output_permille", "intensity", "feet"),
    "temperature_c",
)


def sample_of(row: Row) -> Sample:
    """A row of SAMPLE_COLUMNS."""
    return Sample(*row)


def sample_values(sample: Sample) -> Row:
    """The values of SAMPLE_COLUMNS."""
    return tuple(getattr(sample, name) for name in SAMPLE_COLUMNS)


def names(columns: tuple[str, ...]) -> str:
    """Columns as SQL."""
    return ", ".join(columns)


def marks(columns: tuple[str, ...]) -> str:
    """A mark for the value of each."""
    return ", ".join("?" * len(columns))


def assignments(columns: tuple[str, ...]) -> str:
    """A value for each, to be set."""
    return ", ".join(f"{name} = ?" for name in columns)
