"""The lines between a running controller and whoever asks it."""

import json
from dataclasses import fields

import pytest

from massager.api.messages import (
    ArmRequest,
    BadRequest,
    ClearRequest,
    DevicesRequest,
    Done,
    Owner,
    SessionRequest,
    StartRequest,
    StopRequest,
    as_dict,
    line_of,
    parse_request,
)
from massager.session.model import Extend, HardStop, Pause, Resume, SetIntensity, SoftStop
from massager.snapshot import Snapshot
from massager.strict_json import NotOneObject, read_object

GOOD = [
    (b'{"request": "stop"}', SoftStop()),
    (b'{"request": "stop", "now": false}', SoftStop()),
    (b'{"request": "stop", "now": true}', HardStop()),
    (b'{"request": "pause"}', Pause()),
    (b'{"request": "resume"}', Resume()),
    (b'{"request": "intensity", "intensity": 1}', SetIntensity(1)),
    (b'{"request": "intensity", "intensity": 10}', SetIntensity(10)),
    (b'{"request": "extend", "minutes": 0.5}', Extend(30_000)),
    (b'{"request": "extend", "minutes": 5}', Extend(300_000)),
]


@pytest.mark.parametrize(("line", "event"), GOOD)
def test_a_request_is_one_json_object_and_means_one_thing(line: bytes, event: object) -> None:
    request = parse_request(line)

    assert isinstance(request, SessionRequest)
    assert request.event() == event


def test_what_only_a_daemon_does_is_read_as_strictly() -> None:
    start = parse_request(b'{"request": "start", "intensity": 6, "minutes": 8, "program": "deep"}')
    assert isinstance(start, StartRequest)
    assert (start.intensity, start.minutes, start.warmup, start.program) == (6, 8.0, None, "deep")
    assert isinstance(parse_request(b'{"request": "clear"}'), ClearRequest)
    assert isinstance(parse_request(b'{"request": "arm"}'), ArmRequest)
    assert isinstance(parse_request(b'{"request": "devices"}'), DevicesRequest)


BAD = [
    b'{"request": "start", "intensity": 11}',
    b'{"request": "start", "intensity": 6.5}',
    b'{"request": "start", "minutes": 11}',
    b'{"request": "start", "minutes": NaN}',
    b'{"request": "start", "program": "../deep"}',
    b'{"request": "start", "origin": "mqtt"}',
    b'{"request": "start", "at": "now"}',
    b"",
    b"pause",
    b"[]",
    b'"pause"',
    b"\xff\xfe",
    b'{"request": "dance"}',
    b'{"request": 1}',
    b"{}",
    b'{"request": "pause", "now": true}',
    b'{"request": "pause", "request": "resume"}',
    b'{"request": "intensity"}',
    b'{"request": "intensity", "intensity": 0}',
    b'{"request": "intensity", "intensity": 11}',
    b'{"request": "intensity", "intensity": 3.0}',
    b'{"request": "intensity", "intensity": "3"}',
    b'{"request": "intensity", "intensity": true}',
    b'{"request": "intensity", "intensity": NaN}',
    b'{"request": "extend", "minutes": 0}',
    b'{"request": "extend", "minutes": -1}',
    b'{"request": "extend", "minutes": 0.7}',
    b'{"request": "extend", "minutes": 5.5}',
    b'{"request": "extend", "minutes": Infinity}',
    b'{"request": "extend", "minutes": 1e999}',
    b'{"request": "status", "watch": 1}',
    b'{"request": "status"} {"request": "status"}',
    b"[" * 1_000,
]


@pytest.mark.parametrize("line", BAD, ids=lambda line: line[:50].decode("ascii", "replace"))
def test_whatever_is_not_exactly_a_request_is_refused_in_one_printable_line(line: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_request(line)

    assert str(caught.value).isprintable()
    assert str(caught.value)


def test_a_request_of_1024_bytes_is_read_and_one_byte_more_is_not() -> None:
    request = b'{"request": "pause"}'

    assert parse_request(request.ljust(1_024)).request == "pause"
    with pytest.raises(BadRequest, match="at most 1024 bytes"):
        parse_request(request.ljust(1_025))


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b'{"request": "stop", "because": "tingling"}', SoftStop()),
        (b'{"request": "stop", "now": 1}', HardStop()),
        (b'{"request": "stop", "now": null}', SoftStop()),
    ],
)
def test_a_stop_is_taken_whatever_else_stands_in_it(
    line: bytes, event: SoftStop | HardStop
) -> None:
    request = parse_request(line)

    assert isinstance(request, StopRequest)
    assert request.event() == event


def test_an_answer_is_one_line_with_every_field_of_the_snapshot() -> None:
    owner = Owner(pid=7, name=None, device="sim:", speed=1, since="2026-01-31T22:00:00+01:00")
    shown = Snapshot("massage", 5_000, device="foot-1", output_permille=None)

    line = line_of(Done(ok=True, stage="ended", owner=owner, session=as_dict(shown)))

    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    answer = json.loads(line)
    assert answer["ok"] is True
    assert answer["stage"] == "ended"
    assert answer["owner"]["pid"] == 7
    assert set(answer["session"]) == {field.name for field in fields(Snapshot)}
    assert answer["session"]["output_permille"] is None
    assert Snapshot(**answer["session"]) == shown


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_python_takes_for_a_number_and_json_does_not_is_refused(word: str) -> None:
    with pytest.raises(NotOneObject, match=f"{word} is no number"):
        read_object(f'{{"minutes": {word}}}'.encode(), 100, "a request")
