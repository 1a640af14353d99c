"""Daemons that find out among themselves who keeps a device; messages by hand, and at random."""

import heapq
import random
from collections.abc import Callable
from functools import partial
from itertools import count

import pytest

from massager.home_assistant.owners import ANSWER_S, ASK_AGAIN_S, Daemon, Ownership, Standing

KEEPING, REFUSED = Standing.KEEPING, Standing.REFUSED


def daemon(name: str, since_ms: int) -> Daemon:
    return Daemon(name, name, "attic", 1, since_ms)


def test_whoever_keeps_a_device_answers_and_is_left_alone_with_it() -> None:
    first, second = Ownership(daemon("a", 1)), Ownership(daemon("b", 2))
    first.ask()
    first.decide()
    answer = first.heard_question(second.ask())
    assert answer is not None
    second.heard_answer(answer)
    second.decide()
    assert (first.standing, second.standing) == (KEEPING, REFUSED)
    assert str(second.other) == "the daemon a on attic (process 1)"


def test_whoever_hears_a_better_question_than_its_own_gives_way() -> None:
    """The other came after this one had asked, and cannot answer what it never heard."""
    young, old = Ownership(daemon("a", 2)), Ownership(daemon("b", 1))
    young.ask()
    assert young.heard_question(old.ask()) is None
    young.decide()
    old.decide()
    assert (young.standing, old.standing) == (REFUSED, KEEPING)


def test_whoever_kept_it_before_the_broker_went_keeps_it_however_often_it_goes() -> None:
    young, old = Ownership(daemon("a", 2)), Ownership(daemon("b", 1))
    young.ask()
    young.decide()
    young.ask()  # the broker was restarted, and is gone again before anybody could answer
    question = young.ask()
    old.ask()
    assert old.heard_question(question) is None
    old.decide()
    young.decide()
    assert (young.standing, old.standing) == (KEEPING, REFUSED)


def test_an_answer_that_comes_late_counts() -> None:
    """Whoever gave it stood still meanwhile, with all that it had."""
    frozen, second = Ownership(daemon("a", 1)), Ownership(daemon("b", 2))
    frozen.ask()
    frozen.decide()
    question = second.ask()
    second.decide()
    answer = frozen.heard_question(question)
    assert answer is not None
    second.heard_answer(answer)
    assert (frozen.standing, second.standing) == (KEEPING, REFUSED)


@pytest.mark.parametrize("found", [b"", b"[]", b"{}", b'{"to": "a"}', b"\xff", b"9" * 2_000])
def test_what_no_daemon_says_changes_nothing(found: bytes) -> None:
    owner = Ownership(daemon("a", 1))
    owner.ask()
    assert owner.heard_question(found) is None
    owner.heard_answer(found)
    assert owner.standing is Standing.ASKING


class House:
    """Some daemons and their broker, which goes and comes; they stand still now and then."""

    def __init__(self, seed: int) -> None:
        self.now_s = 0.0
        self._rng = random.Random(seed)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = count()
        self._round = dict.fromkeys(range(3), 0)  # of each daemon: asked in which connection
        self._frozen_to_s = dict.fromkeys(range(3), 0.0)
        self.owners = [Ownership(daemon("abc"[n], self._rng.randint(1, 3))) for n in range(3)]
        self._is_there = dict.fromkeys(range(3), False)
        for number in range(3):
            self._in(self._rng.uniform(0, 2), partial(self._connect, number))
        for _ in range(self._rng.randint(0, 3)):
            self._in(self._rng.uniform(0, 200), self._restart)
            self._in(self._rng.uniform(0, 200), self._freeze)

    def run(self, until_s: float) -> None:
        while self._due and self._due[0][0] <= until_s:
            self.now_s, _, do = heapq.heappop(self._due)
            do()

    def _in(self, wait_s: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now_s + wait_s, next(self._count), do))

    def _connect(self, number: int) -> None:
        self._is_there[number] = True
        self._round[number] += 1
        self._ask(number, self._round[number])

    def _ask(self, number: int, turn: int) -> None:
        """As the bridge does it: `_ask_around`."""

        def ask() -> None:
            if self._round[number] == turn:
                self._say(number, self.owners[number].ask(), is_answer=False)
                self._in(ANSWER_S, lambda: self._when_awake(number, decide))

        def decide() -> None:
            if self._round[number] == turn:
                self.owners[number].decide()
                later()

        def later() -> None:
            wait_s = ASK_AGAIN_S * (1 - 0.2 * self._rng.random())
            self._in(wait_s, lambda: self._when_awake(number, again))

        def again() -> None:
            if self._round[number] == turn:
                (later if self.owners[number].standing is KEEPING else ask)()

        self._when_awake(number, ask)

    def _say(self, sender: int, payload: bytes, *, is_answer: bool) -> None:
        for number, is_there in self._is_there.items():
            if is_there and number != sender:
                hear = self._hear_answer if is_answer else self._hear_question
                self._in(self._rng.uniform(0, 0.2), partial(hear, number, payload))

    def _hear_question(self, number: int, payload: bytes) -> None:
        def hear() -> None:
            answer = self.owners[number].heard_question(payload)
            if answer is not None and self._is_there[number]:
                self._say(number, answer, is_answer=True)

        self._when_awake(number, hear)

    def _hear_answer(self, number: int, payload: bytes) -> None:
        self._when_awake(number, lambda: self.owners[number].heard_answer(payload))

    def _when_awake(self, number: int, do: Callable[[], None]) -> None:
        wait_s = self._frozen_to_s[number] - self.now_s
        if wait_s > 0:
            self._in(wait_s + self._rng.uniform(0, 0.01), do)
        else:
            do()

    def _restart(self) -> None:
        """Everybody is back at a time of its own, or never was away for long."""
        for number in self._is_there:
            self._is_there[number] = False
            self._round[number] += 1
            self._in(self._rng.uniform(0.1, 4), partial(self._connect, number))

    def _freeze(self) -> None:
        """Shorter than a broker's patience."""
        number = self._rng.randrange(3)
        self._frozen_to_s[number] = self.now_s + self._rng.uniform(0, 25)


@pytest.mark.parametrize("seed", range(300))
def test_in_the_end_one_daemon_keeps_the_device_and_no_other(seed: int) -> None:
    house = House(seed)
    house.run(400)
    assert sorted(owner.standing.value for owner in house.owners) == [
        *("keeping", "refused", "refused")
    ]
