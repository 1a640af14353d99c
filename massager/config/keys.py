"""Every key of the config: its rule in words, its variable, its default, its model. No I/O.

The models say what is taken, RULES what a person is told where something else stands there.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from massager import limits
from massager.config.devices import DEVICE_RULES, DeviceTable, RemoteTable
from massager.quiet_hours import QuietHours

_INTENSITY: Final = f"a whole number from {limits.INTENSITY_MIN} to {limits.INTENSITY_MAX}"
_MINUTES: Final = (limits.MASSAGE_MIN_MS // 60_000, limits.MASSAGE_MAX_MS // 60_000)
_WARMUP_S: Final = (limits.WARMUP_MIN_MS // 1000, limits.WARMUP_MAX_MS // 1000)

# Every key with its rule in words, as the file writes them; [table] keys have a dot.
RULES: Final = {
    "device": "a device URL such as serial:/dev/ttyUSB0",
    "device_id": "1 to 8 letters, digits, _ or -",
    "intensity": _INTENSITY,
    "minutes": f"a number from {_MINUTES[0]} to {_MINUTES[1]}",
    "warmup": f"a number of seconds from {_WARMUP_S[0]} to {_WARMUP_S[1]}",
    "shape": "linear or hold",
    "program": "the name or the file of a program",
    "limits.max_intensity": _INTENSITY,
    "as_real": "true or false",
    "remote.start": DEVICE_RULES["remote.start"],
    "history.days": f"a whole number of days from 1 to {limits.HISTORY_DAYS_MAX}",
    "mqtt.broker": "a broker's URL such as mqtt://user@host, without a password",
    "mqtt.prefix": "1 to 64 letters, digits, _ - and / between",
    "mqtt.username": "a text of 1 to 128 printable characters",
    "mqtt.password": "a text of 1 to 128 characters",
    "mqtt.password_file": "the path of a file",
    "mqtt.ca_file": "the path of a file",
    "home_assistant.discovery": "true or false",
    "home_assistant.discovery_prefix": "1 to 64 letters, digits, _ - and / between",
    "home_assistant.node_id": "2 to 32 letters, digits, _ or -",
}
_FILE_ONLY: Final = ("remote.start",)  # a shell's variable is no place for who may start
VARIABLES: Final = {
    key: "MASSAGER_" + key.removeprefix("limits.").replace(".", "_").upper()
    for key in RULES
    if key not in _FILE_ONLY
} | {"mqtt.username": "MASSAGER_MQTT_USER"}
BY_LEAF: Final = {key.rpartition(".")[2]: key for key in RULES}
FLAGS: Final = ("device", "intensity", "minutes", "warmup", "shape", "program", "as_real")
WHOLE: Final = ("intensity", "limits.max_intensity", "history.days")
NUMBERS: Final = ("minutes", "warmup")
YES_NO: Final = ("as_real", "home_assistant.discovery")
QUIET_RULES: Final = {
    "from": 'a time of day such as "22:30"',
    "to": 'a time of day such as "07:00"',
    "max_intensity": _INTENSITY,
}
DEFAULTS: Final[Mapping[str, object]] = {
    "intensity": limits.INTENSITY_DEFAULT,
    "minutes": limits.MASSAGE_DEFAULT_MS / 60_000,
    "warmup": limits.WARMUP_DEFAULT_MS / 1000,
    "shape": "linear",
    "program": limits.PROGRAM_DEFAULT,
    "limits.max_intensity": limits.INTENSITY_MAX,
    "as_real": False,
    "history.days": limits.HISTORY_DAYS_DEFAULT,
    "mqtt.prefix": "massager",
    "home_assistant.discovery": True,
    "home_assistant.discovery_prefix": "homeassistant",
}

_Text = Annotated[str, StringConstraints(min_length=1, max_length=128)]
_Path = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
_Intensity = Annotated[int, Field(ge=limits.INTENSITY_MIN, le=limits.INTENSITY_MAX)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Limits(_Model):
    max_intensity: _Intensity | None = None


class _History(_Model):
    days: Annotated[int, Field(ge=1, le=limits.HISTORY_DAYS_MAX)] | None = None


_Topic = Annotated[
    str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")
]
_HOST = r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})"
_Broker = Annotated[
    str,
    StringConstraints(pattern=rf"^mqtts?://([^\s:@/]{{1,128}}@)?{_HOST}(:[1-9][0-9]{{0,4}})?/?$"),
]


class _Mqtt(_Model):
    broker: _Broker | None = None
    prefix: _Topic | None = None
    username: Annotated[_Text, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None
    password: _Text | None = None
    password_file: _Path | None = None
    ca_file: _Path | None = None


class _HomeAssistant(_Model):
    discovery: bool | None = None
    discovery_prefix: _Topic | None = None
    node_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{2,32}$")] | None = None


_Time = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class QuietTable(_Model):
    """One [[quiet]], as it stands."""

    begins: _Time = Field(alias="from")
    ends: _Time = Field(alias="to")
    max_intensity: _Intensity

    def hours(self) -> QuietHours:
        """What it means."""
        return QuietHours(_minute(self.begins), _minute(self.ends), self.max_intensity)


class Values(_Model):
    """One layer: what one source says. A key that is not given is None."""

    device: str | None = None
    device_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,8}$")] | None = None
    intensity: _Intensity | None = None
    minutes: Annotated[float, Field(ge=_MINUTES[0], le=_MINUTES[1])] | None = None
    warmup: Annotated[float, Field(ge=_WARMUP_S[0], le=_WARMUP_S[1])] | None = None
    shape: Literal["linear", "hold"] | None = None
    program: _Path | None = None
    limits: _Limits = _Limits()
    history: _History = _History()
    mqtt: _Mqtt = _Mqtt()
    home_assistant: _HomeAssistant = _HomeAssistant()
    remote: RemoteTable = RemoteTable()
    devices: list[DeviceTable] | None = None
    as_real: bool | None = None
    quiet: list[QuietTable] | None = None


def _minute(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
