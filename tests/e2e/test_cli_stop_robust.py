"""`massager stop` where something else is wrong: its output, the config, the controller's end."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.command import COMMAND, PATIENCE_S, Done, Running, environment_in, massager
from tests.e2e.simulator_process import SimulatorProcess, wait_until

StartSimulator = Callable[..., SimulatorProcess]
UNWRITABLE = {
    "full": 'exec "$@" >/dev/full',
    "closed": 'exec "$@" >&-',
    "both closed": 'exec "$@" >&- 2>&-',
    "without a reader": '"$@" | true; exit ${PIPESTATUS[0]}',
}


@pytest.fixture
def simulator(start_simulator: StartSimulator, tmp_path: Path) -> SimulatorProcess:
    """A device at a serial port."""
    return start_simulator("--pty", tmp_path / "port")


def stop_with_output(folder: Path, shell: str, *words: str) -> Done:
    """`massager stop` in a shell that does something to its output."""
    done = subprocess.run(
        ["bash", "-c", shell, "bash", *COMMAND, "stop", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=environment_in(folder),
    )
    return Done(done.returncode, done.stdout, done.stderr)


def is_latched(simulator: SimulatorProcess) -> bool:
    """Whether an emergency stop has arrived, by the device's own trace."""
    return bool(simulator.trace()[-1]["state"] == "latched")


def turns(simulator: SimulatorProcess) -> bool:
    """Whether the motor turns, by the device's own trace."""
    return bool(simulator.trace() and simulator.trace()[-1]["output"])


# --- output that cannot be written -------------------------------------------------------------


@pytest.mark.parametrize("shell", UNWRITABLE.values(), ids=UNWRITABLE)
def test_a_stop_is_sent_to_the_device_though_its_words_cannot_be_written(
    shell: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    done = stop_with_output(tmp_path, shell, "--now", "--device", simulator.url)

    assert (done.code, done.err) == (0, "")
    assert is_latched(simulator)


@pytest.mark.parametrize("shell", UNWRITABLE.values(), ids=UNWRITABLE)
def test_a_stop_of_a_session_tells_by_its_exit_code_though_its_words_cannot_be_written(
    shell: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    with Running(tmp_path, "start", "--device", simulator.url) as session:
        wait_until(lambda: turns(simulator), "the motor turns")

        done = stop_with_output(tmp_path, shell)

        assert (done.code, done.err) == (0, "")
        assert session.wait() == 0
    assert not turns(simulator)


# --- a controller that leaves before the device has answered -----------------------------------


def test_a_stop_does_not_call_a_motor_off_whose_controller_has_left_without_knowing(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    with Running(tmp_path, "start", "--device", simulator.url) as session:
        wait_until(lambda: turns(simulator), "the motor turns")
        simulator.tell(fault="stop_reading")
        stop = started(tmp_path, "stop")
        wait_until(lambda: is_stopping(tmp_path), "the stop has arrived")
        for _ in range(3):
            session.process.send_signal(signal.SIGTERM)
            time.sleep(0.15)

        out, err = stop.communicate(timeout=PATIENCE_S)

        assert stop.returncode == 5, out + err
        assert "Whether the motor is off is unknown" in out
        assert "by itself" not in out.partition("unknown")[0]
        session.wait()
    assert "is unknown" in "".join(session.lines())


def test_a_stop_does_not_call_a_motor_off_whose_controller_was_killed_meanwhile(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    with Running(tmp_path, "start", "--device", simulator.url) as session:
        wait_until(lambda: turns(simulator), "the motor turns")
        simulator.tell(fault="stop_reading")
        stop = started(tmp_path, "stop")
        wait_until(lambda: is_stopping(tmp_path), "the stop has arrived")
        [place] = (tmp_path / "run").glob("*.sock")
        place.unlink()
        session.process.kill()

        out, err = stop.communicate(timeout=PATIENCE_S)

    assert stop.returncode == 5, out + err
    assert "nobody knows whether its motor is off" in err
    assert "by itself" not in out


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    """A `massager` that runs."""
    return subprocess.Popen(
        [*COMMAND, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment_in(folder),
    )


def is_stopping(folder: Path) -> bool:
    """Whether the only session is stopping."""
    [session] = json.loads(massager(folder, "status", "--json").out)["sessions"]
    return bool(session["phase"] == "stopping")
