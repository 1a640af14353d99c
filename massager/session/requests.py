"""What a person asks for during a session, and the words of each refusal. Pure."""

from dataclasses import replace

from firmware_protocol.messages import Feet
from massager.limits import (
    INTENSITY_MAX,
    INTENSITY_MIN,
    MASSAGE_MAX_MS,
    SOFT_END_MS,
)
from massager.plan import Choice, Phase, Progress, extend_session
from massager.session.model import (
    Arming,
    Course,
    Ended,
    Extend,
    Identify,
    Idle,
    Pause,
    Paused,
    PauseReason,
    Preflight,
    Refuse,
    Resume,
    Running,
    SetIntensity,
    Start,
    State,
    Stopping,
)
from massager.session.moves import (
    Step,
    holds_session,
    pause,
    phase_of,
    progress_of,
    replan,
    run,
    running_tick,
)


def requested(
    state: State, event: Start | Pause | Resume | SetIntensity | Extend, now_ms: int
) -> Step:
    match event:
        case Start():
            return _start(state, event.choice, now_ms)
        case Pause():
            return _pause_request(state, now_ms)
        case Resume():
            return _resume(state, now_ms)
        case SetIntensity():
            return _set_intensity(state, event.intensity, now_ms)
        case Extend():
            return _extend(state, event.more_ms, now_ms)


def _refuse(state: State, why: str) -> Step:
    return state, (Refuse(why),)


def _start(state: State, choice: Choice, now_ms: int) -> Step:
    if not isinstance(state, Idle):
        return _refuse(state, "a session is already running; stop it first")
    cap = state.terms.cap_at(now_ms)
    if choice.intensity > cap.max_intensity:
        return _refuse(
            state,
            f"intensity {choice.intensity} is above your own cap of {cap.max_intensity} "
            f"({cap.reason})",
        )
    return Arming(state.terms, choice, now_ms), (Identify(),)


def _pause_request(state: State, now_ms: int) -> Step:
    match state:
        case Running():
            return pause(state, PauseReason.PERSON, now_ms)
        case Paused(why=PauseReason.FEET):
            return replace(state, why=PauseReason.PERSON), ()  # now only a person resumes it
        case Paused():
            return state, ()
        case Arming() | Preflight():
            return _refuse(state, "the massage has not begun; there is nothing to pause")
        case Idle() | Stopping() | Ended():
            return _refuse(state, "no session is running")


def _resume(state: State, now_ms: int) -> Step:
    match state:
        case Running() | Arming() | Preflight():
            return state, ()
        case Paused(link_lost_ms=int()):
            return _refuse(state, "the device cannot be reached yet")
        case Paused(course=course) if course.status.feet == Feet.OFF:
            return _refuse(state, "put your feet on first")
        case Paused(course=course) if holds_session(state):
            return run(course, now_ms)
        case Paused(course=course):
            arming = Arming(course.terms, course.choice, now_ms, before=course)
            return arming, (Identify(),)
        case Idle() | Stopping() | Ended():
            return _refuse(state, "no session is running")


def _set_intensity(state: State, intensity: int, now_ms: int) -> Step:
    if not isinstance(state, Preflight | Running | Paused):
        return _refuse(state, "no session is running")
    course = state.course
    cap = course.terms.cap_at(now_ms)
    highest = min(INTENSITY_MAX, cap.max_intensity)
    if not INTENSITY_MIN <= intensity <= highest:
        why = f" ({cap.reason})" if INTENSITY_MAX >= intensity > highest else ""
        return _refuse(
            state, f"intensity {intensity}: it must be {INTENSITY_MIN} to {highest}{why}"
        )
    if isinstance(state, Running) and phase_of(state, now_ms) is Phase.SOFT_END:
        return _refuse(state, "the session is ending already")
    choice = replace(course.choice, intensity=intensity)
    state = replace(state, course=replace(course, choice=choice, lowered_by=""))
    if not isinstance(state, Running):
        return state, ()
    return replan(state, progress_of(state, now_ms), now_ms)


def _extend(state: State, more_ms: int, now_ms: int) -> Step:
    if not isinstance(state, Preflight | Running | Paused):
        return _refuse(state, "no session is running")
    if more_ms <= 0:
        return _refuse(state, "extend by a whole minute or more")
    if isinstance(state, Running):
        if phase_of(state, now_ms) is Phase.SOFT_END:
            return _refuse(state, "the session is ending already")
        progress = progress_of(state, now_ms)
    else:
        progress = state.course.progress
    left_ms, limit = _extension_left(state.course, progress)
    if more_ms > left_ms:
        tenths = left_ms // 6_000
        return _refuse(
            state,
            f"{more_ms / 60_000:g} min more would pass {limit}; "
            f"{tenths // 10}.{tenths % 10} min are left",
        )
    if isinstance(state, Running):
        plan = extend_session(state.plan, now_ms - state.plan_from_ms, more_ms)
        return running_tick(replace(state, plan=plan, plan_from_ms=now_ms), state.course, now_ms)
    progress = replace(progress, massage_left_ms=progress.massage_left_ms + more_ms)
    return replace(state, course=replace(state.course, progress=progress)), ()


def _extension_left(course: Course, progress: Progress) -> tuple[int, str]:
    """How much longer the massage may get, ms, and which limit says so: its own, or the feet's."""
    planned_ms = progress.massage_done_ms + progress.massage_left_ms
    to_come_ms = progress.warmup_left_ms + progress.massage_left_ms + SOFT_END_MS
    sitting_ms = course.terms.motor_on_max_ms - course.motor_on_ms - to_come_ms
    massage_ms = MASSAGE_MAX_MS - planned_ms
    if sitting_ms < massage_ms:
        return max(0, sitting_ms), "what is left of this sitting"
    return max(0, massage_ms), f"the limit of {MASSAGE_MAX_MS // 60_000} min of massage"
