"""How a session ended: the exit code of each reason, and the sentences for the person. Pure."""

from typing import Final

from massager.cli.drawing import clock
from massager.errors import ExitCode
from massager.session_model import StopReason
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
NOTHING_MOVED: Final = "Nothing was sent that moves the motor."

_LATCHED: Final = "It stays latched in the device: clear it with `massager clear`"
_SENTENCES: Final = {
    StopReason.COMPLETED: "The session is complete.",
    StopReason.REQUESTED: "The session was stopped.",
    StopReason.EMERGENCY: f"Emergency stop. {_LATCHED} once all is well.",
    StopReason.FEET_REMOVED: "The session ended because the feet stayed away for 5 minutes.",
    StopReason.NO_FEET: "The session never began: no feet came onto the sensor.",
    StopReason.PAUSED_TOO_LONG: "The session ended because the pause lasted 5 minutes.",
    StopReason.LEASE_EXPIRED: "The session ended: the device heard nothing for too long and "
    "stopped by itself.",
    StopReason.LINK_LOST: "The session ended because the link to the device was lost. "
    "Look after the cable or the network.",
    StopReason.OVERHEATED: f"The session ended because the motor is too hot. {_LATCHED} "
    "when it has cooled down.",
    StopReason.STALLED: "The session ended because the motor does not turn. Take away what "
    f"blocks it. {_LATCHED}.",
    StopReason.RUN_LIMIT: "The session ended at the device's own limit for one run. "
    "It rests for a minute.",
    StopReason.SITTING_LIMIT: "The session ended softly at the limit of 13 minutes for one "
    "sitting. Rest for 10 minutes.",
    StopReason.HOST_SUSPENDED: "The session ended because this computer was suspended.",
    StopReason.HOST_STALLED: "The session ended because this computer was too slow to keep time.",
    StopReason.DEVICE_RESTARTED: "The session ended because the device restarted. "
    "Look after its power supply.",
    StopReason.TAKEN_OVER: "The session ended because another controller took the device.",
    StopReason.SHUTDOWN: "The session was stopped because this program had to end.",
    StopReason.FAULT: "The session ended because of a fault.",
    StopReason.REFUSED: "The session was refused.",
    StopReason.NO_HANDSHAKE: "No massager was reached.",
    StopReason.WRONG_DEVICE: "This is not the device that may be driven.",
}


def exit_code_of(ended: Snapshot) -> ExitCode:
    """What the process returns; a stop that the device did not confirm is no success."""
    code = EXIT_CODES[StopReason(ended.reason or "")]
    if code is ExitCode.OK and ended.device is not None and not ended.output_confirmed:
        return ExitCode.FAILED
    return code


def closing_lines(ended: Snapshot) -> list[str]:
    """Why it ended and what to do; what is known of the motor now; how long it ran."""
    reason = StopReason(ended.reason or "")
    sentence = _with_detail(_SENTENCES[reason], (ended.detail or "").rstrip("."))
    lines = [sentence, motor_line(ended)]
    if ended.motor_on_ms:
        ran = clock(ended.motor_on_ms / 1000)
        lines.append(f"It ran for {ran}, at {ended.highest_output_permille} ‰ at most.")
    return lines


def _with_detail(sentence: str, detail: str) -> str:
    if not detail:
        return sentence
    if sentence.count(". "):  # more than one sentence: the detail belongs to the first
        return sentence.replace(". ", f" ({detail}). ", 1)
    return f"{sentence[:-1]}: {detail}."


def motor_line(ended: Snapshot) -> str:
    """What is known of the motor after the end."""
    if ended.output_confirmed:
        return CONFIRMED
    if ended.device is None and ended.reason != StopReason.EMERGENCY:
        return NOTHING_MOVED
    if ended.reason == StopReason.TAKEN_OVER:
        return "The other controller drives the motor now; `massager stop` there stops it."
    return UNKNOWN
