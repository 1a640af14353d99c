"""One device and its owner in virtual time: starts, stops, looks; a device that comes and goes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from firmware_protocol.codec import encode
from firmware_protocol.framing import StreamFraming
from firmware_protocol.messages import Command, Hello, SetLevel
from massager.config.devices import DeviceSettings, RemoteStart
from massager.daemon.face import (
    ConnectionState,
    Order,
    Origin,
    RefusalKind,
    RefusedClear,
    RefusedStart,
    SessionEnded,
    SessionStarted,
    Started,
    StartRefused,
)
from massager.daemon.keeper import Keeper
from massager.daemon.paperwork import NoOffice, NoPapers, Office
from massager.errors import PortBusy
from massager.plan import Choice, Shape
from massager.programs import load_program
from massager.session.caps import Cap
from massager.session.model import (
    Extend,
    HardStop,
    Hindrance,
    Pause,
    Permit,
    Resume,
    SetIntensity,
    SoftStop,
    StopReason,
    Terms,
)
from massager.snapshot import Snapshot
from massager.transports.interface import Receiver
from massager.transports.memory import MemoryTransport
from massager.transports.url import SimUrl
from simulator.device import DeviceConfig, TraceRow
from simulator.port import SimulatedPort
from tests.invariants import check_trace

Make = Callable[..., Keeper]


class Device(MemoryTransport):
    """A simulated device that outlives its sessions; `openings` counts how often it was opened."""

    def __init__(self, config: DeviceConfig | None = None) -> None:
        self.port = SimulatedPort(config or DeviceConfig(), seed=1)
        self.openings = 0
        self.is_mute = False  # hears and answers nothing
        self._rows: list[TraceRow] = []
        super().__init__(self.port)

    async def open(self, receiver: Receiver) -> None:
        self.openings += 1
        await super().open(receiver)

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        if not self.is_mute:
            super().write(data, urgent=urgent)

    @property
    def trace(self) -> list[TraceRow]:
        """What the motor did so far."""
        self._rows += self.port.take_trace()
        return self._rows

    @property
    def output(self) -> int:
        """Of the motor, ‰, as the device itself has it."""
        return int(self.command({"get": "status"})["output"])


class Hanging(Device):
    """One whose opening takes for ever."""

    async def open(self, receiver: Receiver) -> None:
        self.openings += 1
        await asyncio.Event().wait()


class Someone:
    """Another controller of the same device: what it sends goes there, what it hears is lost."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._sequence = 1
        self._token = 0
        self._streaming: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open a session and stream a level."""
        self._send(Hello(0, 1, 1, 77))
        self._token = self._device.trace[-1].token
        self._streaming = asyncio.ensure_future(self._stream())
        await asyncio.sleep(3)
        assert self._device.output > 0

    async def stop(self) -> None:
        """Leave it to the lease."""
        assert self._streaming is not None
        self._streaming.cancel()
        await asyncio.wait({self._streaming})

    async def _stream(self) -> None:
        while True:
            self._send(SetLevel(300, 1500))
            await asyncio.sleep(0.25)

    def _send(self, command: Command) -> None:
        self._sequence = self._sequence % 255 + 1
        self._device.write(StreamFraming().encode(encode(command, self._sequence, self._token)))


async def drive(device: Device) -> Someone:
    """Somebody else has the device from now on."""
    someone = Someone(device)
    await someone.start()
    return someone


class Busy(Device):
    """One whose port another program holds until it is let go."""

    held = True

    async def open(self, receiver: Receiver) -> None:
        if self.held:
            self.openings += 1
            raise PortBusy("the port is in use by pid 42; close that program, or stop it first")
        await super().open(receiver)


def settings(**changes: object) -> DeviceSettings:
    return DeviceSettings(**({"name": "bedroom", "url": SimUrl()} | changes))  # type: ignore[arg-type]


def order(intensity: int = 6, origin: Origin = Origin.TERMINAL) -> Order:
    return Order(Choice(intensity, 480_000, 90_000, Shape.LINEAR, load_program("classic")), origin)


@asynccontextmanager
async def kept(
    device: Device, office: Office | None = None, **changes: object
) -> AsyncIterator[Keeper]:
    """A keeper that runs; whatever it leaves behind is an error."""
    before = asyncio.all_tasks()
    keeper = Keeper(settings(**changes), device, office or NoOffice(), chance=lambda: 0.5)
    running = asyncio.ensure_future(keeper.run())
    await asyncio.sleep(0.1)
    yield keeper
    running.cancel()
    await asyncio.wait({running})
    assert asyncio.all_tasks() == before
    assert check_trace(device.trace) == []


def connection_of(keeper: Keeper) -> ConnectionState:
    return keeper.connection.state


async def until(keeper: Keeper, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(1000):
        while not holds():
            await keeper.changed()


# --- between sessions -----------------------------------------------------------------------------


async def test_it_sees_who_is_there_and_opens_no_session() -> None:
    device = Device()
    async with kept(device) as keeper:
        await asyncio.sleep(120)
        assert connection_of(keeper) is ConnectionState.HERE
        assert keeper.sighting is not None
        assert keeper.sighting.identity.name == "sim-0001"
        assert (keeper.has_feet_sensor, keeper.remote_start) == (True, RemoteStart.FEET)
        assert keeper.snapshot().phase == "idle"
        assert device.openings == 1  # held open in between
    assert not [row for row in device.trace if row.token]


async def test_a_device_that_is_absent_is_found_within_3_s_of_its_coming() -> None:
    device = Device()
    device.unplug()
    async with kept(device) as keeper:
        assert connection_of(keeper) is ConnectionState.AWAY
        assert "unplugged" in (keeper.connection.reason or "")
        for _ in range(3):
            await asyncio.sleep(300)
            device.replug()
            await asyncio.sleep(3)
            assert connection_of(keeper) is ConnectionState.HERE
            device.unplug()
            await asyncio.sleep(2)
            assert connection_of(keeper) is ConnectionState.AWAY


async def test_another_device_than_the_configured_one_is_not_driven() -> None:
    async with kept(Device(), device_id="foot-1") as keeper:
        assert connection_of(keeper) is ConnectionState.WRONG
        refused = await keeper.start(order())
        assert isinstance(refused, RefusedStart)
        assert refused.kind is RefusalKind.DEVICE
        assert refused.why == "device sim-0001 answered, but foot-1 is configured"


# --- sessions -------------------------------------------------------------------------------------


async def test_a_session_from_its_start_to_its_end_is_told_once_each() -> None:
    device = Device()
    async with kept(device) as keeper:
        events = keeper.subscribe()
        assert isinstance(await keeper.start(order()), Started)
        started = await events.next()
        assert isinstance(started, SessionStarted)
        assert (started.intensity, started.minutes, started.simulated) == (6, 8.0, True)
        ended = await events.next()
        assert isinstance(ended, SessionEnded)
        assert (ended.reason, ended.output_confirmed) == ("completed", True)
        assert keeper.last_end == ended
        assert not keeper.in_session
        assert keeper.snapshot().phase == "ended"
        assert device.output == 0


async def test_one_session_follows_the_other_on_a_line_that_stays_open() -> None:
    device = Device()
    async with kept(device) as keeper:
        for _ in range(20):
            assert isinstance(await keeper.start(order()), Started)
            await asyncio.sleep(1)
            assert device.output > 0
            keeper.request(SoftStop())
            await keeper.rest()
            assert device.output == 0
        assert device.openings == 1


async def test_a_second_start_is_refused_and_the_first_goes_on() -> None:
    async with kept(Device()) as keeper:
        first, second = await asyncio.gather(keeper.start(order()), keeper.start(order(9)))
        assert isinstance(first, Started)
        assert isinstance(second, RefusedStart)
        assert second.kind is RefusalKind.BUSY
        assert keeper.snapshot().intensity == 6


async def test_what_a_person_changes_reaches_the_session() -> None:
    async with kept(Device()) as keeper:
        assert keeper.request(Pause()) == "no session is running"
        await keeper.start(order())
        await asyncio.sleep(20)
        assert keeper.request(SetIntensity(3)) is None
        assert keeper.request(Extend(60_000)) is None
        assert keeper.request(Pause()) is None
        assert keeper.snapshot().phase == "paused"
        assert keeper.request(Resume()) is None
        assert keeper.request(SetIntensity(11)) == "intensity 11: it must be 1 to 10"


async def test_an_intensity_above_the_cap_is_refused_and_nothing_is_sent() -> None:
    device = Device()
    async with kept(device, max_intensity=4) as keeper:
        events = keeper.subscribe()
        refused = await keeper.start(order(5))
        assert isinstance(refused, RefusedStart)
        assert refused.kind is RefusalKind.LIMIT
        told = await events.next()
        assert isinstance(told, StartRefused)
        assert told.why == refused.why
    assert not [row for row in device.trace if row.token]


@pytest.mark.parametrize(
    ("permit", "kind"),
    [
        (Permit("massager screening has its words", 0, hindrance=Hindrance.LIMIT), "limit"),
        (Permit("ask a doctor first", 0, hindrance=Hindrance.SCREENING), "screening"),
        (Permit("the disk is full", 0, hindrance=Hindrance.HISTORY), "history"),
        (Permit(max_intensity=5, cap_reason="a sore day"), "limit"),
    ],
)
async def test_the_kind_of_a_refusal_is_that_of_the_permit_and_not_of_its_words(
    permit: Permit, kind: str
) -> None:
    """The device itself refuses nothing here."""

    class Papers(NoPapers):
        async def admit(self) -> Terms | RefusedStart:
            return Terms(permit=permit, as_real=True)

    device = Device()
    async with kept(device, office=OtherOffice(kind=Papers)) as keeper:
        refused = await keeper.start(order(6))
        assert isinstance(refused, RefusedStart)
        assert refused.kind.value == kind
    assert not [row for row in device.trace if row.token]


async def test_whoever_waits_for_a_start_may_leave_and_the_session_goes_on() -> None:
    async with kept(Device()) as keeper:
        waiting = asyncio.ensure_future(keeper.start(order()))
        await asyncio.sleep(0)
        waiting.cancel()
        await until(keeper, lambda: keeper.snapshot().phase == "warm-up")


async def test_nothing_starts_once_the_house_closes() -> None:
    async with kept(Device()) as keeper:
        keeper.closing = True
        refused = await keeper.start(order())
        assert isinstance(refused, RefusedStart)
        assert refused.kind is RefusalKind.CLOSING


# --- a device that comes and goes -----------------------------------------------------------------


async def test_a_start_waits_for_an_absent_device_and_takes_it_when_it_comes() -> None:
    device = Device()
    device.unplug()
    async with kept(device) as keeper:
        starting = asyncio.ensure_future(keeper.start(order()))
        await asyncio.sleep(10)
        assert keeper.snapshot().phase == "connecting"
        device.replug()
        assert isinstance(await starting, Started)


async def test_caps_count_from_the_permit_however_long_the_device_is_looked_for() -> None:
    device = Device()
    device.unplug()
    async with kept(device, office=OtherOffice(kind=NightPapers)) as keeper:
        starting = asyncio.ensure_future(keeper.start(order()))
        await asyncio.sleep(10)
        device.replug()
        assert isinstance(await starting, Started)
        assert keeper.snapshot().cap_ahead == "from 22:00 at most 3"
        await asyncio.sleep(59)  # of the minute 10 s and more were over
        assert (keeper.snapshot().intensity, keeper.snapshot().lowered_by) == (3, "night")
        keeper.request(SoftStop())


async def test_a_start_does_not_wait_until_another_program_lets_go_of_the_port() -> None:
    """That program may end because somebody has stopped its session."""
    device = Busy()
    async with kept(device) as keeper:
        refused = await asyncio.wait_for(keeper.start(order()), 0.1)
        assert isinstance(refused, RefusedStart)
        assert refused.kind is RefusalKind.BUSY
        assert "in use by pid 42" in refused.why
        device.held = False
        await asyncio.sleep(60)
        assert connection_of(keeper) is ConnectionState.HERE
        assert not [row for row in device.trace if row.token]


async def test_a_start_gives_up_after_15_s_and_says_why() -> None:
    device = Device()
    device.unplug()
    async with kept(device) as keeper:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        refused = await keeper.start(order())
        assert isinstance(refused, RefusedStart)
        assert refused.kind is RefusalKind.ABSENT
        assert "unplugged" in refused.why
        assert 12 <= loop.time() - began_s <= 15
        device.replug()
        await asyncio.sleep(60)
        assert connection_of(keeper) is ConnectionState.HERE
        assert device.output == 0  # a start that was given up stays so
        assert keeper.snapshot().reason == "no handshake"


@pytest.mark.parametrize("stop", [SoftStop(), HardStop()])
@pytest.mark.parametrize("after_s", [0.0, 0.3, 7.0])
async def test_a_stop_ends_a_start_that_still_looks_for_the_device(
    stop: SoftStop | HardStop, after_s: float
) -> None:
    for device in (Device(), Hanging()):
        device.unplug()
        async with kept(device) as keeper:
            starting = asyncio.ensure_future(keeper.start(order()))
            await asyncio.sleep(after_s)
            assert keeper.request(stop) is None
            loop = asyncio.get_running_loop()
            stopped_s = loop.time()
            refused = await starting
            assert isinstance(refused, RefusedStart)
            assert refused.kind is RefusalKind.STOPPED
            assert loop.time() - stopped_s < 0.1
            assert keeper.snapshot().reason == stop.reason  # of the start; nothing had been sent
            device.replug()
            await asyncio.sleep(30)
            assert keeper.snapshot().phase == "ended"
            assert device.trace[-1].output == 0


async def test_a_stop_in_the_same_moment_as_the_start_wins() -> None:
    device = Device()
    async with kept(device) as keeper:
        for turns in range(30):
            starting = asyncio.ensure_future(keeper.start(order()))
            for _ in range(turns):
                await asyncio.sleep(0)
            keeper.request(SoftStop())
            outcome = await starting
            assert turns > 9 or isinstance(outcome, RefusedStart)
            async with asyncio.timeout(5):
                await keeper.rest()
            await asyncio.sleep(1)
            assert not keeper.in_session
        assert max(row.output for row in device.trace) == 0


@pytest.mark.parametrize("turns", range(24))
@pytest.mark.parametrize("before", ["start", "clear", "look"])
async def test_an_emergency_stop_keeps_the_line_whatever_was_about_to_take_it(
    before: str, turns: int
) -> None:
    device = Device()
    async with kept(device) as keeper:
        other: asyncio.Future[object]
        if before == "start":
            other = asyncio.ensure_future(keeper.start(order(origin=Origin.MQTT)))
        elif before == "clear":
            keeper.request(SoftStop())  # has another look soon
            await keeper.rest()
            await asyncio.sleep(0.001 * turns)
            other = asyncio.ensure_future(keeper.clear())
        else:
            keeper.request(SoftStop())
            await keeper.rest()
            other = asyncio.ensure_future(asyncio.sleep(0))
        for _ in range(turns):
            await asyncio.sleep(0)
        keeper.request(HardStop())
        await other
        async with asyncio.timeout(4):
            await keeper.rest()
        assert (keeper.snapshot().reason, keeper.snapshot().output_confirmed) == ("emergency", True)
        assert device.trace[-1].state == "latched"


class HangingPapers(NoPapers):
    """Of a disk that hangs: the history gives up after 5 s."""

    async def admit(self) -> Terms | RefusedStart:
        await asyncio.sleep(5)
        return await super().admit()

    async def end(self, ended: Snapshot) -> None:
        await asyncio.sleep(2)


class SlowPapers(NoPapers):
    """Of a disk that takes its time."""

    async def end(self, ended: Snapshot) -> None:
        await asyncio.sleep(2)


class NightPapers(NoPapers):
    """Quiet hours begin in a minute."""

    async def admit(self) -> Terms:
        caps = (Cap(60_000, 3, "night", "from 22:00 at most 3"),)
        return Terms(permit=Permit(caps=caps), as_real=True)


class FailingPapers(NoPapers):
    """Of a history with a fault."""

    async def end(self, ended: Snapshot) -> None:
        raise ZeroDivisionError


@dataclass(frozen=True, slots=True)
class OtherOffice(NoOffice):
    """Hands out such papers."""

    kind: type[NoPapers] = NoPapers

    def papers(self, device: DeviceSettings, order: Order) -> NoPapers:
        return self.kind(self.speed, device, order)


@pytest.mark.parametrize("stop", [SoftStop(), HardStop()])
async def test_a_stop_ends_a_start_that_waits_for_the_last_session_s_row(
    stop: SoftStop | HardStop,
) -> None:
    device = Device()
    async with kept(device, office=OtherOffice(kind=SlowPapers)) as keeper:
        await keeper.start(order())
        await asyncio.sleep(20)
        keeper.request(SoftStop())
        await until(keeper, lambda: keeper.snapshot().phase == "ended")
        await asyncio.sleep(0.1)
        starting = asyncio.ensure_future(keeper.start(order()))
        await asyncio.sleep(0.1)
        before = len(device.trace)
        keeper.request(stop)
        refused = await starting
        assert isinstance(refused, RefusedStart)
        assert refused.kind is RefusalKind.STOPPED
        assert max(row.output for row in device.trace[before:]) == 0


async def test_an_emergency_stop_does_not_wait_for_a_start_s_row() -> None:
    """Somebody else may drive the device: whoever asks for this stop means the motor."""
    device = Device()
    async with kept(device, office=OtherOffice(kind=HangingPapers)) as keeper:
        someone = await drive(device)
        starting = asyncio.ensure_future(keeper.start(order()))
        await asyncio.sleep(0.1)
        keeper.request(HardStop())
        assert device.output == 0
        await asyncio.sleep(0.25)
        assert device.trace[-1].state == "latched"
        assert (keeper.snapshot().phase, keeper.snapshot().output_confirmed) == ("ended", True)
        assert not keeper.in_session
        second = asyncio.ensure_future(keeper.start(order()))  # waits for the first one's row
        refused = await starting
        assert isinstance(refused, RefusedStart)
        assert refused.kind is RefusalKind.STOPPED
        assert not second.done()
        latched = await second
        assert isinstance(latched, RefusedStart)
        assert "latched" in latched.why
        await someone.stop()


async def test_a_soft_stop_of_a_start_is_for_whoever_is_seen_to_drive_the_device() -> None:
    device = Device()
    async with kept(device, office=OtherOffice(kind=HangingPapers)) as keeper:
        someone = await drive(device)
        assert connection_of(keeper) is ConnectionState.IN_USE
        for stop, ends in ((SoftStop(StopReason.SHUTDOWN), False), (SoftStop(), True)):
            starting = asyncio.ensure_future(keeper.start(order()))
            await asyncio.sleep(0.1)
            keeper.request(stop)
            assert keeper.is_known_to_be_off is not ends
            await asyncio.sleep(2.2)  # a fall takes 2 s
            assert (device.output == 0) is ends
            assert isinstance(await starting, RefusedStart)
            await keeper.rest()
        await someone.stop()


async def test_a_stop_while_a_start_waits_for_its_row_is_over_at_once_where_nobody_drives() -> None:
    device = Device()
    async with kept(device, office=OtherOffice(kind=HangingPapers)) as keeper:
        starting = asyncio.ensure_future(keeper.start(order()))
        await asyncio.sleep(0.1)
        keeper.request(SoftStop())
        assert (keeper.snapshot().phase, keeper.snapshot().reason) == ("ended", "requested")
        assert not keeper.in_session
        assert keeper.is_known_to_be_off  # whatever becomes of the row
        assert isinstance(await starting, RefusedStart)
        await keeper.rest()
    assert not [row for row in device.trace if row.token]


async def test_an_end_that_cannot_be_noted_keeps_nobody_from_the_next_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with kept(Device(), office=OtherOffice(kind=FailingPapers)) as keeper:
        await keeper.start(order())
        keeper.request(SoftStop())
        await keeper.rest()
        assert isinstance(await keeper.start(order()), Started)
    assert "the end is not noted" in caplog.text


async def test_a_start_that_was_asked_for_before_a_suspend_moves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The computer slept while the device was looked for, and the device is there when it wakes."""
    away_s = 0.0
    monkeypatch.setattr("massager.clock._away_s", lambda: away_s)
    device = Device()
    device.unplug()
    async with kept(device) as keeper:
        starting = asyncio.ensure_future(keeper.start(order()))
        await asyncio.sleep(5)
        away_s = 9 * 3_600.0
        device.replug()
        refused = await starting
        assert isinstance(refused, RefusedStart)
        assert "slept" in refused.why
        await asyncio.sleep(30)
        assert max(row.output for row in device.trace) == 0


async def test_a_device_that_is_unplugged_in_a_session_waits_for_a_person() -> None:
    device = Device()
    async with kept(device) as keeper:
        await keeper.start(order())
        await asyncio.sleep(30)
        device.unplug()
        await asyncio.sleep(5)
        assert keeper.snapshot().reason == "link lost"
        device.replug()
        await asyncio.sleep(2)
        assert (keeper.snapshot().phase, device.output) == ("paused", 0)
        assert keeper.request(Resume()) is None
        await until(keeper, lambda: keeper.snapshot().phase == "warm-up")


async def test_a_device_that_stays_away_ends_the_session_and_never_starts_again() -> None:
    device = Device()
    async with kept(device) as keeper:
        await keeper.start(order())
        await asyncio.sleep(30)
        device.unplug()
        await keeper.rest()
        assert keeper.last_end is not None
        assert (keeper.last_end.reason, keeper.last_end.output_confirmed) == ("link lost", False)
        assert keeper.request(SoftStop()) is None
        assert (keeper.snapshot().device, keeper.snapshot().output_confirmed) == ("sim-0001", False)
        assert not keeper.is_known_to_be_off
        device.replug()
        await asyncio.sleep(60)
        assert connection_of(keeper) is ConnectionState.HERE
        assert device.output == 0
        assert keeper.is_known_to_be_off


async def test_what_was_heard_before_the_line_went_does_not_call_the_motor_off() -> None:
    """The last word of the device was an output of 0; the first level was on its way to it."""
    device = Device()
    async with kept(device) as keeper:
        await keeper.start(order())
        await until(keeper, lambda: bool(keeper.snapshot().setpoint_permille))
        await asyncio.sleep(0.05)
        assert (device.output > 0, keeper.snapshot().output_permille) == (True, 0)
        device.unplug()
        await keeper.rest()
        assert not keeper.is_known_to_be_off
        device.replug()
        await asyncio.sleep(60)  # it is looked at
        assert keeper.is_known_to_be_off


@pytest.mark.parametrize("stop", [SoftStop(), HardStop()])
async def test_a_stop_that_nobody_answers_leaves_an_unconfirmed_end_to_be_seen(
    stop: SoftStop | HardStop,
) -> None:
    device = Device()
    async with kept(device) as keeper:
        await keeper.start(order())
        await asyncio.sleep(30)
        device.unplug()
        await keeper.rest()
        device.replug()
        device.is_mute = True
        await asyncio.sleep(20)  # its line is open again
        keeper.request(stop)
        await keeper.rest()
        assert (keeper.snapshot().device, keeper.snapshot().output_confirmed) == ("sim-0001", False)

        assert isinstance(await keeper.start(order()), RefusedStart)
        assert (keeper.snapshot().device, keeper.snapshot().output_confirmed) == ("sim-0001", False)

        device.is_mute = False
        keeper.request(stop)
        await keeper.rest()
        assert keeper.snapshot().output_confirmed is True


# --- stops without a session ----------------------------------------------------------------------


async def test_a_stop_without_a_session_goes_to_the_device_and_is_no_error() -> None:
    device = Device()
    async with kept(device) as keeper:
        for _ in range(3):
            assert keeper.request(SoftStop()) is None
            await keeper.rest()
            assert keeper.snapshot().output_confirmed is True
    assert [row.why for row in device.trace].count("stop") >= 3


@pytest.mark.parametrize("stop", [SoftStop(), HardStop()])
async def test_a_motor_whose_device_answered_no_stop_is_not_known_to_be_off(
    stop: SoftStop | HardStop,
) -> None:
    """Whoever asked for it may have seen it move."""
    device = Device()
    async with kept(device) as keeper:
        assert (keeper.is_known_to_be_off, device.output) == (True, 0)
        device.is_mute = True
        keeper.request(stop)
        await keeper.rest()
        assert not keeper.is_known_to_be_off
        device.is_mute = False
        await asyncio.sleep(60)  # it is looked at
        assert keeper.is_known_to_be_off


async def test_whoever_hangs_up_after_a_start_was_called_off_stops_nobody_else() -> None:
    device = Device()
    async with kept(device) as keeper:
        someone = await drive(device)
        keeper.request(SoftStop(StopReason.REQUESTED, "whoever asked for it has left"))
        await asyncio.sleep(2.2)
        assert device.output > 0
        keeper.request(SoftStop())
        await asyncio.sleep(2.2)
        assert device.output == 0
        await someone.stop()


async def test_an_emergency_stop_without_a_session_latches_and_is_cleared() -> None:
    device = Device()
    async with kept(device) as keeper:
        keeper.request(HardStop())
        await keeper.rest()
        await asyncio.sleep(2)
        assert [what for what, _ in keeper.latched] == ["somebody pressed the emergency stop"]
        refused = await keeper.start(order())
        assert isinstance(refused, RefusedStart)
        assert refused.kind is RefusalKind.DEVICE
        assert "latched" in refused.why

        assert await keeper.clear() is None

        assert keeper.latched == ()
        assert isinstance(await keeper.start(order()), Started)
        driven = "the device is being driven; end the session first"
        assert await keeper.clear() == RefusedClear(RefusalKind.BUSY, driven)


async def test_while_a_latch_is_cleared_nothing_else_is_begun() -> None:
    """Either would take the line from the other in the middle of a question."""
    device = Device()
    async with kept(device) as keeper:
        keeper.request(HardStop())
        await keeper.rest()
        clearing = asyncio.ensure_future(keeper.clear())
        await asyncio.sleep(0)
        refused, again = await keeper.start(order()), await keeper.clear()
        assert isinstance(refused, RefusedStart)
        assert refused.why == "a latch is being cleared; ask again in a moment"
        assert again is not None
        assert (refused.kind, again.kind) == (RefusalKind.BUSY, RefusalKind.BUSY)
        assert await clearing is None
        assert isinstance(await keeper.start(order()), Started)


async def test_a_stop_to_an_absent_device_is_taken() -> None:
    device = Device()
    device.unplug()
    async with kept(device) as keeper:
        assert keeper.request(HardStop()) is None
        assert keeper.snapshot().phase == "ended"
        assert keeper.snapshot().reason == "no handshake"  # and not "emergency": it reached nobody
        assert keeper.snapshot().output_confirmed is False
        refused = await keeper.clear()
        assert refused is not None
        assert refused.kind is RefusalKind.ABSENT


# --- from afar ------------------------------------------------------------------------------------


async def test_armed_lets_one_remote_start_through() -> None:
    async with kept(Device(), remote_start=RemoteStart.ARMED) as keeper:
        refused = await keeper.start(order(origin=Origin.MQTT))
        assert isinstance(refused, RefusedStart)
        assert refused.kind is RefusalKind.ARMING
        keeper.arm()
        assert isinstance(await keeper.start(order(origin=Origin.MQTT)), Started)
        keeper.request(SoftStop())
        await keeper.rest()
        assert isinstance(await keeper.start(order(origin=Origin.MQTT)), RefusedStart)
        assert isinstance(await keeper.start(order(origin=Origin.TERMINAL)), Started)


async def test_what_was_armed_holds_for_4_hours_whatever_becomes_of_the_wall_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = {"since boot": 1_000, "wall": datetime(2026, 11, 21, 22, 0, tzinfo=UTC)}
    monkeypatch.setattr("massager.daemon.keeper.boot_ms", lambda: clock["since boot"])
    monkeypatch.setattr("massager.daemon.keeper.now", lambda: clock["wall"])
    async with kept(Device(), remote_start=RemoteStart.ARMED) as keeper:
        keeper.arm()
        clock |= {"since boot": 1_000 + 14_400_001, "wall": datetime(2026, 11, 20, tzinfo=UTC)}
        assert isinstance(await keeper.start(order(origin=Origin.MQTT)), RefusedStart)
        clock |= {"since boot": 1_000 + 14_400_000}
        assert isinstance(await keeper.start(order(origin=Origin.MQTT)), Started)


async def test_a_remote_start_that_needs_feet_is_refused_where_no_sensor_can_tell() -> None:
    device = Device(DeviceConfig(feet_sensor=False))
    async with kept(device, remote_start=RemoteStart.FEET) as keeper:
        refused = await keeper.start(order(origin=Origin.MQTT))
        assert isinstance(refused, RefusedStart)
        assert "no feet sensor" in refused.why
        assert not [row for row in device.trace if row.token]
        assert isinstance(await keeper.start(order()), Started)


async def test_a_remote_start_waits_for_feet_and_ends_where_nobody_comes() -> None:
    device = Device()
    device.command({"feet": False})
    async with kept(device) as keeper:
        assert isinstance(await keeper.start(order(origin=Origin.MQTT)), Started)
        assert keeper.snapshot().phase == "preflight"
        await keeper.rest()
        assert keeper.last_end is not None
        assert keeper.last_end.reason == "no feet"
    assert all(row.output == 0 for row in device.trace)
