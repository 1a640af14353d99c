"""One device and its only owner: what is to be seen of it, and what may be asked of it.

A front end starts with an `Order` and stops, pauses and changes by `request`, which is done before
it returns: nothing a start or a look is waiting for stands before a stop. Nothing here starts a
session by itself, whatever comes back.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Final

from massager.clock import Clock, boot_ms
from massager.config.devices import DeviceSettings, RemoteStart
from massager.daemon import news
from massager.daemon.choosing import Defaults
from massager.daemon.drive import Drive
from massager.daemon.face import (
    Connection,
    Order,
    Outcome,
    RefusalKind,
    RefusedClear,
    RefusedStart,
    SessionEnded,
    Sighting,
    Started,
    Subscription,
    Today,
)
from massager.daemon.held_line import HeldLine
from massager.daemon.lookout import Lookout
from massager.daemon.news import News
from massager.daemon.paperwork import Office
from massager.daemon.presence import Presence, now
from massager.daemon.starting import STOPPED
from massager.dialogue import Dialogue
from massager.errors import MassagerError, NoDevice
from massager.fault_advice import advice
from massager.latch import clear_latch, read_latch
from massager.plan import Choice
from massager.session.model import Ended, HardStop, Request, SoftStop, Start, State, Stopping
from massager.snapshot import Snapshot
from massager.transports.interface import Transport

ARMED_FOR: Final = timedelta(hours=4)  # the evening


class Keeper:
    """Owns the device of `device` behind `transport`. `run` it as a task; see face.py.

    `speed` is 1, or that of a simulated device; the snapshot's times are those of its clock.
    """

    def __init__(
        self,
        device: DeviceSettings,
        transport: Transport,
        office: Office,
        *,
        speed: int = 1,
        defaults: Defaults | None = None,
        claim: Callable[[], None] = lambda: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.device = device
        self.name = device.name
        self.url = transport.url
        self.speed = speed
        self.armed_until: datetime | None = None  # as a person's clock shows it
        self._armed_to_ms = 0  # by the count since the boot, which nobody sets
        self.stopped_at: datetime | None = None  # when the last stop was taken, whoever wanted it
        self.closing = False  # no more starts
        self._forbidden: str | None = None
        self._office = office
        self._defaults = defaults or Defaults()
        self._news = News()
        self._line = HeldLine(transport, claim)
        self._presence = Presence(device, self._line, speed, chance)
        self._lookout = Lookout(device.name, self._presence, self._line, self._news)
        self._drive = Drive(
            device,
            self._line,
            self._presence,
            self._lookout,
            self._news,
            speed=speed,
            chance=chance,
        )
        self._clearing = False
        self._stops = 0  # how many were taken

    # --- what there is to see -------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The session's state, as `session_model` has it; Arming also while a start connects."""
        return self._drive.state

    def snapshot(self) -> Snapshot:
        """What a person may see now. The end of a session stays until the next start."""
        return self._drive.snapshot()

    @property
    def in_session(self) -> bool:
        """Whether a start was taken whose end has not come; connecting counts."""
        return self._drive.session is not None

    @property
    def last_end(self) -> SessionEnded | None:
        """Of the last session, once it has ended."""
        return self._drive.last_end

    @property
    def connection(self) -> Connection:
        """The way to the device."""
        return self._presence.connection

    @property
    def sighting(self) -> Sighting | None:
        """What the device last said about itself."""
        return self._presence.sighting

    @property
    def has_feet_sensor(self) -> bool | None:
        """None before the device was ever seen."""
        return None if self.sighting is None else self.sighting.has_feet_sensor

    @property
    def remote_start(self) -> RemoteStart | None:
        """What a remote start needs: as configured, else by the sensor; None while unknown."""
        if self.device.remote_start is not None or self.has_feet_sensor is None:
            return self.device.remote_start
        return RemoteStart.FEET if self.has_feet_sensor else RemoteStart.DIRECT

    @property
    def latched(self) -> tuple[tuple[str, str], ...]:
        """(what happened, what to do) of what is latched in the device, as last heard."""
        course = self._drive.course
        if course is not None:
            status = course.status
        elif self.sighting is not None:
            status = self.sighting.status
        else:
            return ()
        return tuple(advice(status.faults)) if status.latch_id else ()

    @property
    def is_known_to_be_off(self) -> bool:
        """Whether the device itself has said that its output is 0 since our last word to it."""
        drive = self._drive
        return not (drive.is_driving or drive.is_in_doubt or drive.is_stop_unanswered)

    def choice(
        self,
        *,
        intensity: object = None,
        minutes: object = None,
        warmup_s: object = None,
        shape: object = None,
        program: object = None,
    ) -> Choice:
        """A checked choice; None takes what the config says. Raises UsageError, ConfigError."""
        return self._defaults.choice(
            intensity=intensity,
            minutes=minutes,
            warmup_s=warmup_s,
            shape=shape,
            program=program,
        )

    def today(self) -> Today:
        """What the dose limits leave; nothing is counted on a simulated device, as a rule."""
        counts = self.sighting is None or not self.sighting.identity.is_simulated
        return self._office.today(self.device.person) if counts or self._office.as_real else Today()

    async def changed(self) -> None:
        """Wait for the next change of anything here. Read, wait, read again: changes merge."""
        await self._news.changed()

    def subscribe(self, subscription: Subscription | None = None) -> Subscription:
        """Its events from now on."""
        subscription = subscription or Subscription()
        self._news.subscribe(subscription)
        return subscription

    # --- what a person may do -------------------------------------------------------------------

    def start(self, order: Order) -> Coroutine[Any, Any, Outcome]:
        """Connect, for 15 s at most, and start; returns once the device has taken the session.

        It is asked for in the moment of this call, whenever the answer is awaited: a stop that
        comes after the call ends it. Cancelling whoever waits here ends no session.
        """
        return self._start(order, self._stops, Clock(asyncio.get_running_loop()))

    async def _start(self, order: Order, stops: int, asked: Clock) -> Outcome:
        if not self._drive.is_driving:
            await self._drive.rested.wait()  # the last one's row is on its way to the disk
        refused = self._refusal(order)
        if self._stops != stops:
            refused = RefusedStart(RefusalKind.STOPPED, STOPPED)
        if refused is not None:
            self._news.say(news.refused(self.name, order, refused))
            return refused
        papers = self._office.papers(self.device, order)
        beginning = self._drive.begin(order, papers, asked)
        if order.origin.is_remote:
            beginning.add_done_callback(self._disarm)
        return await asyncio.shield(beginning)

    def request(self, request: Request) -> str | None:
        """What a person wants, done before this returns as far as the host can.

        None where it was taken, else why it was refused, in words. A stop is always taken.
        """
        session, now = self._drive.session, self.snapshot()
        refusal = self._request(request)
        if session is not None:
            session.papers.asked(request, refusal, now)
        return refusal

    def _request(self, request: Request) -> str | None:
        session = self._drive.session
        if isinstance(request, SoftStop | HardStop):
            self._stops += 1
            self.stopped_at = now()
            self._drive.stop(request)
            return None
        if isinstance(request, Start):
            return "a start is an order: see Keeper.start"
        if session is None:
            return "no session is running"
        if session.controller is None:
            return "the massage has not begun; the device is still being connected"
        return session.controller.request(request)

    async def clear(self) -> RefusedClear | None:
        """Take back what is latched; None where nothing is any more, else why not."""
        if not self._drive.rested.is_set() or self._clearing:
            why = "the device is being driven; end the session first"
            return RefusedClear(RefusalKind.BUSY, why)
        self._clearing = True
        await self._lookout.break_off()
        try:
            async with Dialogue(self._line.loan()) as device:
                await clear_latch(device, await read_latch(device))
                found = await read_latch(device)
        except NoDevice as error:
            return RefusedClear(RefusalKind.ABSENT, str(error))
        except MassagerError as error:
            return RefusedClear(RefusalKind.DEVICE, str(error))
        finally:
            self._clearing = False
            self._line.stirred.set()
        self._presence.saw(found.identity, found.status)
        self._news.tell()
        return None

    def forbid(self, why: str | None) -> None:
        """Refuse every start from now on, wherever it comes from; None: no longer.

        For a front end that knows of somebody else who keeps the device. A session that runs goes
        on, and stops are taken.
        """
        self._forbidden = why

    def arm(self) -> datetime:
        """Somebody is at the device: let the next remote start through, once; until when."""
        self.armed_until = now() + ARMED_FOR
        self._armed_to_ms = boot_ms() + ARMED_FOR // timedelta(milliseconds=1)
        self._news.tell()
        return self.armed_until

    # --- for the house --------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the device until this is cancelled: `rest` first, or a session is left alone."""
        try:
            while True:
                await self._drive.rested.wait()
                if not self._clearing:
                    await self._lookout.look()
                await self._lookout.pause()
        finally:
            await self._drive.close()
            await self._line.release()

    async def rest(self) -> None:
        """Wait until no session is in progress and its end is noted."""
        await self._drive.rested.wait()

    # --- inside --------------------------------------------------------------------------------

    def _refusal(self, order: Order) -> RefusedStart | None:
        if self.closing:
            return RefusedStart(RefusalKind.CLOSING, "the daemon is ending")
        if self._forbidden is not None:
            return RefusedStart(RefusalKind.BUSY, self._forbidden)
        if not self._drive.rested.is_set():
            why = "a session is already running; stop it first"
            if isinstance(self.state, Stopping | Ended):
                why = "the device is still stopping; ask again in a moment"
            return RefusedStart(RefusalKind.BUSY, why)
        if self._clearing:
            return RefusedStart(RefusalKind.BUSY, "a latch is being cleared; ask again in a moment")
        if not order.origin.is_remote or self.device.remote_start is not RemoteStart.ARMED:
            return None
        if self.armed_until is not None and boot_ms() <= self._armed_to_ms:
            return None
        return RefusedStart(
            RefusalKind.ARMING,
            "nobody has armed the device; say `massager arm` at its computer "
            "(remote.start in the config)",
        )

    def _disarm(self, beginning: "asyncio.Task[Outcome]") -> None:
        """Once a start from afar has been let through."""
        if not beginning.cancelled() and isinstance(beginning.result(), Started):
            self.armed_until = None
            self._news.tell()
