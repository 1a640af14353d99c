"""Every golden vector, worked out by hand from SPEC.md, through the framing and the codec."""

import json
from binascii import crc_hqx
from pathlib import Path
from typing import Any

import pytest

import firmware_protocol
from firmware_protocol import errors
from firmware_protocol.codec import Header, decode, encode, header_of
from firmware_protocol.framing import (
    DatagramFraming,
    Framing,
    StreamFraming,
    cobs_decode,
    cobs_encode,
)
from firmware_protocol.messages import BY_CLASS, MESSAGES, Message

Vector = dict[str, Any]

_VECTORS = Path(firmware_protocol.__file__).parent / "vectors"
_HEADER_BYTES = 5
_PAYLOAD_BYTES = {
    "HELLO": 7,
    "GET_LIMITS": 0,
    "SET_LEVEL": 4,
    "STOP": 0,
    "ESTOP": 0,
    "CLEAR": 2,
    "GET_STATUS": 0,
    "IDENTITY": 26,
    "LIMITS": 18,
    "STATUS": 31,
    "NAK": 4,
    "EVENT": 8,
}


def _load(name: str) -> list[Vector]:
    rows: list[Vector] = json.loads((_VECTORS / name).read_text(encoding="utf-8"))
    return rows


ACCEPT = _load("accept.json")
REJECT = _load("reject.json")


def _named(vectors: list[Vector]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", vectors, ids=[vector["name"] for vector in vectors])


def _framing(vector: Vector) -> Framing:
    if vector["bearer"] == "stream":
        return StreamFraming()
    assert vector["bearer"] == "datagram"
    return DatagramFraming()


def _fields(message: Message) -> dict[str, Any]:
    layout = BY_CLASS[type(message)]
    fields = {name: getattr(message, name) for name, _ in layout.fields}
    if "device_id" in fields:
        fields["device_id"] = fields["device_id"].rstrip(b"\0").decode("ascii")
    return fields


def _is_plain(vector: Vector) -> bool:
    """One frame as this side would send it: nothing around it, nothing appended, its own major."""
    size = len(vector["raw"]) // 2 - _HEADER_BYTES
    alone = vector["frames"] == 1 and vector["name"] not in {
        "many-delimiters",
        "no-leading-delimiter",
    }
    return alone and vector["bad_frames"] == 0 and size == _PAYLOAD_BYTES[vector["message"]]


@_named(ACCEPT)
def test_an_accepted_vector_gives_its_frame_and_nothing_else(vector: Vector) -> None:
    framing = _framing(vector)
    frames = framing.receive(bytes.fromhex(vector["wire"]))
    assert len(frames) == vector["frames"]
    assert frames[vector["frame"] - 1].hex() == vector["raw"]
    assert framing.bad_frames == vector["bad_frames"]


@_named(ACCEPT)
def test_an_accepted_vector_has_its_header_and_its_fields(vector: Vector) -> None:
    raw = bytes.fromhex(vector["raw"])
    message = decode(raw)
    layout = BY_CLASS[type(message)]
    expected = Header(vector["major"], layout.type_id, vector["sequence"], vector["token"])
    assert layout.wire_name == vector["message"]
    assert header_of(raw) == expected
    assert _fields(message) == vector["fields"]


@_named([vector for vector in ACCEPT if _is_plain(vector)])
def test_the_message_of_a_plain_vector_is_sent_as_its_bytes(vector: Vector) -> None:
    message = decode(bytes.fromhex(vector["raw"]))
    raw = encode(message, vector["sequence"], vector["token"], vector["major"])
    assert _framing(vector).encode(raw).hex() == vector["wire"]


@_named([vector for vector in ACCEPT if vector["bearer"] == "stream"])
def test_an_accepted_stream_is_the_same_one_byte_at_a_time(vector: Vector) -> None:
    framing = StreamFraming()
    frames: list[bytes] = []
    for byte in bytes.fromhex(vector["wire"]):
        frames += framing.receive(bytes([byte]))
    assert len(frames) == vector["frames"]
    assert frames[vector["frame"] - 1].hex() == vector["raw"]
    assert framing.bad_frames == vector["bad_frames"]


@_named([vector for vector in REJECT if vector["error"] in {"BadFrame", "Incomplete"}])
def test_a_damaged_vector_gives_no_frame_and_is_counted(vector: Vector) -> None:
    framing = _framing(vector)
    assert framing.receive(bytes.fromhex(vector["wire"])) == []
    assert framing.bad_frames == vector["bad_frames"]


@_named([vector for vector in REJECT if vector["bearer"] == "stream"])
def test_the_next_frame_after_a_rejected_one_is_accepted(vector: Vector) -> None:
    whole = next(v for v in ACCEPT if v["name"] == "set_level-stream")
    framing = StreamFraming()
    framing.receive(bytes.fromhex(vector["wire"]))
    frames = framing.receive(bytes.fromhex(whole["wire"]))
    assert [frame.hex() for frame in frames] == [whole["raw"]]


@_named([vector for vector in REJECT if vector["raw"]])
def test_a_verified_vector_that_breaks_the_table_is_refused(vector: Vector) -> None:
    framing = _framing(vector)
    (raw,) = framing.receive(bytes.fromhex(vector["wire"]))
    assert raw.hex() == vector["raw"]
    assert framing.bad_frames == 0
    with pytest.raises(getattr(errors, vector["error"])):
        decode(raw)


def test_a_zero_byte_between_the_codes_is_no_cobs() -> None:
    with pytest.raises(errors.BadFrame):
        cobs_decode(bytes.fromhex("03110033"))


@pytest.mark.parametrize("name", ["set_level-stream", "status-stream"])
def test_a_crc_without_final_xor_would_accept_the_damaged_delimiter(name: str) -> None:
    """The reason for CRC-32: the same damage under CRC-16/CCITT-FALSE goes unseen."""
    raw = bytes.fromhex(next(vector["raw"] for vector in ACCEPT if vector["name"] == name))
    protected = raw + crc_hqx(raw, 0xFFFF).to_bytes(2, "big")
    damaged = cobs_encode(protected) + b"\x01"  # the delimiter 00 became 01
    received = cobs_decode(damaged)
    assert received == protected + b"\0"
    assert crc_hqx(received[:-2], 0xFFFF) == int.from_bytes(received[-2:], "big")


def test_the_damaged_delimiter_is_among_the_rejected() -> None:
    names = {vector["name"]: bytes.fromhex(vector["wire"]) for vector in REJECT}
    for name in ("trailing-delimiter-damaged", "trailing-delimiter-damaged-status"):
        repaired = names[name][:-2] + b"\0"
        assert len(StreamFraming().receive(repaired)) == 1
        assert names[name][-2:] == b"\x01\x00"


def test_every_message_has_a_vector_on_both_bearers() -> None:
    wanted = {
        (layout.wire_name, bearer) for layout in MESSAGES for bearer in ("stream", "datagram")
    }
    assert wanted <= {(vector["message"], vector["bearer"]) for vector in ACCEPT}


def test_every_kind_of_damage_has_a_vector() -> None:
    kinds = {vector["error"] for vector in REJECT}
    assert kinds == {"BadFrame", "Incomplete", "UnknownType", "WrongLength", "OutOfRange"}


def test_the_longest_frame_is_among_the_vectors() -> None:
    sizes = {len(vector["wire"]) // 2 for vector in ACCEPT if _is_one_good_frame(vector)}
    assert max(sizes) == 44


def _is_one_good_frame(vector: Vector) -> bool:
    return vector["bearer"] == "stream" and vector["frames"] == 1 and not vector["bad_frames"]


@pytest.mark.parametrize("name", ["accept.json", "reject.json"])
def test_vectors_are_one_line_each_with_unique_names_and_a_reason(name: str) -> None:
    lines = (_VECTORS / name).read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-1]) == ("[", "]")
    vectors = [json.loads(line.rstrip(",")) for line in lines[1:-1]]
    assert len({vector["name"] for vector in vectors}) == len(vectors)
    assert all(len(vector["why"].split()) >= 3 for vector in vectors)
