"""`tests.world.World` around the C core as a library: the same rules without the chip."""

from typing import Any

from firmware_protocol.messages import ResetCause
from massager.session.model import Permit, Terms
from massager.transports.memory import MemoryTransport
from simulator.device import DeviceConfig, TraceRow
from simulator.firmware.core import HostCore
from tests.world import World


class CorePort:
    """The core behind a stream, as `MemoryTransport` wants it."""

    plugged = True

    def __init__(self, core: HostCore) -> None:
        self.core = core
        self._out: list[bytes] = []

    def line_opened(self) -> None:
        self.core.line_opened()

    def receive(self, data: bytes, now_ms: int) -> None:
        self.tick(now_ms)
        self.core.receive(data)
        self._take()

    def tick(self, now_ms: int) -> None:
        self.core.advance(now_ms - self.core.now_ms)  # a reset took it ahead of this clock
        self._take()

    def data_to_send(self, now_ms: int) -> list[bytes]:
        out, self._out = self._out, []
        return out

    def next_deadline_ms(self) -> int:
        return self.core.now_ms + 20

    def unread_bytes(self) -> int:
        return 0

    def discard_unread(self) -> None:
        """There are none."""

    def command(self, request: object, now_ms: int | None = None) -> dict[str, Any]:
        if now_ms is not None:
            self.tick(now_ms)
        match request:
            case {"feet": bool(on)}:
                self.core.set_feet(on)
            case {"button": "press"}:
                self.core.press_button()
            case {"fault": "reboot"}:
                self.core.reboot(ResetCause.POWER_ON, 300)
            case {"fault": str(fault)} if fault != "unplug":
                self.core.inject("clear" if fault == "none" else fault)
        return {"ok": True}

    def _take(self) -> None:
        self._out += map(self.core.on_a_stream, self.core.take_frames())


class CoreWorld(World):
    """See `World`; `device(…)` knows feet, button, `reboot` and what breaks the motor."""

    def __init__(self) -> None:
        super().__init__(terms=Terms(permit=Permit()))  # the device is a real one

    def _connect(self, seed: int, datagrams: bool) -> None:
        self.core_port = CorePort(HostCore(DeviceConfig()))
        self.memory = MemoryTransport(self.core_port)

    def _transport(self) -> MemoryTransport:
        return self.memory

    @property
    def output(self) -> int:
        return self.core_port.core.output_permille

    def device(self, **request: Any) -> None:
        self.memory.command(request)

    def _new_rows(self) -> list[TraceRow]:
        return self.core_port.core.take_trace()

    def _device_ms(self) -> int:
        return self.core_port.core.now_ms
