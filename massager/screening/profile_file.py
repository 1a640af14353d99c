"""The profile's file: profile.json beside the config file, for its owner alone.

Where the config names persons, each has one of their own: profile-anna.json.

    {
      "version": 1,
      "answered": "2026-11-21",
      "answers": {"injury": "no", "pregnancy": "yes", "diabetes": "cleared 2026-10-02"},
      "max_intensity": 10,
      "sore": null,
      "asked_after": 0
    }

`answers` has every question of questions.toml by its id. `sore` is a day or null. It is written by
`massager screening`; whoever writes it by hand answers for it.
"""

import json
import os
import stat
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from massager.config.file import printable
from massager.errors import ConfigError
from massager.limits import INTENSITY_MAX, INTENSITY_MIN
from massager.screening.profile import Answer, Profile, screening_command

VERSION: Final = 1
_MAX_BYTES: Final = 16_384
_KEYS: Final = {"version", "answered", "answers", "max_intensity", "sore", "asked_after"}
_CLEARED: Final = "cleared "


def profile_path(config_path: Path, person: str = "") -> Path:
    """Where it is, or would be."""
    return config_path.parent / (f"profile-{person}.json" if person else "profile.json")


def read_profile(path: Path, person: str = "") -> Profile | None:
    """What it says; None where there is none. Raises ConfigError for whatever is no profile.

    A file that others may read or write is closed to them.
    """
    shown = printable(str(path))
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise _unusable(shown, "it is no file", person)
            if mode & 0o077:
                with suppress(OSError):  # somebody else's
                    os.fchmod(file.fileno(), 0o600)
            content = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unusable(shown, f"it cannot be read: {error.strerror}", person) from None
    if len(content) > _MAX_BYTES:
        raise _unusable(shown, "it is too long", person)
    try:
        return replace(_profile(json.loads(content, object_pairs_hook=_once)), person=person)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        reason = str(error) if type(error) is ValueError else "it is no profile"
        raise _unusable(shown, reason, person) from None


def write_profile(path: Path, profile: Profile) -> None:
    """Replace it, whole or not at all. Raises ConfigError."""
    text = json.dumps(_record(profile), indent=2) + "\n"
    own = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(fd, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(fd)
            own.replace(path)
        except BaseException:
            own.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(
            f"your answers could not be stored in {printable(str(path))}: {error.strerror}"
        ) from None


def _record(profile: Profile) -> dict[str, Any]:
    return {
        "version": VERSION,
        "answered": profile.answered.isoformat(),
        "answers": {name: _word(answer) for name, answer in profile.answers.items()},
        "max_intensity": profile.max_intensity,
        "sore": None if profile.sore is None else profile.sore.isoformat(),
        "asked_after": profile.asked_after,
    }


def _word(answer: Answer) -> str:
    if answer.applies and answer.cleared is not None:
        return f"{_CLEARED}{answer.cleared.isoformat()}"
    return "yes" if answer.applies else "no"


def _profile(found: Any) -> Profile:
    if not isinstance(found, dict) or set(found) != _KEYS:
        raise ValueError("its keys are not those of a profile")
    if found["version"] != VERSION or not isinstance(found["answers"], dict):
        raise ValueError(f"its version is not {VERSION}")
    cap, asked_after, sore = found["max_intensity"], found["asked_after"], found["sore"]
    if type(cap) is not int or not INTENSITY_MIN <= cap <= INTENSITY_MAX:
        raise ValueError(f"max_intensity is not a number from {INTENSITY_MIN} to {INTENSITY_MAX}")
    if type(asked_after) is not int or asked_after < 0:
        raise ValueError("asked_after is no number")
    return Profile(
        answered=_day("answered", found["answered"]),
        answers={name: _answer(name, text) for name, text in found["answers"].items()},
        max_intensity=cap,
        sore=None if sore is None else _day("sore", sore),
        asked_after=asked_after,
    )


def _answer(name: str, text: object) -> Answer:
    match text:
        case "no":
            return Answer(False)
        case "yes":
            return Answer(True)
        case str() if text.startswith(_CLEARED):
            return Answer(True, _day(name, text.removeprefix(_CLEARED)))
        case _:
            raise ValueError(f"the answer to {name[:40]!r} is not yes, no or cleared with a day")


def _day(name: str, text: object) -> date:
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"{name[:40]!r} has no day such as 2026-11-21") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in it")
    return found


def _unusable(shown: str, reason: str, person: str = "") -> ConfigError:
    return ConfigError(
        f"the profile {shown} cannot be used ({printable(reason)}); answer again: "
        f"{screening_command(person)} --redo"
    )


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for its writer
