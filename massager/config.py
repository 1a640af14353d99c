"""The settings: flags over environment over one TOML file over defaults, each checked once.

    device = "serial:/dev/ttyUSB0"      device_id = "foot-1"     (optional: no other device)
    intensity = 3    minutes = 8    warmup = 90    shape = "linear"    program = "classic"
    [limits]   max_intensity = 6        a person's own cap
    [mqtt]     username, password or password_file, ca_file

Opens no device and prints nothing: warnings are returned. It loads pydantic, so a command that can
do without it must not import it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from massager import limits
from massager.config_file import ConfigText, printable, read_config_text, read_password
from massager.errors import ConfigError, MassagerError, UsageError
from massager.transports.interface import Settings
from massager.transports.url import parse_url

_SHOWN_MAX: Final = 40
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
    "mqtt.username": "a text of 1 to 128 printable characters",
    "mqtt.password": "a text of 1 to 128 characters",
    "mqtt.password_file": "the path of a file",
    "mqtt.ca_file": "the path of a file",
}
VARIABLES: Final = {
    key: "MASSAGER_" + key.removeprefix("limits.").replace(".", "_").upper() for key in RULES
} | {"mqtt.username": "MASSAGER_MQTT_USER"}
_BY_LEAF: Final = {key.rpartition(".")[2]: key for key in RULES}
_FLAGS: Final = ("device", "intensity", "minutes", "warmup", "shape", "program")
_WHOLE: Final = ("intensity", "limits.max_intensity")
_NUMBERS: Final = ("minutes", "warmup")
_DEFAULTS: Final[Mapping[str, object]] = {
    "intensity": limits.INTENSITY_DEFAULT,
    "minutes": limits.MASSAGE_DEFAULT_MS / 60_000,
    "warmup": limits.WARMUP_DEFAULT_MS / 1000,
    "shape": "linear",
    "program": limits.PROGRAM_DEFAULT,
    "limits.max_intensity": limits.INTENSITY_MAX,
}

_Text = Annotated[str, StringConstraints(min_length=1, max_length=128)]
_Path = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
_Intensity = Annotated[int, Field(ge=limits.INTENSITY_MIN, le=limits.INTENSITY_MAX)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Limits(_Model):
    max_intensity: _Intensity | None = None


class _Mqtt(_Model):
    username: Annotated[_Text, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None
    password: _Text | None = None
    password_file: _Path | None = None
    ca_file: _Path | None = None


class _Values(_Model):
    """One layer: what one source says. A key that is not given is None."""

    device: str | None = None
    device_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,8}$")] | None = None
    intensity: _Intensity | None = None
    minutes: Annotated[float, Field(ge=_MINUTES[0], le=_MINUTES[1])] | None = None
    warmup: Annotated[float, Field(ge=_WARMUP_S[0], le=_WARMUP_S[1])] | None = None
    shape: Literal["linear", "hold"] | None = None
    program: _Path | None = None
    limits: _Limits = _Limits()
    mqtt: _Mqtt = _Mqtt()


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
    value: str | int | float | None
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
    mqtt_username: str | None
    mqtt_password: str | None = field(repr=False)
    mqtt_ca_file: Path | None
    origins: Mapping[str, Origin]
    warnings: tuple[str, ...]

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
        _Layer("flag", _flag_values(flags), lambda key: f"--{key}", UsageError),
        _Layer("environment", _variables(environ), VARIABLES.__getitem__, ConfigError),
        _Layer("file", file.table, file.place_of, ConfigError),
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
        "mqtt.username": config.mqtt_username,
        "mqtt.password": None if config.mqtt_password is None else "set",
        "mqtt.ca_file": None if config.mqtt_ca_file is None else str(config.mqtt_ca_file),
    }
    default = Origin("default")
    return [
        Described(key, value, config.origins.get(key, default)) for key, value in values.items()
    ]


@dataclass(frozen=True, slots=True)
class _Layer:
    """One source, as it came."""

    kind: Literal["flag", "environment", "file"]
    table: Mapping[str, object]
    name_of: Callable[[str], str]  # of a key: the flag, the variable, or the file and line
    error: type[MassagerError]

    def wrong(self, key: str, text: str) -> MassagerError:
        """The error for `key`, with its place."""
        place = self.name_of(key)
        return self.error(f"{place}: {key} {text}" if self.kind == "file" else f"{place} {text}")

    def checked(self) -> dict[str, Any]:
        """The values that are given, by key. Raises the layer's error."""
        try:
            values = _Values.model_validate(self.table)
        except ValidationError as error:
            raise self._explained(error) from None
        given = dict(_flat(values.model_dump(exclude_none=True)))
        if "device" in given:
            try:
                parse_url(given["device"])
            except UsageError as error:
                raise self.wrong("device", f"is wrong: {error}") from None
        if "mqtt.password" in given and "mqtt.password_file" in given:
            raise self.wrong("mqtt.password_file", "and mqtt.password are both given; give one")
        return given

    def _explained(self, error: ValidationError) -> MassagerError:
        """The error for what is wrong first: an unknown key before a value."""
        found = error.errors(include_url=False, include_context=False)
        first = min(found, key=lambda detail: detail["type"] != "extra_forbidden")
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            return self.wrong(_shown(key).strip("'"), f"is no setting; {_nearest(key)}")
        if key not in RULES:
            return self.wrong(key, f"is a table; write [{key}] and its keys below")
        instead = "" if key == "mqtt.password" else f", not {_shown(first['input'])}"
        return self.wrong(key, f"is {RULES[key]}{instead}")


_Given = list[tuple[_Layer, dict[str, Any]]]


def _nearest(unknown: str) -> str:
    """The setting that is most like `unknown`: by its words, then by its letters."""
    word = unknown.rpartition(".")[2].lower()[:_SHOWN_MAX]

    def likeness(leaf: str) -> tuple[int, float]:
        shared = len(set(leaf.split("_")) & set(word.split("_")))
        return shared, SequenceMatcher(None, word, leaf).ratio()

    table, _, leaf = _BY_LEAF[max(_BY_LEAF, key=likeness)].rpartition(".")
    return f"the nearest is {leaf} in [{table}]" if table else f"the nearest is {leaf}"


def _merged(layers: list[_Layer], file: ConfigText, environ: Mapping[str, str]) -> Config:
    given = [(layer, layer.checked()) for layer in layers]
    values: dict[str, Any] = dict(_DEFAULTS)
    origins: dict[str, Origin] = {}
    for layer, its in reversed(given):
        values |= its
        origins |= {key: Origin(layer.kind, layer.name_of(key)) for key in its}
    _check_own_cap(layers[-1], given[-1][1], values["limits.max_intensity"])
    if "intensity" not in origins:
        values["intensity"] = min(values["intensity"], values["limits.max_intensity"])
    if _is_of_another_device(given):
        del values["device_id"], origins["device_id"]
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
        mqtt_username=values.get("mqtt.username"),
        mqtt_password=password,
        mqtt_ca_file=ca_file,
        origins=origins | _origin_of_password(given),
        warnings=warnings,
    )


def _check_own_cap(file: _Layer, given: Mapping[str, Any], cap: int) -> None:
    if given.get("intensity", 0) > cap:
        raise file.wrong(
            "intensity", f"{given['intensity']} is above limits.max_intensity, which is {cap}"
        )


def _is_of_another_device(given: _Given) -> bool:
    """Whether the device_id stands beside a device that something above it replaces."""
    beside = next((its for _, its in given if "device_id" in its), {})
    above = next((its for _, its in given if "device" in its), {})
    return "device" in beside and beside is not above


def _password_layer(given: _Given) -> tuple[_Layer, dict[str, Any], str] | None:
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
    given = {key: flags.get(key) for key in _FLAGS}
    return {key: _typed(key, value) for key, value in given.items() if value is not None}


def _variables(environ: Mapping[str, str]) -> dict[str, object]:
    table: dict[str, Any] = {"limits": {}, "mqtt": {}}
    for key, variable in VARIABLES.items():
        if text := environ.get(variable):  # an empty one counts as not set
            inside, _, leaf = key.rpartition(".")
            (table[inside] if inside else table)[leaf] = _typed(key, text)
    return table


def _typed(key: str, value: object) -> object:
    """Text from outside as its key's type; what is no number stays a text, and is refused."""
    if not isinstance(value, str):
        return value
    if key in _WHOLE and re.fullmatch("[0-9]{1,9}", value):
        return int(value)
    if key in _NUMBERS and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    return value


def _flat(table: Mapping[str, Any], inside: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{inside}{key}.")
        else:
            yield inside + key, value


def _shown(value: object) -> str:
    """A wrong value for a message: cut, and on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value) if isinstance(value, str) else str(value)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"
