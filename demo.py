"""A whole session against the simulated device, in under a minute: `make demo`.

Nothing is special here: it runs the two commands that a person would type in two terminals, and
draws the trace that the simulated device wrote of its own motor.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from massager.cli.drawing import draw_curve, draws_blocks, terminal_width

SPEED = 20
START = f"--intensity 6 --minutes 5 --warmup 60 --program gliding --speed {SPEED}"


def main() -> int:
    """The exit code of `massager start`."""
    with tempfile.TemporaryDirectory(prefix="massager-demo-") as folder:
        trace = Path(folder) / "trace.jsonl"
        simulate = ["--pty", f"{folder}/port", "--speed", str(SPEED), "--trace", str(trace)]
        simulator = subprocess.Popen(
            [_command("massager-simulator"), *simulate], stdout=subprocess.PIPE, text=True
        )
        try:
            assert simulator.stdout is not None
            simulator.stdout.readline()  # it says where it listens once it does
            device = f"serial:{folder}/port"
            print(f"A 5-minute session, {SPEED} times faster than life, on a simulated device:\n")
            print(f"  massager-simulator --pty PORT --speed {SPEED}")
            print(f"  massager start --device serial:PORT {START}\n", flush=True)
            started = subprocess.run(
                [_command("massager"), "start", "--device", device, *START.split()], check=False
            )
        finally:
            simulator.terminate()
            simulator.wait()
        rows = [json.loads(line) for line in trace.read_text().splitlines()]
    _draw(rows)
    return started.returncode


def _command(name: str) -> str:
    """The installed command beside this Python."""
    return str(Path(sys.executable).parent / name)


def _draw(rows: list[dict[str, int]]) -> None:
    if not rows:
        return
    begin_ms = next((row["device_ms"] for row in rows if row["output"]), 0)
    points = [((row["device_ms"] - begin_ms) / 1000, float(row["output"])) for row in rows]
    points = [point for point in points if point[0] >= 0]
    print(
        "\nWhat the motor did, from the device's own trace (‰ of its range, minutes of session):\n"
    )
    print(
        "\n".join(
            draw_curve(points, width=min(terminal_width(), 100), blocks=draws_blocks(sys.stdout))
        )
    )


if __name__ == "__main__":
    sys.exit(main())
