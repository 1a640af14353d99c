"""`massager start` writes its history, `massager history` tells it: processes, disks, signals."""

import csv
import io
import json
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.e2e.command import Running, massager
from tests.e2e.simulator_process import SimulatorProcess, wait_until
from tests.screened import screened

SIM = ("start", "--device", "sim:", "--speed", "20")


def history_of(folder: Path) -> list[dict[str, Any]]:
    """What `massager history --json` says."""
    done = massager(folder, "history", "--json")
    assert (done.code, done.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


def shown(folder: Path, number: int) -> dict[str, Any]:
    """What `massager history show N --json` says."""
    found: dict[str, Any] = json.loads(
        massager(folder, "history", "show", str(number), "--json").out
    )
    return found


def runs(folder: Path, seconds: int, number: int = 1) -> None:
    """Wait until so many seconds of a session are in the history."""

    wait_until(lambda: _samples(folder, {}, number) >= seconds, "the history is written")


def session(folder: Path, seconds: int = 20) -> None:
    """A simulated session that a person stops."""
    before = len(history_of(folder))
    with Running(folder, *SIM, "--json") as running:
        runs(folder, seconds, before + 1)
        assert massager(folder, "stop").code == 0
        assert running.wait() == 0


# --- what is written ----------------------------------------------------------------------------


def test_a_session_is_in_the_history_from_its_start_to_its_end(tmp_path: Path) -> None:
    with Running(tmp_path, *SIM, "--intensity", "5", "--json") as running:
        runs(tmp_path, 5)
        [row] = history_of(tmp_path)
        assert (row["state"], row["stop_reason"]) == ("running", None)
        massager(tmp_path, "intensity", "4")
        massager(tmp_path, "pause")
        massager(tmp_path, "resume")
        massager(tmp_path, "stop")
        assert running.wait() == 0
        assert running.errors() == ""
    [row] = history_of(tmp_path)
    assert (row["device"], row["url"], row["simulated"]) == ("sim-0001", "sim:", True)
    assert (row["program"], row["intensity"], row["origin"]) == ("classic", 5, "terminal")
    assert (row["state"], row["stop_reason"]) == ("ended", "requested")
    assert (row["counts"], row["output_confirmed"]) == (False, True)
    assert row["motor_on_s"] > 4
    assert row["highest_permille"] >= 150
    found = shown(tmp_path, 1)
    events = [(event["kind"], event["text"]) for event in found["events"]]
    wanted = [
        ("device", "sim-0001 (simulated)"),
        ("asked", "intensity 4"),
        ("change", "intensity 4, was 5"),
        ("asked", "pause"),
        ("pause", "paused"),
        ("asked", "resume"),
        ("asked", "stop"),
        ("end", "requested"),
    ]
    assert [event for event in events if event in wanted] == wanted
    elapsed = [sample["elapsed_ms"] for sample in found["samples"]]
    assert elapsed == sorted(elapsed)
    assert {sample["output_permille"] for sample in found["samples"]} != {None}


def test_every_end_has_its_row(tmp_path: Path) -> None:
    with Running(tmp_path, *SIM, "--json") as running:
        runs(tmp_path, 3)
        assert running.end(signal.SIGTERM) == 143
    massager(tmp_path, "start", "--device", "tcp://127.0.0.1:9")
    reasons = [row["stop_reason"] for row in history_of(tmp_path)]
    assert reasons == ["shutdown", "no handshake"]


def test_a_killed_session_keeps_all_but_its_last_moment(tmp_path: Path) -> None:
    simulator = SimulatorProcess(tmp_path, "--pty", tmp_path / "port")
    try:
        with Running(tmp_path, "start", "--device", simulator.url, "--json") as running:
            wait_until(lambda: (tmp_path / "data").exists(), "the history is made")
            time.sleep(4)
            running.end(signal.SIGKILL)
            on_ms = [row["device_ms"] for row in simulator.trace() if row["output"] > 0]
    finally:
        simulator.stop()
    with Running(tmp_path, *SIM, "--json"):
        runs(tmp_path, 1, 2)
        row = history_of(tmp_path)[0]
    assert (row["state"], row["stop_reason"]) == ("ended", "unknown end")
    assert row["output_confirmed"] is False
    assert row["motor_on_s"] * 1_000 >= on_ms[-1] - on_ms[0] - 1_500


def test_two_sessions_on_two_devices_write_one_history(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    simulators = [
        SimulatorProcess(folder, "--tcp", "127.0.0.1:0", "--speed", "20") for folder in folders
    ]
    try:
        sessions = []
        for folder, simulator in zip(folders, simulators, strict=True):
            words = ("start", "--device", simulator.url, "--speed", "20", "--json")
            (folder / "data").symlink_to(tmp_path / "data")
            (tmp_path / "data").mkdir(exist_ok=True)
            sessions.append(Running(folder, *words))
        for number in (1, 2):
            runs(tmp_path, 20, number)
        for folder, running in zip(folders, sessions, strict=True):
            massager(folder, "stop")
            assert running.wait() == 0
            assert running.errors() == ""
    finally:
        for simulator in simulators:
            simulator.stop()
    assert [row["stop_reason"] for row in history_of(tmp_path)] == ["requested", "requested"]


# --- a history that cannot be written -----------------------------------------------------------


def test_a_simulated_session_runs_without_a_history_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with Running(tmp_path, *SIM) as running:
        wait_until(lambda: "leaves no record" in running.errors(), "it is told")
        assert massager(tmp_path, "stop").code == 0
        assert running.wait() == 0
        [line] = running.errors().splitlines()
    assert line.startswith("massager: The history ")
    assert "set MASSAGER_HISTORY to a file that you may write" in line


def test_a_real_device_is_not_driven_without_a_history(tmp_path: Path) -> None:
    screened(tmp_path / "config" / "massager")
    (tmp_path / "data").write_text("in the way")

    done = massager(tmp_path, *SIM, "--as-real", "--json")

    assert done.code == 3
    assert "set MASSAGER_HISTORY to a file that you may write" in done.err
    events = [json.loads(line) for line in done.out.splitlines()]
    assert not any(event.get("output_permille") for event in events)
    assert events[-1]["reason"] == "refused"
    (tmp_path / "data").unlink()
    with Running(tmp_path, *SIM, "--as-real", "--json"):
        runs(tmp_path, 2)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system cannot do that")
def test_a_disk_with_errors_ends_no_session_and_loses_nothing_once_it_works(tmp_path: Path) -> None:
    screened(tmp_path / "config" / "massager")
    history = {"MASSAGER_HISTORY": str(tmp_path / "history.db")}
    with Running(tmp_path, *SIM, "--as-real", extra=history) as running:
        wait_until(lambda: _samples(tmp_path, history) >= 3, "rows are written")
        # From here on a write beyond 1 kB of any file is an error of the disk.
        pid, size = running.process.pid, resource.RLIMIT_FSIZE
        before = resource.prlimit(pid, size)
        resource.prlimit(pid, size, (1_024, before[1]))
        wait_until(lambda: "the disk reports an error" in running.errors(), "it is told")
        told = _samples(tmp_path, history)
        time.sleep(0.5)
        assert running.process.poll() is None
        resource.prlimit(pid, size, before)
        wait_until(lambda: _samples(tmp_path, history) >= told + 10, "it is written later")
        assert massager(tmp_path, "stop").code == 0
        assert running.wait() == 0
    [row] = json.loads(massager(tmp_path, "history", "--json", extra=history).out)
    assert (row["stop_reason"], row["counts"]) == ("requested", True)


def test_a_newer_history_is_not_touched_by_a_start(tmp_path: Path) -> None:
    session(tmp_path, 2)
    file = tmp_path / "data" / "massager" / "history.db"
    massager(tmp_path, "history")
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = file.read_bytes()
    with Running(tmp_path, *SIM) as running:
        wait_until(lambda: "newer version" in running.errors(), "it is told")
        massager(tmp_path, "stop")
        running.wait()
    assert file.read_bytes() == before
    assert massager(tmp_path, "history").code == 5


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may make a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_fills_up_ends_no_session_and_loses_nothing_once_there_is_room(
    tmp_path: Path, small_disk: Path
) -> None:
    extra = {"MASSAGER_HISTORY": str(small_disk / "history.db")}
    with Running(tmp_path, *SIM, extra=extra) as running:
        wait_until(lambda: _samples(tmp_path, extra) >= 5, "rows are written")
        filler = small_disk / "filler"
        filled = _fill(filler)
        wait_until(lambda: "the disk is full; make room" in running.errors(), "it is told")
        told = _samples(tmp_path, extra)
        time.sleep(1.0)
        assert running.process.poll() is None
        assert running.errors().count("disk is full") == 1
        assert filled > 0
        filler.unlink()
        wait_until(lambda: _samples(tmp_path, extra) >= told + 20, "it is written later")
        assert massager(tmp_path, "stop").code == 0
        assert running.wait() == 0
    found = json.loads(massager(tmp_path, "history", "show", "1", "--json", extra=extra).out)
    assert found["stop_reason"] == "requested"
    elapsed = [sample["elapsed_ms"] for sample in found["samples"][:-1]]
    assert max(after - before for before, after in pairwise(elapsed)) < 4_000


def test_a_disk_that_stays_full_ends_no_session_and_its_end_is_written_all_the_same(
    tmp_path: Path, small_disk: Path
) -> None:
    extra = {"MASSAGER_HISTORY": str(small_disk / "history.db")}
    with Running(tmp_path, *SIM, extra=extra) as running:
        wait_until(lambda: _samples(tmp_path, extra) >= 5, "rows are written")
        _fill(small_disk / "filler")
        wait_until(lambda: "the disk is full" in running.errors(), "it is told")
        started = time.monotonic()
        assert massager(tmp_path, "stop").code == 0
        assert time.monotonic() - started < 2
        assert running.wait() == 0
        assert "not in the history" not in running.errors()
    found = json.loads(massager(tmp_path, "history", "--json", extra=extra).out)
    assert [row["stop_reason"] for row in found] == ["requested"]
    _fill(small_disk / "filler")
    with Running(tmp_path, *SIM, extra=extra) as running:
        wait_until(lambda: "leaves no record" in running.errors(), "it is told")
        massager(tmp_path, "stop")
        assert running.wait() == 0


def _samples(folder: Path, extra: dict[str, str], number: int = 1) -> int:
    done = massager(folder, "history", "show", str(number), "--json", extra=extra)
    return len(json.loads(done.out)["samples"]) if done.code == 0 else 0


def _fill(file: Path) -> int:
    written = 0
    with file.open("ab", buffering=0) as filler:
        try:
            while True:
                written += filler.write(b"x" * 512)
        except OSError:
            return written


# --- what is told -------------------------------------------------------------------------------


def test_without_a_history_there_is_none_and_nothing_is_made(tmp_path: Path) -> None:
    done = massager(tmp_path, "history")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("No sessions (")
    assert history_of(tmp_path) == []
    assert massager(tmp_path, "history", "erase", "--yes").out.startswith("There is no history")
    assert not (tmp_path / "data").exists()


def test_the_history_is_shown_drawn_exported_and_erased(tmp_path: Path) -> None:
    session(tmp_path)

    table = massager(tmp_path, "history").out.splitlines()
    assert table[0].split() == [
        "id",
        "began",
        "device",
        "program",
        "intensity",
        "motor",
        "on",
        "ended",
    ]
    assert table[1].startswith(" 1  ")
    assert table[1].endswith("requested")
    assert massager(tmp_path, "history", "--days", "1").out.splitlines() == table
    [row] = csv.DictReader(io.StringIO(massager(tmp_path, "history", "--csv").out))
    assert (row["id"], row["simulated"], row["stop_reason"]) == ("1", "true", "requested")

    picture = tmp_path / "one.svg"
    done = massager(tmp_path, "history", "show", "1", "--svg", picture)
    assert (done.code, done.err) == (0, "")
    assert "█" in done.out
    assert "Ended: requested" in done.out
    assert "warm-up" in done.out
    svg = ElementTree.parse(picture).getroot()
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert svg.find("{*}polygon[@class='output']") is not None
    assert massager(tmp_path, "history", "show", "1", "--svg", picture).code == 2

    for name in ("all.json", "all.csv"):
        done = massager(tmp_path, "history", "export", tmp_path / name)
        assert done.out.startswith("1 session in ")
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        assert massager(tmp_path, "history", "export", tmp_path / name).code == 2
    [exported] = json.loads((tmp_path / "all.json").read_text())
    assert exported == shown(tmp_path, 1)

    done = massager(tmp_path, "history", "erase")
    assert (done.code, "--yes" in done.err) == (2, True)
    assert len(history_of(tmp_path)) == 1
    assert massager(tmp_path, "history", "erase", "--yes").out.startswith("Erased: 1 session.")
    assert history_of(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["shwo"], "list|show|export|erase"),
        (["show"], "needs the number"),
        (["show", "one"], "a whole number"),
        (["show", "1" * 30], "a whole number"),
        (["list", "1"], "takes nothing more"),
        (["export", "x.txt"], ".json or .csv"),
        (["export", "x.json", "--json"], "--json belongs to"),
        (["--svg", "x.svg"], "--svg belongs to"),
        (["--json", "--csv"], "not both"),
        (["--days", "0"], "1 to 3650"),
        (["--days", "x"], "1 to 3650"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, words: list[str], text: str) -> None:
    done = massager(tmp_path, "history", *words)
    assert done.code == 2
    assert text in done.err


def test_a_session_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert massager(tmp_path, "history", "show", "1").code == 5
    session(tmp_path, 1)
    assert massager(tmp_path, "history", "show", "2").code == 3


def test_an_ascii_terminal_gets_a_picture_too(tmp_path: Path) -> None:
    session(tmp_path, 5)
    done = massager(
        tmp_path, "history", "show", "1", extra={"PYTHONIOENCODING": "ascii", "COLUMNS": "60"}
    )
    assert done.out.isascii()
    assert "#" in done.out
