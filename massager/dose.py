"""How much more massage these feet may have: the sitting and the 24 hours, all devices. Pure.

Told what was used and what time it is; ages.py bounds the time between. What is not known counts
as used: an age is never taken for longer, nor a use for shorter, than it surely was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from massager.ages import Moment, surely_passed_ms
from massager.limits import (
    DAY_MAX_MS,
    DAY_MS,
    MASSAGE_MIN_MS,
    SITTING_MAX_MS,
    SITTING_REST_MS,
    SOFT_END_MS,
    unseen_end_ms,
)
from massager.plan import Choice

# No plan is cut short by the first setpoint's way, the stop's, and what is kept for a lost device.
_EDGES_MS: Final = 1_000 + unseen_end_ms()
_HALF_MINUTE_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class Use:
    """A session that used these feet's allowance. `ended` is None while it runs.

    `seen_end`: the device itself confirmed that the motor is off. Without that it may have turned
    until its lease ran out. `speed` of a simulated device that counts: its lease runs in its time.
    """

    motor_on_ms: int
    began: Moment
    ended: Moment | None
    seen_end: bool = True
    speed: int = 1

    @property
    def counts_ms(self) -> int:
        """The motor-on time to reckon with."""
        return self.motor_on_ms + self._unseen_ms

    def rest_ms(self, until: Moment) -> int:
        """How long the motor had surely been off at `until`; below 0 while it may still turn."""
        if self.ended is None:
            return 0
        return surely_passed_ms(self.ended, until) - self._unseen_ms

    @property
    def _unseen_ms(self) -> int:
        return 0 if self.seen_end else unseen_end_ms(self.speed)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left at one moment. Motor-on time in ms."""

    sitting_left_ms: int
    day_left_ms: int
    rest_ms: int = 0  # off for so long from now, and a new sitting may begin; 0: it has
    frees: tuple[tuple[int, int], ...] = ()  # (in ms from now, what the 24 hours get back then)
    is_running: bool = False  # a session runs now, and nobody knows yet what it will take

    @property
    def left_ms(self) -> int:
        """What a session may take now."""
        return 0 if self.is_running else min(self.sitting_left_ms, self.day_left_ms)

    @property
    def fresh_in_ms(self) -> int | None:
        """From when on a full sitting is allowed, in ms from now."""
        return self.wait_ms(SITTING_MAX_MS)

    def wait_ms(self, need_ms: int) -> int | None:
        """How long to rest until `need_ms` are allowed; None: a session runs, or it never is."""
        if self.is_running or need_ms > SITTING_MAX_MS:
            return None
        wait_ms = 0 if need_ms <= self.sitting_left_ms else self.rest_ms
        left_ms = self.day_left_ms
        for in_ms, back_ms in self.frees:
            if need_ms <= left_ms:
                break
            left_ms += back_ms
            wait_ms = max(wait_ms, in_ms)
        return wait_ms if need_ms <= left_ms else None


def assess(uses: Sequence[Use], now: Moment) -> Allowance:
    """What is left. `uses` is every use there was, in the order in which they began."""
    day = sorted((DAY_MS - use.rest_ms(now), use.counts_ms) for use in uses)
    day = [(in_ms, counts_ms) for in_ms, counts_ms in day if in_ms > 0 and counts_ms > 0]
    day_used_ms = sum(counts_ms for _, counts_ms in day)
    sitting = _sitting(uses, now)
    rested_ms = min((use.rest_ms(now) for use in sitting), default=SITTING_REST_MS)
    # What is over the limit must come back first: `frees` begin at what is truly used.
    over_ms = max(0, day_used_ms - DAY_MAX_MS)
    return Allowance(
        sitting_left_ms=max(0, SITTING_MAX_MS - sum(use.counts_ms for use in sitting)),
        day_left_ms=max(0, DAY_MAX_MS - day_used_ms),
        rest_ms=SITTING_REST_MS - rested_ms,
        frees=tuple(_after_debt(day, over_ms)),
        is_running=any(use.ended is None for use in uses),
    )


def need_ms(choice: Choice) -> int:
    """The motor-on time that must be left for a session, ms."""
    return choice.warmup_ms + choice.massage_ms + SOFT_END_MS + _EDGES_MS


def refusal(allowance: Allowance, choice: Choice, when: Callable[[int], str]) -> str | None:
    """Why this choice does not fit, what would, and from when on it does; None where it fits.

    `when` tells a moment, given in ms from now, as the person's clock shows it.
    """
    if allowance.is_running:
        return (
            "a session runs already, on this or another device, and its end is not known yet; "
            "wait for it, or end it with `massager stop`"
        )
    need, left = need_ms(choice), allowance.left_ms
    if need <= left:
        return None
    if allowance.day_left_ms <= allowance.sitting_left_ms:  # both used up: the longer wait
        of_what = f"of the {DAY_MAX_MS // 60_000} min in any 24 hours"
    else:
        of_what = f"of the {SITTING_MAX_MS // 60_000} min of one sitting"
    text = f"{_minutes(left)} {of_what} are left, and this session takes {_minutes_up(need)}"
    fits_ms = (left - (need - choice.massage_ms)) // _HALF_MINUTE_MS * _HALF_MINUTE_MS
    if fits_ms >= MASSAGE_MIN_MS:
        text += f"; {fits_ms / 60_000:g} min of massage would fit now (--minutes)"
    wait, fresh = allowance.wait_ms(need), allowance.fresh_in_ms
    if wait is None or fresh is None:
        return text
    if when(wait) == when(fresh):
        return f"{text}; rest until {when(wait)} for a full one"
    return f"{text}; it fits from {when(wait)} on, a full sitting from {when(fresh)} on"


def _sitting(uses: Sequence[Use], now: Moment) -> list[Use]:
    """The uses since the last rest that was surely long enough, the newest first."""
    sitting: list[Use] = []
    for use in reversed(uses):
        if use.counts_ms == 0 and use.ended is not None:
            continue
        edges = (now, *(later.began for later in sitting))
        if any(use.rest_ms(edge) < SITTING_REST_MS for edge in edges):
            sitting.append(use)
    return sitting


def _after_debt(day: Sequence[tuple[int, int]], over_ms: int) -> list[tuple[int, int]]:
    """What comes back, less what had been taken above the limit."""
    found = []
    for in_ms, back_ms in day:
        kept_ms = min(back_ms, over_ms)
        over_ms -= kept_ms
        found.append((in_ms, back_ms - kept_ms))
    return found


def _minutes(span_ms: int) -> str:
    """Whole minutes and seconds, rounded down: `9 min`, `4:30 min`."""
    seconds = span_ms // 1000
    return f"{seconds // 60}{f':{seconds % 60:02d}' if seconds % 60 else ''} min"


def _minutes_up(span_ms: int) -> str:
    return _minutes(-(-span_ms // 1000) * 1000)
