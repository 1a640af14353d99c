"""`massager serve` as a process, what it has logged, and a plain client of its socket."""

import json
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.e2e.command import Running, environment_in, massager
from tests.e2e.simulator_process import wait_until


class Daemon:
    """Runs in `folder` until the `with` block ends."""

    def __init__(self, folder: Path, *flags: str, extra: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        own = folder / "daemon"
        own.mkdir(exist_ok=True)
        self._running = Running(own, "serve", *flags, extra={**beside(folder), **(extra or {})})
        self.process = self._running.process
        try:
            wait_until(
                lambda: "ready:" in self.log() or self.process.poll() is not None,
                "the daemon is ready",
            )
        except AssertionError:
            self.process.kill()
            self.process.wait()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.__exit__(kind, error, trace)

    def log(self) -> str:
        """What it has logged so far."""
        return self._running.errors()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and give back the exit code."""
        return self._running.end(number)

    def devices(self) -> list[dict[str, Any]]:
        """What `status` tells of each."""
        found: list[dict[str, Any]] = json.loads(
            massager(self.folder, "status", "--json").out or "{}"
        ).get("sessions", [])
        return found

    def connection(self) -> str:
        """Of its only device."""
        return str(self.devices()[0]["connection"])

    def client(self, name: str = "massager") -> "Client":
        """A connection to the socket of a device."""
        return Client(self.folder / "run" / f"{self.process.pid}.{name}.sock")


class Client:
    """One connection; a request and its answer."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rwb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, **request: object) -> None:
        """Ask."""
        self._file.write(json.dumps(request).encode() + b"\n")
        self._file.flush()

    def send_at_once(self, *requests: dict[str, object]) -> None:
        """Ask for all of it in one write."""
        self._file.write(b"".join(json.dumps(each).encode() + b"\n" for each in requests))
        self._file.flush()

    def answer(self) -> dict[str, Any]:
        """The next line."""
        found: dict[str, Any] = json.loads(self._file.readline())
        return found

    def ask(self, **request: object) -> dict[str, Any]:
        """Ask, and the next line."""
        self.send(**request)
        return self.answer()

    def stop(self) -> None:
        """Stop, and wait until the motor is off."""
        self.send(request="stop")
        while self.answer().get("stage") != "ended":
            continue


def beside(folder: Path) -> dict[str, str]:
    """The environment of `folder`, for a process that writes elsewhere."""
    names = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "MASSAGER_RUNTIME_DIR")
    environment = environment_in(folder)
    return {name: environment[name] for name in names}
