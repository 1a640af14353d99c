"""Stamps, starts and stores for the tests of the history: real SQLite files in a folder."""

from dataclasses import replace
from pathlib import Path

from massager.history.file import Place
from massager.history.records import End, Identified, NewSession, Sign, Stamp
from massager.history.store import Store

BOOT = "3f1c"
NOON = Stamp(1_795_262_400_000, 60, BOOT, 50_000_000, synchronised=True)  # 2026-11-21 13:00 +01:00
NEW = NewSession("serial:/dev/ttyUSB0", "classic", 6, 8, 90, "terminal")
SIMULATED = replace(NEW, url="sim:", counts=False)
WHO = Identified("foot-1", simulated=False, counts=True)
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000


def place_in(folder: Path) -> Place:
    """The two files of a history."""
    return Place(folder / "data" / "history.db", folder / "config" / "history.known")


def later(stamp: Stamp, ms: int) -> Stamp:
    """After `ms` on every clock."""
    return replace(stamp, utc_ms=stamp.utc_ms + ms, boot_ms=stamp.boot_ms + ms)


def open_store(place: Place, now: Stamp = NOON, keep_days: int | None = None) -> Store:
    """As a program that starts `now`."""
    return Store.open(place, now, keep_days)


def use(
    store: Store,
    began: Stamp = NOON,
    motor_on_ms: int = 8 * MINUTE_MS,
    *,
    new: NewSession = NEW,
    who: Identified = WHO,
    confirmed: bool = True,
) -> int:
    """A session from its start to its end, its number."""
    number = store.begin(new, began).id
    ended = later(began, motor_on_ms)
    with store.transaction():
        store.identified(number, who)
        store.sign(number, Sign(began, 0, 0))
        store.end(number, End(ended, "completed", "", motor_on_ms, 500, confirmed))
    store.note_counting(ended)
    return number


def left_open(store: Store, began: Stamp, motor_on_ms: int = 60_000) -> int:
    """A session whose program says nothing more after `motor_on_ms`."""
    number = store.begin(NEW, began).id
    with store.transaction():
        store.identified(number, WHO)
        store.sign(number, Sign(later(began, motor_on_ms), motor_on_ms, 400))
    store.note_counting(later(began, motor_on_ms))
    return number
