"""What the MQTT transport and the bridge to Home Assistant share: aiomqtt's client, made tidy.

Also TLS, and why there is no connection, in words. Knows no topics.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import aiomqtt
from aiomqtt.exceptions import MqttConnectError

from massager.errors import BrokerRefused, CertificateRejected, ConnectionFailed, NoDevice
from massager.transports.interface import Settings

NODELAY: Final = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # without it some take 41 ms more
SUBSCRIBE_FAILED: Final = 128
_NO_ANSWER: Final = "Operation timed out"  # aiomqtt's, once there is a connection
_BAD_CREDENTIALS: Final = (134, 135)  # CONNACK 4 and 5, as paho tells them
_HOSTNAME_MISMATCH: Final = (62, 64)  # OpenSSL's verify codes for a name and an address

SILENT: Final = logging.Logger("massager.mqtt", logging.CRITICAL + 1)


class Inbox(asyncio.Queue[aiomqtt.Message]):
    """Hands every message over at once, where aiomqtt's own queue needs a task for each."""

    def __init__(self, deliver: Callable[[aiomqtt.Message], None], maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._deliver = deliver

    def put_nowait(self, item: aiomqtt.Message) -> None:
        self._deliver(item)


class Client(aiomqtt.Client):
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


@dataclass(frozen=True, slots=True)
class Place:
    """A broker as a person knows it, and who asks there."""

    url: str
    host: str
    port: int
    tls: bool
    user: str | None

    @property
    def who(self) -> str:
        """For the middle of a sentence."""
        return f"the user {self.user!r}" if self.user else "a client without a user"


def explain(place: Place, error: Exception) -> NoDevice:
    """Why there is no connection, and the way out."""
    if isinstance(error, NoDevice):
        return error
    url = place.url
    cause = error.__context__ if isinstance(error, aiomqtt.MqttError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _explain_certificate(url, cause)
    if isinstance(error, MqttConnectError):
        return _explain_refusal(place, error)
    if isinstance(cause, socket.gaierror | UnicodeError):
        return ConnectionFailed(f"{url}: no host is known as {place.host}; check the name")
    if isinstance(cause, ConnectionRefusedError):
        return ConnectionFailed(
            f"{url}: nothing listens on port {place.port}; start the broker, or check the port"
        )
    if isinstance(cause, ssl.SSLError | ConnectionResetError) and place.tls:
        return ConnectionFailed(
            f"{url}: no TLS on port {place.port} ({cause}); check the port (8883 as a rule), or "
            "use mqtt:// for a broker without TLS"
        )
    if isinstance(cause, OSError) and str(error) != _NO_ANSWER:
        return ConnectionFailed(f"{url}: {cause}; check the address and the network")
    return ConnectionFailed(
        f"{url}: something listens on port {place.port} but does not answer as an MQTT broker; "
        "check the port, and mqtts:// for a broker with TLS"
    )


def _explain_refusal(place: Place, error: MqttConnectError) -> BrokerRefused:
    code = error.rc if isinstance(error.rc, int) or error.rc is None else error.rc.value
    if code in _BAD_CREDENTIALS:
        return BrokerRefused(
            f"{place.url}: the broker refuses {place.who}; name it in the URL "
            "(mqtt://user@host/…), in [mqtt] username or in MASSAGER_MQTT_USER, and give its "
            "password in [mqtt] password, [mqtt] password_file or MASSAGER_MQTT_PASSWORD"
        )
    return BrokerRefused(f"{place.url}: the broker refuses the connection: {error}")


async def let_go(client: aiomqtt.Client) -> None:
    """End what aiomqtt leaves open where the broker does not answer, and its housekeeping task."""
    paho = client._client  # no public way to the socket
    if isinstance(left := paho.socket(), socket.socket):
        with contextlib.suppress(OSError):
            left.shutdown(socket.SHUT_RDWR)
    for _ in range(5):  # paho sees the end, closes the socket, and the task notices
        await asyncio.sleep(0)
    with contextlib.suppress(OSError):
        paho._reset_sockets()  # or it would, when the loop is closed already
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


def tls_context(settings: Settings) -> ssl.SSLContext:
    """TLS with verification. Raises CertificateRejected."""
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


def _explain_certificate(url: str, error: ssl.SSLCertVerificationError) -> CertificateRejected:
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
