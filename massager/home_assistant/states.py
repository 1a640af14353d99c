"""What is to be seen of a device, as the payloads of its retained topics. Pure.

Nothing here is a wish: a value that is not known is null, and "off" is said only after the device
confirmed it. What changes all the time is coarse, or on the topic `telemetry`.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from massager.session.model import StopReason
from massager.snapshot import Snapshot

TEXT_MAX: Final = 250  # a state in Home Assistant holds 255 characters
_PROBLEM_CONNECTIONS: Final = ("away", "wrong", "in use")
_TIMED_PHASES: Final = ("warm-up", "massage", "soft-end")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the next start begins with."""

    intensity: int
    minutes: float
    warmup: float
    program: str


@dataclass(frozen=True, slots=True)
class View:
    """Everything about a device at one moment. Moments are ISO 8601 or None."""

    snapshot: Snapshot
    speed: int
    in_session: bool
    is_known_to_be_off: bool
    connection: str
    connection_reason: str | None
    latched: tuple[str, ...]
    feet: str | None  # `on`, `off`, `no sensor`, None: not known
    chosen: Chosen
    remote_start: str | None
    armed_until: str | None
    ends_at: str | None
    rest_until: str | None
    minutes_today: int | None
    minutes_left: int | None
    last_error: str | None


def state_payload(view: View) -> bytes:
    """For the topic `state`."""
    return json.dumps(state_of(view), ensure_ascii=False).encode()


def state_of(view: View) -> dict[str, Any]:
    """The payload as a table; every key is there, always."""
    now = view.snapshot
    problems = problems_of(view)
    intensity = now.intensity if view.in_session and now.intensity else view.chosen.intensity
    is_paused = now.phase == "paused"
    return {
        "phase": now.phase,
        "running": _running(view),
        "problem": bool(problems),
        "problems": [_cut(problem) for problem in problems],
        "feet": {"on": True, "off": False}.get(view.feet or ""),
        "intensity": intensity,
        "cap": _cut(now.lowered_by or now.cap_ahead) if view.in_session else None,
        "minutes": view.chosen.minutes,
        "warmup": view.chosen.warmup,
        "program": view.chosen.program,
        "session_program": now.program if view.in_session else None,
        "ends_at": view.ends_at,
        "time_left": time_left_min(view),
        "pause_reason": now.reason if is_paused else None,
        "stop_reason": None if is_paused else now.reason,
        "stop_detail": _cut(now.detail) if now.detail and not is_paused else None,
        "minutes_today": view.minutes_today,
        "minutes_left": view.minutes_left,
        "rest_until": view.rest_until,
        "connection": view.connection,
        "connection_reason": _cut(view.connection_reason),
        "remote_start": view.remote_start,
        "armed_until": view.armed_until,
        "last_error": _cut(view.last_error),
        "simulated": now.simulated,
    }


def telemetry_payload(view: View) -> bytes:
    """For the topic `telemetry`."""
    now = view.snapshot
    return json.dumps(
        {
            "setpoint_permille": now.setpoint_permille if view.in_session else 0,
            "output_permille": _output(view),
            "temperature_c": now.temperature_c,
        }
    ).encode()


def problems_of(view: View) -> list[str]:
    """What a person should look after, in words."""
    found = [f"latched: {words}" for words in view.latched]
    if view.connection in _PROBLEM_CONNECTIONS:
        found.append(f"{view.connection}: {view.connection_reason or 'the device is not reached'}")
    if not view.in_session and not view.is_known_to_be_off:
        found.append("the device has not confirmed that the motor is off; look after it")
    return found


def time_left_min(view: View) -> int | None:
    """Whole minutes, rounded up; None where no time runs."""
    left_ms = view.snapshot.time_left_ms
    if left_ms is None or view.snapshot.phase not in (*_TIMED_PHASES, "paused", "preflight"):
        return None
    return -(-left_ms // (60_000 * view.speed))


def has_end(snapshot: Snapshot) -> bool:
    """Whether the session ends at a time that is known: its clock runs."""
    return snapshot.phase in _TIMED_PHASES and snapshot.time_left_ms is not None


def event_of_end(reason: str) -> str:
    """Which event an end is."""
    if reason == StopReason.COMPLETED:
        return "finished"
    if reason in (StopReason.REQUESTED, StopReason.EMERGENCY):
        return "stopped"
    return "aborted"


def _running(view: View) -> bool | None:
    """Whether a session is in progress; None where one ended and the motor may still turn."""
    if view.in_session or view.snapshot.phase == "stopping":
        return True
    return False if view.is_known_to_be_off else None


def _output(view: View) -> int | None:
    if view.in_session or view.snapshot.phase == "stopping":
        return view.snapshot.output_permille
    return 0 if view.is_known_to_be_off else None


def _cut(text: str | None) -> str | None:
    """One line of at most 250 characters."""
    if text is None:
        return None
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= TEXT_MAX else line[: TEXT_MAX - 1] + "…"
