"""What happens in a session, one event after the other, from the records of it. Pure.

The events are what `massager start --json` prints, one object a line:

    started   device, url, simulated, program, intensity, minutes, warmup_s, shape, speed, pid
    phase     phase: connecting, preflight, warm-up, massage, soft-end or stopping; and its reason
    status    every field of a Snapshot, at most once in a second of the session's time
    paused    reason: paused, feet lifted, link lost or lease expired
    resumed
    changed   intensity, time_total_ms: what a person has changed; or intensity and reason: a cap
    notice    text: a cap that will lower the intensity before the session ends
    refused   reason, in words
    warning   text: what is wrong beside the session, such as a history that cannot be written
    ended     reason, detail, seconds_run (motor on), highest_output_permille, output_confirmed,
              exit_code
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

from massager.cli.drawing import clock
from massager.snapshot import Snapshot

STATUS_GAP_MS: Final = 1_000

Event = dict[str, Any]

_STATUS: Final = tuple(field.name for field in fields(Snapshot))
_TITLES: Final = {
    "idle": "Idle",
    "connecting": "Connecting",
    "preflight": "Waiting for feet",
    "warm-up": "Warm-up",
    "massage": "Massage",
    "soft-end": "Soft end",
    "paused": "Paused",
    "stopping": "Stopping",
    "ended": "Ended",
}


class Events:
    """Tells the events of one session. `facts` go into `started`."""

    def __init__(self, facts: Event) -> None:
        self._facts = facts
        self._last = Snapshot("idle")
        self._known: Snapshot | None = None  # the newest one that has a device
        self._paused = False
        self._noticed: str | None = None
        self._status_at_ms = 0

    def of(self, now: Snapshot) -> list[Event]:
        """The events between the record before and this one. An end has its own function."""
        events = [] if now.phase == "ended" else list(self._news(now))
        self._last = now
        if now.device is not None:
            self._known = now
        return events

    def _news(self, now: Snapshot) -> Iterator[Event]:
        if now.device is not None and self._known is None:
            self._status_at_ms = now.at_ms - STATUS_GAP_MS
            yield {
                "event": "started",
                "device": now.device,
                "simulated": now.simulated,
                **self._facts,
            }
        if now.phase == "paused":
            if not self._paused or now.reason != self._last.reason:
                yield {"event": "paused", "reason": now.reason}
            self._paused = True
        elif now.phase != self._last.phase:
            if self._paused and now.phase in ("warm-up", "massage", "soft-end"):
                self._paused = False
                yield {"event": "resumed"}
            yield {"event": "phase", "phase": now.phase, "reason": now.reason}
        yield from self._changes(now)
        if now.cap_ahead not in (None, self._noticed):
            self._noticed = now.cap_ahead
            yield {"event": "notice", "text": now.cap_ahead}
        if now.device is not None and now.at_ms - self._status_at_ms >= STATUS_GAP_MS:
            self._status_at_ms = now.at_ms
            yield {"event": "status", **{name: getattr(now, name) for name in _STATUS}}

    def _changes(self, now: Snapshot) -> Iterator[Event]:
        before = self._known
        if before is None or now.device is None:
            return
        if now.intensity != before.intensity:
            reason = {"reason": now.lowered_by} if now.lowered_by else {}
            yield {"event": "changed", "intensity": now.intensity, **reason}
        longer = now.time_total_ms, before.time_total_ms
        if None not in longer and longer[0] != longer[1]:
            yield {"event": "changed", "time_total_ms": now.time_total_ms}


def refused(reason: str) -> Event:
    """The event of a request that was not done."""
    return {"event": "refused", "reason": reason}


def ended(now: Snapshot, exit_code: int) -> Event:
    """The last event."""
    return {
        "event": "ended",
        "reason": now.reason,
        "detail": now.detail,
        "seconds_run": round(now.motor_on_ms / 1000, 1),
        "highest_output_permille": now.highest_output_permille,
        "output_confirmed": bool(now.output_confirmed),
        "exit_code": int(exit_code),
    }


def title_of(phase: str) -> str:
    """The phase in words."""
    return _TITLES.get(phase, phase)


def sentence_of(event: Event, now: Snapshot) -> str | None:
    """The plain line of an event; None where a person needs none. Minutes make their own lines."""
    match event["event"]:
        case "started":
            simulated = " (simulated)" if event["simulated"] else ""
            times = ""
            if "minutes" in event:
                times = (
                    f", {event['minutes']:g} min of massage after {event['warmup_s']:g} s of "
                    "warm-up. Stop it with Ctrl-C or `massager stop`"
                )
            what = f"{event['program']}, intensity {event['intensity']}"
            return f"Session on {event['device']}{simulated}: {what}{times}."
        case "phase" if now.phase == "preflight":
            return "Waiting for feet: put them on the massager, and the warm-up begins."
        case "phase" if now.phase == "stopping":
            return None if now.reason == "completed" else f"Stopping ({now.reason})."
        case "phase":
            return _line(now)
        case "paused":
            return f"Paused: {pause_hint(now)}"
        case "resumed":
            return "Going on, from the gentlest."
        case "changed" if "intensity" in event:
            reason = f": {event['reason']}" if "reason" in event else ""
            return f"Intensity {event['intensity']}{reason}."
        case "notice":
            return sentence(event["text"])
        case "changed":
            return f"The session now takes {clock(event['time_total_ms'] / 1000)} in all."
        case _:
            return None


def sentence(text: str) -> str:
    """A text of the session as a sentence."""
    return f"{text[0].upper()}{text[1:]}."


def minute_line(now: Snapshot) -> str:
    """The line that is printed once a minute."""
    output = "unknown" if now.output_permille is None else f"{now.output_permille} ‰"
    return f"{_line(now)} Setpoint {now.setpoint_permille or 0} ‰, output {output}."


def pause_hint(now: Snapshot) -> str:
    """What a pause waits for."""
    ends = ""
    if now.gives_up_in_ms is not None:
        ends = f" It ends by itself in {clock(now.gives_up_in_ms / 1000)}."
    match now.reason:
        case "feet lifted":
            return "feet lifted. Put them back on." + ends
        case "link lost":
            return "the link to the device is lost; looking for it."
        case "lease expired":
            return "the device heard nothing for a while and stopped. Resume it to go on." + ends
        case _:
            return "by a person." + ends


def _line(now: Snapshot) -> str:
    left = "" if now.time_left_ms is None else f": {clock(now.time_left_ms / 1000)} left"
    return f"{title_of(now.phase)}{left}."
