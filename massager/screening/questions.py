"""The questions, from the data file beside this one."""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_name("questions.toml")


class Group(StrEnum):
    """What a yes means."""

    DO_NOT_USE = "do not use"
    ASK_FIRST = "ask a doctor first"


@dataclass(frozen=True, slots=True)
class Question:
    """One question; a yes is a reason not to start. `what` names the reason in a sentence."""

    id: str
    group: Group
    text: str
    what: str


@cache
def questions() -> tuple[Question, ...]:
    """All of them, in the order in which they are asked."""
    with _FILE.open("rb") as file:
        found = tomllib.load(file)["question"]
    return tuple(
        Question(each["id"], Group(each["group"]), each["text"], each["what"]) for each in found
    )
