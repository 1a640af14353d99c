"""The controller's clock: the event loop's time × speed, and the only look at a host suspend."""

import asyncio
import time
from collections.abc import Callable

_SUSPEND_MS = 500  # clock drift and rounding stay far below, any real suspend far above


class Clock:
    """Milliseconds of the controller's time since the clock was made.

    The event loop is the source, so a virtual loop gives virtual time. `speed` (1…20) lets it run
    faster than real time, for a simulated device that runs as fast.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, speed: int = 1) -> None:
        self.speed = speed
        self._loop = loop
        self._origin = loop.time()
        self._away_s = _away_s()

    def now_ms(self) -> int:
        """Whole milliseconds of the controller's time."""
        return int((self._loop.time() - self._origin) * 1000 * self.speed + 1e-6)

    def call_at(self, at_ms: int, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call `callback` once the clock shows `at_ms`."""
        return self._loop.call_at(self._origin + at_ms / (1000 * self.speed), callback)

    def real_ms(self, clock_ms: int) -> float:
        """What a span of the controller's time takes in real milliseconds."""
        return clock_ms / self.speed

    def was_suspended(self) -> bool:
        """Whether the host slept since this was asked last.

        Linux stops the monotonic clock, and with it every timer, while it is suspended;
        CLOCK_BOOTTIME goes on. Elsewhere the answer is always no, and the lease is the guard.
        """
        away_s = _away_s()
        slept_ms = (away_s - self._away_s) * 1000
        self._away_s = away_s
        return slept_ms > _SUSPEND_MS


def boot_ms() -> int:
    """Milliseconds since the computer booted, with the time it slept where the system tells."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return time.monotonic_ns() // 1_000_000
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def _away_s() -> float:
    """How long the host has been suspended since it booted."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
