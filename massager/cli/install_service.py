"""`massager install-service` and `remove-service`: the daemon as a service of systemd."""

import os
import shutil
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from massager.errors import ExitCode, Refused, SessionFailed

if TYPE_CHECKING:
    from massager.daemon.service_files import ServiceFile

_HIDDEN: Final = tuple(f"/{name}/" for name in ("home", "root", "tmp"))  # from that service
_SYSTEM_STEPS: Final = (
    ["systemd-sysusers", "/etc/sysusers.d/massager.conf"],
    ["chown", "massager:massager", "/etc/massager"],  # the answers to the screening lie there
    ["chgrp", "massager", "/etc/massager/config.toml"],
)
_UDEV_STEPS: Final = (  # without them the rule holds after the next boot
    ["udevadm", "control", "--reload"],
    ["udevadm", "trigger", "--subsystem-match=tty"],
)
_DISABLE: Final = ("disable", "--now", "massager.service")


def add_arguments(parser: ArgumentParser) -> None:
    """`[--user] [--dry-run]`."""
    parser.add_argument(
        "--user", action="store_true", help="for you alone, without root (default: the system)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be done, and do nothing"
    )


def run_install(args: Namespace) -> int:
    """0 once the service is enabled, and runs if the config names a device.

    Raises Refused, ConfigError for the config, or SessionFailed where a step fails.
    """
    program = _program()
    if not args.user and program.startswith(_HIDDEN) and not args.dry_run:
        raise Refused(
            f"the system's service could not see {program}; install massager elsewhere, such as in "
            "/opt/massager, or for you alone: massager install-service --user"
        )
    files = _files(args, program)
    _may_write(args)
    config = _config(args)
    has_device = _names_device(config)
    for file in files:
        _write(file, dry=args.dry_run)
    if not args.user:
        _do(_SYSTEM_STEPS, args.dry_run)
        _do(_UDEV_STEPS, args.dry_run, may_fail=True)
    enable = ["enable", *(["--now"] if has_device else []), "massager.service"]
    _do([_systemctl(args, "daemon-reload"), _systemctl(args, *enable)], args.dry_run)
    if not args.dry_run:
        _say(_what_next(args, config, has_device))
    return ExitCode.OK


def run_remove(args: Namespace) -> int:
    """0 once nothing of it is left but the config, the history and the user."""
    _may_write(args)
    files = _files(args, "massager")
    _do([_systemctl(args, *_DISABLE)], args.dry_run, may_fail=True)
    for file in files:
        if file.keep:
            continue
        if args.dry_run:
            _say(f"would remove {file.path}")
        else:
            Path(file.path).unlink(missing_ok=True)
            _say(f"removed {file.path}")
    _do([_systemctl(args, "daemon-reload")], args.dry_run, may_fail=True)
    if not args.user:
        _say("The config in /etc/massager, the history in /var/lib/massager and the user stay.")
    return ExitCode.OK


def _what_next(args: Namespace, config: Path, has_device: bool) -> str:
    starts = "starts with your session" if args.user else "starts with the system"
    restart = " ".join(_systemctl(args, "restart", "massager"))
    runs = f"The service runs, and {starts}."
    waits = f"The service {starts}. Name its device in {config}, then: {restart}"
    lines = [runs if has_device else waits]
    if args.user:
        lines.append("To let it run while you are not logged in: loginctl enable-linger")
    else:
        lines += [
            "To use it as yourself: sudo usermod -aG massager $USER, and log in anew.",
            "Before a real device is driven, answer its questions, once: "
            f"sudo -u massager MASSAGER_CONFIG={config} {_program()} screening",
        ]
    return "\n".join(lines)


def _config(args: Namespace) -> Path:
    from massager.config.config import config_path
    from massager.daemon.service_files import SYSTEM_CONFIG

    return config_path({}) if args.user else Path(SYSTEM_CONFIG)


def _names_device(config: Path) -> bool:
    from massager.config.config import load

    return bool(load({}, {}, config).devices)


def _files(args: Namespace, program: str) -> "list[ServiceFile]":
    from massager.daemon.service_files import system_files, user_files

    if not args.user:
        return system_files(program)
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    return user_files(program, f"{base}/systemd/user")


def _may_write(args: Namespace) -> None:
    if not args.user and not args.dry_run and os.geteuid() != 0:
        raise Refused(
            "the system's service is installed by root: sudo massager install-service; "
            "for you alone: massager install-service --user"
        )


def _program() -> str:
    """The absolute path of this command, as systemd is to run it."""
    named = Path(sys.argv[0])
    if named.name == "massager" and named.is_file():
        return str(named.absolute())
    return shutil.which("massager") or f"{sys.executable} -m massager"


def _write(file: "ServiceFile", *, dry: bool) -> None:
    path = Path(file.path)
    if file.keep and path.exists():
        _say(f"{path} is there already and stays as it is")
        return
    if dry:
        _say(f"# would write {path}\n{file.text}")
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_name(f".{path.name}.new")
        made.write_text(file.text, encoding="utf-8")
        made.chmod(file.mode)
        made.replace(path)
    except OSError as error:
        raise SessionFailed(f"{path} could not be written: {error.strerror}") from None
    _say(f"wrote {path}")


def _systemctl(args: Namespace, *words: str) -> list[str]:
    return ["systemctl", *(["--user"] if args.user else []), *words]


def _do(commands: Iterable[list[str]], dry: bool, *, may_fail: bool = False) -> None:
    for command in commands:
        if dry:
            _say(f"would run: {' '.join(command)}")
            continue
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        except OSError as error:
            problem = error.strerror
        else:
            problem = done.stderr.strip().split("\n")[-1] if done.returncode else None
        if problem and may_fail:
            _say(f"`{' '.join(command)}` did nothing: {problem}")
        elif problem:
            raise SessionFailed(
                f"`{' '.join(command)}` failed: {problem}; the files are written, so repeat it by "
                "hand, and what comes after it"
            )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
