"""A process that writes a history as fast as it can and says what was acknowledged: to be killed.

    python -m tests.e2e.history_child FOLDER

Says `begun N`, `sampled N ELAPSED_MS` (all samples up to it are on the disk) and `ended N`, each
after the history's word.
"""

import asyncio
import sys
from pathlib import Path

from massager.history import stamps
from massager.history.records import End, Event, Identified, NewSession, Sample, Sign
from massager.history.writer import History
from tests.history_examples import place_in


async def write(folder: Path) -> None:
    """Until somebody kills it."""
    history = History(place_in(folder), keep_days=180)
    new = NewSession("tcp://127.0.0.1:1", "classic", 6, 8, 90, "terminal")
    while True:
        number = (await history.begin(new)).id
        say(f"begun {number}")
        history.identified(number, Identified("foot-1", simulated=False, counts=True))
        history.event(number, Event(0, stamps.now(), "phase", "massage"))
        for second in range(8):
            at_ms = second * 1_000
            history.sample(number, Sample(at_ms, "massage", 500, 490, 6, "on", 31.0))
            history.sign(number, Sign(stamps.now(), at_ms, 500))
            if second % 3 == 2:
                await history.ask(lambda _: None)
                say(f"sampled {number} {at_ms}")
        end = End(stamps.now(), "completed", "", 8_000, 500, output_confirmed=True)
        await history.end(number, end)
        say(f"ended {number}")


def say(text: str) -> None:
    """At once: whoever reads it may kill this process now."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1])))
