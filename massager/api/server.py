"""The local socket of a running controller: lines of messages.py, and nothing slow.

A request is done inside the read callback, so a stop waits behind nothing and nobody. A client
that floods, or that does not read its answers, is dropped; it never holds up the session. What a
flood still brings until then is not done, but for its stops.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from massager.api.messages import (
    REQUEST_MAX_BYTES,
    ArmRequest,
    BadRequest,
    ClearRequest,
    DaemonRequest,
    DevicesRequest,
    Done,
    Owner,
    Reply,
    Stage,
    StartRequest,
    StatusRequest,
    StopRequest,
    as_dict,
    line_of,
    parse_request,
    refused,
)
from massager.errors import ConfigError
from massager.runtime_dir import own_directory
from massager.session.model import Ended, Request, SoftStop, State, Stopping, StopReason
from massager.snapshot import Snapshot

CLIENTS_MAX: Final = 16
REQUESTS_PER_S: Final = 50  # of one client; beyond, it is dropped
FLOOD_S: Final = 0.5  # until then, for a stop that lies behind the flood
UNREAD_MAX_BYTES: Final = 65_536  # of answers that a client leaves unread; beyond, it is dropped
WATCH_GAP_S: Final = 0.2
_GOODBYE_S: Final = 0.2  # for the last lines to leave
_NO_DAEMON: Final = "this is a session in the foreground, which can only be stopped and changed"


class Session(Protocol):
    """What the server needs of a controller."""

    @property
    def state(self) -> State:
        """The session's state."""

    def snapshot(self) -> Snapshot:
        """What a person may see now."""

    def request(self, request: Request) -> str | None:
        """What a person wants; None, or why it was refused."""

    async def changed(self) -> None:
        """Wait for the next change."""


class Service(Protocol):
    """What the server needs of a daemon beside the session."""

    def carry_out(
        self, request: DaemonRequest, now: Callable[[], Done]
    ) -> Coroutine[Any, Any, Reply]:
        """The answer; `now` makes the one that shows the session as it is.

        A start is asked for in the moment of this call: a stop that comes after it ends it.
        """


class ApiServer:
    """Listens while its session lives. `device` is the URL as a person may see it.

    With a `service` it is a daemon's socket for the device that it calls `name`.
    """

    def __init__(
        self,
        session: Session,
        device: str,
        speed: int,
        environ: Mapping[str, str],
        *,
        name: str | None = None,
        service: Service | None = None,
    ) -> None:
        self.session = session
        self.service = service
        self.errands: set[asyncio.Task[None]] = set()
        self.directory = Path(own_directory(environ))
        self._device = device
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        self._owner = Owner(pid=os.getpid(), name=name, device=device, speed=speed, since=since)
        self._clients: list[_Client] = []
        self._alone = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._news: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Be found from now on. Raises ConfigError."""
        try:
            group = 0o060 if self.directory.stat().st_mode & 0o010 else 0  # the system's service
            self._path(".device").write_text(self._device, encoding="utf-8")
            self._path(".device").chmod(0o600 | group)
            listener = _listen(self._path(".sock"), 0o600 | group)
        except OSError as error:
            raise ConfigError(
                f"nobody could stop this session: the runtime directory {self.directory} cannot "
                f"be written ({error.strerror}); set MASSAGER_RUNTIME_DIR to another"
            ) from None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._client, sock=listener)
        self._news = loop.create_task(self._tell())

    async def close(self) -> None:
        """Answer who still waits, and be found no more."""
        for kind in (".sock", ".device"):
            self._path(kind).unlink(missing_ok=True)
        if self._server is None or self._news is None:
            return
        self._news.cancel()
        self._server.close()
        for errand in self.errands:
            errand.cancel()
        for client in list(self._clients):
            client.tell()
            client.give_up()
            client.end()
        if self._clients:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._alone.wait(), _GOODBYE_S)
        for client in list(self._clients):
            client.drop()

    def done(self, stage: Stage | None = None) -> Done:
        """The answer that shows the session as it is now."""
        session = as_dict(self.session.snapshot())
        return {"ok": True, "stage": stage, "owner": self._owner, "session": session}

    def unconfirmed(self) -> Done:
        """The last answer about a session that is left before its end is known."""
        session = as_dict(self.session.snapshot()) | {"output_confirmed": False}
        return {"ok": True, "stage": "ended", "owner": self._owner, "session": session}

    def joined(self, client: "_Client") -> None:
        """One more; where there are too many, whoever was silent the longest has to go."""
        self._clients.append(client)
        self._alone.clear()
        if len(self._clients) > CLIENTS_MAX:
            min(self._clients, key=lambda one: one.heard_s).drop()

    def left(self, client: "_Client") -> None:
        """One less."""
        if client in self._clients:
            self._clients.remove(client)
        if not self._clients:
            self._alone.set()

    def _client(self) -> "_Client":
        return _Client(self)

    def _path(self, kind: str) -> Path:
        pid, name = self._owner["pid"], self._owner["name"]
        return self.directory / (f"{pid}{kind}" if name is None else f"{pid}.{name}{kind}")

    async def _tell(self) -> None:
        while True:
            await self.session.changed()
            for client in list(self._clients):
                client.tell()


class _Client(asyncio.BufferedProtocol):
    """One connection. The buffer is one request long, so no read brings more than that."""

    def __init__(self, server: ApiServer) -> None:
        self.heard_s = 0.0
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(REQUEST_MAX_BYTES)
        self._line = bytearray()
        self._second_began_s = 0.0
        self._requests = 0
        self._floods = False
        self._stopping = False  # waits for the end of a stop it asked for
        self._acknowledged = False
        self._watching = False
        self._told_s = 0.0
        self._later: asyncio.TimerHandle | None = None
        self._starting = 0  # starts that were not answered yet

    # --- for asyncio -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=UNREAD_MAX_BYTES)
        self.heard_s = self._loop.time()
        self._server.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone; a stop it asked for goes on."""
        self._transport = None
        if self._later is not None:
            self._later.cancel()
        if self._starting:
            gone = "whoever asked for it has left"
            self._server.session.request(SoftStop(StopReason.REQUESTED, gone))
        self._server.left(self)

    def pause_writing(self) -> None:
        """It does not read."""
        self.drop()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come: do what the lines among them say."""
        self.heard_s = self._loop.time()
        self._line += self._buffer[:nbytes]
        while self._transport is not None:
            line, newline, rest = self._line.partition(b"\n")
            if not newline:
                break
            self._line = rest
            self._take(bytes(line))
        if len(self._line) > REQUEST_MAX_BYTES:
            self._take(bytes(self._line))
            self.end()

    # --- for the server ----------------------------------------------------------------------

    def tell(self) -> None:
        """News of the session, for whoever waits for it."""
        state = self._server.session.state
        ended = isinstance(state, Ended)
        if self._stopping:
            if ended:
                self._stopping = False
                self._say(self._server.done("ended"))
            elif isinstance(state, Stopping) and state.acknowledged and not self._acknowledged:
                self._acknowledged = True
                self._say(self._server.done("acknowledged"))
        if self._watching:
            self._tell_watcher(ended)

    def give_up(self) -> None:
        """Say that nobody will learn here whether the stop it asked for has reached the motor."""
        if self._stopping:
            self._stopping = False
            self._say(self._server.unconfirmed())

    def end(self) -> None:
        """Close once the answers have left."""
        if self._transport is not None:
            self._transport.close()

    def drop(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._server.left(self)

    # --- inside --------------------------------------------------------------------------------

    def _take(self, line: bytes) -> None:
        if self._floods and b"stop" not in line:
            return
        try:
            request = parse_request(line)
        except BadRequest as error:
            self._say({"ok": False, "error": {"kind": "bad request", "message": str(error)}})
            self._count()
            return
        if isinstance(request, StopRequest):
            self._server.session.request(request.event())
            self._stopping, self._acknowledged = True, False
            self.tell()
            if self._stopping and not self._acknowledged:
                self._say(self._server.done("taken"))
        elif self._floods:
            return
        elif isinstance(request, StatusRequest):
            self._say(self._server.done())
            self._watching = self._watching or request.watch
        elif isinstance(request, StartRequest | ClearRequest | ArmRequest | DevicesRequest):
            self._begin(request)
        else:
            refusal = self._server.session.request(request.event())
            if refusal is None:
                self._say(self._server.done())
            else:
                self._say(refused(refusal))
        self._count()

    def _begin(self, request: DaemonRequest) -> None:
        """What takes a while; whatever else comes meanwhile is done at once."""
        service = self._server.service
        if service is None:
            self._say(refused(_NO_DAEMON))
            return
        self._starting += isinstance(request, StartRequest)
        work = service.carry_out(request, self._server.done)
        errand = self._loop.create_task(self._carry_out(work, request))
        self._server.errands.add(errand)
        errand.add_done_callback(self._server.errands.discard)

    async def _carry_out(self, work: Coroutine[Any, Any, Reply], request: DaemonRequest) -> None:
        reply = await work
        self._starting -= isinstance(request, StartRequest)
        self._say(reply)

    def _count(self) -> None:
        """Drop a client that asks all the time."""
        if self.heard_s - self._second_began_s >= 1:
            self._second_began_s, self._requests = self.heard_s, 0
        self._requests += 1
        if self._requests > REQUESTS_PER_S and not self._floods:
            self._floods = True
            self._loop.call_later(FLOOD_S, self.drop)

    def _tell_watcher(self, ended: bool) -> None:
        wait_s = self._told_s + WATCH_GAP_S - self._loop.time()
        if ended:
            self._watching = False
            self._say(self._server.done("ended"))
        elif wait_s <= 0:
            self._told_s = self._loop.time()
            self._say(self._server.done())
        elif self._later is None:
            self._later = self._loop.call_later(wait_s, self._tell_late)

    def _tell_late(self) -> None:
        self._later = None
        if self._watching:
            self._tell_watcher(isinstance(self._server.session.state, Ended))

    def _say(self, reply: Reply) -> None:
        if self._transport is not None:
            self._transport.write(line_of(reply))


def _listen(path: Path, mode: int) -> socket.socket:
    """A socket that is found only once it listens."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made = path.with_suffix(".new")
    with suppress(FileNotFoundError):
        made.unlink()
    try:
        listener.bind(str(made))
        made.chmod(mode)
        listener.listen(CLIENTS_MAX)
        listener.setblocking(False)
        made.rename(path)
    except OSError:
        listener.close()
        raise
    return listener
