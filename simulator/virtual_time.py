"""An event loop whose clock jumps: where nothing is ready, it is at once the next deadline.

For tests and benchmarks. Code under it must read `loop.time()`. Bytes that travel through the
system (pty, socket) and work in another thread take real time: whoever sends them raises
`in_flight`, whoever gets them lowers it, and while it is above 0 the clock stands still.
"""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final, TypeVar, TypeVarTuple

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
REAL_WAIT_S: Final = 5.0  # for what is in flight; a loaded machine delivers within milliseconds


class LoopStalled(RuntimeError):
    """Nothing can ever happen again in this loop: what would be a hang is an error."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at 0 s. Time is kept in whole nanoseconds, so deadlines on a grid are met exactly."""

    def __init__(self) -> None:
        self.in_flight = 0  # bytes or jobs on their way through the real world
        self.now_ns = 0
        # Something else that lives in this time: told how far it may go, it says how far it came,
        # which is less where it has something for the loop (`call_soon`) before.
        self.passing: Callable[[int], int] | None = None
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self.now_ns / 1_000_000_000

    def count(self, number: int) -> None:
        """Add `number` (below 0: take off) to what is in flight."""
        self.in_flight += number

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts
    ) -> "asyncio.Future[_T]":
        """As ever; the clock stands still until the work is done."""
        self.in_flight += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(lambda _: self.count(-1))
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """As ever; joining the threads takes real time."""
        self.in_flight += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self.in_flight -= 1


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if self._loop.in_flight > 0:
            if events := super().select(REAL_WAIT_S):
                return events
            raise LoopStalled(f"{self._loop.in_flight} in flight for {REAL_WAIT_S:g} s: lost")
        if timeout is None:
            raise LoopStalled("nothing is ready, no timer runs and nothing is in flight")
        until_ns = self._loop.now_ns + round(timeout * 1_000_000_000)
        self._loop.now_ns = self._loop.passing(until_ns) if self._loop.passing else until_ns
        return events
