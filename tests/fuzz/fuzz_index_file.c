/* Any file can be opened, by reading and by mapping: what is wrong with it is said, and what opens can be
 * used. Tried as it is, and with its checksums made right, as an enemy would. */
#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size + 1);
    memcpy(copy, data, size);
    fuzz_exercise(copy, size);
    fuzz_mend_checksums(copy, size);
    fuzz_exercise(copy, size);
    free(copy);
    return 0;
}
