"""The questions before the first massage: asking, judging, keeping; and the words after a stop."""

import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from massager.errors import ConfigError
from massager.screening.interview import NOTES, interview, yes_or_no
from massager.screening.profile import (
    Answer,
    Profile,
    Used,
    next_day_answered,
    next_day_question,
    what_blocks,
    what_is_missing,
    why_not,
)
from massager.screening.profile_file import read_profile, write_profile
from massager.screening.questions import Group, questions
from massager.screening.reasons import advice_by_reason, seek_care
from tests.screened import healthy

TODAY = date(2026, 11, 21)
ALL = questions()
NO = ["n"] * len(ALL)


class Person:
    """Answers what is asked, in this order; then nobody answers any more."""

    def __init__(self, *typed: str) -> None:
        self._typed: Iterator[str] = iter(typed)
        self.asked: list[str] = []
        self.told: list[str] = []

    def ask(self, prompt: str) -> str | None:
        self.asked.append(prompt)
        return next(self._typed, None)

    def interviewed(self, before: Profile | None = None) -> Profile | None:
        return interview(ALL, before, TODAY, self.ask, self.told.append)


# --- the questions --------------------------------------------------------------------------------


def test_the_questions_are_those_of_the_safety_page() -> None:
    ids = {group: [each.id for each in ALL if each.group is group] for group in Group}
    assert ids[Group.DO_NOT_USE] == [
        *("injury", "fracture", "strain", "skin", "thrombosis", "osteoporosis", "bone-pain"),
    ]
    assert ids[Group.ASK_FIRST] == [
        *("numbness", "diabetes", "pregnancy", "implant", "heart", "blood-thinners"),
        *("tumour", "infection", "other"),
    ]


def test_no_text_promises_a_cure() -> None:
    texts = [each.text + each.what for each in ALL] + list(advice_by_reason().values()) + [NOTES]
    for text in texts:
        for word in ("cure", "heal ", "heals", "toxin", "reflex", "clinically", "therapy"):
            assert word not in text.lower(), text


# --- asking ---------------------------------------------------------------------------------------


def test_every_question_is_asked_and_a_no_to_each_is_a_profile_without_a_reason_against_it() -> (
    None
):
    person = Person(*NO, "", "y")
    profile = person.interviewed()
    assert profile is not None
    assert why_not(profile, ALL, TODAY) is None
    assert (profile.answered, profile.cap) == (TODAY, 10)
    assert all(any(each.text in prompt for prompt in person.asked) for each in ALL)


def test_what_is_no_answer_is_asked_again() -> None:
    person = Person("maybe", "", *NO, "11", "0", "4", "y")
    profile = person.interviewed()
    assert profile is not None
    assert profile.cap == 4


def test_a_yes_blocks_and_a_clinician_s_word_with_its_day_lifts_it() -> None:
    blocked = Person("y", "n", *NO[1:], "", "y").interviewed()
    assert blocked is not None
    assert "do not use a massager with an injury or a burn" in (why_not(blocked, ALL, TODAY) or "")
    cleared = Person("y", "y", "2026-10-02", *NO[1:], "", "y").interviewed()
    assert cleared is not None
    assert why_not(cleared, ALL, TODAY) is None
    assert cleared.answers["injury"] == Answer(True, date(2026, 10, 2))


@pytest.mark.parametrize("day", ["soon", "2026-11-22", "2026-05-24", "02.10.2026", ""])
def test_a_clinician_s_day_is_a_day_of_the_last_half_year(day: str) -> None:
    person = Person("y", "y", day, "2026-10-02", *NO[1:], "", "y")
    profile = person.interviewed()
    assert profile is not None
    assert profile.answers["injury"].cleared == date(2026, 10, 2)


def test_b_goes_back_to_the_question_before_and_its_answer_is_the_later_one() -> None:
    person = Person("y", "b", "n", "b", "n", *NO[1:], "b", "n", "", "b", "3", "y")
    profile = person.interviewed()
    assert profile is not None
    assert profile.answers["injury"] == Answer(False)
    assert profile.cap == 3


@pytest.mark.parametrize("left", [["q"], ["n", "quit"], [*NO, "q"], [*NO, "", "q"], ["n"], []])
def test_whoever_leaves_has_answered_nothing(left: list[str]) -> None:
    assert Person(*left).interviewed() is None


def test_answers_that_are_not_true_are_not_stored() -> None:
    assert Person(*NO, "", "n").interviewed() is None


def test_answering_again_keeps_the_cap_and_that_the_feet_are_sore() -> None:
    before = healthy(TODAY, max_intensity=6, sore=TODAY, asked_after=7)
    profile = Person(*NO, "", "y").interviewed(before)
    assert profile == before


def test_a_single_question_may_be_left_open() -> None:
    assert yes_or_no("Sore?", Person("x", "Y").ask, print_nothing) is True
    assert yes_or_no("Sore?", Person(" no ").ask, print_nothing) is False
    assert yes_or_no("Sore?", Person("q").ask, print_nothing) is None
    assert yes_or_no("Sore?", Person().ask, print_nothing) is None


def print_nothing(text: str) -> None:
    pass


# --- judging --------------------------------------------------------------------------------------


def test_without_answers_nothing_starts() -> None:
    assert "nobody has answered yet" in (why_not(None, ALL, TODAY) or "")


def test_answers_count_for_180_days() -> None:
    profile = healthy(TODAY)
    assert what_is_missing(profile, ALL, TODAY + timedelta(days=179)) is None
    assert profile.valid_until == TODAY + timedelta(days=179)
    late = what_is_missing(profile, ALL, TODAY + timedelta(days=180))
    assert "answered on 2026-11-21, more than 180 days ago" in (late or "")


def test_a_clinician_s_word_counts_for_180_days() -> None:
    answers = {**healthy().answers, "diabetes": Answer(True, TODAY - timedelta(days=179))}
    profile = healthy(TODAY, answers=answers)
    assert why_not(profile, ALL, TODAY) is None
    late = what_is_missing(profile, ALL, TODAY + timedelta(days=1))
    assert "has to be renewed" in (late or "")


def test_answers_of_a_day_to_come_are_the_clock_s_fault_and_let_nothing_start() -> None:
    assert what_is_missing(healthy(TODAY), ALL, TODAY - timedelta(days=1)) is None  # a time zone
    ahead = what_is_missing(healthy(TODAY), ALL, TODAY - timedelta(days=2))
    assert "set the clock" in (ahead or "")


def test_a_question_that_was_not_asked_yet_makes_the_answers_incomplete() -> None:
    answers = {name: each for name, each in healthy().answers.items() if name != "implant"}
    assert "new questions" in (what_is_missing(healthy(TODAY, answers=answers), ALL, TODAY) or "")


def test_a_question_that_is_asked_no_more_does_not_matter() -> None:
    answers = {**healthy().answers, "moon": Answer(True)}
    assert why_not(healthy(TODAY, answers=answers), ALL, TODAY) is None


def test_what_blocks_is_named_the_harder_first() -> None:
    yes = dict.fromkeys(("skin", "thrombosis", "diabetes"), Answer(True))
    profile = healthy(TODAY, answers={**healthy().answers, **yes})
    assert what_blocks(profile, ALL) == (
        "do not use a massager with broken, cut or bruised skin or a deep vein thrombosis, and "
        "ask a doctor first about diabetes. When it is over, or a clinician has cleared it, "
        "answer again: massager screening --redo"
    )


# --- the day after --------------------------------------------------------------------------------


def test_the_next_day_question_comes_once_and_on_a_later_day() -> None:
    profile = healthy(TODAY)
    assert next_day_question(profile, None, TODAY) is None
    assert next_day_question(profile, Used(3, TODAY), TODAY) is None
    yesterday = Used(3, TODAY - timedelta(days=1))
    assert "bruised or sore after the session of 2026-11-20?" in (
        next_day_question(profile, yesterday, TODAY) or ""
    )
    well = next_day_answered(profile, yesterday, TODAY, yes=False)
    assert (well.cap, next_day_question(well, yesterday, TODAY)) == (10, None)


def test_a_sore_day_lowers_the_cap_by_2_until_the_feet_are_well_again() -> None:
    profile = healthy(TODAY, max_intensity=6)
    used = Used(3, TODAY - timedelta(days=1))
    sore = next_day_answered(profile, used, TODAY, yes=True)
    assert (sore.cap, sore.max_intensity, sore.sore) == (4, 6, TODAY)
    assert "sore on 2026-11-21" in sore.cap_reason
    assert next_day_question(sore, used, TODAY) is None
    tomorrow = TODAY + timedelta(days=1)
    assert "well again" in (next_day_question(sore, used, tomorrow) or "")
    still = next_day_answered(sore, used, tomorrow, yes=False)
    assert (still.cap, still.sore) == (4, tomorrow)
    assert next_day_answered(still, used, tomorrow, yes=True) == replace(still, sore=None)


def test_the_cap_is_never_below_the_gentlest() -> None:
    assert healthy(TODAY, max_intensity=2, sore=TODAY).cap == 1
    assert healthy(TODAY, max_intensity=1, sore=TODAY).cap == 1


# --- keeping --------------------------------------------------------------------------------------


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "profile.json"
    answers = {
        **healthy().answers,
        "skin": Answer(True),
        "diabetes": Answer(True, date(2026, 10, 2)),
    }
    profile = healthy(TODAY, answers=answers, max_intensity=7, sore=TODAY, asked_after=12)
    write_profile(path, profile)
    assert read_profile(path) == profile
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_profile_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_profile(tmp_path / "profile.json") is None
    assert read_profile(tmp_path / "no folder" / "profile.json") is None


def test_a_profile_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    write_profile(path, healthy())
    path.chmod(0o644)
    read_profile(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version"),
        ({"answered": "yesterday"}, "answered"),
        ({"answered": None}, "answered"),
        ({"answers": []}, "version"),
        ({"answers": {"injury": "perhaps"}}, "injury"),
        ({"answers": {"injury": "cleared soon"}}, "injury"),
        ({"answers": {"injury": False}}, "injury"),
        ({"max_intensity": 11}, "1 to 10"),
        ({"max_intensity": True}, "1 to 10"),
        ({"sore": 3}, "sore"),
        ({"asked_after": -1}, "asked_after"),
        ({"accepted": True}, "keys"),
    ],
)
def test_a_file_that_is_no_profile_lets_nothing_start_and_says_what_to_do(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "profile.json"
    write_profile(path, healthy())
    path.write_text(json.dumps({**json.loads(path.read_text("ascii")), **change}), "ascii")
    with pytest.raises(ConfigError, match=r"answer again: massager screening --redo") as error:
        read_profile(path)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 10_000, b" " * 20_000, b'{"a":1,"a":1}']
)
def test_damaged_files_are_no_profile(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be used"):
        read_profile(path)


def test_a_profile_that_cannot_be_stored_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="could not be stored"):
        write_profile(tmp_path / "file" / "profile.json", healthy())


# --- reasons of a stop ----------------------------------------------------------------------------


def test_every_reason_has_its_advice() -> None:
    assert list(advice_by_reason())[:3] == ["pain", "tingling", "shock"]
    assert all(len(text) > 40 for text in advice_by_reason().values())


def test_cramps_that_come_regularly_are_a_reason_to_see_somebody() -> None:
    days = [TODAY - timedelta(days=ago) for ago in (0, 9, 27)]
    assert "Cramps that come regularly" in (
        seek_care([(day, "cramp") for day in days], TODAY) or ""
    )
    assert seek_care([(day, "cramp") for day in days[:2]], TODAY) is None
    assert seek_care([(TODAY, "cramp")] * 3, TODAY) is None


def test_pain_for_more_than_three_weeks_is_a_reason_to_see_somebody() -> None:
    first = (TODAY - timedelta(days=22), "pain")
    assert "more than three weeks" in (seek_care([first, (TODAY, "tingling")], TODAY) or "")
    assert seek_care([(TODAY - timedelta(days=21), "pain"), (TODAY, "pain")], TODAY) is None
    assert seek_care([(TODAY - timedelta(days=50), "pain"), (TODAY, "pain")], TODAY) is None
