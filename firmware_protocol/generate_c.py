"""The same definition for C: the text of `firmware/core/protocol.h`."""

from collections.abc import Iterable, Iterator
from enum import IntFlag
from struct import calcsize
from typing import Final

from firmware_protocol import limits, messages
from firmware_protocol.comments import ENUMERATIONS, Words, constants, kebab, meanings
from firmware_protocol.messages import FINGERPRINT, MESSAGES, Layout

_HEAD: Final = """\
/* The protocol's numbers for C: ids, lengths, offsets, words, limits and the schema's fingerprint.
 *
 * Made from firmware_protocol/messages.py and firmware_protocol/limits.py by
 * `python -m firmware_protocol.generate`. Change those, never this file; a test compares them byte
 * for byte. Levels are per mille of the device's range, times are ms unless a name says otherwise.
 */
#ifndef MASSAGER_PROTOCOL_H
#define MASSAGER_PROTOCOL_H
"""
_TAIL: Final = "\n#endif\n"
_COLUMN: Final = 52  # where the values stand

_FINGERPRINT: Final = ("FINGERPRINT", f"0x{FINGERPRINT:08X}ul", "")
_BLANK: Final = ("", "", "")
Macro = tuple[str, str, str]  # name without the prefix, value, meaning


def header(_old: str = "") -> str:
    """The whole of protocol.h; nothing of its present text is kept."""
    parts = [
        ("messages: type, bytes of payload, offset of each field in the payload", _messages()),
        *((_title(words), _members(words)) for words in ENUMERATIONS),
        ("numbers that both sides obey", _numbers()),
        ("what stands for nothing", _nothings()),
        ("which tables this was made from: CRC-32 of the schema text", [_FINGERPRINT]),
    ]
    return _HEAD + "".join(_part(title, macros) for title, macros in parts) + _TAIL


def _part(title: str, macros: Iterable[Macro]) -> str:
    return f"\n/* {title} */\n\n" + "".join(_define(*macro) for macro in macros).rstrip() + "\n"


def _define(name: str, value: str, meaning: str) -> str:
    start = f"#define MASSAGER_{name} "
    comment = f" /* {meaning} */" if meaning else ""
    return f"{start:<{_COLUMN}}{value}{comment}\n" if name else "\n"


def _unsigned(value: int) -> str:
    """An `unsigned int` has 16 bits on some of the chips."""
    return f"{value}u" if value <= 0xFFFF else f"{value}ul"


def _bits(value: int) -> str:
    return f"0x{value:02X}u"


def _messages() -> Iterator[Macro]:
    for layout in MESSAGES:
        sender = "device" if layout.from_device else "host"
        yield f"TYPE_{layout.wire_name}", _bits(layout.type_id), f"from the {sender}"
        yield f"{layout.wire_name}_SIZE", _unsigned(layout.struct.size), ""
        yield from _fields(layout)
        yield _BLANK


def _fields(layout: Layout) -> Iterator[Macro]:
    offset = 0
    for name, field in layout.fields:
        meaning = f"{field.unit}: {field.meaning}" if field.unit else field.meaning
        yield f"{layout.wire_name}_{name.upper()}_AT", _unsigned(offset), meaning
        offset += calcsize("<" + field.code)


def _members(words: Words) -> Iterator[Macro]:
    write = _bits if issubclass(words, IntFlag) else _unsigned
    prefix = kebab(words).replace("-", "_").upper()
    for name, meaning in meanings(words).items():
        yield f"{prefix}_{name}", write(words[name]), meaning


def _title(words: Words) -> str:
    doc = (words.__doc__ or "").split("\n")[0].rstrip(".")
    return f"{words.__name__}: {doc[0].lower()}{doc[1:]}"


def _numbers() -> Iterator[Macro]:
    for name, value, why in constants(limits):
        if not isinstance(value, tuple):
            yield name, _unsigned(value), why


def _nothings() -> Iterator[Macro]:
    yield "FROM_DEVICE", _bits(messages.FROM_DEVICE), "bit 7 of the type"
    yield "NO_TOKEN", _unsigned(messages.NO_TOKEN), "no session"
    lowest = messages.NOT_MEASURED_TEMPERATURE + 1  # C has no literal for −32768 in 16 bits
    yield "TEMPERATURE_NOT_MEASURED", f"({lowest} - 1)", "in place of 0.1 °C"
    yield "CURRENT_NOT_MEASURED", _unsigned(messages.NOT_MEASURED_CURRENT), "in place of mA"
