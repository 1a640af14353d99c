"""A daemon's session on a real terminal: the same picture and keys as in the foreground."""

from pathlib import Path

from tests.e2e.command import massager
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


def test_nobody_is_asked_in_another_config_s_stead(tmp_path: Path) -> None:
    """The answers lie beside the daemon's config; asked here, they would be lost on it."""
    config = tmp_path / "config" / "massager" / "config.toml"
    config.parent.mkdir(parents=True)
    device = 'device = "tcp://127.0.0.1:1"\n'
    config.write_text(f'[[devices]]\nname = "bed"\n{device}person = "ben"\n', encoding="utf-8")
    with Daemon(tmp_path) as daemon:
        config.write_text(device, encoding="utf-8")
        screen = Terminal(tmp_path, "start")
        try:
            screen.shows("Looking for the device")
            screen.press("q")
            assert screen.wait() == 0
        finally:
            screen.close()
        other = massager(tmp_path, "screening", "--person", "ben")
        assert (other.code, f"the config {config} names no persons" in other.err) == (2, True)
        assert daemon.end() == 0
