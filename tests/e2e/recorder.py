"""A receiver that keeps what it is told, and waits for it."""

import asyncio
from collections.abc import Callable

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
