"""One device and its only owner: sessions, stops, and a look now and then in between.

A front end starts with an `Order` and stops, pauses and changes by `request`, which is done before
it returns: nothing a start or a look is waiting for stands before a stop. Nothing here starts a
session by itself, whatever comes back.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias, TypeVar

from massager.clock import Clock, boot_ms
from massager.config.devices import DeviceSettings, RemoteStart
from massager.controller import Controller
from massager.daemon import news
from massager.daemon.choosing import Defaults
from massager.daemon.face import (
    Connection,
    ConnectionState,
    Order,
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
from massager.daemon.news import News
from massager.daemon.paperwork import Office, Papers
from massager.daemon.presence import Presence, now
from massager.daemon.starting import STOPPED, Starting, is_under_way
from massager.dialogue import Dialogue
from massager.errors import MassagerError, NoDevice
from massager.fault_advice import advice
from massager.latch import clear_latch, read_latch
from massager.plan import Choice
from massager.session.model import (
    Arming,
    Ended,
    HardStop,
    Idle,
    Request,
    SoftStop,
    Start,
    State,
    Stopping,
    StopReason,
    Terms,
)
from massager.session.moves import course_of
from massager.snapshot import Snapshot, snapshot
from massager.transports.interface import Transport

_log = logging.getLogger(__name__)

STIR_GAP_S: Final = 1.0  # between two looks, however much the line stirs
ARMED_FOR: Final = timedelta(hours=4)  # the evening

_SEEN_AS: Final = {  # a start that came to nothing
    RefusalKind.ABSENT: StopReason.NO_HANDSHAKE,
    RefusalKind.STOPPED: StopReason.REQUESTED,
    RefusalKind.CLOSING: StopReason.SHUTDOWN,
    RefusalKind.BUSY: StopReason.REFUSED,
    RefusalKind.DEVICE: StopReason.REFUSED,
    RefusalKind.HISTORY: StopReason.REFUSED,
    RefusalKind.LATE: StopReason.REFUSED,
    RefusalKind.FAULT: StopReason.FAULT,
    RefusalKind.LIMIT: StopReason.REFUSED,
    RefusalKind.SCREENING: StopReason.REFUSED,
    RefusalKind.ARMING: StopReason.REFUSED,
}
# Refused before the device was looked for: what was to be seen before stays.
_UNSEEN: Final = (RefusalKind.LIMIT, RefusalKind.SCREENING, RefusalKind.ARMING)
Outcome: TypeAlias = Started | RefusedStart
_T = TypeVar("_T")


@dataclass(slots=True, eq=False)
class _Session:
    """One order, from the moment it was taken to the end of what came of it."""

    starting: Starting
    papers: Papers
    following: asyncio.Task[None] | None = None  # the papers, which note how it goes

    @property
    def order(self) -> Order:
        return self.starting.order

    @property
    def controller(self) -> Controller | None:
        return self.starting.controller


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
        self.last_end: SessionEnded | None = None
        self.closing = False  # no more starts
        self._forbidden: str | None = None
        self._office = office
        self._defaults = defaults or Defaults()
        self._chance = chance
        self._line = HeldLine(transport, claim)
        self._presence = Presence(device, self._line, speed, chance)
        self._idle_state: State = Idle(Terms(speed, device.device_id, device.max_intensity))
        self._session: _Session | None = None
        self._unwritten: set[_Session] = set()  # whose rows are not closed yet
        self._controller: Controller | None = None  # the newest: of a session, or of a mere stop
        self._errand: asyncio.Task[None] | None = None  # a look, which anything else breaks off
        self._clearing = False
        self._stops = 0  # how many were taken
        self._works: set[asyncio.Task[Any]] = set()
        self._news = News()
        self._rested = asyncio.Event()
        self._rested.set()

    # --- what there is to see -------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The session's state, as `session_model` has it; Arming also while a start connects."""
        if self._newest is not None:
            return self._newest.state
        if self._session is not None:
            return Arming(self._terms, self._session.order.choice, 0)
        return self._idle_state

    def snapshot(self) -> Snapshot:
        """What a person may see now. The end of a session stays until the next start."""
        controller = self._newest
        return snapshot(self.state, 0) if controller is None else controller.snapshot()

    @property
    def in_session(self) -> bool:
        """Whether a start was taken whose end has not come; connecting counts."""
        return self._session is not None

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
        course = None if self._session is None else course_of(self.state)
        if course is not None:
            status = course.status
        elif self.sighting is not None:
            status = self.sighting.status
        else:
            return ()
        return tuple(advice(status.faults)) if status.latch_id else ()

    @property
    def is_known_to_be_off(self) -> bool:
        """Whether the device itself has said that its output is 0 since our last session."""
        is_stopping = is_under_way(self._newest)
        return not self.in_session and not is_stopping and not self._is_in_doubt

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
        if self._session is None and not is_under_way(self._newest):
            await self._rested.wait()  # the last one's row is on its way to the disk
        refused = self._refusal(order)
        if self._stops != stops:
            refused = RefusedStart(RefusalKind.STOPPED, STOPPED)
        if refused is not None:
            self._news.say(news.refused(self.name, order, refused))
            return refused
        needs = self.device.remote_start
        starting = Starting(order, self._line, self._presence, needs, self._chance, asked)
        self._session = _Session(starting, self._office.papers(self.device, order))
        self._unwritten.add(self._session)
        self._rested.clear()
        beginning = self._work(self._begin(self._session))
        self._news.tell()
        return await asyncio.shield(beginning)

    def request(self, request: Request) -> str | None:
        """What a person wants, done before this returns as far as the host can.

        None where it was taken, else why it was refused, in words. A stop is always taken.
        """
        session = self._session
        now = self.snapshot()
        refusal = self._request(request)
        if session is not None:
            session.papers.asked(request, refusal, now)
        return refusal

    def _request(self, request: Request) -> str | None:
        session = self._session
        if isinstance(request, SoftStop | HardStop):
            self._stops += 1
            self.stopped_at = now()
            self._stop(request)
            return None
        if isinstance(request, Start):
            return "a start is an order: see Keeper.start"
        if session is not None and session.controller is None:
            return "the massage has not begun; the device is still being connected"
        if session is None or session.controller is None:
            return "no session is running"
        return session.controller.request(request)

    async def clear(self) -> RefusedClear | None:
        """Take back what is latched; None where nothing is any more, else why not."""
        if self.in_session or not self._rested.is_set() or self._clearing:
            why = "the device is being driven; end the session first"
            return RefusedClear(RefusalKind.BUSY, why)
        self._clearing = True
        await self._break_off()
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
                await self._rested.wait()
                if not self._clearing:
                    await self._look()
                await self._pause_between_looks()
        finally:
            for work in list(self._works):
                work.cancel()
            await asyncio.gather(*self._works, return_exceptions=True)
            await self._line.release()

    async def rest(self) -> None:
        """Wait until no session is in progress and its end is noted."""
        await self._rested.wait()

    # --- a start ---------------------------------------------------------------------------------

    def _refusal(self, order: Order) -> RefusedStart | None:
        if self.closing:
            return RefusedStart(RefusalKind.CLOSING, "the daemon is ending")
        if self._forbidden is not None:
            return RefusedStart(RefusalKind.BUSY, self._forbidden)
        if self._session is not None or not self._rested.is_set():
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

    async def _begin(self, session: _Session) -> Outcome:
        """One order to its outcome. What goes on afterwards is followed by a task of its own."""
        order = session.order
        try:
            outcome = await self._admitted(session)
        except Exception:
            _log.exception("%s: a start failed for a fault of this program", self.name)
            outcome = RefusedStart(RefusalKind.FAULT, "a fault of this program; see its log")
            session.starting.halt(SoftStop(StopReason.FAULT, outcome.why))
        if isinstance(outcome, RefusedStart):
            await self._give_up(session, outcome)
            self._news.say(news.refused(self.name, order, outcome))
            return outcome
        if order.origin.is_remote:
            self.armed_until = None
        self._saw(outcome)
        started = Started(session.papers.session_id, now())
        course = course_of(outcome.state)
        simulated = course is not None and course.identity.is_simulated
        self._news.say(news.started(self.name, order, started, simulated=simulated))
        self._work(self._follow(session, outcome))
        return started

    async def _admitted(self, session: _Session) -> Controller | RefusedStart:
        terms = await session.papers.admit()
        if isinstance(terms, RefusedStart):
            return terms
        if session.starting.stop is None:
            session.following = self._work(session.papers.follow(self))
            await self._break_off()
        return await session.starting.run(terms)

    async def _give_up(self, session: _Session, refused: RefusedStart) -> None:
        """Nothing came of an order; where a stop is still on its way, see it to its end."""
        controller, stop = session.controller, session.starting.stop
        if controller is not None:
            if is_under_way(controller):
                await self._until_ended(controller)
            self._controller, self._session = controller, None
            self._saw(controller)
            await controller.close()
            await self._close_papers(session, controller.snapshot())
        else:
            reason = _SEEN_AS[refused.kind] if stop is None else stop.reason
            ended = Ended(None, reason, refused.why, output_confirmed=False)
            if self._session is session:  # else it was called off, and that is to be seen
                self._session = None
                if refused.kind not in _UNSEEN:
                    self._show(ended)
            await self._close_papers(session, snapshot(ended, 0))
        self._is_at_rest()

    # --- a session --------------------------------------------------------------------------------

    async def _follow(self, session: _Session, controller: Controller) -> None:
        """Tell of every change until the end, then note it."""
        await self._until_ended(controller)
        row = session.papers.session_id
        self.last_end = ended = news.ended(self.name, session.order, controller.snapshot(), row)
        self._controller, self._session = controller, None
        self._saw(controller)
        await controller.close()
        await self._close_papers(session, controller.snapshot())
        self._news.say(ended)
        self._is_at_rest()

    async def _until_ended(self, controller: Controller) -> None:
        while not isinstance(controller.state, Ended):
            await controller.changed()
            self._news.tell()

    async def _close_papers(self, session: _Session, ended: Snapshot) -> None:
        if session.following is not None:
            session.following.cancel()
        try:
            await session.papers.end(ended)
        except Exception:  # must not keep the device from its next session
            _log.exception("%s: the end is not noted, for a fault of this program", self.name)
        self._unwritten.discard(session)

    def _saw(self, controller: Controller) -> None:
        course = course_of(controller.state)
        if course is not None:
            self._presence.saw(course.identity, course.status)
        self._line.stirred.set()  # have another look soon

    def _is_at_rest(self) -> None:
        if not self._unwritten and not is_under_way(self._newest):
            self._rested.set()
        self._news.tell()

    # --- a stop -----------------------------------------------------------------------------------

    def _stop(self, request: SoftStop | HardStop) -> None:
        session = self._session
        newest = self._newest
        if session is not None:
            session.starting.halt(request)
            if session.controller is None:
                self._call_off(session, request)
        elif newest is not None and is_under_way(newest):
            newest.request(request)
        else:
            self._stop_at_rest(request)

    def _call_off(self, session: _Session, request: SoftStop | HardStop) -> None:
        """Before anything was sent for it. The order is over now, whatever it waits for.

        An emergency stop latches the device though nothing had begun. A plain stop means whoever is
        seen to drive it; else nothing is sent, for it might end what is somebody else's.
        """
        self._session = None
        if session.following is not None:
            session.following.cancel()
        self._show(Ended(None, request.reason, STOPPED, output_confirmed=False))
        is_driven = self.connection.state is ConnectionState.IN_USE
        if isinstance(request, HardStop) or (request == SoftStop() and is_driven):
            self._stop_at_rest(request)
        self._news.tell()

    def _stop_at_rest(self, request: SoftStop | HardStop) -> None:
        """No session of ours runs: the stop goes to the device all the same."""
        if not self._line.is_open:
            detail = f"the device is not reached: {self.connection.reason or 'not looked yet'}"
            self._show(Ended(None, request.reason, detail, output_confirmed=False))
            self._news.tell()
            return
        if self._errand is not None:
            self._errand.cancel()
        before = self._controller if self._is_in_doubt else None
        loan = self._line.loan()
        controller = self._controller = Controller(loan, self._terms)
        loan.keep(controller)
        self._rested.clear()
        controller.request(request)
        self._work(self._see_stop_through(controller, before))
        self._news.tell()

    async def _see_stop_through(self, controller: Controller, before: Controller | None) -> None:
        """`before`: of a session whose end nobody confirmed, which this stop may not do, either."""
        await self._until_ended(controller)
        if before is not None and not controller.snapshot().output_confirmed:
            self._controller = before
        await controller.close()
        self._line.stirred.set()
        self._is_at_rest()

    # --- a look -----------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Look, unless something more important comes."""
        self._line.stirred.clear()
        before = self.connection.state
        self._errand = asyncio.ensure_future(self._presence.look())
        try:
            await asyncio.wait({self._errand})
        except asyncio.CancelledError:
            self._errand.cancel()
            raise
        finally:
            self._errand = None
        after = self.connection
        if after.state is not before:
            _log.info(
                "%s: %s%s", self.name, after.state, f": {after.reason}" if after.reason else ""
            )
        self._news.tell()

    async def _break_off(self) -> None:
        """End a look that is going on, and wait until it has let go of the line."""
        errand = self._errand
        if errand is not None:
            errand.cancel()
            await asyncio.wait({errand})

    async def _pause_between_looks(self) -> None:
        wait = self._presence.next_look_s
        await asyncio.sleep(min(STIR_GAP_S, wait))
        if wait > STIR_GAP_S:
            try:
                await asyncio.wait_for(self._line.stirred.wait(), wait - STIR_GAP_S)
            except TimeoutError:
                return

    @property
    def _newest(self) -> Controller | None:
        """Of the session, once its line is open; else of the last one, or of a mere stop."""
        return self._controller if self._session is None else self._session.controller

    def _show(self, ended: Ended) -> None:
        """What is to be seen, unless an end that nobody has confirmed is."""
        if not self._is_in_doubt:
            self._controller, self._idle_state = None, ended

    @property
    def _is_in_doubt(self) -> bool:
        """Whether the last session's end is unconfirmed, and no look has found output 0 since."""
        end, seen = self.last_end, self.sighting
        if end is None or end.output_confirmed:
            return False
        return seen is None or seen.seen <= end.at or seen.status.output_permille > 0

    @property
    def _terms(self) -> Terms:
        return Terms(self.speed, self.device.device_id, self.device.max_intensity)

    def _work(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        task = asyncio.get_running_loop().create_task(work)
        self._works.add(task)
        task.add_done_callback(self._works.discard)
        return task
