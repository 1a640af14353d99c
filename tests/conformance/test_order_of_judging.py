"""Which rule decides about a command first, and what every refusal says."""

from struct import pack

import pytest

from firmware_protocol.messages import Fault, Identity, Limits, Nak, Reason, State, Status
from tests.conformance.rig import (
    CLEAR,
    ESTOP,
    GET_LIMITS,
    GET_STATUS,
    HELLO,
    SET_LEVEL,
    STOP,
    Rig,
    refused,
)

HELLO_PAYLOAD = pack("<BBBI", 0, 1, 1, 0xDEADBEEF)


@pytest.mark.parametrize("major", [0, 1, 2, 255])
@pytest.mark.parametrize("payload", [b"", b"\0", bytes(32)])
@pytest.mark.parametrize("sequence", [0, 1, 200])
def test_an_emergency_stop_is_taken_whatever_its_frame_looks_like(
    device: Rig, major: int, payload: bytes, sequence: int
) -> None:
    device.run_at(300)
    answer = device.command(ESTOP, payload, major=major, token=0xABCD, sequence=sequence)
    assert isinstance(answer.message, Status)
    assert answer.message.output_permille == 0
    assert device.output == 0
    assert answer.header.major == 1
    assert answer.header.token == 0xABCD


@pytest.mark.parametrize("major", [0, 1, 2, 255])
def test_hello_is_taken_with_any_major_in_its_header(device: Rig, major: int) -> None:
    answer = device.command(HELLO, HELLO_PAYLOAD, major=major, token=0x1234, sequence=77)
    assert isinstance(answer.message, Identity)
    assert answer.header.major == 1
    assert answer.message.host_nonce == 0xDEADBEEF


@pytest.mark.parametrize("size", [0, 6, 8, 32])
def test_hello_of_another_length_is_refused_and_opens_nothing(device: Rig, size: int) -> None:
    answer = device.command(HELLO, bytes(size), token=0)
    assert refused(answer.message, Reason.LENGTH, 7)
    assert device.status().state == State.IDLE


@pytest.mark.parametrize(("low", "high"), [(0, 0), (2, 2), (2, 255), (3, 1)])
def test_hello_without_a_common_major_is_refused_with_the_highest_of_the_device(
    device: Rig, low: int, high: int
) -> None:
    answer = device.command(HELLO, pack("<BBBI", 0, low, high, 1), token=0)
    assert refused(answer.message, Reason.VERSION, 1)
    assert device.status().state == State.IDLE


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1, 1), (1, 9), (0, 255)])
def test_hello_with_a_common_major_opens_a_session(device: Rig, low: int, high: int) -> None:
    answer = device.command(HELLO, pack("<BBBI", 0, low, high, 1), token=0)
    assert isinstance(answer.message, Identity)
    assert answer.message.major == 1


@pytest.mark.parametrize("type_id", [GET_LIMITS, SET_LEVEL, STOP, CLEAR, GET_STATUS, 0x33])
def test_another_major_is_refused_before_anything_else_is_looked_at(
    device: Rig, type_id: int
) -> None:
    device.hello()
    answer = device.command(type_id, bytes(9), major=2)
    assert refused(answer.message, Reason.VERSION, 1)


@pytest.mark.parametrize("type_id", [0x00, 0x08, 0x7F])
def test_an_unknown_type_is_refused_and_named(device: Rig, type_id: int) -> None:
    device.hello()
    message = device.command(type_id, bytes(3)).message
    assert message == Nak(type=type_id, reason=Reason.UNKNOWN_TYPE, limit=0)


@pytest.mark.parametrize(
    ("type_id", "length", "size"),
    [
        (GET_LIMITS, 0, 1),
        (SET_LEVEL, 4, 3),
        (SET_LEVEL, 4, 5),
        (SET_LEVEL, 4, 0),
        (STOP, 0, 1),
        (CLEAR, 2, 1),
        (CLEAR, 2, 3),
        (GET_STATUS, 0, 32),
    ],
)
def test_another_length_is_refused_with_the_right_one(
    device: Rig, type_id: int, length: int, size: int
) -> None:
    device.hello()
    assert refused(device.command(type_id, bytes(size)).message, Reason.LENGTH, length)


def test_a_wrong_length_does_not_use_up_the_sequence_number(device: Rig) -> None:
    device.hello()
    refusal = device.command(SET_LEVEL, b"\0" * 5, sequence=9)
    assert refused(refusal.message, Reason.LENGTH, 4)
    taken = device.command(SET_LEVEL, pack("<HH", 300, 1500), sequence=9)
    assert isinstance(taken.message, Status)


@pytest.mark.parametrize("type_id", [0x80, 0x81, 0x85, 0xFF])
def test_an_echo_of_a_device_is_dropped_without_an_answer(device: Rig, type_id: int) -> None:
    device.hello()
    before = device.status()
    assert device.send_raw(pack("<BBBH", 1, type_id, 1, device.token) + bytes(9)) == []
    assert device.status() == before


@pytest.mark.parametrize("type_id", [SET_LEVEL, CLEAR, GET_LIMITS, GET_STATUS])
def test_a_foreign_token_is_refused(device: Rig, type_id: int) -> None:
    device.hello()
    payload = {SET_LEVEL: pack("<HH", 300, 1500), CLEAR: pack("<H", 1)}.get(type_id, b"")
    answer = device.command(type_id, payload, token=device.token + 1)
    assert answer.message == Nak(type=type_id, reason=Reason.SESSION, limit=0)
    assert answer.header.token == device.token + 1


@pytest.mark.parametrize(
    ("type_id", "payload"), [(SET_LEVEL, pack("<HH", 300, 1500)), (CLEAR, pack("<H", 1))]
)
def test_token_0_sets_and_clears_nothing(device: Rig, type_id: int, payload: bytes) -> None:
    answer = device.command(type_id, payload, token=0)
    assert refused(answer.message, Reason.SESSION, 0)


@pytest.mark.parametrize("sequence", [0, 1, 250, 7])
def test_token_0_may_ask_for_limits_and_status_with_any_sequence(
    device: Rig, sequence: int
) -> None:
    device.hello()
    assert isinstance(device.command(GET_LIMITS, token=0, sequence=sequence).message, Limits)
    answer = device.command(GET_STATUS, token=0, sequence=sequence)
    assert isinstance(answer.message, Status)
    assert answer.header.token == 0


def test_asking_with_token_0_does_not_disturb_the_session_s_sequence(device: Rig) -> None:
    device.hello()
    device.set_level(300)
    device.command(GET_STATUS, token=0, sequence=100)
    repeat = device.command(SET_LEVEL, pack("<HH", 300, 1500), sequence=device.sequence)
    assert isinstance(repeat.message, Status)


def test_an_answer_echoes_sequence_and_token_of_its_command(device: Rig) -> None:
    device.hello()
    answer = device.command(GET_STATUS, sequence=42)
    assert (answer.header.major, answer.header.sequence) == (1, 42)
    assert answer.header.token == device.token


def test_an_event_has_sequence_0_and_the_session_s_token(device: Rig) -> None:
    device.forget_events()
    device.hello()
    (opened,) = device.events
    assert (opened.header.sequence, opened.header.token) == (0, device.token)


def test_an_event_after_the_end_of_the_session_has_token_0(device: Rig) -> None:
    device.hello()
    device.forget_events()
    device.stop()
    (stopped,) = device.events
    assert (stopped.header.sequence, stopped.header.token) == (0, 0)


def test_events_are_numbered_from_1_and_status_tells_the_newest(device: Rig) -> None:
    device.hello()
    device.stop()
    device.emergency_stop()
    assert device.event_ids == [1, 2, 3, 4]  # boot, session opened, stopped, emergency stopped
    assert device.status().event_id == 4


def test_the_limits_are_those_of_the_device(device: Rig) -> None:
    limits = device.limits()
    assert (limits.gentlest_permille, limits.max_permille) == (150, 1000)
    assert (limits.rise_permille_s, limits.fall_permille_s) == (25, 500)
    assert (limits.lease_min_ms, limits.lease_max_ms) == (500, 5000)
    assert (limits.run_max_s, limits.rest_s) == (900, 60)


def test_nothing_is_wrong_with_a_device_that_just_booted(device: Rig) -> None:
    status = device.status()
    assert (status.state, status.faults, status.latch_id) == (State.IDLE, Fault(0), 0)
    assert (status.setpoint_permille, status.ceiling_permille, status.output_permille) == (
        0,
        150,
        0,
    )
    assert status.lease_left_ms == 0
