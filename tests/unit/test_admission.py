"""Screening, profile, quiet hours and dose as one permit."""

import os
import time
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from massager.admission import Admission, allowance_of, quiet_caps, when
from massager.history.records import Spent, Stamp
from massager.quiet_hours import QuietHours, quietest
from massager.screening.profile import Answer
from massager.session.model import Hindrance, Permit
from tests.screened import healthy, screened
from tests.world import choice

ZONE = "Europe/Berlin"
TEN_TO_ELEVEN = datetime(2026, 11, 21, 22, 50, tzinfo=ZoneInfo(ZONE))
MINUTE = 60_000


@pytest.fixture(autouse=True)
def _berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = ZONE
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def stamp(moment: datetime = TEN_TO_ELEVEN, *, ago_ms: int = 0, boot: str = "a") -> Stamp:
    return Stamp(int(moment.timestamp() * 1000) - ago_ms, 60, boot, 10**9 - ago_ms, True)


def spent(minutes: int, *, ago_ms: int = 0, boot: str = "a", assumed: bool = False) -> Spent:
    began = stamp(ago_ms=ago_ms + minutes * MINUTE, boot=boot)
    return Spent(minutes * MINUTE, began, stamp(ago_ms=ago_ms, boot=boot), True, assumed)


def admission(folder: Path, *quiet: QuietHours) -> Admission:
    return Admission(folder / "config.toml", quiet)


def may(folder: Path, *quiet: QuietHours, now: datetime = TEN_TO_ELEVEN) -> Permit:
    return admission(folder, *quiet).permit(choice(), [], stamp(now))


# --- screening ------------------------------------------------------------------------------------


def test_without_a_screening_it_is_refused_with_the_way_to_answer(tmp_path: Path) -> None:
    why = may(tmp_path).refusal or ""
    assert "nobody has answered yet" in why
    assert f"massager screening (kept in {tmp_path / 'profile.json'})" in why


def test_with_a_screening_a_whole_sitting_is_permitted(tmp_path: Path) -> None:
    screened(tmp_path, answered=date(2026, 11, 20))
    permit = may(tmp_path)
    assert (permit.refusal, permit.max_intensity) == (None, 10)
    assert permit.motor_on_max_ms == 13 * MINUTE


def test_an_answer_that_blocks_is_the_refusal(tmp_path: Path) -> None:
    answers = {**healthy().answers, "pregnancy": Answer(True)}
    screened(tmp_path, answered=date(2026, 11, 20), answers=answers)
    assert "ask a doctor first about pregnancy" in (may(tmp_path).refusal or "")


def test_answers_that_cannot_be_read_permit_nothing(tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text("{}")
    assert "cannot be used" in (may(tmp_path).refusal or "")


def test_the_days_of_the_screening_are_the_person_s_own(tmp_path: Path) -> None:
    """In Berlin it is the 22nd already: the 180th day is over."""
    screened(tmp_path, answered=date(2026, 5, 25))
    late = datetime(2026, 11, 20, 23, 30, tzinfo=ZoneInfo(ZONE))
    assert may(tmp_path, now=late).refusal is None
    later = datetime(2026, 11, 21, 0, 30, tzinfo=ZoneInfo(ZONE))
    assert "180 days ago" in (may(tmp_path, now=later).refusal or "")


def test_what_stands_in_the_way_is_a_kind_and_not_only_words(tmp_path: Path) -> None:
    assert may(tmp_path).hindrance is Hindrance.SCREENING
    (tmp_path / "profile.json").write_text("{}")
    assert may(tmp_path).hindrance is Hindrance.SCREENING
    answers = {**healthy().answers, "pregnancy": Answer(True)}
    screened(tmp_path, answered=date(2026, 11, 20), answers=answers)
    assert may(tmp_path).hindrance is Hindrance.SCREENING
    screened(tmp_path, answered=date(2026, 11, 20))
    assert may(tmp_path).hindrance is Hindrance.LIMIT  # of nothing but its caps
    used_up = admission(tmp_path).permit(choice(), [spent(13)], stamp())
    assert used_up.refusal is not None
    assert used_up.hindrance is Hindrance.LIMIT


# --- several persons ------------------------------------------------------------------------------


def of(folder: Path, person: str) -> Admission:
    return Admission(folder / "config.toml", (), ("anna", "ben"), person)


def test_each_person_answers_and_has_a_cap_of_their_own(tmp_path: Path) -> None:
    screened(tmp_path, "anna", answered=date(2026, 11, 20), max_intensity=4)
    anna = of(tmp_path, "anna").permit(choice(), [], stamp())
    assert (anna.refusal, anna.max_intensity) == (None, 4)
    assert anna.cap_reason == "the cap in your profile (massager screening --person anna)"
    why = of(tmp_path, "ben").permit(choice(), [], stamp()).refusal or ""
    assert f"massager screening --person ben (kept in {tmp_path / 'profile-ben.json'})" in why


def test_an_answer_that_blocks_names_whose_questions_to_answer_again(tmp_path: Path) -> None:
    answers = {**healthy().answers, "pregnancy": Answer(True)}
    screened(tmp_path, "anna", answered=date(2026, 11, 20), answers=answers)
    why = of(tmp_path, "anna").permit(choice(), [], stamp()).refusal or ""
    assert why.endswith("answer again: massager screening --person anna --redo")


def test_where_persons_are_named_a_device_without_one_is_not_driven(tmp_path: Path) -> None:
    screened(tmp_path, answered=date(2026, 11, 20))
    why = of(tmp_path, "").permit(choice(), [], stamp()).refusal or ""
    assert "this device is none of them" in why


# --- caps -----------------------------------------------------------------------------------------


def test_a_sore_day_lowers_the_cap_and_says_why(tmp_path: Path) -> None:
    screened(tmp_path, answered=date(2026, 11, 20), max_intensity=6, sore=date(2026, 11, 21))
    permit = may(tmp_path)
    assert permit.max_intensity == 4
    assert "sore on 2026-11-21" in permit.cap_reason


QUIET = QuietHours(22 * 60 + 30, 7 * 60, 3)


def caps(*quiet: QuietHours, now: datetime) -> list[tuple[int, int]]:
    """From which second on at most how much."""
    found = quiet_caps(quiet, stamp(now))
    assert all(cap.from_ms % 1000 == 0 for cap in found)
    return [(cap.from_ms // 1000, cap.max_intensity) for cap in found]


HOUR = 3_600
LAST = 6 * HOUR


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ((16, 30, 0), [(LAST, 3)]),
        ((16, 31, 0), [(LAST - 60, 3), (LAST, 3)]),
        ((22, 29, 59), [(1, 3), (LAST, 3)]),
        ((22, 30, 0), [(0, 3), (LAST, 3)]),
        ((2, 0, 0), [(0, 3), (5 * HOUR, 10), (LAST, 3)]),
        ((6, 59, 30), [(0, 3), (30, 10), (LAST, 3)]),
        ((7, 0, 0), [(LAST, 3)]),
    ],
)
def test_quiet_hours_are_a_cap_from_their_minute_on_and_after_6_hours_the_lowest_holds(
    at: tuple[int, int, int], expected: list[tuple[int, int]]
) -> None:
    moment = TEN_TO_ELEVEN.replace(hour=at[0], minute=at[1], second=at[2])
    assert caps(QUIET, now=moment) == expected


def test_what_holds_after_6_hours_is_not_called_an_hour_of_the_day_that_it_is_not() -> None:
    (noon,) = quiet_caps((QUIET,), stamp(TEN_TO_ELEVEN.replace(hour=12, minute=0)))
    assert noon.reason == "a session of 6 hours goes on as in quiet hours, 3 at most"
    assert noon.notice == "from 18:00 at most 3 (a session of 6 hours)"
    evening = quiet_caps((QUIET,), stamp(TEN_TO_ELEVEN.replace(hour=18, minute=0)))[-1]
    assert evening.reason == "quiet hours from 22:30 to 07:00, 3 at most"


def test_a_permit_carries_the_caps_to_come_beside_the_person_s_own(tmp_path: Path) -> None:
    screened(tmp_path, answered=date(2026, 11, 20), max_intensity=6)
    permit = may(tmp_path, QUIET, now=TEN_TO_ELEVEN.replace(hour=22, minute=20))
    assert permit.max_intensity == 6
    begins = permit.caps[0]
    assert (begins.from_ms, begins.max_intensity) == (600_000, 3)
    assert begins.reason == "quiet hours from 22:30 to 07:00, 3 at most"
    assert begins.notice == "from 22:30 at most 3 (quiet hours)"
    assert may(tmp_path).caps == ()


def test_of_several_quiet_hours_the_lowest_cap_counts() -> None:
    louder = QuietHours(22 * 60, 23 * 60, 8)
    assert quietest((louder, QUIET), 22 * 60 + 45) == QUIET
    assert quietest((louder, QUIET), 22 * 60) == louder
    assert quietest((louder, QUIET), 12 * 60) is None
    evening = TEN_TO_ELEVEN.replace(hour=21, minute=50)
    assert caps(louder, QUIET, now=evening)[:3] == [(600, 8), (2_400, 3), (LAST, 3)]


def test_quiet_hours_follow_the_clock_on_the_wall_in_summer_and_winter() -> None:
    """The night on which 02:00 comes twice, and the one on which it never comes."""
    two_to_three = QuietHours(2 * 60, 3 * 60, 1)
    twice = datetime(2026, 10, 25, 1, 0, tzinfo=ZoneInfo(ZONE))
    assert caps(two_to_three, now=twice)[:2] == [(HOUR, 1), (3 * HOUR, 10)]
    never = datetime(2026, 3, 29, 1, 0, tzinfo=ZoneInfo(ZONE))
    assert caps(two_to_three, now=never) == [(LAST, 1)]
    autumn = datetime(2026, 10, 24, 22, 0, tzinfo=ZoneInfo(ZONE))  # the night has an hour more
    assert caps(QUIET, now=autumn) == [(30 * 60, 3), (LAST, 3)]
    night = autumn.replace(day=25, hour=1, minute=30)
    assert caps(QUIET, now=night) == [(0, 3), (LAST, 3)]


# --- dose -----------------------------------------------------------------------------------------


def test_a_refusal_tells_the_time_from_which_it_is_allowed(tmp_path: Path) -> None:
    screened(tmp_path, answered=date(2026, 11, 20))
    permit = admission(tmp_path).permit(choice(), [spent(4)], stamp())
    assert permit.refusal == (
        "9 min of the 13 min of one sitting are left, and this session takes 9:45 min; 7 min of "
        "massage would fit now (--minutes); rest until 23:00 for a full one"
    )
    shorter = admission(tmp_path).permit(choice(massage_ms=420_000), [spent(4)], stamp())
    assert (shorter.refusal, shorter.motor_on_max_ms) == (None, 9 * MINUTE)


def test_a_lost_history_is_named_as_the_reason(tmp_path: Path) -> None:
    screened(tmp_path, answered=date(2026, 11, 20))
    permit = admission(tmp_path).permit(choice(), [spent(13, assumed=True)], stamp())
    assert "the history was lost" in (permit.refusal or "")


def test_a_clock_that_nobody_knows_to_be_right_is_named_as_the_reason(tmp_path: Path) -> None:
    screened(tmp_path, answered=date(2026, 11, 20))
    now = Stamp(stamp().utc_ms, 60, "b", 60_000, False)
    permit = admission(tmp_path).permit(choice(), [spent(13)], now)
    assert "restarted since" in (permit.refusal or "")
    assert "rest until 22:59" in (permit.refusal or "")


def test_times_are_rounded_up_and_name_another_day() -> None:
    assert when(stamp(), 0) == "22:50"
    assert when(stamp(), 1) == "22:51"
    assert when(stamp(), 70 * MINUTE) == "tomorrow 00:00"
    assert when(stamp(), 26 * 60 * MINUTE) == "Monday 00:50"


def test_the_time_that_is_told_is_right_over_a_night_on_which_the_clock_changes() -> None:
    evening = datetime(2026, 10, 24, 22, 0, tzinfo=ZoneInfo(ZONE))
    assert when(stamp(evening), 24 * 60 * MINUTE) == "tomorrow 21:00"


def test_all_devices_and_what_runs_now_count_together() -> None:
    running = Spent(MINUTE, stamp(ago_ms=MINUTE), None, False)
    assert allowance_of([spent(4), running], stamp()).left_ms == 0
    assert allowance_of([spent(4), spent(5)], stamp()).left_ms == 4 * MINUTE
