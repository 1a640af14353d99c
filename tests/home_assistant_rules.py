"""What Home Assistant takes, as far as this project uses it: a judge of announcements and states.

From its documentation and its own schemas (2025.4 to 2026.11): an unknown key at the top, in
`device` or in `origin` refuses the whole payload; one in a component is dropped without a word, so
here it is a mistake as well.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

TOP: Final = {"device", "origin", "components", "availability", "availability_mode", "qos"}
DEVICE: Final = {
    *("identifiers", "name", "manufacturer", "model", "serial_number", "sw_version", "hw_version"),
}
ORIGIN: Final = {"name", "sw_version", "support_url"}
COMMON: Final = {
    *("platform", "unique_id", "name", "default_entity_id", "icon"),
    *("entity_category", "enabled_by_default", "json_attributes_topic", "json_attributes_template"),
}
_READ: Final = {"state_topic", "value_template"}
_WRITTEN: Final = {"command_topic", "command_template", "retain"}
COMPONENTS: Final = {
    "button": _WRITTEN | {"payload_press"},
    "number": _READ | _WRITTEN | {"min", "max", "step", "mode", "unit_of_measurement"},
    "select": _READ | _WRITTEN | {"options"},
    "sensor": _READ | {"device_class", "options", "unit_of_measurement"},
    "binary_sensor": _READ | {"device_class", "payload_on", "payload_off"},
    "event": {"state_topic", "event_types"},
}
REQUIRED: Final = {
    "button": {"command_topic"},
    "number": {"command_topic", "state_topic"},
    "select": {"command_topic", "state_topic", "options"},
    "sensor": {"state_topic"},
    "binary_sensor": {"state_topic"},
    "event": {"state_topic", "event_types"},
}
DEVICE_CLASSES: Final = {
    "sensor": {"enum", "timestamp", "duration", "temperature"},
    "binary_sensor": {"running", "problem", "occupancy"},
}
UNITS: Final = {"duration": {"d", "h", "min", "s", "ms"}, "temperature": {"°C", "°F", "K"}}
_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")


def mistakes(topic: str, payload: bytes, prefix: str = "homeassistant") -> list[str]:
    """All that Home Assistant would refuse, drop or complain of; empty: it is fine."""
    matched = re.fullmatch(rf"{re.escape(prefix)}/device/([^/]+)/config", topic)
    if not matched or not _ID.fullmatch(matched[1]):
        return [f"topic {topic}"]
    table = json.loads(payload)
    return [*_top(table), *_components(table)]


def _top(table: dict[str, Any]) -> Iterator[str]:
    for place, keys, known in (
        ("top", table, TOP),
        ("device", table["device"], DEVICE),
        ("origin", table["origin"], ORIGIN),
    ):
        yield from (f"{place}: unknown key {key}" for key in sorted(set(keys) - known))
    if not table["device"].get("identifiers"):
        yield "device: no identifier"
    if "name" not in table["origin"]:
        yield "origin: no name"
    if table.get("availability_mode") not in ("all", "any", "latest"):
        yield "availability_mode"
    if not all(entry.get("topic") for entry in table.get("availability", [])):
        yield "availability without a topic"


def _components(table: dict[str, Any]) -> Iterator[str]:
    seen: set[str] = set()
    names: set[tuple[str, str]] = set()
    for key, component in table["components"].items():
        if set(component) == {"platform"}:  # taken away
            if component["platform"] not in COMPONENTS:
                yield f"{key}: platform {component['platform']}"
            continue
        yield from (f"{key}: {text}" for text in _component(component, table["device"]["name"]))
        if component.get("unique_id") in seen:
            yield f"{key}: unique_id twice"
        seen.add(component.get("unique_id"))
        if (component["platform"], component["name"]) in names:
            yield f"{key}: name twice"
        names.add((component["platform"], component["name"]))


def _component(table: dict[str, Any], device_name: str) -> Iterator[str]:
    platform = table.get("platform", "")
    if platform not in COMPONENTS:
        yield f"platform {platform}"
        return
    yield from (f"unknown key {key}" for key in sorted(set(table) - COMMON - COMPONENTS[platform]))
    yield from (f"{key} is missing" for key in sorted(REQUIRED[platform] - set(table)))
    if not table.get("unique_id"):
        yield "no unique_id"
    if not str(table.get("default_entity_id", "")).startswith(f"{platform}."):
        yield "default_entity_id without its domain"
    if device_name.lower() in str(table.get("name", "")).lower():
        yield "the device's name is in its name"
    if "retain" in table and table["retain"] is not False:
        yield "a retained command"
    if table.get("entity_category") not in (None, "config", "diagnostic"):
        yield "entity_category"
    if table.get("entity_category") == "config" and platform in ("sensor", "binary_sensor"):
        yield "a sensor is no setting"
    yield from _device_class(table, platform)
    if platform == "number" and not table["min"] < table["max"]:
        yield "min and max"
    if platform == "button" and not {"payload_press", "command_template"} & set(table):
        yield "a press says nothing"


def _device_class(table: dict[str, Any], platform: str) -> Iterator[str]:
    kind, unit = table.get("device_class"), table.get("unit_of_measurement")
    if kind is not None and kind not in DEVICE_CLASSES.get(platform, ()):
        yield f"device_class {kind}"
    if kind == "enum" and (not table.get("options") or unit is not None):
        yield "an enum has options and no unit"
    if kind in UNITS and unit not in UNITS[kind]:
        yield f"{kind} in {unit}"
    if kind in ("timestamp", "enum") and unit is not None:
        yield f"{kind} with a unit"
    if platform == "sensor" and kind != "enum" and "options" in table:
        yield "options without enum"
