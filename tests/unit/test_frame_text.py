"""`massager.frame_text`: every frame is one readable line, whatever arrives."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.codec import encode
from firmware_protocol.framing import StreamFraming, protect
from firmware_protocol.messages import (
    EmergencyStop,
    Event,
    Fault,
    Hello,
    Identity,
    Message,
    Nak,
    SetLevel,
    Status,
    device_id_bytes,
)
from massager.frame_text import (
    Damaged,
    Direction,
    Good,
    Odd,
    Reading,
    StreamReader,
    bit_words,
    direction_of,
    line_of,
    read_datagram,
    read_raw,
    record_of,
)

STATUS = Status(2, 0, 7, 3, 2 + 32, 400, 310, 300, 1499, 61, 9, 61_000, 0, 1, 315, 65_535)


def reading_of(message: Message, sequence: int = 12, token: int = 0x0102) -> Reading:
    return read_raw(encode(message, sequence, token))


def test_a_setpoint_is_a_line_with_its_units() -> None:
    line = line_of(reading_of(SetLevel(400, 1500)), "to")

    assert line == "→ SET_LEVEL   seq 12   token 0102  level 400 ‰  lease 1500 ms"


def test_a_status_has_words_degrees_and_what_is_not_measured() -> None:
    line = line_of(reading_of(STATUS), "from")

    assert line.startswith("← STATUS      seq 12   token 0102  state running  end reason none")
    assert "faults over current + emergency stop" in line
    assert "setpoint 400 ‰  ceiling 310 ‰  output 300 ‰  lease left 1499 ms" in line
    assert "temperature 31.5 °C  current not measured" in line


def test_a_refusal_names_the_command_and_the_reason() -> None:
    assert line_of(reading_of(Nak(0x03, 1, 900)), "from").endswith(
        "type SET_LEVEL  reason range  limit 900"
    )


def test_words_a_later_minor_added_stay_numbers() -> None:
    assert "reason Reason 99" in line_of(reading_of(Nak(0x03, 99, 0)), "from")
    assert bit_words(Fault, 1 + 256) == ["over temperature", "bit 8"]
    assert "code EventCode 77" in line_of(reading_of(Event(1, 77, 9, 0)), "from")


def test_a_hello_shows_its_nonce_as_hex_and_its_flags_as_words() -> None:
    line = line_of(reading_of(Hello(1, 1, 1, 0xAB), token=0), "to")

    assert "flags identify only" in line
    assert "host nonce 0x000000ab" in line


def test_a_message_without_fields_ends_with_its_token() -> None:
    assert line_of(reading_of(EmergencyStop()), "to") == "→ ESTOP       seq 12   token 0102"


def test_a_damaged_frame_is_hex_with_its_reason() -> None:
    wire = bytearray(StreamFraming().encode(encode(SetLevel(400, 1500), 12, 0x0102)))
    wire[6] ^= 0x40

    (reading,) = StreamReader().receive(bytes(wire))

    assert isinstance(reading, Damaged)
    line = line_of(reading, "from")
    assert line.startswith("← damaged     ")
    assert line.endswith("(the CRC-32 does not match)")
    assert bytes(wire[1:-1]).hex(" ") in line


def test_an_endless_line_is_cut_and_its_length_told() -> None:
    reader = StreamReader()
    for _ in range(1000):
        assert reader.receive(b"x" * 1000) == []

    (reading,) = reader.receive(b"\0")

    assert isinstance(reading, Damaged)
    assert reading.size == 1_000_000
    assert len(line_of(reading, "from")) < 250
    assert "1000000 bytes" in line_of(reading, "from")


def test_what_never_ended_can_be_asked_for() -> None:
    reader = StreamReader()
    reader.receive(b"$GPGGA,1")

    (reading,) = reader.flush()

    assert isinstance(reading, Damaged)
    assert reading.data == b"$GPGGA,1"
    assert reader.flush() == []


def test_a_frame_of_another_major_or_an_unknown_type_is_shown_as_it_is() -> None:
    other = read_raw(bytes([9, 0xC5, 4, 0x34, 0x12, 0x01]))

    assert isinstance(other, Odd)
    assert line_of(other, "from") == (
        "← type 0xc5   seq 4    token 1234  major 9  09 c5 04 34 12 01  "
        "(protocol major 9; type 0xc5 is not known)"
    )


def test_bytes_one_by_one_read_the_same_as_at_once() -> None:
    wire = StreamFraming().encode(encode(STATUS, 3, 4)) * 3 + b"noise\0"
    slow = StreamReader()

    one_by_one = [reading for byte in wire for reading in slow.receive(bytes([byte]))]

    assert one_by_one == StreamReader().receive(wire)
    assert [type(reading) for reading in one_by_one] == [Good, Good, Good, Damaged]


def test_the_direction_is_that_of_the_type() -> None:
    assert direction_of(reading_of(EmergencyStop())) == "to"
    assert direction_of(reading_of(STATUS)) == "from"
    assert direction_of(read_datagram(b"x")) is None


def test_a_datagram_is_one_frame_or_damaged() -> None:
    assert isinstance(read_datagram(protect(encode(STATUS, 1, 1))), Good)
    assert read_datagram(b"") == Damaged(b"", 0, "0 bytes cannot be a frame")


def test_the_record_has_numbers_in_wire_units_and_words() -> None:
    record = record_of(reading_of(STATUS), "from")

    assert record["direction"] == "from device"
    assert record["name"] == "STATUS"
    assert record["sequence"] == 12
    assert record["token"] == 0x0102
    assert record["fields"]["output_permille"] == 300
    assert record["fields"]["state"] == "running"
    assert record["fields"]["current_ma"] is None
    assert record["fields"]["faults"] == ["over current", "emergency stop"]


def test_a_device_id_with_control_characters_never_reaches_the_terminal() -> None:
    raw = bytearray(encode(Identity(1, 0, 5, device_id_bytes("foot-1"), 1, 1, 1, 1, 0, 0), 1))
    raw[11:19] = b"\x1b[2J\x07\xe2\x80\xae"

    line = line_of(read_raw(bytes(raw)), "from")

    assert line.isprintable()
    assert "\\x1b[2J" in line


@pytest.mark.parametrize("direction", ["to", "from"])
@given(data=st.binary(max_size=80))
def test_any_bytes_give_one_printable_line_and_a_record(direction: Direction, data: bytes) -> None:
    raw = data[:37]
    readings = [*StreamReader().receive(data + b"\0"), read_datagram(data)]
    if len(raw) >= 5:
        readings.append(read_datagram(protect(raw)))
    for reading in readings:
        line = line_of(reading, direction)
        assert line.isprintable()
        assert line.strip() == line
        json.dumps(record_of(reading, direction))
