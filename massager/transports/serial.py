"""A serial port: opened, configured and listed by pyserial, read and written on its descriptor.

POSIX only: Windows would need a reader thread, and the registry says so there.
"""

import asyncio
import contextlib
import errno
import fcntl
import grp
import os
import pwd
import stat
import sys
import termios
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import serial
from serial.tools import list_ports

from massager.errors import ConnectionLost, NoDevice, PortBusy, PortMissing, PortNotPermitted
from massager.transports.interface import UNSENT_MAX_BYTES, Receiver
from massager.transports.url import SerialUrl

_READ_MAX_BYTES: Final = 4096
_DRAIN_S: Final = 0.05  # 64 bytes take 17 ms at 38,400 baud
_DRAIN_LOOK_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class SerialPort:
    """A serial port that is there now."""

    path: str
    description: str
    serial_number: str | None = None  # of its USB adapter
    vendor_product: tuple[int, int] | None = None

    def __str__(self) -> str:
        number = f", serial number {self.serial_number}" if self.serial_number else ""
        return f"{self.path} ({self.description}{number})"


def serial_ports() -> list[SerialPort]:
    """The ports that are there now, in the order of their names."""
    try:
        found = sorted(list_ports.comports())
    except (OSError, TypeError, ValueError):  # one was unplugged while it was looked at
        return []
    return [
        SerialPort(
            port.device,
            port.description,
            port.serial_number or None,
            None if port.vid is None or port.pid is None else (port.vid, port.pid),
        )
        for port in found
    ]


class SerialTransport:
    """Bytes over a serial port, opened again by identity after a loss.

    A path through a link (by-id) and a pty are opened under the same path again: `list_ports`
    knows neither. A plain one such as /dev/ttyUSB0 is remembered by its adapter's serial number,
    where it has one, and found wherever that adapter is now.
    """

    datagrams = False

    def __init__(
        self, target: SerialUrl, list_ports: Callable[[], list[SerialPort]] = serial_ports
    ) -> None:
        self.url = str(target)
        self._target = target
        self._list_ports = list_ports
        self._known: SerialPort | None = None  # what was opened first, by its USB identity
        self._loop: asyncio.AbstractEventLoop | None = None
        self._receiver: Receiver | None = None
        self._port: serial.Serial | None = None
        self._fd = -1
        self._unsent = b""
        self._waiting_to_write = False
        self._telling: asyncio.Handle | None = None

    async def open(self, receiver: Receiver) -> None:
        """Open exclusively. Raises PortMissing, PortBusy, PortNotPermitted or NoDevice."""
        await self.close()
        path = self._find()
        try:
            self._port = _open_port(path, self._target.baud)
        except (OSError, ValueError, termios.error) as error:
            raise explain_open_error(path, error, self._list_ports()) from error
        self._remember(path)
        self._fd = self._port.fileno()
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._readable)

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        """Hand the bytes to the system; see `Transport.write`."""
        if self._receiver is None:
            return
        if urgent:
            # A frame that is cut in two does no harm: the next one begins with a delimiter.
            self._unsent = b""
            self._flush_system_buffer()
        elif self.unsent_bytes() + len(data) > UNSENT_MAX_BYTES:
            return
        if urgent or not self._waiting_to_write:
            self._send(data)
        else:
            self._unsent += data

    def unsent_bytes(self) -> int:
        """Bytes here and in the system's buffer. A pty reports none of what lies unread in it."""
        if self._port is None:
            return 0
        try:
            answer = fcntl.ioctl(self._fd, termios.TIOCOUTQ, bytes(4))
        except OSError:
            return len(self._unsent)
        return len(self._unsent) + int.from_bytes(answer, sys.byteorder)

    async def close(self) -> None:
        """Let go; the last bytes get 50 ms to leave."""
        self._receiver = None
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        if self._port is None or self._loop is None:
            return
        self._loop.remove_reader(self._fd)
        try:
            until = self._loop.time() + _DRAIN_S
            while self.unsent_bytes() and self._loop.time() < until:  # noqa: ASYNC110 (no event)
                await asyncio.sleep(_DRAIN_LOOK_S)
        finally:
            if self.unsent_bytes():  # or the system's close would wait for them, up to 30 s
                self._flush_system_buffer()
            self._release()

    def _find(self) -> str:
        """The path to open now."""
        wanted, known = self._target.port, self._known
        if self._target.is_path and known is None:
            return wanted
        ports = self._list_ports()
        if known is None:
            name = f"USB serial number {wanted}"
            carriers = [port.path for port in ports if port.serial_number == wanted]
        else:
            name = f"{wanted} (USB serial number {known.serial_number})"
            carriers = [port.path for port in ports if _same_adapter(port, known)]
        if wanted in carriers:
            return wanted
        if len(carriers) > 1:
            raise PortMissing(
                f"{name}: {len(carriers)} ports carry it: {', '.join(carriers)}; "
                "name one by its path, as in serial:/dev/ttyUSB0"
            )
        if not carriers:
            raise PortMissing(f"{name}: no port carries it; {_what_is_there(ports)}")
        return carriers[0]

    def _remember(self, path: str) -> None:
        if self._known is not None or not self._target.is_path:
            return
        for port in self._list_ports():
            if port.path == path and port.serial_number:
                self._known = port

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _READ_MAX_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        if not data:
            self._lose("the system hung it up")
        elif self._receiver is not None:
            self._receiver.data_received(data)

    def _send(self, data: bytes = b"") -> None:
        """Write what the system takes now, and come back for the rest."""
        if self._unsent:
            data = self._unsent + data
        taken = 0
        try:
            taken = os.write(self._fd, data)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        self._unsent = data[taken:]
        waiting = taken < len(data)
        if waiting != self._waiting_to_write and self._loop is not None:
            self._waiting_to_write = waiting
            if waiting:
                self._loop.add_writer(self._fd, self._send)
            else:
                self._loop.remove_writer(self._fd)

    def _flush_system_buffer(self) -> None:
        with contextlib.suppress(termios.error):
            termios.tcflush(self._fd, termios.TCOFLUSH)

    def _lose(self, why: str) -> None:
        receiver, self._receiver = self._receiver, None
        self._release()
        if receiver is not None and self._loop is not None:
            error = ConnectionLost(f"{self.url} is gone ({why}); plug it in again")
            self._telling = self._loop.call_soon(receiver.connection_lost, error)

    def _release(self) -> None:
        port, self._port = self._port, None
        if port is None or self._loop is None:
            return
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._fd, self._waiting_to_write = -1, False
        self._unsent = b""
        with contextlib.suppress(OSError, termios.error):
            port.close()


def explain_open_error(path: str, error: Exception, ports: list[SerialPort]) -> NoDevice:
    """What opening `path` failed for, in words that lead out; `ports` are those that are there."""
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.EBUSY, errno.EAGAIN):
        return PortBusy(f"{path} is in use{_by_whom(path)}; close that program, or stop it first")
    if code in (errno.EACCES, errno.EPERM):
        return PortNotPermitted(f"{path} {_how_to_be_permitted(path)}")
    if code in (errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.ELOOP):
        return PortMissing(f"{path} is not there; {_what_is_there(ports)}")
    if code in (None, errno.ENOTTY, errno.EISDIR, errno.EINVAL):
        return PortMissing(f"{path} is no serial port that works; {_what_is_there(ports)}")
    return NoDevice(f"{path} cannot be opened: {error}; unplug the device and plug it in again")


def _open_port(path: str, baud: int) -> serial.Serial:
    if not stat.S_ISCHR(Path(path).stat().st_mode):
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
    # inter_byte_timeout=0 means VMIN 1: without data a read says so and is not taken for the end.
    port = serial.Serial(path, baud, inter_byte_timeout=0, exclusive=True)
    try:
        if not os.path.realpath(path).startswith("/dev/pts/"):
            # Against programs that do not lock. A pty would keep the flag after this is closed.
            fcntl.ioctl(port.fileno(), termios.TIOCEXCL)
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            port.set_low_latency_mode(True)  # FTDI adapters hold bytes back for 16 ms otherwise
        os.set_blocking(port.fileno(), False)
    except BaseException:
        port.close()
        raise
    return port


def _same_adapter(port: SerialPort, known: SerialPort) -> bool:
    return (port.serial_number, port.vendor_product) == (known.serial_number, known.vendor_product)


def _what_is_there(ports: list[SerialPort]) -> str:
    if not ports:
        return "no serial port is there at all: plug the device in, or try sim:"
    return f"there are {', '.join(map(str, ports))}: plug the device in, or name one of these"


def _by_whom(path: str) -> str:
    """` by pid … (…)`, as far as this user may see it: who locked it, or else who has it open."""
    pids = _who_locks(path) or _who_opened(path)
    if not pids:
        return " by another program"
    return " by " + " and ".join(map(_process, pids))


def _process(pid: str) -> str:
    try:
        name = Path("/proc", pid, "comm").read_text(errors="replace").strip()
    except OSError:
        return f"pid {pid}"
    return f"pid {pid} ({name})" + (", this program itself" if pid == str(os.getpid()) else "")


def _who_locks(path: str) -> list[str]:
    try:
        status = Path(path).stat()
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return []
    node = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    fields = [line.split() for line in lines]
    return [field[4] for field in fields if field[1] == "FLOCK" and field[5] == node]


def _who_opened(path: str) -> list[str]:
    node = Path(path).resolve()
    pids: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(entry.readlink() == node for entry in (process / "fd").iterdir()):
                pids.append(process.name)
    return pids


def _how_to_be_permitted(path: str) -> str:
    try:
        status = Path(path).stat()
        group = grp.getgrgid(status.st_gid)
        user = pwd.getpwuid(os.getuid()).pw_name
    except (OSError, KeyError):
        return "may not be opened by this user; ask whoever runs this computer"
    if status.st_mode & 0o060 != 0o060 or group.gr_gid == 0:
        return (
            "may be opened by its owner alone; add a udev rule that gives it to a group such as "
            "dialout"
        )
    if user in group.gr_mem:
        return f"belongs to the group {group.gr_name}, which {user} is in only after a new login"
    return (
        f"belongs to the group {group.gr_name}; run `sudo usermod -aG {group.gr_name} {user}` "
        "and log in again"
    )
