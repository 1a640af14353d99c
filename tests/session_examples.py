"""Examples of every state and every input of the session, for the tests that walk them all."""

from dataclasses import replace
from typing import Final

from firmware_protocol.errors import WrongLength
from firmware_protocol.link import Answered, Echoed, Nonsense, Told, Unanswered
from firmware_protocol.messages import (
    BY_CLASS,
    Clear,
    Command,
    EmergencyStop,
    EndReason,
    Event,
    EventCode,
    Fault,
    Feet,
    GetLimits,
    GetStatus,
    Hello,
    Identity,
    Limits,
    Nak,
    Reason,
    SetLevel,
    Status,
    Stop,
)
from firmware_protocol.messages import State as DeviceState
from massager.plan import Choice, Levels, Progress, Shape, continue_session, end_now
from massager.programs import load_program
from massager.session.model import (
    Arming,
    Course,
    Ended,
    Extend,
    HardStop,
    Idle,
    Input,
    LinkDown,
    LinkUp,
    Pause,
    Paused,
    PauseReason,
    Permit,
    Preflight,
    Resume,
    Running,
    SetIntensity,
    SoftStop,
    Start,
    State,
    Stopping,
    StopReason,
    Terms,
    Tick,
)

NOW: Final = 100_000
TERMS: Final = Terms()
CLASSIC: Final = load_program("classic")
KNEADING: Final = load_program("kneading")
CHOICE: Final = Choice(6, 480_000, 90_000, Shape.LINEAR, CLASSIC)
LEVELS: Final = Levels(150, 1000)
TARGET: Final = 622  # intensity 6 of 150 … 1000 ‰
IDENTITY: Final = Identity(1, 0, 7, b"sim-0001", 1, 1, 1, 1, 63, 0)
LIMITS: Final = Limits(150, 1000, 25, 500, 500, 5000, 900, 60, 256)
STATUS: Final = Status(
    state=DeviceState.RUNNING,
    end_reason=EndReason.NONE,
    boot_id=1,
    event_id=2,
    faults=0,
    setpoint_permille=400,
    ceiling_permille=400,
    output_permille=400,
    lease_left_ms=1500,
    run_time_s=30,
    latch_id=0,
    uptime_ms=60_000,
    bad_frames=0,
    feet=Feet.ON,
    temperature_dc=300,
    current_ma=200,
)
STATUS_OFF: Final = replace(
    STATUS, setpoint_permille=0, ceiling_permille=150, output_permille=0, current_ma=0
)


def course(**changes: object) -> Course:
    whole = Course(
        TERMS,
        CHOICE,
        IDENTITY,
        LEVELS,
        Progress(40_000, 480_000, 0),
        STATUS,
        heard_ms=NOW,
        counted_ms=NOW,
        motor_on_ms=50_000,
        highest_output_permille=400,
        turns_until_ms=NOW + 3_500,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def running(at: Course | None = None, *, since_ms: int = 0, start: int = 400) -> Running:
    """`since_ms` ago it went on from `start` ‰."""
    at = at or course()
    plan = continue_session(at.choice, at.levels, at.progress, start)
    return Running(at, plan, NOW - since_ms, start)


def ending() -> Running:
    whole = running()
    return replace(whole, plan=end_now(whole.plan, 400))


ARMING: Final = Arming(TERMS, CHOICE, NOW - 200)
OFF: Final = course(status=STATUS_OFF, turns_until_ms=NOW)
STATES: Final[dict[str, State]] = {
    "idle": Idle(TERMS),
    "arming": ARMING,
    "arming, known": replace(ARMING, identity=IDENTITY),
    "arming, free": replace(ARMING, identity=IDENTITY, free=True),
    "arming, measured": replace(ARMING, identity=IDENTITY, free=True, levels=LEVELS),
    "arming, too long": replace(ARMING, identity=IDENTITY, free=True, since_ms=NOW - 8_000),
    "arming, in use too long": replace(ARMING, identity=IDENTITY, since_ms=NOW - 8_000),
    "arming, permitted": replace(ARMING, terms=Terms(permit=Permit())),
    "arming, free, refused": replace(
        ARMING, free=True, terms=Terms(permit=Permit("rest until 22:40"), as_real=True)
    ),
    "arming, resuming": replace(
        ARMING, identity=IDENTITY, free=True, levels=LEVELS, before=course()
    ),
    "preflight": Preflight(OFF, NOW - 1_000),
    "preflight, too long": Preflight(OFF, NOW - 120_000),
    "running": running(),
    "running, at its end": running(since_ms=600_000),
    "running, soft end": ending(),
    "running, pattern": running(
        course(choice=replace(CHOICE, program=KNEADING), progress=Progress(0, 400_000, 80_000)),
        since_ms=60_000,
    ),
    "running, sitting over": running(course(motor_on_ms=770_000)),
    "running, silent": running(course(heard_ms=NOW - 1_500)),
    "paused": Paused(course(), PauseReason.PERSON, NOW - 500, 400),
    "paused, at rest": Paused(OFF, PauseReason.PERSON, NOW - 60_000, 0),
    "paused, does not fall": Paused(course(), PauseReason.PERSON, NOW - 4_000, 0),
    "paused, too long": Paused(OFF, PauseReason.PERSON, NOW - 300_000, 0),
    "paused, feet": Paused(OFF, PauseReason.FEET, NOW - 10_000, 0),
    "paused, feet too long": Paused(OFF, PauseReason.FEET, NOW - 60_000, 0),
    "paused, feet off": Paused(
        course(status=replace(STATUS_OFF, feet=Feet.OFF)), PauseReason.FEET, NOW - 10_000, 0
    ),
    "paused, link lost": Paused(OFF, PauseReason.LINK_LOST, NOW - 5_000, 0, NOW - 5_000),
    "paused, link lost too long": Paused(OFF, PauseReason.LINK_LOST, NOW - 10_000, 0, NOW - 10_000),
    "paused, link back": Paused(OFF, PauseReason.LINK_LOST, NOW - 9_000, 0),
    "paused, lease": Paused(OFF, PauseReason.LEASE_EXPIRED, NOW - 9_000, 0),
    "stopping": Stopping(course(), StopReason.REQUESTED, "", NOW - 50),
    "stopping, before a device": Stopping(None, StopReason.REQUESTED, "", NOW - 50),
    "stopping, acknowledged": Stopping(
        course(), StopReason.REQUESTED, "", NOW - 50, acknowledged=True
    ),
    "stopping, too slow": Stopping(course(), StopReason.REQUESTED, "", NOW - 3_000),
    "stopping, too long": Stopping(course(), StopReason.REQUESTED, "", NOW - 5_000),
    "stopping, emergency": Stopping(course(), StopReason.EMERGENCY, "", NOW - 50, emergency=True),
    "ended": Ended(OFF, StopReason.COMPLETED, "", True),
    "ended, unconfirmed": Ended(course(), StopReason.LINK_LOST, "", False),
    "ended, before a device": Ended(None, StopReason.NO_HANDSHAKE, "", False),
}

HELLO: Final = Hello(0, 1, 1, 7)
SET_LEVEL: Final = SetLevel(400, 1500)
COMMANDS: Final[tuple[Command, ...]] = (
    HELLO,
    GetLimits(),
    SET_LEVEL,
    SetLevel(0, 1500),
    Stop(),
    EmergencyStop(),
    Clear(1),
    GetStatus(),
)


def refusal(command: Command, reason: int, limit: int = 0) -> Answered:
    return Answered(command, Nak(BY_CLASS[type(command)].type_id, reason, limit))


def _statuses() -> dict[str, Status]:
    latched = replace(STATUS_OFF, state=DeviceState.LATCHED, latch_id=3)
    return {
        "running": STATUS,
        "off": STATUS_OFF,
        "other boot": replace(STATUS, boot_id=2),
        "other boot, off": replace(STATUS_OFF, boot_id=2, state=DeviceState.IDLE),
        "feet off": replace(STATUS, feet=Feet.OFF),
        "off, feet off": replace(STATUS_OFF, feet=Feet.OFF),
        "no feet sensor": replace(STATUS_OFF, feet=Feet.NO_SENSOR),
        "unknown feet": replace(STATUS_OFF, feet=77),
        "falling": replace(STATUS, state=DeviceState.STOPPING),
        "resting": replace(STATUS_OFF, state=DeviceState.RESTING),
        "unknown state": replace(STATUS, state=77),
        "unknown end": replace(STATUS, end_reason=77),
        "too strong": replace(STATUS, output_permille=1000),
        "latched without a fault": latched,
        "latched, an unknown fault": replace(latched, faults=0x8000),
        **{f"latched, {fault.name}": replace(latched, faults=fault) for fault in Fault},
        **{f"ended: {end.name}": replace(STATUS_OFF, end_reason=end) for end in EndReason if end},
        **{f"ended, on: {end.name}": replace(STATUS, end_reason=end) for end in EndReason if end},
    }


INPUTS: Final[dict[str, Input]] = {
    "start": Start(CHOICE),
    "tick": Tick(),
    "pause": Pause(),
    "resume": Resume(),
    **{f"intensity {level}": SetIntensity(level) for level in (-1, 0, 1, 6, 10, 11)},
    **{f"extend {more} ms": Extend(more) for more in (-60_000, 0, 1, 60_000, 120_000, 10_000_000)},
    "soft stop": SoftStop(),
    "hard stop": HardStop(),
    "shutdown": SoftStop(StopReason.SHUTDOWN, "the computer shuts down"),
    "link down": LinkDown("unplugged"),
    "link up": LinkUp(),
    "echo": Echoed(),
    "nonsense": Nonsense(WrongLength("a STATUS of 3 bytes")),
    **{f"unanswered {type(each).__name__}": Unanswered(each) for each in COMMANDS},
    **{f"event {code.name}": Told(Event(9, code, 0, 1)) for code in EventCode},
    "event 77": Told(Event(9, 77, 77, 1)),
    "identity": Answered(HELLO, IDENTITY),
    "identity, other device": Answered(HELLO, replace(IDENTITY, device_id=b"other\0\0\0")),
    "identity, other boot": Answered(HELLO, replace(IDENTITY, boot_id=2)),
    "identity, other speed": Answered(HELLO, replace(IDENTITY, speed=20)),
    "identity, not simulated": Answered(HELLO, replace(IDENTITY, capabilities=31)),
    "identity, other major": Answered(HELLO, replace(IDENTITY, major=2)),
    "limits": Answered(GetLimits(), LIMITS),
    "limits, impossible": Answered(GetLimits(), replace(LIMITS, max_permille=100)),
    **{
        f"{type(command).__name__} answered: {name}": Answered(command, status)
        for command in (SET_LEVEL, Stop(), EmergencyStop(), GetStatus(), Clear(1))
        for name, status in _statuses().items()
    },
    **{
        f"{type(command).__name__} refused: {reason}": refusal(command, reason, limit)
        for command in COMMANDS
        for reason in (*Reason, 77)
        for limit in (0, 3)
    },
}
