"""Commands to a session that runs already: pause, resume, intensity, extend, status.

They ask the process that runs it; none of them touches the device.
"""

import json
import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from typing import Any, Final

from massager.api.client import Conversation, Reply, ask, reason_of
from massager.errors import ExitCode, Refused, SessionFailed, UsageError
from massager.limits import EXTEND_MAX_MIN, INTENSITY_MAX, INTENSITY_MIN
from massager.runtime_dir import Owner, owners

ANSWER_S: Final = 1.0
_DEVICES: Final = {"request": "devices"}

AT_REST: Final = ("idle", "ended")
NO_DAEMON: Final = "no daemon of yours runs; start one: massager serve"
NOTHING_RUNS: Final = "no session of yours runs; start one: massager start"


def add_pid(parser: ArgumentParser) -> None:
    """`[--pid PID] [--name NAME]`."""
    parser.add_argument("--pid", metavar="PID", type=_pid, help="which session, where several run")
    parser.add_argument(
        "--name", metavar="NAME", help="which device of the daemon, where it has several"
    )


def add_intensity(parser: ArgumentParser) -> None:
    """`N [--pid PID]`."""
    parser.add_argument(
        "intensity",
        metavar="N",
        type=_intensity,
        help=f"{INTENSITY_MIN} to {INTENSITY_MAX}; raising is slow, lowering is quick",
    )
    add_pid(parser)


def add_extend(parser: ArgumentParser) -> None:
    """`MIN [--pid PID]`."""
    parser.add_argument(
        "minutes",
        metavar="MIN",
        type=_minutes,
        help=f"minutes more, whole or half, up to {EXTEND_MAX_MIN:g}; 10 min of massage at most",
    )
    add_pid(parser)


def add_status(parser: ArgumentParser) -> None:
    """`[--watch] [--json] [--pid PID]`."""
    parser.add_argument("--watch", action="store_true", help="follow it until it ends")
    parser.add_argument(
        "--json", action="store_true", help="print JSON; with --watch, an object at each change"
    )
    add_pid(parser)


def run_arm(args: Namespace) -> int:
    """3 where no daemon runs."""
    reply = _ask_one(args, {"request": "arm"}, where=Owner.takes_starts)
    until = str(reply.get("armed_until", ""))[11:16]
    _say(f"Armed: the next start from afar may begin a session, once, until {until}.")
    return ExitCode.OK


def run_pause(args: Namespace) -> int:
    """3 where it was refused, with the reason; so do the next three."""
    _ask_one(args, {"request": "pause"})
    _say("Paused: it falls to 0 and waits 5 minutes. Go on with: massager resume")
    return ExitCode.OK


def run_resume(args: Namespace) -> int:
    """Go on."""
    _ask_one(args, {"request": "resume"})
    _say("Going on, from the gentlest.")
    return ExitCode.OK


def run_intensity(args: Namespace) -> int:
    """Another intensity."""
    _ask_one(args, {"request": "intensity", "intensity": args.intensity})
    _say(f"Intensity {args.intensity}.")
    return ExitCode.OK


def run_extend(args: Namespace) -> int:
    """More minutes."""
    session = _ask_one(args, {"request": "extend", "minutes": args.minutes}).get("session", {})
    left = f"; {_clock(session['time_left_ms'])} left" if session.get("time_left_ms") else ""
    _say(f"{args.minutes:g} min more{left}.")
    return ExitCode.OK


def run_status(args: Namespace) -> int:
    """0 also where nothing runs; 5 where an owner does not answer, or not with its status."""
    asked = _chosen(args)
    if args.watch:
        from massager.cli.status_watch import watch

        owner = _only(_in_session(asked))
        if owner is None:
            raise Refused(NOTHING_RUNS)
        return watch(Conversation([owner], {"request": "status", "watch": True}), args.json)
    answers = ask([each for each in asked if each.name is None], {"request": "status"}, ANSWER_S)
    answers |= ask([each for each in asked if each.name is not None], _DEVICES, ANSWER_S)
    hung = [owner for owner in owners(os.environ) if owner in asked and owner not in answers]
    found = {owner: reply for owner, reply in answers.items() if reply.get("ok")}
    refusals = {owner: reason_of(answers[owner]) for owner in sorted(answers) if owner not in found}
    if args.json:
        sessions = [_json_of(owner, reply) for owner, reply in sorted(found.items())]
        sessions += [
            {"pid": owner.pid, "url": owner.device, "answers": True, "error": reason}
            for owner, reason in refusals.items()
        ]
        sessions += [{"pid": owner.pid, "url": owner.device, "answers": False} for owner in hung]
        _say(json.dumps({"sessions": sessions}))
    else:
        for owner, reply in sorted(found.items()):
            _say(_in_words(owner, reply))
        if not answers and not hung:
            _say(
                "No session of yours runs. Start one: massager start; "
                "look at a device: massager devices"
            )
    for owner in hung:
        sys.stderr.write(f"massager: {_silence(owner)}\n")
    for owner, reason in refusals.items():
        sys.stderr.write(f"massager: process {owner.pid} does not tell its status: {reason}\n")
    return ExitCode.FAILED if hung or refusals else ExitCode.OK


# --- whom to ask --------------------------------------------------------------------------------


def _ask_one(
    args: Namespace,
    request: Mapping[str, object],
    where: Callable[[Owner], bool] | None = None,
) -> Reply:
    """The answer of the only session, or of the only device `where` it holds.

    Raises Refused, with the reason, and SessionFailed.
    """
    if where is None:
        owner = _only(_in_session(_chosen(args)))
    else:
        owner = _only([each for each in _chosen(args) if where(each)])
    if owner is None:
        raise Refused(NOTHING_RUNS if where is None else NO_DAEMON)
    conversation = Conversation([owner], request)
    if not conversation.owners:
        raise Refused(NOTHING_RUNS)
    for _, reply in conversation.answers(time.monotonic() + ANSWER_S):
        if reply is None:
            break
        conversation.close()
        if not reply.get("ok"):
            raise Refused(reason_of(reply))
        return reply
    conversation.close()
    raise SessionFailed(_silence(owner))


def _chosen(args: Namespace) -> list[Owner]:
    return [
        owner
        for owner in owners(os.environ)
        if args.pid in (None, owner.pid) and args.name in (None, owner.name)
    ]


def _in_session(asked: list[Owner]) -> list[Owner]:
    """Without the devices of a daemon that rest; whoever does not tell may be in a session."""
    resting = [owner for owner in asked if owner.name is not None]
    answers = ask(resting, {"request": "status"}, ANSWER_S) if resting else {}
    return [
        owner
        for owner in asked
        if (answers.get(owner, {}).get("session") or {}).get("phase") not in AT_REST
    ]


def _only(asked: list[Owner]) -> Owner | None:
    """The one owner that lives; UsageError where several do."""
    if len(asked) > 1:
        conversation = Conversation(asked, {"request": "status"})
        conversation.close()
        asked = conversation.owners
    if len(asked) > 1:
        names = ", ".join(f"{owner.name or owner.pid} ({owner.device})" for owner in asked)
        flags = sorted({"--pid" if owner.name is None else "--name" for owner in asked})
        raise UsageError(f"several sessions run; say which with {' or '.join(flags)}: {names}")
    return asked[0] if asked else None


def _silence(owner: Owner) -> str:
    return (
        f"process {owner.pid} ({owner.command or 'unknown'}), which drives "
        f"{owner.device or 'an unknown device'}, does not answer. Its device stops by itself "
        f"within 2.5 s; end the process with: kill -9 {owner.pid}"
    )


# --- words ------------------------------------------------------------------------------------


def _in_words(owner: Owner, reply: Reply) -> str:
    session = reply["session"]
    if owner.name is not None and session["phase"] in AT_REST:
        return _at_rest(owner, reply)
    simulated = " (simulated)" if session["simulated"] else ""
    device = f"{session['device'] or owner.device}{simulated}"
    what = f"{session['phase'].capitalize().replace('-', ' ')} on {device}"
    if owner.name is not None:
        what = f"{owner.name}: {what}"
    if session["reason"]:
        what += f" ({session['reason']})"
    if session["program"]:
        what += f": {session['program']}, intensity {session['intensity']}"
    if session.get("lowered_by"):
        what += f" ({session['lowered_by']})"
    if session["time_left_ms"] is not None:
        what += f", {_clock(session['time_left_ms'])} left"
    if session["gives_up_in_ms"] is not None:
        what += f", ends by itself in {_clock(session['gives_up_in_ms'])}"
    if session["device"] is None:
        return f"{what}. Process {owner.pid}."
    output = session["output_permille"]
    now = "unknown" if output is None else f"{output} ‰"
    return (
        f"{what}.\n  Setpoint {session['setpoint_permille']} ‰, output {now}. "
        f"Motor on for {_clock(session['motor_on_ms'])}. Process {owner.pid}."
    )


def _at_rest(owner: Owner, reply: Reply) -> str:
    """A device of a daemon between two sessions."""
    device = _kept(owner, reply)
    if device is None:
        return f"{owner.name}: at rest. Process {owner.pid}."
    found = device["connection"]
    if device["device"] is not None:
        found += f" ({device['device']}{', simulated' if device['simulated'] else ''})"
    reason = f": {device['reason']}" if device["reason"] else ""
    lines = [f"{owner.name}: at rest, {found}{reason}. Process {owner.pid}."]
    session = reply["session"]
    if session["phase"] == "ended":
        lines.append(f"  The last session ended: {session['reason']}.")
    lines += [
        f"  Latched: {what}: {todo}; then: massager clear" for what, todo in device["latched"]
    ]
    return "\n".join(lines)


def _kept(owner: Owner, reply: Reply) -> dict[str, Any] | None:
    """What a daemon tells of this one of its devices."""
    devices: list[dict[str, Any]] = reply.get("devices", [])
    return next((device for device in devices if device["name"] == owner.name), None)


def _json_of(owner: Owner, reply: Reply) -> dict[str, Any]:
    device = _kept(owner, reply)
    kept = {}
    if device is not None:
        kept = {key: device[key] for key in ("name", "connection", "latched")}
        kept["connection_reason"] = device["reason"]
    return {
        "pid": owner.pid,
        **kept,
        "url": reply["owner"]["device"],
        "speed": reply["owner"]["speed"],
        "since": reply["owner"]["since"],
        "answers": True,
        **reply["session"],
    }


def _clock(span_ms: int) -> str:
    seconds = round(span_ms / 1000)
    return f"{seconds // 60}:{seconds % 60:02d}"


def _pid(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) < 2**22 + 1):
        raise UsageError(f"--pid is the number of a process, not {text[:40]!r}")
    return int(text)


def _intensity(text: str) -> int:
    if not (text.isascii() and text.isdigit() and INTENSITY_MIN <= int(text[:9]) <= INTENSITY_MAX):
        raise UsageError(
            f"intensity is a whole number from {INTENSITY_MIN} to {INTENSITY_MAX}, "
            f"not {text[:40]!r}"
        )
    return int(text)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes <= EXTEND_MAX_MIN or minutes * 2 != int(minutes * 2):
        raise UsageError(
            f"extend takes whole or half minutes up to {EXTEND_MAX_MIN:g}, not {text[:40]!r}"
        )
    return minutes


def _say(text: str) -> None:
    from massager.cli.drawing import draws_blocks, in_ascii

    sys.stdout.write((text if draws_blocks(sys.stdout) else in_ascii(text)) + "\n")
