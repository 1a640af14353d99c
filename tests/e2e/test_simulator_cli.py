"""`massager-simulator` as a new user meets it: help, wrong flags, the control socket."""

import json
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.commands import SPECS
from tests.e2e.simulator_process import SimulatorProcess, run_simulator

Start = Callable[..., SimulatorProcess]


def test_help_shows_every_request_of_the_control_socket() -> None:
    code, out, errors = run_simulator("--help")
    assert (code, errors) == (0, "")
    for spec in SPECS:
        assert spec.example in out
        assert spec.meaning in out


@pytest.mark.parametrize(
    ("flags", "explanation"),
    [
        ([], "--pty --tcp --mqtt"),
        (["--pty", "p", "--tcp", "127.0.0.1:0"], "not allowed with"),
        (["--pty", "p", "--speed", "0"], "from 1 to 20"),
        (["--pty", "p", "--speed", "21"], "from 1 to 20"),
        (["--pty", "p", "--speed", "nan"], "from 1 to 20"),
        (["--pty", "p", "--seed", "-1"], "from 0 to 4294967295"),
        (["--pty", "p", "--boot-id", "65536"], "from 1 to 65535"),
        (["--pty", "p", "--device-id", "nine-char"], "1 to 8 of"),
        (["--pty", "/nowhere/p"], "/nowhere does not exist"),
        (["--pty", "p", "--trace", "/nowhere/t"], "/nowhere/t cannot be written"),
        (["--pty", "p", "--control", "/nowhere/c"], "/nowhere does not exist"),
        (["--tcp", "5555"], "HOST:PORT"),
        (["--tcp", "127.0.0.1:65536"], "from 0 to 65535"),
        (["--mqtt", "http://127.0.0.1"], "mqtt://[user@]host[:port]"),
        (["--mqtt", "mqtt://127.0.0.1/x"], "--device-id"),
        (["--tell", "/nowhere/c", "{}"], "no simulator answers at /nowhere/c"),
    ],
)
def test_a_wrong_flag_is_told_in_one_line_with_the_way_out(
    flags: list[str], explanation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, errors = run_simulator(*flags)
    assert (code, out) == (2, "")
    assert explanation in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "p").is_symlink()


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    code, _, errors = run_simulator("--mqtt", "mqtt://foot:open-sesame@127.0.0.1")
    assert code == 2
    assert "MASSAGER_SIMULATOR_MQTT_PASSWORD" in errors
    assert "open-sesame" not in errors


def test_the_control_socket_is_for_this_user_only(start_simulator: Start, tmp_path: Path) -> None:
    simulator = start_simulator("--pty", tmp_path / "p")
    assert stat.S_IMODE(simulator.control.stat().st_mode) == 0o600


def test_one_connection_may_ask_many_times_and_garbage_is_answered(
    start_simulator: Start, tmp_path: Path
) -> None:
    simulator = start_simulator("--pty", tmp_path / "p")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(simulator.control))
        answers = client.makefile("r")
        for line in (b"\xff\xfe", b"[" * 900, b"{}", b'{"get": "status"}', b'{"get": "trace"}'):
            client.sendall(line + b"\n")
        found = [json.loads(answers.readline()) for _ in range(5)]
        assert [answer["ok"] for answer in found] == [False, False, False, True, True]
        assert found[3]["state"] == "idle"
        assert [row["why"] for row in found[4]["trace"]] == ["boot"]
        client.sendall(b'{"get": "' + b"x" * 2000 + b'"}\n')
        assert "at most 1024 bytes" in json.loads(answers.readline())["error"]
        assert answers.readline() == ""
        answers.close()
    assert simulator.tell(get="status")["ok"]
    assert simulator.errors() == ""


def test_a_control_socket_in_use_is_left_alone(start_simulator: Start, tmp_path: Path) -> None:
    simulator = start_simulator("--pty", tmp_path / "p")
    code, _, errors = run_simulator("--pty", tmp_path / "q", "--control", simulator.control)
    assert code == 2
    assert "in use by another simulator" in errors
    assert simulator.tell(get="status")["ok"]


def test_each_start_is_another_boot(start_simulator: Start, tmp_path: Path) -> None:
    first = start_simulator("--pty", tmp_path / "p")
    first.stop()
    second = start_simulator("--pty", tmp_path / "p")
    boots = [row["boot"] for row in second.trace() if row["why"] == "boot"]
    assert len(set(boots)) == 2
