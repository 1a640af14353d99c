"""A pseudoterminal as the device's serial port, under a name of the user's choice."""

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Final

from simulator.bearers import CannotStart, HostSide

_READ_BYTES: Final = 4096
_STALE_BYTES: Final = 2048  # nobody reads: 50 frames are older than any time-out


class PseudoterminalBearer:
    """A raw pty with a symlink to it at `path`.

    The simulator keeps the host's end open too, so a host may close and open it again; what was
    sent while nobody read is thrown away. `count` is told of bytes on their way (a VirtualLoop's
    `count`): more when the simulator sends, fewer when it reads.
    """

    datagrams = False

    def __init__(self, path: Path, count: Callable[[int], None] | None = None) -> None:
        # Absolute, so that the URL works from any folder; a symlink there is not followed.
        self._path = path.absolute()
        self._count = count or _count_nothing
        self._host_side: HostSide | None = None
        self._ends: tuple[int, int] | None = None  # ours, the host's
        self._reading = True

    @property
    def url(self) -> str:
        """`serial:` and the path."""
        return f"serial:{self._path}"

    async def open(self, host_side: HostSide) -> None:
        """Make the pty and its symlink. Raises CannotStart where the path cannot be used."""
        self._host_side = host_side
        _check_path(self._path)
        self._plug()

    def send(self, data: bytes) -> None:
        """Write to the host's end; what it does not take is lost."""
        if self._ends is None:
            return
        ours, host_end = self._ends
        waiting = _waiting_bytes(host_end)
        if waiting > _STALE_BYTES:
            termios.tcflush(host_end, termios.TCIFLUSH)
            self._count(-waiting)
        with contextlib.suppress(BlockingIOError):
            self._count(os.write(ours, data))

    def follow(self, *, reading: bool, plugged: bool) -> None:
        """Leave bytes unread, or take the whole pty away and come back with a new one."""
        if not plugged:
            self._unplug()
        elif self._ends is None:
            self._plug()
        if reading != self._reading:
            self._reading = reading
            if self._ends is not None:
                self._watch(self._ends[0])

    async def close(self) -> None:
        """Close both ends and remove the symlink."""
        self._unplug()

    def _plug(self) -> None:
        ours, host_end = os.openpty()
        self._ends = ours, host_end
        tty.setraw(host_end)
        os.set_blocking(ours, False)
        # Tells a later simulator that this pty is in use; the host's flock() is not disturbed.
        fcntl.lockf(host_end, fcntl.LOCK_EX | fcntl.LOCK_NB)
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            temporary.symlink_to(os.ttyname(host_end))
            temporary.replace(self._path)
        except OSError as error:
            self._unplug()
            raise CannotStart(f"{self._path}: {error.strerror}; name another path") from error
        self._watch(ours)

    def _unplug(self) -> None:
        if self._ends is None:
            return
        (ours, host_end), self._ends = self._ends, None
        asyncio.get_running_loop().remove_reader(ours)
        with contextlib.suppress(OSError):
            if str(self._path.readlink()) == os.ttyname(host_end):
                self._path.unlink()
        os.close(host_end)
        os.close(ours)

    def _watch(self, ours: int) -> None:
        loop = asyncio.get_running_loop()
        if self._reading:
            loop.add_reader(ours, self._read)
        else:
            loop.remove_reader(ours)

    def _read(self) -> None:
        if self._ends is None or self._host_side is None:
            return
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._ends[0], _READ_BYTES)
            self._count(-len(data))
            self._host_side.received(data)


def _count_nothing(_number: int) -> None:
    """Outside virtual time nobody counts."""


def _waiting_bytes(fd: int) -> int:
    packed = fcntl.ioctl(fd, termios.FIONREAD, struct.pack("i", 0))
    return int(struct.unpack("i", packed)[0])


def _check_path(path: Path) -> None:
    if not path.parent.is_dir():
        raise CannotStart(f"the folder {path.parent} does not exist; make it or name another path")
    if not path.is_symlink():
        if path.exists():
            raise CannotStart(f"{path} exists and is no link of a simulator; name another path")
        return
    target = str(path.readlink())
    if not target.startswith("/dev/pts/"):
        raise CannotStart(f"{path} is a link to {target}, not a simulator's; name another path")
    if _is_in_use(target):
        raise CannotStart(
            f"{path} belongs to a simulator that is running; stop it or name another path"
        )


def _is_in_use(terminal: str) -> bool:
    """Whether another simulator holds it: a link left by a killed one may point to a stranger's."""
    try:
        fd = os.open(terminal, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # another user's, or opened exclusively
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
