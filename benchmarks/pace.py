"""Lateness and slip of the stream, what an idle session costs, and how many fit in one process."""

import asyncio
import resource
import socket
import time

from benchmarks.figures import Figure, percentile
from benchmarks.peers import on_sockets
from benchmarks.session import choice
from massager.controller import Controller
from massager.session.model import Running, Start
from massager.transports import open_transport
from massager.transports.interface import Receiver, Settings, Transport

_SECONDS = 20.0
_PERIOD_S = 0.25


class Timed:
    """Passes everything to the transport inside and notes when setpoints are written."""

    def __init__(self, inside: Transport) -> None:
        self._inside = inside
        self.url, self.datagrams = inside.url, inside.datagrams
        self.unsent_bytes, self.close, self.open = inside.unsent_bytes, inside.close, inside.open
        self.written_s: list[float] = []

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        """Note the time, then write."""
        self.written_s.append(time.perf_counter())
        self._inside.write(data, urgent=urgent)


async def _session_pace() -> tuple[list[float], float, float]:
    """Lateness of each setpoint in ms, slip of the last in ms, CPU share of the process."""
    transport = Timed(open_transport("sim:", Settings()))
    controller = Controller(transport)
    await controller.open()
    controller.start(Start(choice()))
    await asyncio.sleep(1.0)
    cpu, start = time.process_time(), time.perf_counter()
    seen = len(transport.written_s)
    await asyncio.sleep(_SECONDS)
    share = (time.process_time() - cpu) / (time.perf_counter() - start)
    written = transport.written_s[seen:]
    await controller.close()
    late = _lateness_ms(written)
    return late, late[-1] - late[0], share * 100


class SocketTransport:
    """A connected stream socket as a transport: bytes, no reopening."""

    def __init__(self, sock: socket.socket) -> None:
        self.url, self.datagrams = "socket:", False
        self._socket = sock
        self._receiver: Receiver | None = None

    async def open(self, receiver: Receiver) -> None:
        """Read from now on."""
        self._receiver = receiver
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        """A frame always fits."""
        self._socket.send(data)

    def unsent_bytes(self) -> int:
        """Nothing is kept here."""
        return 0

    async def close(self) -> None:
        """Stop reading."""
        asyncio.get_running_loop().remove_reader(self._socket)

    def _readable(self) -> None:
        assert self._receiver is not None
        self._receiver.data_received(self._socket.recv(4096))


async def _many(count: int) -> tuple[float, float]:
    """`count` sessions at 4 setpoints a second: p99 of lateness in ms, CPU share in %."""
    with on_sockets(count) as sockets:
        timed = [Timed(SocketTransport(sock)) for sock in sockets]
        controllers = [Controller(transport) for transport in timed]
        for number, controller in enumerate(controllers):
            await controller.open()
            controller.start(Start(choice()))
            if number % 10 == 9:
                await asyncio.sleep(0.002)  # sessions begin when people begin them
        await asyncio.sleep(2.0)
        running = sum(isinstance(controller.state, Running) for controller in controllers)
        assert running == count, f"{running} of {count} sessions run"
        seen = [len(transport.written_s) for transport in timed]
        cpu, start = time.process_time(), time.perf_counter()
        await asyncio.sleep(10.0)
        share = (time.process_time() - cpu) / (time.perf_counter() - start)
        late = [
            ms
            for transport, first in zip(timed, seen, strict=True)
            for ms in _lateness_ms(transport.written_s[first:])
        ]
        for controller in controllers:
            await controller.close()
    return percentile(late, 99), share * 100


def _lateness_ms(written_s: list[float]) -> list[float]:
    """Against the grid of 250 ms that the earliest setpoint lies on."""
    first = min(at - index * _PERIOD_S for index, at in enumerate(written_s))
    return [(at - first - index * _PERIOD_S) * 1000 for index, at in enumerate(written_s)]


def measure() -> list[Figure]:
    """Everything of this file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    late, slip, share = asyncio.run(_session_pace())
    many, many_share = asyncio.run(_many(1000))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return [
        Figure("lateness of a setpoint, p99", percentile(late, 99), "ms", 2),
        Figure(f"slip over {_SECONDS:.0f} s", abs(slip), "ms", 2),
        Figure("CPU of a running session with its simulated device", share, "% of a core", 2),
        Figure(
            "1,000 sessions in one process: lateness p99",
            many,
            "ms",
            5,
            beside=f"{many_share:.0f} % of a core",
        ),
    ]
