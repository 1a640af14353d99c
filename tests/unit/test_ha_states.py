"""What Home Assistant is told of a device, key by key."""

from dataclasses import replace

from massager.home_assistant.states import Chosen, View, state_of
from massager.snapshot import Snapshot

AT_REST = View(
    *(Snapshot("idle", 0), 1, False, True, "connected", None, (), None),
    *(Chosen(3, 8.0, 90.0, "classic"), None, None, None, None, None, None, None),
)


def in_session(**known: object) -> View:
    now = Snapshot("massage", 0, intensity=6, **known)  # type: ignore[arg-type]
    return replace(AT_REST, snapshot=now, in_session=True)


def test_a_cap_is_told_before_it_lowers_the_intensity_and_while_it_does() -> None:
    ahead = "from 22:00 at most 3 (quiet hours)"
    assert state_of(in_session(cap_ahead=ahead))["cap"] == ahead
    held = "quiet hours from 22:00 to 07:00, 3 at most"
    assert state_of(in_session(lowered_by=held))["cap"] == held
    assert state_of(in_session())["cap"] is None


def test_what_held_in_a_session_is_not_told_of_the_next_one() -> None:
    over = replace(in_session(lowered_by="quiet hours"), in_session=False)
    assert state_of(over)["cap"] is None
    assert state_of(over)["intensity"] == 3


def test_a_motor_that_is_not_known_to_be_off_is_a_problem_and_runs_for_all_we_know() -> None:
    state = state_of(replace(AT_REST, is_known_to_be_off=False))
    assert (state["running"], state["problem"]) == (None, True)
    assert "has not confirmed that the motor is off" in state["problems"][0]
