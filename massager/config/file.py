"""Reads the config file: bytes → text → table, with the line of every key. Knows no settings.

Every error is a ConfigError that names file and line and never shows what stands there.
"""

import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from massager.errors import ConfigError

FILE_MAX_BYTES: Final = 65_536  # a config takes 300 bytes; anything huge is something else
_PASSWORD_MAX_BYTES: Final = 1_024
_HEADER: Final = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?")
_ROW: Final = re.compile(r"\s*\[\[\s*([^\[\]]+?)\s*\]\]\s*(#.*)?")
_ASSIGNMENT: Final = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'|\s*\.\s*)+?)\s*=""")
_DEVICES: Final = "devices"
_TWICE: Final = {
    "Cannot overwrite a value": "this key is given twice; give it once",
    "Cannot declare": "this table is given twice; write its keys under one",
    "Cannot mutate immutable namespace": "this table is given twice; write its keys under one",
}


@dataclass(frozen=True, slots=True)
class ConfigText:
    """A file as it was read; one that is not there is empty."""

    path: Path
    table: Mapping[str, object] = field(default_factory=dict)
    text: str = ""
    readable_by_others: bool = False

    def line_of(self, key: str) -> int:
        """The line that sets `key` (`table.key`), or opens its table; 1 where neither is found."""
        opened, table = 1, ""
        for number, line in enumerate(self.text.split("\n"), 1):
            if header := _HEADER.fullmatch(line) or _ROW.fullmatch(line):
                table = _plain(header[1])
                opened = number if table == key.rpartition(".")[0] else opened
                if table == key:
                    return number
            elif assignment := _ASSIGNMENT.match(line):
                name = _plain(f"{table}.{assignment[1]}" if table else assignment[1])
                if name == key or key.startswith(f"{name}."):
                    return number
        return opened

    def place_of(self, key: str) -> str:
        """`file, line n`."""
        return f"{printable(str(self.path))}, line {self.line_of(key)}"


def read_config_text(path: Path, must_exist: bool) -> ConfigText:
    """The file's table. Raises ConfigError."""
    import tomllib

    shown = printable(str(path))
    content, mode = _read(path, FILE_MAX_BYTES)
    if content is None:
        if must_exist:
            raise ConfigError(f"{shown}: MASSAGER_CONFIG names it, and it is not there")
        return ConfigText(path)
    text = _decode(content, shown)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_explain(error, text, shown)) from None
    except (ValueError, RecursionError):  # a number or a nesting beyond what Python reads
        raise ConfigError(f"{shown}, line 1: this is no config file") from None
    return ConfigText(path, table, text, bool(mode & 0o077))


def read_config_lines(path: Path) -> ConfigText:
    """What single lines of a file that is no TOML still say, for a stop. Raises nothing.

    A key that two lines give differently counts as not given; of [[devices]] every `device` counts.
    """
    import tomllib

    try:
        content, mode = _read(path, FILE_MAX_BYTES)
    except ConfigError:
        return ConfigText(path)
    text = (content or b"").decode("utf-8-sig", "replace").replace("\r\n", "\n")
    table: dict[str, Any] = {}
    devices: list[Mapping[str, object]] = []
    header = ""
    for line in text.split("\n"):
        if line.lstrip().startswith("["):
            name = line.partition("#")[0].strip("[] \t")
            header = line if _HEADER.fullmatch(line) else "[unknown]"
            header = _DEVICES if name.partition(".")[0] == _DEVICES else header
            continue
        with suppress(ValueError, KeyError, RecursionError):
            if header == _DEVICES:
                devices += [{"device": tomllib.loads(line)["device"]}]
            else:
                _add(table, tomllib.loads(f"{header}\n{line}"))
    table |= {_DEVICES: devices} if devices else {}
    return ConfigText(path, table, text, bool(mode & 0o077))


def read_password(path: Path, named_by: str) -> tuple[str, bool]:
    """The first line of a password file, and whether others may read it. Raises ConfigError."""
    shown = printable(str(path))
    content, mode = _read(path, _PASSWORD_MAX_BYTES)
    if content is None:
        raise ConfigError(f"{named_by}: the password file {shown} is not there")
    try:
        password = content.decode("utf-8").split("\n")[0].rstrip("\r")
    except UnicodeDecodeError:
        raise ConfigError(f"{named_by}: the password file {shown} is not UTF-8 text") from None
    if not password:
        raise ConfigError(f"{named_by}: the first line of the password file {shown} is empty")
    return password, bool(mode & 0o077)


def printable(text: str) -> str:
    """`text` on one line, whatever is in it."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _add(table: dict[str, Any], found: Mapping[str, object]) -> None:
    for key, value in found.items():
        place = table.setdefault(key, {} if isinstance(value, dict) else value)
        if isinstance(place, dict) and isinstance(value, dict):
            _add(place, value)
        elif place != value:
            table[key] = None


def _read(path: Path, max_bytes: int) -> tuple[bytes | None, int]:
    """Content and mode of a plain file; None where there is none."""
    shown = printable(str(path))
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError(f"{shown} is no file; remove it, or name another one")
            content = file.read(max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None, 0
    except IsADirectoryError:
        raise ConfigError(f"{shown} is a directory; name the file in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name has a zero character"
        raise ConfigError(f"{shown} cannot be read: {reason}") from None
    if len(content) > max_bytes:
        raise ConfigError(f"{shown} is too long: {max_bytes} bytes at most")
    return content, stat.S_IMODE(status.st_mode)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for its writer


def _decode(content: bytes, shown: str) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(f"{shown}, line 1: this is UTF-16; save the file as UTF-8")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{shown}, line {line}: this is not UTF-8; save it as UTF-8") from None


def _explain(error: Exception, text: str, shown: str) -> str:
    message = str(error)
    found = re.search(r"\(at line (\d+), column \d+\)$", message)
    line = int(found[1]) if found else text.rstrip().count("\n") + 1
    cause = "not TOML: " + re.sub(r" \(at [^()]*\)$", "", message)
    for start, way_out in _TWICE.items():
        if message.startswith(start):
            cause = way_out
    return f"{shown}, line {line}: {printable(cause)}"


def _plain(name: str) -> str:
    """`mqtt . "user"` → `mqtt.user`."""
    return ".".join(part.strip().strip("\"'") for part in name.split("."))
