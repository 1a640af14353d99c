"""The line to a device, held open by the daemon and lent to whoever talks to the device now.

A session or a look takes a `Loan`, which is a transport like any other. Giving it back leaves the
line open: a port that is opened anew resets many boards, and a broker takes a while.
"""

import asyncio
from collections.abc import Callable

from massager.errors import ConnectionLost, NoDevice
from massager.transports.interface import Receiver, Transport


class HeldLine:
    """One transport and its newest borrower; who borrowed it before hears and sends no more.

    A stop keeps it until it gives it back: what was about to borrow it comes too late.

    `claim` makes this process the device's owner before it is opened, or raises Refused or
    ConfigError: see `runtime_dir.claim_device`.
    """

    def __init__(self, transport: Transport, claim: Callable[[], None]) -> None:
        self.transport = transport
        self._claim = claim
        self.is_open = False
        self.stirred = asyncio.Event()  # something came, or the line went, while nobody had it
        self._loan: Loan | None = None
        self._opening = asyncio.Lock()

    def loan(self) -> "Loan":
        """A transport for one session or one look."""
        return Loan(self)

    def is_lent_to(self, loan: "Loan") -> bool:
        """Whether `loan` is the newest."""
        return self._loan is loan

    def lend(self, loan: "Loan") -> None:
        """From now on it is theirs, unless a stop has it."""
        if self._loan is None or not self._loan.is_kept:
            self._loan = loan

    def take_back(self, loan: "Loan") -> None:
        """Nothing changes where somebody else has it by now."""
        if self._loan is loan:
            self._loan = None

    async def open(self) -> None:
        """Make sure that it is open. Raises NoDevice, and what `claim` raises."""
        async with self._opening:
            if not self.is_open:
                self._claim()
                await self.transport.open(self)
                self.is_open = True

    async def release(self) -> None:
        """Let go of the device for good."""
        self._loan = None
        self.is_open = False
        await self.transport.close()

    # --- for the transport ----------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """To the borrower; where nobody has it, the device has something to tell."""
        if self._loan is None or self._loan.receiver is None:
            self.stirred.set()
        else:
            self._loan.receiver.data_received(data)

    def connection_lost(self, error: NoDevice) -> None:
        """To the borrower; whoever comes next opens it again."""
        self.is_open = False
        self.stirred.set()
        if self._loan is not None and self._loan.receiver is not None:
            self._loan.receiver.connection_lost(error)


class Loan:
    """The held line as a `Transport`, until another loan is taken."""

    def __init__(self, line: HeldLine) -> None:
        self.receiver: Receiver | None = None
        self.is_kept = False
        self._line = line

    @property
    def url(self) -> str:
        """As a person may see it."""
        return self._line.transport.url

    @property
    def datagrams(self) -> bool:
        """Whether one write is one message."""
        return self._line.transport.datagrams

    def keep(self, receiver: Receiver) -> None:
        """Have the line in this very moment, as it is, until `close`."""
        self.receiver, self.is_kept = receiver, True
        self._line.lend(self)

    async def open(self, receiver: Receiver) -> None:
        """Have the line, opened anew where it was lost. Raises NoDevice."""
        self.receiver = receiver
        self._line.lend(self)
        try:
            await self._line.open()
        except BaseException:
            self._line.take_back(self)
            raise
        if not self._line.is_lent_to(self):
            raise ConnectionLost(f"{self.url} was taken over by another request meanwhile")

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        """Send, unless somebody else has the line by now."""
        if self._line.is_lent_to(self):
            self._line.transport.write(data, urgent=urgent)

    def unsent_bytes(self) -> int:
        """See `Transport.unsent_bytes`."""
        return self._line.transport.unsent_bytes()

    async def close(self) -> None:
        """Give it back; it stays open."""
        self.receiver, self.is_kept = None, False
        self._line.take_back(self)
