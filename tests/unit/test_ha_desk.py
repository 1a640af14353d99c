"""One device's desk towards a broker: in what order its messages are done."""

import asyncio
import json
import time
from datetime import datetime

from massager.daemon.keeper import Keeper
from massager.daemon.paperwork import NoOffice
from massager.home_assistant.desk import Desk
from massager.home_assistant.discovery import Announcer
from massager.home_assistant.outbox import Outbox
from massager.home_assistant.topics import NodeTopics
from tests.unit.test_keeper import Device, settings


async def test_a_stop_ends_a_start_that_came_in_the_same_moment() -> None:
    device = Device()
    keeper = Keeper(settings(), device, NoOffice(), chance=lambda: 0.5)
    running = asyncio.ensure_future(keeper.run())
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
