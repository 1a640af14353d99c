"""`massager completion SHELL`: prints the shell's completion script."""

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from typing import Final

from massager.errors import ExitCode, UsageError

SHELLS: Final = ("bash", "zsh", "fish")

INSTALL: Final = """\
how to install it, once:
  bash   massager completion bash > ~/.local/share/bash-completion/completions/massager
  zsh    massager completion zsh > ~/.zfunc/_massager
         (and in ~/.zshrc, before compinit: fpath+=~/.zfunc)
  fish   massager completion fish > ~/.config/fish/completions/massager.fish
Make the folder first where it is missing (mkdir -p); new shells complete from then on."""


def add_arguments(parser: ArgumentParser) -> None:
    """`bash|zsh|fish`."""
    parser.add_argument("shell", metavar="|".join(SHELLS), type=_shell, help="your shell")
    parser.epilog = INSTALL
    parser.formatter_class = RawDescriptionHelpFormatter


def run(args: Namespace) -> int:
    """Print the script; it is made anew from the parser, so it knows every command and flag."""
    import shtab

    from massager.cli.parser import full_parser

    sys.stdout.write(shtab.complete(full_parser(), shell=args.shell) + "\n")
    return ExitCode.OK


def _shell(text: str) -> str:
    if text not in SHELLS:
        raise UsageError(f"the shell is {', '.join(SHELLS)}, not {text[:40]!r}")
    return text
