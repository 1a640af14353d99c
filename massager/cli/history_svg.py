"""A session as a picture for a browser or a printer: SVG, written by hand. Pure.

The output is an area, the setpoint a line over it; what happened is a mark with its word.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from massager.cli.drawing import Point, clock
from massager.history.records import Event

WIDTH: Final = 960
HEIGHT: Final = 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 64, 40
_MARKED: Final = ("pause", "resume", "change", "stop", "fault", "end")
_MARK_GAP: Final = 12  # px between the words of two marks
_STYLE: Final = (
    "text{font:12px sans-serif;fill:#333}.title{font-size:16px}.output{fill:#9cc5e8}"
    ".setpoint{fill:none;stroke:#1f5f99;stroke-width:1.5}.grid{stroke:#ddd}.axis{stroke:#666}"
    ".mark{stroke:#b3541e;stroke-dasharray:3 3}.word{fill:#b3541e;font-size:10px}"
)


def draw_svg(
    title: str,
    subtitle: str,
    output: Sequence[Point],
    setpoint: Sequence[Point],
    events: Sequence[Event],
) -> str:
    """A whole SVG document. Points are (seconds, ‰)."""
    ends = [at_s for at_s, _ in (*output, *setpoint)]
    scale = _Scale(
        last_s=max([*ends, *(event.elapsed_ms / 1000 for event in events), 1.0]),
        top=max([value for _, value in (*output, *setpoint)] + [100.0]),
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">',
        f"<style>{_STYLE}</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text class="title" x="{_LEFT}" y="24">{_text(title)}</text>',
        f'<text x="{_LEFT}" y="42">{_text(subtitle)}</text>',
        *_grid(scale),
        *_area(scale, output),
        *_line(scale, setpoint),
        *_marks(scale, events),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Scale:
    """Seconds and ‰ to places."""

    def __init__(self, last_s: float, top: float) -> None:
        self.last_s = last_s
        self.top = top

    def x(self, at_s: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * at_s / self.last_s, 1)

    def y(self, permille: float) -> float:
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * permille / self.top, 1)


def _grid(scale: _Scale) -> Iterator[str]:
    right, floor = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    for permille in (scale.top / 2, scale.top):
        y = scale.y(permille)
        yield f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{right}" y2="{y}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{permille:.0f} ‰</text>'
    step_s = next(
        (each for each in (10, 30, 60, 120, 300) if scale.last_s / each <= 12), scale.last_s / 10
    )
    for number in range(int(scale.last_s / step_s) + 1):
        x = scale.x(number * step_s)
        yield f'<line class="grid" x1="{x}" y1="{_TOP}" x2="{x}" y2="{floor}"/>'
        label = clock(number * step_s)
        yield f'<text x="{x}" y="{floor + 18}" text-anchor="middle">{label}</text>'
    yield f'<line class="axis" x1="{_LEFT}" y1="{floor}" x2="{right}" y2="{floor}"/>'


def _area(scale: _Scale, points: Sequence[Point]) -> Iterator[str]:
    if points:
        places = " ".join(f"{scale.x(at_s)},{scale.y(value)}" for at_s, value in points)
        start, end, floor = scale.x(points[0][0]), scale.x(points[-1][0]), scale.y(0)
        yield f'<polygon class="output" points="{start},{floor} {places} {end},{floor}"/>'


def _line(scale: _Scale, points: Sequence[Point]) -> Iterator[str]:
    if points:
        places = " ".join(f"{scale.x(at_s)},{scale.y(value)}" for at_s, value in points)
        yield f'<polyline class="setpoint" points="{places}"/>'


def _marks(scale: _Scale, events: Sequence[Event]) -> Iterator[str]:
    free_x = [0.0, 0.0]  # where the words of two rows end
    for event in events:
        if event.kind not in _MARKED:
            continue
        x, word = scale.x(event.elapsed_ms / 1000), event.kind
        yield f'<line class="mark" x1="{x}" y1="{_TOP}" x2="{x}" y2="{HEIGHT - _BOTTOM}"/>'
        row = 0 if free_x[0] <= x else 1
        if free_x[row] <= x:
            free_x[row] = x + 5 * len(word) + _MARK_GAP
            anchor = "end" if x > WIDTH - 60 else "start"
            yield (
                f'<text class="word" x="{x}" y="{_TOP - 2 - 10 * row}" text-anchor="{anchor}">'
                f"<title>{_text(event.text)}</title>{_text(word)}</text>"
            )


def _text(text: str) -> str:
    """Whatever it is, printable and harmless."""
    return escape("".join(char if char.isprintable() else "?" for char in text))
