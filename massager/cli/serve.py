"""`massager serve`: the daemon, from the settings to the exit code."""

import os
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Final

from massager.cli.start import speed_of
from massager.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from massager.config.config import Config
    from massager.config.devices import DeviceSettings
    from massager.daemon.house import FrontEnd
    from massager.daemon.keeper import Keeper
    from massager.daemon.paperwork import HistoryOffice

NO_DEVICE: Final = """\
there is no device to keep. Name one in the config file (see: massager config path)
  device = "serial:/dev/ttyUSB0"
or several, each with [[devices]] above its name and device; `massager devices` finds serial ports.
No massager at hand? Try: massager serve --device sim: --speed 20"""


def add_arguments(parser: ArgumentParser) -> None:
    """The device, the log, the clock of simulated devices."""
    parser.add_argument(
        "--device", metavar="URL", help="keep this one alone (default: those of the config)"
    )
    parser.add_argument(
        "--log-level",
        metavar="LEVEL",
        type=_level,
        default="info",
        help="debug, info (default), warning or error",
    )
    parser.add_argument("--json-logs", action="store_true", help="log JSON, an object a line")
    parser.add_argument(
        "--speed",
        metavar="X",
        type=speed_of,
        default=1,
        help="how fast the devices run; only for simulated ones that were started so",
    )


def run(args: Namespace) -> int:
    """0 once a signal has ended it, 5 where a motor is not known to be off.

    Raises ConfigError, UsageError, and Refused where a daemon of this user runs already.
    """
    import asyncio

    from massager.admission import Admission
    from massager.cli.settings import settle_device
    from massager.daemon.house import House
    from massager.daemon.log_lines import set_up
    from massager.daemon.paperwork import HistoryOffice
    from massager.history.file import place_of
    from massager.history.writer import History
    from massager.runtime_dir import claim_daemon, own_directory

    config = settle_device(args)
    if not config.devices:
        raise UsageError(NO_DEVICE)
    front_ends = _front_ends(config)
    directory = own_directory(os.environ)
    _check_paths(directory, config)
    claim_daemon(directory, os.getpid())
    set_up(args.log_level, [config.mqtt_password or ""], os.environ, as_json=args.json_logs)

    async def work() -> int:
        history = History(place_of(os.environ, config.path), config.history_days)
        office = HistoryOffice(
            history,
            Admission(config.path, config.quiet, config.persons),
            speed=args.speed,
            as_real=config.as_real,
        )
        for person in {device.person for device in config.devices}:
            await office.refresh(person)
        keepers = [_keeper(device, config, office, directory) for device in config.devices]
        try:
            return await House(keepers, os.environ, front_ends).run()
        finally:
            await history.close()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(work())


def _front_ends(config: "Config") -> "Sequence[FrontEnd]":
    """Beside the local socket: what speaks MQTT takes its memory only where there is a broker."""
    if config.broker is None:
        return ()
    from massager.home_assistant.front_end import home_assistant

    return (home_assistant(config, config.broker, os.environ),)


def _keeper(
    device: "DeviceSettings", config: "Config", office: "HistoryOffice", directory: str
) -> "Keeper":
    from massager.daemon.choosing import Defaults
    from massager.daemon.keeper import Keeper
    from massager.transports import open_transport

    transport = open_transport(device.url, config.settings(office.speed))
    defaults = Defaults(
        min(config.intensity, device.max_intensity),
        config.minutes,
        config.warmup_s,
        config.shape,
        config.program,
        config.programs_dir,
    )
    return Keeper(
        device,
        transport,
        office,
        speed=office.speed,
        defaults=defaults,
        claim=_claim(device, directory),
    )


def _claim(device: "DeviceSettings", directory: str) -> "Callable[[], None]":
    """Takes the device's lock the first time, and keeps it until the process ends."""
    from massager.runtime_dir import claim_device
    from massager.transports.url import SimUrl

    held: list[int] = []

    def claim() -> None:
        if not held and not isinstance(device.url, SimUrl):
            held.append(claim_device(directory, str(device.url), os.getpid()))

    return claim


def _check_paths(directory: str, config: "Config") -> None:
    from massager.runtime_dir import socket_fits

    for device in config.devices:
        if not socket_fits(directory, device.name):
            raise ConfigError(
                f"the runtime directory {directory} has too long a name for the socket of "
                f"{device.name!r}; set MASSAGER_RUNTIME_DIR to a shorter one"
            )


def _level(text: str) -> str:
    from massager.daemon.log_lines import LEVELS

    if text not in LEVELS:
        raise UsageError(f"--log-level is {', '.join(LEVELS[:-1])} or {LEVELS[-1]}, not {text!r}")
    return text
