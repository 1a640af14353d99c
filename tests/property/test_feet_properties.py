"""The whole way, from the permit to the motor: real controllers and devices, evening after evening.

What counts is the motor's own trace in true time. What is recorded is what the controller knew;
the clocks of the computer go wrong in between.
"""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from massager.dose import Use, assess, need_ms, refusal
from massager.session.model import (
    Ended,
    Extend,
    HardStop,
    Pause,
    Permit,
    Resume,
    SetIntensity,
    SoftStop,
    StopReason,
    Terms,
)
from tests.moments import DAY, HOUR, MINUTE, At, Computer, Feet
from tests.world import World, choice

wishes = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from((0.02, 0.1, 0.3, 1, 7, 60, 200, 290))),
    st.sampled_from(
        (
            ("pause", 0.0),
            ("resume", 0.0),
            ("extend", 60.0),
            ("extend", 300.0),
            ("stronger", 10.0),
            ("unplug", 3.0),
            ("unplug", 9.0),
            ("unplug", 20.0),
        )
    ),
)
ends = st.sampled_from(("plan", "plan", "stop", "emergency", "killed"))
rests = st.sampled_from((0, MINUTE, 9 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY - HOUR))
clocks = st.sampled_from(("right", "right", "a day on", "a day back", "reboot", "reboot, 1970"))


@dataclass
class Evenings:
    """One person's feet on one computer."""

    computer: Computer = field(default_factory=Computer)
    uses: list[Use] = field(default_factory=list)
    feet: Feet = field(default_factory=Feet)

    def session(
        self, minutes: int, wished: list[tuple[str, float]], end: str, seed: int
    ) -> StopReason | None:
        """Start one, if it may, and let it come to its end. Why it ended; None: it was refused."""
        chosen = choice(8, minutes * MINUTE, 60_000, program="tapping")
        allowance = assess(self.uses, self.computer.now())
        if refusal(allowance, chosen, str) is not None:
            assert need_ms(chosen) > allowance.left_ms
            return None
        permit = Permit(None, allowance.left_ms)
        begin, began = self.computer.true_ms, self.computer.now()
        with World(seed=seed, terms=Terms(as_real=True, permit=permit), sitting_ms=None) as world:
            assert world.start(8, massage_ms=minutes * MINUTE, warmup_ms=60_000) is None
            for wish, how in wished:
                _wish(world, wish, how)
            seen_at, seen_ms = world.now_ms, world.seen.motor_on_ms
            reason = _end(world, end)
            self.computer.pass_(world.now_ms)
            assert world.check() == []
            on_ms, known_ms = world.judge.motor_on_ms, world.seen.motor_on_ms
            confirmed = bool(world.seen.output_confirmed)
        ended = self.computer.now()
        if end == "killed" and reason is None:
            known_ms = seen_ms
            ended = At(ended.utc_ms, ended.boot, began.boot_ms + seen_at, ended.synchronised)
        self.uses.append(Use(known_ms, began, ended, seen_end=confirmed))
        assert self.uses[-1].counts_ms >= on_ms
        self.feet.sessions.append((begin, self.computer.true_ms, on_ms))
        assert on_ms <= allowance.left_ms
        return reason

    def rest(self, rest_ms: int, clock: str) -> None:
        """Rest, and something happens to the clock."""
        computer = self.computer
        match clock:
            case "a day on":
                computer.set_clock(DAY)
            case "a day back":
                computer.set_clock(-DAY)
            case "reboot":
                computer.reboot(rest_ms)
                computer.synchronise()
                return
            case "reboot, 1970":
                computer.reboot(rest_ms, -20_000 * DAY)
                return
        computer.pass_(rest_ms)


def _wish(world: World, wish: str, how: float) -> None:
    match wish:
        case "wait":
            world.run(how)
        case "pause":
            world.request(Pause())
        case "resume":
            world.request(Resume())
        case "extend":
            world.request(Extend(round(how * 1000)))
        case "stronger":
            world.request(SetIntensity(round(how)))
        case "unplug":
            world.device(fault="unplug", ms=round(how * 1000))


def _end(world: World, end: str) -> StopReason | None:
    if end == "killed" and not isinstance(world.state, Ended):
        world.run(1)  # the last second, that nobody has written down
        world.await_(world.controller.close())
        world.run(5)
        return None
    if end == "stop":
        world.request(SoftStop())
    elif end == "emergency":
        world.request(HardStop())
    ended = world.run_until_ended(3_000)
    world.run(5)
    return ended.reason


sessions = st.tuples(
    st.just("session"), st.sampled_from((5, 5, 7, 10)), st.lists(wishes, max_size=6), ends
)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.one_of(sessions, st.tuples(st.just("rest"), rests, clocks)), max_size=14),
    st.integers(0, 10_000),
)
def test_whatever_is_wished_and_whatever_the_clocks_do_the_motor_keeps_the_limits(
    evening: list[tuple[object, ...]], seed: int
) -> None:
    evenings = Evenings()
    for what in evening:
        match what:
            case ("session", int(minutes), list(wished), str(end)):
                evenings.session(minutes, wished, end, seed)
            case ("rest", int(rest_ms), str(clock)):
                evenings.rest(rest_ms, clock)
    evenings.feet.check()


@settings(max_examples=60, deadline=None)
@given(st.lists(wishes, max_size=4), ends, st.integers(0, 10_000))
def test_no_session_however_short_counts_for_less_than_the_motor_ran(
    wished: list[tuple[str, float]], end: str, seed: int
) -> None:
    Evenings().session(5, wished, end, seed)


def test_a_sitting_in_two_sessions_ends_at_13_minutes_by_the_motor_s_own_trace() -> None:
    evenings = Evenings()
    assert evenings.session(5, [], "plan", 1) is StopReason.COMPLETED
    # The second would fit, but for its many pauses: each falls, and rises again.
    pauses = [("wait", 7.0), ("pause", 0.0), ("wait", 1.0), ("resume", 0.0)] * 40
    assert evenings.session(5, pauses, "plan", 2) is StopReason.SITTING_LIMIT
    used = sum(on for _, _, on in evenings.feet.sessions)
    assert 760_000 < used <= 780_000
    assert evenings.session(5, [], "plan", 3) is None
    evenings.rest(10 * MINUTE, "a day back")
    assert evenings.session(5, [], "plan", 4) is StopReason.COMPLETED
    evenings.feet.check()
