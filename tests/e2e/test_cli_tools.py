"""devices, trace and clear as a person types them: on ptys, TCP, a broker, and no massager."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers import Broker
from tests.e2e.command import Done, Running, massager, unprivileged
from tests.e2e.fake_devices import (
    GPS_LINE,
    Answer,
    FakeDevice,
    FakeSerial,
    FakeTcp,
    echo,
    other_major,
    silence,
)
from tests.e2e.simulator_process import SimulatorProcess, wait_until

SETPRIV = Path("/usr/bin/setpriv")
StartSimulator = Callable[..., SimulatorProcess]

# (answer, what it says by itself, a word of the error)
NO_MASSAGERS: list[tuple[Answer, bytes, str]] = [
    (silence, b"", "nothing answers"),
    (echo, b"", "echo plug"),
    (silence, GPS_LINE, "something else answers"),
    (other_major, b"", "protocol major 9"),
]
NAMES = ["silence", "echo plug", "gps", "other major"]


def records(done: Done) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.out.splitlines()]


# --- devices ---------------------------------------------------------------------------------


def test_a_device_on_a_pty_says_who_it_is(start_simulator: StartSimulator, tmp_path: Path) -> None:
    simulator = start_simulator("--pty", tmp_path / "tty", "--device-id", "foot-1")

    done = massager(tmp_path, "devices", simulator.url)

    assert (done.code, done.err) == (0, "")
    assert "foot-1: simulated" in done.out


def test_a_device_on_tcp_says_who_it_is_as_json(
    start_simulator: StartSimulator, tmp_path: Path
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0", "--device-id", "foot-2")

    done = massager(tmp_path, "devices", simulator.url, "--json")

    assert done.code == 0
    (record,) = json.loads(done.out)
    assert record["answer"]["identity"]["device_id"] == "foot-2"
    assert record["error"] is None


def test_a_device_behind_a_broker_says_who_it_is(
    start_simulator: StartSimulator, broker: Broker, tmp_path: Path
) -> None:
    simulator = start_simulator(
        "--mqtt", f"mqtt://127.0.0.1:{broker.port}", "--device-id", "foot-3"
    )

    done = massager(tmp_path, "devices", simulator.url)

    assert (done.code, done.err) == (0, "")
    assert "foot-3: simulated" in done.out


@pytest.mark.parametrize(("answer", "says", "word"), NO_MASSAGERS, ids=NAMES)
def test_what_is_no_massager_on_a_serial_port_is_told(
    answer: Answer, says: bytes, word: str, tmp_path: Path
) -> None:
    with FakeSerial(tmp_path, answer, says) as fake:
        done = massager(tmp_path, "devices", fake.url)

    assert done.code == 4
    assert word in done.out
    nothing_moved(fake)


@pytest.mark.parametrize(("answer", "says", "word"), NO_MASSAGERS, ids=NAMES)
def test_what_is_no_massager_on_tcp_is_told(
    answer: Answer, says: bytes, word: str, tmp_path: Path
) -> None:
    with FakeTcp(answer, says) as fake:
        done = massager(tmp_path, "devices", fake.url)

    assert done.code == 4
    assert word in done.out
    nothing_moved(fake)


def test_a_port_that_somebody_holds_is_busy_and_the_others_are_asked_all_the_same(
    start_simulator: StartSimulator, tmp_path: Path
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0")
    with FakeSerial(tmp_path) as fake, holding(fake.url, tmp_path):
        done = massager(tmp_path, "devices", fake.url, simulator.url)

    assert done.code == 0
    assert "is in use by pid" in done.out
    assert "sim-0001: simulated" in done.out


def test_a_port_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = massager(tmp_path, "devices", f"serial:{tmp_path}/ttyUSB7")

    assert done.code == 4
    assert "ttyUSB7 is not there" in done.out


@pytest.mark.skipif(os.geteuid() == 0 and not SETPRIV.exists(), reason="is root")
def test_a_port_that_is_not_permitted_names_the_group_or_the_rule(tmp_path: Path) -> None:
    with FakeSerial(tmp_path) as fake:
        fake.path.chmod(0)
        done = unprivileged("devices", f"serial:{fake.path.resolve()}")

    assert done.code == 4, done
    assert "udev rule" in done.out or "usermod" in done.out


# --- trace -----------------------------------------------------------------------------------


def test_a_trace_of_a_serial_line_shows_both_directions(
    start_simulator: StartSimulator, tmp_path: Path
) -> None:
    simulator = start_simulator("--pty", tmp_path / "tty")

    done = massager(tmp_path, "trace", simulator.url, "--seconds", "1.5", "--json")

    assert (done.code, done.err) == (0, "")
    names = [(record["direction"], record["name"]) for record in records(done)]
    assert ("to device", "HELLO") in names
    assert ("from device", "IDENTITY") in names
    assert ("to device", "GET_STATUS") in names
    assert ("from device", "STATUS") in names


def test_a_trace_through_a_broker_only_listens(
    start_simulator: StartSimulator, broker: Broker, tmp_path: Path
) -> None:
    simulator = start_simulator(
        "--mqtt", f"mqtt://127.0.0.1:{broker.port}", "--device-id", "foot-3"
    )
    with tracing(simulator.url, tmp_path) as trace:
        wait_until(lambda: "listening" in trace.errors(), "the trace to listen")
        time.sleep(0.3)
        assert trace.lines() == []
        massager(tmp_path, "devices", simulator.url)
        wait_until(lambda: any("STATUS  " in line for line in trace.lines()), "frames")

    lines = trace.lines()
    assert any("→ HELLO" in line for line in lines)
    assert any("← IDENTITY" in line for line in lines)


def test_a_trace_of_a_gps_shows_hex_with_the_reason(tmp_path: Path) -> None:
    with FakeSerial(tmp_path, says=GPS_LINE) as fake:
        done = massager(tmp_path, "trace", fake.url, "--seconds", "2.5", "--json")

    assert done.code == 0
    damaged = [record for record in records(done) if record["name"] is None]
    assert damaged
    assert str(damaged[0]["hex"]).startswith(GPS_LINE[:6].hex())
    assert damaged[0]["problem"]
    nothing_moved(fake)


def test_a_trace_of_an_echo_plug_shows_each_frame_twice(tmp_path: Path) -> None:
    with FakeSerial(tmp_path, echo) as fake:
        done = massager(tmp_path, "trace", fake.url, "--seconds", "0.5", "--json")

    assert [(record["direction"], record["name"]) for record in records(done)] == [
        ("to device", "HELLO"),
        ("from device", "HELLO"),
    ]


def test_ctrl_c_ends_a_trace_with_130(start_simulator: StartSimulator, tmp_path: Path) -> None:
    simulator = start_simulator("--pty", tmp_path / "tty")
    with tracing(simulator.url, tmp_path) as trace:
        wait_until(trace.lines, "a frame")
        assert trace.end(signal.SIGINT) == 130

    assert "Traceback" not in trace.errors()


def test_a_trace_of_a_line_that_goes_away_ends_with_4(
    start_simulator: StartSimulator, tmp_path: Path
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0")
    with tracing(simulator.url, tmp_path) as trace:
        wait_until(trace.lines, "a frame")
        simulator.stop()
        assert trace.wait() == 4

    assert "is gone" in trace.errors()


def test_a_trace_moves_and_stops_nothing(start_simulator: StartSimulator, tmp_path: Path) -> None:
    simulator = start_simulator("--pty", tmp_path / "tty")
    massager(tmp_path, "trace", simulator.url, "--seconds", "2.5")

    assert {row["why"] for row in simulator.trace()} <= {"boot", "identify", "get_status"}


# --- clear -----------------------------------------------------------------------------------


def test_a_latched_emergency_stop_is_taken_back(
    start_simulator: StartSimulator, tmp_path: Path
) -> None:
    simulator = start_simulator("--pty", tmp_path / "tty")
    massager(tmp_path, "stop", "--now", "--device", simulator.url)

    done = massager(tmp_path, "clear", "--device", simulator.url)

    assert (done.code, done.err) == (0, "")
    assert "emergency stop" in done.out
    assert "cleared" in done.out
    assert simulator.tell(get="status")["state"] == "idle"
    assert {row["output"] for row in simulator.trace()} == {0}


def test_where_nothing_is_latched_clear_says_so(
    start_simulator: StartSimulator, tmp_path: Path
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0")

    done = massager(tmp_path, "clear", "--device", simulator.url)

    assert (done.code, done.err) == (0, "")
    assert "nothing is latched" in done.out


def test_a_fault_that_is_still_there_is_refused_with_what_to_do(
    start_simulator: StartSimulator, tmp_path: Path
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0")
    simulator.tell(fault="stuck_sensor")
    wait_until(lambda: simulator.tell(get="status")["state"] == "latched", "the latch")

    refused = massager(tmp_path, "clear", "--device", simulator.url)
    assert refused.code == 3
    assert "the cause is still there" in refused.err
    assert "check the cables" in refused.err

    simulator.tell(fault="none")
    assert massager(tmp_path, "clear", "--device", simulator.url).code == 0


@pytest.mark.parametrize(("answer", "says", "word"), NO_MASSAGERS, ids=NAMES)
def test_what_is_no_massager_cannot_be_cleared(
    answer: Answer, says: bytes, word: str, tmp_path: Path
) -> None:
    with FakeSerial(tmp_path, answer, says) as fake:
        done = massager(tmp_path, "clear", "--device", fake.url)

    assert done.code == 4
    assert word in done.err
    nothing_moved(fake)


def test_while_a_session_runs_clear_names_its_owner_and_touches_nothing(
    start_simulator: StartSimulator, tmp_path: Path
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0", "--speed", "20")
    with Running(tmp_path, "start", "--device", simulator.url, "--speed", "20") as session:
        wait_until(lambda: any(row["output"] for row in simulator.trace()), "motion")

        cleared = massager(tmp_path, "clear", "--device", simulator.url)
        listed = massager(tmp_path, "devices", simulator.url)

        assert cleared.code == 3
        assert f"process {session.process.pid}" in cleared.err
        assert listed.code == 0
        assert f"in use by process {session.process.pid}" in listed.out
        assert simulator.tell(get="status")["output"] > 0
        assert session.end(signal.SIGINT) == 130


# --- processes -------------------------------------------------------------------------------


def nothing_moved(fake: FakeDevice) -> None:
    """Only HELLO, GET_LIMITS and GET_STATUS were ever sent."""
    assert fake.types_received <= {0x01, 0x02, 0x07}


def tracing(url: str, folder: Path) -> Running:
    return Running(folder, "trace", url)


def holding(url: str, folder: Path) -> Running:
    """Another process that has the port open."""
    held = Running(folder, "trace", url)
    wait_until(held.lines, "the port to be held")
    return held
