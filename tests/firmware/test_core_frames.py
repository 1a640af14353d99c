"""Frames through the C core: golden vectors, every damage of one bit, noise, and what it sends."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final
from zlib import crc32

import pytest

import firmware_protocol
from firmware_protocol.codec import decode, header_of
from firmware_protocol.framing import DatagramFraming, StreamFraming
from firmware_protocol.messages import MESSAGES, Event, Status
from simulator.device import DeviceConfig
from simulator.firmware.core import HostCore

pytestmark = pytest.mark.needs("cc")

Vector = dict[str, Any]
VECTORS: Final = Path(firmware_protocol.__file__).parent / "vectors"
FROM_DEVICE: Final = 0x80
# GET_STATUS, sequence 12, token 0: SPEC.md 2.11.
ASK: Final = bytes.fromhex("01070c0000701f8f6f")
ASK_ON_A_STREAM: Final = bytes.fromhex("000401070c0105701f8f6f00")


def load(name: str) -> list[Vector]:
    rows: list[Vector] = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    return rows


ACCEPT: Final = load("accept.json")
REJECT: Final = load("reject.json")
MESSAGES_ON_A_STREAM: Final = [
    row for row in ACCEPT if row["wire"] == StreamFraming().encode(bytes.fromhex(row["raw"])).hex()
]


def named(vectors: list[Vector]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", vectors, ids=[row["name"] for row in vectors])


@pytest.fixture
def core() -> HostCore:
    booted = HostCore(DeviceConfig())
    booted.take_frames()
    return booted


def replies(core: HostCore) -> list[bytes]:
    """What was answered, without the events and without the CRC."""
    raws = [frame[:-4] for frame in core.take_frames()]
    return [raw for raw in raws if not isinstance(decode(raw), Event)]


def frames_out_of(core: HostCore, wire: bytes) -> Iterator[bytes]:
    """What the core takes for protected frames, given the bytes one at a time."""
    size = 0
    is_bad = False
    for byte in wire:
        bad_frames = core.now.bad_frames
        core.receive(bytes([byte]))
        is_bad = is_bad or core.now.bad_frames != bad_frames
        if byte:
            size += 1
            continue
        if size and not is_bad:
            yield core.candidate(size - 1)
        size, is_bad = 0, False


def is_answered(raw: bytes) -> bool:
    return not raw[1] & FROM_DEVICE


# --- golden vectors ----------------------------------------------------------------------------


@named([row for row in ACCEPT if row["bearer"] == "stream"])
def test_every_frame_of_the_vectors_comes_out_of_the_stream(core: HostCore, vector: Vector) -> None:
    raws = [frame[:-4] for frame in frames_out_of(core, bytes.fromhex(vector["wire"]))]
    assert len(raws) == vector["frames"]
    assert raws[vector["frame"] - 1].hex() == vector["raw"]
    assert core.now.bad_frames == vector["bad_frames"]


@named(ACCEPT)
def test_every_command_of_the_vectors_is_answered_once(core: HostCore, vector: Vector) -> None:
    give(core, vector["bearer"], bytes.fromhex(vector["wire"]))
    framing = StreamFraming() if vector["bearer"] == "stream" else DatagramFraming()
    asked = framing.receive(bytes.fromhex(vector["wire"]))
    answers = [header_of(raw) for raw in replies(core)]
    assert [answer.sequence for answer in answers] == [raw[2] for raw in asked if is_answered(raw)]
    assert core.now.bad_frames == vector["bad_frames"]


@named(REJECT)
@pytest.mark.parametrize("pieces", ["at once", "one byte at a time"])
def test_what_is_no_frame_is_counted_and_not_answered(
    core: HostCore, vector: Vector, pieces: str
) -> None:
    wire = bytes.fromhex(vector["wire"])
    if vector["bearer"] == "datagram" or pieces == "at once":
        give(core, vector["bearer"], wire)
    else:
        for byte in wire:
            core.receive(bytes([byte]))
    raw = bytes.fromhex(vector["raw"])
    assert core.now.bad_frames == vector["bad_frames"]
    assert len(replies(core)) == (1 if raw and is_answered(raw) else 0)


def give(core: HostCore, bearer: str, wire: bytes) -> None:
    if bearer == "stream":
        core.receive(wire)
    else:
        core.datagram(wire)


# --- damage ----------------------------------------------------------------------------------


def with_one_bit_flipped(wire: bytes) -> Iterator[bytes]:
    for at in range(8 * len(wire)):
        damaged = bytearray(wire)
        damaged[at // 8] ^= 1 << at % 8
        yield bytes(damaged)


@named([row for row in ACCEPT if row["bearer"] == "datagram"])
def test_a_datagram_with_any_bit_flipped_is_counted_and_never_answered(vector: Vector) -> None:
    core = HostCore(DeviceConfig())
    core.take_frames()
    wire = bytes.fromhex(vector["wire"])
    for damaged in with_one_bit_flipped(wire):
        core.datagram(damaged)
    assert core.take_frames() == []
    assert core.now.bad_frames == 8 * len(wire)


@named(MESSAGES_ON_A_STREAM)
def test_a_stream_with_any_bit_flipped_is_counted_and_the_next_frame_answered(
    vector: Vector,
) -> None:
    core = HostCore(DeviceConfig())
    core.take_frames()
    for damaged in with_one_bit_flipped(bytes.fromhex(vector["wire"])):
        bad_frames = core.now.bad_frames
        core.receive(damaged + ASK_ON_A_STREAM)
        (answer,) = core.take_frames()
        assert isinstance(decode(answer[:-4]), Status), damaged.hex()
        assert core.now.bad_frames > bad_frames, damaged.hex()


def test_every_message_is_among_those_that_were_damaged() -> None:
    damaged = {(row["message"], row["bearer"]) for row in ACCEPT if row["bearer"] == "datagram"}
    damaged |= {(row["message"], row["bearer"]) for row in MESSAGES_ON_A_STREAM}
    assert damaged == {
        (layout.wire_name, bearer) for layout in MESSAGES for bearer in ("stream", "datagram")
    }


@pytest.mark.parametrize("seed", range(20))
def test_after_any_noise_the_next_frame_is_answered_and_the_motor_stood(seed: int) -> None:
    core = HostCore(DeviceConfig())
    random = Random(seed)
    for _ in range(20):
        core.receive(random.choices((random.randbytes(500), bytes(500), b"\1" * 500))[0])
        core.take_frames()
        core.receive(ASK_ON_A_STREAM)
        (answer,) = replies(core)
        assert isinstance(decode(answer), Status)
        core.advance(7)
        assert core.output_permille == 0


def test_bad_frames_stay_at_65535(core: HostCore) -> None:
    for _ in range(65_535):
        core.datagram(b"")
    assert core.now.bad_frames == 65_535
    core.datagram(b"")
    core.receive(b"\0\5\0" + bytes(60) + b"\1" * 60)
    assert core.now.bad_frames == 65_535


@pytest.mark.parametrize("size", [0, 1, 8, 42, 43, 255, 256, 265, 4_105, 65_535])
def test_a_message_of_any_size_but_that_of_a_frame_is_bad(core: HostCore, size: int) -> None:
    data = ASK + bytes(max(0, size - len(ASK)))
    core.datagram(data[:size])
    assert core.take_frames() == []
    assert core.now.bad_frames == 1


def test_a_new_connection_forgets_half_a_frame_without_counting_it(core: HostCore) -> None:
    core.receive(ASK_ON_A_STREAM[:6])
    core.line_opened()
    core.receive(ASK_ON_A_STREAM[1:])
    assert len(replies(core)) == 1
    assert core.now.bad_frames == 0


def test_the_core_holds_42_bytes_of_what_is_received_and_no_more(core: HostCore) -> None:
    core.receive(b"\1" * 1_000_000)
    assert len(core.candidate(1_000)) == 42
    assert core.now.bad_frames == 1


# --- what it sends -----------------------------------------------------------------------------


@pytest.mark.parametrize("digits", sorted({row["raw"] for row in ACCEPT}))
def test_a_frame_is_put_on_a_stream_as_the_specification_says(core: HostCore, digits: str) -> None:
    raw = bytes.fromhex(digits)
    protected = raw + crc32(raw).to_bytes(4, "little")
    assert core.on_a_stream(protected) == StreamFraming().encode(raw)


def test_whatever_is_sent_is_a_protected_frame(core: HostCore) -> None:
    for vector in ACCEPT:
        give(core, vector["bearer"], bytes.fromhex(vector["wire"]))
        core.advance(100)
    frames = core.take_frames()
    assert len(frames) > 20
    assert {crc32(frame) for frame in frames} == {0x2144DF1C}


def with_a_session() -> HostCore:
    core = HostCore(DeviceConfig())
    core.receive(StreamFraming().encode(bytes.fromhex("01010100000001012a000000")))
    core.take_frames()
    return core


def shift_feet(core: HostCore) -> None:
    """Two events that no command causes: FEET_LIFTED and FEET_BACK."""
    core.set_feet(False)
    core.advance(5_000)
    core.set_feet(True)


def event_ids(frames: list[bytes]) -> list[int]:
    events = [decode(frame[:-4]) for frame in frames]
    return [event.event_id for event in events if isinstance(event, Event)]


def test_the_newest_6_events_wait_while_the_line_takes_nothing() -> None:
    core = with_a_session()
    core.block_line(True)
    for _ in range(4):
        shift_feet(core)
    assert core.now.event_id == 10
    core.block_line(False)
    core.advance(1)
    assert event_ids(core.take_frames()) == [5, 6, 7, 8, 9, 10]


def test_an_event_that_finds_no_room_before_a_reply_never_comes_behind_it() -> None:
    core = with_a_session()
    core.block_line(True)
    shift_feet(core)
    core.receive(ASK_ON_A_STREAM)
    core.block_line(False)
    core.receive(ASK_ON_A_STREAM)
    core.advance(1)
    assert event_ids(core.take_frames()) == []
    assert core.now.event_id == 4
