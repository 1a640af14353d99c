"""The directory in which running controllers are found: whose it is, and who holds which device."""

import os
import resource
from pathlib import Path

import pytest

from massager import runtime_dir
from massager.errors import ConfigError, Refused
from massager.runtime_dir import (
    Owner,
    claim_daemon,
    claim_device,
    own_directory,
    owners,
    same_device,
    socket_fits,
)


def test_it_is_made_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "a" / "run"

    assert own_directory({"MASSAGER_RUNTIME_DIR": str(path)}) == str(path)
    assert path.stat().st_mode & 0o777 == 0o700


def test_a_daemon_s_lock_that_leads_elsewhere_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "daemon.lock").symlink_to(tmp_path / "victim")

    with pytest.raises(ConfigError, match="MASSAGER_RUNTIME_DIR"):
        claim_daemon(str(tmp_path), os.getpid())

    assert not (tmp_path / "victim").exists()


def test_it_lies_in_the_login_sessions_directory(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}

    assert own_directory(environ) == str(tmp_path / "massager")


def test_a_login_directory_that_is_not_there_is_passed_over() -> None:
    assert own_directory({"XDG_RUNTIME_DIR": "/nonexistent/run"}) == f"/tmp/massager-{os.geteuid()}"


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "run"
    path.mkdir()
    path.chmod(mode)

    with pytest.raises(ConfigError, match="chmod 700"):
        own_directory({"MASSAGER_RUNTIME_DIR": str(path)})


def test_a_link_to_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(tmp_path / "real")

    with pytest.raises(ConfigError, match="is not a directory"):
        own_directory({"MASSAGER_RUNTIME_DIR": str(tmp_path / "run")})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_somebody_elses_directory_is_refused_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    (path / "77.sock").touch()
    os.chown(path, 12345, 12345)
    environ = {"MASSAGER_RUNTIME_DIR": str(path)}

    with pytest.raises(ConfigError, match="belongs to somebody else"):
        own_directory(environ)
    assert owners(environ) == []


def test_a_name_that_no_socket_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too long a name"):
        own_directory({"MASSAGER_RUNTIME_DIR": str(tmp_path / ("x" * 100))})


def test_owners_are_found_by_their_sockets_and_know_their_device(tmp_path: Path) -> None:
    environ = {"MASSAGER_RUNTIME_DIR": str(tmp_path / "run")}
    folder = Path(own_directory(environ))
    strangers = ("x.sock", "README", "history", "8.a.b.sock", "²³.sock", ".sock", "8.sock.old")
    for name in ("12.sock", "7.sock", "7.new", "9.device", *strangers):
        (folder / name).touch()
    (folder / "7.device").write_text("serial:/dev/ttyUSB0")

    found = owners(environ)

    assert [owner.pid for owner in found] == [7, 12]
    assert [owner.device for owner in found] == ["serial:/dev/ttyUSB0", None]


def test_a_device_name_that_could_move_the_cursor_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "7.device").write_text("sim:\x1b[2J")

    assert Owner(7, str(tmp_path / "7.sock")).device is None


def test_what_a_dead_owner_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "7.sock").touch()
    (tmp_path / "7.device").touch()

    Owner(7, str(tmp_path / "7.sock")).forget()
    Owner(7, str(tmp_path / "7.sock")).forget()

    assert list(tmp_path.iterdir()) == []


def test_the_second_owner_of_a_device_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    held = claim_device(str(tmp_path), "tcp://foot:3333", os.getpid())

    with pytest.raises(Refused, match=f"in use by process {os.getpid()} "):
        claim_device(str(tmp_path), "tcp://foot:3333", 1)
    os.close(claim_device(str(tmp_path), "tcp://foot:3334", 1))
    os.close(held)
    os.close(claim_device(str(tmp_path), "tcp://foot:3333", 1))


def test_a_full_runtime_directory_is_named_and_nothing_is_claimed(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # no file may grow
    try:
        with pytest.raises(ConfigError, match=rf"{tmp_path} cannot .*MASSAGER_RUNTIME_DIR"):
            claim_device(str(tmp_path), "tcp://foot:3333", 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    os.close(claim_device(str(tmp_path), "tcp://foot:3333", 1))


def test_a_runtime_directory_in_which_nothing_can_be_made_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/proc/self cannot .*MASSAGER_RUNTIME_DIR"):
        claim_device("/proc/self", "tcp://foot:3333", 1)


def test_one_serial_port_is_one_device_under_all_its_paths(tmp_path: Path) -> None:
    (tmp_path / "ttyUSB0").touch()
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyUSB0")

    one = same_device(f"serial:{tmp_path}/by-id?baud=38400")

    assert one == same_device(f"serial:{tmp_path}/ttyUSB0")
    assert same_device("serial:A50285BI") == "serial:A50285BI"
    assert same_device("tcp://foot:3333") != same_device("tcp://foot:3334")


# --- daemons --------------------------------------------------------------------------------------


def test_a_daemon_has_a_socket_for_each_device_and_a_session_one_without_a_name(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    others = ("78.sofa.device", "x.sock", "7.a.b.sock")
    for name in ("77.sock", "78.bed-room.sock", "78.sofa.sock", *others):
        (path / name).touch()

    found = owners({"MASSAGER_RUNTIME_DIR": str(path)})

    assert [(owner.pid, owner.name) for owner in found] == [
        (77, None),
        (78, "bed-room"),
        (78, "sofa"),
    ]
    assert [owner.takes_starts() for owner in found] == [False, True, True]
    found[2].forget()
    assert not list(path.glob("78.sofa.*"))


def test_there_is_one_daemon_and_the_second_is_told_which(tmp_path: Path) -> None:
    held = claim_daemon(str(tmp_path), os.getpid())
    with pytest.raises(Refused, match=f"a daemon of yours runs already: process {os.getpid()}"):
        claim_daemon(str(tmp_path), 4711)
    os.close(held)
    os.close(claim_daemon(str(tmp_path), os.getpid()))


def test_a_name_that_is_too_long_for_a_socket_is_known_before_it_is_opened(tmp_path: Path) -> None:
    assert socket_fits("/run/massager", "n" * 24)
    assert not socket_fits("/run/" + "d" * 80, "n" * 24)


def test_the_systems_service_is_found_by_whoever_may_enter_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "system"
    system.mkdir()
    (system / "99.massager.sock").touch()
    monkeypatch.setattr(runtime_dir, "SYSTEM_DIRECTORY", str(system))

    system.chmod(0o750)
    assert (99, "massager") in [(owner.pid, owner.name) for owner in owners({})]
    for open_to_others in (0o770, 0o755, 0o751):
        system.chmod(open_to_others)
        assert 99 not in [owner.pid for owner in owners({})]
