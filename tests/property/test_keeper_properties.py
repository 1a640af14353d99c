"""Several people at one keeper, and a device that comes and goes: a stop always wins.

Seeded and in virtual time; `SOAK=100` runs a hundred times as many.
"""

import asyncio
import os
import random

import pytest

from massager.daemon.face import (
    Order,
    Origin,
    RefusedStart,
    SessionEnded,
    SessionStarted,
    Started,
)
from massager.daemon.keeper import Keeper
from massager.daemon.paperwork import NoOffice
from massager.session.model import Extend, HardStop, Pause, Request, Resume, SetIntensity, SoftStop
from tests.invariants import check_trace
from tests.unit.test_keeper import Device, order, settings

SEEDS = 12 * int(os.environ.get("SOAK", "1"))
PEOPLE = 4
DEEDS = 25
STOP_S = 2.6  # a fall from full strength takes 2 s; by the lease alone, with the cable out, 2.5 s


class Evening:
    """One keeper, its device, and what must hold about them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.device = Device()
        self.keeper = Keeper(
            settings(), self.device, NoOffice(), chance=random.Random(seed + 1).random
        )
        self.events = self.keeper.subscribe()
        self.starts = 0  # asked for so far
        self.started = 0

    async def run(self) -> None:
        before = asyncio.all_tasks()
        running = asyncio.ensure_future(self.keeper.run())
        people = [self._person() for _ in range(PEOPLE)]
        await asyncio.gather(*people, self._cable())
        self.device.replug()
        self.keeper.request(SoftStop())
        await asyncio.wait_for(self.keeper.rest(), 60)
        await asyncio.sleep(90)
        assert self.device.output == 0  # nothing begins by itself
        assert not self.keeper.in_session
        running.cancel()
        await asyncio.wait({running})
        assert asyncio.all_tasks() == before
        await self._events_match()
        assert check_trace(self.device.trace) == []

    async def _person(self) -> None:
        for _ in range(DEEDS):
            await asyncio.sleep(self.random.choice((0.0, 0.001, 0.1, 1.0, 5.0, 20.0)))
            match self.random.randrange(8):
                case 0 | 1 | 2:
                    await self._start()
                case 3 | 4:
                    await self._stop(self.random.choice((SoftStop(), HardStop())))
                case _:
                    self.keeper.request(self._change())

    async def _start(self) -> None:
        self.starts += 1
        origin = self.random.choice(tuple(Origin))
        wish = Order(order(self.random.randint(1, 10)).choice, origin)
        outcome = await asyncio.wait_for(self.keeper.start(wish), 40)
        self.started += isinstance(outcome, Started)
        if isinstance(outcome, RefusedStart) and "latched" in outcome.why:
            await self.keeper.clear()

    async def _stop(self, stop: SoftStop | HardStop) -> None:
        starts = self.starts
        assert self.keeper.request(stop) is None
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
