"""The judge: the safety invariants restated over the device's own motor trace, with literals.

It believes nobody's opinion: not the controller's, and of the device only what its motor got and
which commands it took. Levels in ‰, times in ms of the device. It imports no limit from anywhere,
so a limit that is changed by mistake is found here.
"""

from collections.abc import Iterable
from typing import Final

from simulator.device import TraceRow

GENTLEST: Final = 150
COMMANDS: Final = frozenset({"identify", "get_limits", "get_status", "clear", "repeat"})
QUIET: Final = frozenset({"tick", "gate", "rest_over"}) | COMMANDS
AT_ONCE: Final = frozenset(
    {
        "emergency_stop",
        "stall",
        "stuck_on",
        "over_temperature",
        "over_current",
        "sensor",
        "internal",
        "reboot",
    }
)
# To a lower cap: the way down, a late tick; on a bad line the lease, its fall and 1 s of delay.
CAP_FALL_MS: Final = 6_250
# What ends a session, and how long the fall may then take.
FALLS: Final = {
    "stop": 2_000,
    "button": 2_000,
    "taken_over": 2_000,
    "run_limit": 2_000,
    "lease_expired": 1_000,
}


class Judge:
    """Sees a trace row by row; `violations` says what was wrong, each with its invariant.

    `cap_permille` is the least of the caps that hold; `gentlest` the device's; `sitting_ms` how
    long the motor may be on in one run of the controller (None: more than one was seen).
    """

    _boot: int | None
    _last: TraceRow | None
    _zero_by_ms: int | None
    _lease_end_ms: int | None

    def __init__(
        self,
        *,
        cap_permille: int = 1000,
        gentlest: int = GENTLEST,
        sitting_ms: int | None = 780_000,
    ) -> None:
        self.violations: list[str] = []
        self._caps = [(0, cap_permille)]
        self._gentlest = gentlest
        self._sitting_ms = sitting_ms
        self._sitting_on_ms = 0
        self._run_on_ms = 0
        self._off_ms = 60_000
        self._last = None
        self._boot = None
        self._forget_session()
        self._forget_boot()

    @property
    def motor_on_ms(self) -> int:
        """Since the judge was made or `new_sitting` was called."""
        return self._sitting_on_ms

    def new_sitting(self, cap_permille: int) -> None:
        """Another run of the controller begins."""
        self._sitting_on_ms = 0
        self._caps = [(0, cap_permille)]

    def cap_from(self, at_ms: int, cap_permille: int) -> None:
        """From then on another cap holds, higher or lower than before; in the order of time."""
        self._caps.append((at_ms, cap_permille))

    def see(self, row: TraceRow) -> None:
        """Judge one more row."""
        if row.why == "boot":
            self._forget_session()
            self._forget_boot()
            self._boot = row.boot
        elif row.boot != self._boot:
            self._guilty(row, f"I10: boot {row.boot} was not seen to begin")
        self._take_command(row)
        self._judge_time(row)
        self._judge_level(row)
        self._judge_rise(row)
        self._judge_end(row)
        if row.output == 0:
            self._zero_by_ms = None
        self._last = row

    def until(self, now_ms: int) -> None:
        """Judge the silence between the last row and `now_ms`."""
        last = self._last
        if last is not None and last.output and not self._hangs and now_ms - last.device_ms > 100:
            self._guilty(last, "trace: the motor is on and no row says so for more than 100 ms")

    # --- what was seen ------------------------------------------------------------------------

    def _forget_boot(self) -> None:
        self._hangs = False
        self._needs_zero = False  # feet were lifted: a setpoint of 0 must come with them back
        self._feet_off = False
        self._zero_by_ms = None
        self._zero_why = ""
        self._earned = self._gentlest * 1000 + 999
        self._reachable = self._earned
        self._on_since_ms = 0

    def _forget_session(self) -> None:
        self._token = 0  # issued in this boot and not void
        self._may_rise = False
        self._lease_end_ms = None
        self._set_ms = 0

    def _guilty(self, row: TraceRow, text: str) -> None:
        self.violations.append(f"{text} (at {row.device_ms} ms, boot {row.boot}: {row.why})")

    def _must_be_zero_by(self, at_ms: int, why: str) -> None:
        if self._zero_by_ms is None or at_ms < self._zero_by_ms:
            self._zero_by_ms, self._zero_why = at_ms, why

    def _take_command(self, row: TraceRow) -> None:
        now_ms, why = row.device_ms, row.why
        if why == "hello":
            self._forget_session()
            self._token = row.token
            if row.token == 0 or row.token >> 8 != row.boot & 0xFF:
                self._guilty(row, f"I1: token {row.token} is not one of boot {row.boot}")
            self._must_be_zero_by(now_ms + 2_000, "I11: a new owner")
        elif why == "set_level":
            self._take_setpoint(row)
        elif why in FALLS:
            self._forget_session()
            self._must_be_zero_by(now_ms + FALLS[why], f"I8: {why}")
        elif why in AT_ONCE:
            self._forget_session()
            self._must_be_zero_by(now_ms - 1, f"I8: {why}")
        elif why == "feet_lifted":
            self._may_rise, self._needs_zero, self._feet_off = False, True, True
            self._must_be_zero_by(now_ms + 2_000, "I10: feet_lifted")
        elif why == "feet_back":
            self._feet_off = False
        elif why == "hang":
            self._hangs = True
        elif why not in QUIET and why != "boot":
            self._guilty(row, f"trace: unknown word {why!r}")

    def _take_setpoint(self, row: TraceRow) -> None:
        if self._token == 0 or row.token != self._token:
            self._guilty(row, "I8: a setpoint was taken without a start after the last end")
        if not 500 <= row.lease_left <= 5_000:
            self._guilty(row, f"I7: a lease of {row.lease_left} ms was granted")
        self._lease_end_ms = row.device_ms + row.lease_left
        self._set_ms = row.device_ms
        if row.setpoint == 0 and not self._feet_off:
            self._needs_zero = False
        if row.setpoint and self._needs_zero:
            self._guilty(row, "I10: a setpoint above 0 was taken after the feet were lifted")
        self._may_rise = row.setpoint >= self._gentlest and not self._needs_zero

    # --- judging --------------------------------------------------------------------------------

    def _judge_time(self, row: TraceRow) -> None:
        last = self._last
        if last is None:
            return
        passed_ms = row.device_ms - last.device_ms
        if passed_ms < 0:
            self._guilty(row, "trace: time went back")
        if last.output:
            if passed_ms > 100 and not (self._hangs and passed_ms <= 500):
                self._guilty(row, "trace: the motor is on and no row says so for more than 100 ms")
            self._sitting_on_ms += passed_ms
            self._run_on_ms += passed_ms
            self._off_ms = 0
        else:
            self._off_ms += passed_ms
            if self._off_ms >= 60_000:
                self._run_on_ms = 0
        if self._sitting_ms is not None and self._sitting_on_ms > self._sitting_ms:
            self._guilty(row, f"I5: the controller ran the motor for {self._sitting_on_ms} ms")
        # 15 min, and at most 1.7 s of the fall from full strength after them
        if self._run_on_ms > 901_700:
            self._guilty(row, f"I5: the device ran the motor for {self._run_on_ms} ms")

    def _judge_level(self, row: TraceRow) -> None:
        output = row.output
        if not output:
            return
        cap = self._cap_lately(row.device_ms)
        if output > cap:
            self._guilty(row, f"I4: output {output} is above the cap {cap}")
        if output < self._gentlest:
            self._guilty(row, f"I2: output {output} is below the gentlest {self._gentlest}")
        if row.state in ("idle", "ready", "resting", "latched"):
            self._guilty(row, f"I1: output {output} in state {row.state}")
        if row.state == "stopping":
            return
        if row.token == 0 or row.token != self._token:
            self._guilty(row, f"I1: output {output} with token {row.token}, issued {self._token}")
        if output > row.setpoint and row.device_ms > self._set_ms:
            self._guilty(row, f"I4: output {output} is above the setpoint {row.setpoint}")
        if output > row.ceiling:
            self._guilty(row, f"I3: output {output} is above its ceiling {row.ceiling}")

    def _cap_lately(self, now_ms: int) -> int:
        """The highest that held at any moment of the last 6.25 s."""
        ends = [at_ms for at_ms, _ in self._caps[1:]]
        lately = zip(self._caps, [*ends, now_ms + 1], strict=True)
        return max(
            cap
            for (from_ms, cap), to_ms in lately
            if from_ms <= now_ms and to_ms > now_ms - CAP_FALL_MS
        )

    def _judge_rise(self, row: TraceRow) -> None:
        before = self._last
        if row.output == 0 or before is None:
            return
        passed_ms = row.device_ms - before.device_ms
        if before.output == 0:
            self._earned = self._reachable = self._gentlest * 1000 + 999
            self._on_since_ms = row.device_ms
            if row.output != self._gentlest:
                self._guilty(row, f"I2: the first level after off was {row.output}")
        else:
            # Exact for every pair of rows: the least of what each earlier row allows by now.
            self._earned += 25 * passed_ms
            self._reachable += 500 * passed_ms
        if row.output > before.output and not self._may_rise:
            self._guilty(row, f"I8: output rose {before.output} → {row.output} without permission")
        if row.ceiling * 1000 > self._earned:
            self._guilty(row, f"I3: the ceiling {row.ceiling} was not earned")
        if row.output * 1000 > self._reachable:
            self._guilty(row, f"I3: output jumped {before.output} → {row.output}")
        longest = self._gentlest * 1000 + 25 * (row.device_ms - self._on_since_ms)
        if row.output * 1000 > longest:
            self._guilty(row, f"I3: output {row.output} came too soon after off")
        self._earned = min(self._earned, row.ceiling * 1000 + 999)
        self._reachable = min(self._reachable, row.output * 1000 + 999)

    def _judge_end(self, row: TraceRow) -> None:
        if row.output == 0:
            return
        if self._zero_by_ms is not None and row.device_ms > self._zero_by_ms:
            self._guilty(row, f"{self._zero_why}: output {row.output} after its time to fall")
        if self._lease_end_ms is None or row.device_ms <= self._lease_end_ms:
            return
        if row.state != "stopping" or row.device_ms > self._lease_end_ms + 1_000:
            self._guilty(row, f"I7: output {row.output} after the lease")


def check_trace(
    rows: Iterable[TraceRow],
    *,
    cap_permille: int = 1000,
    gentlest: int = GENTLEST,
    sitting_ms: int | None = 780_000,
    until_ms: int | None = None,
) -> list[str]:
    """What is wrong with a whole trace; empty where nothing is. `until_ms` is when it ended."""
    judge = Judge(cap_permille=cap_permille, gentlest=gentlest, sitting_ms=sitting_ms)
    for row in rows:
        judge.see(row)
    if until_ms is not None:
        judge.until(until_ms)
    return judge.violations
