"""A host for the conformance tests: frames packed by hand, answers taken apart by the codec."""

from dataclasses import dataclass, field
from struct import pack
from typing import Final

import pytest

from firmware_protocol.codec import Header, decode, header_of
from firmware_protocol.messages import (
    Event,
    EventCode,
    Identity,
    Limits,
    Message,
    Nak,
    Reason,
    Status,
)
from simulator.device import TraceRow
from tests.conformance.backends import Backend

HELLO: Final = 0x01
GET_LIMITS: Final = 0x02
SET_LEVEL: Final = 0x03
STOP: Final = 0x04
ESTOP: Final = 0x05
CLEAR: Final = 0x06
GET_STATUS: Final = 0x07


@dataclass(frozen=True)
class Answer:
    """One frame from the device."""

    raw: bytes
    header: Header
    message: Message


def read(raw: bytes) -> Answer:
    return Answer(raw, header_of(raw), decode(raw))


@dataclass
class Rig:
    """One device with one host; `token` and `sequence` are the host's."""

    backend: Backend
    token: int = 0
    sequence: int = 0
    events: list[Answer] = field(default_factory=list)

    # --- what the device shows -----------------------------------------------------------------

    @property
    def output(self) -> int:
        return self.backend.output

    @property
    def event_codes(self) -> list[EventCode]:
        """The events since the last `forget_events`, once those that are due have come."""
        self._keep(self.backend.advance(0))
        return [EventCode(event.code) for event in self._events()]

    @property
    def event_ids(self) -> list[int]:
        self._keep(self.backend.advance(0))
        return [event.event_id for event in self._events()]

    def forget_events(self) -> None:
        self._keep(self.backend.advance(0))
        self.events.clear()

    def _events(self) -> list[Event]:
        return [answer.message for answer in self.events if isinstance(answer.message, Event)]

    @property
    def trace(self) -> list[TraceRow]:
        return self.backend.trace()

    def status(self) -> Status:
        """By GET_STATUS with token 0, which touches nothing."""
        message = self.command(GET_STATUS, token=0, sequence=0).message
        assert isinstance(message, Status)
        return message

    # --- time and the world around it ------------------------------------------------------------

    def advance(self, ms: int) -> None:
        self._keep(self.backend.advance(ms))

    def inject(self, fault: str) -> None:
        if fault not in self.backend.faults:
            pytest.skip(f"this backend cannot break {fault}")
        self.backend.inject(fault)

    def mend(self) -> None:
        self.backend.inject("clear")

    # --- what a host says ----------------------------------------------------------------------

    def send_raw(self, raw: bytes) -> list[Answer]:
        """The answers to one frame; events are kept apart."""
        return self._keep(self.backend.send(raw))

    def command(
        self,
        type_id: int,
        payload: bytes = b"",
        *,
        token: int | None = None,
        sequence: int | None = None,
        major: int = 1,
    ) -> Answer:
        """One command, by default the next of this host's session; the one answer to it."""
        if sequence is None:
            sequence = self.next_sequence()
        if token is None:
            token = self.token
        answers = self.send_raw(pack("<BBBH", major, type_id, sequence, token) + payload)
        assert len(answers) == 1
        assert answers[0].header.sequence == sequence
        return answers[0]

    def next_sequence(self) -> int:
        self.sequence = self.sequence % 255 + 1
        return self.sequence

    def hello(self, nonce: int = 1) -> Identity:
        """Opens a session that becomes this host's."""
        answer = self.command(HELLO, pack("<BBBI", 0, 1, 1, nonce), token=0)
        assert isinstance(answer.message, Identity)
        self.token = answer.header.token
        return answer.message

    def limits(self) -> Limits:
        message = self.command(GET_LIMITS, token=0).message
        assert isinstance(message, Limits)
        return message

    def ask_level(self, level: int, lease_ms: int = 1500) -> Message:
        """SET_LEVEL; whatever is answered."""
        return self.command(SET_LEVEL, pack("<HH", level, lease_ms)).message

    def set_level(self, level: int, lease_ms: int = 1500) -> Status:
        """SET_LEVEL that must be accepted."""
        message = self.ask_level(level, lease_ms)
        assert isinstance(message, Status), message
        return message

    def stream(self, level: int, ms: int, *, lease_ms: int = 1500) -> None:
        """The setpoint for `ms`, renewed 4 times a second."""
        while ms > 0:
            self.set_level(level, lease_ms)
            piece = min(250, ms)
            self.advance(piece)
            ms -= piece

    def run_at(self, level: int) -> None:
        """A session whose output has reached `level`, with a lease of 1500 ms that just began."""
        self.hello(nonce=self.token + 1000)
        self.stream(level, 40_000)
        assert self.output == level
        self.set_level(level)
        self.forget_events()

    def stop(self) -> Status:
        message = self.command(STOP).message
        assert isinstance(message, Status)
        return message

    def emergency_stop(self) -> Status:
        message = self.command(ESTOP).message
        assert isinstance(message, Status)
        return message

    def clear(self, latch_id: int) -> Message:
        return self.command(CLEAR, pack("<H", latch_id)).message

    def _keep(self, frames: list[bytes]) -> list[Answer]:
        read_frames = [read(raw) for raw in frames]
        self.events += [answer for answer in read_frames if isinstance(answer.message, Event)]
        return [answer for answer in read_frames if not isinstance(answer.message, Event)]


def refused(message: Message, reason: Reason, limit: int) -> bool:
    """Whether it is a NAK with this reason and limit."""
    return isinstance(message, Nak) and (message.reason, message.limit) == (reason, limit)
