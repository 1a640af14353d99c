"""The simulator as a device that speaks MQTT itself, behind a real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from firmware_protocol.codec import decode, encode, header_of
from firmware_protocol.framing import DatagramFraming
from firmware_protocol.messages import (
    EmergencyStop,
    GetStatus,
    Hello,
    Identity,
    Message,
    SetLevel,
    Status,
)
from tests.brokers import HOST, Broker, real_mosquitto
from tests.e2e.simulator_process import SimulatorProcess, wait_until

Start = Callable[..., SimulatorProcess]
DOWN = "massager/foot-1/link/down"
UP = "massager/foot-1/link/up"


class MqttHost:
    """The smallest host behind a broker."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._framing = DatagramFraming()
        self.token = 0
        self.sequence = 0

    async def ask(self, message: Message) -> Message:
        """Publish `message` and wait for its answer."""
        self.sequence += 1
        raw = encode(message, self.sequence, self.token)
        await self._client.publish(DOWN, self._framing.encode(raw))
        async with asyncio.timeout(5):
            async for received in self._client.messages:
                if not received.topic.matches(UP):
                    continue  # amqtt sends what nobody subscribed to
                assert isinstance(received.payload, bytes)
                (answer,) = self._framing.receive(received.payload)
                if header_of(answer).sequence == self.sequence:
                    if isinstance(decode(answer), Identity):
                        self.token = header_of(answer).token
                    return decode(answer)
        raise AssertionError("no answer came")


@asynccontextmanager
async def host_at(broker: Broker) -> AsyncIterator[MqttHost]:
    async with aiomqtt.Client(HOST, broker.port) as client:
        await client.subscribe(UP)
        yield MqttHost(client)


def start_device(start: Start, broker: Broker) -> SimulatorProcess:
    simulator = start("--mqtt", f"mqtt://{HOST}:{broker.port}", "--device-id", "foot-1")
    wait_until(lambda: "connected" in simulator.errors(), "it has reached the broker")
    return simulator


async def test_the_same_messages_go_over_mqtt(start_simulator: Start, broker: Broker) -> None:
    simulator = start_device(start_simulator, broker)
    assert simulator.url == f"mqtt://127.0.0.1:{broker.port}/foot-1"
    async with host_at(broker) as host:
        identity = await host.ask(Hello(0, 1, 1, 42))
        assert isinstance(identity, Identity)
        assert (identity.name, identity.host_nonce) == ("foot-1", 42)
        running = await host.ask(SetLevel(200, 5000))
        assert isinstance(running, Status)
        stopped = await host.ask(EmergencyStop())
        assert isinstance(stopped, Status)
        assert (stopped.output_permille, stopped.latch_id) == (0, 1)
    assert [row["why"] for row in simulator.trace()][-1] == "emergency_stop"


async def test_a_retained_command_does_nothing(start_simulator: Start, broker: Broker) -> None:
    raw = DatagramFraming().encode(encode(Hello(0, 1, 1, 7), 1))
    async with aiomqtt.Client(HOST, broker.port) as client:
        await client.publish(DOWN, raw, retain=True, qos=1)
    simulator = start_device(start_simulator, broker)
    async with host_at(broker) as host:
        assert isinstance(await host.ask(GetStatus()), Status)
    assert [row["why"] for row in simulator.trace()] == ["boot", "get_status"]


async def test_it_waits_for_a_broker_that_is_away_and_comes_back_after_a_restart(
    start_simulator: Start, broker: Broker
) -> None:
    broker.stop()
    simulator = start_simulator("--mqtt", f"mqtt://{HOST}:{broker.port}", "--device-id", "foot-1")
    wait_until(lambda: "trying again" in simulator.errors(), "it says that it waits")
    for _ in range(2):
        before = simulator.errors().count("connected to the broker")
        broker.start()
        wait_until(
            lambda: simulator.errors().count("connected to the broker") > before,  # noqa: B023
            "it is back",
        )
        async with host_at(broker) as host:
            assert isinstance(await host.ask(GetStatus()), Status)
        broker.stop()
    assert "Traceback" not in simulator.errors()
    assert simulator.stop() == 0


async def test_an_unplugged_device_leaves_the_broker_and_comes_back(
    start_simulator: Start, broker: Broker
) -> None:
    simulator = start_device(start_simulator, broker)
    simulator.tell(fault="unplug", ms=10)
    wait_until(lambda: simulator.errors().count("connected to") == 2, "it is back")
    async with host_at(broker) as host:
        assert isinstance(await host.ask(GetStatus()), Status)


@pytest.mark.mosquitto
async def test_a_wrong_password_is_named_and_the_right_one_comes_from_the_environment(
    start_simulator: Start, tmp_path: Path
) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("foot:open sesame\n", encoding="utf-8")
    run = await asyncio.create_subprocess_exec("mosquitto_passwd", "-U", str(passwords))
    assert await run.wait() == 0
    broker = real_mosquitto(tmp_path, f"allow_anonymous false\npassword_file {passwords}")
    broker.start()
    try:
        url = f"mqtt://foot@{HOST}:{broker.port}"
        wrong = start_simulator("--mqtt", url)
        wait_until(lambda: "refuses the user or the password" in wrong.errors(), "it says why")
        wrong.stop()
        right = start_simulator(
            "--mqtt", url, environment=("MASSAGER_SIMULATOR_MQTT_PASSWORD=open sesame",)
        )
        wait_until(lambda: "connected to the broker" in right.errors(), "it is let in")
        assert "sesame" not in right.errors() + "".join(right.lines)
    finally:
        broker.stop()
