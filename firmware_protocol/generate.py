"""Writes what is made from `messages.py`, `limits.py` and the vectors: SPEC.md's tables and C.

    python -m firmware_protocol.generate            write
    python -m firmware_protocol.generate --check    write nothing; exit 1 where something differs

A table stands between `<!-- generated: NAME -->` and `<!-- end -->`. Another output is one more
`Output`: a file, and a function from its present text to what it should be. The C header is one
only in a checkout: an installed package has no firmware beside it.
"""

import argparse
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntFlag
from functools import partial
from pathlib import Path
from struct import calcsize
from types import ModuleType
from typing import Any, Final, NamedTuple

from firmware_protocol import generate_c, limits, messages
from firmware_protocol.comments import ENUMERATIONS, Words, constants, kebab, meanings
from firmware_protocol.messages import FINGERPRINT, FROZEN_TYPES, MESSAGES, Field, Layout

_HERE: Final = Path(__file__).parent
_MARKED: Final = re.compile(
    r"(<!-- generated: (?P<name>[a-z0-9-]+) -->\n).*?(<!-- end -->)", re.DOTALL
)
_WIDTHS: Final = {"B": "u8", "H": "u16", "I": "u32", "h": "i16", "8s": "8 bytes"}

Row = tuple[object, ...]


class Output(NamedTuple):
    """A file and how its text is made from its present text."""

    path: Path
    render: Callable[[str], str]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m firmware_protocol.generate")
    parser.add_argument(
        "--check", action="store_true", help="write nothing, exit 1 on a difference"
    )
    if parser.parse_args(arguments).check:
        differing = drifted(OUTPUTS)
        for path in differing:
            sys.stderr.write(f"{path.name} differs; run python -m firmware_protocol.generate\n")
        return 1 if differing else 0
    write(OUTPUTS)
    return 0


def drifted(outputs: Iterable[Output]) -> list[Path]:
    """The files that are not what `write` would make them."""
    return [output.path for output in outputs if _old(output) != output.render(_old(output))]


def write(outputs: Iterable[Output]) -> None:
    """Write every file that differs."""
    for output in outputs:
        text = output.render(_old(output))
        if text != _old(output):
            output.path.write_bytes(text.encode("utf-8"))


def filled(text: str) -> str:
    """`text` with every marked table made anew. Raises KeyError for a name that is no table."""
    return _MARKED.sub(lambda found: found[1] + TABLES[found["name"]]() + found[3], text)


def _old(output: Output) -> str:
    return output.path.read_bytes().decode("utf-8") if output.path.exists() else ""


# --- tables ------------------------------------------------------------------------------------


def _table(head: Row, rows: Iterable[Row]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def _message_table() -> str:
    return _table(
        ("type", "name", "from", "payload, bytes", "frozen", "meaning"),
        (
            (
                f"`{layout.type_id:02X}`",
                layout.wire_name,
                "device" if layout.from_device else "host",
                layout.struct.size,
                "yes" if layout.type_id in FROZEN_TYPES else "",
                _first_sentence(layout.cls),
            )
            for layout in MESSAGES
        ),
    )


def _first_sentence(documented: Any) -> str:
    return (inspect.getdoc(documented) or "").split("\n")[0].rstrip(".")


def _field_table(layout: Layout) -> str:
    return _table(
        ("offset", "width", "field", "unit", "range", "meaning"), _field_rows(layout.fields)
    )


def _field_rows(fields: Iterable[tuple[str, Field]]) -> Iterator[Row]:
    offset = 0
    for name, field in fields:
        yield offset, _WIDTHS[field.code], f"`{name}`", field.unit, _range(field), field.meaning
        offset += calcsize("<" + field.code)


def _range(field: Field) -> str:
    unit = " characters" if field.code == "8s" else ""
    return f"{_number(field.low)}…{_number(field.high)}{unit}"


def _number(value: int) -> str:
    return f"{value:,}".replace("-", "−")


def _words_table(words: Words) -> str:
    meaning = meanings(words)
    if issubclass(words, IntFlag):
        bits = ((bit.bit_length() - 1, f"`{bit:04X}`", str(bit.name)) for bit in words)
        return _table(("bit", "mask", "name", "meaning"), ((*bit, meaning[bit[2]]) for bit in bits))
    return _table(
        ("value", "name", "meaning"), ((words[n].value, n, m) for n, m in meaning.items())
    )


def _reason_table() -> str:
    meaning = meanings(messages.Reason)
    return _table(
        ("value", "name", "the command was refused because", "`limit`"),
        (
            (reason.value, reason.name, *meaning[reason.name].split("; limit: "))
            for reason in messages.Reason
        ),
    )


def _constant_table(module: ModuleType) -> str:
    return _table(
        ("name", "value", "note"),
        ((f"`{name}`", _value(value), why) for name, value, why in constants(module)),
    )


def _value(value: int | tuple[int, ...]) -> str:
    return ", ".join(_number(item) for item in (value if isinstance(value, tuple) else (value,)))


def _fingerprint() -> str:
    return f"`{FINGERPRINT:08X}`\n"


def _schema() -> str:
    return f"```\n{messages.schema_text()}\n```\n"


def _examples() -> str:
    """Each message's first vector on both bearers."""
    vectors = json.loads((_HERE / "vectors" / "accept.json").read_text(encoding="utf-8"))
    by_name = {vector["name"]: vector for vector in vectors}
    return "\n".join(
        _example(by_name[f"{name}-stream"], by_name[f"{name}-datagram"])
        for name in (layout.wire_name.lower() for layout in MESSAGES)
    )


def _example(stream: dict[str, Any], datagram: dict[str, Any]) -> str:
    fields = ", ".join(f"{name} = {value}" for name, value in stream["fields"].items()) or "none"
    return (
        f"**{stream['message']}**: {stream['why']}.\n"
        f"Sequence {stream['sequence']}, token {stream['token']:04X}. Fields: {fields}.\n\n"
        f"```\nstream    {_spaced(stream['wire'])}\ndatagram  {_spaced(datagram['wire'])}\n```\n"
    )


def _spaced(digits: str) -> str:
    return bytes.fromhex(digits).hex(" ")


TABLES: Final[dict[str, Callable[[], str]]] = {
    "messages": _message_table,
    **{
        layout.wire_name.lower().replace("_", "-"): partial(_field_table, layout)
        for layout in MESSAGES
        if layout.fields
    },
    **{kebab(words): partial(_words_table, words) for words in ENUMERATIONS},
    "reason": _reason_table,
    "constants": lambda: _constant_table(limits),
    "fingerprint": _fingerprint,
    "schema": _schema,
    "examples": _examples,
}
_C_HEADER: Final = _HERE.parent / "firmware" / "core" / "protocol.h"
OUTPUTS: Final = (
    Output(_HERE / "SPEC.md", filled),
    *([Output(_C_HEADER, generate_c.header)] if _C_HEADER.parent.is_dir() else []),
)

if __name__ == "__main__":
    sys.exit(main())
