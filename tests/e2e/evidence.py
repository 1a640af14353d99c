"""What a device's trace and a history say of the same evening, and where they do not agree.

Sessions are told apart by the seconds of their warm-up: a test gives each start its own (`Marks`),
and finds it again in the row.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from massager.history.file import Place
from massager.history.records import UNKNOWN_END, SessionRow
from massager.history.store import Store
from simulator.device import TraceRow
from tests.e2e.simulator_process import SimulatorProcess
from tests.invariants import check_trace

# A row may count less than the motor ran by this much, in ms of the device: what a confirmed end
# can be late, rounded up. Without a confirmed end a row counts more than it says: at real speed
# 3,500 ms, else the 6 s of a faster device's lease and fall, and a second of ours.
SHORT_MS = 100


@dataclass
class Marks:
    """Draws a warm-up for each start: 60.001 s, 60.002 s …"""

    drawn: int = 0

    def next(self) -> float:
        """One that no other start of this test has."""
        self.drawn += 1
        return 60 + self.drawn / 1000


@dataclass
class Turn:
    """What the motor did for one HELLO. Nanoseconds of this computer's monotonic clock."""

    hello_ns: int
    first_ns: int = 0
    last_ns: int = 0  # the motor was on until then
    on_ms: int = 0  # by the device's clock


@dataclass(frozen=True)
class Written:
    """A row, and which history it stands in."""

    row: SessionRow
    history: str = ""
    began_ns: int = 0
    ended_ns: int = 0

    @property
    def mark(self) -> float:
        """Of the start that it belongs to."""
        return self.row.warmup_s

    @property
    def is_unseen(self) -> bool:
        """Whether its program ended without a word."""
        return self.row.stop_reason == UNKNOWN_END

    @property
    def may_have_moved(self) -> bool:
        """Whether it says so, or cannot know."""
        return self.row.motor_on_ms > 0 or self.is_unseen

    @property
    def counts_ms(self) -> int:
        """Of the dose."""
        if self.row.output_confirmed:
            return self.row.motor_on_ms
        speed = self.row.speed
        return self.row.motor_on_ms + (3_500 if speed == 1 else 6_000 + 1_000 * speed)


@dataclass
class Evidence:
    """The trace of one device; `written` are all rows of all histories about it."""

    trace: list[dict[str, Any]]
    written: list[Written]
    slack_ns: int = 1_000_000_000
    moved: dict[float, list[Turn]] = field(default_factory=dict)  # by mark

    def __post_init__(self) -> None:
        for turn in turns_of(self.trace):
            if turn.on_ms:
                row = self._row_of(turn)
                self.moved.setdefault(row.mark, []).append(turn)

    def _row_of(self, turn: Turn) -> Written:
        newest: dict[str, Written] = {}  # of each history, that had begun
        for each in self.written:
            if each.began_ns <= turn.hello_ns:
                newest[each.history] = each
        found = [
            each
            for each in newest.values()
            if turn.hello_ns <= each.ended_ns + (each.is_unseen * self.slack_ns)
            and turn.last_ns <= each.ended_ns + self._slack_of(each)
            and each.may_have_moved
        ]
        assert found, (turn, self.written)  # it moved, and no row says so
        # Two daemons at once: the later one has taken the device.
        return max(found, key=lambda each: each.began_ns)

    def _slack_of(self, each: Written) -> int:
        """The row of an end that the device has confirmed covers all of the motion."""
        return 10_000_000 if each.row.output_confirmed else self.slack_ns

    def check_motor_time(self, over_ms: int) -> None:
        """Each row counts at least what the motor ran, and at most `over_ms` more for each turn."""
        for each in self.written:
            turns = self.moved.get(each.mark, ())
            on_ms = sum(turn.on_ms for turn in turns)
            assert each.counts_ms >= on_ms - SHORT_MS, (on_ms, each)
            assert each.row.motor_on_ms <= on_ms + over_ms * max(1, len(turns)), (on_ms, each)


def turns_of(trace: Iterable[dict[str, Any]]) -> list[Turn]:
    """One for each session that the device has opened; what still falls is the last one's."""
    turns: list[Turn] = []
    owner: Turn | None = None  # whose motion it is
    last: dict[str, Any] | None = None
    for row in trace:
        if last is not None and last["output"] and owner is not None:
            owner.on_ms += row["device_ms"] - last["device_ms"]
            owner.last_ns = row["mono_ns"]
        if row["why"] == "hello":
            turns.append(Turn(row["mono_ns"]))
        if turns and not row["output"]:
            owner = turns[-1]
        if row["output"]:
            assert owner is not None, row
            owner.first_ns = owner.first_ns or row["mono_ns"]
        last = row
    return turns


def breaches(simulator: SimulatorProcess, cap_permille: int = 1000) -> list[str]:
    """What the invariants have against its trace, over several sittings."""
    rows = [
        TraceRow(**{name: value for name, value in row.items() if name != "mono_ns"})
        for row in simulator.trace()
    ]
    return check_trace(rows, cap_permille=cap_permille, sitting_ms=None)


def is_turning(simulator: SimulatorProcess) -> bool:
    """Whether its newest row has an output."""
    trace = simulator.trace()
    return bool(trace and trace[-1]["output"])


def place_in_home(folder: Path) -> Place:
    """The history of whoever lives in `folder`."""
    data, config = (folder / name / "massager" for name in ("data", "config"))
    return Place(data / "history.db", config / "history.known")


def written_in(folder: Path, history: str = "") -> list[Written]:
    """Every row, in the order of its counter; the program that wrote them may still run."""
    with Store.read(place_in_home(folder)) as store:
        rows = sorted(store.sessions(), key=lambda row: row.id)
    return list(_written(rows, history))


def _written(rows: Sequence[SessionRow], history: str) -> Iterator[Written]:
    ahead_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    for row in rows:
        ended = row.ended or row.seen
        began_ns, ended_ns = (
            stamp.boot_ms * 1_000_000 - ahead_ns for stamp in (row.started, ended)
        )
        yield Written(row, history, began_ns - 1_000_000, ended_ns + 1_000_000)
