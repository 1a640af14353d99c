"""What Home Assistant is told, against its rules as they are documented."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from massager.errors import ConfigError
from massager.home_assistant.broker import parse_broker_url
from massager.home_assistant.discovery import Announced, Announcer, config_of, config_payload
from massager.home_assistant.entities import (
    CONNECTIONS,
    ENTITIES,
    PHASES,
    REMOTE_STARTS,
    REMOVED,
    STOP_REASONS,
)
from massager.home_assistant.topics import NodeTopics, node_of
from massager.session.model import StopReason
from tests.home_assistant_rules import mistakes

NODE = NodeTopics("attic")
DEVICE = Announced("foot-1", "massager", ("bedtime", "classic"), True, 1, False)


def table(device: Announced = DEVICE, **node: str) -> dict[str, Any]:
    return config_of(device, NodeTopics("attic", **node), Announcer("1.2.3"))


@pytest.mark.parametrize("feet", [True, False, None])
def test_home_assistant_takes_the_whole_announcement(feet: bool | None) -> None:
    device = Announced("foot-1", "bedroom", ("classic",), feet)
    payload = config_payload(device, NODE, Announcer("1.2.3", "https://example.org/help"))
    assert mistakes("homeassistant/device/massager_foot-1/config", payload) == []
    assert len(payload) < 16_384


def test_nothing_that_is_stable_comes_from_a_name() -> None:
    one = table(Announced("foot-1", "bedroom", ("classic",)))
    other = table(Announced("foot-1", "attic", ("classic",)))
    assert one["device"]["identifiers"] == other["device"]["identifiers"] == ["massager_foot-1"]
    ids = [
        {key: row["unique_id"] for key, row in each["components"].items()} for each in (one, other)
    ]
    assert ids[0] == ids[1]
    assert ids[0]["phase"] == "massager_foot-1_phase"


def test_availability_is_the_daemons_life_and_nothing_else() -> None:
    found = table()
    assert [each["topic"] for each in found["availability"]] == [
        "massager/daemon-attic/availability"
    ]
    assert found["availability_mode"] == "all"
    assert not any("availability" in key for row in found["components"].values() for key in row)


def test_every_command_that_may_raise_a_level_says_when_it_was_made_and_none_is_retained() -> None:
    for row in table()["components"].values():
        if "command_topic" not in row:
            continue
        assert row["retain"] is False
        command = row.get("command_template") or row["payload_press"]
        if row["command_topic"].endswith("/stop"):
            assert command in ("stop", "emergency")
        elif "pause" not in command:
            assert '"at":"{{ now().isoformat() }}"' in command
        assert "states(" not in command  # a rename would break it


def test_a_device_without_a_feet_sensor_has_no_feet() -> None:
    device = Announced("foot-1", "massager", ("classic",), has_feet_sensor=False)
    assert table(device)["components"]["feet"] == {"platform": "binary_sensor"}


def test_what_is_no_longer_there_is_taken_away() -> None:
    assert not set(REMOVED) & {row.key for row in ENTITIES}


def test_the_words_are_those_of_the_program() -> None:
    components = table()["components"]
    assert components["phase"]["options"] == [
        *("idle", "connecting", "preflight", "warm-up", "massage", "soft-end"),
        *("paused", "stopping", "ended"),
    ]
    assert components["phase"]["options"] == list(PHASES)
    assert set(components["stop_reason"]["options"]) == {reason.value for reason in StopReason}
    assert len(STOP_REASONS) == len(set(STOP_REASONS))
    assert components["connection"]["options"] == list(CONNECTIONS)
    assert components["remote_start"]["options"] == list(REMOTE_STARTS)
    assert components["program"]["options"] == ["bedtime", "classic"]
    numbers = components["intensity"]
    assert (numbers["min"], numbers["max"], numbers["step"]) == (1, 10, 1)


def test_prefixes_are_as_configured() -> None:
    found = table(prefix="home/feet")
    topics = {
        row[key] for row in found["components"].values() for key in row if key.endswith("topic")
    }
    assert all(topic.startswith("home/feet/foot-1/") for topic in topics)
    assert (
        NodeTopics("attic", discovery_prefix="ha").of("x").config == "ha/device/massager_x/config"
    )


@pytest.mark.parametrize(
    ("host", "node"),
    [
        ("Pi.local", "Pi"),
        ("my host", "my-host"),
        ("x", "massager"),
        ("", "massager"),
        ("é", "massager"),
    ],
)
def test_a_daemon_is_called_by_its_host(host: str, node: str) -> None:
    assert node_of(host) == node


def components(key: str, **changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda found: found["components"][key].update(changes)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda found: found.update(nonsense=1), "top: unknown key nonsense"),
        (lambda found: found["device"].update(via=1), "device: unknown key via"),
        (lambda found: found["origin"].update(url=1), "origin: unknown key url"),
        (components("start", object_id="x"), "start: unknown key object_id"),
        (components("phase", options=[]), "phase: an enum has options and no unit"),
        (components("stop", unique_id="massager_foot-1_start"), "stop: unique_id twice"),
        (components("stop", default_entity_id="x"), "stop: default_entity_id without its domain"),
        (components("start", retain=True), "start: a retained command"),
    ],
)
def test_the_judge_finds_what_home_assistant_would_not_take(
    change: Callable[[dict[str, Any]], None], found: str
) -> None:
    changed = table()
    change(changed)
    topic = "homeassistant/device/massager_foot-1/config"
    assert mistakes(topic, json.dumps(changed).encode()) == [found]


@pytest.mark.parametrize("url", ["mqtt://a..b", "mqtt://me@" + 64 * "x"])
def test_a_broker_whose_name_no_host_can_have_is_said_at_the_start(url: str) -> None:
    with pytest.raises(ConfigError, match="no name of a host"):
        parse_broker_url(url)
