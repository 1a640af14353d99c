"""What the device does alone: lease, run limit, rest, feet, protection."""

from collections.abc import Callable

import pytest

from firmware_protocol.messages import EndReason, EventCode, Fault, Feet, Reason, State, Status
from tests.conformance.backends import Build
from tests.conformance.rig import Rig, refused

# --- the lease --------------------------------------------------------------------------------


def test_the_output_falls_at_1000_permille_a_second_when_the_lease_ends(device: Rig) -> None:
    device.run_at(600)
    device.advance(1500)
    assert device.output == 600
    assert device.event_codes == [EventCode.LEASE_EXPIRED]
    status = device.status()
    assert (status.state, status.end_reason) == (State.STOPPING, EndReason.LEASE_EXPIRED)
    assert (status.setpoint_permille, status.lease_left_ms) == (0, 0)
    device.advance(100)
    assert device.output == 500
    device.advance(350)
    assert device.output == 150
    device.advance(1)
    assert device.output == 0


@pytest.mark.parametrize("lease_ms", [500, 1500, 5000])
def test_output_is_0_within_the_lease_and_1_s(device: Rig, lease_ms: int) -> None:
    device.run_at(1000)
    device.set_level(1000, lease_ms)
    device.advance(lease_ms)
    assert device.output == 1000
    device.advance(1000)
    assert device.output == 0


def test_the_lease_runs_at_level_0_too(device: Rig) -> None:
    device.hello()
    device.set_level(0)
    device.advance(1499)
    assert device.status().state == State.RUNNING
    device.advance(1)
    assert device.status().state == State.IDLE
    assert refused(device.ask_level(0), Reason.SESSION, 3)


def test_a_level_in_the_very_millisecond_of_the_lease_s_end_is_too_late(device: Rig) -> None:
    device.run_at(300)
    device.advance(1500)
    assert refused(device.ask_level(300), Reason.SESSION, 3)


def test_an_expired_lease_latches_nothing(device: Rig) -> None:
    device.run_at(300)
    device.advance(4000)
    device.hello(nonce=99)
    device.set_level(300)
    device.advance(1)
    assert device.output == 150


# --- run limit and rest ---------------------------------------------------------------------------


def test_a_run_ends_softly_after_900_s_of_motor_on(device: Rig) -> None:
    device.hello()
    device.stream(300, 900_000)
    assert device.status().run_time_s == 900
    assert device.output == 300
    assert EventCode.RUN_LIMIT in device.event_codes
    assert device.status().end_reason == EndReason.RUN_LIMIT
    assert device.status().state == State.STOPPING
    device.advance(100)
    assert device.output == 250
    assert refused(device.ask_level(300), Reason.SESSION, 5)
    device.advance(300)
    assert device.output == 0
    assert device.status().state == State.RESTING


def test_a_run_of_a_little_less_than_900_s_is_not_ended(device: Rig) -> None:
    device.hello()
    device.stream(300, 899_999)
    assert device.status().state == State.RUNNING


def test_the_rest_lasts_60_s_at_output_0_and_refuses_levels(device: Rig) -> None:
    device.hello()
    device.stream(150, 900_000)
    device.advance(1)
    assert device.output == 0
    device.hello(nonce=2)
    assert refused(device.ask_level(300), Reason.RESTING, 60)
    assert refused(device.ask_level(0), Reason.RESTING, 60)
    device.advance(58_999)
    assert refused(device.ask_level(300), Reason.RESTING, 2)
    device.advance(1)
    assert refused(device.ask_level(300), Reason.RESTING, 1)
    device.advance(999)
    assert refused(device.ask_level(300), Reason.RESTING, 1)
    device.forget_events()
    device.advance(1)
    assert device.event_codes == [EventCode.REST_OVER]
    assert device.set_level(300).run_time_s == 0
    assert device.status().state == State.RUNNING


def test_the_run_is_counted_across_sessions_and_only_while_the_motor_is_on(device: Rig) -> None:
    device.hello()
    device.stream(300, 400_000)
    device.stream(0, 50_000)
    assert device.status().run_time_s == 400
    device.hello(nonce=2)
    device.stream(300, 300_000)
    device.stop()
    device.advance(30_000)
    device.hello(nonce=3)
    device.stream(300, 199_000)
    assert device.status().state == State.RUNNING
    device.set_level(300)
    device.advance(1000)
    assert EventCode.RUN_LIMIT in device.event_codes


def test_a_run_is_counted_after_any_time_at_output_0(device: Rig) -> None:
    device.advance(61_000)
    device.hello()
    device.stream(300, 100_000)
    assert device.status().run_time_s == 100


def test_the_run_is_forgotten_after_60_s_at_output_0_and_not_before(device: Rig) -> None:
    device.hello()
    device.stream(300, 100_000)
    device.stream(0, 60_000)
    assert device.status().run_time_s == 100  # the output was 0 for 59,999 ms
    device.advance(1)
    assert device.status().run_time_s == 0


@pytest.mark.parametrize(("on_ms", "run_time_s"), [(999, 0), (1000, 1)])
def test_the_run_is_counted_by_the_millisecond(device: Rig, on_ms: int, run_time_s: int) -> None:
    device.hello()
    device.set_level(150)
    device.advance(on_ms)
    device.set_level(0)
    device.advance(10)
    assert device.status().run_time_s == run_time_s


def test_neither_the_lease_s_end_nor_lifted_feet_make_a_rest(device: Rig) -> None:
    device.hello()
    device.stream(300, 100_000)
    device.backend.set_feet(False)
    device.stream(0, 6_000)
    device.advance(1_500)
    status = device.status()
    assert (status.end_reason, status.run_time_s) == (EndReason.LEASE_EXPIRED, 100)


def test_59_s_at_output_0_twice_are_no_rest(device: Rig) -> None:
    device.hello()
    device.stream(300, 100_000)
    device.stream(0, 59_000)
    device.stream(300, 1_000)
    device.stream(0, 59_000)
    assert device.status().run_time_s >= 100


def test_the_run_limit_counts_in_a_fall_too(device: Rig) -> None:
    device.hello()
    device.stream(300, 899_900)
    device.stop()
    device.forget_events()
    device.advance(1000)
    assert device.event_codes == [EventCode.RUN_LIMIT]
    assert device.status().state == State.RESTING
    assert device.status().end_reason == EndReason.STOP


def test_a_rest_goes_on_below_a_latch(device: Rig) -> None:
    device.hello()
    device.stream(300, 900_000)
    device.emergency_stop()
    device.advance(30_000)
    device.hello(nonce=2)
    device.clear(1)
    assert refused(device.ask_level(300), Reason.RESTING, 30)


# --- feet -----------------------------------------------------------------------------------------


def test_status_tells_what_the_feet_sensor_reads_now(device: Rig) -> None:
    assert device.status().feet == Feet.ON
    device.backend.set_feet(False)
    assert device.status().feet == Feet.OFF


def test_feet_off_for_5_s_fall_softly_to_0_and_keep_the_session(device: Rig) -> None:
    device.run_at(400)
    device.backend.set_feet(False)
    device.stream(400, 4_999)
    assert device.output == 400
    device.advance(1)
    assert device.event_codes == [EventCode.FEET_LIFTED]
    assert device.status().setpoint_permille == 0
    device.advance(100)
    status = device.status()
    assert (status.output_permille, status.state) == (350, State.STOPPING)
    device.advance(401)
    status = device.status()
    assert (status.output_permille, status.state) == (0, State.RUNNING)
    assert status.end_reason == EndReason.NONE


def test_feet_off_for_less_than_5_s_are_shifting_in_the_chair(device: Rig) -> None:
    device.run_at(400)
    for _ in range(3):
        device.backend.set_feet(False)
        device.stream(400, 4_999)
        device.backend.set_feet(True)
        device.stream(400, 100)
    assert device.output == 400
    assert device.event_codes == []


def lift_feet(device: Rig) -> None:
    device.run_at(400)
    device.backend.set_feet(False)
    device.stream(400, 5_000)
    assert device.status().state == State.STOPPING


def test_during_the_feet_s_fall_0_is_accepted_and_anything_else_is_not(device: Rig) -> None:
    lift_feet(device)
    device.advance(100)
    assert refused(device.ask_level(400), Reason.STOPPING, 350)
    status = device.set_level(0)
    assert (status.lease_left_ms, status.state) == (1500, State.STOPPING)
    device.advance(100)
    assert device.output == 300


def test_the_lease_ends_in_a_feet_s_pause_like_anywhere(device: Rig) -> None:
    lift_feet(device)
    device.advance(1500)
    assert device.status().end_reason == EndReason.LEASE_EXPIRED


def test_after_lifted_feet_a_level_needs_a_0_with_the_feet_on_first(device: Rig) -> None:
    lift_feet(device)
    device.stream(0, 2_000)
    assert refused(device.ask_level(400), Reason.FEET, 0)
    device.backend.set_feet(True)
    assert device.event_codes == [EventCode.FEET_LIFTED, EventCode.FEET_BACK]
    assert refused(device.ask_level(400), Reason.FEET, 0)
    device.set_level(0)
    device.set_level(400)
    device.advance(1)
    assert device.output == 150


def test_a_0_with_the_feet_off_opens_nothing(device: Rig) -> None:
    lift_feet(device)
    device.stream(0, 2_000)
    device.backend.set_feet(True)
    device.backend.set_feet(False)
    device.set_level(0)
    device.backend.set_feet(True)
    assert refused(device.ask_level(400), Reason.FEET, 0)


def test_a_new_session_does_not_lift_the_block(device: Rig) -> None:
    lift_feet(device)
    device.advance(5_000)
    device.backend.set_feet(True)
    device.hello(nonce=2)
    assert refused(device.ask_level(400), Reason.FEET, 0)
    device.set_level(0)
    device.set_level(400)


def test_nothing_starts_while_the_feet_are_off(device: Rig) -> None:
    device.backend.set_feet(False)
    device.hello()
    assert refused(device.ask_level(150), Reason.FEET, 0)
    device.set_level(0)
    device.backend.set_feet(True)
    device.set_level(150)
    device.advance(1)
    assert device.output == 150


def test_a_pause_is_not_ended_while_the_feet_are_off(device: Rig) -> None:
    device.run_at(300)
    device.stream(0, 1_000)
    device.backend.set_feet(False)
    assert refused(device.ask_level(300), Reason.FEET, 0)


def test_the_5_s_count_from_the_opening_of_the_session(device: Rig) -> None:
    device.backend.set_feet(False)
    device.advance(60_000)
    device.hello()
    device.forget_events()
    device.stream(0, 4_999)
    assert device.event_codes == []
    device.advance(1)
    assert device.event_codes == [EventCode.FEET_LIFTED]


def test_without_a_session_lifted_feet_are_no_event(device: Rig) -> None:
    device.forget_events()
    device.backend.set_feet(False)
    device.advance(60_000)
    device.backend.set_feet(True)
    assert device.event_codes == []


def test_a_device_without_a_feet_sensor_has_no_feet_rules(build: Callable[[Build], Rig]) -> None:
    device = build(Build(feet_sensor=False))
    device.backend.set_feet(False)
    device.run_at(300)
    device.stream(300, 10_000)
    assert device.output == 300
    assert device.status().feet == Feet.NO_SENSOR


# --- protection -----------------------------------------------------------------------------------

WHILE_DRIVEN = [
    ("stall", Fault.STALL, 700),
    ("overheat", Fault.OVER_TEMPERATURE, 200),
    ("over_current", Fault.OVER_CURRENT, 200),
    ("stuck_sensor", Fault.SENSOR, 200),
]


@pytest.mark.parametrize(("broken", "fault", "within_ms"), WHILE_DRIVEN)
def test_a_fault_is_output_0_latched_and_told(
    device: Rig, broken: str, fault: Fault, within_ms: int
) -> None:
    device.run_at(600)
    device.inject(broken)
    device.advance(within_ms)
    assert device.output == 0
    status = device.status()
    assert (status.state, status.faults) == (State.LATCHED, fault)
    assert (status.latch_id, status.end_reason) == (1, EndReason.FAULT)
    assert device.event_codes == [EventCode.FAULT]
    assert refused(device.ask_level(300), Reason.SESSION, 6)


def test_a_motor_that_stands_still_for_500_ms_though_driven_is_a_stall_and_not_before(
    device: Rig,
) -> None:
    device.run_at(600)
    device.inject("stall")
    device.advance(400)
    assert device.output == 600
    device.advance(300)
    assert device.output == 0


def test_a_motor_that_goes_on_moving_is_stuck_on(device: Rig) -> None:
    device.run_at(600)
    device.inject("stuck_on")
    device.stop()
    device.advance(3000)
    status = device.status()
    assert (status.state, status.faults) == (State.LATCHED, Fault.STUCK_ON)


def test_a_motor_that_starts_by_itself_is_stuck_on_without_any_session(device: Rig) -> None:
    device.inject("stuck_on")
    device.advance(1000)
    assert device.status().faults == Fault.STUCK_ON


def test_a_motor_that_only_runs_out_is_not_stuck_on(device: Rig) -> None:
    device.run_at(1000)
    device.emergency_stop()
    device.advance(5000)
    assert device.status().faults == Fault.EMERGENCY_STOP


def test_a_motor_that_runs_out_over_a_reset_is_not_stuck_on(device: Rig) -> None:
    device.run_at(1000)
    device.backend.reboot()
    device.advance(5000)
    assert device.status().faults == 0


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ("overheat", Fault.OVER_TEMPERATURE),
        ("over_current", Fault.OVER_CURRENT),
        ("stuck_sensor", Fault.SENSOR),
        ("stuck_on", Fault.STUCK_ON),
    ],
)
def test_a_latch_cannot_be_cleared_while_its_cause_is_there(
    device: Rig, broken: str, fault: Fault
) -> None:
    device.inject(broken)
    device.advance(2000)
    device.hello()
    assert refused(device.clear(1), Reason.FAULT, fault)
    assert device.status().state == State.LATCHED
    device.mend()
    device.advance(1000)
    assert isinstance(device.clear(1), Status)
    assert device.status().faults == 0


def test_an_emergency_stop_joins_a_latched_fault_under_the_same_latch_id(device: Rig) -> None:
    device.inject("overheat")
    device.advance(200)
    device.forget_events()
    status = device.emergency_stop()
    assert status.latch_id == 1
    assert status.faults == Fault.OVER_TEMPERATURE | Fault.EMERGENCY_STOP
    assert device.event_codes == []


def test_a_fault_joins_an_emergency_stop_under_the_same_latch_id(device: Rig) -> None:
    device.emergency_stop()
    device.inject("overheat")
    device.advance(200)
    status = device.status()
    assert status.latch_id == 1
    assert status.faults == Fault.OVER_TEMPERATURE | Fault.EMERGENCY_STOP


def test_a_session_opened_on_a_latch_ends_with_the_next_fault(device: Rig) -> None:
    device.emergency_stop()
    device.hello()
    device.inject("overheat")
    device.advance(200)
    assert refused(device.clear(1), Reason.SESSION, 6)


def test_15_minutes_at_full_output_trip_no_protection(device: Rig) -> None:
    device.hello()
    device.stream(1000, 900_000)
    device.advance(120_000)
    status = device.status()
    assert (status.faults, status.end_reason) == (0, EndReason.RUN_LIMIT)
    assert status.state == State.IDLE
