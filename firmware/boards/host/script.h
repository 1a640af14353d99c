/* A device that does what arbitrary bytes say, and is judged all the while.
 *
 * The bytes are split into operations: bytes of the line, messages of a broker, well made commands,
 * time, inputs, resets. What the device sends, drives and keeps is compared with SPEC.md by rules of
 * its own, which share nothing with the core; a breach is told on stderr and ends the program.
 */
#ifndef MASSAGER_SCRIPT_H
#define MASSAGER_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

/* What a script came to, so that a test can see that it did not run idle. */
struct script_totals {
    uint32_t operations;
    uint32_t replies;
    uint32_t bad_frames;
    uint32_t sessions;
    uint32_t moving_ms;
};

/* At most `ms_max` of the device's time pass in it; the operations go on without. */
struct script_totals script_run(const uint8_t *data, size_t size, uint32_t ms_max);

#endif
