"""Where the history is, what is done to the file as a whole, and how a loss of it is noticed.

The file is $MASSAGER_HISTORY, else history.db in the user's data folder (0700; the file 0600).
Beside the config file, so elsewhere, `history.known` keeps which history counted last, up to
which session and end, and what the 24 hours before had been: deleting the history, or putting an
older copy in its place, gains no allowance.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from massager.errors import HistoryUnusable
from massager.history.records import Stamp
from massager.history.stamps import local_time

_KNOWN_MAX_BYTES: Final = 1_000
_MOVED: Final = ".corrupt-"
_ROOM_BYTES: Final = 524_288  # all rows of the longest session take a quarter of it


@dataclass(frozen=True, slots=True)
class Place:
    """The two files."""

    path: Path
    known: Path


@dataclass(frozen=True, slots=True)
class Known:
    """The history that counted last, its newest session that counts, and what the day had been
    before that one: `day_ms` of motor-on time in the 24 hours before `at`. `ends`: how many such
    sessions had ended."""

    history: str
    newest: int
    ends: int = 0
    day_ms: int = 0
    at: Stamp | None = None


def place_of(environ: Mapping[str, str], config_path: Path) -> Place:
    """Where both are. `config_path` is the config file's, whether it is there or not."""
    return Place(history_path(environ), config_path.parent / "history.known")


def history_path(environ: Mapping[str, str]) -> Path:
    """The history's file."""
    if named := environ.get("MASSAGER_HISTORY"):
        return Path(named)
    from platformdirs import user_data_path

    return user_data_path("massager") / "history.db"


def make_file(path: Path) -> None:
    """The folder and an empty file, for its owner alone. Raises HistoryUnusable."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):  # an existing one is not opened: see `locked`
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no file has such a name"
        raise HistoryUnusable(
            f"the history {path} cannot be written: {reason}; "
            "set MASSAGER_HISTORY to a file that you may write"
        ) from None


def keep_room(path: Path) -> None:
    """Take some of the disk now, so that the end of a session can be written when it is full.

    Where there is no room for it, there is none.
    """
    with suppress(OSError, AttributeError):
        fd = os.open(_room(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size < _ROOM_BYTES:
                os.posix_fallocate(fd, 0, _ROOM_BYTES)
        finally:
            os.close(fd)


def free_room(path: Path) -> None:
    """Give back what `keep_room` has taken."""
    with suppress(OSError):
        _room(path).unlink()


def _room(path: Path) -> Path:
    return path.with_name(path.name + ".room")


def read_known(path: Path) -> Known | None:
    """What is known of the history; None where nothing ever counted.

    A file that cannot be read knows of a history that is nobody's: it counts as lost.
    """
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_KNOWN_MAX_BYTES))
        at = found.get("at")
        return Known(
            str(found["history"]),
            int(found["newest"]),
            int(found.get("ends", 0)),
            int(found.get("day_ms", 0)),
            None if at is None else _stamp_of(**at),
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Known("", 0)


def _stamp_of(
    *, utc_ms: object, offset_min: object, boot: object, boot_ms: object, synchronised: object
) -> Stamp:
    numbers = [int(str(number)) for number in (utc_ms, offset_min, boot_ms)]
    return Stamp(numbers[0], numbers[1], str(boot), numbers[2], synchronised is True)


def write_known(path: Path, known: Known) -> None:
    """Replace it, whole or not at all, on the disk when this returns. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = path.with_name(f"{path.name}.{os.getpid()}")
    fd = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, json.dumps(asdict(known)).encode())
        os.fsync(fd)
        own.replace(path)
    except BaseException:
        own.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    _settle(path.parent)


def _settle(folder: Path) -> None:
    """A new name lasts only once its folder is on the disk, too."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone among the processes that open, move or make this history; waits for the others.

    The lock has its own file: closing the history's would drop the locks that SQLite has on it.
    """
    import fcntl

    fd = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def move_aside(path: Path, now: Stamp) -> Path:
    """A damaged history and what belongs to it get another name. Raises OSError."""
    name = f"{path.name}{_MOVED}{local_time(now):%Y%m%d-%H%M%S}"
    aside = path.with_name(name)
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{name}-{number}")
    path.rename(aside)
    for tail in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + tail).rename(aside.with_name(aside.name + tail))
    return aside


def remove_moved(path: Path) -> None:
    """Remove what `move_aside` has kept. Raises OSError."""
    for aside in path.parent.iterdir():
        if aside.name.startswith(f"{path.name}{_MOVED}"):
            aside.unlink(missing_ok=True)
