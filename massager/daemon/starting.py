"""One order on its way to a session: connect, try again for a while, shake hands; or why not."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, TypeAlias, TypeVar

from massager.clock import Clock
from massager.config.devices import RemoteStart
from massager.controller import Controller
from massager.daemon.backoff import wait_s
from massager.daemon.face import Order, RefusalKind, RefusedStart
from massager.daemon.held_line import HeldLine
from massager.daemon.presence import Presence
from massager.errors import ConfigError, NoDevice, PortBusy, Refused
from massager.session.model import (
    Arming,
    Ended,
    HardStop,
    Hindrance,
    Idle,
    SoftStop,
    Start,
    Stopping,
    StopReason,
    Terms,
)

START_TRY_S: Final = 15.0  # for an absent device to come; a person is waiting for the answer
TRY_CAP_S: Final = 2.0
STOPPED: Final = "it was stopped before it began"
SLEPT: Final = "this computer slept after the start was asked for; ask again"

_STOPS: Final = (StopReason.REQUESTED, StopReason.EMERGENCY, StopReason.SHUTDOWN)
_KINDS: Final = {  # of an end that is neither a stop nor a hindrance; else the device's doing
    StopReason.HOST_SUSPENDED: RefusalKind.LATE,
    StopReason.HOST_STALLED: RefusalKind.LATE,
}
_HINDRANCES: Final = {
    Hindrance.LIMIT: RefusalKind.LIMIT,
    Hindrance.SCREENING: RefusalKind.SCREENING,
    Hindrance.HISTORY: RefusalKind.HISTORY,
}
_T = TypeVar("_T")
_Begun: TypeAlias = Controller | RefusedStart


class Starting:
    """`run` it once. `halt` ends it at any moment; `controller` is there once the line is open.

    `asked` was made when the start was asked for.
    """

    def __init__(
        self,
        order: Order,
        line: HeldLine,
        presence: Presence,
        needs: RemoteStart | None,
        chance: Callable[[], float],
        asked: Clock,
    ) -> None:
        self.order = order
        self.controller: Controller | None = None
        self.stop: SoftStop | HardStop | None = None  # came before there was a controller
        self._line = line
        self._presence = presence
        self._needs_feet = order.origin.is_remote and needs is RemoteStart.FEET
        self._chance = chance
        self._asked = asked
        self._halted = asyncio.Event()

    def halt(self, stop: SoftStop | HardStop) -> None:
        """A stop came. What waits here is over; what has reached the device is stopped there."""
        if self.controller is None:
            self.stop = stop
            self._halted.set()
        else:
            self.controller.request(stop)

    async def run(self, terms: Terms) -> Controller | RefusedStart:
        """The controller of a session that the device has taken, or why there is none.

        The permit of `terms` was made just now.
        """
        loop = asyncio.get_running_loop()
        permitted = Clock(loop, terms.speed)
        until_s = loop.time() + START_TRY_S
        tries = 0
        while not self._halted.is_set():
            tries += 1
            try:
                return await self._try(terms, permitted, until_s)
            except (Refused, ConfigError, PortBusy) as error:
                # Whoever drives it may be stopped, and that must not be what this begins with.
                ended_as = StopReason.NO_HANDSHAKE if isinstance(error, PortBusy) else None
                return RefusedStart(RefusalKind.BUSY, str(error), ended_as)
            except NoDevice as error:
                if self._halted.is_set():  # by a stop, which took the line, maybe
                    break
                self._presence.failed(error)
                pause_s = wait_s(tries, self._chance(), TRY_CAP_S)
                if loop.time() + pause_s > until_s:
                    return RefusedStart(RefusalKind.ABSENT, f"the device was not reached: {error}")
            await self._unless_halted(asyncio.sleep(pause_s), pause_s + 1)
        assert self.stop is not None
        return _stopped(self.stop.reason)

    async def _try(self, terms: Terms, permitted: Clock, until_s: float) -> _Begun:
        """Once. Raises NoDevice where another try may help."""
        left_s = until_s - asyncio.get_running_loop().time()
        if self._needs_feet:
            await self._unless_halted(self._presence.look(), left_s)
            seen = self._presence.sighting
            if seen is not None and not seen.has_feet_sensor:
                why = "the device has no feet sensor, and remote.start in the config asks for feet"
                return RefusedStart(RefusalKind.DEVICE, why)
        terms = replace(terms, permitted_ms=-permitted.now_ms())  # its clock begins now
        controller = Controller(self._line.loan(), terms)
        try:
            if not await self._unless_halted(controller.open(), left_s) and self.stop is None:
                raise NoDevice(f"{self._line.transport.url} could not be opened in time")
            if self.stop is not None:
                return _stopped(self.stop.reason)
            if self._asked.was_suspended():
                return RefusedStart(RefusalKind.LATE, SLEPT)
            self.controller = controller
            refusal = controller.start(Start(self.order.choice))
            if refusal is not None:
                return RefusedStart(RefusalKind.LATE, refusal)  # its cap was looked at before
            await _handshake(controller)
            return self._came_of(controller)
        finally:
            if not is_under_way(controller):
                await controller.close()

    def _came_of(self, controller: Controller) -> Controller | RefusedStart:
        """What the handshake has come to."""
        state = controller.state
        if not isinstance(state, Ended | Stopping):
            return controller
        if state.reason is StopReason.NO_HANDSHAKE:
            self.controller = None
            raise NoDevice(state.detail)
        if state.reason in _STOPS:
            return _stopped(state.reason)
        if isinstance(state, Ended) and state.hindrance is not None:
            return RefusedStart(_HINDRANCES[state.hindrance], state.detail)
        kind = _KINDS.get(state.reason, RefusalKind.DEVICE)
        return RefusedStart(kind, state.detail, state.reason)

    async def _unless_halted(self, work: Coroutine[Any, Any, _T], for_s: float) -> bool:
        """Whether it was done before a stop came and in time. Raises what it raises."""
        working = asyncio.ensure_future(work)
        halted = asyncio.ensure_future(self._halted.wait())
        try:
            await asyncio.wait(
                {working, halted}, timeout=for_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            halted.cancel()
            if not working.done():
                working.cancel()
                await asyncio.wait({working})
        if working.cancelled():
            return False
        working.result()
        return True


async def _handshake(controller: Controller) -> None:
    while isinstance(controller.state, Arming):
        await controller.changed()


def is_under_way(controller: Controller | None) -> bool:
    """Whether it still has something to do with the device."""
    return controller is not None and not isinstance(controller.state, Idle | Ended)


def _stopped(reason: StopReason) -> RefusedStart:
    if reason is StopReason.SHUTDOWN:
        return RefusedStart(RefusalKind.CLOSING, "the daemon is ending")
    return RefusedStart(RefusalKind.STOPPED, STOPPED)
