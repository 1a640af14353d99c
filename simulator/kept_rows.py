"""What a port keeps of its motor trace: what nobody has taken yet, and the newest rows. Pure."""

from collections import deque
from typing import Final

from simulator.device import TraceRow

_NAMES: Final = tuple(TraceRow.__annotations__)
_NEWEST_MAX: Final = 1000


class KeptRows:
    """Rows in the order in which they were added."""

    def __init__(self) -> None:
        self._untaken: list[TraceRow] = []
        self._newest: deque[TraceRow] = deque(maxlen=_NEWEST_MAX)

    def add(self, rows: list[TraceRow]) -> None:
        """Keep them."""
        self._untaken += rows
        self._newest.extend(rows)

    def take(self) -> list[TraceRow]:
        """Those since the last call."""
        rows, self._untaken = self._untaken, []
        return rows

    def newest(self, count: int) -> list[dict[str, int | str]]:
        """The last `count`, whether they were taken or not, as they are written; at most 1000."""
        return [row_object(row) for row in list(self._newest)[-count:]]


def row_object(row: TraceRow) -> dict[str, int | str]:
    """A row of the trace as it is written: its names and values, in order."""
    return {name: getattr(row, name) for name in _NAMES}
