"""Message ↔ raw frame (header | payload), with the length and range checks of the table.

SPEC.md, sections 3 and 4. Checks of meaning (session, sequence, state) are the device's and the
link's, not the codec's.
"""

import struct
from typing import Any, Final, NamedTuple

from firmware_protocol.errors import LocalProtocolError, OutOfRange, UnknownType, WrongLength
from firmware_protocol.limits import HEADER_BYTES, PROTOCOL_MAJOR
from firmware_protocol.messages import (
    BY_CLASS,
    BY_TYPE,
    DEVICE_ID_PATTERN,
    HEADER_FORMAT,
    NO_TOKEN,
    Identity,
    Layout,
    Message,
)

_HEADER: Final = struct.Struct(HEADER_FORMAT)


class Header(NamedTuple):
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
    problem = _range_problem(layout, values)
    if problem:
        raise LocalProtocolError(problem)
    try:
        return layout.frame.pack(major, layout.type_id, sequence, token, *values)
    except struct.error as error:
        raise LocalProtocolError(f"{layout.wire_name} does not fit its layout: {error}") from None


def header_of(raw: bytes) -> Header:
    """The header of a verified raw frame."""
    return Header._make(_HEADER.unpack_from(raw))


def decode(raw: bytes) -> Message:
    """The message of a verified raw frame. Raises UnknownType, WrongLength or OutOfRange."""
    layout, values = _unpack(raw)
    problem = _range_problem(layout, values)
    if problem:
        raise OutOfRange(problem)
    message: Message = layout.make(*values)
    return message


def decode_unchecked(raw: bytes) -> Message:
    """`decode` without the ranges, for whoever shows a frame or judges the ranges later, as SPEC.md
    lets a device do. Raises UnknownType or WrongLength."""
    layout, values = _unpack(raw)
    message: Message = layout.make(*values)
    return message


def _unpack(raw: bytes) -> tuple[Layout, tuple[Any, ...]]:
    """A payload from the host has exactly its length (but for ESTOP, which is taken with any); one
    from the device has at least its length, because a later minor may append."""
    size = len(raw) - HEADER_BYTES
    if size < 0:
        raise WrongLength(f"a raw frame has at least {HEADER_BYTES} bytes, not {len(raw)}")
    layout = BY_TYPE.get(raw[1])
    if layout is None:
        raise UnknownType(f"type 0x{raw[1]:02x} is not known")
    expected = layout.struct.size
    if size != expected and (size < expected or not layout.may_be_longer):
        raise WrongLength(f"{layout.wire_name} has {expected} bytes of payload, not {size}")
    return layout, layout.struct.unpack_from(raw, HEADER_BYTES)


def _range_problem(layout: Layout, values: tuple[Any, ...]) -> str:
    """What is wrong with `values`, or nothing."""
    for index, name, low, high in layout.narrowed:
        value = values[index]
        if value < low or value > high:
            return f"{layout.wire_name}.{name} is {value}; it must be {low} to {high}"
    if layout.cls is Identity:
        device_id: bytes = values[3]
        if not DEVICE_ID_PATTERN.fullmatch(device_id):
            return f"IDENTITY.device_id is {device_id!r}; it must be 1 to 8 of A–Z a–z 0–9 _ -"
    return ""
