"""The framing, byte by byte: COBS, CRC-32, sizes, counting, resynchronisation."""

import tracemalloc
from zlib import crc32

import pytest

from firmware_protocol.errors import BadFrame, LocalProtocolError
from firmware_protocol.framing import (
    DatagramFraming,
    StreamFraming,
    cobs_decode,
    cobs_encode,
    protect,
    verify,
)

STOP = bytes.fromhex("0104080101")
STOP_WIRE = StreamFraming().encode(STOP)
LONGEST = bytes(range(1, 38))


@pytest.mark.parametrize(
    ("plain", "encoded"),
    [
        ("", "01"),
        ("00", "0101"),
        ("0000", "010101"),
        ("11", "0211"),
        ("1100", "021101"),
        ("0011", "010211"),
        ("11220033", "0311220233"),
        ("11223344", "0511223344"),
        ("11000000", "0211010101"),
    ],
)
def test_cobs_follows_its_definition(plain: str, encoded: str) -> None:
    assert cobs_encode(bytes.fromhex(plain)).hex() == encoded
    assert cobs_decode(bytes.fromhex(encoded)).hex() == plain


@pytest.mark.parametrize(
    "encoded", ["", "00", "02", "0511", "ff11", "021100", "001122", "0311220033", "01" * 43]
)
def test_what_cobs_cannot_have_made_is_refused(encoded: str) -> None:
    with pytest.raises(BadFrame):
        cobs_decode(bytes.fromhex(encoded))


def test_the_crc_is_the_one_of_ieee_802_3() -> None:
    assert crc32(b"123456789") == 0xCBF43926
    assert protect(b"123456789")[-4:] == bytes.fromhex("2639f4cb")


def test_a_wrong_crc_is_refused_whichever_byte_is_wrong() -> None:
    for index in range(9):
        damaged = bytearray(protect(STOP))
        damaged[index] ^= 0x40
        with pytest.raises(BadFrame):
            verify(bytes(damaged))


@pytest.mark.parametrize("size", [0, 1, 4, 38, 100])
def test_a_raw_frame_of_an_impossible_size_is_not_sent(size: int) -> None:
    with pytest.raises(LocalProtocolError, match=f"5 to 37 bytes, not {size}"):
        protect(bytes(size))


@pytest.mark.parametrize("size", [5, 37])
def test_the_shortest_and_the_longest_raw_frame_come_back(size: int) -> None:
    assert verify(protect(bytes(size))) == bytes(size)


@pytest.mark.parametrize("size", [0, 3, 4, 38])
def test_a_frame_of_an_impossible_size_is_refused_though_its_crc_is_right(size: int) -> None:
    body = bytes(size)
    with pytest.raises(BadFrame, match="cannot be a frame"):
        verify(body + crc32(body).to_bytes(4, "little"))


def test_a_frame_has_a_delimiter_before_and_after_and_no_other_zero() -> None:
    wire = StreamFraming().encode(bytes(37))
    assert wire[0] == wire[-1] == 0
    assert 0 not in wire[1:-1]


def test_the_longest_frame_has_44_bytes_on_the_wire_and_41_in_a_message() -> None:
    assert len(StreamFraming().encode(LONGEST)) == 44
    assert len(DatagramFraming().encode(LONGEST)) == 41


def test_a_frame_that_comes_in_two_parts_is_whole_after_the_second() -> None:
    for cut in range(len(STOP_WIRE)):
        framing = StreamFraming()
        first = framing.receive(STOP_WIRE[:cut])
        assert first + framing.receive(STOP_WIRE[cut:]) == [STOP]
        assert framing.bad_frames == 0


def test_nothing_is_accepted_before_the_last_delimiter() -> None:
    framing = StreamFraming()
    assert framing.receive(STOP_WIRE[:-1]) == []
    assert framing.receive(b"\0") == [STOP]


def test_frames_in_one_piece_keep_their_order() -> None:
    framing = StreamFraming()
    wire = framing.encode(STOP) + framing.encode(LONGEST) + framing.encode(STOP)
    assert framing.receive(wire) == [STOP, LONGEST, STOP]


def test_a_reset_forgets_half_a_frame() -> None:
    framing = StreamFraming()
    framing.receive(b"\0\x05\x01")
    framing.reset()
    assert framing.receive(STOP_WIRE[1:]) == [STOP]
    assert framing.bad_frames == 0


def test_a_reset_inside_something_too_long_listens_again() -> None:
    framing = StreamFraming()
    framing.receive(b"\x55" * 100)
    framing.reset()
    assert framing.receive(STOP_WIRE[1:]) == [STOP]


@pytest.mark.parametrize("chunk", [1, 7, 42, 43, 100, 1000])
def test_something_too_long_is_one_bad_frame_however_it_comes(chunk: int) -> None:
    framing = StreamFraming()
    data = b"\x55" * 1000 + b"\0"
    for start in range(0, len(data), chunk):
        assert framing.receive(data[start : start + chunk]) == []
    assert framing.bad_frames == 1
    assert framing.receive(STOP_WIRE) == [STOP]


def test_something_too_long_that_is_whole_in_one_piece_is_one_bad_frame() -> None:
    framing = StreamFraming()
    assert framing.receive(b"\0" + b"\x01" * 43 + b"\0") == []
    assert framing.bad_frames == 1


def test_the_longest_frame_may_wait_for_its_last_delimiter() -> None:
    framing = StreamFraming()
    wire = framing.encode(LONGEST)
    assert framing.receive(wire[:-1]) == []
    assert framing.bad_frames == 0
    assert framing.receive(wire[-1:]) == [LONGEST]


def test_a_line_that_never_delimits_costs_no_memory() -> None:
    framing = StreamFraming()
    noise = b"\x55" * 1024
    framing.receive(noise)
    tracemalloc.start()
    try:
        for _ in range(2000):
            framing.receive(noise)
        assert tracemalloc.get_traced_memory()[0] < 16_384
    finally:
        tracemalloc.stop()


def test_each_bad_message_is_counted() -> None:
    framing = DatagramFraming()
    good = framing.encode(STOP)
    assert framing.receive(good) == [STOP]
    assert framing.receive(good[:-1]) == []
    assert framing.receive(b"") == []
    assert framing.bad_frames == 2


def test_a_message_is_judged_by_itself() -> None:
    framing = DatagramFraming()
    good = framing.encode(STOP)
    framing.receive(good[:4])
    framing.reset()
    assert framing.receive(good[4:]) == []
    assert framing.receive(good) == [STOP]
