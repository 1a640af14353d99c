"""The controller in virtual time: one session, its device, and the motor's trace as the witness."""

import asyncio
import logging
from itertools import pairwise
from typing import Any

import pytest

from firmware_protocol.codec import decode, encode
from firmware_protocol.framing import DatagramFraming, StreamFraming
from firmware_protocol.messages import Command, Hello, SetLevel
from massager.controller import Controller
from massager.errors import ConnectionLost, NoDevice, PortMissing
from massager.programs import program_names
from massager.session.caps import Cap
from massager.session.model import (
    Arming,
    Ended,
    Extend,
    HardStop,
    Idle,
    Pause,
    Paused,
    PauseReason,
    Permit,
    Preflight,
    Request,
    Resume,
    Running,
    SetIntensity,
    SoftStop,
    Start,
    Stopping,
    StopReason,
    Terms,
)
from massager.transports.interface import Receiver
from simulator.device import DeviceConfig
from tests.session_examples import STATUS
from tests.world import World, choice


def accepted(world: World, why: str) -> list[int]:
    """When the device took a command, in ms."""
    return [row.device_ms for row in world.rows if row.why == why]


# --- whole sessions ------------------------------------------------------------------------------


@pytest.mark.parametrize("program", program_names())
def test_a_whole_session_of_each_program_is_as_planned_and_keeps_the_invariants(
    program: str,
) -> None:
    with World() as world:
        world.start(7, program=program, massage_ms=300_000, warmup_ms=60_000)
        ended = world.run_until_ended()
        assert world.check() == []
        assert ended.reason is StopReason.COMPLETED
        assert ended.output_confirmed
        assert world.output == 0
        assert ended.course is not None
        # 60 s of warm-up, 300 s of massage, 10 s of soft end, and the tick that sees its end
        assert 370_000 <= world.now_ms <= 370_250
        assert abs(ended.course.motor_on_ms - world.judge.motor_on_ms) <= 250
        assert max(row.output for row in world.rows) <= 717  # intensity 7
        if program not in ("recovery",):  # 70 % at most
            assert max(row.output for row in world.rows) >= 700


def test_the_phases_of_a_classic_session_come_to_the_millisecond() -> None:
    with World() as world:
        world.start(6)
        for at_s, phase, output in (
            (0.001, "warm-up", 150),
            (45, "warm-up", 386),
            (89.9, "warm-up", 620),
            (90.1, "massage", 622),
            (569.9, "massage", 622),
            (570.1, "soft-end", 617),
            (575, "soft-end", 386),
            (579.9, "soft-end", 154),
        ):
            world.run(at_s - world.loop.time())
            assert world.seen.phase == phase
            assert abs(world.output - output) <= 5, at_s
        ended = world.run_until_ended()
        assert ended.reason is StopReason.COMPLETED
        assert world.now_ms == 580_100  # the first tick after its end


def test_setpoints_go_out_every_250_ms_for_ten_minutes_without_drift() -> None:
    with World() as world:
        world.start(5, massage_ms=600_000)
        world.run_until_ended()
        times = accepted(world, "set_level")
        assert times[:2] == [0, 0]  # the setpoint of 0, then the gentlest
        assert times[2:2762] == list(range(100, 690_100, 250))


def test_setpoints_go_out_every_100_ms_while_a_pattern_moves() -> None:
    with World() as world:
        world.start(5, program="tapping", warmup_ms=60_000)
        world.run(200)
        during = [at_ms for at_ms in accepted(world, "set_level") if 100_000 <= at_ms < 200_000]
        assert during == list(range(100_000, 200_000, 100))


def test_the_same_seed_gives_the_same_trace() -> None:
    def run_one(seed: int) -> str:
        with World(seed=seed) as world:
            world.device(fault="drop", rate=0.2)
            world.start(6, program="kneading", massage_ms=300_000)
            world.run(30)
            world.request(Pause())
            world.run(5)
            world.request(Resume())
            world.run(100)
            assert world.check() == []
            return world.trace_hash()

    assert run_one(4) == run_one(4)
    assert run_one(4) != run_one(5)


def test_a_session_at_20_times_the_speed_runs_the_same_course() -> None:
    config = DeviceConfig(speed=20)
    with World(config=config) as world:
        world.start(6)
        ended = world.run_until_ended()
        assert ended.reason is StopReason.COMPLETED
        assert world.check() == []
        assert 580_000 <= world.now_ms <= 580_500
        assert world.loop.time() < 30


def test_a_cap_that_begins_is_kept_by_the_motor_to_the_moment_and_softly() -> None:
    """The permit is made 5 s after the controller, and the start comes 7 s later."""
    with World(terms=Terms(as_real=True)) as world:
        world.run(5)
        world.controller.permit(Permit(caps=(Cap(200_000, 3, "quiet hours"),)))
        world.run(7)
        world.start(6, warmup_ms=60_000)
        world.run_until_ended()
        assert world.check() == []
        lowered = [row for row in world.rows if row.device_ms >= 205_000]
        falls = [row for row in lowered if row.output < 622]
        assert {row.output for row in world.rows if 150_000 < row.device_ms < 205_000} == {622}
        assert 205_000 < falls[0].device_ms <= 205_500
        assert max(row.output for row in lowered if row.device_ms > 206_000) == 339


@pytest.mark.parametrize(("speed", "delay_ms"), [(1, 1_300), (5, 1_000), (20, 400)])
def test_a_line_that_answers_late_makes_no_emergency_of_a_cap_that_begins(
    speed: int, delay_ms: int
) -> None:
    """The delay, real ms each way, grew too slowly to lose the device."""
    begins_ms = 260_000
    permit = Permit(caps=(Cap(begins_ms // speed, 1, "quiet hours"),))
    terms = Terms(speed=speed, as_real=True, permit=permit)
    with World(terms=terms, datagrams=True, config=DeviceConfig(speed=speed)) as world:
        world.start_and_run(130 / speed, intensity=10)
        for ms in range(0, delay_ms + 1, 20):
            world.device(fault="delay", ms=ms, direction="both")
            world.run(0.1)
        assert (world.now_ms < begins_ms, world.output) == (True, 1000)
        world.run((begins_ms + 20_000 - world.now_ms) / 1000 / speed)
        assert (world.is_in(Running), world.output) == (True, 150)


def test_thirteen_minutes_of_motor_on_are_the_end_whatever_a_person_does() -> None:
    """Each pause costs motor-on time that no massage counts."""
    with World() as world:
        world.start(10, massage_ms=600_000, warmup_ms=120_000)
        for _ in range(60):
            if world.is_in(Ended):
                break
            world.run(20)
            world.request(Pause())
            world.run(3)
            world.request(Resume())
        ended = world.run_until_ended()
        assert ended.reason is StopReason.SITTING_LIMIT
        # what it cannot know for sure it counts as motor-on
        assert 760_000 <= world.judge.motor_on_ms <= 780_000
        assert world.check() == []


def test_pausing_again_and_again_in_the_soft_end_never_passes_13_minutes() -> None:
    with World() as world:
        world.start(1, massage_ms=600_000, warmup_ms=120_000)
        world.run(721)
        for _ in range(40):
            world.request(Pause())
            world.run(3)
            world.request(Resume())
            world.run(9)
        world.run_until_ended()
        assert world.judge.motor_on_ms <= 780_000
        assert world.check() == []


# --- a person ------------------------------------------------------------------------------------


def test_pause_resume_raise_extend_and_stop_are_seen_in_the_motor() -> None:
    with World() as world:
        world.start_and_run(100, intensity=6)
        assert world.output == 622
        assert world.request(Pause()) is None
        world.run(2)
        assert world.output == 0
        world.run(8)
        assert world.request(Resume()) is None
        world.run(0.002)
        assert world.output == 150
        world.run(30)
        assert 550 <= world.output <= 600
        assert world.request(SetIntensity(8)) is None
        world.run(30)
        assert world.output == 811
        assert world.request(SetIntensity(2)) is None
        world.run(2)
        assert world.output == 244
        assert world.request(Extend(120_000)) is None
        assert world.seen.time_total_ms == 90_000 + 600_000 + 10_000
        assert world.request(SoftStop()) is None
        ended = world.run_until_ended(3)
        assert ended.reason is StopReason.REQUESTED
        assert world.output == 0
        assert world.check() == []


@pytest.mark.parametrize("wish", [Pause(), Resume(), SetIntensity(3), Extend(60_000)])
def test_a_wish_outside_a_session_is_refused_with_words_and_nothing_moves(wish: Request) -> None:
    with World() as world:
        assert world.request(wish) == "no session is running"
        world.run(5)
        assert [row.why for row in world.rows] == ["boot"]


def test_an_emergency_stop_is_at_the_motor_in_the_same_instant() -> None:
    with World() as world:
        world.start_and_run(120, intensity=10)
        assert world.output > 900
        world.controller.request(HardStop())
        assert world.output == 0
        ended = world.run_until_ended(1)
        assert ended.reason is StopReason.EMERGENCY
        assert ended.output_confirmed
        assert world.rows[-1].state == "latched"
        assert world.check() == []


def test_on_a_slow_line_an_emergency_stop_takes_what_the_line_takes() -> None:
    with World() as world:
        world.device(fault="delay", ms=30)
        world.start_and_run(120, intensity=10)
        asked_ms = world.now_ms
        world.request(HardStop())
        world.run(1)
        assert accepted(world, "emergency_stop")[0] == asked_ms + 30


def test_a_stop_gets_through_a_line_that_loses_four_of_five_frames() -> None:
    for seed in range(10):
        with World(seed=seed) as world:
            world.start_and_run(60, intensity=10)
            world.device(fault="drop", rate=0.8)
            world.request(SoftStop())
            world.run(4)
            assert world.output == 0
            assert world.check() == []


@pytest.mark.parametrize("stop", [SoftStop(), HardStop()])
@pytest.mark.parametrize("seconds", [0, 0.01, 0.1, 5, 95, 575])
def test_a_stop_at_any_moment_ends_at_0(stop: SoftStop | HardStop, seconds: float) -> None:
    with World() as world:
        world.start(8)
        world.run(seconds)
        assert world.request(stop) is None
        ended = world.run_until_ended(5)
        assert ended.output_confirmed
        assert world.output == 0
        world.run(30)
        assert world.output == 0
        assert world.check() == []


@pytest.mark.parametrize("stop", [SoftStop(), HardStop()])
def test_a_stop_before_any_start_reaches_the_device(stop: SoftStop | HardStop) -> None:
    with World() as world:
        assert world.request(stop) is None
        ended = world.run_until_ended(1)
        assert ended.output_confirmed
        word = "stop" if isinstance(stop, SoftStop) else "emergency_stop"
        assert world.rows[-1].why == word


@pytest.mark.parametrize("delay_ms", [0, 5, 40])
@pytest.mark.parametrize("after_ms", [1, 20, 45, 90, 130, 170, 210, 260])
def test_a_stop_at_any_moment_of_the_handshake_leaves_the_motor_off(
    delay_ms: int, after_ms: int
) -> None:
    with World() as world:
        world.device(fault="delay", ms=delay_ms)
        world.start(10)
        world.run(after_ms / 1000)
        world.request(SoftStop())
        world.run_until_ended(5)
        world.run(5)
        assert world.output == 0
        assert world.check() == []


def test_two_hundred_stops_are_one_stop() -> None:
    with World() as world:
        world.start_and_run(50)
        for _ in range(200):
            assert world.request(SoftStop()) is None
            assert world.request(HardStop()) is None
        ended = world.run_until_ended(5)
        assert ended.reason is StopReason.EMERGENCY
        for _ in range(3):
            assert world.request(SoftStop()) is None
            assert world.request(HardStop()) is None
        assert world.is_in(Ended)


# --- feet ----------------------------------------------------------------------------------------


def test_without_feet_nothing_moves_for_two_minutes_and_then_it_is_over() -> None:
    with World() as world:
        world.device(feet=False)
        world.start()
        world.run(119)
        assert world.is_in(Preflight)
        assert world.output == 0
        ended = world.run_until_ended(5)
        assert ended.reason is StopReason.NO_FEET
        assert max(row.output for row in world.rows) == 0
        assert world.check() == []


@pytest.mark.parametrize("after_s", [1, 4.9, 5.1, 60])
def test_feet_on_begin_the_warm_up_at_the_gentlest_at_once(after_s: float) -> None:
    """Without a detour through a pause: the device refuses a level until it saw 0 with feet on."""
    with World() as world:
        world.device(feet=False)
        world.start()
        world.run(after_s)
        world.device(feet=True)
        states = set()
        for _ in range(300):
            world.run(0.001)
            states.add(type(world.state))
        assert states == {Preflight, Running}
        assert world.output == 150
        assert world.check() == []


def test_lifted_feet_pause_and_feet_back_within_a_minute_resume() -> None:
    with World() as world:
        world.start_and_run(60)
        before = world.seen.time_left_ms
        world.device(feet=False)
        world.run(5.01)
        assert world.is_in(Paused)
        assert world.reason is PauseReason.FEET
        world.run(2)
        assert world.output == 0
        world.run(50)
        world.device(feet=True)
        world.run(0.3)
        assert world.is_in(Running)
        assert world.output == 150
        after = world.seen.time_left_ms
        assert before is not None
        assert after is not None
        assert abs(before - 5_000 - after) <= 500
        assert world.check() == []


def test_feet_back_after_more_than_a_minute_wait_for_a_person() -> None:
    with World() as world:
        world.start_and_run(60)
        world.device(feet=False)
        world.run(70)
        world.device(feet=True)
        world.run(100)
        assert world.is_in(Paused)
        assert world.output == 0
        assert world.request(Resume()) is None
        world.run(0.03)
        assert world.output == 150
        assert world.check() == []


def test_feet_that_never_come_back_end_it_after_5_minutes() -> None:
    with World() as world:
        world.start_and_run(60)
        world.device(feet=False)
        ended = world.run_until_ended(400)
        assert ended.reason is StopReason.FEET_REMOVED
        assert 365_000 <= world.now_ms <= 366_000


def test_feet_lifted_in_a_pause_of_the_person_change_nothing() -> None:
    with World() as world:
        world.start_and_run(60)
        world.request(Pause())
        world.run(10)
        world.device(feet=False)
        world.run(20)
        assert world.request(Resume()) == "put your feet on first"
        world.device(feet=True)
        world.run(5)
        assert world.is_in(Paused)
        assert world.request(Resume()) is None
        world.run(1)
        assert world.output >= 150
        assert world.check() == []


# --- the line ------------------------------------------------------------------------------------


def test_a_cable_out_for_5_s_leaves_it_paused_until_a_person_resumes() -> None:
    with World() as world:
        world.start_and_run(60)
        world.device(fault="unplug", ms=5_000)
        world.run(0.01)
        assert world.is_in(Paused)
        assert world.reason is PauseReason.LINK_LOST
        world.run(8)
        assert world.is_in(Paused)
        assert not world.link_is_lost
        world.run(30)
        assert world.output == 0
        assert world.request(Resume()) is None
        world.run(1)
        assert world.is_in(Running)
        assert 150 <= world.output <= 165
        assert world.check() == []


def test_the_transport_is_opened_again_within_half_a_second_of_the_cable() -> None:
    with World() as world:
        world.start_and_run(60)
        world.device(fault="unplug", ms=5_000)
        world.run(5.5)
        assert world.is_in(Paused)
        assert not world.link_is_lost
        assert world.seen.output_permille == 0


def test_a_cable_out_for_11_s_ends_it() -> None:
    with World() as world:
        world.start_and_run(60)
        world.device(fault="unplug", ms=11_000)
        ended = world.run_until_ended(11)
        assert ended.reason is StopReason.LINK_LOST
        assert not ended.output_confirmed
        world.run(30)
        assert world.output == 0
        assert world.check() == []


def test_a_cable_out_in_the_handshake_ends_it() -> None:
    with World() as world:
        world.device(fault="delay", ms=50)
        world.start()
        world.run(0.06)
        world.device(fault="unplug", ms=1_000)
        ended = world.run_until_ended(5)
        assert ended.reason is StopReason.NO_HANDSHAKE


def test_a_stop_while_the_cable_is_out_is_delivered_when_it_is_back() -> None:
    for stop, word in ((SoftStop(), "stop"), (HardStop(), "emergency_stop")):
        with World() as world:
            world.start_and_run(60)
            world.device(fault="unplug", ms=1_000)
            world.run(0.1)
            world.request(stop)
            ended = world.run_until_ended(3)
            assert ended.output_confirmed
            assert accepted(world, word)
            assert world.check() == []


def test_a_setpoint_that_waited_for_its_answer_does_not_outlive_the_link() -> None:
    with World() as world:
        world.start_and_run(60)
        world.device(fault="drop", rate=1)
        sent = len(world.transport.written)
        while len(world.transport.written) == sent and sent < 100:
            world.run(0.001)
        world.run(0.26)
        world.device(fault="unplug", ms=20)
        world.run(0.001)
        world.device(fault="none")
        lost_ms = world.now_ms
        world.run(2)
        assert world.is_in(Paused)
        assert not world.link_is_lost
        assert [at_ms for at_ms in accepted(world, "set_level") if at_ms >= lost_ms] == []
        assert world.check() == []


@pytest.mark.parametrize("stop", [SoftStop(), HardStop()])
def test_a_stop_after_the_link_was_lost_for_good_opens_it_again_and_is_confirmed(
    stop: SoftStop | HardStop,
) -> None:
    with World() as world:
        world.start_and_run(60)
        world.device(fault="unplug", ms=20_000)
        assert not world.run_until_ended(12).output_confirmed
        world.run(5)
        assert world.request(stop) is None
        assert world.is_in(Stopping)
        ended = world.run_until_ended(8)
        assert not ended.output_confirmed  # 5 s later the cable is still out
        world.run(5)
        assert world.request(stop) is None
        ended = world.run_until_ended(3)
        assert ended.output_confirmed
        assert world.check() == []


def test_a_silent_line_is_noticed_after_the_lease_and_the_output_is_unknown_after_3_s() -> None:
    with World() as world:
        world.start_and_run(60)
        silent_ms = world.now_ms
        world.device(fault="drop", rate=1)
        shown: list[tuple[int, int | None]] = []
        while world.is_in(Running, Paused):
            world.run(0.05)
            shown.append((world.now_ms - silent_ms, world.seen.output_permille))
        assert all(output is None for at_ms, output in shown if at_ms > 3_000)
        assert 0 not in [output for _, output in shown]
        assert world.is_in(Ended)
        assert world.reason is StopReason.LINK_LOST
        assert world.seen.output_permille is None
        assert world.output == 0
        assert world.check() == []


def test_a_line_that_is_silent_one_way_for_a_moment_is_resumed_and_nobody_took_over() -> None:
    with World() as world:
        world.start_and_run(60)
        world.device(fault="drop", rate=1, direction="up")
        world.run(2)
        assert world.is_in(Paused)
        world.device(fault="none")
        while world.link_is_lost:
            world.run(0.01)
        assert world.request(Resume()) is None
        world.run(5)
        assert world.is_in(Running)
        assert world.check() == []


def test_a_device_that_restarts_ends_it_within_half_a_second_of_its_return() -> None:
    for fault, back_ms in (("reboot", 300), ("silent_reboot", 0), ("hang", 250)):
        with World() as world:
            world.start_and_run(60)
            at_ms = world.now_ms
            world.device(fault=fault)
            ended = world.run_until_ended(5)
            assert ended.reason is StopReason.DEVICE_RESTARTED
            assert ended.output_confirmed
            assert world.now_ms <= at_ms + back_ms + 500
            world.run(60)
            assert world.output == 0
            assert world.check() == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("stall", StopReason.STALLED),
        ("overheat", StopReason.OVERHEATED),
        ("over_current", StopReason.FAULT),
        ("stuck_sensor", StopReason.FAULT),
    ],
)
def test_a_fault_of_the_device_ends_it_with_its_name(fault: str, reason: StopReason) -> None:
    with World() as world:
        world.start_and_run(60)
        world.device(fault=fault)
        ended = world.run_until_ended(3)
        assert ended.reason is reason
        assert ended.output_confirmed
        assert world.check() == []


def test_a_motor_that_is_stuck_on_is_told_to_the_person() -> None:
    with World() as world:
        world.start_and_run(60)
        world.device(fault="stuck_on")
        world.request(Pause())
        ended = world.run_until_ended(5)
        assert ended.reason is StopReason.FAULT
        assert "pull the plug" in ended.detail
        assert not ended.output_confirmed


@pytest.mark.parametrize("stop", [SoftStop(), HardStop()])
def test_a_motor_that_does_not_obey_the_stop_is_never_said_to_be_off(
    stop: SoftStop | HardStop,
) -> None:
    with World() as world:
        world.start_and_run(60)
        world.device(fault="stuck_on")
        world.request(stop)
        ended = world.run_until_ended(3)
        off_ms = next(row.device_ms for row in reversed(world.rows) if row.why in ("gate", "tick"))
        assert (ended.reason, ended.output_confirmed) == (StopReason.FAULT, False)
        assert ended.detail == "the motor moves though it is switched off: pull the plug"
        assert world.now_ms - off_ms < 1_200
        assert world.check() == []


def test_a_motor_that_obeys_is_said_to_be_off_within_a_fifth_of_a_second() -> None:
    for run_ms in range(60_000, 60_200, 17):
        with World() as world:
            world.start_and_run(run_ms / 1000)
            world.request(SoftStop())
            assert world.run_until_ended(3).output_confirmed
            (off_ms,) = [row.device_ms for row in world.rows[-20:] if row.why == "gate"][-1:]
            assert world.output == 0
            assert world.now_ms - off_ms <= 200


# --- other hosts ---------------------------------------------------------------------------------


def test_another_host_that_opens_a_session_ends_this_one_and_keeps_the_device() -> None:
    with World() as world:
        world.start_and_run(60)
        world.foreign(Hello(0, 1, 1, 4711))
        ended = world.run_until_ended(1)
        assert ended.reason is StopReason.TAKEN_OVER
        taken_ms = world.now_ms
        world.run(60)
        assert [at_ms for at_ms in accepted(world, "hello") if at_ms > taken_ms] == []
        assert world.check() == []


def test_a_device_that_another_controller_drives_is_refused_and_goes_on_undisturbed() -> None:
    with World() as world:
        world.start_and_run(60, intensity=5)
        first = world.controller
        world.controller = world.await_(world._new_controller())
        world.transport._receiver = first  # both hear the line; the first one drives

        class Both:
            def data_received(self, data: bytes) -> None:
                first.data_received(data)
                world.controller.data_received(data)

            def connection_lost(self, error: NoDevice) -> None:
                raise AssertionError(error)

        world.transport._receiver = Both()
        world.start(10)
        ended = world.run_until_ended(20)
        assert ended.reason is StopReason.REFUSED
        assert "another controller drives" in ended.detail
        assert isinstance(first.state, Running)
        world.await_(first.close())
        world.run(5)
        assert world.check() == []


def test_a_device_whose_controller_died_is_taken_once_its_lease_is_over() -> None:
    with World(sitting_ms=None) as world:
        world.start_and_run(60)
        world.renew()  # the first one vanishes without a stop
        assert world.output > 400
        world.start(3)
        world.run(8)
        assert world.is_in(Running)
        assert len(accepted(world, "lease_expired")) == 1
        assert world.check() == []


def test_a_latched_device_refuses_a_start_with_words() -> None:
    with World() as world:
        world.start_and_run(10)
        world.request(HardStop())
        world.run_until_ended(1)
        world.renew()
        world.start()
        ended = world.run_until_ended(1)
        assert ended.reason is StopReason.REFUSED
        assert "latched" in ended.detail
        assert world.output == 0


# --- devices that are not the right one ----------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "config", "words"),
    [
        (Terms(device_id="sim-0002"), DeviceConfig(), "sim-0001"),
        (Terms(speed=2), DeviceConfig(), "speed 1"),
        (Terms(), DeviceConfig(gentlest_permille=500, max_permille=500), "levels"),
    ],
)
def test_a_device_that_does_not_fit_is_never_opened(
    terms: Terms, config: DeviceConfig, words: str
) -> None:
    with World(terms=terms, config=config) as world:
        world.start()
        ended = world.run_until_ended(60)
        assert ended.reason is StopReason.WRONG_DEVICE
        assert words in ended.detail
        assert max(row.output for row in world.rows) == 0


def test_a_device_that_does_not_answer_is_given_up_after_3_s() -> None:
    with World() as world:
        world.device(fault="drop", rate=1)
        world.start()
        ended = world.run_until_ended(10)
        assert ended.reason is StopReason.NO_HANDSHAKE
        assert world.now_ms == 3_000


def test_a_device_that_resets_when_the_port_opens_is_started_all_the_same() -> None:
    with World() as world:
        world.device(fault="reboot")
        world.start()
        world.run(2)
        assert world.is_in(Running)


@pytest.mark.parametrize("levels", [(150, 1000), (30, 1000), (300, 700), (149, 150)])
def test_the_device_s_own_levels_hold(levels: tuple[int, int]) -> None:
    gentlest, highest = levels
    config = DeviceConfig(gentlest_permille=gentlest, max_permille=highest)
    with World(config=config) as world:
        world.start(10, warmup_ms=60_000, massage_ms=300_000)
        world.run(120)
        assert world.output == highest
        assert world.check() == []


# --- the host itself -----------------------------------------------------------------------------


def test_a_host_that_stands_still_for_more_than_half_a_second_stops_the_session() -> None:
    with World() as world:
        world.start_and_run(60)
        world.freeze(0.8)
        assert world.is_in(Stopping, Ended)
        assert world.reason is StopReason.HOST_STALLED
        ended = world.run_until_ended(3)
        assert "stood still for 0." in ended.detail
        assert world.check() == []


def test_a_short_delay_of_the_loop_changes_neither_the_session_nor_its_grid() -> None:
    with World() as world:
        world.start_and_run(60)
        grid = {at_ms % 250 for at_ms in accepted(world, "set_level")[10:]}
        assert len(grid) == 1
        world.freeze(0.4)
        frozen_ms = world.now_ms
        world.run(10)
        assert world.is_in(Running)
        times = [at_ms for at_ms in accepted(world, "set_level") if at_ms >= frozen_ms]
        assert times[0] == frozen_ms  # the one that was late; those that were missed are gone
        assert {at_ms % 250 for at_ms in times[1:]} == grid
        assert all(250 >= after - before > 0 for before, after in pairwise(times))


@pytest.mark.parametrize("seconds", [2, 20, 3_600])
def test_after_a_long_standstill_no_setpoint_follows(seconds: float) -> None:
    with World() as world:
        world.start_and_run(60)
        before = len(accepted(world, "set_level"))
        world.freeze(seconds)
        world.run_until_ended(10)
        world.run(60)
        assert len(accepted(world, "set_level")) == before
        assert world.output == 0
        assert world.check() == []


def test_what_arrived_while_the_host_stood_still_moves_nothing_and_is_not_shown() -> None:
    """Feet came back, and the device says so; but that was half a minute ago."""
    with World() as world:
        world.device(fault="delay", ms=20)
        world.start_and_run(60)
        world.device(feet=False)
        world.run(10)
        world.device(feet=True)
        before = len(accepted(world, "set_level"))
        world.freeze(30)
        assert world.reason is StopReason.HOST_STALLED
        assert world.check() == []
        world.run_until_ended(5)
        world.run(10)
        assert len(accepted(world, "set_level")) - before <= 1  # on its way before
        assert world.output == 0
        assert world.check() == []


def test_an_answer_that_lay_unread_for_half_a_minute_is_not_shown_as_the_present() -> None:
    with World() as world:
        world.device(fault="delay", ms=20)
        world.start_and_run(60)
        world.request(SoftStop())
        world.freeze(30)
        world.device(fault="drop", rate=1)
        world.run(0.5)
        assert world.seen.output_permille is None
        assert world.check() == []


@pytest.mark.parametrize("wish", [Resume(), SetIntensity(9), Extend(60_000)])
def test_a_wish_right_after_a_standstill_moves_nothing(wish: Request) -> None:
    with World() as world:
        world.start_and_run(60)

        async def stand_still_then_wish() -> str | None:
            world.loop.now_ns += 20_000_000_000
            return world.controller.request(wish)

        assert world.await_(stand_still_then_wish()) == "no session is running"
        world.run_until_ended(5)
        assert world.reason is StopReason.HOST_STALLED
        assert world.check() == []


def test_a_host_that_was_suspended_stops_before_anything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CLOCK_BOOTTIME went on while the monotonic clock stood."""
    away_s = 0.0
    monkeypatch.setattr("massager.clock._away_s", lambda: away_s)
    with World() as world:
        world.start_and_run(60)
        away_s = 0.4  # drift, not a suspend
        world.run(1)
        assert world.is_in(Running)
        before = len(accepted(world, "set_level"))
        away_s = 60.0
        world.run(0.3)
        assert world.is_in(Stopping, Ended)
        assert world.reason is StopReason.HOST_SUSPENDED
        ended = world.run_until_ended(3)
        assert ended.output_confirmed
        assert len(accepted(world, "set_level")) == before
        assert world.check() == []


@pytest.mark.parametrize("wish", [Resume(), SetIntensity(9)])
def test_a_wish_right_after_a_suspend_moves_nothing(
    monkeypatch: pytest.MonkeyPatch, wish: Request
) -> None:
    away_s = 0.0
    monkeypatch.setattr("massager.clock._away_s", lambda: away_s)
    with World() as world:
        world.start_and_run(60)
        world.request(Pause())
        world.run(5)
        away_s = 3_600.0
        assert world.request(wish) == "no session is running"
        ended = world.run_until_ended(3)
        assert ended.reason is StopReason.HOST_SUSPENDED
        assert world.output == 0


def test_a_start_that_was_asked_for_before_a_suspend_moves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The computer slept while the line was being opened."""
    away_s = 0.0
    monkeypatch.setattr("massager.clock._away_s", lambda: away_s)
    with World() as world:
        away_s = 3_600.0
        refusal = world.request(Start(choice()))
        assert refusal is not None
        assert "ask again" in refusal
        world.run(30)
        assert world.is_in(Idle)
        assert world.output == 0


def test_a_suspend_in_the_handshake_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    away_s = 0.0
    monkeypatch.setattr("massager.clock._away_s", lambda: away_s)
    with World() as world:
        assert world.request(Start(choice())) is None
        assert world.is_in(Arming)
        away_s = 3_600.0
        world.run(30)
        assert world.reason is StopReason.HOST_SUSPENDED
        assert max(row.output for row in world.rows) == 0


def test_an_internal_error_is_an_emergency_stop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Any:
        raise ZeroDivisionError

    with World() as world:
        world.start_and_run(100, intensity=10)
        monkeypatch.setattr("massager.session.session.running_tick", broken)
        with caplog.at_level(logging.ERROR):
            world.run(0.3)
        monkeypatch.undo()
        assert world.output == 0
        assert world.rows[-1].state == "latched"
        ended = world.run_until_ended(3)
        assert ended.reason is StopReason.FAULT
        assert "internal error" in ended.detail
        assert ended.output_confirmed
        assert ended.course is not None  # what moved is known, so no last word calls it harmless
        assert "emergency stop" in caplog.text
        assert world.judge.violations == []


def test_an_internal_error_while_the_cable_is_out_is_an_emergency_stop_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Any:
        raise ZeroDivisionError

    with World() as world:
        world.start_and_run(100, intensity=10)
        world.device(fault="unplug", ms=700)
        world.run(0.05)
        monkeypatch.setattr("massager.session.session.paused_tick", broken)
        with caplog.at_level(logging.CRITICAL):
            world.run(0.3)
        monkeypatch.undo()
        world.run(1)
        assert accepted(world, "emergency_stop")
        assert world.is_in(Ended)


# --- its own house -------------------------------------------------------------------------------


def timers_of(controller: Controller) -> list[asyncio.TimerHandle]:
    scheduled: list[asyncio.TimerHandle] = controller._loop._scheduled  # type: ignore[attr-defined]
    return [
        timer
        for timer in scheduled
        if not timer.cancelled()
        and getattr(getattr(timer, "_callback", None), "__self__", None) is controller
    ]


@pytest.mark.parametrize("seconds", [None, 0.0, 5])
@pytest.mark.parametrize("unplugged", [False, True])
def test_close_leaves_no_task_and_no_timer(seconds: float | None, unplugged: bool) -> None:
    world = World()
    if seconds is not None:
        world.start()
        world.run(seconds)
    if unplugged:
        world.device(fault="unplug", ms=60_000)
        world.run(0.1)
    before_s = world.loop.time()
    world.await_(world.controller.close())
    assert world.loop.time() == before_s
    assert timers_of(world.controller) == []
    world.run(30)
    assert timers_of(world.controller) == []
    assert world.output == 0
    assert world.check() == []
    world.close()


def test_close_may_be_called_twice() -> None:
    with World() as world:
        world.start_and_run(5)
        world.await_(world.controller.close())
        world.await_(world.controller.close())


class Chatty:
    """A transport on which something still arrives while it is being closed."""

    url = "chatty:"
    datagrams = False

    def __init__(self) -> None:
        self.receiver: Receiver | None = None
        self.tries = 0
        self.written: list[bytes] = []

    async def open(self, receiver: Receiver) -> None:
        self.tries += 1
        self.receiver = receiver

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        self.written.append(data)

    def unsent_bytes(self) -> int:
        return 0

    async def close(self) -> None:
        await asyncio.sleep(0.02)
        if self.receiver is not None:
            self.receiver.data_received(b"\0noise\0")

    def sent(self) -> list[Command]:
        framing = StreamFraming()
        return [decode(raw) for data in self.written for raw in framing.receive(data)]  # type: ignore[misc]


class AnswersLate(Chatty):
    """The answer to the stop comes while it is being closed."""

    async def close(self) -> None:
        await asyncio.sleep(0.005)
        assert self.receiver is not None
        falling = encode(STATUS, 1, 0)
        self.receiver.data_received(StreamFraming().encode(falling))


class ClosesSlowly(Chatty):
    """It takes 0.3 s to let go."""

    async def close(self) -> None:
        await asyncio.sleep(0.3)


async def test_nothing_is_written_any_more_while_it_closes() -> None:
    transport = ClosesSlowly()
    controller = Controller(transport)
    await controller.open()
    controller.start(Start(choice()))
    assert len(transport.written) == 1
    await controller.close()
    assert len(transport.written) == 1


async def test_what_arrives_while_it_closes_sets_no_timer() -> None:
    transport = AnswersLate()
    controller = Controller(transport)
    await controller.open()
    controller.request(SoftStop())
    await controller.close()
    assert isinstance(controller.state, Stopping)
    assert controller.state.acknowledged
    assert timers_of(controller) == []


def test_a_setpoint_of_a_session_that_the_device_has_just_voided_is_not_sent() -> None:
    """Two answers in one read: the first says that the feet are on, the second that it is over."""
    with World() as world:
        world.device(feet=False)
        world.start()
        world.run(1)
        assert world.is_in(Preflight)
        world.device(fault="coalesce", ms=1_000, direction="up")
        world.run(0.1)
        world.device(feet=True)
        world.run(0.5)
        world.device(fault="silent_reboot")
        world.run(0.3)
        assert world.is_in(Preflight)
        world.run(0.2)
        assert world.reason is StopReason.DEVICE_RESTARTED
        assert world.output == 0
        assert world.check() == []


def test_damaged_frames_are_counted() -> None:
    with World() as world:
        world.start_and_run(10)
        assert world.controller.bad_frames == 0
        world.device(fault="corrupt", rate=1, direction="up")
        world.run(1)
        assert world.controller.bad_frames >= 4


async def test_a_start_before_anything_was_opened_ends_by_itself() -> None:
    controller = Controller(Chatty(), nonce=lambda: 7)
    controller.start(Start(choice()))
    ended = await controller.ended()
    assert ended.reason is StopReason.NO_HANDSHAKE
    await controller.close()


async def test_a_stop_before_anything_was_opened_opens_nothing() -> None:
    transport = Chatty()
    controller = Controller(transport)
    controller.request(SoftStop())
    ended = await controller.ended()
    assert not ended.output_confirmed
    assert transport.tries == 0
    await controller.close()


async def test_over_datagrams_a_frame_goes_without_its_delimiters() -> None:
    transport = Chatty()
    transport.datagrams = True
    controller = Controller(transport, nonce=lambda: 7)
    controller.start(Start(choice()))
    assert transport.written == [DatagramFraming().encode(encode(Hello(1, 1, 1, 7), 1, 0))]
    await controller.close()


async def test_every_hello_has_a_nonce_of_its_own() -> None:
    transport = Chatty()
    nonces = iter((11, 22, 33))
    controller = Controller(transport, nonce=lambda: next(nonces))
    await controller.open()
    controller.start(Start(choice()))
    await controller.ended()
    assert set(transport.sent()) == {Hello(1, 1, 1, 11)}
    assert len(transport.sent()) == 12
    await controller.close()


async def test_by_default_nonces_are_random() -> None:
    seen = set()
    for _ in range(5):
        transport = Chatty()
        controller = Controller(transport)
        controller.start(Start(choice()))
        (hello,) = transport.sent()
        assert isinstance(hello, Hello)
        seen.add(hello.host_nonce)
        await controller.close()
    assert len(seen) == 5


class Shaky(Chatty):
    """It is lost when told so, and cannot be opened again for some tries."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    async def open(self, receiver: Receiver) -> None:
        await super().open(receiver)
        if 1 < self.tries <= 1 + self.failures:
            raise PortMissing("not there")

    async def close(self) -> None:
        self.receiver = None


async def test_a_lost_transport_is_tried_four_times_a_second_while_a_stop_is_unconfirmed() -> None:
    transport = Shaky(failures=6)
    controller = Controller(transport)
    await controller.open()
    controller.request(SoftStop())
    controller.connection_lost(ConnectionLost("gone"))
    await asyncio.sleep(1.1)
    assert transport.tries == 1 + 5
    await asyncio.sleep(0.6)
    assert transport.tries == 1 + 7
    await asyncio.sleep(1)
    assert transport.tries == 1 + 7
    await controller.close()


async def test_a_transport_that_was_found_again_is_not_opened_once_more() -> None:
    transport = Shaky(failures=0)
    controller = Controller(transport)
    await controller.open()
    controller.request(SoftStop())
    controller.connection_lost(ConnectionLost("gone"))
    await asyncio.sleep(0.5)
    assert transport.tries == 2
    controller.request(HardStop())
    await asyncio.sleep(0.5)
    assert transport.tries == 2
    await controller.close()


async def test_a_transport_that_nobody_needs_is_not_opened_again() -> None:
    transport = Shaky(failures=0)
    controller = Controller(transport)
    await controller.open()
    controller.connection_lost(ConnectionLost("gone"))
    await asyncio.sleep(5)
    assert transport.tries == 1
    assert isinstance(controller.state, Idle)
    await controller.close()


async def test_changes_are_told_and_ticks_that_change_nothing_are_not() -> None:
    controller = Controller(Chatty())
    changes = 0

    async def count() -> None:
        nonlocal changes
        while True:
            await controller.changed()
            changes += 1

    counting = asyncio.create_task(count())
    await asyncio.sleep(1)
    assert changes == 0
    controller.start(Start(choice()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert changes == 1
    assert isinstance(controller.state, Arming)
    counting.cancel()
    await controller.close()


def test_no_setpoint_is_ever_sent_after_a_stop() -> None:
    with World() as world:
        world.start_and_run(30)
        world.transport.written.clear()
        world.request(SoftStop())
        world.run(10)
        framing = StreamFraming()
        sent = [decode(raw) for data in world.transport.written for raw in framing.receive(data)]
        assert sent
        assert not [message for message in sent if isinstance(message, SetLevel)]
