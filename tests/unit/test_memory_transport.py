"""`sim:` in memory: a device on the event loop's clock, here a virtual one."""

import asyncio

import pytest

from firmware_protocol.codec import decode, encode
from firmware_protocol.framing import StreamFraming
from firmware_protocol.messages import Event, GetStatus, Hello, Identity, Message, SetLevel, Status
from massager.errors import ConnectionLost, NoDevice, PortMissing
from massager.transports import Settings, open_transport
from massager.transports.memory import MemoryTransport
from simulator.device import DeviceConfig
from simulator.port import SimulatedPort
from simulator.virtual_time import VirtualLoop


class Host:
    """Says what a test tells it to, and keeps what comes back with its time."""

    def __init__(self, transport: MemoryTransport) -> None:
        self.transport = transport
        self.heard: list[tuple[float, Message]] = []
        self.losses: list[NoDevice] = []
        self.token = 0
        self._framing = StreamFraming()
        self._sequence = 0

    def say(self, message: Hello | GetStatus | SetLevel) -> None:
        self._sequence += 1
        self.transport.write(self._framing.encode(encode(message, self._sequence, self.token)))

    def data_received(self, data: bytes) -> None:
        now = asyncio.get_running_loop().time()
        for raw in self._framing.receive(data):
            message = decode(raw)
            if isinstance(message, Identity):
                self.token = int.from_bytes(raw[3:5], "little")
            self.heard.append((now, message))

    def connection_lost(self, error: NoDevice) -> None:
        self.losses.append(error)

    def statuses(self) -> list[Status]:
        return [message for _, message in self.heard if isinstance(message, Status)]


def device(*, speed: int = 1, **config: object) -> SimulatedPort:
    return SimulatedPort(DeviceConfig(speed=speed, **config), seed=7)  # type: ignore[arg-type]


async def connected(port: SimulatedPort, speed: int = 1) -> Host:
    host = Host(MemoryTransport(port, speed))
    await host.transport.open(host)
    return host


async def test_the_answer_comes_after_write_returned_and_at_the_same_instant() -> None:
    host = await connected(device())
    await asyncio.sleep(1)
    host.heard.clear()
    host.say(Hello(0, 1, 1, 99))
    assert host.heard == []
    await asyncio.sleep(0)
    when, answer = host.heard[0]
    assert isinstance(answer, Identity)
    assert when == 1.0


async def test_the_device_acts_by_itself_at_its_own_deadline() -> None:
    port = device()
    host = await connected(port)
    host.say(Hello(0, 1, 1, 99))
    await asyncio.sleep(0)
    host.say(SetLevel(600, 1500))
    await asyncio.sleep(10)
    expired = [row for row in port.take_trace() if row.why == "lease_expired"]
    assert len(expired) == 1
    assert [when for when, message in host.heard if isinstance(message, Event)][-1] == 1.5


async def test_a_device_at_speed_20_lives_20_ms_in_one_of_the_loop() -> None:
    host = await connected(device(speed=20), speed=20)
    await asyncio.sleep(3)
    host.say(GetStatus())
    await asyncio.sleep(0)
    assert host.statuses()[0].uptime_ms == 60_000


async def test_the_device_goes_on_while_nobody_is_connected() -> None:
    port = device()
    host = await connected(port)
    host.say(Hello(0, 1, 1, 99))
    await asyncio.sleep(0)
    host.say(SetLevel(600, 1500))
    await host.transport.close()
    heard = list(host.heard)
    await asyncio.sleep(4)
    assert [row.output for row in port.take_trace()][-1] == 0
    assert host.heard == heard
    await host.transport.open(host)
    host.token = 0  # the lease has ended the session
    host.say(GetStatus())
    await asyncio.sleep(0)
    assert host.statuses()[-1].uptime_ms == 4000


async def test_its_clock_goes_on_in_another_loop() -> None:
    transport = MemoryTransport(device())
    first = Host(transport)
    await transport.open(first)
    await asyncio.sleep(2)
    first.say(GetStatus())  # looks at the clock
    uptime: list[int] = []

    def in_another_loop() -> None:
        async def later() -> None:
            host = Host(transport)
            await asyncio.sleep(100)
            await transport.open(host)
            await asyncio.sleep(1)
            host.say(GetStatus())
            await asyncio.sleep(0)
            uptime.append(host.statuses()[0].uptime_ms)

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(later())

    await asyncio.to_thread(in_another_loop)
    assert uptime == [3000]


async def test_an_unplug_is_told_once_and_open_fails_until_it_is_back() -> None:
    host = await connected(device())
    host.transport.unplug()
    assert host.losses == []
    await asyncio.sleep(0)
    assert [type(loss) for loss in host.losses] == [ConnectionLost]
    host.transport.write(b"nobody hears this")
    with pytest.raises(PortMissing, match="unplugged"):
        await host.transport.open(host)
    host.transport.replug()
    await host.transport.open(host)
    host.say(GetStatus())
    await asyncio.sleep(1)
    assert len(host.statuses()) == 1
    assert len(host.losses) == 1


async def test_nothing_is_told_where_close_comes_before_the_loss_was_noticed() -> None:
    host = await connected(device())
    host.transport.unplug()
    await host.transport.close()
    await asyncio.sleep(1)
    assert host.losses == []


async def test_an_unplug_from_the_inside_ends_by_itself() -> None:
    host = await connected(device())
    assert host.transport.command({"fault": "unplug", "ms": 500})["ok"]
    await asyncio.sleep(0.1)
    assert len(host.losses) == 1
    with pytest.raises(PortMissing):
        await host.transport.open(host)
    await asyncio.sleep(0.5)
    await host.transport.open(host)


async def test_what_is_on_its_way_is_lost_when_the_cable_is_pulled() -> None:
    port = device()
    host = await connected(port)
    host.transport.command({"fault": "delay", "ms": 100})
    host.say(Hello(0, 1, 1, 99))
    await asyncio.sleep(0.05)
    host.transport.unplug()
    await asyncio.sleep(1)
    host.transport.replug()
    await host.transport.open(host)
    await asyncio.sleep(1)
    assert not any(isinstance(message, Identity) for _, message in host.heard)
    assert "hello" not in [row.why for row in port.take_trace()]


async def test_half_a_frame_is_forgotten_when_the_line_is_opened_anew() -> None:
    host = await connected(device())
    host.transport.write(b"\0half a frame")
    await host.transport.close()
    await host.transport.open(host)
    host.say(GetStatus())
    await asyncio.sleep(0)
    assert host.statuses()[0].bad_frames == 0


async def test_a_deadline_that_is_now_gets_its_tick() -> None:
    """A device may answer a command by an act of the same millisecond."""

    class Prompt(SimulatedPort):
        ticks = 0
        wants_tick = False

        def receive(self, data: bytes, now_ms: int) -> None:
            self.wants_tick = True

        def tick(self, now_ms: int) -> None:
            self.ticks += self.wants_tick
            self.wants_tick = False

        def next_deadline_ms(self) -> int | None:
            return 1000 if self.wants_tick else None

    port = Prompt(DeviceConfig())
    host = await connected(port)
    await asyncio.sleep(1)
    host.transport.write(b"anything")
    await asyncio.sleep(0.001)
    assert port.ticks == 1


async def test_an_urgent_write_passes_what_the_device_left_unread() -> None:
    port = device()
    host = await connected(port)
    host.transport.command({"fault": "stop_reading"})
    host.say(GetStatus())
    assert host.transport.unsent_bytes() > 0
    host.transport.write(b"\0stop\0", urgent=True)
    assert host.transport.unsent_bytes() == 6


async def test_a_change_from_the_inside_moves_the_devices_next_deadline() -> None:
    host = await connected(device())
    host.say(Hello(0, 1, 1, 99))
    await asyncio.sleep(0)
    host.transport.command({"feet": False})
    for _ in range(40):
        host.say(SetLevel(0, 1500))
        await asyncio.sleep(0.25)
    lifted = [when for when, message in host.heard if isinstance(message, Event)][-1]
    assert lifted == 5.0


def session(seed: int) -> list[tuple[float, Message]]:
    async def drive() -> list[tuple[float, Message]]:
        transport = open_transport(f"sim:?seed={seed}", Settings())
        assert isinstance(transport, MemoryTransport)
        host = Host(transport)
        await transport.open(host)
        transport.command({"fault": "drop", "rate": 0.3})
        transport.command({"fault": "delay", "ms": 3, "jitter_ms": 9})
        host.say(Hello(0, 1, 1, 99))
        for _ in range(100):
            host.say(GetStatus())
            await asyncio.sleep(0.25)
        return host.heard

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(drive())


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    assert session(7) == session(7)
    assert session(7) != session(8)


async def test_the_url_chooses_the_device() -> None:
    transport = open_transport("sim:?seed=7&no-feet-sensor", Settings(speed=4))
    assert isinstance(transport, MemoryTransport)
    host = Host(transport)
    await transport.open(host)
    host.say(Hello(1, 1, 1, 99))
    await asyncio.sleep(0)
    identity = next(message for _, message in host.heard if isinstance(message, Identity))
    assert identity.speed == 4
    assert transport.url == "sim:?seed=7&no-feet-sensor"
    assert not transport.datagrams
