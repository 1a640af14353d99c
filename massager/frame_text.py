"""Frames as text: one line a frame, for `massager trace`. Pure; told the bytes, opens nothing.

A trace shows what a device or a broker sends, whatever it is: everything that is not in SPEC.md's
table is shown as hex or escaped, so no control character reaches the terminal.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, Final, Literal

from firmware_protocol.codec import Header, decode_unchecked, header_of
from firmware_protocol.errors import RemoteProtocolError
from firmware_protocol.framing import cobs_decode, verify
from firmware_protocol.limits import PROTOCOL_MAJOR, WIRE_MAX_BYTES
from firmware_protocol.messages import (
    BY_CLASS,
    BY_TYPE,
    FROM_DEVICE,
    NOT_MEASURED_CURRENT,
    NOT_MEASURED_TEMPERATURE,
    Capability,
    EndReason,
    EventCode,
    Fault,
    Feet,
    Field,
    HelloFlag,
    Message,
    Reason,
    ResetCause,
    State,
    Status,
    word_of,
)

Direction = Literal["to", "from"]  # the device

SHOWN_BYTES: Final = WIRE_MAX_BYTES  # a longer line cannot be a frame; its beginning tells enough

_ARROWS: Final[dict[Direction, str]] = {"to": "→", "from": "←"}
_WORDS: Final[dict[str, type[IntEnum]]] = {
    "state": State,
    "end_reason": EndReason,
    "reason": Reason,
    "code": EventCode,
    "reset_cause": ResetCause,
    "feet": Feet,
}
_BITS: Final[dict[str, type[IntFlag]]] = {
    "flags": HelloFlag,
    "capabilities": Capability,
    "faults": Fault,
}
_HEX_DIGITS: Final = {"host_nonce": 8, "fingerprint": 8, "model": 4}
_NOT_MEASURED: Final = {
    "temperature_dc": NOT_MEASURED_TEMPERATURE,
    "current_ma": NOT_MEASURED_CURRENT,
}
_UNIT_ENDINGS: Final = ("_permille_s", "_permille", "_ms", "_s", "_dc", "_ma")


@dataclass(frozen=True, slots=True)
class Good:
    """A verified frame that SPEC.md knows."""

    header: Header
    message: Message


@dataclass(frozen=True, slots=True)
class Odd:
    """A verified frame that SPEC.md does not allow, or of another protocol major."""

    header: Header
    raw: bytes
    why: str


@dataclass(frozen=True, slots=True)
class Damaged:
    """Bytes between two delimiters (or one MQTT payload) that are no frame."""

    data: bytes
    size: int  # how many there were; `data` has at most the first SHOWN_BYTES
    why: str


Reading = Good | Odd | Damaged


class StreamReader:
    """Cuts a stream of bytes at its zero bytes and reads each piece; nothing is dropped silently.

    Like `framing.StreamFraming`, it keeps no more than one frame of what has not ended yet.
    """

    def __init__(self) -> None:
        self._partial = b""
        self._size = 0  # of the piece that has not ended, whatever was kept of it

    @property
    def is_inside(self) -> bool:
        """Whether bytes have come that have not ended yet."""
        return self._size > 0

    def receive(self, data: bytes) -> list[Reading]:
        """What has ended with `data`, in order."""
        *ended, rest = data.split(b"\0")
        readings = [reading for piece in ended if (reading := self._end(piece)) is not None]
        self._keep(rest)
        return readings

    def flush(self) -> list[Reading]:
        """The piece that has not ended, as damaged: for a line that sends no frames."""
        piece, size = self._partial, self._size
        self._partial, self._size = b"", 0
        return [Damaged(piece, size, "no end of a frame came")] if size else []

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        self._partial = (self._partial + piece[: SHOWN_BYTES + 1])[: SHOWN_BYTES + 1]

    def _end(self, piece: bytes) -> Reading | None:
        self._keep(piece)
        whole, size = self._partial, self._size
        self._partial, self._size = b"", 0
        if not size:
            return None
        try:
            raw = verify(cobs_decode(whole))
        except RemoteProtocolError as error:
            return Damaged(whole[:SHOWN_BYTES], size, str(error))
        return read_raw(raw)


def read_datagram(data: bytes) -> Reading:
    """One MQTT payload."""
    try:
        raw = verify(data)
    except RemoteProtocolError as error:
        return Damaged(data[:SHOWN_BYTES], len(data), str(error))
    return read_raw(raw)


def read_raw(raw: bytes) -> Reading:
    """A verified raw frame (header and payload)."""
    header = header_of(raw)
    try:
        return Good(header, decode_unchecked(raw))
    except RemoteProtocolError as error:
        why = str(error)
    if header.major != PROTOCOL_MAJOR:
        why = f"protocol major {header.major}; {why}"
    return Odd(header, raw, why)


def direction_of(reading: Reading) -> Direction | None:
    """What the type's bit 7 says; None for damaged bytes."""
    if isinstance(reading, Damaged):
        return None
    return "from" if reading.header.type_id & FROM_DEVICE else "to"


def line_of(reading: Reading, direction: Direction) -> str:
    """One line, without time stamp and newline: direction, name, sequence, token, fields."""
    arrow = _ARROWS[direction]
    match reading:
        case Good(header, message):
            head = _head(BY_CLASS[type(message)].wire_name, header)
            line = f"{arrow} {head}  {'  '.join(_fields_text(message))}".rstrip()
        case Odd(header, raw, why):
            known = BY_TYPE.get(header.type_id)
            name = known.wire_name if known else f"type 0x{header.type_id:02x}"
            line = f"{arrow} {_head(name, header)}  {raw.hex(' ')}  ({why})"
        case Damaged(data, size, why):
            more = f" … {size} bytes" if size > len(data) else ""
            line = f"{arrow} damaged     {data.hex(' ')}{more}  ({why})"
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


def record_of(reading: Reading, direction: Direction) -> dict[str, Any]:
    """The same as plain data for JSON: numbers in the wire's units, enumerations as words."""
    record: dict[str, Any] = {"direction": f"{direction} device"}
    match reading:
        case Good(header, message):
            record |= {"name": BY_CLASS[type(message)].wire_name, **_header_record(header)}
            record["fields"] = fields_of(message)
        case Odd(header, raw, why):
            known = BY_TYPE.get(header.type_id)
            record |= {"name": known.wire_name if known else None, **_header_record(header)}
            record |= {"hex": raw.hex(), "problem": why}
        case Damaged(data, size, why):
            record |= {"name": None, "hex": data.hex(), "bytes": size, "problem": why}
    return record


def fields_of(message: Message) -> dict[str, Any]:
    """A message's fields as plain data: numbers, words for enumerations, lists of words for bits,
    None for what the device does not measure."""
    layout = BY_CLASS[type(message)]
    values = layout.values(message)
    return {
        name: _plain(name, field, value)
        for (name, field), value in zip(layout.fields, values, strict=True)
    }


def bit_words(bits: type[IntFlag], value: int) -> list[str]:
    """The words of the bits that are set, in lower case; `bit 9` for one a later minor added."""
    names = {member.value: str(member.name).lower().replace("_", " ") for member in bits}
    set_bits = [1 << number for number in range(16) if value >> number & 1]
    return [names.get(bit, f"bit {bit.bit_length() - 1}") for bit in set_bits]


def _head(name: str, header: Header) -> str:
    major = "" if header.major == PROTOCOL_MAJOR else f"  major {header.major}"
    return f"{name:<10}  seq {header.sequence:<3}  token {header.token:04x}{major}"


def _header_record(header: Header) -> dict[str, Any]:
    return {
        "type": header.type_id,
        "major": header.major,
        "sequence": header.sequence,
        "token": header.token,
    }


def _fields_text(message: Message) -> list[str]:
    layout = BY_CLASS[type(message)]
    values = layout.values(message)
    return [
        f"{_label(name)} {_text(name, field, value, message)}"
        for (name, field), value in zip(layout.fields, values, strict=True)
    ]


def _label(name: str) -> str:
    """The field's name without its unit, which stands behind the value."""
    for ending in _UNIT_ENDINGS:
        if name.endswith(ending):
            name = name.removesuffix(ending)
            break
    return name.replace("_", " ")


def _plain(name: str, field: Field, value: Any) -> Any:
    if field.code.endswith("s"):
        return _device_id(value)
    if name in _NOT_MEASURED and value == _NOT_MEASURED[name]:
        return None
    if name in _BITS:
        return bit_words(_BITS[name], value)
    if name in _WORDS:
        return word_of(_WORDS[name], value).replace("_", " ")
    return value


def _text(name: str, field: Field, value: Any, message: Message) -> str:
    plain = _plain(name, field, value)
    if plain is None:
        return "not measured"
    if isinstance(plain, list):
        return " + ".join(plain) or "none"
    if name == "type" and value in BY_TYPE:
        return BY_TYPE[value].wire_name
    if name in _HEX_DIGITS:
        return f"0x{value:0{_HEX_DIGITS[name]}x}"
    if name == "temperature_dc" and isinstance(message, Status):
        return f"{message.temperature_c:g} °C"
    unit = "" if field.unit in ("", "enum", "bits", "ASCII") else f" {field.unit}"
    return f"{plain}{unit}"


def _device_id(raw: bytes) -> str:
    """As text where it is plain; a device that keeps no rules can send anything."""
    name = raw.rstrip(b"\0").decode("ascii", "backslashreplace")
    return name if name.isprintable() else ascii(name)[1:-1]
