"""Throws damaged frames at framing and codec for as long as asked.

    python -m tests.campaigns.fuzz_codec --frames 50000000 --seed 1

Exit code 1 and one line for each problem: an exception that is no RemoteProtocolError, a frame
accepted that nobody sent, a whole frame lost after damage.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from firmware_protocol.codec import decode, encode
from firmware_protocol.errors import RemoteProtocolError
from firmware_protocol.framing import DatagramFraming, StreamFraming
from firmware_protocol.messages import MESSAGES, Layout

_PROBLEMS_MAX = 20
_REPORT_EVERY = 1_000_000


@dataclass
class Report:
    """What a campaign saw. `problems` is empty where all is well."""

    sent: int = 0
    accepted: int = 0  # sent and received as sent
    dropped: int = 0  # damaged, counted, gone
    refused: int = 0  # verified, but not in the table
    problems: list[str] = field(default_factory=list)


def fuzz(frames: int, seed: int) -> Report:
    """Send `frames` frames, about half of them damaged, through one stream and many datagrams."""
    random = Random(seed)
    report = Report()
    stream, datagrams = StreamFraming(), DatagramFraming()
    while report.sent < frames and len(report.problems) < _PROBLEMS_MAX:
        raw = _forged(random) if random.random() < 0.2 else _sent(random)
        wire = stream.encode(raw)
        damaged = _damage(wire, random) if random.random() < 0.5 else wire
        _check_stream(stream, damaged, raw, random, report)
        _check_datagram(datagrams, raw, random, report)
        report.sent += 1
    report.dropped = stream.bad_frames + datagrams.bad_frames
    return report


def _sent(random: Random) -> bytes:
    layout = random.choice(MESSAGES)
    message = layout.cls(*_values(layout, random))
    return encode(message, random.randrange(256), random.randrange(65536))


def _values(layout: Layout, random: Random) -> list[Any]:
    return [
        b"sim-0001"
        if item.code == "8s"
        else random.choice((item.low, item.high, _any(item, random)))
        for _, item in layout.fields
    ]


def _any(item: Any, random: Random) -> int:
    return random.randint(item.low, item.high)


def _forged(random: Random) -> bytes:
    """A frame of random bytes that will be verified: the codec must judge it."""
    body = random.randbytes(random.randrange(5, 38))
    if random.random() < 0.8:
        body = body[:1] + bytes([random.choice(MESSAGES).type_id]) + body[2:]
    return body


def _damage(wire: bytes, random: Random) -> bytes:
    data = bytearray(wire)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        at = random.randrange(len(data))
        match random.randrange(5):
            case 0:
                data[at] ^= 1 << random.randrange(8)
            case 1:
                data[at] = random.choice((0, 1, 0xFF, random.randrange(256)))
            case 2 if len(data) > 1:
                del data[at]
            case 3:
                data[at:at] = random.randbytes(random.choice((1, 2, 60)))
            case _:
                data[at : at + random.randrange(1, 9)] = data[:at]
        if not data:
            break
    return bytes(data)


def _check_stream(
    framing: StreamFraming, wire: bytes, raw: bytes, random: Random, report: Report
) -> None:
    """`wire` in two pieces, then a frame that must arrive whatever `wire` was."""
    cut = random.randrange(len(wire) + 1)
    witness = _sent(random)
    received = framing.receive(wire[:cut]) + framing.receive(wire[cut:])
    received += framing.receive(framing.encode(witness))
    if not received or received[-1] != witness:
        report.problems.append(f"lost {witness.hex()} after {wire.hex()}")
        return
    for frame in received[:-1]:
        if frame == raw:
            _check_codec(frame, report)
        else:
            report.problems.append(f"accepted {frame.hex()} from {wire.hex()}")
    report.accepted += raw in received[:-1]


def _check_datagram(framing: DatagramFraming, raw: bytes, random: Random, report: Report) -> None:
    wire = bytearray(framing.encode(raw))
    wire[random.randrange(len(wire))] ^= 1 << random.randrange(8)
    if framing.receive(bytes(wire)):
        report.problems.append(f"accepted the message {wire.hex()}")


def _check_codec(raw: bytes, report: Report) -> None:
    try:
        message = decode(raw)
    except RemoteProtocolError:
        report.refused += 1
        return
    except Exception as error:
        report.problems.append(f"{error!r} from {raw.hex()}")
        return
    if not raw.startswith(encode(message, raw[2], int.from_bytes(raw[3:5], "little"), raw[0])):
        report.problems.append(f"{message} is not {raw.hex()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run campaigns of a million frames until all are sent; 1 where one found something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000, help="how many (default 1000000)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    done = 0
    seed = options.seed
    while done < options.frames:
        report = fuzz(min(_REPORT_EVERY, options.frames - done), seed)
        done += report.sent
        rate = done / (time.perf_counter() - started)
        sys.stdout.write(f"{done:,} frames, seed {seed}, {rate:,.0f} a second\n")
        for problem in report.problems:
            sys.stderr.write(f"seed {seed}: {problem}\n")
        if report.problems:
            return 1
        seed += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
