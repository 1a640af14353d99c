"""A session that the daemon runs, started and followed as one in the foreground: same output, keys
and exit codes.

The daemon drives the device; what happens to this process ends at most the session, never the
daemon. A session whose follower was killed goes on.
"""

import asyncio
import json
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from massager.api.client import ask, reason_of
from massager.cli.ending import exit_code_of
from massager.cli.foreground import request_of
from massager.cli.keys import Keys
from massager.cli.progress import KEYS, NO_KEYS
from massager.cli.reporters import REDRAW_S, Reporter, can_draw, reporter_for
from massager.errors import ExitCode, Refused, UsageError
from massager.runtime_dir import Owner
from massager.session.model import (
    Extend,
    HardStop,
    Pause,
    Request,
    Resume,
    SetIntensity,
    SoftStop,
    Start,
    StopReason,
)
from massager.snapshot import Snapshot

if TYPE_CHECKING:
    from massager.plan import Choice

SILENCE_S: Final = 5.0  # a session changes several times a second
CONNECTING_S: Final = 40.0  # the daemon tries for 15 s, and what it tries last may take a while

_SIGNALS: Final = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.TERMINATED,
}
_GONE: Final = (
    "the daemon is gone, and its device stops by itself within 2.5 s; or it has dropped this "
    "terminal, and the massage goes on (massager status, massager stop)"
)
_SILENT: Final = "the daemon does not answer; its device stops by itself within 2.5 s"
_LEFT: Final = "left before the device answered"
_FIELDS: Final = frozenset(field.name for field in fields(Snapshot))

Reply: TypeAlias = dict[str, Any]


def start_in_daemon(args: Namespace, choice: "Choice", owner: Owner) -> int:
    """The exit code of a session that `owner` runs. Raises UsageError or Refused: nothing began."""
    if args.speed != 1:
        raise UsageError("--speed is the daemon's here: massager serve --speed")
    if args.as_real:
        raise UsageError("--as-real is the daemon's here: as_real in its config")
    drawn = can_draw(sys.stdout) and not (args.json or args.quiet)
    keys = Keys.on_stdin() if drawn else None
    request = {
        "request": "start",
        "intensity": choice.intensity,
        "minutes": choice.massage_ms / 60_000,
        "warmup": choice.warmup_ms / 1000,
        "shape": choice.shape.value,
        "program": choice.program.name,
        "origin": "terminal",
    }
    facts = {
        "url": owner.device or "",
        **{key: request[key] for key in ("program", "intensity", "minutes", "shape")},
        "warmup_s": request["warmup"],
        "pid": owner.pid,
    }

    async def work(stack: ExitStack) -> ExitCode:
        if keys is not None:
            stack.enter_context(keys)
        try:
            reader, writer = await asyncio.open_unix_connection(owner.socket_path)
        except OSError:
            raise Refused(f"the daemon (process {owner.pid}) has just ended") from None
        first = await _speed_of(reader, writer)
        reporter = reporter_for(
            sys.stdout,
            {**facts, "speed": first},
            as_json=args.json,
            quiet=args.quiet,
            keys=NO_KEYS if keys is None else KEYS,
            speed=first,
            time_s=asyncio.get_running_loop().time,
        )
        follower = Follower(reader, writer, reporter, keys)
        return await follower.run(request, choice.intensity)

    with ExitStack() as stack, asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(work(stack))


def device_of(owner: Owner) -> Reply:
    """What the daemon tells of the device; nothing where it does not answer."""
    reply = ask([owner], {"request": "devices"}, SILENCE_S).get(owner, {})
    found = (each for each in reply.get("devices", ()) if each.get("name") == owner.name)
    return next(found, {})


class Follower:
    """One session of a daemon over one connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        reporter: Reporter,
        keys: Keys | None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._reporter = reporter
        self._keys = keys
        self._now = Snapshot("connecting")
        self._started = False
        self._signals = 0
        self._signal_code: ExitCode | None = None

    async def run(self, request: Mapping[str, object], intensity: int) -> ExitCode:
        """From the request to the exit code."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup stays nohup
                loop.add_signal_handler(number, self._on_signal, number)
        if self._keys is not None:
            loop.add_reader(self._keys.fd, self._on_keys)
        self._now = Snapshot("connecting", intensity=intensity)
        self._send(request)
        await self._listen()
        self._writer.close()
        code = self._signal_code or exit_code_of(self._now)
        self._reporter.ended(self._now, code)
        return code

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        heard_s = loop.time()
        line = asyncio.ensure_future(self._reader.readline())
        while self._now.phase != "ended":
            self._reporter.show(self._now)
            if self._reporter.broken and self._now.phase != "stopping":
                self._send({"request": "stop"})
                self._now = replace(self._now, phase="stopping")
            await asyncio.wait({line}, timeout=REDRAW_S)
            if self._signals > 2:
                self._end(StopReason.EMERGENCY, _LEFT)
            elif line.done():
                heard_s = loop.time()
                self._take(_line_of(line))
                line = asyncio.ensure_future(self._reader.readline())
            elif loop.time() - heard_s > (SILENCE_S if self._started else CONNECTING_S):
                self._end(StopReason.FAULT, _SILENT)
        line.cancel()

    def _take(self, data: bytes) -> None:
        if not data:
            self._end(StopReason.FAULT, _GONE)
            return
        reply: Reply = json.loads(data)
        if reply.get("ok"):
            is_answer = reply.get("stage") is None
            if is_answer and not self._started:
                self._started = True
                self._send({"request": "status", "watch": True})
            if self._started or reply.get("stage") == "ended":
                self._now = _snapshot(reply["session"])
        elif "refusal" in reply["error"]:
            reason = StopReason(reply["error"].get("reason", StopReason.REFUSED))
            self._end(reason, reason_of(reply).removeprefix("the device was not reached: "))
        else:
            self._reporter.refused(reason_of(reply))

    def _end(self, reason: StopReason, detail: str) -> None:
        self._now = replace(
            self._now,
            phase="ended",
            reason=reason.value,
            detail=detail,
            output_permille=None,
            output_confirmed=False,
        )

    def _send(self, request: Mapping[str, object]) -> None:
        self._writer.write(json.dumps(request).encode() + b"\n")

    # --- signals and keys ------------------------------------------------------------------------

    def _on_signal(self, number: signal.Signals) -> None:
        self._signals += 1
        is_ctrl_c = number == signal.SIGINT
        if self._signals == 1:
            if self._now.phase not in ("stopping", "ended"):
                self._signal_code = _SIGNALS[number]
            self._send({"request": "stop"})
            again = "Ctrl-C again" if is_ctrl_c else f"{number.name} again"
            self._reporter.note(f"Stopping softly. {again}: emergency stop.")
        elif self._signals == 2:
            self._signal_code = _SIGNALS[number]
            self._send({"request": "stop", "now": True})
            self._reporter.note("Emergency stop. Once more: leave without waiting for the device.")

    def _on_keys(self) -> None:
        assert self._keys is not None
        try:
            for key in self._keys.read():
                request = request_of(key, self._now)
                if request is not None:
                    self._send(words_of(request))
        except EOFError:
            asyncio.get_running_loop().remove_reader(self._keys.fd)


def words_of(request: Request) -> dict[str, object]:
    """The request to the socket that means the same."""
    match request:
        case SoftStop():
            return {"request": "stop"}
        case HardStop():
            return {"request": "stop", "now": True}
        case Pause():
            return {"request": "pause"}
        case Resume():
            return {"request": "resume"}
        case SetIntensity(intensity):
            return {"request": "intensity", "intensity": intensity}
        case Extend(more_ms):
            return {"request": "extend", "minutes": more_ms / 60_000}
        case Start():
            raise ValueError("a start is no key")


def _snapshot(session: Reply) -> Snapshot:
    return Snapshot(**{name: value for name, value in session.items() if name in _FIELDS})


def _line_of(line: "asyncio.Future[bytes]") -> bytes:
    try:
        return line.result()
    except (OSError, ValueError):
        return b""


async def _speed_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """How fast the daemon's devices run; it answers before anything is begun."""
    writer.write(b'{"request": "status"}\n')
    try:
        line = await asyncio.wait_for(reader.readline(), SILENCE_S)
        return int(json.loads(line)["owner"]["speed"])
    except (TimeoutError, OSError, ValueError, KeyError):
        raise Refused(f"the daemon does not answer (asked by process {os.getpid()})") from None
