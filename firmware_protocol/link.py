"""The host's end of the wire, without I/O: bytes in, events out, bytes to send, time told.

One command is in flight at a time. What happens when its answer does not come differs by command:

    SET_LEVEL     replaced every 100 ms by the newest setpoint under a new sequence, while that
                  setpoint is fresh: the link never renews a lease that its owner stopped renewing
    STOP, ESTOP   drop everything else, go three times 10 ms apart, then every 100 ms
    HELLO         the same bytes every 250 ms for 3 s
    the others    the same bytes after 100, 200 and 400 ms, then given up

SPEC.md, sections 10 and 12. The link knows no session rules: whoever owns it says what to send.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from firmware_protocol.codec import decode, encode, header_of
from firmware_protocol.errors import LocalProtocolError, RemoteProtocolError
from firmware_protocol.framing import Framing
from firmware_protocol.limits import (
    COMMAND_RETRY_MS,
    COMMAND_TIMEOUT_MS,
    HELLO_GIVE_UP_MS,
    HELLO_REPEAT_MS,
    PROTOCOL_MAJOR,
    SEQUENCE_MAX,
    SETPOINT_FRESH_MS,
    STOP_BURST,
    STOP_BURST_GAP_MS,
    STOP_REPEAT_MS,
)
from firmware_protocol.messages import (
    BY_CLASS,
    FROM_DEVICE,
    FROZEN_TYPES,
    NO_TOKEN,
    Clear,
    Command,
    EmergencyStop,
    Event,
    GetLimits,
    GetStatus,
    Hello,
    HelloFlag,
    Identity,
    Limits,
    Message,
    Nak,
    Reason,
    Reply,
    SetLevel,
    Status,
    Stop,
)

_QUEUE_MAX: Final = 8
# Answers may come this late (a slow bearer answers a setpoint after its replacement was sent).
_LATE_ANSWERS: Final = 32
_ANSWER: Final[dict[type[Command], type[Reply]]] = {
    Hello: Identity,
    GetLimits: Limits,
    SetLevel: Status,
    Stop: Status,
    EmergencyStop: Status,
    Clear: Status,
    GetStatus: Status,
}
_STOPS: Final = frozenset({Stop, EmergencyStop})
_FIRST_WAIT_MS: Final[dict[type[Command], int]] = {
    Hello: HELLO_REPEAT_MS,
    GetLimits: COMMAND_RETRY_MS[0],
    SetLevel: COMMAND_TIMEOUT_MS,
    Stop: STOP_BURST_GAP_MS,
    EmergencyStop: STOP_BURST_GAP_MS,
    Clear: COMMAND_RETRY_MS[0],
    GetStatus: COMMAND_RETRY_MS[0],
}


@dataclass(frozen=True, slots=True)
class Answered:
    """The device answered `command`; `reply` is a NAK where it refused."""

    command: Command
    reply: Reply


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No answer came to `command`, and it will not be sent again."""

    command: Command


@dataclass(frozen=True, slots=True)
class Told:
    """The device said something that nobody asked for."""

    event: Event


@dataclass(frozen=True, slots=True)
class Echoed:
    """A command came back: an echo plug, or two hosts on one line."""


@dataclass(frozen=True, slots=True)
class Nonsense:
    """A verified frame that SPEC.md does not allow."""

    error: RemoteProtocolError


LinkEvent: TypeAlias = Answered | Unanswered | Told | Echoed | Nonsense


class Outgoing(NamedTuple):
    """Bytes for the transport: one frame. An urgent one discards what is unsent and goes first."""

    data: bytes
    urgent: bool


class _InFlight(NamedTuple):
    command: Command
    sequence: int
    token: int
    wire: bytes
    sent: int  # how often
    again_at_ms: int
    fresh_until_ms: int  # SET_LEVEL and HELLO: not sent again after this


class Link:
    """One host's link to one device. `patience` stretches every wait (see `limits`, simulated
    speed: the line does not get faster when the clock does)."""

    def __init__(self, framing: Framing, *, patience: int = 1) -> None:
        self.token = NO_TOKEN
        self._framing = framing
        self._patience = patience
        self._sequence = 0
        self._queue: deque[Command] = deque()
        self._setpoint: tuple[SetLevel, int] | None = None  # the newest, and fresh until
        self._in_flight: _InFlight | None = None
        self._late: deque[_InFlight] = deque(maxlen=_LATE_ANSWERS)
        self._outgoing: list[Outgoing] = []

    @property
    def bad_frames(self) -> int:
        """Frames that arrived damaged, since the link was made."""
        return self._framing.bad_frames

    def send(self, command: Command, now_ms: int) -> None:
        """Send `command` as soon as its turn comes; a stop at once, before everything else.

        Raises LocalProtocolError for a setpoint or CLEAR without a session, and for a full queue.
        """
        match command:
            case Stop() | EmergencyStop():
                self._send_stop(command, now_ms)
                return
            case SetLevel():
                self._need_session(command)
                self._setpoint = (command, now_ms + SETPOINT_FRESH_MS * self._patience)
            case Clear():
                self._need_session(command)
                self._enqueue(command)
            case _:
                self._enqueue(command)
        self._send_next(now_ms)

    def receive_data(self, data: bytes, now_ms: int) -> list[LinkEvent]:
        """What `data` means. Damaged frames are dropped and counted, never an event."""
        events: list[LinkEvent] = []
        for raw in self._framing.receive(data):
            event = self._take(raw)
            if event is not None:
                events.append(event)
        self._send_next(now_ms)
        return events

    def tick(self, now_ms: int) -> list[LinkEvent]:
        """Send again, or give up, what has waited too long."""
        waiting = self._in_flight
        if waiting is None or now_ms < waiting.again_at_ms:
            return []
        given_up = self._again(waiting, now_ms)
        self._send_next(now_ms)
        return [Unanswered(waiting.command)] if given_up else []

    def next_deadline_ms(self) -> int | None:
        """When `tick` has something to do, or None while nothing waits for an answer."""
        return None if self._in_flight is None else self._in_flight.again_at_ms

    def data_to_send(self) -> list[Outgoing]:
        """The frames to write now, in order."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def reset(self) -> None:
        """The connection is gone: forget what waits, keep the token's sequence."""
        self._queue.clear()
        self._late.clear()
        self._setpoint = self._in_flight = None
        self._outgoing = []
        self._framing.reset()
        self.token = NO_TOKEN

    # --- sending ----------------------------------------------------------------------------

    def _need_session(self, command: Command) -> None:
        if self.token == NO_TOKEN:
            raise LocalProtocolError(f"{type(command).__name__} needs a session; send HELLO first")

    def _enqueue(self, command: Command) -> None:
        if command in self._queue:
            return
        if len(self._queue) >= _QUEUE_MAX:
            raise LocalProtocolError(f"{_QUEUE_MAX} commands are waiting already")
        self._queue.append(command)

    def _send_stop(self, command: Stop | EmergencyStop, now_ms: int) -> None:
        """A stop ends the session on this side at once; an emergency stop outranks a stop."""
        self._queue.clear()
        self._late.clear()
        self._setpoint = None
        waiting = self._in_flight
        if waiting is not None and isinstance(waiting.command, EmergencyStop):
            return
        if waiting is not None and waiting.command == command:
            return
        self._outgoing = []
        self._transmit(command, now_ms, fresh_until_ms=now_ms)
        self.token = NO_TOKEN

    def _send_next(self, now_ms: int) -> None:
        if self._in_flight is not None:
            return
        if self._queue:
            command = self._queue.popleft()
            give_up_ms = now_ms + HELLO_GIVE_UP_MS * self._patience
            self._transmit(command, now_ms, fresh_until_ms=give_up_ms)
        elif self._setpoint is not None:
            if self.token != NO_TOKEN and now_ms <= self._setpoint[1]:
                self._transmit(self._setpoint[0], now_ms, fresh_until_ms=self._setpoint[1])
            self._setpoint = None

    def _transmit(self, command: Command, now_ms: int, *, fresh_until_ms: int) -> None:
        self._sequence = self._sequence % SEQUENCE_MAX + 1
        token = NO_TOKEN if isinstance(command, Hello) else self.token
        wire = self._framing.encode(encode(command, self._sequence, token))
        wait_ms = _FIRST_WAIT_MS[type(command)] * self._patience
        self._in_flight = _InFlight(
            command, self._sequence, token, wire, 1, now_ms + wait_ms, fresh_until_ms
        )
        self._outgoing.append(Outgoing(wire, type(command) in _STOPS))

    def _again(self, waiting: _InFlight, now_ms: int) -> bool:
        """Send `waiting` again, or let it go. True where it was given up."""
        match waiting.command:
            case Stop() | EmergencyStop():
                in_burst = waiting.sent + 1 < STOP_BURST
                gap_ms = STOP_BURST_GAP_MS if in_burst else STOP_REPEAT_MS
                return self._repeat(waiting, now_ms, gap_ms)
            case SetLevel():
                return self._replace_setpoint(waiting, waiting.command, now_ms)
            case Hello():
                if now_ms >= waiting.fresh_until_ms:
                    self._in_flight = None
                    return True
                return self._repeat(waiting, now_ms, HELLO_REPEAT_MS)
            case _:
                if waiting.sent > len(COMMAND_RETRY_MS):
                    self._in_flight = None
                    return True
                next_wait = (*COMMAND_RETRY_MS[1:], COMMAND_RETRY_MS[-1])[waiting.sent - 1]
                return self._repeat(waiting, now_ms, next_wait)

    def _repeat(self, waiting: _InFlight, now_ms: int, wait_ms: int) -> bool:
        again_at_ms = now_ms + wait_ms * self._patience
        self._in_flight = waiting._replace(sent=waiting.sent + 1, again_at_ms=again_at_ms)
        self._outgoing.append(Outgoing(waiting.wire, type(waiting.command) in _STOPS))
        return False

    def _replace_setpoint(self, waiting: _InFlight, command: SetLevel, now_ms: int) -> bool:
        """A late answer may still come: an older setpoint stays known, not in flight."""
        self._in_flight = None
        self._late.append(waiting)
        if self._setpoint is None:
            self._setpoint = (command, waiting.fresh_until_ms)
        return now_ms > self._setpoint[1]

    # --- receiving --------------------------------------------------------------------------

    def _take(self, raw: bytes) -> LinkEvent | None:
        major, type_id, sequence, token = header_of(raw)
        if not type_id & FROM_DEVICE:
            return Echoed()
        try:
            if major != PROTOCOL_MAJOR and type_id not in FROZEN_TYPES:
                raise RemoteProtocolError(f"protocol major {major} was not agreed")
            message = decode(raw)
        except RemoteProtocolError as error:
            return Nonsense(error)
        if isinstance(message, Event):
            return Told(message)
        return self._match(message, sequence, token)

    def _match(self, message: Message, sequence: int, token: int) -> LinkEvent | None:
        for waiting in (self._in_flight, *self._late):
            if waiting is not None and _answers(message, sequence, token, waiting):
                self._settle(waiting, message, token)
                return Answered(waiting.command, message)  # type: ignore[arg-type]
        return None  # an answer to nobody here: a repeat, or another host's

    def _settle(self, waiting: _InFlight, message: Message, token: int) -> None:
        if waiting is self._in_flight:
            refused_stop = isinstance(message, Nak) and isinstance(
                waiting.command, Stop | EmergencyStop
            )
            if not refused_stop:  # a stop is repeated until it is applied
                self._in_flight = None
        else:
            self._late.remove(waiting)
        if isinstance(message, Identity) and isinstance(waiting.command, Hello):
            if not waiting.command.flags & HelloFlag.IDENTIFY_ONLY:
                self.token = token
                self._late.clear()
        elif _void(message) and waiting.token == self.token:
            self.token = NO_TOKEN


def _void(message: Message) -> bool:
    return isinstance(message, Nak) and message.reason == Reason.SESSION


def _answers(message: Message, sequence: int, token: int, waiting: _InFlight) -> bool:
    """Whether `message` is the answer to `waiting`. On MQTT other hosts' answers come by, too."""
    if sequence != waiting.sequence:
        return False
    if isinstance(message, Identity):
        command = waiting.command
        return isinstance(command, Hello) and command.host_nonce == message.host_nonce
    if token != waiting.token:
        return False
    if isinstance(message, Nak):
        return message.type == BY_CLASS[type(waiting.command)].type_id
    return type(message) is _ANSWER[type(waiting.command)]
