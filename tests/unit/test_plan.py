"""The plan of a session, against literals of the routine."""

from dataclasses import FrozenInstanceError, replace

import pytest

from massager import limits
from massager.errors import UsageError
from massager.plan import (
    Choice,
    Hold,
    Levels,
    Pattern,
    Phase,
    Progress,
    Ramp,
    SessionPlan,
    Setpoint,
    Shape,
    continue_session,
    end_now,
    extend_session,
    gentle_rate_permille_s,
    level_of,
    plan_session,
    progress_at,
    setpoint_at,
)
from massager.programs import Program, load_program

LEVELS = Levels(150, 1000)
CLASSIC = load_program("classic")
KNEADING = load_program("kneading")
BEDTIME = load_program("bedtime")
RECOVERY = load_program("recovery")


def choice(
    intensity: int = 10,
    massage_ms: int = 480_000,
    warmup_ms: int = 90_000,
    shape: Shape = Shape.LINEAR,
    program: Program = CLASSIC,
) -> Choice:
    return Choice(intensity, massage_ms, warmup_ms, shape, program)


def level(plan: SessionPlan, elapsed_ms: int) -> int:
    return setpoint_at(plan, elapsed_ms).level_permille


# --- the controller's limits ---------------------------------------------------------------------


def test_the_limits_are_the_routine_s() -> None:
    assert limits.SITTING_MAX_MS == 13 * 60_000
    assert (limits.MASSAGE_MIN_MS, limits.MASSAGE_MAX_MS) == (300_000, 600_000)
    assert limits.MASSAGE_DEFAULT_MS == 480_000
    assert (limits.WARMUP_MIN_MS, limits.WARMUP_MAX_MS) == (60_000, 120_000)
    assert limits.WARMUP_DEFAULT_MS == 90_000
    assert (limits.INTENSITY_MIN, limits.INTENSITY_MAX) == (1, 10)
    assert 1 <= limits.INTENSITY_DEFAULT <= 3
    assert limits.SOFT_END_MS == 10_000
    assert limits.PAUSE_FALL_MS == 2_000
    assert limits.PAUSE_LIMIT_MS == 300_000
    assert limits.FEET_BACK_MS == 60_000
    assert limits.PREFLIGHT_MS == 120_000
    assert limits.LINK_BACK_MS == 10_000
    assert limits.HOST_STALL_MS == 500
    assert (limits.STREAM_PERIOD_MS, limits.STREAM_PATTERN_PERIOD_MS) == (250, 100)
    assert limits.GENTLE_RATE_MAX_PERMILLE_S == 20
    assert limits.OUTPUT_UNKNOWN_MS == 3_000


def test_the_longest_plan_fits_into_one_sitting() -> None:
    plan = plan_session(choice(massage_ms=600_000, warmup_ms=120_000), LEVELS)
    assert plan.duration_ms == 730_000 <= limits.SITTING_MAX_MS


# --- what may be chosen --------------------------------------------------------------------------


@pytest.mark.parametrize("intensity", [0, 11, -1, 3.5, float("nan")])
def test_an_intensity_out_of_range_is_refused_with_the_range(intensity: int) -> None:
    with pytest.raises(UsageError, match="intensity is a whole number from 1 to 10, not"):
        choice(intensity=intensity)
    with pytest.raises(UsageError, match="1 to 10"):
        level_of(intensity, LEVELS)


@pytest.mark.parametrize("massage_ms", [299_999, 600_001, 0, -1])
def test_a_massage_out_of_range_is_refused_with_the_range(massage_ms: int) -> None:
    with pytest.raises(UsageError, match=r"massage is 300 to 600 s \(5 to 10 min\), not") as error:
        choice(massage_ms=massage_ms)
    assert str(error.value).endswith(f"not {massage_ms / 1000:g} s")


@pytest.mark.parametrize("warmup_ms", [59_999, 120_001, 0])
def test_a_warm_up_out_of_range_is_refused_with_the_range(warmup_ms: int) -> None:
    with pytest.raises(UsageError, match=r"warm-up is 60 to 120 s \(1 to 2 min\), not"):
        choice(warmup_ms=warmup_ms)


@pytest.mark.parametrize(("intensity", "massage_ms", "warmup_ms"), [
    (1, 300_000, 60_000), (10, 600_000, 120_000),
])  # fmt: skip
def test_the_ends_of_every_range_are_allowed(
    intensity: int, massage_ms: int, warmup_ms: int
) -> None:
    assert choice(intensity, massage_ms, warmup_ms).intensity == intensity


@pytest.mark.parametrize(("gentlest", "highest"), [(0, 1000), (500, 500), (600, 500), (1, 1001)])
def test_levels_no_device_can_have_are_refused(gentlest: int, highest: int) -> None:
    with pytest.raises(ValueError, match="1 <= gentlest < max <= 1000"):
        Levels(gentlest, highest)


def test_the_widest_and_the_narrowest_levels_are_allowed() -> None:
    assert Levels(1, 1000).span_permille == 999
    assert Levels(999, 1000).span_permille == 1


@pytest.mark.parametrize("progress", [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (0, 300_000, 300_001)])
def test_progress_that_cannot_be_is_refused(progress: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"progress|at most 600000 ms"):
        Progress(*progress)


def test_a_plan_cannot_be_changed() -> None:
    plan = plan_session(choice(), LEVELS)
    with pytest.raises(FrozenInstanceError):
        plan.duration_ms = 0  # type: ignore[misc]


# --- levels and rates ----------------------------------------------------------------------------


@pytest.mark.parametrize(("intensity", "expected"), [
    (1, 150), (2, 244), (3, 339), (4, 433), (5, 528), (6, 622), (7, 717), (8, 811), (9, 906),
    (10, 1000),
])  # fmt: skip
def test_the_ten_intensities_divide_the_range_evenly(intensity: int, expected: int) -> None:
    assert level_of(intensity, LEVELS) == expected


def test_the_gentle_rate_takes_a_minute_over_the_device_s_range() -> None:
    assert gentle_rate_permille_s(LEVELS) == pytest.approx(850 / 60)
    assert gentle_rate_permille_s(Levels(999, 1000)) == pytest.approx(1 / 60)


def test_the_gentle_rate_is_never_above_20_permille_a_second() -> None:
    assert gentle_rate_permille_s(Levels(1, 1000)) == pytest.approx(16.65)
    widest = continue_session(choice(), Levels(1, 1000), Progress(0, 300_000, 0), 0)
    assert widest.segments[0] == Ramp(Phase.MASSAGE, 60_000, 1, 1000)


# --- a whole session -----------------------------------------------------------------------------


def test_a_default_session_is_warm_up_massage_and_soft_end() -> None:
    plan = plan_session(choice(intensity=6), LEVELS)
    assert plan.segments == (
        Ramp(Phase.WARM_UP, 90_000, 150, 622),
        Hold(Phase.MASSAGE, 480_000, 622),
        Ramp(Phase.SOFT_END, 10_000, 622, 150),
    )
    assert plan.duration_ms == 580_000


def test_it_begins_at_the_gentlest() -> None:
    for shape in Shape:
        for program in (CLASSIC, KNEADING, RECOVERY):
            plan = plan_session(choice(shape=shape, program=program), LEVELS)
            assert setpoint_at(plan, 0) == Setpoint(150, 150, Phase.WARM_UP, False)


def test_a_linear_warm_up_rises_over_the_whole_of_it() -> None:
    plan = plan_session(choice(), LEVELS)
    assert [level(plan, at) for at in (0, 45_000, 89_999, 90_000)] == [150, 575, 999, 1000]


def test_a_held_warm_up_stays_at_the_gentlest_and_then_rises_at_the_gentle_rate() -> None:
    plan = plan_session(choice(shape=Shape.HOLD), LEVELS)
    assert plan.segments == (
        Hold(Phase.WARM_UP, 90_000, 150),
        Ramp(Phase.MASSAGE, 60_000, 150, 1000),
        Hold(Phase.MASSAGE, 420_000, 1000),
        Ramp(Phase.SOFT_END, 10_000, 1000, 150),
    )


def test_phases_change_exactly_at_their_boundaries() -> None:
    plan = plan_session(choice(), LEVELS)
    moments = (0, 89_999, 90_000, 569_999, 570_000, 579_999)
    assert [setpoint_at(plan, at).phase for at in moments] == [
        Phase.WARM_UP, Phase.WARM_UP, Phase.MASSAGE, Phase.MASSAGE, Phase.SOFT_END, Phase.SOFT_END,
    ]  # fmt: skip


def test_the_soft_end_falls_to_the_gentlest_in_10_s_and_then_off() -> None:
    plan = plan_session(choice(), LEVELS)
    assert [level(plan, at) for at in (570_000, 575_000, 579_999)] == [1000, 575, 150]
    assert setpoint_at(plan, 580_000) == Setpoint(0, 0, Phase.SOFT_END, False)


def test_time_outside_the_plan_is_cut_to_its_ends() -> None:
    plan = plan_session(choice(), LEVELS)
    falling = continue_session(choice(intensity=1), LEVELS, Progress(0, 400_000, 0), 1000)
    assert (
        setpoint_at(falling, -1)
        == setpoint_at(falling, 0)
        == Setpoint(1000, 1000, Phase.MASSAGE, False)
    )
    assert setpoint_at(plan, 10**9) == setpoint_at(plan, 580_000)
    assert progress_at(plan, -1) == Progress(90_000, 480_000, 0)
    assert progress_at(plan, 10**9) == Progress(0, 0, 480_000)


def test_intensity_1_stays_at_the_gentlest_from_begin_to_end() -> None:
    plan = plan_session(choice(intensity=1, program=KNEADING), LEVELS)
    assert {level(plan, at) for at in range(0, 580_000, 100)} == {150}


def test_every_program_has_the_same_warm_up_and_the_same_length_of_soft_end() -> None:
    for program in (KNEADING, BEDTIME, RECOVERY):
        plan = plan_session(choice(program=program), LEVELS)
        assert plan.segments[0] == Ramp(Phase.WARM_UP, 90_000, 150, 1000)
        assert plan.segments[-1].phase is Phase.SOFT_END
        assert plan.segments[-1].duration_ms == 10_000
        assert plan.duration_ms == 580_000


# --- patterns ------------------------------------------------------------------------------------


def test_a_pattern_swings_between_its_fractions_of_the_chosen_intensity() -> None:
    plan = plan_session(choice(program=KNEADING), LEVELS)
    assert plan.segments[1] == Pattern(480_000, 150, 1000, KNEADING, 0, 480_000, 0)
    assert [level(plan, 90_000 + at) for at in (0, 3_000, 6_000)] == [1000, 490, 1000]
    assert setpoint_at(plan, 93_000) == Setpoint(490, 1000, Phase.MASSAGE, True)


def test_the_soft_end_begins_where_the_pattern_left_off() -> None:
    plan = plan_session(choice(massage_ms=303_000, program=KNEADING), LEVELS)
    assert plan.segments[-1] == Ramp(Phase.SOFT_END, 10_000, 490, 150)


def test_a_pattern_with_a_lower_peak_is_reached_by_a_quick_fall() -> None:
    plan = plan_session(choice(program=RECOVERY), LEVELS)
    assert plan.segments[1] == Ramp(Phase.MASSAGE, 510, 1000, 745)
    assert setpoint_at(plan, 90_510) == Setpoint(745, 745, Phase.MASSAGE, True)


def test_after_a_held_warm_up_the_rise_ends_at_the_pattern_s_own_peak() -> None:
    plan = plan_session(choice(shape=Shape.HOLD, program=RECOVERY), LEVELS)
    assert plan.segments[1] == Ramp(Phase.MASSAGE, 42_000, 150, 745)


def test_bedtime_falls_straight_to_the_gentlest_in_the_last_third() -> None:
    plan = plan_session(choice(program=BEDTIME), LEVELS)
    assert [level(plan, 90_000 + at) for at in (0, 320_000, 400_000, 479_999)] == [
        1000, 1000, 575, 150,
    ]  # fmt: skip


def test_a_final_fall_is_no_pattern_to_be_withheld() -> None:
    plan = plan_session(choice(program=BEDTIME), LEVELS)
    assert setpoint_at(plan, 490_000) == Setpoint(575, 575, Phase.MASSAGE, False)


# --- going on ------------------------------------------------------------------------------------


def test_a_session_resumes_at_the_gentlest_and_rises_at_the_gentle_rate() -> None:
    plan = continue_session(choice(), LEVELS, Progress(0, 200_000, 280_000), 0)
    assert plan.segments == (
        Ramp(Phase.MASSAGE, 60_000, 150, 1000),
        Hold(Phase.MASSAGE, 140_000, 1000),
        Ramp(Phase.SOFT_END, 10_000, 1000, 150),
    )
    assert progress_at(plan, 50_000) == Progress(0, 150_000, 330_000)


@pytest.mark.parametrize("from_permille", [0, 1, 149, 150])
def test_to_go_on_from_nothing_is_to_go_on_from_the_gentlest(from_permille: int) -> None:
    plan = continue_session(choice(), LEVELS, Progress(0, 200_000, 0), from_permille)
    assert level(plan, 0) == 150


@pytest.mark.parametrize("from_permille", [-1, 1001])
def test_to_go_on_from_outside_the_device_s_range_is_a_mistake(from_permille: int) -> None:
    with pytest.raises(ValueError, match="0 … 1000 ‰"):
        continue_session(choice(), LEVELS, Progress(0, 200_000, 0), from_permille)


def test_a_resumed_warm_up_spreads_the_rise_over_what_is_left_of_it() -> None:
    plan = continue_session(choice(intensity=4), LEVELS, Progress(60_000, 480_000, 0), 0)
    assert plan.segments[0] == Ramp(Phase.WARM_UP, 60_000, 150, 433)


def test_a_resumed_warm_up_that_is_too_short_goes_on_rising_as_massage() -> None:
    plan = continue_session(choice(), LEVELS, Progress(30_000, 480_000, 0), 0)
    assert plan.segments[:3] == (
        Ramp(Phase.WARM_UP, 30_000, 150, 575),
        Ramp(Phase.MASSAGE, 30_000, 575, 1000),
        Hold(Phase.MASSAGE, 450_000, 1000),
    )


def test_a_resumed_held_warm_up_stays_at_the_gentlest_for_what_is_left_of_it() -> None:
    held = choice(shape=Shape.HOLD)
    plan = continue_session(held, LEVELS, Progress(30_000, 480_000, 0), 0)
    assert plan.segments[0] == Hold(Phase.WARM_UP, 30_000, 150)
    assert plan.segments[1] == Ramp(Phase.MASSAGE, 60_000, 150, 1000)


def test_raising_goes_at_the_gentle_rate_from_where_the_setpoint_is() -> None:
    plan = continue_session(choice(), LEVELS, Progress(0, 400_000, 80_000), 575)
    assert plan.segments[0] == Ramp(Phase.MASSAGE, 30_000, 575, 1000)


def test_lowering_takes_2_ms_a_permille_and_so_2_s_at_most() -> None:
    plan = continue_session(choice(intensity=1), LEVELS, Progress(0, 400_000, 80_000), 1000)
    assert plan.segments[0] == Ramp(Phase.MASSAGE, 1_700, 1000, 150)
    assert plan.segments[1] == Hold(Phase.MASSAGE, 398_300, 150)


def test_lowering_during_the_warm_up_counts_as_warm_up() -> None:
    plan = continue_session(choice(intensity=4), LEVELS, Progress(20_000, 480_000, 0), 633)
    assert plan.segments[:3] == (
        Ramp(Phase.WARM_UP, 400, 633, 433),
        Hold(Phase.WARM_UP, 19_600, 433),
        Hold(Phase.MASSAGE, 480_000, 433),
    )


def test_a_rise_that_the_massage_is_too_short_for_ends_below_the_target() -> None:
    plan = continue_session(choice(), LEVELS, Progress(0, 30_000, 450_000), 0)
    assert plan.segments == (
        Ramp(Phase.MASSAGE, 30_000, 150, 575),
        Ramp(Phase.SOFT_END, 10_000, 575, 150),
    )


def test_a_fall_that_the_massage_is_too_short_for_goes_on_as_quickly_in_the_soft_end() -> None:
    plan = continue_session(choice(intensity=1), LEVELS, Progress(0, 850, 450_000), 1000)
    assert plan.segments == (
        Ramp(Phase.MASSAGE, 850, 1000, 575),
        Ramp(Phase.SOFT_END, 850, 575, 150),
        Hold(Phase.SOFT_END, 9_150, 150),
    )


def test_a_resumed_bedtime_rises_only_until_it_meets_its_final_fall() -> None:
    bedtime = choice(program=BEDTIME)
    plan = continue_session(bedtime, LEVELS, Progress(0, 160_000, 320_000), 0)
    rise = plan.segments[0]
    assert isinstance(rise, Ramp)
    # 850/60 ‰/s up meets 850/160 ‰/s down after 850 / (850/60 + 850/160) = 43.6 s
    assert rise.duration_ms == pytest.approx(43_636, abs=50)
    assert level(plan, rise.duration_ms) == rise.to_permille
    assert level(plan, 80_000) == 575


def test_a_massage_that_is_over_goes_straight_to_the_soft_end() -> None:
    plan = continue_session(choice(), LEVELS, Progress(0, 0, 480_000), 717)
    assert plan.segments == (Ramp(Phase.SOFT_END, 10_000, 717, 150),)


# --- extending -----------------------------------------------------------------------------------


def test_an_extension_adds_massage_and_nothing_else() -> None:
    plan = plan_session(choice(massage_ms=300_000), LEVELS)
    longer = extend_session(plan, 100_000, 120_000)
    assert longer.segments == (
        Hold(Phase.MASSAGE, 410_000, 1000),
        Ramp(Phase.SOFT_END, 10_000, 1000, 150),
    )
    assert longer.choice.massage_ms == 420_000
    assert progress_at(longer, 0) == Progress(0, 410_000, 10_000)


def test_an_extended_pattern_keeps_its_step() -> None:
    plan = plan_session(choice(massage_ms=300_000, program=KNEADING), LEVELS)
    for extended_at in (90_000, 92_345, 389_999):
        longer = extend_session(plan, extended_at, 60_000)
        for later in range(0, 390_000 - extended_at, 5_003):
            assert setpoint_at(longer, later) == setpoint_at(plan, extended_at + later)
        assert extended_at + longer.duration_ms == 460_000


def test_a_pattern_extended_twice_keeps_its_step() -> None:
    plan = plan_session(choice(massage_ms=300_000, program=KNEADING), LEVELS)
    twice = extend_session(extend_session(plan, 92_345, 60_000), 1_111, 60_000)
    assert setpoint_at(twice, 500) == setpoint_at(plan, 93_956)
    assert 93_456 + twice.duration_ms == 520_000


def test_an_extended_final_fall_rises_again_at_the_gentle_rate() -> None:
    plan = plan_session(choice(massage_ms=300_000, program=BEDTIME), LEVELS)
    longer = extend_session(plan, 340_000, 300_000)  # halfway down
    assert level(longer, 0) == 575
    assert longer.segments[0] == Ramp(Phase.MASSAGE, 30_000, 575, 1000)


def test_an_extension_during_the_warm_up_keeps_its_rise() -> None:
    plan = plan_session(choice(massage_ms=300_000), LEVELS)
    longer = extend_session(plan, 45_000, 60_000)
    assert longer.segments[0] == Ramp(Phase.WARM_UP, 45_000, 575, 1000)


def test_an_extension_beyond_10_min_of_massage_is_refused_with_the_range() -> None:
    plan = plan_session(choice(massage_ms=480_000), LEVELS)
    assert extend_session(plan, 100_000, 120_000).choice.massage_ms == 600_000
    with pytest.raises(UsageError, match="300 to 600 s"):
        extend_session(plan, 100_000, 120_001)


# --- ending --------------------------------------------------------------------------------------


def test_ending_now_leaves_only_the_soft_end() -> None:
    plan = plan_session(choice(program=KNEADING), LEVELS)
    end = end_now(plan, 490)
    assert end.segments == (Ramp(Phase.SOFT_END, 10_000, 490, 150),)
    assert end.duration_ms == 10_000


def test_ending_now_is_possible_from_the_highest_level() -> None:
    end = end_now(plan_session(choice(), LEVELS), 1000)
    assert end.segments == (Ramp(Phase.SOFT_END, 10_000, 1000, 150),)


def test_ending_now_at_the_gentlest_stays_there_for_the_soft_end() -> None:
    end = end_now(plan_session(choice(), LEVELS), 150)
    assert end.segments == (Hold(Phase.SOFT_END, 10_000, 150),)


def test_ending_now_with_the_motor_off_does_not_start_it() -> None:
    end = end_now(plan_session(choice(), LEVELS), 0)
    assert end.duration_ms == 0
    assert setpoint_at(end, 0) == Setpoint(0, 0, Phase.SOFT_END, False)


@pytest.mark.parametrize("from_permille", [-1, 149, 1001])
def test_ending_from_a_level_that_cannot_be_is_a_mistake(from_permille: int) -> None:
    with pytest.raises(ValueError, match="turns the motor"):
        end_now(plan_session(choice(), LEVELS), from_permille)


def test_a_pattern_counts_as_massage() -> None:
    plan = plan_session(choice(program=KNEADING), LEVELS)
    pattern = plan.segments[1]
    assert isinstance(pattern, Pattern)
    assert pattern.phase is Phase.MASSAGE
    assert progress_at(replace(plan, massage_done_ms=7), 90_001) == Progress(0, 479_999, 8)
