"""The moves that every part of the session makes: stop, run, pause, and their ticks. Pure."""

from dataclasses import replace
from typing import Final, TypeAlias

from firmware_protocol.messages import Command, EmergencyStop, EndReason, GetStatus, SetLevel, Stop
from massager.limits import (
    LINK_BACK_MS,
    PAUSE_FALL_MS,
    PAUSE_LIMIT_MS,
    SOFT_END_MS,
    STREAM_PERIOD_MS,
)
from massager.plan import Phase, Progress, continue_session, end_now, progress_at, setpoint_at
from massager.session.model import (
    Arming,
    Course,
    Ended,
    HardStop,
    Idle,
    Output,
    Paused,
    PauseReason,
    Preflight,
    Running,
    SoftStop,
    State,
    Stopping,
    StopReason,
)

Step: TypeAlias = tuple[State, tuple[Output, ...]]


Live: TypeAlias = Preflight | Running | Paused


PULL_THE_PLUG: Final = "the motor does not stop: pull the plug"


STOPPED_LATE: Final = "the motor stopped only after an emergency stop; have the device looked at"


UNREACHABLE: Final = (
    "the device cannot be reached; it stops by itself within seconds. If it does not, pull the plug"
)


# What the device's own reason for ending a session means to the person.
_ENDED_BY_DEVICE: Final[dict[int, tuple[StopReason, str]]] = {
    EndReason.NONE: (StopReason.DEVICE_RESTARTED, "the device restarted"),
    EndReason.STOP: (StopReason.REQUESTED, "stopped at the device or by another controller"),
    EndReason.EMERGENCY_STOP: (StopReason.EMERGENCY, "emergency stop from elsewhere"),
    EndReason.LEASE_EXPIRED: (StopReason.LEASE_EXPIRED, "the device heard nothing for too long"),
    EndReason.TAKEN_OVER: (StopReason.TAKEN_OVER, "another controller opened a session"),
    EndReason.RUN_LIMIT: (StopReason.RUN_LIMIT, "the device's own limit for one run"),
    EndReason.FAULT: (StopReason.FAULT, "the device reported a fault"),
}


def ended_by_device(end_reason: int) -> tuple[StopReason, str]:
    """The reason and the sentence; a reason that a later device invented is a fault."""
    return _ENDED_BY_DEVICE.get(end_reason, _ENDED_BY_DEVICE[EndReason.FAULT])


def hard_stop(state: State, event: HardStop, now_ms: int) -> Step:
    if isinstance(state, Ended) and state.output_confirmed:
        return state, ()
    if isinstance(state, Stopping) and state.emergency:
        return state, ()
    course = course_until(state, now_ms)
    stopping = Stopping(course, event.reason, event.detail, now_ms, emergency=True)
    return stopping, (EmergencyStop(),)


def soft_stop(state: State, event: SoftStop, now_ms: int) -> Step:
    match state:
        case Stopping() | Ended(output_confirmed=True):
            return state, ()
        case Arming(free=False, driven=driven) if not driven or event != SoftStop():
            # Nothing was opened yet, and a STOP might end somebody else's. Only who plainly asks
            # for a stop, of a device that is seen to be driven, means whatever drives it.
            return Ended(state.before, event.reason, event.detail, output_confirmed=False), ()
    return Stopping(course_until(state, now_ms), event.reason, event.detail, now_ms), (Stop(),)


def course_until(state: State, now_ms: int) -> Course | None:
    """With the motor's time until now: many short runs count like a long one."""
    course = course_of(state)
    return None if course is None else course.counted(now_ms, asked=asks_for_a_level(state))


def asks_for_a_level(state: State) -> bool:
    """Whether this state has sent a level above 0 that it has not taken back."""
    match state:
        case Running():
            return state.setpoint_permille > 0
        case Paused():
            return state.fall_from_permille > 0 and holds_session(state)
        case _:
            return False


def is_a_level(command: Command) -> bool:
    """Whether the motor may turn because of it, whatever its answer says."""
    return isinstance(command, SetLevel) and command.level_permille > 0


def course_of(state: State) -> Course | None:
    """What is known of the session; None before a device has answered."""
    match state:
        case Idle():
            return None
        case Arming():
            return state.before
        case Preflight() | Running() | Paused() | Stopping() | Ended():
            return state.course


def capped(course: Course, now_ms: int) -> Course:
    """With the intensity that the cap in force allows: lower than before, or the same."""
    if not course.terms.caps:
        return course  # the person's own cap was asked for with each choice
    cap = course.terms.cap_at(now_ms)
    if course.choice.intensity <= cap.max_intensity:
        return course
    choice = replace(course.choice, intensity=cap.max_intensity)
    return replace(course, choice=choice, lowered_by=cap.reason)


def run(course: Course, now_ms: int) -> Step:
    """Start, or go on, from the gentlest level."""
    course = capped(course, now_ms)
    plan = continue_session(course.choice, course.levels, course.progress, 0)
    return running_tick(Running(course, plan, now_ms, 0), course, now_ms)


def running_tick(state: Running, course: Course, now_ms: int) -> Step:
    """The setpoint of this moment; `course` is the newest."""
    elapsed_ms = now_ms - state.plan_from_ms
    if elapsed_ms >= state.plan.duration_ms:
        return soft_stop(replace(state, course=course), SoftStop(state.goes_to), now_ms)
    if course.motor_on_ms + STREAM_PERIOD_MS >= course.terms.motor_on_max_ms:
        limit = SoftStop(StopReason.SITTING_LIMIT)
        return soft_stop(replace(state, course=course), limit, now_ms)
    if course.choice.intensity < state.plan.choice.intensity:  # a lower cap has begun
        return replan(replace(state, course=course), progress_of(state, now_ms), now_ms)
    wanted = setpoint_at(state.plan, elapsed_ms)
    if wanted.phase is not Phase.SOFT_END and _sitting_is_over(course):
        plan = end_now(state.plan, state.setpoint_permille)
        state = replace(state, plan=plan, plan_from_ms=now_ms, goes_to=StopReason.SITTING_LIMIT)
        wanted = setpoint_at(plan, 0)
    level = wanted.level_permille
    if wanted.moving_pattern and course.status.ceiling_permille < wanted.target_permille:
        level = wanted.target_permille  # a pattern's dips would keep the ceiling from being earned
    moving = wanted.moving_pattern or wanted.phase is Phase.SOFT_END
    # Spelt out: `replace` costs as much as the rest of a tick.
    running = Running(course, state.plan, state.plan_from_ms, level, moving, state.goes_to)
    return running, (SetLevel(level, course.terms.lease_ms),)


def _sitting_is_over(course: Course) -> bool:
    """Whether the soft end must begin now, so that output is 0 at the cap."""
    ends_ms = course.motor_on_ms + SOFT_END_MS + STREAM_PERIOD_MS
    return ends_ms >= course.terms.motor_on_max_ms


def replan(state: Running, progress: Progress, now_ms: int) -> Step:
    """The rest of the session by its newest choice; a soft end keeps its moment."""
    course, level = state.course, _level_now(state, now_ms)
    if phase_of(state, now_ms) is Phase.SOFT_END:
        left_ms = state.plan.duration_ms - (now_ms - state.plan_from_ms)
        done_ms = progress.massage_done_ms
        plan = replace(state.plan, choice=course.choice, massage_done_ms=done_ms)
        plan = end_now(plan, level, left_ms)
    else:
        plan = continue_session(course.choice, course.levels, progress, level)
    return running_tick(replace(state, plan=plan, plan_from_ms=now_ms), course, now_ms)


def pause(state: Live, why: PauseReason, now_ms: int) -> Step:
    if isinstance(state, Running):
        course = state.course.counted(now_ms, asked=asks_for_a_level(state))
        course = replace(course, progress=progress_of(state, now_ms))
        paused = Paused(course, why, now_ms, _level_now(state, now_ms))
    elif isinstance(state, Paused):
        return replace(state, why=why, let_go_ms=now_ms), ()
    else:
        paused = Paused(state.course, why, now_ms, 0)
    if not holds_session(paused):
        return replace(paused, fall_from_permille=0), ()
    if why is PauseReason.FEET:
        paused = replace(paused, fall_from_permille=0)  # the device falls by itself
    return paused_tick(paused, now_ms)


def paused_tick(state: Paused, now_ms: int) -> Step:
    course, paused_ms = state.course, now_ms - state.since_ms
    if state.link_lost_ms is not None:
        if now_ms - state.link_lost_ms >= LINK_BACK_MS * course.terms.patience:
            return Ended(course, StopReason.LINK_LOST, UNREACHABLE, output_confirmed=False), ()
        return state, ()
    if paused_ms >= PAUSE_LIMIT_MS:
        return _pause_ends(state, now_ms)
    if not holds_session(state):
        return state, (GetStatus(),)
    if paused_ms > PAUSE_FALL_MS + course.terms.lease_ms and course.status.output_permille > 0:
        return hard_stop(state, HardStop(StopReason.FAULT, PULL_THE_PLUG), now_ms)
    level = state.fall_from_permille * max(PAUSE_FALL_MS - paused_ms, 0) // PAUSE_FALL_MS
    if level < course.levels.gentlest_permille:
        level = 0
        state = replace(state, fall_from_permille=0)
    return state, (SetLevel(level, course.terms.lease_ms),)


def _pause_ends(state: Paused, now_ms: int) -> Step:
    reason, detail = _PAUSE_ENDS[state.why], "paused for 5 minutes"
    if holds_session(state):
        return soft_stop(state, SoftStop(reason, detail), now_ms)
    off = state.course.status.output_permille == 0  # a STOP could end somebody else's session
    return Ended(state.course, reason, detail, output_confirmed=off), ()


_PAUSE_ENDS: Final = {
    PauseReason.PERSON: StopReason.PAUSED_TOO_LONG,
    PauseReason.FEET: StopReason.FEET_REMOVED,
    PauseReason.LINK_LOST: StopReason.LINK_LOST,
    PauseReason.LEASE_EXPIRED: StopReason.LEASE_EXPIRED,
}


def holds_session(state: Paused) -> bool:
    """Whether the device still has this session, at level 0."""
    return state.why in (PauseReason.PERSON, PauseReason.FEET)


def _level_now(state: Running, now_ms: int) -> int:
    """Where a new course begins: the output, but never above what was asked for, nor above where a
    ramp has come to since: many changes one after the other must not hold a fall up. Nor in the
    stall zone, whatever the device says."""
    asked = state.setpoint_permille
    wanted = setpoint_at(state.plan, now_ms - state.plan_from_ms)
    if not wanted.moving_pattern:
        asked = min(asked, wanted.level_permille)
    output = state.course.status.output_permille or asked
    return min(asked, max(output, state.course.levels.gentlest_permille))


def progress_of(state: Running, now_ms: int) -> Progress:
    return progress_at(state.plan, now_ms - state.plan_from_ms)


def phase_of(state: Running, now_ms: int) -> Phase:
    return setpoint_at(state.plan, now_ms - state.plan_from_ms).phase
