"""Single key presses from a terminal, whose modes are always put back."""

import os
import re
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Final

try:
    import termios
except ImportError:  # no such terminals here
    termios = None  # type: ignore[assignment]

_READ_BYTES: Final = 64
# Arrows and function keys (CSI, SS3), or the escape key by itself.
_SEQUENCE: Final = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O.)?", re.DOTALL)
_LOCAL, _CONTROL_CHARACTERS = 3, 6  # places in what tcgetattr returns


class Keys:
    """Reads keys while its `with` block lasts. Ctrl-C still sends its signal.

    Ctrl-Z and Ctrl-S do nothing meanwhile: a session that stands still is ended by the device.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._before = termios.tcgetattr(fd)

    @classmethod
    def on_stdin(cls) -> "Keys | None":
        """The keys of the terminal this process is in the foreground of, if there is one."""
        if termios is None or sys.stdin is None:
            return None
        try:
            fd = sys.stdin.fileno()
            if not os.isatty(fd) or os.tcgetpgrp(fd) != os.getpgrp():
                return None
            return cls(fd)
        except (OSError, ValueError, termios.error):
            return None

    def __enter__(self) -> "Keys":
        mode = termios.tcgetattr(self.fd)
        mode[0] &= ~termios.IXON
        mode[_LOCAL] &= ~(termios.ICANON | termios.ECHO)
        mode[_CONTROL_CHARACTERS][termios.VMIN] = 1
        mode[_CONTROL_CHARACTERS][termios.VTIME] = 0
        mode[_CONTROL_CHARACTERS][termios.VSUSP] = b"\0"
        termios.tcsetattr(self.fd, termios.TCSANOW, mode)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            termios.tcsetattr(self.fd, termios.TCSANOW, self._before)
        except termios.error:  # the terminal is gone
            return

    def read(self) -> Iterator[str]:
        """The keys that were pressed. Raises EOFError where the terminal is gone.

        Arrows and function keys come as sequences, and none of them means anything here; a key
        pressed right behind one may come in the same read, and counts.
        """
        try:
            data = os.read(self.fd, _READ_BYTES)
        except OSError:
            data = b""
        if not data:
            raise EOFError
        yield from _SEQUENCE.sub(b"", data).decode("utf-8", "ignore").lower()
