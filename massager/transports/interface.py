"""What the controller needs of a transport: bytes out, bytes in, and word when it is gone.

A transport knows no frames and no sessions. Errors are those of `massager.errors`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from massager.errors import NoDevice

# What may lie unsent before a stop (11 ms at 57,600 baud): a plain write beyond it is dropped,
# which the link mends by sending the current setpoint again.
UNSENT_MAX_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """What a transport needs beside its URL. Each transport reads what concerns it."""

    mqtt_username: str | None = None  # a user in the URL comes before it
    mqtt_password: str | None = field(default=None, repr=False)
    mqtt_ca_file: Path | None = None  # PEM; the system's authorities where there is none
    speed: int = 1  # `sim:` only: device milliseconds in a millisecond of the event loop, 1…20


class Receiver(Protocol):
    """Who gets the bytes. Called from the event loop, never from inside `write` or `open`."""

    def data_received(self, data: bytes) -> None:
        """Bytes as they came (stream), or exactly one message (datagram)."""

    def connection_lost(self, error: NoDevice) -> None:
        """The open connection is gone. Called once an opening; not after `close`."""


class Transport(Protocol):
    """One way to reach a device. May be opened again after it was lost or closed."""

    @property
    def url(self) -> str:
        """As a person may see it: without a password."""

    @property
    def datagrams(self) -> bool:
        """Whether one `write` is one message (MQTT); otherwise a stream of bytes."""

    async def open(self, receiver: Receiver) -> None:
        """Open, exclusively where the system can. Raises a NoDevice that names the way out.

        What was open before is closed first. Cancelling it leaves the transport closed.
        """

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        """Send without ever waiting. Urgent data discards what is unsent and goes first.

        Data that is not urgent is dropped where `UNSENT_MAX_BYTES` would be exceeded. Does
        nothing where the transport is not open: the loss is told by `connection_lost`.
        """

    def unsent_bytes(self) -> int:
        """Bytes accepted by `write` that, as far as the system tells, have not left yet."""

    async def close(self) -> None:
        """Let go, in any state, any number of times; what is unsent gets 50 ms to leave."""
