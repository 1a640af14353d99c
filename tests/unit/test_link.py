"""The link alone: what it sends when, and whose answers it believes. Times are literals in ms."""

from dataclasses import dataclass, field, replace

import pytest

from firmware_protocol.codec import decode, encode, header_of
from firmware_protocol.errors import LocalProtocolError
from firmware_protocol.framing import DatagramFraming, Framing, StreamFraming
from firmware_protocol.link import (
    Answered,
    Echoed,
    Link,
    LinkEvent,
    Nonsense,
    Told,
    Unanswered,
)
from firmware_protocol.messages import (
    Clear,
    Command,
    EmergencyStop,
    Event,
    GetLimits,
    GetStatus,
    Hello,
    Identity,
    Limits,
    Message,
    Nak,
    Reason,
    SetLevel,
    Status,
    Stop,
)

TOKEN = 0x0101
HELLO = Hello(0, 1, 1, 0xC0FFEE)
IDENTIFY = Hello(1, 1, 1, 0xBEEF)
IDENTITY = Identity(1, 0, 0xC0FFEE, b"sim-0001", 1, 1, 1, 1, 63, 0)
LIMITS = Limits(150, 1000, 25, 500, 500, 5000, 900, 60, 256)
STATUS = Status(2, 0, 1, 3, 0, 150, 150, 150, 1500, 0, 0, 1000, 0, 1, 250, 100)
NAK_SESSION = Nak(0x03, Reason.SESSION, 3)


@dataclass(frozen=True)
class Sent:
    """One frame that left the link."""

    at_ms: int
    command: Message
    sequence: int
    token: int
    urgent: bool
    wire: bytes


@dataclass
class Line:
    """A link with a clock and a device's framing on the other end."""

    link: Link = field(default_factory=lambda: Link(StreamFraming()))
    far_end: Framing = field(default_factory=StreamFraming)
    now_ms: int = 0
    sent: list[Sent] = field(default_factory=list)

    def send(self, command: Command) -> None:
        self.link.send(command, self.now_ms)
        self._collect()

    def _collect(self) -> None:
        for data, urgent in self.link.data_to_send():
            for raw in self.far_end.receive(data):
                header = header_of(raw)
                self.sent.append(
                    Sent(self.now_ms, decode(raw), header.sequence, header.token, urgent, data)
                )

    def until(self, at_ms: int) -> list[LinkEvent]:
        """Let time pass, one millisecond after the other."""
        events: list[LinkEvent] = []
        while self.now_ms < at_ms:
            self.now_ms += 1
            due_ms = self.link.next_deadline_ms()
            ticked = self.link.tick(self.now_ms)
            assert not ticked or (due_ms is not None and due_ms <= self.now_ms)
            events += ticked
            self._collect()
        return events

    def hear(self, message: Message, to: Sent, *, token: int | None = None) -> list[LinkEvent]:
        """The device answers `to`."""
        return self.hear_raw(
            encode(message, to.sequence, to.token if token is None else token),
        )

    def hear_raw(self, raw: bytes) -> list[LinkEvent]:
        events = self.link.receive_data(self.far_end.encode(raw), self.now_ms)
        self._collect()
        return events

    def times(self) -> list[int]:
        return [sent.at_ms for sent in self.sent]

    def commands(self) -> list[Message]:
        return [sent.command for sent in self.sent]


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def open_line() -> Line:
    """A line with a session; nothing sent since."""
    line = Line()
    line.send(HELLO)
    line.hear(IDENTITY, line.sent[0], token=TOKEN)
    line.sent.clear()
    return line


# --- handshake -----------------------------------------------------------------------------------


def test_hello_goes_every_250_ms_for_3_s_with_the_same_bytes(line: Line) -> None:
    line.send(HELLO)
    events = line.until(10_000)
    assert line.times() == [0, 250, 500, 750, 1000, 1250, 1500, 1750, 2000, 2250, 2500, 2750]
    assert len({sent.wire for sent in line.sent}) == 1
    assert events == [Unanswered(HELLO)]


def test_hello_is_given_up_after_3_s_and_not_before(line: Line) -> None:
    line.send(HELLO)
    assert line.until(2_999) == []
    assert line.until(3_000) == [Unanswered(HELLO)]
    assert line.link.next_deadline_ms() is None


def test_hello_carries_no_token_and_its_answer_gives_one(line: Line) -> None:
    line.send(HELLO)
    assert line.sent[0].token == 0
    assert line.hear(IDENTITY, line.sent[0], token=TOKEN) == [Answered(HELLO, IDENTITY)]
    assert line.link.token == TOKEN
    line.send(SetLevel(150, 1500))
    assert line.sent[-1].token == TOKEN


def test_a_hello_in_a_session_carries_no_token_either(open_line: Line) -> None:
    open_line.send(replace(HELLO, host_nonce=2))
    assert open_line.sent[0].token == 0


def test_an_identity_with_another_nonce_is_another_host_s(line: Line) -> None:
    line.send(HELLO)
    other = replace(IDENTITY, host_nonce=0xC0FFEF)
    assert line.hear(other, line.sent[0], token=TOKEN) == []
    assert line.link.token == 0


def test_an_identity_that_nobody_asked_for_gives_no_token(open_line: Line) -> None:
    open_line.send(GetStatus())
    forged = replace(IDENTITY, host_nonce=0)
    assert open_line.hear(forged, open_line.sent[0], token=0x0177) == []
    assert open_line.link.token == TOKEN


def test_asking_who_is_there_changes_no_token(open_line: Line) -> None:
    open_line.send(IDENTIFY)
    answer = replace(IDENTITY, host_nonce=0xBEEF)
    assert open_line.hear(answer, open_line.sent[0], token=0) == [Answered(IDENTIFY, answer)]
    assert open_line.link.token == TOKEN


def test_a_refused_hello_is_an_answer(line: Line) -> None:
    line.send(HELLO)
    nak = Nak(0x01, Reason.VERSION, 2)
    assert line.hear(nak, line.sent[0]) == [Answered(HELLO, nak)]
    assert line.link.next_deadline_ms() is None


# --- commands that are simply repeated -----------------------------------------------------------


@pytest.mark.parametrize("command", [GetLimits(), GetStatus(), Clear(7)])
def test_other_commands_go_again_after_100_200_and_400_ms(
    open_line: Line, command: Command
) -> None:
    open_line.send(command)
    events = open_line.until(10_000)
    assert open_line.times() == [0, 100, 300, 700]
    assert len({sent.wire for sent in open_line.sent}) == 1
    assert events == [Unanswered(command)]


def test_other_commands_are_given_up_400_ms_after_the_last_sending(open_line: Line) -> None:
    open_line.send(GetLimits())
    assert open_line.until(1_099) == []
    assert open_line.until(1_100) == [Unanswered(GetLimits())]


def test_an_answer_to_a_repeated_command_counts_once(open_line: Line) -> None:
    open_line.send(GetLimits())
    open_line.until(150)
    assert open_line.hear(LIMITS, open_line.sent[0]) == [Answered(GetLimits(), LIMITS)]
    assert open_line.hear(LIMITS, open_line.sent[1]) == []
    assert open_line.until(5_000) == []
    assert open_line.times() == [0, 100]


def test_one_command_is_in_flight_at_a_time(open_line: Line) -> None:
    for command in (GetLimits(), GetStatus(), SetLevel(150, 1500)):
        open_line.send(command)
    assert open_line.commands() == [GetLimits()]
    open_line.hear(LIMITS, open_line.sent[0])
    assert open_line.commands() == [GetLimits(), GetStatus()]
    open_line.hear(STATUS, open_line.sent[1])
    assert open_line.commands() == [GetLimits(), GetStatus(), SetLevel(150, 1500)]
    assert [sent.sequence for sent in open_line.sent] == [2, 3, 4]


def test_the_next_command_goes_when_one_is_given_up(open_line: Line) -> None:
    open_line.send(GetLimits())
    open_line.send(GetStatus())
    open_line.until(1_100)
    assert open_line.sent[-1].at_ms == 1_100
    assert open_line.sent[-1].command == GetStatus()


def test_the_same_question_waits_only_once(open_line: Line) -> None:
    open_line.send(GetLimits())
    for _ in range(20):
        open_line.send(GetStatus())
    open_line.hear(LIMITS, open_line.sent[0])
    open_line.hear(STATUS, open_line.sent[1])
    assert open_line.commands() == [GetLimits(), GetStatus()]


def test_a_ninth_waiting_command_is_refused_here_and_nothing_is_lost(open_line: Line) -> None:
    open_line.send(GetLimits())
    for latch_id in range(8):
        open_line.send(Clear(latch_id))
    with pytest.raises(LocalProtocolError, match="8 commands are waiting"):
        open_line.send(Clear(8))
    open_line.send(Stop())
    assert open_line.commands() == [GetLimits(), Stop()]


def test_sequence_numbers_go_from_1_to_255_and_never_0(open_line: Line) -> None:
    for _ in range(600):
        open_line.send(GetStatus())
        open_line.hear(STATUS, open_line.sent[-1])
    numbers = [sent.sequence for sent in open_line.sent]
    assert numbers[:3] == [2, 3, 4]
    assert numbers[252:256] == [254, 255, 1, 2]
    assert 0 not in numbers


# --- setpoints -----------------------------------------------------------------------------------


def test_a_setpoint_is_replaced_every_100_ms_under_a_new_sequence_for_500_ms(
    open_line: Line,
) -> None:
    open_line.send(SetLevel(150, 1500))
    events = open_line.until(10_000)
    assert open_line.times() == [0, 100, 200, 300, 400, 500]
    assert [sent.sequence for sent in open_line.sent] == [2, 3, 4, 5, 6, 7]
    assert events == [Unanswered(SetLevel(150, 1500))]
    assert open_line.link.next_deadline_ms() is None


def test_the_newest_setpoint_replaces_the_one_without_an_answer(open_line: Line) -> None:
    open_line.send(SetLevel(150, 1500))
    open_line.until(50)
    open_line.send(SetLevel(300, 1500))
    open_line.until(60)
    open_line.send(SetLevel(200, 1500))
    open_line.until(100)
    assert open_line.commands() == [SetLevel(150, 1500), SetLevel(200, 1500)]
    assert open_line.times() == [0, 100]


def test_a_lowered_setpoint_is_never_followed_by_the_one_before(open_line: Line) -> None:
    open_line.send(SetLevel(900, 1500))
    open_line.until(350)
    open_line.send(SetLevel(0, 1500))
    open_line.until(5_000)
    assert open_line.commands() == [SetLevel(900, 1500)] * 4 + [SetLevel(0, 1500)] * 5
    assert open_line.times() == [0, 100, 200, 300, 400, 500, 600, 700, 800]


def test_a_setpoint_that_waited_500_ms_behind_others_still_goes(open_line: Line) -> None:
    open_line.send(GetLimits())
    open_line.send(SetLevel(150, 1500))
    open_line.until(500)
    open_line.hear(LIMITS, open_line.sent[-1])
    assert open_line.commands()[-1] == SetLevel(150, 1500)


def test_a_setpoint_that_waited_longer_is_dropped(open_line: Line) -> None:
    open_line.send(GetLimits())
    open_line.send(SetLevel(150, 1500))
    open_line.until(501)
    open_line.hear(LIMITS, open_line.sent[-1])
    open_line.until(3_000)
    assert SetLevel(150, 1500) not in open_line.commands()


def test_a_question_goes_between_two_sendings_of_a_setpoint(open_line: Line) -> None:
    open_line.send(SetLevel(150, 1500))
    open_line.send(GetStatus())
    open_line.until(100)
    assert open_line.commands() == [SetLevel(150, 1500), GetStatus()]
    open_line.hear(STATUS, open_line.sent[1])
    assert open_line.commands() == [SetLevel(150, 1500), GetStatus(), SetLevel(150, 1500)]


def test_a_setpoint_needs_a_session(line: Line) -> None:
    for command in (SetLevel(0, 1500), Clear(1)):
        with pytest.raises(LocalProtocolError, match="needs a session"):
            line.send(command)
    assert line.sent == []


def test_a_late_answer_to_a_setpoint_that_was_replaced_counts(open_line: Line) -> None:
    open_line.send(SetLevel(150, 1500))
    open_line.until(250)
    assert len(open_line.sent) == 3
    answered = [Answered(SetLevel(150, 1500), STATUS)]
    assert open_line.hear(STATUS, open_line.sent[0]) == answered
    assert open_line.link.next_deadline_ms() == 300  # the newest still waits for its own
    assert open_line.hear(STATUS, open_line.sent[0]) == []
    assert open_line.hear(STATUS, open_line.sent[2]) == answered
    assert open_line.link.next_deadline_ms() is None
    assert open_line.hear(STATUS, open_line.sent[1]) == answered


def test_answers_may_come_900_ms_late_for_ever(open_line: Line) -> None:
    """A slow bearer: every setpoint is answered after its replacement was sent."""
    heard = 0
    answers: list[tuple[int, Sent]] = []
    for at_ms in range(0, 20_000, 10):
        open_line.until(at_ms)
        if at_ms % 250 == 0:
            open_line.send(SetLevel(150, 1500))
        answers += [(sent.at_ms + 900, sent) for sent in open_line.sent]
        open_line.sent.clear()
        while answers and answers[0][0] <= at_ms:
            heard += len(open_line.hear(STATUS, answers.pop(0)[1]))
    assert heard >= 180


def test_a_lease_is_not_renewed_by_the_link_after_its_owner_fell_silent(open_line: Line) -> None:
    for at_ms in range(0, 1_001, 250):
        open_line.until(at_ms)
        open_line.send(SetLevel(150, 1500))
    open_line.until(60_000)
    assert max(open_line.times()) <= 1_500


# --- stop ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [Stop(), EmergencyStop()])
def test_a_stop_goes_three_times_10_ms_apart_then_every_100_ms(
    open_line: Line, stop: Command
) -> None:
    open_line.send(stop)
    events = open_line.until(720)
    assert open_line.times() == [0, 10, 20, 120, 220, 320, 420, 520, 620, 720]
    assert all(sent.urgent for sent in open_line.sent)
    assert len({sent.wire for sent in open_line.sent}) == 1
    assert events == []


def test_a_stop_is_never_given_up(line: Line) -> None:
    line.send(Stop())
    assert line.until(60_000) == []
    assert line.sent[-1].at_ms == 59_920
    assert line.hear(STATUS, line.sent[-1]) == [Answered(Stop(), STATUS)]
    line.until(61_000)
    assert line.sent[-1].at_ms == 59_920


@pytest.mark.parametrize("stop", [Stop(), EmergencyStop()])
def test_a_stop_that_is_refused_goes_on(open_line: Line, stop: Command) -> None:
    open_line.send(stop)
    nak = Nak(0x04 if stop == Stop() else 0x05, Reason.VERSION, 2)
    assert open_line.hear(nak, open_line.sent[0]) == [Answered(stop, nak)]
    open_line.until(220)
    assert open_line.times() == [0, 10, 20, 120, 220]
    assert open_line.hear(STATUS, open_line.sent[0]) == [Answered(stop, STATUS)]
    assert open_line.link.next_deadline_ms() is None


def test_a_stop_goes_before_everything_and_clears_what_waits(open_line: Line) -> None:
    open_line.send(SetLevel(900, 1500))
    open_line.send(GetLimits())
    open_line.send(SetLevel(950, 1500))
    open_line.until(5)
    open_line.send(Stop())
    assert open_line.sent[-1].at_ms == 5
    assert open_line.sent[-1].command == Stop()
    assert open_line.sent[-1].urgent
    open_line.hear(STATUS, open_line.sent[-1])
    assert open_line.until(5_000) == []
    assert open_line.commands() == [SetLevel(900, 1500), Stop()]


def test_frames_that_were_not_written_yet_go_behind_a_stop_and_that_means_never() -> None:
    link = Link(StreamFraming())
    link.send(GetStatus(), 0)
    link.send(Stop(), 0)
    assert [outgoing.urgent for outgoing in link.data_to_send()] == [True]


def test_only_stops_are_urgent(open_line: Line) -> None:
    for command in (SetLevel(150, 1500), GetLimits(), GetStatus(), Clear(1), HELLO):
        open_line.send(command)
        open_line.hear(STATUS, open_line.sent[-1])
    open_line.until(4_000)
    assert not any(sent.urgent for sent in open_line.sent)


def test_a_stop_voids_the_session_on_this_side_at_once(open_line: Line) -> None:
    open_line.send(Stop())
    assert open_line.sent[0].token == TOKEN
    assert open_line.link.token == 0
    with pytest.raises(LocalProtocolError):
        open_line.send(SetLevel(0, 1500))


@pytest.mark.parametrize("stop", [Stop(), EmergencyStop()])
def test_a_stop_without_a_session_goes_all_the_same(line: Line, stop: Command) -> None:
    line.send(stop)
    assert [(sent.command, sent.token) for sent in line.sent] == [(stop, 0)]


def test_an_emergency_stop_outranks_a_stop(open_line: Line) -> None:
    open_line.send(Stop())
    open_line.until(5)
    open_line.send(EmergencyStop())
    open_line.until(230)
    assert open_line.times() == [0, 5, 15, 25, 125, 225]
    assert open_line.commands() == [Stop()] + [EmergencyStop()] * 5


def test_a_stop_does_not_replace_an_emergency_stop(open_line: Line) -> None:
    open_line.send(EmergencyStop())
    open_line.until(5)
    open_line.send(Stop())
    open_line.until(230)
    assert open_line.commands() == [EmergencyStop()] * 5


@pytest.mark.parametrize("stop", [Stop(), EmergencyStop()])
def test_a_stop_said_again_does_not_begin_its_burst_anew(open_line: Line, stop: Command) -> None:
    for at_ms in range(500):
        open_line.until(at_ms)
        open_line.send(stop)
    assert open_line.times() == [0, 10, 20, 120, 220, 320, 420]


def test_a_stop_after_an_answered_stop_is_sent_again(open_line: Line) -> None:
    open_line.send(Stop())
    open_line.hear(STATUS, open_line.sent[0])
    open_line.send(Stop())
    assert open_line.commands() == [Stop(), Stop()]
    assert open_line.sent[1].sequence == open_line.sent[0].sequence + 1


def test_a_setpoint_from_before_a_stop_is_not_sent_in_the_session_after_it(
    open_line: Line,
) -> None:
    open_line.send(SetLevel(800, 1500))
    open_line.send(SetLevel(900, 1500))
    open_line.send(Stop())
    second = replace(HELLO, host_nonce=2)
    open_line.send(second)
    open_line.hear(STATUS, open_line.sent[-1])
    assert open_line.commands()[-1] == second
    open_line.hear(replace(IDENTITY, host_nonce=2), open_line.sent[-1], token=0x0102)
    open_line.until(1_000)
    assert open_line.link.token == 0x0102
    assert SetLevel(900, 1500) not in open_line.commands()


def test_an_answer_to_what_a_stop_dropped_is_nobody_s(open_line: Line) -> None:
    open_line.send(SetLevel(900, 1500))
    open_line.until(100)
    open_line.send(Stop())
    assert open_line.hear(STATUS, open_line.sent[0]) == []
    assert open_line.hear(STATUS, open_line.sent[1]) == []
    assert open_line.link.next_deadline_ms() == 110


def test_an_identity_after_a_stop_opens_no_session(line: Line) -> None:
    line.send(HELLO)
    line.send(Stop())
    assert line.hear(IDENTITY, line.sent[0], token=TOKEN) == []
    assert line.link.token == 0


def test_what_is_asked_after_a_stop_waits_for_the_stop_s_answer(open_line: Line) -> None:
    open_line.send(Stop())
    open_line.send(GetStatus())
    open_line.until(1_000)
    assert GetStatus() not in open_line.commands()
    open_line.hear(STATUS, open_line.sent[0])
    assert open_line.sent[-1].command == GetStatus()
    assert open_line.sent[-1].token == 0


# --- whose answer --------------------------------------------------------------------------------


def test_an_answer_with_another_sequence_or_token_is_another_host_s(open_line: Line) -> None:
    open_line.send(GetStatus())
    mine = open_line.sent[0]
    assert open_line.hear(STATUS, replace(mine, sequence=mine.sequence + 1)) == []
    assert open_line.hear(STATUS, mine, token=0x0102) == []
    assert open_line.hear(STATUS, mine, token=0) == []
    assert open_line.hear(STATUS, mine) == [Answered(GetStatus(), STATUS)]


def test_an_answer_of_another_kind_is_no_answer(open_line: Line) -> None:
    open_line.send(GetLimits())
    mine = open_line.sent[0]
    assert open_line.hear(STATUS, mine) == []
    assert open_line.hear(Nak(0x07, Reason.SESSION, 0), mine) == []
    assert open_line.link.token == TOKEN
    nak = Nak(0x02, Reason.LENGTH, 0)
    assert open_line.hear(nak, mine) == [Answered(GetLimits(), nak)]


def test_nak_session_voids_the_token(open_line: Line) -> None:
    open_line.send(SetLevel(150, 1500))
    assert open_line.hear(NAK_SESSION, open_line.sent[0]) == [
        Answered(SetLevel(150, 1500), NAK_SESSION)
    ]
    assert open_line.link.token == 0
    with pytest.raises(LocalProtocolError):
        open_line.send(SetLevel(150, 1500))


@pytest.mark.parametrize("reason", [each for each in Reason if each is not Reason.SESSION])
def test_no_other_refusal_voids_the_token(open_line: Line, reason: Reason) -> None:
    open_line.send(SetLevel(150, 1500))
    open_line.hear(Nak(0x03, reason, 0), open_line.sent[0])
    assert open_line.link.token == TOKEN


def test_a_setpoint_that_waits_is_not_sent_after_the_token_is_void(open_line: Line) -> None:
    open_line.send(SetLevel(150, 1500))
    open_line.send(SetLevel(200, 1500))
    open_line.hear(NAK_SESSION, open_line.sent[0])
    open_line.until(2_000)
    assert open_line.commands() == [SetLevel(150, 1500)]


def test_a_late_refusal_of_the_session_before_does_not_touch_the_new_one(open_line: Line) -> None:
    open_line.send(SetLevel(150, 1500))
    old = open_line.sent[0]
    open_line.until(100)
    second = replace(HELLO, host_nonce=2)
    open_line.send(second)
    open_line.until(200)
    hello = open_line.sent[-1]
    assert hello.command == second
    open_line.hear(replace(IDENTITY, host_nonce=2), hello, token=0x0102)
    assert open_line.hear(NAK_SESSION, old) == []
    assert open_line.link.token == 0x0102


def test_a_late_refusal_that_comes_during_the_new_hello_leaves_the_new_token_alone(
    open_line: Line,
) -> None:
    open_line.send(SetLevel(150, 1500))
    old = open_line.sent[0]
    second = replace(HELLO, host_nonce=2)
    open_line.send(second)
    open_line.until(100)
    assert open_line.sent[-1].command == second
    hello = open_line.sent[-1]
    open_line.hear(NAK_SESSION, old)
    open_line.hear(replace(IDENTITY, host_nonce=2), hello, token=0x0102)
    assert open_line.link.token == 0x0102


# --- what nobody asked for -----------------------------------------------------------------------


def test_an_event_is_told_whatever_its_token(open_line: Line) -> None:
    event = Event(9, 5, 0, 1000)
    for token in (0, TOKEN, 0x0999):
        assert open_line.hear_raw(encode(event, 0, token)) == [Told(event)]


def test_a_command_that_comes_back_is_an_echo(open_line: Line) -> None:
    open_line.send(GetStatus())
    assert open_line.hear_raw(encode(GetStatus(), 2, TOKEN)) == [Echoed()]
    assert open_line.link.next_deadline_ms() == 100


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(bytes([1, 0x9F, 1, 0, 0]), id="a type nobody knows"),
        pytest.param(encode(STATUS, 2, TOKEN)[:-1], id="a status that is too short"),
        pytest.param(bytes([2]) + encode(STATUS, 2, TOKEN)[1:], id="a major nobody agreed on"),
        pytest.param(
            encode(STATUS, 2, TOKEN)[:13] + b"\xff\xff" + encode(STATUS, 2, TOKEN)[15:],
            id="a setpoint of 65535",
        ),
    ],
)
def test_nonsense_is_said_to_be_nonsense_and_answers_nothing(open_line: Line, raw: bytes) -> None:
    open_line.send(GetStatus())
    events = open_line.hear_raw(raw)
    assert len(events) == 1
    assert isinstance(events[0], Nonsense)
    assert open_line.link.next_deadline_ms() == 100


@pytest.mark.parametrize("major", [0, 2, 255])
def test_hello_s_answers_count_in_every_major(line: Line, major: int) -> None:
    line.send(HELLO)
    nak = Nak(0x01, Reason.VERSION, 2)
    raw = bytes([major]) + encode(nak, 1, 0)[1:]
    assert line.hear_raw(raw) == [Answered(HELLO, nak)]


def test_damage_is_counted_and_is_no_event(open_line: Line) -> None:
    open_line.send(GetStatus())
    good = StreamFraming().encode(encode(STATUS, 2, TOKEN))
    damaged = good[:6] + bytes([good[6] ^ 0x10]) + good[7:]
    assert open_line.link.receive_data(damaged, 0) == []
    assert open_line.link.bad_frames == 1
    assert open_line.link.receive_data(good, 0) == [Answered(GetStatus(), STATUS)]


def test_an_answer_may_come_one_byte_at_a_time(open_line: Line) -> None:
    open_line.send(GetStatus())
    events: list[LinkEvent] = []
    for byte in StreamFraming().encode(encode(STATUS, 2, TOKEN)):
        events += open_line.link.receive_data(bytes([byte]), 0)
    assert events == [Answered(GetStatus(), STATUS)]


def test_over_datagrams_the_link_is_the_same() -> None:
    line = Line(Link(DatagramFraming()), DatagramFraming())
    line.send(HELLO)
    assert line.hear(IDENTITY, line.sent[0], token=TOKEN) == [Answered(HELLO, IDENTITY)]
    line.send(SetLevel(150, 1500))
    assert line.hear(STATUS, line.sent[1]) == [Answered(SetLevel(150, 1500), STATUS)]
    assert line.link.receive_data(b"\0garbage", 0) == []
    assert line.link.bad_frames == 1


# --- the connection, the clock -------------------------------------------------------------------


def test_a_lost_connection_forgets_everything_that_waits(open_line: Line) -> None:
    open_line.send(SetLevel(900, 1500))
    old = open_line.sent[0]
    open_line.send(GetLimits())
    open_line.send(SetLevel(950, 1500))
    open_line.until(50)
    open_line.link.reset()
    open_line.sent.clear()
    assert open_line.link.token == 0
    assert open_line.link.next_deadline_ms() is None
    assert open_line.until(5_000) == []
    assert open_line.hear(STATUS, old) == []
    assert open_line.sent == []
    open_line.send(GetStatus())
    open_line.hear(STATUS, replace(open_line.sent[0], token=0))
    assert open_line.commands() == [GetStatus()]


def test_half_a_frame_from_before_a_lost_connection_is_forgotten(open_line: Line) -> None:
    frame = StreamFraming().encode(encode(Event(9, 5, 0, 1000), 0, 0))
    open_line.link.receive_data(frame[:9], 0)
    open_line.link.reset()
    assert open_line.link.receive_data(frame[9:], 0) == []


def test_unwritten_bytes_from_before_a_lost_connection_are_forgotten() -> None:
    link = Link(StreamFraming())
    link.send(Stop(), 0)
    link.reset()
    assert link.data_to_send() == []


def test_the_sequence_goes_on_after_a_lost_connection(open_line: Line) -> None:
    open_line.link.reset()
    open_line.send(GetStatus())
    assert open_line.sent[0].sequence == 2


def test_a_clock_that_jumps_ahead_makes_no_burst(open_line: Line) -> None:
    for command in (SetLevel(900, 1500), Stop(), GetStatus()):
        open_line.send(command)
    open_line.sent.clear()
    open_line.now_ms = 60_000
    open_line.link.tick(60_000)
    open_line._collect()
    assert open_line.commands() == [Stop()]


def test_a_setpoint_from_before_a_jump_of_the_clock_is_not_sent(open_line: Line) -> None:
    open_line.send(SetLevel(900, 1500))
    open_line.sent.clear()
    open_line.now_ms = 2_000
    assert open_line.link.tick(2_000) == [Unanswered(SetLevel(900, 1500))]
    open_line.until(4_000)
    assert open_line.sent == []


def test_a_setpoint_that_waited_through_a_jump_of_the_clock_is_dropped(open_line: Line) -> None:
    open_line.send(SetLevel(800, 1500))
    open_line.send(SetLevel(900, 1500))
    open_line.sent.clear()
    open_line.now_ms = 501
    open_line.hear(STATUS, Sent(0, SetLevel(800, 1500), 2, TOKEN, False, b""))
    assert open_line.sent == []


def test_at_20_times_the_speed_every_wait_is_20_times_as_long() -> None:
    line = Line(Link(StreamFraming(), patience=20))
    line.send(HELLO)
    line.until(5_000)
    assert line.times() == [0, 5_000]
    line.hear(IDENTITY, line.sent[0], token=TOKEN)
    line.sent.clear()
    line.send(SetLevel(150, 5_000))
    line.until(30_000)
    assert line.times() == [5_000, 7_000, 9_000, 11_000, 13_000, 15_000]
    line.sent.clear()
    line.send(GetStatus())
    assert line.until(52_000) == [Unanswered(GetStatus())]
    assert line.times() == [30_000, 32_000, 36_000, 44_000]
    line.sent.clear()
    line.send(Stop())
    line.until(55_000)
    assert line.times() == [52_000, 52_200, 52_400, 54_400]


def test_nothing_is_due_while_nothing_waits(line: Line) -> None:
    assert line.link.next_deadline_ms() is None
    assert line.link.tick(1_000_000) == []
    assert line.link.data_to_send() == []
