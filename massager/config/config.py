"""The settings: flags over environment over one TOML file over defaults, each checked once.

    device = "serial:/dev/ttyUSB0"      device_id = "foot-1"     (optional: no other device)
    intensity = 3    minutes = 8    warmup = 90    shape = "linear"    program = "classic"
    [limits]   max_intensity = 6        a person's own cap
    [history]  days = 180               how long it is kept
    [[quiet]]  from = "22:30"  to = "07:00"  max_intensity = 3     also lowers what runs then
    as_real = false                     a simulated device counts like a real one
    [mqtt]     broker, prefix, username, password or password_file, ca_file
    [home_assistant]   discovery, discovery_prefix, node_id
    [[devices]]                         instead of `device` where there are several
                                        (config/devices.py)

Opens no device and prints nothing: warnings are returned. It loads pydantic, so a command that can
do without it must not import it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from massager.config.devices import (
    NAME_DEFAULT,
    DeviceSettings,
    WrongTable,
    devices_of,
)
from massager.config.file import ConfigText, printable, read_config_text, read_password
from massager.config.keys import DEFAULTS, FLAGS, NUMBERS, VARIABLES, WHOLE, YES_NO
from massager.config.layer import Layer
from massager.errors import ConfigError, UsageError
from massager.quiet_hours import QuietHours
from massager.runtime_dir import same_device
from massager.transports.interface import Settings
from massager.transports.url import DeviceUrl, place_of


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from."""

    kind: Literal["flag", "environment", "file", "default"]
    name: str = ""  # the flag, the variable, or the file and line

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip()


@dataclass(frozen=True, slots=True)
class Described:
    """One setting for a person: a password is only `set` or None."""

    key: str
    value: str | int | float | bool | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class Config:
    """What holds, checked. Times in the unit a person gives: minutes of massage, seconds of
    warm-up."""

    path: Path
    device: str | None
    device_id: str | None
    intensity: int
    minutes: float
    warmup_s: float
    shape: Literal["linear", "hold"]
    program: str
    max_intensity: int
    history_days: int
    mqtt_username: str | None
    mqtt_password: str | None = field(repr=False)
    mqtt_ca_file: Path | None
    origins: Mapping[str, Origin]
    warnings: tuple[str, ...]
    devices: tuple[DeviceSettings, ...] = ()  # `device`, or each of [[devices]]
    persons: tuple[str, ...] = ()  # whom the [[devices]] of the file name
    quiet: tuple[QuietHours, ...] = ()
    as_real: bool = False
    broker: str | None = None  # where the daemon offers its devices; None: nowhere
    mqtt_prefix: str = "massager"
    discovery: bool = True
    discovery_prefix: str = "homeassistant"
    node_id: str | None = None  # what the daemon is called on the broker; None: by its host

    @property
    def programs_dir(self) -> Path:
        """The folder of a person's own programs, beside the file."""
        return self.path.parent / "programs"

    def settings(self, speed: int = 1) -> Settings:
        """What the transports need."""
        return Settings(self.mqtt_username, self.mqtt_password, self.mqtt_ca_file, speed)


def config_path(environ: Mapping[str, str]) -> Path:
    """Where the file is, or would be: MASSAGER_CONFIG, else the user's configuration folder,
    which platformdirs asks the process's own environment for."""
    named = environ.get("MASSAGER_CONFIG")
    if named:
        return Path(named)
    from platformdirs import user_config_path

    return user_config_path("massager") / "config.toml"


def load(
    flags: Mapping[str, object], environ: Mapping[str, str], path: Path | None = None
) -> Config:
    """The settings that hold. A flag that is None or missing was not given.

    `path` is the file (default: `config_path(environ)`); a file that is not there is empty, unless
    MASSAGER_CONFIG names it. The file is checked whole, whatever stands above it. Raises
    ConfigError for the file and the environment, UsageError for a flag.
    """
    must_exist = path is None and bool(environ.get("MASSAGER_CONFIG"))
    file = read_config_text(path or config_path(environ), must_exist)
    return load_with(flags, environ, file)


def load_with(flags: Mapping[str, object], environ: Mapping[str, str], file: ConfigText) -> Config:
    """As `load`, with a file that has been read."""
    layers = [
        Layer("flag", _flag_values(flags), lambda key: f"--{key}", UsageError),
        Layer("environment", _variables(environ), VARIABLES.__getitem__, ConfigError),
        Layer("file", file.table, file.place_of, ConfigError, file.text),
    ]
    return _merged(layers, file, environ)


def describe(config: Config) -> list[Described]:
    """Every setting with where it comes from, in the order of the file."""
    values: dict[str, Any] = {
        "device": config.device,
        "device_id": config.device_id,
        "intensity": config.intensity,
        "minutes": config.minutes,
        "warmup": config.warmup_s,
        "shape": config.shape,
        "program": config.program,
        "limits.max_intensity": config.max_intensity,
        "quiet": "; ".join(map(str, config.quiet)) or None,
        "as_real": config.as_real,
        "history.days": config.history_days,
        "mqtt.broker": config.broker,
        "mqtt.prefix": config.mqtt_prefix,
        "mqtt.username": config.mqtt_username,
        "mqtt.password": None if config.mqtt_password is None else "set",
        "mqtt.ca_file": None if config.mqtt_ca_file is None else str(config.mqtt_ca_file),
        "home_assistant.discovery": config.discovery,
        "home_assistant.discovery_prefix": config.discovery_prefix,
        "home_assistant.node_id": config.node_id,
    }
    default = Origin("default")
    return [
        Described(key, value, config.origins.get(key, default)) for key, value in values.items()
    ]


_Given = list[tuple[Layer, dict[str, Any]]]


def _merged(layers: list[Layer], file: ConfigText, environ: Mapping[str, str]) -> Config:
    given = [(layer, layer.checked()) for layer in layers]
    values: dict[str, Any] = dict(DEFAULTS)
    origins: dict[str, Origin] = {}
    for layer, its in reversed(given):
        values |= its
        origins |= {key: Origin(layer.kind, layer.name_of(key)) for key in its}
    _check_own_cap(layers[-1], given[-1][1], values["limits.max_intensity"])
    if "intensity" not in origins:
        values["intensity"] = min(values["intensity"], values["limits.max_intensity"])
    if _is_of_another_device(given):
        del values["device_id"], origins["device_id"]
    devices = _devices(layers[-1], values)
    if len(devices) == 1 and "device" not in values:  # the one that every command means
        values |= {"device": str(devices[0].url), "device_id": devices[0].device_id}
    password, warnings = _password(given, file, environ)
    ca_file = values.get("mqtt.ca_file")
    if ca_file is not None:
        ca_file = _place(ca_file, origins["mqtt.ca_file"].kind, file, environ)
    return Config(
        path=file.path,
        device=values.get("device"),
        device_id=values.get("device_id"),
        intensity=values["intensity"],
        minutes=values["minutes"],
        warmup_s=values["warmup"],
        shape=values["shape"],
        program=values["program"],
        max_intensity=values["limits.max_intensity"],
        history_days=values["history.days"],
        mqtt_username=values.get("mqtt.username"),
        mqtt_password=password,
        mqtt_ca_file=ca_file,
        origins=origins | _origin_of_password(given),
        warnings=warnings,
        devices=devices,
        persons=tuple(sorted({table["person"] for table in _tables(values) if "person" in table})),
        quiet=values.get("quiet", ()),
        as_real=values["as_real"],
        broker=values.get("mqtt.broker"),
        mqtt_prefix=values["mqtt.prefix"],
        discovery=values["home_assistant.discovery"],
        discovery_prefix=values["home_assistant.discovery_prefix"],
        node_id=values.get("home_assistant.node_id"),
    )


def _devices(file: Layer, values: Mapping[str, Any]) -> tuple[DeviceSettings, ...]:
    """The single `device`, whatever gives it, else each of [[devices]].

    A flag that gives one of those by its URL means all that is said of it there, but is itself how
    the device is reached.
    """
    cap = values["limits.max_intensity"]
    try:
        listed = devices_of(_tables(values), cap)
    except WrongTable as wrong:
        raise file.wrong_table(wrong.number, str(wrong)) from None
    if "device" not in values:
        return listed
    table: dict[str, Any] = {"name": NAME_DEFAULT, "device": values["device"]}
    table |= {"device_id": values.get("device_id")}
    table |= {"remote": {"start": values.get("remote.start")}}
    [device] = devices_of([table], cap)
    for each in listed:
        if _is_one_device(each.url, device.url):
            return (replace(each, url=device.url, device_id=device.device_id or each.device_id),)
    return (device,)


def _is_one_device(one: DeviceUrl, other: DeviceUrl) -> bool:
    place = place_of(one)
    if place is None:
        return False
    return place == place_of(other) or same_device(str(one)) == same_device(str(other))


def _tables(values: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    tables: Sequence[Mapping[str, Any]] = values.get("devices", ())
    return tables


def _check_own_cap(file: Layer, given: Mapping[str, Any], cap: int) -> None:
    if given.get("intensity", 0) > cap:
        raise file.wrong(
            "intensity", f"{given['intensity']} is above limits.max_intensity, which is {cap}"
        )


def _is_of_another_device(given: _Given) -> bool:
    """Whether the device_id stands beside a device that something above it replaces."""
    beside = next((its for _, its in given if "device_id" in its), {})
    above = next((its for _, its in given if "device" in its), {})
    return "device" in beside and beside is not above


def _password_layer(given: _Given) -> tuple[Layer, dict[str, Any], str] | None:
    """The uppermost layer that says anything about the password, and by which key."""
    for layer, its in given:
        for key in ("mqtt.password", "mqtt.password_file"):
            if key in its:
                return layer, its, key
    return None


def _origin_of_password(given: _Given) -> dict[str, Origin]:
    found = _password_layer(given)
    if found is None:
        return {}
    layer, _, key = found
    return {"mqtt.password": Origin(layer.kind, layer.name_of(key))}


def _password(
    given: _Given, file: ConfigText, environ: Mapping[str, str]
) -> tuple[str | None, tuple[str, ...]]:
    """The password that holds, and warnings about where one lies."""
    warnings = []
    if "mqtt.password" in given[-1][1] and file.readable_by_others:
        warnings.append(_others_can_read(file.path))
    password = None
    if (found := _password_layer(given)) is not None:
        layer, its, key = found
        password = its[key]
        if key == "mqtt.password_file":
            path = _place(password, layer.kind, file, environ)
            password, exposed = read_password(path, layer.name_of(key))
            if exposed:
                warnings.append(_others_can_read(path))
    return password, tuple(warnings)


def _others_can_read(path: Path) -> str:
    shown = printable(str(path))
    return f"{shown} holds a password and others may read it; close it: chmod 600 {shown}"


def _place(text: str, kind: str, file: ConfigText, environ: Mapping[str, str]) -> Path:
    """A path in the file counts from the file's folder; `~/` is the home folder everywhere."""
    if text.startswith("~/") and environ.get("HOME"):
        return Path(environ["HOME"], text[2:])
    return file.path.parent / text if kind == "file" else Path(text)


def _flag_values(flags: Mapping[str, object]) -> dict[str, object]:
    given = {key: flags.get(key) for key in FLAGS}
    return {key: _typed(key, value) for key, value in given.items() if value is not None}


def _variables(environ: Mapping[str, str]) -> dict[str, object]:
    table: dict[str, Any] = {"limits": {}, "history": {}, "mqtt": {}, "home_assistant": {}}
    for key, variable in VARIABLES.items():
        if text := environ.get(variable):  # an empty one counts as not set
            inside, _, leaf = key.rpartition(".")
            (table[inside] if inside else table)[leaf] = _typed(key, text)
    return table


def _typed(key: str, value: object) -> object:
    """Text from outside as its key's type; what is no number stays a text, and is refused."""
    if not isinstance(value, str):
        return value
    if key in WHOLE and re.fullmatch("[0-9]{1,9}", value):
        return int(value)
    if key in YES_NO and value in ("true", "false"):
        return value == "true"
    if key in NUMBERS and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    return value
