"""`massager plan`, `massager programs` and the drawing under them: no device, nothing sent."""

import json
import sys
from argparse import ArgumentParser
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from massager.cli import plan, programs
from massager.cli.choice import add_choice_arguments, choice_from
from massager.cli.drawing import clock, draw_curve, draws_blocks, in_ascii, terminal_width
from massager.errors import ConfigError, UsageError
from massager.plan import Choice, Shape
from massager.programs import load_program


class Terminal:
    """Runs a command and keeps what it printed, on a terminal of some width and encoding."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.programs_dir: Path | None = None
        self.size(80)

    def size(self, columns: int) -> None:
        self.monkeypatch.setenv("COLUMNS", str(columns))

    def run(self, *words: str, encoding: str = "utf-8") -> str:
        parser = ArgumentParser()
        commands = parser.add_subparsers(dest="command")
        plan.add_arguments(commands.add_parser("plan"))
        programs.add_arguments(commands.add_parser("programs"))
        args = parser.parse_args(words)
        args.programs_dir = self.programs_dir
        raw = BytesIO()
        out = TextIOWrapper(raw, encoding=encoding)
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            command = plan.run_plan if args.command == "plan" else programs.run_programs
            assert command(args) == 0
            out.flush()
        return raw.getvalue().decode(encoding)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


# --- massager plan -------------------------------------------------------------------------------


def test_plan_tells_the_phases_in_plain_words(terminal: Terminal) -> None:
    text = terminal.run("plan", "--intensity", "6", "--minutes", "8")
    assert " 0:00  warm-up    1:30  rises from 150 to 622 ‰\n" in text
    assert " 1:30  massage    8:00  stays at 622 ‰\n" in text
    assert " 9:30  soft-end   0:10  falls from 622 to 150 ‰, then off\n" in text
    assert " 9:40  off\n" in text
    assert "Nothing is sent" in text


def test_plan_says_that_its_levels_are_an_example_and_takes_others(terminal: Terminal) -> None:
    assert "example device that turns from 150 to 1000 ‰" in terminal.run("plan")
    text = terminal.run("plan", "--levels", "200:800", "--intensity", "10")
    assert "turns from 200 to 800 ‰" in text
    assert "rises from 200 to 800 ‰" in text


def test_plan_tells_a_pattern_and_a_final_fall(terminal: Terminal) -> None:
    text = terminal.run("plan", "--program", "kneading", "--intensity", "10")
    assert "goes between 490 and 1000 ‰ every 6 s" in text
    text = terminal.run("plan", "--program", "bedtime", "--intensity", "10", "--shape", "hold")
    assert "warm-up    1:30  stays at 150 ‰" in text
    assert "rises from 150 to 1000 ‰" in text
    assert "stays at 1000 ‰, falls to 150 ‰ in its last 2:40" in text


def test_plan_defaults_to_a_gentle_steady_session(terminal: Terminal) -> None:
    found = json.loads(terminal.run("plan", "--json"))
    assert found["intensity"] == 3
    assert found["program"] == "classic"
    assert found["shape"] == "linear"
    assert found["massage_ms"] == 480_000
    assert found["warmup_ms"] == 90_000


def test_plan_as_json_holds_phases_and_curve(terminal: Terminal) -> None:
    found = json.loads(terminal.run("plan", "--json", "--intensity", "10", "--program", "kneading"))
    assert found["duration_ms"] == 580_000
    assert [phase["phase"] for phase in found["phases"]] == ["warm-up", "massage", "soft-end"]
    assert found["phases"][1] == {
        "phase": "massage",
        "does": "pattern",
        "starts_ms": 90_000,
        "duration_ms": 480_000,
        "from_permille": 1000,
        "to_permille": 1000,
        "lowest_permille": 490,
        "highest_permille": 1000,
    }
    assert found["curve_s_permille"][0] == [0, 150]
    assert found["curve_s_permille"][90] == [90, 1000]
    assert found["curve_s_permille"][-1] == [580, 0]


@pytest.mark.parametrize("columns", [40, 41, 57, 80, 132, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
@pytest.mark.parametrize("program", ["kneading", "recovery", "bedtime", "trigger-point"])
def test_plan_fits_the_terminal(
    terminal: Terminal, columns: int, encoding: str, program: str
) -> None:
    terminal.size(columns)
    text = terminal.run("plan", "--program", program, "--intensity", "10", encoding=encoding)
    assert max(map(len, text.splitlines())) <= columns
    assert text.isascii() == (encoding != "utf-8")
    assert ("█" in text) == (encoding == "utf-8")
    assert ("#" in text) == (encoding != "utf-8")


@pytest.mark.parametrize(("flag", "value", "message"), [
    ("--intensity", "0", "--intensity is a whole number from 1 to 10, not '0'"),
    ("--intensity", "11", "from 1 to 10"),
    ("--intensity", "6.5", "a whole number from 1 to 10, not '6.5'"),
    ("--intensity", "٣", "a whole number from 1 to 10"),
    ("--intensity", "1_0", "a whole number from 1 to 10"),
    ("--minutes", "4.9", "--minutes is a number from 5 to 10, not '4.9'"),
    ("--minutes", "10.1", "from 5 to 10"),
    ("--minutes", "nan", "from 5 to 10"),
    ("--minutes", "inf", "from 5 to 10"),
    ("--minutes", "ten", "from 5 to 10, not 'ten'"),
    ("--warmup", "59", "--warmup is a number from 60 to 120, not '59'"),
    ("--warmup", "121", "from 60 to 120"),
    ("--shape", "square", "--shape is linear or hold, not 'square'"),
    ("--levels", "150", "--levels is G:M"),
    ("--levels", "0:1000", "1 <= G < M <= 1000"),
    ("--levels", "500:500", "1 <= G < M <= 1000"),
    ("--levels", "1:1001", "1 <= G < M <= 1000"),
    ("--program", "kneeding", "the nearest is 'kneading'"),
])  # fmt: skip
def test_a_bad_value_is_refused_with_its_range(
    terminal: Terminal, flag: str, value: str, message: str
) -> None:
    with pytest.raises(UsageError) as error:
        terminal.run("plan", flag, value)
    assert message in str(error.value)


@pytest.mark.parametrize(("flag", "value"), [
    ("--intensity", "1"), ("--intensity", "10"), ("--minutes", "5"), ("--minutes", "10"),
    ("--minutes", "7.5"), ("--warmup", "60"), ("--warmup", "120"), ("--levels", "1:1000"),
])  # fmt: skip
def test_the_ends_of_every_range_are_allowed(terminal: Terminal, flag: str, value: str) -> None:
    assert "off" in terminal.run("plan", flag, value)


def test_a_choice_can_be_read_from_the_arguments_alone() -> None:
    parser = ArgumentParser()
    add_choice_arguments(parser)
    args = parser.parse_args(["--minutes", "7.5", "--warmup", "60", "--shape", "hold"])
    assert choice_from(args) == Choice(3, 450_000, 60_000, Shape.HOLD, load_program("classic"))


# --- massager programs ---------------------------------------------------------------------------


def test_programs_lists_every_name_with_its_sentence(terminal: Terminal) -> None:
    text = terminal.run("programs")
    assert "classic        One steady strength from the warm-up to the soft end.\n" in text
    assert len(json.loads(terminal.run("programs", "--json"))) == 9


def test_programs_shows_two_cycles(terminal: Terminal) -> None:
    text = terminal.run("programs", "show", "kneading")
    assert "kneading: Waves that swell" in text
    assert "Two cycles of 6 s" in text
    assert "12 s" in text
    assert "█" in text


def test_programs_shows_a_whole_massage_where_there_is_a_final_fall(terminal: Terminal) -> None:
    assert "A massage of 8 min" in terminal.run("programs", "show", "bedtime")
    assert "Any stretch of it" in terminal.run("programs", "show", "classic")


def test_programs_shows_one_as_json(terminal: Terminal) -> None:
    found = json.loads(terminal.run("programs", "show", "recovery", "--json"))
    assert found["name"] == "recovery"
    assert (found["peak_percent"], found["cycle_ms"]) == (70, 14_000)
    assert found["final_fall_from"] is None
    assert found["curve_s_percent"][0] == [0, 70]
    assert (
        json.loads(terminal.run("programs", "show", "bedtime", "--json"))["final_fall_from"]
        == "2/3"
    )


@pytest.mark.parametrize(("words", "hint"), [
    (["show"], "show NAME"), (["kneading"], "show kneading"), (["draw", "deep"], "show deep"),
])  # fmt: skip
def test_anything_but_show_is_answered_with_what_to_write(
    terminal: Terminal, words: list[str], hint: str
) -> None:
    with pytest.raises(UsageError, match=f"write: massager programs {hint}"):
        terminal.run("programs", *words)


def test_a_broken_file_of_one_s_own_hides_no_other_program(
    terminal: Terminal, tmp_path: Path
) -> None:
    terminal.programs_dir = tmp_path
    (tmp_path / "broken.toml").write_text("pattern = 3\n")
    (tmp_path / "mine.toml").write_text('description = "My own."\npattern = "steady"\n')
    terminal.size(200)
    text = terminal.run("programs")
    assert "broken         cannot be used: " in text
    assert "mine           My own.\n" in text
    assert "kneading" in text
    with pytest.raises(ConfigError, match=r"broken\.toml, line 1: pattern is one of"):
        terminal.run("programs", "show", "broken")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_programs_fits_the_terminal(terminal: Terminal, columns: int) -> None:
    terminal.size(columns)
    for words in (["programs"], ["programs", "show", "deep"], ["programs", "show", "bedtime"]):
        for encoding in ("utf-8", "ascii"):
            lines = terminal.run(*words, encoding=encoding).splitlines()
            assert max(map(len, lines)) <= columns


# --- the drawing ---------------------------------------------------------------------------------


def test_a_ramp_is_drawn_in_eighths() -> None:
    bars = draw_curve([(0, 0), (16, 8)], width=19, height=1, top=8)[0]
    assert bars == "8 │▁▁▂▂▃▃▄▄▅▅▆▆▇▇██"


def test_a_step_stands_as_high_as_its_value() -> None:
    lines = draw_curve([(0, 100), (10, 100)], width=25, height=4, top=200)
    assert [line.count("█") for line in lines[:4]] == [0, 0, 20, 20]
    assert lines[0].startswith("200 │")
    assert lines[3].startswith("  0 │")


def test_what_moves_within_a_column_is_shaded_above_its_lowest() -> None:
    points = [(float(x), 50.0 if x % 2 else 100.0) for x in range(1001)]
    lines = draw_curve(points, width=45, height=4, top=100)
    assert lines[0].endswith("│" + "░" * 40)
    assert lines[3].endswith("│" + "█" * 40)
    plain = draw_curve(points, width=45, height=4, top=100, blocks=False)
    assert plain[0].endswith("|" + ":" * 40)
    assert plain[3].endswith("|" + "#" * 40)


def test_a_short_peak_is_not_lost() -> None:
    points = [(0.0, 0.0), (500.0, 0.0), (500.5, 100.0), (501.0, 0.0), (1000.0, 0.0)]
    lines = draw_curve(points, width=45, height=4)
    assert all(line.count("░") == 1 for line in lines[:4])


def test_points_beyond_the_frame_are_cut_and_strange_ones_left_out() -> None:
    points = [(0.0, -5.0), (1.0, float("nan")), (2.0, 500.0), (float("inf"), 3.0)]
    for line in draw_curve(points, width=40, height=3, top=100):
        assert len(line) <= 40


@pytest.mark.parametrize("points", [[], [(0.0, float("nan"))]])
def test_nothing_is_drawn_of_nothing(points: list[tuple[float, float]]) -> None:
    assert draw_curve(points, width=40) == []


@pytest.mark.parametrize("points", [[(0.0, 0.0)], [(3.0, 7.0)], [(0.0, 0.0), (9.0, 0.0)]])
def test_a_single_point_and_a_flat_zero_can_be_drawn(points: list[tuple[float, float]]) -> None:
    assert len(draw_curve(points, width=40, height=5)) == 7


@pytest.mark.parametrize("width", [1, 5, 10, 20, 40, 200])
def test_a_drawing_keeps_its_width_and_its_height(width: int) -> None:
    lines = draw_curve([(0.0, 0.0), (600.0, 1000.0)], width=width, height=6)
    assert len(lines) == 8
    assert max(map(len, lines)) <= max(width, 10)


def test_the_axis_names_begin_middle_and_end() -> None:
    axis = draw_curve([(0.0, 1.0), (580.0, 1.0)], width=60)[-1]
    assert axis.split() == ["0:00", "4:50", "9:40"]


def test_times_are_minutes_and_seconds() -> None:
    assert [clock(seconds) for seconds in (0, 9.4, 59.6, 60, 580)] == [
        "0:00", "0:09", "1:00", "1:00", "9:40",
    ]  # fmt: skip


@pytest.mark.parametrize(("encoding", "blocks"), [
    ("utf-8", True), ("UTF8", True), ("latin-1", False), ("ascii", False),
])  # fmt: skip
def test_blocks_are_drawn_only_where_the_encoding_has_them(encoding: str, blocks: bool) -> None:
    assert draws_blocks(TextIOWrapper(BytesIO(), encoding=encoding)) is blocks


def test_ascii_text_has_a_word_for_everything() -> None:
    assert in_ascii("622 ‰, 1–10 → ü") == "622/1000, 1-10 -> ?"


@pytest.mark.parametrize(("columns", "width"), [("5", 20), ("40", 40), ("500", 200)])
def test_the_terminal_s_width_is_kept_within_reason(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal_width() == width
