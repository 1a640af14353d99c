"""What the daemon and its front ends say to each other. Data only.

A front end (the local socket, Home Assistant) has a `Keeper` (keeper.py) for each device. It starts
with an `Order`, gets `Started` or `RefusedStart`, and hears of everything else by `DaemonEvent`.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias

from firmware_protocol.messages import Capability, Identity, Status
from massager.plan import Choice
from massager.session.model import StopReason

UNREAD_EVENTS_MAX: Final = 64


class Origin(StrEnum):
    """Where a start comes from."""

    TERMINAL = "terminal"
    SOCKET = "socket"
    MQTT = "mqtt"
    PHONE = "phone"

    @property
    def is_remote(self) -> bool:
        """Whether nobody need be near the device: `remote.start` applies."""
        return self in (Origin.MQTT, Origin.PHONE)


@dataclass(frozen=True, slots=True)
class Order:
    """One start, asked for now. Whether it is fresh is for its front end to judge."""

    choice: Choice
    origin: Origin


@dataclass(frozen=True, slots=True)
class Started:
    """The device has taken the session. `session_id` is its row in the history, if it has one."""

    session_id: int | None
    at: datetime


class RefusalKind(StrEnum):
    """Why a start came to nothing, for a program; `why` is for a person."""

    BUSY = "busy"  # a session runs or still stops, or somebody else has the device
    LIMIT = "limit"  # a cap, the dose, quiet hours
    SCREENING = "screening"
    ARMING = "not armed"
    ABSENT = "absent"  # not reached in time
    DEVICE = "device"  # it refused, or it is another one
    STOPPED = "stopped"  # a stop came meanwhile
    CLOSING = "closing"  # the daemon ends
    HISTORY = "history"  # it cannot be written, and then no real device is driven
    LATE = "late"  # the computer slept or stood still after it was asked for
    FAULT = "fault"  # of this program


@dataclass(frozen=True, slots=True)
class RefusedStart:
    """Nothing moves. `why` says what would have to be otherwise."""

    kind: RefusalKind
    why: str
    ended_as: StopReason | None = None  # where it is not the usual one of its kind

    @property
    def reason(self) -> StopReason:
        """How the session ended that it was to be; a session in the foreground ends so, too."""
        return self.ended_as or _ENDED_AS.get(self.kind, StopReason.REFUSED)


_ENDED_AS: Final = {
    RefusalKind.ABSENT: StopReason.NO_HANDSHAKE,
    RefusalKind.STOPPED: StopReason.REQUESTED,
    RefusalKind.CLOSING: StopReason.SHUTDOWN,
    RefusalKind.LATE: StopReason.HOST_SUSPENDED,
    RefusalKind.FAULT: StopReason.FAULT,
}

Outcome: TypeAlias = Started | RefusedStart


@dataclass(frozen=True, slots=True)
class RefusedClear:
    """What is latched stays so, or nobody knows; `kind` is busy, absent or device."""

    kind: RefusalKind
    why: str


class ConnectionState(StrEnum):
    """What is known of the way to a device."""

    UNKNOWN = "unknown"  # not looked at yet
    HERE = "connected"
    AWAY = "away"  # cannot be opened, or does not answer
    WRONG = "wrong"  # another device answers
    IN_USE = "in use"  # another process or another controller drives it


@dataclass(frozen=True, slots=True)
class Connection:
    """The way to a device, since when it is so, and why it is not connected."""

    state: ConnectionState
    reason: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a device last said about itself, between sessions."""

    identity: Identity
    status: Status
    seen: datetime

    @property
    def has_feet_sensor(self) -> bool:
        """Whether it can tell that feet are there."""
        return bool(self.identity.capabilities & Capability.FEET_SENSOR)


@dataclass(frozen=True, slots=True)
class Today:
    """What the dose limits leave now; None where this device does not count."""

    motor_on_ms: int | None = None  # of the last 24 h
    sitting_left_ms: int | None = None
    day_left_ms: int | None = None
    rest_until: datetime | None = None  # when a full sitting is allowed again, if not now


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """The device `name` has taken a session."""

    name: str
    at: datetime
    origin: Origin
    program: str
    intensity: int
    minutes: float
    warmup_s: float
    simulated: bool
    session_id: int | None


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """It is over. `reason` is a word of `StopReason`, `detail` a sentence or nothing."""

    name: str
    at: datetime
    origin: Origin
    reason: str
    detail: str
    motor_on_ms: int
    highest_permille: int
    output_confirmed: bool  # the device itself reported output 0
    session_id: int | None


@dataclass(frozen=True, slots=True)
class StartRefused:
    """A start came to nothing."""

    name: str
    at: datetime
    origin: Origin
    kind: RefusalKind
    why: str


DaemonEvent: TypeAlias = SessionStarted | SessionEnded | StartRefused


class Subscription:
    """The events since it was made, in order; where nobody reads, the oldest are dropped."""

    def __init__(self) -> None:
        self.dropped = 0
        self._events: deque[DaemonEvent] = deque()
        self._news = asyncio.Event()
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether nobody wants it any more."""
        return self._closed

    async def next(self) -> DaemonEvent:
        """The oldest event that was not read yet; waits for one."""
        while not self._events:
            self._news.clear()
            await self._news.wait()
        return self._events.popleft()

    def put(self, event: DaemonEvent) -> None:
        """For keepers; never waits."""
        if len(self._events) >= UNREAD_EVENTS_MAX:
            self._events.popleft()
            self.dropped += 1
        self._events.append(event)
        self._news.set()

    def close(self) -> None:
        """No more of them."""
        self._closed = True
        self._events.clear()
