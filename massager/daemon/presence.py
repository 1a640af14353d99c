"""Whether a device is there, between sessions: who answers, what is latched, why nobody does.

A look asks who is there and how it is (HELLO identify only, GET_STATUS): it opens no session and
ends none, also not another controller's.
"""

import logging
import random
from collections.abc import Callable
from datetime import datetime
from typing import Final

from firmware_protocol.messages import GetStatus, Identity, Status
from firmware_protocol.messages import State as DeviceState
from massager.config.devices import DeviceSettings
from massager.daemon.backoff import CAP_S, PLUG_CAP_S, wait_s
from massager.daemon.face import Connection, ConnectionState, Sighting
from massager.daemon.held_line import HeldLine
from massager.dialogue import Dialogue
from massager.errors import ConfigError, NoDevice, PortBusy, PortMissing, Refused, WrongDevice

_log = logging.getLogger(__name__)

LOOK_S: Final = 30.0  # while it is there: a lost line is told at once, only silence has to be found


class Presence:
    """Looks, and keeps what was seen. `chance` draws 0…1."""

    def __init__(
        self,
        device: DeviceSettings,
        line: HeldLine,
        speed: int,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.connection = Connection(ConnectionState.UNKNOWN, None, now())
        self.sighting: Sighting | None = None
        self._device = device
        self._line = line
        self._speed = speed
        self._chance = chance
        self._failures = 0
        self._cap_s = CAP_S

    @property
    def next_look_s(self) -> float:
        """How long to wait for the next look."""
        if self._failures:
            return wait_s(self._failures, self._chance(), self._cap_s)
        return LOOK_S * (1 - 0.1 * self._chance())

    async def look(self) -> None:
        """Ask once. Whatever comes of it is in `connection` and `sighting`; raises nothing."""
        try:
            async with Dialogue(self._line.loan()) as device:
                identity = await device.identify()
                status = await device.ask(GetStatus())
        except (NoDevice, Refused, ConfigError) as error:
            self.failed(error)
            return
        except Exception as error:  # must not end the looking for good
            _log.exception("a look at %s failed for a fault of this program", self._device.name)
            self.failed(error)
            return
        self._failures = 0
        if isinstance(status, Status):
            self.saw(identity, status)
            if status.state == DeviceState.RUNNING:
                self._is(ConnectionState.IN_USE, "another controller drives it")

    def saw(self, identity: Identity, status: Status) -> None:
        """The device has spoken: to a look, or to a session."""
        self._failures = 0
        wrong = self._wrong(identity)
        if wrong is not None:
            self._is(ConnectionState.WRONG, wrong)
            return
        self.sighting = Sighting(identity, status, now())
        self._is(ConnectionState.HERE, None)

    def failed(self, error: Exception) -> None:
        """It could not be reached, or may not be."""
        self._failures += 1
        self._cap_s = PLUG_CAP_S if isinstance(error, PortMissing | Refused) else CAP_S
        match error:
            case PortBusy() | Refused():
                self._is(ConnectionState.IN_USE, str(error))
            case WrongDevice():
                self._is(ConnectionState.WRONG, str(error))
            case _:
                self._is(ConnectionState.AWAY, str(error))

    def _wrong(self, identity: Identity) -> str | None:
        wanted = self._device.device_id
        if wanted is not None and identity.name != wanted:
            return f"device {identity.name} answers, but {wanted} is configured"
        if identity.speed != self._speed:
            return (
                f"device {identity.name} runs at speed {identity.speed}, this daemon at "
                f"{self._speed}; start both with the same --speed"
            )
        return None

    def _is(self, state: ConnectionState, reason: str | None) -> None:
        if (self.connection.state, self.connection.reason) != (state, reason):
            self.connection = Connection(state, reason, now())


def now() -> datetime:
    """The wall clock, with its offset."""
    return datetime.now().astimezone()
