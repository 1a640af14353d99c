"""What the daemon asks of feet: a screening, and what is left of the dose, whatever has ended."""

import signal
import time
from pathlib import Path

from tests.e2e.daemon_process import Daemon
from tests.e2e.test_cli_screening import config_folder, rows, use
from tests.screened import screened

FAST = ("--speed", "20")
SHORTEST = {"minutes": 5, "warmup": 60}


def rehearsing(folder: Path) -> None:
    """A simulated device that counts like a real one."""
    path = config_folder(folder) / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('device = "sim:"\nas_real = true\n', encoding="utf-8")


def test_without_a_screening_nothing_starts_and_the_answer_says_what_to_do(tmp_path: Path) -> None:
    rehearsing(tmp_path)
    with Daemon(tmp_path, *FAST) as daemon, daemon.client() as client:
        error = client.ask(request="start")["error"]
        assert error["refusal"] == "screening"
        assert "massager screening" in error["message"]
    [row] = rows(tmp_path)
    assert (row.stop_reason, row.motor_on_ms) == ("refused", 0)


def test_what_was_used_up_elsewhere_counts_and_so_does_a_killed_daemon_s_session(
    tmp_path: Path,
) -> None:
    rehearsing(tmp_path)
    screened(config_folder(tmp_path))
    use(tmp_path, 5)
    with Daemon(tmp_path, *FAST) as daemon, daemon.client() as client:
        refused = client.ask(request="start", minutes=8)["error"]
        assert refused["refusal"] == "limit"
        assert "8 min of the 13 min of one sitting are left" in refused["message"]
        assert client.ask(request="start", **SHORTEST)["ok"]
        time.sleep(8)  # over two minutes of the session's clock
        daemon.end(signal.SIGKILL)
        with Daemon(tmp_path, *FAST) as after, after.client() as again:
            refused = again.ask(request="start", **SHORTEST)["error"]
            assert refused["refusal"] == "limit"
            assert after.end() == 0
    newest = max(rows(tmp_path), key=lambda row: row.id if row.stop_reason != "refused" else 0)
    assert newest.stop_reason == "unknown end"
    assert newest.motor_on_ms > 60_000
