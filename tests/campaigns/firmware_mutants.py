"""Breaks each limit of the C core, one at a time, and looks whether a test of the core fails.

    python -m tests.campaigns.firmware_mutants            all of them; exit 1 below 95 %
    python -m tests.campaigns.firmware_mutants lease      those whose name holds this word

Each mutant of `firmware_mutants.toml` is a copy of `firmware/` in which one text stands for
another. It is built for this computer and put before the tests of the core; a mutant that passes
them all has survived and is named at the end, with the reason where one is known.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent.parent
KILLED_MIN: Final = 0.95
_LIST: Final = Path(__file__).with_suffix(".toml")
_TIMEOUT_S: Final = 300
TESTS: Final = ("tests/conformance", "tests/firmware")
_CHOICE: Final = "core and not esp"  # ESPHome would be fetched into each copy


class Mutant(NamedTuple):
    """One text of a file of the core for another."""

    name: str
    file: str
    text: str
    instead: str
    equivalent: str = ""  # why no test can tell it from the original


class Verdict(NamedTuple):
    """What became of a mutant."""

    mutant: Mutant
    killed_by: str  # the first test that failed; "" where none did


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mutants. 0 where enough of them are killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.firmware_mutants")
    parser.add_argument("word", nargs="?", default="", help="only those whose name holds it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    chosen = [mutant for mutant in mutants() if options.word in mutant.name]
    started_s = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        verdicts = []
        for verdict in pool.map(tried, chosen):
            verdicts.append(verdict)
            _say(f"{'killed' if verdict.killed_by else 'SURVIVED':8} {verdict.mutant.name}")
    return _conclude(verdicts, time.monotonic() - started_s)


def mutants() -> list[Mutant]:
    """All of them, in the order of the file."""
    with _LIST.open("rb") as file:
        return [Mutant(**table) for table in tomllib.load(file)["mutant"]]


def tried(mutant: Mutant) -> Verdict:
    """Build a mutant and put it before the tests. Raises RuntimeError where it cannot be built."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        firmware = Path(folder) / "firmware"
        shutil.copytree(ROOT / "firmware", firmware, ignore=shutil.ignore_patterns("build"))
        path = firmware / "core" / mutant.file
        path.write_text(mutated(mutant, path.read_text(encoding="utf-8")), encoding="utf-8")
        environment = os.environ | {"MASSAGER_FIRMWARE": str(firmware)}
        command = [
            *(sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"),
            *("--no-header", "--tb=no", "-k", _CHOICE, *TESTS),
        ]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Verdict(mutant, "a test that did not come to its end")
    if done.returncode == 0:
        return Verdict(mutant, "")
    if done.returncode < 0:
        return Verdict(mutant, f"a crash by signal {-done.returncode}")
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode != 1 or not failed or "CannotBuild" in done.stdout:
        raise RuntimeError(f"{mutant.name}: {done.stdout}{done.stderr}")
    return Verdict(mutant, failed[0].split()[1])


def mutated(mutant: Mutant, source: str) -> str:
    """The changed text of its file. Raises ValueError where there is not exactly one place."""
    if (found := source.count(mutant.text)) != 1:
        raise ValueError(f"{mutant.name}: {found} times in {mutant.file}")
    return source.replace(mutant.text, mutant.instead)


def _conclude(verdicts: Sequence[Verdict], took_s: float) -> int:
    survivors = [verdict.mutant for verdict in verdicts if not verdict.killed_by]
    killed = len(verdicts) - len(survivors)
    _say(f"{killed} of {len(verdicts)} mutants killed in {took_s:.0f} s")
    for mutant in survivors:
        _say(f"survived: {mutant.name}: {mutant.equivalent or 'no reason is known'}")
    enough = killed >= KILLED_MIN * len(verdicts)
    return 0 if enough and all(mutant.equivalent for mutant in survivors) else 1


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
