"""The controller's own limits, no looser than the device's: unit in the name, reason beside it.

Pure. A value outside its range is refused with the range in the message, never clamped.
The device keeps its own limits (`firmware_protocol/limits.py`) whatever a host asks.
"""

from typing import Final

from firmware_protocol.limits import LEASE_DEFAULT_MS, LEASE_SIMULATED_SPEED_MS

# --- what a person may choose ------------------------------------------------------------

INTENSITY_MIN: Final = 1
INTENSITY_MAX: Final = 10
PROGRAM_DEFAULT: Final = "classic"
INTENSITY_DEFAULT: Final = 3  # in the gentle third: stronger is a choice, not a surprise

MASSAGE_MIN_MS: Final = 300_000  # published foot routines last 5 to 10 min
MASSAGE_MAX_MS: Final = 600_000  # also the end of every extension
EXTEND_MAX_MIN: Final = 5  # 5 min of massage at least, 10 at most
MASSAGE_DEFAULT_MS: Final = 480_000

WARMUP_MIN_MS: Final = 60_000  # a shorter one would rise faster than the gentle rate
WARMUP_MAX_MS: Final = 120_000
WARMUP_DEFAULT_MS: Final = 90_000

# --- how a session moves -----------------------------------------------------------------

GENTLE_RISE_MS: Final = 60_000  # gentlest to max when resuming, raising and after `hold`
GENTLE_RATE_MAX_PERMILLE_S: Final = 20  # below the 25 ‰/s at which the device's ceiling rises
LOWER_MS_PER_PERMILLE: Final = 2  # weaker is wanted now: 2 s over the full range
SOFT_END_MS: Final = 10_000  # so that the silence does not wake a sleeper
QUIET_AHEAD_MS: Final = 21_600_000  # how far ahead a session knows its caps; then the lowest
CAP_FALL_MS: Final = 2_500  # from full strength to a cap that begins, after at most two ticks
PAUSE_FALL_MS: Final = 2_000  # from full strength, at the device's 500 ‰/s

# --- how long a session may wait ---------------------------------------------------------

PREFLIGHT_MS: Final = 120_000  # for the feet, before the warm-up; then nobody is there
FEET_BACK_MS: Final = 60_000  # feet put back within it resume; later a person resumes
PAUSE_LIMIT_MS: Final = 300_000  # a forgotten pause ends by itself
LINK_BACK_MS: Final = 10_000  # a link lost for longer ends the session
LINK_RETRY_MS: Final = 250  # real time between two tries to open a lost link
ARMING_MAX_MS: Final = 8_000  # 3 s of HELLO, and what ran before falls for up to 2 s
LOOK_AGAIN_MS: Final = 50  # a status this young is not asked for again because of an event
SILENT_MS: Final = (
    1_500  # while it is watched coming to rest, the device answers ten times a second
)
OFF_JUDGED_MS: Final = 1_000  # at output 0 the device knows after 800 ms whether the motor obeys
OFF_CURRENT_MA: Final = 50  # at output 0 a motor draws nothing: more is looked at again
STOP_CONFIRM_MS: Final = 5_000  # the lease and its fall take 2.5 s; then the output is unknown
LEASE_FALL_MS: Final = 1_000  # from full strength, at the device's 1000 ‰/s, after the lease
UNHEARD_MS: Final = 1_000  # real time: what a kill leaves unwritten; a late setpoint and its repeat
STOP_ESCALATE_MS: Final = 3_000  # a soft stop falls in 2 s; after this it becomes an emergency stop


def lease_ms(speed: int) -> int:
    """The lease that goes with each setpoint, ms of device time; `speed` is 1…20."""
    return LEASE_DEFAULT_MS if speed == 1 else LEASE_SIMULATED_SPEED_MS


def unseen_end_ms(speed: int = 1) -> int:
    """How long a motor may turn, ms of device time, after it was last heard or written of."""
    return UNHEARD_MS * speed + lease_ms(speed) + LEASE_FALL_MS


# --- rest --------------------------------------------------------------------------------

# Makers' manuals: no session over 15 min, at most three a day. 13 min hold the longest plan (2 min
# of warm-up, 10 of massage, the soft end) and leaves 2 min to the device's own 15.
SITTING_MAX_MS: Final = 780_000  # motor-on time between two rests; also of one run
SITTING_REST_MS: Final = 600_000  # off for so long, and the next sitting may begin
DAY_MS: Final = 86_400_000  # rolling: not the calendar's
DAY_MAX_MS: Final = 3 * SITTING_MAX_MS  # motor-on time in any 24 h

# --- the history -------------------------------------------------------------------------

HISTORY_DAYS_DEFAULT: Final = 180  # as long as the answers of a screening hold
HISTORY_DAYS_MAX: Final = 3_650

# --- the tick ----------------------------------------------------------------------------

STREAM_PERIOD_MS: Final = 250  # six setpoints in the default lease of 1500 ms
STREAM_PATTERN_PERIOD_MS: Final = 100  # while a pattern moves: tapping's edges take 1 s
HOST_STALL_MS: Final = 500  # a tick this late: the controller cannot be trusted with a motor
OUTPUT_UNKNOWN_MS: Final = 3_000  # silence of the device after which its output is unknown

# --- patterns, checked when a program is loaded ------------------------------------------

PATTERN_RISE_MAX_PERMILLE_S: Final = 500  # the device's motor gate, at the full range 0…1000 ‰
PATTERN_CYCLE_MIN_MS: Final = 1_000  # ten setpoints draw a shape, fewer draw noise
PATTERN_BELOW_PEAK_MAX_MS: Final = 15_000  # longer, and the device's ceiling sinks
PATTERN_PEAK_MIN_MS: Final = 200  # two setpoints: one of them surely reaches the peak
