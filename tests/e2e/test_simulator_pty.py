"""The simulator as a serial port: a real process behind a real pseudoterminal."""

import os
import signal
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from firmware_protocol.messages import (
    EmergencyStop,
    EventCode,
    GetStatus,
    Nak,
    Reason,
    SetLevel,
    State,
    Status,
)
from tests.e2e.simulator_process import SimulatorProcess, WireHost, run_simulator, wait_until

Start = Callable[..., SimulatorProcess]


@contextmanager
def port_opened(path: Path) -> Iterator[WireHost]:
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    termios.tcflush(fd, termios.TCIFLUSH)  # what came while nobody read
    try:
        yield WireHost(fd)
    finally:
        os.close(fd)


def test_a_host_opens_a_session_and_the_lease_ends_it(
    start_simulator: Start, tmp_path: Path
) -> None:
    path = tmp_path / "massager"
    simulator = start_simulator("--pty", path, "--boot-id", "7")
    assert simulator.url == f"serial:{path}"
    with port_opened(path) as host:
        assert host.hello(nonce=1).boot_id == 7
        status = host.ask(SetLevel(200, 500))
        assert isinstance(status, Status)
        assert status.state == State.RUNNING
        assert host.event(EventCode.LEASE_EXPIRED)
        assert isinstance(refused := host.ask(SetLevel(200, 500)), Nak)
        assert refused.reason == Reason.SESSION
    words = [row["why"] for row in simulator.trace()]
    assert words[:3] == ["boot", "hello", "set_level"]
    assert "lease_expired" in words


def test_an_emergency_stop_is_in_the_trace_before_its_answer_arrives(
    start_simulator: Start, tmp_path: Path
) -> None:
    simulator = start_simulator("--pty", tmp_path / "massager")
    with port_opened(tmp_path / "massager") as host:
        host.hello(nonce=1)
        host.ask(SetLevel(300, 5000))
        wait_until(lambda: _output(host) > 0, "the motor runs")
        sent_ns = time.monotonic_ns()
        status = host.ask(EmergencyStop())
        answered_ns = time.monotonic_ns()
        row = simulator.trace()[-1]
    assert isinstance(status, Status)
    assert status.output_permille == 0
    assert (row["why"], row["output"], row["state"]) == ("emergency_stop", 0, "latched")
    assert sent_ns < row["mono_ns"] < answered_ns


def test_the_trace_has_a_row_for_every_change_of_output_with_the_time_of_the_change(
    start_simulator: Start, tmp_path: Path
) -> None:
    simulator = start_simulator("--pty", tmp_path / "massager")
    with port_opened(tmp_path / "massager") as host:
        host.hello(nonce=1)
        host.ask(SetLevel(160, 500))
        host.event(EventCode.LEASE_EXPIRED)
        wait_until(lambda: simulator.trace()[-1]["output"] == 0, "the fall has ended")
    rows = simulator.trace()
    outputs = [row["output"] for row in rows]
    assert max(outputs) == 160
    assert all(after - before <= 1 or before == 0 for before, after in pairwise(outputs))
    for before, after in pairwise(rows):
        passed_ms = (after["mono_ns"] - before["mono_ns"]) / 1e6
        assert passed_ms == pytest.approx(after["device_ms"] - before["device_ms"], abs=50)


def test_a_host_may_close_the_port_and_another_opens_it(
    start_simulator: Start, tmp_path: Path
) -> None:
    start_simulator("--pty", tmp_path / "massager")
    with port_opened(tmp_path / "massager") as first:
        first.hello(nonce=1)
    for nonce in range(2, 5):
        with port_opened(tmp_path / "massager") as another:
            assert another.hello(nonce=nonce).host_nonce == nonce


def test_an_unplugged_port_fails_and_comes_back_under_the_same_name(
    start_simulator: Start, tmp_path: Path
) -> None:
    path = tmp_path / "massager"
    simulator = start_simulator("--pty", path)
    with port_opened(path) as host:
        host.hello(nonce=1)
        assert simulator.tell(fault="unplug", ms=60_000) == {"ok": True}
        wait_until(lambda: _is_gone(host), "the host sees that the port is gone")
        assert not path.is_symlink()
    assert simulator.tell(fault="none") == {"ok": True}
    with port_opened(path) as host:
        assert host.hello(nonce=2)


def test_bytes_are_left_in_the_line_while_the_port_does_not_read(
    start_simulator: Start, tmp_path: Path
) -> None:
    simulator = start_simulator("--pty", tmp_path / "massager")
    with port_opened(tmp_path / "massager") as host:
        host.hello(nonce=1)
        simulator.tell(fault="stop_reading")
        rows = len(simulator.trace())
        host.send_bytes(b"\0" * 100)
        assert simulator.tell(get="status")["line_faults"] == ["stop_reading"]
        assert len(simulator.trace()) == rows
        simulator.tell(fault="none")
        assert isinstance(host.ask(GetStatus()), Status)


def test_a_hung_device_is_reset_by_its_watchdog_with_the_output_at_zero(
    start_simulator: Start, tmp_path: Path
) -> None:
    simulator = start_simulator("--pty", tmp_path / "massager", "--boot-id", "9")
    with port_opened(tmp_path / "massager") as host:
        host.hello(nonce=1)
        host.ask(SetLevel(300, 5000))
        wait_until(lambda: _output(host) > 0, "the motor runs")
        simulator.tell(fault="hang")
        host.event(EventCode.BOOT)
        status = host.ask(GetStatus())
        assert isinstance(status, Nak)  # the token was the old boot's
    hung = next(row for row in simulator.trace() if row["why"] == "hang")
    booted = next(row for row in simulator.trace() if row["boot"] == 10)
    assert hung["output"] > 0
    assert (booted["output"], booted["why"]) == (0, "boot")
    assert 250 <= booted["device_ms"] - hung["device_ms"] <= 500


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(start_simulator: Start, tmp_path: Path, number: int) -> None:
    simulator = start_simulator("--pty", tmp_path / "massager")
    assert simulator.stop(number) == 0
    assert simulator.errors() == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["errors.txt", "trace.jsonl"]


def test_a_link_left_by_a_killed_simulator_is_replaced(
    start_simulator: Start, tmp_path: Path
) -> None:
    path = tmp_path / "massager"
    start_simulator("--pty", path).stop(signal.SIGKILL)
    assert path.is_symlink()
    start_simulator("--pty", path)
    with port_opened(path) as host:
        assert host.hello(nonce=1)


def test_the_link_of_a_running_simulator_is_left_alone(
    start_simulator: Start, tmp_path: Path
) -> None:
    path = tmp_path / "massager"
    start_simulator("--pty", path)
    code, _, errors = run_simulator("--pty", path)
    assert code == 2
    assert "belongs to a simulator that is running" in errors
    with port_opened(path) as host:
        assert host.hello(nonce=1)


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    link = tmp_path / "link"
    link.symlink_to(precious)
    for path in (precious, link):
        code, _, errors = run_simulator("--pty", path)
        assert code == 2
        assert "name another path" in errors
    assert precious.read_text() == "keep me"


def _output(host: WireHost) -> int:
    status = host.ask(GetStatus())
    assert isinstance(status, Status)
    return status.output_permille


def _is_gone(host: WireHost) -> bool:
    try:
        host.send_bytes(b"\0")
    except OSError:
        return True
    return False
