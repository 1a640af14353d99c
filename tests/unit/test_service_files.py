"""The files of the service: what systemd says of them, and what keeps them safe."""

import shutil
import subprocess
from argparse import Namespace
from pathlib import Path

import pytest

from massager.cli.install_service import run_install, run_remove
from massager.daemon.service_files import (
    SYSTEM_CONFIG,
    SYSTEM_UNIT,
    UDEV_RULE,
    system_files,
    user_files,
)
from massager.errors import ConfigError
from massager.history.file import place_of

PROGRAM = "/bin/true"


def unit() -> str:
    return next(file.text for file in system_files(PROGRAM) if file.path == SYSTEM_UNIT)


def test_the_system_s_service_has_its_own_user_and_little_else() -> None:
    lines = unit().splitlines()
    for line in (
        "User=massager",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "CapabilityBoundingSet=",
        "DevicePolicy=closed",
        "StateDirectory=massager",
        "Type=notify",
        "WatchdogSec=10",
        "Restart=on-failure",
    ):
        assert line in lines


def test_it_may_keep_beside_its_config_which_history_counted_last() -> None:
    assert place_of({}, Path(SYSTEM_CONFIG)).known == Path("/etc/massager/history.known")
    assert "ReadWritePaths=/etc/massager" in unit().splitlines()


def test_it_is_given_the_time_that_a_soft_end_takes() -> None:
    assert "TimeoutStopSec=15" in unit()
    assert "KillMode=mixed" in unit()  # the first signal is for the daemon alone


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / "massager.service"
    path.write_text(unit(), encoding="utf-8")
    done = subprocess.run(
        [analyze, "verify", path], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_one_user_needs_one_file(tmp_path: Path) -> None:
    [file] = user_files(PROGRAM, str(tmp_path))
    assert file.path == f"{tmp_path}/massager.service"
    assert "WantedBy=default.target" in file.text
    assert "User=" not in file.text


def test_the_udev_rule_keeps_the_modem_manager_away() -> None:
    rule = next(file.text for file in system_files(PROGRAM) if file.path == UDEV_RULE)
    assert 'GROUP="dialout"' in rule
    assert 'ENV{ID_MM_DEVICE_IGNORE}="1"' in rule


def test_a_dry_run_shows_everything_and_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert run_install(Namespace(user=False, dry_run=True)) == 0
    shown = capsys.readouterr().out
    assert "would write /etc/systemd/system/massager.service" in shown
    assert "would run: chown massager:massager /etc/massager" in shown
    assert "massager.service" in shown.splitlines()[-1]
    assert run_install(Namespace(user=True, dry_run=True)) == 0
    assert f"would write {tmp_path}/systemd/user/massager.service" in capsys.readouterr().out
    assert run_remove(Namespace(user=True, dry_run=True)) == 0
    assert "would run: systemctl --user disable --now massager.service" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_service_whose_config_names_no_device_is_not_started_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    run_install(Namespace(user=True, dry_run=True))
    assert "would run: systemctl --user enable massager.service" in capsys.readouterr().out
    config = tmp_path / "massager" / "config.toml"
    config.parent.mkdir()
    config.write_text('device = "sim:"\n', encoding="utf-8")
    run_install(Namespace(user=True, dry_run=True))
    assert "would run: systemctl --user enable --now massager.service" in capsys.readouterr().out


def test_a_config_with_a_mistake_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    config = tmp_path / "massager" / "config.toml"
    config.parent.mkdir()
    config.write_text("intensity = 11\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="intensity"):
        run_install(Namespace(user=True, dry_run=True))
    assert capsys.readouterr().out == ""
