"""Quiet hours: a cap on the intensity by the time of day. Pure: it is told the local times."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DAY_MIN: Final = 1_440


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From one minute of the day up to another, over midnight where that one is the smaller."""

    from_min: int
    to_min: int
    max_intensity: int

    def holds_at(self, minute: int) -> bool:
        """At this minute of the day, 0…1439."""
        if self.from_min < self.to_min:
            return self.from_min <= minute < self.to_min
        return minute >= self.from_min or minute < self.to_min

    def __str__(self) -> str:
        span = f"{_clock(self.from_min)} to {_clock(self.to_min)}"
        return f"quiet hours from {span}, {self.max_intensity} at most"


def quietest(hours: Sequence[QuietHours], minute: int) -> QuietHours | None:
    """The lowest cap that holds at this minute of the day; None where none does."""
    holding = (quiet for quiet in hours if quiet.holds_at(minute))
    return min(holding, key=lambda quiet: quiet.max_intensity, default=None)


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
