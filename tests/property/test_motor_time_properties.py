"""The motor-on time that a session counts, beside what the device's own trace has of it.

Never too little, whatever is lost, late or stands still (`World.check` asks after every step); too
much only by what nobody could have heard of.
"""

import os
from dataclasses import replace
from random import Random

import pytest

from firmware_protocol.link import Answered
from firmware_protocol.messages import EmergencyStop, SetLevel
from massager.programs import program_names
from massager.session.model import (
    Ended,
    HardStop,
    Pause,
    Paused,
    PauseReason,
    Resume,
    SoftStop,
    Tick,
)
from massager.session.session import step
from simulator.device import DeviceConfig
from tests.campaigns.random_sessions import FAULTS, REQUESTS, WAITS_S
from tests.session_examples import NOW, STATUS, STATUS_OFF, course
from tests.world import World

SOAK = int(os.environ.get("SOAK", "1"))
SEEDS = range(1, 1 + 40 * SOAK)
TICK_MS = 250  # a session looks at its motor so often
LOST_MS = 3_500  # at real speed: the lease, its fall, and a second for what is late


def _life(world: World, rng: Random, *, faulty: bool) -> tuple[int, int]:
    """One session to its end. How many wishes and faults it had."""
    warmup_ms, program = rng.choice((60_000, 120_000)), rng.choice(program_names())
    world.start(rng.randint(1, 10), warmup_ms=warmup_ms, program=program)
    world.run(rng.choice((0.05, 1, 5, 60, 130)))
    wishes = faults = 0
    for _ in range(rng.randint(0, 12)):
        if faulty and rng.random() < 0.3:
            rng.choice(FAULTS)(world, rng)
            faults += 1
        elif faulty and rng.random() < 0.3:
            world.device(fault="none")
            world.device(feet=True)
        else:
            rng.choice(REQUESTS)(world, rng)
            wishes += 1
        world.run(rng.choice(WAITS_S) / rng.choice((1, world.config.speed)))
        assert world.check() == []
    world.request(rng.choice((SoftStop(), HardStop())))
    world.run(20)  # longer than anything waits for a device
    assert isinstance(world.state, Ended)
    assert world.check() == []
    return wishes + 1, faults


def _over_ms(world: World) -> int:
    return world.seen.motor_on_ms - world.ran_ms


@pytest.mark.parametrize("seed", SEEDS)
def test_where_nothing_is_lost_it_counts_a_tick_too_much_for_each_wish_at_most(seed: int) -> None:
    rng = Random(seed)
    with World(seed=seed, datagrams=rng.random() < 0.3) as world:
        wishes, _ = _life(world, rng, faulty=False)
        assert world.seen.output_confirmed
        assert 0 <= _over_ms(world) <= TICK_MS * (wishes + 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_lost_it_counts_no_more_than_a_lost_device_may_turn(seed: int) -> None:
    rng = Random(seed)
    with World(seed=seed, datagrams=rng.random() < 0.3) as world:
        wishes, faults = _life(world, rng, faulty=True)
        assert _over_ms(world) <= LOST_MS * (faults + 1) + TICK_MS * (wishes + 1)


@pytest.mark.parametrize("speed", [2, 20])
@pytest.mark.parametrize("seed", range(1, 1 + 10 * SOAK))
def test_it_counts_not_too_little_at_any_speed(seed: int, speed: int) -> None:
    config = DeviceConfig(speed=speed)
    with World(seed=seed, config=config, sitting_ms=None) as world:
        _life(world, Random(seed), faulty=True)


@pytest.mark.parametrize("hour", [False, True])
def test_a_computer_that_stands_still_counts_what_the_lease_allows_and_not_the_hour(
    hour: bool,
) -> None:
    with World() as world:
        world.start_and_run(20)
        world.freeze(3_600 if hour else 5)
        world.run_until_ended(10)
        assert world.check() == []
        assert 0 <= _over_ms(world) <= LOST_MS


def test_a_lost_line_counts_what_the_lease_allows_and_not_the_wait_for_it() -> None:
    with World() as world:
        world.start_and_run(20)
        world.device(fault="drop", direction="both", rate=1.0)
        world.run_until_ended(20)
        assert world.check() == []
        assert 0 <= _over_ms(world) <= LOST_MS


def test_what_turns_until_a_person_resumes_over_a_new_line_counts() -> None:
    """The lease ran out and the motor falls: a resume at once must not hide the fall."""
    with World() as world:
        world.start_and_run(60, intensity=10)
        world.device(fault="drop", direction="down", rate=1.0)
        world.run(1.51)
        world.device(fault="none")
        while world.request(Resume()) is not None or world.output == 0:
            world.run(0.01)
        world.run(10)
        world.request(SoftStop())
        world.run_until_ended(10)
        assert world.check() == []
        assert 0 <= _over_ms(world) <= LOST_MS


def test_an_emergency_stop_from_elsewhere_between_two_ticks_costs_no_part_of_a_tick() -> None:
    for after_s in (0.02, 0.13, 0.24):
        with World() as world:
            world.start_and_run(20)
            world.run(after_s)
            world.foreign(EmergencyStop())
            world.run_until_ended(10)
            assert world.check() == []
            assert 0 <= _over_ms(world) <= TICK_MS


def test_a_pause_at_rest_counts_nothing_however_long_a_stop_goes_unheard() -> None:
    with World() as world:
        world.start_and_run(20)
        world.request(Pause())
        world.run(10)
        counted_ms = world.seen.motor_on_ms
        world.device(fault="drop", direction="both", rate=1.0)
        world.request(SoftStop())
        ended = world.run_until_ended(20)
        assert not ended.output_confirmed
        assert world.seen.motor_on_ms == counted_ms


def test_an_answer_from_before_a_level_was_followed_does_not_say_that_the_motor_is_off() -> None:
    off = course(status=STATUS_OFF)
    for asked, counted_ms in ((True, 3_500), (False, 0)):
        heard = off.heard(STATUS_OFF, NOW, asked=asked)
        lost = heard.counted(NOW + 60_000, asked=False)
        assert lost.motor_on_ms - heard.motor_on_ms == counted_ms


def test_a_motor_that_is_heard_to_turn_has_turned_since_it_was_counted_last() -> None:
    on = replace(course(), counted_ms=NOW - 1_000, turns_until_ms=0)
    assert on.heard(STATUS, NOW).motor_on_ms - on.motor_on_ms == 1_000


def test_a_late_answer_to_a_level_counts_in_a_pause() -> None:
    """It was sent before the level was followed."""
    rest = Paused(course(status=STATUS_OFF), PauseReason.PERSON, NOW, 0)
    after, _ = step(rest, Answered(SetLevel(622, 1500), STATUS_OFF), NOW)
    assert isinstance(after, Paused)
    lost = after.course.counted(NOW + 60_000, asked=False)
    assert lost.motor_on_ms - rest.course.motor_on_ms == 3_500


@pytest.mark.parametrize(("fall_from", "counted_ms"), [(400, 3_600), (0, 100)])
def test_the_fall_of_a_pause_asks_for_levels_and_its_rest_does_not(
    fall_from: int, counted_ms: int
) -> None:
    before = replace(course(), turns_until_ms=NOW + 100)
    after, _ = step(Paused(before, PauseReason.PERSON, NOW, fall_from), Tick(), NOW + 100)
    assert isinstance(after, Paused)
    lost = after.course.counted(NOW + 60_000, asked=False)
    assert lost.motor_on_ms - before.motor_on_ms == counted_ms
