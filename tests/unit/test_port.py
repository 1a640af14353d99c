"""The simulated port in memory: bytes and milliseconds in, bytes out; resets, hangs, faults."""

from typing import Any

import pytest

from firmware_protocol.codec import Header, decode, encode, header_of
from firmware_protocol.framing import DatagramFraming, StreamFraming
from firmware_protocol.messages import (
    Event,
    EventCode,
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
from simulator.device import DeviceConfig
from simulator.port import SimulatedPort


class Host:
    """A host in the same memory, in steps of 1 ms."""

    def __init__(self, *, datagrams: bool = False, seed: int = 0, speed: int = 1) -> None:
        config = DeviceConfig(device_id="sim-0001", speed=speed)
        self.port = SimulatedPort(config, seed=seed, datagrams=datagrams)
        self.framing = DatagramFraming() if datagrams else StreamFraming()
        self.now_ms = 0
        self.sequence = 0
        self.token = 0
        self.got: list[tuple[int, Header, Message]] = []
        self.wait(0)

    def send(self, message: Message) -> None:
        self.sequence += 1
        raw = encode(message, self.sequence, self.token)
        self.port.receive(self.framing.encode(raw), self.now_ms)
        self._collect()

    def wait(self, for_ms: int) -> None:
        end_ms = self.now_ms + for_ms
        while self.now_ms < end_ms:
            self.now_ms += 1
            self.port.tick(self.now_ms)
            self._collect()
        self._collect()

    def answer(self) -> Message | None:
        """The answer to the newest request."""
        for _, header, message in self.got:
            if header.sequence == self.sequence:
                return message
        return None

    def ask(self, message: Message) -> Message | None:
        self.send(message)
        return self.answer()

    def hello(self, nonce: int) -> Identity:
        self.send(Hello(0, 1, 1, nonce))
        for _, header, message in self.got:
            if header.sequence == self.sequence and isinstance(message, Identity):
                self.token = header.token
                return message
        raise AssertionError("no IDENTITY")

    def events(self) -> list[int]:
        return [message.code for _, _, message in self.got if isinstance(message, Event)]

    def tell(self, **request: object) -> dict[str, Any]:
        answer = self.port.command(request, self.now_ms)
        self._collect()
        return answer

    def status(self) -> Status:
        """As anybody may ask for it: without a session."""
        token, self.token = self.token, 0
        status = self.ask(GetStatus())
        self.token = token
        assert isinstance(status, Status)
        return status

    def state(self) -> State:
        """The device's, as it is now."""
        return self.port.device.state

    def is_plugged(self) -> bool:
        """Whether the line is, now."""
        return self.port.plugged

    def _collect(self) -> None:
        for chunk in self.port.data_to_send(self.now_ms):
            for raw in self.framing.receive(chunk):
                self.got.append((self.now_ms, header_of(raw), decode(raw)))


def running(**how: Any) -> Host:
    """A host whose motor runs at the gentlest level."""
    host = Host(**how)
    host.hello(nonce=1)
    host.ask(SetLevel(300, 5000))
    host.wait(5)
    assert host.port.device.output_permille == 150
    return host


@pytest.mark.parametrize("datagrams", [False, True])
def test_a_request_is_answered_in_the_same_millisecond(datagrams: bool) -> None:
    host = Host(datagrams=datagrams)
    host.wait(10)
    assert host.hello(nonce=5).host_nonce == 5
    status = host.ask(SetLevel(300, 500))
    assert isinstance(status, Status)
    assert status.state == State.RUNNING
    assert [at_ms for at_ms, header, _ in host.got if header.sequence] == [10, 10]


def test_the_port_says_when_it_is_wanted_next() -> None:
    host = Host()
    host.hello(nonce=1)
    host.ask(SetLevel(0, 500))
    assert host.port.next_deadline_ms() == 500
    host.port.tick(500)
    assert host.state() == State.IDLE


def test_a_late_tick_does_everything_at_its_own_time() -> None:
    punctual, late = running(), running()
    punctual.wait(10_000)
    late.port.tick(10_005)
    assert punctual.port.take_trace() == late.port.take_trace()


def test_damaged_bytes_are_counted_by_the_device_and_never_answered() -> None:
    host = Host()
    host.port.receive(b"\0garbage\0", 0)
    assert host.status().bad_frames == 1


def test_a_lossy_line_loses_both_ways_and_the_seed_decides_what() -> None:
    def run(seed: int) -> list[tuple[int, int]]:
        host = Host(seed=seed)
        host.hello(nonce=1)
        host.tell(fault="drop", rate=0.2)
        for _ in range(200):
            host.send(GetStatus())
            host.wait(1)
        return [(at_ms, header.sequence) for at_ms, header, _ in host.got]

    assert run(3) == run(3)
    assert run(3) != run(4)
    assert 90 < len(run(3)) < 160  # 0.8 × 0.8 of 200


@pytest.mark.parametrize(
    ("direction", "applied", "answered"),
    [("down", False, False), ("up", True, False), ("both", False, False)],
)
def test_each_direction_has_its_own_faults(direction: str, applied: bool, answered: bool) -> None:
    host = Host()
    host.hello(nonce=1)
    host.tell(fault="drop", rate=1.0, direction=direction)
    host.send(SetLevel(300, 500))
    assert (host.state() == State.RUNNING) is applied
    assert (host.answer() is not None) is answered


def test_a_delay_applies_a_command_later_at_its_own_time() -> None:
    host = Host()
    host.hello(nonce=1)
    host.tell(fault="delay", ms=40, direction="down")
    host.send(SetLevel(300, 500))
    host.wait(39)
    assert host.state() == State.READY
    host.port.tick(300)
    row = next(row for row in host.port.take_trace() if row.why == "set_level")
    assert row.device_ms == 40


def test_answers_come_one_byte_at_a_time() -> None:
    host = Host()
    host.tell(fault="one_byte")
    host.send(GetStatus())
    assert host.answer() is None
    host.wait(20)
    assert isinstance(host.answer(), Status)


def test_over_mqtt_there_is_no_byte_at_a_time() -> None:
    answer = Host(datagrams=True).tell(fault="one_byte")
    assert answer["ok"] is False
    assert "over MQTT" in answer["error"]


def test_none_ends_every_fault() -> None:
    host = running()
    for fault in ("drop", "corrupt", "duplicate"):
        assert host.tell(fault=fault, rate=1) == {"ok": True}
    host.tell(fault="delay", ms=100)
    host.tell(fault="stop_reading")
    host.tell(fault="overheat")
    assert len(host.tell(get="status")["line_faults"]) == 9
    host.wait(200)
    assert host.tell(fault="none") == {"ok": True}
    assert host.tell(get="status")["line_faults"] == []
    assert host.status().state == State.LATCHED
    assert host.status().temperature_dc < 600


def test_bytes_that_are_not_read_wait_and_may_be_discarded() -> None:
    host = Host()
    host.hello(nonce=1)
    host.tell(fault="stop_reading")
    assert host.port.reading is False
    host.send(SetLevel(300, 5000))
    assert host.port.unread_bytes() == 16
    host.wait(100)
    assert host.state() == State.READY
    host.tell(fault="none")
    assert host.state() == State.RUNNING
    host.tell(fault="stop_reading")
    host.send(GetStatus())
    host.port.discard_unread()
    host.tell(fault="none")
    assert host.answer() is None


def test_a_reboot_is_dark_for_300_ms_and_then_another_boot_without_a_session() -> None:
    host = running()
    host.tell(fault="reboot")
    assert host.port.device.output_permille == 0
    host.wait(299)
    host.send(GetStatus())
    assert host.answer() is None
    host.wait(1)
    assert host.events()[-1] == EventCode.BOOT
    refused = host.ask(GetStatus())
    assert isinstance(refused, Nak)
    assert refused.reason == Reason.SESSION
    identity = host.hello(nonce=2)
    assert (identity.boot_id, identity.reset_cause) == (2, ResetCause.POWER_ON)


def test_a_silent_reboot_shows_only_in_the_boot_id() -> None:
    host = running()
    events = host.events()
    host.tell(fault="silent_reboot")
    assert host.status().boot_id == 2
    assert host.events() == events
    assert host.port.device.output_permille == 0


def test_a_hang_holds_the_output_until_the_watchdog_resets() -> None:
    host = running()
    host.tell(fault="hang")
    host.wait(249)
    assert host.port.device.output_permille == 150
    host.send(GetStatus())
    assert host.answer() is None
    host.wait(1)
    assert host.port.device.output_permille == 0
    assert host.hello(nonce=2).reset_cause == ResetCause.WATCHDOG
    assert host.port.device.boot_id == 2
    words = [row.why for row in host.port.take_trace()]
    assert words[-4:] == ["hang", "reboot", "boot", "hello"]


def test_boot_ids_go_from_65535_to_1() -> None:
    port = SimulatedPort(DeviceConfig(), boot_id=65_535)
    port.command({"fault": "silent_reboot"})
    assert port.device.boot_id == 1


def test_the_world_around_the_device_does_not_boot() -> None:
    host = Host()
    host.tell(feet=False)
    host.tell(fault="over_current")
    host.tell(fault="reboot")
    host.wait(400)
    status = host.tell(get="status")
    assert status["feet"] is False
    assert status["state"] == "latched"


def test_an_unplugged_line_carries_nothing_and_the_device_goes_on() -> None:
    host = running()
    host.tell(fault="unplug", ms=6000)
    assert not host.is_plugged()
    host.send(GetStatus())
    assert host.answer() is None
    host.wait(5999)
    assert not host.is_plugged()
    host.wait(1)
    assert host.is_plugged()
    assert EventCode.LEASE_EXPIRED not in host.events()
    assert host.status().state == State.IDLE


def test_half_a_frame_from_before_the_plug_was_pulled_is_forgotten() -> None:
    host = Host()
    host.port.receive(b"\0half a fra", 0)
    host.tell(fault="unplug", ms=10)
    host.wait(10)
    assert host.status().bad_frames == 0


def test_the_trace_is_kept_only_where_it_is_wanted() -> None:
    port = SimulatedPort(DeviceConfig(), tracing=False)
    assert port.take_trace() == []
    assert port.command({"get": "trace"})["ok"] is False


def test_the_newest_rows_can_be_asked_for_again_and_again() -> None:
    host = running()
    host.port.take_trace()
    for _ in range(2):
        rows = host.tell(get="trace", last=2)["trace"]
        assert [row["why"] for row in rows] == ["set_level", "gate"]


def test_the_button_stops_the_motor() -> None:
    host = running()
    host.tell(button="press")
    host.wait(400)
    assert host.port.device.output_permille == 0
    assert EventCode.BUTTON in host.events()


def test_the_same_seed_gives_the_same_bytes_and_the_same_trace() -> None:
    def run(seed: int) -> tuple[object, object]:
        host = Host(seed=seed)
        host.hello(nonce=1)
        for fault in ("drop", "corrupt", "duplicate"):
            host.tell(fault=fault, rate=0.2)
        host.tell(fault="delay", ms=5, jitter_ms=20)
        for level in range(0, 1000, 10):
            host.send(SetLevel(level, 1500))
            host.wait(25)
        return host.got, host.port.take_trace()

    assert run(11) == run(11)
    assert run(11) != run(12)
