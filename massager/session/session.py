"""The session: one pure function, `step(state, input, now_ms) → (state, outputs)`.

`now_ms` is the controller's clock (integer, monotonic). Stop is not a message in a queue but a
state that wins: `step` looks at it first, whatever the state. What is unknown moves toward off:
an answer this file does not expect never raises the setpoint. docs/SAFETY.md names the rules.
"""

from dataclasses import replace
from typing import assert_never

from firmware_protocol.link import Answered, Echoed, Nonsense, Told, Unanswered
from firmware_protocol.messages import (
    Command,
    EmergencyStop,
    GetLimits,
    GetStatus,
    Hello,
    Identity,
    Nak,
    SetLevel,
    Status,
    Stop,
)
from massager.limits import (
    OFF_JUDGED_MS,
    PREFLIGHT_MS,
    SILENT_MS,
    STOP_CONFIRM_MS,
    STOP_ESCALATE_MS,
    STREAM_PATTERN_PERIOD_MS,
    STREAM_PERIOD_MS,
)
from massager.session.device import (
    event_came,
    found_again,
    has_current,
    is_silent,
    latched_fault,
    link_down,
    link_up,
    lose_link,
    setpoint_refused,
    status_came,
)
from massager.session.handshake import arming_answered, arming_tick, handshake_ended
from massager.session.model import (
    MOTOR_MOVES,
    Arming,
    Ended,
    Extend,
    HardStop,
    Identify,
    Idle,
    Input,
    LinkDown,
    LinkUp,
    Pause,
    Paused,
    Preflight,
    Resume,
    Running,
    SetIntensity,
    SoftStop,
    Start,
    State,
    Stopping,
    StopReason,
    Tick,
)
from massager.session.moves import (
    PULL_THE_PLUG,
    STOPPED_LATE,
    UNREACHABLE,
    Step,
    asks_for_a_level,
    capped,
    course_until,
    hard_stop,
    is_a_level,
    paused_tick,
    running_tick,
    soft_stop,
)
from massager.session.requests import requested


def step(state: State, event: Input, now_ms: int) -> Step:
    """The next state, and what to send or to answer. Never raises for any input in any state."""
    match event:
        case HardStop():
            return hard_stop(state, event, now_ms)
        case SoftStop():
            return soft_stop(state, event, now_ms)
        case Tick():
            return _tick(state, now_ms)
        case Answered():
            return _answered(state, event, now_ms)
        case LinkDown():
            return link_down(state, event.detail, now_ms)
        case LinkUp():
            return link_up(state)
        case Unanswered():
            return unanswered(state, event.command, now_ms)
        case Told():
            return event_came(state, event.event.code, now_ms)
        case Echoed():
            return echoed(state)
        case Nonsense():
            return state, ()
        case Start() | Pause() | Resume() | SetIntensity() | Extend():
            return requested(state, event, now_ms)
        case _:
            assert_never(event)


def tick_period_ms(state: State) -> int | None:
    """How often the state wants a Tick, ms of the controller's clock; None = never."""
    match state:
        case Running(moving=moving):
            return STREAM_PATTERN_PERIOD_MS if moving else STREAM_PERIOD_MS
        case Paused(fall_from_permille=falling):
            return STREAM_PATTERN_PERIOD_MS if falling else STREAM_PERIOD_MS
        case Preflight():
            return STREAM_PERIOD_MS
        case Arming() | Stopping():
            return STREAM_PATTERN_PERIOD_MS
        case Idle() | Ended():
            return None


def _tick(state: State, now_ms: int) -> Step:
    match state:
        case Idle() | Ended():
            return state, ()
        case Arming():
            return arming_tick(state, now_ms)
        case Stopping():
            return _stopping_tick(state, now_ms)
        case Preflight() | Running() | Paused():
            course = state.course.counted(now_ms, asked=asks_for_a_level(state))
            course = capped(course, now_ms)
            if is_silent(state, now_ms):
                return lose_link(replace(state, course=course), now_ms)
    match state:
        case Preflight():
            return _preflight_tick(replace(state, course=course), now_ms)
        case Running():
            return running_tick(state, course, now_ms)
        case Paused():
            return paused_tick(replace(state, course=course), now_ms)


def _preflight_tick(state: Preflight, now_ms: int) -> Step:
    if now_ms - state.since_ms >= PREFLIGHT_MS:
        stop = SoftStop(StopReason.NO_FEET, "nobody put their feet on within 2 minutes")
        return soft_stop(state, stop, now_ms)
    return state, (SetLevel(0, state.course.terms.lease_ms),)


def _answered(state: State, event: Answered, now_ms: int) -> Step:
    match state:
        case Idle() | Ended():
            return state, ()
        case Arming():
            after, outputs = arming_answered(state, event, now_ms)
            if isinstance(after, Preflight):  # the status that armed it is judged like any other
                return status_came(after, after.course.status, now_ms, event.command)
            return after, outputs
        case Stopping():
            return _stop_answered(state, event, now_ms)
        case Preflight() | Running() | Paused():
            match event.reply:
                case Status() as status:
                    return status_came(state, status, now_ms, event.command)
                case Nak() as nak:
                    return setpoint_refused(state, nak, now_ms)
                case Identity() as identity if isinstance(state, Paused):
                    return found_again(state, identity, now_ms)
                case _:
                    return state, ()


def _stop_answered(state: Stopping, event: Answered, now_ms: int) -> Step:
    if not isinstance(event.reply, Status):
        if isinstance(event.command, Stop):
            return hard_stop(state, HardStop(state.reason, "the device refused to stop"), now_ms)
        return state, ()
    status = event.reply
    course = state.course
    if course is not None:
        course = course.heard(status, now_ms, asked=is_a_level(event.command))
    taken = isinstance(event.command, Stop | EmergencyStop) or state.acknowledged
    reason, detail = state.reason, state.detail
    latched = latched_fault(status)
    if latched is not None and latched[1] == MOTOR_MOVES:
        return Ended(course, *latched, output_confirmed=False), ()
    if reason is StopReason.FAULT and not state.emergency:
        reason, detail = latched or (reason, detail)
    state = replace(state, course=course, reason=reason, detail=detail, acknowledged=taken)
    state = replace(state, heard_ms=now_ms)
    if not taken or status.output_permille:
        return state, ()
    state = replace(state, off_ms=now_ms if state.off_ms is None else state.off_ms)
    judged_ms = OFF_JUDGED_MS * (1 if course is None else course.terms.patience)
    if has_current(status) and now_ms - (state.off_ms or 0) < judged_ms:
        return state, ()  # the device's own check has the last word
    detail = STOPPED_LATE if detail == PULL_THE_PLUG else detail
    return Ended(course, reason, detail, output_confirmed=True), ()


def _stopping_tick(state: Stopping, now_ms: int) -> Step:
    state = replace(state, course=course_until(state, now_ms))
    course, waited_ms = state.course, now_ms - state.since_ms
    patience = 1 if course is None else course.terms.patience
    heard_now = state.heard_ms is not None and now_ms - state.heard_ms < SILENT_MS * patience
    if waited_ms >= STOP_CONFIRM_MS * patience:
        detail = PULL_THE_PLUG if state.acknowledged and heard_now else UNREACHABLE
        return Ended(course, state.reason, detail, output_confirmed=False), ()
    does_not_fall = state.off_ms is None and waited_ms >= STOP_ESCALATE_MS * patience
    if does_not_fall and heard_now and not state.emergency:
        return hard_stop(state, HardStop(state.reason, PULL_THE_PLUG), now_ms)
    return state, (GetStatus(),) if state.acknowledged else ()


def unanswered(state: State, command: Command, now_ms: int) -> Step:
    match state:
        case Arming() if isinstance(command, Hello):
            return handshake_ended(state, StopReason.NO_HANDSHAKE, "no massager answered"), ()
        case Arming() if isinstance(command, GetLimits):
            return state, (GetLimits(),)  # it has answered before; `arming_tick` gives up in time
        case Paused(link_lost_ms=int()) if isinstance(command, Hello | GetStatus):
            return state, (Identify(),)
        case _:
            return state, ()


def echoed(state: State) -> Step:
    if isinstance(state, Arming):
        detail = "what is sent comes back: there is an echo plug on this line, not a massager"
        return handshake_ended(state, StopReason.NO_HANDSHAKE, detail), ()
    return state, ()
