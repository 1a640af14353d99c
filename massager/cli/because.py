"""What follows a `massager stop --because WORD`: it is noted in the history, and advice is given.

Everything here comes after the stop, and nothing here can fail it.
"""

import os
import sys
from datetime import date
from typing import Final

from massager.cli.saying import say
from massager.errors import MassagerError

_SHOWN_MAX: Final = 80
_WIDTH: Final = 78


def note_because(text: str) -> None:
    """Note it with the session that was stopped, and say what to do now."""
    word = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_SHOWN_MAX]
    try:
        _advise(word, _noted(word))
    except (MassagerError, OSError) as error:
        say(f"massager: the reason could not be noted: {error}", sys.stderr)
        _advise(word, [])


def _noted(word: str) -> list[tuple[date, str]]:
    """The reasons there are in the history now, with their days. Raises HistoryUnusable."""
    from massager.ages import surely_passed_ms
    from massager.config.config import config_path
    from massager.history import stamps
    from massager.history.file import place_of
    from massager.history.store import Store
    from massager.limits import DAY_MS

    place = place_of(os.environ, config_path(os.environ))
    if not place.path.exists():
        return []
    now = stamps.now()
    with Store.open(place, now) as store:
        rows = store.sessions(limit=500)
        if rows and surely_passed_ms(rows[0].seen, now) < DAY_MS:
            store.set_because(rows[0].id, word)
            rows = store.sessions(limit=500, person=rows[0].person)
    return [
        (stamps.local_time(row.started).date(), row.because)
        for row in rows
        if row.because is not None and row.counts
    ]


def _advise(word: str, noted: list[tuple[date, str]]) -> None:
    from textwrap import fill

    from massager.screening.reasons import advice_by_reason, seek_care

    advice = advice_by_reason()
    say("")
    say(fill(advice.get(word.lower(), advice["other"]), _WIDTH))
    care = seek_care(noted, date.today())  # noqa: DTZ011 (the person's own day)
    if care is not None:
        say("")
        say(fill(care, _WIDTH))
    if word.lower() not in advice:
        say(fill(f"Words with advice of their own: {', '.join(advice)}.", _WIDTH))
