"""The simulator as a process, and a plain host that talks to it over a descriptor."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from firmware_protocol.codec import Header, decode, encode, header_of
from firmware_protocol.framing import StreamFraming
from firmware_protocol.messages import Event, Hello, Identity, Message

PATIENCE_S = 30.0
_COMMAND = [sys.executable, "-c", "import sys; from simulator.cli import main; sys.exit(main())"]


def wait_until(holds: Callable[[], object], what: str) -> None:
    """Look every 10 ms until `holds()`; fails after 30 s."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"waited {PATIENCE_S:g} s for: {what}"
        time.sleep(0.01)


def run_simulator(*flags: str | Path) -> tuple[int, str, str]:
    """Run it to its end: exit code, stdout, stderr."""
    done = subprocess.run(
        [*_COMMAND, *map(str, flags)], capture_output=True, text=True, timeout=PATIENCE_S
    )
    return done.returncode, done.stdout, done.stderr


class SimulatorProcess:
    """A running simulator with a trace and a control socket in `folder`."""

    def __init__(self, folder: Path, *flags: str | Path, environment: Iterable[str] = ()) -> None:
        self.control = folder / "control"
        self._trace = folder / "trace.jsonl"
        self._errors = folder / "errors.txt"
        self.lines: list[str] = []
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [*_COMMAND, *map(str, flags), "--control", self.control, "--trace", self._trace],
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **dict(pair.split("=", 1) for pair in environment)},
            )
        self.url = self._printed_url()

    def tell(self, **request: object) -> dict[str, Any]:
        """Send one request to the control socket and get the answer."""
        code, out, err = run_simulator("--tell", self.control, json.dumps(request))
        assert code in (0, 1), err
        answer: dict[str, Any] = json.loads(out)
        return answer

    def trace(self) -> list[dict[str, Any]]:
        """What the trace file says now; a line that is being written is not there yet."""
        whole, _, _ = self._trace.read_text("ascii").rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def errors(self) -> str:
        """What it has said on stderr."""
        return self._errors.read_text("utf-8")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and give back the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
            try:
                self._process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise
        if self._process.stdout is not None:
            self._process.stdout.close()
        return self._process.returncode

    def _printed_url(self) -> str:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline().decode():
            self.lines.append(line)
            if "--device " in line:
                return line.split("--device ", 1)[1].strip()
        self.stop()
        raise AssertionError(f"it did not start: {self.errors()}")


class WireHost:
    """The smallest host: one request, one answer, over a descriptor that is a stream of bytes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._framing = StreamFraming()
        self._frames: list[tuple[Header, Message]] = []
        self.events: list[Event] = []
        self.token = 0
        self.sequence = 0

    def hello(self, nonce: int) -> Identity:
        """Open a session; its token is used from here on."""
        identity = self.ask(Hello(0, 1, 1, nonce))
        assert isinstance(identity, Identity)
        return identity

    def ask(self, message: Message) -> Message:
        """Send `message` under the next sequence number and wait for its answer."""
        self.sequence = self.sequence % 255 + 1
        self.send_bytes(self._framing.encode(encode(message, self.sequence, self.token)))
        header, answer = self._next(lambda header: header.sequence == self.sequence)
        if isinstance(answer, Identity):
            self.token = header.token
        return answer

    def send_bytes(self, data: bytes) -> None:
        """Send anything."""
        os.write(self._fd, data)

    def event(self, code: int) -> Event:
        """Wait for an event of this code."""
        for known in self.events:
            if known.code == code:
                return known
        _, event = self._next(lambda header: bool(self.events and self.events[-1].code == code))
        assert isinstance(event, Event)
        return event

    def _next(self, wanted: Callable[[Header], bool]) -> tuple[Header, Message]:
        end = time.monotonic() + PATIENCE_S
        while True:
            for raw in self._framing.receive(self._read(end - time.monotonic())):
                header, message = header_of(raw), decode(raw)
                if isinstance(message, Event):
                    self.events.append(message)
                self._frames.append((header, message))
            while self._frames:
                header, message = self._frames.pop(0)
                if wanted(header):
                    return header, message

    def _read(self, for_s: float) -> bytes:
        readable, _, _ = select.select([self._fd], [], [], max(0, for_s))
        assert readable, "no answer came"
        data = os.read(self._fd, 4096)
        assert data, "the connection was closed"
        return data
