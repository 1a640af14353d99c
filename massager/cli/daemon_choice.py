"""Whether a start means a device of the daemon, and which."""

import os
from argparse import Namespace
from typing import TYPE_CHECKING

from massager.errors import UsageError

if TYPE_CHECKING:
    from massager.config.config import Config
    from massager.config.devices import DeviceSettings
    from massager.runtime_dir import Owner


def daemon_for(args: Namespace, config: "Config") -> "Owner | None":
    """The daemon's device that is meant; None where the session is to run in the foreground.

    Raises UsageError where the daemon has several and none is named, or not the named one.
    """
    from massager.api.client import living_owners

    kept = [owner for owner in living_owners(os.environ) if owner.name is not None]
    if not kept:
        return None
    names = ", ".join(sorted(owner.name or "" for owner in kept))
    if args.name is not None:
        for owner in kept:
            if owner.name == args.name:
                return owner
        raise UsageError(f"the daemon keeps no device {args.name!r}; it keeps {names}")
    url = args.device or config.device
    if url is not None:
        return next((owner for owner in kept if _is_it(owner, url, args.device is None)), None)
    if len(kept) > 1:
        raise UsageError(f"the daemon keeps several devices; say which with --name: {names}")
    return kept[0]


def device_for(args: Namespace, config: "Config") -> "DeviceSettings | None":
    """The device of the settings that is meant, for a session in the foreground.

    Raises UsageError where there are several and none is named, or not the named one.
    """
    names = ", ".join(device.name for device in config.devices)
    if not names:
        return None
    if args.name is not None:
        for device in config.devices:
            if device.name == args.name:
                return device
        raise UsageError(f"no device is called {args.name!r} in the config; there are: {names}")
    if len(config.devices) > 1:
        raise UsageError(f"there are several devices; say which with --name: {names}")
    return config.devices[0]


def _is_it(owner: "Owner", url: str, is_configured: bool) -> bool:
    """A simulated device that the daemon keeps is meant only by who has it in the settings."""
    from massager.cli.target import place_of
    from massager.transports import parse_url

    try:
        kept, wanted = parse_url(owner.device or ""), parse_url(url)
    except UsageError:
        return False
    place = place_of(wanted)
    return place == place_of(kept) if place is not None else is_configured and kept == wanted
