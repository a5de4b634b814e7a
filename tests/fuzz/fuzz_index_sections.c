/* Any sections in a well-formed file: the input is a list of sections, put into a file whose places and
 * checksums are right. So lengths can be changed, and what is behind them is reached. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t file_size;
    uint8_t *file = fuzz_container(data, size, &file_size);
    fuzz_exercise(file, file_size);
    free(file);
    return 0;
}
