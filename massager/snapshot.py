"""What a person may see of a session: one flat record made from its state, for every front end.

Nothing here is a wish: setpoint and output stand apart, and an output that the device has not
reported for 3 s is unknown (None), never 0.
"""

from dataclasses import dataclass
from typing import Any

from firmware_protocol.messages import Feet, word_of
from massager.limits import OUTPUT_UNKNOWN_MS
from massager.plan import Progress, setpoint_at
from massager.session_model import (
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
    reason: str | None = None  # why it is paused, stopping or ended
    detail: str | None = None
    device: str | None = None
    simulated: bool | None = None
    program: str | None = None
    intensity: int | None = None
    setpoint_permille: int | None = None
    output_permille: int | None = None
    ceiling_permille: int | None = None
    time_left_ms: int | None = None  # massage time and soft end; stands still in a pause
    motor_on_ms: int = 0
    highest_output_permille: int = 0
    feet: str | None = None
    temperature_c: float | None = None
    output_confirmed: bool | None = None  # when ended: the device itself reported output 0


def snapshot(state: State, now_ms: int) -> Snapshot:
    """The record of `state` at `now_ms`."""
    match state:
        case Idle():
            return Snapshot("idle")
        case Arming():
            return Snapshot("connecting", intensity=state.choice.intensity)
        case Preflight():
            left_ms = _left_ms(state.course.progress)
            return _of(state.course, now_ms, "preflight", setpoint_permille=0, time_left_ms=left_ms)
        case Running():
            elapsed_ms = now_ms - state.plan_from_ms
            return _of(
                state.course,
                now_ms,
                setpoint_at(state.plan, elapsed_ms).phase.value,
                setpoint_permille=state.setpoint_permille,
                time_left_ms=max(0, state.plan.duration_ms - elapsed_ms),
            )
        case Paused():
            return _of(
                state.course,
                now_ms,
                "paused",
                reason=state.why.value,
                setpoint_permille=0,
                time_left_ms=_left_ms(state.course.progress),
            )
        case Stopping():
            return _of(
                state.course,
                now_ms,
                "stopping",
                reason=state.reason.value,
                detail=state.detail,
                setpoint_permille=0,
            )
        case Ended():
            return _of(
                state.course,
                now_ms,
                "ended",
                reason=state.reason.value,
                detail=state.detail,
                setpoint_permille=0,
                output_confirmed=state.output_confirmed,
            )


def _left_ms(progress: Progress) -> int:
    return progress.warmup_left_ms + progress.massage_left_ms


def _of(course: Course | None, now_ms: int, phase: str, **known: Any) -> Snapshot:
    if course is None:
        return Snapshot(phase, **known)
    status = course.status
    heard = now_ms - course.heard_ms < OUTPUT_UNKNOWN_MS * course.terms.patience
    if known.get("output_confirmed") is not None:
        heard = known["output_confirmed"]
    return Snapshot(
        phase,
        device=course.identity.name,
        simulated=course.identity.is_simulated,
        program=course.choice.program.name,
        intensity=course.choice.intensity,
        output_permille=status.output_permille if heard else None,
        ceiling_permille=status.ceiling_permille if heard else None,
        motor_on_ms=course.motor_on_ms,
        highest_output_permille=course.highest_output_permille,
        feet=word_of(Feet, status.feet).replace("_", " "),
        temperature_c=status.temperature_c if heard else None,
        **known,
    )
