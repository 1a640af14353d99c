"""What uses up a person's dose, from the rows of the history."""

import sqlite3
from collections.abc import Iterator
from heapq import merge
from operator import itemgetter
from typing import Final

from massager.ages import surely_passed_ms
from massager.history.records import UNKNOWN_END, Spent, Stamp
from massager.history.rows import SPENT_COLUMNS, names, spent_of
from massager.limits import DAY_MAX_MS, DAY_MS, unseen_end_ms

_ENOUGH_MS: Final = 2 * DAY_MAX_MS  # uses beyond this cannot matter to a day
_USED: Final = (
    f"SELECT id, {names(SPENT_COLUMNS)} FROM sessions WHERE counts AND (ended_utc_ms IS NULL "
    "OR motor_on_ms > 0 OR highest_permille > 0 OR stop_reason = ? "
    "OR (device IS NOT NULL AND NOT output_confirmed)) "
)


def uses(connection: sqlite3.Connection, person: str) -> Iterator[tuple[int, Spent]]:
    """Each with its number, the newest first; as far back as can matter.

    What nobody is named for counts for everybody, and for nobody in particular all counts.
    """
    if person:  # in two queries, since each can follow the index and end early
        whose = _USED + "AND person = ? ORDER BY id DESC"
        parts = [connection.execute(whose, (UNKNOWN_END, name)) for name in (person, "")]
    else:
        parts = [connection.execute(_USED + "ORDER BY id DESC", (UNKNOWN_END,))]
    sum_ms = 0
    for number, *rest in merge(*parts, key=itemgetter(0), reverse=True):
        spent = spent_of(tuple(rest))
        yield number, spent
        sum_ms += spent.motor_on_ms
        if sum_ms >= _ENOUGH_MS:
            break


def needed_for_a_day(connection: sqlite3.Connection, now: Stamp) -> set[int]:
    """The sessions that may still lie within 24 hours."""
    return {
        number
        for person in _persons(connection)
        for number, spent in uses(connection, person)
        if surely_passed_ms(spent.ended or now, now) < DAY_MS
    }


def day_ms(connection: sqlite3.Connection, now: Stamp) -> int:
    """The most motor-on time that anybody had in the last 24 hours but for the newest use: after a
    loss, an assumed sitting stands for that."""
    return max(
        sum(
            spent.motor_on_ms + (0 if spent.seen_end else unseen_end_ms(spent.speed))
            for _, spent in [*uses(connection, person)][1:]
            if spent.ended is not None and surely_passed_ms(spent.ended, now) < DAY_MS
        )
        for person in _persons(connection)
    )


def newest_counting(connection: sqlite3.Connection) -> int:
    """The number of the newest session that counts, or was assumed; 0 where there is none."""
    row = connection.execute(
        "SELECT id FROM sessions WHERE counts AND (device IS NOT NULL OR hidden) "
        "ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return 0 if row is None else int(row[0])


def _persons(connection: sqlite3.Connection) -> list[str]:
    """Whoever is named; the one that is not where nobody is."""
    rows = connection.execute("SELECT DISTINCT person FROM sessions WHERE person != ''")
    return [name for (name,) in rows] or [""]
