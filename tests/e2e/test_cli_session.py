"""Sessions as a person runs them: processes, signals, and one process asking another."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import COMMAND, Running, environment_in, massager
from tests.e2e.simulator_process import SimulatorProcess, wait_until

StartSimulator = Callable[..., SimulatorProcess]
SIM = ("start", "--device", "sim:", "--speed", "20")
JSON = (*SIM, "--json")


def events(session: Running, name: str) -> list[dict[str, Any]]:
    """Its events of one kind, as far as their lines are whole."""
    found = []
    for line in session.lines():
        if line.endswith("}"):
            event: dict[str, Any] = json.loads(line)
            if event["event"] == name:
                found.append(event)
    return found


def wait_for(session: Running, name: str) -> dict[str, Any]:
    """The first event of a kind."""
    wait_until(lambda: events(session, name) or session.process.poll() is not None, name)
    return events(session, name)[0]


def runs(session: Running) -> None:
    """Wait until the motor turns."""

    def turns() -> bool:
        return any(event["output_permille"] for event in events(session, "status"))

    wait_until(turns, "the motor turns")


def the_session(folder: Path) -> dict[str, Any]:
    """What `status` says of the only session."""
    [session] = json.loads(massager(folder, "status", "--json").out)["sessions"]
    assert isinstance(session, dict)
    return session


# --- another process asks -------------------------------------------------------------------


def test_stop_needs_no_device_and_says_when_the_motor_is_off(tmp_path: Path) -> None:
    with Running(tmp_path, *JSON) as session:
        runs(session)

        done = massager(tmp_path, "stop")

        assert done == (
            0,
            f"Stopping: sim-0001 (process {session.process.pid}).\n"
            "The motor is off (the device confirmed it).\n",
            "",
        )
        assert session.wait() == 0
    end = wait_for(session, "ended")
    assert (end["reason"], end["output_confirmed"], end["exit_code"]) == ("requested", True, 0)
    assert end["highest_output_permille"] >= 150
    assert end["seconds_run"] > 0
    assert session.errors() == ""


def test_stop_now_is_an_emergency_stop(tmp_path: Path) -> None:
    with Running(tmp_path, *JSON) as session:
        runs(session)

        done = massager(tmp_path, "stop", "--now")

        assert done.code == 0
        assert done.out.startswith("Emergency stop: sim-0001")
        assert session.wait() == 0
    assert wait_for(session, "ended")["reason"] == "emergency"


def test_pause_resume_intensity_and_extend_reach_the_session(tmp_path: Path) -> None:
    with Running(tmp_path, *JSON, "--intensity", "4") as session:
        runs(session)
        assert the_session(tmp_path)["phase"] == "warm-up"

        assert massager(tmp_path, "pause").code == 0
        assert the_session(tmp_path)["phase"] == "paused"
        assert massager(tmp_path, "pause").code == 0  # a second one changes nothing
        assert massager(tmp_path, "intensity", "7").code == 0
        assert massager(tmp_path, "extend", "1.5").out.startswith("1.5 min more; ")
        assert massager(tmp_path, "resume").code == 0

        now = the_session(tmp_path)
        assert (now["phase"], now["intensity"]) == ("warm-up", 7)
        assert now["time_total_ms"] == (90 + 480 + 90 + 10) * 1000
        refused = massager(tmp_path, "extend", "5")
        assert refused.code == 3
        assert "10 min of massage" in refused.err
        massager(tmp_path, "stop")
    assert wait_for(session, "paused")["reason"] == "paused"
    assert wait_for(session, "resumed")
    changed = [event for event in events(session, "changed") if "intensity" in event]
    assert [event["intensity"] for event in changed] == [7]


def test_status_shows_the_session_in_words_and_follows_it_to_its_end(tmp_path: Path) -> None:
    with Running(tmp_path, *SIM) as session:
        wait_until(lambda: len(session.lines()) > 2, "the session runs")
        (tmp_path / "watch").mkdir()
        with subprocess.Popen(
            [*COMMAND, "status", "--watch", "--json"],
            stdout=subprocess.PIPE,
            env=environment_in(tmp_path),
        ) as watch:
            assert watch.stdout is not None
            assert json.loads(watch.stdout.readline())["device"] == "sim-0001"

            status = massager(tmp_path, "status")
            massager(tmp_path, "stop")
            last = watch.stdout.read().splitlines()[-1]

        assert status.code == 0
        assert "on sim-0001 (simulated): classic, intensity 3" in status.out
        assert "Setpoint" in status.out
        assert "output" in status.out
        assert json.loads(last)["phase"] == "ended"
        assert watch.returncode == 0


def test_with_several_sessions_only_a_stop_may_mean_all(tmp_path: Path) -> None:
    with Running(tmp_path, *JSON) as one:
        runs(one)
        two = subprocess.Popen(
            [*COMMAND, *SIM, "--quiet"],
            env=environment_in(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            status = ("status", "--json")
            wait_until(
                lambda: len(json.loads(massager(tmp_path, *status).out)["sessions"]) == 2, "two"
            )

            which = massager(tmp_path, "pause")
            assert which.code == 2
            assert str(one.process.pid) in which.err
            assert str(two.pid) in which.err
            assert massager(tmp_path, "pause", "--pid", str(one.process.pid)).code == 0
            done = massager(tmp_path, "stop")

            assert done.code == 0
            assert done.out.count("The motor is off") == 2
            assert (one.wait(), two.wait(10)) == (0, 0)
        finally:
            two.kill()
            two.communicate()


@pytest.mark.parametrize("words", [["pause"], ["resume"], ["intensity", "3"], ["extend", "1"]])
def test_without_a_session_a_request_is_refused_with_the_reason(
    words: list[str], tmp_path: Path
) -> None:
    done = massager(tmp_path, *words)

    assert done.code == 3
    assert "no session of yours runs" in done.err


def test_without_a_session_status_is_no_error(tmp_path: Path) -> None:
    assert massager(tmp_path, "status").code == 0
    assert json.loads(massager(tmp_path, "status", "--json").out) == {"sessions": []}


def test_without_a_session_and_a_device_stop_says_that_it_cannot(tmp_path: Path) -> None:
    done = massager(tmp_path, "stop")

    assert done.code == 4
    assert "--device" in done.err


# --- signals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [
        (signal.SIGINT, 130, "requested"),
        (signal.SIGTERM, 143, "shutdown"),
        (signal.SIGHUP, 143, "shutdown"),
    ],
)
def test_one_signal_is_a_soft_stop(number: int, code: int, reason: str, tmp_path: Path) -> None:
    with Running(tmp_path, *JSON) as session:
        runs(session)

        assert session.end(number) == code

    end = wait_for(session, "ended")
    assert (end["reason"], end["output_confirmed"], end["exit_code"]) == (reason, True, code)
    assert session.errors() == ""


@pytest.mark.parametrize(
    ("number", "code", "again"),
    [(signal.SIGINT, 130, "Ctrl-C again"), (signal.SIGTERM, 143, "SIGTERM again")],
)
def test_a_second_signal_is_an_emergency_stop_and_a_third_leaves(
    number: int, code: int, again: str, tmp_path: Path, start_simulator: StartSimulator
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0")
    with Running(tmp_path, "start", "--device", simulator.url) as session:
        wait_until(lambda: simulator.trace()[-1]["output"] > 0, "the motor turns")
        simulator.tell(fault="drop", rate=1.0)  # so that no stop is confirmed
        session.process.send_signal(number)
        wait_until(lambda: f"{again}: emergency stop." in "".join(session.lines()), "first")
        session.process.send_signal(number)
        wait_until(lambda: "Emergency stop." in session.lines()[-1], "second")
        session.process.send_signal(number)

        assert session.wait() == code

    assert "Emergency stop: left before the device answered." in session.lines()
    assert any("pull the plug" in line for line in session.lines())
    wait_until(lambda: simulator.trace()[-1]["output"] == 0, "the lease has ended")


def test_an_emergency_stop_by_two_signals_latches(
    tmp_path: Path, start_simulator: StartSimulator
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0")
    with Running(tmp_path, "start", "--device", simulator.url, "--json") as session:
        wait_until(lambda: simulator.trace()[-1]["output"] > 0, "the motor turns")
        simulator.tell(fault="drop", rate=1.0)
        session.process.send_signal(signal.SIGINT)
        wait_until(lambda: events(session, "phase")[-1]["phase"] == "stopping", "first")
        session.process.send_signal(signal.SIGINT)
        simulator.tell(fault="drop", rate=0.0)

        assert session.wait() == 130

    assert wait_for(session, "ended")["reason"] == "emergency"
    assert simulator.trace()[-1]["state"] == "latched"


def test_a_killed_controller_leaves_a_motor_that_stops_and_a_socket_that_is_forgotten(
    tmp_path: Path, start_simulator: StartSimulator
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0")
    with Running(tmp_path, "start", "--device", simulator.url) as session:
        wait_until(lambda: simulator.trace()[-1]["output"] > 0, "the motor turns")

        session.end(signal.SIGKILL)

        assert list((tmp_path / "run").glob("*.sock"))
        assert "No session of yours runs" in massager(tmp_path, "status").out
        assert not list((tmp_path / "run").glob("*.sock"))
        wait_until(lambda: simulator.trace()[-1]["output"] == 0, "the lease has ended")
        assert simulator.trace()[-1]["token"] == 0 or simulator.trace()[-1]["state"] == "idle"


def test_an_owner_that_hangs_is_named_within_two_seconds(tmp_path: Path) -> None:
    with Running(tmp_path, *JSON) as session:
        runs(session)
        session.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()

        done = massager(tmp_path, "stop")

        assert time.monotonic() - began < 2
        assert done.code == 5
        for words in (f"process {session.process.pid} (", "sim:", "does not answer", "kill -9"):
            assert words in done.err
        assert massager(tmp_path, "status").code == 5
        assert massager(tmp_path, "pause").code == 5


# --- one owner, and none ------------------------------------------------------------------------


def test_a_second_start_on_the_same_device_is_refused_and_names_the_owner(
    tmp_path: Path, start_simulator: StartSimulator
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0", "--speed", "20")
    words = ("start", "--device", simulator.url, "--speed", "20", "--json")
    with Running(tmp_path, *words) as session:
        runs(session)

        second = massager(tmp_path, *words)

        assert second.code == 3
        assert f"process {session.process.pid} " in second.err
        assert session.process.poll() is None
        massager(tmp_path, "stop")
        assert session.wait() == 0


def test_stop_without_an_owner_is_sent_to_the_configured_device(
    tmp_path: Path, start_simulator: StartSimulator
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0")
    extra = {"MASSAGER_DEVICE": simulator.url}

    soft = massager(tmp_path, "stop", extra=extra)
    hard = massager(tmp_path, "stop", "--now", extra=extra)
    # A slow answer brings the same once more.
    assert [why for why, _ in groupby(row["why"] for row in simulator.trace())][-2:] == [
        "stop",
        "emergency_stop",
    ]
    start = massager(tmp_path, "start", extra=extra)

    assert (soft.code, hard.code) == (0, 0)
    assert "The motor is off (the device confirmed it)." in soft.out
    assert start.code == 3
    assert "massager clear" in start.err


def test_a_device_that_does_not_answer_a_stop_is_not_called_off(
    tmp_path: Path, start_simulator: StartSimulator
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0")
    simulator.tell(fault="drop", rate=1.0)

    done = massager(tmp_path, "stop", "--device", simulator.url)

    assert done.code == 5
    assert "pull the plug" in done.err
    assert "is off" not in done.out


def test_without_a_device_start_says_how_to_choose_one_and_simulates_nothing(
    tmp_path: Path,
) -> None:
    done = massager(tmp_path, "start")

    assert done.code == 2
    assert done.out == ""
    for way in ("--device URL", "MASSAGER_DEVICE", "config file", "devices", "--device sim:"):
        assert way in done.err


def test_another_speed_than_the_devices_is_refused(
    tmp_path: Path, start_simulator: StartSimulator
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0", "--speed", "10")

    done = massager(tmp_path, "start", "--device", simulator.url, "--speed", "5")

    assert done.code == 4
    assert "--speed" in done.err


def test_a_persons_own_cap_is_kept(tmp_path: Path) -> None:
    done = massager(tmp_path, *SIM, "--intensity", "7", extra={"MASSAGER_MAX_INTENSITY": "5"})

    assert done.code == 3
    assert "cap of 5" in done.err


# --- what it prints -----------------------------------------------------------------------------


def test_a_whole_session_runs_through_its_phases_and_completes(tmp_path: Path) -> None:
    words = ("--minutes", "5", "--warmup", "60", "--intensity", "8", "--program", "tapping")
    with Running(tmp_path, *JSON, *words) as session:
        assert session.wait() == 0

    phases = [event["phase"] for event in events(session, "phase")]
    assert phases == ["connecting", "warm-up", "massage", "soft-end", "stopping"]
    end = wait_for(session, "ended")
    assert (end["reason"], end["output_confirmed"]) == ("completed", True)
    assert end["seconds_run"] == pytest.approx(370, abs=5)
    assert 700 < end["highest_output_permille"] <= 811
    times = [event["at_ms"] for event in events(session, "status")]
    assert min(later - earlier for earlier, later in pairwise(times)) >= 1_000


def test_plain_lines_tell_the_start_and_the_end(tmp_path: Path) -> None:
    with Running(tmp_path, *SIM, "--intensity", "2") as session:
        wait_until(lambda: len(session.lines()) >= 3, "the session runs")
        massager(tmp_path, "stop")
        assert session.wait() == 0

    lines = session.lines()
    assert lines[1].startswith("Session on sim-0001 (simulated): classic, intensity 2, 8 min of")
    assert lines[2].startswith("Warm-up: 9:")
    assert lines[-3:-1] == [
        "The session was stopped.",
        "The motor is off (the device confirmed it).",
    ]
    assert "\x1b" not in "".join(lines)


def test_quiet_prints_only_the_end(tmp_path: Path) -> None:
    with Running(tmp_path, *SIM, "--quiet") as session:
        wait_until(lambda: '"warm-up"' in massager(tmp_path, "status", "--json").out, "it runs")
        massager(tmp_path, "stop")
        assert session.wait() == 0

    assert session.lines()[0] == "The session was stopped."


def test_plain_lines_are_ascii_where_the_encoding_is(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, *SIM],
        env=environment_in(tmp_path, PYTHONIOENCODING="ascii", MASSAGER_INTENSITY="1"),
        stdout=subprocess.PIPE,
    ) as session:
        assert session.stdout is not None
        lines = [session.stdout.readline() for _ in range(4)]  # the fourth is that of a minute
        massager(tmp_path, "stop")
        text = b"".join((*lines, *session.stdout))

    assert session.returncode == 0
    assert text.isascii()
    assert b"output 150/1000" in lines[3]
    assert b"?" not in text


def test_a_reader_that_leaves_stops_the_session_softly_and_quietly(
    tmp_path: Path, start_simulator: StartSimulator
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0", "--speed", "20")
    with subprocess.Popen(
        [*COMMAND, "start", "--device", simulator.url, "--speed", "20", "--json"],
        env=environment_in(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as session:
        assert session.stdout is not None
        session.stdout.readline()
        session.stdout.close()
        assert session.stderr is not None
        errors = session.stderr.read()

    assert session.returncode == 5
    assert errors == b""
    assert "stop" in [row["why"] for row in simulator.trace()]
    assert simulator.trace()[-1]["output"] == 0


def test_a_reader_that_does_not_read_does_not_hold_up_the_session(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    while True:  # full, as if somebody had pressed Ctrl-S
        try:
            os.write(write, b"x" * 4_096)
        except BlockingIOError:
            break
    os.set_blocking(write, True)
    session = subprocess.Popen([*COMMAND, *JSON], env=environment_in(tmp_path), stdout=write)
    try:
        wait_until(lambda: '"warm-up"' in massager(tmp_path, "status", "--json").out, "it runs")
        time.sleep(1)
        now = the_session(tmp_path)

        assert now["phase"] == "warm-up"
        assert now["output_permille"] > 0
        assert massager(tmp_path, "stop").code == 0
        assert session.wait(10) == 0
    finally:
        session.kill()
        session.wait()
        os.close(read)
        os.close(write)


def test_an_owner_that_cannot_reach_its_device_is_not_called_hung(
    tmp_path: Path, start_simulator: StartSimulator
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0")
    with Running(tmp_path, "start", "--device", simulator.url) as session:
        wait_until(lambda: simulator.trace()[-1]["output"] > 0, "the motor turns")
        simulator.tell(fault="drop", rate=1.0)

        done = massager(tmp_path, "stop")

        assert session.wait() == 5
    assert done.code == 5
    assert "goes on sending the stop, but the device does not answer" in done.err
    assert "pull the plug" in done.err
    assert "is off" not in done.out


def test_a_session_that_ends_while_it_is_asked_is_not_called_hung(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    path = folder / f"{os.getpid()}.sock"
    with socket.socket(socket.AF_UNIX) as owner:
        owner.bind(str(path))
        owner.listen()
        with subprocess.Popen(
            [*COMMAND, "stop"], env=environment_in(tmp_path), stdout=subprocess.PIPE
        ) as stop:
            asking, _ = owner.accept()
            path.unlink()
            asking.close()
            assert stop.stdout is not None
            said = stop.stdout.read().decode()

    assert stop.returncode == 0
    assert said == f"Process {os.getpid()} had just ended its session by itself.\n"
