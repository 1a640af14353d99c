"""What a person does to a running session, and how it ends by itself: the routine's own numbers."""

from dataclasses import replace
from itertools import pairwise

import pytest

from firmware_protocol.link import Answered
from firmware_protocol.messages import EmergencyStop, Feet, GetStatus, Reason, SetLevel, Stop
from massager.plan import Progress
from massager.session.model import (
    Arming,
    Ended,
    Extend,
    HardStop,
    Identify,
    Input,
    LinkDown,
    Pause,
    Paused,
    PauseReason,
    Preflight,
    Refuse,
    Resume,
    Running,
    SetIntensity,
    SoftStop,
    State,
    Stopping,
    StopReason,
    Terms,
    Tick,
)
from massager.session.session import step
from tests.session_examples import (
    ARMING,
    CHOICE,
    IDENTITY,
    LEVELS,
    NOW,
    OFF,
    STATES,
    STATUS,
    STATUS_OFF,
    course,
    ending,
    refusal,
    running,
)


def refused(state: State, wish: Input, at_ms: int = NOW) -> str:
    after, outputs = step(state, wish, at_ms)
    assert after == state
    assert len(outputs) == 1
    assert isinstance(outputs[0], Refuse)
    return outputs[0].why


def levels(state: State, period_ms: int, count: int, *, follow: bool = True) -> list[int]:
    """The setpoints of the next `count` ticks, answered by a device that follows at once."""
    seen = []
    for n in range(count):
        at_ms = NOW + n * period_ms
        state, outputs = step(state, Tick(), at_ms)
        for output in outputs:
            assert isinstance(output, SetLevel)
            assert output.lease_ms == 1500
            seen.append(output.level_permille)
            if follow:
                level = output.level_permille
                status = replace(STATUS, setpoint_permille=level, output_permille=level)
                state, _ = step(state, Answered(output, status), at_ms)
    return seen


# --- pause ---------------------------------------------------------------------------------------


def test_a_pause_falls_to_0_in_2_s_ten_steps_a_second() -> None:
    state, outputs = step(running(), Pause(), NOW)
    assert outputs == (SetLevel(400, 1500),)
    assert levels(state, 100, 22) == [
        *(400, 380, 360, 340, 320, 300, 280, 260, 240, 220, 200, 180, 160),
        *(0, 0, 0, 0, 0, 0, 0, 0, 0),
    ]


def test_a_pause_from_full_strength_takes_2_s_and_not_longer() -> None:
    strong = running(course(status=replace(STATUS, output_permille=1000)), start=1000)
    state, _ = step(strong, Pause(), NOW)
    fall = levels(state, 100, 21)
    assert fall[0] == 1000
    assert fall[10] == 500
    assert fall[17] == 150
    assert fall[18:] == [0, 0, 0]


def test_a_pause_falls_from_where_the_output_is_and_not_from_what_was_asked() -> None:
    lagging = running(course(status=replace(STATUS, output_permille=200)), start=600)
    state, outputs = step(lagging, Pause(), NOW)
    assert outputs == (SetLevel(200, 1500),)
    assert isinstance(state, Paused)
    assert state.why is PauseReason.PERSON


def test_a_pause_before_the_first_status_falls_from_the_setpoint() -> None:
    _, outputs = step(running(course(status=STATUS_OFF)), Pause(), NOW)
    assert outputs == (SetLevel(400, 1500),)


def test_a_lease_that_ran_out_in_a_pause_does_not_begin_its_5_minutes_anew() -> None:
    state, _ = step(STATES["paused, at rest"], refusal(SetLevel(0, 1500), Reason.SESSION, 3), NOW)
    assert isinstance(state, Paused)
    assert state.why is PauseReason.LEASE_EXPIRED
    assert state.since_ms == NOW - 60_000


def test_a_second_pause_changes_nothing() -> None:
    for name in ("paused", "paused, at rest", "paused, link lost", "paused, lease"):
        assert step(STATES[name], Pause(), NOW) == (STATES[name], ())


def test_a_pause_by_the_person_after_the_feet_were_lifted_waits_for_the_person() -> None:
    state, outputs = step(STATES["paused, feet"], Pause(), NOW)
    assert outputs == ()
    assert isinstance(state, Paused)
    assert state.why is PauseReason.PERSON
    state, outputs = step(state, Answered(SetLevel(0, 1500), STATUS_OFF), NOW)
    assert isinstance(state, Paused)


def test_paused_time_is_no_massage_time() -> None:
    before = running(since_ms=30_000)
    state, _ = step(before, Pause(), NOW)
    assert isinstance(state, Paused)
    assert state.course.progress == Progress(10_000, 480_000, 0)
    state, _ = step(replace(state, course=replace(state.course, status=STATUS_OFF)), Resume(), NOW)
    assert isinstance(state, Running)
    assert state.plan.duration_ms == 10_000 + 480_000 + 10_000


def test_a_paused_session_streams_0_so_that_the_device_keeps_it() -> None:
    assert levels(STATES["paused, at rest"], 250, 8) == [0] * 8


def test_a_paused_session_ends_by_itself_after_5_minutes() -> None:
    state: State = Paused(OFF, PauseReason.PERSON, NOW - 299_999, 0)
    assert isinstance(step(state, Tick(), NOW)[0], Paused)
    state, outputs = step(state, Tick(), NOW + 1)
    assert isinstance(state, Stopping)
    assert state.reason is StopReason.PAUSED_TOO_LONG
    assert outputs == (Stop(),)


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        (PauseReason.PERSON, StopReason.PAUSED_TOO_LONG),
        (PauseReason.FEET, StopReason.FEET_REMOVED),
    ],
)
def test_a_pause_that_lasts_too_long_ends_for_the_reason_it_began(
    why: PauseReason, reason: StopReason
) -> None:
    state, outputs = step(Paused(OFF, why, NOW - 300_000, 0), Tick(), NOW)
    assert isinstance(state, Stopping)
    assert state.reason is reason
    assert outputs == (Stop(),)


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        (PauseReason.LINK_LOST, StopReason.LINK_LOST),
        (PauseReason.LEASE_EXPIRED, StopReason.LEASE_EXPIRED),
    ],
)
def test_a_session_that_is_void_ends_without_a_stop_that_could_be_somebody_else_s(
    why: PauseReason, reason: StopReason
) -> None:
    state, outputs = step(Paused(OFF, why, NOW - 300_000, 0), Tick(), NOW)
    assert isinstance(state, Ended)
    assert state.reason is reason
    assert state.output_confirmed
    assert outputs == ()
    state, _ = step(Paused(course(), why, NOW - 300_000, 0), Tick(), NOW)
    assert isinstance(state, Ended)
    assert not state.output_confirmed


@pytest.mark.parametrize("why", [PauseReason.LINK_LOST, PauseReason.LEASE_EXPIRED])
def test_a_session_that_is_void_neither_stops_nor_caps_what_another_controller_runs(
    why: PauseReason,
) -> None:
    """3 s after it was let go its last setpoint's repeats, lease and fall are over."""
    theirs = replace(OFF.status, state=2, output_permille=1000)
    state: State = Paused(OFF, why, NOW - 3_000, 0)
    state, outputs = step(state, Answered(GetStatus(), theirs), NOW)
    assert isinstance(state, Paused)
    assert outputs == ()
    state, outputs = step(state, Answered(GetStatus(), theirs), NOW + 1)
    assert isinstance(state, Ended)
    assert state.reason is StopReason.TAKEN_OVER
    assert outputs == ()


def test_its_own_session_is_not_taken_for_another_s_after_a_pause_and_a_moment_without_link() -> (
    None
):
    state, _ = step(STATES["paused, at rest"], LinkDown("unplugged"), NOW)
    state, _ = step(state, Answered(GetStatus(), STATUS_OFF), NOW + 3_000)
    assert isinstance(state, Paused)
    assert state.why is PauseReason.LINK_LOST
    state, _ = step(state, Answered(GetStatus(), STATUS_OFF), NOW + 3_001)
    assert isinstance(state, Ended)


def test_a_motor_that_does_not_fall_in_a_pause_gets_an_emergency_stop() -> None:
    """2 s for the fall and a lease for a late answer."""
    state: State = Paused(course(), PauseReason.PERSON, NOW - 3_500, 0)
    assert step(state, Tick(), NOW)[1] == (SetLevel(0, 1500),)
    state, outputs = step(state, Tick(), NOW + 1)
    assert isinstance(state, Stopping)
    assert "pull the plug" in state.detail
    assert outputs == (EmergencyStop(),)


# --- resume --------------------------------------------------------------------------------------


def test_going_on_starts_at_the_gentlest_and_rises_at_the_gentle_rate() -> None:
    """850 ‰ in 60 s: 14.2 ‰/s, and the warm-up has nothing left."""
    at_rest = replace(OFF, progress=Progress(0, 300_000, 180_000))
    state, outputs = step(Paused(at_rest, PauseReason.PERSON, NOW - 9_000, 0), Resume(), NOW)
    assert outputs == (SetLevel(150, 1500),)
    seen = levels(state, 250, 200)
    assert seen[:5] == [150, 153, 157, 160, 164]
    assert seen[4 * 33] == 617
    assert seen[4 * 34] == 622
    assert max(seen) == 622
    rises = [after - before for before, after in pairwise(seen)]
    assert max(rises) <= 4


def test_going_on_while_it_still_falls_starts_at_the_gentlest_too() -> None:
    _, outputs = step(STATES["paused"], Resume(), NOW)
    assert outputs == (SetLevel(150, 1500),)


def test_going_on_twice_changes_nothing() -> None:
    assert step(running(), Resume(), NOW) == (running(), ())


def test_nobody_goes_on_without_feet() -> None:
    assert refused(STATES["paused, feet off"], Resume()) == "put your feet on first"


def test_after_60_s_without_feet_a_person_goes_on() -> None:
    waiting = STATES["paused, feet too long"]
    assert isinstance(step(waiting, Answered(SetLevel(0, 1500), STATUS_OFF), NOW)[0], Paused)
    assert isinstance(step(waiting, Resume(), NOW)[0], Running)


def test_after_a_lost_link_going_on_is_a_new_handshake_with_the_same_device() -> None:
    for name in ("paused, link back", "paused, lease"):
        state, outputs = step(STATES[name], Resume(), NOW)
        assert isinstance(state, Arming)
        assert state.before == OFF
        assert state.identity is None
        assert not state.free
        assert outputs == (Identify(),)


def test_while_the_link_is_lost_nobody_goes_on() -> None:
    assert "cannot be reached" in refused(STATES["paused, link lost"], Resume())


def test_a_resumed_session_goes_on_with_what_was_left_and_what_was_on_the_clock() -> None:
    before = replace(OFF, progress=Progress(0, 200_000, 280_000), motor_on_ms=333_000)
    arming = replace(ARMING, identity=IDENTITY, free=True, levels=LEVELS, before=before)
    state, outputs = step(arming, Answered(SetLevel(0, 1500), STATUS_OFF), NOW)
    assert isinstance(state, Running)
    assert state.course.progress == Progress(0, 200_000, 280_000)
    assert state.course.motor_on_ms == 333_000
    assert state.plan.duration_ms == 210_000
    assert outputs == (SetLevel(150, 1500),)


# --- feet ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after_ms", "goes_on"), [(1_000, True), (59_999, True), (60_000, False)])
def test_feet_that_come_back_within_60_s_go_on_by_themselves(after_ms: int, goes_on: bool) -> None:
    paused = Paused(OFF, PauseReason.FEET, NOW - after_ms, 0)
    state, outputs = step(paused, Answered(SetLevel(0, 1500), STATUS_OFF), NOW)
    if goes_on:
        assert isinstance(state, Running)
        assert outputs == (SetLevel(150, 1500),)
    else:
        assert isinstance(state, Paused)
        assert outputs == ()


def test_feet_back_while_the_motor_still_falls_wait_for_0() -> None:
    paused = Paused(course(), PauseReason.FEET, NOW - 300, 0)
    state, outputs = step(paused, Answered(SetLevel(0, 1500), STATUS), NOW)
    assert isinstance(state, Paused)
    assert outputs == ()


def test_feet_back_that_only_a_look_shows_wait_for_a_setpoint_of_0() -> None:
    state, outputs = step(STATES["paused, feet"], Answered(GetStatus(), STATUS_OFF), NOW)
    assert isinstance(state, Paused)
    assert outputs == ()


def test_feet_do_not_end_a_pause_that_a_person_made() -> None:
    state, outputs = step(STATES["paused, at rest"], Answered(SetLevel(0, 1500), STATUS_OFF), NOW)
    assert isinstance(state, Paused)
    assert outputs == ()


def test_feet_off_for_less_than_the_device_s_5_s_change_nothing() -> None:
    shifting = replace(STATUS, feet=Feet.OFF)
    state, outputs = step(running(), Answered(SetLevel(400, 1500), shifting), NOW)
    assert isinstance(state, Running)
    assert outputs == ()


# --- intensity -----------------------------------------------------------------------------------


def test_lowering_takes_less_than_2_s() -> None:
    strong = running(course(status=replace(STATUS, output_permille=622)), start=622)
    strong = replace(strong, course=replace(strong.course, progress=Progress(0, 400_000, 80_000)))
    state, outputs = step(strong, SetIntensity(1), NOW)
    assert outputs == (SetLevel(622, 1500),)
    seen = levels(state, 250, 9)
    assert seen == [622, 497, 372, 247, 150, 150, 150, 150, 150]


def test_raising_goes_at_the_gentle_rate_from_where_the_output_is() -> None:
    at = course(progress=Progress(0, 400_000, 80_000), choice=replace(CHOICE, intensity=3))
    state, outputs = step(running(at), SetIntensity(9), NOW)
    assert outputs == (SetLevel(400, 1500),)
    seen = levels(state, 250, 120)
    assert seen[:5] == [400, 403, 407, 410, 414]
    assert max(seen) <= 906
    assert seen[-1] == 400 + 119 * 850 // 240


def test_a_new_intensity_goes_on_from_the_output_where_that_lags_behind() -> None:
    at = course(progress=Progress(0, 400_000, 80_000), status=replace(STATUS, output_permille=200))
    _, outputs = step(running(at), SetIntensity(9), NOW)
    assert outputs == (SetLevel(200, 1500),)


def test_the_newest_wish_replaces_the_ramp_in_progress() -> None:
    at = course(progress=Progress(0, 400_000, 80_000))
    state, _ = step(running(at), SetIntensity(10), NOW)
    status = replace(STATUS, output_permille=470)
    state, _ = step(state, Answered(SetLevel(470, 1500), status), NOW + 5_000)
    state, outputs = step(state, Tick(), NOW + 5_000)
    assert outputs == (SetLevel(470, 1500),)
    state, outputs = step(state, SetIntensity(1), NOW + 5_000)
    assert outputs == (SetLevel(470, 1500),)
    state, _ = step(state, Answered(SetLevel(300, 1500), status), NOW + 6_000)
    state, outputs = step(state, Tick(), NOW + 7_000)
    assert outputs == (SetLevel(150, 1500),)


@pytest.mark.parametrize("level", [0, 11, -3, 1000])
def test_an_intensity_outside_1_to_10_is_refused_with_the_range(level: int) -> None:
    for state in (running(), STATES["paused"], STATES["preflight"]):
        assert "1 to 10" in refused(state, SetIntensity(level))


def test_an_intensity_above_the_person_s_cap_is_refused_with_the_cap() -> None:
    at = course(terms=Terms(max_intensity=7))
    assert "1 to 7" in refused(running(at), SetIntensity(8))
    assert isinstance(step(running(at), SetIntensity(7), NOW)[0], Running)


def test_an_intensity_chosen_in_a_pause_counts_when_it_goes_on() -> None:
    state, outputs = step(STATES["paused, at rest"], SetIntensity(10), NOW)
    assert outputs == ()
    state, outputs = step(state, Resume(), NOW)
    assert outputs == (SetLevel(150, 1500),)
    assert isinstance(state, Running)
    assert state.plan.choice.intensity == 10


def test_an_intensity_chosen_before_the_feet_are_on_counts_from_the_start() -> None:
    state, outputs = step(STATES["preflight"], SetIntensity(2), NOW)
    assert isinstance(state, Preflight)
    assert outputs == ()
    state, _ = step(state, Answered(SetLevel(0, 1500), STATUS_OFF), NOW)
    assert isinstance(state, Running)
    assert state.plan.choice.intensity == 2


# --- extend --------------------------------------------------------------------------------------


def under(terms: Terms, state: Running) -> Running:
    return replace(state, course=replace(state.course, terms=terms))


def massage(done_ms: int, left_ms: int, motor_on_ms: int = 100_000) -> Running:
    at = course(progress=Progress(0, left_ms, done_ms), motor_on_ms=motor_on_ms)
    return running(at, start=622)


def test_extending_adds_massage_time() -> None:
    state, _ = step(massage(100_000, 380_000), Extend(60_000), NOW)
    assert isinstance(state, Running)
    assert state.plan.duration_ms == 380_000 + 60_000 + 10_000


def test_extending_reaches_10_min_of_massage_and_not_a_millisecond_more() -> None:
    state = massage(100_000, 380_000)
    assert isinstance(step(state, Extend(120_000), NOW)[0], Running)
    why = refused(state, Extend(120_001))
    assert "10 min" in why
    assert "2.0 min are left" in why
    after, _ = step(state, Extend(120_000), NOW)
    assert "0.0 min are left" in refused(after, Extend(60_000))


def test_extending_stops_at_the_13_min_of_the_sitting() -> None:
    """13 min less 10 of motor-on, less what is still to come: 100 s and the soft end's 10."""
    state = massage(200_000, 100_000, motor_on_ms=600_000)
    assert isinstance(step(state, Extend(70_000), NOW)[0], Running)
    why = refused(state, Extend(70_001))
    assert "would pass what is left of this sitting; 1.1 min are left" in why


def test_extending_stops_at_what_is_left_of_a_sitting_that_began_earlier() -> None:
    """9 min less 6 of motor-on, less what is still to come: 100 s and the soft end's 10."""
    state = under(Terms(motor_on_max_ms=540_000), massage(200_000, 100_000, motor_on_ms=360_000))
    assert isinstance(step(state, Extend(70_000), NOW)[0], Running)
    assert "what is left of this sitting; 1.1 min" in refused(state, Extend(70_001))


@pytest.mark.parametrize("more_ms", [0, -1, -600_000])
def test_extending_by_nothing_is_refused(more_ms: int) -> None:
    assert "a whole minute or more" in refused(running(), Extend(more_ms))


def test_extending_in_a_pause_or_before_the_feet_are_on_counts_later() -> None:
    for name in ("paused, at rest", "preflight"):
        state, outputs = step(STATES[name], Extend(60_000), NOW)
        assert outputs == ()
        assert isinstance(state, Paused | Preflight)
        assert state.course.progress.massage_left_ms == 540_000
        assert "10 min" in refused(STATES[name], Extend(120_001))


def test_in_the_soft_end_it_is_too_late_for_either() -> None:
    for wish in (Extend(60_000), SetIntensity(3)):
        assert "ending already" in refused(ending(), wish)


# --- patterns ------------------------------------------------------------------------------------


def test_while_the_ceiling_is_below_the_target_the_target_goes_out_without_the_pattern() -> None:
    state = STATES["running, pattern"]
    assert isinstance(state, Running)
    seen = []
    for n in range(15):
        _, outputs = step(state, Tick(), NOW + n * 100)
        assert isinstance(outputs[0], SetLevel)
        seen.append(outputs[0].level_permille)
    assert set(seen) == {622}

    earned = replace(state.course, status=replace(STATUS, ceiling_permille=622), heard_ms=NOW)
    state = replace(state, course=earned)
    seen = []
    for n in range(15):
        after, outputs = step(state, Tick(), NOW + n * 100)
        assert isinstance(after, Running)
        assert isinstance(outputs[0], SetLevel)
        seen.append(outputs[0].level_permille)
    assert min(seen) < 600
    assert max(seen) <= 622


# --- the end -------------------------------------------------------------------------------------


def test_a_session_that_is_over_is_completed() -> None:
    state, outputs = step(STATES["running, at its end"], Tick(), NOW)
    assert isinstance(state, Stopping)
    assert state.reason is StopReason.COMPLETED
    assert outputs == (Stop(),)


def test_the_soft_end_begins_so_early_that_output_is_0_at_13_min_of_motor_on() -> None:
    before = running(course(motor_on_ms=769_749))
    state, _ = step(before, Tick(), NOW)
    assert isinstance(state, Running)
    assert state.goes_to is StopReason.COMPLETED
    state, outputs = step(running(course(motor_on_ms=769_750)), Tick(), NOW)
    assert isinstance(state, Running)
    assert state.goes_to is StopReason.SITTING_LIMIT
    assert state.plan.duration_ms == 10_000
    assert outputs == (SetLevel(400, 1500),)


def test_the_soft_end_of_the_sitting_falls_and_is_not_begun_again() -> None:
    state: State = running(course(motor_on_ms=769_750))
    seen = []
    for at_ms in range(NOW, NOW + 10_000, 100):
        state, outputs = step(state, Tick(), at_ms)
        assert isinstance(outputs[0], SetLevel), at_ms
        seen.append(outputs[0].level_permille)
        state, _ = step(state, Answered(outputs[0], STATUS), at_ms)
    assert seen[0] == 400
    assert seen[50] == 275
    assert seen[99] == 152
    state, outputs = step(state, Tick(), NOW + 10_000)
    assert isinstance(state, Stopping)
    assert state.reason is StopReason.SITTING_LIMIT
    assert outputs == (Stop(),)


@pytest.mark.parametrize(("motor_on_ms", "ends"), [(779_749, False), (779_750, True)])
def test_a_quarter_of_a_second_before_13_min_it_stops_whatever_the_plan_says(
    motor_on_ms: int, ends: bool
) -> None:
    at = course(motor_on_ms=motor_on_ms)
    state, _ = step(replace(ending(), course=at), Tick(), NOW)
    assert isinstance(state, Stopping) is ends


def test_a_plan_is_over_at_its_last_millisecond() -> None:
    heard = replace(ending(), course=course(heard_ms=NOW + 9_000))
    assert isinstance(step(heard, Tick(), NOW + 9_999)[0], Running)
    assert isinstance(step(heard, Tick(), NOW + 10_000)[0], Stopping)


@pytest.mark.parametrize(("motor_on_ms", "falls"), [(529_749, False), (529_750, True)])
def test_the_soft_end_begins_so_early_that_output_is_0_when_the_rest_of_a_sitting_is_used_up(
    motor_on_ms: int, falls: bool
) -> None:
    """9 of the 13 min were left."""
    at = course(motor_on_ms=motor_on_ms)
    state, _ = step(under(Terms(motor_on_max_ms=540_000), running(at)), Tick(), NOW)
    assert isinstance(state, Running)
    assert (state.goes_to is StopReason.SITTING_LIMIT) is falls


@pytest.mark.parametrize(("motor_on_ms", "ends"), [(539_749, False), (539_750, True)])
def test_at_what_is_left_of_a_sitting_it_ends_whatever_happens(
    motor_on_ms: int, ends: bool
) -> None:
    at = course(motor_on_ms=motor_on_ms)
    state, _ = step(
        under(Terms(motor_on_max_ms=540_000), replace(ending(), course=at)), Tick(), NOW
    )
    assert isinstance(state, Stopping) is ends


def test_pausing_and_resuming_wins_no_time_beyond_what_was_left() -> None:
    over = replace(OFF, motor_on_ms=539_900, terms=Terms(motor_on_max_ms=540_000))
    state, outputs = step(Paused(over, PauseReason.PERSON, NOW - 9_000, 0), Resume(), NOW)
    assert isinstance(state, Stopping)
    assert state.reason is StopReason.SITTING_LIMIT
    assert outputs == (Stop(),)


def test_a_motor_that_falls_after_a_stop_counts_until_the_device_says_that_it_is_off() -> None:
    falling = Stopping(course(), StopReason.REQUESTED, "", NOW, acknowledged=True)
    state, _ = step(falling, Tick(), NOW + 100)
    assert isinstance(state, Stopping)
    off, _ = step(state, Answered(GetStatus(), STATUS_OFF), NOW + 150)
    assert isinstance(off, Ended)
    assert off.course is not None
    assert off.course.motor_on_ms == 50_150
    unheard = replace(falling, acknowledged=False)
    state, _ = step(unheard, Tick(), NOW + 100)
    assert isinstance(state, Stopping)
    assert state.course is not None
    assert state.course.motor_on_ms == 50_100
    resting = replace(unheard, course=OFF)
    state, _ = step(resting, Tick(), NOW + 100)
    assert isinstance(state, Stopping)
    assert state.course is not None
    assert state.course.motor_on_ms == 50_000


@pytest.mark.parametrize("stop", [SoftStop(), HardStop(), Pause()])
def test_a_run_that_ends_before_its_first_tick_counts_too(stop: Input) -> None:
    just_begun = running(course(status=STATUS_OFF, motor_on_ms=0))
    state, _ = step(just_begun, stop, NOW + 200)
    assert isinstance(state, Stopping | Paused)
    assert state.course is not None
    assert state.course.motor_on_ms == 200


def test_the_motor_s_time_counts_while_anything_says_that_it_is_on() -> None:
    state, _ = step(running(), Tick(), NOW + 250)
    assert isinstance(state, Running)
    assert state.course.motor_on_ms == 50_250
    unheard, _ = step(running(course(status=STATUS_OFF)), Tick(), NOW + 250)
    assert isinstance(unheard, Running)
    assert unheard.course.motor_on_ms == 50_250
    falling, _ = step(replace(running(), setpoint_permille=0), Tick(), NOW + 250)
    assert isinstance(falling, Running)
    assert falling.course.motor_on_ms == 50_250
    off, _ = step(replace(running(OFF), setpoint_permille=0), Tick(), NOW + 250)
    assert isinstance(off, Running)
    assert off.course.motor_on_ms == 50_000
    resting, _ = step(STATES["paused, at rest"], Tick(), NOW + 250)
    assert isinstance(resting, Paused)
    assert resting.course.motor_on_ms == 50_000
    pausing, _ = step(STATES["paused"], Tick(), NOW + 100)
    assert isinstance(pausing, Paused)
    assert pausing.course.motor_on_ms == 50_100


def test_pausing_in_the_soft_end_wins_no_time_beyond_13_min() -> None:
    over = replace(OFF, progress=Progress(0, 0, 480_000), motor_on_ms=779_900)
    state, outputs = step(Paused(over, PauseReason.PERSON, NOW - 9_000, 0), Resume(), NOW)
    assert isinstance(state, Stopping)
    assert state.reason is StopReason.SITTING_LIMIT
    assert outputs == (Stop(),)


# --- stop ----------------------------------------------------------------------------------------


def test_a_stop_is_confirmed_by_output_0_and_by_nothing_less() -> None:
    stopping, _ = step(running(), SoftStop(), NOW)
    state, _ = step(stopping, Answered(SetLevel(400, 1500), STATUS_OFF), NOW)
    assert isinstance(state, Stopping)
    state, _ = step(state, Answered(GetStatus(), STATUS_OFF), NOW)
    assert isinstance(state, Stopping)
    state, _ = step(state, Answered(Stop(), STATUS), NOW)
    assert isinstance(state, Stopping)
    assert step(state, Tick(), NOW + 100)[1] == (GetStatus(),)
    state, _ = step(state, Answered(GetStatus(), STATUS_OFF), NOW + 1_500)
    assert isinstance(state, Ended)
    assert state.reason is StopReason.REQUESTED
    assert state.output_confirmed


def test_current_at_output_0_waits_a_second_for_the_device_s_own_check_and_no_longer() -> None:
    stopping = STATES["stopping, acknowledged"]
    drawing = replace(STATUS_OFF, current_ma=200)
    state, _ = step(stopping, Answered(GetStatus(), drawing), NOW)
    for at_ms in range(100, 1_000, 100):
        state, outputs = step(state, Tick(), NOW + at_ms)
        assert outputs == (GetStatus(),)
        state, _ = step(state, Answered(GetStatus(), drawing), NOW + at_ms)
        assert isinstance(state, Stopping)
    last, _ = step(state, Answered(GetStatus(), drawing), NOW + 1_000)
    assert isinstance(last, Ended)
    assert last.output_confirmed
    none, _ = step(state, Answered(GetStatus(), replace(drawing, current_ma=50)), NOW + 300)
    assert isinstance(none, Ended)


def test_the_device_s_own_check_is_waited_for_as_long_where_its_clock_runs_faster() -> None:
    """A second of the line's real time: its answers get no faster, and may tell of before."""
    terms = Terms(speed=20)
    stopping = Stopping(course(terms=terms), StopReason.REQUESTED, "", NOW, acknowledged=True)
    drawing = replace(STATUS_OFF, current_ma=200)
    state, _ = step(stopping, Answered(GetStatus(), drawing), NOW)
    state, _ = step(state, Answered(GetStatus(), drawing), NOW + 19_999)
    assert isinstance(state, Stopping)
    state, _ = step(state, Answered(GetStatus(), drawing), NOW + 20_000)
    assert isinstance(state, Ended)


def test_no_current_that_is_not_measured_delays_an_end() -> None:
    unmeasured = replace(STATUS_OFF, current_ma=65_535)
    state, _ = step(STATES["stopping, acknowledged"], Answered(GetStatus(), unmeasured), NOW)
    assert isinstance(state, Ended)


def test_a_motor_with_current_at_output_0_gets_no_emergency_stop_on_top() -> None:
    late = Stopping(course(), StopReason.REQUESTED, "", NOW - 2_900, acknowledged=True)
    drawing = replace(STATUS_OFF, current_ma=200)
    state, _ = step(late, Answered(GetStatus(), drawing), NOW)
    state, outputs = step(state, Tick(), NOW + 200)
    assert outputs == (GetStatus(),)


def test_a_soft_stop_that_the_motor_does_not_follow_becomes_an_emergency_stop_after_3_s() -> None:
    state, _ = step(running(), SoftStop(), NOW)
    for at_ms in range(NOW, NOW + 3_000, 100):
        state, _ = step(state, Answered(Stop(), STATUS), at_ms)
        state, outputs = step(state, Tick(), at_ms)
        assert outputs == (GetStatus(),)
    state, outputs = step(state, Tick(), NOW + 3_000)
    assert isinstance(state, Stopping)
    assert state.emergency
    assert "pull the plug" in state.detail
    assert outputs == (EmergencyStop(),)


def test_a_motor_that_no_stop_stops_ends_with_the_advice_to_pull_the_plug() -> None:
    state, _ = step(running(), HardStop(), NOW)
    for at_ms in range(NOW, NOW + 5_000, 100):
        state, _ = step(state, Answered(EmergencyStop(), STATUS), at_ms)
        state, _ = step(state, Tick(), at_ms)
        assert isinstance(state, Stopping)
    state, _ = step(state, Tick(), NOW + 5_000)
    assert isinstance(state, Ended)
    assert not state.output_confirmed
    assert state.detail == "the motor does not stop: pull the plug"


@pytest.mark.parametrize(
    ("answers", "heard_ms"), [(EmergencyStop(), NOW + 3_500), (GetStatus(), NOW + 4_999)]
)
def test_a_stop_that_is_only_not_confirmed_does_not_say_that_the_motor_runs(
    answers: EmergencyStop | GetStatus, heard_ms: int
) -> None:
    """Acknowledged but silent since, or heard of but never acknowledged."""
    state, _ = step(running(), HardStop(), NOW)
    state, _ = step(state, Answered(answers, STATUS), heard_ms)
    state, _ = step(state, Tick(), NOW + 5_000)
    assert isinstance(state, Ended)
    assert "cannot be reached" in state.detail


def test_an_emergency_stop_that_is_slow_is_asked_about_and_not_sent_anew() -> None:
    state, _ = step(running(), HardStop(), NOW)
    state, _ = step(state, Answered(EmergencyStop(), STATUS), NOW + 3_900)
    after, outputs = step(state, Tick(), NOW + 4_000)
    assert isinstance(state, Stopping)
    assert isinstance(after, Stopping)
    assert replace(after, course=state.course) == state
    assert outputs == (GetStatus(),)


@pytest.mark.parametrize(("heard_ms", "escalates"), [(1_500, False), (1_501, True)])
def test_a_device_that_was_not_heard_for_a_second_and_a_half_gets_no_emergency_stop(
    heard_ms: int, escalates: bool
) -> None:
    stopping, _ = step(running(), SoftStop(), NOW)
    stopping, _ = step(stopping, Answered(GetStatus(), STATUS), NOW + heard_ms)
    assert step(stopping, Tick(), NOW + 2_999)[1] == ()
    outputs = step(stopping, Tick(), NOW + 3_000)[1]
    assert outputs == ((EmergencyStop(),) if escalates else ())


def test_a_latch_during_a_requested_stop_does_not_change_its_reason() -> None:
    latched = replace(STATUS_OFF, state=5, latch_id=1, faults=4)
    state, _ = step(running(), SoftStop(), NOW)
    state, _ = step(state, Answered(Stop(), latched), NOW)
    assert isinstance(state, Ended)
    assert state.reason is StopReason.REQUESTED


def test_a_stop_that_nobody_answers_ends_unconfirmed_after_5_s() -> None:
    state, _ = step(running(), SoftStop(), NOW)
    assert isinstance(step(state, Tick(), NOW + 4_999)[0], Stopping)
    state, _ = step(state, Tick(), NOW + 5_000)
    assert isinstance(state, Ended)
    assert state.reason is StopReason.REQUESTED
    assert not state.output_confirmed
    assert "cannot be reached" in state.detail


def test_a_silent_device_gets_no_emergency_stop_in_place_of_the_stop() -> None:
    """It cannot hear either; and who comes back should not find a latch without a need."""
    state, _ = step(running(), SoftStop(), NOW)
    state, outputs = step(state, Tick(), NOW + 3_000)
    assert isinstance(state, Stopping)
    assert not state.emergency
    assert EmergencyStop() not in outputs


def test_an_emergency_stop_during_a_soft_stop_goes_out_at_once() -> None:
    for name in ("stopping", "stopping, acknowledged", "stopping, too slow"):
        state, outputs = step(STATES[name], HardStop(), NOW)
        assert isinstance(state, Stopping)
        assert state.emergency
        assert not state.acknowledged
        assert outputs == (EmergencyStop(),)


def test_a_stop_that_is_refused_becomes_an_emergency_stop() -> None:
    """No device may refuse a stop; one that does is not trusted with a soft one."""
    state, _ = step(running(), SoftStop(), NOW)
    state, outputs = step(state, refusal(Stop(), Reason.VERSION, 2), NOW)
    assert isinstance(state, Stopping)
    assert state.emergency
    assert outputs == (EmergencyStop(),)
    state, outputs = step(state, refusal(EmergencyStop(), Reason.VERSION, 2), NOW)
    assert isinstance(state, Stopping)
    assert not state.acknowledged
    assert outputs == ()


def test_a_stop_from_the_computer_s_shutdown_keeps_its_reason() -> None:
    state, outputs = step(running(), SoftStop(StopReason.SHUTDOWN, "SIGTERM"), NOW)
    assert outputs == (Stop(),)
    assert isinstance(state, Stopping)
    assert (state.reason, state.detail) == (StopReason.SHUTDOWN, "SIGTERM")


def test_the_first_reason_stays() -> None:
    state, _ = step(running(), SoftStop(StopReason.SHUTDOWN, "SIGTERM"), NOW)
    state, outputs = step(state, SoftStop(), NOW)
    assert outputs == ()
    assert isinstance(state, Stopping)
    assert state.reason is StopReason.SHUTDOWN


def test_a_motor_that_stops_only_by_the_emergency_stop_is_not_said_to_run_on() -> None:
    state: State = Stopping(
        course(), StopReason.REQUESTED, "", NOW - 3_000, acknowledged=True, heard_ms=NOW
    )
    state, outputs = step(state, Tick(), NOW)
    assert outputs == (EmergencyStop(),)
    state, _ = step(state, Answered(EmergencyStop(), OFF.status), NOW + 20)
    assert isinstance(state, Ended)
    assert state.output_confirmed
    assert "pull the plug" not in state.detail
    assert "emergency stop" in state.detail
