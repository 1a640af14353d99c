"""The messages: one frozen dataclass each, and one table of id ↔ class ↔ layout ↔ ranges.

This file is the definition. The codec, the tables of SPEC.md and the schema fingerprint are made
from `MESSAGES`; nothing else says how a message looks on the wire. All integers are little-endian.
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from enum import IntEnum, IntFlag
from operator import attrgetter
from struct import Struct, calcsize
from typing import Annotated, Any, Final, get_args, get_type_hints

from firmware_protocol import limits

FROM_DEVICE: Final = 0x80  # bit 7 of the type
HEADER_FORMAT: Final = "<BBBH"  # protocol major, type, sequence, session token
NO_TOKEN: Final = 0
NOT_MEASURED_TEMPERATURE: Final = -32768
NOT_MEASURED_CURRENT: Final = 65535


# The comment behind a member is its meaning: SPEC.md's tables quote it.


class State(IntEnum):
    """What the device does now; of those that hold, the highest number."""

    IDLE = 0  # no open session, output 0
    READY = 1  # an open session without a setpoint yet: no lease runs
    RUNNING = 2  # an open session whose lease runs, also at level 0
    STOPPING = 3  # the output is falling to 0 by itself and nothing can raise it
    RESTING = 4  # the run limit was reached: 60 s at output 0
    LATCHED = 5  # a fault or an emergency stop, until CLEAR


class EndReason(IntEnum):
    """Why a session ended."""

    NONE = 0  # it is open, or there was none in this boot
    STOP = 1  # STOP, or the button on the device
    EMERGENCY_STOP = 2  # ESTOP
    LEASE_EXPIRED = 3  # no SET_LEVEL was applied within the lease
    TAKEN_OVER = 4  # a HELLO with another nonce
    RUN_LIMIT = 5  # 900 s of motor-on time
    FAULT = 6  # the device's own protection


class Fault(IntFlag):
    """Latched faults, one bit each."""

    OVER_TEMPERATURE = 1  # the motor is too hot
    OVER_CURRENT = 2  # the motor draws too much
    STALL = 4  # driven, but no motion for 500 ms
    STUCK_ON = 8  # moving, though commanded off, for 300 ms
    SENSOR = 16  # a sensor is missing, stuck or out of its range
    EMERGENCY_STOP = 32  # ESTOP was received
    INTERNAL = 64  # the device's own checks of its gate failed


class Reason(IntEnum):
    """Why a command was refused (NAK)."""

    RANGE = 1  # the level is above the device's highest; limit: that level, ‰
    LEASE = 2  # the lease is too short or too long; limit: the bound that was hit, ms
    SESSION = 3  # the token is not that of the open session; limit: EndReason of the last to end
    LATCHED = 4  # a fault or an emergency stop is latched; limit: the latch id
    RESTING = 5  # the rest after the run limit; limit: seconds of it left, rounded up
    STALE = 6  # the sequence is not ahead of the last one; limit: the last sequence
    STOPPING = 7  # the output is still falling by itself; limit: the output, ‰
    LENGTH = 8  # the payload has not its type's length; limit: that length, bytes
    UNKNOWN_TYPE = 9  # nobody knows this type; limit: 0
    STATE = 10  # CLEAR named another latch, or there is none; limit: the latch id now, 0 = none
    FEET = 11  # a level above 0 before the feet were on the sensor; limit: 0
    FAULT = 12  # the cause of a latched fault is still there; limit: the Fault bits that are
    VERSION = 13  # no common protocol major; limit: the highest major the device speaks


class EventCode(IntEnum):
    """What an EVENT tells."""

    BOOT = 1  # the device booted; always event 1
    SESSION_OPENED = 2  # a HELLO gave a new token
    STOPPED = 3  # a STOP ended a session
    EMERGENCY_STOPPED = 4  # an ESTOP latched
    LEASE_EXPIRED = 5  # the lease ended a session
    TAKEN_OVER = 6  # a HELLO with another nonce ended a session
    RUN_LIMIT = 7  # the run limit was reached
    REST_OVER = 8  # the rest after the run limit is over
    FEET_LIFTED = 9  # the feet have been off for 5 s in an open session
    FEET_BACK = 10  # the sensor reads on again after FEET_LIFTED
    FAULT = 11  # a fault bit became set
    CLEARED = 12  # a latch was cleared
    BUTTON = 13  # the button on the device ended a session


class ResetCause(IntEnum):
    """Why the device booted."""

    UNKNOWN = 0  # the device cannot tell
    POWER_ON = 1  # the supply came
    EXTERNAL = 2  # the reset pin; many boards pull it when the port opens
    BROWN_OUT = 3  # the supply sank
    WATCHDOG = 4  # the chip's timer: the device hung
    SOFTWARE = 5  # the device reset itself on purpose


class Feet(IntEnum):
    """What the feet sensor reads now, before the 5 s of FEET_OFF_MS."""

    NO_SENSOR = 0  # the device has none
    ON = 1  # feet are on it
    OFF = 2  # feet are not on it


class Capability(IntFlag):
    """What the device has, one bit each."""

    FEET_SENSOR = 1  # a feet sensor
    TEMPERATURE = 2  # it measures the motor's temperature
    CURRENT = 4  # it measures the motor's current
    MOTION = 8  # it can tell a stalled motor from a turning one
    BUTTON = 16  # a button that stops
    SIMULATED = 32  # no motor: the only devices whose speed may be above 1


class HelloFlag(IntFlag):
    """Flags of HELLO."""

    IDENTIFY_ONLY = 1  # answered with token 0; nothing is touched


@dataclass(frozen=True, slots=True)
class Field:
    """One field on the wire: struct code, unit, inclusive range, meaning."""

    code: str
    unit: str
    low: int
    high: int
    meaning: str


def _u8(unit: str, meaning: str, low: int = 0, high: int = 0xFF) -> Field:
    return Field("B", unit, low, high, meaning)


def _u16(unit: str, meaning: str, low: int = 0, high: int = 0xFFFF) -> Field:
    return Field("H", unit, low, high, meaning)


def _u32(unit: str, meaning: str) -> Field:
    return Field("I", unit, 0, 0xFFFF_FFFF, meaning)


def _level(meaning: str) -> Field:
    return _u16("‰", meaning, 0, limits.LEVEL_MAX_PERMILLE)


# --- host → device ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """Opens a session (and softly stops whatever runs), or only asks who is there."""

    flags: Annotated[int, _u8("bits", "HelloFlag; other bits are sent 0 and ignored")]
    min_major: Annotated[int, _u8("", "lowest protocol major the host speaks")]
    max_major: Annotated[int, _u8("", "highest protocol major the host speaks")]
    host_nonce: Annotated[int, _u32("", "chosen by the host, new for each session")]


@dataclass(frozen=True, slots=True)
class GetLimits:
    """Asks for LIMITS."""


@dataclass(frozen=True, slots=True)
class SetLevel:
    """The setpoint, and the permission to keep moving for the lease."""

    level_permille: Annotated[int, _level("setpoint; below the gentlest level means off")]
    lease_ms: Annotated[
        int, _u16("ms", "how long it holds", limits.LEASE_MIN_MS, limits.LEASE_MAX_MS)
    ]


@dataclass(frozen=True, slots=True)
class Stop:
    """Soft stop: the output falls to 0 and the session is void."""


@dataclass(frozen=True, slots=True)
class EmergencyStop:
    """Output 0 at once, latched until CLEAR; taken from anyone."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Takes a latch back, by the id that STATUS showed."""

    latch_id: Annotated[int, _u16("", "the latch to clear")]


@dataclass(frozen=True, slots=True)
class GetStatus:
    """Asks for STATUS."""


# --- device → host ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the device is; its header carries the new session token (0 after identify only)."""

    major: Annotated[int, _u8("", "protocol major both will speak", 1)]
    minor: Annotated[int, _u8("", "protocol minor of the device")]
    host_nonce: Annotated[int, _u32("", "the nonce of the HELLO")]
    device_id: Annotated[
        bytes, Field("8s", "ASCII", 1, 8, "1…8 of A–Z a–z 0–9 _ -, then zero bytes")
    ]
    boot_id: Annotated[int, _u16("", "counts boots and survives power", 1)]
    reset_cause: Annotated[int, _u8("enum", "ResetCause")]
    model: Annotated[int, _u16("", "the maker's model number")]
    speed: Annotated[int, _u8("×", "1 = real time; more only where SIMULATED", 1, limits.SPEED_MAX)]
    capabilities: Annotated[int, _u16("bits", "Capability")]
    fingerprint: Annotated[int, _u32("", "CRC-32 of the schema text")]

    @property
    def name(self) -> str:
        """The device id as text, 1…8 characters."""
        return self.device_id.rstrip(b"\0").decode("ascii")

    @property
    def is_simulated(self) -> bool:
        """Whether no motor hangs behind it."""
        return bool(self.capabilities & Capability.SIMULATED)


@dataclass(frozen=True, slots=True)
class Limits:
    """The device's own limits."""

    gentlest_permille: Annotated[
        int, _u16("‰", "lowest level that turns", 1, limits.LEVEL_MAX_PERMILLE)
    ]
    max_permille: Annotated[int, _u16("‰", "highest level", 1, limits.LEVEL_MAX_PERMILLE)]
    rise_permille_s: Annotated[int, _u16("‰/s", "how fast the ceiling is earned", 1)]
    fall_permille_s: Annotated[int, _u16("‰/s", "how fast a soft stop falls", 1)]
    lease_min_ms: Annotated[int, _u16("ms", "shortest lease")]
    lease_max_ms: Annotated[int, _u16("ms", "longest lease")]
    run_max_s: Annotated[int, _u16("s", "longest run")]
    rest_s: Annotated[int, _u16("s", "rest after the longest run")]
    steps: Annotated[int, _u16("", "levels the motor can tell apart")]


@dataclass(frozen=True, slots=True)
class Status:
    """Everything the host sees, in one message; the answer to most commands."""

    state: Annotated[int, _u8("enum", "State")]
    end_reason: Annotated[int, _u8("enum", "EndReason")]
    boot_id: Annotated[int, _u16("", "as in IDENTITY", 1)]
    event_id: Annotated[int, _u16("", "id of the newest event of this boot")]
    faults: Annotated[int, _u16("bits", "Fault")]
    setpoint_permille: Annotated[int, _level("what the host asked for")]
    ceiling_permille: Annotated[int, _level("what has been earned")]
    output_permille: Annotated[int, _level("what the motor gets now")]
    lease_left_ms: Annotated[int, _u16("ms", "0 where no lease runs", 0, limits.LEASE_MAX_MS)]
    run_time_s: Annotated[int, _u16("s", "motor-on time since the last 60 s at output 0")]
    latch_id: Annotated[int, _u16("", "0 = nothing latched")]
    uptime_ms: Annotated[int, _u32("ms", "since boot; wraps after 49.7 days")]
    bad_frames: Annotated[int, _u16("", "frames dropped since boot; stays at 65,535")]
    feet: Annotated[int, _u8("enum", "Feet")]
    temperature_dc: Annotated[
        int, Field("h", "0.1 °C", -32768, 32767, "motor; −32768 = not measured")
    ]
    current_ma: Annotated[int, _u16("mA", "motor; 65,535 = not measured")]

    @property
    def temperature_c(self) -> float | None:
        """°C of the motor, None where it is not measured."""
        measured = self.temperature_dc != NOT_MEASURED_TEMPERATURE
        return self.temperature_dc / 10 if measured else None


@dataclass(frozen=True, slots=True)
class Nak:
    """A command was refused and changed nothing."""

    type: Annotated[int, _u8("", "type of the refused command")]
    reason: Annotated[int, _u8("enum", "Reason")]
    limit: Annotated[int, _u16("", "the limit that was hit, see the table of reasons")]


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened that nobody asked for; sent once, with sequence 0."""

    event_id: Annotated[int, _u16("", "1…65,535 of this boot, then 1", 1)]
    code: Annotated[int, _u8("enum", "EventCode")]
    state: Annotated[int, _u8("enum", "State after it")]
    uptime_ms: Annotated[int, _u32("ms", "when")]


Command = Hello | GetLimits | SetLevel | Stop | EmergencyStop | Clear | GetStatus
Reply = Identity | Limits | Status | Nak
Message = Command | Reply | Event


@dataclass(frozen=True, slots=True)
class Layout:
    """How one message lies on the wire."""

    type_id: int
    wire_name: str
    cls: Any
    fields: tuple[tuple[str, Field], ...]
    struct: Struct  # of the payload
    frame: Struct  # of header and payload
    values: Callable[[Any], tuple[Any, ...]]
    make: Callable[..., Any]  # the values to a message, as `cls` would but faster
    narrowed: tuple[tuple[int, str, int, int], ...]  # index, name, low, high: less than the type

    @property
    def from_device(self) -> bool:
        """Whether the device sends it."""
        return bool(self.type_id & FROM_DEVICE)

    @property
    def may_be_longer(self) -> bool:
        """Whether bytes after the known payload are skipped instead of refused."""
        return self.from_device or self.cls is EmergencyStop


def _values_of(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda _message: ()
    if len(names) == 1:
        only = names[0]
        return lambda message: (getattr(message, only),)
    return attrgetter(*names)


def _maker_of(cls: Any, names: list[str]) -> Callable[..., Any]:
    """A frozen dataclass sets its fields one slow call at a time: 1.6 µs for STATUS. A mutable
    twin with the same slots sets them directly and then becomes the frozen class: 0.3 µs."""
    twin: Any = make_dataclass(cls.__name__, names, slots=True)

    def make(*values: Any) -> Any:
        message = twin(*values)
        message.__class__ = cls
        return message

    return make


def _layout(type_id: int, wire_name: str, cls: Any) -> Layout:
    hints = get_type_hints(cls, include_extras=True)
    fields = tuple((name, get_args(hint)[1]) for name, hint in hints.items())
    names = [name for name, _ in fields]
    codes = "".join(field.code for _, field in fields)
    whole = {"B": (0, 0xFF), "H": (0, 0xFFFF), "I": (0, 0xFFFF_FFFF), "h": (-0x8000, 0x7FFF)}
    return Layout(
        type_id,
        wire_name,
        cls,
        fields,
        Struct("<" + codes),
        Struct(HEADER_FORMAT + codes),
        _values_of(names),
        _maker_of(cls, names),
        tuple(
            (index, name, field.low, field.high)
            for index, (name, field) in enumerate(fields)
            if field.code in whole and (field.low, field.high) != whole[field.code]
        ),
    )


MESSAGES: Final = (
    _layout(0x01, "HELLO", Hello),
    _layout(0x02, "GET_LIMITS", GetLimits),
    _layout(0x03, "SET_LEVEL", SetLevel),
    _layout(0x04, "STOP", Stop),
    _layout(0x05, "ESTOP", EmergencyStop),
    _layout(0x06, "CLEAR", Clear),
    _layout(0x07, "GET_STATUS", GetStatus),
    _layout(0x81, "IDENTITY", Identity),
    _layout(0x82, "LIMITS", Limits),
    _layout(0x83, "STATUS", Status),
    _layout(0x84, "NAK", Nak),
    _layout(0x85, "EVENT", Event),
)
BY_TYPE: Final = {layout.type_id: layout for layout in MESSAGES}
BY_CLASS: Final = {layout.cls: layout for layout in MESSAGES}
# Layout and meaning of these never change, in any major.
FROZEN_TYPES: Final = frozenset({0x01, 0x05, 0x81, 0x84})
# Eight bytes: what struct would pad or cut is refused instead.
DEVICE_ID_PATTERN: Final = re.compile(rb"(?=.{8}\Z)[A-Za-z0-9_-]{1,8}\0*", re.DOTALL)


def device_id_bytes(name: str) -> bytes:
    """The 8 bytes of a device id. Raises ValueError for anything but 1…8 of A–Z a–z 0–9 _ -."""
    raw = name.encode("utf-8")
    if not re.fullmatch(rb"[A-Za-z0-9_-]{1,8}", raw):
        raise ValueError(
            f"device id {name!r}: it must be 1 to 8 characters of A–Z, a–z, 0–9, _ and -"
        )
    return raw.ljust(8, b"\0")


def word_of(words: type[IntEnum], value: int) -> str:
    """The word of an enumeration in lower case; a value a later minor added stays a number."""
    try:
        return words(value).name.lower()
    except ValueError:
        return f"{words.__name__} {value}"


def schema_text() -> str:
    """The table as one line a message: what the fingerprint is made of."""
    return "\n".join(
        " ".join(
            (
                f"{layout.type_id:02x}",
                layout.wire_name,
                *(f"{name}:{f.code}:{f.low}..{f.high}" for name, f in layout.fields),
            )
        )
        for layout in MESSAGES
    )


FINGERPRINT: Final = zlib.crc32(schema_text().encode("ascii"))

if any(calcsize(layout.struct.format) > limits.PAYLOAD_MAX_BYTES for layout in MESSAGES):
    raise AssertionError("a payload is longer than a frame can carry")
