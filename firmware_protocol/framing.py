"""Payload ↔ frame: COBS with a delimiter on both sides, CRC-32, one buffer of at most one frame.

A *raw frame* is header | payload, 5…37 bytes, already verified or not yet protected. Two framings
carry it: `StreamFraming` for bytes that run together (serial, TCP, memory) and `DatagramFraming`
for a bearer that keeps messages apart (MQTT), where the CRC stays and COBS is not needed.
SPEC.md, section 2.
"""

from typing import Final, Protocol
from zlib import crc32

from firmware_protocol.errors import BadFrame, LocalProtocolError
from firmware_protocol.limits import (
    CRC_BYTES,
    ENCODED_MAX_BYTES,
    HEADER_BYTES,
    RAW_MAX_BYTES,
    RAW_MIN_BYTES,
)

_CODE: Final = [bytes([length + 1]) for length in range(RAW_MAX_BYTES + 1)]  # by block length
_CRC_RESIDUE: Final = 0x2144DF1C  # what CRC-32 gives over any bytes with their own CRC behind them


class Framing(Protocol):
    """What the link needs of a framing."""

    bad_frames: int

    def encode(self, raw: bytes) -> bytes:
        """The bytes to send for one raw frame."""

    def receive(self, data: bytes) -> list[bytes]:
        """The raw frames that are whole and good now; what is damaged is dropped and counted."""

    def reset(self) -> None:
        """Forget half a frame, because the line was opened anew."""


def protect(raw: bytes) -> bytes:
    """`raw` with its CRC-32 behind it. Raises LocalProtocolError for a size no frame can have."""
    if not HEADER_BYTES <= len(raw) <= RAW_MAX_BYTES - CRC_BYTES:
        raise LocalProtocolError(
            f"a raw frame has {HEADER_BYTES} to {RAW_MAX_BYTES - CRC_BYTES} bytes, not {len(raw)}"
        )
    return raw + crc32(raw).to_bytes(CRC_BYTES, "little")


def verify(protected: bytes) -> bytes:
    """The raw frame inside. Raises BadFrame where size or CRC-32 are wrong."""
    if not RAW_MIN_BYTES <= len(protected) <= RAW_MAX_BYTES:
        raise BadFrame(f"{len(protected)} bytes cannot be a frame")
    if crc32(protected) != _CRC_RESIDUE:
        raise BadFrame("the CRC-32 does not match")
    return protected[:-CRC_BYTES]


def cobs_encode(data: bytes) -> bytes:
    """`data` (at most 41 bytes) without any zero byte, one byte longer."""
    return b"".join([_CODE[len(block)] + block for block in data.split(b"\0")])


def cobs_decode(encoded: bytes) -> bytes:
    """The inverse of `cobs_encode`. Raises BadFrame for anything that it cannot have made."""
    size = len(encoded)
    if not 0 < size <= ENCODED_MAX_BYTES:
        raise BadFrame(f"{size} bytes between delimiters cannot be a frame")
    if 0 in encoded:
        raise BadFrame("a zero byte inside a frame")
    data = bytearray(encoded)
    index = 0
    while index < size:
        code = data[index]
        data[index] = 0
        index += code
    if index != size:
        raise BadFrame("the COBS code bytes do not add up")
    del data[0]
    return bytes(data)


class StreamFraming:
    """Frames in a stream of bytes: 00 | COBS(raw | CRC-32) | 00."""

    def __init__(self) -> None:
        self.bad_frames = 0
        self._partial = b""
        self._skipping = False  # inside something too long to be a frame

    def encode(self, raw: bytes) -> bytes:
        """00, the encoded frame, 00: at most 44 bytes."""
        return b"\0" + cobs_encode(protect(raw)) + b"\0"

    def receive(self, data: bytes) -> list[bytes]:
        """Whole good frames in `self`'s buffer and `data`, in order.

        After any garbage, the next frame that arrives whole is in the result.
        """
        candidates = (self._partial + data).split(b"\0")
        self._partial = candidates.pop()
        if self._skipping or len(self._partial) > ENCODED_MAX_BYTES:
            self._skip(candidates)
        frames: list[bytes] = []
        for candidate in candidates:
            if candidate:
                try:
                    frames.append(verify(cobs_decode(candidate)))
                except BadFrame:
                    self.bad_frames += 1
        return frames

    def reset(self) -> None:
        """Forget half a frame, because the line was opened anew."""
        self._partial, self._skipping = b"", False

    def _skip(self, candidates: list[bytes]) -> None:
        """Drop what is too long to be a frame, up to its delimiter; count it once."""
        if self._skipping and candidates:
            candidates[0] = b""
            self._skipping = False
        if not self._skipping and len(self._partial) > ENCODED_MAX_BYTES:
            self._skipping = True
            self.bad_frames += 1
        if self._skipping:
            self._partial = b""


class DatagramFraming:
    """Frames that the bearer keeps apart: raw | CRC-32, one a message."""

    def __init__(self) -> None:
        self.bad_frames = 0

    def encode(self, raw: bytes) -> bytes:
        """The payload of one message: at most 41 bytes."""
        return protect(raw)

    def receive(self, data: bytes) -> list[bytes]:
        """The raw frame of one message, or nothing where it is damaged."""
        try:
            return [verify(data)]
        except BadFrame:
            self.bad_frames += 1
            return []

    def reset(self) -> None:
        """Nothing is kept between messages."""
