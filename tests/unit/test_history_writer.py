"""The history's thread: nothing that runs waits for it, and what cannot be written waits in it."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from massager.errors import HistoryUnusable
from massager.history import stamps
from massager.history.file import Place
from massager.history.records import UNKNOWN_END, End, Sample, Sign
from massager.history.store import Store
from massager.history.writer import History
from tests.history_examples import NEW, WHO, place_in

pytestmark = pytest.mark.asyncio(loop_factories=["real"])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Nothing is there yet."""
    return place_in(tmp_path)


@pytest.fixture
async def history(place: Place) -> AsyncIterator[History]:
    """Closed after the test."""
    history = History(place)
    yield history
    await history.close()


def sample(second: int) -> Sample:
    return Sample(second * 1_000, "massage", 500, 490, 6, "on", 31.0)


def end(motor_on_ms: int = 60_000) -> End:
    return End(stamps.now(), "completed", "", motor_on_ms, 500, True)


async def until(history: History, count: int, number: int) -> None:
    """Wait until so many samples are on the disk."""
    for _ in range(1_000):
        if len(await history.ask(lambda store: store.samples(number))) >= count:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"{count} samples were not written")


async def until_told(history: History) -> None:
    """Wait until there is a problem."""
    for _ in range(1_000):
        if history.problem is not None:
            return
        await asyncio.sleep(0.01)
    pytest.fail("nothing was told")


async def test_a_begun_session_is_on_the_disk_when_it_is_said_to_be(
    history: History, place: Place
) -> None:
    begun = await history.begin(NEW)
    with Store.read(place) as store:
        assert [row.id for row in store.sessions()] == [begun.id]


async def test_an_ended_session_is_on_the_disk_when_it_is_said_to_be(
    history: History, place: Place
) -> None:
    number = (await history.begin(NEW)).id
    history.identified(number, WHO)
    for second in range(100):
        history.sample(number, sample(second))
    await history.end(number, end())
    with Store.read(place) as store:
        [row] = store.sessions()
        assert row.stop_reason == "completed"
        assert len(store.samples(number)) == 100
    assert history.problem is None


async def test_what_cannot_be_written_for_a_while_is_written_later(
    history: History, place: Place
) -> None:
    number = (await history.begin(NEW)).id
    holder = sqlite3.connect(place.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    history.sample(number, sample(0))
    await until_told(history)
    assert "another program keeps it locked" in (history.problem or "")
    holder.execute("ROLLBACK")
    holder.close()
    history.sample(number, sample(1))
    await until(history, 2, number)
    assert history.problem is None


async def test_nothing_that_runs_waits_while_the_file_is_locked(
    history: History, place: Place
) -> None:
    number = (await history.begin(NEW)).id
    holder = sqlite3.connect(place.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    for second in range(1_000):
        history.sample(number, sample(second))
        history.sign(number, Sign(stamps.now(), second, 500))
    assert time.monotonic() - started < 10  # where each waited for the lock, minutes
    with pytest.raises(HistoryUnusable, match="disk hangs"):
        await history.end(number, end(), patience_s=0.05)
    holder.execute("ROLLBACK")
    holder.close()
    await until(history, 1_000, number)


async def test_whoever_closes_and_waits_no_longer_leaves_a_thread_that_ends_by_itself(
    place: Place,
) -> None:
    before = set(threading.enumerate())
    history = History(place)
    [thread] = set(threading.enumerate()) - before
    number = (await history.begin(NEW)).id
    holder = sqlite3.connect(place.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    history.sample(number, sample(0))
    await history.close(patience_s=0.01)
    assert thread.is_alive()
    holder.execute("ROLLBACK")
    holder.close()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


async def test_an_end_that_could_not_be_written_in_time_is_written_at_the_last(
    place: Place,
) -> None:
    history = History(place)
    number = (await history.begin(NEW)).id
    holder = sqlite3.connect(place.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(HistoryUnusable):
        await history.end(number, end(), patience_s=0.05)
    holder.execute("ROLLBACK")
    holder.close()
    await history.close()
    with Store.read(place) as store:
        assert store.sessions()[0].stop_reason == "completed"


async def test_a_start_without_a_row_is_refused_and_the_next_one_tries_anew(
    tmp_path: Path,
) -> None:
    (tmp_path / "data").write_text("in the way")
    history = History(place_in(tmp_path))
    with pytest.raises(HistoryUnusable, match="set MASSAGER_HISTORY"):
        await history.begin(NEW)
    assert "cannot be written" in (history.problem or "")
    (tmp_path / "data").unlink()
    assert (await history.begin(NEW)).id == 1
    assert history.problem is None
    await history.close()


async def test_a_start_that_nobody_waits_for_any_more_leaves_no_open_row(place: Place) -> None:
    history = History(place)
    await history.begin(NEW)
    holder = sqlite3.connect(place.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(history.begin(NEW))
    await asyncio.sleep(0.1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    holder.execute("ROLLBACK")
    holder.close()
    spent = await history.spent()
    assert [each.ended for each in spent] == [None]
    await history.close()
    with Store.read(place) as store:
        rows = store.sessions()
    assert [row.stop_reason for row in rows][:-1] in ([], ["refused"])


async def test_a_file_that_is_deleted_under_a_running_session_gets_the_session_again(
    history: History, place: Place
) -> None:
    number = (await history.begin(NEW)).id
    history.identified(number, WHO)
    history.sign(number, Sign(stamps.now(), 30_000, 500))
    await until_written(history)
    for path in place.path.parent.iterdir():
        path.unlink()

    history.sign(number, Sign(stamps.now(), 31_000, 500))
    await history.end(number, end(32_000))

    with Store.read(place) as store:
        [row] = store.sessions()
        spent = store.spent()
    assert (row.id, row.device, row.motor_on_ms) == (number, "foot-1", 32_000)
    assert row.stop_reason == "completed"
    assert [(each.assumed, each.motor_on_ms) for each in spent] == [
        (False, 32_000),
        (True, 780_000),
    ]
    assert "is gone" in history.notices[0]


async def test_a_file_that_is_damaged_under_a_running_session_is_moved_aside(
    history: History, place: Place
) -> None:
    number = (await history.begin(NEW)).id
    history.identified(number, WHO)
    await until_written(history)
    for path in place.path.parent.glob("history.db*"):
        if path.suffix != ".lock":
            path.write_bytes(b"\xa5" * path.stat().st_size)

    async with asyncio.timeout(10):
        second = 0
        while not list(place.path.parent.glob("*corrupt*")) or history.problem is not None:
            second += 1
            history.sign(number, Sign(stamps.now(), second, 500))
            await asyncio.sleep(0.05)
    await history.end(number, end(32_000))

    with Store.read(place) as store:
        [row] = store.sessions()
    assert (row.id, row.motor_on_ms) == (number, 32_000)
    assert "damaged" in history.notices[0]


async def test_two_sessions_write_the_same_file_at_once(place: Place) -> None:
    histories = [History(place) for _ in range(4)]
    numbers = [(await history.begin(NEW)).id for history in histories]
    assert numbers == [1, 2, 3, 4]
    for second in range(50):
        for history, number in zip(histories, numbers, strict=True):
            history.sample(number, sample(second))
            history.sign(number, Sign(stamps.now(), second * 1_000, 500))
        await asyncio.sleep(0.01)
    for history, number in zip(histories, numbers, strict=True):
        await history.end(number, end())
        await history.close()
        assert history.problem is None
    with Store.read(place) as store:
        assert [row.stop_reason for row in store.sessions()] == ["completed"] * 4
        assert [len(store.samples(number)) for number in numbers] == [50] * 4


async def test_a_row_whose_writer_let_go_without_an_end_is_closed_by_the_next(
    place: Place,
) -> None:
    first, second = History(place), History(place)
    assert await second.spent() == []  # it has long been open
    number = (await first.begin(NEW)).id
    await first.close()
    connection = sqlite3.connect(place.path)
    connection.execute("UPDATE sessions SET seen_boot_ms = seen_boot_ms - 10001")
    connection.commit()
    connection.close()
    assert (await second.begin(NEW)).spent[0].ended is not None
    await second.close()
    with Store.read(place) as store:
        row = store.session(number)
    assert row is not None
    assert row.stop_reason == UNKNOWN_END


async def until_written(history: History) -> None:
    """Whatever was handed over is on the disk."""
    await history.ask(lambda _: None)


async def test_a_start_that_was_given_up_takes_nothing_with_it_that_waits_beside_it(
    history: History, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk hung for longer than a start waits, while another device's session ended."""
    monkeypatch.setattr("massager.history.writer.BEGIN_PATIENCE_S", 0.1)
    number = (await history.begin(NEW)).id
    disk = threading.Event()
    hanging = asyncio.ensure_future(history.ask(lambda _: disk.wait(10)))
    await asyncio.sleep(0)
    with pytest.raises(HistoryUnusable, match="hangs"):
        await history.begin(NEW)
    ending = asyncio.ensure_future(history.end(number, end()))
    await asyncio.sleep(0.1)
    disk.set()
    await asyncio.gather(hanging, ending)
    with Store.read(place) as store:
        assert [row.stop_reason for row in store.sessions()] == ["completed"]
