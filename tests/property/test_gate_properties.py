"""The motor gate against a model that counts every millisecond, written out from the rules."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.gate import Gate

GENTLEST = 150


@dataclass
class EveryMillisecond:
    """The gate's definition, literally: one loop round per millisecond, in 1/1000 ‰."""

    gentlest: int
    setpoint: int = 0
    output: int = 0
    ceiling: int = 0
    below_ms: int = 0
    rate: int = 0

    def step(self) -> None:
        target = self.setpoint if self.setpoint >= self.gentlest else 0
        if self.output == 0:
            self.ceiling = self.gentlest
            self.below_ms = 0
        elif target >= self.ceiling:
            self.below_ms = 0
            self.ceiling = min(target, self.ceiling + 25)
        else:
            self.below_ms += 1
            if self.below_ms > 15000:
                self.ceiling = max(target or self.gentlest, self.ceiling - 25, self.gentlest)
        if self.rate:
            self.output -= self.rate
            if self.output < self.gentlest:
                self.output = 0
                self.rate = 0
            return
        allowed = min(target, self.ceiling)
        if allowed == 0:
            self.output = 0
        elif self.output == 0:
            self.output = self.gentlest
        elif allowed > self.output:
            self.output = min(allowed, self.output + 500)
        else:
            self.output = allowed

    def apply(self, action: "Action") -> None:
        match action.kind:
            case "follow":
                if self.rate == 0:
                    self.setpoint = action.value * 1000
            case "fall" | "start over":
                self.setpoint = 0
                if self.output:
                    self.rate = max(self.rate, 1000 if action.value > 500 else 500)
                if action.kind == "start over":
                    self.ceiling, self.below_ms = self.gentlest, 0
            case "cut":
                self.setpoint = self.output = self.rate = 0

    def seen(self) -> tuple[int, int, bool]:
        return self.output, self.ceiling if self.output else self.gentlest, self.rate > 0


@dataclass(frozen=True)
class Action:
    kind: str
    value: int
    then_ms: int


def apply(gate: Gate, action: Action) -> None:
    match action.kind:
        case "follow":
            gate.follow(action.value)
        case "fall":
            gate.fall(1000 if action.value > 500 else 500)
        case "cut":
            gate.cut()
        case "start over":
            gate.start_over(1000 if action.value > 500 else 500)


def seen(gate: Gate) -> tuple[int, int, bool]:
    return gate.motion.output, gate.motion.ceiling, gate.is_falling


levels = st.one_of(st.integers(0, 1000), st.sampled_from([0, 1, 149, 150, 151, 175, 999, 1000]))
waits = st.one_of(
    st.integers(0, 5), st.integers(0, 2000), st.integers(14_900, 15_100), st.integers(0, 60_000)
)
actions = st.builds(
    Action, st.sampled_from(["follow"] * 6 + ["fall", "cut", "start over"]), levels, waits
)
histories = st.lists(actions, min_size=1, max_size=8)
gentlest_levels = st.one_of(st.just(GENTLEST), st.integers(1, 1000))


@settings(max_examples=150, deadline=None)
@given(histories, gentlest_levels)
def test_the_gate_equals_the_model_that_counts_every_millisecond(
    history: list[Action], gentlest: int
) -> None:
    gate, model = Gate(gentlest), EveryMillisecond(gentlest * 1000)
    for action in history:
        apply(gate, action)
        model.apply(action)
        gate.advance(action.then_ms)
        for _ in range(action.then_ms):
            model.step()
        assert seen(gate) == model.seen()


@settings(max_examples=300, deadline=None)
@given(histories, st.data())
def test_it_does_not_matter_how_the_time_is_cut(history: list[Action], data: st.DataObject) -> None:
    whole, cut = Gate(GENTLEST), Gate(GENTLEST)
    for action in history:
        apply(whole, action)
        apply(cut, action)
        whole.advance(action.then_ms)
        first = data.draw(st.integers(0, action.then_ms))
        cut.advance(first)
        cut.advance(action.then_ms - first)
        assert cut.motion == whole.motion
        assert cut.is_falling == whole.is_falling


@settings(max_examples=100, deadline=None)
@given(histories)
def test_walking_from_change_to_change_misses_none(history: list[Action]) -> None:
    gate, model = Gate(GENTLEST), EveryMillisecond(GENTLEST * 1000)
    for action in history:
        apply(gate, action)
        model.apply(action)
        left = action.then_ms
        while left:
            before = model.output // 1000
            passed = gate.advance_to_change(left)
            for _ in range(passed - 1):
                model.step()
                assert model.output // 1000 == before
            model.step()
            assert seen(gate) == model.seen()
            assert passed == left or gate.output_permille != before
            left -= passed


@settings(max_examples=200, deadline=None)
@given(histories)
def test_whatever_is_asked_a_rise_is_slow_and_starts_at_the_gentlest(history: list[Action]) -> None:
    gate = Gate(GENTLEST)
    earned = 150_000  # what may have been earned at most, from the rule alone
    for action in history:
        apply(gate, action)
        left = action.then_ms
        while left:
            before = gate.motion.output
            passed = gate.advance_to_change(left)
            now = gate.motion.output
            left -= passed
            earned = 150_000 if before == 0 else earned + 25 * passed
            assert now <= earned
            assert now == 0 or now >= 150_000
            assert before or now in (0, 150_000)
            assert now - before <= 500 * passed or before == 0
