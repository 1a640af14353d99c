"""`massager stop`: stops every running session of this user, or the configured device.

Start-up is part of a stop's latency: where a controller runs, this needs only api/client.py.
"""

import os
import sys
import time
from argparse import ArgumentParser, Namespace
from typing import Final

from massager.api.client import Conversation, Reply
from massager.cli.saying import mend_streams, say
from massager.errors import ExitCode, MassagerError
from massager.runtime_dir import Owner, owners, same_device

ANSWER_S: Final = 1.0
CONFIRM_S: Final = 3.0
NOT_OFF: Final = "The motor is not off, though its output is 0: pull the plug."
# How the session's last words begin then; the constant itself would be a costly import.
_MOVES: Final = "the motor moves though it is switched off"


def add_arguments(parser: ArgumentParser) -> None:
    """`[--now] [--device URL] [--because WORD]`."""
    parser.add_argument(
        "--now",
        action="store_true",
        help="emergency stop: output 0 at once, latched in the device until `massager clear`",
    )
    parser.add_argument(
        "--device",
        metavar="URL",
        help="a device to send it to where no session of yours drives it (default: the "
        "configured device, where no session runs)",
    )

    parser.add_argument(
        "--because",
        metavar="WORD",
        help="what you felt (pain, tingling, shock, cramp …): noted after the stop, with advice",
    )


def run(args: Namespace) -> int:
    """0 once every motor is known to be off, 5 where one is not, 4 where no device was reached."""
    mend_streams()
    if not args.because:
        return _stop(args)
    try:
        code = _stop(args)
    except MassagerError as error:
        say(f"massager: {error}", sys.stderr)
        code = error.exit_code
    from massager.cli.because import note_because

    note_because(args.because)
    return code


def _stop(args: Namespace) -> int:
    conversation = Conversation(owners(os.environ), {"request": "stop", "now": args.now})
    driven = {same_device(owner.device or "") for owner in conversation.owners}
    code = _Stops(conversation, args.now).run() if driven else None
    if code is not None and (args.device is None or same_device(args.device) in driven):
        return code
    from massager.cli.stop_device import stop_device

    return stop_device(args) or code or ExitCode.OK


class _Stops:
    """What has become of each owner's stop."""

    def __init__(self, conversation: Conversation, now: bool) -> None:
        self._conversation = conversation
        self._word = "Emergency stop" if now else "Stopping"
        self._heard: set[Owner] = set()
        self._acknowledged: set[Owner] = set()
        self._off: dict[Owner, bool] = {}
        self._left: set[Owner] = set()  # in the middle of its stop
        self._sent: set[Owner] = set()  # daemons that knew of no session and asked the device
        self._unreached: set[Owner] = set()  # daemons that could not even do that

    def run(self) -> ExitCode:
        """Wait for the answers and say what came of it."""
        asked = self._conversation.owners
        began_s = time.monotonic()
        self._listen(began_s + ANSWER_S)
        if self._heard:
            self._listen(began_s + CONFIRM_S)
        self._conversation.close()
        for owner in asked:
            if owner not in self._off:
                self._complain(owner)
        if not all(self._off.get(owner) for owner in asked if owner not in self._unreached):
            return ExitCode.FAILED
        return ExitCode.NO_DEVICE if self._unreached else ExitCode.OK

    def _listen(self, until_s: float) -> None:
        if len(self._off) == len(self._conversation.owners):
            return
        for owner, reply in self._conversation.answers(until_s):
            if reply is not None:
                self._answered(owner, reply)
            elif owner not in self._off and owner in self._heard:
                self._left.add(owner)
            elif owner not in self._off and owner.has_left:
                self._off[owner] = True
                say(f"Process {owner.pid} had just ended its session by itself.")
            if len(self._off) == len(self._conversation.owners):
                return

    def _answered(self, owner: Owner, reply: Reply) -> None:
        session = reply.get("session")
        if not isinstance(session, dict):  # no answer that this version knows
            return
        self._heard.add(owner)
        if reply.get("stage") != "taken" and owner not in self._acknowledged:
            self._acknowledged.add(owner)
            say(f"{self._word}: {_device(session, reply)} (process {owner.pid}).")
        if owner.takes_starts() and session.get("phase") == "stopping":
            self._sent.add(owner)
        if reply.get("stage") == "ended":
            if owner.takes_starts() and _was_not_reached(session):
                self._unreached.add(owner)
                self._off[owner] = False
                say(f"massager: {session.get('detail')}. {_motor(False, False)}", sys.stderr)
                return
            confirmed = bool(session.get("output_confirmed"))
            nothing_moved = owner not in self._sent and _nothing_moved(session)
            self._off[owner] = confirmed or nothing_moved
            say(NOT_OFF if _moves(session) else _motor(confirmed, nothing_moved))

    def _complain(self, owner: Owner) -> None:
        if owner in self._acknowledged:
            problem = "has stopped it, but the device has not confirmed that its motor is off"
        elif owner in self._left:
            problem = "has left, and nobody knows whether its motor is off"
        elif owner in self._heard:
            problem = "goes on sending the stop, but the device does not answer"
        else:
            problem = "does not answer"
        end = "" if owner in self._heard else f" To end the process: kill -9 {owner.pid}"
        say(
            f"massager: process {owner.pid} ({owner.command or 'unknown'}), which drives "
            f"{owner.device or 'an unknown device'}, {problem}. The device stops by itself within "
            f"2.5 s once no setpoint reaches it. If it still moves, pull the plug.{end}",
            sys.stderr,
        )


def _device(session: dict[str, object], reply: Reply) -> object:
    """Its id, once it has told it, else its URL. (What the owner wrote down may be gone again.)"""
    owner = reply.get("owner")
    url = owner.get("device") if isinstance(owner, dict) else None
    return session.get("device") or url or "the device"


def _nothing_moved(session: dict[str, object]) -> bool:
    """A session that ended before it met its device; one that was left is of another phase."""
    return not session.get("device") and session.get("phase") == "ended"


def _was_not_reached(session: dict[str, object]) -> bool:
    """No session was there to be stopped, nor a device to be told."""
    return not session.get("device") and session.get("reason") == "no handshake"


def _moves(session: dict[str, object]) -> bool:
    """Whether the device has found that its motor does not obey."""
    return str(session.get("detail")).startswith(_MOVES)


def _motor(confirmed: bool, nothing_moved: bool) -> str:
    if confirmed:
        return "The motor is off (the device confirmed it)."
    if nothing_moved:
        return "Nothing had been sent that moves the motor."
    return "Whether the motor is off is unknown. If it still moves, pull the plug."
