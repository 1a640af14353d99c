"""The serial ports of this computer, and how to name each so that it is found again. Opens none."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from massager.errors import UsageError
from massager.transports.url import SerialUrl, parse_url

if TYPE_CHECKING:
    from serial.tools.list_ports_common import ListPortInfo

BY_ID: Final = Path("/dev/serial/by-id")


@dataclass(frozen=True, slots=True)
class ListedPort:
    """One port; texts come from the adapter and may be anything, but are printable here."""

    device: str
    by_id: str | None
    serial_number: str | None
    manufacturer: str | None
    product: str | None

    @property
    def url(self) -> str:
        """What to give to --device: by-id where there is one, for it stays after a replug."""
        for port in (self.by_id, self.device):
            if port is not None and _is_usable(f"serial:{port}"):
                return str(SerialUrl(port))
        return f"serial:{self.serial_number}" if self.serial_number else f"serial:{self.device}"

    @property
    def title(self) -> str:
        """Maker, product and serial number, as far as they are known."""
        product = self.product or ""
        if self.manufacturer and self.manufacturer.lower() not in product.lower():
            product = f"{self.manufacturer} {product}".strip()
        number = f"serial number {self.serial_number}" if self.serial_number else ""
        return ", ".join(part for part in (product, number) if part) or "no USB identity"


def list_serial_ports() -> list[ListedPort]:
    """The ports that are there now, by name."""
    from serial.tools import list_ports

    try:
        found = sorted(list_ports.comports())
    except (OSError, TypeError, ValueError):  # one was unplugged while it was looked at
        return []
    return listed(found, BY_ID)


def listed(found: "Iterable[ListPortInfo]", by_id_dir: Path) -> list[ListedPort]:
    """What pyserial found, joined with the links in `by_id_dir`."""
    links = _links(by_id_dir)
    return [
        ListedPort(
            port.device,
            links.get(port.device),
            _clean(port.serial_number),
            _clean(port.manufacturer),
            _clean(port.product),
        )
        for port in found
    ]


def _links(folder: Path) -> dict[str, str]:
    """The by-id path of each device node that has one."""
    try:
        return {str(link.resolve()): str(link) for link in sorted(folder.iterdir(), reverse=True)}
    except OSError:
        return {}


def _clean(text: str | None) -> str | None:
    """What an adapter says of itself, for a terminal: printable, at most 80 characters."""
    if not text or not text.strip():
        return None
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown.strip()[:80]


def _is_usable(url: str) -> bool:
    try:
        parse_url(url)
    except UsageError:
        return False
    return True
