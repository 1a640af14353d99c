"""What holds for every plan, whatever is chosen, told by the device or done in between."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from massager.errors import ConfigError, UsageError
from massager.plan import (
    Choice,
    Levels,
    Pattern,
    Phase,
    Progress,
    Ramp,
    SessionPlan,
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
from massager.programs import Program, load_program, program_names

PROGRAMS = [load_program(name) for name in program_names()]


@st.composite
def all_levels(draw: st.DrawFn) -> Levels:
    gentlest = draw(st.integers(1, 999))
    return Levels(gentlest, draw(st.integers(gentlest + 1, 1000)))


choices = st.builds(
    Choice,
    intensity=st.integers(1, 10),
    massage_ms=st.integers(300_000, 600_000),
    warmup_ms=st.integers(60_000, 120_000),
    shape=st.sampled_from(Shape),
    program=st.sampled_from(PROGRAMS),
)


@st.composite
def plans(draw: st.DrawFn) -> SessionPlan:
    """A session that was changed up to three times: paused, made stronger or weaker, extended."""
    levels = draw(all_levels())
    plan = plan_session(draw(choices), levels)
    for _ in range(draw(st.integers(0, 3))):
        elapsed_ms = draw(st.integers(0, plan.duration_ms))
        progress = progress_at(plan, elapsed_ms)
        room_ms = 600_000 - progress.massage_total_ms
        match draw(st.sampled_from(["resume", "change", "extend"])):
            case "resume":
                plan = continue_session(plan.choice, levels, progress, 0)
            case "change":
                choice = draw(choices)
                now = setpoint_at(plan, elapsed_ms).level_permille
                plan = continue_session(choice, levels, progress, now)
            case _ if progress.massage_total_ms >= 300_000:
                plan = extend_session(plan, elapsed_ms, draw(st.integers(0, room_ms)))
    return plan


def moments(plan: SessionPlan) -> list[int]:
    """Every 997 ms and every boundary with its neighbours."""
    at, edges = 0, []
    for segment in plan.segments:
        at += segment.duration_ms
        edges += [at - 1, at, at + 1]
    return sorted({*range(0, plan.duration_ms, 997), *edges, 0})


@given(plans())
def test_no_plan_asks_for_more_than_the_target_once_it_has_come_down_to_it(
    plan: SessionPlan,
) -> None:
    target = level_of(plan.choice.intensity, plan.levels)
    first = plan.segments[0]
    start = first.setpoint_at(0).level_permille
    come_down_ms = max(start - target, 0) * 2
    for at in moments(plan):
        level = setpoint_at(plan, at).level_permille
        assert level <= max(start, target)
        if at >= come_down_ms and progress_at(plan, at).massage_left_ms > 0:
            assert level <= target


@given(plans())
def test_no_plan_asks_for_a_level_in_the_stall_zone(plan: SessionPlan) -> None:
    for at in moments(plan):
        setpoint = setpoint_at(plan, at)
        assert isinstance(setpoint.level_permille, int)
        if at < plan.duration_ms:
            gentlest, highest = plan.levels.gentlest_permille, plan.levels.max_permille
            assert gentlest <= setpoint.level_permille <= setpoint.target_permille <= highest
        else:
            assert setpoint.level_permille == setpoint.target_permille == 0


@given(plans())
def test_no_rise_to_a_new_strength_is_faster_than_the_gentle_rate(plan: SessionPlan) -> None:
    rate = gentle_rate_permille_s(plan.levels)
    assert rate <= 20
    for segment in plan.segments:
        if isinstance(segment, Ramp):
            rise = segment.to_permille - segment.from_permille
            assert rise * 1000 <= rate * segment.duration_ms + 1e-6


@given(plans())
def test_a_pattern_only_returns_to_a_level_that_was_reached_before(plan: SessionPlan) -> None:
    """Nothing jumps up at a boundary, so every new strength came by a ramp."""
    for before, after in pairwise(plan.segments):
        reached = before.setpoint_at(before.duration_ms).target_permille
        assert after.setpoint_at(0).target_permille <= reached + 1  # 1: a final fall, rounded
    for segment in plan.segments:
        if isinstance(segment, Pattern):
            peak = segment.setpoint_at(0).target_permille
            for at in range(0, segment.duration_ms, 499):
                assert segment.setpoint_at(at).level_permille <= peak


@given(plans(), st.integers(-1_000, 800_000))
def test_time_is_neither_lost_nor_gained(plan: SessionPlan, elapsed_ms: int) -> None:
    whole, now = progress_at(plan, 0), progress_at(plan, elapsed_ms)
    assert now.massage_total_ms == whole.massage_total_ms
    assert now.warmup_left_ms + now.massage_left_ms + 10_000 >= plan.duration_ms - max(
        elapsed_ms, 0
    )
    assert plan.duration_ms == whole.warmup_left_ms + whole.massage_left_ms + 10_000


@given(plans(), st.integers(0, 800_000), choices, st.booleans())
def test_going_on_at_any_moment_keeps_the_time_that_is_left(
    plan: SessionPlan, elapsed_ms: int, choice: Choice, paused: bool
) -> None:
    progress = progress_at(plan, elapsed_ms)
    start = 0 if paused else setpoint_at(plan, elapsed_ms).level_permille
    rest = continue_session(choice, plan.levels, progress, start)
    assert progress_at(rest, 0) == progress
    assert rest.duration_ms == progress.warmup_left_ms + progress.massage_left_ms + 10_000
    assert setpoint_at(rest, 0).level_permille <= max(start, plan.levels.gentlest_permille)


@given(choices, all_levels(), st.integers(0, 800_000))
def test_changing_nothing_lets_a_steady_session_go_on_as_planned(
    choice: Choice, levels: Levels, later_ms: int
) -> None:
    plan = plan_session(choice, levels)
    end_of_warm_up = setpoint_at(plan, choice.warmup_ms - 1)
    assert end_of_warm_up.phase is Phase.WARM_UP
    assert setpoint_at(plan, choice.warmup_ms).phase is Phase.MASSAGE
    assert setpoint_at(plan, choice.warmup_ms + choice.massage_ms).phase is Phase.SOFT_END
    assert extend_session(plan, 0, 0).duration_ms == plan.duration_ms
    in_massage = setpoint_at(plan, later_ms).phase is Phase.MASSAGE
    if in_massage and choice.shape is Shape.LINEAR and choice.program.final_fall is None:
        same = extend_session(plan, later_ms, 0)
        for ahead_ms in range(0, same.duration_ms, 9_973):
            assert setpoint_at(same, ahead_ms) == setpoint_at(plan, later_ms + ahead_ms)


@given(plans(), st.integers(0, 800_000))
def test_ending_now_falls_for_10_s_and_never_rises(plan: SessionPlan, elapsed_ms: int) -> None:
    now = setpoint_at(plan, elapsed_ms).level_permille
    end = end_now(plan, now)
    assert end.duration_ms == (10_000 if now else 0)
    levels = [setpoint_at(end, at).level_permille for at in range(0, 10_001, 250)]
    assert levels[0] == now
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] == 0


@given(st.integers(1, 10), all_levels())
def test_intensities_run_from_the_gentlest_to_the_highest(intensity: int, levels: Levels) -> None:
    exact = levels.gentlest_permille + (intensity - 1) * levels.span_permille / 9
    assert abs(level_of(intensity, levels) - exact) <= 0.5 + 1e-9
    assert level_of(1, levels) == levels.gentlest_permille
    assert level_of(10, levels) == levels.max_permille


@given(
    st.integers(0, 300_000), st.integers(0, 300_000), st.integers(0, 120_000), choices, all_levels()
)
def test_every_progress_has_a_plan(
    left_ms: int, done_ms: int, warmup_ms: int, choice: Choice, levels: Levels
) -> None:
    progress = Progress(warmup_ms, left_ms, done_ms)
    plan = continue_session(choice, levels, progress, levels.max_permille)
    assert all(segment.duration_ms > 0 for segment in plan.segments)
    assert plan.duration_ms == left_ms + warmup_ms + 10_000


# --- the loader ----------------------------------------------------------------------------------

values = st.one_of(
    st.integers(-10, 700), st.floats(), st.booleans(), st.text(max_size=5), st.just([1]),
    st.integers(), st.sampled_from([0, 1, 2, 60, 100, 0.5]),
)  # fmt: skip
keys = st.sampled_from(
    ["description", "pattern", "high_percent", "low_percent", "period_s", "percent", "hold_s",
     "ramp_s", "step", "final_fall_from", "colour"]
)  # fmt: skip


def toml_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    return str(value)


@st.composite
def nearly_programs(draw: st.DrawFn) -> str:
    pattern = draw(st.sampled_from(["steady", "sine", "steps", "saw"]))
    lines = ['description = "Mine."', f'pattern = "{pattern}"']
    for key in draw(st.lists(keys, max_size=4)):
        lines.append(f"{key} = {toml_value(draw(values))}")
    if pattern == "sine":
        names = ("high_percent", "low_percent", "period_s")
        lines += [f"{name} = {toml_value(draw(values))}" for name in names]
    for _ in range(draw(st.integers(0, 3))):
        lines.append("[[step]]")
        names = ("percent", "hold_s", "ramp_s")
        lines += [f"{name} = {toml_value(draw(values))}" for name in names]
    return "\n".join(lines)


def load(folder: Path, text: str) -> Program | str:
    """The program in a file with that text, or the words of its refusal."""
    path = folder / "any.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        return load_program(path)
    except (ConfigError, UsageError) as error:
        return str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(nearly_programs(), st.text(max_size=200)))
def test_whatever_is_in_a_file_it_loads_or_is_refused_in_words(tmp_path: Path, text: str) -> None:
    program = load(tmp_path, text)
    if isinstance(program, str):
        assert program.isprintable()
        assert "any.toml, line " in program
        return
    for at in range(0, 60_000, 1_237):
        assert 0 <= program.fraction_at(at, 300_000) <= program.peak <= 1


@st.composite
def good_waves(draw: st.DrawFn) -> str:
    low = draw(st.floats(0, 100))
    high = draw(st.floats(low, 100))
    period_s = draw(st.floats(1, 15))
    return (
        f'description = "Mine."\npattern = "sine"\n'
        f"high_percent = {high}\nlow_percent = {low}\nperiod_s = {period_s}\n"
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=good_waves())
def test_a_wave_that_is_loaded_never_outruns_the_gate(tmp_path: Path, text: str) -> None:
    program = load(tmp_path, text)
    if isinstance(program, str):
        assert "‰/s" in program
        return
    levels = [1000 * program.fraction_at(at, 300_000) for at in range(0, 15_000, 10)]
    assert max(later - now for now, later in pairwise(levels)) <= 500 * 0.010 + 1e-6


def test_the_shipped_programs_are_all_in_these_tests() -> None:
    assert len(PROGRAMS) == 9


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_each_program_makes_a_plan_of_the_chosen_length(program: Program) -> None:
    choice = Choice(10, 300_000, 60_000, Shape.HOLD, program)
    assert plan_session(choice, Levels(1, 1000)).duration_ms == 370_000
