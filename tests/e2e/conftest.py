"""Processes that end with the test: simulators and brokers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.brokers import Broker, any_broker, real_mosquitto
from tests.e2e.simulator_process import SimulatorProcess


@pytest.fixture
def start_simulator(tmp_path: Path) -> Iterator[Callable[..., SimulatorProcess]]:
    """Starts simulators with the given flags; whatever still runs is ended."""
    started: list[SimulatorProcess] = []

    def start(*flags: str | Path, environment: tuple[str, ...] = ()) -> SimulatorProcess:
        started.append(SimulatorProcess(tmp_path, *flags, environment=environment))
        return started[-1]

    yield start
    for simulator in started:
        simulator.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker that takes anybody: Mosquitto, or amqtt where that is missing."""
    running = any_broker(tmp_path)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    """A running Mosquitto, or a skipped test; mark the test with `mosquitto`, too."""
    running = real_mosquitto(tmp_path)
    running.start()
    yield running
    running.stop()
