"""Whole processes: start-up beside bare Python, `massager stop` to the answer, and memory."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, percentile
from benchmarks.session import simulator, trace

_MASSAGER = str(Path(sys.executable).parent / "massager")
_TRIES = 25


def _run_ms(command: list[str], environment: dict[str, str] | None = None) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=environment)
    return (time.perf_counter() - start) * 1000


def _start_up() -> tuple[float, float]:
    """p50 in ms of bare Python and of `massager --help`, in turn."""
    bare, helped = [], []
    for _ in range(_TRIES):
        bare.append(_run_ms([sys.executable, "-c", "pass"]))
        helped.append(_run_ms([_MASSAGER, "--help"]))
    return percentile(bare, 50), percentile(helped, 50)


def _start(folder: Path, port: Path) -> "subprocess.Popen[str]":
    """A foreground session whose motor turns."""
    environment = os.environ | {"MASSAGER_RUNTIME_DIR": str(folder)}
    session = subprocess.Popen(
        [_MASSAGER, "start", "--device", f"serial:{port}", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert session.stdout is not None
    for line in session.stdout:
        event = json.loads(line)
        if event["event"] == "status" or event.get("phase") == "warm-up":
            break
    return session


def _stop_to_trace_ms(folder: Path, asked_ns: int) -> float:
    stops = [row for row in trace(folder) if row["mono_ns"] >= asked_ns and row["why"] == "stop"]
    return float(stops[0]["mono_ns"] - asked_ns) / 1e6


def _stops() -> tuple[list[float], float, float]:
    """Process start → stop taken by the device, ms; resident MB and CPU % of the session."""
    spans, resident, share = [], 0.0, 0.0
    environment = os.environ.copy()
    for number in range(8):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            environment["MASSAGER_RUNTIME_DIR"] = name
            with simulator(folder) as (port, _):
                session = _start(folder, port)
                if number == 0:
                    before = cpu_s(session.pid)
                    time.sleep(10)
                    share = (cpu_s(session.pid) - before) * 10
                    resident = resident_mb(session.pid)
                asked_ns = time.monotonic_ns()
                _run_ms([_MASSAGER, "stop"], environment)
                session.communicate()
                spans.append(_stop_to_trace_ms(folder, asked_ns))
    return spans, resident, share


def resident_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure() -> list[Figure]:
    """Everything of this file."""
    bare, helped = _start_up()
    stops, resident, share = _stops()
    stop = percentile(stops, 50)
    return [
        Figure(
            "`massager --help` ÷ `python -c pass`",
            helped / bare,
            "×",
            3.0,
            beside=f"{helped:.1f} ms against {bare:.1f} ms",
        ),
        Figure(
            "`massager stop`, process start → taken by the device ÷ `python -c pass`",
            stop / bare,
            "×",
            5.0,
            beside=f"{stop:.1f} ms against {bare:.1f} ms",
        ),
        Figure("a foreground session, resident", resident, "MB", 45),
        Figure("CPU of a foreground session", share, "% of a core", 2),
    ]
