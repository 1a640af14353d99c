"""The simulated device as one that speaks MQTT itself: one message is one frame.

Neither the broker's keepalive nor a last will stops the motor: the lease does, so none is set.
"""

import asyncio
import contextlib
import logging
import random
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final
from urllib.parse import quote

import aiomqtt

from simulator.bearers import HostSide

_UNSENT_MAX: Final = 64  # messages; more would be answers that nobody waits for any more
_TIMEOUT_S: Final = 2.0
_KEEPALIVE_S: Final = 10
_BACKOFF_FIRST_S: Final = 0.25
_BACKOFF_MAX_S: Final = 5.0
_STEADY_S: Final = 5.0  # a connection that lasted this long starts the waiting anew
# A broker's answers to a wrong user or password, MQTT 3.1.1 and paho's names for them.
_REFUSED: Final = ("not authori", "bad user name")


class MqttBearer:
    """Subscribes to `massager/<device id>/link/down` and publishes to `…/up`, both at QoS 0.

    Reconnects for ever, with jitter; `say` gets a line when the connection comes and goes.
    """

    datagrams = True

    def __init__(
        self,
        host: str,
        port: int,
        device_id: str,
        *,
        user: str | None,
        password: str | None,
        say: Callable[[str], None],
    ) -> None:
        self._host, self._port, self._device_id = host, port, device_id
        self._user, self._password = user, password
        self._say = say
        self._topic = f"massager/{device_id}/link"
        self._host_side: HostSide | None = None
        self._task: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None  # cancelled, not yet gone
        self._unsent: deque[bytes] = deque(maxlen=_UNSENT_MAX)
        self._something_to_send = asyncio.Event()
        self._connected = False
        self._last_said = ""

    @property
    def url(self) -> str:
        """`mqtt://[user@]host:port/device-id`."""
        user = f"{quote(self._user, safe='')}@" if self._user else ""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"mqtt://{user}{host}:{self._port}/{self._device_id}"

    async def open(self, host_side: HostSide) -> None:
        """Start connecting; a broker that is away is waited for."""
        self._host_side = host_side
        self._task = asyncio.get_running_loop().create_task(self._stay_connected())

    def send(self, data: bytes) -> None:
        """Publish; lost while there is no connection."""
        if self._connected:
            self._unsent.append(data)
            self._something_to_send.set()

    def follow(self, *, reading: bool, plugged: bool) -> None:
        """Leave the broker, or come back; unread messages wait in the port."""
        if plugged and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._stay_connected())
        elif not plugged and self._task is not None:
            self._leave()
            self._say_once(f"left the broker at {self._host}:{self._port}")

    async def close(self) -> None:
        """Disconnect."""
        self._leave()
        if self._leaving is not None:
            await asyncio.wait([self._leaving])

    def _leave(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task, self._leaving = None, self._task

    async def _stay_connected(self) -> None:
        if self._leaving is not None:
            await asyncio.wait([self._leaving])
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began_s = loop.time()
            try:
                await self._serve()
            except (aiomqtt.MqttError, OSError) as error:
                self._say_once(self._explained(error))
            if not self._is_wanted():
                return
            failures = 1 if loop.time() - began_s > _STEADY_S else failures + 1
            wait_s = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2 ** min(failures, 10))
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))

    async def _serve(self) -> None:
        client = aiomqtt.Client(
            self._host,
            self._port,
            username=self._user,
            password=self._password,
            identifier=f"massager-device-{self._device_id}",
            clean_session=True,
            keepalive=_KEEPALIVE_S,
            timeout=_TIMEOUT_S,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            logger=_silent_logger(),
        )
        async with _entered(client):
            await client.subscribe(f"{self._topic}/down", qos=0)
            if not self._is_wanted():
                return
            self._connected = True
            self._say_once(f"connected to the broker at {self._host}:{self._port}")
            sender = asyncio.get_running_loop().create_task(self._send_all(client))
            try:
                async for message in client.messages:
                    self._take(message)
            finally:
                self._connected = False
                self._unsent.clear()
                self._something_to_send.set()  # lets the sender see that it is over
                await asyncio.wait([sender])

    def _is_wanted(self) -> bool:
        """Whether the running task was not told to leave.

        Asked besides being cancelled, because `asyncio.wait_for` before Python 3.12, which aiomqtt
        awaits, swallows a cancellation that comes together with what it waits for.
        """
        return self._task is asyncio.current_task()

    def _take(self, message: aiomqtt.Message) -> None:
        # A retained command is from another time: it is never for the motor.
        if not message.retain and isinstance(message.payload, bytes) and self._host_side:
            self._host_side.received(message.payload)

    async def _send_all(self, client: aiomqtt.Client) -> None:
        self._something_to_send.clear()
        while self._connected:
            # Where the connection is lost, the messages' iterator says so.
            with contextlib.suppress(aiomqtt.MqttError):
                while self._unsent:
                    await client.publish(f"{self._topic}/up", self._unsent.popleft(), qos=0)
            await self._something_to_send.wait()
            self._something_to_send.clear()

    def _explained(self, error: Exception) -> str:
        text = str(error)
        where = f"the broker at {self._host}:{self._port}"
        if any(words in text.lower() for words in _REFUSED):
            return f"{where} refuses the user or the password ({text}); trying again"
        return f"no connection to {where} ({text}); trying again"

    def _say_once(self, text: str) -> None:
        if text != self._last_said:
            self._last_said = text
            self._say(text)


@contextlib.asynccontextmanager
async def _entered(client: aiomqtt.Client) -> AsyncIterator[None]:
    """`async with client`, but a cancelled connect is waited for: its thread cannot be stopped."""
    entering = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(entering)
    except asyncio.CancelledError:
        with contextlib.suppress(aiomqtt.MqttError):
            await entering
            await client.__aexit__(None, None, None)
        raise
    try:
        yield
    finally:
        with contextlib.suppress(aiomqtt.MqttError):
            await client.__aexit__(None, None, None)


def _silent_logger() -> logging.Logger:
    logger = logging.getLogger("simulator.mqtt")
    logger.setLevel(logging.CRITICAL)
    return logger
