"""How much time has surely passed between two moments, whatever became of the clocks. Pure.

A wall clock is set by people, by a network and by an empty battery; the count of milliseconds since
the computer booted goes only forward, also while it sleeps, but ends with the boot. Every answer
here is a lower bound of the true time: a rest is never taken for longer than it was.
"""

from typing import Final, Protocol

# The kernel calls a clock synchronised while it may be off by up to 16 s; both ends of a span may.
WALL_ERROR_MS: Final = 60_000


class Moment(Protocol):
    """A moment as this computer could tell it. `history.records.Stamp` is one."""

    @property
    def utc_ms(self) -> int:
        """The wall clock: ms since 1970 in UTC, so that daylight saving time does not matter."""

    @property
    def boot(self) -> str:
        """Which boot of the computer it was; empty where the system does not tell."""

    @property
    def boot_ms(self) -> int:
        """Time since that boot, with the time that the computer slept."""

    @property
    def synchronised(self) -> bool:
        """Whether the wall clock was known to be right."""


def surely_passed_ms(earlier: Moment, later: Moment) -> int:
    """A lower bound of the time from `earlier` to `later`, ms, 0 or more.

    In one boot it is exact. Over a boot only the time since then is sure, unless the wall clock
    was known to be right both times; a wall clock that was set back makes it no shorter.
    """
    if earlier.boot and earlier.boot == later.boot:
        return max(0, later.boot_ms - earlier.boot_ms)
    since_boot_ms = max(0, later.boot_ms) if later.boot else 0
    if earlier.synchronised and later.synchronised:
        return max(since_boot_ms, later.utc_ms - earlier.utc_ms - WALL_ERROR_MS)
    return since_boot_ms
