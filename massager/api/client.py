"""The other end of messages.py: asks running controllers, over plain blocking sockets.

Start-up is part of a stop's latency: neither asyncio nor pydantic, and nothing of the protocol.
"""

import json
import select
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from massager.runtime_dir import Owner, owners

_READ_BYTES: Final = 65_536

Reply = dict[str, Any]


class Answer(NamedTuple):
    """What came from one owner; None where it has closed the connection."""

    owner: Owner
    reply: Reply | None


class Conversation:
    """One request to several owners at once. Sent when this is made; nobody is waited for.

    `owners` are those that live; the dead are forgotten, and a process that runs but takes no
    connection counts as living: it hangs.
    """

    def __init__(self, asked: list[Owner], request: Mapping[str, object]) -> None:
        self.owners: list[Owner] = []
        self._open: dict[socket.socket, tuple[Owner, bytearray]] = {}
        line = json.dumps(request).encode() + b"\n"
        for owner in asked:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.setblocking(False)
            try:
                connection.connect(owner.socket_path)
            except (ConnectionRefusedError, FileNotFoundError):
                connection.close()
                owner.forget()
                continue
            except OSError:  # its backlog is full: it hangs
                connection.close()
            else:
                with suppress(OSError):  # it has just hung up, which reading will tell
                    connection.sendall(line)
                self._open[connection] = (owner, bytearray())
            self.owners.append(owner)

    def answers(self, until_s: float) -> Iterator[Answer]:
        """What comes until `time.monotonic()` is `until_s`, as it comes."""
        while self._open:
            left_s = until_s - time.monotonic()
            ready = select.select(list(self._open), [], [], max(left_s, 0))[0]
            for connection in ready:
                yield from self._read(connection)
            if left_s <= 0:
                return

    def close(self) -> None:
        """Hang up."""
        for connection in self._open:
            connection.close()
        self._open.clear()

    def _read(self, connection: socket.socket) -> Iterator[Answer]:
        owner, buffer = self._open[connection]
        try:
            data = connection.recv(_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            del self._open[connection]
            connection.close()
            yield Answer(owner, None)
            return
        buffer += data
        while (end := buffer.find(b"\n")) >= 0:
            line = bytes(buffer[:end])
            del buffer[: end + 1]
            try:
                reply = json.loads(line)
            except ValueError:
                continue
            if isinstance(reply, dict):
                yield Answer(owner, reply)


def ask(asked: list[Owner], request: Mapping[str, object], wait_s: float) -> dict[Owner, Reply]:
    """The first answer of each owner that gave one within `wait_s`."""
    found: dict[Owner, Reply] = {}
    conversation = Conversation(asked, request)
    for owner, reply in conversation.answers(time.monotonic() + wait_s):
        if reply is not None:
            found.setdefault(owner, reply)
        if len(found) == len(conversation.owners):
            break
    conversation.close()
    return found


def reason_of(reply: Reply) -> str:
    """Why a request was not done, from an answer that is not `ok`."""
    error = reply.get("error")
    message = error.get("message") if isinstance(error, dict) else None
    return str(message or "no reason was given")


def living_owners(environ: Mapping[str, str]) -> list[Owner]:
    """Those that take a connection, and those that are there but hang; the dead are forgotten."""
    conversation = Conversation(owners(environ), {"request": "status"})
    conversation.close()
    return conversation.owners
