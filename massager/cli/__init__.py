"""The command line: parse, ask, print, exit code. What takes time to import waits for its use."""

import os
import sys
from collections.abc import Sequence

from massager.errors import ExitCode, MassagerError


def main(words: Sequence[str] | None = None) -> int:
    """Run one command (default: the process's) and return the exit code. Prints every error."""
    try:
        return _program(sys.argv[1:] if words is None else words)
    except MassagerError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # whoever read the output has left, which is no mistake
        return ExitCode.FAILED
    finally:
        _flush()


def _program(words: Sequence[str]) -> int:
    from massager.cli.parser import parse

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # an ASCII terminal gets ? for what it lacks
    args, run = parse(words)
    return run(args)


def _complain(text: str) -> None:
    shown = "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)
    try:
        sys.stderr.write(f"massager: {shown}\n")
    except OSError:  # nobody reads it
        return


def _flush() -> None:
    """What cannot be flushed now would be an ugly message of the interpreter later."""
    try:
        sys.stdout.flush()
    except OSError:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
