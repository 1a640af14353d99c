"""What may be asked over MQTT: the public API, for Home Assistant, Node-RED and scripts. Pure.

One JSON object on `<prefix>/<id>/command`, at most 1024 bytes:

    {"action": "start", "at": 1795212345.6, "intensity": 6, "minutes": 8, "program": "bedtime"}
    {"action": "set", "at": …, "intensity": 5}       also minutes, warmup, program
    {"action": "resume", "at": …}
    {"action": "extend", "at": …, "minutes": 1}
    {"action": "clear", "at": …}                     take back what is latched
    {"action": "pause"}                              with or without `at`
    {"action": "stop"}                               and anything at all on `<prefix>/<id>/stop`
    {"action": "emergency_stop"}

`at` is when it was made: seconds since 1970, or ISO 8601 with an offset. Whatever may raise a level
needs it (replay.py). `id`, up to 64 characters, comes back in the reply:

    {"ok": true, "action": "start", "id": "night", "session": 12}
    {"ok": false, "action": "start", "kind": "limit", "reason": "9 of 13 min left; …"}

What a start leaves out is as the entities show it. Nothing is clamped, nothing unknown is skipped.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)

from massager.limits import (
    EXTEND_MAX_MIN,
    INTENSITY_MAX,
    INTENSITY_MIN,
    MASSAGE_MAX_MS,
    MASSAGE_MIN_MS,
    WARMUP_MAX_MS,
    WARMUP_MIN_MS,
)
from massager.strict_json import NotOneObject, read_object

COMMAND_MAX_BYTES: Final = 1_024
_EMERGENCY_WORDS: Final = (b"emergency", b"emergency_stop", b"now")
_LAST_MS: Final = 4_102_444_800_000  # 2100: a number beyond is milliseconds, or nonsense
_TIME: Final[TypeAdapter[AwareDatetime]] = TypeAdapter(AwareDatetime)


def _milliseconds(value: object) -> int:
    """When it was made, ms since 1970."""
    if type(value) in (int, float):
        if 0 < value < _LAST_MS / 1000:  # type: ignore[operator]
            return round(value * 1000)  # type: ignore[operator]
        raise ValueError("at is in seconds since 1970")
    if isinstance(value, str) and len(value) <= 40 and "-" in value[:5]:
        try:
            return round(_TIME.validate_strings(value).timestamp() * 1000)
        except (ValidationError, OverflowError, OSError):
            pass
    raise ValueError("at is seconds since 1970, or ISO 8601 with an offset")


At: TypeAlias = Annotated[
    int,
    BeforeValidator(_milliseconds),
    WithJsonSchema(
        {
            "description": "when it was made: seconds since 1970, or ISO 8601 with an offset",
            "anyOf": [{"type": "number"}, {"type": "string", "format": "date-time"}],
        }
    ),
]
_Intensity: TypeAlias = Annotated[int, Field(ge=INTENSITY_MIN, le=INTENSITY_MAX)]
_Minutes: TypeAlias = Annotated[
    float, Field(ge=MASSAGE_MIN_MS / 60_000, le=MASSAGE_MAX_MS / 60_000, multiple_of=0.5)
]
_Warmup: TypeAlias = Annotated[float, Field(ge=WARMUP_MIN_MS / 1000, le=WARMUP_MAX_MS / 1000)]
_Program: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    id: Annotated[str, Field(max_length=64)] | None = None


class StartCommand(_Model):
    """A whole session in one message."""

    action: Literal["start"]
    at: At
    intensity: _Intensity | None = None
    minutes: _Minutes | None = None
    warmup: _Warmup | None = None
    shape: Literal["linear", "hold"] | None = None
    program: _Program | None = None


class SetCommand(_Model):
    """What the next start begins with; the intensity also of a session that runs."""

    action: Literal["set"]
    at: At
    intensity: _Intensity | None = None
    minutes: _Minutes | None = None
    warmup: _Warmup | None = None
    program: _Program | None = None

    def chosen(self) -> dict[str, Any]:
        """What is given."""
        return self.model_dump(
            include={"intensity", "minutes", "warmup", "program"}, exclude_none=True
        )


class ResumeCommand(_Model):
    """Go on from the gentlest."""

    action: Literal["resume"]
    at: At


class ExtendCommand(_Model):
    """More massage, in whole or half minutes."""

    action: Literal["extend"]
    at: At
    minutes: Annotated[float, Field(gt=0, le=EXTEND_MAX_MIN, multiple_of=0.5)] = 1.0


class ClearCommand(_Model):
    """Take back what is latched in the device."""

    action: Literal["clear"]
    at: At


class PauseCommand(_Model):
    """Fall to 0 and wait; taken however old it is."""

    action: Literal["pause"]
    at: At | None = None


class StopCommand(_Model):
    """End softly."""

    action: Literal["stop"]


class EmergencyStopCommand(_Model):
    """Output 0 at once, latched."""

    action: Literal["emergency_stop"]


Stop: TypeAlias = StopCommand | EmergencyStopCommand
Fresh: TypeAlias = StartCommand | SetCommand | ResumeCommand | ExtendCommand | ClearCommand
Command: TypeAlias = Stop | Fresh | PauseCommand
_COMMAND: Final[TypeAdapter[Command]] = TypeAdapter(
    Annotated[Command, Field(discriminator="action")]
)


_MODELS: Final = (
    *(StartCommand, SetCommand, PauseCommand, ResumeCommand, StopCommand, EmergencyStopCommand),
    *(ExtendCommand, ClearCommand),
)
ACTIONS: Final = tuple(
    str(get_args(model.model_fields["action"].annotation)[0]) for model in _MODELS
)
RULES: Final = {
    "at": "when it was made, in seconds since 1970 or as ISO 8601 with an offset",
    "id": "a text of at most 64 characters",
    "intensity": f"a whole number from {INTENSITY_MIN} to {INTENSITY_MAX}",
    "minutes": (
        f"a number from {MASSAGE_MIN_MS // 60_000} to {MASSAGE_MAX_MS // 60_000}, in steps of 0.5"
    ),
    "warmup": f"a number of seconds from {WARMUP_MIN_MS // 1000} to {WARMUP_MAX_MS // 1000}",
    "shape": "linear or hold",
    "program": "the name of a program",
}
_RULES_OF: Final[Mapping[tuple[object, str], str]] = {
    ("extend", "minutes"): f"a number above 0 and up to {EXTEND_MAX_MIN}, in steps of 0.5"
}


class BadCommand(ValueError):
    """A payload that is no command; the text says why, and `about` what of it could be read."""

    def __init__(self, why: str, about: dict[str, str] | None = None) -> None:
        super().__init__(why)
        self.about = about or {}


def parse_command(payload: bytes) -> Command:
    """The command in a payload. Raises BadCommand for whatever is not exactly one.

    A stop is taken whatever else stands beside it, and even where nothing else can be read.
    """
    try:
        found = read_object(payload, COMMAND_MAX_BYTES, "a command")
    except NotOneObject as error:
        for word in (b'"emergency_stop"', b'"stop"'):
            if word in payload[:COMMAND_MAX_BYTES]:
                return _COMMAND.validate_python({"action": word.decode().strip('"')})
        raise BadCommand(str(error)) from None
    about = {
        key: found[key]
        for key in ("action", "id")
        if isinstance(found.get(key), str) and len(found[key]) <= 64
    }
    if about.get("action") in ("stop", "emergency_stop"):
        try:
            return _COMMAND.validate_python(about)
        except ValidationError:  # an id that is no text, such as half a surrogate pair
            return _COMMAND.validate_python({"action": about["action"]})
    try:
        command = _COMMAND.validate_python(found)
    except ValidationError as error:
        raise BadCommand(_in_words(error), about) from None
    if isinstance(command, SetCommand) and not command.chosen():
        raise BadCommand("nothing to set: give intensity, minutes, warmup or program", about)
    return command


def parse_stop(payload: bytes) -> Stop:
    """What comes on the topic of stops: any payload of any length is one."""
    if payload[:32].strip().strip(b'"').lower() in _EMERGENCY_WORDS:
        return EmergencyStopCommand(action="emergency_stop")
    return StopCommand(action="stop")


def schema() -> dict[str, Any]:
    """The JSON schema of a command."""
    found = _COMMAND.json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A command to a foot massager",
        **found,
    }


def schema_payload() -> bytes:
    """The same for the topic `schema`."""
    return json.dumps(schema()).encode()


def reply(action: str | None, identifier: str | None, **more: Any) -> bytes:
    """The answer to a command; `ok` among `more`."""
    known = {"action": action, "id": identifier}
    table = {**more, **{key: value for key, value in known.items() if value is not None}}
    return json.dumps(table, ensure_ascii=True).encode()


def _in_words(error: ValidationError) -> str:
    """The first thing that is wrong, an unknown key before a value; without what was sent."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    first = min(details, key=lambda detail: detail["type"] != "extra_forbidden")
    if first["type"].startswith("union_tag"):
        return f"action is one of {', '.join(ACTIONS)}"
    key = next((part for part in first["loc"][1:] if isinstance(part, str)), "")
    if first["type"] == "extra_forbidden":
        return f"{key[:40]!a} is no key of this command"
    if first["type"] == "missing":
        return f"{key} is missing: {RULES[key]}"
    return f"{key} is {_RULES_OF.get((first['loc'][0], key)) or RULES[key]}"
