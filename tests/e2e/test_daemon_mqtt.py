"""A daemon whose device is behind a broker that comes and goes."""

import signal
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.brokers import HOST, Broker, real_mosquitto
from tests.e2e.command import massager
from tests.e2e.daemon_process import Daemon
from tests.e2e.simulator_process import SimulatorProcess, wait_until

StartSimulator = Callable[..., SimulatorProcess]
FAST = ("--speed", "20")


def url(broker: Broker) -> str:
    return f"mqtt://{HOST}:{broker.port}/foot-1"


def foot(start_simulator: StartSimulator, broker: Broker) -> SimulatorProcess:
    return start_simulator("--mqtt", f"mqtt://{HOST}:{broker.port}", "--device-id", "foot-1", *FAST)


def starts(simulator: SimulatorProcess) -> int:
    """How often the motor began to turn."""
    outputs = [0, *(row["output"] for row in simulator.trace())]
    return sum(before == 0 < after for before, after in pairwise(outputs))


@pytest.mark.mosquitto
def test_a_daemon_that_comes_before_its_broker_and_its_device_finds_both(
    tmp_path: Path, start_simulator: StartSimulator
) -> None:
    broker = real_mosquitto(tmp_path)
    with Daemon(tmp_path, "--device", url(broker), *FAST) as daemon, daemon.client() as client:
        assert daemon.connection() == "away"
        broker.start()
        try:
            simulator = foot(start_simulator, broker)
            wait_until(lambda: daemon.connection() == "connected", "the device is found")
            assert client.ask(request="start")["ok"]
            wait_until(lambda: starts(simulator) == 1, "the motor turns")
            client.stop()
            assert daemon.end() == 0
        finally:
            broker.stop()


@pytest.mark.mosquitto
def test_two_daemons_of_two_computers_never_start_the_same_device(
    tmp_path: Path, mosquitto: Broker, start_simulator: StartSimulator
) -> None:
    simulator = foot(start_simulator, mosquitto)

    def on(name: str) -> Daemon:
        config = tmp_path / name / "config" / "massager" / "config.toml"
        config.parent.mkdir(parents=True)
        config.write_text(
            f'device = "{url(mosquitto)}"\n[mqtt]\nbroker = "mqtt://{HOST}:{mosquitto.port}"\n'
            f'[home_assistant]\nnode_id = "{name}"\n',
            encoding="utf-8",
        )
        return Daemon(tmp_path / name, *FAST)

    with on("attic") as first, first.client() as upstairs:
        wait_until(lambda: first.connection() == "connected", "the device is there")
        wait_until(lambda: "connected to mqtt" in first.log(), "the first is on the broker")
        time.sleep(1.2)  # it asks for a second who keeps the device
        with on("cellar") as second:
            wait_until(lambda: "keeps the device foot-1 already" in second.log(), "named")
            refused = massager(second.folder, "start")
            assert refused.code == 3
            assert "the daemon attic on" in refused.err
            assert f"(process {first.process.pid}) keeps this device" in refused.err
            assert starts(simulator) == 0
            assert upstairs.ask(request="start")["ok"]
            wait_until(lambda: starts(simulator) == 1, "the motor turns")
            assert massager(second.folder, "stop").code == 0
            wait_until(lambda: simulator.trace()[-1]["output"] == 0, "a stop is taken anywhere")
        assert first.end() == 0


@pytest.mark.mosquitto
def test_broker_restarts_start_nothing_and_are_over_within_5_s(
    tmp_path: Path, mosquitto: Broker, start_simulator: StartSimulator
) -> None:
    simulator = foot(start_simulator, mosquitto)
    flags = ("--device", url(mosquitto), *FAST)
    with Daemon(tmp_path, *flags) as daemon, daemon.client() as client:
        wait_until(lambda: daemon.connection() == "connected", "the device is there")
        for number in range(5):
            mosquitto.stop(signal.SIGKILL if number % 2 else signal.SIGTERM)
            wait_until(lambda: daemon.connection() == "away", "it is noticed")
            mosquitto.start()
            back_s = time.monotonic()
            wait_until(lambda: daemon.connection() == "connected", "it is over")
            assert time.monotonic() - back_s < 6
        assert starts(simulator) == 0

        assert client.ask(request="start", intensity=8)["ok"]
        wait_until(lambda: starts(simulator) == 1, "the motor turns")
        mosquitto.stop(signal.SIGKILL)
        wait_until(lambda: simulator.trace()[-1]["output"] == 0, "the lease ends it")
        mosquitto.start()
        wait_until(lambda: daemon.connection() == "connected", "it is over")
        wait_until(lambda: daemon.devices()[0]["phase"] in ("paused", "ended"), "and says so")
        time.sleep(2)
        assert starts(simulator) == 1  # nothing goes on by itself
        client.stop()
        assert daemon.end() == 0
