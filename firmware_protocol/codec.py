"""Message ↔ raw frame (header | payload), with the length and range checks of the table.

SPEC.md, sections 3 and 4. Checks of meaning (session, sequence, state) are the device's and the
link's, not the codec's.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

from firmware_protocol.errors import LocalProtocolError, OutOfRange, UnknownType, WrongLength
from firmware_protocol.limits import PROTOCOL_MAJOR
from firmware_protocol.messages import (
    BY_CLASS,
    BY_TYPE,
    DEVICE_ID_PATTERN,
    NO_TOKEN,
    Identity,
    Layout,
    Message,
)

_HEADER: Final = Struct("<BBBH")


@dataclass(frozen=True, slots=True)
class Header:
    """The first five bytes: protocol major, type, sequence 0…255, session token 0…65535."""

    major: int
    type_id: int
    sequence: int
    token: int


def encode(
    message: Message, sequence: int, token: int = NO_TOKEN, major: int = PROTOCOL_MAJOR
) -> bytes:
    """The raw frame of `message`. Raises LocalProtocolError where a field is out of its range."""
    layout = BY_CLASS[type(message)]
    values = layout.values(message)
    for index, name, low, high in layout.narrowed:
        if not low <= values[index] <= high:
            raise LocalProtocolError(
                f"{layout.wire_name}.{name} is {values[index]}; it must be {low} to {high}"
            )
    header = _HEADER.pack(major, layout.type_id, sequence, token)
    return header + layout.struct.pack(*values)


def header_of(raw: bytes) -> Header:
    """The header of a verified raw frame."""
    return Header(*_HEADER.unpack_from(raw))


def decode(raw: bytes) -> Message:
    """The message of a verified raw frame.

    A payload from the host has exactly its length; one from the device has at least its length,
    because a later minor may append. Raises UnknownType, WrongLength or OutOfRange.
    """
    layout = BY_TYPE.get(raw[1])
    if layout is None:
        raise UnknownType(f"type 0x{raw[1]:02x} is not known")
    size, expected = len(raw) - _HEADER.size, layout.struct.size
    if size < expected or (size > expected and not layout.from_device):
        raise WrongLength(f"{layout.wire_name} has {expected} bytes of payload, not {size}")
    values = layout.struct.unpack_from(raw, _HEADER.size)
    if layout.narrowed:
        _check_ranges(layout, values)
    message: Message = layout.cls(*values)
    if type(message) is Identity and not DEVICE_ID_PATTERN.fullmatch(message.device_id):
        raise OutOfRange(f"IDENTITY.device_id is {message.device_id!r}")
    return message


def _check_ranges(layout: Layout, values: tuple[int, ...]) -> None:
    for index, name, low, high in layout.narrowed:
        value = values[index]
        if value < low or value > high:
            raise OutOfRange(f"{layout.wire_name}.{name} is {value}; it must be {low} to {high}")
