"""A device as it is now, for states.py: the keeper's knowledge beside the wall clock."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol

from firmware_protocol.messages import Feet, word_of
from massager.config.devices import DeviceSettings, RemoteStart
from massager.daemon.face import (
    Connection,
    Order,
    RefusedClear,
    RefusedStart,
    Sighting,
    Started,
    Today,
)
from massager.home_assistant.states import Chosen, View, has_end
from massager.plan import Choice
from massager.session.model import Request
from massager.snapshot import Snapshot

_SAME_END: Final = timedelta(seconds=3)  # the end of a session wanders by less while nobody acts


class Keeper(Protocol):
    """What the bridge needs of `massager.daemon.keeper.Keeper`."""

    device: DeviceSettings
    name: str
    speed: int
    armed_until: datetime | None
    stopped_at: datetime | None

    def snapshot(self) -> Snapshot: ...

    @property
    def in_session(self) -> bool: ...

    @property
    def is_known_to_be_off(self) -> bool: ...

    @property
    def connection(self) -> Connection: ...

    @property
    def sighting(self) -> Sighting | None: ...

    @property
    def has_feet_sensor(self) -> bool | None: ...

    @property
    def remote_start(self) -> RemoteStart | None: ...

    @property
    def latched(self) -> tuple[tuple[str, str], ...]: ...

    def today(self) -> Today: ...

    def choice(
        self,
        *,
        intensity: object = None,
        minutes: object = None,
        warmup_s: object = None,
        shape: object = None,
        program: object = None,
    ) -> Choice: ...

    async def start(self, order: Order) -> Started | RefusedStart: ...

    def request(self, request: Request) -> str | None: ...

    async def clear(self) -> RefusedClear | None: ...

    def forbid(self, why: str | None) -> None: ...

    async def changed(self) -> None: ...


class Eye:
    """Looks at one keeper. `now` is the wall clock with its offset."""

    def __init__(self, keeper: Keeper, now: Callable[[], datetime]) -> None:
        self._keeper = keeper
        self._now = now
        self._ends_at: datetime | None = None

    def look(self, chosen: Chosen, last_error: str | None) -> View:
        """Everything, at this moment."""
        keeper = self._keeper
        snapshot, today = keeper.snapshot(), keeper.today()
        armed = keeper.armed_until
        motor_on_ms, remote = today.motor_on_ms, keeper.remote_start
        return View(
            snapshot=snapshot,
            speed=keeper.speed,
            in_session=keeper.in_session,
            is_known_to_be_off=keeper.is_known_to_be_off,
            connection=keeper.connection.state.value,
            connection_reason=keeper.connection.reason,
            latched=tuple(f"{happened}: {do}" for happened, do in keeper.latched),
            feet=self._feet(snapshot),
            chosen=chosen,
            remote_start=None if remote is None else remote.value,
            armed_until=_iso(armed if armed is not None and armed > self._now() else None),
            ends_at=_iso(self._end(snapshot)),
            rest_until=_iso(today.rest_until),
            minutes_today=None if motor_on_ms is None else -(-motor_on_ms // 60_000),
            minutes_left=_minutes_left(today),
            last_error=last_error,
        )

    def _feet(self, snapshot: Snapshot) -> str | None:
        if self._keeper.in_session and snapshot.feet is not None:
            return snapshot.feet
        seen = self._keeper.sighting
        is_there = seen is not None and self._keeper.connection.state.value == "connected"
        return word_of(Feet, seen.status.feet).replace("_", " ") if seen and is_there else None

    def _end(self, snapshot: Snapshot) -> datetime | None:
        """When the session ends; the same while it only wanders."""
        if not has_end(snapshot):
            self._ends_at = None
            return None
        left = timedelta(milliseconds=(snapshot.time_left_ms or 0) / self._keeper.speed)
        ends_at = self._now() + left
        if self._ends_at is None or abs(ends_at - self._ends_at) > _SAME_END:
            self._ends_at = ends_at
        return self._ends_at


def _minutes_left(today: Today) -> int | None:
    """Whole minutes of motor-on time that the sitting and the day leave."""
    if today.sitting_left_ms is None or today.day_left_ms is None:
        return None
    return min(today.sitting_left_ms, today.day_left_ms) // 60_000


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
