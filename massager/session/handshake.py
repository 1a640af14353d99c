"""From a start to a device that is known, free, fit and at output 0: the state Arming. Pure.

First it asks who is there and whether somebody else drives the device, touching nothing; only then
it opens a session. No setpoint above 0 leaves this file.
"""

from dataclasses import replace
from typing import Final

from firmware_protocol.limits import PROTOCOL_MAJOR
from firmware_protocol.link import Answered
from firmware_protocol.messages import (
    EndReason,
    GetLimits,
    GetStatus,
    Identity,
    Limits,
    Nak,
    Reason,
    SetLevel,
    Status,
    word_of,
)
from firmware_protocol.messages import State as DeviceState
from massager.limits import ARMING_MAX_MS
from massager.plan import Levels, Progress
from massager.session.model import (
    Arming,
    Course,
    Ended,
    Hindrance,
    OpenSession,
    Preflight,
    StopReason,
)
from massager.session.moves import Step, ended_by_device

IN_USE: Final = (
    "another controller drives the device; stop that session first (`massager stop`, there)"
)
# Whoever stopped it wanted a motor that is off, and knew of no start that waited.
WAS_STOPPED: Final = "another controller drove the device until just now; start again"


def arming_answered(state: Arming, event: Answered, now_ms: int) -> Step:
    match event.reply:
        case Identity() as identity:
            wrong = _wrong_device(state, identity)
            if wrong is not None:
                return wrong, ()
            if state.terms.as_real or not identity.is_simulated:
                state = replace(state, terms=state.terms.with_permit())
                if (refused := _not_permitted(state, now_ms)) is not None:
                    return refused, ()
            state = replace(state, identity=identity)
            return state, (GetLimits(),) if state.free else (GetStatus(),)
        case Status() as status if isinstance(event.command, GetStatus):
            return _free_or_driven(state, status)
        case Limits() as limits if state.identity is not None:
            try:
                levels = Levels(limits.gentlest_permille, limits.max_permille)
            except ValueError as error:
                return handshake_ended(state, StopReason.WRONG_DEVICE, str(error)), ()
            state = replace(state, levels=levels)
            return state, (SetLevel(0, state.terms.lease_ms),)
        case Status() as status if isinstance(event.command, SetLevel):
            return _armed(state, status, now_ms)
        case Nak() as nak:
            return _arming_refused(state, nak)
        case _:
            return state, ()


def _free_or_driven(state: Arming, status: Status) -> Step:
    """Whose device it is. A dead controller's lease is waited for, and nothing else is."""
    if state.free:
        return state, ()
    if status.state == DeviceState.RUNNING or status.lease_left_ms > 0:
        return replace(state, driven=True), ()  # ask again at the next tick
    if state.driven and status.end_reason != EndReason.LEASE_EXPIRED:
        return handshake_ended(state, StopReason.REFUSED, WAS_STOPPED), ()
    return replace(state, free=True), (OpenSession(),)


def _wrong_device(state: Arming, identity: Identity) -> Ended | None:
    terms, before = state.terms, state.before
    if terms.device_id is not None and identity.name != terms.device_id:
        detail = f"device {identity.name} answered, but {terms.device_id} is configured"
    elif identity.major != PROTOCOL_MAJOR:
        detail = f"device {identity.name} speaks protocol major {identity.major}, this controller 1"
    elif identity.speed != terms.speed:
        detail = (
            f"device {identity.name} runs at speed {identity.speed}, the controller at "
            f"{terms.speed}; start both with the same --speed"
        )
    elif identity.speed != 1 and not identity.is_simulated:
        detail = f"device {identity.name} claims speed {identity.speed} but is not simulated"
    elif before is not None and identity.device_id != before.identity.device_id:
        detail = f"device {identity.name} answered instead of {before.identity.name}"
    elif before is not None and identity.boot_id != before.identity.boot_id:
        return handshake_ended(state, StopReason.DEVICE_RESTARTED, "the device restarted meanwhile")
    else:
        return None
    return handshake_ended(state, StopReason.WRONG_DEVICE, detail)


def _not_permitted(state: Arming, now_ms: int) -> Ended | None:
    """Why this person may not start this on a real device now. What goes on is only lowered."""
    permit, intensity = state.terms.permit, state.choice.intensity
    why, hindrance = permit.refusal, permit.hindrance
    cap = state.terms.cap_at(now_ms)
    if why is None and intensity > cap.max_intensity and state.before is None:
        hindrance = Hindrance.LIMIT
        why = (
            f"intensity {intensity} is above {cap.max_intensity}, which is the highest now: "
            f"{cap.reason}; choose {cap.max_intensity} or less"
        )
    if why is None:
        return None
    return replace(handshake_ended(state, StopReason.REFUSED, why), hindrance=hindrance)


def _armed(state: Arming, status: Status, now_ms: int) -> Step:
    if state.identity is None or state.levels is None or status.output_permille > 0:
        return state, ()  # what ran before is still falling: ask again at the next tick
    progress = Progress(state.choice.warmup_ms, state.choice.massage_ms, 0)
    if state.before is not None:
        course = replace(
            state.before, terms=state.terms, identity=state.identity, levels=state.levels
        )
    else:
        course = Course(
            state.terms,
            state.choice,
            state.identity,
            state.levels,
            progress,
            status,
            now_ms,
            now_ms,
        )
    return Preflight(course.heard(status, now_ms), now_ms), ()


def _arming_refused(state: Arming, nak: Nak) -> Step:
    match nak.reason:
        case Reason.STOPPING:
            return state, ()  # what ran before is still falling
        case Reason.SESSION if not state.free:
            return state, ()  # asked under the token of a session that has ended: ask again
        case Reason.VERSION:
            detail = f"the device speaks protocol major {nak.limit}, this controller 1"
            return handshake_ended(state, StopReason.WRONG_DEVICE, detail), ()
        case Reason.LATCHED:
            detail = (
                "a fault or an emergency stop is latched; `massager clear` says which and clears it"
            )
        case Reason.RESTING:
            detail = f"the device rests after its longest run; try again in {nak.limit} s"
        case Reason.SESSION:
            return handshake_ended(state, *ended_by_device(nak.limit)), ()
        case _:
            detail = f"the device refused ({word_of(Reason, nak.reason)})"
    return handshake_ended(state, StopReason.REFUSED, detail), ()


def arming_tick(state: Arming, now_ms: int) -> Step:
    if now_ms - state.since_ms >= ARMING_MAX_MS * state.terms.patience:
        if state.identity is not None and not state.free:
            return handshake_ended(state, StopReason.REFUSED, IN_USE), ()
        detail = "the device did not become ready"
        return handshake_ended(state, StopReason.NO_HANDSHAKE, detail), ()
    if state.levels is not None:
        return state, (SetLevel(0, state.terms.lease_ms),)
    if state.identity is not None and not state.free:
        return state, (GetStatus(),)
    return state, ()


def handshake_ended(state: Arming, reason: StopReason, detail: str) -> Ended:
    """No setpoint above 0 was ever sent in this handshake."""
    return Ended(state.before, reason, detail, output_confirmed=False)
