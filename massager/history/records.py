"""What the history holds, as plain records. Pure: whoever makes one tells it the time.

A session is one row from the moment it is asked for, with events (what people, the device and the
program did) and samples (how it was, once in a second of the session's time).
"""

from dataclasses import dataclass
from typing import Final

UNKNOWN_END: Final = "unknown end"  # the program was killed, or could not write


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment: by the wall clock, which may be wrong, and by the computer's own count.

    `boot` names the boot that `boot_ms` counts from, with the time the computer slept; it is empty
    where the system does not tell, and then is nobody's. Two stamps are compared by ages.py.
    """

    utc_ms: int
    offset_min: int  # of local time from UTC, east is positive
    boot: str
    boot_ms: int
    synchronised: bool = False  # the wall clock was known to be right


@dataclass(frozen=True, slots=True)
class NewSession:
    """A start that was asked for; which device is there is not known yet.

    `counts`: uses up the dose. True until the device has said that it is simulated. `person`: whose
    feet; empty is somebody, which counts for everybody.
    """

    url: str
    program: str
    intensity: int
    minutes: float
    warmup_s: float
    origin: str  # who started it: "command line", "home assistant", …
    counts: bool = True
    speed: int = 1
    person: str = ""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session. `id` orders the history, whatever the clocks did. Levels in ‰."""

    id: int
    device: str | None  # its name, once it has said it
    url: str
    simulated: bool | None  # None: the device never said
    counts: bool
    speed: int
    program: str
    intensity: int  # as it was chosen; changes are events
    minutes: float
    warmup_s: float
    origin: str
    started: Stamp
    seen: Stamp  # the newest sign of life
    ended: Stamp | None
    stop_reason: str | None  # a StopReason's text, or UNKNOWN_END
    detail: str | None
    because: str | None  # what a person gave as the reason of the stop
    motor_on_ms: int
    highest_permille: int
    output_confirmed: bool | None  # at the end: the device itself reported output 0
    pid: int
    person: str = ""  # whose feet; empty where nobody is named


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, `elapsed_ms` into the session."""

    elapsed_ms: int
    at: Stamp
    kind: str  # start, phase, pause, resume, change, stop, fault, refused, asked, end
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """How the session was at one moment; None where it was not known. Levels in ‰."""

    elapsed_ms: int
    phase: str
    setpoint_permille: int | None
    output_permille: int | None
    intensity: int | None
    feet: str | None
    temperature_c: float | None


@dataclass(frozen=True, slots=True)
class Identified:
    """The device has said who it is."""

    device: str
    simulated: bool
    counts: bool


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign of life, with the totals so far."""

    at: Stamp
    motor_on_ms: int
    highest_permille: int


@dataclass(frozen=True, slots=True)
class End:
    """How a session ended."""

    at: Stamp
    stop_reason: str
    detail: str
    motor_on_ms: int
    highest_permille: int
    output_confirmed: bool


@dataclass(frozen=True, slots=True)
class Spent:
    """Motor-on time that uses up the dose; the fields of `dose.Use`.

    `ended` is None while the session runs. `seen_end`: the device confirmed that the motor is off;
    else it may have turned on until its lease ran out. `assumed`: nobody saw it; the history before
    it is gone, which counts as a sitting that just ended.
    """

    motor_on_ms: int
    began: Stamp
    ended: Stamp | None
    seen_end: bool
    assumed: bool = False
    speed: int = 1
