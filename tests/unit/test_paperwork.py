"""A start's papers with a real history: the permit is found out beside the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from massager.admission import Admission
from massager.config.devices import DeviceSettings
from massager.daemon.face import Order, Origin
from massager.daemon.paperwork import HistoryOffice
from massager.history.writer import History
from massager.session.model import Hindrance, Permit, Terms
from massager.transports.url import SimUrl
from tests.history_examples import place_in
from tests.world import choice

pytestmark = pytest.mark.asyncio(loop_factories=["real"])


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    """Closed after the test."""
    history = History(place_in(tmp_path))
    yield history
    await history.close()


async def test_a_profile_on_a_disk_that_hangs_holds_up_nothing_but_its_start(
    history: History, tmp_path: Path
) -> None:
    """Another device's session has a setpoint to renew meanwhile."""
    asked, answered = threading.Event(), threading.Event()

    class Hanging(Admission):
        def permit(self, *_: object) -> Permit:
            asked.set()
            answered.wait(6)
            return Permit("read at last", 0, hindrance=Hindrance.SCREENING)

    office = HistoryOffice(history, Hanging(tmp_path / "config.toml"))
    order = Order(choice(), Origin.TERMINAL)
    admitting = asyncio.ensure_future(office.papers(DeviceSettings("bed", SimUrl()), order).admit())
    try:
        assert await asyncio.to_thread(asked.wait, 5)
        assert not admitting.done()
    finally:
        answered.set()
    terms = await admitting
    assert isinstance(terms, Terms)
    assert terms.permit.refusal == "read at last"
