"""Words that may be lost: what a stop says must never keep it from being sent, or fail it.

Part of a stop's start-up: nothing is imported that takes time.
"""

import os
import sys
from typing import TextIO


def mend_streams() -> None:
    """A standard stream that was closed before the start becomes one that leads nowhere.

    Its number is taken with it: a device that is opened next must not become the output.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, open(nowhere, "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def say(text: str, stream: TextIO | None = None) -> None:
    """A line on stdout, or on `stream`. Nothing where nobody can read it."""
    stream = stream or sys.stdout
    if stream is None:
        return
    try:
        stream.write(text + "\n")
        stream.flush()
    except ValueError:  # closed
        return
    except OSError:  # full, or gone
        discard(stream)


def discard(stream: TextIO) -> None:
    """Let what is still in its buffers, and what follows, go nowhere: some versions of Python would
    try to write it again at the end, and fail then."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
    os.close(devnull)
