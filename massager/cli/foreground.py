"""One session in the foreground: joins the controller, its socket, signals, keys and the report.

It decides nothing about the motor. Whatever goes wrong here ends in a soft stop.
"""

import asyncio
import logging
import signal
from typing import Final

from massager.admission import Admission
from massager.api.server import ApiServer
from massager.cli.ending import exit_code_of
from massager.cli.keys import Keys
from massager.cli.reporters import REDRAW_S, Reporter
from massager.controller import Controller
from massager.errors import ExitCode, HistoryUnusable, NoDevice
from massager.history import stamps
from massager.history.writer import END_PATIENCE_S
from massager.plan import Choice
from massager.recording import Recording
from massager.session.model import (
    Ended,
    Extend,
    HardStop,
    Hindrance,
    Pause,
    Permit,
    Request,
    Resume,
    SetIntensity,
    SoftStop,
    Start,
    State,
    Stopping,
    StopReason,
)
from massager.snapshot import Snapshot, snapshot

_log = logging.getLogger(__name__)

_SIGNALS: Final = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.TERMINATED,
}
_LEAVING_S: Final = 0.3  # who has asked three times waits no longer for the disk
_MINUTE_MS: Final = 60_000
_GARBAGE: Final = (
    "something answered that is no massager (a GPS, a modem, another baud rate?); "
    "see `massager devices`"
)


class Foreground:
    """Runs one session to its end. The server asks it as if it were the controller."""

    def __init__(
        self,
        controller: Controller,
        reporter: Reporter,
        keys: Keys | None,
        recording: Recording,
        admission: Admission,
    ) -> None:
        self._controller = controller
        self._reporter = reporter
        self._keys = keys
        self._recording = recording
        self._admission = admission
        self._following: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[None] | None = None
        self._over: Ended | None = None  # an end that the controller does not know of
        self._signals = 0
        self._signal_code: ExitCode | None = None
        self._leave = asyncio.Event()

    # --- for the server -----------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The session's state."""
        return self._over or self._controller.state

    def snapshot(self) -> Snapshot:
        """What a person may see now."""
        return self._controller.snapshot() if self._over is None else snapshot(self._over, 0)

    def request(self, request: Request) -> str | None:
        """What a person wants; None, or why it was refused."""
        now = self.snapshot()
        refusal = self._request(request)
        self._recording.asked(request, refusal, now)
        return refusal

    def _request(self, request: Request) -> str | None:
        if self._opening is not None and isinstance(request, SoftStop | HardStop):
            reason = request.reason
            self._over = Ended(None, reason, "the device was not reached yet", False)
            self._opening.cancel()
            return None
        return self._controller.request(request)

    async def changed(self) -> None:
        """Wait for the next change."""
        await self._controller.changed()

    # --- the run --------------------------------------------------------------------------------

    async def run(self, choice: Choice, server: ApiServer) -> ExitCode:
        """From opening the device to the end, and the exit code of it."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup stays nohup
                loop.add_signal_handler(number, self._on_signal, number)
        if self._keys is not None:
            loop.add_reader(self._keys.fd, self._on_keys)
        await server.open()  # before anything moves: whoever wants to stop it finds it
        try:
            await self._open_and_start(choice)
            await self._watch()
        except Exception:
            _log.exception("the session is stopped, for a fault of this program")
            self.request(SoftStop(StopReason.FAULT, "a fault of this program; see its log"))
            await self._controller.ended()
            raise
        finally:
            await server.close()
            await self._controller.close()
            await self._record_end()
        return self._finish()

    async def _open_and_start(self, choice: Choice) -> None:
        self._opening = asyncio.ensure_future(self._open(choice))
        try:
            await asyncio.wait({self._opening})
            if self._over is None:
                self._opening.result()
        except NoDevice as error:
            self._over = Ended(None, StopReason.NO_HANDSHAKE, str(error), False)
        finally:
            self._opening = None
        if self._over is None:
            refusal = self._controller.start(Start(choice))
            if refusal is not None:
                self._over = Ended(None, StopReason.REFUSED, refusal, False)

    async def _open(self, choice: Choice) -> None:
        """The row comes first, then what is left for it; without one no real device is driven."""
        try:
            spent = await self._recording.begin()
        except HistoryUnusable as error:
            permit = Permit(str(error), 0, hindrance=Hindrance.HISTORY)
        else:
            permit = self._admission.permit(choice, spent, stamps.now())
        self._controller.permit(permit)
        self._following = asyncio.ensure_future(self._recording.follow(self))
        await self._controller.open()

    async def _watch(self) -> None:
        while not isinstance(self.state, Ended) and not self._leave.is_set():
            self._reporter.show(self.snapshot())
            self._tell_of_the_history()
            if self._reporter.broken and not isinstance(self.state, Stopping):
                detail = "nobody reads its output any more"
                self.request(SoftStop(StopReason.SHUTDOWN, detail))
            try:
                await asyncio.wait_for(self._controller.changed(), REDRAW_S)
            except TimeoutError:
                continue

    def _tell_of_the_history(self) -> None:
        for text in self._recording.news(self.snapshot()):
            self._reporter.warn(f"{text[0].upper()}{text[1:]}.")

    async def _record_end(self) -> None:
        """The motor is off, or out of reach: now the disk may take a moment."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        patience_s = _LEAVING_S if self._leave.is_set() else END_PATIENCE_S
        try:
            await self._recording.end(self._last_word(), patience_s)
        except HistoryUnusable as error:
            self._reporter.warn(f"How the session ended is not in the history yet: {error}.")
        self._tell_of_the_history()

    def _finish(self) -> ExitCode:
        ended = self._last_word()
        code = self._signal_code or exit_code_of(ended)
        self._reporter.ended(ended, code)
        return code

    def _last_word(self) -> Snapshot:
        ended = self.snapshot()
        if isinstance(self.state, Stopping):
            detail = "left before the device answered"
            ended = snapshot(Ended(self.state.course, StopReason.EMERGENCY, detail, False), 0)
        elif ended.reason == StopReason.NO_HANDSHAKE and self._controller.bad_frames:
            state = Ended(None, StopReason.NO_HANDSHAKE, _GARBAGE, False)
            ended = snapshot(state, 0)
        return ended

    # --- signals and keys ------------------------------------------------------------------------

    def _on_signal(self, number: signal.Signals) -> None:
        self._signals += 1
        is_ctrl_c = number == signal.SIGINT
        if self._signals == 1:
            if not isinstance(self.state, Stopping | Ended):
                self._signal_code = _SIGNALS[number]
            reason = StopReason.REQUESTED if is_ctrl_c else StopReason.SHUTDOWN
            self.request(SoftStop(reason, "Ctrl-C" if is_ctrl_c else number.name))
            again = "Ctrl-C again" if is_ctrl_c else f"{number.name} again"
            self._reporter.note(f"Stopping softly. {again}: emergency stop.")
        elif self._signals == 2:
            self._signal_code = _SIGNALS[number]
            self.request(HardStop())
            self._reporter.note("Emergency stop. Once more: leave without waiting for the device.")
        else:
            self._leave.set()

    def _on_keys(self) -> None:
        assert self._keys is not None
        try:
            for key in self._keys.read():
                self._on_key(key)
        except EOFError:
            asyncio.get_running_loop().remove_reader(self._keys.fd)

    def _on_key(self, key: str) -> None:
        request = request_of(key, self.snapshot())
        if request is None:
            return
        refusal = self.request(request)
        if refusal is not None:
            self._reporter.refused(refusal)
        else:
            self._reporter.note("1 min more." if isinstance(request, Extend) else "")


def request_of(key: str, now: Snapshot) -> Request | None:
    """What a key asks for."""
    match key:
        case " ":
            return Resume() if now.phase == "paused" else Pause()
        case "+" | "=" | "-" | "_" | "−" if now.intensity is not None:
            return SetIntensity(now.intensity + (1 if key in "+=" else -1))
        case "e":
            return Extend(_MINUTE_MS)
        case "q":
            return SoftStop()
        case "x":
            return HardStop()
        case _:
            return None
