"""One question at a time to a device, over any transport: for the tools that drive no session.

Knows when an answer counts and what its absence means to a person. It never sends SET_LEVEL.
"""

import asyncio
from collections.abc import Callable
from secrets import randbits
from types import TracebackType
from typing import Final, Self

from firmware_protocol.framing import DatagramFraming, StreamFraming
from firmware_protocol.limits import PROTOCOL_MAJOR
from firmware_protocol.link import Answered, Echoed, Link, LinkEvent, Nonsense, Unanswered
from firmware_protocol.messages import (
    Clear,
    GetLimits,
    GetStatus,
    Hello,
    HelloFlag,
    Identity,
    Nak,
    Reason,
    Reply,
    Stop,
)
from massager.clock import Clock
from massager.errors import MassagerError, NoDevice, NoHandshake, WrongDevice
from massager.transports.interface import Transport

Question = Hello | GetLimits | GetStatus | Clear | Stop

GIVE_UP_S: Final = 5.0  # the link gives up after 3 s; a STOP it would repeat for ever
_SAMPLE_BYTES: Final = 24


class Dialogue:
    """An open line to a device; `async with` opens the transport and closes it.

    `nonce` gives the 32-bit number of each HELLO; it must be new each time.
    """

    def __init__(
        self, transport: Transport, *, nonce: Callable[[], int] = lambda: randbits(32)
    ) -> None:
        self._transport = transport
        self._nonce = nonce
        self._clock = Clock(asyncio.get_running_loop())
        self._link = Link(DatagramFraming() if transport.datagrams else StreamFraming())
        self._timer: asyncio.TimerHandle | None = None
        self._question: Question | None = None
        self._answer: asyncio.Future[Reply] | None = None
        self._lost: NoDevice | None = None
        self._heard_bytes = 0
        self._sample = b""
        self._nonsense = ""
        self._is_massager = False  # it has answered before

    async def __aenter__(self) -> Self:
        """Open the transport. Raises the NoDevice that says what to do."""
        await self._transport.open(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._transport.close()

    async def identify(self) -> Identity:
        """Who is there; touches nothing, also not somebody else's session.

        Raises NoHandshake, WrongDevice or ConnectionLost.
        """
        return await self._greet(HelloFlag.IDENTIFY_ONLY)

    async def open_session(self) -> Identity:
        """HELLO: takes over from whoever has a session, softly stopping what runs.

        Raises NoHandshake, WrongDevice or ConnectionLost.
        """
        return await self._greet(0)

    async def ask(self, question: Question) -> Reply:
        """The answer to `question`; a NAK where it was refused.

        Raises NoHandshake where no answer comes, ConnectionLost where the line is gone.
        """
        if self._lost is not None:
            raise self._lost
        self._question = question
        self._answer = asyncio.get_running_loop().create_future()
        self._link.send(question, self._clock.now_ms())
        self._pump()
        try:
            async with asyncio.timeout(GIVE_UP_S):
                return await self._answer
        except TimeoutError:
            raise self._no_answer() from None
        finally:
            self._question = self._answer = None

    async def _greet(self, flags: int) -> Identity:
        reply = await self.ask(Hello(flags, PROTOCOL_MAJOR, PROTOCOL_MAJOR, self._nonce()))
        if isinstance(reply, Identity):
            return reply
        assert isinstance(reply, Nak)
        if reply.reason == Reason.VERSION:
            raise WrongDevice(
                f"{self._transport.url}: the device speaks protocol major {reply.limit}, this "
                f"program {PROTOCOL_MAJOR}; bring the older of both up to date"
            )
        raise WrongDevice(f"{self._transport.url}: the device refused to say who it is")

    # --- for the transport ---------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes from whoever is there."""
        self._heard_bytes += len(data)
        self._sample = (self._sample + data)[:_SAMPLE_BYTES]
        for event in self._link.receive_data(data, self._clock.now_ms()):
            self._take(event)
        self._pump()

    def connection_lost(self, error: NoDevice) -> None:
        """The transport is gone."""
        self._lost = error
        self._fail(error)

    # --- inside ----------------------------------------------------------------------------------

    def _take(self, event: LinkEvent) -> None:
        match event:
            case Answered(command, reply) if command is self._question:
                self._is_massager = True
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result(reply)
            case Unanswered(command) if command is self._question:
                self._fail(self._no_answer())
            case Echoed():
                self._fail(
                    WrongDevice(
                        f"{self._transport.url}: what is sent comes back; there is an echo plug "
                        "on this line, not a massager"
                    )
                )
            case Nonsense(error):
                self._nonsense = str(error)
            case _:
                pass  # events of the device, and late answers

    def _fail(self, error: MassagerError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _no_answer(self) -> NoDevice:
        url = self._transport.url
        if self._is_massager:
            return NoHandshake(f"{url}: the device no longer answers; check its cable and power")
        if self._nonsense:
            return WrongDevice(f"{url}: what answers does not keep the protocol: {self._nonsense}")
        if self._heard_bytes:
            return WrongDevice(
                f"{url}: something else answers: {self._heard_bytes} bytes came, such as "
                f"{_printable(self._sample)}, but no answer of a massager; is it the right port, "
                "and the right baud rate?"
            )
        return NoHandshake(
            f"{url}: nothing answers; is a massager there, switched on, and the baud rate right?"
        )

    def _pump(self) -> None:
        """Write what waits and set the timer."""
        for data, urgent in self._link.data_to_send():
            self._transport.write(data, urgent=urgent)
        if self._timer is not None:
            self._timer.cancel()
        at_ms = self._link.next_deadline_ms()
        self._timer = None if at_ms is None else self._clock.call_at(at_ms, self._tick)

    def _tick(self) -> None:
        self._timer = None
        for event in self._link.tick(self._clock.now_ms()):
            self._take(event)
        self._pump()


def _printable(data: bytes) -> str:
    """Text where it is text, else hex; no control character."""
    text = data.decode("ascii", "replace")
    readable = sum(char.isprintable() and char != "\ufffd" for char in text)
    if readable * 2 >= len(text):
        return ascii(data.decode("latin-1"))
    return data.hex(" ")
