"""Draws a curve over time in the terminal. Pure but for the two questions about the terminal."""

import codecs
import shutil
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Final, TextIO

Point = tuple[float, float]

WIDTH_MIN: Final = 20  # narrower than the labels need
WIDTH_MAX: Final = 200

_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_BAND: Final = "░"
_IN_ASCII: Final = str.maketrans(
    {
        "‰": "/1000",
        "…": "...",
        "–": "-",
        "→": "->",
        "·": "*",
        "×": "x",
        "≤": "<=",
        "█": "#",
        "░": ":",
    }
)


def terminal_width() -> int:
    """Columns of the terminal (or of COLUMNS), 20…200; 80 where nobody knows."""
    columns = shutil.get_terminal_size((80, 24)).columns
    return min(max(columns, WIDTH_MIN), WIDTH_MAX)


def draws_blocks(stream: TextIO) -> bool:
    """Whether the stream's encoding has block characters: it is UTF-8."""
    try:
        return codecs.lookup(stream.encoding or "ascii").name == "utf-8"
    except LookupError:
        return False


def in_ascii(text: str) -> str:
    """The same text for a terminal that is not UTF-8."""
    return text.replace(" ‰", "‰").translate(_IN_ASCII).encode("ascii", "replace").decode("ascii")


def wrapped(text: str, width: int, *, indent: int = 0, blocks: bool = True) -> list[str]:
    """The text in lines of at most `width` columns, all but the first indented."""
    from textwrap import wrap

    return wrap(text if blocks else in_ascii(text), width, subsequent_indent=" " * indent)


def clock(seconds: float) -> str:
    """Minutes and seconds: `9:40`."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def draw_curve(
    points: Sequence[Point],
    *,
    width: int,
    height: int = 8,
    top: float | None = None,
    blocks: bool = True,
    x_text: Callable[[float], str] = clock,
) -> list[str]:
    """Lines, at most `width` columns each, that show y over x from 0 to `top`.

    `points` are (x, y), sorted by x, joined by straight lines; y below 0 or beyond `top` (the
    highest y, if not given) is cut. Where y moves within one column, the column is solid up to
    its lowest and shaded up to its highest. `blocks=False` draws with ASCII only.
    """
    points = [(x, y) for x, y in points if isfinite(x) and isfinite(y)]
    if not points:
        return []
    highest = top if top is not None else max(y for _, y in points)
    highest = highest if highest > 0 else 1.0
    labels = (f"{highest:g}", "0")
    margin = max(map(len, labels)) + 1
    columns = max(width - margin - 1, 1)
    spans = _spans(points, columns)
    bar, corner, line = ("│", "└", "─") if blocks else ("|", "+", "-")
    rows = []
    for row in range(height - 1, -1, -1):
        label = labels[0] if row == height - 1 else labels[1] if row == 0 else ""
        cells = "".join(
            _cell(low / highest * height - row, high / highest * height - row, blocks)
            for low, high in spans
        )
        rows.append(f"{label:>{margin - 1}} {bar}{cells}".rstrip())
    rows.append(" " * margin + corner + line * columns)
    rows.append(_x_labels(points[0][0], points[-1][0], columns, margin + 1, x_text))
    return rows


def _spans(points: Sequence[Point], columns: int) -> list[Point]:
    """The lowest and the highest y within each column."""
    xs = [x for x, _ in points]
    first, step = xs[0], (xs[-1] - xs[0]) / columns
    spans = []
    for column in range(columns):
        left, right = first + column * step, first + (column + 1) * step
        inside = [y for _, y in points[bisect_left(xs, left) : bisect_right(xs, right)]]
        inside += (_y_at(points, xs, left), _y_at(points, xs, right))
        spans.append((min(inside), max(inside)))
    return spans


def _y_at(points: Sequence[Point], xs: Sequence[float], x: float) -> float:
    after = bisect_right(xs, x)
    if after == 0:
        return points[0][1]
    if after == len(points):
        return points[-1][1]
    (from_x, from_y), (to_x, to_y) = points[after - 1], points[after]
    return from_y + (to_y - from_y) * (x - from_x) / (to_x - from_x)


def _cell(low: float, high: float, blocks: bool) -> str:
    """One character; `low` and `high` are heights in rows above this row's bottom."""
    solid, shaded = (int(min(max(end, 0.0), 1.0) * 8 + 0.5) for end in (low, high))
    if solid < 8 and shaded - solid >= 4:  # moves through half of the cell or more
        return _BAND if blocks else ":"
    height = (solid + shaded + 1) // 2
    if blocks:
        return _EIGHTHS[height]
    return "#" if height >= 6 else ("_" if height else " ")


def _x_labels(
    first: float, last: float, columns: int, margin: int, x_text: Callable[[float], str]
) -> str:
    start, middle, end = x_text(first), x_text((first + last) / 2), x_text(last)
    line = list(start.ljust(columns))
    for text, at in ((end, columns - len(end)), (middle, (columns - len(middle)) // 2)):
        free = "".join(line[max(at - 1, 0) : at + len(text) + 1]).strip() == ""
        if at > len(start) and free:
            line[at : at + len(text)] = text
    return " " * margin + "".join(line).rstrip()
