"""Device URLs: what they select, and what a person is told about one that is wrong."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from massager.errors import UsageError
from massager.transports import open_transport, parse_url
from massager.transports.url import MqttUrl, SerialUrl, SimUrl, TcpUrl

GOOD = {
    "sim:": SimUrl(seed=0, feet_sensor=True),
    "sim:?seed=7": SimUrl(seed=7),
    "sim:?seed=4294967295&no-feet-sensor": SimUrl(seed=4294967295, feet_sensor=False),
    "serial:/dev/ttyUSB0": SerialUrl("/dev/ttyUSB0", 57600),
    "serial:/dev/ttyUSB0?baud=38400": SerialUrl("/dev/ttyUSB0", 38400),
    "serial:/dev/ttyUSB0?baud=115200": SerialUrl("/dev/ttyUSB0", 115200),
    "serial:/dev/ttyUSB0?baud=250000": SerialUrl("/dev/ttyUSB0", 250000),
    "serial:/dev/serial/by-id/usb-FTDI_FT232R_A5-if00-port0": SerialUrl(
        "/dev/serial/by-id/usb-FTDI_FT232R_A5-if00-port0", 57600
    ),
    "serial:./massager": SerialUrl("./massager", 57600),
    "serial:A50285BI": SerialUrl("A50285BI", 57600),
    "tcp://10.0.0.7:3333": TcpUrl("10.0.0.7", 3333),
    "tcp://[fe80::1]:3333": TcpUrl("fe80::1", 3333),
    "mqtt://broker/foot-1": MqttUrl("broker", 1883, "foot-1"),
    "mqtt://anna@broker:1884/foot-1": MqttUrl("broker", 1884, "foot-1", "anna"),
    "mqtt://a%40b@broker/foot_1": MqttUrl("broker", 1883, "foot_1", "a@b"),
    "mqtts://broker/foot-1": MqttUrl("broker", 8883, "foot-1", tls=True),
    "mqtts://[::1]:8884/12345678": MqttUrl("::1", 8884, "12345678", tls=True),
}


@pytest.mark.parametrize("text", GOOD)
def test_a_good_url_selects_its_device_and_is_written_back_the_same_way(text: str) -> None:
    url = parse_url(text)
    assert url == GOOD[text]
    assert str(url) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("serial:/dev/ttyUSB0?baud=57600", "serial:/dev/ttyUSB0"),
        ("mqtt://broker:1883/foot-1", "mqtt://broker/foot-1"),
        ("mqtts://broker:8883/foot-1", "mqtts://broker/foot-1"),
        ("tcp://host:1/", "tcp://host:1"),
        ("sim:?seed=0", "sim:"),
    ],
)
def test_what_goes_without_saying_is_left_out(text: str, written: str) -> None:
    assert str(parse_url(text)) == written


def test_a_path_and_a_serial_number_are_told_apart() -> None:
    assert SerialUrl("/dev/ttyUSB0").is_path
    assert SerialUrl("./massager").is_path
    assert not SerialUrl("A50285BI").is_path


BAD = {
    # the kind of link
    "": "the kind of link is missing",
    "sim": "the kind of link is missing",
    "smi:": "'smi' is no kind of link; did you mean sim?",
    "seral:/dev/ttyUSB0": "did you mean serial?",
    "mqqt://host/foot-1": "did you mean mqtt?",
    "bluetooth:foot": "'bluetooth' is no kind of link",
    "/dev/ttyUSB0": "write 'serial:/dev/ttyUSB0'",
    "ttyACM0": "write 'serial:/dev/ttyACM0'",
    "sim: ": "no space",
    "sim:\n": "printable",
    "sim:" + "?" * 500: "at most 500",
    # sim
    "sim:7": "nothing stands between sim: and its options",
    "sim:?sed=7": "unknown option 'sed'; did you mean seed?",
    "sim:?seed": "seed is a whole number from 0 to 4294967295",
    "sim:?seed=-1": "seed is a whole number from 0 to 4294967295, not '-1'",
    "sim:?seed=4294967296": "from 0 to 4294967295",
    "sim:?seed=\u0663": "from 0 to 4294967295",
    "sim:?seed=1&seed=2": "seed is given twice",
    "sim:?no-feet-sensor=1": "no-feet-sensor takes no value",
    "sim:?no-feet": "did you mean no-feet-sensor?",
    # serial
    "serial:": "the port is missing",
    "serial:?baud=57600": "the port is missing",
    "serial:ttyUSB0": "name the whole path, 'serial:/dev/ttyUSB0'",
    "serial:///dev/ttyUSB0": "as in serial:/dev/ttyUSB0",
    "serial:/dev/ttyUSB0?baud=9600": "baud is one of 38400, 57600, 115200, 250000, not '9600'",
    "serial:/dev/ttyUSB0?baud": "baud is one of 38400, 57600, 115200, 250000",
    "serial:/dev/ttyUSB0?bud=57600": "did you mean baud?",
    "serial:A5!": "neither a path (with a /) nor a USB serial number",
    # tcp
    "tcp://host": "the port is missing or no number from 1 to 65535",
    "tcp://host:0": "from 1 to 65535",
    "tcp://host:65536": "from 1 to 65535",
    "tcp://host:x": "from 1 to 65535",
    "tcp://:3333": "the host is missing or malformed",
    "tcp://ho$t:3333": "the host is missing or malformed",
    "tcp:host:3333": "two slashes come after tcp:",
    "tcp://host:3333/foot-1": "nothing comes behind the port",
    "tcp://anna@host:3333": "has no user",
    "tcp://[::1:3333": "an IPv6 address stands in brackets",
    "tcp://host:3333?x=1": "unknown option 'x'; this kind of link has none",
    "tcp://host:3333#x": "no ? or # part",
    # mqtt
    "mqtt:broker/foot-1": "two slashes come after mqtt:",
    "mqtt://broker": "the device id at the end has 1 to 8 letters, digits, _ or -",
    "mqtt://broker/": "1 to 8 letters",
    "mqtt://broker/123456789": "1 to 8 letters, digits, _ or -, not '123456789'",
    "mqtt://broker/foot/1": "1 to 8 letters",
    "mqtt://broker/fu\u00df": "1 to 8 letters",
    "mqtt://broker/+": "1 to 8 letters",
    "mqtt://broker:x/foot-1": "from 1 to 65535",
    "mqtt:///foot-1": "the host is missing",
    "mqtt://a%0ab@broker/foot-1": "printable",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_url_is_refused_with_what_is_wrong_and_the_way_out(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(text)
    message = str(caught.value)
    assert BAD[text] in message
    assert message.startswith("device ")
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize(
    "text",
    [
        "mqtt://anna:hunter2@broker/foot-1",
        "mqtts://anna:hunter2@broker/foot-1",
        "mqtt://:hunter2@broker/foot-1",
        "mqtt://anna:hun/hunter2@broker/foot-1",
        "mqtt://anna:hun@hunter2@broker/foot-1",
        "mqtt://anna:hunter2@broker",
    ],
)
def test_a_password_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="MASSAGER_MQTT_PASSWORD") as caught:
        parse_url(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "tcp://anna:hunter2@broker:1",
        "mqtt:anna:hunter2@broker/foot-1",
        "mqqt://anna:hunter2@broker/foot-1",
        "mqtt://broker/foot-1?password=hunter2",
        "mqtt://broker/foot-1?user=x&PASSWD=hunter2",
        "mqtt://anna:hunter2@broker/foot-1 ",
    ],
)
def test_no_error_repeats_what_may_be_a_password(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(text)
    assert "hunter2" not in str(caught.value)


def read_or_refused(text: str) -> str | None:
    """The URL as it is written back, or None; any other exception fails the test."""
    try:
        return str(parse_url(text))
    except UsageError:
        return None


@given(
    st.sampled_from(["", "sim:", "sim:?", "serial:", "tcp://", "mqtt://", "mqtts://h/"]),
    st.text(max_size=60),
)
def test_any_text_is_a_url_that_reads_back_the_same_or_a_usage_error(start: str, rest: str) -> None:
    written = read_or_refused(start + rest)
    if written is not None:
        assert read_or_refused(written) == written


@given(
    st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True),
    st.integers(1, 65535),
    st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1),
    st.booleans(),
)
def test_every_mqtt_device_survives_being_written_and_read(
    device_id: str, port: int, user: str, tls: bool
) -> None:
    url = MqttUrl("broker.local", port, device_id, user, tls)
    assert parse_url(str(url)) == url


def test_the_baud_rates_and_the_default_are_those_of_the_wire() -> None:
    from firmware_protocol.limits import BAUD_ALLOWED, BAUD_DEFAULT, UNSENT_MAX_BYTES
    from massager.transports import interface, url

    assert url.BAUD_ALLOWED == BAUD_ALLOWED
    assert url.BAUD_DEFAULT == BAUD_DEFAULT
    assert interface.UNSENT_MAX_BYTES == UNSENT_MAX_BYTES


def test_a_wrong_url_is_refused_by_the_registry_too() -> None:
    with pytest.raises(UsageError):
        open_transport("tcp://host")


def loaded_after(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_registry_loads_only_what_its_url_needs() -> None:
    heavy = {"serial", "aiomqtt", "ssl", "simulator", "pydantic", "asyncio"}
    assert not loaded_after("import massager.transports") & heavy
    opens = "from massager.transports import open_transport as o; "
    assert loaded_after(opens + "o('tcp://h:1')") & heavy <= {"asyncio", "ssl"}
    assert "aiomqtt" not in loaded_after(opens + "o('serial:/dev/x')")
    assert "simulator" not in loaded_after(opens + "o('serial:/dev/x')")
    assert "serial" not in loaded_after(opens + "o('mqtt://h/x')")
