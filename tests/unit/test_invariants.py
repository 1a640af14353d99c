"""A judge that cannot find guilt is no judge: each hand-made bad trace must be caught."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from simulator.device import TraceRow
from tests.invariants import Judge, check_trace

TOKEN = 0x0101  # boot 1, first session


def row(
    ms: int,
    why: str,
    output: int = 0,
    *,
    setpoint: int = 150,
    ceiling: int = 150,
    state: str = "running",
    token: int = TOKEN,
    lease: int = 1500,
    boot: int = 1,
) -> TraceRow:
    if state == "idle":
        token = setpoint = lease = 0
    return TraceRow(ms, boot, token, state, setpoint, ceiling, output, lease, why)


def boot(ms: int = 0, number: int = 1) -> TraceRow:
    return row(ms, "boot", state="idle", boot=number)


def hello(ms: int, token: int = TOKEN, output: int = 0) -> TraceRow:
    return row(ms, "hello", output, setpoint=0, lease=0, token=token, state="ready")


STARTED = [boot(), hello(10), row(20, "set_level"), row(21, "gate", 150)]


def ticks(from_ms: int, to_ms: int, output: int = 150) -> list[TraceRow]:
    """The motor runs on; a setpoint every second keeps the lease."""
    return [
        row(ms, "set_level" if ms % 1000 == 0 else "tick", output)
        for ms in range(from_ms, to_ms + 1, 100)
    ]


def test_a_good_trace_is_innocent() -> None:
    rows = [
        *STARTED,
        *ticks(100, 500),
        row(500, "set_level", 150, setpoint=400),
        row(540, "gate", 151, setpoint=400, ceiling=151),
        row(550, "stop", 151, setpoint=0, ceiling=151, state="stopping", token=0, lease=0),
        row(553, "gate", 0, state="idle"),
        row(90_000, "hello", setpoint=0, lease=0, token=0x0102, state="ready"),
        row(90_010, "set_level", token=0x0102),
        row(90_011, "gate", 150, token=0x0102),
        row(90_050, "reboot", state="idle"),
        boot(90_350, 2),
        row(91_000, "hello", setpoint=0, lease=0, token=0x0201, state="ready", boot=2),
    ]
    assert check_trace(rows, until_ms=100_000) == []


BAD: dict[str, tuple[str, list[TraceRow]]] = {
    "I1 without a session": ("I1", [boot(), row(20, "gate", 150, token=0)]),
    "I1 with a token of another boot": (
        "I1",
        [boot(), hello(10, 0x0201), row(20, "set_level", token=0x0201)],
    ),
    "I1 with a token that was not issued": (
        "I1",
        [*STARTED, row(60, "tick", 150, token=0x0105)],
    ),
    "I1 while latched": ("I1", [*STARTED, row(60, "tick", 150, state="latched")]),
    "I2 first level above the gentlest": (
        "I2",
        [boot(), hello(10), row(20, "set_level", setpoint=200), row(21, "gate", 151, setpoint=200)],
    ),
    "I2 in the stall zone": ("I2", [*STARTED, row(60, "gate", 149)]),
    "I3 ceiling earned too fast": (
        "I3",
        [
            *STARTED,
            row(60, "set_level", 150, setpoint=400),
            *(row(100 + 40 * n, "gate", 150 + n, setpoint=400, ceiling=150 + n) for n in range(3)),
            row(219, "gate", 154, setpoint=400, ceiling=154),
        ],
    ),
    "I3 ceiling that creeps a permille a millisecond": (
        "I3",
        [
            *STARTED,
            row(9_000, "set_level", 150, setpoint=400),
            *(row(9_000 + n, "gate", 150 + n, setpoint=400, ceiling=150 + n) for n in range(1, 4)),
        ],
    ),
    "I3 output above its ceiling": (
        "I3",
        [*STARTED, row(60, "set_level", 150, setpoint=400), row(99, "gate", 151, setpoint=400)],
    ),
    "I3 a jump inside the ceiling": (
        "I3",
        [
            *STARTED,
            row(60, "set_level", 150, setpoint=300),
            *(
                row(60 + 40 * n, "gate", 150 + n, setpoint=300, ceiling=150 + n)
                for n in range(1, 101)
            ),
            row(4_080, "set_level", 250, setpoint=150, ceiling=250),
            row(4_081, "gate", 150, setpoint=150, ceiling=250),
            row(4_090, "set_level", 150, setpoint=300, ceiling=250),
            row(4_100, "gate", 165, setpoint=300, ceiling=250),
        ],
    ),
    "I3 a ceiling that lies": (
        "I3",
        [
            boot(),
            hello(10),
            row(20, "set_level", setpoint=900, ceiling=900),
            row(21, "gate", 150, setpoint=900, ceiling=900),
            row(31, "gate", 155, setpoint=900, ceiling=900),
        ],
    ),
    "I4 above the setpoint": (
        "I4",
        [*STARTED, row(60, "set_level", 150, setpoint=0), row(70, "tick", 150, setpoint=0)],
    ),
    "I5 the controller's 13 minutes": ("I5: the controller", [*STARTED, *ticks(100, 780_200)]),
    "I5 the device's 15 minutes": ("I5: the device", [*STARTED, *ticks(100, 902_000)]),
    "I5 a rest of 59 s is none": (
        "I5: the device",
        [
            *STARTED,
            *ticks(100, 600_000),
            row(600_001, "gate", 0),
            row(659_000, "set_level"),
            row(659_001, "gate", 150),
            *ticks(659_100, 962_000),
        ],
    ),
    "I7 still running after the lease": ("I7", [*STARTED, *ticks(100, 900), *ticks(2_901, 2_901)]),
    "I7 not at 0 a second after the lease": (
        "I7",
        [
            *STARTED,
            *(row(n, "tick", 150) for n in range(100, 1_600, 100)),
            *(row(n, "tick", 150, state="stopping") for n in range(1_600, 2_700, 100)),
        ],
    ),
    "I7 a lease beyond 5 s": ("I7", [*STARTED, row(60, "set_level", 150, lease=5_001)]),
    "I8 not at 0 two seconds after a stop": (
        "I8",
        [
            *STARTED,
            row(60, "stop", 150, state="stopping", token=0),
            *(row(n, "tick", 150, state="stopping", token=0) for n in range(160, 2_200, 100)),
        ],
    ),
    "I8 on after an emergency stop": (
        "I8",
        [*STARTED, row(60, "emergency_stop", 150, state="latched", token=0)],
    ),
    "I8 on after a fault": ("I8", [*STARTED, row(60, "stall", 150, state="stopping", token=0)]),
    "I8 a setpoint after a stop": (
        "I8",
        [*STARTED, row(60, "stop", 0), row(70, "set_level")],
    ),
    "I8 motion after a stop": (
        "I8",
        [*STARTED, row(60, "stop", 0, token=0), row(70, "gate", 150)],
    ),
    "I8 a rise in a fall": (
        "I8",
        [
            *STARTED,
            row(60, "stop", 150, state="stopping", token=0),
            row(61, "gate", 151, state="stopping", token=0),
        ],
    ),
    "I8 motion in a new session without a setpoint": (
        "I8",
        [*STARTED, row(60, "gate", 0), hello(70, 0x0102), row(80, "gate", 150, token=0x0102)],
    ),
    "I10 on after a boot": ("I10", [row(0, "tick", 150)]),
    "I10 motion after a boot with the old token": (
        "I1",
        [*STARTED, row(60, "reboot", 0, state="idle"), boot(360, 2), row(400, "gate", 150, boot=2)],
    ),
    "I10 a setpoint after a boot without a start": (
        "I8",
        [*STARTED, row(60, "reboot", 0), boot(360, 2), row(400, "set_level", boot=2)],
    ),
    "I10 on while rebooting": ("I8: reboot", [*STARTED, row(60, "reboot", 150)]),
    "I10 on after the feet were lifted": (
        "I10",
        [
            *STARTED,
            row(60, "feet_lifted", 150, state="stopping"),
            *(
                row(n, "set_level", 150, setpoint=0, state="stopping")
                for n in range(100, 2_200, 100)
            ),
        ],
    ),
    "I10 a setpoint before the feet are back": (
        "I10",
        [
            *STARTED,
            row(60, "feet_lifted", 0),
            row(70, "set_level", setpoint=0),
            row(80, "feet_back"),
            row(90, "set_level", setpoint=150),
        ],
    ),
    "I11 a new owner inherits a moving motor": (
        "I11",
        [
            *STARTED,
            hello(60, 0x0102, output=150),
            *(row(n, "tick", 150, state="stopping", token=0x0102) for n in range(160, 2_200, 100)),
        ],
    ),
    "a word nobody knows": ("unknown word", [boot(), row(10, "party")]),
    "time that goes back": ("time went back", [boot(10), hello(9)]),
    "a motor nobody reports": ("100 ms", [*STARTED, row(200, "tick", 150)]),
}


@pytest.mark.parametrize("name", BAD)
def test_each_breach_is_found_and_named(name: str) -> None:
    invariant, rows = BAD[name]
    assert any(invariant in violation for violation in check_trace(rows))


def test_a_motor_that_is_on_at_the_end_and_silent_is_found() -> None:
    assert check_trace(STARTED, until_ms=121) == []
    assert len(check_trace(STARTED, until_ms=122)) == 1


def test_a_cap_below_the_device_s_own_is_judged() -> None:
    rows = [
        *STARTED,
        row(60, "set_level", 150, setpoint=200),
        row(100, "gate", 151, setpoint=200, ceiling=151),
    ]
    assert check_trace(rows, cap_permille=151) == []
    assert [text[:2] for text in check_trace(rows, cap_permille=150)] == ["I4"]


def test_a_cap_that_begins_must_be_kept_6250_ms_later() -> None:
    def judged(ms: int, output: int, cap_permille: int = 150) -> list[str]:
        judge = Judge()
        judge.cap_from(1_000, cap_permille)
        judge.cap_from(20_000, 1000)
        higher = row(ms, "tick", output, setpoint=200, ceiling=200)
        for each in (*STARTED, *ticks(100, ms - 100), higher):
            judge.see(each)
        return [text for text in judge.violations if text[:2] == "I4"]

    assert judged(7_200, 151) == []
    assert len(judged(7_300, 151)) == 1
    assert judged(7_300, 150) == []
    assert judged(7_300, 151, cap_permille=151) == []
    assert judged(20_000, 151) == []


def test_another_gentlest_level_is_judged() -> None:
    rows = [boot(), hello(10), row(20, "set_level", setpoint=300, ceiling=200)]
    assert check_trace([*rows, row(21, "gate", 200, setpoint=300, ceiling=200)], gentlest=200) == []
    assert check_trace([*rows, row(21, "gate", 150, setpoint=300, ceiling=150)], gentlest=200)


def test_a_pause_does_not_begin_a_new_sitting_but_a_new_run_of_the_controller_does() -> None:
    judge = Judge()
    for seen in [*STARTED, *ticks(100, 700_000), row(700_001, "gate", 0)]:
        judge.see(seen)
    for seen in [row(760_100, "set_level"), row(760_101, "gate", 150), *ticks(760_200, 840_100)]:
        judge.see(seen)
    assert judge.motor_on_ms == 779_979
    judge.new_sitting(1000)
    assert judge.motor_on_ms == 0
    assert judge.violations == []


@pytest.mark.parametrize(
    "change",
    [
        lambda good: replace(good, output=good.output + 40),
        lambda good: replace(good, token=good.token + 1),
        lambda good: replace(good, boot=good.boot + 1, token=good.token),
    ],
)
def test_one_wrong_row_in_the_middle_is_found(change: Callable[[TraceRow], TraceRow]) -> None:
    rows = [*STARTED, *ticks(100, 5_000)]
    assert check_trace(rows) == []
    rows[30] = change(rows[30])
    assert check_trace(rows)
