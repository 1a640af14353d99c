"""Every number that both sides of the wire obey: unit in the name, reason beside it.

Levels are per mille (‰) of the device's range, times are milliseconds unless the name says
otherwise. SPEC.md quotes this file; the device's rules (the motor gate, the lease, the run limit)
are the device's own and hold whatever a host asks.
"""

from typing import Final

# --- frame -----------------------------------------------------------------------------------

PROTOCOL_MAJOR: Final = 1
PROTOCOL_MINOR: Final = 0
HEADER_BYTES: Final = 5
CRC_BYTES: Final = 4  # CRC-32: CRC-16 under COBS took 1,505 of 237,144 damaged frames for good
PAYLOAD_MAX_BYTES: Final = 32
RAW_MIN_BYTES: Final = HEADER_BYTES + CRC_BYTES
RAW_MAX_BYTES: Final = HEADER_BYTES + PAYLOAD_MAX_BYTES + CRC_BYTES
ENCODED_MAX_BYTES: Final = RAW_MAX_BYTES + 1  # COBS adds one byte to anything under 254
WIRE_MAX_BYTES: Final = ENCODED_MAX_BYTES + 2  # a delimiter before and after; 7.6 ms at 57,600
UNSENT_MAX_BYTES: Final = 64  # what may lie before a stop in the host's send buffer

# A 16 MHz ATmega328P misses 115,200 by 2.1 % and 57,600 by 0.8 %.
BAUD_DEFAULT: Final = 57_600
BAUD_ALLOWED: Final = (38_400, 57_600, 115_200, 250_000)

# --- levels and the motor gate ---------------------------------------------------------------

LEVEL_MAX_PERMILLE: Final = 1000
CEILING_RISE_PERMILLE_S: Final = 25  # a new strength takes 40 s over the full range
CEILING_HOLD_MS: Final = 15_000  # a setpoint may dip this long before the ceiling sinks
CEILING_SINK_PERMILLE_S: Final = 25
GATE_RISE_PERMILLE_S: Final = 500  # upward inside an earned ceiling: a pattern's edge
SOFT_FALL_PERMILLE_S: Final = 500  # a stop from full strength takes 2 s
LEASE_FALL_PERMILLE_S: Final = 1000  # nobody is there: 0 within the lease + 1 s

# --- lease, run, rest, feet, latched faults (the device's own clock) ------------------------------

LEASE_MIN_MS: Final = 500
LEASE_MAX_MS: Final = 5_000
LEASE_DEFAULT_MS: Final = 1_500  # between the 0.5–3 s of motion controllers
LEASE_SIMULATED_SPEED_MS: Final = 5_000  # device time; above real time the line does not get faster
RUN_MAX_S: Final = 900  # makers' manuals: no session over 15 min
REST_S: Final = 60
FEET_OFF_MS: Final = 5_000  # shorter is shifting in the chair
STALL_MS: Final = 500  # no motion though driven
STUCK_ON_MS: Final = 300  # motion though commanded off, counted once the motor has had time to stop
SPEED_MAX: Final = 20  # simulated devices only

# --- link timing (host) -------------------------------------------------------------------------

HELLO_REPEAT_MS: Final = 250  # boards reset when the port opens and miss the first ones
HELLO_GIVE_UP_MS: Final = 3_000
COMMAND_TIMEOUT_MS: Final = 100  # the longest frame each way takes 15 ms at 57,600
COMMAND_RETRY_MS: Final = (100, 200, 400)  # waits before the second, third and fourth sending
SETPOINT_FRESH_MS: Final = 500  # the link sends a setpoint again no longer than this
STOP_BURST: Final = 3
STOP_BURST_GAP_MS: Final = 10
STOP_REPEAT_MS: Final = 100

# --- sequence numbers -----------------------------------------------------------------------------

SEQUENCE_MAX: Final = 255  # 1…255, then 1; 0 marks an event
SEQUENCE_AHEAD_MAX: Final = 126  # further ahead on the ring of 255 reads as behind by 1…128
