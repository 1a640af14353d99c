"""Draws docs/schematic.svg, the circuit of HARDWARE.md: `python docs/draw_schematic.py`.

A symbol puts its pins on the sheet, a wire joins points. `Sheet.nets()` reads back from the drawn
lines what is connected to what, so that a test can compare the drawing with the intention.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

REVISION: Final = "A"
WIDTH, HEIGHT = 1160, 1040
SVG: Final = Path(__file__).with_name("schematic.svg")

STYLE: Final = """
.paper{fill:#fff;stroke:#b8c0cc}
.wire,.part,.motor,.edge{fill:none;stroke:#1b2430;stroke-width:1.6;stroke-linecap:round;
stroke-linejoin:round}
.motor{stroke:#b3261e;stroke-width:3}
.edge{stroke:#7a8699;stroke-dasharray:6 5;stroke-width:1.3}
.body{fill:#fff;stroke:#1b2430;stroke-width:1.6;stroke-linejoin:round}
.solid,.dot{fill:#1b2430;stroke:#1b2430;stroke-width:1}
.board{fill:#eef4fb;stroke:#1b2430;stroke-width:1.6}
.flag{fill:#fff6d6;stroke:#1b2430;stroke-width:1.3}
text{font-family:'DejaVu Sans',Verdana,Arial,sans-serif;font-size:14px;fill:#1b2430}
.ref{font-weight:bold}
.head{font-size:19px;font-weight:bold}
.note{fill:#4a5568}
"""


class Point(NamedTuple):
    """A place on the sheet, in units of the view box."""

    x: float
    y: float


class Text(NamedTuple):
    """A line of text, for drawing and for finding overlaps."""

    at: Point
    words: str
    kind: str
    anchor: str

    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom: an estimate, rather wide."""
        size = 19 if self.kind == "head" else 14
        width = len(self.words) * size * (0.68 if self.kind in ("head", "ref") else 0.6)
        left = self.at.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return left, self.at.y - 0.78 * size, left + width, self.at.y + 0.22 * size


class Sheet:
    """Collects symbols, wires and texts; knows which pin lies where."""

    def __init__(self) -> None:
        self.pins: dict[str, Point] = {}  # "R1.1", and "GND#1" … for the symbols of a named net
        self.dots: list[Point] = []
        self.texts: list[Text] = []
        self.parts: dict[str, str] = {}  # reference: what the drawing says it is
        self.lines: list[tuple[Point, Point]] = []
        self.lead = "part"  # or "motor": how the leads of the next symbols are drawn
        self._out: list[str] = []

    # --- drawing ------------------------------------------------------------------------------

    def path(self, kind: str, *points: tuple[float, float], close: bool = False) -> None:
        """A line through points that connects nothing: part of a symbol."""
        d = "M" + "L".join(f"{x:g} {y:g}" for x, y in points) + ("Z" if close else "")
        self._out.append(f'<path class="{kind}" d="{d}"/>')

    def circle(self, kind: str, x: float, y: float, radius: float) -> None:
        """A circle of a symbol."""
        self._out.append(f'<circle class="{kind}" cx="{x:g}" cy="{y:g}" r="{radius:g}"/>')

    def box(self, kind: str, x: float, y: float, width: float, height: float) -> None:
        """A rectangle by its upper left corner."""
        self._out.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" '
            f'width="{width:g}" height="{height:g}" rx="3"/>'
        )

    def wire(self, *points: tuple[float, float], motor: bool = False) -> None:
        """A wire; thick where the motor's current flows."""
        self.path("motor" if motor else "wire", *points)
        corners = [Point(*point) for point in points]
        self.lines += pairwise(corners)

    def dot(self, x: float, y: float) -> None:
        """A junction."""
        self.dots.append(Point(x, y))
        self.circle("dot", x, y, 4)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        kind: str = "note",
        anchor: str = "start",
        more: str = "",
    ) -> None:
        """One line of text; `more` attributes."""
        self.texts.append(Text(Point(x, y), words, kind, anchor))
        self._out.append(
            f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}"{more}>'
            f"{escape(words)}</text>"
        )

    def name(self, x: float, y: float, ref: str, *words: str, anchor: str = "start") -> None:
        """The reference of a part and, below it, what it is."""
        self.parts[ref] = " ".join(words)
        self.text(x, y, ref, "ref", anchor, f' id="{ref}"')
        for row, line in enumerate(words, 1):
            self.text(x, y + 17 * row, line, "note", anchor)

    def pin(self, name: str, x: float, y: float) -> None:
        """Where a wire may end on a symbol."""
        self.pins[name] = Point(x, y)

    # --- symbols: centre, then the direction from pin 1 to pin 2 (0 right, 90 down, 270 up) ----

    def _turned(
        self, centre: tuple[float, float], turn: int, points: Iterable[tuple[float, float]]
    ) -> list[tuple[float, float]]:
        cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turn]
        x, y = centre
        return [(x + px * cos - py * sin, y + px * sin + py * cos) for px, py in points]

    def _leads(
        self,
        ref: str,
        at: tuple[float, float],
        turn: int,
        inner: float,
        outer: float,
        names: tuple[str, str] = ("1", "2"),
    ) -> None:
        for name, sign in zip(names, (-1, 1), strict=True):
            near, far = self._turned(at, turn, [(sign * inner, 0), (sign * outer, 0)])
            self.path(self.lead, near, far)
            self.pin(f"{ref}.{name}", *far)

    def resistor(self, ref: str, at: tuple[float, float], turn: int = 0) -> None:
        """A rectangle; pins 25 from its centre."""
        self._leads(ref, at, turn, 16, 25)
        self.path(
            "body", *self._turned(at, turn, [(-16, -6), (16, -6), (16, 6), (-16, 6)]), close=True
        )

    def thermistor(self, ref: str, at: tuple[float, float], turn: int = 0) -> None:
        """A resistor that changes with temperature."""
        self.resistor(ref, at, turn)
        self.path("part", *self._turned(at, turn, [(-20, 13), (-13, 13), (14, -14)]))

    def fuse(self, ref: str, at: tuple[float, float]) -> None:
        """A rectangle with the wire through it."""
        self.resistor(ref, at)
        self.path(self.lead, (at[0] - 16, at[1]), (at[0] + 16, at[1]))

    def capacitor(self, ref: str, at: tuple[float, float], *, polar: bool = False) -> None:
        """Vertical, pin 1 (+) above."""
        self._leads(ref, at, 90, 4, 20)
        x, y = at
        if polar:
            self.box("body", x - 13, y - 7, 26, 5)
            self.box("solid", x - 13, y + 2, 26, 5)
            self.path("part", (x - 22, y - 14), (x - 14, y - 14))
            self.path("part", (x - 18, y - 18), (x - 18, y - 10))
        else:
            self.path("part", (x - 13, y - 4), (x + 13, y - 4))
            self.path("part", (x - 13, y + 4), (x + 13, y + 4))

    def diode(self, ref: str, at: tuple[float, float], kind: str) -> None:
        """Vertical, cathode above; kind: schottky or tvs."""
        self._leads(ref, at, 270, 9, 25, ("A", "K"))
        x, y = at
        self.path("solid", (x - 10, y + 9), (x + 10, y + 9), (x, y - 9), close=True)
        if kind == "schottky":
            hook = [(-13, -4), (-13, -9), (13, -9), (13, -14)]
            hook = [(-8, -4), *hook, (8, -14)]
        else:
            hook = [(-17, -14), (-11, -9), (11, -9), (17, -4)]
        self.path("part", *((x + dx, y + dy) for dx, dy in hook))

    def switch(self, ref: str, at: tuple[float, float], kind: str) -> None:
        """Horizontal; kind: lever, make (closes when pressed) or break (opens when pressed)."""
        x, y = at
        self._leads(ref, at, 0, 15, 30)
        if kind == "lever":
            self.path("part", (x - 12, y), (x + 11, y - 15))
        else:
            bar = y - 10 if kind == "make" else y + 5
            self.path("part", (x - 18, bar), (x + 18, bar))
            self.path("part", (x, bar), (x, y - 22))
            self.path("part", (x - 6, y - 22), (x + 6, y - 22))
        for end in (-12, 12):
            self.circle("body", x + end, y, 3.5)

    def mosfet(self, ref: str, at: tuple[float, float]) -> None:
        """N channel, enhancement, with its body diode; gate on the left, drain above."""
        x, y = at
        self.path("part", (x - 30, y), (x - 9, y))
        self.path("part", (x - 9, y - 13), (x - 9, y + 13))
        for low, high in ((-15, -7), (-4, 4), (7, 15)):
            self.path("part", (x - 3, y + low), (x - 3, y + high))
        self.path("part", (x - 3, y - 11), (x + 14, y - 11), (x + 14, y - 32))
        self.path("part", (x - 3, y + 11), (x + 14, y + 11), (x + 14, y + 32))
        self.path("part", (x - 3, y), (x + 14, y), (x + 14, y + 11))
        self.path("solid", (x - 2, y), (x + 6, y - 4), (x + 6, y + 4), close=True)
        self.path("part", (x + 14, y - 20), (x + 30, y - 20), (x + 30, y + 20), (x + 14, y + 20))
        self.path("solid", (x + 24, y + 5), (x + 36, y + 5), (x + 30, y - 5), close=True)
        self.path("part", (x + 23, y - 5), (x + 37, y - 5))
        for joint in (y - 20, y + 11, y + 20):
            self.circle("dot", x + 14, joint, 2)
        self.pin(f"{ref}.G", x - 30, y)
        self.pin(f"{ref}.D", x + 14, y - 32)
        self.pin(f"{ref}.S", x + 14, y + 32)

    def motor(self, ref: str, at: tuple[float, float]) -> None:
        """Vertical, plus above."""
        self._leads(ref, at, 90, 22, 35, ("+", "-"))
        self.circle("body", *at, 22)
        self.text(at[0], at[1] + 6, "M", "head", "middle")

    def amplifier(self, ref: str, at: tuple[float, float]) -> None:
        """Triangle to the right with supply pins; IN+ above IN-."""
        x, y = at
        self.path("body", (x - 40, y - 46), (x - 40, y + 46), (x + 40, y), close=True)
        for name, dy, sign in (("IN+", -20, "+"), ("IN-", 20, "−")):
            self.path("part", (x - 55, y + dy), (x - 40, y + dy))
            self.pin(f"{ref}.{name}", x - 55, y + dy)
            self.text(x - 36, y + dy + 5, sign, "ref")
        self.path("part", (x + 40, y), (x + 55, y))
        self.pin(f"{ref}.OUT", x + 55, y)
        self.path("part", (x - 10, y - 29), (x - 10, y - 56))
        self.pin(f"{ref}.VS", x - 10, y - 56)
        self.path("part", (x - 10, y + 29), (x - 10, y + 56))
        self.pin(f"{ref}.GND", x - 10, y + 56)

    def block_pin(self, name: str, end: tuple[float, float], at: tuple[float, float]) -> None:
        """A pin of a box: from its edge to the point where a wire ends."""
        self.path(self.lead, end, at)
        self.pin(name, *at)
        word = name.partition(".")[2].replace("-", "−")
        x, y = end
        if at[0] != x:
            outward = 1 if at[0] > x else -1
            self.text(x - 7 * outward, y + 5, word, "note", "end" if outward > 0 else "start")
        else:
            self.text(x, y + (18 if at[1] < y else -9), word, "note", "middle")

    # --- named nets -----------------------------------------------------------------------------

    def _named(self, net: str, x: float, y: float) -> None:
        self.pin(f"{net}#{sum(pin.startswith(f'{net}#') for pin in self.pins) + 1}", x, y)

    def ground(self, x: float, y: float) -> None:
        """The common ground, below this point."""
        for row, half in enumerate((11, 7, 3)):
            self.path("part", (x - half, y + 5 * row), (x + half, y + 5 * row))
        self._named("GND", x, y)

    def supply(self, x: float, y: float) -> None:
        """5 V of the board, above this point."""
        self.path("part", (x, y), (x, y - 8))
        self.path("part", (x - 10, y - 8), (x + 10, y - 8))
        self.text(x, y - 13, "+5 V", "note", "middle")
        self._named("+5V", x, y)

    def flag(self, net: str, x: float, y: float, to: int) -> None:
        """A name that joins with its twin; the flag lies to the left (-1) or right (1) of here."""
        long = 52
        corners = [(0, 0), (10, -12), (long, -12), (long, 12), (10, 12)]
        self.path("flag", *((x + to * dx, y + dy) for dx, dy in corners), close=True)
        self.text(x + to * 30, y + 5, net, "ref", "middle")
        self._named(net, x, y)

    # --- reading back -----------------------------------------------------------------------------

    def nets(self) -> list[frozenset[str]]:
        """What is connected: groups of pins, named nets (GND, +5V, D9 …) as one member each.

        Lines connect where one ends on the other's end or, with a dot, anywhere on it.
        """
        ends = {end for line in self.lines for end in line}
        groups: list[set[str]] = []
        for point in {*self.pins.values(), *self.dots, *ends}:
            group = {name.partition("#")[0] for name, at in self.pins.items() if at == point}
            for index, line in enumerate(self.lines):
                if point in line or (point in self.dots and on(point, line)):
                    group.add(f"line {index}")
            groups.append(group)
        nets = [
            frozenset(name for name in net if not name.startswith("line "))
            for net in _merged(groups)
        ]
        return [net for net in nets if net]

    def svg(self) -> str:
        """The whole drawing."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-labelledby="title">\n'
            f'<title id="title">Foot massager: motor driver, revision {REVISION}</title>\n'
            f"<style>{STYLE}</style>\n"
            f'<rect class="paper" x="1" y="1" width="{WIDTH - 2}" height="{HEIGHT - 2}" rx="8"/>\n'
        )
        return head + "\n".join(self._out) + "\n</svg>\n"


def on(point: Point, line: tuple[Point, Point]) -> bool:
    """Whether a point lies on a line or at its end."""
    (ax, ay), (bx, by) = line
    on_line = (bx - ax) * (point.y - ay) == (by - ay) * (point.x - ax)
    inside = min(ax, bx) <= point.x <= max(ax, bx) and min(ay, by) <= point.y <= max(ay, by)
    return on_line and inside


def _merged(groups: Iterable[set[str]]) -> list[frozenset[str]]:
    """Groups that share a member are one."""
    nets: list[set[str]] = []
    for group in groups:
        shared = [net for net in nets if net & group]
        nets = [net for net in nets if not net & group]
        nets.append(group.union(*shared))
    return [frozenset(net) for net in nets]


def _supply(s: Sheet) -> None:
    """From the plug to the protected motor supply."""
    s.box("body", 34, 272, 46, 76)
    s.circle("part", 57, 310, 7)
    s.name(34, 236, "J1", "plug-top supply")
    s.lead = "motor"
    s.block_pin("J1.-", (80, 330), (95, 330))
    s.wire((95, 330), (107, 330), (107, 348), motor=True)
    s.ground(107, 348)
    s.block_pin("J1.+", (80, 290), (95, 290))
    s.wire((95, 290), (140, 290), motor=True)
    s.fuse("F1", (165, 290))
    s.name(165, 321, "F1", "T 1 A", anchor="middle")
    s.wire((190, 290), (215, 290), motor=True)
    s.switch("S1", (245, 290), "lever")
    s.name(245, 321, "S1", "off switch", anchor="middle")
    s.wire((275, 290), (590, 290), motor=True)
    s.lead = "part"
    s.text(410, 276, "VM 5–12 V", "ref", "middle")
    s.wire((325, 290), (325, 320))
    s.diode("D2", (325, 345), "tvs")
    s.name(347, 348, "D2", "15 V")
    s.capacitor("C1", (415, 345), polar=True)
    s.wire((415, 290), (415, 325))
    s.name(434, 348, "C1", "470 µF")
    s.capacitor("C2", (512, 345))
    s.wire((512, 290), (512, 325))
    s.name(531, 348, "C2", "1 µF")
    for x, bottom in ((325, 370), (415, 365), (512, 365)):
        s.wire((x, bottom), (x, 390))
        s.ground(x, 390)
        s.dot(x, 290)


def _driver(s: Sheet) -> None:
    """Motor, switch and flyback path."""
    s.lead = "motor"
    s.wire((590, 290), (590, 345), motor=True)
    s.diode("D1", (590, 370), "schottky")
    s.name(612, 368, "D1", "1N5822")
    s.wire((590, 395), (590, 430), (890, 430), motor=True)
    s.resistor("R3", (665, 290))
    s.wire((590, 290), (640, 290), motor=True)
    s.name(665, 321, "R3", "50 mΩ 1 W", anchor="middle")
    s.wire((690, 290), (775, 290), motor=True)
    s.fuse("F2", (800, 290))
    s.name(800, 321, "F2", "84 °C", anchor="middle")
    s.wire((825, 290), (890, 290), (890, 325), motor=True)
    s.motor("M1", (890, 360))
    s.name(856, 358, "M1", "DC", anchor="end")
    s.wire((890, 395), (890, 430), motor=True)
    s.lead = "part"
    s.wire((890, 290), (960, 290), (960, 340))
    s.capacitor("C9", (960, 360))
    s.wire((960, 380), (960, 430), (890, 430))
    s.name(980, 358, "C9", "10 nF")
    s.box("edge", 755, 266, 290, 204)
    s.text(1035, 460, "on the motor", anchor="end")
    s.mosfet("Q1", (690, 490))
    s.name(738, 498, "Q1", "IRLB8721, logic level")
    s.wire((704, 430), (704, 458), motor=True)
    s.wire((704, 522), (704, 545), motor=True)
    for x, y in ((590, 290), (890, 290), (890, 430), (704, 430)):
        s.dot(x, y)
    s.ground(704, 545)
    s.flag("D9", 460, 490, -1)
    s.wire((460, 490), (495, 490))
    s.resistor("R1", (520, 490))
    s.name(520, 458, "R1", "220 Ω", anchor="middle")
    s.wire((545, 490), (660, 490))
    s.resistor("R2", (620, 530), 90)
    s.wire((620, 490), (620, 505))
    s.dot(620, 490)
    s.wire((620, 555), (620, 568))
    s.ground(620, 568)
    s.name(604, 527, "R2", "10 kΩ", anchor="end")


def _current(s: Sheet) -> None:
    """The amplifier over the shunt."""
    s.amplifier("U1", (790, 170))
    s.name(830, 218, "U1", "INA180A1, × 20")
    s.wire((615, 290), (615, 150), (735, 150))
    s.wire((715, 290), (715, 190), (735, 190))
    s.dot(615, 290)
    s.dot(715, 290)
    s.wire((780, 226), (780, 236))
    s.ground(780, 236)
    s.wire((780, 114), (780, 70), (780, 62))
    s.supply(780, 62)
    s.wire((780, 70), (860, 70))
    s.dot(780, 70)
    s.capacitor("C3", (860, 90))
    s.wire((860, 110), (860, 118))
    s.ground(860, 118)
    s.name(880, 92, "C3", "100 nF")
    s.wire((845, 170), (895, 170))
    s.resistor("R4", (920, 170))
    s.name(920, 138, "R4", "1 kΩ", anchor="middle")
    s.wire((945, 170), (1060, 170))
    s.capacitor("C4", (1000, 200))
    s.wire((1000, 170), (1000, 180))
    s.dot(1000, 170)
    s.wire((1000, 220), (1000, 228))
    s.ground(1000, 228)
    s.name(1020, 202, "C4", "100 nF")
    s.flag("A1", 1060, 170, 1)


def _board(s: Sheet) -> None:
    """The bought board."""
    s.box("board", 510, 690, 150, 280)
    s.name(585, 762, "U3", "Arduino Nano", "or Uno", anchor="middle")
    s.text(585, 872, "ATmega328P", anchor="middle")
    s.text(585, 889, "5 V, 16 MHz", anchor="middle")
    for name, y in (("A0", 740), ("A1", 835), ("D4", 910)):
        s.block_pin(f"U3.{name}", (510, y), (490, y))
    for name, y in (("D2", 740), ("D9", 835), ("D3", 910)):
        s.block_pin(f"U3.{name}", (660, y), (680, y))
    s.block_pin("U3.5V", (545, 690), (545, 675))
    s.wire((545, 675), (545, 668))
    s.supply(545, 668)
    s.block_pin("U3.VIN", (625, 690), (625, 675))
    s.path("part", (620, 670), (630, 680))
    s.path("part", (620, 680), (630, 670))
    s.block_pin("U3.GND", (545, 970), (545, 985))
    s.wire((545, 985), (545, 993))
    s.ground(545, 993)
    s.block_pin("U3.USB", (625, 970), (625, 985))
    s.text(640, 1000, "to the computer", anchor="start")
    s.wire((490, 835), (480, 835))
    s.flag("A1", 480, 835, -1)
    s.wire((680, 835), (690, 835))
    s.flag("D9", 690, 835, 1)


def _motor_sensors(s: Sheet) -> None:
    """Thermistor and motion sensor, left of the board."""
    y = 740
    s.wire((490, y), (410, y))
    s.capacitor("C5", (445, y + 32))
    s.wire((445, y), (445, y + 12))
    s.dot(445, y)
    s.wire((445, y + 52), (445, y + 58))
    s.ground(445, y + 58)
    s.name(428, y + 40, "C5", "100 nF", anchor="end")
    s.resistor("R6", (385, y))
    s.name(385, y - 32, "R6", "1 kΩ", anchor="middle")
    s.wire((360, y), (270, y))
    s.resistor("R5", (270, y - 35), 90)
    s.wire((270, y), (270, y - 10))
    s.wire((270, y - 60), (270, y - 66))
    s.supply(270, y - 66)
    s.name(252, y - 38, "R5", "10.0 kΩ 1 %", anchor="end")
    s.thermistor("TH1", (270, y + 35), 90)
    s.wire((270, y), (270, y + 10))
    s.dot(270, y)
    s.wire((270, y + 60), (270, y + 66))
    s.ground(270, y + 66)
    s.name(244, y + 26, "TH1", "10 kΩ NTC, B 3950", "on the motor", anchor="end")

    y = 910
    s.wire((490, y), (285, y))
    s.resistor("R11", (360, y - 35), 90)
    s.wire((360, y), (360, y - 10))
    s.dot(360, y)
    s.wire((360, y - 60), (360, y - 64))
    s.supply(360, y - 64)
    s.name(378, y - 38, "R11", "10 kΩ")
    s.box("body", 180, 875, 90, 70)
    s.block_pin("U2.OUT", (270, y), (285, y))
    s.block_pin("U2.VDD", (225, 875), (225, 860))
    s.block_pin("U2.GND", (225, 945), (225, 960))
    s.wire((225, 960), (225, 966))
    s.ground(225, 966)
    s.name(285, 945, "U2", "Hall latch, at the motor")
    s.wire((225, 860), (225, 850), (225, 844))
    s.supply(225, 844)
    s.wire((225, 850), (120, 850), (120, 865))
    s.dot(225, 850)
    s.capacitor("C8", (120, 885))
    s.wire((120, 905), (120, 912))
    s.ground(120, 912)
    s.name(102, 888, "C8", "100 nF", anchor="end")


def _contacts(s: Sheet) -> None:
    """Feet switch and stop button, right of the board."""
    rows = (
        (740, ("C6", "R8", "R7", "S2"), "make", "feet switch", "closed = feet on"),
        (910, ("C7", "R10", "R9", "S3"), "break", "stop button", "open = stop"),
    )
    for y, (cap, series, pull, switch), kind, what, meaning in rows:
        s.wire((680, y), (765, y))
        s.capacitor(cap, (725, y + 32))
        s.wire((725, y), (725, y + 12))
        s.dot(725, y)
        s.wire((725, y + 52), (725, y + 58))
        s.ground(725, y + 58)
        s.name(745, y + 30, cap, "100 nF")
        s.resistor(series, (790, y))
        s.name(790, y - 32, series, "470 Ω", anchor="middle")
        s.wire((815, y), (950, y))
        s.resistor(pull, (870, y - 35), 90)
        s.wire((870, y), (870, y - 10))
        s.dot(870, y)
        s.wire((870, y - 60), (870, y - 66))
        s.supply(870, y - 66)
        s.name(888, y - 38, pull, "4.7 kΩ")
        s.switch(switch, (980, y), kind)
        s.name(980, y + 31, switch, what, meaning, anchor="middle")
        s.wire((1010, y), (1060, y), (1060, y + 12))
        s.ground(1060, y + 12)


def draw() -> Sheet:
    """The sheet with everything on it."""
    s = Sheet()
    s.text(30, 44, "1  Motor supply and driver", "head")
    s.text(30, 70, "Red: the motor's current. Flags of one name are joined.")
    s.text(30, 90, "All grounds are one; motor and board meet at the source of Q1.")
    _supply(s)
    _driver(s)
    _current(s)
    s.text(30, 630, "2  Board and inputs", "head")
    _board(s)
    _motor_sensors(s)
    _contacts(s)
    s.text(1130, 1000, "Foot massager, motor driver", "ref", "end")
    s.text(1130, 1018, f"revision {REVISION}; not built or tested on hardware", anchor="end")
    return s


def main() -> None:
    """Write the drawing."""
    SVG.write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
