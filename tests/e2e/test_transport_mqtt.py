"""The MQTT transport against real brokers."""

import asyncio
import gc
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from massager.errors import BrokerRefused, CertificateRejected, ConnectionFailed, ConnectionLost
from massager.transports import Settings, open_transport
from massager.transports.interface import Transport
from tests.brokers import Broker, free_port, real_mosquitto
from tests.e2e.recorder import PATIENCE_S, Recorder, nodelay_to

UP, DOWN = "massager/foot-1/link/up", "massager/foot-1/link/down"
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(params=["mosquitto", "amqtt"])
def either_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    running = (
        real_mosquitto(tmp_path)
        if request.param == "mosquitto"
        else Broker(tmp_path, mosquitto=None)
    )
    running.start()
    yield running
    running.stop()


def transport_to(
    broker: Broker | int, settings: Settings | None = None, user: str = ""
) -> Transport:
    port = broker if isinstance(broker, int) else broker.port
    return open_transport(f"mqtt://{user}127.0.0.1:{port}/foot-1", settings)


@asynccontextmanager
async def opened(broker: Broker) -> AsyncIterator[tuple[Transport, Recorder]]:
    transport, recorder = transport_to(broker), Recorder()
    await transport.open(recorder)
    yield transport, recorder
    await transport.close()


@asynccontextmanager
async def device(broker: Broker) -> AsyncIterator[aiomqtt.Client]:
    """The other end, by aiomqtt alone."""
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe(DOWN)
        yield client


async def heard(client: aiomqtt.Client, count: int) -> list[aiomqtt.Message]:
    async with asyncio.timeout(PATIENCE_S):
        return [await anext(client.messages) for _ in range(count)]


@asynccontextmanager
async def scripted_broker(
    suback: int = 0,
) -> AsyncIterator[tuple[int, asyncio.Queue[asyncio.StreamWriter]]]:
    """Accepts a client and its subscription, then reads nothing more and says what a test says."""
    subscribed: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        connect = await reader.readexactly(2)
        await reader.readexactly(connect[1])
        writer.write(bytes([0x20, 2, 0, 0]))  # CONNACK, accepted
        subscribe = await reader.readexactly(2)
        identifier = (await reader.readexactly(subscribe[1]))[:2]
        writer.write(bytes([0x90, 3, *identifier, suback]))
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        subscribed.put_nowait(writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024) as server:
        yield server.sockets[0].getsockname()[1], subscribed
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)


def publish(topic: str, payload: bytes, retained: bool = False) -> bytes:
    """PUBLISH at QoS 0, as MQTT 3.1.1 writes it."""
    body = len(topic).to_bytes(2, "big") + topic.encode() + payload
    return bytes([0x30 | retained, len(body)]) + body


async def test_messages_pass_both_ways_whole_and_in_order(either_broker: Broker) -> None:
    messages = [bytes([number]) * 41 for number in range(30)]
    async with opened(either_broker) as (transport, recorder), device(either_broker) as client:
        for message in messages:
            transport.write(message, urgent=False)
            got = await heard(client, 1)
            assert (got[0].payload, got[0].qos, got[0].retain) == (message, 0, False)
        for message in messages:
            await client.publish(UP, message)
        await recorder.until(lambda: len(recorder.chunks) == 30)
        assert recorder.chunks == messages


async def test_nothing_is_sent_from_inside_write_and_the_unsent_is_counted(
    broker: Broker,
) -> None:
    async with opened(broker) as (transport, _), device(broker) as client:
        transport.write(b"a" * 40)
        transport.write(b"b" * 24)
        transport.write(b"c")  # one byte too many: dropped
        assert transport.unsent_bytes() == 64
        assert [message.payload for message in await heard(client, 2)] == [b"a" * 40, b"b" * 24]
        assert transport.unsent_bytes() == 0


async def test_an_urgent_message_discards_what_waits(broker: Broker) -> None:
    async with opened(broker) as (transport, _), device(broker) as client:
        transport.write(b"level")
        transport.write(b"stop", urgent=True)
        transport.write(b"later")
        assert [message.payload for message in await heard(client, 2)] == [b"stop", b"later"]


async def test_retained_foreign_and_oversized_messages_are_ignored(
    either_broker: Broker,
) -> None:
    async with device(either_broker) as client:
        await client.publish(UP, b"retained before", retain=True)
        await client.publish("massager/foot-2/link/up", b"retained elsewhere", retain=True)
        async with opened(either_broker) as (_, recorder):
            await client.publish("massager/foot-2/link/up", b"not ours")
            await client.publish(UP, b"x" * 65)
            await client.publish(UP, b"x" * 1_000_000)
            await client.publish(UP, b"y" * 64)
            await recorder.until_data(b"y" * 64)
            assert recorder.chunks == [b"y" * 64]


async def test_a_retained_or_foreign_message_that_comes_late_is_ignored() -> None:
    async with scripted_broker() as (port, subscribed):
        transport, recorder = transport_to(port), Recorder()
        await transport.open(recorder)
        writer = await subscribed.get()
        writer.write(publish(UP, b"retained", retained=True))
        writer.write(publish("massager/foot-2/link/up", b"foreign"))
        writer.write(publish(UP, b"fresh"))
        await recorder.until_data(b"fresh")
        writer.transport.abort()
        await recorder.until_lost()
        await transport.close()


async def test_frames_do_not_wait_for_each_other(mosquitto: Broker) -> None:
    """Without TCP_NODELAY some take 41 ms more."""
    async with opened(mosquitto):
        assert nodelay_to(mosquitto.port)


async def test_nothing_of_the_link_is_kept_by_the_broker(mosquitto: Broker) -> None:
    async with opened(mosquitto) as (transport, _):
        transport.write(b"level")
    async with device(mosquitto) as client:
        await client.publish(DOWN, b"marker")
        assert [message.payload for message in await heard(client, 1)] == [b"marker"]


async def test_a_broker_that_stops_is_told_once_and_the_transport_may_be_opened_again(
    either_broker: Broker,
) -> None:
    transport, recorder = transport_to(either_broker), Recorder()
    await transport.open(recorder)
    await asyncio.to_thread(either_broker.stop)
    error = await recorder.until_lost()
    assert isinstance(error, ConnectionLost)
    transport.write(b"level")
    with pytest.raises(ConnectionFailed):
        await transport.open(recorder)
    await asyncio.to_thread(either_broker.start)
    again = Recorder()
    await transport.open(again)
    async with device(either_broker) as client:
        await client.publish(UP, b"back")
        await again.until_data(b"back")
    assert recorder.losses == [error]
    await transport.close()


async def test_a_killed_broker_is_noticed_within_milliseconds(mosquitto: Broker) -> None:
    async with opened(mosquitto) as (_, recorder):
        await asyncio.to_thread(mosquitto.stop, signal.SIGKILL)
        began = time.perf_counter()
        await recorder.until_lost()
        assert time.perf_counter() - began < 0.1


async def test_a_loss_in_the_same_turn_of_the_loop_as_a_message_is_told_and_nothing_else() -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    async with scripted_broker() as (port, subscribed):
        transport, recorder = transport_to(port), Recorder()
        await transport.open(recorder)
        writer = await subscribed.get()
        await asyncio.sleep(0.01)
        writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        transport.write(b"level")
        await recorder.until_lost()
        await transport.close()
    assert (faults, len(recorder.losses)) == ([], 1)


async def test_nothing_is_told_after_close_and_no_task_is_left(broker: Broker) -> None:
    before = asyncio.all_tasks()
    transport, recorder = transport_to(broker), Recorder()
    for _ in range(3):
        await transport.open(recorder)
        transport.write(b"level")
        await transport.close()
        await transport.close()
    assert asyncio.all_tasks() == before
    assert (recorder.chunks, recorder.losses) == ([], [])
    assert transport.unsent_bytes() == 0


async def test_a_broker_that_went_while_nobody_looked_does_not_disturb_close(
    mosquitto: Broker,
) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    transport, recorder = transport_to(mosquitto), Recorder()
    await transport.open(recorder)
    mosquitto.stop()  # the loop stands still meanwhile
    await transport.close()
    gc.collect()
    assert (faults, recorder.losses) == ([], [])


async def test_what_was_written_before_close_arrives(broker: Broker) -> None:
    async with device(broker) as client:
        async with opened(broker) as (transport, _):
            transport.write(b"stop", urgent=True)
            transport.write(b"good")
            transport.write(b"bye")
        got = [message.payload for message in await heard(client, 3)]
        assert got == [b"stop", b"good", b"bye"]


async def test_no_descriptor_is_left_open(broker: Broker) -> None:
    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    async with opened(broker):
        pass  # the thread that connects comes with its own
    before = descriptors()
    for _ in range(3):
        async with opened(broker):
            pass
    with pytest.raises(ConnectionFailed):
        await transport_to(free_port()).open(Recorder())
    gc.collect()
    assert descriptors() == before


async def test_a_missing_broker_names_the_port() -> None:
    port = free_port()
    with pytest.raises(ConnectionFailed, match=f"nothing listens on port {port}"):
        await transport_to(port).open(Recorder())


async def test_an_unknown_host_is_named() -> None:
    with pytest.raises(ConnectionFailed, match=r"no host is known as no-such-host\.invalid"):
        await open_transport("mqtt://no-such-host.invalid/foot-1").open(Recorder())


@asynccontextmanager
async def mute_listener() -> AsyncIterator[int]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


async def test_what_is_no_broker_is_given_up_and_cleaned_up() -> None:
    before = asyncio.all_tasks()
    async with mute_listener() as port:
        began = time.perf_counter()
        with pytest.raises(ConnectionFailed, match="does not answer as an MQTT broker"):
            await transport_to(port).open(Recorder())
        assert 2.5 < time.perf_counter() - began < 4
        await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == before


async def test_opening_may_be_cancelled() -> None:
    before = asyncio.all_tasks()
    async with mute_listener() as port:
        transport = transport_to(port)
        opening = asyncio.create_task(transport.open(Recorder()))
        await asyncio.sleep(0.1)
        opening.cancel()
        began = time.perf_counter()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert time.perf_counter() - began < 0.6
        await transport.close()
    async with asyncio.timeout(PATIENCE_S):
        while asyncio.all_tasks() != before:  # noqa: ASYNC110 (tasks tell nobody)
            await asyncio.sleep(0.05)


async def test_close_does_not_wait_for_a_broker_that_takes_nothing() -> None:
    async with scripted_broker() as (port, subscribed):
        before = asyncio.all_tasks()
        transport = transport_to(port)
        await transport.open(Recorder())
        await subscribed.get()
        await asyncio.sleep(0.01)
        for _ in range(100):  # each one goes out at once, or is more than the system takes
            transport.write(b"x" * 200_000, urgent=True)
            await asyncio.sleep(0.001)
        transport.write(b"stop", urgent=True)
        assert transport.unsent_bytes() > 0
        began = time.perf_counter()
        await transport.close()
        assert time.perf_counter() - began < 0.6
        assert asyncio.all_tasks() == before
        assert transport.unsent_bytes() == 0


# --- who may, and to whom ----------------------------------------------------------------------


@pytest.fixture
def guarded_broker(tmp_path: Path) -> Iterator[Broker]:
    """Takes `anna` with the password `secret`."""
    passwords = tmp_path / "passwords"
    running = real_mosquitto(
        tmp_path,
        f"allow_anonymous false\npassword_file {passwords}",
    )
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "anna", "secret"], check=True)
    running.start()
    yield running
    running.stop()


@pytest.mark.mosquitto
async def test_the_user_may_come_from_the_url_or_from_the_settings(guarded_broker: Broker) -> None:
    for user, settings in (
        ("anna@", Settings(mqtt_password="secret")),
        ("", Settings(mqtt_username="anna", mqtt_password="secret")),
        ("anna@", Settings(mqtt_username="otto", mqtt_password="secret")),
    ):
        transport = transport_to(guarded_broker, settings, user)
        await transport.open(Recorder())
        await transport.close()


@pytest.mark.mosquitto
@pytest.mark.parametrize("password", ["wrong", None])
async def test_a_wrong_password_says_where_it_comes_from(
    guarded_broker: Broker, password: str | None
) -> None:
    settings = Settings(mqtt_password=password)
    transport = transport_to(guarded_broker, settings, "anna@")
    with pytest.raises(BrokerRefused) as caught:
        await transport.open(Recorder())
    assert "refuses the user 'anna'" in str(caught.value)
    assert "MASSAGER_MQTT_PASSWORD" in str(caught.value)
    assert "wrong" not in str(caught.value)
    assert "wrong" not in repr(settings)


@pytest.mark.mosquitto
async def test_a_client_without_a_user_is_refused_by_that_name(guarded_broker: Broker) -> None:
    with pytest.raises(BrokerRefused, match="refuses a client without a user"):
        await transport_to(guarded_broker).open(Recorder())


async def test_a_topic_that_may_not_be_read_is_named() -> None:
    """Mosquitto's own access list lets a client subscribe and sends it nothing; others refuse."""
    async with scripted_broker(suback=0x80) as (port, _):
        with pytest.raises(
            BrokerRefused, match="does not let the user 'anna' read massager/foot-1"
        ):
            await transport_to(port, user="anna@").open(Recorder())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, and server.pem with server.key for `localhost` and 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        "req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
        "-subj", "/CN=test authority", "-addext", "keyUsage=critical,keyCertSign",
    )  # fmt: skip
    openssl("req", *new_key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=broker")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl(
        "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
        "-CAcreateserial", "-extfile", "names", "-out", "server.pem",
    )  # fmt: skip
    return folder


@pytest.fixture
def tls_broker(tmp_path: Path, certificates: Path) -> Iterator[Broker]:
    running = real_mosquitto(
        tmp_path,
        f"certfile {certificates}/server.pem\nkeyfile {certificates}/server.key",
    )
    running.start()
    yield running
    running.stop()


def tls_transport(broker: Broker, ca_file: Path | None, host: str = "127.0.0.1") -> Transport:
    return open_transport(f"mqtts://{host}:{broker.port}/foot-1", Settings(mqtt_ca_file=ca_file))


@pytest.mark.mosquitto
async def test_tls_with_the_brokers_own_authority(tls_broker: Broker, certificates: Path) -> None:
    transport, recorder = tls_transport(tls_broker, certificates / "ca.pem"), Recorder()
    await transport.open(recorder)
    async with aiomqtt.Client(
        "127.0.0.1",
        tls_broker.port,
        tls_params=aiomqtt.TLSParameters(ca_certs=str(certificates / "ca.pem")),
    ) as client:
        await client.subscribe(DOWN)
        transport.write(b"level")
        assert (await heard(client, 1))[0].payload == b"level"
        await client.publish(UP, b"status")
        await recorder.until_data(b"status")
    await transport.close()


@pytest.mark.mosquitto
async def test_an_untrusted_certificate_is_rejected_with_the_way_out(tls_broker: Broker) -> None:
    with pytest.raises(CertificateRejected, match="ca_file or MASSAGER_MQTT_CA_FILE"):
        await tls_transport(tls_broker, None).open(Recorder())
    gc.collect()  # a socket that was left open would warn


@pytest.mark.mosquitto
async def test_a_certificate_for_another_name_is_rejected(
    tls_broker: Broker, certificates: Path
) -> None:
    """127.1 is another name of 127.0.0.1, and not in it."""
    transport = tls_transport(tls_broker, certificates / "ca.pem", host="127.1")
    with pytest.raises(CertificateRejected, match="use the name that the certificate was made"):
        await transport.open(Recorder())


@pytest.mark.mosquitto
async def test_a_ca_file_that_cannot_be_read_is_named(tls_broker: Broker, tmp_path: Path) -> None:
    with pytest.raises(CertificateRejected, match="nothing-here"):
        await tls_transport(tls_broker, tmp_path / "nothing-here").open(Recorder())
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate\n")
    with pytest.raises(CertificateRejected, match=r"empty\.pem"):
        await tls_transport(tls_broker, empty).open(Recorder())


@pytest.mark.mosquitto
async def test_tls_and_no_tls_are_not_confused(tls_broker: Broker, mosquitto: Broker) -> None:
    with pytest.raises(ConnectionFailed, match="mqtts://"):
        await transport_to(tls_broker).open(Recorder())
    with pytest.raises(ConnectionFailed, match="mqtt://"):
        await tls_transport(mosquitto, None).open(Recorder())
