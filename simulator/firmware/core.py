"""The firmware's C core on this computer, with a simulated motor around it. Told the time.

The library is `firmware/boards/host`; what it lacks of a device, a motor that turns, warms up and
breaks, is `simulator.physics.Motor`, stepped on its grid as beside the simulated device.
"""

import ctypes
from ctypes import (
    POINTER,
    c_bool,
    c_char_p,
    c_int16,
    c_size_t,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
)
from functools import cache
from pathlib import Path
from struct import Struct
from typing import Any, Final

from firmware_protocol.limits import CRC_BYTES, WIRE_MAX_BYTES
from firmware_protocol.messages import Capability, ResetCause, State, device_id_bytes
from simulator.device_faults import (
    HOT_DC,
    OVER_CURRENT_MA,
    SENSOR_HIGH_DC,
    SENSOR_LOW_DC,
    SPIN_DOWN_MS,
)
from simulator.firmware.build import host_library
from simulator.machine import DeviceConfig, TraceRow
from simulator.physics import STEP_MS, Motor

REAL: Final = (
    Capability.FEET_SENSOR
    | Capability.TEMPERATURE
    | Capability.CURRENT
    | Capability.MOTION
    | Capability.BUTTON
)

ROW: Final = Struct("<QHHHHHHBB2x")  # struct recorder_row
_STATE_WORD: Final = {state.value: state.name.lower() for state in State}


class Config(ctypes.Structure):
    """`struct massager_config`."""

    _fields_ = (
        ("device_id", c_uint8 * 8),
        ("model", c_uint16),
        ("gentlest_permille", c_uint16),
        ("max_permille", c_uint16),
        ("steps", c_uint16),
        ("capabilities", c_uint16),
        ("hot_dc", c_int16),
        ("sensor_low_dc", c_int16),
        ("sensor_high_dc", c_int16),
        ("over_current_ma", c_uint16),
        ("spin_down_ms", c_uint16),
    )


class Now(ctypes.LittleEndianStructure):
    """`struct massager_now`, the same bytes on every device: its units are in massager.h."""

    uptime_ms: int
    output: int
    ceiling: int
    run_ms: int
    boot_id: int
    token: int
    setpoint: int
    lease_left_ms: int
    below_ms: int
    fall: int
    zero_ms: int
    event_id: int
    faults: int
    latch_id: int
    bad_frames: int
    is_leased: int
    is_resting: int
    feet_on: int
    feet_blocked: int
    last_end: int
    reset_cause: int
    _fields_ = (
        ("uptime_ms", c_uint32),
        ("output", c_uint32),
        ("ceiling", c_uint32),
        ("run_ms", c_uint32),
        ("boot_id", c_uint16),
        ("token", c_uint16),
        ("setpoint", c_uint16),
        ("lease_left_ms", c_uint16),
        ("below_ms", c_uint16),
        ("fall", c_uint16),
        ("zero_ms", c_uint16),
        ("event_id", c_uint16),
        ("faults", c_uint16),
        ("latch_id", c_uint16),
        ("bad_frames", c_uint16),
        ("is_leased", c_uint8),
        ("is_resting", c_uint8),
        ("feet_on", c_uint8),
        ("feet_blocked", c_uint8),
        ("last_end", c_uint8),
        ("reset_cause", c_uint8),
    )


def state_of(now: Now) -> State:
    """As massager_state() of the core."""
    if now.latch_id:
        return State.LATCHED
    if now.fall:
        return State.STOPPING
    if now.is_resting:
        return State.RESTING
    if not now.token:
        return State.IDLE
    return State.RUNNING if now.is_leased else State.READY


def without_power(now: Now, gentlest_permille: int) -> Now:
    """`now`, changed to what a reset leaves of it: the output is 0, and the session gone."""
    now.token = now.setpoint = now.output = now.lease_left_ms = now.fall = 0
    now.ceiling = 1000 * gentlest_permille
    return now


def row_of(now: Now, device_ms: int, why: str) -> TraceRow:
    """A row that the device could not write itself."""
    return TraceRow(
        device_ms,
        now.boot_id,
        now.token,
        _STATE_WORD[state_of(now)],
        now.setpoint,
        now.ceiling // 1000,
        now.output // 1000,
        now.lease_left_ms,
        why,
    )


class Recorder(ctypes.Structure):
    """`struct recorder`."""

    _fields_ = (
        ("rows", ctypes.c_void_p),
        ("count", c_size_t),
        ("room", c_size_t),
        ("row_ms", c_uint64),
        ("row_output", c_uint16),
    )


_HOST: Final = ctypes.c_void_p
_SIGNATURES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "host_new": (_HOST, (POINTER(Config), c_uint16, c_uint8)),
    "host_free": (None, (_HOST,)),
    "host_boot": (None, (_HOST, c_uint16, c_uint8)),
    "host_advance": (c_uint32, (_HOST, c_uint32)),
    "host_wait": (None, (_HOST, c_uint32)),
    "host_receive": (None, (_HOST, c_char_p, c_size_t)),
    "host_datagram": (None, (_HOST, c_char_p, c_uint16)),
    "host_line_opened": (None, (_HOST,)),
    "host_feet": (None, (_HOST, c_bool)),
    "host_button": (None, (_HOST,)),
    "host_sense": (None, (_HOST, c_int16, c_uint16, c_bool)),
    "host_block_line": (None, (_HOST, c_bool)),
    "host_sent": (ctypes.c_void_p, (_HOST, POINTER(c_size_t))),
    "host_forget_sent": (None, (_HOST,)),
    "host_stream": (c_size_t, (c_char_p, c_uint8, c_char_p)),
    "host_driven": (c_uint16, (_HOST,)),
    "host_clock_ms": (c_uint64, (_HOST,)),
    "host_now": (POINTER(Now), (_HOST,)),
    "host_recorder": (POINTER(Recorder), (_HOST,)),
    "host_candidate": (ctypes.c_void_p, (_HOST,)),
    "host_candidate_room": (c_size_t, ()),
    "recorder_forget": (None, (POINTER(Recorder),)),
    "recorder_word": (c_char_p, (c_uint8,)),
}


@cache
def load(path: Path) -> ctypes.CDLL:
    """The library at `path`, its functions with their types. Raises OSError."""
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Trace:
    """The rows of a recorder in C as the simulator's; whoever owns it keeps its library alive."""

    def __init__(self, library: ctypes.CDLL, recorder: Any) -> None:
        self._library, self._recorder = library, recorder
        self._words = [library.recorder_word(number) or b"" for number in range(256)]

    def take(self) -> list[TraceRow]:
        """Rows since the last call."""
        recorder: Recorder = self._recorder.contents
        if recorder.count == 0:
            return []
        rows = ctypes.string_at(recorder.rows, recorder.count * ROW.size)
        self._library.recorder_forget(self._recorder)
        return [
            TraceRow(
                device_ms,
                boot,
                token,
                _STATE_WORD[state],
                setpoint,
                ceiling,
                output,
                lease_left,
                self._words[why].decode("ascii"),
            )
            for device_ms, boot, token, setpoint, lease_left, ceiling, output, state, why in (
                ROW.iter_unpack(rows)
            )
        ]


class HostCore:
    """One device that runs the C core. Its clock stands still unless `advance` moves it.

    `config.speed` is not looked at: a core tells 1. Raises CannotBuild where nothing can be built.
    """

    def __init__(
        self,
        config: DeviceConfig,
        *,
        boot_id: int = 1,
        reset_cause: ResetCause = ResetCause.POWER_ON,
        capabilities: Capability = REAL,
        library: Path | None = None,
    ) -> None:
        self._library = load(library or host_library())
        self._host = self._library.host_new(_config(config, capabilities), boot_id, reset_cause)
        self._now: Now = self._library.host_now(self._host).contents
        self._trace = Trace(self._library, self._library.host_recorder(self._host))
        self._rows: list[TraceRow] = []
        self._gentlest_permille = config.gentlest_permille
        self.motor = Motor(config.gentlest_permille)
        self._tell()

    def __del__(self) -> None:
        if getattr(self, "_host", None):
            self._library.host_free(self._host)

    # --- what can be seen ---------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        """The clock, which a reset does not set back."""
        return int(self._library.host_clock_ms(self._host))

    @property
    def now(self) -> Now:
        """Where the device stands now."""
        return Now.from_buffer_copy(self._now)

    @property
    def output_permille(self) -> int:
        """What the motor gets now."""
        return int(self._library.host_driven(self._host))

    def candidate(self, size: int) -> bytes:
        """What its buffer holds of the line, at most 42 bytes: of a frame that just ended, the
        protected frame."""
        room = self._library.host_candidate_room()
        return ctypes.string_at(self._library.host_candidate(self._host), min(size, room))

    def on_a_stream(self, protected: bytes) -> bytes:
        """A protected frame as the core would put it on a stream."""
        wire = ctypes.create_string_buffer(WIRE_MAX_BYTES)
        size: int = self._library.host_stream(protected, len(protected), wire)
        return wire.raw[:size]

    def take_frames(self) -> list[bytes]:
        """The protected frames that were sent since the last call."""
        size = c_size_t()
        sent = self._library.host_sent(self._host, size)
        if size.value == 0:
            return []
        data = ctypes.string_at(sent, size.value)
        self._library.host_forget_sent(self._host)
        return _cut(data)

    def take_trace(self) -> list[TraceRow]:
        """Rows since the last call."""
        rows, self._rows = [*self._rows, *self._trace.take()], []
        return rows

    # --- what is done to it -------------------------------------------------------------------

    def advance(self, ms: int) -> None:
        """Let time pass, the motor's too; none where `ms` is not above 0."""
        while ms > 0:
            until_grid_ms = STEP_MS - self.now_ms % STEP_MS
            if until_grid_ms == 1 and not self._is_quiet:
                self._sense()
                until_grid_ms += STEP_MS
            piece_ms = ms if self._is_quiet else min(ms, until_grid_ms - 1)
            ms -= self._library.host_advance(self._host, piece_ms)

    def receive(self, data: bytes) -> None:
        """Bytes came over the line."""
        self._library.host_receive(self._host, data, len(data))

    def datagram(self, data: bytes) -> None:
        """A message of a broker came."""
        self._library.host_datagram(self._host, data, len(data))

    def line_opened(self) -> None:
        """A host opened the line anew."""
        self._library.host_line_opened(self._host)

    def block_line(self, is_blocked: bool) -> None:
        """Whether the line has room for what the device sends."""
        self._library.host_block_line(self._host, is_blocked)

    def set_feet(self, on: bool) -> None:
        """Put feet on the sensor or lift them."""
        self._library.host_feet(self._host, on)

    def press_button(self) -> None:
        """The button on the device."""
        self._library.host_button(self._host)

    def inject(self, fault: str) -> None:
        """Break the motor or a sensor (`Motor.FAULTS`), or `clear` what was broken."""
        if fault == "clear":
            self.motor.faults.clear()
        else:
            self.motor.faults.add(fault)

    def reboot(self, reset_cause: ResetCause = ResetCause.EXTERNAL, dark_ms: int = 0) -> None:
        """A reset: output 0, then the program runs again with the next boot id."""
        now = self.now
        dark = without_power(self.now, self._gentlest_permille)
        self._rows = [*self._rows, *self._trace.take(), row_of(dark, self.now_ms, "reboot")]
        self._library.host_wait(self._host, dark_ms)
        self._library.host_boot(self._host, now.boot_id % 65_535 + 1, reset_cause)

    # --- physics ------------------------------------------------------------------------------

    @property
    def _is_quiet(self) -> bool:
        """Whether the motor would read the same for as long as the output stays 0."""
        is_at_rest = self.output_permille == 0 and self.motor.is_at_rest
        return is_at_rest and self._told == _readings(self.motor)

    def _sense(self) -> None:
        self.motor.step(self.output_permille)
        self._tell()

    def _tell(self) -> None:
        self._told = _readings(self.motor)
        self._library.host_sense(self._host, *self._told)


def _readings(motor: Motor) -> tuple[int, int, bool]:
    return motor.temperature_dc, motor.current_ma, motor.is_moving


def _config(config: DeviceConfig, capabilities: Capability) -> Config:
    if not config.feet_sensor:
        capabilities &= ~Capability.FEET_SENSOR
    return Config(
        (c_uint8 * 8)(*device_id_bytes(config.device_id)),
        config.model,
        config.gentlest_permille,
        config.max_permille,
        config.steps,
        capabilities,
        HOT_DC,
        SENSOR_LOW_DC,
        SENSOR_HIGH_DC,
        OVER_CURRENT_MA,
        SPIN_DOWN_MS,
    )


def _cut(sent: bytes) -> list[bytes]:
    """Frames that stand each behind a byte with its size."""
    frames = []
    while sent:
        frames.append(sent[1 : 1 + sent[0]])
        sent = sent[1 + sent[0] :]
    return frames


def raw_frame(protected: bytes) -> bytes:
    """Without its CRC."""
    return protected[:-CRC_BYTES]
