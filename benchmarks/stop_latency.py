"""Emergency stop in the controller → output 0 in the device's own trace, idle and under load."""

import asyncio
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, percentile
from benchmarks.peers import child
from benchmarks.session import choice, simulator, trace
from firmware_protocol.framing import StreamFraming
from firmware_protocol.link import Link
from firmware_protocol.messages import Clear, Hello, Status
from massager.controller import Controller
from massager.errors import NoDevice
from massager.session.model import Ended, HardStop, Running, Start
from massager.transports import open_transport

_TRIES = 40


async def _stop_once(port: Path) -> int:
    """The monotonic ns at which the emergency stop was asked for, with the motor turning."""
    controller = Controller(open_transport(f"serial:{port}"))
    await controller.open()
    refusal = controller.start(Start(choice()))
    assert refusal is None, refusal
    while not (isinstance(controller.state, Running) and controller.snapshot().output_permille):
        assert not isinstance(controller.state, Ended), controller.state.detail
        await controller.changed()
    asked_ns = time.monotonic_ns()
    controller.request(HardStop())
    await controller.ended()
    await controller.close()
    return asked_ns


class _Clearing:
    """Takes the latch back, so that the next try can start."""

    def __init__(self) -> None:
        self._link = Link(StreamFraming())
        self.status: Status | None = None
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answers of the device."""
        for event in self._link.receive_data(data, _now_ms()):
            reply = getattr(event, "reply", None)
            if isinstance(reply, Status):
                self.status = reply

    def connection_lost(self, error: NoDevice) -> None:
        """Not in a measurement."""
        raise error

    async def run(self, port: Path) -> None:
        """HELLO, then CLEAR of whatever is latched."""
        from firmware_protocol.messages import GetStatus

        transport = open_transport(f"serial:{port}")
        await transport.open(self)
        for command in (Hello(0, 1, 1, time.monotonic_ns() & 0xFFFF_FFFF), GetStatus()):
            self._link.send(command, _now_ms())
            await self._flush(transport)
        assert self.status is not None
        self._link.send(Clear(self.status.latch_id), _now_ms())
        await self._flush(transport)
        await transport.close()

    async def _flush(self, transport: object) -> None:
        while True:
            for data, urgent in self._link.data_to_send():
                transport.write(data, urgent=urgent)  # type: ignore[attr-defined]
            if self._link.next_deadline_ms() is None:
                return
            await asyncio.sleep(0.002)
            self._link.tick(_now_ms())


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


async def _latencies_ms(busy: int) -> list[float]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port, _ = stack.enter_context(simulator(folder))
        for _ in range(busy):
            stack.enter_context(child("busy"))
        asked = []
        for _ in range(_TRIES):
            asked.append(await _stop_once(port))
            await _Clearing().run(port)
        rows = trace(folder)
    return [(_first_zero_ns(rows, at_ns) - at_ns) / 1e6 for at_ns in asked]


def _first_zero_ns(rows: list[dict[str, Any]], after_ns: int) -> int:
    return next(int(r["mono_ns"]) for r in rows if r["mono_ns"] >= after_ns and r["output"] == 0)


def measure() -> list[Figure]:
    """p99 and the worst, idle and beside 4 busy processes."""
    idle = asyncio.run(_latencies_ms(0))
    busy = asyncio.run(_latencies_ms(4))
    return [
        Figure("emergency stop → output 0, p99", percentile(idle, 99), "ms", 50),
        Figure("emergency stop → output 0, worst", max(idle), "ms", 100),
        Figure("the same beside 4 busy processes, p99", percentile(busy, 99), "ms", 100),
        Figure("the same beside 4 busy processes, worst", max(busy), "ms", 250),
    ]
