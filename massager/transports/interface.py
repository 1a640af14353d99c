"""What the controller needs of a transport: bytes out, bytes in, and word when it is gone.

A transport knows no frames and no sessions. Errors are those of `massager.errors`.
"""

from typing import Protocol

from massager.errors import NoDevice


class Receiver(Protocol):
    """Who gets the bytes. Called from the event loop, never from inside `write` or `open`."""

    def data_received(self, data: bytes) -> None:
        """Bytes as they came (stream), or exactly one message (datagram)."""

    def connection_lost(self, error: NoDevice) -> None:
        """The open connection is gone. Called once an opening; not after `close`."""


class Transport(Protocol):
    """One way to reach a device. May be opened again after it was lost or closed."""

    url: str  # as a person may see it: without a password
    datagrams: bool  # one `write` is one message (MQTT); otherwise a stream of bytes

    async def open(self, receiver: Receiver) -> None:
        """Open, exclusively where the system can. Raises a NoDevice that names the way out."""

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        """Send without ever waiting. Urgent data discards what is unsent and goes first.

        Does nothing where the transport is not open: the loss is told by `connection_lost`.
        """

    def unsent_bytes(self) -> int:
        """Bytes accepted by `write` that, as far as the system tells, have not left yet."""

    async def close(self) -> None:
        """Let go. Safe in any state, any number of times."""
