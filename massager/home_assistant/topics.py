"""Every topic of the bridge. Pure.

    <prefix>/<id>/state             retained   what is to be seen (states.py)
    <prefix>/<id>/telemetry         retained   setpoint, output, temperature
    <prefix>/<id>/event                        started, finished, stopped, refused, aborted
    <prefix>/<id>/command           in         JSON (commands.py)
    <prefix>/<id>/stop              in         anything: a stop; `emergency`: an emergency stop
    <prefix>/<id>/reply                        what came of a command
    <prefix>/<id>/owner/ask, …/answer          daemons among themselves (owners.py)
    <prefix>/daemon-<node>/availability   retained   online, offline
    <prefix>/daemon-<node>/schema   retained   JSON schema of a command
    <discovery prefix>/device/massager_<id>/config   retained

A device on the wire has an id of at most 8 characters, so no daemon has the place of a device.
"""

import re
from dataclasses import dataclass
from typing import Final

PREFIX_DEFAULT: Final = "massager"
DISCOVERY_PREFIX_DEFAULT: Final = "homeassistant"
ONLINE: Final = "online"
OFFLINE: Final = "offline"
_NOT_OF_A_NODE: Final = re.compile(r"[^A-Za-z0-9_-]+")


def node_of(host: str) -> str:
    """The name of the daemon on a computer called `host`: 2 to 32 of A–Z a–z 0–9 _ -."""
    name = _NOT_OF_A_NODE.sub("-", host.partition(".")[0]).strip("-")[:32]
    return name if len(name) > 1 else "massager"


@dataclass(frozen=True, slots=True)
class NodeTopics:
    """Those of a daemon, and of Home Assistant."""

    node: str
    prefix: str = PREFIX_DEFAULT
    discovery_prefix: str = DISCOVERY_PREFIX_DEFAULT

    @property
    def availability(self) -> str:
        """`online` while the daemon lives, else `offline`."""
        return f"{self.prefix}/daemon-{self.node}/availability"

    @property
    def schema(self) -> str:
        """What a command may be."""
        return f"{self.prefix}/daemon-{self.node}/schema"

    @property
    def birth(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.discovery_prefix}/status"

    def of(self, device: str) -> "DeviceTopics":
        """Those of a device."""
        return DeviceTopics(f"{self.prefix}/{device}", self.config(device))

    def config(self, device: str) -> str:
        """Where a device is announced."""
        return f"{self.discovery_prefix}/device/massager_{device}/config"


@dataclass(frozen=True, slots=True)
class DeviceTopics:
    """Those of one device."""

    root: str
    config: str

    @property
    def state(self) -> str:
        """What is to be seen."""
        return f"{self.root}/state"

    @property
    def telemetry(self) -> str:
        """What changes all the time."""
        return f"{self.root}/telemetry"

    @property
    def event(self) -> str:
        """What has happened."""
        return f"{self.root}/event"

    @property
    def command(self) -> str:
        """What is asked."""
        return f"{self.root}/command"

    @property
    def stop(self) -> str:
        """Whatever comes here is a stop."""
        return f"{self.root}/stop"

    @property
    def reply(self) -> str:
        """What came of a command."""
        return f"{self.root}/reply"

    @property
    def ask(self) -> str:
        """A daemon asks who keeps this device."""
        return f"{self.root}/owner/ask"

    @property
    def answer(self) -> str:
        """The daemon that does says so."""
        return f"{self.root}/owner/answer"

    @property
    def retained(self) -> tuple[str, ...]:
        """What has to be cleared where the device goes for good."""
        return self.config, self.state, self.telemetry
