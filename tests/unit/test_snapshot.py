"""What a person may see: what is known, when it was known, and nothing else."""

from dataclasses import replace

import pytest

from massager.plan import Progress
from massager.session.model import (
    Ended,
    Paused,
    PauseReason,
    Running,
    Stopping,
    StopReason,
    Terms,
)
from massager.snapshot import snapshot
from tests.session_examples import ARMING, NOW, OFF, STATES, STATUS, course, ending, running


def test_before_a_device_is_known_nothing_about_it_is_shown() -> None:
    for name, phase in (("idle", "idle"), ("arming, measured", "connecting")):
        shown = snapshot(STATES[name], NOW)
        assert shown.phase == phase
        assert shown.output_permille is None
        assert shown.setpoint_permille is None
        assert shown.device is None
    assert snapshot(ARMING, NOW).intensity == 6


def test_a_running_session_shows_setpoint_and_output_apart() -> None:
    lagging = replace(STATUS, output_permille=380, ceiling_permille=390)
    shown = snapshot(running(course(status=lagging)), NOW)
    assert shown.phase == "warm-up"
    assert shown.setpoint_permille == 400
    assert shown.output_permille == 380
    assert shown.ceiling_permille == 390
    assert shown.device == "sim-0001"
    assert shown.simulated is True
    assert shown.program == "classic"
    assert shown.intensity == 6
    assert shown.feet == "on"
    assert shown.temperature_c == 30.0
    assert shown.motor_on_ms == 50_000
    assert shown.highest_output_permille == 400


def test_the_time_left_runs_and_the_whole_time_stands() -> None:
    """40 s of warm-up, 480 s of massage and 10 s of soft end are left of 580 s."""
    shown = snapshot(running(), NOW)
    assert shown.time_left_ms == 530_000
    assert shown.time_total_ms == 580_000
    later = snapshot(running(), NOW + 30_000)
    assert later.time_left_ms == 500_000
    assert later.time_total_ms == 580_000


@pytest.mark.parametrize(
    ("after_ms", "phase"),
    [(0, "warm-up"), (40_000, "massage"), (520_000, "soft-end"), (530_000, "soft-end")],
)
def test_the_phases_of_a_session(after_ms: int, phase: str) -> None:
    assert snapshot(running(since_ms=after_ms), NOW).phase == phase


def test_the_soft_end_counts_down_to_0_and_not_below() -> None:
    assert snapshot(ending(), NOW + 4_000).time_left_ms == 6_000
    assert snapshot(ending(), NOW + 11_000).time_left_ms == 0


@pytest.mark.parametrize(("silent_ms", "known"), [(0, True), (2_999, True), (3_000, False)])
def test_an_output_that_was_not_heard_of_for_3_s_is_unknown(silent_ms: int, known: bool) -> None:
    for status, output in ((STATUS, 400), (replace(STATUS, output_permille=0), 0)):
        for state in (
            running(course(status=status)),
            Paused(course(status=status), PauseReason.LINK_LOST, NOW, 0, NOW),
            Stopping(course(status=status), StopReason.REQUESTED, "", NOW),
        ):
            shown = snapshot(state, NOW + silent_ms)
            assert shown.output_permille == (output if known else None)
            assert (shown.ceiling_permille is None) is not known
            assert (shown.temperature_c is None) is not known


def test_at_20_times_the_speed_the_3_s_are_60_s_of_the_clock() -> None:
    fast = running(course(terms=Terms(speed=20)))
    assert snapshot(fast, NOW + 59_999).output_permille == 400
    assert snapshot(fast, NOW + 60_000).output_permille is None


def test_off_is_shown_at_the_end_only_where_the_device_confirmed_it() -> None:
    confirmed = Ended(OFF, StopReason.COMPLETED, "", output_confirmed=True)
    assert snapshot(confirmed, NOW + 3_600_000).output_permille == 0
    assert snapshot(confirmed, NOW).output_confirmed is True
    unknown = Ended(OFF, StopReason.LINK_LOST, "out of reach", output_confirmed=False)
    assert snapshot(unknown, NOW).output_permille is None
    assert snapshot(unknown, NOW).output_confirmed is False
    assert snapshot(unknown, NOW).reason == "link lost"
    assert snapshot(unknown, NOW).detail == "out of reach"


def test_a_session_that_ended_before_a_device_was_known_shows_no_output() -> None:
    shown = snapshot(STATES["ended, before a device"], NOW)
    assert shown.phase == "ended"
    assert shown.output_permille is None
    assert shown.reason == "no handshake"


def test_a_pause_shows_why_and_when_it_gives_up() -> None:
    shown = snapshot(STATES["paused, at rest"], NOW)
    assert shown.phase == "paused"
    assert shown.reason == "paused"
    assert shown.gives_up_in_ms == 240_000
    assert shown.time_left_ms == 530_000
    assert snapshot(STATES["paused, at rest"], NOW + 100_000).time_left_ms == 530_000
    assert snapshot(STATES["paused, at rest"], NOW + 999_000).gives_up_in_ms == 0


def test_the_wait_for_feet_shows_when_it_gives_up() -> None:
    shown = snapshot(STATES["preflight"], NOW)
    assert shown.phase == "preflight"
    assert shown.gives_up_in_ms == 119_000
    assert shown.setpoint_permille == 0


def test_an_extension_is_part_of_the_whole_time() -> None:
    longer = running(course(progress=Progress(0, 300_000, 240_000)))
    assert isinstance(longer, Running)
    assert snapshot(longer, NOW).time_total_ms == 90_000 + 540_000 + 10_000


def test_a_temperature_that_is_not_measured_is_not_shown() -> None:
    status = replace(STATUS, temperature_dc=-32768)
    assert snapshot(running(course(status=status)), NOW).temperature_c is None


def test_a_stop_in_progress_shows_the_output_it_has_still() -> None:
    shown = snapshot(STATES["stopping"], NOW)
    assert shown.phase == "stopping"
    assert shown.reason == "requested"
    assert shown.setpoint_permille == 0
    assert shown.output_permille == 400
    assert shown.output_confirmed is None
