"""`make bench`: measure everything beside its peers in one run, print it and write RESULTS.md."""

import datetime
import os
import sys
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


def main() -> int:
    """0 where every bar is met, else 1; the results are written either way."""
    load = os.getloadavg()[0]
    parts: list[tuple[str, list[Figure]]] = []
    for title, measure in _PARTS:
        print(f"{title} ...", flush=True)
        figures = measure()
        parts.append((title, figures))
        print(table(figures), flush=True)
    today = datetime.datetime.now(tz=datetime.UTC).date()
    _RESULTS.write_text(_page(parts, str(today), load))
    over = [figure.name for _, figures in parts for figure in figures if figure.verdict == "over"]
    if over:
        print("Over their bar: " + "; ".join(over))
    return 1 if over else 0


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
    sys.exit(main())
