"""The daemon's side of the local socket, one for each device: requests of api/messages.py."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, assert_never

from massager.api.messages import (
    ArmRequest,
    ClearRequest,
    DaemonRequest,
    DevicesRequest,
    Done,
    NotDone,
    Reply,
    StartRequest,
    as_dict,
)
from massager.daemon.face import Order, Origin, Outcome, RefusalKind, RefusedStart
from massager.daemon.keeper import Keeper
from massager.errors import MassagerError


class SocketService:
    """Carries out what takes a while; the rest the server asks of the keeper itself."""

    def __init__(self, keeper: Keeper, all_keepers: Sequence[Keeper]) -> None:
        self._keeper = keeper
        self._all = all_keepers

    def carry_out(
        self, request: DaemonRequest, now: Callable[[], Done]
    ) -> Coroutine[Any, Any, Reply]:
        """The answer; `now` makes the one that shows the session as it is.

        A start is asked for in the moment of this call: a stop that comes after it ends it.
        """
        if isinstance(request, StartRequest):
            return self._start(request, now)
        return self._do(request, now)

    async def _do(
        self, request: ClearRequest | ArmRequest | DevicesRequest, now: Callable[[], Done]
    ) -> Reply:
        match request:
            case ClearRequest():
                refusal = await self._keeper.clear()
                return now() if refusal is None else _refused(refusal.kind, refusal.why)
            case ArmRequest():
                until = self._keeper.arm().isoformat(timespec="seconds")
                return {**now(), "armed_until": until}
            case DevicesRequest():
                return {**now(), "devices": [device_of(each) for each in self._all]}
            case _:
                assert_never(request)

    def _start(self, request: StartRequest, now: Callable[[], Done]) -> Coroutine[Any, Any, Reply]:
        try:
            choice = self._keeper.choice(
                intensity=request.intensity,
                minutes=request.minutes,
                warmup_s=request.warmup,
                shape=request.shape,
                program=request.program,
            )
        except MassagerError as error:
            return _at_once(_refused(RefusalKind.LIMIT, str(error)))
        return _came_of(self._keeper.start(Order(choice, Origin(request.origin))), now)


def device_of(keeper: Keeper) -> dict[str, Any]:
    """What the socket tells of one device."""
    connection, sighting = keeper.connection, keeper.sighting
    return {
        "name": keeper.name,
        "url": keeper.url,
        "connection": connection.state.value,
        "reason": connection.reason,
        "since": connection.since.isoformat(timespec="seconds"),
        "device": None if sighting is None else sighting.identity.name,
        "simulated": None if sighting is None else sighting.identity.is_simulated,
        "person": keeper.device.person or None,
        "latched": [list(each) for each in keeper.latched],
        "session": as_dict(keeper.snapshot()),
    }


async def _came_of(starting: Coroutine[Any, Any, Outcome], now: Callable[[], Done]) -> Reply:
    outcome = await starting
    if isinstance(outcome, RefusedStart):
        reply = _refused(outcome.kind, outcome.why)
        reply["error"]["reason"] = outcome.reason.value
        return reply
    return now()


async def _at_once(reply: Reply) -> Reply:
    return reply


def _refused(kind: RefusalKind, why: str) -> NotDone:
    return {"ok": False, "error": {"kind": "refused", "message": why, "refusal": kind.value}}
