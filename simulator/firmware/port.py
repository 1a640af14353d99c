"""The emulated chip behind its port, for the same servers as `simulator.port.SimulatedPort`.

The chip runs up to each time that it is told, so it must be told often: see `next_deadline_ms`.
"""

from collections.abc import Callable
from typing import Any, Final

from simulator.commands import BadRequest, Request, understand
from simulator.device import TraceRow
from simulator.firmware.board import Board, default_program
from simulator.firmware.chip import CYCLES_PER_MS, Program, ResetFlag
from simulator.firmware.core import state_of
from simulator.kept_rows import KeptRows
from simulator.line import Line, first

DARK_MS: Final = 300  # how long a power cut lasts
IDLE_MS: Final = 10  # how often the chip runs where nothing is on the line
_ANSWER_MS: Final = 50  # how long an answer may take to begin
_PRESS_MS: Final = 100  # how long a finger stays on the button


class FirmwarePort:
    """A board and its line in memory, at the chip's own speed. Raises CannotBuild.

    `eeprom` is what its memory held when it was without power; the boot id counts on from there.
    `remember` gets it after each boot.
    """

    def __init__(
        self,
        program: Program | None = None,
        *,
        seed: int = 0,
        eeprom: bytes = b"",
        remember: Callable[[bytes], None] = lambda _eeprom: None,
    ) -> None:
        self._remember = remember
        self.board = Board(program or default_program(), eeprom=eeprom)
        self.config = self.board.config
        self._line = Line(seed)
        self._now_ms = 0
        self._lively_until_ms = 0  # by then the chip has begun to answer
        self._coming = b""  # from the chip, not yet a whole frame
        self._dark_until_ms: int | None = None
        self._pressed_until_ms: int | None = None
        self._rows = KeptRows()
        self._feet_on = True

    @property
    def reading(self) -> bool:
        """False: bytes from the host are to be left where they are."""
        return self._line.reading

    @property
    def plugged(self) -> bool:
        """False: the connection is gone."""
        return self._line.plugged

    # --- bytes and time -----------------------------------------------------------------------

    def receive(self, data: bytes, now_ms: int) -> None:
        """Bytes from the host, as they came."""
        self.tick(now_ms)
        self._line.from_host(data, now_ms)
        self._carry()

    def tick(self, now_ms: int) -> None:
        """Let the chip run up to `now_ms`."""
        while self._now_ms < now_ms:
            next_ms = first(self._line.next_deadline_ms(), self._next_act_ms())
            until_ms = now_ms if next_ms is None else min(max(next_ms, self._now_ms + 1), now_ms)
            self._run(until_ms)
            self._carry()

    def data_to_send(self, now_ms: int) -> list[bytes]:
        """The chunks that reach the host now; each is one read of its own."""
        return self._line.due(now_ms)

    def next_deadline_ms(self) -> int:
        """When `tick` and `data_to_send` are wanted next."""
        is_busy = self.board.chip.is_line_busy or self._now_ms < self._lively_until_ms
        soon_ms = self._now_ms + (1 if is_busy else IDLE_MS)
        next_ms = first(self._line.next_deadline_ms(), self._line.next_due_ms())
        return soon_ms if next_ms is None else min(soon_ms, max(next_ms, self._now_ms))

    def unread_bytes(self) -> int:
        """Bytes from the host that no bit of has left yet."""
        return self._line.unread_bytes() + self.board.chip.unsent_bytes()

    def discard_unread(self) -> None:
        """Forget them, as flushing a serial port's output does."""
        self._line.discard_unread()
        self.board.chip.discard_unsent()

    def line_opened(self) -> None:
        """Nothing: a chip cannot see that its line was opened anew."""

    def take_trace(self) -> list[TraceRow]:
        """The rows of the motor trace since the last call."""
        self._keep_rows()
        return self._rows.take()

    # --- commands and faults ------------------------------------------------------------------

    def command(self, request: object, now_ms: int | None = None) -> dict[str, Any]:
        """Do what a request of `simulator.commands` says, now; the answer says `ok` or `error`."""
        if now_ms is not None:
            self.tick(now_ms)
        try:
            understood = understand(request)
            self._refuse_what_cannot_be(understood)
        except BadRequest as error:
            return {"ok": False, "error": str(error)}
        return {"ok": True, **self._do(understood)}

    def _refuse_what_cannot_be(self, request: Request) -> None:
        self._line.refuse_what_cannot_be(request)
        if request.value == "silent_reboot":
            raise BadRequest("a chip tells of every boot; use reboot")
        if request.verb == "fault" and request.value == "hang" and self._dark_until_ms is not None:
            raise BadRequest("the chip is without power")

    def _do(self, request: Request) -> dict[str, Any]:
        match request.verb:
            case "get" if request.value == "status":
                return self._status()
            case "get":
                self._keep_rows()
                return {"trace": self._rows.newest(request.whole("last"))}
            case "feet":
                self._feet_on = request.value is True
                self.board.set_feet(self._feet_on)
            case "button":
                self.board.set_button(True)
                self._pressed_until_ms = self._now_ms + _PRESS_MS
            case _:
                self._fault(request)
        return {}

    def _fault(self, request: Request) -> None:
        if self._line.take_fault(request, self._now_ms):
            return
        match request.value:
            case "none":
                self._line.end_faults(self._now_ms)
                self.board.inject("clear")
            case "reboot":
                self.board.reset(ResetFlag.POWER_ON)
                self._dark_until_ms = self._now_ms + DARK_MS
            case "hang":
                self.board.hang()
            case fault:
                self.board.inject(str(fault))

    def _status(self) -> dict[str, Any]:
        chip = self.board.chip
        now = chip.now
        return {
            "device_id": self.config.device_id,
            "device_ms": self._now_ms,
            "boot": now.boot_id,
            "running": self._dark_until_ms is None,
            "state": state_of(now).name.lower(),
            "output": now.output // 1000,
            "pin": self.board.duty_permille,
            "feet": self._feet_on,
            "bad_frames": now.bad_frames,
            "line_faults": self._line.active_faults(),
        }

    # --- one millisecond and more -------------------------------------------------------------

    def _next_act_ms(self) -> int | None:
        return first(self._dark_until_ms, self._pressed_until_ms)

    def _run(self, until_ms: int) -> None:
        until = until_ms * CYCLES_PER_MS
        while self.board.chip.cycle < until:
            if self._dark_until_ms is None:
                self.board.run(until)
            else:
                self.board.wait(until)
        self._now_ms = until_ms
        if self._dark_until_ms is not None and self._dark_until_ms <= until_ms:
            self._dark_until_ms = None
        if self._pressed_until_ms is not None and self._pressed_until_ms <= until_ms:
            self._pressed_until_ms = None
            self.board.set_button(False)
        self._line.is_replugged(until_ms)

    def _carry(self) -> None:
        chip = self.board.chip
        for chunk in self._line.arrived(self._now_ms):
            if self._dark_until_ms is None:
                chip.send(chunk)
                self._lively_until_ms = chip.sent_at() // CYCLES_PER_MS + _ANSWER_MS
        self._coming += chip.take()
        # Whole frames, so that a line's fault hits one and not a piece of it.
        if self._coming.endswith(b"\0") or not chip.is_line_busy:
            self._line.to_host([self._coming] if self._coming else [], self._now_ms)
            self._coming = b""
        self._keep_rows()

    def _keep_rows(self) -> None:
        if rows := self.board.take_trace():
            self._rows.add(rows)
            if any(row.why == "boot" for row in rows):
                self._remember(self.board.chip.eeprom)
