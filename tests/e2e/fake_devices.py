"""Things on a line that are no massager, each in a thread of its own: an echo plug, a GPS …"""

import contextlib
import os
import select
import socket
import threading
import tty
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from firmware_protocol.codec import encode, header_of
from firmware_protocol.framing import StreamFraming
from firmware_protocol.messages import Nak

Answer = Callable[[bytes], bytes]

SAYS_EVERY_S: Final = 0.2
GPS_LINE: Final = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"


def silence(data: bytes) -> bytes:
    """Nobody is there."""
    return b""


def echo(data: bytes) -> bytes:
    """A plug that joins both wires."""
    return data


def other_major(data: bytes) -> bytes:
    """A device that speaks protocol major 9 only. NAK is the same in every major."""
    framing = StreamFraming()
    return b"".join(
        framing.encode(encode(Nak(raw[1], 13, 9), header_of(raw).sequence, 0, major=9))
        for raw in framing.receive(data)
    )


class FakeDevice:
    """Answers each read by `answer`, and says `says` again and again. Keeps what it was told."""

    def __init__(self, answer: Answer = silence, says: bytes = b"") -> None:
        self.received = bytearray()
        self._answer = answer
        self._says = says
        self._ending, self._end = os.pipe()
        self._thread = threading.Thread(target=self._run)

    @property
    def types_received(self) -> set[int]:
        """The types of all frames that it was sent: 3 would be SET_LEVEL."""
        return {raw[1] for raw in StreamFraming().receive(bytes(self.received))}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.write(self._end, b".")
        self._thread.join()
        os.close(self._ending)
        os.close(self._end)
        self._close()

    def _run(self) -> None:
        while True:
            fd = self._fd()
            ready, _, _ = select.select([fd, self._ending], [], [], SAYS_EVERY_S)
            if self._ending in ready:
                return
            with contextlib.suppress(OSError):  # the host has gone
                if fd in ready:
                    self._take(fd)
                elif self._says:
                    self._say(fd, self._says)

    def _take(self, fd: int) -> None:
        data = os.read(fd, 4096)
        self.received += data
        if answer := self._answer(data):
            self._say(fd, answer)

    def _say(self, fd: int, data: bytes) -> None:
        os.write(fd, data)

    def _fd(self) -> int:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError


class FakeSerial(FakeDevice):
    """On a pty; `path` is a link to it, as with an adapter in /dev/serial/by-id."""

    def __init__(self, folder: Path, answer: Answer = silence, says: bytes = b"") -> None:
        super().__init__(answer, says)
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)  # unread text is lost, as on a wire
        self.path = folder / "tty-fake"
        self.path.symlink_to(os.ttyname(self._slave))
        self.url = f"serial:{self.path}"

    def _fd(self) -> int:
        return self._master

    def _close(self) -> None:
        os.close(self._master)
        os.close(self._slave)


class FakeTcp(FakeDevice):
    """Behind a TCP port; takes one host after the other."""

    def __init__(self, answer: Answer = silence, says: bytes = b"") -> None:
        super().__init__(answer, says)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._host: socket.socket | None = None
        self.url = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"

    def _fd(self) -> int:
        return (self._host or self._server).fileno()

    def _take(self, fd: int) -> None:
        if self._host is None:
            self._host, _ = self._server.accept()
            return
        before = len(self.received)
        super()._take(fd)
        if len(self.received) == before:  # it hung up
            self._host.close()
            self._host = None

    def _say(self, fd: int, data: bytes) -> None:
        if self._host is not None:
            self._host.sendall(data)

    def _close(self) -> None:
        if self._host is not None:
            self._host.close()
        self._server.close()
