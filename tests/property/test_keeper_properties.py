"""Several people at one keeper, a device that comes and goes, a slow disk: a stop always wins.

Seeded and in virtual time; `SOAK=100` runs a hundred times as many.
"""

import asyncio
import os
import random
from dataclasses import dataclass, field

import pytest

from massager.config.devices import DeviceSettings
from massager.daemon.face import (
    Order,
    Origin,
    RefusedStart,
    SessionEnded,
    SessionStarted,
    Started,
)
from massager.daemon.keeper import Keeper
from massager.daemon.paperwork import NoOffice, NoPapers
from massager.session.model import (
    Ended,
    Extend,
    HardStop,
    Hindrance,
    Pause,
    Permit,
    Request,
    Resume,
    SetIntensity,
    SoftStop,
    Terms,
)
from massager.snapshot import Snapshot
from tests.invariants import check_trace
from tests.unit.test_keeper import Device, order, settings

SEEDS = 12 * int(os.environ.get("SOAK", "1"))
PEOPLE = 4
DEEDS = 25
STOP_S = 2.6  # a fall from full strength takes 2 s; by the lease alone, with the cable out, 2.5 s


@dataclass(frozen=True, slots=True)
class HangingPapers(NoPapers):
    """Of a disk that hangs now and then; the history gives up after 5 s, at the end after 2 s."""

    chance: random.Random = field(default_factory=random.Random)

    async def admit(self) -> Terms | RefusedStart:
        await asyncio.sleep(self.chance.choice((0.0, 0.0, 0.01, 1.0, 5.0)))
        if self.chance.random() < 0.1:
            permit = Permit("its disk hangs", 0, hindrance=Hindrance.HISTORY)
            return Terms(permit=permit, as_real=True)
        return await super(HangingPapers, self).admit()

    async def end(self, ended: Snapshot) -> None:
        await asyncio.sleep(self.chance.choice((0.0, 0.0, 0.01, 2.0)))
        if self.chance.random() < 0.1:
            raise OSError("no space left on the device")


@dataclass(frozen=True, slots=True)
class HangingOffice(NoOffice):
    """Hands out such papers."""

    chance: random.Random = field(default_factory=random.Random)

    def papers(self, device: DeviceSettings, order: Order) -> NoPapers:
        return HangingPapers(self.speed, device, order, chance=self.chance)


class Evening:
    """One keeper, its device, and what must hold about them."""

    def __init__(self, seed: int, *, hangs: bool = False) -> None:
        self.random = random.Random(seed)
        self.device = Device()
        office = HangingOffice(chance=random.Random(seed + 2)) if hangs else NoOffice()
        chance = random.Random(seed + 1).random
        self.keeper = Keeper(settings(), self.device, office, chance=chance)
        self.events = self.keeper.subscribe()
        self.starts = 0  # asked for so far
        self.started = 0

    async def run(self) -> None:
        before = asyncio.all_tasks()
        running = asyncio.ensure_future(self.keeper.run())
        watching = asyncio.ensure_future(self._watch())
        people = [self._person() for _ in range(PEOPLE)]
        await asyncio.gather(*people, self._cable())
        self.keeper.closing = True
        assert isinstance(await self.keeper.start(order()), RefusedStart)
        self.device.replug()
        self.keeper.request(SoftStop())
        await asyncio.wait_for(self.keeper.rest(), 60)
        await asyncio.sleep(90)
        assert self.device.output == 0  # nothing begins by itself
        assert not self.keeper.in_session
        for task in (watching, running):
            task.cancel()
        await asyncio.wait({watching, running})
        assert asyncio.all_tasks() == before
        await self._events_match()
        assert check_trace(self.device.trace) == []

    async def _person(self) -> None:
        for _ in range(DEEDS):
            await asyncio.sleep(self.random.choice((0.0, 0.001, 0.1, 1.0, 5.0, 20.0)))
            match self.random.randrange(10):
                case 0 | 1 | 2:
                    await self._start()
                case 3 | 4:
                    await self._stop(self.random.choice((SoftStop(), HardStop())))
                case 5:
                    await self.keeper.clear()
                case 6:
                    self.keeper.forbid(self.random.choice((None, None, "somebody else has it")))
                case _:
                    self.keeper.request(self._change())

    async def _watch(self) -> None:
        """Off is said only of a motor that is off, and rest only where no order is under way."""
        while True:
            await asyncio.sleep(0.05)
            if self.keeper.is_known_to_be_off:
                assert self.device.output == 0
            if self.keeper._drive.rested.is_set():
                assert not self.keeper.in_session

    async def _start(self) -> None:
        self.starts += 1
        origin = self.random.choice(tuple(Origin))
        wish = Order(order(self.random.randint(1, 10)).choice, origin)
        starting = asyncio.wait_for(self.keeper.start(wish), 40)
        outcome, _ = await asyncio.gather(starting, self._think_better_of_it())
        self.started += isinstance(outcome, Started)
        if isinstance(outcome, RefusedStart) and "latched" in outcome.why:
            await self.keeper.clear()

    async def _think_better_of_it(self) -> None:
        await asyncio.sleep(self.random.choice((0.0, 0.001, 0.1, 1.0, 4.0)))
        if self.random.random() < 0.4:
            self._press(self.random.choice((SoftStop(), HardStop())))

    def _press(self, stop: SoftStop | HardStop) -> None:
        is_over = isinstance(self.keeper.state, Ended) and self.keeper.in_session
        can_be_reached = self.keeper._line.is_open and not is_over
        assert self.keeper.request(stop) is None
        if isinstance(stop, HardStop) and can_be_reached:
            assert self.device.output == 0  # in that moment, whatever waits for whatever
            assert self.device.trace[-1].state == "latched"

    async def _stop(self, stop: SoftStop | HardStop) -> None:
        starts = self.starts
        self._press(stop)
        await asyncio.sleep(STOP_S)
        for _ in range(8):
            if starts == self.starts:  # 0 until a start that is newer than the stop
                assert self.device.output == 0
            await asyncio.sleep(self.random.choice((0.0, 1.0, 4.0)))

    def _change(self) -> Request:
        return self.random.choice(
            (Pause(), Resume(), SetIntensity(self.random.randint(1, 10)), Extend(60_000))
        )

    async def _cable(self) -> None:
        for _ in range(6):
            await asyncio.sleep(self.random.uniform(0, 60))
            self.device.unplug()
            await asyncio.sleep(self.random.uniform(0, 15))
            self.device.replug()

    async def _events_match(self) -> None:
        """Each session is told once from its beginning to its end, one after the other."""
        began = 0
        for event in list(self.events._events):
            if isinstance(event, SessionStarted):
                began += 1
            elif isinstance(event, SessionEnded):
                began -= 1
            assert began in ((-1, 0, 1) if self.events.dropped else (0, 1))


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_stop_wins_over_everybody_and_nothing_is_left_behind(seed: int) -> None:
    await Evening(seed).run()


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_stop_wins_over_a_history_that_hangs(seed: int) -> None:
    await Evening(1_000_000 + seed, hangs=True).run()
