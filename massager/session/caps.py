"""Caps on the intensity that come and go with the time, such as quiet hours. Data only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cap:
    """From `from_ms` on, and until the next one begins, `max_intensity` is the highest.

    `reason` says why, for a person who wants more; `notice` tells beforehand whom it will lower.
    """

    from_ms: int
    max_intensity: int
    reason: str
    notice: str = ""
