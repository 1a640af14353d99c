"""Where the running controllers of this user are found: the runtime directory.

    <pid>.sock      the socket a session in the foreground listens on (api/messages.py), 0600
    <pid>.device    the URL it drives: names an owner that does not answer
    <pid>.<name>.…  the same of each device of a daemon (`massager serve`), by the device's name
    <hash>.lock     held by whoever drives a device, gone with its process
    daemon.lock     held by the only daemon

The directory is $MASSAGER_RUNTIME_DIR, else $XDG_RUNTIME_DIR/massager, else /tmp/massager-<uid>;
0700, and refused where somebody else owns it. /run/massager is the system's service, for its
group. `massager stop` reads all of them: nothing slow is imported.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from massager.errors import ConfigError, Refused

_PATH_MAX_BYTES: Final = 100  # a socket's address holds 107, and the name comes behind it
SYSTEM_DIRECTORY = "/run/massager"  # only root makes a folder there: whoever owns it may
_ADDRESS_MAX_BYTES: Final = 107
_DEVICE_MAX_BYTES: Final = 1_000


class Owner(NamedTuple):
    """A process that seems to run a controller; a daemon is one for each of its devices."""

    pid: int
    socket_path: str

    @property
    def name(self) -> str | None:
        """What the daemon calls the device; None for a session in the foreground."""
        _, *between, _ = os.path.basename(self.socket_path).split(".")
        return between[0] if between else None

    def takes_starts(self) -> bool:
        """Whether it is a device of a daemon."""
        return self.name is not None

    @property
    def device(self) -> str | None:
        """The URL it drives, as it wrote it down."""
        text = _read(self.socket_path.removesuffix(".sock") + ".device")
        return text if text and text.isprintable() else None

    @property
    def command(self) -> str | None:
        """Its command line, where the system tells."""
        words = _read(f"/proc/{self.pid}/cmdline").split("\0")
        if len(words) > 1 and os.path.basename(words[0]).startswith("python"):
            del words[0]
        words[0] = os.path.basename(words[0])
        text = " ".join(words).strip()
        return text if text and text.isprintable() else None

    @property
    def has_left(self) -> bool:
        """Whether it took its socket away, as a controller does once its session has ended."""
        return not os.path.exists(self.socket_path)

    def forget(self) -> None:
        """Remove what a dead owner has left."""
        for path in (self.socket_path, self.socket_path.removesuffix(".sock") + ".device"):
            try:
                os.unlink(path)
            except OSError:  # somebody else was quicker
                continue


def own_directory(environ: Mapping[str, str]) -> str:
    """The directory to listen in, made where it is missing. Raises ConfigError."""
    path = _candidates(environ)[0]
    if len(os.fsencode(path)) > _PATH_MAX_BYTES - len("/1234567.sock"):
        raise ConfigError(
            f"the runtime directory {path} has too long a name for a socket; "
            "set MASSAGER_RUNTIME_DIR to a shorter one"
        )
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the runtime directory {path} cannot be made ({error.strerror}); "
            "set MASSAGER_RUNTIME_DIR to one that you own"
        ) from None
    wrong = _what_is_wrong(path)
    if wrong is not None:
        raise ConfigError(f"the runtime directory {path} {wrong}")
    return path


def socket_fits(directory: str, name: str) -> bool:
    """Whether a daemon's socket for the device of this name can have its address there."""
    return len(os.fsencode(f"{directory}/1234567.{name}.device")) <= _ADDRESS_MAX_BYTES


def owners(environ: Mapping[str, str]) -> list[Owner]:
    """Every process that has left a socket, by pid. Some may be dead: only a connection tells.

    Looks into every directory a session of this user may listen in: a stop from cron or over ssh
    may have another environment than the start had.
    """
    found = {
        owner
        for path in dict.fromkeys(_candidates(environ))
        if _what_is_wrong(path) is None
        for owner in _sockets(path)
    }
    return sorted(found)


def claim_device(directory: str, device: str, pid: int) -> int:
    """Become the only owner of `device` among this user's processes, until the process ends.

    Returns the descriptor that holds the claim. Raises Refused, naming the owner, and ConfigError
    where the directory cannot be written.
    """
    from hashlib import sha256

    name = sha256(os.fsencode(same_device(device))).hexdigest()[:16]
    try:
        fd = os.open(f"{directory}/{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            _hold(fd, device, pid)
        except BaseException:
            os.close(fd)
            raise
    except OSError as error:
        raise ConfigError(
            f"nobody could tell that {device} is in use: the runtime directory {directory} cannot "
            f"be written ({error.strerror}); set MASSAGER_RUNTIME_DIR to another"
        ) from None
    return fd


def claim_daemon(directory: str, pid: int) -> int:
    """Become this user's only daemon, until the process ends; see claim_device."""
    try:
        fd = os.open(f"{directory}/daemon.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            _hold(fd, "a daemon of yours runs already", pid, "{}: {}; `massager status` shows it")
        except BaseException:
            os.close(fd)
            raise
    except OSError as error:
        raise ConfigError(
            f"nobody could tell that a daemon runs: the runtime directory {directory} cannot be "
            f"written ({error.strerror}); set MASSAGER_RUNTIME_DIR to another"
        ) from None
    return fd


def same_device(device: str) -> str:
    """One name for one device: a serial port has several paths."""
    scheme, _, rest = device.partition(":")
    if scheme != "serial" or "/" not in rest:
        return device
    return f"serial:{os.path.realpath(rest.partition('?')[0])}"


def _hold(
    fd: int, what: str, pid: int, words: str = "{} is in use by {}; end it with `massager stop`"
) -> None:
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(fd, 20, 0).decode("ascii", "replace")
        raise Refused(words.format(what, _named(text))) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, str(pid).encode(), 0)


def _named(pid_text: str) -> str:
    if not pid_text.isdigit():
        return "another process"
    command = Owner(int(pid_text), "").command
    return f"process {pid_text}" + (f" ({command})" if command else "")


def _candidates(environ: Mapping[str, str]) -> list[str]:
    own = environ.get("MASSAGER_RUNTIME_DIR")
    if own:
        return [os.path.abspath(own)]
    uid = os.geteuid()
    login = environ.get("XDG_RUNTIME_DIR")
    places = [f"/tmp/massager-{uid}", f"/run/user/{uid}/massager"]
    if login and os.path.isabs(login) and _owned(login):
        places.insert(0, f"{login}/massager")
    return [*places, SYSTEM_DIRECTORY]


def _owned(path: str) -> bool:
    try:
        return os.stat(path).st_uid == os.geteuid()
    except OSError:
        return False


def _what_is_wrong(path: str) -> str | None:
    try:
        found = os.lstat(path)
    except OSError as error:
        return f"cannot be used ({error.strerror})"
    if not stat.S_ISDIR(found.st_mode):
        return "is not a directory; set MASSAGER_RUNTIME_DIR to one that you own"
    if path == SYSTEM_DIRECTORY:
        return "is open to others" if stat.S_IMODE(found.st_mode) & 0o027 else None
    if found.st_uid != os.geteuid():
        return "belongs to somebody else; set MASSAGER_RUNTIME_DIR to one that you own"
    if stat.S_IMODE(found.st_mode) & 0o077:
        return f"is open to others; close it: chmod 700 {path}"
    return None


def _sockets(directory: str) -> Iterator[Owner]:
    try:
        names = os.listdir(directory)
    except OSError:  # the system's, and this user is not of its group
        return
    for name in names:
        match name.split("."):
            case [pid, "sock"] | [pid, _, "sock"] if pid.isascii() and pid.isdigit():
                yield Owner(int(pid), f"{directory}/{name}")


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_DEVICE_MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
