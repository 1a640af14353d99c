"""A device behind a real pty in virtual time: both ends count the bytes that are on their way."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from firmware_protocol.codec import decode, encode, header_of
from firmware_protocol.framing import StreamFraming
from firmware_protocol.messages import Hello, Identity, SetLevel, Status
from simulator.bearers.pseudoterminal import PseudoterminalBearer
from simulator.device import DeviceConfig
from simulator.port import SimulatedPort
from simulator.server import SimulatorServer
from simulator.virtual_time import VirtualLoop

pytestmark = pytest.mark.asyncio(loop_factories=["virtual"])


async def test_a_minute_of_setpoints_over_a_pty_takes_about_a_second(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    port = SimulatedPort(DeviceConfig())
    server = SimulatorServer(port, PseudoterminalBearer(tmp_path / "massager", loop.count))
    fd = -1
    began_s = time.monotonic()
    statuses: list[Status] = []
    tokens: list[int] = []
    framing = StreamFraming()

    def read() -> None:
        data = os.read(fd, 4096)
        loop.count(-len(data))
        for raw in framing.receive(data):
            message = decode(raw)
            if isinstance(message, Identity):
                tokens.append(header_of(raw).token)
            if isinstance(message, Status):
                statuses.append(message)

    def send(message: Hello | SetLevel, sequence: int, token: int) -> None:
        loop.count(os.write(fd, framing.encode(encode(message, sequence, token))))

    await server.start()
    fd = os.open(tmp_path / "massager", os.O_RDWR | os.O_NOCTTY)
    loop.add_reader(fd, read)
    try:
        send(Hello(0, 1, 1, 5), 1, 0)
        await asyncio.sleep(0.25)
        for number in range(240):
            send(SetLevel(900, 500), number % 254 + 2, tokens[0])
            await asyncio.sleep(0.25)
    finally:
        loop.remove_reader(fd)
        os.close(fd)
        await server.stop()
    assert loop.time() == 60.25
    assert len(statuses) == 240
    assert statuses[-1].output_permille == 900  # 150 + 25 a second, for 30 s
    assert time.monotonic() - began_s < 5
