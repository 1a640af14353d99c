"""What the simulator can be told from outside: one table for parsing, `--help` and the docs.

A request is one JSON object, e.g. `{"fault": "drop", "rate": 0.2}`. Pure: no I/O, no clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast


class BadRequest(ValueError):
    """A request that was not understood; the message names the thing, the range, the way out."""


def _spelled(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'


@dataclass(frozen=True, slots=True)
class Key:
    """A further key of a request: a whole number, a number, or one of `choices`."""

    name: str
    meaning: str
    low: int = 0
    high: int = 0
    whole: bool = True
    choices: tuple[str, ...] = ()
    default: int | str | None = None  # None = must be given

    @property
    def range_text(self) -> str:
        """The values it takes, for people."""
        if self.choices:
            return " or ".join(f'"{choice}"' for choice in self.choices)
        return f"{'a whole number' if self.whole else 'a number'} from {self.low} to {self.high}"

    def check(self, value: object) -> int | float | str:
        """`value` if it is in the range, else BadRequest."""
        if isinstance(value, str) and value in self.choices:
            return value
        numeric = isinstance(value, int) or (isinstance(value, float) and not self.whole)
        # NaN compares false with everything, and so is refused.
        if numeric and not isinstance(value, bool) and not self.choices:
            number = cast("float", value)
            if self.low <= number <= self.high:
                return number
        raise BadRequest(f'"{self.name}" is {shown(value)}; it must be {self.range_text}')


@dataclass(frozen=True, slots=True)
class Spec:
    """One request: its verb, the verb's value, further keys and what happens."""

    verb: str
    value: str | bool
    meaning: str
    keys: tuple[Key, ...] = ()

    @property
    def spelled(self) -> str:
        """The verb's value as JSON."""
        return _spelled(self.value)

    @property
    def example(self) -> str:
        """The request as it is written, with the ranges of what must be given."""
        keys = "".join(
            f', "{key.name}": {key.low}…{key.high}' for key in self.keys if key.default is None
        )
        return f'{{"{self.verb}": {self.spelled}{keys}}}'


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was understood, with its defaults filled in."""

    verb: str
    value: str | bool
    arguments: Mapping[str, int | float | str]

    def number(self, name: str) -> float:
        """The number under `name`."""
        return float(self.arguments[name])

    def whole(self, name: str) -> int:
        """The whole number under `name`."""
        return int(self.arguments[name])


_DIRECTION: Final = Key(
    "direction",
    "to the device, to the host, or both",
    choices=("down", "up", "both"),
    default="both",
)
_RATE: Final = (Key("rate", "share of the frames", 0, 1, whole=False), _DIRECTION)
_LINE_MS_MAX: Final = 10_000

SPECS: Final = (
    Spec("get", "status", "state, output, boot id, feet and the faults that are on"),
    Spec(
        "get",
        "trace",
        "the newest rows of the motor trace",
        (Key("last", "how many rows", 1, 1000, default=100),),
    ),
    Spec("feet", True, "feet on the sensor"),
    Spec("feet", False, "feet lifted"),
    Spec("button", "press", "the button on the device: a stop"),
    Spec("fault", "none", "ends every fault below (a latch stays until the host clears it)"),
    Spec("fault", "drop", "frames are lost", _RATE),
    Spec("fault", "corrupt", "one bit of a frame is turned over", _RATE),
    Spec("fault", "duplicate", "frames arrive twice", _RATE),
    Spec(
        "fault",
        "delay",
        "everything comes later, in order",
        (
            Key("ms", "how much later", 0, _LINE_MS_MAX),
            Key("jitter_ms", "and up to this much more", 0, _LINE_MS_MAX, default=0),
            _DIRECTION,
        ),
    ),
    Spec(
        "fault",
        "one_byte",
        "bytes come singly, 5 a ms (about 57,600 baud); not over MQTT",
        (_DIRECTION,),
    ),
    Spec(
        "fault",
        "coalesce",
        "bytes are held back and come together, as from a USB adapter; 0 ends it",
        (Key("ms", "how often they come", 0, 1000), _DIRECTION),
    ),
    Spec("fault", "stop_reading", "the bytes from the host are left unread"),
    Spec(
        "fault",
        "unplug",
        "the cable is pulled, and put back after that time (a pty comes back as a new one)",
        (Key("ms", "how long", 0, 600_000),),
    ),
    Spec("fault", "reboot", "power cycle: dark for 300 ms, then a new boot id"),
    Spec("fault", "silent_reboot", "a reboot without a gap and without the event"),
    Spec("fault", "hang", "the device stops; its watchdog resets it after 250 ms"),
    Spec("fault", "stall", "the motor is driven and does not turn"),
    Spec("fault", "overheat", "the motor is too hot"),
    Spec("fault", "over_current", "the motor draws too much"),
    Spec("fault", "stuck_sensor", "a sensor reads nothing sensible"),
    Spec("fault", "stuck_on", "the motor turns though commanded off"),
)
_BY_NAME: Final = {(spec.verb, spec.spelled): spec for spec in SPECS}
_VERBS: Final = tuple(dict.fromkeys(spec.verb for spec in SPECS))


def shown(value: object) -> str:
    """`value` in at most 60 printable ASCII characters."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def understand(request: object) -> Request:
    """The request behind a decoded JSON value. Raises BadRequest."""
    if not isinstance(request, dict):
        raise BadRequest(f"{shown(request)} is no JSON object; send e.g. {SPECS[0].example}")
    verbs = [verb for verb in _VERBS if verb in request]
    if len(verbs) != 1:
        names = ", ".join(f'"{verb}"' for verb in _VERBS)
        raise BadRequest(f"a request has exactly one of {names}, not {len(verbs)}")
    verb, value = verbs[0], request[verbs[0]]
    spec = _BY_NAME.get((verb, _spelled(value))) if isinstance(value, str | bool) else None
    if spec is None:
        values = ", ".join(known.spelled for known in SPECS if known.verb == verb)
        raise BadRequest(f'"{verb}" is {shown(value)}; it must be one of {values}')
    return Request(verb, spec.value, _arguments(spec, request))


def _arguments(spec: Spec, request: Mapping[object, object]) -> dict[str, int | float | str]:
    known = {key.name: key for key in spec.keys}
    for name in request:
        if name != spec.verb and name not in known:
            allowed = ", ".join(f'"{key}"' for key in known) or "none"
            raise BadRequest(
                f'{shown(name)} is not a key of "{spec.verb}": {spec.spelled}; '
                f"further keys: {allowed}"
            )
    arguments: dict[str, int | float | str] = {}
    for key in spec.keys:
        if key.name in request:
            arguments[key.name] = key.check(request[key.name])
        elif key.default is None:
            raise BadRequest(f'"{key.name}" is missing; it must be {key.range_text}')
        else:
            arguments[key.name] = key.default
    return arguments


def table() -> str:
    """Every request and its meaning, then the keys that may be left out."""
    lines = [f"  {_with_optional_keys(spec)}\n      {spec.meaning}" for spec in SPECS]
    lines += ["", "what may be left out:"]
    lines += [f"  {key.name:<10} {_explained(key)}" for key in _optional_keys()]
    return "\n".join(lines)


def markdown_table() -> str:
    """The same as `table`, for docs/SIMULATOR.md."""
    lines = ["| request | what happens |", "|---|---|"]
    lines += [f"| `{_with_optional_keys(spec)}` | {spec.meaning} |" for spec in SPECS]
    lines += ["", "| may be left out | values |", "|---|---|"]
    lines += [f"| `{key.name}` | {_explained(key)} |" for key in _optional_keys()]
    return "\n".join(lines)


def _optional_keys() -> list[Key]:
    keys = (key for spec in SPECS for key in spec.keys if key.default is not None)
    return list(dict.fromkeys(keys))


def _with_optional_keys(spec: Spec) -> str:
    optional = [f"[{key.name}]" for key in spec.keys if key.default is not None]
    return " ".join([spec.example, *optional])


def _explained(key: Key) -> str:
    return f"{key.range_text}; {key.meaning} (default {key.default})"
