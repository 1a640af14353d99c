"""A daemon's session on a real terminal: the same picture and keys as in the foreground."""

from pathlib import Path

from tests.e2e.daemon_process import Daemon
from tests.e2e.test_cli_terminal import Terminal


def test_the_keys_of_a_followed_session_reach_the_daemon(tmp_path: Path) -> None:
    config = tmp_path / "config" / "massager" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('device = "sim:"\n', encoding="utf-8")
    with Daemon(tmp_path, "--speed", "10") as daemon:
        screen = Terminal(tmp_path, "start")
        try:
            screen.shows("Warm-up · intensity 3 · classic · sim-0001 (simulated)")
            screen.press("+")
            screen.shows("intensity 4")
            screen.press(" ")
            screen.shows("Paused")
            screen.press("e")
            screen.press(" ")
            screen.shows("Warm-up")
            screen.press("e")
            screen.press("eee")
            screen.shows("Refused")
            screen.press("q")
            assert screen.wait() == 0
            assert "The session was stopped" in screen.picture()
            assert screen.modes() == screen.modes_before
        finally:
            screen.close()
        assert daemon.devices()[0]["reason"] == "requested"
        assert daemon.end() == 0
