"""Tells systemd that the daemon is ready, alive and stopping: one datagram each, no dependency."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

_TELL_PER_WATCHDOG: Final = 3  # signs of life in the time after which systemd gives up


class Notifier:
    """Does nothing where systemd did not ask for it ($NOTIFY_SOCKET)."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        self.alive_every_s = _period_s(environ)

    def ready(self) -> None:
        """The sockets are open: whoever waits for the service may go on."""
        self._tell("READY=1")

    def status(self, text: str) -> None:
        """A line for `systemctl status`."""
        self._tell(f"STATUS={text}")

    def alive(self) -> None:
        """To be told every `alive_every_s`, where that is not None."""
        self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1")

    def close(self) -> None:
        """Nothing more will be told."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, text: str) -> None:
        if self._socket is not None:
            with suppress(OSError):  # systemd is gone or busy; nothing depends on it here
                self._socket.sendto(text.encode(), self._address)


def _period_s(environ: Mapping[str, str]) -> float | None:
    text, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not text.isdigit() or not int(text) or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 1_000_000 / _TELL_PER_WATCHDOG
