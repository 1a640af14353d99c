"""A device behind an MQTT broker: one message carries one frame. Built on aiomqtt.

MQTT 3.1.1, because every broker speaks it (amqtt speaks nothing newer) and the link needs nothing
of MQTT 5: a frame is never retained, never queued (QoS 0, clean session) and is void after its
lease anyway. Neither keepalive nor a last will stops a motor; the lease does.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import ssl
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import aiomqtt
from aiomqtt.exceptions import MqttConnectError

from massager.errors import (
    BrokerRefused,
    CertificateRejected,
    ConnectionFailed,
    ConnectionLost,
    NoDevice,
)
from massager.transports.interface import UNSENT_MAX_BYTES, Receiver, Settings
from massager.transports.url import MqttUrl

PAYLOAD_MAX_BYTES: Final = 64  # a frame has 41; what is longer is dropped unread
_ANSWER_S: Final = 3.0  # for each answer of the broker, and for the system to take a frame
_DRAIN_S: Final = 0.05
_CLOSE_S: Final = 0.2
_KEEPALIVE_S: Final = 20
_NODELAY: Final = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # without it some take 41 ms more
_NO_ANSWER: Final = "Operation timed out"  # aiomqtt's, once there is a connection
_SUBSCRIBE_FAILED: Final = 128
_BAD_CREDENTIALS: Final = (134, 135)  # CONNACK 4 and 5, as paho tells them
_HOSTNAME_MISMATCH: Final = (62, 64)  # OpenSSL's verify codes for a name and an address

_silent = logging.Logger("massager.mqtt", logging.CRITICAL + 1)
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


class _Inbox(asyncio.Queue[aiomqtt.Message]):
    """Hands every message over at once, where aiomqtt's own queue needs a task for each."""

    def __init__(self, deliver: Callable[[aiomqtt.Message], None], maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._deliver = deliver

    def put_nowait(self, item: aiomqtt.Message) -> None:
        self._deliver(item)


class _Client(aiomqtt.Client):
    """aiomqtt's client, which otherwise may watch a descriptor that was just closed, and trips
    over the end of a connection that was given up before it was one."""

    def _on_disconnect(self, *args: Any, **kwargs: Any) -> None:
        if not self._connected.cancelled():
            super()._on_disconnect(*args, **kwargs)

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        # Called by paho, also from the thread that connects.
        self._loop.call_soon_threadsafe(self._write_if_open, client, sock)

    def _write_if_open(self, client: Any, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.add_writer(sock.fileno(), client.loop_write)


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
                await _let_go(client)

    async def _make_client(self) -> aiomqtt.Client:
        target, settings = self._target, self._settings
        tls = await asyncio.to_thread(_tls_context, settings) if target.tls else None
        return _Client(
            target.host,
            target.port,
            username=self._user,
            password=settings.mqtt_password,
            identifier=f"massager-{secrets.token_hex(6)}",
            queue_type=cast(type[asyncio.Queue[aiomqtt.Message]], partial(_Inbox, self._take)),
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True,
            keepalive=_KEEPALIVE_S,
            timeout=_ANSWER_S,
            tls_context=tls,
            socket_options=[_NODELAY],
            logger=_silent,
        )

    @property
    def _user(self) -> str | None:
        return self._target.user or self._settings.mqtt_username

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        for code in await client.subscribe(self._up, qos=0):
            if (code if isinstance(code, int) else code.value) >= _SUBSCRIBE_FAILED:
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
        """Why there is no connection, and the way out."""
        if isinstance(error, NoDevice):
            return error
        url = self._target
        cause = error.__context__ if isinstance(error, aiomqtt.MqttError) else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _explain_certificate(url, cause)
        if isinstance(error, MqttConnectError):
            return self._explain_refusal(error)
        if isinstance(cause, socket.gaierror | UnicodeError):
            return ConnectionFailed(f"{url}: no host is known as {url.host}; check the name")
        if isinstance(cause, ConnectionRefusedError):
            return ConnectionFailed(
                f"{url}: nothing listens on port {url.port}; start the broker, or check the port"
            )
        if isinstance(cause, ssl.SSLError | ConnectionResetError) and url.tls:
            return ConnectionFailed(
                f"{url}: no TLS on port {url.port} ({cause}); check the port (8883 as a rule), or "
                "use mqtt:// for a broker without TLS"
            )
        if isinstance(cause, OSError) and str(error) != _NO_ANSWER:
            return ConnectionFailed(f"{url}: {cause}; check the address and the network")
        return ConnectionFailed(
            f"{url}: something listens on port {url.port} but does not answer as an MQTT broker; "
            "check the port, and mqtts:// for a broker with TLS"
        )

    def _explain_refusal(self, error: MqttConnectError) -> BrokerRefused:
        code = error.rc if isinstance(error.rc, int) or error.rc is None else error.rc.value
        if code in _BAD_CREDENTIALS:
            return BrokerRefused(
                f"{self._target}: the broker refuses {self._who}; name it in the URL "
                "(mqtt://user@host/…), in [mqtt] username or in MASSAGER_MQTT_USER, and give its "
                "password in [mqtt] password, [mqtt] password_file or MASSAGER_MQTT_PASSWORD"
            )
        return BrokerRefused(f"{self._target}: the broker refuses the connection: {error}")


async def _watch(client: aiomqtt.Client) -> None:
    """Wait for the end of the connection: no message ever comes here, `_Inbox` keeps none."""
    await anext(client.messages)


async def _let_go(client: aiomqtt.Client) -> None:
    """End what aiomqtt leaves open where the broker does not answer, and its housekeeping task."""
    paho = client._client  # no public way to the socket
    if isinstance(left := paho.socket(), socket.socket):
        with contextlib.suppress(OSError):
            left.shutdown(socket.SHUT_RDWR)
    for _ in range(5):  # paho sees the end, closes the socket, and the task notices
        await asyncio.sleep(0)
    if client._disconnected.done() and not client._disconnected.cancelled():
        client._disconnected.exception()  # looked at, or asyncio would complain


class _TidySocket(ssl.SSLSocket):
    """Closes itself where the handshake fails; paho would leave that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _tls_context(settings: Settings) -> ssl.SSLContext:
    ca_file = settings.mqtt_ca_file
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:
        raise CertificateRejected(
            f"the certificate authority in {ca_file} cannot be read: {error}; [mqtt] ca_file or "
            "MASSAGER_MQTT_CA_FILE must name a readable PEM file"
        ) from error
    context.sslsocket_class = _TidySocket
    return context


def _explain_certificate(url: MqttUrl, error: ssl.SSLCertVerificationError) -> CertificateRejected:
    if error.verify_code in _HOSTNAME_MISMATCH:
        way_out = "use the name that the certificate was made for"
    else:
        way_out = (
            "if the broker has its own certificate authority, give its file in [mqtt] ca_file or "
            "MASSAGER_MQTT_CA_FILE"
        )
    return CertificateRejected(
        f"{url}: the broker's certificate is rejected: {error.verify_message}; {way_out}"
    )
