"""Why a person stopped, the advice for it, and what reasons that come again mean."""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_name("reasons.toml")
_REGULARLY: Final = 3  # days with cramps within four weeks
_FOUR_WEEKS: Final = timedelta(days=28)
_THREE_WEEKS: Final = timedelta(days=21)
_PAINFUL: Final = ("pain", "tingling", "numbness")


@cache
def advice_by_reason() -> Mapping[str, str]:
    """The advice for each word that `massager stop --because` takes, in the file's order."""
    with _FILE.open("rb") as file:
        return {each["word"]: each["advice"] for each in tomllib.load(file)["reason"]}


def seek_care(stops: Sequence[tuple[date, str]], today: date) -> str | None:
    """What the reasons of earlier stops add up to, each with its day; None where to nothing."""
    cramps = {day for day, word in stops if word == "cramp" and today - day < _FOUR_WEEKS}
    if len(cramps) >= _REGULARLY:
        return (
            f"You stopped because of cramps on {len(cramps)} days of the last four weeks. Cramps "
            "that come regularly are a reason to see a doctor or a podiatrist."
        )
    recent = {day for day, word in stops if word in _PAINFUL and today - day <= 2 * _THREE_WEEKS}
    if recent and max(recent) - min(recent) > _THREE_WEEKS:
        return (
            f"You have stopped because of pain or tingling since {min(recent)}. Pain that lasts "
            "for more than three weeks is a reason to see a doctor or a podiatrist."
        )
    return None
