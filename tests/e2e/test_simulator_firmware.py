"""The firmware itself behind a serial line, in real time, and the command `massager` beside it."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.device import TraceRow
from tests.e2e.command import Running, massager
from tests.e2e.simulator_process import SimulatorProcess, run_simulator, wait_until
from tests.invariants import check_trace
from tests.screened import screened

pytestmark = pytest.mark.needs("cc", "avr", "simavr")
Start = Callable[..., SimulatorProcess]
FIRMWARE = ("--firmware", "atmega328p")
RESETS = ("hang", "reboot", "boot")
SESSION = ("--intensity", "6", "--minutes", "5", "--warmup", "60")


@pytest.fixture
def person(tmp_path: Path) -> Path:
    """Who may use a real device, which this looks like."""
    screened(tmp_path / "config" / "massager")
    return tmp_path


def turns(simulator: SimulatorProcess) -> bool:
    status = simulator.tell(get="status")
    assert abs(status["pin"] - status["output"]) <= 2 or status["output"] < 200
    return bool(status["output"] > 152)


def test_a_session_is_started_and_stopped_from_two_terminals(
    person: Path, start_simulator: Start
) -> None:
    simulator = start_simulator(*FIRMWARE, "--pty", person / "port")
    with Running(person, "start", "--device", simulator.url, *SESSION) as session:
        wait_until(lambda: turns(simulator), "the motor turns")
        assert "foot-001" in massager(person, "status").out
        stopped = massager(person, "stop")
        assert (stopped.code, session.wait()) == (0, 0)
        assert any("the device confirmed it" in line for line in session.lines())
    status = simulator.tell(get="status")
    assert (status["output"], status["pin"], status["state"]) == (0, 0, "idle")
    assert judged(simulator) == []


def test_an_emergency_stop_latches_and_is_cleared(person: Path, start_simulator: Start) -> None:
    simulator = start_simulator(*FIRMWARE, "--tcp", "127.0.0.1:0")
    with Running(person, "start", "--device", simulator.url, *SESSION) as session:
        wait_until(lambda: turns(simulator), "the motor turns")
        massager(person, "stop", "--now")
        session.wait()
    assert simulator.tell(get="status")["state"] == "latched"
    assert massager(person, "clear", "--device", simulator.url).code == 0
    assert simulator.tell(get="status")["state"] == "idle"
    assert judged(simulator) == []


def test_a_controller_that_is_killed_leaves_output_0_by_the_lease(
    person: Path, start_simulator: Start
) -> None:
    simulator = start_simulator(*FIRMWARE, "--pty", person / "port")
    with Running(person, "start", "--device", simulator.url, *SESSION) as session:
        wait_until(lambda: turns(simulator), "the motor turns")
        session.process.send_signal(signal.SIGKILL)
        session.process.wait()
    time.sleep(3)
    assert simulator.tell(get="status")["pin"] == 0
    assert any(row["why"] == "lease_expired" for row in simulator.trace())
    assert judged(simulator) == []


def test_the_watchdog_ends_a_hang_and_the_session_with_it(
    person: Path, start_simulator: Start
) -> None:
    memory = person / "eeprom"
    simulator = start_simulator(*FIRMWARE, "--pty", person / "port", "--eeprom", memory)
    with Running(person, "start", "--device", simulator.url, *SESSION) as session:
        wait_until(lambda: turns(simulator), "the motor turns")
        assert simulator.tell(fault="hang")["ok"]
        assert session.wait() != 0
    status = simulator.tell(get="status")
    assert (status["boot"], status["pin"]) == (2, 0)
    hang, reboot, boot = [row for row in simulator.trace() if row["why"] in RESETS][1:]
    assert [hang["why"], reboot["why"], boot["why"]] == list(RESETS)
    assert reboot["device_ms"] - hang["device_ms"] <= 500
    assert judged(simulator) == []
    simulator.stop()
    again = start_simulator(*FIRMWARE, "--pty", person / "port", "--eeprom", memory)
    assert again.tell(get="status")["boot"] == 3


def judged(simulator: SimulatorProcess) -> list[str]:
    rows = ({**row} for row in simulator.trace())
    return check_trace(TraceRow(**row) for row in rows if row.pop("mono_ns"))


@pytest.mark.parametrize(
    ("flags", "explanation"),
    [
        (["--mqtt", "mqtt://127.0.0.1"], "use --pty or --tcp"),
        (["--pty", "p", "--speed", "2"], "a chip runs in real time"),
        (["--pty", "p", "--device-id", "mine"], "DEVICE_ID="),
        (["--pty", "p", "--no-feet-sensor"], "in its program"),
        (["--pty", "p", "--eeprom", "/nowhere/e"], "/nowhere/e cannot be kept"),
        (["--pty", "p", "--eeprom", __file__], "is no EEPROM of 1024 bytes"),
        (["--pty", "p", "--eeprom", "e", "--boot-id", "7"], "leave one of them out"),
    ],
)
def test_what_a_chip_cannot_be_is_refused_with_the_way_out(
    flags: list[str], explanation: str
) -> None:
    code, out, err = run_simulator(*FIRMWARE, *flags)
    assert (code, out) == (2, "")
    assert explanation in err


def test_an_eeprom_without_a_chip_is_refused() -> None:
    code, _, err = run_simulator("--pty", "p", "--eeprom", "e")
    assert code == 2
    assert "--firmware atmega328p" in err
