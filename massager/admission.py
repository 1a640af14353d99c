"""May this start, on these feet, now? Screening, profile, quiet hours and dose as one permit.

For the command line and for whatever starts from afar alike. The session applies the permit once
the device has said that it is not simulated; what is refused says what to do about it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from massager.ages import surely_passed_ms
from massager.config.file import printable
from massager.dose import Allowance, Use, assess, refusal
from massager.errors import ConfigError
from massager.history.records import Spent, Stamp
from massager.limits import DAY_MS, INTENSITY_MAX, QUIET_AHEAD_MS
from massager.plan import Choice
from massager.quiet_hours import QuietHours, quietest
from massager.screening.profile import (
    Profile,
    screening_command,
    what_blocks,
    what_is_missing,
)
from massager.screening.profile_file import profile_path, read_profile
from massager.screening.questions import questions
from massager.session.caps import Cap
from massager.session.model import Hindrance, Permit

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS


_NOBODY: Final = (
    "the config names a person for each device, and this device is none of them; give it a "
    "[[devices]] of its own, with its person"
)


@dataclass(frozen=True, slots=True)
class Admission:
    """What the settings say about a person's feet; `permit` reads the profile anew each time.

    `person` is whose feet, one of `persons`; both are empty where the config names nobody.
    """

    config_path: Path
    quiet: tuple[QuietHours, ...] = ()
    persons: tuple[str, ...] = ()
    person: str = ""

    @property
    def profile(self) -> Path:
        """The file of these answers."""
        return profile_path(self.config_path, self.person)

    def of(self, person: str) -> "Admission":
        """That of another person."""
        return replace(self, person=person)

    def permit(self, choice: Choice, spent: Sequence[Spent], now: Stamp) -> Permit:
        """What holds for this start on a real device. `spent` is the person's, as the history
        tells it."""
        if self.persons and not self.person:
            return Permit(_NOBODY, 0, hindrance=Hindrance.SCREENING)
        try:
            profile = read_profile(self.profile, self.person)
        except ConfigError as error:
            return Permit(str(error), 0, hindrance=Hindrance.SCREENING)
        if (why := self._not_screened(profile, now)) is not None or profile is None:
            return Permit(why, 0, hindrance=Hindrance.SCREENING)
        allowance = allowance_of(spent, now)
        why = refusal(allowance, choice, lambda in_ms: when(now, in_ms))
        if why is not None:
            return Permit(why + _why_so_little(spent, now), 0)
        caps = quiet_caps(self.quiet, now)
        return Permit(None, allowance.left_ms, profile.cap, profile.cap_reason, caps=caps)

    def _not_screened(self, profile: Profile | None, now: Stamp) -> str | None:
        missing = what_is_missing(profile, questions(), local(now, 0).date())
        if missing is not None:
            where = printable(str(self.profile))
            how = screening_command(self.person)
            return f"{missing}. Answer in a terminal: {how} (kept in {where})"
        return what_blocks(profile, questions())


def quiet_caps(quiet: Sequence[QuietHours], now: Stamp) -> tuple[Cap, ...]:
    """What quiet hours allow from `now` on, by this computer's time zone and its summer time.

    They are worked out for 6 hours, longer than pauses can draw a session out; after that, the
    lowest cap of all holds.
    """
    caps: list[Cap] = []
    before: QuietHours | None = None
    at = local(now, 0)
    first_ms = -(at.second * 1000 + at.microsecond // 1000) % _MINUTE_MS
    for in_ms in (0, *range(first_ms, QUIET_AHEAD_MS, _MINUTE_MS)) if quiet else ():
        holds = quietest(quiet, _minute_of(now, in_ms))
        if holds != before:
            caps.append(_cap(holds, now, in_ms))
        before = holds
    if quiet:
        caps.append(_cap_of_what_follows(min(each.max_intensity for each in quiet), before, now))
    return tuple(caps)


def _cap_of_what_follows(lowest: int, before: QuietHours | None, now: Stamp) -> Cap:
    if before is not None and before.max_intensity == lowest:
        return _cap(before, now, QUIET_AHEAD_MS)
    long = f"a session of {QUIET_AHEAD_MS // _HOUR_MS} hours"
    reason = f"{long} goes on as in quiet hours, {lowest} at most"
    notice = f"from {when(now, QUIET_AHEAD_MS)} at most {lowest} ({long})"
    return Cap(QUIET_AHEAD_MS, lowest, reason, notice)


def _cap(quiet: QuietHours | None, now: Stamp, in_ms: int) -> Cap:
    if quiet is None:
        return Cap(in_ms, INTENSITY_MAX, "")
    notice = f"from {when(now, in_ms)} at most {quiet.max_intensity} (quiet hours)"
    return Cap(in_ms, quiet.max_intensity, str(quiet), notice)


def allowance_of(spent: Sequence[Spent], now: Stamp) -> Allowance:
    """What is left of the sitting and of the 24 hours."""
    return assess([_use(each) for each in spent], now)


def when(now: Stamp, in_ms: int) -> str:
    """A moment to come as the person's clock will show it, rounded up to the minute."""
    today, moment = local(now, 0), local(now, in_ms)
    if moment.second or moment.microsecond:
        moment = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
    days = (moment.date() - today.date()).days
    day = "" if days == 0 else "tomorrow " if days == 1 else f"{moment:%A} "
    return f"{day}{moment:%H:%M}"


def local(now: Stamp, in_ms: int) -> datetime:
    """The local time `in_ms` after `now`, by this computer's time zone and its summer time."""
    return datetime.fromtimestamp((now.utc_ms + in_ms) / 1000).astimezone()


def _minute_of(now: Stamp, in_ms: int) -> int:
    moment = local(now, in_ms)
    return moment.hour * 60 + moment.minute


def _use(spent: Spent) -> Use:
    return Use(spent.motor_on_ms, spent.began, spent.ended, spent.seen_end, spent.speed)


def _why_so_little(spent: Sequence[Spent], now: Stamp) -> str:
    """What a person who cannot believe it should know."""
    counted = [
        each
        for each in spent
        if each.ended is not None and surely_passed_ms(each.ended, now) < DAY_MS
    ]
    if any(each.assumed for each in counted):
        return " (the history was lost: a sitting counts as if it had ended when that was noticed)"
    if any(
        each.ended.boot != now.boot and not (each.ended.synchronised and now.synchronised)
        for each in counted
        if each.ended is not None
    ):
        return (
            " (this computer was restarted since, and its clock is not known to be right: only "
            "the time since the restart counts)"
        )
    return ""
