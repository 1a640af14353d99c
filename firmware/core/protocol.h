/* The protocol's numbers for C: ids, lengths, offsets, words, limits and the schema's fingerprint.
 *
 * Made from firmware_protocol/messages.py and firmware_protocol/limits.py by
 * `python -m firmware_protocol.generate`. Change those, never this file; a test compares them byte
 * for byte. Levels are per mille of the device's range, times are ms unless a name says otherwise.
 */
#ifndef MASSAGER_PROTOCOL_H
#define MASSAGER_PROTOCOL_H

/* messages: type, bytes of payload, offset of each field in the payload */

#define MASSAGER_TYPE_HELLO                         0x01u /* from the host */
#define MASSAGER_HELLO_SIZE                         7u
#define MASSAGER_HELLO_FLAGS_AT                     0u /* bits: HelloFlag; other bits are sent 0 and ignored */
#define MASSAGER_HELLO_MIN_MAJOR_AT                 1u /* lowest protocol major the host speaks */
#define MASSAGER_HELLO_MAX_MAJOR_AT                 2u /* highest protocol major the host speaks */
#define MASSAGER_HELLO_HOST_NONCE_AT                3u /* chosen by the host, new for each session */

#define MASSAGER_TYPE_GET_LIMITS                    0x02u /* from the host */
#define MASSAGER_GET_LIMITS_SIZE                    0u

#define MASSAGER_TYPE_SET_LEVEL                     0x03u /* from the host */
#define MASSAGER_SET_LEVEL_SIZE                     4u
#define MASSAGER_SET_LEVEL_LEVEL_PERMILLE_AT        0u /* ‰: setpoint; below the gentlest level means off */
#define MASSAGER_SET_LEVEL_LEASE_MS_AT              2u /* ms: how long it holds */

#define MASSAGER_TYPE_STOP                          0x04u /* from the host */
#define MASSAGER_STOP_SIZE                          0u

#define MASSAGER_TYPE_ESTOP                         0x05u /* from the host */
#define MASSAGER_ESTOP_SIZE                         0u

#define MASSAGER_TYPE_CLEAR                         0x06u /* from the host */
#define MASSAGER_CLEAR_SIZE                         2u
#define MASSAGER_CLEAR_LATCH_ID_AT                  0u /* the latch to clear */

#define MASSAGER_TYPE_GET_STATUS                    0x07u /* from the host */
#define MASSAGER_GET_STATUS_SIZE                    0u

#define MASSAGER_TYPE_IDENTITY                      0x81u /* from the device */
#define MASSAGER_IDENTITY_SIZE                      26u
#define MASSAGER_IDENTITY_MAJOR_AT                  0u /* protocol major both will speak */
#define MASSAGER_IDENTITY_MINOR_AT                  1u /* protocol minor of the device */
#define MASSAGER_IDENTITY_HOST_NONCE_AT             2u /* the nonce of the HELLO */
#define MASSAGER_IDENTITY_DEVICE_ID_AT              6u /* ASCII: 1…8 of A–Z a–z 0–9 _ -, then zero bytes */
#define MASSAGER_IDENTITY_BOOT_ID_AT                14u /* counts boots and survives power */
#define MASSAGER_IDENTITY_RESET_CAUSE_AT            16u /* enum: ResetCause */
#define MASSAGER_IDENTITY_MODEL_AT                  17u /* the maker's model number */
#define MASSAGER_IDENTITY_SPEED_AT                  19u /* ×: 1 = real time; more only where SIMULATED */
#define MASSAGER_IDENTITY_CAPABILITIES_AT           20u /* bits: Capability */
#define MASSAGER_IDENTITY_FINGERPRINT_AT            22u /* CRC-32 of the schema text */

#define MASSAGER_TYPE_LIMITS                        0x82u /* from the device */
#define MASSAGER_LIMITS_SIZE                        18u
#define MASSAGER_LIMITS_GENTLEST_PERMILLE_AT        0u /* ‰: lowest level that turns */
#define MASSAGER_LIMITS_MAX_PERMILLE_AT             2u /* ‰: highest level */
#define MASSAGER_LIMITS_RISE_PERMILLE_S_AT          4u /* ‰/s: how fast the ceiling is earned */
#define MASSAGER_LIMITS_FALL_PERMILLE_S_AT          6u /* ‰/s: how fast a soft stop falls */
#define MASSAGER_LIMITS_LEASE_MIN_MS_AT             8u /* ms: shortest lease */
#define MASSAGER_LIMITS_LEASE_MAX_MS_AT             10u /* ms: longest lease */
#define MASSAGER_LIMITS_RUN_MAX_S_AT                12u /* s: longest run */
#define MASSAGER_LIMITS_REST_S_AT                   14u /* s: rest after the longest run */
#define MASSAGER_LIMITS_STEPS_AT                    16u /* levels the motor can tell apart */

#define MASSAGER_TYPE_STATUS                        0x83u /* from the device */
#define MASSAGER_STATUS_SIZE                        31u
#define MASSAGER_STATUS_STATE_AT                    0u /* enum: State */
#define MASSAGER_STATUS_END_REASON_AT               1u /* enum: EndReason */
#define MASSAGER_STATUS_BOOT_ID_AT                  2u /* as in IDENTITY */
#define MASSAGER_STATUS_EVENT_ID_AT                 4u /* id of the newest event of this boot */
#define MASSAGER_STATUS_FAULTS_AT                   6u /* bits: Fault */
#define MASSAGER_STATUS_SETPOINT_PERMILLE_AT        8u /* ‰: what the host asked for */
#define MASSAGER_STATUS_CEILING_PERMILLE_AT         10u /* ‰: what has been earned */
#define MASSAGER_STATUS_OUTPUT_PERMILLE_AT          12u /* ‰: what the motor gets now */
#define MASSAGER_STATUS_LEASE_LEFT_MS_AT            14u /* ms: 0 where no lease runs */
#define MASSAGER_STATUS_RUN_TIME_S_AT               16u /* s: motor-on time since the last 60 s at output 0 */
#define MASSAGER_STATUS_LATCH_ID_AT                 18u /* 0 = nothing latched */
#define MASSAGER_STATUS_UPTIME_MS_AT                20u /* ms: since boot; wraps after 49.7 days */
#define MASSAGER_STATUS_BAD_FRAMES_AT               24u /* frames dropped since boot; stays at 65,535 */
#define MASSAGER_STATUS_FEET_AT                     26u /* enum: Feet */
#define MASSAGER_STATUS_TEMPERATURE_DC_AT           27u /* 0.1 °C: motor; −32768 = not measured */
#define MASSAGER_STATUS_CURRENT_MA_AT               29u /* mA: motor; 65,535 = not measured */

#define MASSAGER_TYPE_NAK                           0x84u /* from the device */
#define MASSAGER_NAK_SIZE                           4u
#define MASSAGER_NAK_TYPE_AT                        0u /* type of the refused command */
#define MASSAGER_NAK_REASON_AT                      1u /* enum: Reason */
#define MASSAGER_NAK_LIMIT_AT                       2u /* the limit that was hit, see the table of reasons */

#define MASSAGER_TYPE_EVENT                         0x85u /* from the device */
#define MASSAGER_EVENT_SIZE                         8u
#define MASSAGER_EVENT_EVENT_ID_AT                  0u /* 1…65,535 of this boot, then 1 */
#define MASSAGER_EVENT_CODE_AT                      2u /* enum: EventCode */
#define MASSAGER_EVENT_STATE_AT                     3u /* enum: State after it */
#define MASSAGER_EVENT_UPTIME_MS_AT                 4u /* ms: when */

/* State: what the device does now; of those that hold, the highest number */

#define MASSAGER_STATE_IDLE                         0u /* no open session, output 0 */
#define MASSAGER_STATE_READY                        1u /* an open session without a setpoint yet: no lease runs */
#define MASSAGER_STATE_RUNNING                      2u /* an open session whose lease runs, also at level 0 */
#define MASSAGER_STATE_STOPPING                     3u /* the output is falling to 0 by itself and nothing can raise it */
#define MASSAGER_STATE_RESTING                      4u /* the run limit was reached: 60 s at output 0 */
#define MASSAGER_STATE_LATCHED                      5u /* a fault or an emergency stop, until CLEAR */

/* EndReason: why a session ended */

#define MASSAGER_END_REASON_NONE                    0u /* it is open, or there was none in this boot */
#define MASSAGER_END_REASON_STOP                    1u /* STOP, or the button on the device */
#define MASSAGER_END_REASON_EMERGENCY_STOP          2u /* ESTOP */
#define MASSAGER_END_REASON_LEASE_EXPIRED           3u /* no SET_LEVEL was applied within the lease */
#define MASSAGER_END_REASON_TAKEN_OVER              4u /* a HELLO with another nonce */
#define MASSAGER_END_REASON_RUN_LIMIT               5u /* 900 s of motor-on time */
#define MASSAGER_END_REASON_FAULT                   6u /* the device's own protection */

/* Fault: latched faults, one bit each */

#define MASSAGER_FAULT_OVER_TEMPERATURE             0x01u /* the motor is too hot */
#define MASSAGER_FAULT_OVER_CURRENT                 0x02u /* the motor draws too much */
#define MASSAGER_FAULT_STALL                        0x04u /* driven, but no motion for 500 ms */
#define MASSAGER_FAULT_STUCK_ON                     0x08u /* moving, though commanded off, for 300 ms */
#define MASSAGER_FAULT_SENSOR                       0x10u /* a sensor is missing, stuck or out of its range */
#define MASSAGER_FAULT_EMERGENCY_STOP               0x20u /* ESTOP was received */
#define MASSAGER_FAULT_INTERNAL                     0x40u /* the device's own checks of its gate failed */

/* Reason: why a command was refused (NAK) */

#define MASSAGER_REASON_RANGE                       1u /* the level is above the device's highest; limit: that level, ‰ */
#define MASSAGER_REASON_LEASE                       2u /* the lease is too short or too long; limit: the bound that was hit, ms */
#define MASSAGER_REASON_SESSION                     3u /* the token is not that of the open session; limit: EndReason of the last to end */
#define MASSAGER_REASON_LATCHED                     4u /* a fault or an emergency stop is latched; limit: the latch id */
#define MASSAGER_REASON_RESTING                     5u /* the rest after the run limit; limit: seconds of it left, rounded up */
#define MASSAGER_REASON_STALE                       6u /* the sequence is not ahead of the last one; limit: the last sequence */
#define MASSAGER_REASON_STOPPING                    7u /* the output is still falling by itself; limit: the output, ‰ */
#define MASSAGER_REASON_LENGTH                      8u /* the payload has not its type's length; limit: that length, bytes */
#define MASSAGER_REASON_UNKNOWN_TYPE                9u /* nobody knows this type; limit: 0 */
#define MASSAGER_REASON_STATE                       10u /* CLEAR named another latch, or there is none; limit: the latch id now, 0 = none */
#define MASSAGER_REASON_FEET                        11u /* a level above 0 before the feet were on the sensor; limit: 0 */
#define MASSAGER_REASON_FAULT                       12u /* the cause of a latched fault is still there; limit: the Fault bits that are */
#define MASSAGER_REASON_VERSION                     13u /* no common protocol major; limit: the highest major the device speaks */

/* EventCode: what an EVENT tells */

#define MASSAGER_EVENT_CODE_BOOT                    1u /* the device booted; always event 1 */
#define MASSAGER_EVENT_CODE_SESSION_OPENED          2u /* a HELLO gave a new token */
#define MASSAGER_EVENT_CODE_STOPPED                 3u /* a STOP ended a session */
#define MASSAGER_EVENT_CODE_EMERGENCY_STOPPED       4u /* an ESTOP latched */
#define MASSAGER_EVENT_CODE_LEASE_EXPIRED           5u /* the lease ended a session */
#define MASSAGER_EVENT_CODE_TAKEN_OVER              6u /* a HELLO with another nonce ended a session */
#define MASSAGER_EVENT_CODE_RUN_LIMIT               7u /* the run limit was reached */
#define MASSAGER_EVENT_CODE_REST_OVER               8u /* the rest after the run limit is over */
#define MASSAGER_EVENT_CODE_FEET_LIFTED             9u /* the feet have been off for 5 s in an open session */
#define MASSAGER_EVENT_CODE_FEET_BACK               10u /* the sensor reads on again after FEET_LIFTED */
#define MASSAGER_EVENT_CODE_FAULT                   11u /* a fault bit became set */
#define MASSAGER_EVENT_CODE_CLEARED                 12u /* a latch was cleared */
#define MASSAGER_EVENT_CODE_BUTTON                  13u /* the button on the device ended a session */

/* ResetCause: why the device booted */

#define MASSAGER_RESET_CAUSE_UNKNOWN                0u /* the device cannot tell */
#define MASSAGER_RESET_CAUSE_POWER_ON               1u /* the supply came */
#define MASSAGER_RESET_CAUSE_EXTERNAL               2u /* the reset pin; many boards pull it when the port opens */
#define MASSAGER_RESET_CAUSE_BROWN_OUT              3u /* the supply sank */
#define MASSAGER_RESET_CAUSE_WATCHDOG               4u /* the chip's timer: the device hung */
#define MASSAGER_RESET_CAUSE_SOFTWARE               5u /* the device reset itself on purpose */

/* Feet: what the feet sensor reads now, before the 5 s of FEET_OFF_MS */

#define MASSAGER_FEET_NO_SENSOR                     0u /* the device has none */
#define MASSAGER_FEET_ON                            1u /* feet are on it */
#define MASSAGER_FEET_OFF                           2u /* feet are not on it */

/* Capability: what the device has, one bit each */

#define MASSAGER_CAPABILITY_FEET_SENSOR             0x01u /* a feet sensor */
#define MASSAGER_CAPABILITY_TEMPERATURE             0x02u /* it measures the motor's temperature */
#define MASSAGER_CAPABILITY_CURRENT                 0x04u /* it measures the motor's current */
#define MASSAGER_CAPABILITY_MOTION                  0x08u /* it can tell a stalled motor from a turning one */
#define MASSAGER_CAPABILITY_BUTTON                  0x10u /* a button that stops */
#define MASSAGER_CAPABILITY_SIMULATED               0x20u /* no motor: the only devices whose speed may be above 1 */

/* HelloFlag: flags of HELLO */

#define MASSAGER_HELLO_FLAG_IDENTIFY_ONLY           0x01u /* answered with token 0; nothing is touched */

/* numbers that both sides obey */

#define MASSAGER_PROTOCOL_MAJOR                     1u
#define MASSAGER_PROTOCOL_MINOR                     0u
#define MASSAGER_HEADER_BYTES                       5u
#define MASSAGER_CRC_BYTES                          4u /* CRC-32: CRC-16 under COBS took 1,505 of 237,144 damaged frames for good */
#define MASSAGER_PAYLOAD_MAX_BYTES                  32u
#define MASSAGER_RAW_MIN_BYTES                      9u
#define MASSAGER_RAW_MAX_BYTES                      41u
#define MASSAGER_ENCODED_MAX_BYTES                  42u /* COBS adds one byte to anything under 254 */
#define MASSAGER_WIRE_MAX_BYTES                     44u /* a delimiter before and after; 7.6 ms at 57,600 */
#define MASSAGER_UNSENT_MAX_BYTES                   64u /* what may lie before a stop in the host's send buffer */
#define MASSAGER_BAUD_DEFAULT                       57600u
#define MASSAGER_LEVEL_MAX_PERMILLE                 1000u
#define MASSAGER_CEILING_RISE_PERMILLE_S            25u /* a new strength takes 40 s over the full range */
#define MASSAGER_CEILING_HOLD_MS                    15000u /* a setpoint may dip this long before the ceiling sinks */
#define MASSAGER_CEILING_SINK_PERMILLE_S            25u
#define MASSAGER_GATE_RISE_PERMILLE_S               500u /* upward inside an earned ceiling: a pattern's edge */
#define MASSAGER_SOFT_FALL_PERMILLE_S               500u /* a stop from full strength takes 2 s */
#define MASSAGER_LEASE_FALL_PERMILLE_S              1000u /* nobody is there: 0 within the lease + 1 s */
#define MASSAGER_LEASE_MIN_MS                       500u
#define MASSAGER_LEASE_MAX_MS                       5000u
#define MASSAGER_LEASE_DEFAULT_MS                   1500u /* between the 0.5–3 s of motion controllers */
#define MASSAGER_LEASE_SIMULATED_SPEED_MS           5000u /* device time; above real time the line does not get faster */
#define MASSAGER_RUN_MAX_S                          900u /* makers' manuals: no session over 15 min */
#define MASSAGER_REST_S                             60u
#define MASSAGER_FEET_OFF_MS                        5000u /* shorter is shifting in the chair */
#define MASSAGER_STALL_MS                           500u /* no motion though driven */
#define MASSAGER_STUCK_ON_MS                        300u /* motion though commanded off, counted once the motor has had time to stop */
#define MASSAGER_SPEED_MAX                          20u /* simulated devices only */
#define MASSAGER_HELLO_REPEAT_MS                    250u /* boards reset when the port opens and miss the first ones */
#define MASSAGER_HELLO_GIVE_UP_MS                   3000u
#define MASSAGER_COMMAND_TIMEOUT_MS                 100u /* the longest frame each way takes 15 ms at 57,600 */
#define MASSAGER_SETPOINT_FRESH_MS                  500u /* the link sends a setpoint again no longer than this */
#define MASSAGER_STOP_BURST                         3u
#define MASSAGER_STOP_BURST_GAP_MS                  10u
#define MASSAGER_STOP_REPEAT_MS                     100u
#define MASSAGER_SEQUENCE_MAX                       255u /* 1…255, then 1; 0 marks an event */
#define MASSAGER_SEQUENCE_AHEAD_MAX                 126u /* further ahead on the ring of 255 reads as behind by 1…128 */

/* what stands for nothing */

#define MASSAGER_FROM_DEVICE                        0x80u /* bit 7 of the type */
#define MASSAGER_NO_TOKEN                           0u /* no session */
#define MASSAGER_TEMPERATURE_NOT_MEASURED           (-32767 - 1) /* in place of 0.1 °C */
#define MASSAGER_CURRENT_NOT_MEASURED               65535u /* in place of mA */

/* which tables this was made from: CRC-32 of the schema text */

#define MASSAGER_FINGERPRINT                        0x7716D71Bul

#endif
