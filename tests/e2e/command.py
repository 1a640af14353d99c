"""The command `massager` as a process."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

COMMAND = [sys.executable, "-c", "import sys; from massager.cli import main; sys.exit(main())"]
PATIENCE_S = 30.0


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
