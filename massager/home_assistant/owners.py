"""Daemons that keep one device, among themselves: a question and an answer, live. Pure.

Whoever comes asks on the broker who keeps the device; the daemon that does names itself, and the
newcomer leaves the device alone. Nothing retained decides: a daemon that is gone does not answer.
"""

import json
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Final

ANSWER_S: Final = 1.0  # to wait for an answer
ASK_AGAIN_S: Final = 60.0  # while another one keeps it
_BYTES_MAX: Final = 1_024


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon, as others see it. `instance` is drawn anew by each process."""

    instance: str
    node: str
    host: str
    pid: int
    since_ms: int

    def __str__(self) -> str:
        return f"the daemon {self.node} on {self.host} (process {self.pid})"


class Standing(Enum):
    """What this daemon is to the device."""

    ASKING = "asking"
    KEEPING = "keeping"
    REFUSED = "refused"


class Ownership:
    """Of one device. Messages in, messages out."""

    def __init__(self, me: Daemon) -> None:
        self.standing = Standing.ASKING
        self.other: Daemon | None = None
        self._me = me
        self._kept = False

    def ask(self) -> bytes:
        """The question. Ends in `decide`, ANSWER_S later."""
        if self.standing is not Standing.ASKING:  # else nobody had time to answer the last one
            self._kept = self.standing is Standing.KEEPING
        self.standing = Standing.ASKING
        return self._message(kept=self._kept)

    def heard_question(self, payload: bytes) -> bytes | None:
        """The answer to another daemon's question, if it is this one's to answer."""
        found = _read(payload)
        if found is None or found[0].instance == self._me.instance:
            return None
        other, message = found
        if self.standing is Standing.ASKING and self._rank(
            other, bool(message.get("kept"))
        ) < self._rank(self._me, self._kept):
            # Nothing to wait for: it may have come only now, and not have heard our question.
            self.standing, self.other = Standing.REFUSED, other
        if self.standing is Standing.REFUSED:
            return None
        return self._message(to=other.instance)

    def heard_answer(self, payload: bytes) -> None:
        """Somebody keeps a device; it counts where it answers our question, however late: whoever
        gave it may have stood still until now, and does not know that we have taken the device."""
        found = _read(payload)
        if found is None or found[0].instance == self._me.instance:
            return
        if found[1].get("to") == self._me.instance:
            self.standing, self.other = Standing.REFUSED, found[0]

    def decide(self) -> None:
        """Nobody has answered in time: it is ours."""
        if self.standing is Standing.ASKING:
            self.standing, self.other = Standing.KEEPING, None

    @staticmethod
    def _rank(daemon: Daemon, kept: bool) -> tuple[bool, int, str]:
        """Of two that ask at once: whoever kept it, then the older one."""
        return (not kept, daemon.since_ms, daemon.instance)

    def _message(self, **more: object) -> bytes:
        return json.dumps({**asdict(self._me), **more}).encode()


def kept_before(question: bytes) -> bool:
    """Whether whoever asks this has kept the device until now."""
    found = _read(question)
    return found is not None and bool(found[1].get("kept"))


def _read(payload: bytes) -> tuple[Daemon, dict[str, object]] | None:
    """A daemon's message, or None for anything else."""
    if len(payload) > _BYTES_MAX:
        return None
    try:
        found = json.loads(payload)
        daemon = Daemon(
            _word(found["instance"]),
            _word(found["node"]),
            _word(found["host"]),
            int(found["pid"]),
            int(found["since_ms"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None
    return daemon, found


def _word(found: object) -> str:
    if isinstance(found, str) and 0 < len(found) <= 64 and found.isprintable():
        return found
    raise ValueError("no name")
