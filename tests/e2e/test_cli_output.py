"""Output that cannot be written: one line about it or none, never a traceback."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.command import COMMAND, PATIENCE_S, environment_in, massager
from tests.e2e.simulator_process import wait_until

FULL = Path("/dev/full")
COMMANDS = ["plan", "status --json", "completion bash", "config", "devices", "programs", "--help"]
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def written_to(stdout: int, folder: Path, command: str, **extra: str) -> tuple[int, str]:
    """The exit code and what stderr got."""
    done = subprocess.run(
        [*COMMAND, *command.split()],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
        env=environment_in(folder, **extra),
    )
    return done.returncode, done.stderr


@needs_full
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_told_in_one_line(command: str, unbuffered: str, tmp_path: Path) -> None:
    full = os.open(FULL, os.O_WRONLY)

    code, errors = written_to(full, tmp_path, command, PYTHONUNBUFFERED=unbuffered)

    os.close(full)
    assert code == 5
    assert errors == "massager: the output could not be written: No space left on device\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_has_left_ends_a_command_quietly(
    command: str, unbuffered: str, tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    code, errors = written_to(writer, tmp_path, command, PYTHONUNBUFFERED=unbuffered)

    os.close(writer)
    assert (code, errors) == (5, "")


@needs_full
def test_an_error_that_cannot_be_written_keeps_its_exit_code(tmp_path: Path) -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "strat"],
            stdout=full,
            stderr=full,
            timeout=PATIENCE_S,
            env=environment_in(tmp_path, PYTHONUNBUFFERED=""),
        )

    assert done.returncode == 2


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("command", "code"), [("plan", 0), ("strat", 2)])
def test_missing_standard_streams_are_as_if_nobody_read(
    command: str, code: int, closed: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, *command.split()],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=environment_in(tmp_path),
    )

    assert done.returncode == code
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_session_that_nobody_sees_runs_and_is_stopped(closed: str, tmp_path: Path) -> None:
    start = [*COMMAND, "start", "--device", "sim:", "--speed", "20"]
    session = subprocess.Popen(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *start], env=environment_in(tmp_path)
    )
    try:
        wait_until(lambda: "Warm up on" in massager(tmp_path, "status").out, "the session runs")

        assert massager(tmp_path, "stop").code == 0
        assert session.wait(PATIENCE_S) == 0
    finally:
        session.kill()
        session.wait(PATIENCE_S)


def test_a_runtime_directory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    words = ("start", "--device", "tcp://127.0.0.1:1")
    done = massager(tmp_path, *words, extra={"MASSAGER_RUNTIME_DIR": "/proc/self/none"})

    assert done.code == 2
    assert "MASSAGER_RUNTIME_DIR" in done.err
