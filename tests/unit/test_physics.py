"""The simulated motor and the protection that watches it."""

import pytest

from firmware_protocol.messages import Fault
from simulator.device_faults import Protection, gate_breach
from simulator.gate import Motion
from simulator.physics import STEP_MS, Motor, linear


def run(motor: Motor, output_permille: int, ms: int) -> None:
    for _ in range(ms // STEP_MS):
        motor.step(output_permille)


def watch(motor: Motor, protection: Protection, output_permille: int, ms: int) -> list[int]:
    """Every step's findings."""
    found = []
    for _ in range(ms // STEP_MS):
        motor.step(output_permille)
        found.append(protection.step(motor, output_permille))
    return found


@pytest.mark.parametrize(
    ("now", "target", "after"), [(0, 10, 4), (8, 10, 10), (9, 0, 5), (2, 0, 0)]
)
def test_a_linear_approach_never_overshoots(now: int, target: int, after: int) -> None:
    assert linear(now, target, 4) == after


def test_the_motor_spins_up_and_down_within_half_a_second() -> None:
    motor = Motor(150)
    motor.step(1000)
    assert 0 < motor.speed_permille < 1000
    run(motor, 1000, 400)
    assert motor.speed_permille == 1000
    run(motor, 0, 400)
    assert motor.speed_permille == 0


def test_below_the_gentlest_level_the_motor_stalls() -> None:
    motor = Motor(150)
    run(motor, 149, 2_000)
    assert not motor.is_moving
    run(motor, 150, 500)
    assert motor.is_moving


def test_current_grows_with_the_output_and_a_blocked_rotor_draws_more() -> None:
    motor = Motor(150)
    assert motor.current_ma == 0
    run(motor, 500, 1_000)
    half = motor.current_ma
    run(motor, 1000, 1_000)
    full = motor.current_ma
    motor.faults.add("stall")
    run(motor, 1000, 1_000)
    assert 0 < half < full < motor.current_ma < 1_800


def test_the_motor_warms_up_slowly_and_cools_down_to_where_it_was() -> None:
    motor = Motor(150)
    assert motor.temperature_dc == 250
    run(motor, 1000, 300_000)
    assert 430 < motor.temperature_dc < 450  # 63 % of 30 K after the time constant
    assert not motor.is_at_rest
    run(motor, 0, 3_600_000)
    assert motor.temperature_dc == 250
    assert motor.is_at_rest


def test_nothing_is_found_in_15_minutes_at_full_output_and_the_cooling_after() -> None:
    motor, protection = Motor(150), Protection()
    assert set(watch(motor, protection, 1000, 900_000)) == {0}
    assert set(watch(motor, protection, 0, 60_000)) == {0}


def test_nothing_is_found_at_the_gentlest_level_switched_on_and_off() -> None:
    motor, protection = Motor(150), Protection()
    for _ in range(20):
        assert set(watch(motor, protection, 150, 1_000)) == {0}
        assert set(watch(motor, protection, 0, 300)) == {0}


def test_a_stall_is_found_after_500_ms_without_motion() -> None:
    motor, protection = Motor(150), Protection()
    motor.faults.add("stall")
    assert watch(motor, protection, 600, 600) == [0, 0, 0, 0, Fault.STALL, Fault.STALL]


def test_a_motor_that_goes_on_is_found_300_ms_after_the_time_to_spin_down() -> None:
    motor, protection = Motor(150), Protection()
    watch(motor, protection, 600, 1_000)
    motor.faults.add("stuck_on")
    found = watch(motor, protection, 0, 1_000)
    assert found == [0] * 7 + [Fault.STUCK_ON] * 3


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ("overheat", Fault.OVER_TEMPERATURE),
        ("stuck_sensor", Fault.SENSOR),
        ("over_current", Fault.OVER_CURRENT),
    ],
)
def test_a_bad_reading_is_found_at_once_and_is_a_cause_until_it_ends(
    broken: str, fault: Fault
) -> None:
    motor, protection = Motor(150), Protection()
    motor.faults.add(broken)
    assert watch(motor, protection, 0, STEP_MS) == [fault]
    assert protection.causes(motor) == fault
    motor.faults.clear()
    run(motor, 0, 1_000)
    assert protection.causes(motor) == 0


RULES = {"passed_ms": 10, "gentlest_permille": 150, "max_permille": 800}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Motion(0, 150_000, 0), Motion(150_000, 150_000, 0)),
        (Motion(150_000, 150_000, 0), Motion(150_250, 150_250, 0)),
        (Motion(200_000, 400_000, 5), Motion(205_000, 400_000, 0)),
        (Motion(600_000, 600_000, 0), Motion(200_000, 600_000, 10)),
        (Motion(600_000, 600_000, 0), Motion(0, 150_000, 0)),
    ],
)
def test_what_the_gate_may_do_is_no_breach(before: Motion, after: Motion) -> None:
    assert not gate_breach(before, after, **RULES)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Motion(0, 150_000, 0), Motion(151_000, 151_000, 0)),
        (Motion(150_000, 150_000, 0), Motion(150_100, 150_251, 0)),
        (Motion(200_000, 400_000, 5), Motion(205_001, 400_000, 0)),
        (Motion(400_000, 400_000, 0), Motion(400_001, 400_000, 0)),
        (Motion(800_000, 800_000, 0), Motion(800_001, 800_100, 0)),
    ],
    ids=["above the gentlest", "ceiling too fast", "too fast", "above the ceiling", "above max"],
)
def test_what_the_gate_may_never_do_is_a_breach(before: Motion, after: Motion) -> None:
    assert gate_breach(before, after, **RULES)
