"""The TCP transport on real sockets."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from massager.errors import ConnectionFailed, ConnectionLost
from massager.transports import open_transport
from massager.transports.tcp import TcpTransport
from massager.transports.url import TcpUrl
from tests.brokers import free_port
from tests.e2e.recorder import PATIENCE_S, Recorder, nodelay_to


class Listener:
    """The device's end: takes connections one after another, blocking in a thread."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.peer: socket.socket | None = None

    async def accept(self) -> socket.socket:
        peer, _ = await asyncio.to_thread(self._socket.accept)
        peer.settimeout(PATIENCE_S)
        self.peer = peer
        return peer

    def close(self) -> None:
        if self.peer is not None:
            self.peer.close()
        self._socket.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    made = Listener()
    yield made
    made.close()


@pytest.fixture
async def transport(listener: Listener) -> AsyncIterator[TcpTransport]:
    made = TcpTransport(TcpUrl("127.0.0.1", listener.port))
    yield made
    await made.close()


async def connected(transport: TcpTransport, listener: Listener) -> tuple[Recorder, socket.socket]:
    recorder = Recorder()
    await transport.open(recorder)
    return recorder, await listener.accept()


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def read_exactly(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = await asyncio.to_thread(peer.recv, size - len(data))
        assert chunk, "closed"
        data += chunk
    return data


async def test_bytes_pass_both_ways_unchanged(transport: TcpTransport, listener: Listener) -> None:
    recorder, peer = await connected(transport, listener)
    every_byte = bytes(range(256))
    peer.sendall(every_byte)
    await recorder.until_data(every_byte)
    for start in range(0, 256, 32):
        transport.write(every_byte[start : start + 32])
        assert await read_exactly(peer, 32) == every_byte[start : start + 32]


async def test_a_close_by_the_other_side_is_told_once(
    transport: TcpTransport, listener: Listener
) -> None:
    recorder, peer = await connected(transport, listener)
    peer.close()
    error = await recorder.until_lost()
    assert isinstance(error, ConnectionLost)
    assert f"tcp://127.0.0.1:{listener.port} is gone" in str(error)
    transport.write(b"level")
    await asyncio.sleep(0.02)
    assert recorder.losses == [error]
    assert transport.unsent_bytes() == 0


async def test_a_reset_is_told_too(transport: TcpTransport, listener: Listener) -> None:
    recorder, peer = await connected(transport, listener)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    assert isinstance(await recorder.until_lost(), ConnectionLost)


async def test_nothing_is_told_after_close(transport: TcpTransport, listener: Listener) -> None:
    recorder, peer = await connected(transport, listener)
    peer.sendall(b"late")
    await transport.close()
    peer.close()
    await asyncio.sleep(0.02)
    assert (recorder.chunks, recorder.losses) == ([], [])


async def test_what_was_written_before_close_arrives(
    transport: TcpTransport, listener: Listener
) -> None:
    _, peer = await connected(transport, listener)
    transport.write(b"goodbye")
    await transport.close()
    await transport.close()
    assert await read_exactly(peer, 7) == b"goodbye"


async def test_write_and_close_do_nothing_where_nothing_is_open(transport: TcpTransport) -> None:
    transport.write(b"level")
    assert transport.unsent_bytes() == 0
    await transport.close()


async def test_it_may_be_opened_again(transport: TcpTransport, listener: Listener) -> None:
    recorder, peer = await connected(transport, listener)
    peer.close()
    await recorder.until_lost()
    again, peer = await connected(transport, listener)
    peer.sendall(b"back")
    await again.until_data(b"back")
    assert recorder.chunks == []


async def test_frames_do_not_wait_for_each_other(
    transport: TcpTransport, listener: Listener
) -> None:
    """Without TCP_NODELAY the second of two may wait 40 ms for the answer to the first."""
    await connected(transport, listener)
    assert nodelay_to(listener.port)


async def test_a_peer_that_does_not_read_never_makes_it_wait_and_close_lets_go(
    transport: TcpTransport, listener: Listener
) -> None:
    _, peer = await connected(transport, listener)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    began = time.perf_counter()
    for _ in range(20_000):
        transport.write(b"x" * 44)
        await asyncio.sleep(0)
    assert transport.unsent_bytes() <= 64
    transport.write(b"stop", urgent=True)
    assert transport.unsent_bytes() <= 68
    await transport.close()
    assert time.perf_counter() - began < 3


async def test_close_lets_go_of_a_peer_that_takes_nothing(
    transport: TcpTransport, listener: Listener
) -> None:
    before = _descriptors()
    _, peer = await connected(transport, listener)
    for _ in range(200):  # more than the system's buffers hold
        transport.write(b"x" * 100_000, urgent=True)
    assert transport.unsent_bytes() > 1_000_000
    began = time.perf_counter()
    await transport.close()
    assert time.perf_counter() - began < 0.3
    assert _descriptors() == before + 1  # the peer's
    assert peer.fileno() >= 0


async def test_a_refused_connection_names_the_port() -> None:
    port = free_port()
    with pytest.raises(ConnectionFailed, match=f"nothing listens on port {port}"):
        await TcpTransport(TcpUrl("127.0.0.1", port)).open(Recorder())
    with pytest.raises(ConnectionFailed, match=f"nothing listens on port {port}"):
        await TcpTransport(TcpUrl("localhost", port)).open(Recorder())


@pytest.mark.parametrize("host", ["no-such-host.invalid", "two..dots"])
async def test_an_unknown_host_is_named(host: str) -> None:
    with pytest.raises(ConnectionFailed, match=f"no host is known as {host}"):
        await TcpTransport(TcpUrl(host, 1)).open(Recorder())


async def test_a_host_that_does_not_answer_is_given_up_after_3_s() -> None:
    fill = []  # a full backlog leaves the next SYN unanswered
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen(0)
    for _ in range(4):
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex(silent.getsockname())
        fill.append(waiting)
    began = time.perf_counter()
    with pytest.raises(ConnectionFailed, match="did not answer within 3 s"):
        await TcpTransport(TcpUrl("127.0.0.1", silent.getsockname()[1])).open(Recorder())
    assert 2.9 < time.perf_counter() - began < 4
    for made in (*fill, silent):
        made.close()


async def test_the_registry_opens_a_tcp_url(listener: Listener) -> None:
    transport = open_transport(f"tcp://127.0.0.1:{listener.port}")
    assert not transport.datagrams
    recorder = Recorder()
    await transport.open(recorder)
    peer = await listener.accept()
    peer.sendall(b"hello")
    await recorder.until_data(b"hello")
    await transport.close()
