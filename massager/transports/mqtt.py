"""A device behind an MQTT broker: one message carries one frame. Built on aiomqtt.

MQTT 3.1.1, because every broker speaks it (amqtt speaks nothing newer) and the link needs nothing
of MQTT 5: a frame is never retained, never queued (QoS 0, clean session) and is void after its
lease anyway. Neither keepalive nor a last will stops a motor; the lease does.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from functools import partial
from typing import Final, cast

import aiomqtt

from massager.errors import (
    BrokerRefused,
    ConnectionLost,
    NoDevice,
)
from massager.transports.interface import UNSENT_MAX_BYTES, Receiver, Settings
from massager.transports.mqtt_client import (
    NODELAY,
    SILENT,
    SUBSCRIBE_FAILED,
    Client,
    Inbox,
    Place,
    explain,
    let_go,
    tls_context,
)
from massager.transports.url import MqttUrl

PAYLOAD_MAX_BYTES: Final = 64  # a frame has 41; what is longer is dropped unread
_ANSWER_S: Final = 3.0  # for each answer of the broker, and for the system to take a frame
_DRAIN_S: Final = 0.05
_CLOSE_S: Final = 0.2
_KEEPALIVE_S: Final = 20

_still_connecting: set[asyncio.Task[None]] = set()  # given up; each cleans up after itself


class MqttTransport:
    """One message a `write`: `massager/<device id>/link/down`, answered on `…/link/up`."""

    datagrams = True

    def __init__(self, target: MqttUrl, settings: Settings) -> None:
        self.url = str(target)
        self._target = target
        self._settings = settings
        self._connection: _Connection | None = None

    async def open(self, receiver: Receiver) -> None:
        """Connect and subscribe. Raises ConnectionFailed, BrokerRefused or CertificateRejected."""
        await self.close()
        connection = _Connection(self._target, self._settings)
        await connection.open()
        connection.start(receiver)
        self._connection = connection

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        """Send one message; see `Transport.write`."""
        if self._connection is not None:
            self._connection.write(data, urgent)

    def unsent_bytes(self) -> int:
        """Bytes that the system has not taken yet."""
        return 0 if self._connection is None else self._connection.unsent_bytes

    async def close(self) -> None:
        """Let go; never waits longer than half a second."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


class _Connection:
    """One opening, from the first packet until it is closed or lost. Its task owns the client."""

    def __init__(self, target: MqttUrl, settings: Settings) -> None:
        self.unsent_bytes = 0
        self._target = target
        self._settings = settings
        topic = f"massager/{target.device_id}/link"
        self._up, self._down = f"{topic}/up", f"{topic}/down"
        self._receiver: Receiver | None = None
        self._given_up = False
        self._outbox: deque[bytes] = deque()
        self._something_to_send = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._all_sent.set()
        self._started = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._task = self._loop.create_task(self._run())

    async def open(self) -> None:
        """Wait until it is open; cancelling gives it up."""
        try:
            await asyncio.shield(self._opened)
        except asyncio.CancelledError:
            await self.close()
            raise

    def start(self, receiver: Receiver) -> None:
        """Deliver from now on: a loss since the opening waits for it."""
        self._receiver = receiver
        self._started.set()

    def write(self, data: bytes, urgent: bool) -> None:
        """Put one message into the outbox; the task sends it in this turn of the loop or the next.

        Urgent data passes what is not with the system yet, which is at most one message more.
        """
        if self._task.done():
            return
        if urgent:
            self.unsent_bytes -= sum(map(len, self._outbox))
            self._outbox.clear()
        elif self.unsent_bytes + len(data) > UNSENT_MAX_BYTES:
            return
        self._outbox.append(data)
        self.unsent_bytes += len(data)
        self._something_to_send.set()
        self._all_sent.clear()

    async def close(self) -> None:
        """Disconnect, whatever the broker does about it."""
        self._receiver = None
        self._given_up = True
        self._started.set()
        if not self._task.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_S):
                    await self._all_sent.wait()
        for _ in range(2):  # the second time without waiting for the broker
            if self._opened.done():
                self._task.cancel()
            _, pending = await asyncio.wait({self._task}, timeout=_CLOSE_S)
            if not pending:
                return
        # A thread that connects cannot be cancelled; its task cleans up when it comes back.
        _still_connecting.add(self._task)
        self._task.add_done_callback(_still_connecting.discard)

    async def _run(self) -> None:
        client: aiomqtt.Client | None = None
        try:
            client = await self._make_client()
            async with client:
                await self._subscribe(client)
                if not self._given_up:
                    self._opened.set_result(None)
                    await self._serve(client)
        except (aiomqtt.MqttError, NoDevice, OSError, UnicodeError) as error:
            await self._fail(error)
        finally:
            if client is not None:
                await let_go(client)

    async def _make_client(self) -> aiomqtt.Client:
        target, settings = self._target, self._settings
        tls = await asyncio.to_thread(tls_context, settings) if target.tls else None
        return Client(
            target.host,
            target.port,
            username=self._user,
            password=settings.mqtt_password,
            identifier=f"massager-{secrets.token_hex(6)}",
            queue_type=cast(type[asyncio.Queue[aiomqtt.Message]], partial(Inbox, self._take)),
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True,
            keepalive=_KEEPALIVE_S,
            timeout=_ANSWER_S,
            tls_context=tls,
            socket_options=[NODELAY],
            logger=SILENT,
        )

    @property
    def _user(self) -> str | None:
        return self._target.user or self._settings.mqtt_username

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        for code in await client.subscribe(self._up, qos=0):
            if (code if isinstance(code, int) else code.value) >= SUBSCRIBE_FAILED:
                raise BrokerRefused(
                    f"{self._target}: the broker does not let {self._who} read {self._up}; "
                    "allow it in the broker's access list"
                )

    async def _serve(self, client: aiomqtt.Client) -> None:
        """Send until it is cancelled; raises MqttError once the broker is gone."""
        tasks = [asyncio.create_task(work) for work in (self._send(client), _watch(client))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            await self._something_to_send.wait()
            self._something_to_send.clear()
            while self._outbox:
                data = self._outbox.popleft()
                await client.publish(self._down, data, qos=0, retain=False)
                self.unsent_bytes -= len(data)
            self._all_sent.set()

    def _take(self, message: aiomqtt.Message) -> None:
        """One message from the broker. amqtt sends retained ones that nobody subscribed to."""
        data = message.payload
        if message.retain or len(data) > PAYLOAD_MAX_BYTES or message.topic.value != self._up:
            return
        self._loop.call_soon(self._hand_over, data)

    def _hand_over(self, data: bytes) -> None:
        if self._receiver is not None:
            self._receiver.data_received(data)

    async def _fail(self, error: Exception) -> None:
        if self._given_up:
            self._opened.cancel()
        elif not self._opened.done():
            self._opened.set_exception(self._explain(error))
        else:
            await self._started.wait()
            receiver, self._receiver = self._receiver, None
            if receiver is not None:
                lost = ConnectionLost(f"{self._target} is gone: the broker no longer answers")
                self._loop.call_soon(receiver.connection_lost, lost)

    @property
    def _who(self) -> str:
        return f"the user {self._user!r}" if self._user else "a client without a user"

    def _explain(self, error: Exception) -> NoDevice:
        url = self._target
        return explain(Place(str(url), url.host, url.port, url.tls, self._user), error)


async def _watch(client: aiomqtt.Client) -> None:
    """Wait for the end of the connection: no message ever comes here, `Inbox` keeps none."""
    await anext(client.messages)
