"""What the device says during a session, and what its silence means."""

from dataclasses import replace

import pytest

from firmware_protocol.link import Answered, Told, Unanswered
from firmware_protocol.messages import (
    EmergencyStop,
    EndReason,
    Event,
    EventCode,
    Fault,
    GetStatus,
    Hello,
    Reason,
    SetLevel,
    Status,
    Stop,
)
from firmware_protocol.messages import State as DeviceState
from massager.session.model import (
    Ended,
    Identify,
    LinkDown,
    LinkUp,
    Paused,
    PauseReason,
    Preflight,
    Running,
    State,
    Stopping,
    StopReason,
    Terms,
    Tick,
)
from massager.session.session import step
from tests.session_examples import (
    HELLO,
    IDENTITY,
    NOW,
    OFF,
    SET_LEVEL,
    STATES,
    STATUS,
    STATUS_OFF,
    course,
    refusal,
    running,
)

LIVE = ("preflight", "running", "paused, at rest")
LATCHED = replace(STATUS_OFF, state=DeviceState.LATCHED, latch_id=1)


def hear(state: State, status: Status, at_ms: int = NOW) -> tuple[State, object]:
    return step(state, Answered(SET_LEVEL, status), at_ms)


def ended(state: State, *, confirmed: bool) -> tuple[StopReason, str]:
    assert isinstance(state, Ended), state
    assert state.output_confirmed is confirmed
    return state.reason, state.detail


# --- the device ended it -------------------------------------------------------------------------


@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (EndReason.STOP, StopReason.REQUESTED),
        (EndReason.EMERGENCY_STOP, StopReason.EMERGENCY),
        (EndReason.RUN_LIMIT, StopReason.RUN_LIMIT),
        (EndReason.FAULT, StopReason.FAULT),
    ],
)
def test_a_session_that_the_device_ended_ends_here_with_its_reason(
    name: str, end: EndReason, reason: StopReason
) -> None:
    state, _ = hear(STATES[name], replace(STATUS_OFF, end_reason=end))
    assert ended(state, confirmed=True)[0] is reason


@pytest.mark.parametrize("name", LIVE)
def test_it_is_watched_until_the_motor_is_off(name: str) -> None:
    state, outputs = hear(STATES[name], replace(STATUS, end_reason=EndReason.STOP))
    assert isinstance(state, Stopping)
    assert state.acknowledged
    assert outputs == (GetStatus(),)
    state, _ = step(state, Answered(GetStatus(), STATUS), NOW + 100)
    assert isinstance(state, Stopping)
    state, _ = step(state, Answered(GetStatus(), STATUS_OFF), NOW + 900)
    assert ended(state, confirmed=True)[0] is StopReason.REQUESTED


@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        (Fault.OVER_TEMPERATURE, StopReason.OVERHEATED, "too hot"),
        (Fault.STALL, StopReason.STALLED, "does not turn"),
        (Fault.OVER_CURRENT, StopReason.FAULT, "current"),
        (Fault.SENSOR, StopReason.FAULT, "sensor"),
        (Fault.INTERNAL, StopReason.FAULT, "own checks"),
        (Fault.EMERGENCY_STOP, StopReason.EMERGENCY, "emergency stop"),
    ],
)
def test_a_latched_fault_ends_it_and_tells_the_person_what_to_do(
    name: str, fault: Fault, reason: StopReason, words: str
) -> None:
    status = replace(LATCHED, faults=fault, end_reason=EndReason.FAULT)
    why, detail = ended(hear(STATES[name], status)[0], confirmed=True)
    assert why is reason
    assert words in detail


@pytest.mark.parametrize("name", LIVE)
def test_a_motor_that_moves_though_it_is_off_is_not_said_to_be_off(name: str) -> None:
    faults = Fault.STUCK_ON | Fault.EMERGENCY_STOP
    status = replace(LATCHED, faults=faults, end_reason=EndReason.FAULT)
    why, detail = ended(hear(STATES[name], status)[0], confirmed=False)
    assert why is StopReason.FAULT
    assert detail == "the motor moves though it is switched off: pull the plug"


@pytest.mark.parametrize("name", LIVE)
def test_an_emergency_stop_from_elsewhere_is_looked_at_until_no_current_flows(name: str) -> None:
    status = replace(LATCHED, faults=Fault.EMERGENCY_STOP, end_reason=EndReason.EMERGENCY_STOP)
    state, outputs = hear(STATES[name], replace(status, current_ma=600))
    assert isinstance(state, Stopping)
    assert outputs == (GetStatus(),)
    obeys, _ = step(state, Answered(GetStatus(), status), NOW + 100)
    assert ended(obeys, confirmed=True)[0] is StopReason.EMERGENCY
    stuck = replace(status, faults=status.faults | Fault.STUCK_ON, current_ma=600)
    moves, _ = step(state, Answered(GetStatus(), stuck), NOW + 100)
    assert "pull the plug" in ended(moves, confirmed=False)[1]


def test_a_latch_ends_it_whatever_the_device_calls_the_end() -> None:
    state, _ = hear(running(), replace(LATCHED, faults=Fault.STALL))
    assert ended(state, confirmed=True)[0] is StopReason.STALLED


def test_a_latch_without_a_fault_that_is_known_ends_it_too() -> None:
    for faults in (0, 0x8000):
        state, _ = hear(running(), replace(LATCHED, faults=faults, end_reason=EndReason.FAULT))
        assert ended(state, confirmed=True)[0] is StopReason.FAULT


def test_an_end_that_a_later_device_invented_ends_it() -> None:
    state, _ = hear(running(), replace(STATUS_OFF, end_reason=99))
    assert ended(state, confirmed=True)[0] is StopReason.FAULT


@pytest.mark.parametrize("name", LIVE)
def test_a_session_that_was_taken_over_ends_at_once_and_nothing_is_sent(name: str) -> None:
    """The other host owns the motor now: neither a stop nor a confirmation of ours."""
    state, outputs = step(
        STATES[name], refusal(SET_LEVEL, Reason.SESSION, EndReason.TAKEN_OVER), NOW
    )
    assert ended(state, confirmed=False)[0] is StopReason.TAKEN_OVER
    assert outputs == ()


@pytest.mark.parametrize("name", LIVE)
def test_another_boot_id_ends_it(name: str) -> None:
    state, _ = hear(STATES[name], replace(STATUS_OFF, boot_id=2))
    assert ended(state, confirmed=True)[0] is StopReason.DEVICE_RESTARTED
    state, outputs = hear(STATES[name], replace(STATUS, boot_id=2))
    assert isinstance(state, Stopping)
    assert outputs == (GetStatus(),)


@pytest.mark.parametrize("name", LIVE)
def test_a_device_in_which_no_session_ended_and_that_knows_none_has_restarted(name: str) -> None:
    state, outputs = step(STATES[name], refusal(SET_LEVEL, Reason.SESSION, EndReason.NONE), NOW)
    assert isinstance(state, Stopping | Ended)
    assert state.reason is StopReason.DEVICE_RESTARTED
    if isinstance(state, Stopping):
        assert outputs == (GetStatus(),)


def test_an_expired_lease_pauses_and_a_person_resumes() -> None:
    for name in LIVE:
        state, outputs = step(
            STATES[name], refusal(SET_LEVEL, Reason.SESSION, EndReason.LEASE_EXPIRED), NOW
        )
        assert isinstance(state, Paused)
        assert state.why is PauseReason.LEASE_EXPIRED
        assert outputs == ()
        off = replace(STATUS_OFF, end_reason=EndReason.LEASE_EXPIRED, state=DeviceState.IDLE)
        state, outputs = step(state, Answered(GetStatus(), off), NOW + 250)
        assert isinstance(state, Paused)
        assert outputs == ()
        assert step(state, Tick(), NOW + 500)[1] == (GetStatus(),)


def test_an_output_above_the_person_s_cap_is_an_emergency() -> None:
    """Intensity 6 is 622 ‰ here: whoever drives it higher, it is not this session."""
    capped = running(course(terms=Terms(max_intensity=6)))
    assert isinstance(hear(capped, replace(STATUS, output_permille=622))[0], Running)
    state, outputs = hear(capped, replace(STATUS, output_permille=623))
    assert isinstance(state, Stopping)
    assert state.emergency
    assert "623" in state.detail
    assert outputs == (EmergencyStop(),)


# --- refused setpoints ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize(
    "reason",
    [
        Reason.RANGE,
        Reason.LEASE,
        Reason.LENGTH,
        Reason.UNKNOWN_TYPE,
        Reason.STATE,
        Reason.FAULT,
        Reason.VERSION,
        99,
    ],
)
def test_a_refusal_that_cannot_be_stops_softly_and_says_it_is_a_fault(
    name: str, reason: int
) -> None:
    state, outputs = step(STATES[name], refusal(SET_LEVEL, reason, 900), NOW)
    assert isinstance(state, Stopping)
    assert state.reason is StopReason.FAULT
    assert "refused a setpoint" in state.detail
    assert outputs == (Stop(),)


@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize("reason", [Reason.STALE, Reason.STOPPING, Reason.LATCHED, Reason.RESTING])
def test_a_refusal_whose_reason_the_status_tells_asks_for_it(name: str, reason: Reason) -> None:
    assert step(STATES[name], refusal(SET_LEVEL, reason, 3), NOW) == (
        STATES[name],
        (GetStatus(),),
    )


@pytest.mark.parametrize("name", ["preflight", "paused, at rest", "paused, feet"])
def test_a_refusal_because_of_the_feet_tells_nothing_new_while_they_are_waited_for(
    name: str,
) -> None:
    assert step(STATES[name], refusal(SET_LEVEL, Reason.FEET), NOW) == (
        STATES[name],
        (GetStatus(),),
    )


def test_a_refusal_because_of_the_feet_pauses() -> None:
    state, outputs = step(running(), refusal(SET_LEVEL, Reason.FEET), NOW)
    assert isinstance(state, Paused)
    assert state.why is PauseReason.FEET
    assert outputs == (SetLevel(0, 1500),)


# --- feet ----------------------------------------------------------------------------------------


def test_lifted_feet_pause_it_by_event_and_by_status() -> None:
    """The device falls by itself; the host streams 0 meanwhile."""
    event = Told(Event(9, EventCode.FEET_LIFTED, DeviceState.STOPPING, 0))
    for state, outputs in (
        step(running(), event, NOW),
        hear(running(), replace(STATUS, state=DeviceState.STOPPING)),
    ):
        assert isinstance(state, Paused)
        assert state.why is PauseReason.FEET
        assert state.fall_from_permille == 0
        assert outputs == (SetLevel(0, 1500),)


@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize(
    "code",
    [code for code in EventCode if code not in (EventCode.SESSION_OPENED, EventCode.FEET_LIFTED)],
)
def test_any_other_event_is_a_hint_to_look(name: str, code: EventCode) -> None:
    event = Told(Event(9, code, DeviceState.RUNNING, 0))
    assert step(STATES[name], event, NOW + 50) == (STATES[name], (GetStatus(),))


def test_a_flood_of_events_asks_no_oftener_than_every_50_ms() -> None:
    event = Told(Event(9, EventCode.BUTTON, DeviceState.RUNNING, 0))
    for name in LIVE:
        assert step(STATES[name], event, NOW + 49) == (STATES[name], ())


def test_the_event_of_its_own_start_is_no_news() -> None:
    event = Told(Event(9, EventCode.SESSION_OPENED, DeviceState.READY, 0))
    for name in LIVE:
        assert step(STATES[name], event, NOW) == (STATES[name], ())


# --- silence -------------------------------------------------------------------------------------


def test_a_device_that_is_silent_for_its_whole_lease_has_stopped_by_itself() -> None:
    for name in LIVE:
        heard_ms = STATES[name].course.heard_ms  # type: ignore[union-attr]
        state, _ = step(STATES[name], Tick(), heard_ms + 1_499)
        assert type(state) is type(STATES[name])
        state, outputs = step(STATES[name], Tick(), heard_ms + 1_500)
        assert isinstance(state, Paused)
        assert state.why is PauseReason.LINK_LOST
        assert state.link_lost_ms == heard_ms + 1_500
        assert outputs == (Identify(),)


def test_above_real_time_the_lease_is_5_s_of_the_device_s_clock() -> None:
    fast = running(course(terms=Terms(speed=20)))
    assert step(fast, Tick(), NOW)[1] == (SetLevel(400, 5_000),)
    assert isinstance(step(fast, Tick(), NOW + 4_999)[0], Running)
    assert isinstance(step(fast, Tick(), NOW + 5_000)[0], Paused)


def test_nothing_is_sent_into_a_lost_link_but_the_question_who_is_there() -> None:
    state = STATES["paused, link lost"]
    for at_ms in range(NOW, NOW + 4_999, 250):
        state, outputs = step(state, Tick(), at_ms)
        assert outputs == ()
    assert step(state, Unanswered(HELLO), NOW)[1] == (Identify(),)
    assert step(state, Unanswered(GetStatus()), NOW)[1] == (Identify(),)
    assert step(state, Unanswered(SET_LEVEL), NOW)[1] == ()
    assert step(state, LinkUp(), NOW)[1] == (Identify(),)


def test_a_link_that_is_back_within_10_s_leaves_it_paused_for_a_person() -> None:
    """An IDENTITY alone tells nothing about the motor: the session asks for its status."""
    state: State = Paused(OFF, PauseReason.LINK_LOST, NOW, 0, link_lost_ms=NOW)
    state, outputs = step(state, Answered(HELLO, IDENTITY), NOW + 9_999)
    assert outputs == (GetStatus(),)
    assert isinstance(state, Paused)
    assert state.course.heard_ms == NOW
    lost = replace(STATUS_OFF, end_reason=EndReason.LEASE_EXPIRED, state=DeviceState.IDLE)
    state, outputs = step(state, Answered(GetStatus(), lost), NOW + 9_999)
    assert isinstance(state, Paused)
    assert state.why is PauseReason.LINK_LOST
    assert state.link_lost_ms is None
    assert outputs == ()
    assert isinstance(step(state, Tick(), NOW + 10_000)[0], Paused)


def test_a_device_that_only_shakes_hands_with_somebody_is_not_taken_over_yet() -> None:
    state = STATES["paused, link back"]
    ready = replace(STATUS_OFF, state=DeviceState.READY, lease_left_ms=0)
    state, outputs = step(state, Answered(GetStatus(), ready), NOW)
    assert isinstance(state, Paused)
    assert outputs == ()


def test_the_old_token_s_refusal_is_followed_by_the_question_again() -> None:
    state = STATES["paused, link lost"]
    after, outputs = step(state, refusal(GetStatus(), Reason.SESSION, EndReason.LEASE_EXPIRED), NOW)
    assert after == state
    assert outputs == (GetStatus(),)


def test_a_link_that_is_lost_for_10_s_ends_it_unconfirmed() -> None:
    state: State = Paused(OFF, PauseReason.LINK_LOST, NOW, 0, link_lost_ms=NOW)
    assert isinstance(step(state, Tick(), NOW + 9_999)[0], Paused)
    state, outputs = step(state, Tick(), NOW + 10_000)
    reason, detail = ended(state, confirmed=False)
    assert reason is StopReason.LINK_LOST
    assert "stops by itself" in detail
    assert outputs == ()


def test_at_20_times_the_speed_the_10_s_are_200_s_of_the_clock() -> None:
    fast = course(terms=Terms(speed=20))
    state = Paused(fast, PauseReason.LINK_LOST, NOW, 0, link_lost_ms=NOW)
    assert isinstance(step(state, Tick(), NOW + 199_999)[0], Paused)
    assert isinstance(step(state, Tick(), NOW + 200_000)[0], Ended)


@pytest.mark.parametrize("name", LIVE)
def test_a_cable_that_is_pulled_pauses_and_counts_from_then(name: str) -> None:
    state, outputs = step(STATES[name], LinkDown("unplugged"), NOW)
    assert isinstance(state, Paused)
    assert state.why is PauseReason.LINK_LOST
    assert state.link_lost_ms == NOW
    assert outputs == ()
    again, _ = step(state, LinkDown("unplugged"), NOW + 5_000)
    assert again == state


def test_feet_that_come_back_over_a_lost_link_resume_nothing() -> None:
    state, _ = step(STATES["paused, feet"], LinkDown("unplugged"), NOW)
    assert isinstance(state, Paused)
    assert state.why is PauseReason.LINK_LOST
    state, outputs = step(state, Answered(SetLevel(0, 1500), STATUS_OFF), NOW + 1_000)
    assert isinstance(state, Paused)
    assert outputs == ()


def test_another_device_on_the_line_ends_it() -> None:
    other = replace(IDENTITY, device_id=b"sim-0002")
    state, outputs = step(STATES["paused, link lost"], Answered(HELLO, other), NOW)
    reason, detail = ended(state, confirmed=False)
    assert reason is StopReason.WRONG_DEVICE
    assert "sim-0002" in detail
    assert outputs == ()


def test_a_device_that_restarted_meanwhile_ends_it() -> None:
    state, _ = step(STATES["paused, link lost"], Answered(HELLO, replace(IDENTITY, boot_id=2)), NOW)
    assert isinstance(state, Stopping | Ended)
    assert state.reason is StopReason.DEVICE_RESTARTED


def test_a_stop_that_was_not_confirmed_goes_out_again_when_the_link_is_back() -> None:
    assert step(STATES["stopping"], LinkUp(), NOW)[1] == (Stop(),)
    assert step(STATES["stopping, emergency"], LinkUp(), NOW)[1] == (EmergencyStop(),)
    assert step(STATES["stopping, acknowledged"], LinkUp(), NOW)[1] == ()


def test_what_was_heard_is_kept() -> None:
    state, _ = hear(running(), replace(STATUS, output_permille=612), NOW + 7)
    assert isinstance(state, Running)
    assert state.course.heard_ms == NOW + 7
    assert state.course.highest_output_permille == 612
    state, _ = hear(state, STATUS, NOW + 9)
    assert isinstance(state, Running)
    assert state.course.highest_output_permille == 612


def test_an_answer_to_preflight_s_setpoint_does_not_begin_without_feet() -> None:
    state, outputs = hear(STATES["preflight"], replace(STATUS_OFF, feet=2))
    assert isinstance(state, Preflight)
    assert outputs == ()


def test_an_unanswered_setpoint_is_only_silence() -> None:
    for name in LIVE:
        assert step(STATES[name], Unanswered(SET_LEVEL), NOW) == (STATES[name], ())
    assert step(STATES["running"], Unanswered(Hello(1, 1, 1, 1)), NOW)[1] == ()


@pytest.mark.parametrize(
    "unknown", [{"state": 99}, {"state": 0}, {"state": 4}, {"faults": 128}], ids=str
)
def test_a_status_that_is_no_session_s_ends_it_with_a_stop(unknown: dict[str, int]) -> None:
    state, outputs = step(running(), Answered(SetLevel(400, 1500), replace(STATUS, **unknown)), NOW)
    assert isinstance(state, Stopping)
    assert state.reason is StopReason.FAULT
    assert outputs == (Stop(),)
