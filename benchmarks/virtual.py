"""A 10-minute session in virtual time: in memory, and over a real pty."""

import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.session import choice
from massager.controller import Controller
from massager.errors import NoDevice
from massager.session.model import Start, StopReason
from massager.transports import open_transport
from massager.transports.interface import Receiver, Transport
from simulator.bearers.pseudoterminal import PseudoterminalBearer
from simulator.device import DeviceConfig
from simulator.port import SimulatedPort
from simulator.server import SimulatorServer
from simulator.virtual_time import VirtualLoop


class Counted:
    """The host's side of a real line in virtual time: the clock waits for bytes under way."""

    def __init__(self, inside: Transport, count: Callable[[int], None]) -> None:
        self._inside = inside
        self._count = count
        self._receiver: Receiver | None = None
        self.url, self.datagrams = inside.url, inside.datagrams
        self.unsent_bytes, self.close = inside.unsent_bytes, inside.close

    async def open(self, receiver: Receiver) -> None:
        """Open; what came to this side is counted off before it is passed on."""
        self._receiver = receiver
        await self._inside.open(self)

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        """Count, then write."""
        self._count(len(data))
        self._inside.write(data, urgent=urgent)

    def data_received(self, data: bytes) -> None:
        """Count off, then pass on."""
        self._count(-len(data))
        assert self._receiver is not None
        self._receiver.data_received(data)

    def connection_lost(self, error: NoDevice) -> None:
        """Pass on."""
        assert self._receiver is not None
        self._receiver.connection_lost(error)


async def _drive(transport: Transport, loop: VirtualLoop) -> None:
    controller = Controller(transport)
    await controller.open()
    loop.in_flight = 0  # what the device said before anybody listened is gone
    refusal = controller.start(Start(choice()))
    assert refusal is None, refusal
    ended = await controller.ended()
    assert ended.reason is StopReason.COMPLETED, ended.detail
    await controller.close()


async def _in_memory(loop: VirtualLoop) -> None:
    await _drive(open_transport("sim:"), loop)


async def _over_a_pty(loop: VirtualLoop) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bearer = PseudoterminalBearer(Path(folder) / "port", loop.count)
        server = SimulatorServer(SimulatedPort(DeviceConfig(), tracing=False), bearer)
        await server.start()
        await _drive(Counted(open_transport(bearer.url), loop.count), loop)
        await server.stop()


def _wall_s(session: Callable[[VirtualLoop], Coroutine[Any, Any, None]]) -> float:
    """The best of three: a shared machine only ever adds time."""
    walls = []
    for _ in range(3):
        loop = VirtualLoop()
        start = time.perf_counter()
        try:
            loop.run_until_complete(session(loop))
        finally:
            loop.close()
        walls.append(time.perf_counter() - start)
    return min(walls)


def measure() -> list[Figure]:
    """Wall time of 10:00 of virtual time."""
    return [
        Figure("a 10-minute session in memory, wall", _wall_s(_in_memory), "s", 0.2),
        Figure("a 10-minute session over a real pty, wall", _wall_s(_over_a_pty), "s", 1.5),
    ]
