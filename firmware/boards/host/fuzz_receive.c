/* libFuzzer's way into script.h: `make fuzz` in the directory above firmware/. */
#include "script.h"

enum { LONGEST_MS = 20000 }; /* longer than any time of SPEC.md but run and rest */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    script_run(data, size, LONGEST_MS);
    return 0;
}
