"""Whatever clocks, kills, erasing and losses do: the order is kept, and nobody gains allowance."""

import os
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from massager.ages import surely_passed_ms
from massager.history.records import End, Identified, Sign, Spent, Stamp
from massager.history.store import Store
from tests.history_examples import NEW, NOON, later, place_in

SOAK = int(os.environ.get("SOAK", "1"))
DAY_MS = 86_400_000
SITTING_MS = 780_000


class History(RuleBasedStateMachine):
    """One file, programs that come and go, and a model of what was used up.

    `now` is what the clocks say; `true_ms` is the time that has really passed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(prefix="massager-history-"))
        self.place = place_in(self.folder)
        self.now: Stamp = NOON
        self.true_ms = 0
        self.boots = 0
        self.numbers: list[int] = []  # in the order they were given, as far as they count
        # By person: (when it ended, in true ms; motor-on ms). What is nobody's is everybody's.
        self.used: dict[str, list[tuple[int, int]]] = {"": []}
        self.remembers_min = 78  # twice what a day allows
        self.store = self.open()

    @initialize(persons=st.sampled_from([("",), ("anna", "ben")]))
    def some_persons_or_nobody_is_named(self, persons: tuple[str, ...]) -> None:
        self.used = {person: [] for person in persons}

    def open(self) -> Store:
        return Store.open(self.place, self.now, keep_days=180)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    # --- time ---------------------------------------------------------------------------------

    @rule(ms=st.integers(1, 30 * 3_600_000))
    def time_passes(self, ms: int) -> None:
        self.time_has_passed(ms)

    def time_has_passed(self, ms: int) -> None:
        self.true_ms += ms
        self.now = later(self.now, ms)

    @rule(ms=st.integers(-4_000 * DAY_MS, 4_000 * DAY_MS))
    def somebody_sets_the_clock(self, ms: int) -> None:
        self.now = replace(self.now, utc_ms=self.now.utc_ms + ms, synchronised=False)

    @rule(minutes=st.sampled_from([-60, 60]))
    def daylight_saving_time_changes(self, minutes: int) -> None:
        offset_min = max(-720, min(720, self.now.offset_min + minutes))
        self.now = replace(self.now, offset_min=offset_min)

    @rule(off_ms=st.integers(0, DAY_MS), wrong_ms=st.integers(-(10**11), 10**11))
    def the_computer_boots(self, off_ms: int, wrong_ms: int) -> None:
        self.store.close()
        self.boots += 1
        self.true_ms += off_ms + 20_000
        self.now = Stamp(
            self.now.utc_ms + off_ms + wrong_ms, self.now.offset_min, f"b{self.boots}", 20_000
        )
        self.store = self.open()

    # --- sessions -----------------------------------------------------------------------------

    @rule(
        motor_on_ms=st.integers(1, SITTING_MS),
        simulated=st.booleans(),
        ends=st.booleans(),
        whose=st.integers(0, 2),
    )
    def a_session_runs(self, motor_on_ms: int, simulated: bool, ends: bool, whose: int) -> None:
        person = ["", *self.used][min(whose, len(self.used))]
        number = self.store.begin(replace(NEW, person=person), self.now).id
        self.true_ms += motor_on_ms
        self.now = later(self.now, motor_on_ms)
        with self.store.transaction():
            self.store.identified(number, Identified("foot-1", simulated, not simulated))
            self.store.sign(number, Sign(self.now, motor_on_ms, 500))
            if ends:
                end = End(self.now, "completed", "", motor_on_ms, 500, output_confirmed=True)
                self.store.end(number, end)
        if not ends:  # its program is gone, and somebody starts again a while later
            self.time_has_passed(11_000)
        self.store.note_counting(self.now)
        if not simulated:
            self.numbers.append(number)
            for each in [person] if person else list(self.used):
                self.used[each].append((self.true_ms, motor_on_ms))

    # --- what happens to the file -------------------------------------------------------------

    @rule()
    def a_program_opens_it_anew(self) -> None:
        self.store.close()
        self.store = self.open()

    @rule()
    def two_programs_have_it_open(self) -> None:
        with self.open() as other:
            assert other.spent() == self.store.spent()

    @rule()
    def a_person_erases_it(self) -> None:
        self.store.erase(self.now)
        assert all(row.ended is None for row in self.store.sessions())

    @rule()
    def it_is_deleted(self) -> None:
        self.store.close()
        for path in self.place.path.parent.iterdir():
            path.unlink()
        had_counted = self.place.known.exists()
        self.store = self.open()
        assert [spent.assumed for spent in self.store.spent()][-1:] == [True] * had_counted
        self._lost(had_counted)

    @rule()
    def it_is_damaged(self) -> None:
        self.store.close()
        self.place.path.write_bytes(b"\xa5" * 9_000)
        self.store = self.open()
        self._lost(is_noticed=True)

    def _lost(self, is_noticed: bool) -> None:
        """The newest use becomes a sitting that just ended; those before it stay known."""
        sitting = (self.true_ms, SITTING_MS)
        for person, used in self.used.items():
            self.used[person] = [*used[:-1], sitting] if is_noticed else []
        self.remembers_min = 39  # of a lost history, what a whole day allows

    # --- what always holds --------------------------------------------------------------------

    @invariant()
    def every_number_is_above_all_that_were_given_before(self) -> None:
        assert self.numbers == sorted(set(self.numbers))

    @invariant()
    def the_history_is_told_in_the_order_it_was_made(self) -> None:
        numbers = [row.id for row in self.store.sessions()]
        assert numbers == sorted(numbers, reverse=True)

    @invariant()
    def nothing_that_was_used_up_within_a_day_is_forgotten(self) -> None:
        for person, uses in self.used.items():
            told = self._within_a_day(self.store.spent(person))
            used = [ms for ended_ms, ms in uses if self.true_ms - ended_ms < DAY_MS]
            assert told >= min(sum(used), self.remembers_min * 60_000)

    def _within_a_day(self, spent: list[Spent]) -> int:
        return sum(
            each.motor_on_ms
            for each in spent
            if each.ended is None or surely_passed_ms(each.ended, self.now) < DAY_MS
        )


TestHistory = History.TestCase
TestHistory.settings = settings(
    max_examples=25 * SOAK, stateful_step_count=25, deadline=None, print_blob=True
)


def test_the_machine_leaves_nothing_open() -> None:
    with ExitStack() as stack:
        machine = History()
        stack.callback(machine.teardown)
        machine.a_session_runs(1_000, simulated=False, ends=True, whose=0)
        machine.it_is_deleted()
        machine.a_session_runs(1_000, simulated=False, ends=True, whose=0)
    assert machine.numbers == [1, 3]
    assert not machine.folder.exists()
