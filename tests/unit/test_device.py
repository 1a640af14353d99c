"""The simulated device as its server sees it: deadlines, hanging, power, its own checks."""

from struct import pack

import pytest

from firmware_protocol.codec import decode
from firmware_protocol.messages import EndReason, Event, EventCode, Fault, State, Status
from simulator.device import Device, DeviceConfig
from simulator.gate import Gate, Motion

HELLO = pack("<BBBHBBBI", 1, 0x01, 1, 0, 0, 1, 1, 7)
TOKEN = 0x0101


def set_level(sequence: int, level: int, lease_ms: int = 1500) -> bytes:
    return pack("<BBBHHH", 1, 0x03, sequence, TOKEN, level, lease_ms)


def status(device: Device, now_ms: int) -> Status:
    (raw,) = device.on_frame(pack("<BBBH", 1, 0x07, 0, 0), now_ms)
    message = decode(raw)
    assert isinstance(message, Status)
    return message


def booted(config: DeviceConfig | None = None) -> Device:
    device = Device(config or DeviceConfig())
    device.tick(0)
    return device


def running(level: int = 300, lease_ms: int = 5000) -> Device:
    """At output `level` since before 40,000 ms, with a lease that began there."""
    device = booted()
    device.on_frame(HELLO, 0)
    for sequence in range(2, 22):
        now_ms = 2000 * (sequence - 1)
        device.on_frame(set_level(sequence, level, lease_ms), now_ms)
    device.tick(40_000)
    assert device.output_permille == level
    return device


def codes(frames: list[bytes]) -> list[int]:
    return [message.code for raw in frames if isinstance(message := decode(raw), Event)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"device_id": ""},
        {"device_id": "nine-char"},
        {"device_id": "a b"},
        {"gentlest_permille": 0},
        {"gentlest_permille": 700, "max_permille": 600},
        {"max_permille": 1001},
        {"speed": 0},
        {"speed": 21},
    ],
)
def test_a_device_that_the_wire_could_not_describe_cannot_be_built(
    wrong: dict[str, str | int],
) -> None:
    with pytest.raises(ValueError, match="must be"):
        DeviceConfig(**wrong)  # type: ignore[arg-type]


# --- frames and events ----------------------------------------------------------


def test_the_boot_is_an_event_that_is_due_at_once() -> None:
    device = Device(DeviceConfig(), now_ms=500)
    assert device.next_deadline_ms() == 500
    assert codes(device.tick(500)) == [EventCode.BOOT]
    assert device.next_deadline_ms() is None


def test_what_was_due_comes_before_the_answer_and_what_the_command_made_after_it() -> None:
    device = running()
    frames = device.on_frame(pack("<BBBH", 1, 0x05, 1, 0), 45_000)
    assert [raw[1] for raw in frames] == [0x85, 0x83, 0x85]
    assert codes(frames) == [EventCode.LEASE_EXPIRED, EventCode.EMERGENCY_STOPPED]


def test_bad_frames_are_told_and_saturate() -> None:
    device = booted()
    device.bad_frames = 7
    assert status(device, 0).bad_frames == 7
    device.bad_frames = 70_000
    assert status(device, 0).bad_frames == 65_535


def test_uptime_counts_from_the_boot_and_wraps_after_2_to_the_32_ms() -> None:
    device = Device(DeviceConfig(), now_ms=1_000)
    device.tick(1_000)
    assert status(device, 1_250).uptime_ms == 250
    assert status(device, 1_000 + 2**32 + 5).uptime_ms == 5


def test_time_never_goes_back() -> None:
    device = running()
    assert status(device, 10).uptime_ms == 40_000


def test_without_tracing_there_are_no_rows() -> None:
    device = Device(DeviceConfig(), tracing=False)
    device.on_frame(HELLO, 0)
    assert device.take_trace() == []


def test_rows_are_taken_once() -> None:
    device = booted()
    assert [row.why for row in device.take_trace()] == ["boot"]
    assert device.take_trace() == []


# --- deadlines ----------------------------------------------------------


def test_a_device_at_rest_has_no_deadline() -> None:
    assert booted().next_deadline_ms() is None


def test_the_end_of_the_lease_is_a_deadline() -> None:
    device = running(lease_ms=5000)
    assert device.next_deadline_ms() == 45_000


def test_a_rise_is_looked_at_after_1_ms_and_then_every_100() -> None:
    device = booted()
    device.on_frame(HELLO, 0)
    device.on_frame(set_level(2, 300), 0)
    assert device.next_deadline_ms() == 1
    device.tick(1)
    assert device.next_deadline_ms() == 101


def test_a_fall_is_looked_at_every_20_ms_and_in_the_millisecond_of_its_end() -> None:
    device = running(300)
    device.on_frame(pack("<BBBH", 1, 0x04, 0, 0), 40_000)
    looks = []
    while device.output_permille and (at_ms := device.next_deadline_ms()):
        device.tick(at_ms)
        looks.append(at_ms - 40_000)
    assert looks == [*range(20, 301, 20), 301]


def test_the_ends_of_a_run_and_of_the_rest_are_deadlines() -> None:
    device = booted()
    device.on_frame(HELLO, 0)
    for i in range(225):
        device.on_frame(set_level(i % 254 + 2, 150, 5000), i * 4000)
    device.tick(899_000)
    assert device.next_deadline_ms() == 900_000
    assert codes(device.tick(900_000)) == [EventCode.RUN_LIMIT]
    assert device.next_deadline_ms() == 900_001
    device.tick(900_001)
    assert device.next_deadline_ms() == 960_001
    assert codes(device.tick(960_001)) == [EventCode.REST_OVER]
    assert device.next_deadline_ms() is None


def test_lifted_feet_are_a_deadline_only_in_a_session() -> None:
    device = booted()
    device.set_feet(False, 100)
    assert device.next_deadline_ms() is None
    device.on_frame(HELLO, 1_000)
    assert device.next_deadline_ms() == 6_000
    assert codes(device.tick(6_000)) == [EventCode.FEET_LIFTED]
    assert device.next_deadline_ms() is None


def test_feet_that_come_back_are_told_at_once() -> None:
    device = booted()
    device.on_frame(HELLO, 0)
    device.set_feet(False, 0)
    device.tick(5_000)
    device.set_feet(True, 5_500)
    assert device.next_deadline_ms() == 5_500
    assert codes(device.tick(5_500)) == [EventCode.FEET_BACK]


def test_a_broken_motor_is_watched_until_it_is_mended() -> None:
    device = booted()
    device.inject("overheat", 1_230)
    assert device.next_deadline_ms() == 1_300
    assert codes(device.tick(1_300)) == [EventCode.FAULT]
    device.inject("clear", 1_300)
    assert device.next_deadline_ms() is None


def test_an_unknown_fault_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="must be clear, over_current, overheat, stall"):
        booted().inject("smoke", 0)


# --- hang and power ----------------------------------------------------------


def test_a_hung_device_does_nothing_and_leaves_the_motor_as_it_is() -> None:
    device = running(300)
    device.hang(40_000)
    device.take_trace()
    assert device.on_frame(pack("<BBBH", 1, 0x05, 1, 0), 40_100) == []
    assert device.tick(60_000) == []
    device.press_button(60_000)
    device.set_feet(False, 60_000)
    assert device.next_deadline_ms() is None
    assert device.output_permille == 300
    assert not device.feet_on
    assert device.take_trace() == []


def test_the_reset_of_a_hung_device_is_a_row_with_output_0_at_its_own_time() -> None:
    device = running(300)
    device.take_trace()
    device.hang(40_000)
    device.power_off(40_250)
    rows = [(row.device_ms, row.why, row.output, row.token) for row in device.take_trace()]
    assert rows == [(40_000, "hang", 300, TOKEN), (40_250, "reboot", 0, 0)]


def test_a_device_without_power_stays_silent() -> None:
    device = running(300)
    device.power_off(40_000)
    assert device.output_permille == 0
    assert device.tick(50_000) == []
    assert device.on_frame(HELLO, 50_000) == []


# --- the device does not trust its own gate -----------------------------------------------


@pytest.mark.parametrize(
    "gone_mad",
    [
        Motion(301_000, 300_000, 0),
        Motion(400_000, 400_000, 0),
        Motion(1_000_000, 1_000_000, 0),
        Motion(300_500, 301_000, 0),
    ],
)
def test_a_gate_that_breaks_its_rules_is_output_0_and_latched(
    monkeypatch: pytest.MonkeyPatch, gone_mad: Motion
) -> None:
    device = running(300)
    device.on_frame(set_level(22, 1000), 40_000)
    monkeypatch.setattr(Gate, "_next", lambda gate: gone_mad)
    device.tick(40_001)
    assert device.output_permille == 0
    assert device.state == State.LATCHED
    now = status(device, 40_001)
    assert (now.faults, now.end_reason) == (Fault.INTERNAL, EndReason.FAULT)
    assert device.take_trace()[-2].why == "internal"


def test_output_without_a_session_is_output_0_and_latched(monkeypatch: pytest.MonkeyPatch) -> None:
    device = booted()
    monkeypatch.setattr(Gate, "_next", lambda gate: Motion(150_000, 150_000, 0))
    device.tick(1)
    assert device.output_permille == 0
    assert status(device, 1).faults == Fault.INTERNAL


def test_a_fall_that_does_not_fall_is_output_0_and_latched(monkeypatch: pytest.MonkeyPatch) -> None:
    device = running(300)
    device.on_frame(pack("<BBBH", 1, 0x04, 0, 0), 40_000)
    monkeypatch.setattr(Gate, "_next", lambda gate: gate.motion)
    device.tick(40_200)
    assert device.output_permille == 0
    assert status(device, 40_200).faults == Fault.INTERNAL
