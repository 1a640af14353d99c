"""The other ends: child processes that answer a fixed reply, so that only the client is measured.

Run as `python -m benchmarks.peers KIND FD` with a pty master or socket as an inherited descriptor.
"""

import asyncio
import os
import selectors
import socket
import subprocess
import sys
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from firmware_protocol.codec import decode, encode, header_of
from firmware_protocol.framing import DatagramFraming, StreamFraming
from firmware_protocol.messages import GetLimits, Hello, Identity, Limits, Message, Status

TOKEN = 0x0101
# pymodbus, function 3: one register of the value 7, unit 1.
MODBUS_ANSWER = bytes.fromhex("0103020007f986")
STATUS = Status(2, 0, 1, 2, 0, 500, 150, 0, 1500, 60, 0, 60_000, 0, 1, 250, 300)
# In a SET_LEVEL frame with this token nothing before the sequence is zero: 00, code, major, type.
_SEQUENCE_AT = 4


def status_frames() -> dict[int, bytes]:
    """The STATUS frame that answers each sequence number."""
    framing = StreamFraming()
    return {seq: framing.encode(encode(STATUS, seq, TOKEN)) for seq in range(1, 256)}


def _serve_fixed(fd: int, request_bytes: int, answer: bytes) -> None:
    pending = 0
    while True:
        pending += len(os.read(fd, 4096))
        while pending >= request_bytes:
            pending -= request_bytes
            os.write(fd, answer)


def _serve_setpoints(fd: int) -> None:
    """Each SET_LEVEL gets the STATUS of its sequence number, found without any decoding."""
    frames = status_frames()
    while True:
        os.write(fd, frames[os.read(fd, 4096)[_SEQUENCE_AT]])


def _canned(raw: bytes, frames: dict[int, bytes]) -> bytes:
    """A device that says yes: enough for a controller's handshake and its stream."""
    if raw[1] == 0x03:
        return frames[raw[2]]
    command, header = decode(raw), header_of(raw)
    reply: Message = replace(STATUS, state=0, lease_left_ms=0)
    token = header.token
    if isinstance(command, Hello):
        token = 0 if command.flags else TOKEN
        reply = Identity(1, 0, command.host_nonce, b"bench".ljust(8, b"\0"), 1, 1, 1, 1, 32, 0)
    elif isinstance(command, GetLimits):
        reply = Limits(150, 1000, 25, 500, 500, 5000, 900, 60, 256)
    return StreamFraming().encode(encode(reply, header.sequence, token))


def _serve_sessions(fds: Sequence[int]) -> None:
    frames = status_frames()
    selector = selectors.DefaultSelector()
    for fd in fds:
        selector.register(fd, selectors.EVENT_READ, StreamFraming())
    while selector.get_map():
        for key, _ in selector.select():
            data = os.read(key.fd, 4096)
            if not data:
                selector.unregister(key.fd)
            for raw in key.data.receive(data):
                os.write(key.fd, _canned(raw, frames))


async def _serve_modbus(fd: int) -> None:
    """pymodbus' own server at the other end; the port it asks pyserial for is the descriptor."""
    import serial
    from pymodbus.server import StartAsyncSerialServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    class Descriptor(serial.Serial):
        def open(self) -> None:
            self.fd = fd
            self.is_open = True
            self.pipe_abort_read_r, self.pipe_abort_read_w = os.pipe()
            self.pipe_abort_write_r, self.pipe_abort_write_w = os.pipe()

    serial.serial_for_url = lambda url, exclusive, **settings: Descriptor(url, **settings)
    registers = SimData(0, values=7, count=100, datatype=DataType.REGISTERS)
    await StartAsyncSerialServer(SimDevice(1, [registers]), port="descriptor", baudrate=57600)


async def _serve_mqtt(port: int) -> None:
    """`echo/down` comes back on `echo/up`; link frames of the device `bench` get their STATUS."""
    import aiomqtt

    framing = DatagramFraming()
    frames = {seq: framing.encode(encode(STATUS, seq, TOKEN)) for seq in range(1, 256)}
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("echo/down")
        await client.subscribe("massager/bench/link/down")
        async for message in client.messages:
            payload = bytes(message.payload)
            if message.topic.value == "echo/down":
                await client.publish("echo/up", payload)
            else:
                await client.publish("massager/bench/link/up", frames[payload[2]])


def _main() -> None:
    kind, *rest = sys.argv[1:]
    try:
        if kind == "fixed":
            _serve_fixed(int(rest[0]), int(rest[1]), bytes.fromhex(rest[2]))
        elif kind == "setpoints":
            _serve_setpoints(int(rest[0]))
        elif kind == "sessions":
            _serve_sessions([int(fd) for fd in rest])
        elif kind == "modbus":
            asyncio.run(_serve_modbus(int(rest[0])))
        elif kind == "mqtt":
            asyncio.run(_serve_mqtt(int(rest[0])))
        elif kind == "busy":
            while True:
                pass
    except (OSError, KeyboardInterrupt):
        pass


@contextmanager
def child(kind: str, *arguments: str, fds: Sequence[int] = ()) -> Iterator[None]:
    """A peer process that ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers", kind, *arguments], pass_fds=tuple(fds)
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def on_a_pty(kind: str, *arguments: str) -> Iterator[str]:
    """The path of a pty's slave with a peer at its master."""
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        with child(kind, str(master), *arguments, fds=[master]):
            yield os.ttyname(slave)
    finally:
        os.close(master)
        os.close(slave)


@contextmanager
def on_sockets(count: int) -> Iterator[list[socket.socket]]:
    """`count` connected stream sockets whose other ends answer STATUS."""
    pairs = [socket.socketpair() for _ in range(count)]
    fds = [there.fileno() for _, there in pairs]
    try:
        with child("sessions", *map(str, fds), fds=fds):
            yield [here for here, _ in pairs]
    finally:
        for here, there in pairs:
            here.close()
            there.close()


if __name__ == "__main__":
    _main()
