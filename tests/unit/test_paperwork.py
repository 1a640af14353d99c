"""A start's papers with a real history: the permit is found out beside the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from massager.admission import Admission
from massager.config.devices import DeviceSettings
from massager.daemon.face import Order, Origin
from massager.daemon.paperwork import HistoryOffice
from massager.history.writer import History
from massager.recording import Recording
from massager.session.model import Hindrance, Permit, Terms
from massager.snapshot import Snapshot
from massager.transports.url import SimUrl
from tests.history_examples import NEW, place_in
from tests.world import choice

ENDED = Snapshot("ended", 2_000, reason="requested", motor_on_ms=2_000, output_confirmed=True)
pytestmark = pytest.mark.asyncio(loop_factories=["real"])


async def until(holds: Callable[[], bool]) -> None:
    """Look every 10 ms, for 10 s."""
    for _ in range(1_000):
        if holds():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not come")


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


async def test_an_end_that_the_disk_does_not_take_in_time_is_told_by_the_log(
    history: History, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    office = HistoryOffice(history, Admission(tmp_path / "config.toml"))
    papers = office.papers(DeviceSettings("bed", SimUrl()), Order(choice(), Origin.TERMINAL))
    assert isinstance(await papers.admit(), Terms)
    disk = threading.Event()
    hanging = asyncio.ensure_future(history.ask(lambda _: disk.wait(10)))
    ending = asyncio.ensure_future(papers.end(ENDED))
    await until(lambda: "not in the history yet" in caplog.text)
    assert not ending.done()
    disk.set()
    await asyncio.gather(hanging, ending)


async def test_a_look_that_comes_after_the_end_does_not_open_the_row_again(
    history: History,
) -> None:
    recording = Recording(history, NEW)
    await recording.begin()
    number = recording.session_id
    recording.see(Snapshot("massage", 1_000, motor_on_ms=1_000))
    await recording.end(ENDED)
    recording.see(Snapshot("massage", 3_000, motor_on_ms=3_000))
    row = await history.ask(lambda store: store.session(number or 0))
    assert row is not None
    assert (row.ended is None, row.motor_on_ms) == (False, 2_000)
