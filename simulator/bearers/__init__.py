"""The ways to reach a simulated device from another process: pty, TCP, MQTT.

A bearer carries bytes and knows no frames. `simulator.server` owns the device and tells the bearer
what to send; the bearer calls the host's side (`HostSide`) straight from its reader.
"""

from typing import Protocol


class CannotStart(Exception):
    """A port, a path or an address cannot be used; the message names it and the way out."""


class HostSide(Protocol):
    """Who gets what the host sends."""

    def received(self, data: bytes) -> None:
        """Bytes as they came (stream), or exactly one message (datagrams)."""

    def line_opened(self) -> None:
        """A host opened the line anew."""


class Bearer(Protocol):
    """One way to be reached."""

    datagrams: bool

    @property
    def url(self) -> str:
        """What `massager start --device` takes; valid once open."""

    async def open(self, host_side: HostSide) -> None:
        """Be reachable. Raises CannotStart."""

    def send(self, data: bytes) -> None:
        """Send to the host; like a UART it never waits, and what nobody takes is lost."""

    def follow(self, *, reading: bool, plugged: bool) -> None:
        """Stop or go on reading; pull the cable or put it back."""

    async def close(self) -> None:
        """Let go of everything; safe at any time."""
