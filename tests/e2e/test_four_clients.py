"""Two devices, one daemon, and four clients at once that do whatever comes to their minds.

A second daemon has the same two devices in its config. Judged from the traces of the devices, the
histories of both daemons and what each client was told. `SOAK=100` makes it the long form
(`make soak`).
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from tests.brokers import HOST, Broker
from tests.e2e.daemon_process import Daemon
from tests.e2e.evidence import Evidence, Marks, Written, breaches, written_in
from tests.e2e.four_clients import DEVICES, EVERY, STOPS, Client, Commands, Deed, Lines, messages
from tests.e2e.simulator_process import SimulatorProcess, wait_until

SOAK = int(os.environ.get("SOAK", "0"))
SEEDS = range(20_261_121, 20_261_121 + max(2, SOAK // 2))
FOR_S = 30.0 if SOAK else 5.0
SPEED = 4
# What a row may count beyond what the motor ran, in ms of the device, each time that it turned: the
# 10 s after which no lease can hold it, on a computer too busy to hear that it is off, and a tick.
OVER_MS = 11_000
FALL_NS = 1_700_000_000 // SPEED
LATE_NS = 500_000_000
# A stop at the second daemon and a start at the first that pass each other: the device knows of no
# start before its HELLO, and neither daemon of the other's, so either may be the first.
CROSSING_NS = 1_000_000_000


@dataclass
class Home:
    """Two simulated devices and two daemons, each daemon in a home of its own."""

    simulators: dict[str, SimulatorProcess]
    first: Daemon
    second: Daemon
    is_told: bool  # the second daemon hears on the broker who keeps the devices

    def written(self, device: str) -> list[Written]:
        """Of both histories; what never reached a device names none."""
        return [
            each
            for daemon in (self.first, self.second)
            for each in written_in(daemon.folder, daemon.folder.name)
            if each.row.url == self.urls[device]
        ]

    @property
    def urls(self) -> dict[str, str]:
        return {name: simulator.url for name, simulator in self.simulators.items()}


@pytest.fixture
def home(tmp_path: Path, mosquitto: Broker, seed: int) -> Iterator[Home]:
    """`d1` is on a serial line, `d2` on the broker. Every other seed has a second daemon that only
    the device's lease keeps from a session of the first."""
    is_told = seed % 2 == 0
    at = f"mqtt://{HOST}:{mosquitto.port}"
    bearers: dict[str, tuple[str, str | Path]] = {
        "d1": ("--pty", tmp_path / "port"),
        "d2": ("--mqtt", at),
    }
    with ExitStack() as stack:
        simulators = {}
        for name, bearer in bearers.items():
            (tmp_path / name).mkdir()
            simulators[name] = SimulatorProcess(
                tmp_path / name, *bearer, "--device-id", name, "--speed", str(SPEED)
            )
            stack.callback(simulators[name].stop)
        wait_until(lambda: "connected" in simulators["d2"].errors(), "d2 is on the broker")
        urls = {name: simulator.url for name, simulator in simulators.items()}
        daemons = []
        for name, broker in (("first", at), ("second", at if is_told else None)):
            daemons.append(stack.enter_context(_daemon(tmp_path / name, broker, urls)))
            if broker is not None:
                _until_on_the_broker(daemons[-1])
        yield Home(simulators, daemons[0], daemons[1], is_told)


def _daemon(folder: Path, broker: str | None, urls: dict[str, str]) -> Daemon:
    tables = [
        f'[[devices]]\nname = "{name}"\ndevice_id = "{name}"\ndevice = "{url}"\n'
        for name, url in urls.items()
    ]
    config = folder / "config" / "massager" / "config.toml"
    config.parent.mkdir(parents=True)
    around = f'[home_assistant]\nnode_id = "{folder.name}"\n'
    if broker is not None:
        around += f'[mqtt]\nbroker = "{broker}"\n'
    config.write_text("".join([*tables, around]), encoding="utf-8")
    return Daemon(folder, "--speed", str(SPEED))


def _until_on_the_broker(daemon: Daemon) -> None:
    wait_until(lambda: "connected to mqtt" in daemon.log(), "it is on the broker")
    time.sleep(1.2)  # it asks for a second who keeps the devices


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(120 + 2 * FOR_S)
@pytest.mark.mosquitto
async def test_whatever_four_clients_do_at_once_the_rows_and_the_traces_agree(
    home: Home, mosquitto: Broker, seed: int
) -> None:
    assert all("the daemon first on" in line for line in _left_alone(home.second))
    assert len(_left_alone(home.second)) == len(DEVICES) * home.is_told
    deeds = await _evening(home, mosquitto, seed)
    for daemon in (home.first, home.second):
        assert await asyncio.to_thread(daemon.end, signal.SIGTERM) == 0
        assert "Traceback" not in daemon.log()
    _check_answers(deeds, is_told=home.is_told)
    for name, simulator in home.simulators.items():
        assert breaches(simulator) == []
        written = home.written(name)
        evidence = Evidence(simulator.trace(), written)
        mine = [deed for deed in deeds if deed.device in (name, EVERY)]
        evidence.check_motor_time(OVER_MS)
        _check_rows(mine, written, evidence)
        _check_stops(mine, evidence)
    _check_order(deeds, [each for name in DEVICES for each in home.written(name)])


async def _evening(home: Home, mosquitto: Broker, seed: int) -> list[Deed]:
    """Everything that was asked for; at the end all is stopped."""
    marks = Marks()
    commands = Commands(marks, seed, home.first.folder)
    lines = [
        Lines(daemon.folder.name, marks, seed, _sockets_of(daemon))
        for daemon in (home.first, home.second)
    ]
    try:
        async with messages(marks, seed, mosquitto.port) as mqtt:
            clients: list[Client] = [commands, mqtt, *lines]
            until_s = time.monotonic() + FOR_S
            await asyncio.gather(*(client.run(until_s) for client in clients))
            for name in DEVICES:
                await asyncio.gather(*(client.do("stop", name) for client in clients))
            async with asyncio.timeout(10):
                await commands.followed()
            assert mqtt.doubled == []
    finally:
        commands.close()
    return [deed for client in clients for deed in client.deeds]


def _sockets_of(daemon: Daemon) -> Callable[[str], Path]:
    return lambda device: daemon.folder / "run" / f"{daemon.process.pid}.{device}.sock"


def _left_alone(daemon: Daemon) -> list[str]:
    """What it says of devices that another daemon offers on the broker."""
    return [line for line in daemon.log().splitlines() if "not offered here as well" in line]


# --- judging --------------------------------------------------------------------------------------


def _check_answers(deeds: list[Deed], *, is_told: bool) -> None:
    """What was not done says why. A stop is done, unless there was no way to the device. No start
    is taken by the daemon that has heard who keeps the device."""
    for deed in deeds:
        if is_told and (deed.client, deed.action) == ("second", "start"):
            assert deed.ok is False, deed
            assert deed.why.startswith("the daemon first on "), deed
        assert deed.ok or deed.ok is None or deed.why.strip(), deed
        if deed.action in STOPS and deed.client != "second" and not deed.ok:
            assert any(_were_at_once(deed, other) for other in deeds), deed


def _were_at_once(stop: Deed, start: Deed) -> bool:
    """A start that still looks for its device, or one at the other daemon that follows the stop at
    once: nobody says that the motor is off."""
    is_the_same = start.action == "start" and stop.device in (start.device, EVERY)
    return is_the_same and start.asked_ns < stop.answered_ns and stop.asked_ns < start.answered_ns


def _check_rows(deeds: list[Deed], written: list[Written], evidence: Evidence) -> None:
    """One row for each accepted start, none that nobody asked for, no motion without one."""
    asked = {deed.mark: deed for deed in deeds if deed.mark is not None}
    marks = [each.mark for each in written]
    assert len(marks) == len(set(marks))
    assert set(marks) <= set(asked)
    for mark, deed in asked.items():
        assert not deed.ok or mark in marks, deed
        assert deed.ok is not False or mark not in evidence.moved, deed
    for each in written:
        assert each.row.ended is not None
        deed = asked[each.mark]
        assert deed.session in (None, each.row.id), deed


def _check_order(deeds: list[Deed], written: list[Written]) -> None:
    """The counter's order is the order of time, and a daemon's sessions never overlap."""
    asked = {deed.mark: deed for deed in deeds if deed.mark is not None}
    for history in ("first", "second"):
        rows = sorted(
            (each for each in written if each.history == history), key=lambda each: each.row.id
        )
        for before, after in combinations(rows, 2):
            assert asked[before.mark].asked_ns < asked[after.mark].answered_ns
        for device in {each.row.url for each in rows}:
            for before, after in pairwise(each for each in rows if each.row.url == device):
                assert before.ended_ns <= after.began_ns + 2_000_000, (before, after)


def _check_stops(deeds: list[Deed], evidence: Evidence) -> None:
    """After a stop that was taken, nothing moves but what was asked for after the stop was."""
    made_ns = {each.mark: each.began_ns for each in evidence.written}
    for stop in deeds:
        if stop.action not in STOPS or not stop.ok:
            continue
        before_ns = stop.asked_ns - (CROSSING_NS if stop.client == "second" else 0)
        by_ns = stop.answered_ns + LATE_NS + (FALL_NS if stop.action == "stop" else 0)
        for mark, turns in evidence.moved.items():
            if made_ns[mark] < before_ns:
                assert all(turn.last_ns <= by_ns for turn in turns), (stop, mark, turns)
