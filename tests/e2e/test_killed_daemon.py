"""A daemon that is killed with -9 at random moments: the lease stops the motor, no row is lost.

Judged from the device's own trace. `KILLS=500` makes it the long form.
"""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from simulator.device import TraceRow
from tests.e2e.command import massager
from tests.e2e.daemon_process import Daemon
from tests.e2e.simulator_process import SimulatorProcess, wait_until
from tests.invariants import check_trace

KILLS = int(os.environ.get("KILLS", "4"))
IN_ONE_HOME = 20  # so that the 13 min of a sitting are not used up
FAST = ("--speed", "20")
SEED = 20_261_121


@pytest.mark.timeout(120 + KILLS * 10)
def test_no_kill_loses_an_acknowledged_start_or_starts_anything(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    for first in range(0, KILLS, IN_ONE_HOME):
        folder = tmp_path / str(first)
        folder.mkdir()
        _kill_and_judge(folder, min(IN_ONE_HOME, KILLS - first), rng)


def _kill_and_judge(folder: Path, kills: int, rng: random.Random) -> None:
    simulator = SimulatorProcess(folder, "--pty", folder / "port", *FAST)
    flags = ("--device", simulator.url, *FAST)
    acknowledged = 0
    try:
        for _ in range(kills):
            with Daemon(folder, *flags) as daemon, daemon.client() as client:
                client.send(request="start", intensity=rng.randint(1, 10))
                if rng.random() < 0.75:
                    assert client.answer()["ok"]
                    acknowledged += 1
                    time.sleep(rng.uniform(0, 1))
                else:  # in the middle of the start
                    time.sleep(rng.uniform(0, 0.02))
                daemon.end(signal.SIGKILL)
            wait_until(lambda: simulator.tell(get="status")["output"] == 0, "the lease ends it")
        with Daemon(folder, *flags) as after:
            wait_until(lambda: after.connection() == "connected", "the last one has the device")
            time.sleep(1)
            assert after.end() == 0
        assert simulator.tell(get="status")["output"] == 0
        rows = [
            TraceRow(**{name: value for name, value in row.items() if name != "mono_ns"})
            for row in simulator.trace()
        ]
        assert check_trace(rows) == []
    finally:
        simulator.stop()
    written = json.loads(massager(folder, "history", "--json").out)
    assert acknowledged <= len(written) <= kills
    assert {row["stop_reason"] for row in written} == {"unknown end"}
