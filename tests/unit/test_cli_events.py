"""What `--json` and the plain lines tell of a session, from the records of it."""

import json
from typing import Any

import pytest

from massager.cli.events import Event, Events, ended, minute_line, refused, sentence_of
from massager.snapshot import Snapshot

FACTS: Event = {"program": "classic", "intensity": 6, "minutes": 8.0, "warmup_s": 90.0}
LEVELS: dict[str, Any] = {
    "device": "foot-1",
    "simulated": False,
    "program": "classic",
    "intensity": 6,
    "setpoint_permille": 150,
    "output_permille": 150,
    "time_left_ms": 500_000,
    "time_total_ms": 580_000,
}


def at(phase: str, at_ms: int, **other: Any) -> Snapshot:
    """A record of a session on foot-1."""
    return Snapshot(phase, at_ms, **{**LEVELS, **other})


def told(*records: Snapshot) -> list[Event]:
    """The events of a session with these records."""
    events = Events(FACTS)
    return [event for record in records for event in events.of(record)]


def names(*records: Snapshot) -> list[str]:
    """What kinds of events, without the status."""
    return [event["event"] for event in told(*records) if event["event"] != "status"]


def test_a_session_starts_once_the_device_is_known() -> None:
    events = told(Snapshot("idle"), Snapshot("connecting", 10), at("warm-up", 500))

    assert [event["event"] for event in events] == ["phase", "started", "phase", "status"]
    assert events[0]["phase"] == "connecting"
    assert events[1] == {"event": "started", "device": "foot-1", "simulated": False, **FACTS}
    assert events[2]["phase"] == "warm-up"


def test_each_phase_is_told_once() -> None:
    phases = ("preflight", "warm-up", "warm-up", "massage", "massage", "soft-end", "stopping")

    events = told(*(at(phase, number * 250) for number, phase in enumerate(phases)))

    assert [event["phase"] for event in events if event["event"] == "phase"] == [
        "preflight",
        "warm-up",
        "massage",
        "soft-end",
        "stopping",
    ]


def test_a_status_comes_at_most_once_in_a_second_of_the_session_with_every_field() -> None:
    events = told(*(at("massage", at_ms) for at_ms in range(0, 10_001, 250)))

    status = [event for event in events if event["event"] == "status"]
    assert [event["at_ms"] for event in status] == list(range(0, 10_001, 1_000))
    assert status[0]["setpoint_permille"] == 150
    assert status[0]["temperature_c"] is None


def test_a_pause_and_its_end_are_told_with_the_reason() -> None:
    events = told(
        at("massage", 0),
        at("paused", 250, reason="feet lifted"),
        at("paused", 500, reason="feet lifted"),
        at("paused", 750, reason="paused"),
        at("massage", 900),
    )

    told_of = [event for event in events if event["event"] in ("paused", "resumed")]
    assert told_of == [
        {"event": "paused", "reason": "feet lifted"},
        {"event": "paused", "reason": "paused"},
        {"event": "resumed"},
    ]


def test_a_pause_that_ends_over_a_new_handshake_is_resumed_once_it_moves_again() -> None:
    kinds = names(
        at("massage", 0),
        at("paused", 250, reason="link lost"),
        Snapshot("connecting", 500, intensity=6),
        at("massage", 750),
    )

    assert kinds == ["started", "phase", "paused", "phase", "resumed", "phase"]


def test_changes_by_a_person_are_told() -> None:
    events = told(
        at("massage", 0),
        at("massage", 250, intensity=7),
        at("massage", 500, intensity=7, time_total_ms=640_000),
        at("massage", 750, intensity=7, time_total_ms=640_000),
    )

    assert [event for event in events if event["event"] == "changed"] == [
        {"event": "changed", "intensity": 7},
        {"event": "changed", "time_total_ms": 640_000},
    ]


def test_a_cap_is_told_once_before_it_begins_and_when_it_lowers_the_intensity() -> None:
    why = "quiet hours from 22:00 to 07:00, 3 at most"
    ahead = "from 22:00 at most 3 (quiet hours)"
    seen = [
        at("massage", 0, cap_ahead=ahead),
        at("massage", 250, cap_ahead=ahead),
        at("massage", 500, intensity=3, lowered_by=why),
        at("massage", 750, intensity=3, lowered_by=why),
        at("massage", 900, intensity=2),
    ]

    told_of = [event for event in told(*seen) if event["event"] in ("notice", "changed")]
    assert told_of == [
        {"event": "notice", "text": ahead},
        {"event": "changed", "intensity": 3, "reason": why},
        {"event": "changed", "intensity": 2},
    ]
    assert [sentence_of(event, seen[-1]) for event in told_of] == [
        "From 22:00 at most 3 (quiet hours).",
        "Intensity 3: quiet hours from 22:00 to 07:00, 3 at most.",
        "Intensity 2.",
    ]


def test_the_end_carries_reason_seconds_highest_output_and_exit_code() -> None:
    over = Snapshot(
        "ended",
        580_000,
        reason="completed",
        detail="",
        motor_on_ms=579_960,
        highest_output_permille=612,
        output_confirmed=True,
    )

    assert told(over) == []
    assert ended(over, 0) == {
        "event": "ended",
        "reason": "completed",
        "detail": "",
        "seconds_run": 580.0,
        "highest_output_permille": 612,
        "output_confirmed": True,
        "exit_code": 0,
    }


def test_every_event_is_json() -> None:
    records = (at("warm-up", 0), at("paused", 1_000, reason="paused"), at("massage", 2_000))

    for event in (*told(*records), refused("no"), ended(Snapshot("ended"), 5)):
        assert json.loads(json.dumps(event)) == event


SENTENCES = [
    (at("preflight", 0), "phase", "Waiting for feet: put them on the massager"),
    (at("warm-up", 0), "phase", "Warm-up: 8:20 left."),
    (at("stopping", 0, reason="shutdown"), "phase", "Stopping (shutdown)."),
    (at("paused", 0, reason="paused", gives_up_in_ms=300_000), "paused", "in 5:00"),
    (at("paused", 0, reason="link lost"), "paused", "the link to the device is lost"),
    (at("massage", 0), "started", "8 min of massage after 90 s of warm-up. Stop it with Ctrl-C"),
]


@pytest.mark.parametrize(("now", "kind", "words"), SENTENCES)
def test_events_read_as_sentences(now: Snapshot, kind: str, words: str) -> None:
    event = next(event for event in told(now) if event["event"] == kind)

    sentence = sentence_of(event, now)

    assert sentence is not None
    assert words in sentence


def test_the_line_of_a_minute_tells_setpoint_and_output_apart() -> None:
    assert minute_line(at("massage", 0, output_permille=140)) == (
        "Massage: 8:20 left. Setpoint 150 ‰, output 140 ‰."
    )
    assert "output unknown" in minute_line(at("massage", 0, output_permille=None))
