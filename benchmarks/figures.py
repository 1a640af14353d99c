"""One measured figure, its bar and its peer; percentiles; the table that is printed and written."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """`value` in `unit`; `bar` is what it should not exceed (or, `at_least`, not fall below)."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    at_least: bool = False
    beside: str = ""  # what the same run measured of the peer

    @property
    def verdict(self) -> str:
        """`ok` or `over`; empty where there is no bar."""
        if self.bar is None:
            return ""
        good = self.value >= self.bar if self.at_least else self.value <= self.bar
        return "ok" if good else "over"


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(len(ordered) * percent / 100 + 0.5) - 1))]


def number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = ["| figure | measured | bar | | beside it, same run |", "|---|---|---|---|---|"]
    for figure in figures:
        sign = "≥" if figure.at_least else "≤"
        bar = "" if figure.bar is None else f"{sign} {number(figure.bar)} {figure.unit}"
        lines.append(
            f"| {figure.name} | {number(figure.value)} {figure.unit} | {bar} "
            f"| {figure.verdict} | {figure.beside} |"
        )
    return "\n".join(lines)


def machine() -> str:
    """The machine in one line."""
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}"
    )
