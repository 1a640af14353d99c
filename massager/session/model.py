"""The words of a session: its states, what may happen to it, what it asks for. Data only.

    Idle ─► Arming ─► Preflight ─► Running ◄─► Paused
                │          │          │           │
                └──────────┴──► Stopping ◄────────┘        Ended is reached from every state

`session.step` is the only place that moves from one to another.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeAlias

from firmware_protocol.link import LinkEvent
from firmware_protocol.messages import Command, Identity, Status
from massager.limits import INTENSITY_MAX, SITTING_MAX_MS, lease_ms, unseen_end_ms
from massager.plan import Choice, Levels, Progress, SessionPlan
from massager.session.caps import Cap


class StopReason(StrEnum):
    """Why a session ended; every session has exactly one."""

    COMPLETED = "completed"
    REQUESTED = "requested"
    EMERGENCY = "emergency"
    FEET_REMOVED = "feet removed"
    NO_FEET = "no feet"
    PAUSED_TOO_LONG = "paused too long"
    LEASE_EXPIRED = "lease expired"
    LINK_LOST = "link lost"
    OVERHEATED = "overheated"
    STALLED = "stalled"
    RUN_LIMIT = "run limit"
    SITTING_LIMIT = "sitting limit"
    HOST_SUSPENDED = "host suspended"
    HOST_STALLED = "host stalled"
    DEVICE_RESTARTED = "device restarted"
    TAKEN_OVER = "taken over"
    SHUTDOWN = "shutdown"
    FAULT = "fault"
    REFUSED = "refused"
    NO_HANDSHAKE = "no handshake"
    WRONG_DEVICE = "wrong device"


# The end of a session whose motor does not obey: whatever the output is, it is not off.
MOTOR_MOVES: Final = "the motor moves though it is switched off: pull the plug"


class PauseReason(StrEnum):
    """Why the feet rest now, though the session goes on."""

    PERSON = "paused"
    FEET = "feet lifted"
    LINK_LOST = "link lost"
    LEASE_EXPIRED = "lease expired"


class Hindrance(StrEnum):
    """What stands between these feet and a massage, where something does."""

    LIMIT = "limit"  # a cap, the dose, quiet hours
    SCREENING = "screening"  # not asked, not readable, or an answer that blocks
    HISTORY = "history"  # it cannot be written


@dataclass(frozen=True, slots=True)
class Permit:
    """What holds for feet on a real device; admission.py finds it out.

    `refusal` is why nothing may start, in words, and `hindrance` what kind of reason that is.
    `motor_on_max_ms` is what is left of the sitting and of the 24 hours. `cap_reason` says whose
    cap `max_intensity` is. `caps` hold beside it, each from its moment on, in ms of real time after
    the permit was made, in order.
    """

    refusal: str | None = None
    motor_on_max_ms: int = SITTING_MAX_MS
    max_intensity: int = INTENSITY_MAX
    cap_reason: str = ""
    hindrance: Hindrance = Hindrance.LIMIT
    caps: tuple[Cap, ...] = ()


NO_PERMIT: Final = Permit("nobody has asked whether these feet may be massaged now", 0)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session may rely on and must insist on; fixed when it starts.

    `speed` is the controller's clock over real time (1…20). `device_id` is the only device that
    may be driven, or None for whichever answers. `max_intensity` is the person's own cap.
    `permit` counts where the device is not simulated, or `as_real`: the handshake tells. It was
    made at `permitted_ms` of the controller's clock, which no step of the wall clock moves; `caps`
    are its caps on that clock, once it counts.
    """

    speed: int = 1
    device_id: str | None = None
    max_intensity: int = INTENSITY_MAX
    cap_reason: str = "max_intensity in the config"
    motor_on_max_ms: int = SITTING_MAX_MS
    permit: Permit = NO_PERMIT
    permitted_ms: int = 0
    as_real: bool = False
    caps: tuple[Cap, ...] = ()

    def with_permit(self) -> "Terms":
        """What holds on a real device. The permit makes nothing looser, and what turns on while a
        device is lost must still fit."""
        permit = self.permit
        is_lower = permit.max_intensity < self.max_intensity
        return replace(
            self,
            max_intensity=min(self.max_intensity, permit.max_intensity),
            cap_reason=permit.cap_reason if is_lower else self.cap_reason,
            motor_on_max_ms=min(self.motor_on_max_ms, permit.motor_on_max_ms - self.unseen_ms),
            caps=tuple(
                replace(cap, from_ms=self.permitted_ms + cap.from_ms * self.speed)
                for cap in permit.caps
            ),
        )

    def cap_at(self, now_ms: int) -> Cap:
        """The cap in force: the only place that knows it."""
        own = Cap(0, self.max_intensity, self.cap_reason)
        begun = [cap for cap in self.caps if cap.from_ms <= now_ms]
        return min([own, *begun[-1:]], key=lambda cap: cap.max_intensity)

    def highest_cap(self, from_ms: int, to_ms: int) -> int:
        """The highest intensity that was allowed at any moment of this span."""
        if not self.caps:
            return self.max_intensity
        moments = [cap.from_ms for cap in self.caps if from_ms < cap.from_ms <= to_ms]
        return max(self.cap_at(moment).max_intensity for moment in (from_ms, *moments))

    @property
    def lease_ms(self) -> int:
        """The lease that goes with each setpoint, ms of device time."""
        return lease_ms(self.speed)

    @property
    def unseen_ms(self) -> int:
        """How long the motor may turn after a level was asked for, or its output heard, ms."""
        return unseen_end_ms(self.speed)

    @property
    def patience(self) -> int:
        """Waits on the line are real time: the line gets no faster with the clock."""
        return self.speed


@dataclass(frozen=True, slots=True)
class Course:
    """What has become of the session so far. Times in ms of the controller's clock."""

    terms: Terms
    choice: Choice
    identity: Identity
    levels: Levels
    progress: Progress
    status: Status
    heard_ms: int  # when `status` came
    counted_ms: int  # `motor_on_ms` is counted until then
    motor_on_ms: int = 0
    highest_output_permille: int = 0
    turns_until_ms: int = 0  # the motor may be on until then, if nothing more is asked for or heard
    lowered_by: str = ""  # why the intensity is lower than was chosen

    # The motor counts as on from the moment a level is asked for until the device is heard to be at
    # 0, or until no lease can hold it any more: never too little, whatever is late or lost.
    # Two of these happen for every setpoint; spelt out they cost a third of `replace`.

    def heard(self, status: Status, now_ms: int, *, asked: bool = False) -> "Course":
        """The same with the newest status. `asked`: as in `counted`; an answer that was sent before
        a level was followed does not say that the motor is off."""
        is_on = asked or status.output_permille > 0
        until_ms = now_ms if is_on else self.turns_until_ms
        return Course(
            *(self.terms, self.choice, self.identity, self.levels, self.progress),
            *(status, now_ms, now_ms),
            self.motor_on_ms + max(0, min(now_ms, until_ms) - self.counted_ms),
            max(self.highest_output_permille, status.output_permille),
            now_ms + self.terms.unseen_ms if is_on else now_ms,
            self.lowered_by,
        )

    def counted(self, now_ms: int, *, asked: bool) -> "Course":
        """The same with the motor's time until now. `asked`: for a level above 0, since the last
        time."""
        unseen_ms = self.terms.unseen_ms if asked else 0
        until_ms = max(self.turns_until_ms, self.counted_ms + unseen_ms)
        return Course(
            *(self.terms, self.choice, self.identity, self.levels, self.progress),
            *(self.status, self.heard_ms, now_ms),
            self.motor_on_ms + max(0, min(now_ms, until_ms) - self.counted_ms),
            self.highest_output_permille,
            now_ms + unseen_ms if asked else until_ms,
            self.lowered_by,
        )


# --- states ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing has started."""

    terms: Terms


@dataclass(frozen=True, slots=True)
class Arming:
    """The handshake: who is there, what are its limits, does it take a setpoint of 0."""

    terms: Terms
    choice: Choice
    since_ms: int
    free: bool = False  # nobody else drives the device: this session may be opened
    driven: bool = False  # somebody else did when this was asked for
    identity: Identity | None = None
    levels: Levels | None = None
    before: Course | None = None  # a session that a person resumes over a new link


@dataclass(frozen=True, slots=True)
class Preflight:
    """Waiting for feet, at level 0."""

    course: Course
    since_ms: int


@dataclass(frozen=True, slots=True)
class Running:
    """The plan moves the setpoint."""

    course: Course
    plan: SessionPlan
    plan_from_ms: int
    setpoint_permille: int
    moving: bool = False  # the setpoint changes quickly: stream faster
    goes_to: StopReason = StopReason.COMPLETED  # what the plan's end means


@dataclass(frozen=True, slots=True)
class Paused:
    """Falling to 0 or there; the massage time stands still."""

    course: Course
    why: PauseReason
    since_ms: int
    fall_from_permille: int
    link_lost_ms: int | None = None  # since when the device cannot be reached
    let_go_ms: int | None = None  # since when no setpoint renews its lease; None: `since_ms`


@dataclass(frozen=True, slots=True)
class Stopping:
    """The end is decided; the device has not yet confirmed output 0."""

    course: Course | None
    reason: StopReason
    detail: str
    since_ms: int
    emergency: bool = False
    acknowledged: bool = False
    heard_ms: int | None = None  # when the device last reported its output
    off_ms: int | None = None  # since when its output is 0, though the motor draws current


@dataclass(frozen=True, slots=True)
class Ended:
    """Over. Nothing but a new session moves the motor again."""

    course: Course | None
    reason: StopReason
    detail: str  # one sentence for a person
    output_confirmed: bool  # the device itself reported output 0
    hindrance: Hindrance | None = None  # where the permit refused it, and not the device


State: TypeAlias = Idle | Arming | Preflight | Running | Paused | Stopping | Ended


# --- what may happen -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """A person or an automation starts a session."""

    choice: Choice


@dataclass(frozen=True, slots=True)
class Tick:
    """The session's own time; the only thing that moves the setpoint."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A person wants a pause."""


@dataclass(frozen=True, slots=True)
class Resume:
    """A person wants to go on."""


@dataclass(frozen=True, slots=True)
class SetIntensity:
    """A person wants another intensity, 1…10."""

    intensity: int


@dataclass(frozen=True, slots=True)
class Extend:
    """A person wants more massage time."""

    more_ms: int


@dataclass(frozen=True, slots=True)
class SoftStop:
    """Fall to 0 in 2 s and end."""

    reason: StopReason = StopReason.REQUESTED
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HardStop:
    """Emergency stop: output 0 at once, latched in the device."""

    reason: StopReason = StopReason.EMERGENCY
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The transport is gone."""

    detail: str


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The transport is open again."""


Request: TypeAlias = Start | Pause | Resume | SetIntensity | Extend | SoftStop | HardStop
Input: TypeAlias = Request | Tick | LinkDown | LinkUp | LinkEvent


# --- what it asks for ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Send a HELLO with a new nonce."""


@dataclass(frozen=True, slots=True)
class Identify:
    """Send a HELLO that touches nothing."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The request was understood and not done; the text says why and what would be."""

    why: str


Output: TypeAlias = Command | OpenSession | Identify | Refuse
