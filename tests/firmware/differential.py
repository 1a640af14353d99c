"""The same random script on two devices: every answer and every row of the trace must agree.

A script is made from its seed alone. It is mostly what a host does and often what none should:
repeats, stale and foreign commands, lengths that are wrong, leases that run out, feet, the button
and resets. Readings of the sensors are left out, because each device has its own physics.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from random import Random
from struct import pack
from typing import Final

from firmware_protocol.messages import Identity, Limits, Message, Status
from simulator.device import TraceRow
from tests.conformance.backends import Backend, Build
from tests.conformance.rig import (
    CLEAR,
    ESTOP,
    GET_LIMITS,
    GET_STATUS,
    HELLO,
    SET_LEVEL,
    STOP,
    Answer,
    read,
)

OUTPUT_TOLERANCE: Final = 2  # ‰
TIME_TOLERANCE_MS: Final = 1
STEPS: Final = 40

Operation = Callable[["Host"], None]


@dataclass
class Host:
    """One host of one device. What it knows of the session comes from that device's answers."""

    backend: Backend
    heard: list[Answer] = field(default_factory=list)
    token: int = 0
    sequence: int = 0
    nonce: int = 0
    latch_id: int = 0
    last_raw: bytes = b""

    def command(
        self,
        type_id: int,
        payload: bytes = b"",
        *,
        token: int | None = None,
        sequence: int | None = None,
        major: int = 1,
    ) -> None:
        if sequence is None:
            sequence = self.sequence = self.sequence % 255 + 1
        if token is None:
            token = self.token
        self.send(pack("<BBBH", major, type_id, sequence, token) + payload)

    def send(self, raw: bytes) -> None:
        self.last_raw = raw
        self._hear(self.backend.send(raw))

    def hello(self, flags: int = 0, majors: tuple[int, int] = (1, 1)) -> None:
        self.command(HELLO, pack("<BBBI", flags, *majors, self.nonce), token=0)

    def set_level(self, level: int, lease_ms: int) -> None:
        self.command(SET_LEVEL, pack("<HH", level, lease_ms))

    def advance(self, ms: int) -> None:
        self._hear(self.backend.advance(ms))

    def _hear(self, frames: list[bytes]) -> None:
        for answer in map(read, frames):
            self.heard.append(answer)
            if isinstance(answer.message, Identity) and answer.header.token:
                self.token = answer.header.token
            if isinstance(answer.message, Status):
                self.latch_id = answer.message.latch_id


# --- scripts -----------------------------------------------------------------------------------


def script(seed: int) -> list[tuple[str, Operation]]:
    """Some forty operations with the words that tell them; the same for the same seed."""
    rng = Random(seed)
    kinds, weights = zip(*_KINDS, strict=True)
    chosen = rng.choices(kinds, weights, k=STEPS)
    return [(kind.__name__.strip("_"), kind(rng)) for kind in (_hello_anew, *chosen)]


def _hello_anew(rng: Random) -> Operation:
    nonce = rng.randrange(2**32)

    def operate(host: Host) -> None:
        host.nonce = nonce
        host.hello()

    return operate


def _hello_again(_rng: Random) -> Operation:
    return Host.hello


def _identify(rng: Random) -> Operation:
    flags = rng.choice((1, 3, 255))
    return lambda host: host.hello(flags)


def _foreign_major(rng: Random) -> Operation:
    majors = rng.choice(((2, 9), (0, 0), (0, 255), (1, 1)))
    return lambda host: host.hello(0, majors)


def _level(rng: Random) -> Operation:
    level = rng.choice((0, 1, 149, 150, 151, 999, 1000, 1001, 65_535, rng.randrange(150, 1001)))
    lease_ms = rng.choice((499, 500, 1500, 1500, 1500, 5000, 5001))
    return lambda host: host.set_level(level, lease_ms)


def _stream(rng: Random) -> Operation:
    level = rng.choice((0, rng.randrange(150, 1001), rng.randrange(150, 400)))
    pieces = rng.choice((3, 8, 25))
    period_ms = rng.choice((100, 250, 333))

    def operate(host: Host) -> None:
        for _ in range(pieces):
            host.set_level(level, 1500)
            host.advance(period_ms)

    return operate


def _dip(rng: Random) -> Operation:
    """Above 0, but below what was earned, until the ceiling sinks."""
    level = rng.randrange(150, 300)

    def operate(host: Host) -> None:
        for _ in range(4):
            host.set_level(level, 5000)
            host.advance(4_500)

    return operate


def _wait(rng: Random) -> Operation:
    ms = rng.choice((1, 2, 7, 99, 100, 499, 1000, 1499, 1500, 1501, 5000, rng.randrange(3000)))
    return lambda host: host.advance(ms)


def _long_wait(_rng: Random) -> Operation:
    return lambda host: host.advance(60_001)


def _stop(rng: Random) -> Operation:
    token = rng.choice((None, 0, 0xBEEF))
    return lambda host: host.command(STOP, token=token)


def _emergency_stop(rng: Random) -> Operation:
    payload, major = rng.randbytes(rng.choice((0, 0, 1, 32))), rng.choice((1, 1, 7))
    return lambda host: host.command(ESTOP, payload, major=major, token=0)


def _clear(rng: Random) -> Operation:
    off_by = rng.choice((0, 0, 0, 1))

    def operate(host: Host) -> None:
        host.command(CLEAR, pack("<H", (host.latch_id + off_by) & 0xFFFF))

    return operate


def _ask(rng: Random) -> Operation:
    type_id, token = rng.choice((GET_LIMITS, GET_STATUS)), rng.choice((None, 0, 0xBEEF))
    return lambda host: host.command(type_id, token=token)


def _repeat(_rng: Random) -> Operation:
    return lambda host: host.send(host.last_raw)


def _out_of_order(rng: Random) -> Operation:
    ahead = rng.choice((0, -1, 2, 126, 127, 128, rng.randrange(255)))
    is_zero = rng.random() < 0.1

    def operate(host: Host) -> None:
        sequence = 0 if is_zero else (host.sequence + ahead - 1) % 255 + 1
        host.command(SET_LEVEL, pack("<HH", 200, 1500), sequence=sequence)

    return operate


def _malformed(rng: Random) -> Operation:
    type_id = rng.choice((HELLO, SET_LEVEL, STOP, CLEAR, GET_STATUS, 0, 0x44, 0x7F, 0x83))
    payload, major = rng.randbytes(rng.randrange(33)), rng.choice((1, 1, 1, 0, 2))
    return lambda host: host.command(type_id, payload, major=major)


def _feet(rng: Random) -> Operation:
    on = rng.random() < 0.6
    return lambda host: host.backend.set_feet(on)


def _button(_rng: Random) -> Operation:
    return lambda host: host.backend.press_button()


def _reset(_rng: Random) -> Operation:
    return lambda host: host.backend.reboot()


_KINDS: Final = (
    (_hello_anew, 10),
    (_hello_again, 3),
    (_identify, 2),
    (_foreign_major, 1),
    (_level, 16),
    (_stream, 20),
    (_dip, 1),
    (_wait, 12),
    (_long_wait, 1),
    (_stop, 4),
    (_emergency_stop, 2),
    (_clear, 6),
    (_ask, 6),
    (_repeat, 6),
    (_out_of_order, 4),
    (_malformed, 5),
    (_feet, 6),
    (_button, 1),
    (_reset, 1),
)


# --- comparing -----------------------------------------------------------------------------------


def differences(
    seed: int, one: Callable[[Build], Backend], other: Callable[[Build], Backend]
) -> Iterator[str]:
    """What two devices did differently under this seed, in words; nothing where they agree."""
    hosts = [Host(one(Build())), Host(other(Build()))]
    for number, (words, operate) in enumerate(script(seed)):
        told = []
        for host in hosts:
            host.heard.clear()
            operate(host)
            host.advance(0)
            told.append([_comparable(answer) for answer in host.heard])
        if told[0] != told[1]:
            yield f"seed {seed}, step {number} ({words}): {told[0]} but {told[1]}"
            return
    yield from _different_rows(seed, *(_since_boot(host.backend.trace()) for host in hosts))


def _comparable(answer: Answer) -> tuple[int, int, int, Message]:
    header, message = answer.header, answer.message
    match message:
        case Identity():
            message = replace(message, device_id=b"", model=0, capabilities=0, reset_cause=0)
        case Status():
            message = replace(message, temperature_dc=0, current_ma=0)
        case Limits():
            message = replace(message, steps=0)
    return header.type_id, header.sequence, header.token, message


def _since_boot(rows: list[TraceRow]) -> list[TraceRow]:
    """The rows with times counted from their boot: how long a reset takes is each device's own."""
    counted = []
    boot_ms = 0
    for row in rows:
        if row.why == "boot":
            boot_ms = row.device_ms
        counted.append(replace(row, device_ms=row.device_ms - boot_ms))
    return counted


def _different_rows(seed: int, one: list[TraceRow], other: list[TraceRow]) -> Iterator[str]:
    for number, (row, its) in enumerate(zip_longest(one, other)):
        if row is None or its is None or not _agree(row, its):
            yield f"seed {seed}, row {number}: {row} but {its}"
            return


def _agree(row: TraceRow, its: TraceRow) -> bool:
    near = (
        abs(row.device_ms - its.device_ms) <= TIME_TOLERANCE_MS
        and abs(row.output - its.output) <= OUTPUT_TOLERANCE
    )
    return near and replace(row, device_ms=0, output=0) == replace(its, device_ms=0, output=0)
