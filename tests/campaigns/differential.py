"""Random scripts on pairs of devices, for as long as asked: see tests/firmware/differential.py.

    python -m tests.campaigns.differential --scripts 2000

Exit code 1 and a line for each script under which two devices differed.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from itertools import combinations
from typing import Final

from tests.conformance.backends import BACKENDS
from tests.firmware.differential import differences

DEVICES: Final = ("pure device", "C core", "ATmega328P")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.differential")
    parser.add_argument("--scripts", type=int, default=2000, help="for each pair")
    parser.add_argument("--seed", type=int, default=0, help="of the first")
    options = parser.parse_args(arguments)
    found = 0
    for one, other in combinations(DEVICES, 2):
        started_s = time.monotonic()
        seeds = range(options.seed, options.seed + options.scripts)
        lines = [
            line for seed in seeds for line in differences(seed, BACKENDS[one], BACKENDS[other])
        ]
        found += len(lines)
        took_s = time.monotonic() - started_s
        _say(*lines, f"{one} and {other}: {len(lines)} of {len(seeds)} differ, {took_s:.0f} s")
    return 1 if found else 0


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
