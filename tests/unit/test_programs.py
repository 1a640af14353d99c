"""The shipped programs against the routine's table, and the rules for a file of one's own."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from massager.errors import ConfigError, UsageError
from massager.plan import Choice, Levels, Shape, plan_session, setpoint_at
from massager.programs import Program, load_program, program_names

NAMES = (
    "bedtime", "classic", "deep", "friction", "gliding", "kneading", "recovery", "tapping",
    "trigger-point",
)  # fmt: skip
TOTAL_MS = 480_000

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_program(text: str | bytes, name: str = "mine.toml") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_program


def at(program: Program, *seconds: float) -> list[float]:
    return [round(program.fraction_at(int(s * 1000), TOTAL_MS), 3) for s in seconds]


def sine(high: object = 100, low: object = 60, period: object = 12) -> str:
    return (
        f'description = "Mine."\npattern = "sine"\n'
        f"high_percent = {high}\nlow_percent = {low}\nperiod_s = {period}\n"
    )


def steps(*rows: tuple[float, float, float]) -> str:
    text = 'description = "Mine."\npattern = "steps"\n'
    for percent, hold_s, ramp_s in rows:
        text += f"[[step]]\npercent = {percent}\nhold_s = {hold_s}\nramp_s = {ramp_s}\n"
    return text


STEADY = 'description = "Mine."\npattern = "steady"\n'


# --- the nine ------------------------------------------------------------------------------------


def test_there_are_the_nine_programs_of_the_routine() -> None:
    assert program_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_program_says_what_it_does_and_promises_no_health(name: str) -> None:
    program = load_program(name)
    assert program.name == name
    assert program.description.endswith(".")
    assert program.description.count(".") == 1
    for word in ("cure", "heal", "relie", "treat", "toxin", "circulation", "pain", "cramp"):
        assert word not in program.description.lower()


@pytest.mark.parametrize("name", NAMES)
def test_every_program_stays_within_0_and_1_and_its_peak(name: str) -> None:
    program = load_program(name)
    fractions = [program.fraction_at(ms, TOTAL_MS) for ms in range(0, TOTAL_MS + 1, 50)]
    assert 0 <= min(fractions) <= max(fractions) == program.peak <= 1


@pytest.mark.parametrize("name", NAMES)
def test_every_program_begins_at_its_peak(name: str) -> None:
    program = load_program(name)
    assert program.fraction_at(0, TOTAL_MS) == program.peak


@pytest.mark.parametrize("name", NAMES)
def test_no_program_rises_faster_than_500_permille_a_second_at_full_range(name: str) -> None:
    program = load_program(name)
    fractions = [program.fraction_at(ms, TOTAL_MS) for ms in range(0, 120_000, 10)]
    assert max(later - now for now, later in pairwise(fractions)) * 1000 <= 5.000001


def test_classic_is_steady() -> None:
    assert at(load_program("classic"), 0, 1, 100, 480) == [1, 1, 1, 1]


@pytest.mark.parametrize(("name", "high", "low", "period_s"), [
    ("gliding", 1.0, 0.6, 12), ("kneading", 1.0, 0.4, 6), ("friction", 1.0, 0.8, 3),
    ("recovery", 0.7, 0.4, 14),
])  # fmt: skip
def test_the_waves_have_their_height_depth_and_period(
    name: str, high: float, low: float, period_s: int
) -> None:
    program = load_program(name)
    assert at(program, 0, period_s / 2, period_s, period_s * 1.5) == [high, low, high, low]
    assert program.fraction_at(period_s * 250, TOTAL_MS) == pytest.approx(
        (high + low) / 2, abs=0.01
    )
    assert program.moves


def test_a_wave_s_crest_is_wide_enough_for_a_setpoint_to_reach_it() -> None:
    for name in ("gliding", "kneading", "friction", "recovery"):
        program = load_program(name)
        crest = [program.fraction_at(ms, TOTAL_MS) == program.peak for ms in range(-120, 121)]
        assert all(crest), name


def test_tapping_is_two_seconds_high_and_two_low_with_edges_of_a_second() -> None:
    tapping = load_program("tapping")
    assert at(tapping, 0, 1.9, 2, 2.5, 3, 4.9, 5, 5.5, 6) == [1, 1, 1, 0.8, 0.6, 0.6, 0.6, 0.8, 1]
    edge = tapping.fraction_at(5_600, TOTAL_MS) - tapping.fraction_at(5_500, TOTAL_MS)
    assert edge * 1000 / 0.1 == pytest.approx(400)


def test_deep_rises_in_12_s_stays_for_15_and_goes_back_in_3() -> None:
    deep = load_program("deep")
    assert at(deep, 0, 15, 16.5, 18, 24, 30, 45) == [1, 1, 0.85, 0.7, 0.85, 1, 1]


def test_trigger_point_holds_for_90_s_and_rests_for_12() -> None:
    program = load_program("trigger-point")
    assert at(program, 0, 90, 91, 97, 103, 104.6, 194.6) == [1, 1, 0.2, 0.2, 0.2, 1, 1]


def test_bedtime_is_steady_for_two_thirds_and_then_falls_to_nothing() -> None:
    bedtime = load_program("bedtime")
    assert at(bedtime, 0, 320, 400, 480) == [1, 1, 0.5, 0]
    assert bedtime.fraction_at(200_000, 300_000) == 1
    assert bedtime.fraction_at(250_000, 300_000) == 0.5
    assert bedtime.fraction_at(300_001, 300_000) == 0
    assert not bedtime.moves


def withheld(program: Program) -> tuple[int, int]:
    """Setpoints of a session whose pattern had to wait for the device's ceiling, and all of them.

    By the gate's rules, in thousandths of ‰: the ceiling rises 25 ‰/s to a setpoint at or above
    it; with the setpoint below it for more than 15 s it sinks at 25 ‰/s. Each tenth setpoint is
    lost on the way.
    """
    plan = plan_session(Choice(10, 300_000, 60_000, Shape.LINEAR, program), Levels(150, 1000))
    ceiling = told = 150_000
    below_ms, level, waited, sent = 0, 150, 0, 0
    for ms in range(360_000):
        if ms % 100 == 37 and ms % 1_000 != 937:
            wanted = setpoint_at(plan, ms)
            level = wanted.level_permille
            if wanted.moving_pattern:
                sent += 1
                if told // 1000 < wanted.target_permille:
                    level, waited = wanted.target_permille, waited + 1
            told = ceiling
        if level * 1000 >= ceiling:
            below_ms, ceiling = 0, min(level * 1000, ceiling + 25)
        else:
            below_ms += 1
            if below_ms > 15_000:
                ceiling = max(level * 1000, ceiling - 25)
    return waited, sent


@pytest.mark.parametrize("name", ["gliding", "kneading", "friction", "recovery", "deep",
                                  "trigger-point", "tapping"])  # fmt: skip
def test_no_pattern_lets_the_device_s_ceiling_sink_below_its_peak(name: str) -> None:
    waited, sent = withheld(load_program(name))
    assert sent > 2_500
    assert waited <= 10


# --- finding -------------------------------------------------------------------------------------


def test_an_unknown_name_is_answered_with_the_nearest_and_all_names() -> None:
    with pytest.raises(UsageError) as error:
        load_program("kneeding")
    assert "no program 'kneeding'; the nearest is 'kneading'" in str(error.value)
    for name in NAMES:
        assert name in str(error.value)


def test_a_hostile_name_is_shown_short_and_on_one_line() -> None:
    with pytest.raises(UsageError) as error:
        load_program("\x1b[2J\n" + "x" * 10_000)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300


def test_a_file_of_one_s_own_is_loaded_by_its_path(write: Write) -> None:
    path = write(sine())
    for named in (path, str(path)):
        program = load_program(named)
        assert program.name == "mine"
        assert at(program, 0, 6) == [1, 0.6]


def test_a_relative_file_is_a_path_by_its_ending(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write(STEADY).parent)
    assert load_program("mine.toml").name == "mine"


def test_a_program_in_one_s_own_folder_is_loaded_and_listed_by_name(write: Write) -> None:
    folder = write(STEADY).parent
    write("notes", "notes.txt")
    write(STEADY, "Not A Name.toml")
    assert load_program("mine", folder).name == "mine"
    assert set(program_names(folder)) == {*NAMES, "mine"}


def test_one_s_own_folder_need_not_exist(tmp_path: Path) -> None:
    assert program_names(tmp_path / "nowhere") == NAMES
    assert load_program("classic", tmp_path / "nowhere").name == "classic"


def test_a_shipped_program_is_never_replaced_silently(write: Write) -> None:
    folder = write(STEADY, "classic.toml").parent
    with pytest.raises(ConfigError, match=r"classic\.toml: rename it, 'classic' is a shipped"):
        load_program("classic", folder)


@pytest.mark.parametrize("name", ["nowhere.toml", "./x", "a\0b.toml", "."])
def test_a_path_without_a_file_is_refused(name: str) -> None:
    with pytest.raises((UsageError, ConfigError), match=r"no program|small letters"):
        load_program(name)


def test_a_path_the_system_cannot_follow_is_refused() -> None:
    with pytest.raises((UsageError, ConfigError), match=r"cannot be read|no program file"):
        load_program("/" + "x" * 5_000 + "/mine.toml")


def test_a_folder_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").mkdir()
    with pytest.raises(UsageError, match="there is no program file"):
        load_program(tmp_path / "mine.toml")


def test_a_file_whose_name_cannot_be_a_program_s_is_refused(write: Write) -> None:
    with pytest.raises(ConfigError, match="small letters, digits and hyphens"):
        load_program(write(STEADY, "Mine!.toml"))


def test_a_huge_file_is_refused_unread(write: Write) -> None:
    with pytest.raises(ConfigError, match="at most 65536 bytes"):
        load_program(write("#" * 65_537))
    assert load_program(write(STEADY + "#" * 60_000)).name == "mine"


# --- files that are no programs ------------------------------------------------------------------


def refused(path: Path, line: int, *texts: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_program(path)
    message = str(error.value)
    assert f"{path}, line {line}: " in message
    for text in texts:
        assert text in message
    assert message.isprintable()


def test_bad_toml_is_refused_with_its_line(write: Write) -> None:
    refused(write('description = "Mine."\npattern = \n'), 2, "Invalid value")
    refused(write('description = "Mine."\npattern = "stea'), 2)
    refused(write(b'description = "Mine."\npattern = "\xff"'), 2, "not UTF-8")


def test_a_duplicate_key_is_refused_with_its_line(write: Write) -> None:
    refused(write(STEADY + 'pattern = "sine"\n'), 3, "overwrite")


@pytest.mark.parametrize("text", ["x = " + "9" * 5_000, "x = " + "[" * 30_000])
def test_toml_that_python_cannot_hold_is_refused(write: Write, text: str) -> None:
    refused(write(text), 1)


def test_an_unknown_key_is_refused_with_the_nearest(write: Write) -> None:
    text = sine().replace("period_s", "peroid_s")
    refused(write(text), 5, "unknown key 'peroid_s'", "the nearest is 'period_s'")
    refused(write(STEADY + "period_s = 3\n"), 3, "unknown key 'period_s'")
    text = steps((100, 2, 1), (60, 2, 1)).replace("hold_s = 2\nramp_s = 1\n[", "held = 2\n[", 1)
    refused(write(text), 5, "unknown key 'held'", "the nearest is 'hold_s'")


def test_a_long_value_is_shown_short(write: Write) -> None:
    refused(write(sine(period='"' + "x" * 500 + '"')), 5, "not 'xxx", "xxx...")
    refused(write(f"{STEADY}{'x' * 500} = 1\n"), 3, "unknown key 'xxx", "xxx...; the nearest")


def test_a_missing_key_is_refused(write: Write) -> None:
    refused(write('pattern = "steady"\n'), 1, "'description' is missing")
    refused(write('description = "Mine."\n'), 1, "'pattern' is missing", "'sine'", "'steps'")
    refused(write('# a wave\ndescription = "Mine."\npattern = "sine"\n'), 3, "'high_percent' is m")
    text = steps((100, 2, 1), (60, 2, 1))
    refused(write(text.removesuffix("ramp_s = 1\n")), 7, "'ramp_s' is missing")
    refused(write('description = "Mine."\npattern = "steps"\n'), 2, "'step' is missing")


def test_an_unknown_pattern_is_refused(write: Write) -> None:
    refused(
        write('description = "Mine."\npattern = "saw"\n'), 2, "one of 'steady', 'sine'", "'saw'"
    )
    refused(write('description = "Mine."\npattern = ["sine"]\n'), 2, "not ['sine']")


@pytest.mark.parametrize("value", ['"100"', "true", "nan", "inf", "-inf", "-1", "101", "[100]",
                                   "100.001", "1e400", "9" * 1_000, "2020-01-01"])  # fmt: skip
def test_a_percent_that_is_none_is_refused(write: Write, value: str) -> None:
    refused(write(sine(high=value)), 3, "high_percent is a number from 0 to 100, not")
    refused(write(sine(low=value)), 4, "low_percent is a number from 0 to 100, not")
    text = steps((100, 2, 1), (60, 2, 1)).replace("percent = 60", f"percent = {value}")
    refused(write(text), 8, "percent is a number from 0 to 100, not")


@pytest.mark.parametrize("value", ['"1"', "false", "nan", "inf", "-0.1", "601"])
def test_a_time_that_is_none_is_refused(write: Write, value: str) -> None:
    refused(write(sine(period=value)), 5, "period_s is a number from 0 to 600")
    text = steps((100, 2, 1), (60, 2, 1))
    refused(write(text.replace("hold_s = 2", f"hold_s = {value}")), 5, "hold_s is a number")
    refused(write(text.replace("ramp_s = 1", f"ramp_s = {value}")), 6, "ramp_s is a number")


@pytest.mark.parametrize("value", ["3", '""', '"  "', '"two\\nlines"', '"\\u001b[2J"',
                                   '"\\u202e"'])  # fmt: skip
def test_a_description_is_one_printable_line(write: Write, value: str) -> None:
    refused(write(f'pattern = "steady"\ndescription = {value}\n'), 2, "one sentence on one line")


def test_a_description_has_at_most_160_characters(write: Write) -> None:
    assert load_program(write(f'description = "{"x" * 160}"\npattern = "steady"\n'))
    text = f'description = "{"x" * 161}"\npattern = "steady"\n'
    refused(write(text), 1, "at most 160 characters long, not 161")


def test_a_wave_upside_down_is_refused(write: Write) -> None:
    refused(write(sine(high=50, low=60)), 4, "low_percent is 60, above high_percent, 50")
    assert not load_program(write(sine(high=60, low=60))).moves


def test_a_cycle_under_a_second_is_refused(write: Write) -> None:
    refused(write(sine(low=99, period=0.999)), 5, "lasts 0.999 s; it must last 1 s or more")
    assert load_program(write(sine(low=99, period=1))).cycle_ms == 1_000
    refused(write(steps((100, 0.5, 0), (99, 0.299, 0.2))), 3, "lasts 0.999 s")
    assert load_program(write(steps((100, 0.5, 0), (99, 0.3, 0.2)))).cycle_ms == 1_000


def test_a_wave_that_rises_faster_than_the_gate_is_refused(write: Write) -> None:
    assert load_program(write(sine(low=0, period=6.5)))  # 1000 π / 6.5 s, and 2 % for the crest
    refused(write(sine(low=0, period=6.4)), 5, "at up to 501 ‰/s", "allows 500 ‰/s")


def test_a_step_that_rises_faster_than_the_gate_is_refused(write: Write) -> None:
    assert load_program(write(steps((100, 2, 0), (50, 2, 1))))
    refused(write(steps((100, 2, 0), (50, 2, 0.999))), 10, "at up to 501 ‰/s", "500 ‰/s")
    refused(write(steps((50, 2, 0), (100, 2, 1))), 6, "rises at once at the full range")
    refused(write(steps((99.9, 2, 0), (100, 2, 1))), 6, "rises at once at the full range")


def test_a_fall_may_be_as_quick_as_it_likes(write: Write) -> None:
    program = load_program(write(steps((100, 2, 0), (50, 2, 1))))
    assert at(program, 1.999, 2) == [1, 0.5]


def test_a_pattern_may_stay_below_its_peak_for_15_s_and_no_longer(write: Write) -> None:
    assert load_program(write(sine(period=15)))
    refused(write(sine(period=15.001)), 5, "below its peak for 15.001 s at a stretch", "15 s")
    assert load_program(write(steps((100, 1, 3), (70, 0, 12))))
    refused(write(steps((100, 1, 3), (70, 0.001, 12))), 3, "below its peak for 15.001 s")


def test_a_stretch_below_the_peak_may_run_over_the_end_of_the_cycle(write: Write) -> None:
    rows = ((50, 8, 1), (100, 1, 1), (50, 5, 0))
    assert load_program(write(steps(*rows)))
    refused(write(steps((50, 8, 1), (100, 1, 1), (50, 5.001, 0))), 3, "for 15.001 s")


def test_the_peak_of_a_lower_pattern_is_its_own(write: Write) -> None:
    program = load_program(write(steps((60, 1, 1), (40, 10, 1))))
    assert program.peak == 0.6
    refused(write(steps((60, 1, 1), (40, 14, 1))), 3, "below its peak for 16 s")


def test_a_peak_too_short_for_a_setpoint_is_refused(write: Write) -> None:
    refused(write(steps((100, 0.199, 1), (70, 2, 1))), 3, "peak, 100%, is never held for 0.2 s")
    assert load_program(write(steps((100, 0.2, 1), (70, 2, 1))))
    text = steps((100, 0.1, 0), (100, 0.1, 1), (70, 2, 1))
    assert load_program(write(text))


def test_a_touch_of_the_peak_ends_no_stretch_below_it(write: Write) -> None:
    rows = ((100, 1, 1), (70, 6, 1), (100, 0.1, 1), (70, 6, 1))
    refused(write(steps(*rows)), 3, "below its peak for 16.1 s")


def test_the_longest_of_several_stretches_counts(write: Write) -> None:
    for first, second in ((3, 14), (14, 3)):
        rows = ((100, 1, 1), (70, first, 1), (100, 1, 1), (70, second, 1))
        refused(write(steps(*rows)), 3, "below its peak for 16 s")


def test_a_peak_that_runs_over_the_end_of_the_cycle_is_one_peak(write: Write) -> None:
    assert load_program(write(steps((100, 0.1, 1), (70, 13, 1), (100, 0.1, 0))))


def test_steps_that_never_move_are_allowed(write: Write) -> None:
    program = load_program(write(steps((80, 30, 30))))
    assert not program.moves
    assert at(program, 0, 45, 100) == [0.8, 0.8, 0.8]


@pytest.mark.parametrize("value", ["3", "[]", "[1]", '[["a"]]', "{}"])
def test_steps_that_are_none_are_refused(write: Write, value: str) -> None:
    text = f'description = "Mine."\npattern = "steps"\nstep = {value}\n'
    refused(write(text), 3, "step")


def test_more_than_50_steps_are_refused(write: Write) -> None:
    assert load_program(write(steps(*[(100, 1, 1)] * 50)))
    refused(write(steps(*[(100, 1, 1)] * 51)), 3, "1 to 50 tables")


def test_steps_written_inline_are_allowed(write: Write) -> None:
    head = 'description = "Mine."\npattern = "steps"\n'
    good = "step = [{ percent = 100, hold_s = 2, ramp_s = 1 }]\n"
    assert load_program(write(head + good)).peak == 1
    refused(write(head + good.replace("100", "200")), 3, "percent is a number from 0 to 100")


def test_a_final_fall_can_follow_any_pattern(write: Write) -> None:
    program = load_program(write(sine() + 'final_fall_from = "1/2"\n'))
    assert at(program, 0, 240, 360, 480) == [1, 1, 0.5, 0]


@pytest.mark.parametrize("value", ["0.5", '"0/2"', '"2/2"', '"3/2"', '"1/1000"', '"a"', '"1/0"',
                                   '"-1/2"', '"1/2 "'])  # fmt: skip
def test_a_final_fall_that_is_none_is_refused(write: Write, value: str) -> None:
    text = f"{STEADY}final_fall_from = {value}\n"
    refused(write(text), 3, 'a part of the massage such as "2/3", not')
