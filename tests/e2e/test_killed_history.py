"""Programs that are killed with -9 while they write the history: what was acknowledged is there.

`KILLS=500` makes it the long form (`make soak`).
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from massager.history import stamps
from massager.history.records import UNKNOWN_END
from massager.history.store import Store
from tests.history_examples import NEW, place_in

ROOT = Path(__file__).parent.parent.parent
KILLS = int(os.environ.get("KILLS", "6"))
SEED = 20_261_121


@pytest.mark.timeout(60 + KILLS * 10)
def test_no_acknowledged_row_is_lost_by_a_kill(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    ended: set[int] = set()
    begun: set[int] = set()
    for _ in range(KILLS):
        said = _killed(tmp_path, lines=rng.randrange(2, 60), pause_ms=rng.uniform(0, 3))
        new_begun, sampled, new_ended = _read(said)
        begun |= new_begun
        ended |= new_ended
        with Store.open(place_in(tmp_path), stamps.now()) as store:
            assert store.notices == []
            rows = {row.id: row for row in store.sessions()}
            assert begun <= set(rows)
            assert {rows[number].stop_reason for number in ended} <= {"completed"}
            for number, elapsed_ms in sampled:
                newest = max(sample.elapsed_ms for sample in store.samples(number))
                assert newest >= elapsed_ms
                assert rows[number].motor_on_ms >= elapsed_ms
            left = [row for row in rows.values() if row.stop_reason != "completed"]
            assert {row.stop_reason for row in left} <= {UNKNOWN_END}
            assert all(not row.output_confirmed for row in left)
            assert sorted(rows) == [*range(1, len(rows) + 1)]  # nothing is given twice or left out


def test_two_programs_that_write_at_once_lose_nothing_when_one_is_killed(tmp_path: Path) -> None:
    survivor = _child(tmp_path)
    try:
        begun, _, ended = _read(_killed(tmp_path, lines=40, pause_ms=0))
    finally:
        survivor.kill()
        rest = survivor.communicate(timeout=30)[0]
    more_begun, _, more_ended = _read(rest.splitlines()[:-1])
    with Store.open(place_in(tmp_path), stamps.now()) as store:
        rows = {row.id: row for row in store.sessions()}
    assert begun | more_begun <= set(rows)
    assert not begun & more_begun
    assert {rows[number].stop_reason for number in ended | more_ended} == {"completed"}


def test_a_kill_in_the_middle_leaves_a_use_with_an_unknown_end(tmp_path: Path) -> None:
    said = _killed(tmp_path, lines=2, pause_ms=0)
    assert said[0] == "begun 1"
    with Store.open(place_in(tmp_path), stamps.now()) as store:
        spent = store.begin(NEW, stamps.now()).spent
    assert all(each.ended is not None for each in spent)
    assert [each.seen_end for each in spent][-1] is False


def _child(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.history_child", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def _killed(folder: Path, lines: int, pause_ms: float) -> list[str]:
    """What it said until it was killed, soon after so many lines."""
    child = _child(folder)
    assert child.stdout is not None
    said = [child.stdout.readline().strip() for _ in range(lines)]
    try:
        child.wait(pause_ms / 1_000)
    except subprocess.TimeoutExpired:
        child.kill()
    rest = child.communicate(timeout=30)[0].split("\n")
    return [*said, *rest[:-1]]  # the last may be cut


def _read(said: Iterable[str]) -> tuple[set[int], list[tuple[int, int]], set[int]]:
    begun: set[int] = set()
    sampled: list[tuple[int, int]] = []
    ended: set[int] = set()
    for line in said:
        match line.split():
            case ["begun", number]:
                begun.add(int(number))
            case ["sampled", number, elapsed_ms]:
                sampled.append((int(number), int(elapsed_ms)))
            case ["ended", number]:
                ended.add(int(number))
    return begun, sampled, ended
