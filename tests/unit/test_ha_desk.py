"""One device's desk towards a broker: in what order its messages are done."""

import asyncio
import json
import time
from datetime import datetime

import pytest

from massager.daemon.keeper import Keeper
from massager.daemon.paperwork import NoOffice
from massager.home_assistant.desk import Desk
from massager.home_assistant.discovery import Announcer
from massager.home_assistant.outbox import Outbox
from massager.home_assistant.topics import NodeTopics
from tests.unit.test_keeper import Device, settings


def desk_of(keeper: Keeper) -> Desk:
    """That serves."""
    desk = Desk(
        keeper,
        "sim-massager",
        NodeTopics("attic"),
        Outbox(),
        Announcer("1"),
        ("classic",),
        lambda: datetime.now().astimezone(),
    )
    desk.serve(True)
    return desk


async def test_a_stop_ends_a_start_that_came_in_the_same_moment() -> None:
    device = Device()
    keeper = Keeper(settings(), device, NoOffice(), chance=lambda: 0.5)
    running = asyncio.ensure_future(keeper.run())
    desk = desk_of(keeper)
    await asyncio.sleep(0.3)
    device.unplug()
    await asyncio.sleep(1)
    desk.take(json.dumps({"action": "start", "at": time.time(), "intensity": 5}).encode())
    desk.take_stop(b"stop")
    await asyncio.sleep(1)
    device.replug()
    await asyncio.sleep(8)
    assert not keeper.in_session
    assert device.output == 0
    await keeper.rest()
    running.cancel()
    desk.close()
    await asyncio.wait({running})


async def test_each_flood_of_commands_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    desk = desk_of(Keeper(settings(), Device(), NoOffice(), chance=lambda: 0.5))
    for _ in range(2):
        for _ in range(100):
            desk.take(b"nonsense")
            await asyncio.sleep(0.02)  # 50 in a second
        await asyncio.sleep(2)
    assert len([each for each in caplog.messages if "a flood of commands" in each]) == 2
    desk.close()
