"""Whether a command is fresh: made now, made once, and made after the last stop. Pure.

Five ways bring a start back from a broker (retained, queued, redelivered …). Whatever the way, it
comes with the moment it was made, and that is judged here. Times are wall clock, ms since 1970.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

WINDOW_MS: Final = 5_000  # old, and ahead: nobody waits longer, and home clocks agree better
REMEMBERED_MAX: Final = 512  # at most 20 a second are judged (desk.py), and 10 s can be fresh


@dataclass(frozen=True, slots=True)
class Stale:
    """Why a command is not taken."""

    kind: str
    why: str


class Freshness:
    """Of the commands to one device. `born_ms` is when the daemon began to listen."""

    def __init__(self, born_ms: int) -> None:
        self._born_ms = born_ms
        self._stopped_ms: int | None = None
        self._newest_set_ms = 0
        self._seen: dict[tuple[int, Hashable], None] = {}

    def stopped(self, now_ms: int) -> None:
        """A stop was taken, or a session has ended."""
        self._stopped_ms = max(now_ms, self._stopped_ms or 0)

    def judge(self, made_ms: int, what: Hashable, now_ms: int, *, is_set: bool) -> Stale | None:
        """None where it is fresh, and from now on it is no longer.

        `is_set`: of those only one that is made after the others is taken, or a late one would
        undo what a person has just chosen.
        """
        stale = self._too_old(made_ms, now_ms)
        if stale is not None:
            return stale
        if (made_ms, what) in self._seen:
            return Stale("seen", "this very command was taken before; make a new one")
        self._remember(made_ms, what)
        if is_set:
            if made_ms < self._newest_set_ms:
                return Stale("out of order", "a setting that was made later has been taken already")
            self._newest_set_ms = made_ms
        return None

    def _too_old(self, made_ms: int, now_ms: int) -> Stale | None:
        age_ms = now_ms - made_ms
        if age_ms > WINDOW_MS:
            return Stale(
                "late",
                f"it was made {age_ms / 1000:.1f} s ago and counts for 5 s; if it was made just "
                f"now, the sender's clock is {age_ms / 1000:.1f} s behind this computer's: set it",
            )
        if age_ms < -WINDOW_MS:
            return Stale(
                "ahead",
                f"it was made {-age_ms / 1000:.1f} s in the future; the sender's clock or this "
                "computer's is wrong: set it",
            )
        if made_ms < self._born_ms:
            why = "it was made before the daemon began to listen; repeat it"
            return Stale("before boot", _set_back(self._born_ms, "it began to listen", now_ms, why))
        if self._stopped_ms is not None and made_ms <= self._stopped_ms:
            why = "it was made before the last stop; repeat it"
            return Stale("before stop", _set_back(self._stopped_ms, "the last stop", now_ms, why))
        return None

    def _remember(self, made_ms: int, what: Hashable) -> None:
        self._seen[made_ms, what] = None
        while len(self._seen) > REMEMBERED_MAX:
            del self._seen[next(iter(self._seen))]


def _set_back(mark_ms: int, mark: str, now_ms: int, otherwise: str) -> str:
    """Why, where this computer's clock shows a time before something that has surely happened.

    The mark is not moved: a command that waited on the broker since then would pass for a new one.
    """
    back_ms = mark_ms - now_ms
    if back_ms <= 0:
        return otherwise
    back = f"{-(-back_ms // 1000)} s" if back_ms < 60_000 else f"{-(-back_ms // 60_000)} min"
    return (
        f"the clock of this computer was set back: it shows a time {back} before {mark}, and takes "
        f"commands again in {back}; restart the daemon to have them at once"
    )
