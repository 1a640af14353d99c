"""Overhears a device: every frame, in both directions, good or damaged.

Over MQTT it only listens. On any other line it has to ask to hear something: HELLO (identify only)
until somebody answers, then GET_STATUS with token 0, once a second. Nothing that it sends moves,
stops or clears anything.
"""

import asyncio
from collections.abc import AsyncGenerator
from secrets import randbits
from typing import Final, NamedTuple

from firmware_protocol.codec import encode
from firmware_protocol.framing import DatagramFraming, StreamFraming
from firmware_protocol.limits import PROTOCOL_MAJOR, SEQUENCE_MAX
from firmware_protocol.messages import Command, GetStatus, Hello, HelloFlag, Identity
from massager.errors import NoDevice
from massager.frame_text import (
    Direction,
    Good,
    Reading,
    StreamReader,
    read_datagram,
    read_raw,
)
from massager.transports import Settings, Transport, open_transport
from massager.transports.url import DeviceUrl, MqttUrl

POLL_S: Final = 1.0
_ENDLESS_S: Final = 0.5  # a frame takes 8 ms: what waits longer for its end is none


class Heard(NamedTuple):
    """One frame, or damaged bytes, as it went by."""

    direction: Direction
    reading: Reading
    retained: bool = False  # a broker kept it: both sides ignore it


async def trace(url: DeviceUrl, settings: Settings) -> AsyncGenerator[Heard, None]:
    """What goes by, until the generator is closed.

    Raises what opening raises, and ConnectionLost where the line goes away.
    """
    overheard = _Overheard()
    if isinstance(url, MqttUrl):
        source = _listen(url, settings, overheard)
    else:
        source = _poll(open_transport(url, settings), overheard)
    task = asyncio.create_task(source)
    task.add_done_callback(lambda _: overheard.queue.put_nowait(None))
    try:
        while (heard := await overheard.queue.get()) is not None:
            yield heard
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Overheard:
    """What was heard and not yet taken; also the receiver that is told of a loss."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Heard | None] = asyncio.Queue()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def hear(self, direction: Direction, reading: Reading, retained: bool = False) -> None:
        self.queue.put_nowait(Heard(direction, reading, retained))

    def data_received(self, data: bytes) -> None:
        """Of a transport that keeps messages apart."""
        self.hear("from", read_datagram(data))

    def connection_lost(self, error: NoDevice) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)


async def _listen(url: MqttUrl, settings: Settings, overheard: _Overheard) -> None:
    from massager.transports.mqtt_listener import MqttListener

    listener = MqttListener(
        url,
        settings,
        lambda direction, data, retained: overheard.hear(direction, read_datagram(data), retained),
    )
    await listener.listen(overheard)
    try:
        await overheard.lost
    finally:
        await listener.close()


async def _poll(transport: Transport, overheard: _Overheard) -> None:
    line = _Line(overheard)
    await transport.open(line)
    framing = DatagramFraming() if transport.datagrams else StreamFraming()
    loop = asyncio.get_running_loop()
    try:
        due_at, sequence = loop.time(), 0
        while True:
            sequence = sequence % SEQUENCE_MAX + 1
            raw = encode(line.question(), sequence)
            overheard.hear("to", read_raw(raw))
            transport.write(framing.encode(raw))
            due_at = max(due_at + POLL_S, loop.time())
            while (left_s := due_at - loop.time()) > 0:
                await asyncio.wait({overheard.lost}, timeout=min(left_s, _ENDLESS_S))
                if overheard.lost.done():
                    overheard.lost.result()
                line.flush_what_never_ends()
    finally:
        await transport.close()


class _Line:
    """A stream of bytes, cut into frames; what never ends is shown as damaged."""

    def __init__(self, overheard: _Overheard) -> None:
        self._overheard = overheard
        self._reader = StreamReader()
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()  # what has not ended yet
        self._identified = False

    def question(self) -> Command:
        """What may be asked without a session."""
        if self._identified:
            return GetStatus()
        return Hello(HelloFlag.IDENTIFY_ONLY, PROTOCOL_MAJOR, PROTOCOL_MAJOR, randbits(32))

    def data_received(self, data: bytes) -> None:
        if b"\0" in data or not self._reader.is_inside:
            self._began_at = self._loop.time()
        self._show(self._reader.receive(data))

    def connection_lost(self, error: NoDevice) -> None:
        self._show(self._reader.flush())
        self._overheard.connection_lost(error)

    def flush_what_never_ends(self) -> None:
        if self._loop.time() - self._began_at >= _ENDLESS_S:
            self._show(self._reader.flush())

    def _show(self, readings: list[Reading]) -> None:
        for reading in readings:
            if isinstance(reading, Good) and isinstance(reading.message, Identity):
                self._identified = True
            self._overheard.hear("from", reading)
