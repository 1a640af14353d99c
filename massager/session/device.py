"""What the device says during a session, and what becomes of it when it falls silent. Pure.

Anything unexpected moves toward off; an event is only a hint to look, because it may be lost.
"""

from dataclasses import replace
from typing import Final

from firmware_protocol.limits import SETPOINT_FRESH_MS
from firmware_protocol.messages import (
    NOT_MEASURED_CURRENT,
    Command,
    EmergencyStop,
    EndReason,
    EventCode,
    Fault,
    Feet,
    GetStatus,
    Identity,
    Nak,
    Reason,
    SetLevel,
    Status,
    Stop,
    word_of,
)
from firmware_protocol.messages import State as DeviceState
from massager.limits import (
    CAP_FALL_MS,
    FEET_BACK_MS,
    LEASE_FALL_MS,
    LOOK_AGAIN_MS,
    OFF_CURRENT_MA,
    OUTPUT_UNKNOWN_MS,
)
from massager.plan import level_of
from massager.session.handshake import handshake_ended
from massager.session.model import (
    MOTOR_MOVES,
    Arming,
    Course,
    Ended,
    HardStop,
    Identify,
    Paused,
    PauseReason,
    Preflight,
    Running,
    SoftStop,
    State,
    Stopping,
    StopReason,
)
from massager.session.moves import (
    Live,
    Step,
    asks_for_a_level,
    ended_by_device,
    hard_stop,
    holds_session,
    is_a_level,
    pause,
    run,
    soft_stop,
)

_FAULTS: Final = (
    (Fault.STUCK_ON, StopReason.FAULT, MOTOR_MOVES),
    (Fault.EMERGENCY_STOP, StopReason.EMERGENCY, "emergency stop"),
    (Fault.OVER_TEMPERATURE, StopReason.OVERHEATED, "the motor is too hot; let it cool"),
    (Fault.STALL, StopReason.STALLED, "the motor does not turn; look what blocks it"),
    (Fault.OVER_CURRENT, StopReason.FAULT, "the motor draws too much current"),
    (Fault.SENSOR, StopReason.FAULT, "a sensor of the device does not work"),
    (Fault.INTERNAL, StopReason.FAULT, "the device's own checks failed"),
)


# What a device can be in while it holds the session; anything else, known or not, is no session.
_ALIVE: Final = (DeviceState.READY, DeviceState.RUNNING, DeviceState.STOPPING)


def status_came(state: Live, status: Status, now_ms: int, command: Command) -> Step:
    """It answers `command`. Only a SET_LEVEL, taken at level 0 with the feet on, lets the device
    take a level again; feet that a mere look shows could still be refused."""
    to_setpoint = isinstance(command, SetLevel)
    asked = asks_for_a_level(state) or is_a_level(command)
    course = state.course.heard(status, now_ms, asked=asked)
    state = replace(state, course=course)
    if isinstance(state, Paused):
        state = replace(state, link_lost_ms=None)
    if status.boot_id != course.identity.boot_id:
        return _ended_by_device(course, StopReason.DEVICE_RESTARTED, "the device restarted", now_ms)
    if status.end_reason != EndReason.NONE or status.state == DeviceState.LATCHED:
        return _void(state, status.end_reason, now_ms)
    if isinstance(state, Paused) and not holds_session(state):
        return _watched(state, now_ms)
    if status.faults or status.state not in _ALIVE:
        detail = f"the device reports {word_of(DeviceState, status.state)}, faults {status.faults}"
        return soft_stop(state, SoftStop(StopReason.FAULT, detail), now_ms)
    terms = course.terms
    late_ms = CAP_FALL_MS + terms.lease_ms + OUTPUT_UNKNOWN_MS * terms.patience
    highest = terms.highest_cap(now_ms - late_ms, now_ms)
    if status.output_permille > level_of(highest, course.levels):
        detail = f"the output {status.output_permille} ‰ was above the person's cap"
        return hard_stop(state, HardStop(StopReason.FAULT, detail), now_ms)
    match state:
        case Preflight() if status.feet != Feet.OFF and to_setpoint:
            return run(course, now_ms)
        case Running() if status.state == DeviceState.STOPPING:
            return pause(state, PauseReason.FEET, now_ms)
        case Paused(why=PauseReason.FEET) if status.feet == Feet.ON and to_setpoint:
            if now_ms - state.since_ms < FEET_BACK_MS and status.output_permille == 0:
                return run(course, now_ms)
            return state, ()
        case _:
            return state, ()


def _watched(state: Paused, now_ms: int) -> Step:
    """The device has voided this session; once its lease and fall are over, whatever runs there is
    somebody else's, and neither a resume nor a stop of ours may touch it."""
    terms = state.course.terms
    ours_ms = SETPOINT_FRESH_MS * terms.patience + terms.lease_ms + LEASE_FALL_MS
    let_go_ms = state.since_ms if state.let_go_ms is None else state.let_go_ms
    running = state.course.status.state == DeviceState.RUNNING
    if running and now_ms - let_go_ms > ours_ms:
        detail = "another controller drives the device now"
        return Ended(state.course, StopReason.TAKEN_OVER, detail, output_confirmed=False), ()
    return state, ()


def _void(state: Live, end_reason: int, now_ms: int) -> Step:
    """The device says that this session is over, and why."""
    course = state.course
    latched = latched_fault(course.status)
    if latched is not None:
        return _ended_by_device(course, *latched, now_ms)
    if end_reason in (EndReason.LEASE_EXPIRED, EndReason.NONE):
        if isinstance(state, Paused) and not holds_session(state):
            return state, () if state.link_lost_ms is None else (GetStatus(),)
        if end_reason == EndReason.NONE:
            return _ended_by_device(
                course, StopReason.DEVICE_RESTARTED, "the device restarted", now_ms
            )
        return pause(state, PauseReason.LEASE_EXPIRED, now_ms)
    return _ended_by_device(course, *ended_by_device(end_reason), now_ms)


def latched_fault(status: Status) -> tuple[StopReason, str] | None:
    """What is latched, worst for the person first; None where nothing known is."""
    if status.state == DeviceState.LATCHED:
        for fault, reason, detail in _FAULTS:
            if status.faults & fault:
                return reason, detail
    return None


def has_current(status: Status) -> bool:
    """Whether something flows through the motor, where that is measured at all."""
    return OFF_CURRENT_MA < status.current_ma != NOT_MEASURED_CURRENT


def _ended_by_device(course: Course, reason: StopReason, detail: str, now_ms: int) -> Step:
    """The device has ended the session by itself: watch it come to rest."""
    if reason is StopReason.TAKEN_OVER:
        return Ended(course, reason, detail, output_confirmed=False), ()
    if detail == MOTOR_MOVES:
        return Ended(course, reason, detail, output_confirmed=False), ()
    is_off = course.status.output_permille == 0 and not has_current(course.status)
    if course.heard_ms == now_ms and is_off:
        return Ended(course, reason, detail, output_confirmed=True), ()
    return Stopping(course, reason, detail, now_ms, acknowledged=True), (GetStatus(),)


def setpoint_refused(state: Live, nak: Nak, now_ms: int) -> Step:
    course = state.course.counted(now_ms, asked=asks_for_a_level(state))
    state = replace(state, course=course)
    match nak.reason:
        case Reason.STALE | Reason.STOPPING:
            return state, (GetStatus(),)
        case Reason.SESSION:
            return _void(state, nak.limit, now_ms)
        case Reason.FEET if isinstance(state, Running):
            return pause(state, PauseReason.FEET, now_ms)
        case Reason.LATCHED | Reason.RESTING | Reason.FEET:
            return state, (GetStatus(),)
        case _:
            detail = f"the device refused a setpoint ({word_of(Reason, nak.reason)})"
            return soft_stop(state, SoftStop(StopReason.FAULT, detail), now_ms)


def event_came(state: State, code: int, now_ms: int) -> Step:
    """An event is a hint to look: it may be lost, so nothing depends on it."""
    match state:
        case Running() if code == EventCode.FEET_LIFTED:
            return pause(state, PauseReason.FEET, now_ms)
        case Preflight() | Running() | Paused() if code != EventCode.SESSION_OPENED:
            if now_ms - state.course.heard_ms < LOOK_AGAIN_MS:
                return state, ()  # the next setpoint looks again; a flood must not fill the line
            return state, (GetStatus(),)
        case _:
            return state, ()


def link_down(state: State, detail: str, now_ms: int) -> Step:
    match state:
        case Arming():
            return handshake_ended(state, StopReason.NO_HANDSHAKE, detail), ()
        case Preflight() | Running() | Paused():
            state, _ = lose_link(state, now_ms)
            return state, ()
        case _:
            return state, ()


def lose_link(state: Live, now_ms: int) -> Step:
    if isinstance(state, Paused):
        if holds_session(state):
            state = replace(state, why=PauseReason.LINK_LOST, let_go_ms=now_ms)
        lost_ms = now_ms if state.link_lost_ms is None else state.link_lost_ms
        return replace(state, link_lost_ms=lost_ms), (Identify(),)
    paused, _ = pause(state, PauseReason.LINK_LOST, now_ms)
    assert isinstance(paused, Paused)
    return replace(paused, link_lost_ms=now_ms), (Identify(),)


def is_silent(state: Live, now_ms: int) -> bool:
    """Nothing heard for a whole lease: the device has stopped by itself."""
    if isinstance(state, Paused) and state.link_lost_ms is not None:
        return False
    return now_ms - state.course.heard_ms >= state.course.terms.lease_ms


def link_up(state: State) -> Step:
    match state:
        case Paused(link_lost_ms=int()):
            return state, (Identify(),)
        case Stopping(acknowledged=False, emergency=True):
            return state, (EmergencyStop(),)
        case Stopping(acknowledged=False):
            return state, (Stop(),)
        case _:
            return state, ()


def found_again(state: Paused, identity: Identity, now_ms: int) -> Step:
    course = state.course
    if identity.device_id != course.identity.device_id:
        detail = f"device {identity.name} answered instead of {course.identity.name}"
        return Ended(course, StopReason.WRONG_DEVICE, detail, output_confirmed=False), ()
    if identity.boot_id != course.identity.boot_id:
        return _ended_by_device(course, StopReason.DEVICE_RESTARTED, "the device restarted", now_ms)
    return state, (GetStatus(),)  # only its status says what the motor does
