"""The emulated chip behind its port: the requests of the simulated device, as far as they go."""

from typing import Any

import pytest

from firmware_protocol.codec import decode, encode
from firmware_protocol.framing import StreamFraming
from firmware_protocol.messages import GetStatus, Hello, Identity, Message, SetLevel, Status
from simulator.firmware.board import eeprom_for
from simulator.firmware.port import FirmwarePort

pytestmark = pytest.mark.needs("cc", "avr", "simavr")


class Host:
    """A host that looks every 5 ms."""

    def __init__(self) -> None:
        self.remembered: list[bytes] = []
        self.port = FirmwarePort(eeprom=eeprom_for(41), remember=self.remembered.append)
        self.now_ms = 0
        self.framing = StreamFraming()
        self.sequence = 0
        self.run(100)

    def run(self, ms: int) -> list[Message]:
        messages: list[Message] = []
        for _ in range(0, ms, 5):
            self.now_ms += 5
            self.port.tick(self.now_ms)
            for chunk in self.port.data_to_send(self.now_ms):
                messages += map(decode, self.framing.receive(chunk))
        return messages

    def say(self, command: Any, token: int = 0) -> list[Message]:
        self.sequence += 1
        wire = self.framing.encode(encode(command, self.sequence, token))
        self.port.receive(wire, self.now_ms)
        return self.run(40)

    def massage(self, ms: int) -> None:
        assert any(isinstance(answer, Identity) for answer in self.say(Hello(0, 1, 1, 7)))
        for _ in range(0, ms, 250):
            self.say(SetLevel(300, 1500), self.port.board.chip.now.token)
            self.run(210)

    def tell(self, **request: Any) -> dict[str, Any]:
        return self.port.command(request, self.now_ms)


@pytest.fixture
def host() -> Host:
    return Host()


def answered(messages: list[Message]) -> int:
    return sum(isinstance(message, Status) for message in messages)


def test_the_port_tells_what_the_program_was_built_for(host: Host) -> None:
    config = host.port.config
    assert (config.device_id, config.gentlest_permille, config.max_permille) == (
        "foot-001",
        150,
        1000,
    )
    assert config.feet_sensor


def test_the_status_tells_what_the_program_says_and_what_the_pin_does(host: Host) -> None:
    host.massage(1000)
    status = host.tell(get="status")
    assert status["state"] == "running"
    assert status["output"] > 160
    assert abs(status["pin"] - status["output"]) <= 2
    assert host.tell(get="trace", last=1)["trace"][0]["why"] in ("gate", "tick", "set_level")


def test_the_boot_id_is_remembered_at_each_boot(host: Host) -> None:
    assert host.tell(fault="reboot")["ok"]
    assert not host.tell(get="status")["running"]
    host.run(400)
    assert host.tell(get="status")["boot"] == 42
    assert len(host.remembered) == 2
    assert host.remembered[0] != host.remembered[1]


def test_without_power_nobody_answers_and_the_motor_stands(host: Host) -> None:
    host.massage(1000)
    host.tell(fault="reboot")
    assert host.tell(get="status")["pin"] == 0
    assert answered(host.say(GetStatus())) == 0
    host.run(400)
    assert answered(host.say(GetStatus())) == 1
    assert [row.why for row in host.port.take_trace()][-3:] == ["reboot", "boot", "get_status"]


def test_faults_of_the_line_hit_the_chip_too(host: Host) -> None:
    host.tell(fault="drop", rate=1, direction="down")
    assert answered(host.say(GetStatus())) == 0
    host.tell(fault="none")
    host.tell(fault="corrupt", rate=1, direction="down")
    assert answered(host.say(GetStatus())) == 0
    assert host.tell(get="status")["bad_frames"] == 1
    host.tell(fault="none")
    host.tell(fault="duplicate", rate=1, direction="up")
    assert answered(host.say(GetStatus())) == 2


def test_a_pulled_cable_carries_nothing_until_it_is_back(host: Host) -> None:
    host.tell(fault="unplug", ms=200)
    assert host.tell(get="status")["line_faults"] == ["unplug"]
    assert answered(host.say(GetStatus())) == 0
    host.run(200)
    assert host.tell(get="status")["line_faults"] == []
    assert answered(host.say(GetStatus())) == 1


def test_the_switches_are_the_chip_s_pins(host: Host) -> None:
    host.massage(1000)
    host.tell(feet=False)
    (status,) = [m for m in host.say(GetStatus()) if isinstance(m, Status)]
    assert status.feet == 2
    assert host.tell(button="press")["ok"]
    host.run(1000)
    assert host.tell(get="status")["pin"] == 0
    assert "button" in [row.why for row in host.port.take_trace()]


def test_a_motor_that_breaks_is_found(host: Host) -> None:
    host.massage(1000)
    host.tell(fault="overheat")
    host.run(300)
    assert host.tell(get="status")["state"] == "latched"


def test_unread_bytes_can_be_discarded(host: Host) -> None:
    host.port.receive(bytes(40), host.now_ms)
    assert host.port.unread_bytes() == 39
    host.port.discard_unread()
    assert host.port.unread_bytes() == 0


@pytest.mark.parametrize("request_", [{"fault": "silent_reboot"}, {"fault": "rust"}, 5])
def test_what_cannot_be_is_refused(host: Host, request_: object) -> None:
    answer = host.port.command(request_, host.now_ms)
    assert not answer["ok"]
    assert answer["error"]


def test_it_wants_to_be_told_the_time_each_millisecond_while_something_travels(host: Host) -> None:
    assert host.port.next_deadline_ms() == host.now_ms + 10
    host.port.receive(host.framing.encode(encode(GetStatus(), 1, 0)), host.now_ms)
    assert host.port.next_deadline_ms() == host.now_ms + 1
