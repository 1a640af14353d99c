"""What a person may see of a session: one flat record made from its state, for every front end.

Nothing here is a wish: setpoint and output stand apart, and an output that the device has not
reported for 3 s is unknown (None), never 0.
"""

from dataclasses import dataclass
from typing import Any

from firmware_protocol.messages import Feet, word_of
from massager.limits import OUTPUT_UNKNOWN_MS, PAUSE_LIMIT_MS, PREFLIGHT_MS, SOFT_END_MS
from massager.plan import Progress, progress_at, setpoint_at
from massager.session.model import (
    Arming,
    Course,
    Ended,
    Idle,
    Paused,
    Preflight,
    Running,
    State,
    Stopping,
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Levels in ‰, times in ms of the controller's clock; None where it is not known."""

    phase: str  # idle, connecting, preflight, warm-up, massage, soft-end, paused, stopping, ended
    at_ms: int = 0  # when this was true
    reason: str | None = None  # why it is paused, stopping or ended
    detail: str | None = None
    device: str | None = None
    simulated: bool | None = None
    program: str | None = None
    intensity: int | None = None
    lowered_by: str | None = None  # why the intensity is lower than was chosen
    cap_ahead: str | None = None  # what will lower it before the session ends as planned
    setpoint_permille: int | None = None
    output_permille: int | None = None
    ceiling_permille: int | None = None
    time_left_ms: int | None = None  # warm-up, massage, soft end; stands still in a pause
    time_total_ms: int | None = None  # of the whole session, as it is planned now
    gives_up_in_ms: int | None = None  # a wait for feet or a pause ends the session by itself
    motor_on_ms: int = 0
    highest_output_permille: int = 0
    feet: str | None = None
    temperature_c: float | None = None
    output_confirmed: bool | None = None  # when ended: the device itself reported output 0


def snapshot(state: State, now_ms: int) -> Snapshot:
    """The record of `state` at `now_ms`."""
    match state:
        case Idle():
            return Snapshot("idle", now_ms)
        case Arming():
            return Snapshot("connecting", now_ms, intensity=state.choice.intensity)
        case Preflight(course=course):
            gives_up = max(0, state.since_ms + PREFLIGHT_MS - now_ms)
            times = _times(course, course.progress)
            return _of(
                course, now_ms, "preflight", setpoint_permille=0, gives_up_in_ms=gives_up, **times
            )
        case Running(course=course):
            elapsed_ms = now_ms - state.plan_from_ms
            times = _times(course, progress_at(state.plan, elapsed_ms))
            times["time_left_ms"] = max(0, state.plan.duration_ms - elapsed_ms)
            phase = setpoint_at(state.plan, elapsed_ms).phase.value
            return _of(course, now_ms, phase, setpoint_permille=state.setpoint_permille, **times)
        case Paused(course=course):
            return _of(
                course,
                now_ms,
                "paused",
                reason=state.why.value,
                setpoint_permille=0,
                gives_up_in_ms=max(0, state.since_ms + PAUSE_LIMIT_MS - now_ms),
                **_times(course, course.progress),
            )
        case Stopping() | Ended():
            return _of(
                state.course,
                now_ms,
                "ended" if isinstance(state, Ended) else "stopping",
                reason=state.reason.value,
                detail=state.detail,
                setpoint_permille=0,
                output_confirmed=state.output_confirmed if isinstance(state, Ended) else None,
            )


def _times(course: Course, progress: Progress) -> dict[str, int]:
    return {
        "time_left_ms": progress.warmup_left_ms + progress.massage_left_ms + SOFT_END_MS,
        "time_total_ms": course.choice.warmup_ms + progress.massage_total_ms + SOFT_END_MS,
    }


def _of(course: Course | None, now_ms: int, phase: str, **known: Any) -> Snapshot:
    if course is None:
        return Snapshot(phase, now_ms, **known)
    status = course.status
    heard = now_ms - course.heard_ms < OUTPUT_UNKNOWN_MS * course.terms.patience
    if known.get("output_confirmed") is not None:
        heard = known["output_confirmed"]
    ahead_ms = known.get("time_left_ms", 0)
    return Snapshot(
        phase,
        now_ms,
        device=course.identity.name,
        simulated=course.identity.is_simulated,
        program=course.choice.program.name,
        intensity=course.choice.intensity,
        lowered_by=course.lowered_by or None,
        cap_ahead=_cap_ahead(course, now_ms, ahead_ms),
        output_permille=status.output_permille if heard else None,
        ceiling_permille=status.ceiling_permille if heard else None,
        motor_on_ms=course.motor_on_ms,
        highest_output_permille=course.highest_output_permille,
        feet=word_of(Feet, status.feet).replace("_", " "),
        temperature_c=status.temperature_c if heard else None,
        **known,
    )


def _cap_ahead(course: Course, now_ms: int, ahead_ms: int) -> str | None:
    for cap in course.terms.caps:
        is_lower = cap.max_intensity < course.choice.intensity
        if is_lower and now_ms < cap.from_ms <= now_ms + ahead_ms:
            return cap.notice
    return None
