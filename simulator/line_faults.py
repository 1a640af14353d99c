"""What a bad line does to the bytes of one direction. Pure: randomness and time are handed in.

Times are device milliseconds; the faults' own times are real ones, so at a device speed of 20
a delay of 50 ms lasts 1000 ms of device time: a faster device does not get a faster line.
"""

import re
from collections import deque
from random import Random
from typing import Final

# A frame with the delimiters around it, as far as they have come.
_PIECE: Final = re.compile(rb"\0?[^\0]+\0?|\0+", re.DOTALL)
ONE_BYTE_PER_MS: Final = 5  # 57,600 baud carries 5.76


class LineFaults:
    """One direction of the line: bytes go in with `send` and come out with `due`, in order.

    The rates are per frame, 0…1; without any fault everything is due at once. `rng` is shared by
    both directions, so one seed gives the whole line.
    """

    def __init__(self, rng: Random, *, datagrams: bool = False, speed: int = 1) -> None:
        self._rng = rng
        self._datagrams = datagrams
        self._speed = speed
        self._on_the_way: deque[tuple[int, bytes]] = deque()
        self._last_due_ms = 0
        self.clear()

    def clear(self) -> None:
        """End every fault; what is on its way keeps its time."""
        self.drop_rate = 0.0
        self.corrupt_rate = 0.0
        self.duplicate_rate = 0.0
        self.delay_ms = 0
        self.jitter_ms = 0
        self.coalesce_ms = 0
        self.one_byte = False

    def lose_all(self) -> None:
        """Forget what is on its way: the cable is out."""
        self._on_the_way.clear()
        self._last_due_ms = 0

    def send(self, data: bytes, now_ms: int) -> None:
        """Take one write (stream: any bytes; datagrams: one message)."""
        pieces = [data] if self._datagrams else _PIECE.findall(data)
        for piece in pieces:
            if self._happens(self.drop_rate):
                continue
            for _ in range(2 if self._happens(self.duplicate_rate) else 1):
                damaged = self._happens(self.corrupt_rate)
                self._put(self._damage(piece) if damaged else piece, now_ms)

    def due(self, now_ms: int) -> list[bytes]:
        """The chunks that arrive now, as the reads that the other side will see."""
        chunks: list[bytes] = []
        while self._on_the_way and self._on_the_way[0][0] <= now_ms:
            chunks.append(self._on_the_way.popleft()[1])
        if self.coalesce_ms and not self._datagrams and chunks:
            return [b"".join(chunks)]
        return chunks

    def next_deadline_ms(self) -> int | None:
        """When `due` has something, or None."""
        return self._on_the_way[0][0] if self._on_the_way else None

    def active(self) -> list[str]:
        """The faults that are on, e.g. `drop 0.2`, for `get status`."""
        shown = {
            "drop": self.drop_rate,
            "corrupt": self.corrupt_rate,
            "duplicate": self.duplicate_rate,
            "delay": self.delay_ms or (self.jitter_ms and "0"),
            "one_byte": self.one_byte,
            "coalesce": self.coalesce_ms,
        }
        return [f"{name} {value}" for name, value in shown.items() if value]

    def _happens(self, rate: float) -> bool:
        return rate > 0 and self._rng.random() < rate

    def _damage(self, piece: bytes) -> bytes:
        bit = self._rng.randrange(len(piece) * 8) if piece else 0
        damaged = bytearray(piece)
        if damaged:
            damaged[bit // 8] ^= 1 << bit % 8
        return bytes(damaged)

    def _put(self, piece: bytes, now_ms: int) -> None:
        late_ms = self.delay_ms
        if self.jitter_ms:
            late_ms += self._rng.randint(0, self.jitter_ms)
        due_ms = max(self._last_due_ms, now_ms + late_ms * self._speed)
        if self.one_byte and not self._datagrams:
            for index in range(len(piece)):
                at_ms = due_ms + index * self._speed // ONE_BYTE_PER_MS
                self._append(at_ms, piece[index : index + 1])
        else:
            self._append(due_ms, piece)

    def _append(self, due_ms: int, piece: bytes) -> None:
        if grid_ms := self.coalesce_ms * self._speed:
            due_ms = -(-due_ms // grid_ms) * grid_ms
        self._last_due_ms = due_ms
        self._on_the_way.append((due_ms, piece))
