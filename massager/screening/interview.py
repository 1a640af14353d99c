"""Asks the questions, one after the other. Nothing is stored here, and nothing before the end.

`ask` shows a prompt and returns what was typed, or None where nobody answers any more; `say` shows
a line. So the same questions can be asked on a terminal, or by a test.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Final, TypeAlias

from massager.limits import INTENSITY_MAX, INTENSITY_MIN
from massager.screening.profile import VALID_DAYS, Answer, Profile
from massager.screening.questions import Group, Question

Ask: TypeAlias = Callable[[str], str | None]
Say: TypeAlias = Callable[[str], None]

INTRODUCTION: Final = """\
A few questions before the first massage, about the person whose feet it is for.
They take two minutes. They are no medical advice, and replace none.
Your answers stay on this computer. Answer y or n; b goes back, q leaves and stores nothing."""

NOTES: Final = """\
Please also know:
  - Not for children.
  - Keep the feet dry, without lotion, and the vents free: no blanket over them.
  - Stop at once at pain, tingling or a feeling like an electric shock: massager stop
  - It is made for comfort. It treats no illness."""

_HEADINGS: Final = {
    Group.DO_NOT_USE: "With any of these, a massager must not be used:",
    Group.ASK_FIRST: "With any of these, a doctor should be asked first:",
}
_CLEARED: Final = "  Has a clinician said that a foot massager may be used in spite of it?"


class _Left(Exception):
    """The person has left; nothing is stored."""


class _Back(Exception):
    """The person wants to see the question before."""


def interview(
    questions: Sequence[Question], before: Profile | None, today: date, ask: Ask, say: Say
) -> Profile | None:
    """The answers of today; None where the person left. `before` gives what is not asked again."""
    say(INTRODUCTION)
    answers: dict[str, Answer] = {}
    cap = INTENSITY_MAX if before is None else before.max_intensity
    steps = len(questions) + 2
    at = 0
    try:
        while at < steps:
            try:
                if at < len(questions):
                    answers[questions[at].id] = _answer(questions, at, today, ask, say)
                elif at == len(questions):
                    cap = _cap(cap, ask, say)
                elif not _confirmed(ask, say):
                    return None
                at += 1
            except _Back:
                at = max(0, at - 1)
    except _Left:
        return None
    new = Profile(today, answers, cap)
    return new if before is None else replace(new, sore=before.sore, asked_after=before.asked_after)


def yes_or_no(prompt: str, ask: Ask, say: Say) -> bool | None:
    """A single question; None where the person leaves it open."""
    try:
        return _yes(prompt, "y/n, q = quit", ask, say)
    except (_Left, _Back):
        return None


def _answer(questions: Sequence[Question], at: int, today: date, ask: Ask, say: Say) -> Answer:
    question = questions[at]
    if at == 0 or questions[at - 1].group is not question.group:
        say("")
        say(_HEADINGS[question.group])
    number = f"{at + 1:>2}/{len(questions)}  "
    if not _yes(number + question.text, "y/n/b/q", ask, say):
        return Answer(False)
    if not _yes(_CLEARED, "y/n/b/q", ask, say):
        return Answer(True)
    return Answer(True, _day(today, ask, say))


def _day(today: date, ask: Ask, say: Say) -> date:
    oldest = today - timedelta(days=VALID_DAYS - 1)
    while True:
        text = _typed("  On which day? (such as 2026-11-21) ", ask)
        try:
            day = date.fromisoformat(text)
        except ValueError:
            say("  Please write year-month-day.")
            continue
        if oldest <= day <= today:
            return day
        if day > today:
            say(f"  That day is still to come; today is {today}.")
        else:
            say(f"  That is more than {VALID_DAYS} days ago; please ask again, and answer n here.")


def _cap(before: int, ask: Ask, say: Say) -> int:
    low, high = INTENSITY_MIN, INTENSITY_MAX
    say("")
    while True:
        prompt = f"The highest intensity that may ever be used, {low} to {high}? [{before}] "
        text = _typed(prompt, ask)
        if not text:
            return before
        if re.fullmatch("[0-9]{1,2}", text) and low <= int(text) <= high:
            return int(text)
        say(f"Please give a whole number from {low} to {high}, or only Enter for {before}.")


def _confirmed(ask: Ask, say: Say) -> bool:
    say("")
    say(NOTES)
    return _yes("Are the answers true, and shall they be stored?", "y/n/b", ask, say)


def _yes(prompt: str, keys: str, ask: Ask, say: Say) -> bool:
    while True:
        match _typed(f"{prompt} [{keys}] ", ask):
            case "y" | "yes":
                return True
            case "n" | "no":
                return False
            case _:
                say(f"Please answer {keys}.")


def _typed(prompt: str, ask: Ask) -> str:
    """What was typed. Raises _Left and _Back."""
    typed = ask(prompt)
    if typed is None:
        raise _Left
    match text := typed.strip().lower():
        case "q" | "quit":
            raise _Left
        case "b" | "back":
            raise _Back
        case _:
            return text
