"""The daemon's side of the local socket, one for each device: api.py's requests to a keeper."""

from collections.abc import Callable, Sequence
from typing import Any, assert_never

from massager.api import (
    Armed,
    ArmRequest,
    ClearRequest,
    DaemonRequest,
    Devices,
    DevicesRequest,
    Done,
    Failure,
    NotDone,
    NotStarted,
    Reply,
    StartFailure,
    StartRequest,
    as_dict,
)
from massager.daemon.face import Order, Origin, RefusalKind, RefusedStart
from massager.daemon.keeper import Keeper
from massager.errors import MassagerError


class Desk:
    """Carries out what takes a while; the rest the server asks of the keeper itself."""

    def __init__(self, keeper: Keeper, all_keepers: Sequence[Keeper]) -> None:
        self._keeper = keeper
        self._all = all_keepers

    async def carry_out(self, request: DaemonRequest, now: Callable[[], Done]) -> Reply:
        """The answer; `now` makes the one that shows the session as it is."""
        match request:
            case StartRequest():
                return await self._start(request) or now()
            case ClearRequest():
                refusal = await self._keeper.clear()
                return now() if refusal is None else _refused(refusal)
            case ArmRequest():
                until = self._keeper.arm().isoformat(timespec="seconds")
                return Armed(**_fields(now()), armed_until=until)
            case DevicesRequest():
                return Devices(**_fields(now()), devices=[device_of(each) for each in self._all])
            case _:
                assert_never(request)

    async def _start(self, request: StartRequest) -> NotStarted | None:
        try:
            choice = self._keeper.choice(
                intensity=request.intensity,
                minutes=request.minutes,
                warmup_s=request.warmup,
                shape=request.shape,
                program=request.program,
            )
        except MassagerError as error:
            return _not_started(RefusalKind.LIMIT, str(error))
        outcome = await self._keeper.start(Order(choice, Origin(request.origin)))
        if isinstance(outcome, RefusedStart):
            return _not_started(outcome.kind, outcome.why)
        return None


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
        "latched": [list(each) for each in keeper.latched],
        "session": as_dict(keeper.snapshot()),
    }


def _fields(done: Done) -> dict[str, Any]:
    return {name: getattr(done, name) for name in ("stage", "owner", "session")}


def _refused(why: str) -> NotDone:
    return NotDone(error=Failure(kind="refused", message=why))


def _not_started(kind: RefusalKind, why: str) -> NotStarted:
    return NotStarted(error=StartFailure(kind="refused", message=why, refusal=kind.value))
