"""The one async object: it owns link, session and transport, with one timer, and judges nothing.

Bytes and time come in at three places (`data_received`, `connection_lost`, the timer) and a
person's wishes at a fourth (`request`). Each feeds the pure session, hands what it asks for to the
pure link, and writes what the link wants written. Deadlines are absolute: a late tick does not move
the next one, and ticks that were missed are not made up for.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from secrets import randbits

from firmware_protocol.framing import DatagramFraming, StreamFraming
from firmware_protocol.limits import PROTOCOL_MAJOR
from firmware_protocol.link import Link
from firmware_protocol.messages import EmergencyStop, Hello, HelloFlag, SetLevel
from massager.clock import Clock
from massager.errors import NoDevice
from massager.limits import HOST_STALL_MS, LINK_RETRY_MS
from massager.session.model import (
    Arming,
    Ended,
    Identify,
    Idle,
    Input,
    LinkDown,
    LinkUp,
    OpenSession,
    Output,
    Paused,
    Permit,
    Preflight,
    Refuse,
    Request,
    Running,
    SoftStop,
    Start,
    State,
    Stopping,
    StopReason,
    Terms,
    Tick,
)
from massager.session.moves import course_until
from massager.session.session import step, tick_period_ms
from massager.snapshot import Snapshot, snapshot
from massager.transports.interface import Transport

_log = logging.getLogger(__name__)


class Controller:
    """Drives one session on one device.

    `nonce` gives the 32-bit number of each HELLO; it must be new each time.
    """

    def __init__(
        self,
        transport: Transport,
        terms: Terms | None = None,
        *,
        nonce: Callable[[], int] = lambda: randbits(32),
    ) -> None:
        self._terms = terms or Terms()
        self._transport = transport
        self._nonce = nonce
        self._loop = asyncio.get_running_loop()
        self._clock = Clock(self._loop, self._terms.speed)
        framing = DatagramFraming() if transport.datagrams else StreamFraming()
        self._link = Link(framing, patience=self._terms.patience)
        self._state: State = Idle(self._terms)
        self._tick_due_ms: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_ms = -1
        self._is_lost = False
        self._reopening: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []  # for a change
        self._end: asyncio.Future[Ended] = self._loop.create_future()

    # --- for whoever owns the controller ---------------------------------------------------

    @property
    def state(self) -> State:
        """The session's state, as `session_model` has it."""
        return self._state

    @property
    def bad_frames(self) -> int:
        """Frames that arrived damaged; many of them and no answer: another kind of device."""
        return self._link.bad_frames

    def snapshot(self) -> Snapshot:
        """What a person may see now."""
        return snapshot(self._state, self._clock.now_ms())

    async def open(self) -> None:
        """Open the transport. Raises the NoDevice that says what to do."""
        await self._transport.open(self)

    def permit(self, permit: Permit) -> None:
        """What holds on a real device, found out after the controller was made; before a start."""
        assert isinstance(self._state, Idle), "terms are fixed by the start"
        self._terms = replace(self._terms, permit=permit, permitted_ms=self._clock.now_ms())
        self._state = Idle(self._terms)

    def start(self, start: Start) -> str | None:
        """Start a session; None, or why it was refused."""
        return self.request(start)

    def request(self, request: Request) -> str | None:
        """What a person wants, done before this returns as far as the host can.

        None where it was taken, else why it was refused, in words.
        """
        if self._has_lost_time() and isinstance(request, Start):
            return "this computer slept or stood still after the start was asked for; ask again"
        refusal = self._feed(request)
        self._pump()
        self._find_again()
        return refusal

    async def changed(self) -> None:
        """Wait until something about the session has changed."""
        change: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(change)
        await change

    async def ended(self) -> Ended:
        """Wait for the session's end: the device confirmed output 0, or cannot be reached."""
        return await asyncio.shield(self._end)

    async def close(self) -> None:
        """Let go of the device. The motor is not told anything: `request` a stop first."""
        self._set_timer(None)
        if self._reopening is not None:
            self._reopening.cancel()
            await asyncio.gather(self._reopening, return_exceptions=True)
        await self._transport.close()
        self._set_timer(None)  # what arrived meanwhile may have set it again

    # --- for the transport -----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes from the device."""
        if not self._has_lost_time():
            for event in self._link.receive_data(data, self._clock.now_ms()):
                self._feed(event)
        self._pump()

    def connection_lost(self, error: NoDevice) -> None:
        """The transport is gone; it is opened again while the session can still use it."""
        self._has_lost_time()
        self._is_lost = True
        self._link.reset()
        self._feed(LinkDown(str(error)))
        self._pump()
        self._find_again()

    # --- inside ---------------------------------------------------------------------------

    def _feed(self, event: Input) -> str | None:
        """One input through the session; None, or the text of a refusal."""
        before = self._state
        try:
            self._state, outputs = step(before, event, self._clock.now_ms())
            refusal = self._perform(outputs)
        except Exception:  # a fault of our own must not leave the motor as it is
            _log.exception("the session failed on %r; emergency stop", event)
            fault = "an internal error; see the log"
            now_ms = self._clock.now_ms()
            course = course_until(before, now_ms)
            self._state = Stopping(course, StopReason.FAULT, fault, now_ms, emergency=True)
            self._link.send(EmergencyStop(), now_ms)
            refusal = fault
        if self._state is not before:
            self._tell()
        return refusal

    def _tell(self) -> None:
        """Wake whoever waits for a change or for the end."""
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            if not change.done():
                change.set_result(None)
        if isinstance(self._state, Ended):
            if not self._end.done():
                self._end.set_result(self._state)
        elif self._end.done():  # a stop after an unconfirmed end: another one will come
            self._end = self._loop.create_future()

    def _perform(self, outputs: tuple[Output, ...]) -> str | None:
        refusal = None
        now_ms = self._clock.now_ms()
        for output in outputs:
            match output:
                case Refuse(why):
                    refusal = why
                case OpenSession():
                    self._link.send(self._hello(0), now_ms)
                case Identify():
                    self._link.send(self._hello(HelloFlag.IDENTIFY_ONLY), now_ms)
                case SetLevel() if not self._link.token:
                    pass  # the device voided the session; its word is on the way to `step`
                case _:
                    self._link.send(output, now_ms)
        return refusal

    def _hello(self, flags: int) -> Hello:
        return Hello(flags, PROTOCOL_MAJOR, PROTOCOL_MAJOR, self._nonce())

    def _pump(self) -> None:
        """Write what waits and set the one timer."""
        for data, urgent in self._link.data_to_send():
            self._transport.write(data, urgent=urgent)
        now_ms = self._clock.now_ms()
        period_ms = tick_period_ms(self._state)
        if period_ms is None:
            self._tick_due_ms = None
        elif self._tick_due_ms is None or self._tick_due_ms > now_ms + period_ms:
            self._tick_due_ms = now_ms + period_ms
        deadlines = [
            at_ms
            for at_ms in (self._tick_due_ms, self._link.next_deadline_ms())
            if at_ms is not None
        ]
        self._set_timer(min(deadlines, default=None))

    def _set_timer(self, at_ms: int | None) -> None:
        if self._timer is not None:
            if at_ms == self._timer_at_ms:
                return
            self._timer.cancel()
            self._timer = None
        if at_ms is not None:
            self._timer_at_ms = at_ms
            self._timer = self._clock.call_at(at_ms, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._has_lost_time()
        now_ms = self._clock.now_ms()
        for event in self._link.tick(now_ms):
            self._feed(event)
        due_ms = self._tick_due_ms
        if due_ms is not None and now_ms >= due_ms:
            self._tick(due_ms, now_ms)
        self._pump()

    def _tick(self, due_ms: int, now_ms: int) -> None:
        self._feed(Tick())
        period_ms = tick_period_ms(self._state)
        if period_ms is not None:
            missed = (now_ms - due_ms) // period_ms
            self._tick_due_ms = due_ms + (missed + 1) * period_ms

    def _has_lost_time(self) -> bool:
        """Whether this computer slept or stood still until now. Asked before anything else: no
        setpoint may follow, and what arrived meanwhile is too old to tell anything."""
        if self._clock.was_suspended():
            if self._is_live() or isinstance(self._state, Arming):
                detail = "this computer was suspended"
                self._feed(SoftStop(StopReason.HOST_SUSPENDED, detail))
            return True
        if self._tick_due_ms is None:
            return False
        late_ms = self._clock.real_ms(self._clock.now_ms() - self._tick_due_ms)
        if late_ms > HOST_STALL_MS and self._is_live():
            detail = f"this computer stood still for {late_ms / 1000:.1f} s"
            self._feed(SoftStop(StopReason.HOST_STALLED, detail))
        return late_ms > HOST_STALL_MS

    def _is_live(self) -> bool:
        return isinstance(self._state, Preflight | Running | Paused)

    def _wants_link(self) -> bool:
        if isinstance(self._state, Paused):
            return self._state.link_lost_ms is not None
        return isinstance(self._state, Stopping)

    def _find_again(self) -> None:
        if self._is_lost and self._wants_link() and self._reopening is None:
            self._reopening = self._loop.create_task(self._reopen())

    async def _reopen(self) -> None:
        try:
            while self._wants_link():
                try:
                    await self._transport.open(self)
                except NoDevice:
                    await asyncio.sleep(LINK_RETRY_MS / 1000)
                    continue
                self._is_lost = False
                self._feed(LinkUp())
                self._pump()
                return
        finally:
            self._reopening = None
