"""`massager ha remove`: takes what was announced away from the broker, for good.

What is retained on the broker tells what there is, so a device that is no longer configured is
found, too. Only what a daemon of this project has announced, with this prefix, is touched.
"""

import asyncio
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import aiomqtt

from massager.home_assistant.broker import BrokerUrl, connected, subscribe
from massager.home_assistant.discovery import ANNOUNCED_BY
from massager.home_assistant.topics import ONLINE, NodeTopics
from massager.transports.interface import Settings

_QUIET_S: Final = 0.5  # nothing came for so long: the broker has said all that it holds


@dataclass(frozen=True, slots=True)
class Removed:
    """What was taken away."""

    devices: tuple[str, ...]
    topics: int
    still_alive: tuple[str, ...]  # daemons whose devices come back unless they are ended


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which devices: of this daemon and these ids, or every one there is."""

    ids: tuple[str, ...] = ()
    every_daemon: bool = False


async def remove(url: BrokerUrl, access: Settings, node: NodeTopics, wanted: Wanted) -> Removed:
    """Clear the retained topics of every wanted device. Raises NoDevice in words."""
    held = await _held(url, access, node)
    devices = {
        device: table
        for topic, payload in held.items()
        if (device := _device_of(topic, node)) and (table := _announced(payload, node))
        if _is_wanted(device, table, node, wanted)
    }
    # Also what lies there of a device whose announcement is gone already.
    names = {*devices, *wanted.ids}
    topics = [
        topic for device in sorted(names) for topic in node.of(device).retained if topic in held
    ]
    daemons = {str(_availability(table)) for table in devices.values()}
    if not wanted.ids:
        daemons.add(node.availability)
    alive = tuple(sorted(each for each in daemons if held.get(each) == ONLINE.encode()))
    if not wanted.ids:
        left = [each for each in sorted(daemons) if each in held and each not in alive]
        topics += left
        topics += [
            schema for each in left if (schema := each.rpartition("/")[0] + "/schema") in held
        ]
    async with connected(url, access, _name(), lambda _: None) as client:
        for topic in topics:
            await client.publish(topic, b"", qos=1, retain=True)
    return Removed(tuple(sorted(devices)), len(topics), alive)


async def _held(url: BrokerUrl, access: Settings, node: NodeTopics) -> dict[str, bytes]:
    """Every retained message that may be ours."""
    held: dict[str, bytes] = {}
    news = asyncio.Event()

    def take(message: aiomqtt.Message) -> None:
        if message.retain and message.payload:
            held[message.topic.value] = message.payload
            news.set()

    async with connected(url, access, _name(), take) as client:
        topics = (f"{node.discovery_prefix}/device/+/config", f"{node.prefix}/+/+")
        await subscribe(client, url, topics, tell_retained=False)
        with suppress(TimeoutError):
            while True:
                news.clear()
                async with asyncio.timeout(_QUIET_S):
                    await news.wait()
    return held


def _device_of(topic: str, node: NodeTopics) -> str | None:
    before, after = node.config("\0").split("\0")
    if topic.startswith(before) and topic.endswith(after):
        return topic[len(before) : -len(after)]
    return None


def _announced(payload: bytes, node: NodeTopics) -> dict[str, Any] | None:
    """The announcement, if a daemon of this project with this prefix has made it."""
    try:
        table: dict[str, Any] = json.loads(payload)
        is_ours = table["origin"]["name"] == ANNOUNCED_BY
        return table if is_ours and _availability(table).startswith(f"{node.prefix}/") else None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return None


def _availability(table: Mapping[str, Any]) -> str:
    return str(table["availability"][0]["topic"])


def _is_wanted(device: str, table: Mapping[str, Any], node: NodeTopics, wanted: Wanted) -> bool:
    if wanted.ids:
        return device in wanted.ids
    return wanted.every_daemon or _availability(table) == node.availability


def _name() -> str:
    return f"massager-remove-{secrets.token_hex(4)}"
