"""The daemon's house: front ends that fail, and the end of everything."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from massager.config.devices import DeviceSettings
from massager.daemon.face import Order, Origin, SessionEnded, Started
from massager.daemon.house import House
from massager.daemon.keeper import Keeper
from massager.daemon.paperwork import NoOffice
from massager.errors import ExitCode
from massager.transports import open_transport, parse_url
from tests.unit.test_keeper import order


class Visitor:
    """A front end that does what the test says, and notes how often it was begun."""

    def __init__(self, visit: Callable[[House, int], Awaitable[None]]) -> None:
        self.begun = 0
        self.said_goodbye = False
        self._visit = visit

    async def run(self, house: House) -> None:
        self.begun += 1
        try:
            await self._visit(house, self.begun)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.said_goodbye = all(not keeper.in_session for keeper in house.keepers)
            raise


def house(folder: Path, *visitors: Visitor) -> House:
    keepers = [
        Keeper(
            DeviceSettings(name, parse_url("sim:")),
            open_transport("sim:"),
            NoOffice(),
        )
        for name in ("bedroom", "sofa")
    ]
    return House(keepers, {"MASSAGER_RUNTIME_DIR": str(folder / "run")}, visitors)


async def test_a_front_end_that_fails_is_begun_anew_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes: list[object] = []

    async def visit(house: House, times: int) -> None:
        if times == 1:
            outcomes.append(await house.keepers[0].start(Order(order().choice, Origin.SOCKET)))
            raise RuntimeError("a broker that nobody expected")
        assert house.keepers[0].in_session
        house._on_signal(signal.SIGTERM)

    visitor = Visitor(visit)
    async with asyncio.timeout(20):
        assert await house(tmp_path, visitor).run() is ExitCode.OK
    assert isinstance(outcomes[0], Started)
    assert visitor.begun == 2
    assert "Visitor failed" in caplog.text


async def test_front_ends_hear_of_the_end_of_every_session_before_they_are_sent_away(
    tmp_path: Path,
) -> None:
    heard: list[object] = []

    async def visit(house: House, times: int) -> None:
        events = house.subscribe()
        for keeper in house.keepers:
            await keeper.start(Order(order().choice, Origin.MQTT))
        house._on_signal(signal.SIGINT)
        assert house.stopping
        while len(heard) < 2:
            event = await events.next()
            if isinstance(event, SessionEnded):
                heard.append((event.name, event.reason, event.output_confirmed))

    visitor = Visitor(visit)
    async with asyncio.timeout(20):
        assert await house(tmp_path, visitor).run() is ExitCode.OK
    assert sorted(map(str, heard)) == [
        "('bedroom', 'shutdown', True)",
        "('sofa', 'shutdown', True)",
    ]
    assert visitor.said_goodbye


async def test_a_start_that_comes_too_late_is_refused(tmp_path: Path) -> None:
    outcomes: list[object] = []

    async def visit(house: House, times: int) -> None:
        house._on_signal(signal.SIGTERM)
        outcomes.append(await house.keepers[1].start(Order(order().choice, Origin.MQTT)))

    async with asyncio.timeout(20):
        assert await house(tmp_path, Visitor(visit)).run() is ExitCode.OK
    assert not isinstance(outcomes[0], Started)
