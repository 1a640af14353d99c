"""Whatever becomes of the clocks: never more than 13 min between rests, never more than 39 in 24 h.

The judge knows the true time; the dose knows only what the computer's clocks told.
"""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from massager.dose import Use, assess
from tests.moments import DAY, HOUR, MINUTE, At, Computer, Feet

SITTING_MS = 780_000
REST_MS = 600_000
DAY_MAX_MS = 2_340_000

spans = st.one_of(
    st.integers(0, 20 * MINUTE),
    st.sampled_from((1, 599_999, 600_000, 600_001, 603_500, HOUR, 6 * HOUR)),
    st.sampled_from((DAY - 40 * MINUTE, DAY - 13 * MINUTE, DAY - 1, DAY, DAY + 1, 2 * DAY)),
)
clock_errors = st.one_of(
    st.integers(-400 * DAY, 400 * DAY),
    st.sampled_from((-DAY, DAY, -HOUR, HOUR, -20_000 * DAY)),
)
as_much_as_it_gets = st.sampled_from((SITTING_MS, 6 * MINUTE))


class Person:
    """Takes as much as is allowed, on a computer whose clocks go wrong."""

    def __init__(self, computer: Computer) -> None:
        self.computer = computer
        self.uses: list[Use] = []
        self.judge = Feet()

    def session(
        self, wanted_ms: int, paused_ms: int, killed: bool, step_ms: int | None = None
    ) -> int:
        """As much of `wanted_ms` as is left. What it took, by true time."""
        computer = self.computer
        on_ms = min(wanted_ms, assess(self.uses, computer.now()).left_ms - 3_500)
        if on_ms <= 0:
            return 0
        begin, began = computer.true_ms, computer.now()
        assert assess([*self.uses, Use(0, began, None)], computer.now()).left_ms == 0
        computer.pass_(on_ms // 2 + paused_ms)
        if step_ms is not None:
            computer.set_clock(step_ms)
        computer.pass_(on_ms - on_ms // 2)
        if killed:  # what was written is a second old, and the motor turns until its lease is over
            unwritten = min(on_ms, 1_000)
            seen = computer.now()
            ended = At(
                seen.utc_ms - unwritten, seen.boot, seen.boot_ms - unwritten, seen.synchronised
            )
            self.uses.append(Use(on_ms - unwritten, began, ended, seen_end=False))
            computer.pass_(2_500)
            on_ms += 2_500
        else:
            self.uses.append(Use(on_ms, began, computer.now()))
        self.judge.sessions.append((begin, computer.true_ms, on_ms))
        return on_ms


operations = st.one_of(
    st.tuples(
        st.just("session"),
        st.one_of(as_much_as_it_gets, st.integers(1, SITTING_MS), st.integers(1, 20_000)),
        st.one_of(st.just(0), st.integers(0, 12 * MINUTE)),
        st.booleans(),
        st.one_of(st.none(), st.none(), clock_errors),
    ),
    st.tuples(st.just("session"), as_much_as_it_gets, st.just(0), st.just(False), st.none()),
    st.tuples(st.just("session"), as_much_as_it_gets, st.just(0), st.just(True), st.none()),
    st.tuples(st.just("rest as told"), st.sampled_from((SITTING_MS, MINUTE))),
    st.tuples(st.just("rest"), spans),
    st.tuples(st.just("rest as told"), st.integers(1, SITTING_MS)),
    st.tuples(st.just("set the clock"), clock_errors),
    st.tuples(st.just("synchronise"), st.integers(-16_000, 16_000)),
    st.tuples(st.just("reboot"), spans, clock_errors),
)


def _do(person: Person, operation: tuple[object, ...]) -> None:
    computer = person.computer
    match operation:
        case ("session", int(wanted), int(paused), bool(killed), int() | None as step):
            person.session(wanted, paused, killed, step)
        case ("rest", int(span)):
            computer.pass_(span)
        case ("rest as told", int(need)):
            wait = assess(person.uses, computer.now()).wait_ms(need)
            assert wait is not None
            computer.pass_(wait)
            assert need <= assess(person.uses, computer.now()).left_ms
        case ("set the clock", int(step)):
            computer.set_clock(step)
        case ("synchronise", int(error)):
            computer.synchronise(error)
        case ("reboot", int(off), int(error)):
            computer.reboot(off, error)
        case _:
            raise AssertionError(operation)


@settings(max_examples=400, deadline=None)
@given(st.lists(operations, min_size=10, max_size=60), st.booleans())
def test_no_clock_and_no_reboot_ever_gains_a_minute(
    done: list[tuple[object, ...]], synchronised: bool
) -> None:
    person = Person(Computer(uptime_ms=HOUR, synchronised=synchronised))
    for operation in done:
        _do(person, operation)
    person.judge.check()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, SITTING_MS), spans), min_size=1, max_size=25),
    st.integers(1, SITTING_MS),
)
def test_the_told_moment_is_the_first_at_which_it_is_allowed(
    before: list[tuple[int, int]], need_ms: int
) -> None:
    computer = Computer()
    person = Person(computer)
    for wanted_ms, rest_ms in before:
        person.session(wanted_ms, 0, killed=False)
        computer.pass_(rest_ms)
    wait_ms = assess(person.uses, computer.now()).wait_ms(need_ms)
    assert wait_ms is not None
    if wait_ms > 0:
        computer.pass_(wait_ms - 1)
        assert need_ms > assess(person.uses, computer.now()).left_ms
        computer.pass_(1)
    assert need_ms <= assess(person.uses, computer.now()).left_ms


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, SITTING_MS), spans), min_size=1, max_size=25))
def test_with_sane_clocks_nothing_is_refused_that_the_limits_allow(
    wishes: list[tuple[int, int]],
) -> None:
    computer = Computer()
    person = Person(computer)
    for wanted_ms, rest_ms in wishes:
        sessions = person.judge.sessions
        now = computer.true_ms
        day = sum(on for _, end, on in sessions if now - end < DAY)
        sitting, edge = 0, now
        for begin, end, on in reversed(sessions):
            if edge - end >= REST_MS:
                break
            sitting, edge = sitting + on, begin
        free = min(SITTING_MS - sitting, DAY_MAX_MS - day)
        usable = max(0, free - 3_500)  # kept for a device that is lost at the last moment
        assert person.session(wanted_ms, 0, killed=False) == min(wanted_ms, usable)
        computer.pass_(rest_ms)
    person.judge.check()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, SITTING_MS), spans), max_size=20))
def test_what_is_left_only_grows_while_one_rests(wishes: list[tuple[int, int]]) -> None:
    computer = Computer()
    person = Person(computer)
    for wanted_ms, rest_ms in wishes:
        person.session(wanted_ms, 0, killed=False)
        left = []
        for share in range(5):
            left.append(assess(person.uses, computer.now()).left_ms)
            computer.pass_(rest_ms // 5 + (share == 4) * (rest_ms % 5))
        assert all(one <= other for one, other in pairwise(left))
