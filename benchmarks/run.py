"""`make bench`: measure everything beside its peers in one run, print it and write RESULTS.md.

`python -m benchmarks.run daemon devices` measures only the parts whose titles have these words, and
writes their sections anew, each with its own date and load.
"""

import datetime
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import (
    codec,
    daemon,
    many_devices,
    pace,
    processes,
    round_trip,
    stop_latency,
    virtual,
)
from benchmarks.figures import Figure, machine, table

_RESULTS = Path(__file__).parent / "RESULTS.md"
_PARTS = (
    ("The wire", codec.measure),
    ("Round trips", round_trip.measure),
    ("Emergency stop, judged from the device's own trace", stop_latency.measure),
    ("Pace", pace.measure),
    ("Virtual time", virtual.measure),
    ("Processes", processes.measure),
    ("The daemon and a broker", daemon.measure),
    ("Many devices in one daemon", many_devices.measure),
)


def main(words: Sequence[str]) -> int:
    """0 where every bar is met, else 1; the results are written either way."""
    load = os.getloadavg()[0]
    today = str(datetime.datetime.now(tz=datetime.UTC).date())
    parts: list[tuple[str, list[Figure]]] = []
    for title, measure in _PARTS:
        if words and not any(word in title.lower() for word in words):
            continue
        print(f"{title} ...", flush=True)
        before = os.getloadavg()[0]
        figures = measure()
        parts.append((title, figures))
        print(table(figures), flush=True)
        if words:
            _write_section(title, figures, f"{today}, load {before:.1f} before it began")
    if not words:
        _RESULTS.write_text(_page(parts, today, load))
    over = [figure.name for _, figures in parts for figure in figures if figure.verdict == "over"]
    if over:
        print("Over their bar: " + "; ".join(over))
    return 1 if over else 0


def _write_section(title: str, figures: list[Figure], when: str) -> None:
    """In the place of the old one, or at the end."""
    head, *sections = _RESULTS.read_text().split("\n## ")
    new = f"{title}\n\n({when})\n\n{table(figures)}\n"
    titles = [section.partition("\n")[0] for section in sections]
    if title in titles:
        sections[titles.index(title)] = new
    else:
        sections.append(new)
    _RESULTS.write_text("\n## ".join([head, *sections]))


def _page(parts: list[tuple[str, list[Figure]]], today: str, load: float) -> str:
    head = (
        "# Benchmarks\n\n"
        f"`make bench` on {today}: {machine()}, load {load:.1f} before it began.\n\n"
        "Every ratio is taken inside one run, beside its peer; absolute times belong to this "
        "machine. The peers' other ends give fixed answers, so that only the client is "
        "measured.\n"
    )
    body = "".join(f"\n## {title}\n\n{table(figures)}\n" for title, figures in parts)
    return head + body


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
