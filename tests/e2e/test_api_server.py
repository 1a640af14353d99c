"""The socket of a running controller: a stop gets through, and no client holds up the session."""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from massager.api.server import ApiServer
from massager.errors import ConfigError
from massager.session.model import (
    Ended,
    HardStop,
    Idle,
    Pause,
    Request,
    SoftStop,
    State,
    Stopping,
    StopReason,
    Terms,
)
from massager.snapshot import Snapshot, snapshot


class FakeSession:
    """Takes every request but a pause, and goes where the test says."""

    def __init__(self) -> None:
        self.state: State = Idle(Terms())
        self.requests: list[Request] = []
        self._change = asyncio.Event()
        self._asked = asyncio.Event()

    def snapshot(self) -> Snapshot:
        """What a person may see now."""
        return snapshot(self.state, 0)

    def request(self, request: Request) -> str | None:
        """Note it down."""
        self.requests.append(request)
        self._asked.set()
        if isinstance(request, SoftStop | HardStop) and not isinstance(self.state, Ended):
            self.become(Stopping(None, request.reason, "", 0))
        return "nothing to pause" if isinstance(request, Pause) else None

    def become(self, state: State) -> None:
        """Another state, as after an answer of the device."""
        self.state = state
        change, self._change = self._change, asyncio.Event()
        change.set()

    async def changed(self) -> None:
        """Wait for the next change."""
        await self._change.wait()

    async def was_asked(self, request: Request) -> None:
        """Wait for a request; fails after 1 s."""
        async with asyncio.timeout(1):
            while request not in self.requests:
                self._asked.clear()
                await self._asked.wait()


class Client:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, line: bytes) -> None:
        """Send bytes."""
        self.writer.write(line)

    async def ask_for_ever(self) -> None:
        """Ask and never read. Raises ConnectionError once the server has had enough."""
        while True:
            self.writer.write(b'{"request": "status"}\n' * 100)
            await self.writer.drain()

    async def answer(self) -> dict[str, Any]:
        """The next line; fails after 5 s."""
        async with asyncio.timeout(5):
            line = await self.reader.readline()
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def is_dropped(self) -> bool:
        """Whether the server hangs up within 5 s."""
        try:
            async with asyncio.timeout(5):
                while await self.reader.read(65_536):
                    pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True


Connect = Callable[[], Awaitable[Client]]


@pytest.fixture
async def session() -> FakeSession:
    """What the server asks."""
    return FakeSession()


@pytest.fixture
async def server(session: FakeSession, tmp_path: Path) -> AsyncIterator[ApiServer]:
    """A server that listens."""
    environ = {"MASSAGER_RUNTIME_DIR": str(tmp_path / "run")}
    server = ApiServer(session, "tcp://foot:3333", 1, environ)
    await server.open()
    yield server
    await server.close()


@pytest.fixture
async def connect(server: ApiServer) -> AsyncIterator[Connect]:
    """Makes clients."""
    clients: list[Client] = []

    async def connect() -> Client:
        path = server.directory / f"{os.getpid()}.sock"
        clients.append(Client(*await asyncio.open_unix_connection(path)))
        return clients[-1]

    yield connect
    for client in clients:
        client.writer.transport.abort()
        with suppress(OSError):
            await client.writer.wait_closed()


async def test_the_socket_is_its_owners_and_says_which_device_it_drives(
    server: ApiServer,
) -> None:
    path = server.directory / f"{os.getpid()}.sock"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.directory.stat().st_mode) == 0o700
    assert path.with_suffix(".device").read_text() == "tcp://foot:3333"
    await server.close()
    assert list(server.directory.iterdir()) == []


async def test_a_request_is_answered_with_the_session_and_a_refusal_with_its_reason(
    connect: Connect,
    server: ApiServer,
) -> None:
    client = await connect()

    client.send(b'{"request": "status"}\n{"request": "pause"}\nnonsense\n')

    status = await client.answer()
    assert status["ok"] is True
    assert status["owner"]["pid"] == os.getpid()
    assert status["session"]["phase"] == "idle"
    assert (await client.answer())["error"] == {"kind": "refused", "message": "nothing to pause"}
    assert (await client.answer())["error"]["kind"] == "bad request"


async def test_a_stop_is_done_at_once_and_answered_when_the_device_has_taken_it_and_at_the_end(
    connect: Connect, server: ApiServer, session: FakeSession
) -> None:
    client = await connect()
    client.send(b'{"request": "stop", "now": true}\n')
    await session.was_asked(HardStop())

    assert (await client.answer())["stage"] == "taken"
    session.become(Stopping(None, StopReason.EMERGENCY, "", 0, acknowledged=True))
    assert (await client.answer())["stage"] == "acknowledged"
    session.become(Ended(None, StopReason.EMERGENCY, "", output_confirmed=True))
    answer = await client.answer()

    assert answer["stage"] == "ended"
    assert answer["session"]["output_confirmed"] is True


async def test_a_stop_after_the_end_is_answered_at_once(
    connect: Connect, server: ApiServer, session: FakeSession
) -> None:
    session.state = Ended(None, StopReason.COMPLETED, "", output_confirmed=True)
    client = await connect()

    client.send(b'{"request": "stop"}\n')

    assert (await client.answer())["stage"] == "ended"


async def test_whoever_waits_for_the_end_hears_of_it_when_the_server_closes(
    connect: Connect, server: ApiServer, session: FakeSession
) -> None:
    watching, stopping = await connect(), await connect()
    watching.send(b'{"request": "status", "watch": true}\n')
    await watching.answer()
    stopping.send(b'{"request": "stop"}\n')
    await session.was_asked(SoftStop())
    await watching.answer()
    assert (await stopping.answer())["stage"] == "taken"
    session.state = Ended(None, StopReason.REQUESTED, "", output_confirmed=True)

    await server.close()

    assert (await watching.answer())["stage"] == "ended"
    assert (await stopping.answer())["stage"] == "ended"
    assert await stopping.is_dropped()


async def test_a_watcher_hears_of_changes_at_most_five_times_a_second(
    connect: Connect, server: ApiServer, session: FakeSession
) -> None:
    client = await connect()
    client.send(b'{"request": "status", "watch": true}\n')
    await client.answer()
    loop = asyncio.get_running_loop()

    began, heard = loop.time(), 0
    while loop.time() < began + 1:
        session.become(Idle(Terms()))
        try:
            async with asyncio.timeout(0.01):
                await client.reader.readline()
                heard += 1
        except TimeoutError:
            continue

    assert 3 <= heard <= 6


@pytest.mark.parametrize("flood", [b'{"request": "status"}\n', b"\n", b"x" * 1_025])
async def test_a_client_that_floods_is_dropped_and_a_stop_still_gets_through(
    connect: Connect, server: ApiServer, session: FakeSession, flood: bytes
) -> None:
    noisy, quiet = await connect(), await connect()
    for _ in range(200):
        noisy.send(flood)
    quiet.send(b'{"request": "stop"}\n')

    await session.was_asked(SoftStop())

    assert await noisy.is_dropped()


@pytest.mark.parametrize("count", [60, 3_000])
async def test_a_stop_behind_a_flood_of_the_same_client_is_taken_and_nothing_else(
    connect: Connect, session: FakeSession, count: int
) -> None:
    client = await connect()
    client.send(b'{"request": "pause"}\n' * count + b'{"request": "stop"}\n')

    await session.was_asked(SoftStop())

    assert session.requests.count(Pause()) == 51
    assert await client.is_dropped()


async def test_a_line_that_is_too_long_is_refused_before_it_is_read_whole(
    connect: Connect,
    server: ApiServer,
) -> None:
    client = await connect()

    client.send(b'{"request": "' + b"x" * 2_000)

    assert "at most 1024 bytes" in (await client.answer())["error"]["message"]
    assert await client.is_dropped()


async def test_a_request_may_come_byte_by_byte(connect: Connect, server: ApiServer) -> None:
    client = await connect()

    for byte in b'{"request": "status"}\n':
        client.send(bytes([byte]))
        await client.writer.drain()
        await asyncio.sleep(0)

    assert (await client.answer())["ok"] is True


async def test_the_seventeenth_client_comes_in_and_the_one_that_was_silent_longest_goes(
    connect: Connect, server: ApiServer, session: FakeSession
) -> None:
    clients = []
    for _ in range(17):
        clients.append(await connect())
        clients[-1].send(b'{"request": "status"}\n')
        await clients[-1].answer()

    assert await clients[0].is_dropped()
    clients[16].send(b'{"request": "stop"}\n')
    await session.was_asked(SoftStop())


async def test_a_client_that_never_reads_is_dropped(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("massager.api.server.REQUESTS_PER_S", 1_000_000)
    client = await connect()
    transport = client.writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()

    async with asyncio.timeout(10):
        with pytest.raises(ConnectionError):
            await client.ask_for_ever()


async def test_a_directory_that_cannot_be_written_says_so(
    session: FakeSession, tmp_path: Path
) -> None:
    environ = {"MASSAGER_RUNTIME_DIR": str(tmp_path / "run")}
    server = ApiServer(session, "sim:", 1, environ)
    server.directory.rmdir()

    with pytest.raises(ConfigError, match="nobody could stop this session"):
        await server.open()
