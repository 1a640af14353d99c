"""What is worth a line in the history, from one snapshot of a session to the next. Pure.

A snapshot may be looked at late or not at all: two changes between two looks make one line. What
people ask for is noted by itself (`asked`), and the reason of an end is in every end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from massager.history.records import Sample
from massager.session.model import (
    Extend,
    HardStop,
    Pause,
    Request,
    Resume,
    SetIntensity,
    SoftStop,
    Start,
    StopReason,
)
from massager.snapshot import Snapshot

SAMPLE_GAP_MS: Final = 1_000

_FAULTS: Final = {
    StopReason.OVERHEATED,
    StopReason.STALLED,
    StopReason.FAULT,
    StopReason.LEASE_EXPIRED,
    StopReason.LINK_LOST,
    StopReason.DEVICE_RESTARTED,
    StopReason.HOST_STALLED,
    StopReason.HOST_SUSPENDED,
    StopReason.RUN_LIMIT,
    StopReason.TAKEN_OVER,
}
_MOVING: Final = ("preflight", "warm-up", "massage", "soft-end")


@dataclass(frozen=True, slots=True)
class Note:
    """An event without its wall clock."""

    elapsed_ms: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Met:
    """The device has said who it is."""

    device: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """A sign of life."""

    motor_on_ms: int
    highest_permille: int


Line: TypeAlias = Note | Met | Totals | Sample


class SessionLog:
    """Follows one session, from the first snapshot on."""

    def __init__(self) -> None:
        self._from_ms: int | None = None
        self._last = Snapshot("idle")
        self._intensity: int | None = None  # the newest that was known
        self._total_ms: int | None = None
        self._met = False
        self._is_paused = False
        self._sample_due_ms = 0

    def of(self, now: Snapshot) -> list[Line]:
        """What is new."""
        lines = list(self._news(now))
        self._last = now
        return lines

    def asked(self, request: Request, refusal: str | None, now: Snapshot) -> Note:
        """What a person or a program asked for, and whether it was done."""
        wish = _words(request)
        if refusal is None:
            return Note(self._elapsed_ms(now), "asked", wish)
        return Note(self._elapsed_ms(now), "refused", f"{wish}: {refusal}")

    def _elapsed_ms(self, now: Snapshot) -> int:
        if self._from_ms is None:
            self._from_ms = now.at_ms
        return max(0, now.at_ms - self._from_ms)

    def _news(self, now: Snapshot) -> Iterator[Line]:
        at_ms = self._elapsed_ms(now)
        if not self._met and now.device is not None:
            self._met = True
            yield Met(now.device, bool(now.simulated))
            yield Note(at_ms, "device", now.device + (" (simulated)" if now.simulated else ""))
        yield from self._moves(now, at_ms)
        yield from self._changes(now, at_ms)
        is_new = at_ms >= self._sample_due_ms or now.phase == "ended"
        if is_new:
            self._sample_due_ms = (at_ms // SAMPLE_GAP_MS + 1) * SAMPLE_GAP_MS
            yield Totals(now.motor_on_ms, now.highest_output_permille)
        if is_new and now.device is not None:
            yield _sample(now, at_ms)

    def _moves(self, now: Snapshot, at_ms: int) -> Iterator[Note]:
        if (now.phase, now.reason) == (self._last.phase, self._last.reason):
            return
        reason = now.reason or ""
        match now.phase:
            case "paused":
                self._is_paused = True
                yield Note(at_ms, "pause", reason)
            case "stopping" | "ended":
                kind = "end" if now.phase == "ended" else "stop"
                text = f"{reason}: {now.detail}" if now.detail else reason
                if kind == "stop" or self._last.phase != "stopping":
                    yield from _fault(at_ms, reason, text)
                yield Note(at_ms, kind, text)
            case _:
                if self._is_paused and now.phase in _MOVING:
                    self._is_paused = False
                    yield Note(at_ms, "resume", "")
                yield Note(at_ms, "phase", now.phase)

    def _changes(self, now: Snapshot, at_ms: int) -> Iterator[Note]:
        if now.intensity is not None:
            if self._intensity not in (None, now.intensity):
                why = f" ({now.lowered_by})" if now.lowered_by else ""
                text = f"intensity {now.intensity}, was {self._intensity}{why}"
                yield Note(at_ms, "change", text)
            self._intensity = now.intensity
        if now.time_total_ms is not None:
            if self._total_ms not in (None, now.time_total_ms):
                yield Note(at_ms, "change", f"{now.time_total_ms / 60_000:.1f} min in all")
            self._total_ms = now.time_total_ms


def _fault(at_ms: int, reason: str, text: str) -> Iterator[Note]:
    if reason in _FAULTS:
        yield Note(at_ms, "fault", text)


def _sample(now: Snapshot, at_ms: int) -> Sample:
    return Sample(
        at_ms,
        now.phase,
        now.setpoint_permille,
        now.output_permille,
        now.intensity,
        now.feet,
        now.temperature_c,
    )


def _words(request: Request) -> str:
    match request:
        case Start():
            return "start"
        case Pause():
            return "pause"
        case Resume():
            return "resume"
        case SetIntensity(intensity):
            return f"intensity {intensity}"
        case Extend(more_ms):
            return f"{more_ms / 60_000:g} min more"
        case SoftStop(reason, detail):
            return _stop("stop", reason, detail)
        case HardStop(reason, detail):
            return _stop("emergency stop", reason, detail)


def _stop(what: str, reason: StopReason, detail: str) -> str:
    usual = reason in (StopReason.REQUESTED, StopReason.EMERGENCY)
    more = " ".join(([] if usual else [reason.value]) + ([detail] if detail else []))
    return f"{what} ({more})" if more else what
