"""The control socket: faults, feet and questions from outside, one JSON object a line.

What can be asked is the table of `simulator.commands`. Every line gets one line back, with
`"ok": true` and what was asked for, or `"ok": false` and an `"error"` for people.
"""

import asyncio
import contextlib
import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from simulator.bearers import CannotStart
from simulator.commands import BadRequest, shown

LINE_MAX_BYTES: Final = 1024
_ANSWER_S: Final = 5.0
_PATH_MAX_BYTES: Final = 107  # Linux; what a socket address holds


class ControlSocket:
    """Listens at `path`, for this user only (0600); `command` does one decoded request."""

    def __init__(self, path: Path, command: Callable[[object], dict[str, Any]]) -> None:
        self._path = path.absolute()
        self._command = command
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Listen. Raises CannotStart where the path cannot be used."""
        _check_path(self._path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _bind_privately(listener, self._path)
        except OSError as error:
            listener.close()
            raise CannotStart(
                f"the control socket {self._path} cannot be made: {error.strerror or error}; "
                "name another path"
            ) from error
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listener, limit=LINE_MAX_BYTES
        )

    async def close(self) -> None:
        """Stop listening, drop everybody and remove the socket."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for writer in list(self._clients):
            writer.transport.abort()
        with contextlib.suppress(OSError):
            self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while line := await reader.readline():
                if line.strip():
                    await _answer(writer, self.answer(line))
        except ValueError:
            await _answer(writer, _refusal(f"a line has at most {LINE_MAX_BYTES} bytes"))
        except ConnectionError:
            pass
        finally:
            self._clients.discard(writer)
            writer.close()

    def answer(self, line: bytes) -> dict[str, Any]:
        """The answer to one line."""
        if len(line) > LINE_MAX_BYTES:
            return _refusal(f"a line has at most {LINE_MAX_BYTES} bytes")
        try:
            request = _decoded(line)
        except BadRequest as error:
            return _refusal(str(error))
        return self._command(request)


def ask(path: Path, request: str) -> tuple[bool, str]:
    """Send one request to a running simulator: whether it was done, and the answer's line.

    Raises CannotStart where nobody listens at `path`.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_ANSWER_S)
        try:
            client.connect(str(path))
            client.sendall(" ".join(request.split()).encode() + b"\n")
            client.shutdown(socket.SHUT_WR)
            with client.makefile("r", encoding="utf-8") as answers:
                line = answers.readline().rstrip("\n")
        except OSError as error:
            raise CannotStart(
                f"no simulator answers at {path}: {error.strerror or error}; "
                "start one with --control"
            ) from error
    return line.startswith('{"ok": true'), line


def _decoded(line: bytes) -> object:
    """The JSON value of a line. Raises BadRequest, also for a key given twice and for NaN."""
    try:
        return json.loads(
            line.decode("utf-8"),
            object_pairs_hook=_once_each,
            parse_constant=_no_constant,
        )
    except BadRequest:
        raise
    except (ValueError, RecursionError) as error:
        text = shown(line.decode(errors="replace").strip())
        raise BadRequest(f'{text} is no JSON ({error}); send e.g. {{"get": "status"}}') from error


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise BadRequest(f"{shown(key)} is given more than once; give it once")
    return dict(pairs)


def _no_constant(name: str) -> object:
    raise BadRequest(f"{name} is no number that means anything here; give one in the range")


def _refusal(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error}


async def _answer(writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
    writer.write(json.dumps(answer).encode("ascii") + b"\n")
    with contextlib.suppress(ConnectionError):
        await writer.drain()


def _bind_privately(listener: socket.socket, path: Path) -> None:
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)


def _check_path(path: Path) -> None:
    if len(os.fsencode(path)) > _PATH_MAX_BYTES:
        raise CannotStart(
            f"the control socket {path} is too long: at most {_PATH_MAX_BYTES} bytes; "
            "name a shorter path"
        )
    if not path.parent.is_dir():
        raise CannotStart(f"the folder {path.parent} does not exist; make it or name another path")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise CannotStart(f"{path} exists and is no socket; name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()  # left by a simulator that was killed
        except OSError as error:
            raise CannotStart(f"{path}: {error.strerror}; name another path") from error
        else:
            raise CannotStart(f"{path} is in use by another simulator; name another path")
