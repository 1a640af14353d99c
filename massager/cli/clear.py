"""`massager clear`: takes back a latched fault or emergency stop. Never moves anything."""

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Final

from massager.errors import ExitCode, NoDevice, Refused

if TYPE_CHECKING:
    from massager.runtime_dir import Owner

CLEAR_S: Final = 20.0  # a device that has to be found first


def add_arguments(parser: ArgumentParser) -> None:
    """`[--device URL] [--name NAME]`."""
    parser.add_argument(
        "--name", metavar="NAME", help="which device of the daemon, where it has several"
    )
    parser.add_argument(
        "--device", metavar="URL", help="the device (default: the configured device)"
    )


def run(args: Namespace) -> int:
    """0 where nothing is latched any more.

    Refused while a controller drives the device, and while the cause of a fault is still there;
    NoDevice where no massager answers.
    """
    import asyncio

    from massager.cli.daemon_choice import daemon_for
    from massager.cli.settings import settle_device
    from massager.cli.target import named, owner_of, target_of
    from massager.dialogue import Dialogue
    from massager.latch import clear_latch, read_latch
    from massager.transports import open_transport

    daemon = daemon_for(args, settle_device(args))
    if daemon is not None:
        return _clear_in_daemon(daemon)
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


def _clear_in_daemon(owner: "Owner") -> int:
    """The daemon has the device: it looks, and clears."""
    from massager.api.client import ask
    from massager.errors import SessionFailed

    devices = ask([owner], {"request": "devices"}, CLEAR_S).get(owner, {}).get("devices", [])
    for what, todo in next((it["latched"] for it in devices if it["name"] == owner.name), []):
        _say(f"{owner.name}: latched, so that nothing moves: {what}: {todo}")
    reply = ask([owner], {"request": "clear"}, CLEAR_S).get(owner)
    if reply is None:
        raise SessionFailed(f"the daemon (process {owner.pid}) does not answer")
    if not reply.get("ok"):
        error = reply["error"]
        kind = NoDevice if error.get("refusal") == "absent" else Refused
        raise kind(error["message"])
    _say(f"{owner.name}: nothing is latched; the next session starts at the gentlest level")
    return ExitCode.OK


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
