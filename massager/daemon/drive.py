"""What drives one device now: a session, a mere stop, or nothing.

An order becomes a session here, is followed to its end, and its row is closed behind it. A stop is
done in the moment it is asked for, whatever a start waits for.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from massager.clock import Clock
from massager.config.devices import DeviceSettings
from massager.controller import Controller
from massager.daemon import news
from massager.daemon.face import (
    ConnectionState,
    Order,
    Outcome,
    RefusalKind,
    RefusedStart,
    SessionEnded,
    Sighting,
    Started,
)
from massager.daemon.held_line import HeldLine
from massager.daemon.lookout import Lookout
from massager.daemon.news import News
from massager.daemon.paperwork import Papers
from massager.daemon.presence import Presence, now
from massager.daemon.starting import STOPPED, Starting, is_under_way
from massager.session.model import (
    Arming,
    Course,
    Ended,
    HardStop,
    Idle,
    SoftStop,
    State,
    StopReason,
    Terms,
)
from massager.session.moves import course_of
from massager.snapshot import Snapshot, snapshot

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


@dataclass(slots=True, eq=False)
class Session:
    """One order, from the moment it was taken to the end of what came of it."""

    starting: Starting
    papers: Papers
    following: asyncio.Task[None] | None = None  # the papers, which note how it goes

    @property
    def order(self) -> Order:
        """What was asked for."""
        return self.starting.order

    @property
    def controller(self) -> Controller | None:
        """None before the line is open."""
        return self.starting.controller


class Drive:
    """Of the device of `device`. `session` is None unless a start was taken that has not ended.

    `rested` is set while nothing is under way and all rows are closed.
    """

    def __init__(
        self,
        device: DeviceSettings,
        line: HeldLine,
        presence: Presence,
        lookout: Lookout,
        told: News,
        *,
        speed: int = 1,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.session: Session | None = None
        self.last_end: SessionEnded | None = None
        self._last_heard: Sighting | None = None  # in the session that ended so
        self._unanswered: list[Sighting | None] = []  # a mere stop, and what was seen before it
        self.rested = asyncio.Event()
        self.rested.set()
        self._device = device
        self._line = line
        self._presence = presence
        self._lookout = lookout
        self._news = told
        self._chance = chance
        self._terms = Terms(speed, device.device_id, device.max_intensity)
        self._idle_state: State = Idle(self._terms)
        self._controller: Controller | None = None  # the newest: of a session, or of a mere stop
        self._unwritten: set[Session] = set()  # whose rows are not closed yet
        self._works: set[asyncio.Task[Any]] = set()

    # --- what there is to see ---------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Of the session, as its model has it; Arming also while a start connects."""
        if self._newest is not None:
            return self._newest.state
        if self.session is not None:
            return Arming(self._terms, self.session.order.choice, 0)
        return self._idle_state

    @property
    def course(self) -> Course | None:
        """Of a session that has met its device."""
        return None if self.session is None else course_of(self.state)

    @property
    def is_driving(self) -> bool:
        """Whether a session or a stop is under way."""
        return self.session is not None or is_under_way(self._newest)

    @property
    def is_in_doubt(self) -> bool:
        """Whether the last session's end is unconfirmed, and no look has found output 0 since."""
        end, seen = self.last_end, self._presence.sighting
        if end is None or end.output_confirmed:
            return False
        return seen is None or seen is self._last_heard or seen.status.output_permille > 0

    @property
    def is_stop_unanswered(self) -> bool:
        """Whether the last stop without a session was lost, and no look has found anybody since."""
        return self._unanswered == [self._presence.sighting]

    def snapshot(self) -> Snapshot:
        """What a person may see now. The end of a session stays until the next start."""
        controller = self._newest
        return snapshot(self.state, 0) if controller is None else controller.snapshot()

    async def changed(self) -> None:
        """Wait for the next change."""
        await self._news.changed()

    async def close(self) -> None:
        """Leave everything as it is."""
        for work in list(self._works):
            work.cancel()
        await asyncio.gather(*self._works, return_exceptions=True)

    # --- a start ----------------------------------------------------------------------------------

    def begin(self, order: Order, papers: Papers, asked: Clock) -> "asyncio.Task[Outcome]":
        """Take an order. `asked` was made when the start was asked for."""
        needs = self._device.remote_start
        starting = Starting(order, self._line, self._presence, needs, self._chance, asked)
        self.session = Session(starting, papers)
        self._unwritten.add(self.session)
        self.rested.clear()
        beginning = self._work(self._begin(self.session))
        self._news.tell()
        return beginning

    async def _begin(self, session: Session) -> Outcome:
        """One order to its outcome. What goes on afterwards is followed by a task of its own."""
        name, order = self._device.name, session.order
        try:
            outcome = await self._admitted(session)
        except Exception:
            _log.exception("%s: a start failed for a fault of this program", name)
            outcome = RefusedStart(RefusalKind.FAULT, "a fault of this program; see its log")
            session.starting.halt(SoftStop(StopReason.FAULT, outcome.why))
        if isinstance(outcome, RefusedStart):
            await self._give_up(session, outcome)
            self._news.say(news.refused(name, order, outcome))
            return outcome
        self._saw(outcome)
        started = Started(session.papers.session_id, now())
        course = course_of(outcome.state)
        simulated = course is not None and course.identity.is_simulated
        self._news.say(news.started(name, order, started, simulated=simulated))
        self._work(self._follow(session, outcome))
        return started

    async def _admitted(self, session: Session) -> Controller | RefusedStart:
        terms = await session.papers.admit()
        if isinstance(terms, RefusedStart):
            return terms
        if session.starting.stop is None:
            session.following = self._work(session.papers.follow(self))
            await self._lookout.break_off()
        return await session.starting.run(terms)

    async def _give_up(self, session: Session, refused: RefusedStart) -> None:
        """Nothing came of an order; where a stop is still on its way, see it to its end."""
        controller, stop = session.controller, session.starting.stop
        if controller is not None:
            if is_under_way(controller):
                await self._until_ended(controller)
            self._saw(controller)
            await self._leave(session, controller)
        else:
            reason = refused.reason if stop is None else stop.reason
            ended = Ended(None, reason, refused.why, output_confirmed=False)
            if self.session is session:  # else it was called off, and that is to be seen
                self.session = None
                if refused.kind is not RefusalKind.LIMIT:  # the device was not looked for
                    self._show(ended)
            await self._close_papers(session, snapshot(ended, 0))
        self._is_at_rest()

    # --- a session --------------------------------------------------------------------------------

    async def _follow(self, session: Session, controller: Controller) -> None:
        """Tell of every change until the end, then note it."""
        await self._until_ended(controller)
        name, row = self._device.name, session.papers.session_id
        self.last_end = ended = news.ended(name, session.order, controller.snapshot(), row)
        self._saw(controller)
        self._last_heard = self._presence.sighting
        await self._leave(session, controller)
        self._news.say(ended)
        self._is_at_rest()

    async def _until_ended(self, controller: Controller) -> None:
        while not isinstance(controller.state, Ended):
            await controller.changed()
            self._news.tell()

    async def _leave(self, session: Session, controller: Controller) -> None:
        """It is over. What is to be seen of it stays; its row is closed."""
        self._controller, self.session = controller, None
        await controller.close()
        await self._close_papers(session, controller.snapshot())

    async def _close_papers(self, session: Session, ended: Snapshot) -> None:
        if session.following is not None:
            session.following.cancel()
        try:
            await session.papers.end(ended)
        except Exception:  # must not keep the device from its next session
            name = self._device.name
            _log.exception("%s: the end is not noted, for a fault of this program", name)
        self._unwritten.discard(session)

    def _saw(self, controller: Controller) -> None:
        course = course_of(controller.state)
        if course is not None:
            self._presence.saw(course.identity, course.status)
        self._line.stirred.set()  # have another look soon

    def _is_at_rest(self) -> None:
        if not self._unwritten and not is_under_way(self._newest):
            self.rested.set()
        self._news.tell()

    # --- a stop -----------------------------------------------------------------------------------

    def stop(self, request: SoftStop | HardStop) -> None:
        """Done before this returns, as far as the host can."""
        session, newest = self.session, self._newest
        if session is not None:
            session.starting.halt(request)
            if session.controller is None:
                self._call_off(session, request)
        elif newest is not None and is_under_way(newest):
            newest.request(request)
        elif isinstance(request, HardStop) or request == SoftStop():
            self._stop_at_rest(request)  # a plain stop means whatever drives it

    def _call_off(self, session: Session, request: SoftStop | HardStop) -> None:
        """Before anything was sent for it. The order is over now, whatever it waits for.

        An emergency stop latches the device though nothing had begun. A plain stop means whoever is
        seen to drive it; else nothing is sent, for it might end what is somebody else's.
        """
        self.session = None
        if session.following is not None:
            session.following.cancel()
        self._show(Ended(None, request.reason, STOPPED, output_confirmed=False))
        is_driven = self._presence.connection.state is ConnectionState.IN_USE
        is_wanted = isinstance(request, HardStop) or (request == SoftStop() and is_driven)
        if is_wanted and self._line.is_open:
            self._stop_at_rest(request)
        self._news.tell()

    def _stop_at_rest(self, request: SoftStop | HardStop) -> None:
        """No session of ours runs: the stop goes to the device all the same."""
        if not self._line.is_open:
            reason = self._presence.connection.reason or "not looked yet"
            detail = f"the device is not reached: {reason}"
            self._show(Ended(None, StopReason.NO_HANDSHAKE, detail, output_confirmed=False))
            self._news.tell()
            return
        self._lookout.give_way()
        before = self._controller if self.is_in_doubt else None
        loan = self._line.loan()
        controller = self._controller = Controller(loan, self._terms)
        loan.keep(controller)
        self.rested.clear()
        controller.request(request)
        self._work(self._see_stop_through(controller, before))
        self._news.tell()

    async def _see_stop_through(self, controller: Controller, before: Controller | None) -> None:
        """`before`: of a session whose end nobody confirmed, which this stop may not do, either."""
        await self._until_ended(controller)
        is_off = controller.snapshot().output_confirmed
        self._unanswered = [] if is_off else [self._presence.sighting]
        if before is not None and not is_off:
            self._controller = before
        await controller.close()
        self._line.stirred.set()
        self._is_at_rest()

    # --- inside -----------------------------------------------------------------------------------

    @property
    def _newest(self) -> Controller | None:
        """Of the session, once its line is open; else of the last one, or of a mere stop."""
        return self._controller if self.session is None else self.session.controller

    def _show(self, ended: Ended) -> None:
        """What is to be seen, unless an end that nobody has confirmed is."""
        if not self.is_in_doubt:
            self._controller, self._idle_state = None, ended

    def _work(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        task = asyncio.get_running_loop().create_task(work)
        self._works.add(task)
        task.add_done_callback(self._works.discard)
        return task
