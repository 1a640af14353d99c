"""A start that comes again, late, doubled or in a flood: nothing moves that nobody wants now."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from massager.session.model import SoftStop
from tests.brokers import Broker, real_mosquitto
from tests.e2e.bridge_world import OWN, Home, home_on, listener_on, until

pytestmark = [pytest.mark.mosquitto, pytest.mark.filterwarnings("error")]
V5 = aiomqtt.ProtocolVersion.V5
RESTARTS = 50 if os.environ.get("SOAK") else 4


def a_start(age_s: float = 0.0, **more: object) -> bytes:
    return json.dumps({"action": "start", "at": time.time() - age_s, **more}).encode()


async def say(port: int, payload: bytes, *, retain: bool = False, topic: str = "command") -> None:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.publish(f"{OWN}/{topic}", payload, qos=1, retain=retain)


async def nothing_started(home: Home) -> None:
    """Long enough for whatever was on its way."""
    await asyncio.sleep(0.4)
    assert (home.starts, home.output) == (0, 0)
    assert not home.keeper.in_session


@pytest.fixture
def keeping_broker(tmp_path: Path) -> Iterator[Broker]:
    """One that keeps what it holds over a kill."""
    folder = tmp_path / "held"
    folder.mkdir()
    broker = real_mosquitto(
        tmp_path,
        f"persistence true\npersistence_location {folder}/\nautosave_interval 1\n"
        "autosave_on_changes true",
    )
    broker.start()
    yield broker
    broker.stop()


# --- the five accidents ------------------------------------------------------------------------


async def test_1_a_retained_start_is_ignored_cleared_once_and_never_comes_again(
    mosquitto: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await say(mosquitto.port, a_start(), retain=True)
    async with home_on(mosquitto.port, tmp_path) as home, listener_on(mosquitto.port) as listener:
        await listener.ready()
        await nothing_started(home)
        await say(mosquitto.port, a_start(), retain=True)  # live, and fresh
        await nothing_started(home)
        await home.restart()
        await nothing_started(home)
    said = [each for each in caplog.messages if "ignored and is cleared" in each]
    assert len(said) == 2  # the one that lay there, and the live one
    async with listener_on(mosquitto.port) as listener:
        await asyncio.sleep(0.2)
        assert listener.said(f"{OWN}/command") == []


async def test_a_retained_stop_is_cleared_and_its_clearing_is_no_stop(
    mosquitto: Broker, tmp_path: Path
) -> None:
    await say(mosquitto.port, b"stop", retain=True, topic="stop")
    async with listener_on(mosquitto.port) as listener, home_on(mosquitto.port, tmp_path) as home:
        await until("cleared", lambda: listener.said(f"{OWN}/stop") == [b"stop", b""])
        await listener.ready()
        await nothing_started(home)
        assert home.keeper.stopped_at is None
        assert listener.said(f"{OWN}/reply") == []
    async with listener_on(mosquitto.port) as listener:
        await asyncio.sleep(0.2)
        assert listener.said(f"{OWN}/stop") == []


@pytest.mark.parametrize("retain", [False, True])
async def test_an_empty_message_of_anybody_else_stays_a_stop(
    mosquitto: Broker, tmp_path: Path, retain: bool
) -> None:
    async with home_on(mosquitto.port, tmp_path) as home, listener_on(mosquitto.port) as listener:
        await listener.ready()
        await listener.start()
        await until("a session", lambda: home.keeper.in_session)
        await say(mosquitto.port, b"", retain=retain, topic="stop")
        await until("its end", lambda: not home.keeper.in_session)
        assert home.keeper.stopped_at is not None


async def test_2_a_start_queued_for_the_client_id_of_the_daemon_starts_nothing(
    mosquitto: Broker, tmp_path: Path
) -> None:
    await _leave_durable_session(mosquitto.port)
    await say(mosquitto.port, a_start())
    async with home_on(mosquitto.port, tmp_path) as home, listener_on(mosquitto.port) as listener:
        await listener.ready()
        await nothing_started(home)


async def test_3_the_same_after_a_killed_broker_that_keeps_its_queue(
    keeping_broker: Broker, tmp_path: Path
) -> None:
    await _leave_durable_session(keeping_broker.port)
    await say(keeping_broker.port, a_start())
    await asyncio.sleep(1.2)  # the broker saves
    await asyncio.to_thread(keeping_broker.stop, signal.SIGKILL)
    await asyncio.to_thread(keeping_broker.start)
    async with (
        home_on(keeping_broker.port, tmp_path) as home,
        listener_on(keeping_broker.port) as listener,
    ):
        await listener.ready()
        await nothing_started(home)


async def test_4_a_cleared_start_that_a_killed_broker_brings_back_starts_nothing(
    keeping_broker: Broker, tmp_path: Path
) -> None:
    await say(keeping_broker.port, a_start(), retain=True)
    await asyncio.sleep(1.2)
    async with home_on(keeping_broker.port, tmp_path) as home:
        async with listener_on(keeping_broker.port) as listener:
            await listener.ready()
            await nothing_started(home)
        for _ in range(2):
            await asyncio.to_thread(keeping_broker.stop, signal.SIGKILL)
            await asyncio.to_thread(keeping_broker.start)
            async with listener_on(keeping_broker.port) as listener:
                await listener.ready()
                await nothing_started(home)


async def test_5_a_start_that_is_delivered_again_is_taken_once(
    mosquitto: Broker, tmp_path: Path
) -> None:
    """Redelivery with DUP comes with the same words."""
    async with home_on(mosquitto.port, tmp_path) as home, listener_on(mosquitto.port) as listener:
        await listener.ready()
        payload = a_start(id="once")
        await say(mosquitto.port, payload)
        await until("a session", lambda: home.starts == 1)
        await say(mosquitto.port, b"stop", topic="stop")
        await until("the end", lambda: home.keeper.snapshot().phase == "ended")
        for _ in range(3):
            await say(mosquitto.port, payload)
        await asyncio.sleep(0.3)
        assert (home.starts, home.output) == (1, 0)
        kinds = [each.get("kind") for each in listener.said(f"{OWN}/reply") if not each["ok"]]
        assert kinds == ["before stop"] * 3


async def _leave_durable_session(port: int) -> None:
    """As a daemon that keeps its session would have done."""
    client = aiomqtt.Client("127.0.0.1", port, identifier="massager-attic", clean_session=False)
    async with client:
        await client.subscribe(f"{OWN}/command", qos=1)


# --- late, from before, out of order --------------------------------------------------------------


@pytest.mark.parametrize(("age_s", "kind"), [(6, "late"), (3600, "late"), (-6, "ahead")])
async def test_a_start_from_another_time_is_refused_and_the_sender_is_told(
    mosquitto: Broker, tmp_path: Path, age_s: float, kind: str
) -> None:
    async with home_on(mosquitto.port, tmp_path) as home, listener_on(mosquitto.port) as listener:
        await listener.ready()
        await say(mosquitto.port, a_start(age_s))
        await until("a reply", lambda: listener.said(f"{OWN}/reply"))
        assert listener.last(f"{OWN}/reply")["kind"] == kind
        assert "clock" in listener.last(f"{OWN}/reply")["reason"]
        assert listener.last(f"{OWN}/event")["event_type"] == "refused"
        await nothing_started(home)


async def test_a_start_from_before_a_stop_or_a_restart_of_the_daemon_starts_nothing(
    mosquitto: Broker, tmp_path: Path
) -> None:
    async with home_on(mosquitto.port, tmp_path) as home, listener_on(mosquitto.port) as listener:
        await listener.ready()
        before = a_start()
        await say(mosquitto.port, b"", topic="stop")
        await say(mosquitto.port, before)
        await until("a reply", lambda: listener.last(f"{OWN}/reply").get("kind") == "before stop")
        await nothing_started(home)
        before = a_start()
        home.keeper.request(SoftStop())  # somebody else's, and nothing runs
        await say(mosquitto.port, before)
        await until("a reply", lambda: len(listener.said(f"{OWN}/reply")) == 3)
        assert listener.last(f"{OWN}/reply")["kind"] == "before stop"
        await nothing_started(home)
        before = a_start()
        await home.restart()
        await until("back", lambda: any(each.serving for each in home.bridge._desks))
        await say(mosquitto.port, before)
        await until("a reply", lambda: listener.last(f"{OWN}/reply").get("kind") == "before boot")
        await nothing_started(home)


async def test_a_setting_that_comes_late_does_not_undo_the_newer_one(
    mosquitto: Broker, tmp_path: Path
) -> None:
    async with home_on(mosquitto.port, tmp_path), listener_on(mosquitto.port) as listener:
        await listener.ready()
        now = time.time()
        await listener.command(action="set", at=now, intensity=2)
        await listener.command(action="set", at=now - 1, intensity=8)
        await until("both", lambda: len(listener.said(f"{OWN}/reply")) == 2)
        assert listener.last(f"{OWN}/reply")["kind"] in ("out of order", "before boot")
        await until("the newer", lambda: listener.state["intensity"] == 2)


# --- restarts of the broker, floods --------------------------------------------------------------


async def test_broker_restarts_start_nothing_and_it_is_back_within_5_s(
    keeping_broker: Broker, tmp_path: Path
) -> None:
    waits: list[float] = []
    async with home_on(keeping_broker.port, tmp_path) as home:
        for number in range(RESTARTS):
            async with listener_on(keeping_broker.port) as listener:
                await listener.ready()
            retained = number % 2 == 0
            await say(keeping_broker.port, a_start(0 if retained else 6), retain=retained)
            how = signal.SIGKILL if number % 3 == 0 else signal.SIGTERM
            await asyncio.to_thread(keeping_broker.stop, how)
            await asyncio.to_thread(keeping_broker.start)
            began = time.monotonic()
            await until("back", lambda: home.bridge._outbox.is_open)
            waits.append(time.monotonic() - began)
            assert (home.starts, home.output) == (0, 0)
        await nothing_started(home)
    assert sorted(waits)[int(len(waits) * 0.95)] <= 5.0


@pytest.mark.parametrize("payload", [b"emergency", b"stop"])
async def test_a_stop_reaches_the_motor_through_a_flood_and_memory_stays_bounded(
    mosquitto: Broker, tmp_path: Path, payload: bytes
) -> None:
    async with home_on(mosquitto.port, tmp_path) as home:
        await until("offered", lambda: any(each.serving for each in home.bridge._desks))
        await say(mosquitto.port, a_start(intensity=6))
        await until("a motor that turns", lambda: home.output > 0)
        before_kib = resident_kib()
        with flooding(mosquitto.port) as flood:
            await asyncio.sleep(0.7)  # it takes 0.2 s to begin
            began = time.monotonic()
            await say(mosquitto.port, payload, topic="stop")
            await until("output 0", lambda: home.output == 0)
            took_s = time.monotonic() - began
            flood.kill()
        assert home.starts == 1
        assert took_s < 0.5  # with a new connection for it; `make bench` measures the stop alone
        assert resident_kib() - before_kib <= 20_480


def flooding(port: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", FLOOD, str(port), OWN])


def resident_kib() -> int:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() // 1024


# Nonsense and large payloads from another process, as fast as they go, for 5 s at most.
FLOOD = """
import sys, time
import paho.mqtt.client as mqtt
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_start()
payloads = [b"x" * 100, b"[" * 1000, b"\xff" * 1024, b"x" * 70_000, b"x" * 1_000_000]
payloads += [b'{"action":"start"}', b'{"action":"set","at":1,"intensity":10}']
client.publish(sys.argv[2] + "/command", b"x" * 30_000_000).wait_for_publish(3)
end = time.time() + 5
while time.time() < end:
    for payload in payloads:
        client.publish(sys.argv[2] + "/command", payload).wait_for_publish(1)
"""


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"7.4", b"NaN", b"[1,2]", b"\0", b"\xff\xfe", b"x" * 70_000, b'{"action":"start"}'),
        b'{"action":"start","at":1e999}',
        '{"action":"start","id":"\u202e\\u001b[31m<b>\\n","at":1}'.encode(),
    ],
    ids=range(10),
)
async def test_a_hostile_payload_is_one_line_in_the_log_and_no_more(
    mosquitto: Broker, tmp_path: Path, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with home_on(mosquitto.port, tmp_path) as home:
        await until("offered", lambda: any(each.serving for each in home.bridge._desks))
        [desk] = home.bridge._desks
        desk.take(payload)
        assert not home.keeper.in_session
        ours = [each.getMessage() for each in caplog.records if each.name.startswith("massager")]
        assert all("\n" not in line and "\x1b" not in line for line in ours)
