"""The command `massager` as a process."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Self

COMMAND = [sys.executable, "-c", "import sys; from massager.cli import main; sys.exit(main())"]
PATIENCE_S = 30.0
_SETPRIV = "/usr/bin/setpriv"


class Done(NamedTuple):
    """How it ended."""

    code: int
    out: str
    err: str


def environment_in(folder: Path, **extra: str) -> dict[str, str]:
    """An environment of its own: no config, no controllers and no device of whoever runs this."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MASSAGER_")}
    own = {
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_STATE_HOME": str(folder / "state"),
        "MASSAGER_RUNTIME_DIR": str(folder / "run"),
        "PYTHONIOENCODING": "utf-8",
        "PYTHONWARNINGS": "error",
    }
    return {**kept, **own, **extra}


def massager(
    folder: Path, *words: str | Path, stdin: str = "", extra: Mapping[str, str] | None = None
) -> Done:
    """Run it to its end."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=PATIENCE_S,
        env=environment_in(folder, **(extra or {})),
    )
    return Done(done.returncode, done.stdout, done.stderr)


def unprivileged(*words: str) -> Done:
    """As `massager`, by a user who is not root and has no files of their own."""
    prefix = [] if os.geteuid() else [_SETPRIV, "--reuid=65534", "--clear-groups"]
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        done = subprocess.run(
            [*prefix, *COMMAND, *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env=environment_in(Path(folder)),
        )
    return Done(done.returncode, done.stdout, done.stderr)


class Running:
    """A `massager` that runs until the `with` block ends, and what it has written so far."""

    def __init__(self, folder: Path, *words: str, extra: Mapping[str, str] | None = None) -> None:
        self._out, self._err = folder / "running.out", folder / "running.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*COMMAND, *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment_in(folder, **(extra or {})),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def lines(self) -> list[str]:
        """Of its standard output."""
        return self._out.read_text("utf-8").splitlines()

    def errors(self) -> str:
        """Its standard error."""
        return self._err.read_text("utf-8")

    def end(self, number: int) -> int:
        """Send a signal and give back the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end and give back the exit code."""
        return self.process.wait(PATIENCE_S)
