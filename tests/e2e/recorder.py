"""A receiver that keeps what it is told, and waits for it; and a look at a transport's socket."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

from massager.errors import NoDevice

PATIENCE_S = 5.0


class Recorder:
    """Stands where the controller stands."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.losses: list[NoDevice] = []
        self._news = asyncio.Event()

    @property
    def data(self) -> bytes:
        return b"".join(self.chunks)

    def data_received(self, data: bytes) -> None:
        self.chunks.append(data)
        self._news.set()

    def connection_lost(self, error: NoDevice) -> None:
        self.losses.append(error)
        self._news.set()

    async def until(self, seen: Callable[[], bool]) -> None:
        """Wait until `seen()`; TimeoutError after 5 s."""
        async with asyncio.timeout(PATIENCE_S):
            while not seen():
                self._news.clear()
                await self._news.wait()

    async def until_data(self, data: bytes) -> None:
        await self.until(lambda: len(self.data) >= len(data))
        assert self.data == data

    async def until_lost(self) -> NoDevice:
        await self.until(lambda: bool(self.losses))
        return self.losses[0]


def nodelay_to(port: int) -> bool:
    """Whether every socket of this process that is connected to `port` has TCP_NODELAY set."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as probe:
            if probe.family == socket.AF_INET and probe.getpeername()[1] == port:
                found.append(probe.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1)
    return bool(found) and all(found)
