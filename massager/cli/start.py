"""`massager start`: a session in the foreground, from the settings to the exit code."""

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Final

from firmware_protocol.limits import SPEED_MAX
from massager.cli.choice import add_choice_arguments, choice_from
from massager.errors import Refused, UsageError

if TYPE_CHECKING:
    from massager.cli.events import Event
    from massager.config.config import Config
    from massager.config.devices import DeviceSettings
    from massager.errors import ExitCode
    from massager.history.records import NewSession
    from massager.plan import Choice
    from massager.runtime_dir import Owner
    from massager.session.model import Terms
    from massager.transports import DeviceUrl


NO_DEVICE: Final = """\
no device is chosen. Choose one
  for once     massager start --device URL
  for a shell  export MASSAGER_DEVICE=URL
  for good     device = "URL" in the config file (see: massager config path)
URL is serial:/dev/ttyUSB0, tcp://host:port or mqtt://host/device-id; `massager devices` finds
serial ports. No massager at hand? Try a simulated one: massager start --device sim: --speed 20"""


def add_arguments(parser: ArgumentParser) -> None:
    """The device, the choice of a session, how fast its clock runs, how it is shown."""
    parser.add_argument(
        "--device", metavar="URL", help="what to drive (default: the configured device)"
    )
    parser.add_argument(
        "--name", metavar="NAME", help="which of several devices, by its name in the config"
    )
    add_choice_arguments(parser)
    parser.add_argument(
        "--speed",
        metavar="X",
        type=speed_of,
        default=1,
        help=f"1 to {SPEED_MAX} times faster than real time; only for a simulated device that "
        "was started with the same speed (sim: follows)",
    )
    parser.add_argument(
        "--as-real",
        action="store_true",
        default=None,
        help="a simulated device counts like a real one: screening, limits and history",
    )
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    parser.add_argument("--quiet", action="store_true", help="print errors and the end only")


def run(args: Namespace) -> int:
    """The exit code of the session. Raises UsageError, ConfigError or Refused: nothing was sent."""
    from massager.cli.daemon_choice import daemon_for, device_for
    from massager.cli.settings import settle
    from massager.session.model import Terms

    config = settle(args)
    owner = daemon_for(args, config)
    device = device_for(args, config) if owner is None else None
    if owner is None and device is None:
        raise UsageError(NO_DEVICE)
    choice = choice_from(args)
    cap = config.max_intensity if device is None else device.max_intensity
    if choice.intensity > cap:
        raise Refused(
            f"intensity {choice.intensity} is above your own cap of {cap} "
            "(max_intensity in the config file)"
        )
    if device is None:
        return _run_in_daemon(args, owner, config, choice)
    terms = Terms(args.speed, device.device_id, cap, as_real=config.as_real)
    return _run(args, device, config, choice, terms)


def _run_in_daemon(
    args: Namespace, owner: "Owner | None", config: "Config", choice: "Choice"
) -> int:
    from massager.cli.follow import device_of, start_in_daemon
    from massager.cli.screening import ask_before_start, is_interactive

    assert owner is not None
    if is_interactive() and not (args.json or args.quiet):
        kept = device_of(owner)
        person = kept.get("person") or ""
        if person in (config.persons or ("",)):  # else its answers lie beside another config
            ask_before_start(config.path, person, lambda: not kept.get("simulated"))
    return start_in_daemon(args, choice, owner)


def _run(
    args: Namespace, device: "DeviceSettings", config: "Config", choice: "Choice", terms: "Terms"
) -> int:
    import asyncio
    from contextlib import ExitStack

    from massager.admission import Admission
    from massager.api.server import ApiServer
    from massager.cli.foreground import Foreground
    from massager.cli.keys import Keys
    from massager.cli.progress import KEYS, NO_KEYS
    from massager.cli.reporters import can_draw, reporter_for
    from massager.cli.screening import ask_before_start, is_interactive
    from massager.controller import Controller
    from massager.history.file import place_of
    from massager.history.writer import History
    from massager.recording import Recording
    from massager.runtime_dir import claim_device, own_directory
    from massager.transports import open_transport
    from massager.transports.url import SimUrl

    url = device.url
    transport = open_transport(url, config.settings(args.speed))
    if not isinstance(url, SimUrl):
        claim_device(own_directory(os.environ), transport.url, os.getpid())
    is_somebody = bool(device.person) or not config.persons
    if is_somebody and is_interactive() and not (args.json or args.quiet):
        ask_before_start(config.path, device.person, lambda: _is_real(url, config, terms))

    async def session(stack: ExitStack) -> "ExitCode":
        drawn = can_draw(sys.stdout) and not (args.json or args.quiet)
        keys = Keys.on_stdin() if drawn else None
        if keys is not None:
            stack.enter_context(keys)
        reporter = reporter_for(
            sys.stdout,
            _facts(choice, terms, transport.url),
            as_json=args.json,
            quiet=args.quiet,
            keys=NO_KEYS if keys is None else KEYS,
            speed=terms.speed,
            time_s=asyncio.get_running_loop().time,
        )
        history = History(place_of(os.environ, config.path), config.history_days)
        counts = terms.as_real or not isinstance(url, SimUrl)
        new = _row(choice, terms, transport.url, device.person, counts=counts)
        recording = Recording(history, new, as_real=terms.as_real)
        admission = Admission(config.path, config.quiet, config.persons, device.person)
        controller = Controller(transport, terms)
        foreground = Foreground(controller, reporter, keys, recording, admission)
        server = ApiServer(foreground, transport.url, terms.speed, os.environ)
        try:
            return await foreground.run(choice, server)
        finally:
            await history.close()

    with ExitStack() as stack, asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(session(stack))


def _is_real(url: "DeviceUrl", config: "Config", terms: "Terms") -> bool:
    """Whether these are real feet. Raises NoDevice where nothing tells."""
    import asyncio

    from massager.probe import probe
    from massager.transports import open_transport
    from massager.transports.url import SimUrl

    if terms.as_real or isinstance(url, SimUrl):
        return terms.as_real
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        answer = runner.run(probe(open_transport(url, config.settings(terms.speed))))
    return not answer.identity.is_simulated


def _row(choice: "Choice", terms: "Terms", url: str, person: str, *, counts: bool) -> "NewSession":
    from massager.history.records import NewSession

    return NewSession(
        url=url,
        program=choice.program.name,
        intensity=choice.intensity,
        minutes=choice.massage_ms / 60_000,
        warmup_s=choice.warmup_ms / 1000,
        origin="terminal",
        counts=counts,
        speed=terms.speed,
        person=person,
    )


def _facts(choice: "Choice", terms: "Terms", url: str) -> "Event":
    return {
        "url": url,
        "program": choice.program.name,
        "intensity": choice.intensity,
        "minutes": choice.massage_ms / 60_000,
        "warmup_s": choice.warmup_ms / 1000,
        "shape": choice.shape.value,
        "speed": terms.speed,
        "pid": os.getpid(),
    }


def speed_of(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= SPEED_MAX):
        raise UsageError(f"--speed is a whole number from 1 to {SPEED_MAX}, not {text[:40]!r}")
    return int(text)
