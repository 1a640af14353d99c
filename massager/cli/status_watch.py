"""`massager status --watch`: another process's session, shown as `massager start` shows its own."""

import json
import sys
import time
from dataclasses import fields
from typing import Final

from massager.api.client import Conversation, Reply, reason_of
from massager.cli.reporters import Outlet, Reporter, reporter_for
from massager.errors import ExitCode, SessionFailed
from massager.snapshot import Snapshot

SILENCE_S: Final = 5.0  # a session changes several times a second

_KEYS: Final = ("Ctrl-C leaves, the session goes on", "`massager stop` stops it")
_FIELDS: Final = frozenset(field.name for field in fields(Snapshot))


def watch(conversation: Conversation, as_json: bool) -> int:
    """0 once the session has ended, however it did. SessionFailed where its owner falls silent."""
    shown = _Shown(as_json)
    try:
        heard_s = time.monotonic()
        while time.monotonic() < heard_s + SILENCE_S:
            for _, reply in conversation.answers(heard_s + SILENCE_S):
                if reply is None:
                    raise SessionFailed("the process that ran the session is gone")
                if not reply.get("ok"):
                    why = reason_of(reply)
                    raise SessionFailed(f"the session does not tell its status: {why}")
                heard_s = time.monotonic()
                if shown.show(reply):
                    return ExitCode.OK
        raise SessionFailed("the process that runs the session does not answer any more")
    finally:
        conversation.close()
        shown.close()


class _Shown:
    """What has been put before the person."""

    def __init__(self, as_json: bool) -> None:
        self._outlet = Outlet(sys.stdout) if as_json else None
        self._reporter: Reporter | None = None
        self._ended = False

    def show(self, reply: Reply) -> bool:
        """Show one answer; whether it is the last, or nobody reads any more."""
        session = reply["session"]
        self._ended = reply["stage"] == "ended"
        if self._outlet is not None:
            self._outlet.write(json.dumps({"pid": reply["owner"]["pid"], **session}) + "\n")
            return self._ended or self._outlet.broken
        now = Snapshot(**{name: value for name, value in session.items() if name in _FIELDS})
        if self._reporter is None:
            self._reporter = _reporter(reply, now)
        if self._ended:
            self._reporter.ended(now, ExitCode.OK)
        else:
            self._reporter.show(now)
        return self._ended or self._reporter.broken

    def close(self) -> None:
        """Leave the terminal on a line of its own."""
        if self._outlet is not None:
            self._outlet.close()
        elif not self._ended and self._reporter is not None:
            self._reporter.left()


def _reporter(reply: Reply, now: Snapshot) -> Reporter:
    facts = {"program": now.program, "intensity": now.intensity, "url": reply["owner"]["device"]}
    return reporter_for(
        sys.stdout,
        facts,
        as_json=False,
        quiet=False,
        keys=_KEYS,
        speed=reply["owner"]["speed"],
        time_s=time.monotonic,
    )
