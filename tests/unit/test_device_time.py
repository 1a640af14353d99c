"""How the time is cut must not matter: ticks at any time, or only at the deadlines, or none."""

from dataclasses import dataclass
from struct import pack

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.device import Device, DeviceConfig, TraceRow


@dataclass(frozen=True)
class Act:
    kind: str
    value: int
    after_ms: int


acts = st.builds(
    Act,
    st.sampled_from(
        ["level"] * 6
        + ["hello"] * 2
        + ["stop", "estop", "clear", "feet", "button", "break", "mend"]
    ),
    st.one_of(st.integers(0, 1000), st.sampled_from([0, 150, 1000])),
    st.one_of(st.integers(0, 3), st.integers(0, 600), st.integers(0, 70_000)),
)
lives = st.lists(acts, max_size=25).map(lambda rest: [Act("hello", 1, 0), *rest])
BREAKABLE = ("stall", "overheat", "stuck_sensor", "stuck_on", "over_current")


class Life:
    """One device that lives through a list of acts."""

    def __init__(self) -> None:
        self.device = Device(DeviceConfig())
        self.frames = self.device.tick(0)
        self.now_ms = 0
        self.token = 0
        self.sequence = 1

    def tick(self, now_ms: int) -> None:
        self.frames += self.device.tick(now_ms)

    def send(self, raw: bytes) -> None:
        answers = self.device.on_frame(raw, self.now_ms)
        self.frames += answers
        for answer in answers:
            if answer[1] == 0x81:
                self.token = int.from_bytes(answer[3:5], "little")

    def do(self, act: Act) -> None:
        self.sequence = self.sequence % 255 + 1
        match act.kind:
            case "level":
                self.send(pack("<BBBHHH", 1, 3, self.sequence, self.token, act.value, 5000))
            case "hello":
                self.send(pack("<BBBHBBBI", 1, 1, self.sequence, 0, 0, 1, 1, act.value))
            case "stop":
                self.send(pack("<BBBH", 1, 4, self.sequence, 0))
            case "estop":
                self.send(pack("<BBBH", 1, 5, self.sequence, 0))
            case "clear":
                self.send(pack("<BBBHH", 1, 6, self.sequence, self.token, act.value % 4))
            case "feet":
                self.device.set_feet(act.value % 2 == 0, self.now_ms)
            case "button":
                self.device.press_button(self.now_ms)
            case "break":
                self.device.inject(BREAKABLE[act.value % 5], self.now_ms)
            case "mend":
                self.device.inject("clear", self.now_ms)


def trace_of(life: list[Act], cuts: list[int] | None) -> tuple[list[TraceRow], list[bytes]]:
    """`cuts`: ticks at these times besides; None for a tick at every deadline instead."""
    one = Life()
    for act in life:
        until_ms = one.now_ms + act.after_ms
        if cuts is None:
            while (at_ms := one.device.next_deadline_ms()) is not None and at_ms <= until_ms:
                one.tick(at_ms)
        else:
            for cut in cuts:
                if one.now_ms <= cut <= until_ms:
                    one.tick(cut)
        one.now_ms = until_ms
        one.do(act)
    one.tick(one.now_ms + 100_000)
    return one.device.take_trace(), one.frames


def events_of(frames: list[bytes]) -> list[bytes]:
    return [raw for raw in frames if raw[1] == 0x85]


@settings(max_examples=80, deadline=None)
@given(lives, st.lists(st.integers(0, 200_000), max_size=30).map(sorted))
def test_ticks_in_between_change_neither_trace_nor_frames(life: list[Act], cuts: list[int]) -> None:
    assert trace_of(life, cuts) == trace_of(life, [])


@settings(max_examples=60, deadline=None)
@given(lives)
def test_ticking_at_the_deadlines_changes_nothing_but_when_events_are_sent(life: list[Act]) -> None:
    rows, frames = trace_of(life, None)
    jumped_rows, jumped_frames = trace_of(life, [])
    assert rows == jumped_rows
    assert events_of(frames) == events_of(jumped_frames)


@settings(max_examples=150, deadline=None)
@given(lives)
def test_in_any_life_the_trace_keeps_the_invariants(life: list[Act]) -> None:
    rows, _ = trace_of(life, [])
    earned_ms, earned = 0, 150.0
    before = rows[0]
    for row in rows:
        if row.output:
            assert row.token or row.state == "stopping"
            assert row.state not in {"idle", "ready", "resting", "latched"}
            assert row.output >= 150
            assert before.output or row.output == 150
            earned = earned + 0.025 * (row.device_ms - earned_ms) if before.output else 150.0
            assert row.output <= earned + 0.001
        assert row.why != "internal"
        assert row.device_ms >= before.device_ms
        earned_ms, before = row.device_ms, row
