"""The built firmware on the emulated chip: what its pins, its line and its memory really do.

Times are measured in cycles of the chip; the limits stand here as literals.
"""

import random
from struct import pack

import pytest

from firmware_protocol.codec import decode, encode, header_of
from firmware_protocol.framing import StreamFraming
from firmware_protocol.messages import (
    Command,
    EmergencyStop,
    Event,
    EventCode,
    Fault,
    Feet,
    GetStatus,
    Hello,
    Identity,
    Message,
    Nak,
    Reason,
    ResetCause,
    SetLevel,
    State,
    Status,
)
from simulator.firmware.board import (
    BUTTON,
    CURRENT,
    FEET,
    TEMPERATURE,
    Board,
    default_program,
    eeprom_for,
)
from simulator.firmware.chip import CYCLES_PER_MS, Chip, Halt, Hang, Level, ResetFlag

pytestmark = pytest.mark.needs("cc", "avr", "simavr")

BYTE_CYCLES = 2_800  # ten bits at 57,143 baud


class Host:
    """A host on the chip's line, in the chip's time."""

    def __init__(self, eeprom: bytes = b"") -> None:
        self.board = Board(eeprom=eeprom or eeprom_for(1))
        self.chip = self.board.chip
        self.framing = StreamFraming()
        self.token = 0
        self.sequence = 0
        self.events: list[EventCode] = []
        self.run(50)
        self.hear()

    def run(self, ms: float) -> None:
        self.board.run(self.chip.cycle + round(ms * CYCLES_PER_MS))

    def hear(self) -> list[Message]:
        """What came; events are kept apart."""
        messages = [decode(raw) for raw in self.framing.receive(self.chip.take())]
        self.events += [EventCode(event.code) for event in messages if isinstance(event, Event)]
        return [message for message in messages if not isinstance(message, Event)]

    def wire(self, command: Command) -> bytes:
        self.sequence = self.sequence % 255 + 1
        return self.framing.encode(encode(command, self.sequence, self.token))

    def say(self, command: Command) -> Message:
        """One command and the answer to it."""
        self.chip.send(self.wire(command))
        self.run(25)
        (answer,) = self.hear()
        return answer

    def status(self) -> Status:
        """As anybody may ask."""
        self.sequence = self.sequence % 255 + 1
        self.chip.send(self.framing.encode(encode(GetStatus(), self.sequence, 0)))
        self.run(25)
        (answer,) = self.hear()
        assert isinstance(answer, Status)
        return answer

    def open(self, nonce: int = 7) -> Identity:
        self.token = 0
        self.chip.send(self.wire(Hello(0, 1, 1, nonce)))
        self.run(25)
        (raw, *_) = self.framing.receive(self.chip.take())
        identity = decode(raw)
        assert isinstance(identity, Identity)
        self.token = header_of(raw).token
        return identity

    def massage(self, level: int, ms: int) -> None:
        """A session at this level for so long."""
        self.open(nonce=self.chip.cycle & 0xFFFF_FFFF)
        for _ in range(0, ms, 250):
            assert isinstance(self.say(SetLevel(level, 1500)), Status)
            self.run(225)


# --- the emulator's own shortcuts ---------------------------------------------------------------


def test_periods_that_are_not_looked_at_are_like_those_that_are() -> None:
    seen = []
    for every_edge in (False, True):
        host = Host()
        host.chip.watch_pin(every_edge=every_edge)
        host.massage(400, 3_000)
        pin = host.chip.pin()
        seen.append((pin.high, pin.period, pin.level > 0 or pin.on_timer, host.chip.now.output))
        assert (pin.rises > 50_000) == every_edge
    assert seen[0] == seen[1]


def test_a_rest_that_is_skipped_ends_as_one_that_is_not() -> None:
    quick, slow = (Board(eeprom=eeprom_for(1), in_steps=True) for _ in range(2))
    quick.advance(123_456)
    for _ in range(123):
        slow.advance(1_000)
    slow.advance(456)
    assert quick.chip.cycle < slow.chip.cycle * 0.7
    assert quick.chip.image() == slow.chip.image()
    assert quick.chip.now.uptime_ms == slow.chip.now.uptime_ms == 123_456


@pytest.fixture
def host() -> Host:
    return Host()


# --- the motor's pin --------------------------------------------------------------------------


def test_the_pin_is_low_and_off_the_timer_from_the_reset_to_the_first_level() -> None:
    host = Host()
    host.chip.watch_pin(every_edge=True)
    host.board.reset(ResetFlag.POWER_ON)
    host.run(100)
    host.hear()
    host.open()
    host.say(SetLevel(0, 1500))
    host.chip.send(random.Random(1).randbytes(900))
    host.run(500)
    pin = host.chip.pin()
    assert (pin.rises, pin.level, pin.on_timer) == (0, 0, 0)


def test_every_level_comes_out_of_the_pin_within_2_permille() -> None:
    board = Board(eeprom=eeprom_for(1), in_steps=True)
    framing = StreamFraming()
    seen: dict[int, float] = {}
    board.chip.send(framing.encode(encode(Hello(0, 1, 1, 7), 1, 0)))
    board.settle()
    token = board.chip.now.token
    for sequence in range(2, 250):
        board.chip.send(framing.encode(encode(SetLevel(1000, 1500), sequence, token)))
        board.settle()
        for _ in range(7):
            board.advance(20)
            pin = board.chip.pin()
            assert (pin.on_timer, pin.is_known, pin.period) == (1, 1, 512)
            seen[board.chip.now.output // 1000] = 1000 * pin.high / pin.period
    assert set(seen) == set(range(150, 1001))
    assert max(abs(level - duty) for level, duty in seen.items()) <= 2
    assert seen[1000] == 1000


def test_the_first_pulse_is_no_longer_than_the_gentlest_level(host: Host) -> None:
    host.open()
    host.chip.watch_pin(every_edge=True)
    host.say(SetLevel(300, 1500))
    host.run(10)
    pin = host.chip.pin()
    assert pin.rises > 100
    assert pin.longest_high <= 80  # of 512: 150 ‰ are 77


# --- the watchdog -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", list(Hang))
def test_a_hang_is_a_reset_within_500_ms_and_the_session_is_void(host: Host, how: Hang) -> None:
    host.massage(300, 1000)
    assert host.board.duty_permille > 150
    at, boot_id = host.chip.cycle, host.chip.now.boot_id
    host.board.hang(how)
    assert host.board.run(at + 500 * CYCLES_PER_MS) == Halt.RESET
    pin = host.chip.pin()
    assert (pin.level, pin.on_timer) == (0, 0)
    host.run(60)
    host.hear()
    assert EventCode.BOOT in host.events
    assert host.say(SetLevel(300, 1500)) == Nak(3, Reason.SESSION, 0)
    identity = host.open()
    assert (identity.boot_id, identity.reset_cause) == (boot_id + 1, ResetCause.WATCHDOG)
    host.run(1000)
    assert host.board.duty_permille == 0


def test_a_dead_tick_is_found_though_the_line_keeps_the_loop_busy(host: Host) -> None:
    host.massage(300, 1000)
    at = host.chip.cycle
    host.board.hang(Hang.TICK)
    while not (halted := host.board.run(host.chip.cycle + 10 * CYCLES_PER_MS)):
        host.chip.send(host.wire(GetStatus()))
        assert host.chip.cycle - at < 500 * CYCLES_PER_MS
    assert halted == Halt.RESET


def test_a_program_that_works_is_never_reset(host: Host) -> None:
    host.massage(300, 5_000)
    host.run(10_000)
    assert host.chip.now.boot_id == 1


# --- emergency stop ---------------------------------------------------------------------------


def _off_after(host: Host, data: bytes) -> float:
    """Milliseconds from the last of these bytes to the pin that is off."""
    host.chip.send(data)
    arrived = host.chip.sent_at()
    host.board.run(arrived)
    assert host.chip.pin().on_timer == 1
    while host.chip.pin().on_timer:
        assert host.chip.cycle < arrived + 100 * CYCLES_PER_MS
        host.board.run(host.chip.cycle + 16)
    return (host.chip.cycle - arrived) / CYCLES_PER_MS


def _stops_dead(host: Host, before: bytes) -> None:
    off_ms = _off_after(host, before + host.wire(EmergencyStop()))
    assert off_ms <= 5
    assert host.chip.pin().level == 0
    host.run(60)
    host.hear()
    status = host.status()
    assert (status.state, status.output_permille) == (State.LATCHED, 0)
    assert status.faults == Fault.EMERGENCY_STOP


def test_an_emergency_stop_takes_the_pin_off_within_5_ms_of_its_last_byte(host: Host) -> None:
    host.massage(300, 1000)
    _stops_dead(host, b"")


def test_an_emergency_stop_waits_for_no_reply_in_flight(host: Host) -> None:
    host.massage(300, 1000)
    host.chip.send(host.wire(GetStatus()) * 3)
    host.board.run(host.chip.sent_at() + 3 * BYTE_CYCLES)
    assert host.chip.is_line_busy
    _stops_dead(host, b"")


def test_an_emergency_stop_is_found_behind_64_bytes_of_garbage(host: Host) -> None:
    host.massage(300, 1000)
    _stops_dead(host, random.Random(2).randbytes(64))


# --- the line ---------------------------------------------------------------------------------


def test_after_10000_random_bytes_a_frame_is_answered(host: Host) -> None:
    noise = random.Random(3)
    for _ in range(20):
        host.chip.send(noise.randbytes(500))
        host.run(500 * BYTE_CYCLES / CYCLES_PER_MS)
    host.hear()
    assert host.status().state == State.IDLE
    assert host.status().bad_frames > 10
    assert host.chip.overruns == 0


def test_every_reply_begins_within_50_ms_while_the_host_sends_without_a_pause(host: Host) -> None:
    host.massage(300, 500)
    host.token = 0
    arrived: dict[int, int] = {}
    waits: list[float] = []
    pending: list[tuple[int, int]] = []
    for _ in range(250):
        host.chip.send(host.wire(GetStatus()))
        arrived[host.sequence] = host.chip.sent_at()
        host.board.run(host.chip.sent_at())
        data, stamps = host.chip.take_stamped()
        pending += zip(data, stamps, strict=True)
        pending = _judge_waits(pending, arrived, waits)
    assert len(waits) > 50
    assert max(waits) <= 50
    assert host.chip.overruns == 0


def _judge_waits(
    pending: list[tuple[int, int]], arrived: dict[int, int], waits: list[float]
) -> list[tuple[int, int]]:
    """Take whole frames off what came, and note how long after its command each began."""
    while True:
        start = next((index for index, (byte, _) in enumerate(pending) if byte), None)
        if start is None:
            return []
        ends = (index for index in range(start, len(pending)) if pending[index][0] == 0)
        end = next(ends, None)
        if end is None:
            return pending[start:]
        (raw,) = StreamFraming().receive(
            b"\0" + bytes(byte for byte, _ in pending[start : end + 1])
        )
        if not isinstance(decode(raw), Event):
            began = pending[start][1] - 2 * BYTE_CYCLES  # the delimiter's first bit
            waits.append((began - arrived[header_of(raw).sequence]) / CYCLES_PER_MS)
        pending = pending[end + 1 :]


def test_interrupts_are_never_off_for_long(host: Host) -> None:
    host.chip.watch_interrupts(True)
    host.massage(300, 2_000)
    host.chip.send(random.Random(4).randbytes(500))
    host.run(200)
    host.say(EmergencyStop())
    cycles, address = host.chip.longest_off()
    assert 0 < cycles <= 160, hex(address)  # 10 µs; a byte takes 175


# --- memory -----------------------------------------------------------------------------------


def test_the_stack_leaves_half_of_the_memory_alone(host: Host) -> None:
    host.massage(300, 1_000)
    host.chip.send(random.Random(5).randbytes(900))
    host.run(400)
    host.say(EmergencyStop())
    assert host.chip.unused_stack() >= 1024


def _boot_id_after(eeprom: bytes) -> int:
    chip = Chip(default_program())
    chip.eeprom = eeprom
    chip.reset(ResetFlag.POWER_ON)
    chip.run(chip.cycle + 100 * CYCLES_PER_MS)
    return chip.now.boot_id


def test_the_boot_id_counts_over_power_cuts_and_chips_with_the_same_memory() -> None:
    host = Host(eeprom_for(65_534))
    ids = [host.chip.now.boot_id]
    for flag in (ResetFlag.POWER_ON, ResetFlag.EXTERNAL, ResetFlag.BROWN_OUT):
        host.board.reset(flag)
        host.run(100)
        ids.append(host.chip.now.boot_id)
    assert ids == [65_534, 65_535, 1, 2]
    assert _boot_id_after(host.chip.eeprom) == 3


def test_a_new_chip_begins_with_boot_1() -> None:
    assert _boot_id_after(b"\xff" * 1024) == 1


def test_power_that_goes_while_the_boot_id_is_written_loses_no_count() -> None:
    chip = Chip(default_program())
    chip.eeprom = eeprom_for(500)
    assert _boot_id_after(chip.eeprom) == 500
    memories = set()
    for cut in range(0, 2 * CYCLES_PER_MS, 16):
        chip.eeprom = eeprom_for(500) + b"\xff" * 4
        chip.reset(ResetFlag.POWER_ON)
        chip.run(chip.cycle + cut)
        memories.add(chip.eeprom)
    assert len(memories) == 5  # between any two of the four bytes that are written
    assert {_boot_id_after(memory) for memory in memories} == {500, 501}


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("kept", range(4))
def test_a_slot_that_is_half_written_is_none(slot: int, kept: int) -> None:
    good = pack("<HH", 700, 700 ^ 0xFFFF)
    torn = pack("<HH", 701, 701 ^ 0xFFFF)[:kept] + b"\xff" * (4 - kept)
    slots = torn + good if slot == 0 else good + torn
    assert _boot_id_after(slots) == 701


@pytest.mark.parametrize(
    ("flag", "cause"),
    [
        (ResetFlag.POWER_ON, ResetCause.POWER_ON),
        (ResetFlag.EXTERNAL, ResetCause.EXTERNAL),
        (ResetFlag.BROWN_OUT, ResetCause.BROWN_OUT),
    ],
)
def test_the_reset_s_cause_is_told(host: Host, flag: ResetFlag, cause: ResetCause) -> None:
    host.board.reset(flag)
    host.run(60)
    host.hear()
    assert host.open().reset_cause == cause


# --- wires that break -------------------------------------------------------------------------


@pytest.mark.parametrize("millivolts", [0, 5000], ids=["shorted", "open"])
def test_a_thermistor_that_is_not_there_is_a_sensor_fault(host: Host, millivolts: int) -> None:
    host.massage(300, 1000)
    host.chip.set_adc(TEMPERATURE, millivolts)
    host.board.chip.run(host.chip.cycle + 90 * CYCLES_PER_MS)
    host.hear()
    status = host.status()
    assert (status.state, status.faults) == (State.LATCHED, Fault.SENSOR)
    assert host.chip.pin().on_timer == 0


def test_too_much_current_is_a_fault(host: Host) -> None:
    host.massage(300, 1000)
    host.chip.set_adc(CURRENT, 1900)
    host.board.chip.run(host.chip.cycle + 90 * CYCLES_PER_MS)
    host.hear()
    assert host.status().faults == Fault.OVER_CURRENT


def test_a_broken_wire_to_the_feet_sensor_reads_off(host: Host) -> None:
    assert host.status().feet == Feet.ON
    host.chip.set_pin(*FEET, Level.OPEN)
    host.open()
    assert host.status().feet == Feet.OFF
    assert host.say(SetLevel(300, 1500)) == Nak(3, Reason.FEET, 0)


def test_a_broken_wire_to_the_button_stops_and_lets_nothing_start(host: Host) -> None:
    host.massage(300, 1000)
    host.chip.set_pin(*BUTTON, Level.OPEN)
    host.run(1000)
    host.hear()
    assert EventCode.BUTTON in host.events
    assert host.chip.pin().on_timer == 0
    host.open()
    assert host.say(SetLevel(300, 1500)) == Nak(3, Reason.SESSION, 1)


def test_a_motor_that_does_not_turn_is_a_stall_within_700_ms(host: Host) -> None:
    host.board.inject("stall")
    host.massage(300, 250)
    host.run(450)
    host.hear()
    assert host.status().faults == Fault.STALL
    assert host.board.duty_permille == 0
