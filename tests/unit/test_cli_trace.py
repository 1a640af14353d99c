"""`massager trace` on a device in memory: what is asked, what is printed, when it ends."""

import asyncio
import json
from argparse import ArgumentParser, Namespace
from contextlib import aclosing

import pytest

from firmware_protocol.messages import GetStatus, Hello, Identity, Status
from massager.cli.trace import add_arguments, run
from massager.errors import UsageError
from massager.frame_text import Good
from massager.trace import Heard, trace
from massager.transports import Settings, parse_url


def arguments(*words: str) -> Namespace:
    parser = ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


async def overhear(seconds: float) -> list[tuple[float, Heard]]:
    """What is heard of a simulated device, with its virtual second."""
    loop = asyncio.get_running_loop()
    started, found = loop.time(), []
    async with aclosing(trace(parse_url("sim:"), Settings())) as frames:
        async for heard in frames:
            if loop.time() - started > seconds:
                break
            found.append((loop.time() - started, heard))
    return found


async def test_it_asks_who_is_there_and_then_once_a_second_for_the_status() -> None:
    found = await overhear(5.5)

    asked = [
        (at, type(heard.reading.message))
        for at, heard in found
        if heard.direction == "to" and isinstance(heard.reading, Good)
    ]
    assert [kind for _, kind in asked] == [Hello, *[GetStatus] * 5]
    assert [round(at, 1) for at, _ in asked] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


async def test_every_answer_is_heard() -> None:
    answers = [
        type(heard.reading.message)
        for _, heard in await overhear(3.5)
        if heard.direction == "from" and isinstance(heard.reading, Good)
    ]
    assert answers.count(Identity) == 1
    assert answers.count(Status) == 3


async def test_it_asks_only_to_identify_and_without_a_session() -> None:
    for _, heard in await overhear(3.5):
        if heard.direction == "to":
            assert isinstance(heard.reading, Good)
            assert heard.reading.header.token == 0
            if isinstance(heard.reading.message, Hello):
                assert heard.reading.message.flags == 1


def test_text_lines_carry_time_direction_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments("sim:", "--seconds", "0.2")) == 0

    captured = capsys.readouterr()
    first, second = captured.out.splitlines()[:2]
    assert first[:12].replace(":", "").replace(".", "").isdigit()
    assert " HELLO " in first
    assert " IDENTITY " in second
    assert "Ctrl-C ends it" in captured.err


def test_json_lines_are_one_object_a_frame(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments("sim:", "--seconds", "0.2", "--json")) == 0

    captured = capsys.readouterr()
    records = [json.loads(line) for line in captured.out.splitlines()]
    assert [record["name"] for record in records] == ["HELLO", "IDENTITY"]
    assert {"time", "direction", "sequence", "token", "fields"} <= records[0].keys()
    assert captured.err == ""


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e9", "soon", ""])
def test_a_time_out_of_range_is_refused_with_the_range(text: str) -> None:
    with pytest.raises(UsageError, match=r"0\.1 to 86400"):
        arguments("sim:", f"--seconds={text}")
