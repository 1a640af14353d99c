"""What every start has to pass before anything is sent, as the keeper needs it."""

from dataclasses import dataclass
from typing import Protocol

from massager.config_devices import DeviceSettings
from massager.daemon.face import Order, RefusalKind, RefusedStart, Today
from massager.session_model import Terms


class Admission(Protocol):
    """Decides about starts; knows no device but by its settings."""

    async def admit(self, device: DeviceSettings, order: Order) -> Terms | RefusedStart:
        """The terms under which `order` may start on `device` now, or why it may not."""

    def today(self) -> Today:
        """What the dose limits leave."""


@dataclass(frozen=True, slots=True)
class CapsOnly:
    """Nothing but the person's own cap. `speed` is that of simulated devices."""

    speed: int = 1

    async def admit(self, device: DeviceSettings, order: Order) -> Terms | RefusedStart:
        """Refused above the cap of the device and the person."""
        if order.choice.intensity > device.max_intensity:
            why = (
                f"intensity {order.choice.intensity} is above the cap of {device.max_intensity} "
                "(max_intensity in the config)"
            )
            return RefusedStart(RefusalKind.LIMIT, why)
        return Terms(self.speed, device.device_id, device.max_intensity)

    def today(self) -> Today:
        """Nothing is counted."""
        return Today()
