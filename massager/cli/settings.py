"""The settings a command runs with: flags over environment over the config file."""

import os
from argparse import Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from massager.transports import DeviceUrl, Settings


def device_of(args: Namespace) -> "tuple[DeviceUrl, Settings] | None":
    """The device that is chosen and what its transport needs; None where none is."""
    from massager.transports import Settings, parse_url

    url = getattr(args, "device", None) or os.environ.get("MASSAGER_DEVICE")
    return (parse_url(url), Settings(speed=getattr(args, "speed", 1) or 1)) if url else None
