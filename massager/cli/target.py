"""Which device a command means, and who of this user's controllers drives it now."""

import os
from argparse import Namespace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from massager.runtime_dir import Owner
    from massager.transports import DeviceUrl, Settings


NO_DEVICE: Final = (
    "no device is chosen: name one by its URL, in MASSAGER_DEVICE or in the config file "
    "(massager config path); `massager devices` finds serial ports"
)


def target_of(args: Namespace) -> "tuple[DeviceUrl, Settings]":
    """The device of `args.device` or of the settings. UsageError where none is chosen."""
    from massager.cli.settings import device_of
    from massager.errors import UsageError

    found = device_of(args)
    if found is None:
        raise UsageError(NO_DEVICE)
    return found


def owner_of(url: "DeviceUrl") -> "Owner | None":
    """The running controller that drives the device behind `url`, whatever name it uses for it."""
    from massager.api.client import living_owners
    from massager.errors import UsageError
    from massager.transports import parse_url

    wanted = place_of(url)
    for owner in living_owners(os.environ):
        try:
            device = parse_url(owner.device or "")
        except UsageError:  # it wrote nothing yet
            continue
        if wanted is not None and place_of(device) == wanted:
            return owner
    return None


def named(owner: "Owner") -> str:
    """`process 4711 (massager start)`."""
    command = f" ({owner.command})" if owner.command else ""
    return f"process {owner.pid}{command}"


def place_of(url: "DeviceUrl") -> tuple[str, ...] | None:
    """One name for one device as this computer has it; None for one that nobody else can reach."""
    from massager.transports import url as urls

    if isinstance(url, urls.SerialUrl):
        port = url.port if url.is_path else _path_of_number(url.port)
        return ("serial", os.path.realpath(port))
    return urls.place_of(url)


def _path_of_number(number: str) -> str:
    from massager.transports.serial import serial_ports

    return next((port.path for port in serial_ports() if port.serial_number == number), number)
