"""Four clients of two devices at once, and a record of what each asked for and was told.

The command, raw MQTT, the local socket, and the local socket of a second daemon with the same
devices. Each does one thing after the other, drawn from a seed; nothing may take longer than
`PATIENCE_S`.
"""

import asyncio
import json
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt

from tests.brokers import HOST
from tests.e2e.command import COMMAND, environment_in
from tests.e2e.evidence import Marks

PATIENCE_S = 25.0
DEVICES = ("d1", "d2")
_WEIGHTS = {
    "start": 8,
    "status": 2,
    "pause": 2,
    "resume": 3,
    "intensity": 3,
    "extend": 1,
    "stop": 3,
    "emergency": 1,
    "clear": 3,
}
STOPS = ("stop", "emergency")
EVERY = "*"


@dataclass
class Deed:
    """One thing that a client asked for. `ok`: None where it was not told."""

    client: str
    device: str
    action: str
    asked_ns: int
    mark: float | None = None
    answered_ns: int = 0
    ok: bool | None = None
    why: str = ""
    session: int | None = None  # the row's number, where the answer has it


class Client(ABC):
    """Asks for one thing after the other, and keeps `deeds`."""

    name = ""

    def __init__(self, marks: Marks, seed: int) -> None:
        self.deeds: list[Deed] = []
        self.marks = marks
        self.rng = random.Random(f"{self.name} {seed}")

    @abstractmethod
    async def ask(self, deed: Deed) -> None:
        """Carry it out, and note the answer."""

    async def run(self, until_s: float) -> None:
        """Until the time has come. AssertionError where an answer does not come."""
        while time.monotonic() < until_s:
            await self.do(
                self.rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0],
                self.rng.choice(DEVICES),
            )
            await asyncio.sleep(self.rng.uniform(0, 0.3))

    async def do(self, action: str, device: str) -> Deed:
        """One thing."""
        mark = self.marks.next() if action == "start" else None
        deed = Deed(self.name, device, action, time.monotonic_ns(), mark)
        self.deeds.append(deed)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.ask(deed)
        except TimeoutError:
            raise AssertionError(f"no answer within {PATIENCE_S:g} s: {deed}") from None
        deed.answered_ns = time.monotonic_ns()
        return deed


class Commands(Client):
    """`massager …` as processes. A start is followed by a process that goes on."""

    name = "command"

    def __init__(self, marks: Marks, seed: int, folder: Path) -> None:
        super().__init__(marks, seed)
        self._folder = folder
        self._environment = environment_in(folder)
        self.followers: list[asyncio.subprocess.Process] = []
        self._readers: list[asyncio.Task[bytes]] = []

    async def ask(self, deed: Deed) -> None:
        """As a person would type it; some of it is about every device."""
        if deed.action in ("status", *STOPS):
            deed.device = EVERY
        words = {
            "status": ["status", "--json"],
            "intensity": ["intensity", str(self.rng.randint(1, 10))],
            "extend": ["extend", "1"],
            "emergency": ["stop", "--now"],
        }.get(deed.action, [deed.action])
        if deed.action == "start":
            await self._start(deed)
            return
        name = [] if deed.device == EVERY else ["--name", deed.device]
        process = await self._spawn(*words, *name)
        said, errors = await process.communicate()
        deed.ok, deed.why = process.returncode == 0, (errors or said).decode()

    async def _start(self, deed: Deed) -> None:
        words = ["start", "--name", deed.device, "--warmup", f"{deed.mark:.3f}"]
        words += ["--intensity", str(self.rng.randint(1, 10)), "--json"]
        process = await self._spawn(*words)
        assert process.stdout is not None
        async for line in process.stdout:
            event = json.loads(line)
            if event.get("phase") in ("preflight", "warm-up"):
                deed.ok = True
                self._leave(process)
                return
            if event["event"] == "ended":
                deed.why = f"{event['reason']}: {event['detail']}"
        _, errors = await process.communicate()
        deed.why += errors.decode()
        # 0: taken and stopped before this process had seen a phase
        deed.ok = None if process.returncode == 0 else False

    def _leave(self, process: asyncio.subprocess.Process) -> None:
        """It follows its session; one in four is killed, which ends nothing."""
        assert process.stdout is not None
        self.followers.append(process)
        self._readers.append(asyncio.ensure_future(process.stdout.read()))
        if self.rng.random() < 0.25:
            process.kill()

    async def followed(self) -> None:
        """Wait for whoever still follows a session."""
        await asyncio.gather(*self._readers)
        for process in self.followers:
            await process.wait()

    async def _spawn(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *COMMAND,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
        )

    def close(self) -> None:
        """Leave no process behind."""
        for process in self.followers:
            with suppress(ProcessLookupError):
                process.kill()


class Messages(Client):
    """Commands in JSON on the broker."""

    name = "mqtt"

    def __init__(self, marks: Marks, seed: int, client: aiomqtt.Client) -> None:
        super().__init__(marks, seed)
        self._client = client
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.doubled: list[dict[str, Any]] = []

    async def hear(self) -> None:
        """Take the replies; runs beside `run`."""
        async for message in self._client.messages:
            assert isinstance(message.payload, bytes)
            reply = json.loads(message.payload)
            waiting = self._answers.get(reply.get("id", ""))
            if waiting is None or waiting.done():
                self.doubled.append(reply)
            else:
                waiting.set_result(reply)

    async def ask(self, deed: Deed) -> None:
        """One message; it is answered under its own id."""
        number = f"{len(self.deeds)}"
        command: dict[str, Any] = {"action": deed.action, "id": number}
        if deed.action == "emergency":
            command["action"] = "emergency_stop"
        elif deed.action == "status":
            command["action"] = "nonsense"  # refused, with words
        elif deed.action == "intensity":
            command |= {"action": "set", "intensity": self.rng.randint(1, 10)}
        if deed.action in ("start", "resume", "intensity", "extend", "clear"):
            command["at"] = time.time()
        if deed.mark is not None:
            command |= {"warmup": deed.mark, "intensity": self.rng.randint(1, 10)}
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._client.publish(f"massager/{deed.device}/command", json.dumps(command), qos=1)
        reply = await self._answers[number]
        deed.ok, deed.why = reply["ok"], reply.get("reason", "")
        deed.session = reply.get("session")


class Lines(Client):
    """JSON lines on the sockets of a daemon."""

    def __init__(self, name: str, marks: Marks, seed: int, path: Callable[[str], Path]) -> None:
        self.name = name
        super().__init__(marks, seed)
        self._path = path

    async def ask(self, deed: Deed) -> None:
        """A connection of its own for each."""
        request: dict[str, Any] = {"request": deed.action}
        if deed.action == "emergency":
            request = {"request": "stop", "now": True}
        elif deed.action == "intensity":
            request["intensity"] = self.rng.randint(1, 10)
        elif deed.action == "extend":
            request["minutes"] = 1
        if deed.mark is not None:
            request |= {"warmup": deed.mark, "intensity": self.rng.randint(1, 10)}
        async with self._connected(deed.device) as (reader, writer):
            writer.write(json.dumps(request).encode() + b"\n")
            reply = await _line(reader)
            if deed.action in STOPS:
                while reply["stage"] != "ended":
                    reply = await _line(reader)
                deed.ok = bool(reply["session"]["output_confirmed"])
                deed.why = str(reply["session"]["detail"] or reply["session"]["reason"])
            else:
                deed.ok = reply["ok"]
                deed.why = "" if deed.ok else reply["error"]["message"]

    @asynccontextmanager
    async def _connected(
        self, device: str
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_unix_connection(self._path(device))
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _line(reader: asyncio.StreamReader) -> dict[str, Any]:
    line = await reader.readline()
    assert line, "the daemon hung up without an answer"
    found: dict[str, Any] = json.loads(line)
    return found


@asynccontextmanager
async def messages(marks: Marks, seed: int, port: int) -> AsyncIterator[Messages]:
    """A client on the broker that hears the replies."""
    async with aiomqtt.Client(HOST, port) as client:
        for device in DEVICES:
            await client.subscribe(f"massager/{device}/reply", qos=1)
        found = Messages(marks, seed, client)
        hearing = asyncio.ensure_future(found.hear())
        try:
            yield found
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
