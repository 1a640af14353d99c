"""The command line: parse, ask, print, exit code. What takes time to import waits for its use."""

import errno
import os
import sys
from collections.abc import Sequence

from massager.errors import ExitCode, MassagerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

# What writing to a full disk, a closed pipe, a terminal that is gone or no output at all brings.
_UNWRITABLE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EPIPE,
    errno.EIO,
    errno.EBADF,
)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command (default: the process's) and return the exit code. Prints every error.

    Where its output cannot be written the exit code is 5 at least, without a word if whoever
    read it has left.
    """
    _open_missing_streams()
    code = int(ExitCode.FAILED)
    unwritten: OSError | None = None
    try:
        code = _outcome(sys.argv[1:] if words is None else words)
    except OSError as error:
        if error.filename is not None or error.errno not in _UNWRITABLE:
            raise
        unwritten = error
    finally:
        unwritten = _flush() or unwritten
    if unwritten is None:
        return code
    if not isinstance(unwritten, BrokenPipeError):
        _complain(f"the output could not be written: {unwritten.strerror}")
    return code or ExitCode.FAILED


def _outcome(words: Sequence[str]) -> int:
    try:
        return _program(words)
    except MassagerError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except SystemExit as leaving:  # --help and --version
        return leaving.code if isinstance(leaving.code, int) else ExitCode.OK


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
        sys.stderr.flush()
    except OSError:  # nobody reads it
        _discard(sys.stderr)


def _open_missing_streams() -> None:
    """A process may be started without standard streams (`>&-`); then nobody reads or types."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free descriptor is the missing one, so no other file can become it.
            fd = os.open(os.devnull, os.O_RDWR)
            stream = open(fd, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 (for good)
            setattr(sys, name, stream)


def _flush() -> OSError | None:
    """What cannot be flushed now would be an ugly message of the interpreter later."""
    unwritten = None
    for stream in (sys.stderr, sys.stdout):
        try:
            stream.flush()
        except OSError as error:
            unwritten = error
            _discard(stream)
    return unwritten


def _discard(stream: "TextIO") -> None:
    from massager.cli.saying import discard

    discard(stream)
