"""The motor trace as a file: one JSON object a line, appended, each line written at once.

It is what invariants and latencies are judged from. A row carries two clocks: `device_ms`, the
device's own, and `mono_ns`, the host's CLOCK_MONOTONIC, comparable between processes.
"""

import json
import os
from pathlib import Path

from simulator.bearers import CannotStart
from simulator.device import TraceRow
from simulator.kept_rows import row_object


class TraceFile:
    """Appends to `path`. Raises CannotStart where it cannot be written."""

    def __init__(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise CannotStart(
                f"the trace {path} cannot be written: {error.strerror}; name another file"
            ) from error

    def write(self, row: TraceRow, mono_ns: int) -> None:
        """Append one row. Raises OSError, e.g. where the disk is full."""
        line = json.dumps({"mono_ns": mono_ns, **row_object(row)}, separators=(",", ":"))
        os.write(self._fd, line.encode("ascii") + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
