"""The registry: which transport opens which URL. What a URL does not need is not imported."""

import sys
from typing import assert_never

from massager.errors import UsageError
from massager.transports.interface import Receiver, Settings, Transport
from massager.transports.url import DeviceUrl, MqttUrl, SerialUrl, SimUrl, TcpUrl, parse_url

__all__ = ["DeviceUrl", "Receiver", "Settings", "Transport", "open_transport", "parse_url"]


def open_transport(url: str | DeviceUrl, settings: Settings | None = None) -> Transport:
    """The transport for `url`, not opened yet: nothing is touched before `Transport.open`.

    Raises UsageError where the URL is wrong, and for a serial port on Windows.
    """
    target = parse_url(url) if isinstance(url, str) else url
    settings = settings or Settings()
    match target:
        case SimUrl():
            from massager.transports.memory import open_simulated

            return open_simulated(target, settings)
        case SerialUrl():
            if sys.platform == "win32":
                raise UsageError(
                    f"device {str(target)!r}: serial ports are not supported on Windows yet; "
                    "use tcp://host:port or mqtt://host/device-id"
                )
            from massager.transports.serial import SerialTransport

            return SerialTransport(target)
        case TcpUrl():
            from massager.transports.tcp import TcpTransport

            return TcpTransport(target)
        case MqttUrl():
            from massager.transports.mqtt import MqttTransport

            return MqttTransport(target, settings)
    assert_never(target)
