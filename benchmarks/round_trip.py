"""Command → decoded answer over a pty, over MQTT, and unplug → a session in a safe state."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

import serial

from benchmarks.broker import broker
from benchmarks.figures import Figure, percentile
from benchmarks.peers import MODBUS_ANSWER, TOKEN, on_a_pty, status_frames
from firmware_protocol.codec import encode
from firmware_protocol.framing import DatagramFraming, StreamFraming
from firmware_protocol.link import Answered, Link
from firmware_protocol.messages import SetLevel
from massager.errors import NoDevice
from massager.transports import open_transport
from massager.transports.interface import Transport

_COUNT = 3000
_WARM = 300
_REQUEST = StreamFraming().encode(encode(SetLevel(500, 1500), 9, TOKEN))


class Client:
    """The whole client without a session: transport, framing, link, decoded answer."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        framing = DatagramFraming() if transport.datagrams else StreamFraming()
        self._link = Link(framing)
        self._link.token = TOKEN
        self._answer: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        for event in self._link.receive_data(data, int(self._loop.time() * 1000)):
            if isinstance(event, Answered) and self._answer is not None:
                self._answer.set_result(None)

    def connection_lost(self, error: NoDevice) -> None:
        """Not in a measurement."""
        raise error

    async def command(self) -> None:
        """One SET_LEVEL until its STATUS is decoded."""
        self._answer = self._loop.create_future()
        self._link.send(SetLevel(500, 1500), int(self._loop.time() * 1000))
        for data, urgent in self._link.data_to_send():
            self._transport.write(data, urgent=urgent)
        await self._answer


async def _time(command: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """p50 of the round trip in µs, CPU of this process a command in µs."""
    for _ in range(_WARM):
        await command()
    spans = []
    cpu = time.process_time()
    for _ in range(_COUNT):
        start = time.perf_counter()
        await command()
        spans.append((time.perf_counter() - start) * 1e6)
    return percentile(spans, 50), (time.process_time() - cpu) / _COUNT * 1e6


async def _ours() -> tuple[float, float]:
    with on_a_pty("setpoints") as path:
        transport = open_transport(f"serial:{path}")
        client = Client(transport)
        await transport.open(client)
        result = await _time(client.command)
        await transport.close()
        return result


async def _bare_fd() -> tuple[float, float]:
    """The floor: a pyserial descriptor with add_reader, no protocol at all."""
    answer = status_frames()[9]
    loop = asyncio.get_running_loop()
    with on_a_pty("fixed", str(len(_REQUEST)), answer.hex()) as path:
        port = serial.Serial(path, 57600, timeout=0)
        fd = port.fileno()
        os.set_blocking(fd, False)
        waiting: asyncio.Future[None] = loop.create_future()
        got = 0

        def readable() -> None:
            nonlocal got
            got += len(os.read(fd, 4096))
            if got >= len(answer):
                got -= len(answer)
                waiting.set_result(None)

        async def command() -> None:
            nonlocal waiting
            waiting = loop.create_future()
            os.write(fd, _REQUEST)
            await waiting

        loop.add_reader(fd, readable)
        result = await _time(command)
        loop.remove_reader(fd)
        port.close()
        return result


async def _pymodbus() -> tuple[float, float]:
    from pymodbus.client import AsyncModbusSerialClient

    with on_a_pty("fixed", "8", MODBUS_ANSWER.hex()) as path:
        client = AsyncModbusSerialClient(path, baudrate=57600)
        await client.connect()
        result = await _time(lambda: client.read_holding_registers(0, count=1, device_id=1))
        client.close()
        return result


async def _unplug() -> float:
    """Milliseconds from pulling the cable to the session's pause, p50 of 20."""
    from benchmarks.session import started
    from massager.session_model import Paused

    spans = []
    for _ in range(20):
        async with started() as (controller, pull):
            start = time.perf_counter()
            pull()
            while not isinstance(controller.state, Paused):
                await controller.changed()
            spans.append((time.perf_counter() - start) * 1000)
    return percentile(spans, 50)


async def _mqtt() -> tuple[float, float]:
    """p50 in µs over a local broker: bare aiomqtt echo, and our client; QoS 0 both."""
    import aiomqtt

    from benchmarks.peers import child

    with broker() as port, child("mqtt", str(port)):
        async with aiomqtt.Client("127.0.0.1", port) as bare:
            await bare.subscribe("echo/up")
            messages = aiter(bare.messages)

            async def echo() -> None:
                await bare.publish("echo/down", _REQUEST)
                await anext(messages)

            await _until_answered(echo)
            floor, _ = await _time(echo)
        transport = open_transport(f"mqtt://127.0.0.1:{port}/bench")
        client = Client(transport)
        await transport.open(client)
        ours, _ = await _time(client.command)
        await transport.close()
        return floor, ours


async def _until_answered(command: Callable[[], Awaitable[None]]) -> None:
    """The peer's subscription takes a moment."""
    for _ in range(100):
        try:
            async with asyncio.timeout(0.1):
                await command()
            return
        except TimeoutError:
            continue
    raise RuntimeError("the MQTT peer did not answer")


def measure() -> list[Figure]:
    """Everything of this file."""
    floor, floor_cpu = asyncio.run(_bare_fd())
    modbus, modbus_cpu = asyncio.run(_pymodbus())
    ours, ours_cpu = asyncio.run(_ours())
    mqtt_floor, mqtt = asyncio.run(_mqtt())
    unplug = asyncio.run(_unplug())
    return [
        Figure(
            "SET_LEVEL → STATUS over a pty, p50 ÷ bare descriptor echo",
            ours / floor,
            "×",
            1.5,
            beside=f"{ours:.0f} µs against {floor:.0f} µs",
        ),
        Figure("the same ÷ pymodbus", ours / modbus, "×", 0.62, beside=f"pymodbus {modbus:.0f} µs"),
        Figure(
            "CPU a command ÷ pymodbus",
            ours_cpu / modbus_cpu,
            "×",
            0.6,
            beside=f"{ours_cpu:.0f} µs against {modbus_cpu:.0f} µs, bare {floor_cpu:.0f} µs",
        ),
        Figure(
            "SET_LEVEL → STATUS over MQTT, p50 ÷ bare aiomqtt echo",
            mqtt / mqtt_floor,
            "×",
            2.0,
            beside=f"{mqtt:.0f} µs against {mqtt_floor:.0f} µs",
        ),
        Figure("unplug → session paused, p50", unplug, "ms", 10),
    ]
