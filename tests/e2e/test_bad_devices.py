"""`massager start` on what is no massager, or none that may be driven: a clear error, code 4, and
nothing that moves or stops a motor was sent."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.brokers import Broker, free_port, real_mosquitto
from tests.e2e.command import Running, massager, unprivileged
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

# (answer, what it says by itself, words of the error)
NO_MASSAGERS: list[tuple[Answer, bytes, str]] = [
    (silence, b"", "No massager was reached"),
    (echo, b"", "echo plug"),
    (silence, GPS_LINE, "GPS"),
    (other_major, b"", "protocol major 9"),
]
NAMES = ["silence", "echo plug", "gps", "other major"]


def refused(folder: Path, url: str, *words: str, **extra: str) -> str:
    """What `start` says, having ended with code 4 and without a traceback."""
    done = massager(folder, "start", "--device", url, *words, extra=extra)
    said = done.out + done.err
    assert done.code == 4, said
    assert "Traceback" not in said
    return said


def nothing_moved(fake: FakeDevice) -> None:
    """No SET_LEVEL was sent, and no CLEAR."""
    assert not fake.types_received & {0x03, 0x06}


@pytest.mark.parametrize(("answer", "says", "words"), NO_MASSAGERS, ids=NAMES)
def test_what_is_no_massager_on_a_serial_port_is_not_driven(
    answer: Answer, says: bytes, words: str, tmp_path: Path
) -> None:
    with FakeSerial(tmp_path, answer, says) as fake:
        said = refused(tmp_path, fake.url)

    assert words in said
    nothing_moved(fake)


@pytest.mark.parametrize(("answer", "says", "words"), NO_MASSAGERS, ids=NAMES)
def test_what_is_no_massager_on_tcp_is_not_driven(
    answer: Answer, says: bytes, words: str, tmp_path: Path
) -> None:
    with FakeTcp(answer, says) as fake:
        said = refused(tmp_path, fake.url)

    assert words in said
    nothing_moved(fake)


def test_with_json_the_end_carries_reason_and_detail(tmp_path: Path) -> None:
    with FakeSerial(tmp_path, other_major) as fake:
        done = massager(tmp_path, "start", "--device", fake.url, "--json")

    ended = json.loads(done.out.splitlines()[-1])
    assert done.code == 4
    assert (ended["event"], ended["reason"]) == ("ended", "wrong device")
    assert "protocol major 9" in json.dumps(ended)


def test_a_port_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "ttyUSB7 is not there" in refused(tmp_path, f"serial:{tmp_path}/ttyUSB7")


def test_a_file_is_no_serial_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a port")

    assert "no serial port" in refused(tmp_path, f"serial:{tmp_path}/file")
    assert (tmp_path / "file").read_text() == "not a port"


def test_a_usb_serial_number_that_nothing_carries_is_named(tmp_path: Path) -> None:
    assert "NOSUCHNUMBER" in refused(tmp_path, "serial:NOSUCHNUMBER")


def test_a_busy_port_names_who_holds_it(tmp_path: Path) -> None:
    with FakeSerial(tmp_path) as fake, Running(tmp_path, "trace", fake.url) as other:
        wait_until(other.lines, "the port to be held")
        said = refused(tmp_path, fake.url)

        assert f"in use by pid {other.process.pid}" in said
        assert other.process.poll() is None


@pytest.mark.skipif(os.geteuid() == 0 and not SETPRIV.exists(), reason="runs as root")
def test_a_port_that_is_not_permitted_says_how_to_get_permission(tmp_path: Path) -> None:
    with FakeSerial(tmp_path) as fake:
        fake.path.chmod(0)
        done = unprivileged("start", "--device", f"serial:{fake.path.resolve()}")

    assert done.code == 4, done
    assert "udev rule" in done.out + done.err
    assert not fake.received


def test_a_tcp_port_where_nothing_listens_is_told(tmp_path: Path) -> None:
    url = f"tcp://127.0.0.1:{free_port()}"

    assert "nothing listens" in refused(tmp_path, url)


def test_a_simulator_of_another_speed_is_refused_and_both_speeds_are_named(
    start_simulator: StartSimulator, tmp_path: Path
) -> None:
    simulator = start_simulator("--tcp", "127.0.0.1:0", "--speed", "5")

    said = refused(tmp_path, simulator.url, "--speed", "20")

    assert "speed 5" in said
    assert "20" in said
    assert {row["output"] for row in simulator.trace()} == {0}


def test_a_simulator_that_hangs_is_told_and_not_started_later(
    start_simulator: StartSimulator, tmp_path: Path
) -> None:
    simulator = start_simulator("--pty", tmp_path / "tty")
    simulator.tell(fault="drop", rate=1, direction="up")

    assert "No massager was reached" in refused(tmp_path, simulator.url)
    assert {row["output"] for row in simulator.trace()} == {0}


def test_a_latched_device_is_refused_with_the_way_out(
    start_simulator: StartSimulator, tmp_path: Path
) -> None:
    simulator = start_simulator("--pty", tmp_path / "tty")
    massager(tmp_path, "stop", "--now", "--device", simulator.url)

    done = massager(tmp_path, "start", "--device", simulator.url)

    assert done.code == 3
    assert "latched" in done.out + done.err
    assert "massager clear" in done.out + done.err
    assert {row["output"] for row in simulator.trace()} == {0}


# --- brokers -----------------------------------------------------------------------------------


def test_a_broker_that_is_down_is_told(tmp_path: Path) -> None:
    url = f"mqtt://127.0.0.1:{free_port()}/foot-1"

    assert "nothing listens" in refused(tmp_path, url)


def test_a_broker_where_the_device_is_not_is_told(broker: Broker, tmp_path: Path) -> None:
    said = refused(tmp_path, f"mqtt://127.0.0.1:{broker.port}/nobody")

    assert "No massager was reached" in said


@pytest.fixture
def closed_broker(tmp_path: Path) -> Iterator[Broker]:
    """Takes nobody without a user."""
    running = real_mosquitto(tmp_path, "allow_anonymous false")
    running.start()
    yield running
    running.stop()


@pytest.mark.mosquitto
def test_a_broker_that_refuses_the_user_is_told_and_no_password_is_shown(
    closed_broker: Broker, tmp_path: Path
) -> None:
    url = f"mqtt://anna@127.0.0.1:{closed_broker.port}/foot-1"

    said = refused(tmp_path, url, MASSAGER_MQTT_PASSWORD="wrong-secret")

    assert "refuses the user 'anna'" in said
    assert "wrong-secret" not in said


@pytest.mark.mosquitto
def test_a_broker_with_a_certificate_of_its_own_is_rejected_until_it_is_named(
    start_simulator: StartSimulator, tmp_path: Path
) -> None:
    key, certificate = tmp_path / "server.key", tmp_path / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=broker", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip
    broker = real_mosquitto(tmp_path, f"certfile {certificate}\nkeyfile {key}")
    broker.start()
    try:
        said = refused(tmp_path, f"mqtts://127.0.0.1:{broker.port}/foot-1")
    finally:
        broker.stop()

    assert "certificate is rejected" in said
    assert "ca_file" in said
