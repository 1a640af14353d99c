"""A broker that is restarted, every other time by a crash, while two sessions run in one daemon.

The device on the serial line does not notice; the device behind the broker is stopped by its lease,
and nothing goes on by itself once the broker is back. `RESTARTS=200` makes it the long form
(`make soak`).
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import HOST, Broker
from tests.e2e.daemon_process import Client, Daemon
from tests.e2e.evidence import breaches, is_turning
from tests.e2e.simulator_process import SimulatorProcess, wait_until

RESTARTS = int(os.environ.get("RESTARTS", "2"))
IN_ONE_HOME = 20  # beyond, the devices would want their rest
SEED = 20_261_121
SPEED = 4
LEASE_AND_FALL_NS = 6_000_000_000 // SPEED  # a fast clock asks for the longest lease
LATE_NS = 250_000_000
BACK_S = 6.0


@dataclass
class Home:
    """Both devices, and the daemon that keeps them."""

    serial: SimulatorProcess
    remote: SimulatorProcess
    daemon: Daemon

    def connection(self, client: Client) -> str:
        """Of the device behind the broker."""
        devices = client.ask(request="devices")["devices"]
        return str(next(each["connection"] for each in devices if each["name"] == "remote"))


@pytest.fixture
def homes(tmp_path: Path, mosquitto: Broker) -> Iterator[Callable[[], Home]]:
    """Makes them, one after the other."""
    at = f"mqtt://{HOST}:{mosquitto.port}"
    with ExitStack() as stack:
        made: list[Path] = []

        def make() -> Home:
            stack.close()
            folder = tmp_path / f"home{len(made)}"
            made.append(folder)
            bearers: dict[str, tuple[str, str | Path]] = {
                "serial": ("--pty", folder / "port"),
                "remote": ("--mqtt", at),
            }
            simulators = []
            for name, bearer in bearers.items():
                (folder / name).mkdir(parents=True)
                simulators.append(
                    SimulatorProcess(
                        folder / name, *bearer, "--device-id", name, "--speed", str(SPEED)
                    )
                )
                stack.callback(simulators[-1].stop)
            tables = [
                f'[[devices]]\nname = "{name}"\ndevice = "{simulator.url}"\n'
                for name, simulator in zip(bearers, simulators, strict=True)
            ]
            config = folder / "config" / "massager" / "config.toml"
            config.parent.mkdir(parents=True)
            config.write_text("".join([*tables, f'[mqtt]\nbroker = "{at}"\n']), encoding="utf-8")
            daemon = stack.enter_context(Daemon(folder, "--speed", str(SPEED)))
            return Home(simulators[0], simulators[1], daemon)

        yield make


@pytest.mark.mosquitto
@pytest.mark.timeout(60 + RESTARTS * 30)
def test_a_broker_that_restarts_ends_no_serial_session_and_starts_nothing(
    homes: Callable[[], Home], mosquitto: Broker
) -> None:
    rng = random.Random(SEED)
    away_s: list[float] = []
    for first in range(0, RESTARTS, IN_ONE_HOME):
        home = homes()
        for number in range(first, min(first + IN_ONE_HOME, RESTARTS)):
            by = signal.SIGKILL if number % 2 else signal.SIGTERM
            away_s.append(_one_evening(home, mosquitto, by, rng.uniform(0, 1)))
        assert home.daemon.end() == 0
        assert breaches(home.serial) == breaches(home.remote) == []
    assert sorted(away_s)[round(0.95 * (len(away_s) - 1))] <= 5
    assert max(away_s) <= BACK_S


def _one_evening(home: Home, broker: Broker, by: int, for_s: float) -> float:
    """Both devices turn, the broker goes and comes, both are stopped. See `_restart`."""
    with home.daemon.client("serial") as serial, home.daemon.client("remote") as remote:
        wait_until(lambda: home.connection(remote) == "connected", "it is there")
        assert serial.ask(request="start", intensity=9)["ok"]
        assert remote.ask(request="start", intensity=9)["ok"]
        wait_until(lambda: is_turning(home.serial) and is_turning(home.remote), "they turn")
        away_s = _restart(home, broker, remote, by, for_s)
        serial.stop()
        remote.stop()
        return away_s


def _restart(home: Home, broker: Broker, remote: Client, by: int, for_s: float) -> float:
    """How long after it the daemon had its device again, and everything that was to be seen."""
    down_ns = time.monotonic_ns()
    broker.stop(by)
    time.sleep(for_s)
    broker.start()
    back_s = time.monotonic()
    wait_until(lambda: home.connection(remote) == "connected", "it is over")
    away_s = time.monotonic() - back_s
    wait_until(lambda: not is_turning(home.remote), "the lease has ended it")
    left_s = (down_ns + LEASE_AND_FALL_NS + 500_000_000 - time.monotonic_ns()) / 1e9
    time.sleep(max(0.3, left_s))  # what would go on by itself would do so now
    ended_ns = time.monotonic_ns()

    went_on = _between(home.serial, down_ns, ended_ns)
    assert went_on
    assert [row for row in went_on if not row["output"]] == []
    assert {row["why"] for row in went_on} <= {"set_level", "tick", "get_status", "repeat", "gate"}
    late = [
        row
        for row in _between(home.remote, down_ns + LEASE_AND_FALL_NS + LATE_NS, ended_ns)
        if row["output"]
    ]
    assert late == [], [(row["mono_ns"] - down_ns) / 1e6 for row in late]
    return away_s


def _between(simulator: SimulatorProcess, from_ns: int, to_ns: int) -> list[dict[str, Any]]:
    return [row for row in simulator.trace() if from_ns <= row["mono_ns"] <= to_ns]
