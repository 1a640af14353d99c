"""The history for other programs: JSON with everything in it, CSV with a line for each session."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from massager.history.records import Event, Sample, SessionRow, Stamp
from massager.history.stamps import iso_of
from massager.history.store import Store

CSV_COLUMNS: Final = (
    *("id", "started", "ended", "state", "device", "url", "simulated", "counts", "speed"),
    *("program", "intensity", "minutes", "warmup_s", "origin", "stop_reason", "detail", "because"),
    *("motor_on_s", "highest_permille", "output_confirmed", "person"),
)


def session_dict(row: SessionRow, *, alive: bool) -> dict[str, Any]:
    """A session by name, its moments as text with their offset from UTC."""
    return {
        "id": row.id,
        "started": iso_of(row.started),
        "ended": _iso(row.ended),
        "state": state_of(row, alive=alive),
        "device": row.device,
        "url": row.url,
        "simulated": row.simulated,
        "counts": row.counts,
        "speed": row.speed,
        "program": row.program,
        "intensity": row.intensity,
        "minutes": row.minutes,
        "warmup_s": row.warmup_s,
        "origin": row.origin,
        "stop_reason": row.stop_reason,
        "detail": row.detail,
        "because": row.because,
        "motor_on_s": round(row.motor_on_ms / 1000, 1),
        "highest_permille": row.highest_permille,
        "output_confirmed": row.output_confirmed,
        "person": row.person or None,
    }


def state_of(row: SessionRow, *, alive: bool) -> str:
    """`running`, `ended`, or `unknown end`: its program is gone without a word."""
    if row.ended is not None:
        return "ended"
    return "running" if alive else "unknown end"


def event_dict(event: Event) -> dict[str, Any]:
    """An event by name."""
    return {
        "elapsed_ms": event.elapsed_ms,
        "at": iso_of(event.at),
        "kind": event.kind,
        "text": event.text,
    }


def whole_session(store: Store, row: SessionRow, *, alive: bool) -> dict[str, Any]:
    """A session with its events and samples."""
    return {
        **session_dict(row, alive=alive),
        "events": [event_dict(event) for event in store.events(row.id)],
        "samples": [asdict(sample) for sample in store.samples(row.id)],
    }


def as_csv(rows: Iterable[dict[str, Any]]) -> str:
    """A header, and a line for each."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def as_json_lines(sessions: Iterator[dict[str, Any]]) -> Iterator[str]:
    """One JSON array, a session a line, without holding them all at once."""
    yield "["
    comma = "\n"
    for session in sessions:
        yield comma + json.dumps(session)
        comma = ",\n"
    yield "\n]\n"


def curve_of(samples: Sequence[Sample], name: str) -> list[tuple[float, float]]:
    """(seconds, ‰) of a field, as far as it was known."""
    points = ((sample.elapsed_ms / 1000, getattr(sample, name)) for sample in samples)
    return [(at_s, float(value)) for at_s, value in points if value is not None]


def _cell(value: object) -> object:
    """Text that a spreadsheet takes for a formula gets an apostrophe before it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


def _iso(stamp: Stamp | None) -> str | None:
    return None if stamp is None else iso_of(stamp)
