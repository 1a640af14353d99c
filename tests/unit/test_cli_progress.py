"""The live picture: what stands in it, and that it fits."""

from datetime import UTC, datetime
from typing import Any

import pytest

from massager.cli.progress import KEYS, Look, draw
from massager.snapshot import Snapshot

EVENING = datetime(2026, 1, 31, 22, 30, tzinfo=UTC)


def massage(**other: Any) -> Snapshot:
    """Five minutes into a session of 9:40."""
    known: dict[str, Any] = {
        "device": "foot-1",
        "simulated": False,
        "program": "kneading",
        "intensity": 6,
        "setpoint_permille": 600,
        "output_permille": 580,
        "time_left_ms": 290_000,
        "time_total_ms": 580_000,
    }
    return Snapshot("massage", 290_000, **{**known, **other})


def picture(now: Snapshot, **look: Any) -> str:
    """The lines as one text."""
    return "\n".join(draw(now, Look(**look), EVENING))


def test_it_shows_phase_choice_device_both_levels_time_left_and_how_to_stop() -> None:
    assert draw(massage(), Look(width=80), EVENING) == [
        "Massage · intensity 6 · kneading · foot-1",
        "[" + "█" * 25 + "░" * 25 + "] 4:50 left, ends 22:34",
        "setpoint " + "█" * 30 + "░" * 20 + "  600 ‰",
        "output   " + "█" * 29 + "░" * 21 + "  580 ‰",
        "space pause   + - intensity   e 1 min more   q stop   x emergency stop",
    ]


def test_a_cap_stands_there_before_it_begins_and_while_it_lowers_the_intensity() -> None:
    ahead = picture(massage(cap_ahead="from 22:00 at most 3 (quiet hours)"))
    assert "From 22:00 at most 3 (quiet hours).\n" in ahead
    lowered = picture(massage(lowered_by="quiet hours from 22:00 to 07:00, 3 at most"))
    assert "Quiet hours from 22:00 to 07:00, 3 at most.\n" in lowered


@pytest.mark.parametrize("width", range(20, 121))
@pytest.mark.parametrize("blocks", [True, False])
def test_no_line_is_wider_than_the_terminal(width: int, blocks: bool) -> None:
    now = massage(program="a-program-of-forty-characters-in-its-name", output_permille=1000)

    lines = draw(now, Look(width=width, blocks=blocks), EVENING, message="x" * 300)

    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_every_key_stands_there_at_any_width(width: int) -> None:
    text = picture(massage(), width=width)

    assert all(key in text for key in KEYS)


def test_it_says_when_a_session_ends_by_the_clock_on_the_wall() -> None:
    assert "ends 22:30" in picture(massage(time_left_ms=20_000), width=80)
    assert "ends 22:31" in picture(massage(time_left_ms=600_000), width=80, speed=10)


def test_an_output_that_the_device_has_not_reported_is_unknown_and_not_zero() -> None:
    output = draw(massage(output_permille=None), Look(width=80), EVENING)[3]

    assert output == "output   " + "?" * 50 + " unknown"


def test_a_level_that_turns_the_motor_is_seen_however_small() -> None:
    assert "output   █░" in picture(massage(output_permille=1), width=80)
    assert "output   ░░" in picture(massage(output_permille=0), width=80)


def test_a_terminal_without_utf_8_gets_ascii_only() -> None:
    text = picture(massage(simulated=True), width=80, blocks=False)

    assert text.isascii()
    assert "600/1000" in text
    assert "foot-1 (simulated)" in text
    assert "?" not in text


def test_colours_are_off_unless_asked_for_and_never_change_the_text() -> None:
    plain = picture(massage(), width=60)
    coloured = picture(massage(), width=60, colour=True)

    assert "\x1b" not in plain
    for code in ("1", "2", "32", "0"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == plain


def test_a_pause_says_why_how_long_it_waits_and_how_to_go_on() -> None:
    paused = Snapshot(
        "paused",
        reason="feet lifted",
        device="foot-1",
        setpoint_permille=0,
        output_permille=0,
        time_left_ms=290_000,
        time_total_ms=580_000,
        gives_up_in_ms=252_000,
    )

    text = picture(paused, width=80)

    assert "feet lifted" in text
    assert "4:12" in text
    assert "space go on" in text
    assert "ends 22" not in text  # nobody knows when


def test_the_wait_for_feet_asks_for_them() -> None:
    waiting = Snapshot("preflight", device="foot-1", gives_up_in_ms=119_000)

    assert "Put your feet on the massager. It waits for 1:59 more." in picture(waiting)


def test_what_came_from_outside_cannot_move_the_cursor() -> None:
    lines = draw(massage(), Look(width=80), EVENING, message="\x1b[2J\x07 bell\u202e")

    assert all(line.isprintable() for line in lines)
