"""Sequence numbers: 1…255 on a ring; what is new, repeated or stale."""

from struct import pack

import pytest

from firmware_protocol.messages import Nak, Reason, Status
from tests.conformance.rig import CLEAR, GET_LIMITS, GET_STATUS, SET_LEVEL, Rig, refused

LEVEL_300 = pack("<HH", 300, 1500)


def ahead_of(last: int, distance: int) -> int:
    return (last - 1 + distance) % 255 + 1


@pytest.mark.parametrize("last", [1, 100, 130, 254, 255])
def test_on_the_whole_ring_126_ahead_are_new_and_128_behind_are_stale(
    device: Rig, last: int
) -> None:
    for distance in range(1, 255):
        device.sequence = last - 1
        device.hello(nonce=distance)
        answer = device.command(GET_STATUS, sequence=ahead_of(last, distance)).message
        if distance <= 126:
            assert isinstance(answer, Status)
        else:
            assert refused(answer, Reason.STALE, last)


@pytest.mark.parametrize("last", [1, 130, 200, 255])
def test_sequence_0_is_stale(device: Rig, last: int) -> None:
    device.sequence = last - 1
    device.hello()
    assert refused(device.command(SET_LEVEL, LEVEL_300, sequence=0).message, Reason.STALE, last)


def test_sequence_0_does_not_repeat_255(device: Rig) -> None:
    device.sequence = 253
    device.hello()
    device.command(GET_STATUS, sequence=255)
    assert refused(device.command(GET_STATUS, sequence=0).message, Reason.STALE, 255)


def test_a_stale_command_changes_nothing(device: Rig) -> None:
    device.run_at(300)
    last = device.sequence
    before = device.status()
    behind = device.command(SET_LEVEL, pack("<HH", 900, 5000), sequence=ahead_of(last, -1))
    assert refused(behind.message, Reason.STALE, last)
    assert device.status() == before


def test_a_repeat_gets_the_same_answer_byte_for_byte(device: Rig) -> None:
    device.run_at(300)
    first = device.command(SET_LEVEL, LEVEL_300, sequence=200)
    device.advance(700)
    assert device.command(SET_LEVEL, LEVEL_300, sequence=200).raw == first.raw


def test_a_repeat_does_not_renew_the_lease(device: Rig) -> None:
    device.run_at(300)
    device.advance(1400)
    device.command(SET_LEVEL, LEVEL_300, sequence=device.sequence)
    assert device.status().lease_left_ms == 100
    device.advance(101)
    assert device.output < 300


def test_a_repeat_is_told_by_its_type_not_by_its_payload(device: Rig) -> None:
    device.run_at(300)
    first = device.command(SET_LEVEL, LEVEL_300, sequence=200)
    assert device.command(SET_LEVEL, pack("<HH", 900, 500), sequence=200).raw == first.raw
    assert device.status().setpoint_permille == 300


def test_the_last_sequence_with_another_type_is_stale(device: Rig) -> None:
    device.hello()
    device.command(SET_LEVEL, LEVEL_300, sequence=20)
    assert refused(device.command(GET_STATUS, sequence=20).message, Reason.STALE, 20)
    assert refused(device.command(CLEAR, bytes(2), sequence=20).message, Reason.STALE, 20)


def test_a_refusal_uses_up_its_sequence_number_and_is_repeated_too(device: Rig) -> None:
    device.hello()
    refusal = device.command(SET_LEVEL, pack("<HH", 1001, 1500), sequence=20)
    assert isinstance(refusal.message, Nak)
    assert device.command(SET_LEVEL, LEVEL_300, sequence=20).raw == refusal.raw
    assert refused(device.command(GET_STATUS, sequence=19).message, Reason.STALE, 20)


def test_a_question_with_the_session_s_token_is_repeated_too(device: Rig) -> None:
    device.hello()
    first = device.command(GET_LIMITS, sequence=20)
    assert device.command(GET_LIMITS, sequence=20).raw == first.raw
    status = device.command(GET_STATUS, sequence=21)
    device.advance(5)
    assert device.command(GET_STATUS, sequence=21).raw == status.raw


def test_a_repeat_after_the_session_s_end_is_refused(device: Rig) -> None:
    device.run_at(300)
    device.stop()
    repeat = device.command(SET_LEVEL, LEVEL_300, sequence=device.sequence - 1)
    assert refused(repeat.message, Reason.SESSION, 1)
