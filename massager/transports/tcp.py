"""A device, or a serial line, behind a TCP port: a stream of bytes, each write sent at once.

asyncio sets TCP_NODELAY on every connection.
"""

import asyncio
import contextlib
import errno
import fcntl
import socket
import sys
import termios
from typing import Final

from massager.errors import ConnectionFailed, ConnectionLost
from massager.transports.interface import UNSENT_MAX_BYTES, Receiver
from massager.transports.url import TcpUrl

CONNECT_S: Final = 3.0
_CLOSE_S: Final = 0.05


class TcpTransport:
    """Bytes over a TCP connection."""

    datagrams = False

    def __init__(self, target: TcpUrl) -> None:
        self.url = str(target)
        self._target = target
        self._connection: _Connection | None = None

    async def open(self, receiver: Receiver) -> None:
        """Connect. Raises ConnectionFailed."""
        await self.close()
        loop = asyncio.get_running_loop()
        host, port = self._target.host, self._target.port
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self.url), host, port, happy_eyeballs_delay=0.25
                )
        except (OSError, UnicodeError) as error:
            raise ConnectionFailed(f"{self.url} {_explain(error, self._target)}") from error
        connection.start(receiver)
        self._connection = connection

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        """Send at once; see `Transport.write`. Urgent data passes at most 64 bytes."""
        if self._connection is not None:
            self._connection.write(data, urgent)

    def unsent_bytes(self) -> int:
        """Bytes that the other side's system has not acknowledged."""
        return 0 if self._connection is None else self._connection.unsent_bytes()

    async def close(self) -> None:
        """Let go; the last bytes get 50 ms to leave."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


class _Connection(asyncio.Protocol):
    """One opening, from connected to closed or lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._receiver: Receiver | None = None
        self._transport: asyncio.Transport | None = None
        self._why = ""
        self._gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.pause_reading()

    def start(self, receiver: Receiver) -> None:
        """Deliver from now on: what came, and what became of the connection, waits for it."""
        self._receiver = receiver
        if self._transport is not None:
            self._transport.resume_reading()
        else:
            asyncio.get_running_loop().call_soon(self._tell_lost)

    def data_received(self, data: bytes) -> None:
        if self._receiver is not None:
            self._receiver.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._gone.set_result(None)
        self._why = str(exc) if exc else "the other side closed it"
        self._tell_lost()

    def _tell_lost(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.connection_lost(ConnectionLost(f"{self._url} is gone ({self._why})"))

    def write(self, data: bytes, urgent: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if urgent or self.unsent_bytes() + len(data) <= UNSENT_MAX_BYTES:
            self._transport.write(data)

    def unsent_bytes(self) -> int:
        if self._transport is None:
            return 0
        here = self._transport.get_write_buffer_size()
        try:
            descriptor = self._transport.get_extra_info("socket").fileno()
            answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
        except OSError:  # not on every system
            return here
        return here + int.from_bytes(answer, sys.byteorder)

    async def close(self) -> None:
        self._receiver = None
        if self._transport is None:
            return
        self._transport.close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.shield(self._gone)
        except TimeoutError:
            pass
        finally:
            if self._transport is not None:
                self._transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.shield(self._gone)


def _explain(error: Exception, target: TcpUrl) -> str:
    """Why there is no connection, and the way out."""
    text = str(error)  # several addresses that failed come as one error without a number
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"cannot be reached: no host is known as {target.host}; check the name"
    if isinstance(error, TimeoutError):
        return f"did not answer within {CONNECT_S:g} s; check the address and the network"
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in text:
        return (
            f"refuses the connection: nothing listens on port {target.port}; "
            "start the device there, or check the port"
        )
    return f"cannot be reached: {text}; check the address and the network"
