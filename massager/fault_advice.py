"""What each latched fault means to a person, and what to do about it. Words only."""

from typing import Final

from firmware_protocol.messages import Fault

_ADVICE: Final[dict[Fault, tuple[str, str]]] = {
    Fault.STUCK_ON: (
        "the motor moved though it was switched off",
        "pull the plug if it still moves; have the device repaired",
    ),
    Fault.OVER_TEMPERATURE: (
        "the motor was too hot",
        "let it cool for a quarter of an hour, and keep its vents free",
    ),
    Fault.STALL: (
        "the motor did not turn though it was driven",
        "look what blocks it, and take the weight off",
    ),
    Fault.OVER_CURRENT: (
        "the motor drew too much current",
        "take the weight off; if it comes back, have the device looked at",
    ),
    Fault.SENSOR: (
        "a sensor is missing, stuck or out of its range",
        "check the cables inside the device",
    ),
    Fault.INTERNAL: (
        "the device's own checks failed",
        "switch the device off and on; if it comes back, do not use it",
    ),
    Fault.EMERGENCY_STOP: (
        "somebody pressed the emergency stop",
        "make sure that the reason for it is gone",
    ),
}


def advice(faults: int) -> list[tuple[str, str]]:
    """(what happened, what to do) for each bit that is set, the most urgent first."""
    known = [text for fault, text in _ADVICE.items() if faults & fault]
    unknown = faults & ~sum(_ADVICE)
    if unknown:
        known.append(
            (f"a fault this program does not know (0x{unknown:04x})", "bring massager up to date")
        )
    return known
