"""The daemon's log: one record is one line, and no password is in it."""

import io
import json
import logging
import sys

import pytest

from massager.daemon.log_lines import OneLine


def record(text: str, *args: object, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("massager", level, "file", 1, text, args, None)


@pytest.mark.parametrize(
    "hostile", ["a\nINFO b", "a\rb", "\x1b[2Jx", "a\u202eb", "a\u2028b", "a\0b", "\x85", "\ud800"]
)
def test_whatever_is_logged_is_one_line_of_printable_characters(hostile: str) -> None:
    line = OneLine().format(record("device %s", hostile))
    assert line.isprintable()
    assert len(json.loads(OneLine(as_json=True).format(record("device %s", hostile)))) == 3
    assert OneLine(as_json=True).format(record("device %s", hostile)).isascii()


def test_an_exception_is_one_line_too() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        failed = record("it failed")
        failed.exc_info = sys.exc_info()
    line = OneLine().format(failed)
    assert line.isprintable()
    assert "ValueError: first\\nsecond" in line


def test_a_password_is_never_written() -> None:
    for form in (OneLine(["hunter2"]), OneLine(["hunter2"], as_json=True)):
        assert "hunter2" not in form.format(record("mqtt://anna:%s@host", "hunter2"))


def test_a_flood_in_one_record_is_cut() -> None:
    assert len(OneLine().format(record("x" * 1_000_000))) < 4_100


def test_the_journal_gets_priorities_and_keeps_the_time_itself() -> None:
    form = OneLine(for_journal=True)
    assert form.format(record("a", level=logging.ERROR)) == "<3>a"
    assert form.format(record("a", level=logging.WARNING)) == "<4>a"
    assert form.format(record("a")) == "<6>a"
    assert form.format(record("a", level=logging.DEBUG)) == "<7>a"


def test_elsewhere_a_line_begins_with_time_and_level() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLine())
    handler.handle(record("ready"))
    at, level, text = stream.getvalue().split()
    assert at.startswith("20")
    assert (level, text) == ("INFO", "ready")
