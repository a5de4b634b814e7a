/* Any bytes read as HDF5. What crashes in here may be the HDF5 library's own; it is kept apart from
 * fuzz_vectors for that reason. */
#include <string.h>

#include <kith/kith.h>

#include "formats.h"
#include "fuzz.h"

static volatile float float_sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    read_options options = {.format = FORMAT_HDF5};
    blob bytes = {.data = data, .n = size, .owner = BLOB_BORROWED};
    vectors read = {0};
    id_table table = {0};
    kith_error err = {0};
    int code = vectors_parse(&read, bytes, NULL, &options, &err);
    if (code == KITH_OK) {
        for (size_t i = 0; i < read.n * read.dim; i++) float_sink = read.data[i];
        vectors_free(&read);
    } else if (err.code != code || err.text[0] == '\0') {
        fuzz_broken("code %d without a reason", code);
    }
    options.dataset = "neighbors";
    if (id_table_parse(&table, bytes, NULL, &options, &err) == KITH_OK) id_table_free(&table);
    return 0;
}
