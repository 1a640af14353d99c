"""One device as others ask for it over MQTT: takes commands, answers them, shows what came of it.

Everything is done in the moment it arrives; only a start and a clearing are waited for, each by a
task of its own, so nothing stands before a stop. What was refused leaves all as it was, is answered
with the reason, and the true state is published again.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, Final

from massager.daemon.face import (
    DaemonEvent,
    Order,
    Origin,
    RefusedStart,
    SessionEnded,
    SessionStarted,
    Started,
    StartRefused,
)
from massager.errors import MassagerError
from massager.home_assistant.commands import (
    BadCommand,
    ClearCommand,
    Command,
    EmergencyStopCommand,
    ExtendCommand,
    Fresh,
    PauseCommand,
    ResumeCommand,
    SetCommand,
    StartCommand,
    Stop,
    StopCommand,
    parse_command,
    parse_stop,
    reply,
)
from massager.home_assistant.discovery import Announced, Announcer, config_payload
from massager.home_assistant.outbox import Outbox
from massager.home_assistant.replay import Freshness
from massager.home_assistant.seeing import Eye, Keeper
from massager.home_assistant.states import (
    Chosen,
    event_of_end,
    state_payload,
    telemetry_payload,
)
from massager.home_assistant.topics import NodeTopics
from massager.plan import Choice
from massager.session.model import Extend, HardStop, Pause, Request, Resume, SetIntensity, SoftStop

COMMANDS_PER_S: Final = 20  # beyond them only stops are taken
TELEMETRY_S: Final = 5.0
_json = reply  # an event is written as a reply is
_log = logging.getLogger(__name__)


class Desk:
    """For `keeper`, whose device is called `device` for good."""

    def __init__(
        self,
        keeper: Keeper,
        device: str,
        node: NodeTopics,
        outbox: Outbox,
        announcer: Announcer,
        programs: Sequence[str],
        now: Callable[[], datetime],
        *,
        discovery: bool = True,
    ) -> None:
        self.keeper = keeper
        self.device = device
        self.topics = node.of(device)
        self.serving = False  # only one daemon does
        self._node = node
        self._outbox = outbox
        self._announcer = announcer
        self._now = now
        self._discovery = discovery
        self._eye = Eye(keeper, now)
        self._last_error: str | None = None
        choice = keeper.choice()
        self._chosen = _chosen_of(choice)
        self._configured = choice.program.name
        self._programs = sorted({*programs, self._configured})
        self._freshness = Freshness(self._now_ms())
        self._seen_phase = ""
        self._announced: Announced | None = None
        self._config = b""
        self._telemetry_s = -TELEMETRY_S
        self._allowed = float(COMMANDS_PER_S)
        self._allowed_s = 0.0
        self._is_flooded = False
        self._errands: dict[str, asyncio.Task[None]] = {}

    # --- what is asked ----------------------------------------------------------------------------

    def take(self, payload: bytes) -> None:
        """A message on the topic of commands."""
        try:
            command = parse_command(payload)
        except BadCommand as bad:
            if self.serving and self._may_ask():
                about = bad.about
                self._turn_away(about.get("action"), about.get("id"), "bad request", str(bad))
            return
        if isinstance(command, StopCommand | EmergencyStopCommand):
            self._stop(command)
        elif self.serving and self._may_ask():
            self._carry_out(command)

    def take_stop(self, payload: bytes) -> None:
        """A message on the topic of stops: whatever it says, it is one."""
        self._stop(parse_stop(payload))

    def _carry_out(self, command: Fresh | PauseCommand) -> None:
        if isinstance(command, PauseCommand):
            self._ask(command, Pause())
            return
        if self.keeper.stopped_at is not None:  # by anybody, and also where nothing ran
            self._freshness.stopped(_ms_of(self.keeper.stopped_at))
        stale = self._freshness.judge(
            command.at, command, self._now_ms(), is_set=isinstance(command, SetCommand)
        )
        if stale is not None:
            self._turn_away(command.action, command.id, stale.kind, stale.why)
            return
        match command:
            case StartCommand():
                self._start(command)
            case SetCommand():
                self._set(command)
            case ResumeCommand():
                self._ask(command, Resume())
            case ExtendCommand():
                self._ask(command, Extend(round(command.minutes * 60_000)))
            case ClearCommand():
                if not self._is_busy(command):
                    self._errand(command, self._clear(command))

    def _stop(self, command: Stop) -> None:
        is_emergency = isinstance(command, EmergencyStopCommand)
        self.keeper.request(HardStop() if is_emergency else SoftStop())
        if self.serving:
            self._done(command)

    def _ask(self, command: Command, request: Request) -> None:
        refusal = self.keeper.request(request)
        if refusal is None:
            self._done(command)
        else:
            self._refuse(command.action, command.id, "refused", refusal)

    def _set(self, command: SetCommand) -> None:
        chosen = {**_table(self._chosen), **command.chosen()}
        cap = self.keeper.device.max_intensity
        if command.intensity is not None and command.intensity > cap:
            why = f"intensity {command.intensity} is above the cap of {cap}"
            self._refuse(command.action, command.id, "limit", why)
            return
        try:
            choice = self._choice(chosen)
        except MassagerError as error:
            self._refuse(command.action, command.id, "bad request", str(error))
            return
        if command.intensity is not None and self.keeper.in_session:
            refusal = self.keeper.request(SetIntensity(command.intensity))
            if refusal is not None:
                self._refuse(command.action, command.id, "refused", refusal)
                return
        self._chosen = _chosen_of(choice)
        self._done(command)
        self.show()

    def _start(self, command: StartCommand) -> None:
        given = {
            "intensity": command.intensity,
            "minutes": command.minutes,
            "warmup": command.warmup,
            "program": command.program,
        }
        known = {key: value for key, value in given.items() if value is not None}
        try:
            choice = self._choice({**_table(self._chosen), **known}, command.shape)
        except MassagerError as error:
            self._turn_away(command.action, command.id, "bad request", str(error))
            return
        if not self._is_busy(command):  # asked for now: a stop that comes next ends it
            starting = self.keeper.start(Order(choice, Origin.MQTT))
            self._errand(command, self._begin(command, starting))

    async def _begin(
        self, command: StartCommand, starting: Coroutine[Any, Any, Started | RefusedStart]
    ) -> None:
        outcome = await starting
        if isinstance(outcome, RefusedStart):  # the event comes by `heard`
            self._refuse(command.action, command.id, outcome.kind.value, outcome.why)
        else:
            self._done(command, session=outcome.session_id)

    async def _clear(self, command: ClearCommand) -> None:
        refusal = await self.keeper.clear()
        if refusal is None:
            self._done(command)
        else:
            self._refuse(command.action, command.id, refusal.kind.value, refusal.why)

    def _is_busy(self, command: Fresh) -> bool:
        """One of a kind at a time."""
        if command.action not in self._errands:
            return False
        self._refuse(command.action, command.id, "busy", "the same is being done already")
        return True

    def _errand(self, command: Fresh, work: Any) -> None:
        """Do what takes time beside everything else."""
        task = asyncio.ensure_future(work)
        self._errands[command.action] = task
        task.add_done_callback(lambda _: self._errands.pop(command.action, None))

    def _choice(self, chosen: dict[str, Any], shape: str | None = None) -> Choice:
        return self.keeper.choice(
            intensity=chosen["intensity"],
            minutes=chosen["minutes"],
            warmup_s=chosen["warmup"],
            shape=shape,
            program=self._program(chosen["program"]),
        )

    def _program(self, name: str) -> str | None:
        """None for the config's own, which may be a file anywhere."""
        return None if name == self._configured else name

    def _may_ask(self) -> bool:
        """Whether one more command is looked at: a flood is dropped, but for its stops."""
        now_s = asyncio.get_running_loop().time()
        more = (now_s - self._allowed_s) * COMMANDS_PER_S
        self._allowed, self._allowed_s = min(float(COMMANDS_PER_S), self._allowed + more), now_s
        if self._allowed < 1:
            if not self._is_flooded:
                _log.warning("%s: a flood of commands; most are dropped", self.keeper.name)
            self._is_flooded = True
            return False
        if self._allowed == COMMANDS_PER_S:  # it is over
            self._is_flooded = False
        self._allowed -= 1
        return True

    # --- what is answered ------------------------------------------------------------------------

    def _done(self, command: Command, **more: Any) -> None:
        known = {key: value for key, value in more.items() if value is not None}
        self._outbox.say(self.topics.reply, reply(command.action, command.id, ok=True, **known))

    def _refuse(self, action: str | None, identifier: str | None, kind: str, why: str) -> None:
        _log.info("%s: %s refused (%s): %s", self.keeper.name, action or "a message", kind, why)
        self._last_error = f"{action}: {why}" if action else why
        self._outbox.say(
            self.topics.reply, reply(action, identifier, ok=False, kind=kind, reason=why)
        )
        self.show(again=True)

    def _turn_away(self, action: str | None, identifier: str | None, kind: str, why: str) -> None:
        """Refuse what never came to the keeper: of a start, it is told here that it was refused."""
        if action == "start":
            self._say("refused", kind=kind, reason=why, message=why, origin=Origin.MQTT.value)
        self._refuse(action, identifier, kind, why)

    def heard(self, event: DaemonEvent) -> None:
        """Something has happened to this device, whoever wanted it."""
        about: dict[str, Any] = {"origin": event.origin.value}
        match event:
            case SessionStarted():
                self._last_error = None
                about |= {"program": event.program, "intensity": event.intensity}
                about |= {"minutes": event.minutes, "simulated": event.simulated}
                about |= {"session": event.session_id}
                text = f"{event.program}, intensity {event.intensity}, {event.minutes:g} min"
                self._say("started", message=text, **about)
            case SessionEnded():
                kind = event_of_end(event.reason)
                self._freshness.stopped(self._now_ms())
                text = f"{event.reason}: {event.detail}" if event.detail else event.reason
                if kind == "aborted":
                    self._last_error = text
                about |= {"reason": event.reason, "detail": event.detail, "message": text}
                about |= {"motor_on_s": round(event.motor_on_ms / 1000)}
                about |= {"output_confirmed": event.output_confirmed, "session": event.session_id}
                self._say(kind, **about)
            case StartRefused():
                self._last_error = event.why
                self._say(
                    "refused", kind=event.kind.value, reason=event.why, message=event.why, **about
                )
        self.show(again=True)

    def _say(self, event: str, **about: Any) -> None:
        if self.serving:
            at = self._now().isoformat(timespec="seconds")
            self._outbox.say(self.topics.event, _json(None, None, event_type=event, at=at, **about))

    # --- what is shown --------------------------------------------------------------------------

    def show(self, *, again: bool = False) -> None:
        """Have the broker hold what is true now."""
        view = self._eye.look(self._chosen, self._last_error)
        phase = view.snapshot.phase
        has_changed = phase != self._seen_phase
        if has_changed and phase in ("stopping", "ended"):
            self._freshness.stopped(self._now_ms())
        self._seen_phase = phase
        if not self.serving:
            return
        if self._discovery:
            self._outbox.keep(self.topics.config, self._announcement())
        self._outbox.keep(self.topics.state, state_payload(view), again=again)
        now_s = asyncio.get_running_loop().time()
        if has_changed or not view.in_session or now_s - self._telemetry_s >= TELEMETRY_S:
            self._telemetry_s = now_s
            self._outbox.keep(self.topics.telemetry, telemetry_payload(view))

    def serve(self, serving: bool) -> None:
        """Whether this daemon is the one that keeps the device."""
        self.serving = serving
        if serving:
            self.show()
        else:
            self._outbox.forget(*self.topics.retained)

    def close(self) -> None:
        """Nobody asks any more. What was begun goes on in the keeper."""
        for task in list(self._errands.values()):
            task.cancel()

    def _announcement(self) -> bytes:
        device = self._described()
        if device != self._announced:
            self._announced = device
            self._config = config_payload(device, self._node, self._announcer)
        return self._config

    def _described(self) -> Announced:
        seen = self.keeper.sighting
        return Announced(
            self.device,
            self.keeper.name,
            self._programs,
            self.keeper.has_feet_sensor,
            None if seen is None else seen.identity.model,
            None if seen is None else seen.identity.is_simulated,
        )

    def _now_ms(self) -> int:
        return _ms_of(self._now())


def _ms_of(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _chosen_of(choice: Choice) -> Chosen:
    return Chosen(
        choice.intensity,
        choice.massage_ms / 60_000,
        choice.warmup_ms / 1000,
        choice.program.name,
    )


def _table(chosen: Chosen) -> dict[str, Any]:
    return {
        "intensity": chosen.intensity,
        "minutes": chosen.minutes,
        "warmup": chosen.warmup,
        "program": chosen.program,
    }
