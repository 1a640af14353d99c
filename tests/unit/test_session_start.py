"""From a start to the first movement: who is there, whose is it, is it fit, are the feet on."""

from dataclasses import replace

import pytest

from firmware_protocol.link import Answered, Echoed, Unanswered
from firmware_protocol.messages import (
    Command,
    EndReason,
    Feet,
    GetLimits,
    GetStatus,
    Identity,
    Nak,
    Reason,
    SetLevel,
    Stop,
)
from firmware_protocol.messages import State as DeviceState
from massager.session.model import (
    Arming,
    Ended,
    HardStop,
    Identify,
    Idle,
    Input,
    LinkDown,
    OpenSession,
    Pause,
    Permit,
    Preflight,
    Refuse,
    Resume,
    Running,
    SetIntensity,
    SoftStop,
    Start,
    State,
    Stopping,
    StopReason,
    Terms,
    Tick,
)
from massager.session.moves import Step
from massager.session.session import step
from tests.session_examples import (
    ARMING,
    CHOICE,
    HELLO,
    IDENTITY,
    LEVELS,
    LIMITS,
    NOW,
    SET_LEVEL,
    STATES,
    STATUS,
    STATUS_OFF,
    course,
    refusal,
)

IDLE_STATUS = replace(STATUS_OFF, state=DeviceState.IDLE, lease_left_ms=0)
KNOWN = replace(ARMING, identity=IDENTITY)
DRIVEN = replace(KNOWN, driven=True)
REAL = 31  # every capability but SIMULATED
PERMITTED = replace(ARMING, terms=Terms(permit=Permit()))
FREE = replace(KNOWN, free=True)
MEASURED = replace(FREE, levels=LEVELS)


def ended(state: State) -> tuple[StopReason, str]:
    assert isinstance(state, Ended), state
    return state.reason, state.detail


def answer_identity(state: Arming = ARMING, **changes: object) -> Step:
    return step(state, Answered(HELLO, replace(IDENTITY, **changes)), NOW)  # type: ignore[arg-type]


# --- the walk ------------------------------------------------------------------------------------


def test_a_start_first_asks_who_is_there_and_touches_nothing() -> None:
    state, outputs = step(Idle(Terms()), Start(CHOICE), NOW)
    assert isinstance(state, Arming)
    assert outputs == (Identify(),)


def test_then_it_asks_whether_somebody_else_drives_the_device() -> None:
    state, outputs = answer_identity()
    assert state == KNOWN
    assert outputs == (GetStatus(),)


def test_only_a_device_that_nobody_drives_is_opened() -> None:
    state, outputs = step(KNOWN, Answered(GetStatus(), IDLE_STATUS), NOW)
    assert state == FREE
    assert outputs == (OpenSession(),)


def test_the_opened_device_is_asked_for_its_limits() -> None:
    assert answer_identity(FREE) == (FREE, (GetLimits(),))


def test_its_limits_are_followed_by_a_setpoint_of_0() -> None:
    state, outputs = step(FREE, Answered(GetLimits(), LIMITS), NOW)
    assert state == MEASURED
    assert outputs == (SetLevel(0, 1500),)


def test_a_device_that_takes_0_with_feet_on_runs_from_the_gentlest() -> None:
    state, outputs = step(MEASURED, Answered(SetLevel(0, 1500), STATUS_OFF), NOW)
    assert isinstance(state, Running)
    assert outputs == (SetLevel(150, 1500),)


def test_a_device_without_a_feet_sensor_runs_at_once() -> None:
    status = replace(STATUS_OFF, feet=Feet.NO_SENSOR)
    state, _ = step(MEASURED, Answered(SetLevel(0, 1500), status), NOW)
    assert isinstance(state, Running)


def test_without_feet_it_waits_in_preflight_at_level_0() -> None:
    off = replace(STATUS_OFF, feet=Feet.OFF)
    state, outputs = step(MEASURED, Answered(SetLevel(0, 1500), off), NOW)
    assert isinstance(state, Preflight)
    assert outputs == ()
    assert step(state, Tick(), NOW + 250) == (
        replace(state, course=replace(state.course, counted_ms=NOW + 250)),
        (SetLevel(0, 1500),),
    )


def test_a_device_that_still_falls_is_asked_again_and_not_driven() -> None:
    falling = replace(STATUS, output_permille=1, state=DeviceState.STOPPING)
    assert step(MEASURED, Answered(SetLevel(0, 1500), falling), NOW) == (MEASURED, ())
    assert step(MEASURED, refusal(SET_LEVEL, Reason.STOPPING, 300), NOW) == (MEASURED, ())
    assert step(MEASURED, Tick(), NOW) == (MEASURED, (SetLevel(0, 1500),))


def test_only_an_answer_to_the_setpoint_of_0_arms() -> None:
    assert step(MEASURED, Answered(GetStatus(), STATUS_OFF), NOW) == (MEASURED, ())
    assert step(KNOWN, Answered(SetLevel(0, 1500), STATUS_OFF), NOW) == (KNOWN, ())


def test_limits_before_an_identity_count_for_nothing() -> None:
    assert step(ARMING, Answered(GetLimits(), LIMITS), NOW) == (ARMING, ())


# --- a device that is not the right one ----------------------------------------------------------


def test_a_device_that_is_not_the_configured_one_is_never_driven() -> None:
    named = replace(ARMING, terms=Terms(device_id="sim-0001"))
    assert isinstance(answer_identity(named)[0], Arming)
    state, outputs = answer_identity(named, device_id=b"sim-0002")
    assert outputs == ()
    reason, detail = ended(state)
    assert reason is StopReason.WRONG_DEVICE
    assert "sim-0002" in detail
    assert "sim-0001" in detail


@pytest.mark.parametrize(("ours", "its"), [(1, 20), (20, 1), (2, 3)])
def test_a_device_of_another_speed_is_refused(ours: int, its: int) -> None:
    state, outputs = answer_identity(replace(ARMING, terms=Terms(speed=ours)), speed=its)
    assert outputs == ()
    reason, detail = ended(state)
    assert reason is StopReason.WRONG_DEVICE
    assert f"speed {its}" in detail
    assert f"at {ours}" in detail


def test_a_real_device_that_claims_a_speed_is_refused() -> None:
    state, _ = answer_identity(replace(ARMING, terms=Terms(speed=20)), speed=20, capabilities=31)
    assert ended(state)[0] is StopReason.WRONG_DEVICE
    state, _ = answer_identity(replace(ARMING, terms=Terms(speed=20)), speed=20, capabilities=32)
    assert isinstance(state, Arming)


@pytest.mark.parametrize("major", [2, 255])
def test_a_device_that_settles_on_a_major_we_do_not_speak_is_refused(major: int) -> None:
    state, outputs = answer_identity(major=major)
    assert outputs == ()
    reason, detail = ended(state)
    assert reason is StopReason.WRONG_DEVICE
    assert f"major {major}" in detail


def test_a_device_that_refuses_our_major_is_named_with_its_own() -> None:
    reason, detail = ended(step(ARMING, refusal(HELLO, Reason.VERSION, 3), NOW)[0])
    assert reason is StopReason.WRONG_DEVICE
    assert "major 3" in detail


@pytest.mark.parametrize(("gentlest", "highest"), [(1000, 150), (150, 150)])
def test_a_device_with_impossible_limits_is_refused(gentlest: int, highest: int) -> None:
    limits = replace(LIMITS, gentlest_permille=gentlest, max_permille=highest)
    state, outputs = step(FREE, Answered(GetLimits(), limits), NOW)
    assert ended(state)[0] is StopReason.WRONG_DEVICE
    assert outputs == ()


def test_the_device_may_not_change_between_the_first_look_and_the_session() -> None:
    resuming = replace(KNOWN, free=True, before=course())
    assert ended(answer_identity(resuming, device_id=b"sim-0002")[0])[0] is StopReason.WRONG_DEVICE
    assert ended(answer_identity(resuming, boot_id=2)[0])[0] is StopReason.DEVICE_RESTARTED


def test_a_real_device_is_driven_in_real_time() -> None:
    state, outputs = answer_identity(PERMITTED, capabilities=REAL)
    assert isinstance(state, Arming)
    assert outputs == (GetStatus(),)


# --- the feet's own limits -----------------------------------------------------------------------


def permitted(permit: Permit, *, as_real: bool = False, **changes: object) -> Arming:
    terms = Terms(permit=permit, as_real=as_real)
    return replace(ARMING, terms=terms, **changes)  # type: ignore[arg-type]


def test_nothing_drives_a_real_device_before_somebody_asked_about_these_feet() -> None:
    for state in (ARMING, FREE, replace(FREE, before=course())):
        after, outputs = answer_identity(state, capabilities=REAL)
        reason, detail = ended(after)
        assert reason is StopReason.REFUSED
        assert "nobody has asked" in detail
        assert outputs == ()


def test_a_real_device_is_refused_before_a_session_is_opened_on_it() -> None:
    refused_ = permitted(Permit(refusal="rest until 22:40"))
    after, outputs = answer_identity(refused_, capabilities=REAL)
    assert ended(after) == (StopReason.REFUSED, "rest until 22:40")
    assert outputs == ()


def test_a_simulated_device_needs_no_permit_unless_it_counts_as_a_real_one() -> None:
    refusing = Permit(refusal="rest until 22:40", max_intensity=1, motor_on_max_ms=0)
    state, _ = answer_identity(permitted(refusing))
    assert isinstance(state, Arming)
    assert (state.terms.max_intensity, state.terms.motor_on_max_ms) == (10, 780_000)
    rehearsed, _ = answer_identity(permitted(refusing, as_real=True))
    assert ended(rehearsed) == (StopReason.REFUSED, "rest until 22:40")


def test_on_a_real_device_an_intensity_above_the_feet_s_cap_is_refused_with_its_reason() -> None:
    quiet = Permit(max_intensity=5, cap_reason="quiet hours until 07:00")
    after, _ = answer_identity(permitted(quiet), capabilities=REAL)
    reason, detail = ended(after)
    assert reason is StopReason.REFUSED
    assert detail == (
        "intensity 6 is above 5, which is the highest now: quiet hours until 07:00; "
        "choose 5 or less"
    )


def test_the_feet_s_limits_hold_for_the_whole_session_on_a_real_device() -> None:
    permit = Permit(motor_on_max_ms=540_000, max_intensity=7, cap_reason="a sore day")
    state, _ = answer_identity(permitted(permit), capabilities=REAL)
    assert isinstance(state, Arming)
    assert (state.terms.motor_on_max_ms, state.terms.max_intensity) == (536_500, 7)
    resumed, _ = answer_identity(permitted(permit, free=True, before=course()), capabilities=REAL)
    assert isinstance(resumed, Arming)
    resumed = replace(resumed, levels=LEVELS)
    armed, _ = step(resumed, Answered(SetLevel(0, 1500), STATUS_OFF), NOW)
    assert isinstance(armed, Running)
    assert armed.course.terms.motor_on_max_ms == 536_500
    why = step(armed, SetIntensity(8), NOW)[1][0]
    assert why == Refuse("intensity 8: it must be 1 to 7 (a sore day)")


@pytest.mark.parametrize(("speed", "left_ms"), [(1, 776_500), (2, 772_000), (20, 754_000)])
def test_a_session_ends_so_early_that_a_lost_device_keeps_the_sitting(
    speed: int, left_ms: int
) -> None:
    terms = Terms(speed=speed, permit=Permit()).with_permit()
    assert terms.motor_on_max_ms == left_ms


def test_a_permit_makes_no_cap_of_the_config_looser() -> None:
    terms = Terms(max_intensity=6, motor_on_max_ms=100, permit=Permit(cap_reason="nobody"))
    state, _ = answer_identity(replace(ARMING, terms=terms), capabilities=REAL)
    assert isinstance(state, Arming)
    assert (state.terms.max_intensity, state.terms.motor_on_max_ms) == (6, 100)
    assert state.terms.cap_reason == "max_intensity in the config"


def test_a_device_that_restarts_between_the_first_look_and_the_session_may_be_started() -> None:
    """Boards reset when the port is opened."""
    state, _ = answer_identity(FREE, boot_id=2)
    assert isinstance(state, Arming)
    assert state.identity == replace(IDENTITY, boot_id=2)


def test_an_echo_plug_is_named() -> None:
    reason, detail = ended(step(ARMING, Echoed(), NOW)[0])
    assert reason is StopReason.NO_HANDSHAKE
    assert "echo plug" in detail


# --- nobody there, or not ready ------------------------------------------------------------------


def test_no_answer_to_a_hello_ends_the_start() -> None:
    state, outputs = step(ARMING, Unanswered(HELLO), NOW)
    assert ended(state) == (StopReason.NO_HANDSHAKE, "no massager answered")
    assert outputs == ()


@pytest.mark.parametrize("question", [GetStatus(), SetLevel(0, 1500)])
def test_no_answer_to_what_is_asked_again_does_not_end_it(question: Command) -> None:
    for state in (KNOWN, MEASURED):
        assert step(state, Unanswered(question), NOW) == (state, ())


def test_the_limits_are_asked_for_again_until_the_start_is_given_up() -> None:
    assert step(FREE, Unanswered(GetLimits()), NOW) == (FREE, (GetLimits(),))
    state, outputs = step(replace(FREE, since_ms=0), Tick(), 8_000)
    assert ended(state) == (StopReason.NO_HANDSHAKE, "the device did not become ready")
    assert outputs == ()


def test_a_line_that_goes_down_ends_the_start() -> None:
    state, _ = step(ARMING, LinkDown("/dev/ttyUSB0 is gone"), NOW)
    assert ended(state) == (StopReason.NO_HANDSHAKE, "/dev/ttyUSB0 is gone")


def test_a_device_that_does_not_become_ready_is_given_up_after_8_s() -> None:
    started = replace(FREE, since_ms=0)
    assert step(started, Tick(), 7_999)[0] == started
    assert ended(step(started, Tick(), 8_000)[0])[0] is StopReason.NO_HANDSHAKE


def test_a_device_that_never_said_who_it_is_is_not_called_in_use() -> None:
    state, _ = step(replace(ARMING, since_ms=0), Tick(), 8_000)
    assert ended(state)[0] is StopReason.NO_HANDSHAKE


def test_at_20_times_the_speed_the_wait_is_160_s_of_the_clock() -> None:
    started = replace(FREE, terms=Terms(speed=20), since_ms=0)
    assert step(started, Tick(), 159_999)[0] == started
    assert isinstance(step(started, Tick(), 160_000)[0], Ended)


def test_a_late_status_does_not_open_a_second_session() -> None:
    assert step(FREE, Answered(GetStatus(), IDLE_STATUS), NOW) == (FREE, ())
    assert step(FREE, Tick(), NOW) == (FREE, ())


@pytest.mark.parametrize(
    "changes",
    [
        {"state": DeviceState.RUNNING, "lease_left_ms": 0},
        {"state": DeviceState.STOPPING, "lease_left_ms": 900},
        {"state": 99, "lease_left_ms": 1},
    ],
)
def test_a_state_or_a_lease_alone_says_that_somebody_drives_it(changes: dict[str, int]) -> None:
    status = replace(IDLE_STATUS, **changes)
    assert step(KNOWN, Answered(GetStatus(), status), NOW) == (DRIVEN, ())


def test_a_device_that_another_controller_drives_is_not_touched() -> None:
    assert step(KNOWN, Answered(GetStatus(), STATUS), NOW) == (DRIVEN, ())
    assert step(DRIVEN, Tick(), NOW) == (DRIVEN, (GetStatus(),))


def test_a_start_that_waited_for_a_dead_controller_begins_once_its_lease_has_run_out() -> None:
    over = replace(IDLE_STATUS, end_reason=EndReason.LEASE_EXPIRED)
    state, outputs = step(DRIVEN, Answered(GetStatus(), over), NOW)
    assert (state, outputs) == (replace(DRIVEN, free=True), (OpenSession(),))


def test_a_stop_goes_to_the_device_that_somebody_else_is_seen_to_drive() -> None:
    """It must not depend on whether a start of ours happens to wait there."""
    state, outputs = step(DRIVEN, SoftStop(), NOW)
    assert isinstance(state, Stopping)
    assert outputs == (Stop(),)


@pytest.mark.parametrize(
    "leaving",
    [
        SoftStop(StopReason.REQUESTED, "Ctrl-C"),
        SoftStop(StopReason.SHUTDOWN, "SIGTERM"),
        SoftStop(StopReason.HOST_SUSPENDED, "it slept"),
    ],
    ids=str,
)
def test_whoever_only_takes_the_start_back_leaves_somebody_else_s_session_alone(
    leaving: SoftStop,
) -> None:
    state, outputs = step(DRIVEN, leaving, NOW)
    assert ended(state) == (leaving.reason, leaving.detail)
    assert outputs == ()


@pytest.mark.parametrize("end", [EndReason.STOP, EndReason.EMERGENCY_STOP, EndReason.NONE, 99])
def test_a_start_does_not_outlive_the_stop_of_the_session_that_it_waited_for(end: int) -> None:
    """Whoever stops the motor does not know that somebody else's start is waiting."""
    stopped = replace(IDLE_STATUS, end_reason=end)
    state, outputs = step(DRIVEN, Answered(GetStatus(), stopped), NOW)
    assert outputs == ()
    reason, detail = ended(state)
    assert reason is StopReason.REFUSED
    assert "start again" in detail


def test_a_device_that_another_controller_drives_for_8_s_is_refused_and_the_owner_meant() -> None:
    started = replace(KNOWN, since_ms=0)
    state, outputs = step(started, Tick(), 8_000)
    assert outputs == ()
    reason, detail = ended(state)
    assert reason is StopReason.REFUSED
    assert "another controller drives the device" in detail


@pytest.mark.parametrize(
    ("reason", "limit", "words"),
    [
        (Reason.LATCHED, 4, "latched"),
        (Reason.RESTING, 42, "try again in 42 s"),
        (Reason.RANGE, 900, "range"),
        (Reason.FAULT, 1, "fault"),
        (77, 1, "Reason 77"),
    ],
)
def test_a_device_that_is_not_fit_refuses_with_words(reason: int, limit: int, words: str) -> None:
    state, outputs = step(MEASURED, refusal(SET_LEVEL, reason, limit), NOW)
    assert outputs == ()
    why, detail = ended(state)
    assert why is StopReason.REFUSED
    assert words in detail


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (EndReason.TAKEN_OVER, StopReason.TAKEN_OVER),
        (EndReason.STOP, StopReason.REQUESTED),
        (EndReason.EMERGENCY_STOP, StopReason.EMERGENCY),
        (EndReason.LEASE_EXPIRED, StopReason.LEASE_EXPIRED),
        (EndReason.NONE, StopReason.DEVICE_RESTARTED),
        (99, StopReason.FAULT),
    ],
)
def test_a_session_that_the_device_ends_during_the_handshake_says_how(
    end: int, reason: StopReason
) -> None:
    state, outputs = step(MEASURED, refusal(SET_LEVEL, Reason.SESSION, end), NOW)
    assert ended(state)[0] is reason
    assert outputs == ()


def test_a_question_with_the_token_of_an_old_session_is_asked_again_and_no_take_over() -> None:
    """A line that was silent one way only: the device's lease ends while a person resumes."""
    resuming = replace(KNOWN, before=course())
    state, outputs = step(
        resuming, refusal(GetStatus(), Reason.SESSION, EndReason.LEASE_EXPIRED), NOW
    )
    assert state == resuming
    assert outputs == ()
    assert step(state, Tick(), NOW + 100) == (resuming, (GetStatus(),))


# --- a person meanwhile --------------------------------------------------------------------------


def test_a_start_above_the_person_s_own_cap_is_refused_with_the_cap() -> None:
    idle = Idle(Terms(max_intensity=5))
    state, outputs = step(idle, Start(CHOICE), NOW)
    assert state == idle
    assert isinstance(outputs[0], Refuse)
    assert "cap of 5" in outputs[0].why
    assert isinstance(step(idle, Start(replace(CHOICE, intensity=5)), NOW)[0], Arming)


@pytest.mark.parametrize("name", [name for name in STATES if name != "idle"])
def test_a_second_start_is_refused_in_every_state(name: str) -> None:
    state, outputs = step(STATES[name], Start(CHOICE), NOW)
    assert state == STATES[name]
    assert isinstance(outputs[0], Refuse)


@pytest.mark.parametrize("wish", [Pause(), SetIntensity(3)])
def test_what_needs_a_running_massage_is_refused_before_it(wish: Input) -> None:
    for state in (Idle(Terms()), ARMING, MEASURED):
        after, outputs = step(state, wish, NOW)
        assert after == state
        assert isinstance(outputs[0], Refuse)


def test_going_on_before_it_has_begun_is_no_mistake() -> None:
    assert step(ARMING, Resume(), NOW) == (ARMING, ())


def test_a_stop_during_the_handshake_is_sent_and_confirmed() -> None:
    state, outputs = step(MEASURED, SoftStop(), NOW)
    assert outputs == (Stop(),)
    state, _ = step(state, Answered(Stop(), STATUS_OFF), NOW)
    assert isinstance(state, Ended)
    assert state.output_confirmed


def test_answers_of_the_handshake_after_a_stop_start_nothing() -> None:
    for request in (SoftStop(), HardStop()):
        stopping, _ = step(MEASURED, request, NOW)
        for late in (
            Answered(HELLO, IDENTITY),
            Answered(GetLimits(), LIMITS),
            Answered(SetLevel(0, 1500), STATUS_OFF),
        ):
            state, outputs = step(stopping, late, NOW)
            assert isinstance(state, Stopping)
            assert outputs == ()


def test_an_identity_nobody_asked_for_moves_no_other_state() -> None:
    answer: Identity | Nak = IDENTITY
    for name in ("idle", "preflight", "running", "stopping", "ended"):
        assert step(STATES[name], Answered(HELLO, answer), NOW) == (STATES[name], ())


# --- preflight -----------------------------------------------------------------------------------


def test_feet_on_begin_the_warm_up() -> None:
    waiting = STATES["preflight"]
    state, outputs = step(waiting, Answered(SetLevel(0, 1500), STATUS_OFF), NOW)
    assert isinstance(state, Running)
    assert outputs == (SetLevel(150, 1500),)


def test_feet_on_begin_it_only_once_a_setpoint_of_0_was_taken_with_them_on() -> None:
    """The device refuses a level before that."""
    waiting = STATES["preflight"]
    state, outputs = step(waiting, Answered(GetStatus(), STATUS_OFF), NOW)
    assert isinstance(state, Preflight)
    assert outputs == ()


def test_without_feet_the_start_ends_after_120_s() -> None:
    waiting: State = Preflight(course(status=STATUS_OFF), NOW)
    for at_ms in range(NOW, NOW + 120_000, 250):
        off = replace(STATUS_OFF, feet=Feet.OFF)
        waiting, _ = step(waiting, Answered(SetLevel(0, 1500), off), at_ms)
        waiting, outputs = step(waiting, Tick(), at_ms)
        assert isinstance(waiting, Preflight)
        assert outputs == (SetLevel(0, 1500),)
    waiting, _ = step(waiting, Answered(SetLevel(0, 1500), off), NOW + 119_999)
    state, outputs = step(waiting, Tick(), NOW + 120_000)
    assert isinstance(state, Stopping)
    assert state.reason is StopReason.NO_FEET
    assert outputs == (Stop(),)


def test_a_lease_that_runs_is_somebody_s_whatever_state_the_device_is_in() -> None:
    """In the fall for lifted feet the state is STOPPING, and the session is not over."""
    falling = replace(IDLE_STATUS, state=3, lease_left_ms=1399, output_permille=300)
    state, outputs = step(KNOWN, Answered(GetStatus(), falling), NOW)
    assert state == DRIVEN
    assert outputs == ()


@pytest.mark.parametrize(
    "odd",
    [
        {"state": 99},
        {"state": 4},
        {"state": 5, "latch_id": 1, "faults": 1},
        {"faults": 1 << 12},
        {"faults": 1},
        {"end_reason": 1},
        {"boot_id": 2},
    ],
    ids=str,
)
def test_the_status_that_arms_is_judged_like_any_other(odd: dict[str, int]) -> None:
    state, outputs = step(MEASURED, Answered(SetLevel(0, 1500), replace(STATUS_OFF, **odd)), NOW)
    assert not isinstance(state, Running)
    assert not any(isinstance(each, SetLevel) for each in outputs)
