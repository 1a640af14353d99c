"""What `massager clear` does, on a device in memory whose faults are still there or gone."""

import pytest

from firmware_protocol.codec import encode
from firmware_protocol.framing import StreamFraming
from firmware_protocol.messages import Clear, Command, EmergencyStop, Hello, SetLevel
from massager.dialogue import Dialogue
from massager.errors import NoHandshake, Refused
from massager.fault_advice import advice
from massager.latch import clear_latch, read_latch
from massager.transports.memory import MemoryTransport
from simulator.machine import DeviceConfig
from simulator.port import SimulatedPort


def latched_port(*faults: str) -> SimulatedPort:
    port = SimulatedPort(DeviceConfig())
    if not faults:
        send(port, EmergencyStop())
    for fault in faults:
        answer = port.command({"fault": fault})
        assert answer["ok"], answer
    return port


def send(port: SimulatedPort, command: Command, sequence: int = 9, token: int = 0) -> None:
    port.receive(StreamFraming().encode(encode(command, sequence, token)), 0)


def words(port: SimulatedPort) -> list[str]:
    return [row.why for row in port.take_trace()]


async def test_an_emergency_stop_is_taken_back_and_nothing_moves() -> None:
    port = latched_port()
    assert port.device.state.name == "LATCHED"

    async with Dialogue(MemoryTransport(port)) as device:
        latch = await read_latch(device)
        assert latch.is_set
        assert latch.advice[0][0] == "somebody pressed the emergency stop"
        await clear_latch(device, latch)

    assert port.device.state.name == "IDLE"
    rows = port.take_trace()
    assert {row.output for row in rows} == {0}
    assert [row.why for row in rows if row.why in ("hello", "clear", "set_level")] == [
        "hello",
        "clear",
    ]


async def test_where_nothing_is_latched_nothing_is_touched() -> None:
    port = SimulatedPort(DeviceConfig())

    async with Dialogue(MemoryTransport(port)) as device:
        latch = await read_latch(device)

    assert not latch.is_set
    assert latch.advice == []
    assert "hello" not in words(port)


async def test_a_fault_whose_cause_is_still_there_is_refused_with_what_to_do() -> None:
    port = latched_port("stuck_sensor")
    port.tick(5000)
    assert port.device.state.name == "LATCHED"

    async with Dialogue(MemoryTransport(port, now_ms=5000)) as device:
        latch = await read_latch(device)
        with pytest.raises(Refused, match="the cause is still there") as caught:
            await clear_latch(device, latch)

    assert caught.value.exit_code == 3
    assert "a sensor is missing" in str(caught.value)
    assert port.device.state.name == "LATCHED"


async def test_a_fault_whose_cause_is_gone_is_cleared() -> None:
    port = latched_port("stuck_sensor")
    port.tick(5000)
    port.command({"fault": "none"})

    async with Dialogue(MemoryTransport(port, now_ms=5000)) as device:
        await clear_latch(device, await read_latch(device))

    assert port.device.state.name == "IDLE"


async def test_a_latch_that_another_has_cleared_meanwhile_is_no_error() -> None:
    port = latched_port()
    async with Dialogue(MemoryTransport(port)) as device:
        latch = await read_latch(device)
        async with Dialogue(MemoryTransport(port)) as other:
            await clear_latch(other, latch)

    async with Dialogue(MemoryTransport(port)) as device:
        await clear_latch(device, latch)


async def test_another_latch_meanwhile_is_not_cleared_unseen() -> None:
    port = latched_port()
    async with Dialogue(MemoryTransport(port)) as device:
        latch = await read_latch(device)
        await clear_latch(device, latch)
    send(port, EmergencyStop())

    async with Dialogue(MemoryTransport(port)) as device:
        with pytest.raises(Refused, match="meanwhile"):
            await clear_latch(device, latch)

    assert port.device.state.name == "LATCHED"


async def test_a_latch_that_somebody_cleared_and_drives_since_is_left_alone() -> None:
    port = latched_port()
    async with Dialogue(MemoryTransport(port)) as device:
        latch = await read_latch(device)
        await clear_latch(device, latch)
    send(port, Hello(0, 1, 1, 77), sequence=1)
    send(port, SetLevel(300, 1500), sequence=2, token=0x0102)  # the second session of boot 1
    assert port.device.state.name == "RUNNING"

    async with Dialogue(MemoryTransport(port)) as device:
        await clear_latch(device, latch)

    assert port.device.state.name == "RUNNING"


async def test_a_device_that_no_longer_answers_is_told() -> None:
    port = latched_port()
    async with Dialogue(MemoryTransport(port)) as device:
        latch = await read_latch(device)
        port.command({"fault": "drop", "rate": 1})
        with pytest.raises(NoHandshake):
            await clear_latch(device, latch)

    assert port.device.state.name == "LATCHED"


async def test_after_a_clear_no_session_is_left_open() -> None:
    port = latched_port()
    async with Dialogue(MemoryTransport(port)) as device:
        await clear_latch(device, await read_latch(device))

    send(port, SetLevel(500, 1500), sequence=50, token=(1 << 8) | 1)
    send(port, Clear(1), sequence=51, token=(1 << 8) | 1)

    assert port.device.output_permille == 0
    assert "set_level" not in words(port)
    send(port, Hello(0, 1, 1, 5))
    assert port.device.state.name == "READY"


@pytest.mark.parametrize("fault", [1, 2, 4, 8, 16, 32, 64, 128, 0x8000])
def test_every_fault_has_words_and_advice(fault: int) -> None:
    ((what, todo),) = advice(fault)

    assert what
    assert todo


def test_a_motor_that_does_not_stop_comes_first() -> None:
    assert [what for what, _ in advice(8 + 1 + 32)] == [
        "the motor moved though it was switched off",
        "the motor was too hot",
        "somebody pressed the emergency stop",
    ]
