"""One connection to the broker, in MQTT 5. Knows no topics.

MQTT 5 for three things: a message that was published with `retain` says so even when it comes live,
what a client says itself need not come back to it, and the broker keeps what is larger than 64 KiB
to itself. Sessions are clean: nothing is queued
while nobody listens.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from massager.errors import BrokerRefused, ConfigError
from massager.transports.interface import Settings
from massager.transports.mqtt_client import (
    NODELAY,
    SILENT,
    SUBSCRIBE_FAILED,
    Client,
    Inbox,
    Place,
    explain,
    let_go,
    tls_context,
)

PACKET_MAX_BYTES: Final = 65_536  # a discovery payload, heard again, is the longest: 12 KiB
_ANSWER_S: Final = 5.0
_KEEPALIVE_S: Final = 20
_GIVE_UP_S: Final = 0.3

Take = Callable[[aiomqtt.Message], None]


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """A broker: `mqtt://user@host:1883` or `mqtts://…`."""

    host: str
    port: int
    user: str | None = None
    tls: bool = False

    def __str__(self) -> str:
        scheme, usual = ("mqtts", 8883) if self.tls else ("mqtt", 1883)
        user = "" if self.user is None else f"{self.user}@"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{user}{host}" + ("" if self.port == usual else f":{self.port}")


def parse_broker_url(text: str) -> BrokerUrl:
    """What the config says, whose form it has checked. Raises ConfigError for the rest of it."""
    parts = urlsplit(text)
    tls = parts.scheme == "mqtts"
    try:
        port = parts.port or (8883 if tls else 1883)
    except ValueError:
        raise ConfigError(f"mqtt.broker {text}: a port is a number from 1 to 65535") from None
    try:
        (parts.hostname or "").encode("idna")  # as whoever looks the name up would
    except UnicodeError:
        raise ConfigError(f"mqtt.broker {text}: that is no name of a host") from None
    user = unquote(parts.username) if parts.username else None
    return BrokerUrl(parts.hostname or "", port, user, tls)


@asynccontextmanager
async def connected(
    url: BrokerUrl,
    settings: Settings,
    identifier: str,
    take: Take,
    will: aiomqtt.Will | None = None,
) -> AsyncIterator[aiomqtt.Client]:
    """A client that hands every message to `take` at once.

    Raises NoDevice in words where it cannot be had, and MqttError from inside once it is lost.
    """
    user = url.user or settings.mqtt_username
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = PACKET_MAX_BYTES
    tls = await asyncio.to_thread(tls_context, settings) if url.tls else None
    client = Client(
        url.host,
        url.port,
        username=user,
        password=settings.mqtt_password,
        identifier=identifier,
        queue_type=cast(type[asyncio.Queue[aiomqtt.Message]], partial(Inbox, take)),
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=True,
        properties=properties,
        keepalive=_KEEPALIVE_S,
        timeout=_ANSWER_S,
        tls_context=tls,
        will=will,
        socket_options=[NODELAY],
        logger=SILENT,
    )
    try:
        try:
            await _enter(client)
        except (aiomqtt.MqttError, OSError, UnicodeError) as error:
            place = Place(str(url), url.host, url.port, url.tls, user)
            raise explain(place, error) from None
        try:
            yield client
        except BaseException as error:
            await client.__aexit__(type(error), error, error.__traceback__)
            raise
        await client.__aexit__(None, None, None)
    finally:
        await let_go(client)


async def _enter(client: aiomqtt.Client) -> None:
    """Connect. A thread does it, which cannot be cancelled: it is waited for, for a moment."""
    entering = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(entering)
    except asyncio.CancelledError:
        await asyncio.wait({entering}, timeout=_GIVE_UP_S)
        if entering.done() and not entering.cancelled() and entering.exception() is None:
            await client.__aexit__(None, None, None)
        entering.cancel()
        raise


async def subscribe(
    client: aiomqtt.Client,
    url: BrokerUrl,
    topics: Iterable[str],
    *,
    tell_retained: bool,
    own: bool = True,
) -> None:
    """At QoS 1. `tell_retained`: what is published with `retain` while we listen says so.

    `own`: what this very client publishes comes back to it, too.

    Raises BrokerRefused with the topic that may not be read.
    """
    wanted = list(topics)
    options = SubscribeOptions(qos=1, noLocal=not own, retainAsPublished=tell_retained)
    codes: Sequence[Any] = await client.subscribe([(topic, options) for topic in wanted])
    for topic, code in zip(wanted, codes, strict=False):
        value = code if isinstance(code, int) else code.value
        if value >= SUBSCRIBE_FAILED:
            raise BrokerRefused(
                f"{url}: the broker does not let this user read {topic}; allow it in the broker's "
                "access list (docs/HOME_ASSISTANT.md has one)"
            )


async def until_lost(client: aiomqtt.Client) -> None:
    """Raises MqttError once the connection is gone: no message ever comes here."""
    await anext(client.messages)
