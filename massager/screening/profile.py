"""What a person has answered, and whether that lets a real device start. Pure: told the date.

One profile is one person, over all devices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from massager.limits import INTENSITY_MAX, INTENSITY_MIN
from massager.screening.questions import Group, Question

VALID_DAYS: Final = 180  # a body changes; a clinician's word is asked for anew, too
SORE_LOWERS_BY: Final = 2
_TOMORROW: Final = timedelta(days=1)  # another time zone's today


@dataclass(frozen=True, slots=True)
class Answer:
    """A yes or a no; `cleared` is the day on which a clinician allowed it in spite of a yes."""

    applies: bool
    cleared: date | None = None

    @property
    def blocks(self) -> bool:
        """Whether it keeps a real device from starting."""
        return self.applies and self.cleared is None


@dataclass(frozen=True, slots=True)
class Profile:
    """The answers of one day, the person's highest intensity, and how the feet were afterwards.

    `sore` is the day of the last "bruised or sore"; None once the feet are well again.
    `asked_after` is the number of the newest session that the next-day question was about.
    `person` is whose they are, where the config names persons; the file has it in its name.
    """

    answered: date
    answers: Mapping[str, Answer]
    max_intensity: int = INTENSITY_MAX
    sore: date | None = None
    asked_after: int = 0
    person: str = ""

    @property
    def cap(self) -> int:
        """The highest intensity that these feet may have now."""
        lowered_by = 0 if self.sore is None else SORE_LOWERS_BY
        return max(INTENSITY_MIN, self.max_intensity - lowered_by)

    @property
    def cap_reason(self) -> str:
        """Whose cap it is."""
        if self.sore is None:
            return f"the cap in your profile ({screening_command(self.person)})"
        return (
            f"your feet were bruised or sore on {self.sore}; once they are well again: "
            f"{screening_command(self.person)} --well"
        )

    @property
    def valid_until(self) -> date:
        """The last day on which the answers count."""
        return self.answered + timedelta(days=VALID_DAYS - 1)


@dataclass(frozen=True, slots=True)
class Used:
    """The newest session that counts: its number and the day it ended on."""

    number: int
    day: date


def screening_command(person: str) -> str:
    """Where these questions are asked, and the answers changed."""
    return f"massager screening --person {person}" if person else "massager screening"


def why_not(profile: Profile | None, questions: Sequence[Question], today: date) -> str | None:
    """Why these answers let no real device start, with the way out; None where they do."""
    return what_is_missing(profile, questions, today) or what_blocks(profile, questions)


def what_is_missing(
    profile: Profile | None, questions: Sequence[Question], today: date
) -> str | None:
    """Why the questions have to be asked, or asked again."""
    if profile is None:
        return "nobody has answered yet whether a massage is right for these feet"
    if any(question.id not in profile.answers for question in questions):
        return "there are new questions since the screening was answered"
    cleared = [answer.cleared for answer in profile.answers.values() if answer.cleared]
    if max((profile.answered, *cleared)) > today + _TOMORROW:
        return (
            f"the screening was answered on {profile.answered}, and this computer's clock shows "
            f"{today}, which is earlier; set the clock, or answer again"
        )
    if today > profile.valid_until:
        return f"the screening was answered on {profile.answered}, more than {VALID_DAYS} days ago"
    if any(today - day >= timedelta(days=VALID_DAYS) for day in cleared):
        return f"a clinician's word of more than {VALID_DAYS} days ago has to be renewed"
    return None


def what_blocks(profile: Profile | None, questions: Sequence[Question]) -> str | None:
    """What the person said that keeps a massage away, in words."""
    if profile is None:
        return None
    yes = [question for question in questions if profile.answers[question.id].blocks]
    never = [question.what for question in yes if question.group is Group.DO_NOT_USE]
    first = [question.what for question in yes if question.group is Group.ASK_FIRST]
    parts = []
    if never:
        parts.append(f"do not use a massager with {_list(never)}")
    if first:
        parts.append(f"ask a doctor first about {_list(first)}")
    if not parts:
        return None
    return (
        f"{', and '.join(parts)}. When it is over, or a clinician has cleared it, answer again: "
        f"{screening_command(profile.person)} --redo"
    )


def next_day_question(profile: Profile, used: Used | None, today: date) -> str | None:
    """What to ask about the feet before the next session; None where there is nothing to ask."""
    if profile.sore is not None:
        if today <= profile.sore:
            return None
        return "Are your feet well again, without bruises and not sore?"
    if used is None or used.number <= profile.asked_after or used.day >= today:
        return None
    return f"Were your feet bruised or sore after the session of {used.day}?"


def next_day_answered(profile: Profile, used: Used | None, today: date, yes: bool) -> Profile:
    """The profile after the answer to `next_day_question`."""
    asked_after = profile.asked_after if used is None else max(used.number, profile.asked_after)
    is_sore = yes is (profile.sore is None)
    sore = today if is_sore else None
    return replace(profile, sore=sore, asked_after=asked_after)


def _list(what: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(what[:-1]), what[-1])))
