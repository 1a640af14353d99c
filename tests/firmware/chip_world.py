"""`tests.world.World` around the built firmware: the loop's clock is the chip's cycle counter.

The controller is the real one, unchanged, and so is the program. Bytes travel at the line's speed.
"""

from typing import Any, Final

from massager.errors import ConnectionLost, PortMissing
from massager.session.model import Permit, Terms
from massager.transports.interface import UNSENT_MAX_BYTES, Receiver, Transport
from simulator.device import TraceRow
from simulator.firmware.board import Board, eeprom_for
from simulator.firmware.chip import CYCLES_PER_MS, Halt, Hang
from simulator.virtual_time import VirtualLoop
from tests.world import World

NS_PER_MS: Final = 1_000_000


class ChipTransport:
    """A serial port with a chip at its other end. May be opened again after it was unplugged."""

    url = "chip:"
    datagrams = False

    def __init__(self, board: Board, loop: VirtualLoop) -> None:
        self._board = board
        self._loop = loop
        self._receiver: Receiver | None = None
        self._is_plugged = True
        loop.passing = self._let_pass

    # --- as any transport ---------------------------------------------------------------------

    async def open(self, receiver: Receiver) -> None:
        if not self._is_plugged:
            raise PortMissing(f"{self.url} is unplugged; plug it in again")
        self._receiver = receiver

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        if self._receiver is None:
            return
        if urgent:
            self._board.chip.discard_unsent()
        elif self.unsent_bytes() + len(data) > UNSENT_MAX_BYTES:
            return
        self._board.chip.send(data)

    def unsent_bytes(self) -> int:
        return self._board.chip.unsent_bytes()

    async def close(self) -> None:
        self._receiver = None

    # --- the cable ----------------------------------------------------------------------------

    def unplug(self) -> None:
        """Pull the cable; the device has its own supply and runs on."""
        self._is_plugged = False
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            error = ConnectionLost(f"{self.url} is gone: unplugged")
            self._loop.call_soon(receiver.connection_lost, error)

    def replug(self) -> None:
        """Put it back."""
        self._is_plugged = True

    # --- time ---------------------------------------------------------------------------------

    def _let_pass(self, until_ns: int) -> int:
        until = until_ns * CYCLES_PER_MS // NS_PER_MS
        self._board.run(until, Halt.FRAME)
        if data := self._board.chip.take():
            self._loop.call_soon(self._deliver, data)
        reached = self._board.chip.cycle
        return until_ns if reached >= until else -(-reached * NS_PER_MS // CYCLES_PER_MS)

    def _deliver(self, data: bytes) -> None:
        if self._receiver is not None:
            self._receiver.data_received(data)


class ChipWorld(World):
    """See `World`; `device(…)` knows what can be done to a chip."""

    def __init__(self) -> None:
        super().__init__(terms=Terms(permit=Permit()))  # the device is a real one

    def _connect(self, seed: int, datagrams: bool) -> None:
        self.board = Board(eeprom=eeprom_for(1))
        self.cable = ChipTransport(self.board, self.loop)

    def _transport(self) -> Transport:
        return self.cable

    @property
    def output(self) -> int:
        return self.board.chip.now.output // 1000

    def device(self, **request: Any) -> None:
        """`feet`, `button`, `fault` as the simulator knows them, `fault="hang"` with a `how`."""
        match request:
            case {"feet": bool(on)}:
                self.board.set_feet(on)
            case {"button": bool(pressed)}:
                self.board.set_button(pressed)
            case {"fault": "hang"}:
                self.board.hang(request.get("how", Hang.LOOP))
            case {"fault": str(fault)}:
                self.board.inject("clear" if fault == "none" else fault)

    def intrude(self, data: bytes) -> None:
        """Bytes on the line that are not this controller's."""
        self.intruded = True
        self.board.chip.send(data)

    def _new_rows(self) -> list[TraceRow]:
        return self.board.take_trace()

    def _device_ms(self) -> int:
        return self.board.chip.device_ms
