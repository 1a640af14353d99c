"""The live picture of a session in a terminal, as lines of text. Pure: told width and time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from massager.cli.drawing import clock, in_ascii
from massager.cli.events import pause_hint, sentence, title_of
from massager.snapshot import Snapshot

KEYS: Final = (
    "space pause",
    "+ - intensity",
    "e 1 min more",
    "q stop",
    "x emergency stop",
)
NO_KEYS: Final = ("Ctrl-C stops", "twice: emergency stop")

_WIDTH_MIN: Final = 20
_BAR_MAX: Final = 50
_LEVEL_MAX: Final = 1000
_BOLD, _DIM, _GREEN, _YELLOW, _RED = "1", "2", "32", "33", "31"


@dataclass(frozen=True, slots=True)
class Look:
    """How the terminal may be drawn on. `speed` is the session's clock over the wall clock."""

    width: int = 80
    blocks: bool = True
    colour: bool = False
    speed: int = 1


def draw(
    now: Snapshot,
    look: Look,
    wall: datetime,
    *,
    keys: Iterable[str] = KEYS,
    message: str | None = None,
) -> list[str]:
    """The lines, at most `look.width` columns each; a width below 20 counts as 20."""
    width = max(look.width, _WIDTH_MIN)
    lines = [(_title(now, width), _BOLD)]
    if now.time_left_ms is not None and now.time_total_ms:
        lines.append((_time_bar(now, look, width, wall), ""))
    if now.device is not None:
        lines.append((_level("setpoint", now.setpoint_permille, look, width), _DIM))
        lines.append((_level("output", now.output_permille, look, width), _GREEN))
    lines += [(text, _YELLOW) for text in _packed(_hint(now, message).split(), width, " ")]
    if now.phase == "paused":
        keys = [key.replace("space pause", "space go on") for key in keys]
    lines += [(text, _DIM) for text in _packed(keys, width, "   ")]
    return [_painted(text, style, look, width) for text, style in lines]


def _title(now: Snapshot, width: int) -> str:
    parts = [title_of(now.phase)]
    if now.intensity is not None:
        parts.append(f"intensity {now.intensity}")
    if now.program is not None:
        parts.append(now.program)
    if now.device is not None:
        parts.append(now.device + (" (simulated)" if now.simulated else ""))
    while len(" · ".join(parts)) > width and len(parts) > 1:
        parts.pop()
    return " · ".join(parts)


def _time_bar(now: Snapshot, look: Look, width: int, wall: datetime) -> str:
    assert now.time_left_ms is not None
    assert now.time_total_ms is not None
    text = f" {clock(now.time_left_ms / 1000)} left"
    if now.phase in ("warm-up", "massage", "soft-end"):
        ends = wall + timedelta(milliseconds=now.time_left_ms / look.speed)
        text += f", ends {ends:%H:%M}"
    cells = min(width - len(text) - 2, _BAR_MAX)
    done = 1 - now.time_left_ms / now.time_total_ms
    return f"[{_bar(done, cells, look)}]{text}" if cells >= 5 else text.strip()


def _level(name: str, permille: int | None, look: Look, width: int) -> str:
    value = " unknown" if permille is None else f"{permille:>5} ‰"
    cells = min(width - 9 - (len(value) if look.blocks else 10), _BAR_MAX)
    if permille is None:
        return f"{name:<9}{'?' * cells}{value}"
    return f"{name:<9}{_bar(permille / _LEVEL_MAX, cells, look)}{value}"


def _bar(fraction: float, cells: int, look: Look) -> str:
    full = round(min(max(fraction, 0.0), 1.0) * cells)
    if fraction > 0 and full == 0 < cells:
        full = 1  # the least movement is seen
    solid, empty = ("█", "░") if look.blocks else ("#", ".")
    return solid * full + empty * (cells - full)


def _hint(now: Snapshot, message: str | None) -> str:
    if message:
        return message
    match now.phase:
        case "connecting":
            return "Looking for the device."
        case "preflight":
            left = clock((now.gives_up_in_ms or 0) / 1000)
            return f"Put your feet on the massager. It waits for {left} more."
        case "paused":
            return f"Paused: {pause_hint(now)}"
        case "stopping":
            return f"Stopping ({now.reason})."
        case _:
            cap = now.cap_ahead or now.lowered_by
            return sentence(cap) if cap else ""


def _packed(parts: Iterable[str], width: int, gap: str) -> list[str]:
    """The parts on as few lines as the width allows; one that is too long is cut."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(gap) + len(part) <= width:
            lines[-1] += gap + part
        else:
            lines.append(part)
    return lines


def _painted(text: str, style: str, look: Look, width: int) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    if not look.blocks:
        text = in_ascii(text)
    text = text[:width]
    return f"\x1b[{style}m{text}\x1b[0m" if look.colour and style else text
