"""A device as Home Assistant is told of it: one payload with everything. Pure.

Home Assistant refuses the whole payload for an unknown key at the top, in `device` or in `origin`,
and silently drops one in a component: so nothing is added there that it may not know.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from massager.config.devices import NAME_DEFAULT
from massager.home_assistant.entities import ENTITIES, REMOVED, Entity
from massager.home_assistant.topics import OFFLINE, ONLINE, DeviceTopics, NodeTopics

ANNOUNCED_BY: Final = "massager"
MANUFACTURER: Final = "massager"
MODEL: Final = "Foot massager"
_NOT_IN_AN_ENTITY_ID: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Announcer:
    """Who announces."""

    version: str
    support_url: str | None = None


@dataclass(frozen=True, slots=True)
class Announced:
    """A device to announce. `id` never changes; `name` is what the config calls it."""

    id: str
    name: str
    programs: Sequence[str]
    has_feet_sensor: bool | None = None
    model_number: int | None = None
    is_simulated: bool | None = None

    @property
    def title(self) -> str:
        """What Home Assistant calls it, until somebody renames it there."""
        return MODEL if self.name == NAME_DEFAULT else f"{MODEL} {self.name}"


def config_payload(device: Announced, node: NodeTopics, origin: Announcer) -> bytes:
    """What is published, retained, on the topic `config` of the device."""
    return json.dumps(config_of(device, node, origin), ensure_ascii=False).encode()


def config_of(device: Announced, node: NodeTopics, origin: Announcer) -> dict[str, Any]:
    """The payload as a table."""
    topics = node.of(device.id)
    components: dict[str, Any] = {
        row.key: _component(row, device, topics) for row in ENTITIES if _is_there(row, device)
    }
    gone = [(row.key, row.component) for row in ENTITIES if row.key not in components]
    for key, component in (*gone, *REMOVED.items()):
        components[key] = {"platform": component}
    return {
        "device": _device(device, origin),
        "origin": _origin(origin),
        "availability": [
            {
                "topic": node.availability,
                "payload_available": ONLINE,
                "payload_not_available": OFFLINE,
            }
        ],
        "availability_mode": "all",
        "qos": 1,
        "components": components,
    }


def _is_there(row: Entity, device: Announced) -> bool:
    return not row.needs_feet_sensor or device.has_feet_sensor is not False


def _device(device: Announced, origin: Announcer) -> dict[str, Any]:
    simulated = " (simulated)" if device.is_simulated else ""
    found: dict[str, Any] = {
        "identifiers": [f"massager_{device.id}"],
        "name": device.title,
        "manufacturer": MANUFACTURER,
        "model": MODEL + simulated,
        "serial_number": device.id,
        "sw_version": origin.version,
    }
    if device.model_number is not None:
        found["hw_version"] = str(device.model_number)
    return found


def _origin(origin: Announcer) -> dict[str, str]:
    found = {"name": ANNOUNCED_BY, "sw_version": origin.version}
    if origin.support_url is not None:
        found["support_url"] = origin.support_url
    return found


def _component(row: Entity, device: Announced, topics: DeviceTopics) -> dict[str, Any]:
    slug = _NOT_IN_AN_ENTITY_ID.sub("_", device.title.lower()).strip("_")
    found: dict[str, Any] = {
        "platform": row.component,
        "unique_id": f"massager_{device.id}_{row.key}",
        "name": row.name,
        "default_entity_id": f"{row.component}.{slug}_{row.key}",
        **row.options,
    }
    if row.component == "select":
        found["options"] = list(device.programs)
    if row.component == "event":
        found["state_topic"] = topics.event
    if row.state is not None:
        found["state_topic"] = getattr(topics, row.state_from)
        found["value_template"] = row.state
    if row.attributes is not None:
        found["json_attributes_topic"] = getattr(topics, row.state_from)
        found["json_attributes_template"] = row.attributes
    if row.command is not None:
        found["command_topic"] = getattr(topics, row.command_to)
        found["retain"] = False
        if "{{" in row.command or row.component != "button":
            found["command_template"] = row.command
        else:
            found["payload_press"] = row.command
    return found
