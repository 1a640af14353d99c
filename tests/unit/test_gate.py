"""The motor gate: that it is the only way to the motor, and its corners in exact numbers."""

import ast
from pathlib import Path

import pytest

import simulator
from simulator.gate import Gate, Motion

SIMULATOR = Path(simulator.__file__).parent


def assignments_to(attribute: str) -> list[tuple[str, str]]:
    """File and function of every assignment to `….attribute` in the simulator."""
    found = []
    for path in sorted(SIMULATOR.rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                found += [
                    (path.name, function.name)
                    for node in ast.walk(function)
                    if isinstance(node, ast.Attribute)
                    and node.attr == attribute
                    and isinstance(node.ctx, ast.Store | ast.Del)
                ]
    return found


def test_one_function_and_no_other_gives_the_motor_its_output() -> None:
    assert assignments_to("_motion") == [("gate.py", "_drive")]


def test_nothing_reaches_into_the_gate_by_name() -> None:
    for path in SIMULATOR.rglob("*.py"):
        names = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not names & {"setattr", "delattr", "exec", "eval"}, path.name


def moving(setpoint_permille: int, ms: int) -> Gate:
    gate = Gate(150)
    gate.follow(setpoint_permille)
    gate.advance(ms)
    return gate


def test_the_gate_begins_at_0_with_the_gentlest_as_its_ceiling() -> None:
    assert Gate(150).motion == Motion(output=0, ceiling=150_000, below_ms=0)


def test_one_millisecond_after_off_is_exactly_the_gentlest() -> None:
    assert moving(1000, 1).motion == Motion(output=150_000, ceiling=150_000, below_ms=0)


def test_the_ceiling_rises_25_thousandths_a_millisecond() -> None:
    assert moving(1000, 2).motion == Motion(output=150_025, ceiling=150_025, below_ms=0)
    assert moving(1000, 1001).motion == Motion(output=175_000, ceiling=175_000, below_ms=0)


def test_the_last_step_of_a_rise_does_not_overshoot() -> None:
    gate = Gate(150)
    gate.follow(151)
    gate.advance(41)
    assert gate.motion.output == 151_000
    gate.advance(1)
    assert gate.motion.output == 151_000


def test_levels_are_shown_rounded_down() -> None:
    gate = moving(1000, 40)
    assert gate.motion.output == 150_975
    assert (gate.output_permille, gate.ceiling_permille) == (150, 150)


def test_a_fall_from_the_gentlest_is_one_step_to_0() -> None:
    gate = moving(150, 100)
    gate.fall(500)
    assert gate.ms_to_zero() == 1
    gate.advance(1)
    assert gate.motion == Motion(0, 150_000, 0)
    assert not gate.is_falling


@pytest.mark.parametrize(("rate", "ms"), [(500, 501), (1000, 251)])
def test_a_fall_takes_as_long_as_it_says(rate: int, ms: int) -> None:
    gate = moving(400, 20_000)
    gate.fall(rate)
    assert gate.ms_to_zero() == ms
    gate.advance(ms - 1)
    assert gate.output_permille >= 150
    gate.advance(1)
    assert gate.output_permille == 0


def test_a_fall_gets_faster_but_never_slower() -> None:
    gate = moving(600, 30_000)
    gate.fall(1000)
    gate.fall(500)
    gate.advance(10)
    assert gate.motion.output == 590_000


def test_a_setpoint_is_ignored_in_a_fall() -> None:
    gate = moving(600, 30_000)
    gate.fall(500)
    gate.follow(600)
    assert gate.setpoint_permille == 0
    gate.advance(5_000)
    assert gate.output_permille == 0


def test_a_fall_at_0_only_forgets_the_setpoint() -> None:
    gate = Gate(150)
    gate.follow(600)
    gate.fall(500)
    assert not gate.is_falling
    gate.advance(1_000)
    assert gate.output_permille == 0


@pytest.mark.parametrize("ms", [1, 500, 30_000])
def test_a_cut_is_0_without_any_time_and_forgets_the_setpoint(ms: int) -> None:
    gate = moving(600, ms)
    gate.cut()
    assert gate.motion == Motion(0, 150_000, 0)
    gate.advance(1_000)
    assert gate.motion == Motion(0, 150_000, 0)


def test_who_starts_over_inherits_no_ceiling() -> None:
    gate = moving(600, 30_000)
    gate.start_over(500)
    assert gate.ceiling_permille == 150
    assert gate.is_falling


def test_walking_stops_at_the_first_change_of_a_whole_permille() -> None:
    gate = Gate(150)
    gate.follow(1000)
    assert gate.advance_to_change(1_000) == 1
    assert gate.advance_to_change(1_000) == 40
    assert gate.output_permille == 151
    assert gate.advance_to_change(7) == 7


def test_a_settled_gate_walks_as_far_as_it_is_asked_to() -> None:
    gate = moving(150, 10)
    assert gate.advance_to_change(3_600_000) == 3_600_000
    gate.follow(0)
    assert gate.advance_to_change(3_600_000) == 1


@pytest.mark.parametrize(("setpoint", "rising"), [(0, False), (149, False), (150, True)])
def test_it_is_rising_where_the_motor_will_turn(setpoint: int, rising: bool) -> None:
    gate = Gate(150)
    gate.follow(setpoint)
    assert gate.is_rising is rising
