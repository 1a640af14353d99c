"""The session: one pure function, `step(state, input, now_ms) → (state, outputs)`.

`now_ms` is the controller's clock (integer, monotonic). Stop is not a message in a queue but a
state that wins: `step` looks at it first, whatever the state. What is unknown moves toward off:
an answer this file does not expect never raises the setpoint. docs/SAFETY.md names the rules.
"""

from dataclasses import replace
from typing import Final, TypeAlias, assert_never

from firmware_protocol.link import Answered, Echoed, Nonsense, Told, Unanswered
from firmware_protocol.messages import (
    Command,
    EmergencyStop,
    EndReason,
    EventCode,
    Fault,
    Feet,
    GetLimits,
    GetStatus,
    Hello,
    Identity,
    Limits,
    Nak,
    Reason,
    SetLevel,
    Status,
    Stop,
    word_of,
)
from firmware_protocol.messages import State as DeviceState
from massager.limits import (
    ARMING_MAX_MS,
    FEET_BACK_MS,
    INTENSITY_MAX,
    INTENSITY_MIN,
    LINK_BACK_MS,
    MASSAGE_MAX_MS,
    PAUSE_FALL_MS,
    PAUSE_LIMIT_MS,
    PREFLIGHT_MS,
    SITTING_MAX_MS,
    SOFT_END_MS,
    STOP_CONFIRM_MS,
    STREAM_PATTERN_PERIOD_MS,
    STREAM_PERIOD_MS,
)
from massager.plan import (
    Choice,
    Levels,
    Phase,
    Progress,
    continue_session,
    end_now,
    extend_session,
    level_of,
    progress_at,
    setpoint_at,
)
from massager.session_model import (
    Arming,
    Course,
    Ended,
    Extend,
    HardStop,
    Identify,
    Idle,
    Input,
    LinkDown,
    LinkUp,
    OpenSession,
    Output,
    Pause,
    Paused,
    PauseReason,
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
    Tick,
)

Step: TypeAlias = tuple[State, tuple[Output, ...]]
Live: TypeAlias = Preflight | Running | Paused

# What the device's own reason for ending a session means to the person.
_ENDED_BY_DEVICE: Final[dict[int, tuple[StopReason, str]]] = {
    EndReason.STOP: (StopReason.REQUESTED, "stopped at the device or by another controller"),
    EndReason.EMERGENCY_STOP: (StopReason.EMERGENCY, "emergency stop from elsewhere"),
    EndReason.TAKEN_OVER: (StopReason.TAKEN_OVER, "another controller opened a session"),
    EndReason.RUN_LIMIT: (StopReason.RUN_LIMIT, "the device's own limit for one run"),
    EndReason.FAULT: (StopReason.FAULT, "the device reported a fault"),
}
_FAULTS: Final = (
    (Fault.EMERGENCY_STOP, StopReason.EMERGENCY, "emergency stop"),
    (Fault.OVER_TEMPERATURE, StopReason.OVERHEATED, "the motor is too hot; let it cool"),
    (Fault.STALL, StopReason.STALLED, "the motor does not turn; look what blocks it"),
    (
        Fault.STUCK_ON,
        StopReason.FAULT,
        "the motor moves though it is switched off: pull the plug",
    ),
    (Fault.OVER_CURRENT, StopReason.FAULT, "the motor draws too much current"),
    (Fault.SENSOR, StopReason.FAULT, "a sensor of the device does not work"),
    (Fault.INTERNAL, StopReason.FAULT, "the device's own checks failed"),
)
PULL_THE_PLUG: Final = "the motor does not stop: pull the plug"
UNREACHABLE: Final = (
    "the device cannot be reached; it stops by itself within seconds. If it does not, pull the plug"
)


def step(state: State, event: Input, now_ms: int) -> Step:
    """The next state, and what to send or to answer. Never raises for any input in any state."""
    match event:
        case HardStop():
            return _hard_stop(state, event, now_ms)
        case SoftStop():
            return _soft_stop(state, event, now_ms)
        case Tick():
            return _tick(state, now_ms)
        case Answered():
            return _answered(state, event, now_ms)
        case LinkDown():
            return _link_down(state, event.detail, now_ms)
        case LinkUp():
            return _link_up(state)
        case Unanswered():
            return _unanswered(state, event.command, now_ms)
        case Told():
            return _told(state, event.event.code, now_ms)
        case Echoed():
            return _echoed(state)
        case Nonsense():
            return state, ()
        case Start() | Pause() | Resume() | SetIntensity() | Extend():
            return _request(state, event, now_ms)
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


# --- stop ---------------------------------------------------------------------------------------


def _hard_stop(state: State, event: HardStop, now_ms: int) -> Step:
    if isinstance(state, Ended) and state.output_confirmed:
        return state, ()
    if isinstance(state, Stopping) and state.reason is event.reason:
        return state, ()
    course = None if isinstance(state, Idle) else _course_of(state)
    detail = event.detail or "emergency stop"
    return Stopping(course, event.reason, detail, now_ms), (EmergencyStop(),)


def _soft_stop(state: State, event: SoftStop, now_ms: int) -> Step:
    if isinstance(state, Stopping | Ended):
        return state, ()
    return Stopping(_course_of(state), event.reason, event.detail, now_ms), (Stop(),)


def _course_of(state: State) -> Course | None:
    match state:
        case Idle():
            return None
        case Arming():
            return state.before
        case Preflight() | Running() | Paused() | Stopping() | Ended():
            return state.course


def _stop_answered(state: Stopping, event: Answered, now_ms: int) -> Step:
    if not isinstance(event.reply, Status):
        return state, ()
    status = event.reply
    course = None if state.course is None else _heard(state.course, status, now_ms)
    taken = isinstance(event.command, Stop | EmergencyStop) or state.acknowledged
    state = replace(state, course=course, acknowledged=taken)
    if taken and status.output_permille == 0:
        return Ended(course, state.reason, state.detail, output_confirmed=True), ()
    return state, ()


def _stopping_tick(state: Stopping, now_ms: int) -> Step:
    patience = 1 if state.course is None else state.course.terms.patience
    if now_ms - state.since_ms >= STOP_CONFIRM_MS * patience:
        detail = PULL_THE_PLUG if state.acknowledged else UNREACHABLE
        return Ended(state.course, state.reason, detail, output_confirmed=False), ()
    return state, (GetStatus(),) if state.acknowledged else ()


def _ended_by_device(course: Course, reason: StopReason, detail: str, now_ms: int) -> Step:
    """The device has ended the session by itself: watch it come to rest."""
    if reason is StopReason.TAKEN_OVER:
        return Ended(course, reason, detail, output_confirmed=False), ()
    if course.heard_ms == now_ms and course.status.output_permille == 0:
        return Ended(course, reason, detail, output_confirmed=True), ()
    return Stopping(course, reason, detail, now_ms, acknowledged=True), (GetStatus(),)


# --- the handshake --------------------------------------------------------------------------------


def _arming_answered(state: Arming, event: Answered, now_ms: int) -> Step:
    match event.reply:
        case Identity() as identity if isinstance(event.command, Hello):
            wrong = _wrong_device(state, identity)
            if wrong is not None:
                return wrong, ()
            return replace(state, identity=identity), (GetLimits(),)
        case Limits() as limits if state.identity is not None:
            try:
                levels = Levels(limits.gentlest_permille, limits.max_permille)
            except ValueError as error:
                return _ended(state, StopReason.WRONG_DEVICE, str(error)), ()
            state = replace(state, levels=levels)
            return state, (SetLevel(0, state.terms.lease_ms),)
        case Status() as status if isinstance(event.command, SetLevel):
            return _armed(state, status, now_ms)
        case Nak() as nak:
            return _arming_refused(state, nak)
        case _:
            return state, ()


def _wrong_device(state: Arming, identity: Identity) -> Ended | None:
    terms, before = state.terms, state.before
    if terms.device_id is not None and identity.name != terms.device_id:
        detail = f"device {identity.name} answered, but {terms.device_id} is configured"
    elif identity.speed != terms.speed:
        detail = (
            f"device {identity.name} runs at speed {identity.speed}, the controller at "
            f"{terms.speed}; start both with the same --speed"
        )
    elif identity.speed != 1 and not identity.is_simulated:
        detail = f"device {identity.name} claims speed {identity.speed} but is not simulated"
    elif before is not None and identity.device_id != before.identity.device_id:
        detail = f"device {identity.name} answered instead of {before.identity.name}"
    elif before is not None and identity.boot_id != before.identity.boot_id:
        return _ended(state, StopReason.DEVICE_RESTARTED, "the device restarted meanwhile")
    else:
        return None
    return _ended(state, StopReason.WRONG_DEVICE, detail)


def _armed(state: Arming, status: Status, now_ms: int) -> Step:
    if state.identity is None or state.levels is None or status.output_permille > 0:
        return state, ()  # what ran before is still falling: ask again at the next tick
    progress = Progress(state.choice.warmup_ms, state.choice.massage_ms, 0)
    if state.before is not None:
        course = replace(state.before, identity=state.identity, levels=state.levels)
    else:
        course = Course(
            state.terms,
            state.choice,
            state.identity,
            state.levels,
            progress,
            status,
            now_ms,
            now_ms,
        )
    course = replace(course, status=status, heard_ms=now_ms, ticked_ms=now_ms)
    if status.feet == Feet.OFF:
        return Preflight(course, now_ms), ()
    return _run(course, now_ms)


def _arming_refused(state: Arming, nak: Nak) -> Step:
    match nak.reason:
        case Reason.STOPPING:
            return state, ()  # what ran before is still falling
        case Reason.VERSION:
            detail = f"the device speaks protocol major {nak.limit}, this controller 1"
            return _ended(state, StopReason.WRONG_DEVICE, detail), ()
        case Reason.LATCHED:
            detail = "a fault or an emergency stop is latched; see `massager status`, then clear it"
        case Reason.RESTING:
            detail = f"the device rests after its longest run; try again in {nak.limit} s"
        case Reason.SESSION:
            return _ended(state, StopReason.TAKEN_OVER, "another controller opened a session"), ()
        case _:
            detail = f"the device refused ({word_of(Reason, nak.reason)})"
    return _ended(state, StopReason.REFUSED, detail), ()


def _ended(state: Arming, reason: StopReason, detail: str) -> Ended:
    """No setpoint above 0 was ever sent in this handshake."""
    return Ended(state.before, reason, detail, output_confirmed=False)


# --- ticks ----------------------------------------------------------------------------------------


def _tick(state: State, now_ms: int) -> Step:
    match state:
        case Idle() | Ended():
            return state, ()
        case Arming():
            return _arming_tick(state, now_ms)
        case Stopping():
            return _stopping_tick(state, now_ms)
        case Preflight() | Running() | Paused():
            course = _clocked(state, now_ms)
            if _silent(state, now_ms):
                return _lose_link(replace(state, course=course), "no answer", now_ms)
    match state:
        case Preflight():
            return _preflight_tick(replace(state, course=course), now_ms)
        case Running():
            return _running_tick(replace(state, course=course), now_ms)
        case Paused():
            return _paused_tick(replace(state, course=course), now_ms)


def _clocked(state: Live, now_ms: int) -> Course:
    course = state.course
    on = course.status.output_permille > 0
    if isinstance(state, Running):
        on = on or state.setpoint_permille > 0
    passed_ms = now_ms - course.ticked_ms if on else 0
    return replace(course, ticked_ms=now_ms, motor_on_ms=course.motor_on_ms + passed_ms)


def _silent(state: Live, now_ms: int) -> bool:
    """Nothing heard for a whole lease: the device has stopped by itself."""
    if isinstance(state, Paused) and state.link_lost_ms is not None:
        return False
    return now_ms - state.course.heard_ms >= state.course.terms.lease_ms


def _arming_tick(state: Arming, now_ms: int) -> Step:
    if now_ms - state.since_ms >= ARMING_MAX_MS * state.terms.patience:
        return _ended(state, StopReason.NO_HANDSHAKE, "the device did not become ready"), ()
    if state.levels is not None:
        return state, (SetLevel(0, state.terms.lease_ms),)
    return state, ()


def _preflight_tick(state: Preflight, now_ms: int) -> Step:
    if now_ms - state.since_ms >= PREFLIGHT_MS:
        stop = SoftStop(StopReason.NO_FEET, "nobody put their feet on within 2 minutes")
        return _soft_stop(state, stop, now_ms)
    return state, (SetLevel(0, state.course.terms.lease_ms),)


def _running_tick(state: Running, now_ms: int) -> Step:
    course = state.course
    elapsed_ms = now_ms - state.plan_from_ms
    if elapsed_ms >= state.plan.duration_ms:
        return _soft_stop(state, SoftStop(state.goes_to), now_ms)
    wanted = setpoint_at(state.plan, elapsed_ms)
    if wanted.phase is not Phase.SOFT_END and course.motor_on_ms + SOFT_END_MS >= SITTING_MAX_MS:
        plan = end_now(state.plan, state.setpoint_permille)
        state = replace(state, plan=plan, plan_from_ms=now_ms, goes_to=StopReason.SITTING_LIMIT)
        wanted = setpoint_at(plan, 0)
    level = wanted.level_permille
    if wanted.moving_pattern and course.status.ceiling_permille < wanted.target_permille:
        level = wanted.target_permille  # a pattern's dips would keep the ceiling from being earned
    moving = wanted.moving_pattern or wanted.phase is Phase.SOFT_END
    state = replace(state, setpoint_permille=level, moving=moving)
    return state, (SetLevel(level, course.terms.lease_ms),)


def _paused_tick(state: Paused, now_ms: int) -> Step:
    course, paused_ms = state.course, now_ms - state.since_ms
    if state.link_lost_ms is not None:
        if now_ms - state.link_lost_ms >= LINK_BACK_MS * course.terms.patience:
            return Ended(course, StopReason.LINK_LOST, UNREACHABLE, output_confirmed=False), ()
        return state, ()
    if paused_ms >= PAUSE_LIMIT_MS:
        return _soft_stop(state, SoftStop(_PAUSE_ENDS[state.why], "paused for 5 minutes"), now_ms)
    if not _holds_session(state):
        return state, (GetStatus(),)
    if paused_ms > PAUSE_FALL_MS + course.terms.lease_ms and course.status.output_permille > 0:
        return _hard_stop(state, HardStop(StopReason.FAULT, PULL_THE_PLUG), now_ms)
    level = state.fall_from_permille * max(PAUSE_FALL_MS - paused_ms, 0) // PAUSE_FALL_MS
    if level < course.levels.gentlest_permille:
        level = 0
        state = replace(state, fall_from_permille=0)
    return state, (SetLevel(level, course.terms.lease_ms),)


_PAUSE_ENDS: Final = {
    PauseReason.PERSON: StopReason.PAUSED_TOO_LONG,
    PauseReason.FEET: StopReason.FEET_REMOVED,
    PauseReason.LINK_LOST: StopReason.LINK_LOST,
    PauseReason.LEASE_EXPIRED: StopReason.LEASE_EXPIRED,
}


def _holds_session(state: Paused) -> bool:
    """Whether the device still has this session, at level 0."""
    return state.why in (PauseReason.PERSON, PauseReason.FEET)


# --- answers --------------------------------------------------------------------------------------


def _answered(state: State, event: Answered, now_ms: int) -> Step:
    match state:
        case Idle() | Ended():
            return state, ()
        case Arming():
            return _arming_answered(state, event, now_ms)
        case Stopping():
            return _stop_answered(state, event, now_ms)
        case Preflight() | Running() | Paused():
            match event.reply:
                case Status() as status:
                    return _status(state, status, now_ms)
                case Nak() as nak:
                    return _refused(state, nak, now_ms)
                case Identity() as identity if isinstance(state, Paused):
                    return _found_again(state, identity, now_ms)
                case _:
                    return state, ()


def _heard(course: Course, status: Status, now_ms: int) -> Course:
    highest = max(course.highest_output_permille, status.output_permille)
    return replace(course, status=status, heard_ms=now_ms, highest_output_permille=highest)


def _status(state: Live, status: Status, now_ms: int) -> Step:
    course = _heard(state.course, status, now_ms)
    state = replace(state, course=course)
    if status.boot_id != course.identity.boot_id:
        return _ended_by_device(course, StopReason.DEVICE_RESTARTED, "the device restarted", now_ms)
    if status.end_reason != EndReason.NONE or status.state == DeviceState.LATCHED:
        return _void(state, status.end_reason, now_ms)
    if status.output_permille > level_of(course.terms.max_intensity, course.levels):
        detail = f"the output {status.output_permille} ‰ was above the person's cap"
        return _hard_stop(state, HardStop(StopReason.FAULT, detail), now_ms)
    match state:
        case Preflight() if status.feet != Feet.OFF:
            return _run(course, now_ms)
        case Running() if status.state == DeviceState.STOPPING:
            return _pause(state, PauseReason.FEET, now_ms)
        case Paused(why=PauseReason.FEET) if status.feet == Feet.ON:
            if now_ms - state.since_ms < FEET_BACK_MS and status.output_permille == 0:
                return _run(course, now_ms)
            return state, ()
        case _:
            return state, ()


def _void(state: Live, end_reason: int, now_ms: int) -> Step:
    """The device says that this session is over, and why."""
    course = state.course
    if course.status.state == DeviceState.LATCHED:
        for fault, reason, detail in _FAULTS:
            if course.status.faults & fault:
                return _ended_by_device(course, reason, detail, now_ms)
    if end_reason in (EndReason.LEASE_EXPIRED, EndReason.NONE):
        if isinstance(state, Paused) and not _holds_session(state):
            return state, ()
        if end_reason == EndReason.NONE:
            return _ended_by_device(
                course, StopReason.DEVICE_RESTARTED, "the device restarted", now_ms
            )
        return _pause(state, PauseReason.LEASE_EXPIRED, now_ms)
    reason, detail = _ENDED_BY_DEVICE.get(end_reason, _ENDED_BY_DEVICE[EndReason.FAULT])
    return _ended_by_device(course, reason, detail, now_ms)


def _refused(state: Live, nak: Nak, now_ms: int) -> Step:
    match nak.reason:
        case Reason.STALE | Reason.STOPPING:
            return state, (GetStatus(),)
        case Reason.SESSION:
            return _void(state, nak.limit, now_ms)
        case Reason.FEET if isinstance(state, Running):
            return _pause(state, PauseReason.FEET, now_ms)
        case Reason.LATCHED | Reason.RESTING | Reason.FEET:
            return state, (GetStatus(),)
        case _:
            detail = f"the device refused a setpoint ({word_of(Reason, nak.reason)})"
            return _soft_stop(state, SoftStop(StopReason.FAULT, detail), now_ms)


def _told(state: State, code: int, now_ms: int) -> Step:
    """An event is a hint to look: it may be lost, so nothing depends on it."""
    match state:
        case Running() if code == EventCode.FEET_LIFTED:
            return _pause(state, PauseReason.FEET, now_ms)
        case Preflight() | Running() | Paused() if code != EventCode.SESSION_OPENED:
            return state, (GetStatus(),)
        case _:
            return state, ()


def _unanswered(state: State, command: Command, now_ms: int) -> Step:
    match state:
        case Arming() if isinstance(command, Hello | GetLimits):
            return _ended(state, StopReason.NO_HANDSHAKE, "no massager answered"), ()
        case Paused(link_lost_ms=int()) if isinstance(command, Hello):
            return state, (Identify(),)
        case _:
            return state, ()


def _echoed(state: State) -> Step:
    if isinstance(state, Arming):
        detail = "what is sent comes back: there is an echo plug on this line, not a massager"
        return _ended(state, StopReason.NO_HANDSHAKE, detail), ()
    return state, ()


# --- the link is lost, and found again -----------------------------------------------------------


def _link_down(state: State, detail: str, now_ms: int) -> Step:
    match state:
        case Arming():
            return _ended(state, StopReason.NO_HANDSHAKE, detail), ()
        case Preflight() | Running() | Paused():
            state, _ = _lose_link(state, detail, now_ms)
            return state, ()
        case _:
            return state, ()


def _lose_link(state: Live, _detail: str, now_ms: int) -> Step:
    if isinstance(state, Paused):
        why = PauseReason.LINK_LOST if _holds_session(state) else state.why
        lost_ms = now_ms if state.link_lost_ms is None else state.link_lost_ms
        return replace(state, why=why, link_lost_ms=lost_ms), (Identify(),)
    paused, _ = _pause(state, PauseReason.LINK_LOST, now_ms)
    assert isinstance(paused, Paused)
    return replace(paused, link_lost_ms=now_ms), (Identify(),)


def _link_up(state: State) -> Step:
    match state:
        case Paused(link_lost_ms=int()):
            return state, (Identify(),)
        case Stopping(acknowledged=False, reason=StopReason.EMERGENCY):
            return state, (EmergencyStop(),)
        case Stopping(acknowledged=False):
            return state, (Stop(),)
        case _:
            return state, ()


def _found_again(state: Paused, identity: Identity, now_ms: int) -> Step:
    course = state.course
    if identity.device_id != course.identity.device_id:
        detail = f"device {identity.name} answered instead of {course.identity.name}"
        return Ended(course, StopReason.WRONG_DEVICE, detail, output_confirmed=False), ()
    if identity.boot_id != course.identity.boot_id:
        return _ended_by_device(course, StopReason.DEVICE_RESTARTED, "the device restarted", now_ms)
    course = replace(course, heard_ms=now_ms)
    return replace(state, course=course, link_lost_ms=None), (GetStatus(),)


# --- running and pausing ------------------------------------------------------------------------


def _run(course: Course, now_ms: int) -> Step:
    """Start, or go on, from the gentlest level."""
    plan = continue_session(course.choice, course.levels, course.progress, 0)
    return _running_tick(Running(course, plan, now_ms, 0), now_ms)


def _pause(state: Live, why: PauseReason, now_ms: int) -> Step:
    if isinstance(state, Running):
        course = replace(state.course, progress=_progress(state, now_ms))
        falls_from = min(state.setpoint_permille, _known_output(course, state.setpoint_permille))
        paused = Paused(course, why, now_ms, falls_from)
    elif isinstance(state, Paused):
        return replace(state, why=why), ()
    else:
        paused = Paused(state.course, why, now_ms, 0)
    if not _holds_session(paused):
        return replace(paused, fall_from_permille=0), ()
    return _paused_tick(paused, now_ms)


def _known_output(course: Course, otherwise: int) -> int:
    return course.status.output_permille or otherwise


def _progress(state: Running, now_ms: int) -> Progress:
    return progress_at(state.plan, now_ms - state.plan_from_ms)


# --- a person's requests -------------------------------------------------------------------------


def _request(
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
    if choice.intensity > state.terms.max_intensity:
        return _refuse(
            state,
            f"intensity {choice.intensity} is above your own cap of "
            f"{state.terms.max_intensity} (max_intensity in the config)",
        )
    return Arming(state.terms, choice, now_ms), (OpenSession(),)


def _pause_request(state: State, now_ms: int) -> Step:
    match state:
        case Running():
            return _pause(state, PauseReason.PERSON, now_ms)
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
        case Paused(course=course) if _holds_session(state):
            return _run(course, now_ms)
        case Paused(course=course):
            arming = Arming(course.terms, course.choice, now_ms, before=course)
            return arming, (OpenSession(),)
        case Idle() | Stopping() | Ended():
            return _refuse(state, "no session is running")


def _set_intensity(state: State, intensity: int, now_ms: int) -> Step:
    if not isinstance(state, Preflight | Running | Paused):
        return _refuse(state, "no session is running")
    course = state.course
    highest = min(INTENSITY_MAX, course.terms.max_intensity)
    if not INTENSITY_MIN <= intensity <= highest:
        return _refuse(state, f"intensity {intensity}: it must be {INTENSITY_MIN} to {highest}")
    if isinstance(state, Running) and _phase(state, now_ms) is Phase.SOFT_END:
        return _refuse(state, "the session is ending already")
    choice = replace(course.choice, intensity=intensity)
    state = replace(state, course=replace(course, choice=choice))
    if not isinstance(state, Running):
        return state, ()
    return _replan(state, _progress(state, now_ms), now_ms)


def _extend(state: State, more_ms: int, now_ms: int) -> Step:
    if not isinstance(state, Preflight | Running | Paused):
        return _refuse(state, "no session is running")
    if more_ms <= 0:
        return _refuse(state, "extend by a whole minute or more")
    if isinstance(state, Running):
        if _phase(state, now_ms) is Phase.SOFT_END:
            return _refuse(state, "the session is ending already")
        progress = _progress(state, now_ms)
    else:
        progress = state.course.progress
    left_ms = _extension_left_ms(state.course, progress)
    if more_ms > left_ms:
        return _refuse(
            state,
            f"{more_ms / 60_000:g} min more would pass the limit of "
            f"{MASSAGE_MAX_MS // 60_000} min of massage; {left_ms / 60_000:.1f} min are left",
        )
    if isinstance(state, Running):
        plan = extend_session(state.plan, now_ms - state.plan_from_ms, more_ms)
        return _running_tick(replace(state, plan=plan, plan_from_ms=now_ms), now_ms)
    progress = replace(progress, massage_left_ms=progress.massage_left_ms + more_ms)
    return replace(state, course=replace(state.course, progress=progress)), ()


def _extension_left_ms(course: Course, progress: Progress) -> int:
    """How much longer the massage may get: its own limit, and that of the sitting."""
    planned_ms = progress.massage_done_ms + progress.massage_left_ms
    to_come_ms = progress.warmup_left_ms + progress.massage_left_ms + SOFT_END_MS
    sitting_ms = SITTING_MAX_MS - course.motor_on_ms - to_come_ms
    return max(0, min(MASSAGE_MAX_MS - planned_ms, sitting_ms))


def _replan(state: Running, progress: Progress, now_ms: int) -> Step:
    course = state.course
    output = min(state.setpoint_permille, _known_output(course, state.setpoint_permille))
    plan = continue_session(course.choice, course.levels, progress, output)
    return _running_tick(replace(state, plan=plan, plan_from_ms=now_ms), now_ms)


def _phase(state: Running, now_ms: int) -> Phase:
    return setpoint_at(state.plan, now_ms - state.plan_from_ms).phase
