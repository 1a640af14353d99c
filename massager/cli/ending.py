"""How a session ended: the exit code of each reason, and the sentences for the person. Pure."""

from typing import Final

from massager.cli.drawing import clock
from massager.errors import ExitCode
from massager.session.model import MOTOR_MOVES, StopReason
from massager.snapshot import Snapshot

EXIT_CODES: Final = {
    StopReason.COMPLETED: ExitCode.OK,
    StopReason.REQUESTED: ExitCode.OK,
    StopReason.EMERGENCY: ExitCode.OK,
    StopReason.REFUSED: ExitCode.REFUSED,
    StopReason.NO_HANDSHAKE: ExitCode.NO_DEVICE,
    StopReason.WRONG_DEVICE: ExitCode.NO_DEVICE,
    StopReason.FEET_REMOVED: ExitCode.FAILED,
    StopReason.NO_FEET: ExitCode.FAILED,
    StopReason.PAUSED_TOO_LONG: ExitCode.FAILED,
    StopReason.LEASE_EXPIRED: ExitCode.FAILED,
    StopReason.LINK_LOST: ExitCode.FAILED,
    StopReason.OVERHEATED: ExitCode.FAILED,
    StopReason.STALLED: ExitCode.FAILED,
    StopReason.RUN_LIMIT: ExitCode.FAILED,
    StopReason.SITTING_LIMIT: ExitCode.FAILED,
    StopReason.HOST_SUSPENDED: ExitCode.FAILED,
    StopReason.HOST_STALLED: ExitCode.FAILED,
    StopReason.DEVICE_RESTARTED: ExitCode.FAILED,
    StopReason.TAKEN_OVER: ExitCode.FAILED,
    StopReason.SHUTDOWN: ExitCode.FAILED,  # a signal has its own exit code
    StopReason.FAULT: ExitCode.FAILED,
}

CONFIRMED: Final = "The motor is off (the device confirmed it)."
UNKNOWN: Final = (
    "Whether the motor is off is unknown: the device did not confirm it. "
    "If it still moves, pull the plug."
)
MOVES: Final = "The motor is not off, though its output is 0."
NOTHING_MOVED: Final = "Nothing was sent that moves the motor."

_LATCHED: Final = "It stays latched in the device until `massager clear`."
# What happened, with room for the detail behind it; and what to do.
_WORDS: Final = {
    StopReason.COMPLETED: ("The session is complete", ""),
    StopReason.REQUESTED: ("The session was stopped", ""),
    StopReason.EMERGENCY: ("Emergency stop", _LATCHED),
    StopReason.FEET_REMOVED: ("The session ended because the feet stayed away", ""),
    StopReason.NO_FEET: ("The session did not begin", ""),
    StopReason.PAUSED_TOO_LONG: ("The session ended because of the long pause", ""),
    StopReason.LEASE_EXPIRED: ("The device stopped by itself because it heard nothing", ""),
    StopReason.LINK_LOST: ("The link to the device was lost", "Check the cable or the network."),
    StopReason.OVERHEATED: ("The session ended", _LATCHED),
    StopReason.STALLED: ("The session ended", _LATCHED),
    StopReason.RUN_LIMIT: ("The device ended the session", "It rests for a minute."),
    StopReason.SITTING_LIMIT: (
        "The session ended softly at the limit of 13 minutes for one sitting",
        "Rest for 10 minutes.",
    ),
    StopReason.HOST_SUSPENDED: ("The session ended for safety", ""),
    StopReason.HOST_STALLED: ("The session ended for safety", "Close what keeps it busy."),
    StopReason.DEVICE_RESTARTED: ("The session ended", "Check the device's power supply."),
    StopReason.TAKEN_OVER: ("The session ended", ""),
    StopReason.SHUTDOWN: ("The session was stopped because this program had to end", ""),
    StopReason.FAULT: ("The session ended because of a fault", ""),
    StopReason.REFUSED: ("The session was refused", ""),
    StopReason.NO_HANDSHAKE: ("No massager was reached", ""),
    StopReason.WRONG_DEVICE: ("This is not the device that may be driven", ""),
}
_NEEDS_MORE: Final = (
    "The session ended",
    "The session ended for safety",
    "The session did not begin",
)


def exit_code_of(ended: Snapshot) -> ExitCode:
    """What the process returns; a stop that the device did not confirm is no success."""
    code = EXIT_CODES[StopReason(ended.reason or "")]
    if code is ExitCode.OK and ended.device is not None and not ended.output_confirmed:
        return ExitCode.FAILED
    return code


def closing_lines(ended: Snapshot, url: str) -> list[str]:
    """Why it ended and what to do; what is known of the motor now; how long it ran.

    `url` is the device's: what is latched in a device of this process (`sim:`) ends with it.
    """
    lines = [_why(ended, url), motor_line(ended)]
    if ended.motor_on_ms:
        ran = clock(ended.motor_on_ms / 1000)
        lines.append(f"It ran for {ran}, at {ended.highest_output_permille} ‰ at most.")
    return lines


def _why(ended: Snapshot, url: str) -> str:
    reason = StopReason(ended.reason or "")
    what, advice = _WORDS[reason]
    if ended.detail:
        what = f"{what}: {ended.detail.rstrip('.')}"
    elif what in _NEEDS_MORE:
        what = f"{what}: {reason}"
    if advice == _LATCHED and (not ended.output_confirmed or url.startswith("sim:")):
        advice = ""  # nobody knows, or it is gone
    return f"{what}. {advice}".rstrip()


def motor_line(ended: Snapshot) -> str:
    """What is known of the motor after the end."""
    if ended.output_confirmed:
        return CONFIRMED
    if ended.detail == MOTOR_MOVES:
        return MOVES
    if ended.device is None and ended.reason != StopReason.EMERGENCY:
        return NOTHING_MOVED
    if ended.reason == StopReason.TAKEN_OVER:
        return "The other controller drives the motor now; `massager stop` there stops it."
    return UNKNOWN
