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
