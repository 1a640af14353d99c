"""The line between a host and a device, and what happens to it: faults, cable, unread bytes. Pure;
told the time in whole device milliseconds.
"""

from collections.abc import Iterable
from random import Random
from typing import Final

from simulator.commands import BadRequest, Request
from simulator.line_faults import LineFaults

UNREAD_MAX_BYTES: Final = 20_480  # what an unread pty takes
_FAULTS: Final = frozenset({"drop", "corrupt", "duplicate", "delay", "one_byte", "coalesce"})


class Line:
    """Both directions: the device gets what comes out of `arrived`, the host what `due` gives."""

    def __init__(self, seed: int, *, datagrams: bool = False, speed: int = 1) -> None:
        self.reading = True  # False: bytes from the host are to be left where they are
        self.plugged = True  # False: the connection is gone
        self._datagrams = datagrams
        self._speed = speed
        rng = Random(seed)
        self._down = LineFaults(rng, datagrams=datagrams, speed=speed)
        self._up = LineFaults(rng, datagrams=datagrams, speed=speed)
        self._unread: list[bytes] = []
        self._plugged_at_ms: int | None = None

    # --- bytes --------------------------------------------------------------------------------

    def from_host(self, data: bytes, now_ms: int) -> None:
        """The host writes."""
        if not self.plugged:
            return
        if self.reading:
            self._down.send(data, now_ms)
        elif self.unread_bytes() + len(data) <= UNREAD_MAX_BYTES:
            self._unread.append(data)

    def arrived(self, now_ms: int) -> list[bytes]:
        """What the device gets now."""
        return self._down.due(now_ms)

    def to_host(self, chunks: Iterable[bytes], now_ms: int) -> None:
        """The device sends."""
        if self.plugged:
            for chunk in chunks:
                self._up.send(chunk, now_ms)

    def due(self, now_ms: int) -> list[bytes]:
        """The chunks that reach the host now; each is one read of its own."""
        return self._up.due(now_ms) if self.plugged else []

    def unread_bytes(self) -> int:
        """Bytes from the host that wait because the device does not read."""
        return sum(map(len, self._unread))

    def discard_unread(self) -> None:
        """Forget them."""
        self._unread.clear()

    # --- time ---------------------------------------------------------------------------------

    def next_deadline_ms(self) -> int | None:
        """When the device gets something, or the cable is put back."""
        return first(self._down.next_deadline_ms(), self._plugged_at_ms)

    def next_due_ms(self) -> int | None:
        """When `due` has something."""
        return self._up.next_deadline_ms()

    def is_replugged(self, now_ms: int) -> bool:
        """Put the cable back where that is due. Whether it was."""
        if self._plugged_at_ms is None or self._plugged_at_ms > now_ms:
            return False
        self._plugged_at_ms, self.plugged = None, True
        return True

    # --- faults -------------------------------------------------------------------------------

    def refuse_what_cannot_be(self, request: Request) -> None:
        """Raises BadRequest for a fault that this kind of line cannot have."""
        if self._datagrams and request.value == "one_byte":
            raise BadRequest("one_byte needs a stream of bytes; over MQTT messages stay whole")

    def take_fault(self, request: Request, now_ms: int) -> bool:
        """Break the line as a request says. False where it is no fault of the line."""
        match request.value:
            case "stop_reading":
                self.reading = False
            case "unplug":
                self._unplug(now_ms + request.whole("ms") * self._speed)
            case fault if fault in _FAULTS:
                both = {"down": (self._down,), "up": (self._up,), "both": (self._down, self._up)}
                for direction in both[str(request.arguments["direction"])]:
                    _set_fault(direction, request)
            case _:
                return False
        return True

    def end_faults(self, now_ms: int) -> None:
        """Make it a good line again."""
        self._down.clear()
        self._up.clear()
        self.reading = True
        unread, self._unread = self._unread, []
        for data in unread:
            self._down.send(data, now_ms)
        if not self.plugged:
            self._plugged_at_ms = now_ms

    def active_faults(self) -> list[str]:
        """Those that are on, for `get status`."""
        faults = [f"down {fault}" for fault in self._down.active()]
        faults += [f"up {fault}" for fault in self._up.active()]
        faults += [] if self.reading else ["stop_reading"]
        faults += [] if self.plugged else ["unplug"]
        return faults

    def _unplug(self, until_ms: int) -> None:
        self.plugged = False
        self._plugged_at_ms = until_ms
        self._unread.clear()
        self._down.lose_all()
        self._up.lose_all()


def first(*deadlines_ms: int | None) -> int | None:
    """The earliest of them, or None."""
    return min((at_ms for at_ms in deadlines_ms if at_ms is not None), default=None)


def _set_fault(direction: LineFaults, request: Request) -> None:
    match request.value:
        case "drop":
            direction.drop_rate = request.number("rate")
        case "corrupt":
            direction.corrupt_rate = request.number("rate")
        case "duplicate":
            direction.duplicate_rate = request.number("rate")
        case "delay":
            direction.delay_ms = request.whole("ms")
            direction.jitter_ms = request.whole("jitter_ms")
        case "coalesce":
            direction.coalesce_ms = request.whole("ms")
        case "one_byte":
            direction.one_byte = True
