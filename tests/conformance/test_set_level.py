"""SET_LEVEL: what is accepted, what is refused and with which limit, and how the output moves."""

from collections.abc import Callable
from struct import pack

import pytest

from firmware_protocol.messages import Reason, State
from tests.conformance.backends import Build
from tests.conformance.rig import SET_LEVEL, Rig, refused


@pytest.mark.parametrize("level", [1001, 0xFFFF])
def test_a_level_above_the_maximum_is_refused_with_it(device: Rig, level: int) -> None:
    device.hello()
    assert refused(device.ask_level(level), Reason.RANGE, 1000)
    assert device.status().setpoint_permille == 0


def test_the_maximum_is_the_device_s_own(build: Callable[[Build], Rig]) -> None:
    device = build(Build(gentlest_permille=200, max_permille=600))
    limits = device.limits()
    assert (limits.gentlest_permille, limits.max_permille) == (200, 600)
    device.hello()
    assert refused(device.ask_level(601), Reason.RANGE, 600)
    device.stream(600, 20_000)
    assert device.output == 600


@pytest.mark.parametrize(
    ("lease_ms", "bound"), [(0, 500), (499, 500), (5001, 5000), (0xFFFF, 5000)]
)
def test_a_lease_outside_500_to_5000_ms_is_refused_with_the_bound(
    device: Rig, lease_ms: int, bound: int
) -> None:
    device.hello()
    assert refused(device.ask_level(300, lease_ms), Reason.LEASE, bound)
    assert device.status().state == State.READY


@pytest.mark.parametrize("lease_ms", [500, 1500, 5000])
def test_a_lease_of_500_to_5000_ms_is_taken(device: Rig, lease_ms: int) -> None:
    device.hello()
    assert device.set_level(300, lease_ms).lease_left_ms == lease_ms


def test_the_level_is_judged_before_the_lease_and_both_before_the_latch(device: Rig) -> None:
    latch_id = device.emergency_stop().latch_id
    device.hello()
    assert refused(device.ask_level(1001, 499), Reason.RANGE, 1000)
    assert refused(device.ask_level(1000, 499), Reason.LEASE, 500)
    assert refused(device.ask_level(1000, 500), Reason.LATCHED, latch_id)


def test_an_accepted_level_runs_the_lease_and_is_told(device: Rig) -> None:
    device.hello()
    status = device.set_level(300, 1500)
    assert status.state == State.RUNNING
    assert (status.setpoint_permille, status.lease_left_ms) == (300, 1500)


def test_the_first_movement_is_a_step_to_exactly_the_gentlest(device: Rig) -> None:
    device.hello()
    device.set_level(1000)
    assert device.output == 0
    device.advance(1)
    assert device.output == 150
    assert device.status().ceiling_permille == 150


@pytest.mark.parametrize("level", [1, 75, 149])
def test_a_level_in_the_stall_zone_is_accepted_and_gives_output_0(device: Rig, level: int) -> None:
    device.hello()
    assert device.set_level(level).setpoint_permille == level
    device.advance(1000)
    status = device.status()
    assert (status.setpoint_permille, status.output_permille) == (level, 0)
    assert status.state == State.RUNNING


def test_a_level_in_the_stall_zone_ends_a_movement(device: Rig) -> None:
    device.run_at(300)
    device.set_level(149)
    device.advance(1)
    assert device.output == 0


def test_the_gentlest_level_itself_turns(device: Rig) -> None:
    device.hello()
    device.set_level(150)
    device.advance(1)
    assert device.output == 150


def test_the_ceiling_rises_by_25_permille_a_second_and_no_faster(device: Rig) -> None:
    device.hello()
    device.set_level(1000)
    device.advance(1)
    for second in range(1, 35):
        device.stream(1000, 1000)
        assert device.output == min(1000, 150 + 25 * second)
        assert device.status().ceiling_permille == device.output


def test_the_ceiling_never_rises_beyond_the_setpoint(device: Rig) -> None:
    device.hello()
    device.stream(200, 60_000)
    assert device.status().ceiling_permille == 200
    device.stream(1000, 1000)
    assert device.output == 225


def test_output_goes_down_at_once(device: Rig) -> None:
    device.run_at(600)
    device.set_level(200)
    device.advance(1)
    assert device.output == 200


def test_a_setpoint_of_0_is_off_at_once_and_the_next_start_is_the_gentlest(device: Rig) -> None:
    device.run_at(600)
    device.set_level(0)
    device.advance(1)
    assert device.output == 0
    device.set_level(600)
    device.advance(1)
    assert device.output == 150
    device.stream(600, 1000)
    assert device.output == 175


def test_a_dip_returns_at_500_permille_a_second_under_the_ceiling(device: Rig) -> None:
    device.run_at(600)
    device.set_level(200)
    device.advance(200)
    device.set_level(600)
    device.advance(100)
    assert device.output == 250
    device.advance(699)
    assert device.output == 599
    device.advance(1)
    assert device.output == 600


def test_a_dip_of_15_s_costs_nothing(device: Rig) -> None:
    device.run_at(600)
    device.stream(200, 15_000)
    assert device.status().ceiling_permille == 600
    device.stream(600, 1000)
    assert device.output == 600


def test_after_15_s_below_it_the_ceiling_sinks_by_25_permille_a_second(device: Rig) -> None:
    device.run_at(600)
    device.stream(200, 15_000)
    for second in range(1, 17):
        device.stream(200, 1000)
        assert device.status().ceiling_permille == max(200, 600 - 25 * second)
    device.stream(600, 1000)
    assert device.output == 225


def test_the_15_s_are_counted_anew_after_the_setpoint_was_back_at_the_ceiling(device: Rig) -> None:
    device.run_at(600)
    device.stream(200, 14_000)
    device.stream(600, 1000)
    device.stream(200, 14_000)
    assert device.status().ceiling_permille == 600


def test_a_changing_setpoint_below_the_ceiling_does_not_restart_the_15_s(device: Rig) -> None:
    device.run_at(600)
    for level in (200, 599, 300, 400):
        device.stream(level, 4000)
    assert device.status().ceiling_permille == 575


def test_nothing_is_earned_while_the_output_is_0(device: Rig) -> None:
    device.run_at(300)
    device.set_level(0)
    device.advance(1)
    assert device.status().ceiling_permille == 150
    device.stream(0, 30_000)
    device.set_level(300)
    device.advance(2)
    assert device.output == 150


def test_levels_keep_the_lease_from_ending(device: Rig) -> None:
    device.run_at(300)
    for _ in range(20):
        device.advance(1499)
        device.set_level(300)
    assert device.output == 300


def test_a_refused_level_does_not_renew_the_lease(device: Rig) -> None:
    device.run_at(300)
    device.advance(1000)
    refusal = device.command(SET_LEVEL, pack("<HH", 1001, 1500)).message
    assert refused(refusal, Reason.RANGE, 1000)
    assert device.status().lease_left_ms == 500


def test_a_shorter_lease_replaces_a_longer_one(device: Rig) -> None:
    device.run_at(300)
    device.set_level(300, 5000)
    device.set_level(300, 500)
    device.advance(501)
    assert device.output < 300
