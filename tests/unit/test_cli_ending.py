"""How a session ended: exit codes and the sentences for the person."""

import pytest

from massager.cli.ending import closing_lines, exit_code_of
from massager.session.model import StopReason
from massager.snapshot import Snapshot

# The promise to scripts, restated: every reason has exactly one exit code.
CODES = {
    "completed": 0,
    "requested": 0,
    "emergency": 0,
    "refused": 3,
    "no handshake": 4,
    "wrong device": 4,
    "feet removed": 5,
    "no feet": 5,
    "paused too long": 5,
    "lease expired": 5,
    "link lost": 5,
    "overheated": 5,
    "stalled": 5,
    "run limit": 5,
    "sitting limit": 5,
    "host suspended": 5,
    "host stalled": 5,
    "device restarted": 5,
    "taken over": 5,
    "shutdown": 5,
    "fault": 5,
}

DEVICE = "serial:/dev/ttyUSB0"


def ended(reason: str, **known: object) -> Snapshot:
    """A session that ended on a device."""
    given = {"device": "foot-1", "output_confirmed": True, **known}
    return Snapshot("ended", 60_000, reason=reason, **given)  # type: ignore[arg-type]


def test_every_stop_reason_has_an_exit_code() -> None:
    assert {reason.value for reason in StopReason} == set(CODES)


@pytest.mark.parametrize(("reason", "code"), CODES.items())
def test_the_exit_code_tells_the_kind_of_the_end(reason: str, code: int) -> None:
    assert exit_code_of(ended(reason)) == code


@pytest.mark.parametrize("reason", ["completed", "requested", "emergency"])
def test_a_stop_that_the_device_did_not_confirm_is_no_success(reason: str) -> None:
    assert exit_code_of(ended(reason, output_confirmed=False)) == 5


@pytest.mark.parametrize("reason", CODES)
def test_every_end_is_told_in_whole_sentences_with_what_is_known_of_the_motor(reason: str) -> None:
    lines = closing_lines(ended(reason, motor_on_ms=65_000, highest_output_permille=412), DEVICE)

    assert lines[1:] == [
        "The motor is off (the device confirmed it).",
        "It ran for 1:05, at 412 ‰ at most.",
    ]
    assert all(line.endswith(".") and line[0].isupper() for line in lines)


@pytest.mark.parametrize("reason", sorted(set(CODES) - {"taken over"}))
def test_off_is_never_said_where_the_device_did_not_confirm_it(reason: str) -> None:
    text = " ".join(closing_lines(ended(reason, output_confirmed=False), DEVICE))

    assert "unknown" in text
    assert "pull the plug" in text
    assert "The motor is off" not in text


def test_a_motor_that_moves_though_its_output_is_0_is_told() -> None:
    detail = "the motor moves though it is switched off: pull the plug"

    lines = closing_lines(ended("fault", detail=detail, output_confirmed=False), DEVICE)

    assert lines == [
        f"The session ended because of a fault: {detail}.",
        "The motor is not off, though its output is 0.",
    ]


def test_a_session_that_never_reached_a_device_says_that_nothing_was_sent() -> None:
    lines = closing_lines(ended("no handshake", device=None, output_confirmed=False), DEVICE)

    assert lines == ["No massager was reached.", "Nothing was sent that moves the motor."]


def test_an_emergency_stop_before_the_device_answered_is_not_called_harmless() -> None:
    lines = closing_lines(ended("emergency", device=None, output_confirmed=False), DEVICE)

    assert "pull the plug" in lines[1]


def test_an_emergency_stop_says_how_the_latch_is_taken_back() -> None:
    assert "massager clear" in closing_lines(ended("emergency"), DEVICE)[0]


def test_the_detail_joins_the_first_sentence() -> None:
    refused = ended("refused", detail="the device rests; try again in 40 s")
    overheated = ended("overheated", detail="the motor is too hot; let it cool.")

    assert closing_lines(refused, DEVICE)[0] == (
        "The session was refused: the device rests; try again in 40 s."
    )
    assert closing_lines(overheated, DEVICE)[0] == (
        "The session ended: the motor is too hot; let it cool. "
        "It stays latched in the device until `massager clear`."
    )


def test_without_a_detail_the_reason_itself_is_said() -> None:
    assert closing_lines(ended("device restarted"), DEVICE)[0].startswith(
        "The session ended: device restarted."
    )


def test_a_latch_is_promised_only_where_the_device_confirmed_it() -> None:
    assert "latched" not in closing_lines(ended("emergency", output_confirmed=False), DEVICE)[0]


@pytest.mark.parametrize("url", ["sim:", "sim:?seed=7"])
@pytest.mark.parametrize("reason", ["emergency", "stalled", "overheated"])
def test_no_latch_is_promised_in_a_device_that_ended_with_this_process(
    reason: str, url: str
) -> None:
    text = " ".join(closing_lines(ended(reason), url))

    assert "latched" not in text
    assert "The motor is off" in text
    assert "latched" in " ".join(closing_lines(ended(reason), "tcp://foot:3333"))
