"""What other processes may ask a running controller, and what it answers.

A session in the foreground listens on `<pid>.sock` in the runtime directory (runtime_dir.py), a
daemon on `<pid>.<name>.sock` for each of its devices. A client writes one JSON object a line, at
most 1024 bytes, and gets at least one JSON object a line back:

    {"request": "stop"}                          soft stop
    {"request": "stop", "now": true}             emergency stop
    {"request": "pause"}
    {"request": "resume"}
    {"request": "intensity", "intensity": 6}
    {"request": "extend", "minutes": 1.5}
    {"request": "status"}
    {"request": "status", "watch": true}         a line at each change, at most 5 a second

    only of a daemon:
    {"request": "start", "intensity": 6, "minutes": 8, "warmup": 90, "program": "bedtime"}
    {"request": "clear"}                         take back what is latched
    {"request": "arm"}                           let the next start from afar through, once
    {"request": "devices"}                       all that the daemon keeps

    {"ok": true, "stage": null, "owner": {…}, "session": {…}}
    {"ok": false, "error": {"kind": "refused", "message": "no session is running"}}

`owner` is who answers (`Owner`), `session` the fields of `snapshot.Snapshot`. A stop is taken in
every state, any number of times, and answered at each stage: "taken" at once, "acknowledged" as
soon as the device has, "ended" once the session has; a stage that was passed already is left out.
The last line of a watch has the stage "ended", too. Everything else is answered once, at once, with
the stage null. A start is answered once the device has taken the session, or with why not; what it
leaves out is as the daemon's config has it. Whoever hangs up before that answer ends the start.

Requests are read strictly; only a stop is taken whatever else stands in it, so that a newer or a
careless client can always stop.
"""

import json
from dataclasses import fields
from typing import Annotated, Any, Final, Literal, NotRequired, TypeAlias, TypedDict

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from massager.limits import (
    EXTEND_MAX_MIN,
    INTENSITY_MAX,
    INTENSITY_MIN,
    MASSAGE_MAX_MS,
    MASSAGE_MIN_MS,
    WARMUP_MAX_MS,
    WARMUP_MIN_MS,
)
from massager.session.model import (
    Extend,
    HardStop,
    Pause,
    Resume,
    SetIntensity,
    SoftStop,
)
from massager.snapshot import Snapshot
from massager.strict_json import NotOneObject, read_object

REQUEST_MAX_BYTES: Final = 1_024


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class StopRequest(_Model):
    """Soft stop, or an emergency stop with `now`."""

    request: Literal["stop"]
    now: bool = False

    def event(self) -> SoftStop | HardStop:
        """What it means to the session."""
        return HardStop() if self.now else SoftStop()


class PauseRequest(_Model):
    """Fall to 0 and wait."""

    request: Literal["pause"]

    def event(self) -> Pause:
        """What it means to the session."""
        return Pause()


class ResumeRequest(_Model):
    """Go on from the gentlest."""

    request: Literal["resume"]

    def event(self) -> Resume:
        """What it means to the session."""
        return Resume()


class IntensityRequest(_Model):
    """Another intensity, 1…10."""

    request: Literal["intensity"]
    intensity: int = Field(ge=INTENSITY_MIN, le=INTENSITY_MAX)

    def event(self) -> SetIntensity:
        """What it means to the session."""
        return SetIntensity(self.intensity)


class ExtendRequest(_Model):
    """More massage, in whole or half minutes."""

    request: Literal["extend"]
    minutes: float = Field(gt=0, le=EXTEND_MAX_MIN, multiple_of=0.5)

    def event(self) -> Extend:
        """What it means to the session."""
        return Extend(round(self.minutes * 60_000))


class StatusRequest(_Model):
    """How the session is now, and with `watch` at every change until it ends."""

    request: Literal["status"]
    watch: bool = False


class StartRequest(_Model):
    """A session; what is left out is as the daemon's config has it."""

    request: Literal["start"]
    intensity: int | None = Field(None, ge=INTENSITY_MIN, le=INTENSITY_MAX)
    minutes: float | None = Field(None, ge=MASSAGE_MIN_MS / 60_000, le=MASSAGE_MAX_MS / 60_000)
    warmup: float | None = Field(None, ge=WARMUP_MIN_MS / 1000, le=WARMUP_MAX_MS / 1000)
    shape: Literal["linear", "hold"] | None = None
    program: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    origin: Literal["terminal", "socket"] = "socket"


class ClearRequest(_Model):
    """Take back what is latched in the device."""

    request: Literal["clear"]


class ArmRequest(_Model):
    """Let the next start from afar through, once."""

    request: Literal["arm"]


class DevicesRequest(_Model):
    """Every device of the daemon."""

    request: Literal["devices"]


SessionRequest: TypeAlias = (
    StopRequest | PauseRequest | ResumeRequest | IntensityRequest | ExtendRequest
)
DaemonRequest: TypeAlias = StartRequest | ClearRequest | ArmRequest | DevicesRequest
Request: TypeAlias = SessionRequest | StatusRequest | DaemonRequest
Stage: TypeAlias = Literal["taken", "acknowledged", "ended"]


class Owner(TypedDict):
    """The process that answers, and what it drives."""

    pid: int
    name: str | None  # of the device, in a daemon
    device: str  # its URL, without a password
    speed: int
    since: str  # wall clock, ISO 8601 with its offset


class Done(TypedDict):
    """The request was done; or news of a stop or a watch."""

    ok: Literal[True]
    stage: Stage | None
    owner: Owner
    session: dict[str, Any]


class Armed(Done):
    """A start from afar is let through once until then (ISO 8601)."""

    armed_until: str


class Devices(Done):
    """What a daemon keeps: for each its name, URL, connection, reason and session."""

    devices: list[dict[str, Any]]


class Failure(TypedDict):
    """Why a request was not done; of a start or a clearing, `refusal` is a `RefusalKind`, and of a
    start `reason` the `StopReason` with which it ended."""

    kind: Literal["refused", "bad request"]
    message: str
    refusal: NotRequired[str]
    reason: NotRequired[str]


class NotDone(TypedDict):
    """The request was not done, and nothing has changed."""

    ok: Literal[False]
    error: Failure


Reply: TypeAlias = Done | Armed | Devices | NotDone

_REQUEST: Final[TypeAdapter[Request]] = TypeAdapter(
    Annotated[Request, Field(discriminator="request")]
)


class BadRequest(ValueError):
    """A line that is no request; the text says why."""


def parse_request(line: bytes) -> Request:
    """The request in one line. Raises BadRequest for whatever is not exactly one."""
    try:
        found = read_object(line, REQUEST_MAX_BYTES, "a request")
    except NotOneObject as error:
        raise BadRequest(str(error)) from None
    if found.get("request") == "stop":
        return StopRequest(request="stop", now=bool(found.get("now")))
    try:
        return _REQUEST.validate_python(found)
    except ValidationError as error:
        raise BadRequest(_in_words(error)) from None


def refused(message: str) -> NotDone:
    """What was understood, and is not done."""
    return {"ok": False, "error": {"kind": "refused", "message": message}}


def line_of(reply: Reply) -> bytes:
    """The line that carries a reply."""
    return json.dumps(reply).encode() + b"\n"


def as_dict(record: Snapshot) -> dict[str, Any]:
    """A snapshot's fields by name."""
    return {name: getattr(record, name) for name in _SNAPSHOT_FIELDS}


_SNAPSHOT_FIELDS: Final = tuple(field.name for field in fields(Snapshot))


def _in_words(error: ValidationError) -> str:
    """The first thing that is wrong, without what was sent: it may be anything."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
    return ascii(f"{place}: {first['msg']}" if place else first["msg"])[1:-1][:300]
