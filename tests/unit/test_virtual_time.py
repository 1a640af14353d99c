"""The virtual clock: it jumps, it waits for what is in flight, and a hang is an error."""

import asyncio
import os
import time

import pytest

from simulator.virtual_time import LoopStalled, VirtualLoop


def virtual_loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


async def test_ten_minutes_pass_in_no_time() -> None:
    began = time.monotonic()
    for _ in range(600):
        await asyncio.sleep(1)
    assert asyncio.get_running_loop().time() == 600
    assert time.monotonic() - began < 2


async def test_deadlines_on_a_grid_of_milliseconds_are_met_exactly() -> None:
    loop = asyncio.get_running_loop()
    seen: list[float] = []
    for at_ms in range(1, 3000):
        loop.call_at(at_ms / 1000, lambda: seen.append(loop.time()))
    await asyncio.sleep(4)
    assert seen == [at_ms / 1000 for at_ms in range(1, 3000)]


async def test_a_timeout_comes_when_nothing_else_does() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() == 30


def test_waiting_for_what_cannot_come_is_an_error_and_not_a_hang() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    with (
        pytest.raises(LoopStalled, match="no timer"),
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        runner.run(forever())


async def test_the_clock_stands_still_while_bytes_are_in_flight() -> None:
    loop = virtual_loop()
    read_fd, write_fd = os.pipe()
    arrived: list[tuple[float, bytes]] = []

    def read() -> None:
        data = os.read(read_fd, 100)
        loop.count(-len(data))
        arrived.append((loop.time(), data))

    loop.add_reader(read_fd, read)
    loop.count(5)

    # Another thread delivers late, in real time; a virtual second must not pass before.
    def deliver() -> None:
        time.sleep(0.05)
        os.write(write_fd, b"bytes")

    slow = loop.run_in_executor(None, deliver)
    await asyncio.sleep(1)
    await slow
    loop.remove_reader(read_fd)
    os.close(read_fd)
    os.close(write_fd)
    assert arrived == [(0.0, b"bytes")]
    assert loop.time() == 1


async def test_work_in_a_thread_takes_no_virtual_time() -> None:
    await asyncio.to_thread(time.sleep, 0.02)
    assert asyncio.get_running_loop().time() == 0


def test_what_was_sent_and_never_arrives_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.virtual_time.REAL_WAIT_S", 0.05)

    async def lose_something() -> None:
        virtual_loop().count(3)
        await asyncio.sleep(1)

    with (
        pytest.raises(LoopStalled, match="3 in flight"),
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        runner.run(lose_something())


async def test_something_else_that_lives_in_this_time_is_asked_how_far_it_goes() -> None:
    loop = virtual_loop()
    asked: list[int] = []
    heard: list[float] = []

    def passing(until_ns: int) -> int:
        """Says something every 300 ms."""
        asked.append(until_ns)
        next_ns = loop.now_ns // 300_000_000 * 300_000_000 + 300_000_000
        if next_ns > until_ns:
            return until_ns
        loop.call_soon(lambda: heard.append(loop.time()))
        return next_ns

    loop.passing = passing
    await asyncio.sleep(1)
    assert loop.time() == 1
    assert heard == [0.3, 0.6, 0.9]
    assert asked == [1_000_000_000] * 4
