"""What a stop can still learn from settings of which some are wrong.

A mistake in the config must not keep a stop from a device that can be reached, so every key that
matters to a stop is tried by itself, and what is wrong counts as not given. Of [[devices]] only the
URLs matter: a wrong name, cap or person keeps no stop from anybody.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from massager.config.config import Config, config_path, load_with
from massager.config.devices import DEVICES_MAX
from massager.config.file import ConfigText, read_config_lines, read_config_text
from massager.config.keys import VARIABLES
from massager.errors import ConfigError, UsageError
from massager.transports.url import parse_url, place_of

_OF_ONE: Final = ("device", "device_id")
_KEYS: Final = (
    *_OF_ONE,
    *("mqtt.username", "mqtt.password", "mqtt.password_file", "mqtt.ca_file"),
)


def load_for_stop(flags: Mapping[str, object], environ: Mapping[str, str]) -> Config:
    """As `load`, but only with the device and the access to its broker, as far as they are right.

    Raises UsageError for a flag, and ConfigError where the device itself is wrong and no flag or
    variable above names another: no other device is stopped in its place.
    """
    whole = _file(environ)
    variables = {name: text for name, text in environ.items() if name not in VARIABLES.values()}
    file = replace(whole, table={})
    config = load_with(flags, variables, file)
    places = _places(whole.table)
    for key in _KEYS:
        if text := environ.get(VARIABLES[key]):
            more = {**variables, VARIABLES[key]: text}
            if (tried := _tried(config, key, flags, more, file)) is not None:
                variables, config = more, tried
    for key in _KEYS:
        if key in _OF_ONE and places:
            continue
        if (value := _value(whole.table, key)) is not None:
            longer = replace(file, table=_with(file.table, key, value))
            if (tried := _tried(config, key, flags, variables, longer)) is not None:
                file, config = longer, tried
    # Numbers for names, and for ids: two that are given twice are still two devices.
    listed = [
        {"name": str(number), "device_id": str(number), "device": place}
        for number, place in enumerate(places[:DEVICES_MAX])
    ]
    longer = replace(file, table={**file.table, "devices": listed}) if listed else file
    return _tried(config, "devices", flags, variables, longer) or config


def _places(table: Mapping[str, object]) -> list[str]:
    """Every URL where there are [[devices]], each once: theirs, and that of a `device` beside."""
    rows = table.get("devices")
    rows = [rows] if isinstance(rows, Mapping) else rows
    if not isinstance(rows, list):
        return []
    given = [row.get("device") for row in rows if isinstance(row, Mapping)]
    found: dict[object, str] = {}
    for text in (*given, table.get("device")):
        with suppress(UsageError):
            if isinstance(text, str):
                found.setdefault(place_of(parse_url(text)) or text, text)
    return list(found.values())


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
