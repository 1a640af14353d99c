"""`massager clear`: takes back a latched fault or emergency stop. Never moves anything."""

import sys
from argparse import ArgumentParser, Namespace

from massager.errors import ExitCode, Refused


def add_arguments(parser: ArgumentParser) -> None:
    """`[--device URL]`."""
    parser.add_argument(
        "--device", metavar="URL", help="the device (default: the configured device)"
    )


def run(args: Namespace) -> int:
    """0 where nothing is latched any more.

    Refused while a controller drives the device, and while the cause of a fault is still there;
    NoDevice where no massager answers.
    """
    import asyncio

    from massager.cli.target import named, owner_of, target_of
    from massager.dialogue import Dialogue
    from massager.latch import clear_latch, read_latch
    from massager.transports import open_transport

    url, settings = target_of(args)
    owner = owner_of(url)
    if owner is not None:
        raise Refused(f"{url} is in use by {named(owner)}; end its session first: massager stop")

    async def work() -> None:
        async with Dialogue(open_transport(url, settings)) as device:
            latch = await read_latch(device)
            name = latch.identity.name
            if not latch.is_set:
                _say(f"{name}: nothing is latched; there is nothing to clear")
                return
            _say(f"{name}: latched, so that nothing moves:")
            for what, todo in latch.advice:
                _say(f"  {what}: {todo}")
            await clear_latch(device, latch)
            _say(f"{name}: cleared; the next session starts at the gentlest level")

    asyncio.run(work())
    return ExitCode.OK


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
