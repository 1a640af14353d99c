"""What a start needs beside the device: its row in the history, and the permit of these feet.

One `Papers` for each start. The row is on the disk before anything is sent; where it cannot be, a
real device is not driven. Nothing here waits for the disk while a session runs.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from massager.admission import Admission, allowance_of, local
from massager.config.devices import DeviceSettings
from massager.daemon.face import Order, RefusalKind, RefusedStart, Today
from massager.errors import HistoryUnusable
from massager.history import stamps
from massager.history.records import NewSession, Spent
from massager.history.writer import History
from massager.limits import DAY_MS
from massager.recording import Followed, Recording
from massager.session.model import Hindrance, Permit, Request, Terms
from massager.snapshot import Snapshot
from massager.transports.url import SimUrl

_log = logging.getLogger(__name__)


class Papers(Protocol):
    """Of one start."""

    @property
    def session_id(self) -> int | None:
        """The number of its row; None where it has none."""

    async def admit(self) -> Terms | RefusedStart:
        """The terms under which it may start, or why it may not; the row is written."""

    async def follow(self, session: Followed) -> None:
        """Note how it goes, until its end."""

    def asked(self, request: Request, refusal: str | None, now: Snapshot) -> None:
        """Somebody asked it for something."""

    async def end(self, ended: Snapshot) -> None:
        """The last word, on the disk when this returns, if the disk takes it."""


class Office(Protocol):
    """For all devices together: whose feet they are, its history knows."""

    @property
    def as_real(self) -> bool:
        """Whether simulated devices count, too."""

    def papers(self, device: DeviceSettings, order: Order) -> Papers:
        """Those of a new start."""

    def today(self, person: str) -> Today:
        """What the dose limits leave a person on a device that counts."""


class HistoryOffice:
    """Rows in `history`, permits by `admission`. `as_real`: simulated devices count, too."""

    def __init__(
        self, history: History, admission: Admission, *, speed: int = 1, as_real: bool = False
    ) -> None:
        self.speed = speed
        self.as_real = as_real
        self.history = history
        self.admission = admission
        self._spent: dict[str, list[Spent]] = {}
        self._notices = 0
        self._problem: str | None = None

    def papers(self, device: DeviceSettings, order: Order) -> "SessionPapers":
        """Those of a new start."""
        return SessionPapers(self, device, order)

    def today(self, person: str) -> Today:
        """As of the person's last start or end."""
        now = stamps.now()
        spent = self._spent.get(person, [])
        allowance = allowance_of(spent, now)
        fresh_ms = allowance.fresh_in_ms
        return Today(
            motor_on_ms=sum(
                each.motor_on_ms
                for each in spent
                if now.utc_ms - each.began.utc_ms < DAY_MS and not each.assumed
            ),
            sitting_left_ms=allowance.sitting_left_ms,
            day_left_ms=allowance.day_left_ms,
            rest_until=local(now, fresh_ms) if fresh_ms else None,
        )

    async def refresh(self, person: str) -> None:
        """Learn anew what a person has spent, and tell the log what is wrong with the history."""
        with suppress(HistoryUnusable):
            self.learn(person, await self.history.spent(person))
        for notice in self.history.notices[self._notices :]:
            _log.warning("%s", notice)
        self._notices = len(self.history.notices)
        if self.history.problem != self._problem:
            self._problem = self.history.problem
            _log.warning("history: %s", self._problem or "it is written again")

    def learn(self, person: str, spent: list[Spent]) -> None:
        """This is what a person has spent so far."""
        self._spent[person] = spent


class SessionPapers:
    """One row, from before the start to after the end."""

    def __init__(self, office: HistoryOffice, device: DeviceSettings, order: Order) -> None:
        self._office = office
        self._device = device
        self._choice = order.choice
        choice = order.choice
        new = NewSession(
            url=str(device.url),
            program=choice.program.name,
            intensity=choice.intensity,
            minutes=choice.massage_ms / 60_000,
            warmup_s=choice.warmup_ms / 1000,
            origin=order.origin.value,
            counts=office.as_real or not isinstance(device.url, SimUrl),
            speed=office.speed,
            person=device.person,
        )
        self._recording = Recording(office.history, new, as_real=office.as_real)

    @property
    def session_id(self) -> int | None:
        """The number of its row."""
        return self._recording.session_id

    async def admit(self) -> Terms | RefusedStart:
        """See `Papers.admit`. The session applies the permit once it knows the device."""
        device, office = self._device, self._office
        terms = Terms(office.speed, device.device_id, device.max_intensity, as_real=office.as_real)
        refused = cap_refusal(device, self._choice.intensity)
        if refused is not None:
            return refused
        try:
            spent = await self._recording.begin()
            office.learn(device.person, spent)
            permit = await self._permit(spent)
        except HistoryUnusable as error:
            permit = Permit(str(error), 0, hindrance=Hindrance.HISTORY)
        return replace(terms, permit=permit)

    async def _permit(self, spent: list[Spent]) -> Permit:
        """Read in the history's thread: a disk that hangs must not hold up another's session.

        Raises HistoryUnusable where it hangs for too long.
        """
        admission = self._office.admission.of(self._device.person)
        return await self._office.history.ask(
            lambda _: admission.permit(self._choice, spent, stamps.now())
        )

    async def follow(self, session: Followed) -> None:
        """Until its end."""
        await self._recording.follow(session)

    def asked(self, request: Request, refusal: str | None, now: Snapshot) -> None:
        """A row of its own."""
        self._recording.asked(request, refusal, now)

    async def end(self, ended: Snapshot) -> None:
        """What cannot be written is told by the log, and tried again."""
        try:
            await self._recording.end(ended)
        except HistoryUnusable as error:
            _log.warning("how the session ended is not in the history yet: %s", error)
        await self._office.refresh(self._device.person)


@dataclass(frozen=True, slots=True)
class NoOffice:
    """Nothing is written or counted, and no real device is driven: for tests and benchmarks."""

    speed: int = 1
    as_real: bool = False

    def papers(self, device: DeviceSettings, order: Order) -> "NoPapers":
        """Those of a new start."""
        return NoPapers(self.speed, device, order)

    def today(self, person: str) -> Today:
        """Nothing is counted."""
        return Today()


@dataclass(frozen=True, slots=True)
class NoPapers:
    """See NoOffice."""

    speed: int
    device: DeviceSettings
    order: Order
    session_id: int | None = None

    async def admit(self) -> Terms | RefusedStart:
        """Refused above the cap; without a permit, for simulated devices alone."""
        refused = cap_refusal(self.device, self.order.choice.intensity)
        return refused or Terms(self.speed, self.device.device_id, self.device.max_intensity)

    async def follow(self, session: Followed) -> None:
        """Nobody notes it."""

    def asked(self, request: Request, refusal: str | None, now: Snapshot) -> None:
        """Nobody notes it."""

    async def end(self, ended: Snapshot) -> None:
        """Nobody notes it."""


def cap_refusal(device: DeviceSettings, intensity: int) -> RefusedStart | None:
    """Above the cap of the person and the device, whatever the device is."""
    if intensity <= device.max_intensity:
        return None
    why = (
        f"intensity {intensity} is above the cap of {device.max_intensity} "
        "(max_intensity in the config)"
    )
    return RefusedStart(RefusalKind.LIMIT, why)
