"""The bridge with simulated devices at speed 20, a listener, and a Home Assistant as documented.

Everything in this process but the broker. The devices outlive a restart of the daemon's part.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import aiomqtt
from paho.mqtt.subscribeoptions import SubscribeOptions

from massager.config.devices import DeviceSettings
from massager.daemon.face import DaemonEvent, SessionStarted, Subscription
from massager.daemon.keeper import Keeper
from massager.daemon.paperwork import NoOffice
from massager.home_assistant import bridge as bridge_module
from massager.home_assistant.bridge import BridgeSettings, HomeAssistant
from massager.home_assistant.broker import BrokerUrl
from massager.home_assistant.discovery import Announcer
from massager.home_assistant.ids import DeviceIds
from massager.home_assistant.topics import NodeTopics
from massager.transports.interface import Settings
from massager.transports.memory import MemoryTransport
from massager.transports.url import SimUrl
from simulator.device import DeviceConfig
from simulator.port import SimulatedPort
from tests.home_assistant_rules import mistakes

PATIENCE_S: Final = 30.0
SPEED: Final = 20
OWN: Final = "massager/sim-massager"
vars(bridge_module)["ANSWER_S"] = 0.15  # everybody here is near


class Device(MemoryTransport):
    """A simulated device."""

    def __init__(self, config: DeviceConfig | None = None) -> None:
        super().__init__(SimulatedPort(config or DeviceConfig(speed=SPEED), seed=1), SPEED)

    @property
    def output(self) -> int:
        """Of the motor, ‰, as the device itself has it."""
        return int(self.command({"get": "status"})["output"])


@dataclass
class House:
    """As much of a daemon as a front end sees."""

    keepers: Sequence[Keeper]

    def subscribe(self) -> Subscription:
        subscription = Subscription()
        for keeper in self.keepers:
            keeper.subscribe(subscription)
        return subscription


async def until(what: str, holds: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Look every 5 ms."""
    end = asyncio.get_running_loop().time() + patience_s
    while not holds():
        assert asyncio.get_running_loop().time() < end, f"not seen: {what}"
        await asyncio.sleep(0.005)


class Home:
    """A daemon's devices and its bridge, which may be restarted."""

    def __init__(
        self,
        port: int,
        folder: Path,
        names: Sequence[str] = ("massager",),
        *,
        node: str = "attic",
        broker: BrokerUrl | None = None,
        access: Settings | None = None,
        device: Device | None = None,
        **settings: Any,
    ) -> None:
        self.devices = {name: device or Device() for name in names}
        self.starts = 0
        self.events: list[DaemonEvent] = []
        self.bridge_settings = BridgeSettings(
            broker or BrokerUrl("127.0.0.1", port),
            NodeTopics(node),
            access or Settings(),
            Announcer("1.2.3"),
            ("bedtime", "classic", "gliding"),
        )
        self._ids = folder / f"{node}.json"
        self._settings = settings
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """A new process of the daemon, so to say."""
        self.keepers = [
            Keeper(
                DeviceSettings(name, SimUrl(), **self._settings),
                device,
                NoOffice(speed=SPEED),
                speed=SPEED,
            )
            for name, device in self.devices.items()
        ]
        house = House(self.keepers)
        self.bridge = HomeAssistant(self.bridge_settings, DeviceIds(self._ids), chance=lambda: 0.0)
        self._tasks = [asyncio.ensure_future(keeper.run()) for keeper in self.keepers]
        self._tasks.append(asyncio.ensure_future(self._count(house.subscribe())))
        self._tasks.append(asyncio.ensure_future(self.bridge.run(house)))

    async def stop(self) -> None:
        """The end of that process, with its goodbye."""
        self._tasks.reverse()
        for task in self._tasks:
            task.cancel()
            await asyncio.wait({task})

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    @property
    def keeper(self) -> Keeper:
        return self.keepers[0]

    @property
    def output(self) -> int:
        return next(iter(self.devices.values())).output

    async def _count(self, events: Subscription) -> None:
        while True:
            self.events.append(event := await events.next())
            self.starts += isinstance(event, SessionStarted)


@asynccontextmanager
async def home_on(port: int, folder: Path, *names: str, **changes: Any) -> AsyncIterator[Home]:
    """A home that runs until the block ends."""
    home = Home(port, folder, names or ("massager",), **changes)
    await home.start()
    try:
        yield home
    finally:
        await home.stop()


class Listener:
    """Hears everything on the broker, and publishes."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.heard: list[aiomqtt.Message] = []

    async def listen(self) -> None:
        async for message in self.client.messages:
            self.heard.append(message)

    def said(self, topic: str) -> list[Any]:
        """What came on a topic, as JSON where it is."""
        found = [each.payload for each in self.heard if each.topic.value == topic]
        return [_json(bytes(payload)) for payload in found]

    def last(self, topic: str) -> Any:
        """The newest of it, or {}."""
        return (self.said(topic) or [{}])[-1]

    @property
    def state(self) -> Any:
        return self.last(f"{OWN}/state")

    async def command(self, device: str = OWN, *, retain: bool = False, **command: Any) -> None:
        await self.client.publish(
            f"{device}/command", json.dumps(command).encode(), qos=1, retain=retain
        )

    async def start(self, **more: Any) -> None:
        now = datetime.now().astimezone().timestamp()
        table: dict[str, Any] = {"action": "start", "at": now} | more
        await self.command(**table)

    async def stop(self, payload: bytes = b"stop") -> None:
        await self.client.publish(f"{OWN}/stop", payload, qos=1)

    async def ready(self) -> None:
        """Until the device is offered."""
        await until("the device", lambda: self.state.get("connection") == "connected")


@asynccontextmanager
async def listener_on(port: int, **access: Any) -> AsyncIterator[Listener]:
    """Listens until the block ends."""
    async with aiomqtt.Client(
        "127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, **access
    ) as client:
        await client.subscribe("#", options=SubscribeOptions(qos=1, retainAsPublished=True))
        listener = Listener(client)
        task = asyncio.ensure_future(listener.listen())
        try:
            yield listener
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class FakeHomeAssistant:
    """As documented: it drops calls to what is unavailable and forgets all in a restart."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.components: dict[str, dict[str, Any]] = {}
        self.payloads: dict[str, bytes] = {}
        self.wrong: list[str] = []
        self._client: aiomqtt.Client | None = None
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.components.clear()
        self.payloads.clear()
        self._client = aiomqtt.Client("127.0.0.1", self._port, protocol=aiomqtt.ProtocolVersion.V5)
        await self._client.__aenter__()
        await self._client.subscribe("homeassistant/device/+/config", qos=1)
        self._listening = asyncio.ensure_future(self._listen(self._client))
        await self._client.publish("homeassistant/status", "online", qos=1)

    async def stop(self) -> None:
        assert self._client is not None
        assert self._listening is not None
        await self._client.publish("homeassistant/status", "offline", qos=1)
        while not self._listening.done():  # Python 3.11's wait_for may swallow a cancellation
            self._listening.cancel()
            await asyncio.wait({self._listening}, timeout=0.1)
        await self._client.__aexit__(None, None, None)

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic, payload = message.topic.value, bytes(message.payload)
            if not topic.endswith("/config"):
                self.payloads[topic] = payload
                continue
            if not payload:
                self.components.clear()
                continue
            self.wrong += mistakes(topic, payload)
            table = json.loads(payload)
            availability = {entry["topic"] for entry in table["availability"]}
            topics = set(availability)
            for key, row in table["components"].items():
                self.components[key] = {**row, "availability": availability}
                topics |= {row[name] for name in ("state_topic",) if name in row}
            for each in sorted(topics):
                await client.subscribe(each, qos=1)

    def is_available(self, key: str) -> bool:
        row = self.components.get(key)
        return row is not None and all(
            self.payloads.get(topic) == b"online" for topic in row["availability"]
        )

    def state(self, key: str) -> Any:
        """None: unknown. Only plain templates are understood."""
        if not self.is_available(key):
            return "unavailable"
        row = self.components[key]
        found = re.fullmatch(r"\{\{ value_json\.(\w+) \}\}", row["value_template"])
        assert found is not None
        payload = self.payloads.get(row["state_topic"])
        return None if payload is None else json.loads(payload)[found[1]]

    async def call(self, key: str, value: object = None) -> None:
        """A service; dropped without a word where the entity is unavailable."""
        if not self.is_available(key):
            return
        row = self.components[key]
        text = row.get("command_template", row.get("payload_press", ""))
        text = text.replace("{{ now().isoformat() }}", datetime.now().astimezone().isoformat())
        text = text.replace("{{ value | to_json }}", json.dumps(value))
        text = text.replace("{{ value }}", str(value))
        assert self._client is not None
        await self._client.publish(row["command_topic"], text, qos=1, retain=row["retain"])


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload
