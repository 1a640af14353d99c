"""The commands and their one-line help. Only the chosen command's module is imported."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

from massager import __version__
from massager.errors import UsageError


class Command(NamedTuple):
    """One command: `add` and `run` are functions of `module`, looked up when it is used."""

    name: str
    module: str
    help: str
    add: str = "add_arguments"
    run: str = "run"
    settle: str | None = None  # a function of settings.py that fills in what no flag has given


_OWNER: Final = "massager.cli.owner_commands"

COMMANDS: Final = (
    Command("start", "massager.cli.start", "start a massage session in the foreground"),
    Command("stop", "massager.cli.stop", "stop every session of yours; --now: emergency stop"),
    Command("pause", _OWNER, "let the running session fall to 0 and wait", "add_pid", "run_pause"),
    Command("resume", _OWNER, "go on after a pause, from the gentlest", "add_pid", "run_resume"),
    Command("intensity", _OWNER, "change the intensity of it", "add_intensity", "run_intensity"),
    Command("extend", _OWNER, "let it last longer", "add_extend", "run_extend"),
    Command("status", _OWNER, "show what runs now", "add_status", "run_status"),
    Command("clear", "massager.cli.clear", "take back a latched fault or emergency stop"),
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
    Command("config", "massager.cli.config_command", "show, find or check the settings"),
    Command("completion", "massager.cli.completion", "print the shell's completion script"),
)

_DESCRIPTION: Final = "Drives a vibrating foot massager in safe, timed sessions."
_EPILOG: Final = """\
first steps:
  massager start --device sim: --speed 20    try it with a simulated device
  massager devices                           find a real one
  massager stop                              stop, from any terminal

exit codes: 0 completed or stopped by a person, 2 wrong usage or settings, 3 refused,
  4 no device, 5 any other end, 130 Ctrl-C, 143 SIGTERM"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Room for the longest command."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=16)
        self._action_max_length = 14  # argparse forgets that commands stand further in


class _Parser(argparse.ArgumentParser):
    """Errors become UsageError, and a command's arguments are added once it is chosen."""

    def __init__(self, *args: Any, command: Command | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)
        self._command = command

    def fill(self) -> None:
        """Add the arguments of its command, once."""
        if self._command is not None:
            command, self._command = self._command, None
            function_of(command.module, command.add)(self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Called by the parser above for the command that was chosen."""
        self.fill()
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> Any:
        """Raises UsageError."""
        raise UsageError(f"{message}; see: {self.prog} --help")


def build_parser() -> _Parser:
    """The parser with every command and, for each, only its help."""
    parser = _Parser(
        prog="massager",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"massager {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True
    )
    for command in COMMANDS:
        commands.add_parser(
            command.name, help=command.help, description=_sentence(command.help), command=command
        )
    return parser


def full_parser() -> argparse.ArgumentParser:
    """The parser with the arguments of every command: for shell completion."""
    parser = build_parser()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub_parser in action.choices.values():
                sub_parser.fill()
    return parser


def parse(words: Sequence[str]) -> tuple[argparse.Namespace, Callable[[argparse.Namespace], int]]:
    """The arguments and the function to run. Raises UsageError; --help and --version exit."""
    if not words:
        build_parser().print_help(sys.stderr)
        raise UsageError("which command? see above")
    name = next((word for word in words if not word.startswith("-")), None)
    if name is not None and all(command.name != name for command in COMMANDS):
        raise UsageError(f"there is no command {name[:40]!r}{_nearest(name)}; see: massager --help")
    args = build_parser().parse_args(words)
    command = next(command for command in COMMANDS if command.name == args.command)
    if command.settle is not None:
        function_of("massager.cli.settings", command.settle)(args)
    return args, function_of(command.module, command.run)


def function_of(module: str, name: str) -> Callable[..., Any]:
    """The function `name` of `module`, imported now."""
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    found = get_close_matches(name, [command.name for command in COMMANDS], n=1)
    return f"; did you mean {found[0]}?" if found else ""
