"""The commands as a table, and what a wrong word gets for an answer."""

import argparse

import pytest

from massager.cli import main
from massager.cli.foreground import request_of
from massager.cli.parser import COMMANDS, build_parser, full_parser, parse
from massager.errors import UsageError
from massager.session.model import (
    Extend,
    HardStop,
    Pause,
    Request,
    Resume,
    SetIntensity,
    SoftStop,
)
from massager.snapshot import Snapshot


def test_every_command_of_the_table_has_arguments_and_something_to_run() -> None:
    parser = full_parser()
    names = [command.name for command in COMMANDS]

    assert names == [
        "start", "stop", "pause", "resume", "intensity", "extend", "status", "screening", "clear",
        "arm", "serve", "plan", "programs", "devices", "trace", "history", "ha", "config",
        "install-service", "remove-service", "completion",
    ]  # fmt: skip
    for name in names:
        with pytest.raises(SystemExit) as left:
            parser.parse_args([name, "--help"])
        assert left.value.code == 0


def test_the_help_names_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")

    code = main(["--help"])

    text = capsys.readouterr().out
    assert code == 0
    assert all(f"\n    {command.name} " in text for command in COMMANDS)


WRONG = [
    ([], "which command"),
    (["strat"], "did you mean start?"),
    (["xyzzy"], "there is no command 'xyzzy'"),
    (["--frob"], "required"),
    (["start", "--devise", "sim:"], "--devise"),
    (["start", "--dev", "sim:"], "--dev"),
    (["start", "--speed", "0"], "--speed is a whole number from 1 to 20, not '0'"),
    (["start", "--speed", "21"], "1 to 20"),
    (["start", "--speed", "2.5"], "1 to 20"),
    (["start", "--speed", "9" * 5_000], "1 to 20"),
    (["start", "--intensity", "11"], "--intensity is a whole number from 1 to 10, not '11'"),
    (["start", "--minutes", "4"], "--minutes is a number from 5 to 10, not '4'"),
    (["start", "--warmup", "121"], "--warmup is a number from 60 to 120, not '121'"),
    (["start", "--shape", "round"], "--shape is linear or hold, not 'round'"),
    (["intensity"], "N"),
    (["intensity", "0"], "1 to 10, not '0'"),
    (["intensity", "²"], "1 to 10"),
    (["extend", "0"], "whole or half minutes"),
    (["extend", "0.7"], "whole or half minutes"),
    (["extend", "nan"], "whole or half minutes"),
    (["extend", "6"], "up to 5"),
    (["pause", "--pid", "-1"], "--pid"),
    (["pause", "--pid", "x"], "--pid"),
]


@pytest.mark.parametrize(("words", "answer"), WRONG, ids=lambda part: " ".join(part)[:40])
def test_wrong_words_get_an_answer_that_helps_and_code_2(
    words: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words)

    assert answer in str(caught.value)
    assert main(words) == 2
    assert capsys.readouterr().out == ""


def test_only_the_chosen_commands_arguments_are_made() -> None:
    start = build_parser("start")

    assert start.parse_args(["start", "--quiet"]).quiet is True
    with pytest.raises(UsageError):
        build_parser("stop").parse_args(["start", "--quiet"])
    assert isinstance(start.parse_args(["start"]), argparse.Namespace)


KEYS = [
    (" ", "massage", Pause()),
    (" ", "paused", Resume()),
    ("+", "massage", SetIntensity(7)),
    ("=", "massage", SetIntensity(7)),
    ("-", "massage", SetIntensity(5)),
    ("_", "massage", SetIntensity(5)),
    ("e", "massage", Extend(60_000)),
    ("q", "massage", SoftStop()),
    ("x", "massage", HardStop()),
    ("q", "connecting", SoftStop()),
    ("z", "massage", None),
    ("\x1a", "massage", None),
]


@pytest.mark.parametrize(("key", "phase", "request_"), KEYS)
def test_a_key_asks_for_one_thing(key: str, phase: str, request_: Request | None) -> None:
    assert request_of(key, Snapshot(phase, intensity=6)) == request_


def test_intensity_keys_do_nothing_before_an_intensity_is_known() -> None:
    assert request_of("+", Snapshot("idle")) is None
