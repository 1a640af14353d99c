"""What must hold of framing and codec for all bytes and all messages."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_protocol.codec import decode, encode, header_of
from firmware_protocol.errors import RemoteProtocolError
from firmware_protocol.framing import DatagramFraming, StreamFraming, cobs_decode, cobs_encode
from firmware_protocol.messages import MESSAGES, Layout, Message
from tests.campaigns.fuzz_codec import fuzz

IDS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
EVENT_WIRE = StreamFraming().encode(bytes.fromhex("018500000005000503cd810100"))


def _field_values(code: str, low: int, high: int) -> st.SearchStrategy[Any]:
    if code == "8s":
        names = st.text(IDS, min_size=1, max_size=8)
        return names.map(lambda name: name.encode("ascii").ljust(8, b"\0"))
    return st.integers(low, high)


def _messages_of(layout: Layout) -> st.SearchStrategy[Message]:
    values = [_field_values(field.code, field.low, field.high) for _, field in layout.fields]
    return st.tuples(*values).map(lambda chosen: layout.cls(*chosen))


messages = st.one_of([_messages_of(layout) for layout in MESSAGES])
raw_frames = st.binary(min_size=5, max_size=37)
garbage = st.binary(max_size=200)
streams = st.lists(
    st.one_of(garbage, raw_frames.map(StreamFraming().encode), st.just(b"\0")), max_size=8
).map(b"".join)


@settings(deadline=None)
@given(messages, st.integers(0, 255), st.integers(0, 65535), st.integers(0, 255))
def test_every_message_in_its_ranges_comes_back_over_both_bearers(
    message: Message, sequence: int, token: int, major: int
) -> None:
    raw = encode(message, sequence, token, major)
    for framing in (StreamFraming(), DatagramFraming()):
        (received,) = framing.receive(framing.encode(raw))
        header = header_of(received)
        assert decode(received) == message
        assert (header.sequence, header.token, header.major) == (sequence, token, major)


@settings(deadline=None)
@given(garbage, raw_frames)
def test_after_any_garbage_the_next_whole_frame_is_accepted(noise: bytes, raw: bytes) -> None:
    framing = StreamFraming()
    framing.receive(noise)
    assert framing.receive(framing.encode(raw))[-1:] == [raw]


@settings(deadline=None)
@given(garbage, raw_frames, garbage, raw_frames)
def test_noise_between_frames_costs_no_frame(
    before: bytes, first: bytes, between: bytes, second: bytes
) -> None:
    framing = StreamFraming()
    wire = before + framing.encode(first) + between + framing.encode(second)
    received = framing.receive(wire)
    assert first in received
    assert received[-1] == second


@settings(deadline=None)
@given(streams, st.lists(st.integers(0, 1000)))
def test_every_split_of_a_stream_gives_the_same_frames(stream: bytes, cuts: list[int]) -> None:
    whole = StreamFraming()
    expected = whole.receive(stream)
    framing = StreamFraming()
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    frames: list[bytes] = []
    for start, end in pairwise(edges):
        frames += framing.receive(stream[start:end])
    assert frames == expected
    assert framing.bad_frames == whole.bad_frames


@settings(deadline=None)
@given(st.binary(max_size=41))
def test_cobs_has_no_zero_and_comes_back(data: bytes) -> None:
    encoded = cobs_encode(data)
    assert 0 not in encoded
    assert len(encoded) == len(data) + 1
    assert cobs_decode(encoded) == data


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_what_cobs_decodes_is_exactly_what_cobs_encodes(encoded: bytes) -> None:
    try:
        data = cobs_decode(encoded)
    except RemoteProtocolError:
        return
    assert cobs_encode(data) == encoded


@settings(deadline=None)
@given(
    st.one_of(st.binary(max_size=60), st.binary(min_size=5, max_size=40).map(lambda b: b"\1" + b))
)
def test_random_bytes_are_a_message_or_the_other_sides_error(raw: bytes) -> None:
    try:
        message = decode(raw)
    except RemoteProtocolError:
        return
    assert any(type(message) is layout.cls for layout in MESSAGES)


@settings(deadline=None)
@given(st.sampled_from([layout.type_id for layout in MESSAGES]), st.binary(max_size=32))
def test_a_random_payload_under_a_known_type_is_a_message_or_an_error(
    type_id: int, payload: bytes
) -> None:
    raw = bytes([1, type_id, 7, 1, 1]) + payload
    try:
        message = decode(raw)
    except RemoteProtocolError:
        return
    again = encode(message, 7, 0x0101)
    assert raw.startswith(again)


@pytest.mark.parametrize("layout", MESSAGES, ids=[layout.wire_name for layout in MESSAGES])
def test_no_turned_bit_is_ever_another_message(layout: Layout) -> None:
    """Every single bit of a frame and of its delimiters, with a good frame behind it."""
    values = [
        b"sim-0001" if field.code == "8s" else min(field.high, max(field.low, 600))
        for _, field in layout.fields
    ]
    raw = encode(layout.cls(*values), 7, 0x0101)
    wire = StreamFraming().encode(raw)
    for bit in range(8 * len(wire)):
        damaged = bytearray(wire)
        damaged[bit // 8] ^= 1 << bit % 8
        framing = StreamFraming()
        frames = framing.receive(bytes(damaged) + EVENT_WIRE)
        assert len(frames) == 1
        assert frames == StreamFraming().receive(EVENT_WIRE)
        assert framing.bad_frames >= 1


@pytest.mark.parametrize("layout", MESSAGES, ids=[layout.wire_name for layout in MESSAGES])
def test_no_turned_bit_of_a_message_on_a_broker_is_accepted(layout: Layout) -> None:
    raw = bytes([1, layout.type_id, 7, 1, 1]) + bytes(layout.struct.size)
    wire = DatagramFraming().encode(raw)
    framing = DatagramFraming()
    for bit in range(8 * len(wire)):
        damaged = bytearray(wire)
        damaged[bit // 8] ^= 1 << bit % 8
        assert framing.receive(bytes(damaged)) == []
    assert framing.bad_frames == 8 * len(wire)


def test_a_short_campaign_finds_nothing() -> None:
    report = fuzz(frames=3000, seed=1)
    assert report.problems == []
    assert report.sent == 3000
    # A campaign that damages nothing, or everything, proves nothing.
    assert 500 < report.accepted < 2500
    assert report.dropped > 500
    assert report.refused > 100
