"""Asks a device who it is, over any transport, without touching a session that runs on it."""

from dataclasses import dataclass
from typing import Any

from firmware_protocol.messages import (
    Capability,
    Fault,
    GetLimits,
    GetStatus,
    Identity,
    Limits,
    Nak,
    Reply,
    Status,
)
from massager.dialogue import Dialogue
from massager.errors import WrongDevice
from massager.frame_text import bit_words, fields_of
from massager.transports.interface import Transport


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device says about itself."""

    identity: Identity
    limits: Limits
    status: Status

    @property
    def capabilities(self) -> list[str]:
        """What it has, in words."""
        return bit_words(Capability, self.identity.capabilities)

    @property
    def latched(self) -> list[str]:
        """What is latched, in words; empty where nothing is."""
        return bit_words(Fault, self.status.faults) if self.status.latch_id else []

    def as_record(self) -> dict[str, Any]:
        """Plain data, for JSON: the fields of IDENTITY, LIMITS and STATUS, units in the names."""
        identity = fields_of(self.identity)
        del identity["host_nonce"]
        return {
            "identity": identity,
            "limits": fields_of(self.limits),
            "status": fields_of(self.status),
        }


async def probe(transport: Transport) -> Answer:
    """Open `transport`, ask, and close it again: HELLO (identify only), GET_LIMITS, GET_STATUS.

    Raises whatever opening raises (PortBusy, PortNotPermitted, ConnectionFailed …), NoHandshake
    where nothing answers, WrongDevice where something else does or it keeps no protocol.
    """
    async with Dialogue(transport) as device:
        identity = await device.identify()
        limits = await device.ask(GetLimits())
        status = await device.ask(GetStatus())
    if not isinstance(limits, Limits):
        raise _refused(transport, "limits", limits)
    if not isinstance(status, Status):
        raise _refused(transport, "status", status)
    return Answer(identity, limits, status)


def _refused(transport: Transport, what: str, reply: Reply) -> WrongDevice:
    assert isinstance(reply, Nak)
    return WrongDevice(f"{transport.url}: the device refused to tell its {what}")
