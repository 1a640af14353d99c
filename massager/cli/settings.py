"""The settings a command runs with: flags over environment over the config file."""

import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Final

from massager.cli.saying import say

if TYPE_CHECKING:
    from massager.config.config import Config
    from massager.transports import DeviceUrl, Settings

_CHOICES: Final = ("intensity", "minutes", "shape", "program")


def device_of(args: Namespace) -> "tuple[DeviceUrl, Settings] | None":
    """The device that is chosen and what its transport needs; None where none is chosen."""
    config = _load({"device": getattr(args, "device", None)})
    return _device(config, speed=1)


def devices_of(args: Namespace) -> "list[tuple[DeviceUrl, Settings]]":
    """Every device of the settings, or the one of the flag."""
    return _devices(_load({"device": args.device}))


def devices_to_stop(args: Namespace) -> "list[tuple[DeviceUrl, Settings]]":
    """As `devices_of`, whatever else is wrong in the config: for a stop. Says nothing."""
    from massager.config.rescue import load_for_stop

    return _devices(load_for_stop({"device": args.device}, os.environ))


def settle(args: Namespace) -> "Config":
    """Fill in what was not given by a flag: the choice of a session and `programs_dir`."""
    names = ("device", "warmup", "as_real", *_CHOICES)
    config = _load({name: getattr(args, name, None) for name in names})
    for name in _CHOICES:
        setattr(args, name, getattr(config, name))
    args.warmup = config.warmup_s
    args.programs_dir = config.programs_dir
    return config


def settle_device(args: Namespace) -> "Config":
    """The settings under the flag of a device and no other."""
    return _load({"device": args.device})


def settle_programs(args: Namespace) -> None:
    """Only where a person's own programs lie: the file may be broken."""
    from massager.config.config import config_path

    args.programs_dir = config_path(os.environ).parent / "programs"


def _device(config: "Config", speed: int) -> "tuple[DeviceUrl, Settings] | None":
    from massager.transports import parse_url

    return None if config.device is None else (parse_url(config.device), config.settings(speed))


def _devices(config: "Config") -> "list[tuple[DeviceUrl, Settings]]":
    return [(device.url, config.settings()) for device in config.devices]


def _load(flags: dict[str, object]) -> "Config":
    from massager.config.config import load

    config = load(flags, os.environ)
    for warning in config.warnings:
        say(f"massager: {warning}", sys.stderr)
    return config
