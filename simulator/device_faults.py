"""The device's own protection: from what the sensors read to fault bits. Pure; once per grid step.

It only says what is wrong, as bits of `Fault`. Output 0 and the latch are the device's.
"""

from typing import Final

from firmware_protocol.limits import (
    CEILING_RISE_PERMILLE_S,
    GATE_RISE_PERMILLE_S,
    STALL_MS,
    STUCK_ON_MS,
)
from firmware_protocol.messages import Fault
from simulator.gate import Motion
from simulator.physics import STEP_MS, Motor

HOT_DC: Final = 700  # 70.0 °C: 15 K above what a long run at full output reaches
SENSOR_LOW_DC: Final = -200  # outside −20…+120 °C the sensor is broken, not the motor
SENSOR_HIGH_DC: Final = 1_200
OVER_CURRENT_MA: Final = 1_800  # a blocked rotor draws 1,260 mA and is told as a stall
SPIN_DOWN_MS: Final = 500  # from full speed to rest takes 400 ms

TRACE_WORD: Final = {
    Fault.OVER_TEMPERATURE: "over_temperature",
    Fault.OVER_CURRENT: "over_current",
    Fault.STALL: "stall",
    Fault.STUCK_ON: "stuck_on",
    Fault.SENSOR: "sensor",
    Fault.INTERNAL: "internal",
}


class Protection:
    """Watches one motor; counts what must last before it is a fault."""

    def __init__(self) -> None:
        self._blocked_ms = 0
        self._off_ms = SPIN_DOWN_MS  # at boot the motor has been off
        self._stuck_on_ms = 0

    def step(self, motor: Motor, output_permille: int) -> int:
        """What is wrong at this step of the grid, given the output up to it."""
        found = _readings(motor)
        if output_permille:
            self._off_ms = self._stuck_on_ms = 0
            self._blocked_ms = 0 if motor.is_moving else self._blocked_ms + STEP_MS
            if self._blocked_ms >= STALL_MS:
                found |= Fault.STALL
        else:
            self._blocked_ms = 0
            stuck = self._off_ms >= SPIN_DOWN_MS and motor.is_moving
            self._stuck_on_ms = self._stuck_on_ms + STEP_MS if stuck else 0
            self._off_ms = min(SPIN_DOWN_MS, self._off_ms + STEP_MS)
            if self._stuck_on_ms >= STUCK_ON_MS:
                found |= Fault.STUCK_ON
        return found

    def causes(self, motor: Motor) -> int:
        """What is still wrong, so that a latch cannot be cleared yet. Call it at output 0."""
        found = _readings(motor)
        if motor.is_moving:
            found |= Fault.STUCK_ON
        return found


def _readings(motor: Motor) -> int:
    found = 0
    temperature_dc = motor.temperature_dc
    if not SENSOR_LOW_DC <= temperature_dc <= SENSOR_HIGH_DC:
        found |= Fault.SENSOR
    elif temperature_dc >= HOT_DC:
        found |= Fault.OVER_TEMPERATURE
    if motor.current_ma >= OVER_CURRENT_MA:
        found |= Fault.OVER_CURRENT
    return found


def gate_breach(
    before: Motion, after: Motion, passed_ms: int, gentlest_permille: int, max_permille: int
) -> bool:
    """Whether the gate broke its own rules in a piece of time that ended at its first change.

    Not for a fall, which may leave the ceiling behind.
    """
    if after.output == 0:
        return False
    if after.output > min(after.ceiling, max_permille * 1000):
        return True
    if before.output == 0:
        return after.output != gentlest_permille * 1000
    return (
        after.ceiling > before.ceiling + CEILING_RISE_PERMILLE_S * passed_ms
        or after.output > before.output + GATE_RISE_PERMILLE_S * passed_ms
    )
