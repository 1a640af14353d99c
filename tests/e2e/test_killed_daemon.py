"""A daemon that is killed with -9 at random moments, and a device that counts like a real one.

Nothing that was acknowledged is lost, nothing starts by itself, the lease ends what turned, and
the rows that were left open count for at least what the motor ran; at real speed, and at 20 times
that, where a second is far into a session. Judged from the device's trace beside the history.
`KILLS=500` makes it the long form (`make soak`).
"""

import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from massager.history.records import UNKNOWN_END
from massager.history.store import Store
from tests.e2e.daemon_process import Client, Daemon
from tests.e2e.evidence import Evidence, Marks, breaches, place_in_home, written_in
from tests.e2e.simulator_process import SimulatorProcess, wait_until
from tests.screened import screened

KILLS = int(os.environ.get("KILLS", "3"))
SEED = 20_261_121
# By speed. As many lives in one home as leave enough of the 13 min of a sitting.
IN_ONE_HOME = {1: 20, 20: 4}
LEASE_AND_FALL_NS = {1: 2_500_000_000, 20: 300_000_000}
LATE_NS = 250_000_000  # for the kill itself and for the trace, on a busy computer
OVER_MS = 500  # of real time


@dataclass
class Home:
    """A folder with a config, the device, and what was asked for and told, by the starts' marks."""

    folder: Path
    simulator: SimulatorProcess
    rng: random.Random
    speed: int
    marks: Marks = field(default_factory=Marks)
    begun: set[float] = field(default_factory=set)
    ended: set[float] = field(default_factory=set)
    killed_ns: dict[float, int] = field(default_factory=dict)

    def daemon(self) -> Daemon:
        """Another one."""
        return Daemon(self.folder, "--speed", str(self.speed))


@pytest.mark.timeout(60 + KILLS * 20)
@pytest.mark.parametrize("speed", [1, 20])
def test_a_killed_daemon_loses_nothing_it_said_and_its_open_rows_count(
    tmp_path: Path, speed: int
) -> None:
    rng = random.Random(SEED)
    for first in range(0, KILLS, IN_ONE_HOME[speed]):
        folder = tmp_path / str(first)
        config = folder / "config" / "massager"
        config.mkdir(parents=True)
        screened(config)
        simulator = SimulatorProcess(folder, "--pty", folder / "port", "--speed", str(speed))
        text = f'device = "{simulator.url}"\nas_real = true\n'
        (config / "config.toml").write_text(text, encoding="utf-8")
        home = Home(folder, simulator, rng, speed)
        try:
            for _ in range(min(IN_ONE_HOME[speed], KILLS - first)):
                _one_life(home)
            _last_life(home)
        finally:
            simulator.stop()


def _one_life(home: Home) -> None:
    """A session or none from start to stop; then the kill, around the start of another."""
    with home.daemon() as daemon, daemon.client() as client:
        for _ in range(home.rng.randrange(2)):
            mark = home.marks.next()
            assert _start(client, mark)
            home.begun.add(mark)
            time.sleep(home.rng.uniform(0, 0.3))
            client.stop()
            # It says so, with the session's number, only once the row is on the disk.
            wait_until(lambda: "ended (requested" in daemon.log(), "it tells of the end")
            home.ended.add(mark)
            if home.rng.random() < 0.5:
                _kill(daemon)
                return
        mark = home.marks.next()
        if home.rng.random() < 0.75:
            assert _start(client, mark)
            home.begun.add(mark)
            time.sleep(home.rng.uniform(0, 1.2))
        else:  # in the middle of the start
            client.send(request="start", minutes=5, warmup=mark)
            time.sleep(home.rng.uniform(0, 0.03))
        home.killed_ns[mark] = _kill(daemon)


def _kill(daemon: Daemon) -> int:
    """When it was, by the monotonic clock."""
    daemon.process.send_signal(signal.SIGKILL)
    at_ns = time.monotonic_ns()
    daemon.process.wait(10)
    return at_ns


def _start(client: Client, mark: float) -> bool:
    answer = client.ask(request="start", intensity=9, minutes=5, warmup=mark)
    assert answer["ok"], answer
    return True


def _last_life(home: Home) -> None:
    """The next daemon moves nothing by itself, and closes what the killed ones have left open."""
    with home.daemon() as daemon:
        time.sleep(2.5)
        assert daemon.end() == 0
    written = written_in(home.folder)
    rows = {each.mark: each.row for each in written}
    assert [each.row.id for each in written] == [*range(1, len(written) + 1)]
    assert list(rows) == sorted(rows)  # in the order in which they were asked for, each once
    assert home.begun <= set(rows)
    for mark, row in rows.items():
        end = ("requested", True) if mark in home.ended else (UNKNOWN_END, False)
        assert (row.stop_reason, row.output_confirmed) == end, row
    _judge_the_motor(home, Evidence(home.simulator.trace(), written, slack_ns=4_000_000_000))


def _judge_the_motor(home: Home, evidence: Evidence) -> None:
    assert breaches(home.simulator) == []
    evidence.check_motor_time(OVER_MS * home.speed)
    for mark, turns in evidence.moved.items():
        (turn,) = turns  # one start, one movement
        if mark in home.killed_ns:
            by_ns = home.killed_ns[mark] + LEASE_AND_FALL_NS[home.speed] + LATE_NS
            assert turn.last_ns <= by_ns, (mark, turn)
    with Store.read(place_in_home(home.folder)) as store:
        spent = sorted(each.motor_on_ms for each in store.spent())
    moved = [each for each in evidence.written if each.mark in evidence.moved or each.is_unseen]
    assert spent == sorted(each.row.motor_on_ms for each in moved)
