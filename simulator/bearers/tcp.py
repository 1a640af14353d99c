"""A TCP port as the serial line of the simulated device: one host at a time, the second is refused.

Taking the newest instead would let two hosts that both reconnect throw each other out for ever. A
host that vanished without closing is noticed by the keepalive after about 5 s.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Final

from simulator.bearers import CannotStart, HostSide

_UNSENT_MAX_BYTES: Final = 2048  # what a host that does not read can have waiting; then it is lost
_AGAIN_S: Final = 0.2
# A dead host is noticed after 2 + 3 × 1 s.
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 2), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 3))


class TcpBearer:
    """Listens on `host`:`port` (0 = any free port). `say` gets a line when a host is refused."""

    datagrams = False

    def __init__(self, host: str, port: int, say: Callable[[str], None]) -> None:
        self._host = host
        self._port = port
        self._say = say
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None
        self._client: _Client | None = None
        self._host_side: HostSide | None = None
        self._reading = True
        self._plugged = True

    @property
    def url(self) -> str:
        """`tcp://host:port`; an IPv6 address in brackets."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"tcp://{host}:{self._port}"

    async def open(self, host_side: HostSide) -> None:
        """Listen. Raises CannotStart where the address cannot be used."""
        self._host_side = host_side
        try:
            await self._listen()
        except OSError as error:
            raise CannotStart(
                f"cannot listen on {self.url}: {_reason(error)}; name another address, "
                "or port 0 for any free one"
            ) from error

    def send(self, data: bytes) -> None:
        """Send to the host that is connected, if any."""
        if self._client is not None:
            self._client.send(data)

    def follow(self, *, reading: bool, plugged: bool) -> None:
        """Leave bytes unread, or be unreachable for a while."""
        if reading != self._reading:
            self._reading = reading
            if self._client is not None:
                self._client.follow(reading=reading)
        if plugged != self._plugged:
            self._plugged = plugged
            if plugged:
                self._opening = asyncio.get_running_loop().create_task(self._listen_again())
            else:
                self._let_go()

    async def close(self) -> None:
        """Stop listening and drop the host."""
        self._let_go()

    def client_came(self, client: "_Client") -> bool:
        """Whether `client` may stay."""
        if self._client is not None or self._host_side is None:
            self._say(f"{self.url}: a second host was refused while the first is connected")
            return False
        self._client = client
        client.follow(reading=self._reading)
        self._host_side.line_opened()
        return True

    def client_left(self, client: "_Client") -> None:
        """The device goes on by itself; its lease does the rest."""
        if self._client is client:
            self._client = None

    def received(self, data: bytes) -> None:
        """From the client that may stay."""
        if self._host_side is not None:
            self._host_side.received(data)

    async def _listen(self) -> None:
        server = await asyncio.get_running_loop().create_server(
            lambda: _Client(self), self._host, self._port
        )
        self._server = server
        self._port = server.sockets[0].getsockname()[1]

    async def _listen_again(self) -> None:
        while True:
            try:
                return await self._listen()
            except OSError as error:
                self._say(f"{self.url}: {_reason(error)}; trying again")
                await asyncio.sleep(_AGAIN_S)

    def _let_go(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._client is not None:
            self._client.drop()
            self._client = None


def _reason(error: OSError) -> str:
    # asyncio's own text repeats the address; a resolver's error has a number below 0.
    number = error.errno or 0
    return os.strerror(number) if number > 0 else str(error.strerror)


class _Client(asyncio.Protocol):
    """One connection; the transport is there from `connection_made` on."""

    def __init__(self, bearer: TcpBearer) -> None:
        self._bearer = bearer
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if not self._bearer.client_came(self):
            self._transport = None
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._bearer.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._bearer.client_left(self)

    def send(self, data: bytes) -> None:
        transport = self._transport
        if transport is not None and transport.get_write_buffer_size() < _UNSENT_MAX_BYTES:
            transport.write(data)

    def follow(self, *, reading: bool) -> None:
        if self._transport is not None:
            with contextlib.suppress(RuntimeError):  # it is closing
                if reading:
                    self._transport.resume_reading()
                else:
                    self._transport.pause_reading()

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
