"""A controller that is killed with -9 at a random moment: the motor stops by the lease alone.

Judged from the device's own trace. `KILLS=500` makes it the long form (`make soak`).
"""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from simulator.device import TraceRow
from tests.e2e.command import Running, massager
from tests.e2e.simulator_process import SimulatorProcess, wait_until
from tests.invariants import check_trace

KILLS = int(os.environ.get("KILLS", "6"))
AT_ONCE = 6
SEED = 20_261_121


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """One for each simulator."""
    made = [tmp_path / str(number) for number in range(AT_ONCE)]
    for folder in made:
        folder.mkdir()
    return made


@pytest.mark.timeout(120 + KILLS * 10)
def test_a_killed_controller_leaves_output_0_by_the_lease_and_nothing_restarts(
    folders: list[Path],
) -> None:
    rng = random.Random(SEED)
    for _ in range(-(-KILLS // AT_ONCE)):
        with ExitStack() as stack:
            simulators = list(_simulators(folders, stack))
            sessions = [
                stack.enter_context(
                    Running(folder, "start", "--device", simulator.url, "--intensity", "9")
                )
                for folder, simulator in zip(folders, simulators, strict=True)
            ]
            for simulator in simulators:
                wait_until(lambda s=simulator: _output(s) > 0, "the motor turns")  # type: ignore[misc]
            _kill_at_random_moments(sessions, rng)
            killed_at_ms = [_now_ms(simulator) for simulator in simulators]
            time.sleep(3.5)  # the lease, its fall, and a second in which nothing may start
            for folder, simulator, at_ms in zip(folders, simulators, killed_at_ms, strict=True):
                _judge(simulator, at_ms)
                assert "No session" in massager(folder, "status").out
        for folder in folders:
            (folder / "trace.jsonl").unlink()


def _simulators(folders: list[Path], stack: ExitStack) -> Iterator[SimulatorProcess]:
    for folder in folders:
        simulator = SimulatorProcess(folder, "--pty", folder / "port")
        stack.callback(simulator.stop)
        yield simulator


def _kill_at_random_moments(sessions: list[Running], rng: random.Random) -> None:
    for session in sessions:
        time.sleep(rng.uniform(0, 0.3))
        assert session.end(signal.SIGKILL) == -signal.SIGKILL


def _judge(simulator: SimulatorProcess, killed_at_ms: int) -> None:
    rows = [
        TraceRow(**{name: value for name, value in row.items() if name != "mono_ns"})
        for row in simulator.trace()
    ]
    assert check_trace(rows) == []
    assert [row.why for row in rows].count("lease_expired") == 1
    last_on_ms = max(row.device_ms for row in rows if row.output > 0)
    assert last_on_ms <= killed_at_ms + 2500
    assert simulator.tell(get="status")["output"] == 0


def _output(simulator: SimulatorProcess) -> int:
    return max((row["output"] for row in simulator.trace()), default=0)


def _now_ms(simulator: SimulatorProcess) -> int:
    """The device's time of the newest row: at most 100 ms old while the motor turns."""
    return int(simulator.trace()[-1]["device_ms"]) + 100
