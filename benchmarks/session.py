"""A real session to measure: a simulator process behind a pty, a controller in this one."""

import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from massager.controller import Controller
from massager.plan import Choice, Shape
from massager.programs import load_program
from massager.session.model import Ended, Running, Start, Terms
from massager.transports import open_transport

_SIMULATOR = Path(sys.executable).parent / "massager-simulator"


def choice(program: str = "classic") -> Choice:
    """Intensity 6; 90 s of warm-up, 500 s of massage and 10 s of soft end: 10 minutes."""
    return Choice(6, 500_000, 90_000, Shape.LINEAR, load_program(program))


@contextmanager
def simulator(folder: Path, *arguments: str) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    """The port and the process of a simulator; its trace is `folder`/trace.jsonl."""
    port = folder / "port"
    process = subprocess.Popen(
        [
            *(str(_SIMULATOR), "--pty", str(port), "--trace", str(folder / "trace.jsonl")),
            *arguments,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield port, process
    finally:
        process.terminate()
        process.wait()


def trace(folder: Path) -> list[dict[str, Any]]:
    """The simulator's trace rows so far."""
    return [json.loads(line) for line in (folder / "trace.jsonl").read_text().splitlines()]


@asynccontextmanager
async def running(port: Path, speed: int = 1) -> AsyncIterator[Controller]:
    """A controller whose session runs on the device at `port`."""
    transport = open_transport(f"serial:{port}")
    controller = Controller(transport, Terms(speed=speed))
    await controller.open()
    refusal = controller.start(Start(choice()))
    assert refusal is None, refusal
    while not (isinstance(controller.state, Running) and controller.snapshot().output_permille):
        assert not isinstance(controller.state, Ended), controller.state.detail
        await controller.changed()
    try:
        yield controller
    finally:
        await controller.close()


@asynccontextmanager
async def started() -> AsyncIterator[tuple[Controller, Callable[[], None]]]:
    """A running session, and what pulls its cable: the death of whoever holds the other end."""
    with (
        tempfile.TemporaryDirectory() as folder,
        simulator(Path(folder)) as (port, process),
    ):
        async with running(port) as controller:
            yield controller, process.kill
