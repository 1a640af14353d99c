"""The devices of the config: one `device =`, or a table [[devices]] for each of several.

    [[devices]]
    name = "bedroom"                    1 to 24 letters, digits, _ or -
    device = "serial:/dev/ttyUSB0"
    device_id = "foot-1"                (optional: no other device)
    max_intensity = 6                   (optional: for this device, below the person's own cap)
    remote.start = "feet"               (optional: feet, direct or armed)
    person = "anna"                     (whose feet; for all devices or for none)

Without a person all devices are one person's: one sitting, one day, one screening. With them each
name has its own.

Pure: told what the file says. A second name for one device is an error, not a choice.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from massager import limits
from massager.errors import UsageError
from massager.transports.url import DeviceUrl, MqttUrl, parse_url, place_of

NAME_DEFAULT: Final = "massager"  # of the single `device =`
DEVICES_MAX: Final = 1_000

DEVICE_RULES: Final = {
    "name": "1 to 24 letters, digits, _ or -",
    "device": "a device URL such as serial:/dev/ttyUSB0",
    "device_id": "1 to 8 letters, digits, _ or -",
    "max_intensity": f"a whole number from {limits.INTENSITY_MIN} to {limits.INTENSITY_MAX}",
    "remote.start": "feet, direct or armed",
    "person": "1 to 24 small letters, digits, _ or -, the first no -",
}


class RemoteStart(StrEnum):
    """What a start from afar needs."""

    FEET = "feet"  # feet on the sensor within two minutes
    DIRECT = "direct"  # nothing
    ARMED = "armed"  # somebody at the device has armed it, for once


class RemoteTable(BaseModel):
    """`remote.start`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    start: Annotated[str, StringConstraints(pattern=r"^(feet|direct|armed)$")] | None = None


class DeviceTable(BaseModel):
    """One [[devices]], as it stands."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,24}$")]
    device: str
    device_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,8}$")] | None = None
    max_intensity: (
        Annotated[int, Field(ge=limits.INTENSITY_MIN, le=limits.INTENSITY_MAX)] | None
    ) = None
    remote: RemoteTable = RemoteTable()
    person: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_][a-z0-9_-]{0,23}$")] | None = None


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """One device, checked. `max_intensity` is what holds for it, the person's own cap included."""

    name: str
    url: DeviceUrl
    device_id: str | None = None
    max_intensity: int = limits.INTENSITY_MAX
    remote_start: RemoteStart | None = None  # None: by whether the device has a feet sensor
    person: str = ""  # whose feet; empty where nobody is named


class WrongTable(ValueError):
    """What is wrong with one [[devices]]; `number` counts them from 0."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number


def devices_of(tables: Iterable[Mapping[str, Any]], cap: int) -> tuple[DeviceSettings, ...]:
    """The devices of the tables; `cap` is the person's own. Raises WrongTable."""
    found: list[DeviceSettings] = []
    for number, table in enumerate(tables):
        try:
            url = parse_url(table["device"])
        except UsageError as error:
            raise WrongTable(number, f"device is wrong: {error}") from None
        device = DeviceSettings(
            table["name"],
            url,
            table.get("device_id") or (url.device_id if isinstance(url, MqttUrl) else None),
            min(table.get("max_intensity", cap), cap),
            remote_start_of(table),
            table.get("person") or "",
        )
        for text in _doubles(device, found):
            raise WrongTable(number, text)
        found.append(device)
    _check_persons(found)
    return tuple(found)


def remote_start_of(table: Mapping[str, Any]) -> RemoteStart | None:
    """What `remote.start` says in a table."""
    start = table.get("remote", {}).get("start")
    return None if start is None else RemoteStart(start)


def line_of_table(text: str, number: int, table: str = "devices") -> int:
    """The line of the [[`table`]] with this number, from 0; 1 where it is not found."""
    header = f"[[{table}]]"
    lines = (at for at, line in enumerate(text.split("\n"), 1) if _is_header(line, header))
    return next((line for seen, line in enumerate(lines) if seen == number), 1)


def nearest_key(key: str, rules: Mapping[str, str] = DEVICE_RULES) -> str:
    """A word of advice about a key that is none."""
    from difflib import get_close_matches  # only a mistake pays for it

    found = get_close_matches(key, rules, n=1, cutoff=0)
    return f"the nearest is {found[0]}"


def _check_persons(devices: list[DeviceSettings]) -> None:
    """Where some are named, somebody's limits would else be counted with nobody's."""
    if not any(device.person for device in devices):
        return
    for number, device in enumerate(devices):
        if not device.person:
            raise WrongTable(
                number, f"{device.name!r} names no person, and others do; name one for each device"
            )


def _is_header(line: str, header: str) -> bool:
    return line.partition("#")[0].replace(" ", "").strip() == header


def _doubles(device: DeviceSettings, before: list[DeviceSettings]) -> Iterator[str]:
    for other in before:
        if other.name.lower() == device.name.lower():
            yield f"name {device.name!r} is given twice; give each device its own name"
        place = place_of(device.url)
        if place is not None and place == place_of(other.url):
            yield (
                f"{device.name!r} and {other.name!r} are two names for one device ({device.url}); "
                "keep one of them"
            )
        if device.device_id is not None and device.device_id == other.device_id:
            yield (
                f"{device.name!r} and {other.name!r} have the same device_id "
                f"{device.device_id!r}: two names for one device; keep one of them"
            )
