/* Runs each file that is named through script.h; without names, made-up scripts from a seed:
 *
 *     replay_sanitized FILE...
 *     replay_sanitized --random COUNT SEED
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

enum { SIZE_MAX_OF_SCRIPT = 1 << 20 };

static struct script_totals sum;

static void run(const uint8_t *data, size_t size)
{
    struct script_totals totals = script_run(data, size, UINT32_MAX);

    sum.operations += totals.operations;
    sum.replies += totals.replies;
    sum.bad_frames += totals.bad_frames;
    sum.sessions += totals.sessions;
    sum.moving_ms += totals.moving_ms;
}

static int run_file(const char *name)
{
    uint8_t *data = malloc(SIZE_MAX_OF_SCRIPT);
    FILE *file = fopen(name, "rb");

    if (data == NULL || file == NULL) {
        fprintf(stderr, "%s cannot be read\n", name);
        free(data);
        return 1;
    }
    run(data, fread(data, 1u, SIZE_MAX_OF_SCRIPT, file));
    fclose(file);
    free(data);
    return 0;
}

/* xorshift: the same scripts on every computer. */
static uint8_t random_byte(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return (uint8_t)(*state >> 24);
}

static void run_random(unsigned long count, uint32_t state)
{
    uint8_t data[512];

    while (count-- != 0u) {
        for (size_t i = 0u; i < sizeof data; i++) {
            data[i] = random_byte(&state);
        }
        data[0] &= 0xE0u; /* a device with every input */
        run(data, sizeof data);
    }
}

int main(int count, char **words)
{
    int failed = 0;

    if (count == 4 && strcmp(words[1], "--random") == 0) {
        run_random(strtoul(words[2], NULL, 10), (uint32_t)strtoul(words[3], NULL, 10) | 1u);
    } else {
        for (int i = 1; i < count; i++) {
            failed |= run_file(words[i]);
        }
    }
    printf("operations %u, replies %u, bad frames %u, sessions %u, moving ms %u\n", sum.operations,
           sum.replies, sum.bad_frames, sum.sessions, sum.moving_ms);
    return failed;
}
