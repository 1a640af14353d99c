"""The real controller, unchanged, and the built firmware: the chip counts the loop's time."""

from collections.abc import Iterator

import pytest

from massager.session.model import (
    Ended,
    HardStop,
    Paused,
    PauseReason,
    SoftStop,
    StopReason,
)
from simulator.firmware.chip import Hang
from tests.firmware.chip_world import ChipWorld

pytestmark = pytest.mark.needs("cc", "avr", "simavr")


@pytest.fixture
def world() -> Iterator[ChipWorld]:
    with ChipWorld() as world:
        yield world
        assert world.check() == []
        assert world.board.chip.overruns == 0


def a_whole_session() -> tuple[str, str]:
    with ChipWorld() as world:
        assert world.start(intensity=6) is None
        ended = world.run_until_ended()
        assert world.check() == []
        assert (ended.reason, ended.output_confirmed) == (StopReason.COMPLETED, True)
        assert max(row.output for row in world.rows) > 600
        # 8 minutes and the warm-up, with the ways up and down
        assert 560_000 < world.judge.motor_on_ms < 600_000
        assert world.board.chip.overruns == 0
        return world.trace_hash(), repr(ended)


@pytest.mark.timeout(600)
def test_a_session_of_8_minutes_on_the_chip_is_the_same_each_time() -> None:
    assert a_whole_session() == a_whole_session()


def ended(world: ChipWorld) -> Ended:
    return world.run_until_ended(seconds=30)


def test_an_emergency_stop_within_a_session_is_output_0_within_5_ms(world: ChipWorld) -> None:
    world.start_and_run(20)
    asked_ms = world.now_ms
    world.request(HardStop())
    assert ended(world).reason == StopReason.EMERGENCY
    (row,) = [row for row in world.rows if row.why == "emergency_stop" and row.state == "latched"][
        :1
    ]
    # the frame's 12 bytes take 2.1 ms
    assert row.device_ms - asked_ms <= 5
    assert row.output == 0
    assert world.board.duty_permille == 0


def test_a_stop_falls_softly(world: ChipWorld) -> None:
    world.start_and_run(20)
    world.request(SoftStop())
    end = ended(world)
    assert (end.reason, end.output_confirmed) == (StopReason.REQUESTED, True)
    assert world.output == 0


def test_a_hang_within_a_session_ends_it_by_the_watchdog(world: ChipWorld) -> None:
    world.start_and_run(20)
    world.device(fault="hang", how=Hang.LOOP)
    assert ended(world).reason == StopReason.DEVICE_RESTARTED
    hang, reboot, boot = [row for row in world.rows if row.why in ("hang", "reboot", "boot")][1:]
    assert reboot.device_ms - hang.device_ms <= 500
    assert (hang.boot, boot.boot) == (1, 2)
    assert hang.output > 0
    world.run(5)
    assert world.output == 0


def test_a_pulled_cable_is_output_0_by_the_lease_and_nothing_restarts(world: ChipWorld) -> None:
    world.start_and_run(20)
    at_ms = world.now_ms
    world.cable.unplug()
    world.run(3)
    (expired,) = [row for row in world.rows if row.why == "lease_expired"]
    assert expired.device_ms - at_ms <= 1_500
    zero = next(row for row in world.rows if row.device_ms > at_ms and row.output == 0)
    assert zero.device_ms - expired.device_ms <= 1_000
    world.cable.replug()
    world.run(5)
    assert isinstance(world.state, Paused)
    assert world.output == 0


def test_lifted_feet_pause_the_session(world: ChipWorld) -> None:
    world.start_and_run(20)
    world.device(feet=False)
    world.run(8)
    assert world.reason == PauseReason.FEET
    assert world.output == 0
    assert any(row.why == "feet_lifted" for row in world.rows)


def test_the_button_on_the_device_stops_softly(world: ChipWorld) -> None:
    world.start_and_run(20)
    world.device(button=True)
    world.run(0.1)
    world.device(button=False)
    assert ended(world).reason == StopReason.REQUESTED
    assert world.output == 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("stall", StopReason.STALLED),
        ("overheat", StopReason.OVERHEATED),
        ("over_current", StopReason.FAULT),
        ("stuck_sensor", StopReason.FAULT),
    ],
)
def test_what_the_chip_measures_stops_the_motor(
    world: ChipWorld, fault: str, reason: StopReason
) -> None:
    world.start_and_run(20)
    at_ms = world.now_ms
    world.device(fault=fault)
    assert ended(world).reason == reason
    latched = next(row for row in world.rows if row.state == "latched")
    assert latched.output == 0
    assert latched.device_ms - at_ms <= 1_000
