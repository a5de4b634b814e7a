/* Repair of damaged files: whatever happens to the sections that hold a graph's links, the file is refused by
 * KITH_OPEN_READ, and after KITH_OPEN_REPAIR and kith_index_repair the index is sound and finds what it found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <kith/kith.h>

#include "base/bits.h"

enum { ROWS = 1500, DIM = 12, QUERIES = 50, K = 10 };

static float rows[ROWS * DIM];
static char path[64];
static uint8_t *file;
static size_t file_bytes;
static uint64_t seed = 7;

static void read_file(void) {
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    file_bytes = (size_t)ftell(in);
    rewind(in);
    file = malloc(file_bytes);
    assert_non_null(file);
    assert_int_equal(fread(file, 1, file_bytes, in), file_bytes);
    fclose(in);
}

static void write_file(const uint8_t *bytes) {
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, file_bytes, out), file_bytes);
    assert_int_equal(fclose(out), 0);
}

/* A graph with dead rows, saved. */
static int setup(void **state) {
    (void)state;
    kith_index *index;
    int64_t gone[9];
    for (size_t i = 0; i < ROWS * DIM; i++)
        rows[i] = (float)(bits_random(&seed) % 2000) / 100.5f + (float)(i / DIM % 7);
    for (int64_t i = 0; i < 9; i++) gone[i] = 31 * i;
    snprintf(path, sizeof path, "repair-%d.kith", (int)getpid());
    if (kith_index_new(&index, DIM, KITH_METRIC_L2, "HNSW4,SQ8,Refine", NULL, NULL) ||
        kith_index_add(index, ROWS, rows, NULL, NULL, NULL) ||
        kith_index_remove(index, 9, gone, NULL) || kith_index_save(index, path, NULL))
        return -1;
    kith_index_free(index);
    read_file();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    free(file);
    return unlink(path);
}

/* Where a section's entry of the table lies (file.h). */
static const uint8_t *entry_of(const char *tag) {
    uint32_t n;
    uint64_t table;
    memcpy(&n, file + 12, sizeof n);
    memcpy(&table, file + 24, sizeof table);
    for (uint32_t i = 0; i < n; i++)
        if (memcmp(file + table + 32 * i, tag, 4) == 0) return file + table + 32 * i;
    fail_msg("no section %s", tag);
    return NULL;
}

static double recall(const kith_index *index) {
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    int64_t got[QUERIES * K], truth[QUERIES * K];
    kith_eval eval;
    params.k = K;
    assert_int_equal(kith_index_search(index, QUERIES, rows, &params, got, NULL, NULL), KITH_OK);
    params.exact = 1;
    assert_int_equal(kith_index_search(index, QUERIES, rows, &params, truth, NULL, NULL), KITH_OK);
    assert_int_equal(kith_eval_knn(QUERIES, K, got, K, truth, K, NULL, NULL, 0, &eval, NULL),
                     KITH_OK);
    return eval.recall;
}

static void expect_repaired(const char *what) {
    kith_index *index = NULL;
    kith_error err = {.text = ""};
    uint64_t mended = 0;
    assert_int_equal(kith_index_open(&index, path, KITH_OPEN_READ, &err), KITH_ECORRUPT);
    assert_null(index);
    int code = kith_index_open(&index, path, KITH_OPEN_REPAIR, &err);
    if (code != KITH_OK) fail_msg("%s: open for repair: %s", what, err.text);
    code = kith_index_repair(index, &mended, &err);
    if (code != KITH_OK) fail_msg("%s: repair: %s", what, err.text);
    code = kith_index_check(index, &err);
    if (code != KITH_OK) fail_msg("%s: after repair: %s", what, err.text);
    assert_true(recall(index) > 0.97);
    assert_int_equal(kith_index_save(index, path, &err), KITH_OK);
    kith_index_free(index);
    assert_int_equal(kith_index_open(&index, path, KITH_OPEN_READ, &err), KITH_OK);
    kith_index_free(index);
}

/* Damage from..from+n of a section by a function of the byte; then repair. */
static void damage(const char *tag, uint64_t from, uint64_t n, bool random) {
    uint64_t offset;
    memcpy(&offset, entry_of(tag) + 8, sizeof offset);
    uint8_t *bytes = malloc(file_bytes);
    assert_non_null(bytes);
    memcpy(bytes, file, file_bytes);
    for (uint64_t i = 0; i < n; i++)
        bytes[offset + from + i] ^= random ? (uint8_t)(1 + bits_random(&seed) % 255) : 0x41;
    write_file(bytes);
    free(bytes);
    expect_repaired(tag);
}

static const char *const derived[] = {"LNK0", "PRNT", "UPAT", "UPLK", "DEAD"};

static void test_single_bytes(void **state) {
    (void)state;
    for (size_t t = 0; t < sizeof derived / sizeof *derived; t++) {
        uint64_t bytes;
        memcpy(&bytes, entry_of(derived[t]) + 16, sizeof bytes);
        assert_true(bytes > 0);
        for (int trial = 0; trial < 6; trial++)
            damage(derived[t], bits_random(&seed) % bytes, 1, true);
    }
}

static void test_whole_sections(void **state) {
    (void)state;
    for (size_t t = 0; t < sizeof derived / sizeof *derived; t++) {
        uint64_t bytes;
        memcpy(&bytes, entry_of(derived[t]) + 16, sizeof bytes);
        damage(derived[t], 0, bytes, true);
        damage(derived[t], 0, bytes, false);
    }
}

static void test_vectors_are_not_trusted(void **state) {
    (void)state;
    kith_index *index = NULL;
    kith_error err;
    uint64_t table;
    uint32_t n, refused = 0;
    memcpy(&n, file + 12, sizeof n);
    memcpy(&table, file + 24, sizeof table);
    uint8_t *bytes = malloc(file_bytes);
    assert_non_null(bytes);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *entry = file + table + 32 * i;
        uint64_t offset, length;
        bool links = false;
        for (size_t t = 0; t < sizeof derived / sizeof *derived; t++)
            links |= memcmp(entry, derived[t], 4) == 0;
        memcpy(&offset, entry + 8, sizeof offset);
        memcpy(&length, entry + 16, sizeof length);
        if (links || length == 0) continue;
        memcpy(bytes, file, file_bytes);
        bytes[offset + length / 2] ^= 1;
        write_file(bytes);
        assert_int_equal(kith_index_open(&index, path, KITH_OPEN_REPAIR, &err), KITH_ECORRUPT);
        refused++;
    }
    free(bytes);
    assert_true(refused >= 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_bytes),
        cmocka_unit_test(test_whole_sections),
        cmocka_unit_test(test_vectors_are_not_trusted),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
