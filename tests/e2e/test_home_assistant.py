"""The bridge on a real Mosquitto: an evening, restarts of everything, two daemons, access."""

import asyncio
import json
import logging
import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from massager.daemon.face import Order, Origin, RefusalKind, RefusedStart, Started
from massager.home_assistant.broker import BrokerUrl
from massager.home_assistant.removal import Wanted, remove
from massager.session.model import HardStop, StopReason
from massager.transports.interface import Settings
from tests.brokers import Broker, real_mosquitto
from tests.e2e.bridge_world import (
    OWN,
    FakeHomeAssistant,
    Home,
    Listener,
    home_on,
    listener_on,
    until,
)
from tests.e2e.command import massager

pytestmark = [pytest.mark.mosquitto, pytest.mark.filterwarnings("error")]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What the bridge has logged."""
    caplog.set_level(logging.INFO, "massager.home_assistant")
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Keep()
    logging.getLogger("massager.home_assistant").addHandler(handler)
    yield lines
    logging.getLogger("massager.home_assistant").removeHandler(handler)


async def test_a_person_does_everything_from_the_page_of_the_device(
    mosquitto: Broker, tmp_path: Path
) -> None:
    fake = FakeHomeAssistant(mosquitto.port)
    async with home_on(mosquitto.port, tmp_path) as home, listener_on(mosquitto.port) as listener:
        await fake.start()
        await until("idle", lambda: fake.state("connection") == "connected")
        assert fake.state("phase") == "idle"
        assert fake.state("running") is False
        await fake.call("intensity", 6)
        await fake.call("program", "gliding")
        await fake.call("warmup", 60)
        await fake.call("start")
        await until("running", lambda: fake.state("phase") == "warm-up")
        assert home.keeper.snapshot().intensity == 6
        assert home.keeper.snapshot().program == "gliding"
        assert fake.state("ends_at") is not None
        await fake.call("intensity", 2)
        await until("weaker", lambda: fake.state("intensity") == 2)
        await fake.call("extend")
        await fake.call("pause")
        await until("paused", lambda: fake.state("phase") == "paused")
        await fake.call("resume")
        await until("going on", lambda: fake.state("phase") in ("warm-up", "massage"))
        await fake.call("emergency_stop")
        await until("ended", lambda: fake.state("phase") == "ended")
        await until("the latch", lambda: fake.state("problem") is True)
        assert home.output == 0
        await fake.call("clear")
        await until("no latch", lambda: fake.state("problem") is False)
        await until("the end", lambda: len(listener.said(f"{OWN}/event")) == 2)
        assert [each["event_type"] for each in listener.said(f"{OWN}/event")] == [
            *("started", "stopped"),
        ]
        assert all(each["ok"] for each in listener.said(f"{OWN}/reply"))
        assert fake.wrong == []
        await fake.stop()


async def test_a_restart_of_home_assistant_or_of_the_daemon_starts_nothing_and_loses_nothing(
    mosquitto: Broker, tmp_path: Path
) -> None:
    fake = FakeHomeAssistant(mosquitto.port)
    async with home_on(mosquitto.port, tmp_path) as home, listener_on(mosquitto.port) as listener:
        await listener.ready()
        config = "homeassistant/device/massager_sim-massager/config"
        before = len(listener.said(config))
        await fake.start()
        await until("idle", lambda: fake.state("phase") == "idle")
        await until("announced on birth", lambda: len(listener.said(config)) > before)
        await fake.stop()
        await fake.start()
        await until("again", lambda: fake.state("phase") == "idle")
        await home.stop()
        await until("away", lambda: fake.state("phase") == "unavailable")
        await fake.call("start")  # dropped, as Home Assistant does
        await home.start()
        await until("back", lambda: fake.state("phase") == "idle")
        assert (home.starts, home.output) == (0, 0)
        await fake.stop()


async def test_many_births_at_once_are_one_announcement_of_each_device(
    mosquitto: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("massager.home_assistant.bridge.BIRTH_WAIT_S", 0.4)
    configs = [f"homeassistant/device/massager_sim-{name}/config" for name in ("one", "two")]
    async with (
        home_on(mosquitto.port, tmp_path, "one", "two"),
        listener_on(mosquitto.port) as listener,
    ):
        await until("both", lambda: all(listener.said(config) for config in configs))
        await asyncio.sleep(0.5)  # whatever the beginning brings
        before = [len(listener.said(config)) for config in configs]
        for _ in range(5):
            await listener.client.publish("homeassistant/status", "online", qos=1)
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.9)  # long enough for five
        after = [len(listener.said(config)) for config in configs]
        assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1]
        await listener.client.publish("homeassistant/status", "online", qos=1)
        await until("the next", lambda: len(listener.said(configs[0])) == after[0] + 1)


async def test_a_refused_command_changes_nothing_says_why_and_shows_the_truth_again(
    mosquitto: Broker, tmp_path: Path
) -> None:
    async with (
        home_on(mosquitto.port, tmp_path, max_intensity=6) as home,
        listener_on(mosquitto.port) as listener,
    ):
        await listener.ready()
        before = len(listener.said(f"{OWN}/state"))
        for number, (payload, reason) in enumerate(
            [
                (b'{"action":"set","at":%d,"intensity":7.4}', "whole number"),
                (b'{"action":"set","at":%d,"intensity":7.4}', "whole number"),  # the same again
                (b'{"action":"set","at":%d,"intensity":8}', "above the cap of 6"),
                (b'{"action":"start","at":%d,"intensity":8}', "above"),
                (b'{"action":"start","at":%d,"program":"nobody"}', "no program"),
                (b'{"action":"resume","at":%d}', "no session"),
                (b"", "JSON object"),
            ],
            1,
        ):
            payload = payload.replace(b"%d", b"%.3f" % time.time())
            await listener.client.publish(f"{OWN}/command", payload, qos=1)
            await until("a reply", lambda n=number: len(listener.said(f"{OWN}/reply")) == n)  # type: ignore[misc]
            reply = listener.last(f"{OWN}/reply")
            assert (reply["ok"], reason in reply["reason"]) == (False, True), reply
            await until(
                "the state again",
                lambda n=number: len(listener.said(f"{OWN}/state")) >= before + n,  # type: ignore[misc]
            )
            assert listener.state["intensity"] == 3
            assert reason in listener.state["last_error"]
        told = [(each["event_type"], each["kind"]) for each in listener.said(f"{OWN}/event")]
        assert told == [("refused", "limit"), ("refused", "bad request")]  # of the two starts
        assert (home.starts, home.output) == (0, 0)


async def test_a_stop_is_not_behind_a_start_that_still_looks_for_its_device(
    mosquitto: Broker, tmp_path: Path
) -> None:
    async with home_on(mosquitto.port, tmp_path) as home, listener_on(mosquitto.port) as listener:
        await listener.ready()
        home.devices["massager"].unplug()
        await until("away", lambda: listener.state["connection"] == "away")
        assert listener.state["problem"] is True
        assert listener.last("massager/daemon-attic/availability") == b"online"
        await listener.start(id="slow")
        await until("a start that looks", lambda: home.keeper.in_session)
        began = asyncio.get_running_loop().time()
        await listener.stop()
        await until("its end", lambda: not home.keeper.in_session)
        assert asyncio.get_running_loop().time() - began < 0.3
        await until("why", lambda: "slow" in str(listener.said(f"{OWN}/reply")))
        await until("told", lambda: listener.last(f"{OWN}/event").get("kind") == "stopped")


async def test_an_absent_device_is_looked_for_and_then_the_start_fails_in_words(
    mosquitto: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("massager.daemon.starting.START_TRY_S", 0.3)
    async with home_on(mosquitto.port, tmp_path) as home, listener_on(mosquitto.port) as listener:
        await listener.ready()
        home.devices["massager"].unplug()
        await listener.start()
        await until("told", lambda: listener.last(f"{OWN}/event").get("kind") == "absent")
        await until("shown", lambda: "not reached" in (listener.state["last_error"] or ""))
        assert listener.last(f"{OWN}/reply")["kind"] == "absent"


async def test_a_start_said_twice_is_one_session(mosquitto: Broker, tmp_path: Path) -> None:
    async with home_on(mosquitto.port, tmp_path) as home, listener_on(mosquitto.port) as listener:
        await listener.ready()
        await asyncio.gather(*(listener.start(id=str(number)) for number in range(5)))
        await until("replies", lambda: len(listener.said(f"{OWN}/reply")) == 5)
        taken = [each for each in listener.said(f"{OWN}/reply") if each["ok"]]
        assert (len(taken), home.starts) == (1, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_after_a_restart_of_the_broker_all_is_there_again_and_nothing_starts(
    mosquitto: Broker, tmp_path: Path, number: int
) -> None:
    async with home_on(mosquitto.port, tmp_path) as home:
        async with listener_on(mosquitto.port) as listener:
            await listener.ready()
            await listener.start()
            await until("a session", lambda: home.keeper.snapshot().phase == "warm-up")
        for _ in range(3):
            await asyncio.to_thread(mosquitto.stop, number)
            await asyncio.sleep(0.05)
            await asyncio.to_thread(mosquitto.start)
            async with listener_on(mosquitto.port) as listener:
                await until("back", lambda: listener.state.get("running") is True)
                await until(
                    "online",
                    lambda: listener.last("massager/daemon-attic/availability") == b"online",
                )
        assert home.keeper.snapshot().phase in ("warm-up", "massage")  # it went on
        async with listener_on(mosquitto.port) as listener:
            await listener.stop()
            await until("the end", lambda: home.keeper.snapshot().phase == "ended")
            await until("shown", lambda: listener.state.get("phase") == "ended")
        assert home.starts == 1


async def test_when_idle_it_says_next_to_nothing(mosquitto: Broker, tmp_path: Path) -> None:
    async with home_on(mosquitto.port, tmp_path), listener_on(mosquitto.port) as listener:
        await listener.ready()
        await asyncio.sleep(1.5)
        before = len(listener.heard)
        await asyncio.sleep(4)
        assert len(listener.heard) - before <= 2  # 30 a minute


async def test_the_end_of_a_session_is_told_before_the_daemon_says_goodbye(
    mosquitto: Broker, tmp_path: Path
) -> None:
    async with listener_on(mosquitto.port) as listener:
        async with home_on(mosquitto.port, tmp_path) as home:
            await listener.ready()
            await listener.start()
            await until("a session", lambda: home.starts == 1)
            home.keeper.request(HardStop(StopReason.SHUTDOWN, "SIGTERM"))
            await home.keeper.rest()
        await until(
            "goodbye", lambda: listener.last("massager/daemon-attic/availability") == b"offline"
        )
        assert listener.last(f"{OWN}/event")["event_type"] == "aborted"
        assert listener.state["phase"] == "ended"
        order = [each.topic.value for each in listener.heard]
        assert order[-1] == "massager/daemon-attic/availability"


async def test_what_is_gone_is_taken_away_and_nothing_else(
    mosquitto: Broker, tmp_path: Path
) -> None:
    url, node = BrokerUrl("127.0.0.1", mosquitto.port), None
    async with home_on(mosquitto.port, tmp_path, "one", "two") as home:
        node = home.bridge_settings.node
        async with listener_on(mosquitto.port) as listener:
            await until("both", lambda: listener.last("massager/sim-two/telemetry"))
            await listener.client.publish("massager/other/state", b"x", 1, retain=True)
            await listener.client.publish("homeassistant/device/x/config", b"{}", 1, retain=True)
    removed = await remove(url, Settings(), node, Wanted())
    assert removed.devices == ("sim-one", "sim-two")
    assert removed.still_alive == ()
    async with listener_on(mosquitto.port) as listener:
        await until("the rest", lambda: len(listener.heard) >= 2)
        await asyncio.sleep(0.1)
        assert {each.topic.value for each in listener.heard} == {
            *("massager/other/state", "homeassistant/device/x/config"),
        }


# --- two daemons ------------------------------------------------------------------------------


async def test_a_second_daemon_for_a_device_hears_the_first_names_it_and_leaves_it_alone(
    mosquitto: Broker, tmp_path: Path, warnings: list[str]
) -> None:
    async with home_on(mosquitto.port, tmp_path) as first, listener_on(mosquitto.port) as listener:
        await listener.ready()
        async with home_on(mosquitto.port, tmp_path, node="cellar") as second:
            await until("named", lambda: any("the daemon attic on" in line for line in warnings))
            await listener.start()
            await until("one session", lambda: first.starts == 1)
            await asyncio.sleep(0.3)
            assert second.starts == 0
            assert len(listener.said(f"{OWN}/reply")) == 1
            config = listener.last("homeassistant/device/massager_sim-massager/config")
            assert config["availability"][0]["topic"] == "massager/daemon-attic/availability"


@pytest.mark.parametrize("origin", list(Origin))
async def test_a_second_daemon_refuses_every_start_and_takes_every_stop(
    mosquitto: Broker, tmp_path: Path, warnings: list[str], origin: Origin
) -> None:
    async with home_on(mosquitto.port, tmp_path) as first, listener_on(mosquitto.port) as listener:
        await listener.ready()
        async with home_on(mosquitto.port, tmp_path, node="cellar") as second:
            await until("named", lambda: any("the daemon attic on" in line for line in warnings))
            refused = await second.keeper.start(Order(second.keeper.choice(), origin))
            assert isinstance(refused, RefusedStart)
            assert refused.kind is RefusalKind.BUSY
            assert refused.why.startswith("the daemon attic on ")
            assert f"(process {os.getpid()}) keeps this device; start there, or" in refused.why
            assert isinstance(
                await first.keeper.start(Order(first.keeper.choice(), origin)), Started
            )
            second.keeper.request(HardStop())
            await until("its stop", lambda: second.keeper.snapshot().output_confirmed)


async def test_without_the_broker_a_second_daemon_forbids_nothing(
    mosquitto: Broker, tmp_path: Path, warnings: list[str]
) -> None:
    """Nobody can be asked; then the device's lease decides, as without any broker."""
    async with home_on(mosquitto.port, tmp_path) as first, listener_on(mosquitto.port) as listener:
        await listener.ready()
        async with home_on(mosquitto.port, tmp_path, node="cellar") as second:
            order = Order(second.keeper.choice(), Origin.TERMINAL)
            await until("named", lambda: any("the daemon attic on" in line for line in warnings))
            assert isinstance(await second.keeper.start(order), RefusedStart)
            mosquitto.stop()
            await until("gone", lambda: sum("is gone" in line for line in warnings) == 2)
            assert isinstance(await second.keeper.start(order), Started)
            mosquitto.start()
            assert first.starts == 0


async def test_the_second_daemon_takes_the_device_once_the_first_is_gone(
    mosquitto: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    monkeypatch.setattr("massager.home_assistant.bridge.ASK_AGAIN_S", 0.2)
    async with home_on(mosquitto.port, tmp_path) as first, listener_on(mosquitto.port) as listener:
        await listener.ready()
        async with home_on(mosquitto.port, tmp_path, node="cellar"):
            await until("named", lambda: any("keeps the device" in line for line in warnings))
            await first.stop()
            topic = "homeassistant/device/massager_sim-massager/config"
            await until(
                "another daemon",
                lambda: "cellar" in listener.last(topic)["availability"][0]["topic"],
            )


def _stand_still(
    home: Home, monkeypatch: pytest.MonkeyPatch, *words: str
) -> list[Callable[[], None]]:
    """What others say to `home` of who keeps its device is not heard for now."""
    heard: list[Callable[[], None]] = []
    desks = home.bridge._desks
    take = desks.take

    def hear_later(topic: str, payload: bytes) -> None:
        if topic in [f"{OWN}/owner/{word}" for word in words]:
            heard.append(lambda: take(topic, payload))
        else:
            take(topic, payload)

    monkeypatch.setattr(desks, "take", hear_later)
    return heard


async def test_a_daemon_that_stood_still_keeps_its_device_once_it_is_awake(
    mosquitto: Broker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    warnings: list[str],
) -> None:
    async with home_on(mosquitto.port, tmp_path) as first, listener_on(mosquitto.port) as listener:
        await listener.ready()
        heard = _stand_still(first, monkeypatch, "ask")
        async with home_on(mosquitto.port, tmp_path, node="cellar") as second:
            offered = "massager: offered on the broker as sim-massager"
            await until("both offer it", lambda: warnings.count(offered) == 2)
            assert [each() for each in heard] == [None]
            await until("left", lambda: any("the daemon attic on" in line for line in warnings))
            refused = await second.keeper.start(Order(second.keeper.choice(), Origin.TERMINAL))
            assert isinstance(refused, RefusedStart)
            assert refused.why.startswith("the daemon attic on ")
            await listener.start()
            await until("one session", lambda: first.starts == 1)
            assert second.starts == 0


async def test_whoever_took_a_device_over_is_seen_with_it_when_the_other_is_back(
    mosquitto: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other shows it as its own until it has heard better."""
    topic = "homeassistant/device/massager_sim-massager/config"

    def keeper_of(listener: Listener) -> str:
        return str(listener.last(topic)["availability"][0]["topic"])

    async with home_on(mosquitto.port, tmp_path) as first, listener_on(mosquitto.port) as listener:
        await listener.ready()
        heard = _stand_still(first, monkeypatch, "ask", "answer")
        async with home_on(mosquitto.port, tmp_path, node="cellar"):
            await until("it is taken over", lambda: "cellar" in keeper_of(listener))
            first.bridge._again.set()  # it is awake, and connects anew
            await until("it is back", lambda: "attic" in keeper_of(listener))
            for each in heard[1:]:  # the answer; the question was of long ago
                each()
            await until("the truth again", lambda: "cellar" in keeper_of(listener))


async def test_two_daemons_of_one_name_notice_it_and_one_goes_on(
    mosquitto: Broker, tmp_path: Path, warnings: list[str]
) -> None:
    async with home_on(mosquitto.port, tmp_path) as first, listener_on(mosquitto.port) as listener:
        await listener.ready()
        async with home_on(mosquitto.port, tmp_path) as second:
            await until(
                "told", lambda: any("another daemon called attic" in line for line in warnings)
            )
            await until("named", lambda: any("keeps the device" in line for line in warnings))
            await listener.start()
            await until("one session", lambda: first.starts + second.starts == 1)
            await asyncio.sleep(0.3)
            assert first.starts + second.starts == 1
            assert listener.last("massager/daemon-attic/availability") == b"online"


# --- access -----------------------------------------------------------------------------------


def guarded(folder: Path, settings: str) -> Broker:
    """Mosquitto with the users of docs/HOME_ASSISTANT.md, and its access list."""
    passwords, access = folder / "passwords", folder / "acl"
    text = (ROOT / "docs/HOME_ASSISTANT.md").read_text("utf-8")
    access.write_text(text.split("```acl\n")[1].split("```")[0])
    access.chmod(0o600)
    broker = real_mosquitto(
        folder,
        f"allow_anonymous false\npassword_file {passwords}\nacl_file {access}\n{settings}",
    )
    for number, user in enumerate(("massager", "homeassistant")):
        flags = ["-b"] if number else ["-b", "-c"]
        subprocess.run(["mosquitto_passwd", *flags, passwords, user, "secret"], check=True)
    return broker


async def test_the_access_list_of_the_documents_is_enough_and_not_too_much(
    tmp_path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("massager.home_assistant.bridge.ECHO_S", 0.5)
    broker = guarded(tmp_path, "")
    broker.start()
    access = {"username": "homeassistant", "password": "secret"}
    try:
        async with (
            home_on(broker.port, tmp_path, access=Settings("massager", "secret")) as home,
            listener_on(broker.port, **access) as listener,
        ):
            await listener.ready()
            await listener.client.publish(f"{OWN}/state", b"not from me", qos=1)
            await listener.start()
            await until("a session", lambda: home.starts == 1)
            await listener.stop(b"emergency")
            await until("the end", lambda: listener.state.get("stop_reason") == "emergency")
            await asyncio.sleep(0.6)
            assert b"not from me" not in listener.said(f"{OWN}/state")
            assert not any("access list" in line for line in warnings)
    finally:
        broker.stop()


async def test_a_wrong_password_is_told_once_in_words_and_without_it(
    tmp_path: Path, warnings: list[str]
) -> None:
    broker = guarded(tmp_path, "")
    broker.start()
    try:
        async with home_on(broker.port, tmp_path, access=Settings("massager", "wr0ng")):
            await asyncio.sleep(1.5)
    finally:
        broker.stop()
    told = [line for line in warnings if "refuses the user 'massager'" in line]
    assert len(told) == 1
    assert "MASSAGER_MQTT_PASSWORD" in told[0]
    assert "wr0ng" not in "".join(warnings)


async def test_a_too_narrow_access_list_is_told(
    tmp_path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("massager.home_assistant.bridge.ECHO_S", 0.3)
    access = tmp_path / "acl"
    access.write_text("topic read #\n")
    access.chmod(0o600)
    broker = real_mosquitto(tmp_path, f"acl_file {access}")
    broker.start()
    try:
        async with home_on(broker.port, tmp_path):
            await until("told", lambda: any("access list" in line for line in warnings))
    finally:
        broker.stop()


def _make_certificate(key: Path, certificate: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=broker"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )


async def test_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    await asyncio.to_thread(_make_certificate, key, certificate)
    broker = real_mosquitto(tmp_path, f"certfile {certificate}\nkeyfile {key}")
    broker.start()
    context = ssl.create_default_context(cafile=str(certificate))
    try:
        async with (
            home_on(
                broker.port,
                tmp_path,
                broker=BrokerUrl("127.0.0.1", broker.port, tls=True),
                access=Settings(mqtt_ca_file=certificate),
            ) as home,
            listener_on(broker.port, tls_context=context) as listener,
        ):
            await listener.ready()
            await listener.start()
            await until("a session", lambda: home.starts == 1)
    finally:
        broker.stop()


async def test_a_broker_that_is_not_there_yet_is_found_later(tmp_path: Path) -> None:
    broker = real_mosquitto(tmp_path)
    async with home_on(broker.port, tmp_path):
        await asyncio.sleep(0.3)
        await asyncio.to_thread(broker.start)
        async with listener_on(broker.port) as listener:
            await listener.ready()
    broker.stop()


def test_the_schema_is_a_command_away(tmp_path: Path) -> None:
    done = massager(tmp_path, "ha", "schema")
    assert done.code == 0
    assert "StartCommand" in json.loads(done.out)["$defs"]
    refused = massager(tmp_path, "ha", "remove")
    assert (refused.code, "there is no broker" in refused.err) == (2, True)
