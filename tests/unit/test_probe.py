"""`massager.probe`: who is there, on a device in memory and on things that are none."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from firmware_protocol.codec import encode, header_of
from firmware_protocol.framing import StreamFraming
from firmware_protocol.messages import (
    EmergencyStop,
    GetStatus,
    Hello,
    Identity,
    Nak,
    SetLevel,
    device_id_bytes,
)
from massager.dialogue import Dialogue
from massager.errors import (
    ConnectionLost,
    MassagerError,
    NoHandshake,
    PortMissing,
    WrongDevice,
)
from massager.probe import probe
from massager.transports.memory import MemoryTransport
from simulator.machine import DeviceConfig
from simulator.port import SimulatedPort


class FakePort:
    """Something on a line that is no massager: answers each chunk by a function, says a text."""

    plugged = True

    def __init__(
        self,
        answer: Callable[[bytes], bytes] = lambda data: b"",
        *,
        says: bytes = b"",
        hangs_up: bool = False,
    ) -> None:
        self.received: list[bytes] = []
        self._answer = answer
        self._says = says
        self._hangs_up = hangs_up
        self._waiting: list[bytes] = []
        self._next_ms = 0

    def line_opened(self) -> None:
        """Nothing to forget."""

    def receive(self, data: bytes, now_ms: int) -> None:
        self.received.append(data)
        if answer := self._answer(data):
            self._waiting.append(answer)
        if self._hangs_up:
            self.plugged = False

    def tick(self, now_ms: int) -> None:
        if self._says and now_ms >= self._next_ms:
            self._waiting.append(self._says)
            self._next_ms = now_ms + 1000

    def data_to_send(self, now_ms: int) -> list[bytes]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def next_deadline_ms(self) -> int | None:
        return self._next_ms if self._says else None

    def unread_bytes(self) -> int:
        return 0

    def discard_unread(self) -> None:
        """Nothing lies unread."""

    def command(self, request: object, now_ms: int | None = None) -> dict[str, Any]:
        return {}


def simulated(**config: Any) -> tuple[SimulatedPort, MemoryTransport]:
    port = SimulatedPort(DeviceConfig(**config))
    return port, MemoryTransport(port)


def nak_version(data: bytes) -> bytes:
    """A device of major 9 only: refuses what it gets; header, HELLO and NAK never change."""
    framing = StreamFraming()
    return b"".join(
        framing.encode(encode(Nak(raw[1], 13, 9), header_of(raw).sequence, 0, major=9))
        for raw in framing.receive(data)
    )


async def test_a_device_says_who_it_is_what_it_can_and_how_it_is() -> None:
    _, transport = simulated(device_id="foot-1")

    answer = await probe(transport)

    assert answer.identity.name == "foot-1"
    assert answer.identity.is_simulated
    assert answer.limits.gentlest_permille == 150
    assert answer.limits.max_permille == 1000
    assert answer.status.output_permille == 0
    assert answer.latched == []
    assert "simulated" in answer.capabilities


async def test_the_record_for_json_has_words_and_no_nonce() -> None:
    _, transport = simulated()

    record = (await probe(transport)).as_record()

    assert record["identity"]["device_id"] == "sim-0001"
    assert "host_nonce" not in record["identity"]
    assert record["status"]["state"] == "idle"
    assert record["limits"]["lease_max_ms"] == 5000


async def test_asking_does_not_touch_a_running_session() -> None:
    port, _ = simulated()
    framing = StreamFraming()
    port.receive(framing.encode(encode(Hello(0, 1, 1, 7), 200)), 0)
    answers = map(header_of, framing.receive(b"".join(port.data_to_send(0))))
    token = next(header.token for header in answers if header.type_id == 0x81)
    port.receive(framing.encode(encode(SetLevel(300, 5000), 201, token)), 0)
    port.tick(1000)

    answer = await probe(MemoryTransport(port, now_ms=1000))

    assert answer.status.output_permille > 0
    port.receive(framing.encode(encode(SetLevel(310, 5000), 202, token)), 2000)
    assert port.device.state.name == "RUNNING"
    assert port.device.output_permille > 0


async def test_a_latched_emergency_stop_is_shown_in_words() -> None:
    port, transport = simulated()
    port.receive(StreamFraming().encode(encode(EmergencyStop(), 1, 0)), 0)

    answer = await probe(transport)

    assert answer.latched == ["emergency stop"]


async def test_half_the_frames_lost_and_the_device_is_still_found() -> None:
    port, transport = simulated()
    port.command({"fault": "drop", "rate": 0.4})

    assert (await probe(transport)).identity.name == "sim-0001"


async def test_a_board_that_boots_when_the_port_opens_is_waited_for() -> None:
    port, transport = simulated()
    port.command({"fault": "reboot"})

    assert (await probe(transport)).identity.boot_id == 2


async def refused_by(port: FakePort | SimulatedPort) -> MassagerError:
    with pytest.raises(MassagerError) as caught:
        await probe(MemoryTransport(port, url="serial:/dev/ttyUSB9"))
    assert caught.value.exit_code == 4
    assert "serial:/dev/ttyUSB9" in str(caught.value)
    return caught.value


async def test_silence_is_told_after_three_seconds() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()

    error = await refused_by(FakePort())

    assert isinstance(error, NoHandshake)
    assert "nothing answers" in str(error)
    assert 3.0 <= loop.time() - started <= 3.5


async def test_an_echo_plug_is_called_one() -> None:
    port = FakePort(lambda data: data)

    error = await refused_by(port)

    assert isinstance(error, WrongDevice)
    assert "echo plug" in str(error)
    assert len(port.received) == 1


async def test_a_gps_is_something_else_and_its_text_is_shown() -> None:
    error = await refused_by(FakePort(says=b"$GPGGA,123519,4807.038,N\r\n"))

    assert isinstance(error, WrongDevice)
    assert "something else answers" in str(error)
    assert "$GPGGA,123519" in str(error)


async def test_what_somebody_else_says_cannot_write_to_the_terminal() -> None:
    error = await refused_by(FakePort(says=b"\x1b]0;owned\x07 welcome to \xe2\x80\xae root \n"))

    assert str(error).isprintable()
    assert str(error).isascii()


async def test_noise_is_shown_as_hex() -> None:
    error = await refused_by(FakePort(says=bytes([0x81, 0xFE, 0x90, 0x92, 0xA0])))

    assert "81 fe 90 92 a0" in str(error)


async def test_a_device_of_another_protocol_major_is_named_with_it() -> None:
    error = await refused_by(FakePort(nak_version))

    assert isinstance(error, WrongDevice)
    assert "protocol major 9" in str(error)


async def test_a_device_whose_identity_breaks_the_rules_is_not_a_massager() -> None:
    def answer(data: bytes) -> bytes:
        framing = StreamFraming()
        (raw,) = framing.receive(data)
        nonce = int.from_bytes(raw[8:12], "little")
        identity = Identity(1, 0, nonce, device_id_bytes("foot-1"), 1, 1, 1, 1, 0, 0)
        good = bytearray(encode(identity, header_of(raw).sequence))
        good[11:19] = b"\x1b[2Jabcd"
        return framing.encode(bytes(good))

    error = await refused_by(FakePort(answer))

    assert isinstance(error, WrongDevice)
    assert "does not keep the protocol" in str(error)
    assert str(error).isprintable()


async def test_a_line_that_goes_away_meanwhile_is_told_at_once() -> None:
    error = await refused_by(FakePort(hangs_up=True))

    assert isinstance(error, ConnectionLost)


async def test_a_device_that_is_not_there_is_told_by_the_transport() -> None:
    transport = MemoryTransport(FakePort())
    transport.unplug()

    with pytest.raises(PortMissing):
        await probe(transport)


async def test_a_device_that_falls_silent_after_the_greeting_is_told() -> None:
    port, transport = simulated()
    async with Dialogue(transport) as device:
        await device.identify()
        port.command({"fault": "drop", "rate": 1})
        with pytest.raises(NoHandshake, match="no longer answers"):
            await device.ask(GetStatus())


async def test_what_is_asked_never_moves_or_stops_a_motor() -> None:
    sent: list[int] = []

    class Listening(SimulatedPort):
        def receive(self, data: bytes, now_ms: int) -> None:
            sent.extend(raw[1] for raw in StreamFraming().receive(data))
            super().receive(data, now_ms)

    await probe(MemoryTransport(Listening(DeviceConfig())))

    assert sent == [0x01, 0x02, 0x07]  # HELLO, GET_LIMITS, GET_STATUS
