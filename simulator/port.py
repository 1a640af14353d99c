"""The device behind its port: framing, a line with faults, and what a reset does. No I/O.

Bytes go in with `receive` and come out with `data_to_send`; time is an argument, whole device
milliseconds that never go back. The same port stands behind `sim:`, a pty, TCP and MQTT.
"""

from typing import Any, Final

from firmware_protocol.framing import DatagramFraming, Framing, StreamFraming
from firmware_protocol.messages import ResetCause
from simulator.commands import BadRequest, Request, understand
from simulator.device import Device, DeviceConfig, TraceRow
from simulator.kept_rows import KeptRows
from simulator.line import Line, first

BOOT_MS: Final = 300  # from power to the first frame: a boot loader's time
WATCHDOG_MS: Final = 250  # nominal; the chip's own spread keeps it under 500
_BAD_FRAMES_MAX: Final = 65_535
_BOOT_MAX: Final = 65_535
_RESETS: Final = {
    "reboot": (BOOT_MS, ResetCause.POWER_ON),
    "silent_reboot": (0, ResetCause.BROWN_OUT),
    "hang": (WATCHDOG_MS, ResetCause.WATCHDOG),
}


class SimulatedPort:
    """A device and its line, in memory; the same seed and the same calls give the same bytes."""

    def __init__(
        self,
        config: DeviceConfig,
        *,
        seed: int = 0,
        datagrams: bool = False,
        tracing: bool = True,
        boot_id: int = 1,
        now_ms: int = 0,
    ) -> None:
        self.config = config
        self._tracing = tracing
        self._datagrams = datagrams
        self._line = Line(seed, datagrams=datagrams, speed=config.speed)
        self._now_ms = now_ms
        self._rows = KeptRows()
        self._boots_at_ms: int | None = None  # while it is dark or hangs
        self._feet_on = True
        self._device_faults: set[str] = set()
        self._reset_cause = ResetCause.POWER_ON
        self._boot(boot_id, silent=False)

    @property
    def reading(self) -> bool:
        """False: bytes from the host are to be left where they are."""
        return self._line.reading

    @property
    def plugged(self) -> bool:
        """False: the connection is gone."""
        return self._line.plugged

    # --- bytes and time -----------------------------------------------------------------------

    def receive(self, data: bytes, now_ms: int) -> None:
        """Bytes from the host (stream: as they came; datagrams: one message)."""
        self.tick(now_ms)
        self._line.from_host(data, now_ms)
        self._carry(now_ms)

    def tick(self, now_ms: int) -> None:
        """Let everything happen that is due up to `now_ms`, each thing at its own time."""
        while (at_ms := self._next_act_ms()) is not None and self._now_ms < at_ms <= now_ms:
            self._advance(at_ms)
        self._advance(max(now_ms, self._now_ms))

    def data_to_send(self, now_ms: int) -> list[bytes]:
        """The chunks that reach the host now; each is one read of its own."""
        return self._line.due(now_ms)

    def next_deadline_ms(self) -> int | None:
        """When `tick` and `data_to_send` are wanted next, or None."""
        return first(self._next_act_ms(), self._line.next_due_ms())

    def unread_bytes(self) -> int:
        """Bytes from the host that wait because the port is not read (`stop_reading`)."""
        return self._line.unread_bytes()

    def discard_unread(self) -> None:
        """Forget the bytes that wait unread, as flushing a serial port's output does."""
        self._line.discard_unread()

    def line_opened(self) -> None:
        """The host opened the line anew: half a frame from before is forgotten."""
        self._framing.reset()

    def take_trace(self) -> list[TraceRow]:
        """The rows of the motor trace since the last call."""
        return self._rows.take()

    # --- commands and faults ------------------------------------------------------------------

    def command(self, request: object, now_ms: int | None = None) -> dict[str, Any]:
        """Do what a request of `simulator.commands` says, now; the answer says `ok` or `error`."""
        if now_ms is not None:
            self.tick(now_ms)
        try:
            understood = understand(request)
            self._refuse_what_cannot_be(understood)
        except BadRequest as error:
            return {"ok": False, "error": str(error)}
        answer = self._do(understood)
        self._advance(self._now_ms)
        return {"ok": True, **answer}

    def _refuse_what_cannot_be(self, request: Request) -> None:
        self._line.refuse_what_cannot_be(request)
        if not self._tracing and request.value == "trace":
            raise BadRequest("no trace is kept here")
        if request.verb == "feet" and not self.config.feet_sensor:
            raise BadRequest("this device has no feet sensor; start it without --no-feet-sensor")

    def _do(self, request: Request) -> dict[str, Any]:
        match request.verb:
            case "get" if request.value == "status":
                return self._status()
            case "get":
                return {"trace": self._rows.newest(request.whole("last"))}
            case "feet":
                self._feet_on = request.value is True
                self._tell_device_of_feet()
            case "button":
                if self._boots_at_ms is None:
                    self.device.press_button(self._now_ms)
            case _:
                self._fault(request)
        return {}

    def _fault(self, request: Request) -> None:
        if self._line.take_fault(request, self._now_ms):
            return
        match request.value:
            case "none":
                self._line.end_faults(self._now_ms)
                self._device_faults.clear()
                self.device.inject("clear", self._now_ms)
            case fault if fault in _RESETS:
                self._go_down(str(fault))
            case fault:
                self._device_faults.add(str(fault))
                self.device.inject(str(fault), self._now_ms)

    def _status(self) -> dict[str, Any]:
        return {
            "device_id": self.config.device_id,
            "device_ms": self._now_ms,
            "boot": self.device.boot_id,
            "running": self._boots_at_ms is None,
            "state": self.device.state.name.lower(),
            "output": self.device.output_permille,
            "feet": self.device.feet_on if self.config.feet_sensor else None,
            "bad_frames": self._framing.bad_frames,
            "line_faults": self._line.active_faults(),
        }

    # --- power --------------------------------------------------------------------------------

    def _go_down(self, fault: str) -> None:
        """Reset now (the output is 0 at once), or hang (it stays) until the watchdog resets."""
        if fault == "hang" and self._boots_at_ms is not None:
            return  # it is dark, or hangs already
        dark_ms, self._reset_cause = _RESETS[fault]
        if fault == "hang":
            self.device.hang(self._now_ms)
        else:
            self.device.power_off(self._now_ms)
        self._keep_rows()
        if dark_ms:
            self._boots_at_ms = self._now_ms + dark_ms
        else:
            self._boot_anew(silent=True)

    def _boot_anew(self, *, silent: bool) -> None:
        self._boots_at_ms = None
        if self._reset_cause == ResetCause.WATCHDOG:
            self.device.power_off(self._now_ms)
            self._keep_rows()
        self._boot(self.device.boot_id % _BOOT_MAX + 1, silent=silent)

    def _boot(self, boot_id: int, *, silent: bool) -> None:
        self.device = Device(
            self.config,
            boot_id=boot_id,
            reset_cause=self._reset_cause,
            now_ms=self._now_ms,
            tracing=self._tracing,
        )
        self._framing: Framing = DatagramFraming() if self._datagrams else StreamFraming()
        told = self.device.tick(self._now_ms)
        # The world around it does not boot: the feet are where they were, what is broken still is.
        self._tell_device_of_feet()
        for fault in sorted(self._device_faults):
            self.device.inject(fault, self._now_ms)
        self._keep_rows()
        if not silent:
            self._answer(told)

    def _tell_device_of_feet(self) -> None:
        if self._boots_at_ms is None and self.device.feet_on != self._feet_on:
            self.device.set_feet(self._feet_on, self._now_ms)

    # --- one instant --------------------------------------------------------------------------

    def _next_act_ms(self) -> int | None:
        """What happens here by itself; what is on its way to the host changes nothing here."""
        works = self._boots_at_ms is None
        device_ms = self.device.next_deadline_ms() if works else self._boots_at_ms
        return first(device_ms, self._line.next_deadline_ms())

    def _advance(self, at_ms: int) -> None:
        self._now_ms = at_ms
        if self._line.is_replugged(at_ms):
            self._framing.reset()
        if self._boots_at_ms is not None and self._boots_at_ms <= at_ms:
            self._boot_anew(silent=False)
        if self._boots_at_ms is None:
            self._answer(self.device.tick(at_ms))
        self._carry(at_ms)

    def _carry(self, now_ms: int) -> None:
        for chunk in self._line.arrived(now_ms):
            if self._boots_at_ms is not None:
                continue
            for raw in self._framing.receive(chunk):
                self.device.bad_frames = min(self._framing.bad_frames, _BAD_FRAMES_MAX)
                self._answer(self.device.on_frame(raw, now_ms))
            self.device.bad_frames = min(self._framing.bad_frames, _BAD_FRAMES_MAX)
        self._keep_rows()

    def _answer(self, frames: list[bytes]) -> None:
        self._line.to_host(map(self._framing.encode, frames), self._now_ms)

    def _keep_rows(self) -> None:
        if self._tracing and (rows := self.device.take_trace()):
            self._rows.add(rows)
