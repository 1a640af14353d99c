"""One simulated device in real time: the port, its bearer, its clock, its trace. The async shell.

There is one timer, at the device's next deadline, and frames are taken straight from the bearer's
reader: how fast an emergency stop works is judged from the trace that is written here.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from simulator.bearers import Bearer, CannotStart
from simulator.device import DeviceConfig, TraceRow
from simulator.trace_file import TraceFile

_NS: Final = 1_000_000_000


class Port(Protocol):
    """The device as the server needs it. Times are device milliseconds, never decreasing."""

    @property
    def config(self) -> DeviceConfig:
        """What it is."""

    @property
    def reading(self) -> bool:
        """False: bytes from the host are to be left where they are."""

    @property
    def plugged(self) -> bool:
        """False: the connection is gone."""

    def line_opened(self) -> None:
        """The host opened the line anew."""

    def receive(self, data: bytes, now_ms: int) -> None:
        """Bytes from the host."""

    def tick(self, now_ms: int) -> None:
        """Let everything happen that is due."""

    def data_to_send(self, now_ms: int) -> list[bytes]:
        """The chunks that reach the host now."""

    def next_deadline_ms(self) -> int | None:
        """When `tick` and `data_to_send` are wanted next, or None."""

    def take_trace(self) -> list[TraceRow]:
        """The rows of the motor trace since the last call."""

    def command(self, request: object, now_ms: int | None = None) -> dict[str, Any]:
        """Do a request of `simulator.commands` now."""


class SimulatorServer:
    """Runs `port` behind `bearer`; device time is `speed` times the event loop's, from 0 on.

    `say` gets lines for a person.
    """

    def __init__(
        self,
        port: Port,
        bearer: Bearer,
        *,
        trace: TraceFile | None = None,
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._port = port
        self._bearer = bearer
        self._trace = trace
        self._say = say
        self._ms_per_s = 1000 * port.config.speed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._zero_s = 0.0  # the loop's time at the device's 0
        self._timer: asyncio.TimerHandle | None = None
        self._last_mono_ns = 0

    @property
    def url(self) -> str:
        """What `massager start --device` takes."""
        return self._bearer.url

    @property
    def device_id(self) -> str:
        """The device's."""
        return self._port.config.device_id

    async def start(self) -> None:
        """Open the bearer and let the device's time run. Raises CannotStart."""
        self._loop = asyncio.get_running_loop()
        await self._bearer.open(self)
        self._zero_s = self._loop.time()
        self._settle(0)

    async def stop(self) -> None:
        """Close the bearer; the device's time stands still from here on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._loop = None
        await self._bearer.close()

    def received(self, data: bytes) -> None:
        """Bytes from the host, straight from the bearer's reader."""
        if self._loop is not None:
            now_ms = self._now_ms(self._loop)
            self._port.receive(data, now_ms)
            self._settle(now_ms)

    def line_opened(self) -> None:
        """A host opened the line anew."""
        self._port.line_opened()

    def command(self, request: object) -> dict[str, Any]:
        """Do a request of `simulator.commands` now."""
        if self._loop is None:
            return {"ok": False, "error": "the simulator is stopping"}
        now_ms = self._now_ms(self._loop)
        answer = self._port.command(request, now_ms)
        self._settle(now_ms)
        return answer

    def _now_ms(self, loop: asyncio.AbstractEventLoop) -> int:
        # A timer set for a whole millisecond may read a rounding error before it.
        return int((loop.time() - self._zero_s) * self._ms_per_s + 1e-3)

    def _settle(self, now_ms: int) -> None:
        """Carry out what the port has for the outside: trace, bytes, line, next deadline."""
        self._write_trace(now_ms)
        for chunk in self._port.data_to_send(now_ms):
            self._bearer.send(chunk)
        try:
            self._bearer.follow(reading=self._port.reading, plugged=self._port.plugged)
        except CannotStart as error:
            self._say(str(error))
        self._set_timer()

    def _set_timer(self) -> None:
        deadline_ms = self._port.next_deadline_ms()
        if deadline_ms is None or self._loop is None:
            return
        when = self._zero_s + deadline_ms / self._ms_per_s
        if self._timer is not None:
            # One that is too early only looks again, which is cheaper than moving it each time.
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        if self._loop is not None:
            now_ms = self._now_ms(self._loop)
            self._port.tick(now_ms)
            self._settle(now_ms)

    def _write_trace(self, now_ms: int) -> None:
        rows = self._port.take_trace()
        if self._trace is None or self._loop is None:
            return
        now_ns = int(self._loop.time() * _NS)
        for row in rows:
            # What is of this millisecond was done just now; what a tick caught up with is dated
            # by the device's clock.
            mono_ns = now_ns
            if row.device_ms < now_ms:
                mono_ns = int((self._zero_s + row.device_ms / self._ms_per_s) * _NS)
            self._last_mono_ns = max(mono_ns, self._last_mono_ns)
            try:
                self._trace.write(row, self._last_mono_ns)
            except OSError as error:
                self._say(f"the trace ends here: {error.strerror}")
                self._trace.close()
                self._trace = None
                return
