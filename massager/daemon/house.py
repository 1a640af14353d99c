"""The daemon: all keepers, a socket for each, whatever front ends there are, and the end of it all.

A first signal ends the sessions softly, a second one at once, a third leaves. Nothing that a front
end does, or fails to do, ends a session or the daemon.
"""

import asyncio
import logging
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

from massager.api.server import ApiServer
from massager.daemon.backoff import wait_s
from massager.daemon.face import Subscription
from massager.daemon.keeper import Keeper
from massager.daemon.socket_service import SocketService
from massager.daemon.systemd import Notifier
from massager.errors import ExitCode
from massager.session.model import HardStop, SoftStop, StopReason

_log = logging.getLogger(__name__)

SOFT_END_S: Final = 8.0  # 2 s of falling; a device that does not answer is given up after 5 s
HARD_END_S: Final = 0.2  # after a second signal; the output is 0 by then, or out of reach
FRONT_END_S: Final = 1.0  # to say goodbye
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class FrontEnd(Protocol):
    """Something beside the local socket that starts, stops and shows sessions."""

    async def run(self, house: "House") -> None:
        """Until it is cancelled, which happens after the last session has ended."""


class House:
    """Runs once. `front_ends` see `keepers` and nothing below them."""

    def __init__(
        self,
        keepers: Sequence[Keeper],
        environ: Mapping[str, str],
        front_ends: Iterable[FrontEnd] = (),
    ) -> None:
        self.keepers = tuple(keepers)
        self.stopping = False
        self._front_ends = tuple(front_ends)
        self._notifier = Notifier(environ)
        self._servers = [
            ApiServer(
                keeper,
                keeper.url,
                keeper.speed,
                environ,
                name=keeper.name,
                service=SocketService(keeper, self.keepers),
            )
            for keeper in self.keepers
        ]
        self._signals = 0
        self._signalled = asyncio.Event()

    def keeper(self, name: str) -> Keeper | None:
        """The device of this name."""
        return next((keeper for keeper in self.keepers if keeper.name == name), None)

    def subscribe(self) -> Subscription:
        """The events of every device from now on."""
        subscription = Subscription()
        for keeper in self.keepers:
            keeper.subscribe(subscription)
        return subscription

    async def run(self) -> ExitCode:
        """Until a signal has ended it. 0, or 5 where a motor is not known to be off.

        Raises ConfigError where the sockets cannot be opened.
        """
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            if signal.getsignal(number) == signal.SIG_IGN:  # nohup stays nohup
                continue
            loop.add_signal_handler(number, self._on_signal, number)
        tasks: list[asyncio.Task[None]] = []
        visitors: list[asyncio.Task[None]] = []
        try:
            for server in self._servers:
                await server.open()
            tasks = [loop.create_task(keeper.run()) for keeper in self.keepers]
            tasks.append(loop.create_task(self._show_life()))
            visitors = [loop.create_task(self._host(each)) for each in self._front_ends]
            self._notifier.ready()
            _log.info("ready: %s", ", ".join(f"{each.name} ({each.url})" for each in self.keepers))
            await self._signalled.wait()
            await self._end_sessions()
        finally:
            await _leave(visitors, FRONT_END_S)
            for server in self._servers:
                await server.close()
            await _leave(tasks, FRONT_END_S)
            self._notifier.close()
        is_off = all(keeper.is_known_to_be_off for keeper in self.keepers)
        _log.info("ended" if is_off else "ended; not every motor is known to be off")
        return ExitCode.OK if is_off else ExitCode.FAILED

    # --- inside ----------------------------------------------------------------------------------

    async def _end_sessions(self) -> None:
        """Softly; see `_on_signal` for what comes after the first signal."""
        self._notifier.stopping()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + SOFT_END_S
        resting = loop.create_task(self._everybody_rests())
        try:
            while not resting.done() and self._signals < 3:
                if self._signals == 2:
                    until_s = min(until_s, loop.time() + HARD_END_S)
                left_s = until_s - loop.time()
                if left_s <= 0:
                    return
                self._signalled.clear()
                again = loop.create_task(self._signalled.wait())
                await asyncio.wait(
                    {again, resting}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED
                )
                again.cancel()
        finally:
            resting.cancel()

    async def _everybody_rests(self) -> None:
        for keeper in self.keepers:
            await keeper.rest()

    def _on_signal(self, number: signal.Signals) -> None:
        self._signals += 1
        self.stopping = True
        if self._signals == 1:
            _log.info("%s: ending softly; once more: emergency stop", number.name)
        elif self._signals == 2:
            _log.warning("%s again: emergency stop", number.name)
        for keeper in self.keepers:
            keeper.closing = True
            if not keeper.in_session:
                continue
            if self._signals == 1:
                keeper.request(SoftStop(StopReason.SHUTDOWN, number.name))
            elif self._signals == 2:
                keeper.request(HardStop())
        self._signalled.set()

    async def _show_life(self) -> None:
        """From this loop, so that one that hangs is ended; the leases stop the motors."""
        while self._notifier.alive_every_s is not None:
            self._notifier.alive()
            await asyncio.sleep(self._notifier.alive_every_s)

    async def _host(self, front_end: FrontEnd) -> None:
        """Run a front end for good: one that fails is begun anew."""
        tries = 0
        while True:
            try:
                await front_end.run(self)
            except Exception:
                _log.exception("%s failed; it is begun anew", type(front_end).__name__)
            tries += 1
            await asyncio.sleep(wait_s(tries, 0.5))


async def _leave(tasks: Sequence[asyncio.Task[None]], patience_s: float) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), patience_s)
