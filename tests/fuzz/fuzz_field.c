/* Any bytes as a field index, their checksum made right: refused, or an index that answers, orders, changes and is saved. */
#include <string.h>

#include "base/bits.h"
#include "base/file.h"
#include "base/mem.h"
#include "filter/filter_plan.h"

#include "fuzz.h"

static bool pass_value(void *context, const struct field_value *value, uint64_t count) {
    (void)value;
    *(uint64_t *)context += count;
    return false;
}

static bool pass_row(void *context, const struct field_value *value, uint32_t row) {
    (void)value;
    *(uint64_t *)context += row;
    return false;
}

static const char *const filters[] = {
    "{\"must\":{\"key\":\"a\",\"match\":{\"any\":[\"x\",\"550e8400-e29b-41d4-a716-446655440000\"]}}}",
    "{\"must\":{\"key\":\"a\",\"match\":{\"except\":[1,18446744073709551615]}}}",
    "{\"must\":{\"key\":\"a\",\"match\":{\"prefix\":\"x\"}}}",
    "{\"must_not\":{\"key\":\"a\",\"range\":{\"gte\":0,\"lt\":5.5}}}",
    "{\"must\":{\"key\":\"a\",\"range\":{\"lt\":\"2024-05-06\"}}}",
    "{\"must\":{\"key\":\"a\",\"match\":{\"value\":true}}}",
    "{\"must\":{\"key\":\"a\",\"geo_radius\":{\"center\":{\"lon\":1,\"lat\":1},\"radius\":200000}}}",
    "{\"should\":[{\"is_empty\":{\"key\":\"a\"}},{\"is_null\":{\"key\":\"a\"}}]}"};

static void answer(struct field *field) {
    uint64_t n_rows = field_rows(field);
    size_t bytes = bits_words(n_rows) * sizeof(uint64_t) + 8;
    struct filter_rows rows = {0};
    uint64_t *live = mem_new(NULL, bytes);
    for (uint64_t row = 0; row < n_rows; row++) bits_set(live, row);
    struct filter_source source = {
        .n_rows = n_rows, .live = live, .n_live = n_rows, .fields = &field, .n_fields = 1};
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        struct filter *filter;
        if (filter_parse(&filter, filters[i], strlen(filters[i]), NULL, NULL)) abort();
        if (filter_plan(filter, &source, &rows, NULL) != KITH_OK || rows.n_does > rows.n_may)
            fuzz_broken("plan %zu", i);
        filter_estimate(filter, &source);
        filter_free(filter);
    }
    filter_rows_deinit(&rows);
    mem_free(NULL, live, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct field *field;
    uint8_t *copy = malloc(size + 1), *saved;
    kith_error err = {0};
    memcpy(copy, data, size);
    if (size >= 12) {
        uint32_t crc = file_crc32c(0, copy + 12, size - 12);
        memcpy(copy + 8, &crc, sizeof crc);
    }
    int code = field_load(&field, copy, size, NULL, &err);
    if (code == KITH_OK) {
        size_t n;
        uint64_t sum = 0;
        if (field_rows(field) < 1 << 20) answer(field);
        field_facets(field, NULL, pass_value, &sum, NULL);
        field_order(field, NULL, true, pass_row, &sum, NULL);
        if (field_save(field, &saved, &n, &err) != KITH_OK) fuzz_broken("save: %s", err.text);
        mem_free(NULL, saved, n);
        field_free(field);
    } else if (code != KITH_EFORMAT && code != KITH_EVERSION && code != KITH_ECORRUPT) {
        fuzz_broken("code %d: %s", code, err.text);
    }
    free(copy);
    return 0;
}
