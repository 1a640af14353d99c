"""What a keeper tells: that something has changed, and what has happened, also in the log."""

import asyncio
import logging
from typing import assert_never

from massager.daemon.face import (
    DaemonEvent,
    Order,
    RefusedStart,
    SessionEnded,
    SessionStarted,
    Started,
    StartRefused,
    Subscription,
)
from massager.daemon.presence import now
from massager.snapshot import Snapshot

_log = logging.getLogger(__name__)


class News:
    """For whoever waits. Nobody who does not listen holds anything up."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []
        self._subscriptions: list[Subscription] = []

    async def changed(self) -> None:
        """Wait for the next change."""
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(change)
        await change

    def subscribe(self, subscription: Subscription) -> None:
        """Events from now on."""
        self._subscriptions.append(subscription)

    def tell(self) -> None:
        """Something has changed."""
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            if not change.done():
                change.set_result(None)

    def say(self, event: DaemonEvent) -> None:
        """Something has happened."""
        _log.info("%s: %s", event.name, sentence_of(event))
        self._subscriptions = [each for each in self._subscriptions if not each.is_closed]
        for subscription in self._subscriptions:
            subscription.put(event)
        self.tell()


def started(name: str, order: Order, outcome: Started, *, simulated: bool) -> SessionStarted:
    """The event of a session that the device has taken."""
    choice = order.choice
    return SessionStarted(
        name,
        outcome.at,
        order.origin,
        choice.program.name,
        choice.intensity,
        choice.massage_ms / 60_000,
        choice.warmup_ms / 1000,
        simulated,
        outcome.session_id,
    )


def ended(name: str, order: Order, end: Snapshot, session_id: int | None) -> SessionEnded:
    """The event of its end."""
    return SessionEnded(
        name,
        now(),
        order.origin,
        end.reason or "",
        end.detail or "",
        end.motor_on_ms,
        end.highest_output_permille,
        bool(end.output_confirmed),
        session_id,
    )


def refused(name: str, order: Order, outcome: RefusedStart) -> StartRefused:
    """The event of a start that came to nothing."""
    return StartRefused(name, now(), order.origin, outcome.kind, outcome.why)


def sentence_of(event: DaemonEvent) -> str:
    """An event for the log."""
    match event:
        case SessionStarted():
            return (
                f"started by {event.origin}: {event.program}, intensity {event.intensity}, "
                f"{event.minutes:g} min after {event.warmup_s:g} s of warm-up"
            )
        case SessionEnded():
            detail = f": {event.detail}" if event.detail else ""
            confirmed = "confirmed" if event.output_confirmed else "not confirmed"
            return (
                f"ended ({event.reason}{detail}), motor on for {event.motor_on_ms / 1000:.1f} s, "
                f"output 0 {confirmed}"
            )
        case StartRefused():
            return f"start by {event.origin} refused ({event.kind}): {event.why}"
        case _:
            assert_never(event)
