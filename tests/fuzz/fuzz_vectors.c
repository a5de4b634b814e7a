/* Any bytes read as vectors, as a table of ids and as a list of ids, in the format that the first byte
 * names or that is recognised: refused with a reason, or read into memory that is all there. */
#include <string.h>

#include <kith/kith.h>

#include "formats.h"
#include "fuzz.h"

static volatile float float_sink;
static volatile int64_t id_sink;

static void check_refusal(int code, const kith_error *err) {
    if (code != KITH_OK && (err->code != code || err->text[0] == '\0'))
        fuzz_broken("code %d without a reason", code);
}

static void read_vectors(blob bytes, const read_options *options) {
    vectors read = {0};
    kith_error err = {0};
    int code = vectors_parse(&read, bytes, NULL, options, &err);
    check_refusal(code, &err);
    if (code != KITH_OK) return;
    for (size_t i = 0; i < read.n * read.dim; i++) float_sink = read.data[i];
    for (size_t i = 0; i < read.n && read.ids; i++) id_sink = read.ids[i];
    for (size_t i = 0; i < read.n && read.words; i++) id_sink = (int64_t)strlen(read.words[i]);
    vectors_free(&read);
}

static void read_ids(blob bytes, const read_options *options, int as_list) {
    id_table read = {0};
    kith_error err = {0};
    int code = (as_list ? id_list_parse : id_table_parse)(&read, bytes, NULL, options, &err);
    check_refusal(code, &err);
    if (code != KITH_OK) return;
    for (size_t i = 0; i < read.n * read.k; i++) id_sink = read.ids[i];
    id_table_free(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    read_options options = {.format = (format)(data[0] % (FORMAT_JSONL + 1))};
    if (options.format == FORMAT_HDF5) return 0; /* fuzz_hdf5 */
    uint8_t *copy = malloc(size);
    memcpy(copy, data + 1, size - 1);
    blob bytes = {.data = copy, .n = size - 1, .owner = BLOB_BORROWED};
    read_vectors(bytes, &options);
    read_ids(bytes, &options, 0);
    read_ids(bytes, &options, 1);
    free(copy);
    return 0;
}
