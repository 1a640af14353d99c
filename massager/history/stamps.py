"""Now, as a stamp: the history's only look at the world's clocks."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Final

from massager.clock import boot_ms
from massager.history.records import Stamp

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_TIMEX_BYTES: Final = 512  # the kernel's struct timex takes 208
_TIME_ERROR: Final = 5  # adjtimex: the clock is not synchronised


def now() -> Stamp:
    """The wall clock, its offset, and the computer's own count since its boot."""
    wall = datetime.now().astimezone()
    offset = wall.utcoffset() or timedelta()
    return Stamp(
        utc_ms=int(wall.timestamp() * 1000),
        offset_min=int(offset.total_seconds() // 60),
        boot=_boot(),
        boot_ms=boot_ms(),
        synchronised=is_synchronised(),
    )


def iso_of(stamp: Stamp) -> str:
    """`2026-11-21T22:40:03+01:00`, as the person's clock showed it."""
    return local_time(stamp).isoformat(timespec="seconds")


def local_time(stamp: Stamp) -> datetime:
    """The wall clock of a stamp in the time zone it was made in; the ends of time are cut."""
    zone = timezone(timedelta(minutes=max(-1439, min(1439, stamp.offset_min))))
    try:
        return datetime.fromtimestamp(stamp.utc_ms / 1000, zone)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


def is_synchronised() -> bool:
    """Whether the kernel says that the clock is right: whoever sets it by hand takes that away.

    Where the system does not say, it is not.
    """
    adjtimex = _adjtimex()
    return adjtimex is not None and 0 <= adjtimex() != _TIME_ERROR


@cache
def _adjtimex() -> Callable[[], int] | None:
    """The kernel's word on the clock; a question of zeros changes nothing."""
    if sys.platform != "linux":
        return None
    import ctypes

    try:
        ask = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    return lambda: int(ask(ctypes.create_string_buffer(_TIMEX_BYTES)))


@cache
def _boot() -> str:
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
