"""The daemon's log: one record is one line, whatever is in it, and no password is ever in it.

    2026-11-21T22:40:03.120+01:00 INFO bedroom: started by terminal: …
    {"at": "2026-11-21T22:40:03.120+01:00", "level": "info", "text": "bedroom: started …"}

Under systemd a line begins with its priority instead of the time, which the journal has itself.
"""

import json
import logging
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, TextIO

LEVELS: Final = ("debug", "info", "warning", "error")
LINE_MAX: Final = 4_000
_PRIORITIES: Final = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG_PRIORITY: Final = 7


class OneLine(logging.Formatter):
    """`secrets` are never written. `as_json` and `for_journal` choose between the forms above."""

    def __init__(
        self, secrets: Iterable[str] = (), *, as_json: bool = False, for_journal: bool = False
    ) -> None:
        super().__init__()
        self._secrets = [secret for secret in secrets if secret]
        self._as_json = as_json
        self._for_journal = for_journal

    def format(self, record: logging.LogRecord) -> str:
        """The record on one line of printable characters."""
        text = record.getMessage()
        if record.exc_info:
            text += f"\n{self.formatException(record.exc_info)}"
        for secret in self._secrets:
            text = text.replace(secret, "***")
        at = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        if self._as_json:
            found = {"at": at, "level": record.levelname.lower(), "text": text[:LINE_MAX]}
            return json.dumps(found)
        line = one_line(text)
        if self._for_journal:
            return f"<{_priority(record.levelno)}>{line}"
        return f"{at} {record.levelname} {line}"


def one_line(text: str) -> str:
    """`text` with everything escaped that is no printable character, cut at 4000."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:LINE_MAX])
    return shown if len(text) <= LINE_MAX else f"{shown}…"


def set_up(
    level: str,
    secrets: Iterable[str],
    environ: Mapping[str, str],
    *,
    as_json: bool,
    stream: TextIO | None = None,
) -> None:
    """From now on everything that is logged goes to `stream` (default: stderr)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    for_journal = "JOURNAL_STREAM" in environ and not as_json
    handler.setFormatter(OneLine(secrets, as_json=as_json, for_journal=for_journal))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.raiseExceptions = False  # a log that cannot be written stops nothing
    logging.captureWarnings(capture=True)


def _priority(level: int) -> int:
    return next((number for least, number in _PRIORITIES if level >= least), _DEBUG_PRIORITY)
