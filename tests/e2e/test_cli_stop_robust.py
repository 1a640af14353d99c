"""`massager stop` where something else is wrong: its output, the config, the controller's end."""

import json
import signal
import socket
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


def test_a_stop_while_the_line_is_still_being_opened_names_the_device_by_its_url(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first:
        first.connect(full.getsockname())  # whoever comes next waits
        url = f"tcp://127.0.0.1:{full.getsockname()[1]}"
        with Running(tmp_path, "start", "--device", url) as session:
            wait_until(lambda: list((tmp_path / "run").glob("*.sock")), "it can be stopped")

            done = massager(tmp_path, "stop")

            assert f"Stopping: {url} (process {session.process.pid})." in done.out
            assert "Nothing had been sent that moves the motor." in done.out
            assert (done.code, done.err) == (0, "")
            assert session.wait() == 0


# --- settings that are wrong -------------------------------------------------------------------

BROKEN = {
    "an unknown key": "intensty = 3\n",
    "a wrong value": "minutes = 900\n",
    "no TOML": "intensity = = 3\n",
    "no text": "# \udcff\n",
    "a device that is wrong": "device = 'nonsense'\n",
    "a password file that is missing": "[mqtt]\npassword_file = 'missing'\n",
    "two passwords": "[mqtt]\npassword = 'a'\npassword_file = 'missing'\n",
}


def write_config(folder: Path, text: str) -> None:
    """As the person's own file."""
    place = folder / "config" / "massager"
    place.mkdir(parents=True)
    (place / "config.toml").write_bytes(text.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_stop_of_a_named_device_is_sent_though_the_config_is_broken(
    text: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    write_config(tmp_path, text)

    done = massager(tmp_path, "stop", "--now", "--device", simulator.url)

    assert is_latched(simulator), done
    assert done.code == 0
    assert "config.toml, line" in done.err
    assert "the stop did without this setting" in done.err


@pytest.mark.parametrize(
    "variable",
    [
        {"MASSAGER_INTENSITY": "nan"},
        {"MASSAGER_DEVICE": "nonsense"},
        {"MASSAGER_CONFIG": "/nowhere/config.toml"},
    ],
    ids=str,
)
def test_a_stop_of_a_named_device_is_sent_though_a_variable_is_wrong(
    variable: dict[str, str], simulator: SimulatorProcess, tmp_path: Path
) -> None:
    done = massager(tmp_path, "stop", "--now", "--device", simulator.url, extra=variable)

    assert is_latched(simulator), done
    assert done.code == 0
    assert next(iter(variable.values())) in done.err


@pytest.mark.parametrize("text", ["intensty = 3\n", "intensity = = 3\n", "[limits\n"])
def test_a_stop_finds_the_configured_device_though_another_setting_is_wrong(
    text: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    write_config(tmp_path, f"device = '{simulator.url}'\n{text}")

    done = massager(tmp_path, "stop", "--now")

    assert is_latched(simulator), done
    assert done.code == 0


@pytest.mark.parametrize(
    "text",
    [
        "intensty = 3\n",
        "device = 'nonsense'\n",
        "device = 'serial:/dev/a'\ndevice = 'serial:/dev/b'\n",
    ],
)
def test_a_stop_without_a_device_says_what_is_wrong_in_the_config(
    text: str, tmp_path: Path
) -> None:
    write_config(tmp_path, text)

    done = massager(tmp_path, "stop", "--now")

    assert (done.code, done.out) == (2, "")
    assert "config.toml, line" in done.err
    assert "massager stop --device URL" in done.err


def test_a_wrong_variable_stops_no_other_device_in_its_place(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    write_config(tmp_path, f"device = '{simulator.url}'\n")

    done = massager(tmp_path, "stop", "--now", extra={"MASSAGER_DEVICE": "nonsense"})

    assert done.code == 2
    assert not is_latched(simulator)


def test_a_session_is_stopped_whatever_the_config_says(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    with Running(tmp_path, "start", "--device", simulator.url) as session:
        wait_until(lambda: turns(simulator), "the motor turns")
        write_config(tmp_path, "intensity = = 3\n")

        done = massager(tmp_path, "stop", extra={"MASSAGER_INTENSITY": "nan"})

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


# --- a motor that does not obey -----------------------------------------------------------------

MOVES = "The motor is not off, though its output is 0"


def test_a_stop_of_a_motor_that_does_not_obey_says_that_it_moves(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    with Running(tmp_path, "start", "--device", simulator.url) as session:
        wait_until(lambda: turns(simulator), "the motor turns")
        simulator.tell(fault="stuck_on")
        done = massager(tmp_path, "stop")
        assert (done.code, MOVES in done.out) == (5, True)
        assert "is unknown" not in done.out
        assert session.wait() == 5
    done = massager(tmp_path, "stop", "--device", simulator.url)  # now without an owner
    assert (done.code, MOVES in done.err) == (5, True)


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
