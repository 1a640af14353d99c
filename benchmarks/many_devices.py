"""Many devices in one daemon: its CPU, its memory, and how late its timers are while all run.

`python -m benchmarks.many_devices` prints a table for 50 and 200 devices, in the same process and
over one Mosquitto (the devices in a process of their own). All sessions run at once, at the pace of
real time; they begin and end 20 ms apart. Nothing here has a bar: it is for sizing.
"""

import argparse
import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from benchmarks.broker import broker
from benchmarks.figures import Figure, percentile
from benchmarks.session import choice
from massager.config.devices import DeviceSettings
from massager.daemon.face import ConnectionState, Order, Origin, Started
from massager.daemon.keeper import Keeper
from massager.daemon.paperwork import NoOffice
from massager.session.model import SoftStop
from massager.transports import open_transport, parse_url
from simulator.bearers.mqtt import MqttBearer
from simulator.device import DeviceConfig
from simulator.port import SimulatedPort
from simulator.server import SimulatorServer

MEASURED_S = 20.0
_PROBE_S = 0.02
_STAGGER_S = 0.02  # all in one moment is more than the one process of simulated devices answers


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, nargs="*", default=[50, 200])
    parser.add_argument("--simulate", metavar="PORT", type=int, help="be the devices")
    args = parser.parse_args()
    if args.simulate is not None:
        asyncio.run(_simulate(args.simulate, args.devices[0]))
        return
    print(
        "| devices | line | CPU of one core | memory | late p50, p99, worst | started "
        "| still running, then off |\n|---|---|---|---|---|---|---|"
    )
    for number in args.devices:
        urls = [f"sim:?seed={seed}" for seed in range(1, number + 1)]
        print(asyncio.run(_measure(urls)).line("in memory"), flush=True)
        print(_on_a_broker(number).line("Mosquitto"), flush=True)


@dataclass(frozen=True)
class Result:
    """Of one run."""

    devices: int
    share: float  # of one core, the devices' own process apart
    resident_mb: int
    late_ms: list[float]
    started: int
    started_s: float
    running: int
    off: int

    @property
    def late(self) -> str:
        """p50, p99, worst."""
        p50, p99 = (percentile(self.late_ms, each) for each in (50, 99))
        return f"{p50:.1f}, {p99:.1f}, {max(self.late_ms):.1f} ms"

    def line(self, line: str) -> str:
        """Of the table."""
        return (
            f"| {self.devices} | {line} | {self.share:.0%} | {self.resident_mb} MB "
            f"| {self.late} | {self.started} in {self.started_s:.1f} s "
            f"| {self.running}, {self.off} |"
        )


def measure() -> list[Figure]:
    """200 sessions at once over one Mosquitto, for `make bench`."""
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:  # for its memory
        found = fresh.submit(_on_a_broker, 200).result()
    about = f"{found.started} started, {found.running} still ran, {found.off} known to be off"
    return [
        Figure("200 sessions on one broker, CPU", found.share * 100, "% of a core", beside=about),
        Figure("the same, resident", found.resident_mb, "MB"),
        Figure(
            "the same, how late a timer fires, p99",
            percentile(found.late_ms, 99),
            "ms",
            beside=f"p50, p99, worst: {found.late}",
        ),
    ]


def _on_a_broker(number: int) -> Result:
    with broker() as port, _devices(port, number):
        return asyncio.run(_measure([f"mqtt://127.0.0.1:{port}/d{each}" for each in range(number)]))


async def _measure(urls: list[str]) -> Result:
    async with _kept(urls) as keepers:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        starts = []
        for keeper in keepers:
            starts.append(asyncio.ensure_future(keeper.start(Order(choice(), Origin.SOCKET))))
            await asyncio.sleep(_STAGGER_S)
        outcomes = await asyncio.gather(*starts)
        started = sum(isinstance(each, Started) for each in outcomes)
        started_s = loop.time() - began_s
        await asyncio.sleep(2)
        gc.collect()
        cpu_s, wall_s = time.process_time(), loop.time()
        late_ms = await _lateness_ms(MEASURED_S)
        share = (time.process_time() - cpu_s) / (loop.time() - wall_s)
        running = sum(keeper.in_session for keeper in keepers)
        for keeper in keepers:
            keeper.request(SoftStop())
            await asyncio.sleep(_STAGGER_S)
        await asyncio.gather(*(keeper.rest() for keeper in keepers))
        off = sum(keeper.is_known_to_be_off for keeper in keepers)
    return Result(len(urls), share, _resident_mb(), late_ms, started, started_s, running, off)


@asynccontextmanager
async def _kept(urls: list[str]) -> AsyncIterator[list[Keeper]]:
    keepers = [
        Keeper(DeviceSettings(f"d{number}", parse_url(url)), open_transport(url), NoOffice())
        for number, url in enumerate(urls)
    ]
    running = [asyncio.ensure_future(keeper.run()) for keeper in keepers]
    await _until(lambda: all(k.connection.state is ConnectionState.HERE for k in keepers))
    try:
        yield keepers
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not holds():  # noqa: ASYNC110 (no event for all of them)
            await asyncio.sleep(0.05)


async def _lateness_ms(for_s: float) -> list[float]:
    """How late a timer of this loop fires, every 20 ms."""
    loop = asyncio.get_running_loop()
    due_s = loop.time() + _PROBE_S
    until_s = due_s + for_s
    late: list[float] = []
    while due_s < until_s:
        fired = loop.create_future()
        loop.call_at(due_s, fired.set_result, None)
        await fired
        late.append((loop.time() - due_s) * 1000)
        due_s = max(due_s + _PROBE_S, loop.time())
    return late


def _resident_mb() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if "VmRSS" in line) // 1024


@contextmanager
def _devices(port: int, number: int) -> Iterator[None]:
    """So many simulated devices on the broker at `port`, in another process."""
    process = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, "--simulate", str(port), "--devices", str(number)],
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.terminate()
        process.wait()


async def _simulate(port: int, number: int) -> None:
    servers = []
    for each in range(number):
        name = f"d{each}"
        bearer = MqttBearer(
            "127.0.0.1", port, name, user=None, password=None, say=lambda _text: None
        )
        simulated = SimulatedPort(
            DeviceConfig(device_id=name), seed=each, datagrams=True, tracing=False
        )
        servers.append(SimulatorServer(simulated, bearer))
    for server in servers:
        await server.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
