"""Requests to the simulator: what is understood and what is refused; the docs agree."""

from pathlib import Path
from typing import Any

import pytest

from simulator.commands import SPECS, BadRequest, markdown_table, table, understand
from simulator.control import ControlSocket

GUIDE = Path(__file__).parents[2] / "docs" / "SIMULATOR.md"


def test_defaults_are_filled_in() -> None:
    request = understand({"fault": "delay", "ms": 30})
    assert (request.verb, request.value) == ("fault", "delay")
    assert dict(request.arguments) == {"ms": 30, "jitter_ms": 0, "direction": "both"}


@pytest.mark.parametrize(
    ("request_", "explanation"),
    [
        ([], "no JSON object"),
        ("get", "no JSON object"),
        ({}, "exactly one of"),
        ({"get": "status", "feet": True}, "exactly one of"),
        ({"get": "weather"}, '"get" is \'weather\'; it must be one of "status", "trace"'),
        ({"get": ["status"]}, "it must be one of"),
        ({"get": "status", "please": 1}, "'please' is not a key"),
        ({"fault": "drop"}, '"rate" is missing; it must be a number from 0 to 1'),
        ({"fault": "drop", "rate": 1.01}, "a number from 0 to 1"),
        ({"fault": "drop", "rate": -0.01}, "a number from 0 to 1"),
        ({"fault": "drop", "rate": float("nan")}, "a number from 0 to 1"),
        ({"fault": "drop", "rate": float("inf")}, "a number from 0 to 1"),
        ({"fault": "drop", "rate": True}, "a number from 0 to 1"),
        ({"fault": "drop", "rate": "0.5"}, "a number from 0 to 1"),
        ({"fault": "drop", "rate": 10**400}, "a number from 0 to 1"),
        ({"fault": "delay", "ms": 1.5}, "a whole number from 0 to 10000"),
        ({"fault": "delay", "ms": 10_001}, "a whole number from 0 to 10000"),
        ({"fault": "drop", "rate": 0.5, "direction": "sideways"}, '"down" or "up" or "both"'),
        ({"fault": "unplug"}, "a whole number from 0 to 600000"),
        ({"get": "trace", "last": 0}, "a whole number from 1 to 1000"),
        ({1: 2}, "exactly one of"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_range(
    request_: object, explanation: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        understand(request_)
    assert explanation in str(refused.value)


@pytest.mark.parametrize(
    ("line", "explanation"),
    [
        (b'{"fault": "none", "fault": "hang"}', "more than once"),
        (b'{"fault": "drop", "rate": NaN}', "NaN is no number"),
        (b'{"fault": "drop", "rate": -Infinity}', "-Infinity is no number"),
        (b'{"fault": "drop", "rate": 1e999}', "a number from 0 to 1"),
        (b"[" * 1000, "no JSON"),
        (b"\xff", "no JSON"),
        (b"{", "no JSON"),
        (b" " * 1025, "at most 1024 bytes"),
    ],
)
def test_a_line_that_is_no_request_is_answered_with_an_error(line: bytes, explanation: str) -> None:
    def understood(request: object) -> dict[str, Any]:
        try:
            understand(request)
        except BadRequest as error:
            return {"ok": False, "error": str(error)}
        return {"ok": True}

    answer = ControlSocket(Path("unused"), understood).answer(line)
    assert answer["ok"] is False
    assert explanation in answer["error"]
    assert len(answer["error"]) < 500


def test_the_guide_has_the_table_of_requests_as_it_is() -> None:
    assert markdown_table() in GUIDE.read_text("utf-8")


def test_help_and_guide_name_every_request() -> None:
    for spec in SPECS:
        assert spec.example in table()
        assert spec.example in markdown_table()
