"""The limits of a sitting and of 24 hours by example, and the words of a refusal."""

from dataclasses import replace

import pytest

from massager.ages import surely_passed_ms
from massager.dose import Allowance, Use, assess, need_ms, refusal
from massager.limits import DAY_MAX_MS, SITTING_MAX_MS, SITTING_REST_MS
from tests.moments import DAY, HOUR, MINUTE, At, Computer
from tests.world import choice

THREE_SITTINGS = (13 * MINUTE, 13 * MINUTE, 13 * MINUTE)


def used(computer: Computer, *spans_ms: int, rest_ms: int = HOUR) -> list[Use]:
    """Sessions with a rest behind each."""
    uses = []
    for span_ms in spans_ms:
        began = computer.now()
        computer.pass_(span_ms)
        uses.append(Use(span_ms, began, computer.now()))
        computer.pass_(rest_ms)
    return uses


def at(ms: int) -> str:
    return f"+{ms // 1000} s"


def test_the_limits_are_13_min_10_min_and_39_min() -> None:
    assert (SITTING_MAX_MS, SITTING_REST_MS, DAY_MAX_MS) == (780_000, 600_000, 2_340_000)


def test_fresh_feet_have_a_whole_sitting() -> None:
    allowance = assess([], Computer().now())
    assert allowance == Allowance(780_000, 2_340_000)
    assert allowance.wait_ms(780_000) == allowance.fresh_in_ms == 0


def test_a_stop_after_4_minutes_leaves_9_of_the_sitting_until_10_minutes_of_rest() -> None:
    computer = Computer()
    uses = used(computer, 4 * MINUTE, rest_ms=0)
    assert assess(uses, computer.now()).left_ms == 9 * MINUTE
    assert assess(uses, computer.now()).fresh_in_ms == 10 * MINUTE
    computer.pass_(599_999)
    assert assess(uses, computer.now()).left_ms == 9 * MINUTE
    computer.pass_(1)
    assert assess(uses, computer.now()).left_ms == 13 * MINUTE


def test_short_rests_join_sessions_into_one_sitting() -> None:
    computer = Computer()
    uses = used(computer, 4 * MINUTE, 4 * MINUTE, 4 * MINUTE, rest_ms=9 * MINUTE)
    assert assess(uses, computer.now()).sitting_left_ms == MINUTE


def test_a_use_leaves_the_24_hours_24_hours_after_its_end() -> None:
    computer = Computer()
    uses = used(computer, *THREE_SITTINGS)
    allowance = assess(uses, computer.now())
    assert allowance.left_ms == 0
    assert allowance.fresh_in_ms == DAY - 3 * HOUR - 26 * MINUTE
    computer.pass_(DAY - 3 * HOUR - 26 * MINUTE - 1)
    assert assess(uses, computer.now()).left_ms == 0
    computer.pass_(1)
    assert assess(uses, computer.now()).left_ms == 13 * MINUTE


def test_a_controller_that_was_killed_may_have_left_a_motor_on_for_three_and_a_half_seconds() -> (
    None
):
    computer = Computer()
    [use] = used(computer, 4 * MINUTE, rest_ms=0)
    killed = replace(use, seen_end=False)
    allowance = assess([killed], computer.now())
    assert allowance.sitting_left_ms == 9 * MINUTE - 3_500
    assert allowance.day_left_ms == 35 * MINUTE - 3_500
    assert allowance.fresh_in_ms == 10 * MINUTE + 3_500


@pytest.mark.parametrize(("speed", "unseen_ms"), [(1, 3_500), (2, 8_000), (20, 26_000)])
def test_an_end_that_nobody_saw_counts_the_lease_of_a_device_that_runs_faster(
    speed: int, unseen_ms: int
) -> None:
    """A simulated one that counts: 5 s of its time are its lease, 1 s the fall, and a second of
    ours was not written."""
    killed = Use(60_000, Computer().now(), Computer().now(), seen_end=False, speed=speed)
    assert killed.counts_ms == 60_000 + unseen_ms


def test_while_a_session_runs_no_other_may_begin_on_any_device() -> None:
    computer = Computer()
    running = Use(0, computer.now(), None)
    allowance = assess([running], computer.now())
    assert (allowance.left_ms, allowance.wait_ms(1)) == (0, None)
    assert "runs already, on this or another device" in (refusal(allowance, choice(), at) or "")


def test_what_was_taken_above_the_limit_has_to_come_back_first() -> None:
    computer = Computer()
    uses = used(computer, *THREE_SITTINGS, 10 * MINUTE)  # an assumed sitting, or two devices
    allowance = assess(uses, computer.now())
    assert allowance.day_left_ms == 0
    # After the first 13 min are back there are 3, after the second 16.
    first, second = DAY - 4 * HOUR - 36 * MINUTE, DAY - 3 * HOUR - 23 * MINUTE
    assert (allowance.wait_ms(3 * MINUTE), allowance.wait_ms(4 * MINUTE)) == (first, second)


# --- clocks -------------------------------------------------------------------------------------


def test_a_wall_clock_that_is_set_forward_or_back_changes_nothing_in_one_boot() -> None:
    computer = Computer()
    uses = used(computer, *THREE_SITTINGS)
    before = assess(uses, computer.now())
    for by_ms in (DAY, -3 * DAY, 400 * DAY):
        computer.set_clock(by_ms)
        assert assess(uses, computer.now()) == before


def test_after_a_reboot_only_the_time_since_then_is_sure_without_a_known_clock() -> None:
    computer = Computer()
    uses = used(computer, *THREE_SITTINGS, rest_ms=2 * DAY)
    computer.reboot(off_ms=2 * DAY)
    assert assess(uses, computer.now()).left_ms == 0
    computer.pass_(DAY)
    assert assess(uses, computer.now()).left_ms == 13 * MINUTE


def test_a_clock_that_was_right_both_times_counts_over_a_reboot_but_for_a_minute() -> None:
    computer = Computer()
    uses = used(computer, *THREE_SITTINGS)
    computer.reboot(off_ms=DAY)
    computer.synchronise()
    assert assess(uses, computer.now()).left_ms == 13 * MINUTE
    first, later = At(0, "a", 5, True), At(HOUR, "b", 7, True)
    assert surely_passed_ms(first, later) == HOUR - MINUTE


def test_a_row_of_a_wrong_clock_is_not_old_because_the_clock_is_right_now() -> None:
    computer = Computer()
    computer.reboot(off_ms=0, rtc_error_ms=-20_000 * DAY)
    uses = used(computer, *THREE_SITTINGS, rest_ms=0)
    computer.reboot(off_ms=0)
    computer.synchronise()
    assert assess(uses, computer.now()).left_ms == 0


def test_a_moment_without_a_boot_is_nobody_s() -> None:
    unknown = At(0, "", 5, False)
    assert surely_passed_ms(unknown, At(0, "", 10 * DAY, False)) == 0
    assert surely_passed_ms(unknown, At(0, "b", 7, False)) == 7
    assert surely_passed_ms(At(9, "b", 9, True), At(0, "b", 7, True)) == 0


# --- words --------------------------------------------------------------------------------------


def test_a_session_needs_its_warm_up_its_massage_its_soft_end_and_some_seconds() -> None:
    assert (
        need_ms(choice(massage_ms=480_000, warmup_ms=90_000)) == 480_000 + 90_000 + 10_000 + 4_500
    )
    assert need_ms(choice(massage_ms=600_000, warmup_ms=120_000)) <= 780_000


def test_a_session_that_fits_is_not_refused() -> None:
    longest = choice(massage_ms=600_000, warmup_ms=120_000)
    assert refusal(assess([], Computer().now()), longest, at) is None
    five = choice(massage_ms=300_000, warmup_ms=60_000)
    nine_left = Allowance(9 * MINUTE, 20 * MINUTE, 10 * MINUTE)
    assert refusal(nine_left, five, at) is None


def test_a_refusal_says_what_is_left_what_would_fit_and_from_when_on_a_full_one_does() -> None:
    assert refusal(Allowance(9 * MINUTE, 20 * MINUTE, 10 * MINUTE), choice(), at) == (
        "9 min of the 13 min of one sitting are left, and this session takes 9:45 min; "
        "7 min of massage would fit now (--minutes); rest until +600 s for a full one"
    )


def test_where_nothing_fits_only_the_rest_is_told() -> None:
    assert refusal(Allowance(30_000, 30 * MINUTE, 10 * MINUTE), choice(), at) == (
        "0:30 min of the 13 min of one sitting are left, and this session takes 9:45 min; "
        "rest until +600 s for a full one"
    )


def test_the_24_hours_have_a_moment_for_this_session_and_one_for_a_full_sitting() -> None:
    day = Allowance(13 * MINUTE, 2 * MINUTE, 0, ((HOUR, 8 * MINUTE), (2 * HOUR, 8 * MINUTE)))
    assert refusal(day, choice(), at) == (
        "2 min of the 39 min in any 24 hours are left, and this session takes 9:45 min; "
        "it fits from +3600 s on, a full sitting from +7200 s on"
    )


def test_where_sitting_and_day_are_used_up_the_day_is_named_and_one_moment_is_told_once() -> None:
    """Both moments lie in one minute of the person's clock."""
    day = Allowance(0, 0, 10 * MINUTE, ((24 * HOUR, 10 * MINUTE), (24 * HOUR + 9, 3 * MINUTE)))
    assert refusal(day, choice(), lambda in_ms: f"+{in_ms // MINUTE} min") == (
        "0 min of the 39 min in any 24 hours are left, and this session takes 9:45 min; "
        "rest until +1440 min for a full one"
    )
