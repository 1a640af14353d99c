"""STOP, ESTOP, the latch and CLEAR: from anyone, in every state, any number of times."""

from collections.abc import Callable
from struct import pack

import pytest

from firmware_protocol.messages import EndReason, EventCode, Fault, Nak, Reason, State, Status
from tests.conformance.rig import CLEAR, ESTOP, STOP, Rig, refused


def idle(device: Rig) -> None:
    pass


def ready(device: Rig) -> None:
    device.hello()


def running(device: Rig) -> None:
    device.run_at(400)


def paused(device: Rig) -> None:
    device.hello()
    device.set_level(0)


def stopping(device: Rig) -> None:
    device.run_at(400)
    device.stop()
    device.advance(100)


def resting(device: Rig) -> None:
    device.hello()
    device.stream(300, 900_250 - 250)
    device.advance(2000)
    assert device.status().state == State.RESTING


def latched(device: Rig) -> None:
    device.emergency_stop()


def latched_with_a_session(device: Rig) -> None:
    device.emergency_stop()
    device.hello()


STATES = [idle, ready, running, paused, stopping, resting, latched, latched_with_a_session]
anyone = pytest.mark.parametrize("token", [0, 0xFFFF, None], ids=["nobody", "stranger", "owner"])
in_every_state = pytest.mark.parametrize("state", STATES)


@anyone
@in_every_state
def test_a_stop_is_taken_from_anyone_in_every_state_any_number_of_times(
    device: Rig, state: Callable[[Rig], None], token: int | None
) -> None:
    state(device)
    for _ in range(3):
        answer = device.command(STOP, token=token, sequence=200)
        assert isinstance(answer.message, Status)
    device.advance(2000)
    assert device.output == 0
    refusal = device.ask_level(300)
    assert isinstance(refusal, Nak)
    assert refusal.reason == Reason.SESSION


@anyone
@in_every_state
def test_an_emergency_stop_is_taken_from_anyone_in_every_state_any_number_of_times(
    device: Rig, state: Callable[[Rig], None], token: int | None
) -> None:
    state(device)
    for _ in range(3):
        message = device.command(ESTOP, token=token, sequence=200).message
        assert isinstance(message, Status)
        assert (message.state, message.output_permille) == (State.LATCHED, 0)
        assert message.faults & Fault.EMERGENCY_STOP
    assert device.output == 0
    refusal = device.ask_level(300)
    assert isinstance(refusal, Nak)
    assert refusal.reason == Reason.SESSION


def test_a_stop_falls_at_500_permille_a_second_to_the_gentlest_and_then_is_off(
    device: Rig,
) -> None:
    device.run_at(400)
    status = device.stop()
    assert (status.state, status.setpoint_permille) == (State.STOPPING, 0)
    assert (status.output_permille, status.lease_left_ms) == (400, 0)
    assert status.end_reason == EndReason.STOP
    device.advance(100)
    assert device.output == 350
    device.advance(400)
    assert device.output == 150
    device.advance(1)
    assert device.output == 0
    assert device.status().state == State.IDLE
    assert device.event_codes == [EventCode.STOPPED]


def test_a_stop_at_output_0_voids_the_session(device: Rig) -> None:
    device.hello()
    assert device.stop().state == State.IDLE
    assert refused(device.ask_level(0), Reason.SESSION, 1)


def test_a_second_stop_changes_nothing_and_is_no_error(device: Rig) -> None:
    device.run_at(400)
    device.stop()
    device.advance(100)
    assert device.stop().output_permille == 350
    device.advance(100)
    assert device.output == 300
    assert device.event_codes == [EventCode.STOPPED]


def test_a_stop_never_slows_a_faster_fall(device: Rig) -> None:
    device.run_at(600)
    device.advance(1500)
    device.advance(100)
    assert device.output == 500
    device.stop()
    device.advance(100)
    assert device.output == 400


def test_a_hello_never_slows_a_faster_fall(device: Rig) -> None:
    device.run_at(600)
    device.advance(1500)
    device.hello(nonce=9)
    device.advance(100)
    assert device.output == 500


def test_a_repeated_stop_is_applied_again(device: Rig) -> None:
    device.hello()
    device.command(STOP, sequence=5)
    device.hello(nonce=2)
    device.command(STOP, sequence=5)
    assert device.status().state == State.IDLE


def test_the_button_stops_like_a_stop(device: Rig) -> None:
    device.run_at(400)
    device.backend.press_button()
    assert device.event_codes == [EventCode.BUTTON]
    device.advance(100)
    assert device.output == 350
    device.advance(401)
    assert device.output == 0
    assert device.status().end_reason == EndReason.STOP


def test_the_button_does_nothing_where_nothing_runs(device: Rig) -> None:
    device.forget_events()
    device.backend.press_button()
    assert device.event_codes == []


def test_an_emergency_stop_is_output_0_in_the_same_instant(device: Rig) -> None:
    device.run_at(600)
    status = device.emergency_stop()
    assert (status.output_permille, status.setpoint_permille) == (0, 0)
    assert (status.state, status.end_reason) == (State.LATCHED, EndReason.EMERGENCY_STOP)
    assert (status.latch_id, status.faults) == (1, 32)
    assert device.output == 0
    assert device.event_codes == [EventCode.EMERGENCY_STOPPED]


def test_an_emergency_stop_ends_a_soft_fall_at_once(device: Rig) -> None:
    device.run_at(600)
    device.stop()
    device.advance(100)
    device.emergency_stop()
    assert device.output == 0
    assert device.status().end_reason == EndReason.STOP


def test_the_latch_id_changes_only_when_the_latch_becomes_set(device: Rig) -> None:
    assert device.emergency_stop().latch_id == 1
    assert device.emergency_stop().latch_id == 1
    device.hello()
    device.clear(1)
    assert device.emergency_stop().latch_id == 2
    assert device.event_codes.count(EventCode.EMERGENCY_STOPPED) == 2


def test_clear_takes_the_latch_and_keeps_the_session(device: Rig) -> None:
    latch_id = device.emergency_stop().latch_id
    device.hello()
    device.forget_events()
    message = device.clear(latch_id)
    assert isinstance(message, Status)
    assert (message.state, message.latch_id, message.faults) == (State.READY, 0, 0)
    assert device.event_codes == [EventCode.CLEARED]
    device.set_level(300)
    device.advance(1)
    assert device.output == 150


def test_clear_needs_a_session(device: Rig) -> None:
    latch_id = device.emergency_stop().latch_id
    assert refused(device.clear(latch_id), Reason.SESSION, 0)
    assert device.status().state == State.LATCHED


@pytest.mark.parametrize("wrong", [0, 2, 0xFFFF])
def test_clear_with_another_latch_id_is_refused_with_the_right_one(device: Rig, wrong: int) -> None:
    device.emergency_stop()
    device.hello()
    assert refused(device.clear(wrong), Reason.STATE, 1)
    assert device.status().latch_id == 1


@pytest.mark.parametrize("latch_id", [0, 1])
def test_clear_without_a_latch_is_refused(device: Rig, latch_id: int) -> None:
    device.hello()
    assert refused(device.clear(latch_id), Reason.STATE, 0)


def test_a_repeated_clear_does_not_clear_the_next_latch(device: Rig) -> None:
    device.emergency_stop()
    device.hello()
    first = device.command(CLEAR, pack("<H", 1), sequence=30)
    assert device.command(CLEAR, pack("<H", 1), sequence=30).raw == first.raw
    device.emergency_stop()
    device.hello(nonce=2)
    assert refused(device.clear(1), Reason.STATE, 2)


def test_only_a_clear_unlatches(device: Rig) -> None:
    device.emergency_stop()
    device.hello()
    device.advance(3_600_000)
    device.stop()
    device.hello(nonce=2)
    assert refused(device.ask_level(300), Reason.LATCHED, 1)
