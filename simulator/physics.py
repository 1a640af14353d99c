"""What the simulated motor does and what the sensors read. Pure: one call per step of a fixed grid.

It knows nothing of sessions or rules, and all of it is integers, so that the same history always
gives the same readings.
"""

from typing import Final

STEP_MS: Final = 100  # the grid: fine enough for 300 ms of protection, coarse enough to be cheap

AMBIENT_UC: Final = 25_000_000  # 1/1000000 °C
HEAT_AT_FULL_UC: Final = 30_000_000  # 55 °C after a long run at full output, 15 K below the trip
HEAT_STEPS: Final = 3_000  # time constant 300 s: the motor of a small massager
SETTLED_UC: Final = 50_000  # half of what the sensor can tell apart

SPIN_PERMILLE: Final = 250  # a step: 0 to full speed in 400 ms, and back
MOVING_PERMILLE: Final = 20  # below it the motion sensor sees nothing

CURRENT_TURNING_MA: Final = 60  # friction; the load comes on top
CURRENT_PER_PERMILLE_UA: Final = 540  # 600 mA at full output
CURRENT_BLOCKED_PER_PERMILLE_UA: Final = 1_200  # a blocked rotor at full output: 1,260 mA
CURRENT_SHORTED_MA: Final = 2_500

HEATED_DC: Final = 900  # 90.0 °C, tenths
SENSOR_RAIL_DC: Final = -400  # what a broken wire reads


class Motor:
    """Motor, driver and sensors. `faults` names what is wrong with them now."""

    FAULTS: Final = frozenset({"stall", "overheat", "stuck_sensor", "stuck_on", "over_current"})

    def __init__(self, gentlest_permille: int) -> None:
        self.faults: set[str] = set()
        self.speed_permille = 0
        self._stall_zone_permille = gentlest_permille  # below it there is too little torque
        self._driven_permille = 0
        self._temperature_uc = AMBIENT_UC

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing would change by itself: standing, cool and sound."""
        return (
            not self.faults
            and self.speed_permille == 0
            and self._driven_permille == 0
            and self._temperature_uc == AMBIENT_UC
        )

    @property
    def is_moving(self) -> bool:
        """What the motion sensor says."""
        return self.speed_permille >= MOVING_PERMILLE

    @property
    def temperature_dc(self) -> int:
        """What the temperature sensor reads, 0.1 °C."""
        if "stuck_sensor" in self.faults:
            return SENSOR_RAIL_DC
        if "overheat" in self.faults:
            return HEATED_DC
        return self._temperature_uc // 100_000

    @property
    def current_ma(self) -> int:
        """What the current sensor reads, mA."""
        if "over_current" in self.faults:
            return CURRENT_SHORTED_MA
        if self._driven_permille == 0:
            return 0
        blocked = not self.is_moving
        per_permille = CURRENT_BLOCKED_PER_PERMILLE_UA if blocked else CURRENT_PER_PERMILLE_UA
        return CURRENT_TURNING_MA + self._driven_permille * per_permille // 1000

    def step(self, output_permille: int) -> None:
        """One step of the grid, with this output."""
        driven = 1000 if "stuck_on" in self.faults else output_permille
        self._driven_permille = driven
        self._spin(driven)
        self._heat(driven)

    def _spin(self, driven_permille: int) -> None:
        if "stall" in self.faults:
            self.speed_permille = 0
            return
        target = driven_permille if driven_permille >= self._stall_zone_permille else 0
        self.speed_permille = linear(self.speed_permille, target, SPIN_PERMILLE)

    def _heat(self, driven_permille: int) -> None:
        target = AMBIENT_UC + HEAT_AT_FULL_UC * driven_permille // 1000
        missing = target - self._temperature_uc
        if -SETTLED_UC < missing < SETTLED_UC:
            self._temperature_uc = target
        else:
            self._temperature_uc += missing // HEAT_STEPS


def linear(current: int, target: int, step: int) -> int:
    """`current` moved towards `target` by at most `step`; never past it."""
    if current < target:
        return min(target, current + step)
    return max(target, current - step)
