"""What a stop can still learn from settings of which some are wrong.

A mistake in the config must not keep a stop from a device that can be reached, so every key that
matters to a stop is tried by itself, and what is wrong counts as not given.
"""

from collections.abc import Mapping

from massager.config.config import Config, config_path, load_with
from massager.config.file import ConfigText, read_config_lines, read_config_text
from massager.config.keys import VARIABLES
from massager.errors import ConfigError

_KEYS = (
    *("device", "device_id"),
    *("mqtt.username", "mqtt.password", "mqtt.password_file", "mqtt.ca_file"),
)


def load_for_stop(flags: Mapping[str, object], environ: Mapping[str, str]) -> Config:
    """As `load`, but only with the device and the access to its broker, as far as they are right.

    Raises UsageError for a flag, and ConfigError where the device itself is wrong and no flag or
    variable above names another: no other device is stopped in its place.
    """
    whole = _file(environ)
    variables = {name: text for name, text in environ.items() if name not in VARIABLES.values()}
    file = ConfigText(whole.path, {}, whole.text, whole.readable_by_others)
    config = load_with(flags, variables, file)
    for key in _KEYS:
        if text := environ.get(VARIABLES[key]):
            more = {**variables, VARIABLES[key]: text}
            if (tried := _tried(config, key, flags, more, file)) is not None:
                variables, config = more, tried
    for key in _KEYS:
        if (value := _value(whole.table, key)) is not None:
            longer = ConfigText(
                whole.path, _with(file.table, key, value), whole.text, whole.readable_by_others
            )
            if (tried := _tried(config, key, flags, variables, longer)) is not None:
                file, config = longer, tried
    return _with_devices(config, flags, variables, file, whole)


def _with_devices(
    config: Config,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    file: ConfigText,
    whole: ConfigText,
) -> Config:
    """And each of [[devices]] that is right by itself."""
    tables = whole.table.get("devices")
    good: list[object] = []
    for table in tables if isinstance(tables, list) and config.device is None else ():
        more = [*good, _without_person(table)]
        longer = {**file.table, "devices": more}
        text = ConfigText(whole.path, longer, whole.text, whole.readable_by_others)
        if (tried := _tried(config, "devices", flags, environ, text)) is not None:
            good, config = more, tried
    return config


def _tried(
    config: Config,
    key: str,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    file: ConfigText,
) -> Config | None:
    try:
        return load_with(flags, environ, file)
    except ConfigError:
        if key == "device" and config.device is None:
            raise
        return None


def _file(environ: Mapping[str, str]) -> ConfigText:
    path = config_path(environ)
    try:
        return read_config_text(path, must_exist=False)
    except ConfigError:
        return read_config_lines(path)


def _without_person(table: object) -> object:
    """Whose feet they are matters to no stop, and must not keep one from a device."""
    if not isinstance(table, Mapping):
        return table
    return {key: value for key, value in table.items() if key != "person"}


def _value(table: Mapping[str, object], key: str) -> object:
    inside, _, leaf = key.rpartition(".")
    place = table.get(inside) if inside else table
    return place.get(leaf) if isinstance(place, Mapping) else None


def _with(table: Mapping[str, object], key: str, value: object) -> dict[str, object]:
    inside, _, leaf = key.rpartition(".")
    if not inside:
        return {**table, leaf: value}
    place = table.get(inside)
    return {**table, inside: {**(place if isinstance(place, Mapping) else {}), leaf: value}}
