"""What Home Assistant shows of a device: ONE table, a row an entity. Pure.

A state is read from a retained topic by a template, never assumed. What may raise a level carries
`at`, the moment it was asked (`now()`), so that it cannot come again later. Rows that no longer
exist stay in REMOVED with their component, so that Home Assistant takes them away.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from massager.limits import (
    INTENSITY_MAX,
    INTENSITY_MIN,
    MASSAGE_MAX_MS,
    MASSAGE_MIN_MS,
    WARMUP_MAX_MS,
    WARMUP_MIN_MS,
)
from massager.session.model import PauseReason, StopReason

PHASES: Final = (
    *("idle", "connecting", "preflight", "warm-up", "massage", "soft-end"),
    *("paused", "stopping", "ended"),
)
CONNECTIONS: Final = ("unknown", "connected", "away", "wrong", "in use")
STOP_REASONS: Final = tuple(reason.value for reason in StopReason)
PAUSE_REASONS: Final = tuple(reason.value for reason in PauseReason)
EVENTS: Final = ("started", "finished", "stopped", "refused", "aborted")
REMOTE_STARTS: Final = ("feet", "direct", "armed")
_CONFIG: Final = {"entity_category": "config"}
_DIAGNOSTIC: Final = {"entity_category": "diagnostic"}
_CHATTY: Final = {**_DIAGNOSTIC, "enabled_by_default": False}
_AT: Final = '"at":"{{ now().isoformat() }}"'


@dataclass(frozen=True, slots=True)
class Entity:
    """One row. `options` are Home Assistant's own; topics are filled in by discovery.py."""

    key: str
    component: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    state: str | None = None  # a template over state_from
    state_from: str = "state"  # the topic, as DeviceTopics calls it
    command: str | None = None  # a template
    command_to: str = "command"
    attributes: str | None = None  # a template over the state's topic
    needs_feet_sensor: bool = False


def _of(key: str) -> str:
    return f"{{{{ value_json.{key} }}}}"


def _percent(key: str) -> str:
    return f"{{{{ value_json.{key} / 10 if value_json.{key} is number else none }}}}"


def _button(key: str, name: str, icon: str, command: str, **more: Any) -> Entity:
    return Entity(key, "button", name, {"icon": icon, **more}, command=command)


def _stop(key: str, name: str, icon: str, word: str) -> Entity:
    return Entity(key, "button", name, {"icon": icon}, command=word, command_to="stop")


def _number(key: str, name: str, bounds: tuple[int, int], step: float, **more: Any) -> Entity:
    low, high = bounds
    options = {"min": low, "max": high, "step": step, **more}
    command = f'{{"action":"set","{key}":{{{{ value }}}},{_AT}}}'
    return Entity(key, "number", name, options, state=_of(key), command=command)


def _sensor(key: str, name: str, **options: Any) -> Entity:
    return Entity(key, "sensor", name, options, state=_of(key))


def _enum(key: str, name: str, words: tuple[str, ...], **options: Any) -> Entity:
    return _sensor(key, name, device_class="enum", options=list(words), **options)


def _binary(key: str, name: str, device_class: str, **more: Any) -> Entity:
    options = {"device_class": device_class, "payload_on": "True", "payload_off": "False"}
    return Entity(key, "binary_sensor", name, options, state=_of(key), **more)


def _measured(key: str, name: str, state: str, **options: Any) -> Entity:
    return Entity(key, "sensor", name, {**_CHATTY, **options}, state=state, state_from="telemetry")


ENTITIES: Final = (
    _button("start", "Start", "mdi:play", f'{{"action":"start",{_AT}}}'),
    _button("pause", "Pause", "mdi:pause", '{"action":"pause"}'),
    _button("resume", "Resume", "mdi:play-pause", f'{{"action":"resume",{_AT}}}'),
    _stop("stop", "Stop", "mdi:stop", "stop"),
    _stop("emergency_stop", "Emergency stop", "mdi:alert-octagon", "emergency"),
    _button(
        "extend", "One minute more", "mdi:timer-plus", f'{{"action":"extend","minutes":1,{_AT}}}'
    ),
    _button(
        "clear",
        "Clear emergency stop",
        "mdi:lock-open-check",
        f'{{"action":"clear",{_AT}}}',
        **_CONFIG,
    ),
    _number(
        "intensity",
        "Intensity",
        (INTENSITY_MIN, INTENSITY_MAX),
        1,
        mode="slider",
        icon="mdi:vibrate",
    ),
    _number(
        "minutes",
        "Minutes",
        (MASSAGE_MIN_MS // 60_000, MASSAGE_MAX_MS // 60_000),
        0.5,
        unit_of_measurement="min",
        icon="mdi:timer",
        **_CONFIG,
    ),
    _number(
        "warmup",
        "Warm-up",
        (WARMUP_MIN_MS // 1000, WARMUP_MAX_MS // 1000),
        5,
        unit_of_measurement="s",
        icon="mdi:timer-sand",
        **_CONFIG,
    ),
    Entity(
        "program",
        "select",
        "Program",
        {"icon": "mdi:sine-wave", **_CONFIG},
        state=_of("program"),
        command=f'{{"action":"set","program":{{{{ value | to_json }}}},{_AT}}}',
    ),
    Entity(
        "phase",
        "sensor",
        "Phase",
        {"device_class": "enum", "options": list(PHASES), "icon": "mdi:foot-print"},
        state=_of("phase"),
        # By these the blueprints find this entity and decide, whatever a person calls it.
        attributes="{{ {'massager': 'phase', 'minutes_left': value_json.minutes_left,"
        " 'rest_until': value_json.rest_until, 'cap': value_json.cap} | to_json }}",
    ),
    _sensor("ends_at", "Ends at", device_class="timestamp"),
    _sensor("time_left", "Time left", device_class="duration", unit_of_measurement="min"),
    _enum("stop_reason", "Stop reason", STOP_REASONS, icon="mdi:help-circle-outline"),
    _sensor(
        "minutes_today",
        "Minutes in the last 24 hours",
        device_class="duration",
        unit_of_measurement="min",
    ),
    _sensor("rest_until", "Rest until", device_class="timestamp"),
    _binary("running", "Running", "running"),
    _binary(
        "problem",
        "Problem",
        "problem",
        attributes="{{ {'problems': value_json.problems} | to_json }}",
    ),
    _binary("feet", "Feet", "occupancy", needs_feet_sensor=True),
    _enum("connection", "Connection", CONNECTIONS, icon="mdi:usb-port", **_DIAGNOSTIC),
    _sensor("last_error", "Last error", icon="mdi:message-alert-outline", **_DIAGNOSTIC),
    _enum("remote_start", "Remote start", REMOTE_STARTS, icon="mdi:shield-check", **_DIAGNOSTIC),
    _sensor("armed_until", "Armed until", device_class="timestamp", **_DIAGNOSTIC),
    _enum("pause_reason", "Pause reason", PAUSE_REASONS, icon="mdi:pause-circle", **_CHATTY),
    _measured("setpoint", "Setpoint", _percent("setpoint_permille"), unit_of_measurement="%"),
    _measured("output", "Output", _percent("output_permille"), unit_of_measurement="%"),
    _measured(
        "temperature",
        "Motor temperature",
        _of("temperature_c"),
        device_class="temperature",
        unit_of_measurement="°C",
    ),
    Entity("session", "event", "Session", {"event_types": list(EVENTS), "icon": "mdi:bell"}),
)

REMOVED: Final[Mapping[str, str]] = {}  # key → component, of rows that were here in a release
