"""One whole session over five lines, as a stream of bytes and as datagrams: the same course."""

from collections.abc import Callable
from typing import Any

import pytest

from massager.session.model import (
    Ended,
    Extend,
    Pause,
    Paused,
    Resume,
    Running,
    SetIntensity,
    SoftStop,
    StopReason,
)
from tests.world import World

LINES: dict[str, dict[str, Any] | None] = {
    "clean": None,
    "one byte at a time": {"fault": "one_byte"},
    "one frame in five lost": {"fault": "drop", "rate": 0.2},
    "slow": {"fault": "delay", "ms": 40, "jitter_ms": 30},
    "coalescing": {"fault": "coalesce", "ms": 16},
}
BEARERS = [
    pytest.param(name, datagrams, id=f"{name}, {'datagrams' if datagrams else 'stream'}")
    for name in LINES
    for datagrams in (False, True)
    if not (datagrams and name == "one byte at a time")
]


def wait_for(world: World, what: Callable[[], bool], seconds: float) -> None:
    """Until `what` holds, at most so long."""
    for _ in range(round(seconds * 100)):
        if what():
            return
        world.run(0.01)
    raise AssertionError(f"not within {seconds} s: {world.seen}")


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("name", "datagrams"), BEARERS)
def test_the_same_session_over_every_line(name: str, datagrams: bool, seed: int) -> None:
    with World(seed=seed, datagrams=datagrams) as world:
        if line := LINES[name]:
            world.device(**line)

        assert world.start(5, warmup_ms=60_000, massage_ms=300_000) is None
        wait_for(world, lambda: world.is_in(Running), 8)
        wait_for(world, lambda: world.output == 150, 1)
        world.run(62)
        wait_for(world, lambda: world.output == 528, 3)  # intensity 5
        assert world.seen.phase == "massage"

        assert world.request(SetIntensity(7)) is None
        world.run(14)
        wait_for(world, lambda: world.output == 717, 3)

        assert world.request(Pause()) is None
        wait_for(world, lambda: world.output == 0, 2.5)
        world.run(20)
        assert world.is_in(Paused)
        assert world.output == 0

        assert world.request(Resume()) is None
        wait_for(world, lambda: 150 <= world.output <= 160, 1)
        world.run(20)
        assert 150 + 20 * 10 <= world.output <= 150 + 22 * 15

        assert world.request(Extend(60_000)) is None
        assert world.seen.time_total_ms == 60_000 + 360_000 + 10_000
        world.run(60)
        assert world.seen.output_permille == 717

        assert world.request(SoftStop()) is None
        wait_for(world, lambda: world.is_in(Ended), 3)
        assert world.reason is StopReason.REQUESTED
        assert world.output == 0
        world.run(30)
        assert world.output == 0
        assert world.check() == []


@pytest.mark.parametrize(("name", "datagrams"), BEARERS)
def test_a_whole_pattern_over_every_line_trips_no_lease(name: str, datagrams: bool) -> None:
    with World(seed=11, datagrams=datagrams) as world:
        if line := LINES[name]:
            world.device(**line)
        world.start(9, program="kneading", warmup_ms=60_000, massage_ms=300_000)
        ended = world.run_until_ended()
        assert ended.reason is StopReason.COMPLETED
        assert not [row for row in world.rows if row.why == "lease_expired"]
        assert world.check() == []
