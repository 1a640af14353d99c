"""One controller, its device and a judge in virtual time, driven from outside.

    with World(seed=7) as world:
        world.start(intensity=6)
        world.run(60)
        world.request(Pause())

Everything that may go wrong is a word of `world.device(…)` (see docs/SIMULATOR.md), `unplug`,
`freeze` or `foreign`. `check` asks the judge, and compares what the controller says with what the
device did. The same seed and the same calls give the same trace.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Coroutine
from dataclasses import astuple
from types import TracebackType
from typing import Any, Self, TypeVar

from firmware_protocol.codec import encode
from firmware_protocol.framing import DatagramFraming, Framing, StreamFraming
from firmware_protocol.messages import Command
from massager.controller import Controller
from massager.errors import NoDevice
from massager.plan import Choice, Levels, Shape, level_of
from massager.programs import load_program
from massager.session.model import (
    Ended,
    Paused,
    PauseReason,
    Request,
    Start,
    State,
    Stopping,
    StopReason,
    Terms,
)
from massager.snapshot import Snapshot
from massager.transports.interface import Transport
from massager.transports.memory import MemoryTransport
from simulator.device import DeviceConfig, TraceRow
from simulator.port import SimulatedPort
from simulator.virtual_time import VirtualLoop
from tests.invariants import Judge

_T = TypeVar("_T")


def choice(
    intensity: int = 6,
    massage_ms: int = 480_000,
    warmup_ms: int = 90_000,
    shape: Shape = Shape.LINEAR,
    program: str = "classic",
) -> Choice:
    return Choice(intensity, massage_ms, warmup_ms, shape, load_program(program))


class Recording(MemoryTransport):
    """The memory transport; what was written is known afterwards."""

    written: deque[bytes]

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        self.written.append(data)
        super().write(data, urgent=urgent)


class World:
    """See the file. Levels in ‰; times in s where a person waits, in ms on the device's clock."""

    def __init__(
        self,
        *,
        seed: int = 0,
        datagrams: bool = False,
        config: DeviceConfig | None = None,
        terms: Terms | None = None,
        sitting_ms: int | None = 780_000,
    ) -> None:
        self.loop = VirtualLoop()
        self.config = config or DeviceConfig()
        self.terms = terms or Terms(speed=self.config.speed)
        self._connect(seed, datagrams)
        self.framing: Framing = DatagramFraming() if datagrams else StreamFraming()
        self.rows: list[TraceRow] = []
        self.judge = Judge(
            gentlest=self.config.gentlest_permille,
            cap_permille=self.config.max_permille,
            sitting_ms=sitting_ms,
        )
        self._ran_ms = 0
        self._is_ours = True
        self._tell_caps()
        self._nonce = 1000 * seed
        self.line_delay_ms = 0
        self.intruded = False
        self.controller = self.await_(self._new_controller())

    def _connect(self, seed: int, datagrams: bool) -> None:
        self.port = SimulatedPort(self.config, seed=seed, datagrams=datagrams)
        self.transport = Recording(self.port, self.config.speed, datagrams=datagrams)
        self.transport.written = deque(maxlen=100)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything; a task or a timer that the controller left behind is an error."""
        self.await_(self.controller.close())
        left = [task for task in asyncio.all_tasks(self.loop) if not task.done()]
        self.loop.close()
        assert not left, left

    def _tell_caps(self) -> None:
        """A controller that begins now has a permit that was made now."""
        for cap in self.terms.permit.caps if self.terms.as_real else ():
            levels = Levels(self.config.gentlest_permille, self.config.max_permille)
            at_ms = self.now_ms + cap.from_ms * self.terms.speed
            self.judge.cap_from(at_ms, level_of(cap.max_intensity, levels))

    # --- time ------------------------------------------------------------------------------------

    def await_(self, what: Coroutine[Any, Any, _T]) -> _T:
        return self.loop.run_until_complete(what)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.await_(asyncio.sleep(seconds))
        self._take_rows()

    def freeze(self, seconds: float) -> None:
        """The host stands still; the device and the world go on."""

        async def stand_still() -> None:
            self.loop.now_ns += round(seconds * 1_000_000_000)

        self.await_(stand_still())
        self.run(0)

    @property
    def now_ms(self) -> int:
        """The device's clock; the controller's has the same zero."""
        return round(self.loop.time() * 1000 * self.config.speed)

    def run_until_ended(self, seconds: float = 1000) -> Ended:
        async def wait() -> Ended:
            async with asyncio.timeout(seconds):
                return await self.controller.ended()

        ended = self.await_(wait())
        self._take_rows()
        return ended

    # --- the controller --------------------------------------------------------------------------

    async def _new_controller(self) -> Controller:
        controller = Controller(self._transport(), self.terms, nonce=self._next_nonce)
        await controller.open()
        return controller

    def _transport(self) -> Transport:
        return self.transport

    def _next_nonce(self) -> int:
        self._nonce += 1
        return self._nonce

    def renew(self) -> bool:
        """Another controller in place of this one. Whether the device could be opened."""
        self.await_(self.controller.close())
        self._take_rows()
        self.judge.new_sitting(self.config.max_permille)
        self._ran_ms, self._is_ours = 0, self.output == 0
        self._tell_caps()
        try:
            self.controller = self.await_(self._new_controller())
        except NoDevice:
            return False
        return True

    @property
    def state(self) -> State:
        return self.controller.state

    @property
    def seen(self) -> Snapshot:
        """What a person sees."""
        return self.controller.snapshot()

    def is_in(self, *states: type[Any]) -> bool:
        """Whether the session is in one of these states."""
        return isinstance(self.state, states)

    @property
    def link_is_lost(self) -> bool:
        """Whether the session waits for its link."""
        return isinstance(self.state, Paused) and self.state.link_lost_ms is not None

    @property
    def reason(self) -> StopReason | PauseReason | None:
        """Why it is paused, stopping or ended."""
        match self.state:
            case Paused(why=why):
                return why
            case Stopping(reason=reason) | Ended(reason=reason):
                return reason
        return None

    def request(self, request: Request) -> str | None:
        answer = self.controller.request(request)
        self._take_rows()
        return answer

    def start(self, intensity: int = 6, **other: Any) -> str | None:
        return self.request(Start(choice(intensity, **other)))

    def start_and_run(self, seconds: float, intensity: int = 6, **other: Any) -> None:
        """A session, `seconds` after its first movement."""
        assert self.start(intensity, **other) is None
        while self.output == 0:
            self.run(0.001)
        self.run(seconds)

    # --- the device and what happens to it -------------------------------------------------------

    @property
    def output(self) -> int:
        return self.port.device.output_permille

    def device(self, **request: Any) -> None:
        """One request of the simulator's control."""
        answer = self.transport.command(request)
        assert answer["ok"], answer
        if request.get("fault") == "delay":
            delay_ms = request["ms"] + request.get("jitter_ms", 0)
            self.line_delay_ms = max(self.line_delay_ms, delay_ms)
        self._take_rows()

    def foreign(self, command: Command, token: int = 0, sequence: int = 1) -> None:
        """Another host on the same line."""
        self.intrude(self.framing.encode(encode(command, sequence, token)))

    def intrude(self, data: bytes) -> None:
        """Bytes on the line that are not this controller's."""
        self.intruded = True
        self.transport.write(data)
        self._take_rows()

    # --- judging ---------------------------------------------------------------------------------

    def _take_rows(self) -> None:
        for row in self._new_rows():
            self.judge.see(row)
            if self.rows and self.rows[-1].output and self._is_ours:
                self._ran_ms += row.device_ms - self.rows[-1].device_ms
            self._is_ours = self._is_ours or row.output == 0
            self.rows.append(row)

    @property
    def ran_ms(self) -> int:
        """How long the motor ran for this controller; what still fell before it is not its own."""
        return self._ran_ms

    def _new_rows(self) -> list[TraceRow]:
        return self.port.take_trace()

    def _device_ms(self) -> int:
        return int(self.port.command({"get": "status"})["device_ms"])

    def check(self) -> list[str]:
        """What is wrong so far."""
        self._take_rows()
        self.judge.until(self._device_ms())
        return [
            *self.judge.violations,
            *self._lies(),
            *self._wrong_words(),
            *self._counted_too_little(),
        ]

    def _counted_too_little(self) -> list[str]:
        """I5: motor-on time that nobody counts could be had again."""
        if not isinstance(self.state, Ended) or self.state.course is None:
            return []
        counted_ms = self.seen.motor_on_ms
        if not self.state.output_confirmed:  # as the dose takes it
            counted_ms += 3_500 if self.config.speed == 1 else 6_000 + 1_000 * self.config.speed
        if counted_ms + self.config.speed - 1 >= self._ran_ms:  # the clocks tick so far apart
            return []
        return [f"I5: the motor ran for {self._ran_ms} ms, and {counted_ms} are counted"]

    def _wrong_words(self) -> list[str]:
        """An end that cannot be true."""
        state = self.state
        if not isinstance(state, Ended | Stopping):
            return []
        if "internal error" in state.detail:
            return ["the controller failed with an internal error"]
        if "was above" in state.detail:
            return ["the output was never above what was allowed"]
        if state.reason is StopReason.TAKEN_OVER and not self.intruded:
            return ["nobody took the device over"]
        if state.reason is StopReason.WRONG_DEVICE:
            return ["the device was not another one"]
        return []

    def _lies(self) -> list[str]:
        """I13: an output that is shown was true within the last 3 s; 0 at the end is 0 now."""
        shown = self.seen.output_permille
        state = self.state
        lies = []
        if isinstance(state, Ended) and state.output_confirmed and shown not in (0, None):
            lies.append(f"I13: confirmed, and yet {shown} is shown")
        if shown is None or (isinstance(state, Ended) and state.output_confirmed):
            return lies
        oldest_ms = self.now_ms - 3_000 * self.terms.patience - 2 * self.line_delay_ms - 1
        for row in reversed(self.rows):
            if row.output == shown:
                return lies
            if row.device_ms < oldest_ms:
                break
        return [*lies, f"I13: output {shown} is shown, and was not true since {oldest_ms} ms"]

    def trace_hash(self) -> str:
        """The same for the same seed and the same calls."""
        digest = hashlib.sha256()
        for row in self.rows:
            digest.update(repr(astuple(row)).encode())
        return digest.hexdigest()[:16]
