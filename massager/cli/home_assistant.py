"""`massager ha`: what Home Assistant is told, taking it back, and the schema of a command."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from massager.errors import ConfigError, ExitCode, UsageError

if TYPE_CHECKING:
    from massager.config.config import Config

ACTIONS: Final = ("show", "remove", "schema")
_NO_BROKER: Final = """\
there is no broker to ask. Name it in the config file (see: massager config path):
  [mqtt]
  broker = "mqtt://user@host"\
"""


def add_arguments(parser: ArgumentParser) -> None:
    """`show|remove [ID …] [--all]|schema`."""
    parser.add_argument(
        "action",
        metavar="|".join(ACTIONS),
        type=_action,
        help="print the announcement of each device; take every retained message of this daemon's "
        "devices away from the broker; print the JSON schema of a command",
    )
    parser.add_argument(
        "ids",
        nargs="*",
        metavar="ID",
        help="remove: these devices, also where no longer configured",
    )
    parser.add_argument(
        "--all", action="store_true", help="remove: the devices of every daemon on the broker"
    )


def run(args: Namespace, environ: Mapping[str, str] = os.environ) -> int:
    """0; raises ConfigError, UsageError, and NoDevice where the broker is out of reach."""
    from massager.config.config import load

    if (args.ids or args.all) and args.action != "remove":
        raise UsageError(f"massager ha {args.action} takes nothing more")
    if args.action == "schema":
        from massager.home_assistant.commands import schema

        _say(_pretty(schema()))
        return ExitCode.OK
    config = load({}, environ)
    if args.action == "show":
        _show(config, environ)
    else:
        _remove(config, args)
    return ExitCode.OK


def _show(config: "Config", environ: Mapping[str, str]) -> None:
    from massager.home_assistant.discovery import Announced, config_of
    from massager.home_assistant.front_end import announcer, node_topics
    from massager.home_assistant.ids import DeviceIds, ids_path
    from massager.programs import program_names

    ids, node = DeviceIds(ids_path(environ)), node_topics(config)
    if not config.devices:
        _warn(
            "the config names no device; `massager serve --device sim:` offers one as sim-massager"
        )
    for device in config.devices:
        name = ids.id_of(device)
        if name is None:
            _warn(f"{device.name}: its id is not known before it was seen; device_id tells")
            continue
        announced = Announced(name, device.name, program_names(config.programs_dir))
        _say(f"{node.config(name)} {_pretty(config_of(announced, node, announcer()))}")


def _remove(config: "Config", args: Namespace) -> None:
    import asyncio

    from massager.home_assistant.broker import parse_broker_url
    from massager.home_assistant.front_end import node_topics
    from massager.home_assistant.removal import Wanted, remove

    if config.broker is None:
        raise ConfigError(_NO_BROKER)
    work = remove(
        parse_broker_url(config.broker),
        config.settings(),
        node_topics(config),
        Wanted(tuple(args.ids), args.all),
    )
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        removed = runner.run(work)
    names = ", ".join(removed.devices) or "no device"
    _say(f"taken away: {names} ({removed.topics} retained messages)")
    for daemon in removed.still_alive:
        _warn(f"the daemon of {daemon} is still running: end it, or its devices come back")


def _pretty(table: object) -> str:
    import json

    return json.dumps(table, indent=2, ensure_ascii=False)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _warn(text: str) -> None:
    sys.stderr.write(f"massager: {text}\n")


def _action(text: str) -> str:
    if text not in ACTIONS:
        raise UsageError(f"write: massager ha {'|'.join(ACTIONS)}, not {text[:40]!r}")
    return text
