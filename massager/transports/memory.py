"""A device in the same process, on the event loop's clock: `sim:`.

The only place where `massager` imports `simulator`, and only when a `sim:` device is opened.
"""

import asyncio
from math import floor
from typing import Any, Protocol

from massager.errors import ConnectionLost, PortMissing
from massager.transports.interface import Receiver, Settings
from massager.transports.url import SimUrl


class DevicePort(Protocol):
    """The device as this transport needs it. Times are device milliseconds, never decreasing."""

    @property
    def plugged(self) -> bool:
        """Whether the device's end of the cable is in."""

    def line_opened(self) -> None:
        """The host opened the line anew."""

    def receive(self, data: bytes, now_ms: int) -> None:
        """Bytes from the host."""

    def tick(self, now_ms: int) -> None:
        """Let everything happen that is due."""

    def data_to_send(self, now_ms: int) -> list[bytes]:
        """The chunks that reach the host now."""

    def next_deadline_ms(self) -> int | None:
        """When the device wants its next tick."""

    def unread_bytes(self) -> int:
        """Bytes from the host that the device has not read."""

    def discard_unread(self) -> None:
        """Forget them."""

    def command(self, request: object, now_ms: int | None = None) -> dict[str, Any]:
        """Change the device from the inside."""


def open_simulated(url: SimUrl, settings: Settings) -> "MemoryTransport":
    """A transport to a fresh simulated device; the same seed behaves the same."""
    from simulator.device import DeviceConfig
    from simulator.port import SimulatedPort

    config = DeviceConfig(feet_sensor=url.feet_sensor, speed=settings.speed)
    port = SimulatedPort(config, seed=url.seed, tracing=False)
    return MemoryTransport(port, settings.speed, url=str(url))


class MemoryTransport:
    """The transport of a device that lives in this process.

    The device's clock goes on from `now_ms` with the first opening and then runs with the event
    loop, `speed` (1…20) times as fast, whether anybody is connected or not. What the device sends
    comes through the loop, never from inside `write`, so under a virtual loop every run is the
    same. Change the device from the inside by `command` here, which keeps the timer right.
    """

    def __init__(
        self,
        port: DevicePort,
        speed: int = 1,
        *,
        url: str = "sim:",
        datagrams: bool = False,
        now_ms: int = 0,
    ) -> None:
        self.url = url
        self.datagrams = datagrams
        self._port = port
        self._ms_per_s = 1000 * speed
        self._now_ms = now_ms
        self._told_ms = -1  # until when the device knows the time
        self._plugged = True
        self._receiver: Receiver | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._zero_s = 0.0  # the loop's time at the device's 0
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None

    async def open(self, receiver: Receiver) -> None:
        """Connect. Raises PortMissing while the device is unplugged."""
        await self.close()
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._timer, self._soon = loop, None, None
            self._zero_s = loop.time() - self._now_ms / self._ms_per_s
        self._advance()
        if not (self._plugged and self._port.plugged):
            raise PortMissing(f"{self.url} is unplugged; plug it in again")
        self._port.line_opened()
        self._receiver = receiver

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        """Hand the bytes to the device at once; unsent is only what a device leaves unread."""
        if self._receiver is None:
            return
        if urgent:
            self._port.discard_unread()
        self._port.receive(data, self._clock_ms())
        self._told_ms = self._now_ms
        self._advance_soon()

    def unsent_bytes(self) -> int:
        """What a device that stopped reading has left unread; otherwise 0."""
        return self._port.unread_bytes()

    async def close(self) -> None:
        """Disconnect; the device goes on by itself."""
        self._receiver = None

    def command(self, request: object) -> dict[str, Any]:
        """Change the device from the inside, e.g. `{"feet": False}`; its answer."""
        answer = self._port.command(request, self._clock_ms())
        self._advance_soon()
        return answer

    def unplug(self) -> None:
        """Pull the cable: what is under way in either direction is lost, the device runs on."""
        self._plugged = False
        self._port.command({"fault": "unplug", "ms": 0}, self._clock_ms())
        self._advance_soon()

    def replug(self) -> None:
        """Put the cable back; whoever lost the device has to open it again."""
        self._plugged = True

    def _clock_ms(self) -> int:
        if self._loop is not None:
            # A timer set for a whole millisecond may read a rounding error before it.
            self._now_ms = floor((self._loop.time() - self._zero_s) * self._ms_per_s + 1e-3)
        return self._now_ms

    def _advance_soon(self) -> None:
        if self._soon is None and self._loop is not None:
            self._soon = self._loop.call_soon(self._advance)

    def _advance(self) -> None:
        """Bring the device to now, deliver what it sends, and set the timer for its next act."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        now_ms = self._clock_ms()
        port = self._port
        if now_ms != self._told_ms:  # `receive` has brought it here already
            port.tick(now_ms)
        chunks = port.data_to_send(now_ms)
        deadline_ms = port.next_deadline_ms()
        if deadline_ms is not None:
            self._wake_at(self._zero_s + deadline_ms / self._ms_per_s)
        if not (self._plugged and port.plugged):
            self._lose()
            return
        for chunk in chunks:
            if self._receiver is None:  # closed by what came before
                return
            self._receiver.data_received(chunk)

    def _wake_at(self, when_s: float) -> None:
        if self._timer is not None:
            # One that is too early only looks again, which is cheaper than moving it each time.
            if self._timer.when() <= when_s:
                return
            self._timer.cancel()
        assert self._loop is not None
        self._timer = self._loop.call_at(when_s, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        self._told_ms = -1
        self._advance()

    def _lose(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.connection_lost(ConnectionLost(f"{self.url} is gone: unplugged"))
