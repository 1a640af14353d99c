"""The plain C++ around the core on an ESP32: what it hands over, how it keeps time, when it leaves.

The board is a test's (`esp32/harness.cpp`), the core is the real one. What calls ESP-IDF is in
another file, and no test runs it.
"""

import ctypes
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from firmware_protocol.codec import decode, encode
from firmware_protocol.framing import protect, verify
from firmware_protocol.messages import (
    EmergencyStop,
    Event,
    EventCode,
    Fault,
    GetStatus,
    Hello,
    Identity,
    Message,
    ResetCause,
    SetLevel,
    Status,
)
from simulator.firmware.build import built

pytestmark = pytest.mark.needs("cc", "cxx")

HARNESS = Path(__file__).parent / "esp32" / "harness.cpp"
DOWN = b"massager/foot-001/link/down"
ALL_INPUTS = 0x1F
FEET, TEMPERATURE, CURRENT, MOTION, BUTTON = 0x01, 0x02, 0x04, 0x08, 0x10
OUT_OF_RANGE_DC = -2730


@cache
def library() -> ctypes.CDLL:
    """The seam and the core, with the signatures that ctypes cannot guess."""
    made = built("build/esp32/libdevice.so", "cxx", ESP32_HARNESS=str(HARNESS))
    loaded = ctypes.CDLL(str(made))
    loaded.device_new.restype = ctypes.c_void_p
    loaded.device_message.restype = ctypes.c_bool
    loaded.device_watchdog_is_on.restype = ctypes.c_bool
    loaded.device_is_out.restype = ctypes.c_bool
    loaded.device_sent.restype = ctypes.c_uint8
    for name in ("motor", "lease_left_ms", "bad_frames", "faults"):
        getattr(loaded, f"device_{name}").restype = ctypes.c_uint16
    for name in ("motor_writes", "feeds", "restarts", "waiting", "uptime_ms"):
        getattr(loaded, f"device_{name}").restype = ctypes.c_uint32
    loaded.seam_next_boot_id.restype = ctypes.c_uint16
    loaded.seam_current_ma.restype = ctypes.c_uint16
    loaded.seam_temperature_dc.restype = ctypes.c_int16
    loaded.seam_duty_of.restype = ctypes.c_uint32
    return loaded


class Board:
    """One device, its clock and its broker in the test's hands."""

    def __init__(self, capabilities: int = 0, boot_id: int = 7) -> None:
        self._library = library()
        cause = ResetCause.POWER_ON
        self._device = ctypes.c_void_p(self._library.device_new(capabilities, boot_id, cause))
        self._sequence = 0
        self.read()

    def close(self) -> None:
        self._library.device_free(self._device)

    def __getattr__(self, name: str) -> int:
        """What the harness counts: motor, feeds, restarts, uptime_ms and so on."""
        value: int = getattr(self._library, f"device_{name}")(self._device)
        return value

    def run(self, ms: int, each_us: int = 1000) -> None:
        """Let `ms` milliseconds pass in passes of `each_us`."""
        self._library.device_run(self._device, ms * 1000 // each_us, each_us)

    def stand_still(self, ms: int) -> None:
        """One pass, `ms` milliseconds after the last one."""
        self.pass_after(ms * 1000)

    def read(
        self, room: bool = True, feet: bool = True, button: bool = False, motion: bool = False
    ) -> None:
        """What the pins read from now on, and whether a frame can be sent."""
        self._library.device_set(self._device, *map(ctypes.c_bool, (room, feet, button, motion)))

    def leave(self) -> None:
        """Another task asks the device to go out of service."""
        self._library.device_leave(self._device)

    def pass_after(self, us: int) -> None:
        """One pass, `us` microseconds after the last one."""
        self._library.device_run(self._device, 1, us)

    def convert(self, raw: int = 2000, millivolts: int = 1650, current_mv: int = 200) -> None:
        """What the converter reads from now on."""
        self._library.device_convert(self._device, raw, millivolts, current_mv)

    def publish(
        self,
        payload: bytes,
        topic: bytes | None = DOWN,
        retained: bool = False,
        offset: int = 0,
        total: int | None = None,
    ) -> bool:
        """A message of the broker; whether it goes on to the core."""
        size = len(payload) if total is None else total
        taken: bool = self._library.device_message(
            self._device, topic, payload, len(payload), size, offset, ctypes.c_bool(retained)
        )
        return taken

    def sent(self) -> list[tuple[int, Message]]:
        """Token and message of every frame that was sent since the last call."""
        frames = []
        buffer = ctypes.create_string_buffer(42)
        while size := self._library.device_sent(self._device, buffer):
            raw = verify(buffer.raw[:size])
            frames.append((int.from_bytes(raw[3:5], "little"), decode(raw)))
        return frames

    def ask(self, message: Message, token: int = 0) -> list[tuple[int, Message]]:
        """Publish one command, let one millisecond pass, and take what was sent."""
        self._sequence += 1
        assert self.publish(protect(encode(message, self._sequence, token)))
        self.run(1)
        return self.sent()

    def open(self) -> int:
        """The token of a new session."""
        self.run(1)
        self.sent()
        answers = self.ask(Hello(flags=0, min_major=1, max_major=1, host_nonce=5))
        token, identity = answers[0]
        assert isinstance(identity, Identity)
        return token

    def drive(self, level_permille: int = 400, lease_ms: int = 5000) -> int:
        """A session whose motor turns; its token."""
        token = self.open()
        self.ask(SetLevel(level_permille=0, lease_ms=lease_ms), token)
        self.ask(SetLevel(level_permille=level_permille, lease_ms=lease_ms), token)
        self.run(1)
        assert self.motor == 150
        return token


@pytest.fixture
def board() -> Iterator[Board]:
    one = Board()
    yield one
    one.close()


@pytest.fixture
def full() -> Iterator[Board]:
    """A device with every input; its motor's pulses are the test's to give."""
    one = Board(ALL_INPUTS)
    yield one
    one.close()


def test_the_topics_are_those_of_the_specification() -> None:
    text = ctypes.create_string_buffer(100)
    library().seam_topics(b"foot-001", text, 100)
    assert text.value == b"massager/foot-001/link/down\nmassager/foot-001/link/up"
    library().seam_topics(b"a", text, 100)
    assert text.value == b"massager/a/link/down\nmassager/a/link/up"


def test_a_command_is_answered_under_the_boot_id_and_the_id_of_the_device(board: Board) -> None:
    board.run(1)
    ((_, boot),) = board.sent()
    assert isinstance(boot, Event)
    assert boot.code == EventCode.BOOT
    (token, identity), (_, opened) = board.ask(
        Hello(flags=0, min_major=1, max_major=1, host_nonce=0x5EED0001)
    )
    assert isinstance(identity, Identity)
    assert (identity.device_id, identity.boot_id, identity.reset_cause, identity.capabilities) == (
        b"foot-001",
        7,
        ResetCause.POWER_ON,
        0,
    )
    assert token == 0x0701
    assert isinstance(opened, Event)


def test_a_retained_message_is_ignored_and_not_counted(board: Board) -> None:
    frame = protect(encode(EmergencyStop(), 1))
    assert not board.publish(frame, retained=True)
    assert not board.publish(b"x", retained=True)
    board.run(5)
    assert (board.faults, board.bad_frames, board.waiting) == (0, 0, 0)


def test_a_message_of_another_topic_is_ignored_and_not_counted(board: Board) -> None:
    frame = protect(encode(EmergencyStop(), 1))
    for topic in (b"massager/foot-002/link/down", DOWN + b"/x", DOWN[:-1], b"", None):
        assert not board.publish(frame, topic=topic)
    board.run(5)
    assert (board.faults, board.bad_frames) == (0, 0)


@pytest.mark.parametrize("size", [0, 1, 8, 9, 41, 42, 43, 255, 256, 265, 1024, 65_545])
def test_nonsense_of_any_size_is_one_bad_frame(board: Board, size: int) -> None:
    assert board.publish(b"\xa5" * size)
    board.run(1)
    assert board.bad_frames == 1
    assert [answer for _, answer in board.sent() if not isinstance(answer, Event)] == []


def test_a_long_message_in_parts_is_one_bad_frame_however_good_its_parts_are(board: Board) -> None:
    frame = protect(encode(EmergencyStop(), 1))
    assert board.publish(frame, total=2000)
    assert not board.publish(frame, offset=1000, total=2000)
    assert not board.publish(frame, topic=None, offset=1500, total=2000)
    board.run(1)
    assert (board.bad_frames, board.faults) == (1, 0)


def test_a_short_message_of_which_a_part_is_missing_is_a_bad_frame(board: Board) -> None:
    frame = protect(encode(GetStatus(), 1))
    assert board.publish(frame[:5], total=len(frame))
    board.run(1)
    assert board.bad_frames == 1


def test_a_frame_with_one_byte_too_many_is_a_bad_frame(board: Board) -> None:
    assert board.publish(protect(encode(GetStatus(), 1)) + b"\x00")
    board.run(1)
    assert board.bad_frames == 1


@pytest.mark.parametrize("each_us", [1000, 100, 333, 1700, 10_000, 500_000])
def test_no_millisecond_is_lost_whatever_the_passes_last(board: Board, each_us: int) -> None:
    board.run(60_000, each_us)
    passed_us = 60_000_000 // each_us * each_us
    assert board.uptime_ms == passed_us // 1000


def test_the_lease_ends_on_time_over_a_pause_of_the_processor(board: Board) -> None:
    board.drive(lease_ms=500)
    board.stand_still(400)
    assert 90 <= board.lease_left_ms <= 100
    board.run(101)
    assert board.lease_left_ms == 0
    board.run(100)
    assert board.motor == 0


def test_a_pause_of_half_a_second_is_caught_up(board: Board) -> None:
    board.run(10)
    board.stand_still(500)
    assert (board.uptime_ms, board.restarts) == (510, 0)


def test_after_a_longer_pause_the_device_goes_on_as_after_a_reset(board: Board) -> None:
    board.drive()
    feeds = board.feeds
    board.stand_still(501)
    assert (board.motor, board.restarts) == (0, 1)
    assert (board.feeds, board.watchdog_is_on) == (feeds, True)  # in case the restart hangs
    board.publish(protect(encode(GetStatus(), 1)))
    board.sent()
    board.run(10)
    assert (board.motor, board.sent()) == (0, [])


def test_the_watchdog_is_fed_only_where_the_gate_has_stepped(board: Board) -> None:
    board.run(10)
    feeds = board.feeds
    for _ in range(9):
        board.publish(protect(encode(GetStatus(), 1)))
        board.pass_after(100)
    assert board.feeds == feeds
    board.run(1)
    assert board.feeds == feeds + 1


def test_an_emergency_stop_is_at_the_pin_in_the_pass_that_takes_it(board: Board) -> None:
    token = board.drive()
    board.publish(protect(encode(EmergencyStop(), 200, token)))
    board.stand_still(0)
    assert board.motor == 0


def test_a_flood_of_messages_holds_up_neither_the_steps_nor_the_watchdog(board: Board) -> None:
    board.run(1)
    for _ in range(100):
        board.publish(b"nonsense")
    feeds = board.feeds
    board.run(1)
    assert (board.waiting, board.bad_frames, board.feeds) == (84, 16, feeds + 1)
    board.run(6)
    assert (board.waiting, board.bad_frames) == (0, 100)


def test_events_wait_for_a_connection(board: Board) -> None:
    board.read(room=False)
    board.run(1000)
    assert board.sent() == []
    board.read(room=True)
    board.run(1)
    ((_, boot),) = board.sent()
    assert isinstance(boot, Event)
    assert (boot.code, boot.uptime_ms) == (EventCode.BOOT, 0)


def test_an_answer_without_a_connection_is_lost(board: Board) -> None:
    board.run(1)
    board.sent()
    board.read(room=False)
    assert board.ask(GetStatus()) == []
    board.read(room=True)
    board.run(10)
    assert board.sent() == []


def test_the_motor_is_written_once_a_pass_and_only_where_it_changes(board: Board) -> None:
    board.drive()
    before = board.motor_writes
    board.stand_still(400)
    assert (board.motor, board.motor_writes) == (160, before + 1)
    board.stand_still(0)
    assert board.motor_writes == before + 1


def test_out_of_service_the_motor_is_off_and_nothing_is_answered(board: Board) -> None:
    board.drive()
    board.leave()
    assert not board.is_out
    board.run(1)
    assert (board.motor, board.is_out, board.watchdog_is_on, board.restarts) == (0, 1, 0, 0)
    board.publish(protect(encode(GetStatus(), 1)))
    board.sent()
    board.stand_still(60_000)
    assert (board.sent(), board.motor, board.restarts) == ([], 0, 0)


def test_the_button_softly_stops_and_keeps_stopping_while_it_is_held(full: Board) -> None:
    full.read(motion=False)
    full.open()
    full.read(button=True)
    full.run(1)
    events = [message.code for _, message in full.sent() if isinstance(message, Event)]
    assert events == [EventCode.BUTTON]
    full.ask(Hello(flags=0, min_major=1, max_major=1, host_nonce=6))
    full.run(1)
    events = [message.code for _, message in full.sent() if isinstance(message, Event)]
    assert events[-1] == EventCode.BUTTON


def test_an_input_that_does_not_exist_is_not_read(board: Board) -> None:
    board.read(feet=False, button=True)
    board.convert(raw=4095, millivolts=3300, current_mv=3000)
    token = board.drive()
    ((_, status),) = board.ask(GetStatus(), token)
    assert isinstance(status, Status)
    assert (status.feet, status.faults, status.temperature_dc, status.current_ma) == (
        0,
        0,
        -32_768,
        65_535,
    )


def test_status_tells_what_the_inputs_read(full: Board) -> None:
    full.convert(raw=2000, millivolts=1650, current_mv=240)
    full.run(100)
    full.sent()
    ((_, status),) = full.ask(GetStatus())
    assert isinstance(status, Status)
    assert (status.feet, status.temperature_dc, status.current_ma, status.faults) == (
        1,
        250,
        240,
        0,
    )


@pytest.mark.parametrize("raw", [0, 16, 4079, 4095])
def test_a_broken_or_shorted_thermistor_is_a_sensor_fault_within_a_second(raw: int) -> None:
    board = Board(TEMPERATURE)
    board.run(100)
    board.convert(raw=raw, millivolts=1650)
    board.run(1000)
    assert board.faults == Fault.SENSOR
    board.close()


def test_one_wrong_reading_of_the_current_is_no_fault_and_five_are() -> None:
    board = Board(CURRENT)
    board.convert(current_mv=100)
    board.run(100)
    board.convert(current_mv=2400)
    board.run(10)
    board.convert(current_mv=100)
    board.run(100)
    assert board.faults == 0
    board.convert(current_mv=2400)
    board.run(50)
    assert board.faults == Fault.OVER_CURRENT
    board.close()


def test_a_motor_without_pulses_is_stalled_after_half_a_second() -> None:
    board = Board(MOTION)
    board.drive()
    board.run(400)
    assert board.faults == 0
    board.run(200)
    assert (board.faults, board.motor) == (Fault.STALL, 0)
    board.close()


def test_a_motor_counts_as_moving_for_50_ms_after_its_last_pulse() -> None:
    board = Board(MOTION)
    board.drive()
    board.run(300)
    board.read(motion=True)
    board.run(540)
    assert board.faults == 0
    board.run(20)
    assert board.faults == Fault.STALL
    board.close()


def test_a_pause_of_the_processor_is_no_stalled_motor() -> None:
    board = Board(MOTION)
    level = False
    board.open()
    token = 0x0701
    board.ask(SetLevel(level_permille=400, lease_ms=5000), token)
    for _ in range(50):
        level = not level
        board.read(motion=level)
        board.run(20)
    for _ in range(5):
        board.stand_still(300)
        level = not level
        board.read(motion=level)
        board.run(20)
    assert board.faults == 0
    board.close()


def test_readings_are_never_too_old_for_the_core_over_a_pause() -> None:
    board = Board(TEMPERATURE | CURRENT)
    board.run(9)
    for _ in range(10):
        board.stand_still(500)
    assert board.faults == 0
    board.close()


@pytest.mark.parametrize(("last", "following"), [(0, 1), (1, 2), (65_534, 65_535), (65_535, 1)])
def test_the_boot_id_counts_from_1_to_65535_and_on_from_1(last: int, following: int) -> None:
    assert library().seam_next_boot_id(last) == following


@pytest.mark.parametrize(
    ("millivolts", "dc"),
    [(1650, 250), (2516, 0), (494, 700), (135, 1182)],
)
def test_the_thermistor_is_read_by_its_b_constant(millivolts: int, dc: int) -> None:
    read = library().seam_temperature_dc(10_000, 2000, millivolts)
    assert abs(read - dc) <= 12


def test_no_voltage_and_no_resistor_gives_a_temperature_outside_16_bits() -> None:
    for millivolts in range(0, 3400, 7):
        for series_ohm in (1000, 10_000, 100_000):
            read = library().seam_temperature_dc(series_ohm, 2000, millivolts)
            assert read == OUT_OF_RANGE_DC or -400 <= read <= 2000


def test_the_duty_follows_the_level_and_is_0_only_for_0() -> None:
    duties = [library().seam_duty_of(permille, 1024) for permille in range(1001)]
    assert (duties[0], duties[1], duties[150], duties[500], duties[1000]) == (0, 1, 154, 512, 1024)
    for permille, duty in enumerate(duties):
        assert abs(duty * 1000 - permille * 1024) <= 1024  # within 1 ‰


@pytest.mark.parametrize(
    ("millivolts", "per_ampere", "ma"),
    [(0, 1000, 0), (1800, 1000, 1800), (500, 100, 5000), (65_535, 10, 65_534)],
)
def test_the_current_is_scaled_and_never_reads_as_not_measured(
    millivolts: int, per_ampere: int, ma: int
) -> None:
    assert library().seam_current_ma(millivolts, per_ampere) == ma
