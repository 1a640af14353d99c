"""A person who was asked and may use a massager: for tests and rehearsals that drive a real device.

    from tests.screened import screened
    screened(folder)                          # the folder of the config file
    screened(folder, max_intensity=4)

In `tests/e2e` the environment's config folder is `folder / "config" / "massager"`
(`environment_in`), unless MASSAGER_CONFIG names a file: then it is that file's folder.
"""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from massager.screening.profile import Answer, Profile
from massager.screening.profile_file import profile_path, write_profile
from massager.screening.questions import questions


def healthy(today: date | None = None, **changes: Any) -> Profile:
    """No reason against a massage; `changes` are fields of the profile."""
    answers = {question.id: Answer(False) for question in questions()}
    return replace(Profile(today or date.today(), answers), **changes)  # noqa: DTZ011 (a person's)


def screened(config_folder: Path, person: str = "", **changes: Any) -> Path:
    """Write such a profile beside the config file; its path."""
    path = profile_path(config_folder / "config.toml", person)
    write_profile(path, healthy(**changes))
    return path
