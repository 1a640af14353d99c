"""What the simulated device does by itself: lease, run limit, rest, feet, protection, latch.
Pure; told the time. It knows nothing of frames: `device.py` judges commands and calls it.

Everything the motor gets goes through `Gate`; this file says only *follow*, *fall* or *cut*, and
checks the gate after every piece of time.
"""

from dataclasses import dataclass
from typing import Final

from firmware_protocol.limits import (
    FEET_OFF_MS,
    LEASE_FALL_PERMILLE_S,
    LEVEL_MAX_PERMILLE,
    REST_S,
    RUN_MAX_S,
    SOFT_FALL_PERMILLE_S,
    SPEED_MAX,
)
from firmware_protocol.messages import (
    NO_TOKEN,
    EndReason,
    Event,
    EventCode,
    Fault,
    State,
    device_id_bytes,
)
from simulator.device_faults import TRACE_WORD, Protection, gate_breach
from simulator.gate import Gate, Motion
from simulator.physics import STEP_MS, Motor

LIVE_FALL_MS: Final = 20  # how far ahead the next look is worth a timer: in a fall,
LIVE_RISE_MS: Final = 100  # and in a rise
_NEVER: Final = 1 << 62
_ID_MAX: Final = 65_535


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """What one device is. Raises ValueError for what IDENTITY or LIMITS could not tell."""

    device_id: str = "sim-0001"
    gentlest_permille: int = 150
    max_permille: int = 1000
    feet_sensor: bool = True
    speed: int = 1
    model: int = 1
    steps: int = 256

    def __post_init__(self) -> None:
        device_id_bytes(self.device_id)
        if not 1 <= self.gentlest_permille <= self.max_permille <= LEVEL_MAX_PERMILLE:
            raise ValueError(
                f"gentlest {self.gentlest_permille} ‰ and max {self.max_permille} ‰: they must be "
                f"1 to {LEVEL_MAX_PERMILLE}, the gentlest not above the max"
            )
        if not 1 <= self.speed <= SPEED_MAX:
            raise ValueError(f"speed {self.speed}: it must be 1 to {SPEED_MAX}")


@dataclass(frozen=True, slots=True)
class TraceRow:
    """What the device did, in its own time; levels in ‰."""

    device_ms: int
    boot: int
    token: int  # 0 where no session is open
    state: str
    setpoint: int
    ceiling: int
    output: int
    lease_left: int  # ms; 0 where no lease runs
    why: str


@dataclass(slots=True)
class Session:
    """One open session. A void one does not exist."""

    token: int
    nonce: int
    opened_ms: int
    last_sequence: int
    last_type: int
    last_reply: bytes = b""
    lease_end_ms: int | None = None  # None until the first SET_LEVEL


class Machine:
    """The device without its wire. `advance` first, then whatever happens at that time."""

    def __init__(self, config: DeviceConfig, boot_id: int, now_ms: int, tracing: bool) -> None:
        self.config = config
        self.boot_id = boot_id
        self.boot_ms = now_ms
        self.now_ms = now_ms
        self.gate = Gate(config.gentlest_permille)
        self.motor = Motor(config.gentlest_permille)
        self.session: Session | None = None
        self.last_end = EndReason.NONE  # why the session that ended last in this boot did
        self.faults = Fault(0)
        self.latch_id = 0
        self.event_id = 0
        self.feet_on = True
        self.feet_blocked = False  # until a SET_LEVEL 0 with the feet on
        self.is_resting = False
        self.run_ms = 0  # motor-on time since the last rest
        self._events: list[tuple[Event, int]] = []
        self._protection = Protection()
        self._tokens = 0
        self._last_latch_id = 0
        self._feet_changed_ms = now_ms
        self._feet_lifted = False  # said so, and not yet back
        self._zero_since_ms = now_ms
        self._tracing = tracing
        self._trace: list[TraceRow] = []
        self.note("boot")
        self._event(EventCode.BOOT)

    # --- what can be seen --------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The highest that holds."""
        if self.latch_id:
            return State.LATCHED
        if self.gate.is_falling:
            return State.STOPPING
        if self.is_resting:
            return State.RESTING
        if self.session is None:
            return State.IDLE
        return State.READY if self.session.lease_end_ms is None else State.RUNNING

    @property
    def end_reason(self) -> EndReason:
        """Why the newest session ended; NONE while it is open."""
        return self.last_end if self.session is None else EndReason.NONE

    @property
    def token(self) -> int:
        """The open session's, or 0."""
        return NO_TOKEN if self.session is None else self.session.token

    @property
    def uptime_ms(self) -> int:
        """Since boot; wraps as the wire does."""
        return (self.now_ms - self.boot_ms) & 0xFFFF_FFFF

    @property
    def lease_left_ms(self) -> int:
        """0 where no lease runs."""
        if self.session is None or self.session.lease_end_ms is None:
            return 0
        return self.session.lease_end_ms - self.now_ms

    @property
    def rest_left_ms(self) -> int:
        """Until 60 s at output 0 are over."""
        return self._zero_since_ms + REST_S * 1000 - self.now_ms

    @property
    def causes(self) -> int:
        """Latched faults whose cause is still there."""
        return self.faults & self._protection.causes(self.motor)

    def take_events(self) -> list[tuple[Event, int]]:
        """Events and the tokens they carry, since the last call."""
        taken, self._events = self._events, []
        return taken

    def take_trace(self) -> list[TraceRow]:
        """Rows since the last call."""
        taken, self._trace = self._trace, []
        return taken

    def note(self, why: str) -> None:
        """One trace row of this instant."""
        gate, motion = self.gate, self.gate.motion
        self._row_ms, self._row_output = self.now_ms, motion.output // 1000
        if self._tracing:
            row = TraceRow(
                self.now_ms,
                self.boot_id,
                self.token,
                _STATE_WORD[self.state],
                gate.setpoint_permille,
                motion.ceiling // 1000,
                motion.output // 1000,
                self.lease_left_ms,
                why,
            )
            self._trace.append(row)

    # --- what is done to it -------------------------------------------------------------------

    def open_session(self, nonce: int, sequence: int, type_id: int) -> Session:
        """A new owner: whatever runs falls softly and nothing earned is inherited."""
        taken_over = self._end_session(EndReason.TAKEN_OVER)
        self.gate.start_over(SOFT_FALL_PERMILLE_S)
        if taken_over:
            self._happened(EventCode.TAKEN_OVER, "taken_over")
        self._tokens = self._tokens % 255 + 1
        token = (self.boot_id & 0xFF) << 8 | self._tokens
        self.session = Session(token, nonce, self.now_ms, sequence, type_id)
        self._event(EventCode.SESSION_OPENED)
        return self.session

    def set_level(self, session: Session, level_permille: int, lease_ms: int) -> None:
        """A setpoint that was accepted, and the lease with it."""
        self.gate.follow(level_permille)
        session.lease_end_ms = self.now_ms + lease_ms
        if level_permille == 0 and self.feet_on:
            self.feet_blocked = False

    def stop(self, code: EventCode) -> bool:
        """Soft stop. Whether it ended a session; the event is sent only then."""
        ended = self._end_session(EndReason.STOP)
        self.gate.fall(SOFT_FALL_PERMILLE_S)
        if ended:
            self._event(code)
        return ended

    def emergency_stop(self) -> None:
        """Output 0 in this instant, and latched."""
        was_latched = self.latch_id != 0
        self._latch(Fault.EMERGENCY_STOP, EndReason.EMERGENCY_STOP)
        if not was_latched:
            self._event(EventCode.EMERGENCY_STOPPED)

    def clear(self) -> None:
        """Take the latch back."""
        self.latch_id = 0
        self.faults = Fault(0)
        self._event(EventCode.CLEARED)

    def set_feet(self, on: bool) -> None:
        """What the feet sensor reads from now on; nothing without one."""
        if not self.config.feet_sensor or on == self.feet_on:
            return
        self.feet_on = on
        self._feet_changed_ms = self.now_ms
        if on and self._feet_lifted:
            self._feet_lifted = False
            self._happened(EventCode.FEET_BACK, "feet_back")

    def power_off(self, now_ms: int) -> None:
        """The pin goes low; a hung device has not seen the time pass until then."""
        self.now_ms = max(now_ms, self.now_ms)
        self._end_session(EndReason.NONE)
        self._cut()

    # --- the passing of time ------------------------------------------------------------------

    def advance(self, now_ms: int) -> None:
        """Let time pass up to `now_ms`; it never goes back."""
        while self.now_ms < now_ms:
            alarm_ms = self._next_alarm_ms()
            self._advance_piece(min(now_ms, alarm_ms, self._next_grid_ms()))
            if self.now_ms == alarm_ms:
                self._expire()
            self._trace_time()

    def next_deadline_ms(self) -> int | None:
        """When something changes by itself that is worth a look; None for never."""
        if self._events:
            return self.now_ms
        deadline = self._next_alarm_ms()
        if self.gate.is_falling:
            deadline = min(deadline, self.now_ms + min(LIVE_FALL_MS, self.gate.ms_to_zero()))
        elif self.gate.is_rising:
            ahead = LIVE_RISE_MS if self.gate.motion.output else 1
            deadline = min(deadline, self.now_ms + ahead)
        if self.motor.faults:
            deadline = min(deadline, self._next_grid_ms())
        return deadline if deadline < _NEVER else None

    def _next_grid_ms(self) -> int:
        """When the physics, and while the output is above 0 the trace, have their next step."""
        if self.gate.motion.output == 0 and self.motor.is_at_rest:
            return _NEVER
        return self.now_ms + STEP_MS - self.now_ms % STEP_MS

    def _next_alarm_ms(self) -> int:
        alarm = _NEVER
        if self.session is not None:
            if self.session.lease_end_ms is not None:
                alarm = self.session.lease_end_ms
            if not self.feet_on and not self._feet_lifted:
                alarm = min(alarm, self._feet_since_ms(self.session) + FEET_OFF_MS)
        if self.is_resting or self.run_ms:
            if self.gate.motion.output == 0:
                alarm = min(alarm, self.now_ms + self.rest_left_ms)
            elif not self.is_resting:
                alarm = min(alarm, self.now_ms + RUN_MAX_S * 1000 - self.run_ms)
        return alarm

    def _feet_since_ms(self, session: Session) -> int:
        return max(self._feet_changed_ms, session.opened_ms)

    def _advance_piece(self, until_ms: int) -> None:
        """Up to the next change of the output, at most to `until_ms`, and what is due there."""
        before = self.gate.motion
        passed_ms = self.gate.advance_to_change(until_ms - self.now_ms)
        self.now_ms += passed_ms
        after = self.gate.motion
        if after.output:
            self.run_ms += passed_ms
            if after is not before or self.gate.is_falling:
                self._check_gate(before, after, passed_ms)
        elif before.output:
            self.run_ms += passed_ms - 1  # the last millisecond of it was at output 0
            self._zero_since_ms = self.now_ms
        if self.now_ms % STEP_MS == 0:
            self._sense()

    def _trace_time(self) -> None:
        """The row of an instant that has none yet: where the output changed, and on the grid."""
        if self._row_ms == self.now_ms:
            return
        output_permille = self.gate.output_permille
        if output_permille != self._row_output:
            self.note("gate")
        elif output_permille and self.now_ms % STEP_MS == 0:
            self.note("tick")

    def _check_gate(self, before: Motion, after: Motion, passed_ms: int) -> None:
        """The invariants, switched on for good: the gate is not trusted either."""
        if self.gate.is_falling:
            breach = after.output >= before.output
        else:
            limits = self.config.gentlest_permille, self.config.max_permille
            breach = self.session is None or gate_breach(before, after, passed_ms, *limits)
        if breach:
            self._fault(Fault.INTERNAL)

    def _sense(self) -> None:
        output_permille = self.gate.output_permille
        if output_permille == 0 and self.motor.is_at_rest:
            return
        self.motor.step(output_permille)
        found = self._protection.step(self.motor, output_permille)
        if found:
            self._fault(Fault(found))

    def _expire(self) -> None:
        if self.session is not None and self.session.lease_end_ms == self.now_ms:
            self._end_session(EndReason.LEASE_EXPIRED)
            self.gate.fall(LEASE_FALL_PERMILLE_S)
            self._happened(EventCode.LEASE_EXPIRED, "lease_expired")
        if self.run_ms >= RUN_MAX_S * 1000 and not self.is_resting:
            self.is_resting = True
            self._end_session(EndReason.RUN_LIMIT)
            self.gate.fall(SOFT_FALL_PERMILLE_S)
            self._happened(EventCode.RUN_LIMIT, "run_limit")
        if self.gate.motion.output == 0 and self.rest_left_ms <= 0:
            self._rested()
        if self._feet_have_been_off():
            self._feet_lifted = self.feet_blocked = True
            self.gate.fall(SOFT_FALL_PERMILLE_S)
            self._happened(EventCode.FEET_LIFTED, "feet_lifted")

    def _rested(self) -> None:
        self.run_ms = 0
        if self.is_resting:
            self.is_resting = False
            self._happened(EventCode.REST_OVER, "rest_over")

    def _feet_have_been_off(self) -> bool:
        if self.session is None or self.feet_on or self._feet_lifted:
            return False
        return self.now_ms - self._feet_since_ms(self.session) >= FEET_OFF_MS

    # --- the ends of a session ----------------------------------------------------------------

    def _end_session(self, reason: EndReason) -> bool:
        """Void the token. Whether there was one."""
        if self.session is None:
            return False
        self.session = None
        self.last_end = reason
        return True

    def _fault(self, found: Fault) -> None:
        """Something is wrong: output 0 at once, latched. What is latched already ends no session,
        or nobody could ask to clear it."""
        self._cut()
        new = found & ~self.faults
        if not new:
            return
        self._latch(new, EndReason.FAULT)
        for fault in new:
            self.note(TRACE_WORD[fault])
        self._event(EventCode.FAULT)

    def _latch(self, faults: Fault, reason: EndReason) -> None:
        self._cut()
        self._end_session(reason)
        self.faults |= faults
        if self.latch_id == 0:
            self.latch_id = self._last_latch_id = self._last_latch_id % _ID_MAX + 1

    def _cut(self) -> None:
        if self.gate.motion.output:
            self._zero_since_ms = self.now_ms
        self.gate.cut()

    def _happened(self, code: EventCode, word: str) -> None:
        self._event(code)
        self.note(word)

    def _event(self, code: EventCode) -> None:
        self.event_id = self.event_id % _ID_MAX + 1
        event = Event(self.event_id, code, self.state, self.uptime_ms)
        self._events.append((event, self.token))


_STATE_WORD: Final = {state: state.name.lower() for state in State}
