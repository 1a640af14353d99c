"""An owner that answers, but not with its status: of another version, say."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.e2e.command import massager

ANSWERS = [
    ({"ok": False, "error": {"kind": "bad request", "message": "no such request"}}, "no such req"),
    ({"ok": False}, "no reason was given"),
    ({"ok": False, "error": "odd"}, "no reason was given"),
]


@pytest.fixture(params=ANSWERS, ids=["with a reason", "without", "with another error"])
def reason(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An owner is there that refuses whatever it is asked; why."""
    answer, why = request.param
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(folder / f"{os.getpid()}.sock"))
    listener.listen()

    def refuse() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1_000)
            connection.sendall(json.dumps(answer).encode() + b"\n")
            connection.recv(1_000)

    thread = Thread(target=refuse)
    thread.start()
    yield why
    thread.join(10)
    listener.close()


def test_status_says_why_it_is_not_told(reason: str, tmp_path: Path) -> None:
    done = massager(tmp_path, "status")

    assert (done.code, done.out) == (5, "")
    assert done.err.startswith(
        f"massager: process {os.getpid()} does not tell its status: {reason}"
    )
    assert done.err.count("\n") == 1


def test_status_as_json_has_the_reason(reason: str, tmp_path: Path) -> None:
    done = massager(tmp_path, "status", "--json")

    [session] = json.loads(done.out)["sessions"]
    assert done.code == 5
    assert (session["pid"], session["answers"]) == (os.getpid(), True)
    assert reason in session["error"]


def test_status_watch_ends_with_the_reason(reason: str, tmp_path: Path) -> None:
    done = massager(tmp_path, "status", "--watch")

    assert (done.code, done.out) == (5, "")
    assert f"does not tell its status: {reason}" in done.err
    assert done.err.count("\n") == 1
