"""The simulator behind a TCP port: a real process, real connections."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from firmware_protocol.messages import EventCode, GetStatus, SetLevel, State, Status
from tests.brokers import free_port
from tests.e2e.simulator_process import SimulatorProcess, WireHost, run_simulator, wait_until

Start = Callable[..., SimulatorProcess]


def address(simulator: SimulatorProcess) -> tuple[str, int]:
    host, _, port = simulator.url.removeprefix("tcp://").rpartition(":")
    return host, int(port)


@contextmanager
def connected(simulator: SimulatorProcess) -> Iterator[WireHost]:
    with socket.create_connection(address(simulator), timeout=5) as connection:
        yield WireHost(connection.fileno())


def test_port_zero_takes_a_free_port_and_prints_it(start_simulator: Start) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0")
    with connected(simulator) as host:
        assert host.hello(nonce=1).name == "sim-0001"


def test_the_device_goes_on_when_its_host_is_gone(start_simulator: Start) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0")
    with connected(simulator) as host:
        host.hello(nonce=1)
        host.ask(SetLevel(200, 500))
    wait_until(
        lambda: simulator.trace()[-1]["state"] == "idle" and len(simulator.trace()) > 5,
        "the lease has run out and the output is 0",
    )
    words = [row["why"] for row in simulator.trace()]
    assert "lease_expired" in words
    assert simulator.trace()[-1]["output"] == 0


def test_a_second_host_is_refused_and_the_first_is_not_disturbed(start_simulator: Start) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0")
    with connected(simulator) as first:
        first.hello(nonce=1)
        second = socket.create_connection(address(simulator), timeout=5)
        with second, suppress(ConnectionResetError):
            assert second.recv(1) == b""
        assert isinstance(first.ask(GetStatus()), Status)
    wait_until(lambda: "second host was refused" in simulator.errors(), "it says so")
    wait_until(lambda: can_say_hello(simulator), "the place is free again")


def test_an_unplugged_line_is_lost_cannot_be_opened_and_comes_back(start_simulator: Start) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0")
    with connected(simulator) as host:
        host.hello(nonce=1)
        simulator.tell(fault="unplug", ms=60_000)
        with pytest.raises((AssertionError, OSError)):
            host.ask(GetStatus())
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(address(simulator), timeout=5)
    simulator.tell(fault="none")
    wait_until(lambda: can_say_hello(simulator), "the line is back")


def test_twenty_times_the_speed_is_twenty_times_the_device_time(start_simulator: Start) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0", "--speed", "20")
    with connected(simulator) as host:
        assert host.hello(nonce=1).speed == 20
        status = host.ask(SetLevel(300, 5000))
        assert isinstance(status, Status)
        assert status.state == State.RUNNING
        host.event(EventCode.LEASE_EXPIRED)
    rows = simulator.trace()
    began = next(row for row in rows if row["why"] == "set_level")
    ended = next(row for row in rows if row["why"] == "lease_expired")
    assert ended["device_ms"] - began["device_ms"] == 5000
    assert (ended["mono_ns"] - began["mono_ns"]) / 1e9 == pytest.approx(0.25, abs=0.05)


def test_a_port_that_is_taken_is_a_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, errors = run_simulator("--tcp", f"127.0.0.1:{port}")
    assert (code, out) == (2, "")
    assert f"tcp://127.0.0.1:{port}" in errors
    assert "Address already in use" in errors
    assert "Traceback" not in errors


def test_a_device_without_a_feet_sensor_says_so(start_simulator: Start) -> None:
    simulator = start_simulator("--tcp", f"127.0.0.1:{free_port()}", "--no-feet-sensor")
    answer = simulator.tell(feet=False)
    assert not answer["ok"]
    assert "--no-feet-sensor" in answer["error"]


def can_say_hello(simulator: SimulatorProcess) -> bool:
    try:
        with connected(simulator) as host:
            host.hello(nonce=99)
    except (OSError, AssertionError):
        return False
    return True
