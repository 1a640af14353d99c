"""The session as a pure function, fed with anything in any order: it never raises, and only a
running session within its plan ever asks for a level."""

import os
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_protocol.link import Answered, Told, Unanswered
from firmware_protocol.messages import (
    MESSAGES,
    Command,
    EmergencyStop,
    Event,
    GetLimits,
    GetStatus,
    Hello,
    Identity,
    Limits,
    Nak,
    SetLevel,
    Status,
    Stop,
)
from massager.plan import level_of
from massager.session.caps import Cap
from massager.session.model import (
    Ended,
    Extend,
    HardStop,
    Idle,
    Input,
    Output,
    Pause,
    Paused,
    Preflight,
    Refuse,
    Resume,
    Running,
    SetIntensity,
    SoftStop,
    Start,
    State,
    Stopping,
    Terms,
    Tick,
)
from massager.session.session import step, tick_period_ms
from massager.snapshot import snapshot
from tests.session_examples import (
    CHOICE,
    IDENTITY,
    INPUTS,
    KNEADING,
    LIMITS,
    NOW,
    STATES,
    STATUS,
    STATUS_OFF,
)

SOAK = int(os.environ.get("SOAK", "1"))


def _any_message(cls: type) -> st.SearchStrategy[object]:
    """A message with any values that the wire can carry."""
    (layout,) = [each for each in MESSAGES if each.cls is cls]
    fields = {
        name: st.just(b"sim-0001") if field.code == "8s" else st.integers(field.low, field.high)
        for name, field in layout.fields
    }
    return st.builds(cls, **fields)


commands: st.SearchStrategy[Command] = st.sampled_from(
    (Hello(0, 1, 1, 7), GetLimits(), SetLevel(0, 1500), Stop(), EmergencyStop(), GetStatus())
)
statuses = st.builds(
    replace,
    st.just(STATUS),
    output_permille=st.sampled_from((0, 150, 400, 1000)),
    ceiling_permille=st.sampled_from((150, 622, 1000)),
    state=st.integers(0, 6),
    end_reason=st.sampled_from((0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 9)),
    boot_id=st.sampled_from((1, 1, 1, 1, 2)),
    feet=st.sampled_from((0, 1, 1, 2)),
    faults=st.sampled_from((0, 0, 1, 4, 8, 32, 255)),
)
replies = st.one_of(
    statuses,
    st.just(IDENTITY),
    st.just(LIMITS),
    *(_any_message(cls) for cls in (Identity, Limits, Status, Nak)),
)
inputs: st.SearchStrategy[Input] = st.one_of(
    st.just(Tick()),
    st.just(Tick()),
    st.builds(Answered, commands, replies),
    st.builds(Answered, st.just(SetLevel(0, 1500)), statuses),
    st.builds(Unanswered, commands),
    st.builds(Told, _any_message(Event)),
    st.builds(SetIntensity, st.integers(-5, 15)),
    st.builds(Extend, st.integers(-1_000, 700_000)),
    st.builds(Start, st.sampled_from((CHOICE, replace(CHOICE, program=KNEADING)))),
    st.sampled_from(list(INPUTS.values())),
)
gaps_ms = st.one_of(st.sampled_from((0, 1, 100, 250)), st.integers(0, 20_000))
lives = st.lists(st.tuples(gaps_ms, inputs), max_size=40)
states = st.one_of(st.just(Idle(Terms())), st.sampled_from(list(STATES.values())))


@settings(max_examples=300 * SOAK, deadline=None)
@given(states, lives)
def test_it_never_raises_and_never_asks_for_a_level_it_may_not(
    state: State, life: list[tuple[int, Input]]
) -> None:
    now_ms = NOW
    for gap_ms, event in life:
        now_ms += gap_ms
        before = state
        state, outputs = step(before, event, now_ms)
        assert snapshot(state, now_ms).phase
        assert (tick_period_ms(state) is None) == isinstance(state, Idle | Ended)
        for output in outputs:
            if isinstance(output, SetLevel):
                _judge(state, output)
            if isinstance(output, Refuse):
                assert state == before


def _judge(state: State, output: SetLevel) -> None:
    assert output.lease_ms == 1500
    if output.level_permille == 0:
        return
    assert isinstance(state, Running | Paused)
    course = state.course
    if isinstance(state, Paused):
        assert output.level_permille <= state.fall_from_permille
    else:
        # Never above the strongest that was chosen, and never in the stall zone.
        assert output.level_permille <= level_of(10, course.levels)
        assert output.level_permille >= course.levels.gentlest_permille
        assert course.motor_on_ms < 780_000


wishes: st.SearchStrategy[Input] = st.one_of(
    st.sampled_from((Pause(), Resume(), Extend(60_000), Tick())),
    st.builds(SetIntensity, st.integers(1, 10)),
)
begins = st.sampled_from(
    [each for each in STATES.values() if isinstance(each, Preflight | Running | Paused)]
)


@settings(max_examples=300 * SOAK, deadline=None)
@given(
    begins,
    st.lists(st.tuples(st.integers(1, 30_000), st.integers(1, 10)), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3_000), wishes), max_size=25),
)
def test_whenever_a_cap_begins_the_level_is_below_it_in_time(
    begin: State, later: list[tuple[int, int]], life: list[tuple[int, Input]]
) -> None:
    """Ticks come in time, and the device does what it is asked for. 2 s and a tick are the way
    down, half a second more where a pause comes in between and falls more slowly."""
    assert isinstance(begin, Preflight | Running | Paused)
    caps = [(0, 10), *((NOW + from_ms, cap) for from_ms, cap in sorted(later))]
    terms = Terms(caps=tuple(Cap(from_ms, cap, "quiet") for from_ms, cap in caps))
    state: State = replace(begin, course=replace(begin.course, terms=terms))
    now_ms, intensity = NOW, begin.course.choice.intensity
    for gap_ms, event in life:
        until_ms = now_ms + gap_ms
        while (period_ms := tick_period_ms(state)) and now_ms + period_ms <= until_ms:
            now_ms += period_ms
            state = _obeyed(*step(state, Tick(), now_ms), now_ms, caps)
            if isinstance(state, Preflight | Running | Paused):
                assert state.course.choice.intensity <= intensity  # nobody raises but a person
                intensity = state.course.choice.intensity
        now_ms = until_ms
        state, outputs = step(state, event, now_ms)
        is_refused = any(isinstance(each, Refuse) for each in outputs)
        if isinstance(event, SetIntensity) and not is_refused:
            intensity = event.intensity
        state = _obeyed(state, outputs, now_ms, caps)


def _obeyed(
    state: State, outputs: tuple[Output, ...], now_ms: int, caps: list[tuple[int, int]]
) -> State:
    """With the device's answer to what was asked for."""
    ends = [from_ms for from_ms, _ in caps[1:]]
    lately = [
        cap
        for (from_ms, cap), to_ms in zip(caps, [*ends, now_ms + 1], strict=True)
        if from_ms <= now_ms and to_ms > now_ms - 2_750
    ]
    for output in outputs:
        if isinstance(output, SetLevel):
            level = output.level_permille
            assert level <= 150 + (max(lately) - 1) * 850 / 9 + 1
            status = replace(STATUS_OFF if level == 0 else STATUS, output_permille=level)
            status = replace(status, ceiling_permille=1000)
            state, more = step(state, Answered(output, status), now_ms)
            state = _obeyed(state, more, now_ms, caps)
    return state


@settings(max_examples=200 * SOAK, deadline=None)
@given(states, lives, st.sampled_from((SoftStop(), HardStop())), lives)
def test_after_a_stop_no_level_is_asked_for_whatever_comes(
    state: State,
    life: list[tuple[int, Input]],
    stop: SoftStop | HardStop,
    afterlife: list[tuple[int, Input]],
) -> None:
    now_ms = NOW
    for gap_ms, event in life:
        now_ms += gap_ms
        state, _ = step(state, event, now_ms)
    state, outputs = step(state, stop, now_ms)
    assert isinstance(state, Stopping | Ended)
    assert all(isinstance(each, Stop | EmergencyStop) for each in outputs)
    for gap_ms, event in afterlife:
        now_ms += gap_ms
        state, outputs = step(state, event, now_ms)
        assert isinstance(state, Stopping | Ended)
        for output in outputs:
            assert isinstance(output, Stop | EmergencyStop | GetStatus | Refuse)


@settings(max_examples=100 * SOAK, deadline=None)
@given(states, lives)
def test_ticks_alone_bring_every_session_to_its_end(
    state: State, life: list[tuple[int, Input]]
) -> None:
    """Nobody answers and nobody asks any more."""
    now_ms = NOW
    for gap_ms, event in life:
        now_ms += gap_ms
        state, _ = step(state, event, now_ms)
    for _ in range(2_000):
        period_ms = tick_period_ms(state)
        if period_ms is None:
            break
        now_ms += period_ms
        state, _ = step(state, Tick(), now_ms)
    assert isinstance(state, Idle | Ended)
