"""A device's latched fault or emergency stop: what it is, and how it is taken back."""

from contextlib import suppress
from dataclasses import dataclass

from firmware_protocol.messages import (
    Clear,
    GetStatus,
    Identity,
    Nak,
    Reason,
    Status,
    Stop,
    word_of,
)
from massager.dialogue import Dialogue
from massager.errors import NoDevice, Refused, WrongDevice
from massager.fault_advice import advice


@dataclass(frozen=True, slots=True)
class Latch:
    """What is latched in a device, if anything."""

    identity: Identity
    status: Status

    @property
    def is_set(self) -> bool:
        """Whether anything is latched."""
        return self.status.latch_id != 0

    @property
    def advice(self) -> list[tuple[str, str]]:
        """(what happened, what to do) for each latched fault."""
        return advice(self.status.faults) if self.is_set else []


async def read_latch(device: Dialogue) -> Latch:
    """Look without touching: a session that runs elsewhere goes on. Raises NoDevice."""
    identity = await device.identify()
    status = await device.ask(GetStatus())
    if not isinstance(status, Status):
        raise WrongDevice(f"device {identity.name} refused to tell its status")
    return Latch(identity, status)


async def clear_latch(device: Dialogue, latch: Latch) -> None:
    """Take `latch` back. Nothing moves by it: a session has to be started anew.

    Raises Refused with the reason, WrongDevice where the device changed meanwhile, NoDevice.
    """
    if not (await read_latch(device)).is_set:
        return  # somebody else was quicker, and may drive the device by now
    identity = await device.open_session()
    if (identity.device_id, identity.boot_id) != (
        latch.identity.device_id,
        latch.identity.boot_id,
    ):
        raise WrongDevice("another device answered, or it restarted meanwhile; try again")
    reply = await device.ask(Clear(latch.status.latch_id))
    if not isinstance(reply, Nak) or reply.reason != Reason.SESSION:
        with suppress(NoDevice):  # only tidies up: the session that CLEAR needed
            await device.ask(Stop())
    if isinstance(reply, Nak):
        _explain(identity.name, reply)


def _explain(name: str, nak: Nak) -> None:
    """Raises Refused, unless nothing is latched any more."""
    match nak.reason:
        case Reason.FAULT:
            still = "; ".join(f"{what}: {todo}" for what, todo in advice(nak.limit))
            raise Refused(f"device {name}: the cause is still there. {still}; then clear again")
        case Reason.STATE if nak.limit == 0:
            return  # somebody else was quicker
        case Reason.STATE:
            raise Refused(f"device {name}: something else was latched meanwhile; clear again")
        case Reason.STOPPING:
            raise Refused(f"device {name} is still stopping; clear again in a moment")
        case Reason.SESSION:
            raise Refused(f"device {name}: another controller took it over meanwhile")
        case reason:
            raise Refused(f"device {name} refused: {word_of(Reason, reason)}")
