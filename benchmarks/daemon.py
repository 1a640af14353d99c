"""The daemon with a broker: a message's way to the motor, from the devices' own traces; its rest.

Two simulated devices, one on a serial line and one behind the broker, in processes of their own;
the daemon is `massager serve` with its history. `IDLE_S=600` makes its rest longer.
"""

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiomqtt

from benchmarks.broker import broker
from benchmarks.figures import Figure, percentile
from benchmarks.peers import child
from benchmarks.processes import cpu_s, resident_mb

_BIN = Path(sys.executable).parent
_TRIES = 110  # of each device
_IDLE_S = int(os.environ.get("IDLE_S", "180"))
_SETTLED_S = 10
_LOOK_S = 0.001
_PATIENCE_S = 10.0


class Device:
    """A simulator's process and what its trace says."""

    def __init__(self, name: str, url: str, trace: Path) -> None:
        self.name = name
        self.url = url
        self._file = trace.open(encoding="ascii")
        self._rest = ""

    async def until(self, wanted: str, since_ns: int, *, on: bool) -> int:
        """The ns of the first row since then whose `wanted` is above 0 (or is 0)."""
        end_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end_s:
            for row in self._news():
                if row["mono_ns"] >= since_ns and (row[wanted] > 0) is on:
                    return int(row["mono_ns"])
            await asyncio.sleep(_LOOK_S)
        raise TimeoutError(f"{self.name}: {wanted} {'above' if on else 'is'} 0")

    def _news(self) -> Iterator[dict[str, Any]]:
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        for line in lines:
            yield json.loads(line)


@contextmanager
def _device(folder: Path, name: str, *bearer: str) -> Iterator[Device]:
    trace = folder / f"{name}.jsonl"
    process = subprocess.Popen(
        [
            *(str(_BIN / "massager-simulator"), *bearer, "--device-id", name),
            *("--trace", str(trace)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "--device " in line:
                yield Device(name, line.split("--device ", 1)[1].strip(), trace)
                break
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _daemon(folder: Path, port: int, devices: list[Device]) -> Iterator["subprocess.Popen[bytes]"]:
    tables = [
        f'[[devices]]\nname = "{each.name}"\ndevice_id = "{each.name}"\ndevice = "{each.url}"\n'
        for each in devices
    ]
    config = folder / "config.toml"
    config.write_text("".join([*tables, f'[mqtt]\nbroker = "mqtt://127.0.0.1:{port}"\n']))
    homes = {name: str(folder / name) for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    own = {"MASSAGER_CONFIG": str(config), "MASSAGER_RUNTIME_DIR": str(folder / "run")}
    process = subprocess.Popen(
        [str(_BIN / "massager"), "serve", "--log-level", "warning"],
        env=os.environ | homes | own | {"XDG_STATE_HOME": str(folder / "state")},
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


class Broker:
    """Commands to the daemon, and their answers."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._messages = aiter(client.messages)

    async def tell(self, device: Device, topic: str, payload: str) -> int:
        """Publish; the ns at which that began."""
        at_ns = time.monotonic_ns()
        await self._client.publish(f"massager/{device.name}/{topic}", payload, qos=0)
        return at_ns

    async def command(self, device: Device, action: str) -> int:
        """One command, answered; the ns at which it was begun."""
        text = json.dumps({"action": action, "at": time.time(), "id": action})
        at_ns = await self.tell(device, "command", text)
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                reply = json.loads((await anext(self._messages)).payload)
                if reply.get("id") == action:
                    assert reply["ok"], reply
                    return at_ns

    async def until_served(self, device: Device) -> None:
        """Until nothing is latched: the daemon asks around for a second before
        it takes commands, and refuses this one until the row of a session's end is written."""
        end_s = time.monotonic() + _PATIENCE_S
        while not await self._cleared(device):
            assert time.monotonic() < end_s, f"{device.name} takes no clear"
            await asyncio.sleep(0.1)  # more would be a flood

    async def _cleared(self, device: Device) -> bool:
        name = f"clear {time.monotonic_ns()}"  # an answer to an earlier one is none to this
        text = json.dumps({"action": "clear", "at": time.time(), "id": name})
        await self.tell(device, "command", text)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while True:
                    reply = json.loads((await anext(self._messages)).payload)
                    if reply.get("id") == name:
                        return bool(reply["ok"])
        return False


@asynccontextmanager
async def _connected(port: int, devices: list[Device]) -> AsyncIterator[Broker]:
    nodelay = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    async with aiomqtt.Client("127.0.0.1", port, socket_options=nodelay) as client:
        for device in devices:
            await client.subscribe(f"massager/{device.name}/reply")
        yield Broker(client)


async def _commands(
    port: int, devices: list[Device], tries: int
) -> dict[str, tuple[list[float], list[float]]]:
    """By device: ms from a start to the first setpoint, and from an emergency stop to output 0."""
    rng = random.Random(1)
    found: dict[str, tuple[list[float], list[float]]] = {each.name: ([], []) for each in devices}
    async with _connected(port, devices) as there:
        for device in devices:
            await there.until_served(device)
            for _ in range(tries):
                asked_ns = await there.command(device, "start")
                set_ns = await device.until("setpoint", asked_ns, on=True)
                await device.until("output", asked_ns, on=True)
                await asyncio.sleep(rng.uniform(0.05, 0.25))
                stop_ns = await there.tell(device, "stop", "emergency")
                zero_ns = await device.until("output", stop_ns, on=False)
                found[device.name][0].append((set_ns - asked_ns) / 1e6)
                found[device.name][1].append((zero_ns - stop_ns) / 1e6)
                await there.until_served(device)  # its row is written
    return found


async def _echo_ms(port: int) -> float:
    """p50 there and back of a bare client and its peer, in the same run."""
    with child("mqtt", str(port)):
        async with aiomqtt.Client("127.0.0.1", port) as bare:
            await bare.subscribe("echo/up")
            messages = aiter(bare.messages)
            spans: list[float] = []
            while len(spans) < 500:
                began_s = time.perf_counter()
                await bare.publish("echo/down", b"x" * 30)
                try:
                    async with asyncio.timeout(0.2):
                        await anext(messages)
                    spans.append((time.perf_counter() - began_s) * 1000)
                except TimeoutError:  # the peer's subscription takes a moment
                    messages = aiter(bare.messages)
            return percentile(spans[100:], 50)


def _figures(device: str, starts: list[float], stops: list[float], echo: float) -> list[Figure]:
    start = percentile(starts, 50)
    return [
        Figure(
            f"start on the broker → first setpoint at a device {device}, p50",
            start,
            "ms",
            beside=f"{start / echo:.0f} × a bare aiomqtt echo's {echo:.2f} ms; with the row on "
            f"the disk; p99 {percentile(starts, 99):.1f} ms",
        ),
        Figure(
            f"emergency stop on the broker → output 0 {device}, p99",
            percentile(stops, 99),
            "ms",
            100,
            beside=f"p50 {percentile(stops, 50):.1f} ms, {len(stops)} of them",
        ),
        Figure(f"the same, {device}, worst", max(stops), "ms", 250),
    ]


def _at_rest(folder: Path, port: int, device: Device) -> tuple[float, float, float]:
    """MB before and after the rest, and % of a core in it, of a daemon with one device."""
    with _daemon(folder, port, [device]) as daemon:
        asyncio.run(_commands(port, [device], _TRIES // 4))
        time.sleep(_SETTLED_S)
        before_mb, before_s = resident_mb(daemon.pid), cpu_s(daemon.pid)
        time.sleep(_IDLE_S)
        share = (cpu_s(daemon.pid) - before_s) / _IDLE_S * 100
        return before_mb, resident_mb(daemon.pid), share


def measure() -> list[Figure]:
    """Everything of this file."""
    with ExitStack() as stack:
        port = stack.enter_context(broker())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        serial = stack.enter_context(_device(folder, "usb", "--pty", str(folder / "port")))
        remote = stack.enter_context(_device(folder, "air", "--mqtt", f"mqtt://127.0.0.1:{port}"))
        echo = asyncio.run(_echo_ms(port))
        with _daemon(folder, port, [serial, remote]) as daemon:
            found = asyncio.run(_commands(port, [serial, remote], _TRIES))
            both_mb = resident_mb(daemon.pid)
        before_mb, after_mb, share = _at_rest(folder, port, serial)
    return [
        *_figures("on a serial line", *found["usb"], echo),
        *_figures("behind the broker", *found["air"], echo),
        Figure(
            "the daemon at rest with a serial device, MQTT and history, resident",
            after_mb,
            "MB",
            45,
            beside=f"{before_mb:.1f} MB {_IDLE_S} s before; {both_mb:.1f} MB with another device "
            f"behind the broker, after {2 * _TRIES} sessions",
        ),
        Figure(f"CPU of the daemon at rest for {_IDLE_S} s", share, "% of a core", 1),
    ]
