"""Listens to a device behind a broker without taking part: both link topics, nothing published."""

from collections.abc import Callable
from typing import Final, Literal

import aiomqtt

from massager.errors import BrokerRefused
from massager.transports.interface import Receiver, Settings
from massager.transports.mqtt import _Connection
from massager.transports.url import MqttUrl

Heard = Callable[[Literal["to", "from"], bytes, bool], None]

HEARD_MAX_BYTES: Final = 1024  # of one message; a frame has 41 and the rest is nobody's


class MqttListener(_Connection):
    """A connection that is told everything: `heard(direction, payload, retained)`.

    `heard` is called from the event loop; a payload is cut after `HEARD_MAX_BYTES`.
    """

    def __init__(self, target: MqttUrl, settings: Settings, heard: Heard) -> None:
        super().__init__(target, settings)
        self._heard = heard

    async def listen(self, receiver: Receiver) -> None:
        """Connect and subscribe; only `receiver.connection_lost` is ever called.

        Raises ConnectionFailed, BrokerRefused or CertificateRejected.
        """
        await self.open()
        self.start(receiver)

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        await super()._subscribe(client)
        for code in await client.subscribe(self._down, qos=0):
            if (code if isinstance(code, int) else code.value) >= 128:  # the broker refused it
                raise BrokerRefused(
                    f"{self._target}: the broker does not let {self._who} read {self._down}; "
                    "allow it in the broker's access list, for a trace only"
                )

    def _take(self, message: aiomqtt.Message) -> None:
        direction: Literal["to", "from"] = "to" if message.topic.value == self._down else "from"
        data = bytes(message.payload[:HEARD_MAX_BYTES])
        self._loop.call_soon(self._heard, direction, data, bool(message.retain))
