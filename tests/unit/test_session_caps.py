"""Caps that come and go with the time: the session keeps them itself, by its own clock."""

from dataclasses import replace

import pytest

from firmware_protocol.link import Answered
from firmware_protocol.messages import EmergencyStop, SetLevel
from massager.plan import Phase, Progress
from massager.session.caps import Cap
from massager.session.model import (
    Arming,
    Course,
    Extend,
    Pause,
    Paused,
    PauseReason,
    Permit,
    Preflight,
    Refuse,
    Resume,
    Running,
    SetIntensity,
    State,
    Stopping,
    StopReason,
    Terms,
    Tick,
)
from massager.session.moves import phase_of
from massager.session.session import step
from massager.snapshot import snapshot
from tests.session_examples import (
    ARMING,
    CHOICE,
    HELLO,
    IDENTITY,
    KNEADING,
    LEVELS,
    NOW,
    SET_LEVEL,
    STATUS,
    STATUS_OFF,
    course,
    ending,
    running,
)

WHY = "quiet hours from 22:00 to 07:00, 3 at most"
NIGHT = Cap(NOW + 1_000, 3, WHY, "from 22:00 at most 3 (quiet hours)")
MORNING = Cap(NOW + 20_000, 10, "")
HELD = 339  # intensity 3 of 150 … 1000 ‰


def under(*caps: Cap, **changes: object) -> Course:
    massage = {"progress": Progress(0, 400_000, 80_000), **changes}
    return course(terms=Terms(caps=caps), **massage)


def at_full(*caps: Cap, **changes: object) -> Running:
    status = replace(STATUS, output_permille=622, ceiling_permille=622)
    return running(under(*caps, status=status, **changes), start=622)


def live(state: State, until_ms: int, from_ms: int = 0) -> tuple[State, list[int]]:
    """The device follows each setpoint, four times a second; times after NOW."""
    asked = []
    for now_ms in range(NOW + from_ms, NOW + until_ms + 1, 250):
        state, outputs = step(state, Tick(), now_ms)
        for output in outputs:
            assert isinstance(output, SetLevel)
            asked.append(output.level_permille)
            status = replace(STATUS, output_permille=output.level_permille)
            state, _ = step(state, Answered(output, status), now_ms)
    return state, asked


def refused(state: State, intensity: int, at_ms: int) -> str:
    after, outputs = step(state, SetIntensity(intensity), NOW + at_ms)
    assert after == state
    (said,) = outputs
    assert isinstance(said, Refuse)
    return said.why


# --- while it runs --------------------------------------------------------------------------------


def test_a_cap_that_begins_lowers_the_intensity_as_softly_as_a_person_would() -> None:
    state, asked = live(at_full(NIGHT), 3_000)
    assert asked == [622, 622, 622, 622, 622, 497, 372, HELD, HELD, HELD, HELD, HELD, HELD]
    shown = snapshot(state, NOW + 3_000)
    assert (shown.intensity, shown.lowered_by) == (3, WHY)


def test_from_the_strongest_to_the_gentlest_takes_less_than_2_s() -> None:
    strong = under(Cap(NOW, 1, WHY), choice=replace(CHOICE, intensity=10))
    _, asked = live(running(strong, start=1000), 2_000)
    assert asked == [400, 275, 150, 150, 150, 150, 150, 150, 150]  # its output was 400
    full = replace(strong, status=replace(STATUS, output_permille=1000))
    _, asked = live(running(full, start=1000), 2_000)
    assert asked == [1000, 875, 750, 625, 500, 375, 250, 150, 150]


def test_a_pattern_goes_on_below_the_cap() -> None:
    kneading = replace(CHOICE, program=KNEADING)
    state, asked = live(at_full(NIGHT, choice=kneading), 19_000)
    assert max(asked[8:]) == HELD
    assert min(asked[12:]) == 226  # 40 % of the way from 150
    assert isinstance(state, Running)
    assert state.plan.choice.program is KNEADING


def test_in_the_warm_up_it_rises_to_the_cap_only() -> None:
    before = at_full(NIGHT, progress=Progress(60_000, 480_000, 0))
    state, asked = live(before, 4_000)
    assert asked[-1] == HELD
    assert isinstance(state, Running)
    assert phase_of(state, NOW + 4_000) is Phase.WARM_UP


def test_a_cap_above_the_intensity_changes_nothing() -> None:
    state = at_full(Cap(NOW + 1_000, 6, WHY))
    assert live(state, 5_000)[1] == live(at_full(), 5_000)[1]
    shown = snapshot(live(state, 5_000)[0], NOW + 5_000)
    assert (shown.intensity, shown.lowered_by) == (6, None)


def test_nothing_is_raised_when_the_quiet_hours_end_but_a_person_may() -> None:
    state, asked = live(at_full(NIGHT, MORNING), 40_000)
    assert set(asked[10:]) == {HELD}
    after, _ = step(state, SetIntensity(6), NOW + 40_000)
    shown = snapshot(after, NOW + 40_000)
    assert (shown.intensity, shown.lowered_by) == (6, None)
    assert live(after, 80_000, from_ms=40_000)[1][-1] == 622


def test_raising_above_the_cap_in_force_is_refused_with_its_words() -> None:
    state, _ = live(at_full(NIGHT), 3_000)
    assert refused(state, 4, 3_000) == f"intensity 4: it must be 1 to 3 ({WHY})"
    lower, _ = step(state, SetIntensity(2), NOW + 3_000)
    assert snapshot(lower, NOW + 3_000).lowered_by is None
    assert snapshot(step(lower, SetIntensity(3), NOW + 3_000)[0], NOW).intensity == 3


def test_the_lowest_of_all_caps_is_in_force() -> None:
    own = replace(Terms(caps=(Cap(0, 6, WHY),)), max_intensity=4, cap_reason="a sore day")
    assert own.cap_at(NOW).reason == "a sore day"
    later = replace(own, caps=(*own.caps, NIGHT))
    assert (later.cap_at(NOW + 999).max_intensity, later.cap_at(NOW + 1_000).max_intensity) == (
        4,
        3,
    )


def test_a_change_while_the_ceiling_is_earned_goes_on_from_the_output_and_not_from_a_dip() -> None:
    kneading = under(choice=replace(CHOICE, program=KNEADING), progress=Progress(0, 480_000, 0))
    kneading = replace(kneading, status=STATUS, heard_ms=NOW + 2_900)
    state: State = running(kneading, start=622)  # its output is 400
    state, outputs = step(state, Tick(), NOW + 3_000)  # half a cycle: 339 in the pattern
    assert outputs == (SetLevel(622, 1500),)
    _, outputs = step(state, SetIntensity(7), NOW + 3_000)
    assert outputs == (SetLevel(400, 1500),)


def test_changes_one_after_the_other_do_not_hold_the_fall_up() -> None:
    """A key that repeats every 30 ms; each change makes a new plan."""
    state: State = at_full(Cap(NOW, 3, WHY))
    level = 622
    for at_ms in range(0, 1_500, 30):
        state, outputs = step(state, Tick(), NOW + at_ms)
        for wish in (2, 3):
            state, outputs = step(state, SetIntensity(wish), NOW + at_ms + 10 * wish)
            (output,) = outputs
            assert isinstance(output, SetLevel)
            assert output.level_permille <= level
            level = output.level_permille
    assert level <= HELD


# --- at the end of it -----------------------------------------------------------------------------


def test_in_the_soft_end_it_is_lowered_as_quickly_and_ends_when_it_would_have() -> None:
    soft = ending()
    full = replace(soft.course, status=replace(STATUS, output_permille=622))
    soft = replace(soft, course=replace(full, terms=Terms(caps=(Cap(NOW + 1_000, 2, WHY),))))
    state, asked = live(soft, 3_000)
    assert asked == [400, 393, 387, 381, 375, 250, 241, 238, 236, 233, 230, 227, 225]
    assert isinstance(state, Running)
    assert state.plan_from_ms + state.plan.duration_ms == NOW + 10_000


@pytest.mark.parametrize("output", [1, 100, 149])
def test_an_output_that_turns_no_motor_does_not_keep_a_soft_end_from_being_lowered(
    output: int,
) -> None:
    soft = ending()
    slow = replace(soft.course, status=replace(STATUS, output_permille=output))
    soft = replace(soft, course=replace(slow, terms=Terms(caps=(Cap(NOW, 2, WHY),))))
    state, outputs = step(soft, Tick(), NOW + 1_000)
    assert isinstance(state, Running)
    assert outputs == (SetLevel(150, 1500),)


def test_massage_that_is_nearly_over_is_lowered_as_quickly() -> None:
    short = at_full(Cap(NOW + 250, 1, WHY), progress=Progress(0, 500, 479_500))
    assert live(short, 1_500)[1] == [622, 622, 497, 372, 247, 150, 150]


def test_what_is_lowered_in_the_soft_end_takes_no_less_in_all_than_before() -> None:
    before = at_full(Cap(NOW + 1_000, 1, WHY), progress=Progress(0, 500, 479_500))
    after, _ = live(before, 3_000)
    assert snapshot(after, NOW + 3_000).phase == "soft-end"
    assert snapshot(after, NOW + 3_000).time_total_ms == snapshot(before, NOW).time_total_ms


def test_a_sitting_that_ends_while_it_is_lowered_is_lowered_as_quickly() -> None:
    full = at_full(Cap(NOW + 250, 1, WHY), motor_on_ms=780_000 - 10_250 - 600)
    state, asked = live(full, 2_000)
    assert asked == [622, 622, 497, 497, 372, 247, 150, 150, 150]
    assert isinstance(state, Running)
    assert state.goes_to is StopReason.SITTING_LIMIT


# --- paused, or not begun -------------------------------------------------------------------------


def test_a_pause_ends_with_the_intensity_that_is_allowed_then() -> None:
    paused, _ = step(at_full(NIGHT), Pause(), NOW)
    assert isinstance(paused, Paused)
    at_once, outputs = step(paused, Resume(), NOW + 1_000)  # no tick has seen the cap yet
    assert outputs == (SetLevel(150, 1500),)
    assert isinstance(at_once, Running)
    assert at_once.plan.choice.intensity == 3
    seen, _ = live(paused, 1_000, from_ms=250)
    assert snapshot(seen, NOW + 1_000).intensity == 3
    assert refused(seen, 5, 1_000) == f"intensity 5: it must be 1 to 3 ({WHY})"


def test_a_session_that_waits_for_feet_begins_with_what_is_allowed_then() -> None:
    waiting = Preflight(under(NIGHT, status=STATUS_OFF), NOW)
    state, _ = step(waiting, Answered(SetLevel(0, 1500), STATUS_OFF), NOW + 1_000)
    assert isinstance(state, Running)
    assert state.plan.choice.intensity == 3


def test_going_on_over_a_new_link_is_lowered_and_not_refused() -> None:
    terms = Terms(permit=Permit(caps=(NIGHT,)), as_real=True).with_permit()
    lost = Paused(replace(under(), terms=terms, status=STATUS_OFF), PauseReason.LINK_LOST, NOW, 0)
    arming, _ = step(lost, Resume(), NOW + 1_000)
    known, _ = step(arming, Answered(HELLO, IDENTITY), NOW + 1_000)
    assert isinstance(known, Arming)
    ready = replace(known, free=True, levels=LEVELS)
    state, _ = step(ready, Answered(SetLevel(0, 1500), STATUS_OFF), NOW + 1_100)
    assert isinstance(state, Running)
    assert state.plan.choice.intensity == 3


# --- the start ------------------------------------------------------------------------------------


def met(*caps: Cap, at_ms: int = 0, **terms: object) -> State:
    """Intensity 6 on a device that counts as a real one, `at_ms` after the permit was made."""
    asked = replace(Terms(permit=Permit(caps=caps), as_real=True), **terms)  # type: ignore[arg-type]
    identity = replace(IDENTITY, speed=asked.speed)
    return step(replace(ARMING, terms=asked), Answered(HELLO, identity), at_ms)[0]


LATER = replace(NIGHT, from_ms=60_000)


def test_a_start_above_the_cap_in_force_is_refused_and_one_that_will_be_lowered_is_not() -> None:
    state = met(LATER, at_ms=60_000)
    assert getattr(state, "detail", "") == (
        f"intensity 6 is above 3, which is the highest now: {WHY}; choose 3 or less"
    )
    assert isinstance(met(LATER, at_ms=59_999), Arming)


def test_the_caps_count_from_when_the_permit_was_made_however_long_a_start_takes() -> None:
    known = met(LATER, permitted_ms=-15_000)
    assert isinstance(known, Arming)
    assert [cap.from_ms for cap in known.terms.caps] == [45_000]
    resumed = known.terms.with_permit()
    assert resumed == known.terms


def test_quiet_hours_are_the_wall_s_also_where_the_session_s_clock_runs_faster() -> None:
    """A rehearsal at speed 20: a minute of the wall clock is 20 minutes of the session."""
    known = met(LATER, speed=20, permitted_ms=-2_000)
    assert isinstance(known, Arming)
    assert [cap.from_ms for cap in known.terms.caps] == [1_198_000]


def test_a_person_is_told_of_a_cap_that_begins_before_the_session_ends_as_planned() -> None:
    def told(*caps: Cap, at: Running | None = None) -> str | None:
        state = at or running(under(*caps))
        return snapshot(replace(state, course=under(*caps)), NOW).cap_ahead

    ends_ms = NOW + 400_000 + 10_000
    assert told(NIGHT) == "from 22:00 at most 3 (quiet hours)"
    assert told(replace(NIGHT, from_ms=ends_ms)) == "from 22:00 at most 3 (quiet hours)"
    assert told(replace(NIGHT, from_ms=ends_ms + 1)) is None
    assert told(replace(NIGHT, max_intensity=6)) is None
    assert told(replace(NIGHT, from_ms=NOW), MORNING) is None
    assert told() is None
    longer, _ = step(running(under(replace(NIGHT, from_ms=ends_ms + 1))), Extend(60_000), NOW)
    assert snapshot(longer, NOW).cap_ahead == "from 22:00 at most 3 (quiet hours)"


# --- what the device does -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "at_ms", "is_emergency"),
    [
        (622, 1_000, False),
        # 2.5 s for the way down, 1.5 s for a lease that may have to end, 3 s for what comes late
        (622, 7_999, False),
        (622, 8_001, True),
        (HELD, 60_000, False),
        (HELD + 1, 60_000, True),
        (623, 1_000, True),
    ],
)
def test_an_output_above_the_cap_is_an_emergency_but_not_while_it_is_lowered(
    output: int, at_ms: int, is_emergency: bool
) -> None:
    caps = (Cap(0, 6, "an evening"), NIGHT)
    state = at_full(*caps, heard_ms=NOW + at_ms)
    status = replace(STATUS, output_permille=output)
    after, outputs = step(state, Answered(SET_LEVEL, status), NOW + at_ms)
    assert isinstance(after, Stopping) is is_emergency
    assert outputs == ((EmergencyStop(),) if is_emergency else ())


def test_raised_as_soon_as_a_cap_ends_is_no_emergency() -> None:
    state = at_full(Cap(0, 3, WHY), Cap(NOW + 1_000, 6, ""), heard_ms=NOW + 1_250)
    for output, is_emergency in ((622, False), (623, True)):
        status = replace(STATUS, output_permille=output)
        after, _ = step(state, Answered(SET_LEVEL, status), NOW + 1_500)
        assert isinstance(after, Stopping) is is_emergency
