"""The real controller, unchanged, and the C core as a library: whole sessions, and their ends."""

from collections.abc import Iterator

import pytest

from massager.session.model import HardStop, Paused, PauseReason, SoftStop, StopReason
from tests.firmware.core_world import CoreWorld

pytestmark = pytest.mark.needs("cc")


@pytest.fixture
def world() -> Iterator[CoreWorld]:
    with CoreWorld() as world:
        yield world
        assert world.check() == []


def a_whole_session() -> str:
    with CoreWorld() as world:
        assert world.start(intensity=6) is None
        ended = world.run_until_ended()
        assert world.check() == []
        assert (ended.reason, ended.output_confirmed) == (StopReason.COMPLETED, True)
        assert 560_000 < world.judge.motor_on_ms < 600_000
        return world.trace_hash()


def test_a_session_of_8_minutes_is_the_same_each_time() -> None:
    assert a_whole_session() == a_whole_session()


def test_an_emergency_stop_is_output_0_in_the_same_instant(world: CoreWorld) -> None:
    world.start_and_run(20)
    world.request(HardStop())
    assert world.output == 0
    assert world.run_until_ended(30).reason == StopReason.EMERGENCY
    assert any(row.state == "latched" for row in world.rows)


def test_a_stop_falls_softly(world: CoreWorld) -> None:
    world.start_and_run(20)
    world.request(SoftStop())
    assert world.output > 0
    assert world.run_until_ended(30).output_confirmed


def test_a_restart_ends_the_session(world: CoreWorld) -> None:
    world.start_and_run(20)
    world.device(fault="reboot")
    assert world.run_until_ended(30).reason == StopReason.DEVICE_RESTARTED
    world.run(5)
    assert world.output == 0


def test_a_pulled_cable_is_output_0_by_the_lease(world: CoreWorld) -> None:
    world.start_and_run(20)
    world.memory.unplug()
    world.run(3)
    assert world.output == 0
    world.memory.replug()
    world.run(5)
    assert isinstance(world.state, Paused)
    assert world.output == 0


def test_lifted_feet_pause_the_session(world: CoreWorld) -> None:
    world.start_and_run(20)
    world.device(feet=False)
    world.run(8)
    assert world.reason == PauseReason.FEET
    assert world.output == 0


@pytest.mark.parametrize(
    ("fault", "reason"), [("stall", StopReason.STALLED), ("overheat", StopReason.OVERHEATED)]
)
def test_what_the_core_is_told_of_the_motor_stops_it(
    world: CoreWorld, fault: str, reason: StopReason
) -> None:
    world.start_and_run(20)
    world.device(fault=fault)
    assert world.run_until_ended(30).reason == reason
