"""The simulated device at its wire: the order in which a command is judged, as SPEC.md says. Pure.

One verified raw frame in, raw frames out. What the device does by itself is `Machine`'s.
"""

from typing import Final

from firmware_protocol.codec import Header, encode, header_of
from firmware_protocol.limits import (
    CEILING_RISE_PERMILLE_S,
    HEADER_BYTES,
    LEASE_MAX_MS,
    LEASE_MIN_MS,
    PROTOCOL_MAJOR,
    PROTOCOL_MINOR,
    REST_S,
    RUN_MAX_S,
    SEQUENCE_AHEAD_MAX,
    SEQUENCE_MAX,
    SOFT_FALL_PERMILLE_S,
)
from firmware_protocol.messages import (
    BY_CLASS,
    BY_TYPE,
    FINGERPRINT,
    FROM_DEVICE,
    NO_TOKEN,
    Capability,
    Clear,
    EmergencyStop,
    EventCode,
    Feet,
    GetLimits,
    GetStatus,
    Hello,
    HelloFlag,
    Identity,
    Limits,
    Nak,
    Reason,
    Reply,
    ResetCause,
    SetLevel,
    State,
    Status,
    Stop,
    device_id_bytes,
)
from simulator.machine import DeviceConfig, Machine, Session, TraceRow
from simulator.physics import Motor

__all__ = ["Device", "DeviceConfig", "TraceRow"]

HELLO: Final = BY_CLASS[Hello].type_id
EMERGENCY_STOP: Final = BY_CLASS[EmergencyStop].type_id

_BAD_FRAMES_MAX: Final = 65_535

Refusal = tuple[Reason, int]


class Device:
    """One boot of one device. A reboot is a new Device with the next boot id.

    Every time is device time in ms, integer and monotonic; earlier than the newest is read as it.
    """

    def __init__(
        self,
        config: DeviceConfig,
        *,
        boot_id: int = 1,
        reset_cause: ResetCause = ResetCause.POWER_ON,
        now_ms: int = 0,
        tracing: bool = True,
    ) -> None:
        self.bad_frames = 0  # set by whoever owns the framing
        self._config = config
        self._reset_cause = reset_cause
        self._machine = Machine(config, boot_id, now_ms, tracing)
        self._is_dead = False  # hung or off: no answer, no event, no time

    @property
    def boot_id(self) -> int:
        """1…65,535."""
        return self._machine.boot_id

    @property
    def state(self) -> State:
        """As in STATUS."""
        return self._machine.state

    @property
    def output_permille(self) -> int:
        """What the motor gets now."""
        return self._machine.gate.output_permille

    @property
    def feet_on(self) -> bool:
        """What the feet sensor reads; True without one."""
        return self._machine.feet_on

    def on_frame(self, raw: bytes, now_ms: int) -> list[bytes]:
        """Take one verified raw frame: the events that were due, the answer, the events it made.

        What came from a device (an echo) gets no answer.
        """
        due = self.tick(now_ms)
        if self._is_dead or raw[1] & FROM_DEVICE:
            return due
        answer = self._judge(header_of(raw), raw[HEADER_BYTES:])
        return [*due, answer, *self._events()]

    def tick(self, now_ms: int) -> list[bytes]:
        """Let time pass: the events that became due."""
        self._advance(now_ms)
        return self._events()

    def next_deadline_ms(self) -> int | None:
        """When a `tick` is worth it next; None where nothing changes by itself."""
        return None if self._is_dead else self._machine.next_deadline_ms()

    def take_trace(self) -> list[TraceRow]:
        """Rows since the last call."""
        return self._machine.take_trace()

    def set_feet(self, on: bool, now_ms: int) -> None:
        """Put feet on the sensor or lift them."""
        self._advance(now_ms)
        if self._is_dead:
            self._machine.feet_on = on  # there for the next boot, and noticed by nobody
        else:
            self._machine.set_feet(on)

    def press_button(self, now_ms: int) -> None:
        """The button on the device: a soft stop of what runs."""
        self._advance(now_ms)
        if not self._is_dead and self._machine.stop(EventCode.BUTTON):
            self._machine.note("button")

    def inject(self, fault: str, now_ms: int) -> None:
        """Break the motor or a sensor (`Motor.FAULTS`), or `clear` what was broken.

        Raises ValueError for any other word.
        """
        self._advance(now_ms)
        faults = self._machine.motor.faults
        if fault == "clear":
            faults.clear()
        elif fault in Motor.FAULTS:
            faults.add(fault)
        else:
            raise ValueError(
                f"fault {fault!r}: it must be clear, {', '.join(sorted(Motor.FAULTS))}"
            )

    def hang(self, now_ms: int) -> None:
        """Stop working: no answer, no time, and the output stays until `power_off`."""
        self._advance(now_ms)
        self._machine.note("hang")
        self._is_dead = True

    def power_off(self, now_ms: int) -> None:
        """Reset or power cut: output 0, and nothing more from this boot."""
        self._advance(now_ms)
        self._machine.power_off(now_ms)
        self._machine.note("reboot")
        self._is_dead = True

    def _advance(self, now_ms: int) -> None:
        if not self._is_dead:
            self._machine.advance(now_ms)

    def _events(self) -> list[bytes]:
        if self._is_dead:
            return []
        return [encode(event, 0, token) for event, token in self._machine.take_events()]

    # --- the order of judging; the first that fails decides ------------------------------------

    def _judge(self, header: Header, payload: bytes) -> bytes:
        if header.type_id == EMERGENCY_STOP:
            self._machine.emergency_stop()
            return self._done("emergency_stop", header)
        if header.type_id == HELLO:
            return self._hello(header, payload)
        if header.major != PROTOCOL_MAJOR:
            return self._nak(header, Reason.VERSION, PROTOCOL_MAJOR)
        layout = BY_TYPE.get(header.type_id)
        if layout is None:
            return self._nak(header, Reason.UNKNOWN_TYPE, 0)
        if len(payload) != layout.struct.size:
            return self._nak(header, Reason.LENGTH, layout.struct.size)
        message = layout.cls(*layout.struct.unpack(payload))
        if isinstance(message, Stop):
            self._machine.stop(EventCode.STOPPED)
            return self._done("stop", header)
        if header.token == NO_TOKEN and isinstance(message, GetLimits | GetStatus):
            return self._reply(header, self._query(message))
        session = self._machine.session
        if session is None or header.token != session.token:
            return self._nak(header, Reason.SESSION, self._machine.last_end)
        return self._in_order(header, session, message)

    def _hello(self, header: Header, payload: bytes) -> bytes:
        layout = BY_CLASS[Hello]
        if len(payload) != layout.struct.size:
            return self._nak(header, Reason.LENGTH, layout.struct.size)
        hello = Hello(*layout.struct.unpack(payload))
        if not hello.min_major <= PROTOCOL_MAJOR <= hello.max_major:
            return self._nak(header, Reason.VERSION, PROTOCOL_MAJOR)
        session = self._machine.session
        if hello.flags & HelloFlag.IDENTIFY_ONLY:
            token, word = NO_TOKEN, "identify"
        elif session is not None and hello.host_nonce == session.nonce:
            token, word = session.token, "repeat"
        else:
            token = self._machine.open_session(hello.host_nonce, header.sequence, HELLO).token
            word = "hello"
        self._machine.note(word)
        return encode(self._identity(hello.host_nonce), header.sequence, token)

    def _in_order(
        self, header: Header, session: Session, message: SetLevel | Clear | GetLimits | GetStatus
    ) -> bytes:
        ahead = (header.sequence - session.last_sequence) % SEQUENCE_MAX
        if header.sequence and ahead == 0 and header.type_id == session.last_type:
            self._machine.note("repeat")
            return session.last_reply
        if header.sequence == 0 or not 1 <= ahead <= SEQUENCE_AHEAD_MAX:
            return self._nak(header, Reason.STALE, session.last_sequence)
        session.last_sequence, session.last_type = header.sequence, header.type_id
        session.last_reply = self._reply(header, self._apply(header, session, message))
        return session.last_reply

    def _apply(
        self,
        header: Header,
        session: Session,
        message: SetLevel | Clear | GetLimits | GetStatus,
    ) -> Reply:
        match message:
            case SetLevel(level_permille, lease_ms):
                refusal = self._refusal_of_level(session, level_permille, lease_ms)
                if refusal is None:
                    self._machine.set_level(session, level_permille, lease_ms)
                    self._machine.note("set_level")
            case Clear(latch_id):
                refusal = self._refusal_of_clear(latch_id)
                if refusal is None:
                    self._machine.clear()
                    self._machine.note("clear")
            case _:
                return self._query(message)
        return self._status() if refusal is None else Nak(header.type_id, *refusal)

    def _refusal_of_level(
        self, session: Session, level_permille: int, lease_ms: int
    ) -> Refusal | None:
        machine = self._machine
        if level_permille > self._config.max_permille:
            return Reason.RANGE, self._config.max_permille
        if lease_ms < LEASE_MIN_MS:
            return Reason.LEASE, LEASE_MIN_MS
        if lease_ms > LEASE_MAX_MS:
            return Reason.LEASE, LEASE_MAX_MS
        if machine.latch_id:
            return Reason.LATCHED, machine.latch_id
        # Only a fall because of the feet has a lease running; its host goes on streaming 0.
        if machine.gate.is_falling and (level_permille or session.lease_end_ms is None):
            return Reason.STOPPING, machine.gate.output_permille
        if machine.is_resting:
            return Reason.RESTING, -(-machine.rest_left_ms // 1000)
        # Nothing starts without feet; what moves may go on for the 5 s of shifting in the chair.
        no_feet = not machine.feet_on and machine.gate.output_permille == 0
        if level_permille and (machine.feet_blocked or no_feet):
            return Reason.FEET, 0
        return None

    def _refusal_of_clear(self, latch_id: int) -> Refusal | None:
        machine = self._machine
        if machine.latch_id == 0 or latch_id != machine.latch_id:
            return Reason.STATE, machine.latch_id
        if machine.causes:
            return Reason.FAULT, machine.causes
        return None

    # --- answers ----------------------------------------------------------------------------------

    def _query(self, message: GetLimits | GetStatus) -> Reply:
        if isinstance(message, GetLimits):
            self._machine.note("get_limits")
            return self._limits()
        self._machine.note("get_status")
        return self._status()

    def _done(self, word: str, header: Header) -> bytes:
        self._machine.note(word)
        return self._reply(header, self._status())

    def _nak(self, header: Header, reason: Reason, limit: int) -> bytes:
        return self._reply(header, Nak(header.type_id, reason, limit))

    def _reply(self, header: Header, message: Reply) -> bytes:
        return encode(message, header.sequence, header.token)

    def _identity(self, nonce: int) -> Identity:
        config = self._config
        capabilities = (
            Capability.TEMPERATURE
            | Capability.CURRENT
            | Capability.MOTION
            | Capability.BUTTON
            | Capability.SIMULATED
        )
        if config.feet_sensor:
            capabilities |= Capability.FEET_SENSOR
        return Identity(
            major=PROTOCOL_MAJOR,
            minor=PROTOCOL_MINOR,
            host_nonce=nonce,
            device_id=device_id_bytes(config.device_id),
            boot_id=self.boot_id,
            reset_cause=self._reset_cause,
            model=config.model,
            speed=config.speed,
            capabilities=capabilities,
            fingerprint=FINGERPRINT,
        )

    def _limits(self) -> Limits:
        return Limits(
            gentlest_permille=self._config.gentlest_permille,
            max_permille=self._config.max_permille,
            rise_permille_s=CEILING_RISE_PERMILLE_S,
            fall_permille_s=SOFT_FALL_PERMILLE_S,
            lease_min_ms=LEASE_MIN_MS,
            lease_max_ms=LEASE_MAX_MS,
            run_max_s=RUN_MAX_S,
            rest_s=REST_S,
            steps=self._config.steps,
        )

    def _status(self) -> Status:
        machine = self._machine
        return Status(
            state=machine.state,
            end_reason=machine.end_reason,
            boot_id=machine.boot_id,
            event_id=machine.event_id,
            faults=machine.faults,
            setpoint_permille=machine.gate.setpoint_permille,
            ceiling_permille=machine.gate.ceiling_permille,
            output_permille=machine.gate.output_permille,
            lease_left_ms=machine.lease_left_ms,
            run_time_s=machine.run_ms // 1000,
            latch_id=machine.latch_id,
            uptime_ms=machine.uptime_ms,
            bad_frames=min(self.bad_frames, _BAD_FRAMES_MAX),
            feet=self._feet(),
            temperature_dc=machine.motor.temperature_dc,
            current_ma=machine.motor.current_ma,
        )

    def _feet(self) -> Feet:
        if not self._config.feet_sensor:
            return Feet.NO_SENSOR
        return Feet.ON if self.feet_on else Feet.OFF
