"""Device URLs: one string selects the link everywhere. Parsed here and never opened here.

sim:                                  sim:?seed=7&no-feet-sensor
serial:/dev/ttyUSB0?baud=57600        serial:/dev/serial/by-id/…       serial:A50285BI
tcp://host:port
mqtt://user@host:1883/<device id>     mqtts://…
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from massager.errors import UsageError

BAUD_DEFAULT: Final = 57_600
BAUD_ALLOWED: Final = (38_400, 57_600, 115_200, 250_000)
SEED_MAX: Final = 2**32 - 1
_MQTT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_SCHEMES: Final = ("sim", "serial", "tcp", *_MQTT_PORTS)
_EXAMPLES: Final = (
    "sim:, serial:/dev/ttyUSB0, tcp://host:port, mqtt://host/device-id or mqtts://host/device-id"
)
_CHARACTERS_MAX: Final = 500
_SHOWN_MAX: Final = 100
_DEVICE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,8}")
_SERIAL_NUMBER: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_HOST: Final = re.compile(r"[A-Za-z0-9_.:%-]{1,253}")
_DEVICE_NODE: Final = re.compile(r"(tty|cu\.|rfcomm)[A-Za-z0-9.-]*")
_PASSWORD: Final = re.compile(r"(:/*[^:@/]*):.*@")
_SECRET: Final = re.compile(r"((?:pass|pw|secret|token)[^=&]*=)[^&]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SimUrl:
    """A simulated device in this process."""

    seed: int = 0
    feet_sensor: bool = True

    def __str__(self) -> str:
        options = [f"seed={self.seed}"] if self.seed else []
        if not self.feet_sensor:
            options.append("no-feet-sensor")
        return "sim:" + ("?" + "&".join(options) if options else "")


@dataclass(frozen=True, slots=True)
class SerialUrl:
    """A serial port, by its path or by the serial number of its USB adapter."""

    port: str
    baud: int = BAUD_DEFAULT

    @property
    def is_path(self) -> bool:
        """Whether `port` is a path; otherwise it is a USB serial number."""
        return "/" in self.port

    def __str__(self) -> str:
        suffix = "" if self.baud == BAUD_DEFAULT else f"?baud={self.baud}"
        return f"serial:{self.port}{suffix}"


@dataclass(frozen=True, slots=True)
class TcpUrl:
    """A device, or a serial line, behind a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp://{_bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class MqttUrl:
    """A device behind an MQTT broker."""

    host: str
    port: int
    device_id: str
    user: str | None = None
    tls: bool = False

    def __str__(self) -> str:
        scheme = "mqtts" if self.tls else "mqtt"
        user = "" if self.user is None else quote(self.user, safe="") + "@"
        port = "" if self.port == _MQTT_PORTS[scheme] else f":{self.port}"
        return f"{scheme}://{user}{_bracketed(self.host)}{port}/{self.device_id}"


DeviceUrl = SimUrl | SerialUrl | TcpUrl | MqttUrl


def place_of(url: DeviceUrl) -> tuple[str, ...] | None:
    """One name for one device, as far as URLs tell; None for one that lives in this process."""
    match url:
        case SimUrl():
            return None
        case SerialUrl(port):
            return ("serial", port)
        case TcpUrl(host, port_number):
            return ("tcp", host.lower(), str(port_number))
        case MqttUrl(host, port_number, device_id):
            return ("mqtt", host.lower(), str(port_number), device_id)


def parse_url(text: str) -> DeviceUrl:
    """The device that `text` selects. Raises UsageError: what is wrong, the range, the way out."""
    if len(text) > _CHARACTERS_MAX or not text.isprintable() or " " in text:
        raise _wrong(text, f"a URL has at most {_CHARACTERS_MAX} printable characters and no space")
    scheme, colon, rest = text.partition(":")
    if not colon or scheme not in _SCHEMES:
        raise _no_scheme(text, scheme if colon else "")
    if scheme == "sim":
        return _parse_sim(text, rest)
    if scheme == "serial":
        return _parse_serial(text, rest)
    if not rest.startswith("//"):
        raise _wrong(text, f"two slashes come after {scheme}:, as in {scheme}://host")
    return _parse_tcp(text) if scheme == "tcp" else _parse_mqtt(text, scheme)


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?` with the known word most like `word`, or nothing."""
    import difflib  # only a mistake pays for it

    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(f"device {_shown(text)}: {why}; for example {_EXAMPLES}")


def _shown(text: str) -> str:
    """`text` for a message: in quotes, escaped, cut, and without what may be a password."""
    masked = _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))
    return repr(masked if len(masked) <= _SHOWN_MAX else masked[: _SHOWN_MAX - 1] + "…")


def _no_scheme(text: str, scheme: str) -> UsageError:
    if text.startswith(("/", "./", "../")):
        return UsageError(
            f"device {_shown(text)}: for a serial port write {_shown('serial:' + text)}"
        )
    if _DEVICE_NODE.fullmatch(text):
        return UsageError(f"device {_shown(text)}: for a serial port write 'serial:/dev/{text}'")
    if not scheme:
        return _wrong(text, "the kind of link is missing in front")
    return _wrong(text, f"{_shown(scheme)} is no kind of link{nearest(scheme, _SCHEMES)}")


def _options(text: str, query: str, known: tuple[str, ...]) -> dict[str, str | None]:
    """The options behind the question mark; one without `=` has the value None."""
    options: dict[str, str | None] = {}
    for part in query.split("&") if query else []:
        name, equals, value = part.partition("=")
        if name not in known:
            way_out = nearest(name, known) or (
                f"; known: {', '.join(known)}" if known else "; this kind of link has none"
            )
            raise UsageError(f"device {_shown(text)}: unknown option {_shown(name)}{way_out}")
        if name in options:
            raise UsageError(f"device {_shown(text)}: {name} is given twice; give it once")
        options[name] = value if equals else None
    return options


def _whole(text: str, name: str, value: str | None, low: int, high: int) -> int:
    if value and value.isascii() and value.isdigit() and len(value) <= 10:
        number = int(value)
        if low <= number <= high:
            return number
    raise UsageError(
        f"device {_shown(text)}: {name} is a whole number from {low} to {high}, "
        f"not {_shown(value or '')}"
    )


def _parse_sim(text: str, rest: str) -> SimUrl:
    before, _, query = rest.partition("?")
    if before:
        raise UsageError(
            f"device {_shown(text)}: nothing stands between sim: and its options, "
            "as in sim:?seed=7&no-feet-sensor"
        )
    options = _options(text, query, ("seed", "no-feet-sensor"))
    seed = _whole(text, "seed", options["seed"], 0, SEED_MAX) if "seed" in options else 0
    if options.get("no-feet-sensor") is not None:
        raise UsageError(f"device {_shown(text)}: no-feet-sensor takes no value")
    return SimUrl(seed=seed, feet_sensor="no-feet-sensor" not in options)


def _parse_serial(text: str, rest: str) -> SerialUrl:
    port, _, query = rest.partition("?")
    options = _options(text, query, ("baud",))
    baud = BAUD_DEFAULT
    if "baud" in options:
        value = options["baud"] or ""
        if value not in map(str, BAUD_ALLOWED):
            allowed = ", ".join(map(str, BAUD_ALLOWED))
            raise UsageError(
                f"device {_shown(text)}: baud is one of {allowed}, not {_shown(value)}"
            )
        baud = int(value)
    if not port:
        raise UsageError(
            f"device {_shown(text)}: the port is missing: a path such as serial:/dev/ttyUSB0, "
            "or the serial number of the USB adapter such as serial:A50285BI"
        )
    if port.startswith("//"):
        raise UsageError(
            f"device {_shown(text)}: one slash is enough, as in serial:/{port.lstrip('/')}"
        )
    if _DEVICE_NODE.fullmatch(port):
        raise UsageError(f"device {_shown(text)}: name the whole path, 'serial:/dev/{port}'")
    if "/" not in port and not _SERIAL_NUMBER.fullmatch(port):
        raise UsageError(
            f"device {_shown(text)}: {_shown(port)} is neither a path (with a /) nor a USB serial "
            "number (1 to 64 letters, digits and _ . : -)"
        )
    return SerialUrl(port, baud)


def _parse_tcp(text: str) -> TcpUrl:
    parts = _split(text)
    if "@" in parts.netloc:
        raise UsageError(f"device {_shown(text)}: a tcp:// device has no user; leave it out")
    if parts.path not in ("", "/"):
        raise UsageError(f"device {_shown(text)}: nothing comes behind the port; leave it out")
    return TcpUrl(_host(text, parts), _port(text, parts, None))


def _parse_mqtt(text: str, scheme: str) -> MqttUrl:
    if _PASSWORD.search(text):
        raise UsageError(
            f"device {_shown(text)}: a password does not belong in a URL, where other users and "
            "logs can read it; put it into the config file ([mqtt] password or password_file) or "
            "into the environment (MASSAGER_MQTT_PASSWORD)"
        )
    parts = _split(text)
    device_id = parts.path.removeprefix("/")
    if not _DEVICE_ID.fullmatch(device_id):
        raise UsageError(
            f"device {_shown(text)}: the device id at the end has 1 to 8 letters, digits, _ or -, "
            f"not {_shown(device_id)}; as in {scheme}://host/foot-1"
        )
    user = unquote(parts.username) if parts.username else None
    if user is not None and not user.isprintable():
        raise UsageError(f"device {_shown(text)}: the user's name has only printable characters")
    port = _port(text, parts, _MQTT_PORTS[scheme])
    return MqttUrl(_host(text, parts), port, device_id, user, tls=scheme == "mqtts")


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
    except ValueError:
        raise UsageError(
            f"device {_shown(text)}: the host cannot be read; an IPv6 address stands in brackets"
        ) from None
    _options(text, parts.query, ())
    if parts.fragment or text.endswith(("#", "?")):
        raise UsageError(f"device {_shown(text)}: a device URL has no ? or # part; leave it out")
    return parts


def _host(text: str, parts: SplitResult) -> str:
    host = parts.hostname or ""
    if not _HOST.fullmatch(host):
        raise UsageError(
            f"device {_shown(text)}: the host is missing or malformed: a name, an address, or an "
            f"IPv6 address in brackets, as in {parts.scheme}://192.168.1.20"
        )
    return host


def _port(text: str, parts: SplitResult, default: int | None) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port is None:
        port = default
    if not port:
        example = default or 3333
        raise UsageError(
            f"device {_shown(text)}: the port is missing or no number from 1 to 65535; "
            f"write it as in {parts.scheme}://{_bracketed(parts.hostname or 'host')}:{example}"
        )
    return port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
