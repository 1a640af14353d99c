"""The codec: layouts and ranges restated as literals, and every refusal."""

from dataclasses import FrozenInstanceError, replace

import pytest

from firmware_protocol.codec import Header, decode, decode_unchecked, encode, header_of
from firmware_protocol.errors import (
    LocalProtocolError,
    OutOfRange,
    ProtocolError,
    RemoteProtocolError,
    UnknownType,
    WrongLength,
)
from firmware_protocol.messages import (
    BY_CLASS,
    BY_TYPE,
    MESSAGES,
    Clear,
    EmergencyStop,
    Event,
    GetLimits,
    GetStatus,
    Hello,
    Identity,
    Limits,
    Message,
    Nak,
    SetLevel,
    Status,
    Stop,
    device_id_bytes,
)

EXAMPLES: dict[str, Message] = {
    "HELLO": Hello(0, 1, 1, 0x5EED0001),
    "GET_LIMITS": GetLimits(),
    "SET_LEVEL": SetLevel(400, 1500),
    "STOP": Stop(),
    "ESTOP": EmergencyStop(),
    "CLEAR": Clear(3),
    "GET_STATUS": GetStatus(),
    "IDENTITY": Identity(1, 0, 0x5EED0001, b"sim-0001", 1, 1, 1, 1, 0x2F, 0x0A0B0C0D),
    "LIMITS": Limits(150, 1000, 25, 500, 500, 5000, 900, 60, 256),
    "STATUS": Status(2, 0, 1, 2, 0, 400, 380, 380, 1480, 12, 0, 61234, 0, 1, 312, 240),
    "NAK": Nak(3, 1, 1000),
    "EVENT": Event(5, 5, 3, 98765),
}
TYPES_AND_SIZES = {
    "HELLO": (0x01, 7),
    "GET_LIMITS": (0x02, 0),
    "SET_LEVEL": (0x03, 4),
    "STOP": (0x04, 0),
    "ESTOP": (0x05, 0),
    "CLEAR": (0x06, 2),
    "GET_STATUS": (0x07, 0),
    "IDENTITY": (0x81, 26),
    "LIMITS": (0x82, 18),
    "STATUS": (0x83, 31),
    "NAK": (0x84, 4),
    "EVENT": (0x85, 8),
}
RANGES = [
    ("SET_LEVEL", "level_permille", 0, 1000),
    ("SET_LEVEL", "lease_ms", 500, 5000),
    ("IDENTITY", "major", 1, 255),
    ("IDENTITY", "boot_id", 1, 65535),
    ("IDENTITY", "speed", 1, 20),
    ("LIMITS", "gentlest_permille", 1, 1000),
    ("LIMITS", "max_permille", 1, 1000),
    ("LIMITS", "rise_permille_s", 1, 65535),
    ("LIMITS", "fall_permille_s", 1, 65535),
    ("STATUS", "boot_id", 1, 65535),
    ("STATUS", "setpoint_permille", 0, 1000),
    ("STATUS", "ceiling_permille", 0, 1000),
    ("STATUS", "output_permille", 0, 1000),
    ("STATUS", "lease_left_ms", 0, 5000),
    ("EVENT", "event_id", 1, 65535),
]
WHOLE = {"B": (0, 255), "H": (0, 65535), "I": (0, 4294967295), "h": (-32768, 32767)}
UNNARROWED = [
    (layout.wire_name, name, *WHOLE[field.code])
    for layout in MESSAGES
    for name, field in layout.fields
    if field.code in WHOLE
    and (layout.wire_name, name) not in {(message, field) for message, field, _, _ in RANGES}
]
HOST_MESSAGES = [name for name, (type_id, _) in TYPES_AND_SIZES.items() if type_id < 0x80]
DEVICE_MESSAGES = [name for name, (type_id, _) in TYPES_AND_SIZES.items() if type_id >= 0x80]


def _with(name: str, field: str, value: object) -> Message:
    return replace(EXAMPLES[name], **{field: value})  # type: ignore[arg-type]


def _forged(name: str, field: str, value: int) -> bytes:
    """The raw frame of a message that `encode` would not send."""
    layout = BY_CLASS[type(EXAMPLES[name])]
    return layout.frame.pack(1, layout.type_id, 7, 1, *layout.values(_with(name, field, value)))


def test_types_and_payload_sizes_are_those_of_the_specification() -> None:
    table = {layout.wire_name: (layout.type_id, layout.struct.size) for layout in MESSAGES}
    assert table == TYPES_AND_SIZES


def test_the_narrowed_fields_are_those_of_the_specification() -> None:
    table = [
        (layout.wire_name, name, low, high)
        for layout in MESSAGES
        for _, name, low, high in layout.narrowed
    ]
    assert table == RANGES


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_message_comes_back_as_it_was(name: str) -> None:
    message = decode(encode(EXAMPLES[name], 7, 0x0101))
    assert message == EXAMPLES[name]
    assert type(message) is type(EXAMPLES[name])


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_unchecked_form_reads_the_same(name: str) -> None:
    assert decode_unchecked(encode(EXAMPLES[name], 7, 0x0101)) == EXAMPLES[name]


def test_a_decoded_message_cannot_be_changed() -> None:
    message = decode(encode(SetLevel(400, 1500), 7))
    with pytest.raises(FrozenInstanceError):
        message.level_permille = 1000  # type: ignore[misc, union-attr]


def test_messages_without_fields_are_not_each_other() -> None:
    decoded = [decode(encode(message, 1)) for message in (Stop(), EmergencyStop(), GetStatus())]
    assert decoded[0] != decoded[1]
    assert decoded[0] == Stop()
    assert len(set(decoded)) == 3


def test_the_header_is_major_type_sequence_and_token_little_endian() -> None:
    raw = encode(Stop(), 0x12, 0x3456, major=0x78)
    assert raw == bytes.fromhex("7804125634")
    assert header_of(raw) == Header(0x78, 0x04, 0x12, 0x3456)


def test_numbers_are_little_endian_and_signed_where_they_say_so() -> None:
    assert encode(SetLevel(0x0102, 0x0304), 1)[5:] == bytes.fromhex("02010403")
    assert encode(Hello(1, 2, 3, 0x04050607), 1)[5:] == bytes.fromhex("01020307060504")
    status = _with("STATUS", "temperature_dc", -2)
    assert encode(status, 1)[5 + 27 : 5 + 29] == bytes.fromhex("feff")


@pytest.mark.parametrize(("name", "field", "low", "high"), RANGES)
def test_both_ends_of_a_range_are_sent_and_accepted(
    name: str, field: str, low: int, high: int
) -> None:
    for value in (low, high):
        message = _with(name, field, value)
        assert decode(encode(message, 1)) == message


@pytest.mark.parametrize(("name", "field", "low", "high"), RANGES)
def test_one_beyond_a_range_is_not_sent(name: str, field: str, low: int, high: int) -> None:
    for value in (low - 1, high + 1):
        with pytest.raises(LocalProtocolError, match=f"{name}.{field} is {value}"):
            encode(_with(name, field, value), 1)


@pytest.mark.parametrize(("name", "field", "low", "high"), RANGES)
def test_one_beyond_a_range_is_refused_on_arrival(
    name: str, field: str, low: int, high: int
) -> None:
    type_high = 255 if high <= 255 else 65535
    beyond = [value for value in (low - 1, high + 1) if 0 <= value <= type_high]
    assert beyond
    for value in beyond:
        with pytest.raises(OutOfRange, match=f"{name}.{field} is {value}; it must be {low} to"):
            decode(_forged(name, field, value))


@pytest.mark.parametrize(("name", "field", "low", "high"), UNNARROWED)
def test_what_does_not_fit_its_width_is_not_sent(
    name: str, field: str, low: int, high: int
) -> None:
    for value in (low, high):
        assert decode(encode(_with(name, field, value), 1)) == _with(name, field, value)
    for value in (low - 1, high + 1):
        with pytest.raises(LocalProtocolError, match=name):
            encode(_with(name, field, value), 1)


@pytest.mark.parametrize("value", [1.5, "400", None])
def test_what_is_no_whole_number_is_not_sent(value: object) -> None:
    with pytest.raises((LocalProtocolError, TypeError)):
        encode(_with("CLEAR", "latch_id", value), 1)


@pytest.mark.parametrize(
    ("sequence", "token", "major"),
    [(256, 0, 1), (-1, 0, 1), (1, 65536, 1), (1, -1, 1), (1, 0, 256)],
)
def test_a_header_that_does_not_fit_is_not_sent(sequence: int, token: int, major: int) -> None:
    with pytest.raises(LocalProtocolError):
        encode(Stop(), sequence, token, major)


def test_a_device_judges_the_ranges_itself() -> None:
    assert decode_unchecked(_forged("SET_LEVEL", "level_permille", 1001)) == SetLevel(1001, 1500)
    assert decode_unchecked(_forged("SET_LEVEL", "lease_ms", 0)) == SetLevel(400, 0)
    with pytest.raises(WrongLength):
        decode_unchecked(encode(SetLevel(400, 1500), 1)[:-1])
    with pytest.raises(UnknownType):
        decode_unchecked(bytes.fromhex("0177010000"))


@pytest.mark.parametrize("device_id", ["a", "sim-0001", "Zz9_-"])
def test_a_device_id_is_padded_with_zeros_and_read_back(device_id: str) -> None:
    raw_id = device_id_bytes(device_id)
    assert len(raw_id) == 8
    message = decode(encode(_with("IDENTITY", "device_id", raw_id), 1))
    assert isinstance(message, Identity)
    assert message.name == device_id


@pytest.mark.parametrize("device_id", ["", "123456789", "a b", "a/b", "a+b", "a#b", "ä", "a\n"])
def test_a_device_id_outside_the_rule_is_not_made(device_id: str) -> None:
    with pytest.raises(ValueError, match="1 to 8 characters"):
        device_id_bytes(device_id)


@pytest.mark.parametrize(
    "raw_id", [b"", b"\0" * 8, b"a", b"sim-00012", b"sim\0-001", b"\0sim-001", b"sim/0001"]
)
def test_a_device_id_that_would_be_cut_padded_or_refused_is_not_sent(raw_id: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="device_id"):
        encode(_with("IDENTITY", "device_id", raw_id), 1)


def test_a_type_outside_the_table_is_refused() -> None:
    for type_id in set(range(256)) - set(BY_TYPE):
        with pytest.raises(UnknownType, match=f"0x{type_id:02x}"):
            decode(bytes([1, type_id, 1, 0, 0]))


@pytest.mark.parametrize("size", range(5))
def test_less_than_a_header_is_refused(size: int) -> None:
    with pytest.raises(WrongLength, match=f"at least 5 bytes, not {size}"):
        decode(b"\x01\x04\x08\x01\x01"[:size])


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_payload_that_is_too_short_is_refused_at_every_length(name: str) -> None:
    raw = encode(EXAMPLES[name], 1)
    for size in range(5, len(raw)):
        with pytest.raises(WrongLength, match=name):
            decode(raw[:size])


@pytest.mark.parametrize("name", [name for name in HOST_MESSAGES if name != "ESTOP"])
def test_a_payload_from_the_host_may_not_be_longer(name: str) -> None:
    with pytest.raises(WrongLength, match=name):
        decode(encode(EXAMPLES[name], 1) + b"\0")


@pytest.mark.parametrize("name", DEVICE_MESSAGES)
def test_a_later_minor_may_append_to_a_payload_from_the_device(name: str) -> None:
    raw = encode(EXAMPLES[name], 1)
    assert decode(raw + bytes(37 - len(raw))) == EXAMPLES[name]


def test_an_emergency_stop_is_taken_with_any_payload() -> None:
    for size in range(33):
        assert decode(encode(EmergencyStop(), 1) + bytes(size)) == EmergencyStop()


def test_errors_tell_whose_fault_it_was() -> None:
    assert issubclass(LocalProtocolError, ProtocolError)
    for remote in (UnknownType, WrongLength, OutOfRange):
        assert issubclass(remote, RemoteProtocolError)
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
