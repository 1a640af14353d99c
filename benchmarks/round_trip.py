"""Command → decoded answer over a pty, over MQTT, and unplug → a session in a safe state."""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import serial

from benchmarks.broker import broker
from benchmarks.figures import Figure, percentile
from benchmarks.peers import MODBUS_ANSWER, TOKEN, child, on_a_pty, status_frames
from benchmarks.session import simulator, started
from firmware_protocol.codec import encode
from firmware_protocol.framing import DatagramFraming, StreamFraming
from firmware_protocol.link import Answered, Link
from firmware_protocol.messages import Command, Hello, SetLevel
from massager.errors import NoDevice
from massager.session.model import Paused
from massager.transports import open_transport
from massager.transports.interface import Transport

_COUNT = 1000
_ROUNDS = 5
_WARM = 300
_SET_LEVEL = SetLevel(500, 1500)
_REQUEST = StreamFraming().encode(encode(_SET_LEVEL, 9, TOKEN))


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

    async def command(self, command: Command = _SET_LEVEL) -> None:
        """One command, a SET_LEVEL, until its answer is decoded."""
        self._answer = self._loop.create_future()
        self._link.send(command, int(self._loop.time() * 1000))
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


async def _pymodbus_both_ends() -> tuple[float, float]:
    from pymodbus.client import AsyncModbusSerialClient

    with on_a_pty("modbus") as path:
        client = AsyncModbusSerialClient(path, baudrate=57600, retries=20)
        await client.connect()
        answer = await client.read_holding_registers(0, count=1, device_id=1)
        assert answer.registers == [7], answer
        result = await _time(lambda: client.read_holding_registers(0, count=1, device_id=1))
        client.close()
        return result


async def _ours_both_ends() -> tuple[float, float]:
    """Our client, and the simulated device with its physics and gate in a process of its own."""
    with tempfile.TemporaryDirectory() as folder, simulator(Path(folder)) as (port, _):
        transport = open_transport(f"serial:{port}")
        client = Client(transport)
        await transport.open(client)
        await client.command(Hello(0, 1, 1, 7))
        result = await _time(client.command)
        await transport.close()
        return result


async def _unplug() -> float:
    """Milliseconds from pulling the cable to the session's pause, p50 of 20."""
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


def _best(
    *measured: Callable[[], Coroutine[Any, Any, tuple[float, float]]],
) -> list[tuple[float, float]]:
    """The best p50 and CPU of each over several rounds in turn: a shared machine, whose speed
    drifts, only ever adds time."""
    rounds = [[asyncio.run(each()) for each in measured] for _ in range(_ROUNDS)]
    return [
        (min(p50 for p50, _ in each), min(cpu for _, cpu in each))
        for each in zip(*rounds, strict=True)
    ]


def measure() -> list[Figure]:
    """Everything of this file."""
    bare, ours, modbus, ours_both, modbus_both = _best(
        _bare_fd, _ours, _pymodbus, _ours_both_ends, _pymodbus_both_ends
    )
    mqtt_rounds = [asyncio.run(_mqtt()) for _ in range(3)]
    mqtt_bare, mqtt = (min(each) for each in zip(*mqtt_rounds, strict=True))
    unplug = asyncio.run(_unplug())
    return [
        Figure(
            "SET_LEVEL → STATUS over a pty, p50 ÷ bare descriptor echo",
            ours[0] / bare[0],
            "×",
            1.5,
            beside=f"{ours[0]:.0f} µs against {bare[0]:.0f} µs, fixed answers",
        ),
        Figure(
            "the same ÷ pymodbus' client",
            ours[0] / modbus[0],
            "×",
            0.62,
            beside=f"{ours[0]:.0f} µs against {modbus[0]:.0f} µs, fixed answers",
        ),
        Figure(
            "with the simulated device ÷ pymodbus' client and server",
            ours_both[0] / modbus_both[0],
            "×",
            beside=f"{ours_both[0]:.0f} µs against {modbus_both[0]:.0f} µs",
        ),
        Figure(
            "CPU a command ÷ pymodbus' client",
            ours[1] / modbus[1],
            "×",
            0.6,
            beside=f"{ours[1]:.0f} µs against {modbus[1]:.0f} µs, bare {bare[1]:.0f} µs",
        ),
        Figure(
            "SET_LEVEL → STATUS over MQTT, p50 ÷ bare aiomqtt echo",
            mqtt / mqtt_bare,
            "×",
            2.0,
            beside=f"{mqtt:.0f} µs against {mqtt_bare:.0f} µs",
        ),
        Figure("unplug → session paused, p50", unplug, "ms", 10),
    ]
