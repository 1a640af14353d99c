"""`massager config`: which settings hold and where each comes from, the file, and its mistakes."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from massager.errors import ConfigError, ExitCode, MassagerError, UsageError

if TYPE_CHECKING:
    from massager.config.config import Config
    from massager.config.devices import DeviceSettings

ACTIONS: Final = ("show", "path", "check")


def add_arguments(parser: ArgumentParser) -> None:
    """`[show|path|check] [--json]`."""
    parser.add_argument(
        "action",
        nargs="?",
        metavar="|".join(ACTIONS),
        type=_action,
        default="show",
        help="show every value and its source (default), print the file's path, or check the file "
        "and the programs",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace, environ: Mapping[str, str] = os.environ) -> int:
    """0, or ConfigError: `show` and `check` read the whole file, `path` does not open it."""
    match args.action:
        case "path":
            _path(environ, as_json=args.json)
        case "check":
            _check(environ, as_json=args.json)
        case _:
            _show(environ, as_json=args.json)
    return ExitCode.OK


def _path(environ: Mapping[str, str], *, as_json: bool) -> None:
    from massager.config.config import config_path

    path = config_path(environ)
    if as_json:
        _say_json({"path": str(path), "exists": path.is_file()})
        return
    _say(str(path))
    if not path.is_file():
        sys.stderr.write("massager: there is no file yet; the defaults hold\n")


def _show(environ: Mapping[str, str], *, as_json: bool) -> None:
    from massager.config.config import describe, load
    from massager.config.keys import VARIABLES

    config = load({}, environ)
    settings = describe(config)
    exists = config.path.is_file()
    if as_json:
        found = [
            {
                "key": each.key,
                "value": each.value,
                "source": each.origin.kind,
                "where": each.origin.name or None,
                "variable": VARIABLES.get(each.key),
            }
            for each in settings
        ]
        devices = [dict(_about(device)) | {"name": device.name} for device in config.devices]
        path = str(config.path)
        _say_json({"path": path, "exists": exists, "settings": found, "devices": devices})
        return
    _say(f"{config.path}{'' if exists else ' (no file yet: the defaults hold)'}")
    for device in config.devices if len(config.devices) > 1 else ():
        url, *more = _about(device)
        _say(
            f"  device {device.name}: {url[1]}{''.join(f', {key} {value}' for key, value in more)}"
        )
    width = max(len(each.key) for each in settings)
    for each in settings:
        value = "not set" if each.value is None else _text(each.value)
        origin = "" if each.value is None else f"  ({each.origin})"
        _say(f"  {each.key:<{width}}  {value}{origin}")
    _warn(config)


def _about(device: "DeviceSettings") -> Iterator[tuple[str, str | int]]:
    """What holds for one device, its URL first; what is not given is left out."""
    yield "url", str(device.url)
    if device.device_id is not None:
        yield "device_id", device.device_id
    yield "max_intensity", device.max_intensity
    if device.remote_start is not None:
        yield "remote.start", device.remote_start.value
    if device.person:
        yield "person", device.person


def _check(environ: Mapping[str, str], *, as_json: bool) -> None:
    """Load the file, every program that is named or lies beside it, and the broker's authority."""
    from massager.config.config import load
    from massager.programs import program_names

    config = load({}, environ)
    problems = list(_problems(config))
    if problems:
        raise ConfigError("\n".join(problems))
    if as_json:
        _say_json(
            {
                "ok": True,
                "path": str(config.path),
                "exists": config.path.is_file(),
                "programs": list(program_names(config.programs_dir)),
                "warnings": list(config.warnings),
            }
        )
        return
    exists = config.path.is_file()
    _say(f"ok: {config.path}{'' if exists else ' (no file yet: the defaults hold)'}")
    _warn(config)


def _problems(config: "Config") -> Iterator[str]:
    from massager.programs import load_program, program_names

    for name in dict.fromkeys((config.program, *program_names(config.programs_dir))):
        try:
            load_program(name, config.programs_dir)
        except MassagerError as error:
            named = f"{_named_by(config, 'program')}: " if name == config.program else ""
            yield f"{named}{error}"
    if config.mqtt_ca_file is not None:
        import ssl

        try:
            ssl.create_default_context(cafile=str(config.mqtt_ca_file))
        except OSError as error:
            yield (
                f"{_named_by(config, 'mqtt.ca_file')}: {config.mqtt_ca_file} holds no certificate "
                f"that can be read: {error.strerror or error}"
            )


def _named_by(config: "Config", key: str) -> str:
    origin = config.origins.get(key)
    return f"{key} ({origin})" if origin is not None else key


def _warn(config: "Config") -> None:
    for warning in config.warnings:
        sys.stderr.write(f"massager: {warning}\n")


def _text(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _say(text: str) -> None:
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    sys.stdout.write(shown + "\n")


def _say_json(found: dict[str, Any]) -> None:
    import json

    sys.stdout.write(json.dumps(found) + "\n")


def _action(text: str) -> str:
    if text not in ACTIONS:
        raise UsageError(f"write: massager config {'|'.join(ACTIONS)}, not {text[:40]!r}")
    return text
