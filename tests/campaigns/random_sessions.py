"""Random sessions in virtual time, at least five faults in each, judged from the motor trace.

    python -m tests.campaigns.random_sessions --seeds 20000 --first 1

One line for each seed that went wrong, and at its end `hash` over all traces: the same seeds give
the same hash. `--each` prints the hash of each seed. `--twice` runs each seed again and compares.
Exit code 1 where an invariant broke, a device was not ready again, or two runs differed.
"""

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from firmware_protocol.messages import (
    Clear,
    Command,
    EmergencyStop,
    GetStatus,
    Hello,
    SetLevel,
    Status,
    Stop,
)
from massager.dialogue import Dialogue
from massager.errors import MassagerError
from massager.plan import Shape
from massager.programs import program_names
from massager.session.model import (
    Ended,
    Extend,
    HardStop,
    Idle,
    Pause,
    Resume,
    Running,
    SetIntensity,
    SoftStop,
)
from simulator.device import DeviceConfig
from tests.world import World

FAULTS_MIN: Final = 5
READY_S: Final = 10


@dataclass
class Result:
    """What became of one seed."""

    seed: int
    trace_hash: str
    faults: int
    problems: list[str] = field(default_factory=list)


Action = Callable[[World, Random], None]


def _line_fault(name: str, **ranges: tuple[float, float]) -> Action:
    def act(world: World, rng: Random) -> None:
        if world.transport.datagrams and name == "one_byte":
            return
        values: dict[str, Any] = {}
        for key, (low, high) in ranges.items():
            whole = key.endswith("ms")
            values[key] = rng.randint(int(low), int(high)) if whole else rng.uniform(low, high)
        direction = rng.choice(("down", "up", "both"))
        world.device(fault=name, direction=direction, **values)

    return act


def _device_fault(name: str) -> Action:
    return lambda world, _rng: world.device(fault=name)


def _replay(world: World, rng: Random) -> None:
    """A frame that the controller sent before comes again."""
    if world.transport.written:
        world.intrude(rng.choice(world.transport.written))


def _intrude(world: World, rng: Random) -> None:
    """Another host, with tokens that are no, an old or the present session's."""
    token = rng.choice([0, 1, 0xFFFF, *(row.token for row in world.rows[-50:])])
    commands: list[Command] = [
        Hello(0, 1, 1, 77),
        Hello(1, 1, 1, 78),
        Stop(),
        EmergencyStop(),
        GetStatus(),
        SetLevel(1000, 5000),
    ]
    command = rng.choice(commands)
    # The present token under a fresh sequence is a host that may drive: not this test's matter.
    world.foreign(command, token if not isinstance(command, SetLevel) else 0, rng.randrange(256))


def _feet(world: World, rng: Random) -> None:
    if world.config.feet_sensor:
        world.device(feet=rng.choice((True, False)))


FAULTS: Final[tuple[Action, ...]] = (
    _line_fault("drop", rate=(0.05, 1.0)),
    _line_fault("corrupt", rate=(0.05, 1.0)),
    _line_fault("duplicate", rate=(0.05, 1.0)),
    _line_fault("delay", ms=(0, 900), jitter_ms=(0, 400)),
    _line_fault("one_byte"),
    _line_fault("coalesce", ms=(1, 50)),
    *(
        _device_fault(name)
        for name in (
            "stop_reading",
            "reboot",
            "silent_reboot",
            "hang",
            "stall",
            "overheat",
            "over_current",
            "stuck_sensor",
            "stuck_on",
        )
    ),
    lambda world, rng: world.device(fault="unplug", ms=rng.choice((100, 2_000, 9_000, 15_000))),
    lambda world, rng: world.freeze(rng.choice((0.1, 0.6, 3, 20))),
    _feet,
    _replay,
    _intrude,
)
REQUESTS: Final[tuple[Action, ...]] = (
    lambda world, _rng: _ask(world, Pause()),
    lambda world, _rng: _ask(world, Resume()),
    lambda world, _rng: _ask(world, Resume()),
    lambda world, rng: _ask(world, SetIntensity(rng.randint(0, 11))),
    lambda world, rng: _ask(world, Extend(rng.choice((60_000, 120_000, -1)))),
)
STOPS: Final[tuple[Action, ...]] = (
    lambda world, _rng: _ask(world, SoftStop()),
    lambda world, _rng: _ask(world, HardStop()),
)
WAITS_S: Final = (0.001, 0.05, 0.3, 1, 1, 2, 4, 7, 12, 25)


def _ask(world: World, request: Any) -> None:
    world.request(request)


def run_seed(seed: int) -> Result:
    """One random life of a device: two or three sessions, at least five faults."""
    rng = Random(seed)
    config = DeviceConfig(
        feet_sensor=rng.random() < 0.8, max_permille=rng.choice((1000, 1000, 700))
    )
    with World(seed=seed, datagrams=rng.random() < 0.25, config=config) as world:
        faults = 0
        while faults < FAULTS_MIN and not world.check():
            _start(world, rng)
            faults += _session(world, rng)
        problems = world.check() or _aftermath(world)
        return Result(seed, world.trace_hash(), faults, problems)


def _start(world: World, rng: Random) -> None:
    if isinstance(world.state, Ended):
        world.renew()
    if isinstance(world.state, Idle):
        world.start(
            rng.randint(1, 10),
            massage_ms=rng.choice((300_000, 600_000)),
            warmup_ms=60_000,
            shape=rng.choice(tuple(Shape)),
            program=rng.choice(program_names()),
        )
    world.run(rng.choice((0.5, 5, 30, 100)))


def _session(world: World, rng: Random) -> int:
    """Faults and wishes until the session has ended. How many faults."""
    faults = 0
    for _ in range(rng.randint(6, 14)):
        kind = rng.random()
        if kind < 0.35:
            rng.choice(FAULTS)(world, rng)
            faults += 1
        elif kind < 0.55:
            world.device(fault="none")
            if world.config.feet_sensor and rng.random() < 0.7:
                world.device(feet=True)
        elif kind < 0.97:
            rng.choice(REQUESTS)(world, rng)
        else:
            rng.choice(STOPS)(world, rng)
        world.run(rng.choice(WAITS_S))
        if world.check() or isinstance(world.state, Ended):
            break
    return faults


def _aftermath(world: World) -> list[str]:
    """An emergency stop ends it in whatever state; and once the faults are over, it is ready."""
    world.device(fault="none")
    if world.config.feet_sensor:
        world.device(feet=True)
    if not isinstance(world.state, Ended):
        world.request(HardStop())
        world.run(0.001 if world.line_delay_ms == 0 else 3)
    world.run(10)
    problems = world.check()
    if world.output:
        problems.append(f"output {world.output} 10 s after an emergency stop")
    world.run(60)  # a rest that the device may insist on
    try:
        world.await_(_clear(world))
    except MassagerError as error:
        problems.append(f"the device could not be cleared: {error}")
    if not world.renew():
        problems.append("the device could not be opened again")
    world.start()
    world.run(READY_S)
    if not isinstance(world.state, Running):
        problems.append(f"not running {READY_S} s after a new start: {world.state}")
    world.request(SoftStop())
    ended = world.run_until_ended(10)
    if not ended.output_confirmed:
        problems.append("the last stop was not confirmed")
    return problems + world.check()


async def _clear(world: World) -> None:
    await world.controller.close()
    async with Dialogue(world.transport, nonce=lambda: 99) as device:
        await device.open_session()
        status = await device.ask(GetStatus())
        if isinstance(status, Status) and status.latch_id:
            await device.ask(Clear(status.latch_id))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--each", action="store_true", help="print the hash of each seed")
    parser.add_argument("--twice", action="store_true", help="run each seed twice and compare")
    options = parser.parse_args(argv)
    digest, bad, faults = hashlib.sha256(), 0, 0
    for seed in range(options.first, options.first + options.seeds):
        result = run_seed(seed)
        faults += result.faults
        digest.update(result.trace_hash.encode())
        problems = list(result.problems)
        if options.twice and run_seed(seed).trace_hash != result.trace_hash:
            problems.append("two runs of this seed differ")
        bad += bool(problems)
        for problem in problems[:3]:
            sys.stdout.write(f"seed {seed}: {problem}\n")
        if options.each:
            sys.stdout.write(f"seed {seed}: {result.trace_hash}\n")
    sys.stdout.write(
        f"{options.seeds} sessions, {faults} faults, {bad} bad, hash {digest.hexdigest()[:16]}\n"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
