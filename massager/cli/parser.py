"""The commands and their one-line help. Only the chosen command's module is imported.

`massager --help` loads this file and little else: not even `typing`, a tenth of its time.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from massager import __version__
from massager.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from _typeshed import SupportsWrite


class Command:
    """One command: `add` and `run` are functions of `module`, looked up when it is used."""

    def __init__(
        self,
        name: str,
        module: str,
        help_text: str,
        add: str = "add_arguments",
        run: str = "run",
        settle: str | None = None,
    ) -> None:
        self.name = name
        self.module = module
        self.help = help_text
        self.add = add
        self.run = run
        self.settle = settle  # a function of settings.py that fills in what no flag has given


_OWNER = "massager.cli.owner_commands"
_SERVICE = "massager.cli.install_service"

COMMANDS = (
    Command("start", "massager.cli.start", "start a massage session in the foreground"),
    Command("stop", "massager.cli.stop", "stop every session of yours; --now: emergency stop"),
    Command("pause", _OWNER, "let the running session fall to 0 and wait", "add_pid", "run_pause"),
    Command("resume", _OWNER, "go on after a pause, from the gentlest", "add_pid", "run_resume"),
    Command("intensity", _OWNER, "change the intensity of it", "add_intensity", "run_intensity"),
    Command("extend", _OWNER, "let it last longer", "add_extend", "run_extend"),
    Command("status", _OWNER, "show what runs now", "add_status", "run_status"),
    Command(
        "screening",
        "massager.cli.screening",
        "answer the questions before the first massage",
    ),
    Command("clear", "massager.cli.clear", "take back a latched fault or emergency stop"),
    Command("arm", _OWNER, "let the next start from afar through, once", "add_pid", "run_arm"),
    Command("serve", "massager.cli.serve", "own the devices and take starts, as a daemon"),
    Command(
        "plan",
        "massager.cli.plan",
        "show a session as a curve; sends nothing",
        run="run_plan",
        settle="settle",
    ),
    Command(
        "programs",
        "massager.cli.programs",
        "list or show the programs",
        run="run_programs",
        settle="settle_programs",
    ),
    Command("devices", "massager.cli.devices", "find serial ports and massagers"),
    Command("trace", "massager.cli.trace", "watch a device's frames as text"),
    Command("history", "massager.cli.history", "show, export or erase what was"),
    Command("ha", "massager.cli.home_assistant", "what Home Assistant is told, and taking it back"),
    Command("config", "massager.cli.config_command", "show, find or check the settings"),
    Command(
        "install-service",
        _SERVICE,
        "make the daemon a service of systemd",
        run="run_install",
    ),
    Command("remove-service", _SERVICE, "take that service away again", run="run_remove"),
    Command("completion", "massager.cli.completion", "print the shell's completion script"),
)

_DESCRIPTION = "Drives a vibrating foot massager in safe, timed sessions."
_EPILOG = """\
first steps:
  massager start --device sim: --speed 20    try it with a simulated device
  massager devices                           find a real one
  massager stop                              stop, from any terminal

exit codes: 0 completed or stopped by a person, 2 wrong usage or settings, 3 refused,
  4 no device, 5 any other end, 130 Ctrl-C, 143 SIGTERM"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Knows the terminal's width without loading shutil, which argparse would."""

    def __init__(self, prog: str, max_help_position: int = 24) -> None:
        super().__init__(prog, max_help_position=max_help_position, width=max(_columns() - 2, 40))


class _CommandsHelp(_Help):
    """Room for the longest command: argparse forgets that commands stand further in."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=21)
        self._action_max_length = 19


class _Parser(argparse.ArgumentParser):
    """Its errors are ours."""

    def _print_message(self, message: str, file: "SupportsWrite[str] | None" = None) -> None:
        """Raises OSError where argparse would keep quiet: a help that nobody got is no success."""
        if message:
            (file or sys.stderr).write(message)

    def error(self, message: str) -> "NoReturn":
        """Raises UsageError."""
        raise UsageError(f"{message}; see: {self.prog} --help")


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The parser with every command's help, and with the arguments of the chosen one."""
    return _build(lambda command: command.name == chosen)


def full_parser() -> argparse.ArgumentParser:
    """The parser with the arguments of every command: for shell completion."""
    return _build(lambda _command: True)


def parse(
    words: Sequence[str],
) -> "tuple[argparse.Namespace, Callable[[argparse.Namespace], int]]":
    """The arguments and the function to run. Raises UsageError; --help and --version exit."""
    if not words:
        build_parser().print_help(sys.stderr)
        raise UsageError("which command? see above")
    name = next((word for word in words if not word.startswith("-")), None)
    if name is not None and all(command.name != name for command in COMMANDS):
        raise UsageError(f"there is no command {name[:40]!r}{_nearest(name)}; see: massager --help")
    args = build_parser(name).parse_args(words)
    command = next(command for command in COMMANDS if command.name == args.command)
    if command.settle is not None:
        _function("massager.cli.settings", command.settle)(args)
    return args, _function(command.module, command.run)


def _build(is_full: Callable[[Command], bool]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="massager",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=_CommandsHelp,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"massager {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True
    )
    for command in COMMANDS:
        sub_parser = commands.add_parser(
            command.name,
            help=command.help,
            description=command.help[0].upper() + command.help[1:] + ".",
            formatter_class=_Help,
            allow_abbrev=False,
        )
        if is_full(command):
            _function(command.module, command.add)(sub_parser)
    return parser


def _function(module: str, name: str) -> "Callable[..., Any]":
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


def _columns() -> int:
    text = os.environ.get("COLUMNS", "")
    if text.isdigit() and int(text) > 0:
        return int(text)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return 80


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    found = get_close_matches(name, [command.name for command in COMMANDS], n=1)
    return f"; did you mean {found[0]}?" if found else ""
