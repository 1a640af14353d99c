"""What may be asked over MQTT, and whether it is fresh."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from massager.home_assistant.commands import (
    BadCommand,
    EmergencyStopCommand,
    PauseCommand,
    SetCommand,
    StartCommand,
    StopCommand,
    parse_command,
    parse_stop,
    schema,
)
from massager.home_assistant.replay import Freshness

AT = 1_795_000_000.25


def said(**table: Any) -> bytes:
    return json.dumps(table).encode()


def refused(payload: bytes) -> str:
    with pytest.raises(BadCommand) as caught:
        parse_command(payload)
    return str(caught.value)


def test_a_start_is_one_message() -> None:
    command = parse_command(
        said(action="start", at=AT, intensity=6, minutes=8, program="bedtime", id="night")
    )
    assert isinstance(command, StartCommand)
    assert (command.at, command.intensity, command.minutes) == (1_795_000_000_250, 6, 8)
    assert (command.warmup, command.program, command.id) == (None, "bedtime", "night")


def test_when_it_was_made_is_seconds_or_iso_with_an_offset() -> None:
    for at in (AT, "2026-11-18T11:06:40.25+00:00", "2026-11-18T12:06:40.250000+01:00"):
        command = parse_command(said(action="start", at=at))
        assert isinstance(command, StartCommand)
        assert command.at == 1_795_000_000_250


@pytest.mark.parametrize(
    "at", [None, True, "", "now", "20261118", "2026-11-18T11:06:40", -1, 1.8e12, [], "x" * 500]
)
def test_what_is_no_moment_is_refused(at: object) -> None:
    assert refused(said(action="start", at=at)).startswith("at is when it was made")


@pytest.mark.parametrize("more", [{}, {"at": AT}, {"at": 1.0}])
def test_a_pause_is_taken_with_its_moment_and_without(more: dict[str, float]) -> None:
    assert isinstance(parse_command(said(action="pause", **more)), PauseCommand)


def test_minutes_are_refused_with_the_range_of_their_own_command() -> None:
    assert refused(said(action="start", at=AT, minutes=10.5)) == (
        "minutes is a number from 5 to 10, in steps of 0.5"
    )
    assert refused(said(action="extend", at=AT, minutes=5.5)) == (
        "minutes is a number above 0 and up to 5, in steps of 0.5"
    )


def test_a_start_without_its_moment_is_refused_with_what_is_missing() -> None:
    assert refused(said(action="start")) == (
        "at is missing: when it was made, in seconds since 1970 or as ISO 8601 with an offset"
    )


@pytest.mark.parametrize("intensity", [0, 11, -1, 7.4, 6.0, "6", True, None, [6], 10**400])
def test_an_intensity_is_a_whole_number_from_1_to_10(intensity: object) -> None:
    why = refused(said(action="set", at=AT, intensity=intensity))
    assert why in ("intensity is a whole number from 1 to 10", "nothing to set: give intensity, "
                   "minutes, warmup or program")  # fmt: skip


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b" ", b"7.4", b"[1,2]", b"null", b'"start"', b"\xff\xfe", b"{", b"\0", b"NaN"),
        b'{"action":"start","at":NaN}',
        b'{"action":"start","at":1e999}',
        b'{"action":"start","at":1795000000,"at":1795000001}',
        b'{"action":"start","at":1795000000,"speed":20}',
        b'{"action":"start\\u0000","at":1795000000}',
        b'{"action":"start","at":1795000000,"program":"../x"}',
        b'{"action":"start","at":1795000000,"program":"a\\nb"}',
        b'{"action":"set","at":1795000000}',
        *(b"[" * 1024, b"{" + b" " * 1100 + b"}", b"9" * 1024, b"x" * 70_000),
    ],
)
def test_whatever_is_not_exactly_a_command_is_refused_in_one_line(payload: bytes) -> None:
    why = refused(payload)
    assert why
    assert why.isprintable()
    assert len(why) < 400


def test_more_than_1024_bytes_are_not_even_parsed() -> None:
    command = said(action="start", at=AT)
    parse_command(command[:-1] + b" " * (1024 - len(command)) + b"}")
    assert "at most 1024 bytes" in refused(command[:-1] + b" " * (1025 - len(command)) + b"}")


@pytest.mark.parametrize(
    "payload",
    [
        b'{"action":"stop"}',
        b'{"action":"stop","at":NaN}',
        b'{"action":"stop","now":1,"whatever":[]}',
        b'{"action":"stop","action":"stop"}',
        b'{"action":"stop", broken',
        b'{"action":"stop","id":"\\ud800"}',
        b'{"action":"stop"}' + b" " * 5000,
    ],
)
def test_a_stop_is_taken_whatever_stands_beside_it(payload: bytes) -> None:
    assert isinstance(parse_command(payload), StopCommand)


def test_anything_on_the_topic_of_stops_is_a_stop() -> None:
    for payload in (b"", b"stop", b"OFF", b"\xff", b"x" * 70_000, b'{"action":"start"}'):
        assert isinstance(parse_stop(payload), StopCommand)
    for payload in (b"emergency", b" Emergency_Stop ", b'"now"'):
        assert isinstance(parse_stop(payload), EmergencyStopCommand)


@given(st.binary(max_size=1200))
def test_no_bytes_raise_anything_else(payload: bytes) -> None:
    with suppress(BadCommand):
        parse_command(payload)


def test_the_schema_is_made_from_the_models() -> None:
    found = schema()
    actions = set(found["discriminator"]["mapping"])
    assert actions == {
        *("start", "set", "pause", "resume", "extend", "clear", "stop", "emergency_stop"),
    }
    start = found["$defs"]["StartCommand"]
    assert start["additionalProperties"] is False
    assert start["required"] == ["action", "at"]
    json.dumps(found)


# --- fresh -------------------------------------------------------------------------------------


def judge(freshness: Freshness, made: int, now: int, what: str = "x", is_set: bool = False) -> str:
    stale = freshness.judge(made, what, now, is_set=is_set)
    return "" if stale is None else stale.kind


def test_a_command_counts_for_5_seconds_and_may_be_5_seconds_ahead() -> None:
    for age, kind in ((0, ""), (5_000, ""), (5_001, "late"), (-5_000, ""), (-5_001, "ahead")):
        assert judge(Freshness(0), 100_000, 100_000 + age) == kind


def test_a_sender_whose_clock_is_off_is_told_by_how_much() -> None:
    stale = Freshness(0).judge(100_000, "x", 137_200, is_set=False)
    assert stale is not None
    assert "37.2 s behind" in stale.why
    stale = Freshness(0).judge(100_000, "x", 80_000, is_set=False)
    assert stale is not None
    assert "20.0 s in the future" in stale.why


def test_a_command_is_taken_once() -> None:
    freshness = Freshness(0)
    assert judge(freshness, 100_000, 100_000) == ""
    assert judge(freshness, 100_000, 100_100) == "seen"
    assert judge(freshness, 100_000, 104_999) == "seen"
    assert judge(freshness, 100_001, 104_999) == ""


def test_a_clock_that_is_set_back_does_not_make_a_command_new() -> None:
    freshness = Freshness(0)
    assert judge(freshness, 100_000, 100_000) == ""
    for number in range(400):
        assert judge(freshness, 3_700_000, 3_700_000, str(number)) == ""
    assert judge(freshness, 100_000, 100_000) == "seen"


def test_what_was_made_before_a_stop_or_before_the_daemon_is_too_old() -> None:
    freshness = Freshness(90_000)
    assert judge(freshness, 89_999, 91_000) == "before boot"
    freshness.stopped(100_000)
    assert judge(freshness, 99_999, 100_100) == "before stop"
    assert judge(freshness, 100_000, 100_100) == "before stop"
    assert judge(freshness, 100_001, 100_100) == ""


def test_where_the_clock_was_set_back_the_refusal_names_it_and_the_way_out() -> None:
    hour = 3_600_000
    for freshness, mark, now in (
        (Freshness(10 * hour), "it began to listen", 9 * hour + 60_000),
        (Freshness(0), "the last stop", 9 * hour + 60_000),
    ):
        freshness.stopped(10 * hour if mark == "the last stop" else 0)
        stale = freshness.judge(now, "x", now, is_set=False)
        assert stale is not None
        assert stale.why == (
            "the clock of this computer was set back: it shows a time 59 min before "
            f"{mark}, and takes commands again in 59 min; restart the daemon to have them at once"
        )
        stale = freshness.judge(10 * hour - 1, "x", 10 * hour, is_set=False)
        assert stale is not None
        assert "repeat it" in stale.why  # the clock is right, and the command is old


def test_a_setting_that_was_made_before_another_is_out_of_order() -> None:
    freshness = Freshness(0)
    assert judge(freshness, 100_010, 100_020, "8", is_set=True) == ""
    assert judge(freshness, 100_000, 100_030, "3", is_set=True) == "out of order"
    assert judge(freshness, 100_010, 100_030, "other program", is_set=True) == ""


def test_settings_can_be_told_by_what_they_set() -> None:
    command = parse_command(said(action="set", at=AT, minutes=7.5, program="deep"))
    assert isinstance(command, SetCommand)
    assert command.chosen() == {"minutes": 7.5, "program": "deep"}
