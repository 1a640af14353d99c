"""SPEC.md and protocol.h agree with the definition: byte for byte, examples frame by frame."""

import re
from collections.abc import Callable
from enum import IntEnum, IntFlag
from pathlib import Path
from zlib import crc32

import pytest

import firmware_protocol
from firmware_protocol import limits, messages
from firmware_protocol.codec import decode
from firmware_protocol.comments import meanings
from firmware_protocol.framing import DatagramFraming, Framing, StreamFraming
from firmware_protocol.generate import (
    OUTPUTS,
    TABLES,
    Output,
    drifted,
    filled,
    main,
    write,
)
from firmware_protocol.generate_c import header
from firmware_protocol.messages import MESSAGES
from simulator.gate import Gate

SPEC = (Path(firmware_protocol.__file__).parent / "SPEC.md").read_text(encoding="utf-8")
BEARERS: dict[str, Callable[[], Framing]] = {"stream": StreamFraming, "datagram": DatagramFraming}
EXAMPLES = re.findall(r"^(stream|datagram) +((?:[0-9a-f]{2} ?)+)$", SPEC, re.MULTILINE)
RAW_EXAMPLES = re.findall(r"^raw +((?:[0-9a-f]{2} )+)", SPEC, re.MULTILINE)
ENUMERATIONS = [
    value
    for value in vars(messages).values()
    if isinstance(value, type)
    and issubclass(value, IntEnum | IntFlag)
    and value not in (IntEnum, IntFlag)
]


def test_the_specification_and_the_header_for_c_are_what_the_definition_makes() -> None:
    assert [output.path.name for output in OUTPUTS] == ["SPEC.md", "protocol.h"]
    assert drifted(OUTPUTS) == []
    assert filled(SPEC).encode() == OUTPUTS[0].path.read_bytes()


def test_every_table_stands_once_in_the_specification() -> None:
    assert sorted(re.findall(r"<!-- generated: (\S+) -->", SPEC)) == sorted(TABLES)
    assert SPEC.count("<!-- end -->") == len(TABLES)


def test_a_changed_table_is_noticed_and_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "SPEC.md"
    path.write_bytes(SPEC.replace("500…5,000", "500…9,000").encode())
    output = Output(path, filled)
    assert drifted([output]) == [path]
    write([output])
    assert path.read_bytes() == SPEC.encode()
    assert drifted([output]) == []


def test_a_file_that_is_not_there_is_noticed_and_written(tmp_path: Path) -> None:
    output = Output(tmp_path / "protocol.h", header)
    assert drifted([output]) == [output.path]
    write([output])
    assert output.path.read_bytes() == OUTPUTS[1].path.read_bytes()


def test_the_header_for_c_defines_every_name_once() -> None:
    names = re.findall(r"^#define (\w+)", header(), re.MULTILINE)
    assert len(names) == len(set(names)) > 150


def test_text_outside_the_tables_is_left_alone() -> None:
    text = "before\n<!-- generated: feet -->\nold\n<!-- end -->\nafter\n"
    new = filled(text)
    assert new.startswith("before\n<!-- generated: feet -->\n| value | name | meaning |\n")
    assert new.endswith("<!-- end -->\nafter\n")
    assert "old" not in new


def test_a_table_that_nobody_makes_is_an_error() -> None:
    with pytest.raises(KeyError, match="nonsense"):
        filled("<!-- generated: nonsense -->\n<!-- end -->\n")


def test_the_command_line_checks_without_writing() -> None:
    before = OUTPUTS[0].path.stat().st_mtime_ns
    assert main(["--check"]) == 0
    assert OUTPUTS[0].path.stat().st_mtime_ns == before


@pytest.mark.parametrize("enumeration", ENUMERATIONS)
def test_every_member_of_an_enumeration_says_what_it_means(
    enumeration: type[IntEnum] | type[IntFlag],
) -> None:
    assert list(meanings(enumeration)) == [member.name for member in enumeration]


def test_every_reason_says_what_its_limit_is() -> None:
    assert all(text.count("; limit: ") == 1 for text in meanings(messages.Reason).values())


def test_every_number_of_both_sides_is_in_the_specification() -> None:
    table = TABLES["constants"]()
    names = [name for name in vars(limits) if name.isupper()]
    assert len(names) > 30
    assert all(f"| `{name}` |" in table for name in names)


def test_the_fingerprint_is_the_crc_of_the_printed_schema() -> None:
    printed = TABLES["schema"]().removeprefix("```\n").removesuffix("\n```\n")
    (digits,) = re.findall(r"`([0-9A-F]{8})`", TABLES["fingerprint"]())
    assert crc32(printed.encode("ascii")) == int(digits, 16)


@pytest.mark.parametrize(("bearer", "digits"), EXAMPLES)
def test_every_frame_in_the_specification_is_accepted(bearer: str, digits: str) -> None:
    framing = BEARERS[bearer]()
    (raw,) = framing.receive(bytes.fromhex(digits))
    decode(raw)
    assert framing.bad_frames == 0
    assert framing.encode(raw) == bytes.fromhex(digits)


@pytest.mark.parametrize("digits", RAW_EXAMPLES)
def test_every_raw_frame_in_the_specification_is_a_message(digits: str) -> None:
    decode(bytes.fromhex(digits))


def test_the_specification_shows_every_message_on_both_bearers() -> None:
    shown = {
        (bearer, type(decode(BEARERS[bearer]().receive(bytes.fromhex(digits))[0])))
        for bearer, digits in EXAMPLES
    }
    assert shown == {(bearer, layout.cls) for bearer in BEARERS for layout in MESSAGES}


def test_no_hexadecimal_bytes_of_the_specification_escape_these_tests() -> None:
    """A row of bytes stands after `stream`, `datagram` or `raw`, or is named as a part."""
    rows = re.findall(r"^(\S+)  +(?:[0-9a-f]{2} ){4,}", SPEC, re.MULTILINE)
    assert set(rows) == {"stream", "datagram", "raw", "crc"}


def test_every_clause_has_its_own_number() -> None:
    numbers = re.findall(r"^\*\*(\d+\.\d+(?:\.\d+)?)\*\* ", SPEC, re.MULTILINE)
    assert len(numbers) > 60
    assert len(set(numbers)) == len(numbers)
    assert numbers == sorted(numbers, key=lambda number: [int(part) for part in number.split(".")])


def test_every_clause_that_is_named_exists() -> None:
    numbers = set(re.findall(r"^\*\*(\d+\.\d+(?:\.\d+)?)\*\* ", SPEC, re.MULTILINE))
    sections = set(re.findall(r"^## (\d+)\. ", SPEC, re.MULTILINE))
    named = re.findall(r"\((?:see )?(\d+\.\d+(?:\.\d+)?)\)", SPEC)
    assert named
    assert set(named) <= numbers
    assert set(re.findall(r"section (\d+)", SPEC)) <= sections


def _section(number: int) -> str:
    return SPEC.split(f"\n## {number}. ")[1].split("\n## ")[0]


def test_the_worked_example_of_the_gate_is_what_a_gate_does() -> None:
    rows = re.findall(r"^\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|(.*)\|$", _section(8), re.MULTILINE)
    assert len(rows) == 17
    gate, now_ms = Gate(150), 0
    gate.follow(400)
    for row in rows:
        at_ms, ceiling, output = (int(number.replace(",", "")) for number in row[:3])
        gate.advance(at_ms - now_ms)
        now_ms = at_ms
        assert (gate.motion.ceiling, gate.motion.output) == (ceiling, output), at_ms
        applied = re.search(r"setpoint (\d+) ‰ applied", row[3])
        if applied:
            gate.follow(int(applied[1]))
        if "STOP applied" in row[3]:
            gate.fall(500)
    assert gate.motion.output == 0


def test_the_examples_on_the_ring_are_reckoned_right() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \| (\w+)", _section(6), re.MULTILINE)
    assert len(rows) == 8
    for last, sequence, ahead, judged in rows:
        assert (int(sequence) + 255 - int(last)) % 255 == int(ahead)
        expected = "a" if int(ahead) == 0 else "new" if int(ahead) <= 126 else "stale"
        assert judged == expected
