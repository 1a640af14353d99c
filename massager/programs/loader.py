"""Finds and reads program files. The rules they keep are in `rules.py`.

A file's name, without `.toml`, is the program's name. The shipped ones lie beside this file; a
person's own lie in a folder that is handed in, or anywhere, named by their path.
"""

import re
from pathlib import Path
from typing import Final

from massager.errors import ConfigError, UsageError
from massager.programs.program import Program
from massager.programs.rules import Place, RuleBroken, nearest, program_from

FILE_MAX_BYTES: Final = 65_536  # a program takes 300 bytes; anything huge is something else

_SHIPPED: Final = Path(__file__).parent
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_STEP_HEADER: Final = re.compile(r"\s*\[\[\s*step\s*\]\]")


def program_names(own_dir: Path | None = None) -> tuple[str, ...]:
    """The names of all programs, sorted: the shipped ones and those in a person's own folder."""
    return tuple(sorted({*_names_in(_SHIPPED), *(_names_in(own_dir) if own_dir else ())}))


def load_program(name_or_path: str | Path, own_dir: Path | None = None) -> Program:
    """The program of that name or path; what contains a `/` or ends in `.toml` is a path.

    UsageError for an unknown name or a file that is not there; ConfigError, with file and line,
    for a file that breaks a rule.
    """
    if isinstance(name_or_path, Path) or "/" in name_or_path or name_or_path.endswith(".toml"):
        return _load_file(Path(name_or_path))
    name = name_or_path
    shipped = name in _names_in(_SHIPPED)
    own = own_dir is not None and name in _names_in(own_dir)
    if own and own_dir is not None:
        path = own_dir / f"{name}.toml"
        if shipped:
            raise ConfigError(f"{_printable(str(path))}: rename it, '{name}' is a shipped program")
        return _load_file(path)
    if shipped:
        return _load_file(_SHIPPED / f"{name}.toml")
    names = program_names(own_dir)
    raise UsageError(
        f"there is no program {name[:40]!r}; the nearest is '{nearest(name, names)}'. "
        f"All of them: {', '.join(names)}"
    )


def _names_in(folder: Path) -> frozenset[str]:
    try:
        found = [path.stem for path in folder.iterdir() if path.suffix == ".toml"]
    except OSError:  # no such folder: nobody has written a program yet
        return frozenset()
    return frozenset(stem for stem in found if _NAME.fullmatch(stem))


def _load_file(path: Path) -> Program:
    shown = _printable(str(path))
    if not _NAME.fullmatch(path.stem):
        raise ConfigError(
            f"{shown}: name a program's file in small letters, digits and hyphens, at most 40"
        )
    text = _read(path, shown)
    table = _parse(text, shown)
    try:
        return program_from(path.stem, table)
    except RuleBroken as broken:
        line = _line_of(text, broken.place)
        raise ConfigError(f"{shown}, line {line}: {broken.text}") from None


def _read(path: Path, shown: str) -> str:
    try:
        if not path.is_file():  # a pipe or a device could be read for ever
            raise UsageError(f"there is no program file {shown}")
        with path.open("rb") as file:
            content = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{shown} cannot be read: {error.strerror}") from None
    if len(content) > FILE_MAX_BYTES:
        raise ConfigError(f"{shown}: a program file is at most {FILE_MAX_BYTES} bytes long")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{shown}, line {line}: not UTF-8 text") from None


def _parse(text: str, shown: str) -> dict[str, object]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = re.search(r" \(at line (\d+), column \d+\)", message)
        line = int(found[1]) if found else text.count("\n") + 1
        cause = re.sub(r" \(at .*\)$", "", message, flags=re.DOTALL)
        raise ConfigError(f"{shown}, line {line}: {_printable(cause)}") from None
    except (ValueError, RecursionError):  # a number or a nesting beyond what Python reads
        raise ConfigError(f"{shown}, line 1: not a program file") from None


def _line_of(text: str, place: Place) -> int:
    """The line a rule was broken at: its key's, else its step's, else the pattern's, else 1."""
    lines = text.split("\n")
    headers = [number for number, line in enumerate(lines, 1) if _STEP_HEADER.match(line)]
    match place:
        case ("step", int(index), *keys) if index < len(headers):
            start, end = headers[index], (*headers, len(lines) + 1)[index + 1]
            found = _find_key(lines[start : end - 1], str(keys[0])) if keys else None
            return start + found if found else start
        case (str(key), *_):
            return _find_key(lines, key) or 1
        case _:
            return _find_key(lines, "pattern") or 1


def _find_key(lines: list[str], key: str) -> int | None:
    """The number, from 1, of the first of `lines` that sets the key or opens its table."""
    sets_key = re.compile(rf"""\s*(\[\[?\s*)?["']?{re.escape(key)}["']?\s*[=.\]]""")
    return next((number for number, line in enumerate(lines, 1) if sets_key.match(line)), None)


def _printable(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]
