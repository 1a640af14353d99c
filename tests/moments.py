"""A computer whose clocks go wrong, beside the true time: what the dose is judged by."""

from dataclasses import dataclass

MINUTE: int = 60_000
HOUR: int = 60 * MINUTE
DAY: int = 24 * HOUR
NOVEMBER_2026: int = 1_795_000_000_000


@dataclass(frozen=True, slots=True)
class At:
    """A moment as the computer tells it; what `massager.ages.Moment` asks for."""

    utc_ms: int
    boot: str
    boot_ms: int
    synchronised: bool = True


class Computer:
    """Its boot counter is right while it runs; its wall clock is what somebody made of it."""

    def __init__(self, *, uptime_ms: int = DAY, synchronised: bool = True) -> None:
        self.true_ms = 0  # nobody but the judge knows it
        self._boots = 1
        self._booted_ms = -uptime_ms
        self._wall_error_ms = 0
        self._synchronised = synchronised

    def now(self) -> At:
        """What it would write into a row."""
        return At(
            NOVEMBER_2026 + self.true_ms + self._wall_error_ms,
            f"boot-{self._boots}",
            self.true_ms - self._booted_ms,
            self._synchronised,
        )

    def pass_(self, span_ms: int) -> None:
        """Time passes; asleep or awake is the same to it."""
        self.true_ms += span_ms

    def set_clock(self, by_ms: int) -> None:
        """Somebody sets the wall clock: the kernel no longer calls it synchronised."""
        self._wall_error_ms += by_ms
        self._synchronised = False

    def synchronise(self, error_ms: int = 0) -> None:
        """The network has told the time, give or take what the kernel allows."""
        self._wall_error_ms = error_ms
        self._synchronised = True

    def reboot(self, off_ms: int, rtc_error_ms: int = 0) -> None:
        """Off for a while; then a new boot with what its battery kept of the time."""
        self.true_ms += off_ms
        self._boots += 1
        self._booted_ms = self.true_ms
        self._wall_error_ms = rtc_error_ms
        self._synchronised = False


class Feet:
    """Judge a person's feet in true time: (a session's first moment, its last, its motor-on)."""

    def __init__(self) -> None:
        self.sessions: list[tuple[int, int, int]] = []

    def check(self) -> None:
        """Never more than 13 min between rests of 10 min, never more than 39 min in 24 h."""
        # Where in a session the pauses lay is left open: a window of 24 h that cuts a session gets
        # as much of it as can be on its side.
        for since in (edge for begin, end, _ in self.sessions for edge in (begin, end - DAY)):
            used = sum(
                min(on, min(end, since + DAY) - max(begin, since))
                for begin, end, on in self.sessions
                if end > since and begin < since + DAY
            )
            assert used <= 2_340_000, self.sessions
        sitting = 0
        before = None
        for begin, end, on in self.sessions:
            sitting = sitting + on if before is not None and begin - before < 600_000 else on
            assert sitting <= 780_000, self.sessions
            before = end
