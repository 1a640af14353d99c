"""`massager serve` as processes: the device, the daemon and whoever asks it come and go."""

import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.device import TraceRow
from tests.e2e.command import Running, massager
from tests.e2e.daemon_process import Daemon, beside
from tests.e2e.simulator_process import SimulatorProcess, wait_until
from tests.invariants import check_trace
from tests.screened import screened

StartSimulator = Callable[..., SimulatorProcess]
FAST = ("--speed", "20")


@pytest.fixture
def port(tmp_path: Path) -> Path:
    """Where the simulated device appears."""
    return tmp_path / "port"


def following(folder: Path, *words: str) -> Running:
    """`massager start`, beside the daemon of `folder`."""
    own = folder / "follower"
    own.mkdir(exist_ok=True)
    return Running(own, "start", *words, extra=beside(folder))


def rows(simulator: SimulatorProcess) -> list[dict[str, Any]]:
    return simulator.trace()


def turns(simulator: SimulatorProcess) -> None:
    wait_until(lambda: rows(simulator) and rows(simulator)[-1]["output"] > 0, "the motor turns")


def is_off(simulator: SimulatorProcess) -> bool:
    return bool(simulator.tell(get="status")["output"] == 0)


def keeps_the_invariants(simulator: SimulatorProcess) -> bool:
    trace = [
        TraceRow(**{name: value for name, value in row.items() if name != "mono_ns"})
        for row in rows(simulator)
    ]
    return check_trace(trace) == []


def off_after_ms(simulator: SimulatorProcess, since_ns: int) -> float:
    """How long after `since_ns` (this computer's monotonic clock) the output was 0 for good."""
    wait_until(lambda: rows(simulator)[-1]["output"] == 0, "output 0")
    last_on = max(i for i, row in enumerate(rows(simulator)) if row["output"] > 0)
    return float(rows(simulator)[last_on + 1]["mono_ns"] - since_ns) / 1e6


def newest_row(folder: Path) -> dict[str, Any]:
    """Of the history."""
    found: list[dict[str, Any]] = json.loads(massager(folder, "history", "--json").out)
    return max(found, key=lambda row: int(row["id"]))


# --- the device comes and goes --------------------------------------------------------------------


def test_a_start_without_the_device_waits_for_it_and_begins_when_it_is_plugged_in(
    tmp_path: Path, port: Path, start_simulator: StartSimulator
) -> None:
    with Daemon(tmp_path, "--device", f"serial:{port}", *FAST) as daemon:
        assert daemon.connection() == "away"
        with following(tmp_path, "--intensity", "5", "--json") as session:
            time.sleep(1)
            assert session.process.poll() is None

            simulator = start_simulator("--pty", port, *FAST)

            turns(simulator)
            assert daemon.connection() == "connected"
            assert massager(tmp_path, "stop").code == 0
            assert session.wait() == 0
        assert is_off(simulator)
        assert keeps_the_invariants(simulator)


def test_a_device_that_is_unplugged_between_sessions_and_in_one_is_found_again(
    tmp_path: Path, port: Path, start_simulator: StartSimulator
) -> None:
    simulator = start_simulator("--pty", port, *FAST)
    with Daemon(tmp_path, "--device", f"serial:{port}", *FAST) as daemon, daemon.client() as client:
        wait_until(lambda: daemon.connection() == "connected", "the device is there")
        simulator.tell(fault="unplug", ms=1_500)
        wait_until(lambda: daemon.connection() == "away", "it is gone")
        wait_until(lambda: daemon.connection() == "connected", "it is back")

        assert client.ask(request="start")["ok"]
        turns(simulator)
        simulator.tell(fault="unplug", ms=1_500)
        wait_until(lambda: daemon.devices()[0]["reason"] == "link lost", "the session pauses")
        time.sleep(2)
        assert daemon.devices()[0]["phase"] == "paused"  # nothing goes on without a person
        assert is_off(simulator)
        wait_until(lambda: client.ask(request="resume")["ok"], "it can be resumed")
        turns(simulator)
        client.stop()
    assert keeps_the_invariants(simulator)


# --- the daemon goes ------------------------------------------------------------------------------


def test_a_killed_daemon_leaves_output_0_by_the_lease_and_the_next_one_moves_nothing(
    tmp_path: Path, port: Path, start_simulator: StartSimulator
) -> None:
    simulator = start_simulator("--pty", port)
    device = f"serial:{port}"
    with Daemon(tmp_path, "--device", device) as daemon, daemon.client() as client:
        assert client.ask(request="start", intensity=9)["ok"]
        turns(simulator)
        killed_ns = time.monotonic_ns()
        daemon.end(signal.SIGKILL)
        with Daemon(tmp_path, "--device", device) as after:
            assert off_after_ms(simulator, killed_ns) <= 2500
            wait_until(lambda: after.connection() == "connected", "the next one has the device")
            time.sleep(1.5)
            assert is_off(simulator)
            assert rows(simulator)[-1]["output"] == 0
            assert newest_row(tmp_path)["stop_reason"] == "unknown end"
    assert keeps_the_invariants(simulator)


def test_sigterm_in_a_session_is_a_soft_end_and_its_row_is_written(
    tmp_path: Path, port: Path, start_simulator: StartSimulator
) -> None:
    simulator = start_simulator("--pty", port)
    with Daemon(tmp_path, "--device", f"serial:{port}") as daemon, daemon.client() as client:
        assert client.ask(request="start")["ok"]
        turns(simulator)
        signalled_ns = time.monotonic_ns()
        assert daemon.end(signal.SIGTERM) == 0
        assert off_after_ms(simulator, signalled_ns) <= 2500
        assert "stop" in [row["why"] for row in rows(simulator)]
    row = newest_row(tmp_path)
    assert (row["stop_reason"], row["output_confirmed"]) == ("shutdown", True)
    assert not list((tmp_path / "run").glob("*.sock"))


def test_a_second_signal_is_output_0_at_once(
    tmp_path: Path, port: Path, start_simulator: StartSimulator
) -> None:
    pace = ("--speed", "10")  # a soft end takes 200 ms
    simulator = start_simulator("--pty", port, *pace)
    flags = ("--device", f"serial:{port}", *pace)
    with Daemon(tmp_path, *flags) as daemon, daemon.client() as client:
        assert client.ask(request="start", intensity=10, warmup=60)["ok"]
        wait_until(lambda: rows(simulator)[-1]["output"] > 500, "it is strong")
        daemon.process.send_signal(signal.SIGINT)
        wait_until(lambda: "ending softly" in daemon.log(), "the first signal is taken")
        signalled_ns = time.monotonic_ns()
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.process.wait(10) == 0
        assert off_after_ms(simulator, signalled_ns) <= 250
    assert "emergency_stop" in [row["why"] for row in rows(simulator)]
    assert newest_row(tmp_path)["output_confirmed"]


# --- who asks -------------------------------------------------------------------------------------


def test_ctrl_c_ends_the_session_and_not_the_daemon(tmp_path: Path) -> None:
    write_config(tmp_path, 'device = "sim:"\n')
    with Daemon(tmp_path, *FAST) as daemon:
        with following(tmp_path, "--json") as session:
            wait_until(lambda: '"warm-up"' in "".join(session.lines()), "the session runs")
            assert session.end(signal.SIGINT) == 130
            assert session.errors() == ""
        assert daemon.devices()[0]["reason"] == "requested"
        assert daemon.process.poll() is None
        with following(tmp_path, "--quiet") as session:
            wait_until(lambda: daemon.devices()[0]["phase"] == "warm-up", "the next one runs")
            assert massager(tmp_path, "pause").code == 0
            assert massager(tmp_path, "resume").code == 0
            assert massager(tmp_path, "intensity", "4").code == 0
            assert massager(tmp_path, "extend", "1").code == 0
            assert massager(tmp_path, "stop", "--now").code == 0
            assert session.wait() == 0
        refused = massager(tmp_path, "start")
        assert refused.code == 3
        assert "latched" in refused.err
        assert massager(tmp_path, "clear").code == 0
        assert massager(tmp_path, "pause").code == 3


def test_whoever_only_follows_may_be_killed_and_is_told_when_the_daemon_is(tmp_path: Path) -> None:
    write_config(tmp_path, 'device = "sim:"\n')
    with Daemon(tmp_path, *FAST) as daemon:
        with following(tmp_path, "--json") as session:
            wait_until(lambda: '"warm-up"' in "".join(session.lines()), "the session runs")
            session.end(signal.SIGKILL)
        assert daemon.devices()[0]["phase"] == "warm-up"
        busy = massager(tmp_path, "start")
        assert busy.code == 3
        assert "already running" in busy.err
        assert massager(tmp_path, "stop").code == 0
        with following(tmp_path, "--json") as session:
            wait_until(lambda: '"warm-up"' in "".join(session.lines()), "the session runs")
            daemon.end(signal.SIGKILL)
            assert session.wait() == 5
            assert "the daemon is gone" in session.errors()


def test_whoever_follows_and_is_dropped_is_not_told_that_the_motor_stops(tmp_path: Path) -> None:
    write_config(tmp_path, 'device = "sim:"\n')
    with Daemon(tmp_path, *FAST) as daemon:
        with following(tmp_path, "--json") as session:
            wait_until(lambda: '"warm-up"' in "".join(session.lines()), "the session runs")
            others = [daemon.client() for _ in range(17)]
            assert session.wait() == 5
            assert "the massage goes on" in session.errors()
            for other in others:
                other.__exit__()
        assert daemon.devices()[0]["phase"] in ("warm-up", "massage")


def test_whoever_hangs_up_before_the_answer_takes_the_start_back(
    tmp_path: Path, port: Path, start_simulator: StartSimulator
) -> None:
    with Daemon(tmp_path, "--device", f"serial:{port}", *FAST) as daemon:
        with daemon.client() as client:
            client.send(request="start")
            wait_until(lambda: daemon.devices()[0]["phase"] == "connecting", "it looks")
        simulator = start_simulator("--pty", port, *FAST)
        wait_until(lambda: daemon.connection() == "connected", "the device is there")
        time.sleep(1)
        assert all(row["output"] == 0 for row in rows(simulator))


def test_a_stop_is_not_behind_a_start_that_still_connects(tmp_path: Path, port: Path) -> None:
    flags = ("--device", f"serial:{port}", *FAST)
    with Daemon(tmp_path, *flags) as daemon, daemon.client() as client:
        client.send(request="start")
        wait_until(lambda: daemon.devices()[0]["phase"] == "connecting", "it looks")
        asked_s = time.monotonic()
        assert massager(tmp_path, "stop").code == 0
        refused = client.answer()
        assert time.monotonic() - asked_s < 5  # most of it is the stop's own start-up
        assert refused["error"]["refusal"] == "stopped"


@pytest.mark.parametrize("now", [False, True])
def test_a_stop_in_the_same_breath_as_a_start_wins(
    tmp_path: Path, port: Path, start_simulator: StartSimulator, now: bool
) -> None:
    simulator = start_simulator("--pty", port, *FAST)
    with Daemon(tmp_path, "--device", f"serial:{port}", *FAST) as daemon:
        wait_until(lambda: daemon.connection() == "connected", "the device is seen")
        with daemon.client() as client:
            start: dict[str, object] = {"request": "start", "intensity": 5}
            client.send_at_once(start, {"request": "stop", "now": now})
            stages: list[str | None] = []
            refusals: list[str] = []
            while "ended" not in stages or not refusals:
                answer = client.answer()
                stages.append(answer.get("stage"))
                refusals += [answer["error"]["refusal"]] if "error" in answer else []
            assert refusals == ["stopped"]
        time.sleep(0.5)
        assert is_off(simulator)
        assert max((row["output"] for row in rows(simulator)), default=0) == 0


def test_a_stop_that_a_device_without_a_session_does_not_answer_is_not_called_done(
    tmp_path: Path, port: Path, start_simulator: StartSimulator
) -> None:
    """The daemon has just been started anew and knows nothing of what moved before."""
    simulator = start_simulator("--pty", port, *FAST)
    with Daemon(tmp_path, "--device", f"serial:{port}", *FAST) as daemon:
        wait_until(lambda: daemon.connection() == "connected", "the device is seen")
        simulator.tell(fault="drop", rate=1.0)
        unheard = massager(tmp_path, "stop")
        assert unheard.code == 5
        assert "pull the plug" in unheard.out


def test_a_latch_of_a_device_that_is_away_is_no_refusal_with_a_daemon_or_without(
    tmp_path: Path, port: Path
) -> None:
    device = ("--device", f"serial:{port}")
    alone = massager(tmp_path, "clear", *device)
    with Daemon(tmp_path, *device):
        asked = massager(tmp_path, "clear", *device)
    assert (alone.code, asked.code) == (4, 4)
    assert asked.err == alone.err


@pytest.mark.parametrize("words", [("start",), ("stop",), ("stop", "--now"), ("clear",)])
def test_a_device_that_is_away_is_no_device_with_a_daemon_or_without(
    tmp_path: Path, port: Path, words: tuple[str, ...]
) -> None:
    """Above all a stop that has reached nobody is not called done."""
    device = ("--device", f"serial:{port}")
    alone = massager(tmp_path, *words, *device)
    with Daemon(tmp_path, *device):
        asked = massager(tmp_path, *words, *device)
    assert (alone.code, asked.code) == (4, 4)
    assert f"{port} is not there" in alone.err
    assert f"{port} is not there" in asked.err
    assert ("pull the plug" in asked.err) is (words[0] == "stop")


def test_another_device_than_the_configured_one_is_no_device_with_a_daemon_or_without(
    tmp_path: Path, port: Path, start_simulator: StartSimulator
) -> None:
    start_simulator("--pty", port, *FAST)
    config = tmp_path / "config" / "massager" / "config.toml"
    config.parent.mkdir(parents=True)
    table = f'[[devices]]\nname = "mine"\ndevice = "serial:{port}"\ndevice_id = "foot-1"\n'
    config.write_text(table, encoding="utf-8")
    alone = massager(tmp_path, "start", *FAST)
    with Daemon(tmp_path, *FAST):
        asked = massager(tmp_path, "start")
    assert (alone.code, asked.code) == (4, 4)
    assert asked.err == alone.err
    assert "sim-0001 answered, but foot-1 is configured" in asked.err


def test_a_port_that_another_program_holds_is_no_device_with_a_daemon_or_without(
    tmp_path: Path, port: Path, start_simulator: StartSimulator
) -> None:
    start_simulator("--pty", port, *FAST)
    device = ("--device", f"serial:{port}")
    with port.open("rb", buffering=0) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        alone = massager(tmp_path, "start", *device, *FAST)
        with Daemon(tmp_path, *device, *FAST):
            asked = massager(tmp_path, "start", *device)
    assert (alone.code, asked.code) == (4, 4)
    assert asked.err == alone.err


def test_a_second_daemon_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--device", "sim:") as daemon:
        refused = massager(tmp_path, "serve", "--device", "sim:")
        assert refused.code == 3
        assert f"process {daemon.process.pid}" in refused.err
        daemon.end(signal.SIGKILL)
        with Daemon(tmp_path, "--device", "sim:") as after:
            assert after.end() == 0


def test_a_device_in_use_by_a_session_in_the_foreground_is_taken_once_that_has_ended(
    tmp_path: Path, port: Path, start_simulator: StartSimulator
) -> None:
    simulator = start_simulator("--pty", port, *FAST)
    with following(tmp_path, "--device", f"serial:{port}", *FAST) as session:
        turns(simulator)
        with Daemon(tmp_path, "--device", f"serial:{port}", *FAST) as daemon:
            wait_until(lambda: "in use by process" in daemon.log(), "it says who has the device")
            assert f"process {session.process.pid}" in daemon.log()
            session.end(signal.SIGINT)
            wait_until(lambda: "connected" in daemon.log(), "it has the device")


# --- the long run ---------------------------------------------------------------------------------


def test_fifty_sessions_leave_nothing_behind(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--device", "sim:", *FAST) as daemon, daemon.client() as client:
        for number in range(50):
            assert client.ask(request="start")["ok"]
            client.stop()
            time.sleep(0.05)  # a client may ask 50 times a second
            if number == 9:
                before = _resources(daemon.process.pid)
        files, kib = _resources(daemon.process.pid)
        assert files <= before[0]
        assert kib <= before[1] * 1.05 + 1024
        assert daemon.end() == 0


def _resources(pid: int) -> tuple[int, int]:
    """Open files, and resident memory in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return len(os.listdir(f"/proc/{pid}/fd")), kib  # noqa: PTH208


def test_systemd_is_told_that_it_is_ready_alive_and_stopping(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(10)
        extra = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "300000"}
        with Daemon(tmp_path, "--device", "sim:", extra=extra) as daemon:
            told = [listener.recv(100) for _ in range(6)]
            assert b"READY=1" in told
            assert told.count(b"WATCHDOG=1") >= 4
            daemon.process.send_signal(signal.SIGTERM)
            while told[-1] != b"STOPPING=1":
                told.append(listener.recv(100))
            assert daemon.process.wait(10) == 0


def test_its_log_is_one_line_a_record_and_json_where_asked_for(tmp_path: Path) -> None:
    flags = ("--device", "sim:", "--json-logs", "--log-level", "debug")
    with Daemon(tmp_path, *flags, *FAST) as daemon, daemon.client() as client:
        client.ask(request="start", intensity=2)
        client.stop()
        assert daemon.end() == 0
        records = [json.loads(line) for line in daemon.log().splitlines()]
    assert {record["level"] for record in records} <= {"debug", "info"}
    assert any("started by socket" in record["text"] for record in records)


# --- several devices ------------------------------------------------------------------------------


def test_each_of_several_devices_has_its_own_session_and_a_stop_is_for_all(tmp_path: Path) -> None:
    write_config(
        tmp_path,
        '[[devices]]\nname = "bedroom"\ndevice = "sim:?seed=1"\n'
        '[[devices]]\nname = "sofa"\ndevice = "sim:?seed=2"\nmax_intensity = 4\n',
    )
    with Daemon(tmp_path, *FAST) as daemon:
        unnamed = massager(tmp_path, "start")
        assert (unnamed.code, "--name: bedroom, sofa" in unnamed.err) == (2, True)
        above = massager(tmp_path, "start", "--name", "sofa", "--intensity", "5")
        assert (above.code, "above the cap of 4" in above.err) == (3, True)
        assert massager(tmp_path, "arm").code == 2
        assert massager(tmp_path, "arm", "--name", "sofa").out.startswith("Armed: the next start")
        with daemon.client("bedroom") as bedroom, daemon.client("sofa") as sofa:
            assert bedroom.ask(request="start", intensity=6)["ok"]
            assert massager(tmp_path, "intensity", "5").out == "Intensity 5.\n"  # the only one
            assert sofa.ask(request="start")["session"]["intensity"] == 3
            several = massager(tmp_path, "pause")
            assert (several.code, "--name: bedroom" in several.err) == (2, True)
            assert massager(tmp_path, "pause", "--name", "sofa").code == 0
            phases = [device["phase"] for device in daemon.devices()]
            assert phases == ["warm-up", "paused"]

            stopped = massager(tmp_path, "stop")

            assert (stopped.code, stopped.out.count("The motor is off")) == (0, 2)
        assert [device["phase"] for device in daemon.devices()] == ["ended", "ended"]


def test_each_person_has_a_dose_a_screening_and_a_session_of_their_own(tmp_path: Path) -> None:
    write_config(
        tmp_path,
        "as_real = true\n"
        + "".join(
            f'[[devices]]\nname = "{name}"\ndevice = "sim:?seed={seed}"\nperson = "{person}"\n'
            for seed, (name, person) in enumerate(
                (("bed", "anna"), ("sofa", "anna"), ("guest", "ben"), ("spare", "carla"))
            )
        ),
    )
    for person in ("anna", "ben"):
        screened(tmp_path / "config" / "massager", person)
    with (
        Daemon(tmp_path, *FAST) as daemon,
        daemon.client("bed") as bed,
        daemon.client("sofa") as sofa,
        daemon.client("guest") as guest,
        daemon.client("spare") as spare,
    ):
        assert bed.ask(request="start", minutes=10)["ok"]
        refused = sofa.ask(request="start")["error"]
        assert (refused["refusal"], "runs already" in refused["message"]) == ("limit", True)
        assert guest.ask(request="start", minutes=10)["ok"]
        refused = spare.ask(request="start")["error"]
        assert refused["refusal"] == "screening"
        assert "massager screening --person carla" in refused["message"]
        phases = {each["name"]: each["phase"] for each in daemon.devices()}
        assert phases == {"bed": "warm-up", "sofa": "ended", "guest": "warm-up", "spare": "ended"}

        wait_until(lambda: daemon.devices()[0]["phase"] == "massage", "anna is warm")
        bed.stop()
        guest.stop()
        again = bed.ask(request="start", minutes=10, warmup=120)["error"]["message"]
        assert "of the 13 min of one sitting are left" in again
        again = sofa.ask(request="start", minutes=10, warmup=120)["error"]["message"]
        assert "of the 13 min of one sitting are left" in again

    rows = json.loads(massager(tmp_path, "history", "--json", "--person", "ben").out)
    assert [(row["person"], row["motor_on_s"] > 30) for row in rows] == [("ben", True)]
    table = massager(tmp_path, "history").out.splitlines()
    assert table[0].split()[:4] == ["id", "began", "person", "device"]
    which = massager(tmp_path, "screening", "--json")
    assert (which.code, "--person anna or ben or carla" in which.err) == (2, True)
    shown = json.loads(massager(tmp_path, "screening", "--json", "--person", "anna").out)
    assert (shown["person"], shown["permitted"]) == ("anna", True)


def test_without_a_daemon_a_stop_goes_to_every_configured_device(
    tmp_path: Path,
) -> None:
    first, second = (tmp_path / name for name in ("first", "second"))
    first.mkdir()
    second.mkdir()
    simulators = [SimulatorProcess(folder, "--pty", folder / "port") for folder in (first, second)]
    try:
        tables = [
            f'[[devices]]\nname = "d{number}"\ndevice = "serial:{folder}/port"\n'
            for number, folder in enumerate((first, second))
        ]
        write_config(tmp_path, "".join(tables))
        done = massager(tmp_path, "stop")
        assert (done.code, done.out.count("The motor is off")) == (0, 2)
        write_config(tmp_path, "".join([*tables, "[[devices]]\nname = 'x'\n"]))
        done = massager(tmp_path, "stop")  # what is wrong keeps no stop from what is right
        assert (done.code, done.out.count("The motor is off")) == (0, 2)
        assert "device is missing" in done.err
    finally:
        for simulator in simulators:
            assert "stop" in [row["why"] for row in simulator.trace()]
            simulator.stop()


def write_config(folder: Path, text: str) -> None:
    path = folder / "config" / "massager" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
