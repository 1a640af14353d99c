"""What follows a `massager stop --because WORD`: it is noted in the history, and advice is given.

Everything here comes after the stop, and nothing here can fail it.
"""

import os
import sys
from datetime import date
from typing import TYPE_CHECKING, Final

from massager.cli.saying import say
from massager.errors import MassagerError

if TYPE_CHECKING:
    from massager.history.records import SessionRow, Stamp

_SHOWN_MAX: Final = 80
_WIDTH: Final = 78
_ROWS: Final = 500
_STOPS: Final = ("requested", "emergency")


def note_because(text: str) -> None:
    """Note it with the session that was stopped, and say what to do now."""
    word = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_SHOWN_MAX]
    try:
        _advise(word, _noted(word))
    except (MassagerError, OSError) as error:
        say(f"massager: the reason could not be noted: {error}", sys.stderr)
        _advise(word, [])


def _noted(word: str) -> list[list[tuple[date, str]]]:
    """The reasons there are in the history now, with their days: a list for each person who was
    stopped. Raises HistoryUnusable."""
    from massager.config.config import config_path
    from massager.history import stamps
    from massager.history.file import place_of
    from massager.history.store import Store

    place = place_of(os.environ, config_path(os.environ))
    if not place.path.exists():
        return []
    now = stamps.now()
    with Store.open(place, now) as store:
        stopped = _stopped(store.sessions(limit=_ROWS), now)
        for row in stopped:
            store.set_because(row.id, word)
        persons = dict.fromkeys(row.person for row in stopped)
        return [_reasons(store.sessions(limit=_ROWS, person=person)) for person in persons]


def _stopped(rows: "list[SessionRow]", now: "Stamp") -> "list[SessionRow]":
    """The sessions that the stop has ended: of several nobody knows which one was meant. Where it
    has ended none, the last that moved, if that was within a day."""
    from massager.ages import surely_passed_ms
    from massager.history.store import ALIVE_MS
    from massager.limits import DAY_MS

    ages_ms = {row.id: surely_passed_ms(row.seen, now) for row in rows}
    moved = [row for row in rows if row.ended is None or row.motor_on_ms > 0] or rows
    by_age = sorted(moved, key=lambda row: ages_ms[row.id])
    running = [row for row in by_age if row.ended is None or row.stop_reason in _STOPS]
    just_now = [row for row in running if ages_ms[row.id] < ALIVE_MS]
    return just_now or [row for row in by_age[:1] if ages_ms[row.id] < DAY_MS]


def _reasons(rows: "list[SessionRow]") -> list[tuple[date, str]]:
    from massager.history.stamps import local_time

    return [
        (local_time(row.started).date(), row.because.lower())
        for row in rows
        if row.because is not None and row.counts
    ]


def _advise(word: str, noted: list[list[tuple[date, str]]]) -> None:
    from textwrap import fill

    from massager.screening.reasons import advice_by_reason, seek_care

    advice = advice_by_reason()
    say("")
    say(fill(advice.get(word.lower(), advice["other"]), _WIDTH))
    today = date.today()  # noqa: DTZ011 (the person's own day)
    for care in filter(None, (seek_care(reasons, today) for reasons in noted)):
        say("")
        say(fill(care, _WIDTH))
    if word.lower() not in advice:
        say(fill(f"Words with advice of their own: {', '.join(advice)}.", _WIDTH))
