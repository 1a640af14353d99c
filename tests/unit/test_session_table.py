"""Every state of the session × every input: what may never happen, and what may."""

from itertools import product

import pytest

from firmware_protocol.link import Answered
from firmware_protocol.messages import EmergencyStop, Identity, SetLevel, Stop
from massager.session.model import (
    Arming,
    Ended,
    HardStop,
    Input,
    OpenSession,
    Paused,
    Refuse,
    Running,
    SoftStop,
    State,
    Stopping,
)
from massager.session.moves import Step
from massager.session.session import step, tick_period_ms
from massager.snapshot import snapshot
from tests.session_examples import INPUTS, NOW, STATES

# From each state to each other that it may ever reach in one step. What is not here is forbidden.
LEGAL = {
    "Idle": {"Idle", "Arming", "Stopping"},
    "Arming": {"Arming", "Preflight", "Running", "Paused", "Stopping", "Ended"},
    "Preflight": {"Preflight", "Running", "Paused", "Stopping", "Ended"},
    "Running": {"Running", "Paused", "Stopping", "Ended"},
    "Paused": {"Paused", "Running", "Arming", "Stopping", "Ended"},
    "Stopping": {"Stopping", "Ended"},
    "Ended": {"Ended", "Stopping"},
}
PHASES = (
    *("idle", "connecting", "preflight", "warm-up", "massage", "soft-end"),
    *("paused", "stopping", "ended"),
)


def word(state: State) -> str:
    return type(state).__name__


@pytest.fixture(scope="module")
def walked() -> list[tuple[State, Input, Step]]:
    """Every combination, stepped once; a step that raises fails here."""
    return [
        (state, event, step(state, event, NOW))
        for state, event in product(STATES.values(), INPUTS.values())
    ]


Walked = list[tuple[State, Input, Step]]


def test_every_state_and_every_input_is_an_example() -> None:
    assert {word(state) for state in STATES.values()} == set(LEGAL)
    assert {type(event).__name__ for event in INPUTS.values()} == {
        *("Start", "Pause", "Resume", "SetIntensity", "Extend", "SoftStop", "HardStop"),
        *("Tick", "LinkDown", "LinkUp"),
        *("Answered", "Unanswered", "Told", "Echoed", "Nonsense"),
    }


def test_the_session_moves_along_the_table_and_nowhere_else(walked: Walked) -> None:
    seen: dict[str, set[str]] = {name: set() for name in LEGAL}
    for before, _event, (after, _outputs) in walked:
        seen[word(before)].add(word(after))
    assert seen == LEGAL


def test_no_real_device_becomes_known_to_a_start_without_a_permit(walked: Walked) -> None:
    for before, event, (after, outputs) in walked:
        if not isinstance(event, Answered) or not isinstance(event.reply, Identity):
            continue
        if not isinstance(before, Arming) or before.terms.permit.refusal is None:
            continue
        if before.terms.as_real or not event.reply.is_simulated:
            assert isinstance(after, Ended)
            assert outputs == ()


def test_no_setpoint_above_0_leaves_any_state_but_running(walked: Walked) -> None:
    for before, event, (after, outputs) in walked:
        if isinstance(after, Running):
            continue
        for output in outputs:
            if isinstance(output, SetLevel) and output.level_permille > 0:
                # A pause falls through the levels below the one it began with.
                assert isinstance(after, Paused), (before, event)
                assert output.level_permille <= after.fall_from_permille


def test_no_setpoint_is_above_the_target_or_what_was_there_before(walked: Walked) -> None:
    for before, event, (after, outputs) in walked:
        for output in outputs:
            if isinstance(output, SetLevel):
                assert isinstance(after, Running) or output.level_permille <= 400, (before, event)
                assert output.level_permille <= 622


@pytest.mark.parametrize("name", STATES)
def test_a_soft_stop_is_taken_in_every_state(name: str) -> None:
    after, outputs = step(STATES[name], SoftStop(), NOW)
    before = STATES[name]
    if isinstance(before, Stopping) or (isinstance(before, Ended) and before.output_confirmed):
        assert after == before
        assert outputs == ()
    elif isinstance(before, Arming) and not before.free:
        assert isinstance(after, Ended)  # nothing was opened: what runs there is somebody else's
        assert outputs == ()
    else:
        assert isinstance(after, Stopping)
        assert outputs == (Stop(),)


@pytest.mark.parametrize("name", STATES)
def test_an_emergency_stop_is_taken_in_every_state(name: str) -> None:
    before = STATES[name]
    after, outputs = step(before, HardStop(), NOW)
    if isinstance(before, Ended) and before.output_confirmed:
        assert after == before
    else:
        assert isinstance(after, Stopping)
        assert after.emergency
        already = isinstance(before, Stopping) and before.emergency
        assert outputs == (() if already else (EmergencyStop(),))


def test_stops_are_never_refused_and_never_answered_with_a_setpoint(walked: Walked) -> None:
    for before, event, (_after, outputs) in walked:
        if isinstance(event, SoftStop | HardStop):
            assert not any(isinstance(each, Refuse | SetLevel) for each in outputs), before


def test_the_end_is_left_only_by_a_stop_while_it_is_unconfirmed(walked: Walked) -> None:
    for before, event, (after, outputs) in walked:
        if isinstance(before, Ended) and not isinstance(after, Ended):
            assert isinstance(event, SoftStop | HardStop)
            assert not before.output_confirmed
        elif isinstance(before, Ended):
            assert after == before, event
            assert all(isinstance(each, Refuse) for each in outputs), event


def test_from_stopping_nothing_leads_back(walked: Walked) -> None:
    for before, event, (_after, outputs) in walked:
        if isinstance(before, Stopping):
            for each in outputs:
                assert not isinstance(each, SetLevel | OpenSession), event


def test_the_end_is_confirmed_only_by_output_0_from_the_device(walked: Walked) -> None:
    for before, event, (after, _outputs) in walked:
        if isinstance(after, Ended) and after.output_confirmed and before is not after:
            course = after.course
            if course is None:
                assert isinstance(before, Stopping)
                assert event.reply.output_permille == 0  # type: ignore[union-attr]
            else:
                assert course.status.output_permille == 0
                assert course.heard_ms == NOW


def test_every_refusal_says_why_and_changes_nothing(walked: Walked) -> None:
    for before, event, (after, outputs) in walked:
        for each in outputs:
            if isinstance(each, Refuse):
                assert len(each.why) > 15
                assert after == before, event
                assert len(outputs) == 1


def test_every_end_and_stop_has_a_reason_and_every_fault_a_sentence(walked: Walked) -> None:
    for _before, event, (after, _outputs) in walked:
        if isinstance(after, Ended | Stopping) and after.reason.value in ("fault", "refused"):
            assert len(after.detail) > 10, event


def test_every_state_but_idle_and_ended_wants_a_tick() -> None:
    for state in STATES.values():
        period_ms = tick_period_ms(state)
        if word(state) in ("Idle", "Ended"):
            assert period_ms is None
        else:
            assert period_ms in (100, 250)


@pytest.mark.parametrize(
    ("name", "period_ms"),
    [
        ("running", 250),
        ("paused", 100),  # falling: a smooth 2 s
        ("paused, at rest", 250),
        ("preflight", 250),
        ("arming", 100),
        ("stopping", 100),
    ],
)
def test_setpoints_go_4_times_a_second_and_10_times_while_something_moves(
    name: str, period_ms: int
) -> None:
    assert tick_period_ms(STATES[name]) == period_ms


@pytest.mark.parametrize("name", STATES)
def test_every_state_can_be_shown(name: str) -> None:
    shown = snapshot(STATES[name], NOW)
    assert shown.at_ms == NOW
    assert shown.phase in PHASES
