"""From the config to the bridge."""

import socket
from collections.abc import Mapping
from importlib import metadata

from massager import __version__
from massager.config.config import Config
from massager.home_assistant.bridge import BridgeSettings, HomeAssistant
from massager.home_assistant.broker import parse_broker_url
from massager.home_assistant.discovery import Announcer
from massager.home_assistant.ids import DeviceIds, ids_path
from massager.home_assistant.topics import NodeTopics, node_of
from massager.programs import program_names


def home_assistant(config: Config, broker: str, environ: Mapping[str, str]) -> HomeAssistant:
    """The front end for the daemon, on `broker`. Raises ConfigError."""
    settings = BridgeSettings(
        parse_broker_url(broker),
        node_topics(config),
        config.settings(),
        announcer(),
        program_names(config.programs_dir),
        config.discovery,
    )
    return HomeAssistant(settings, DeviceIds(ids_path(environ)))


def node_topics(config: Config) -> NodeTopics:
    """The topics of this daemon."""
    node = config.node_id or node_of(socket.gethostname())
    return NodeTopics(node, config.mqtt_prefix, config.discovery_prefix)


def announcer() -> Announcer:
    """Who announces, with the address of the project where its package names one."""
    try:
        urls = metadata.metadata("massager").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        urls = []
    addresses = [url.partition(",")[2].strip() for url in urls]
    return Announcer(__version__, next((url for url in addresses if url.startswith("http")), None))
