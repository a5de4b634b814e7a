/* Exact search over made-up sets that are hard for bounds: ties, duplicates, outliers, constant dimensions, tiny and huge
 * lengths, bytes and what looks like them, rows that come, go and change the code. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "plain_scan.h"

static float uniform(uint64_t *state) { return (float)(bits_random(state) >> 40) * 0x1p-24f; }

static float normal(uint64_t *state) {
    float sum = 0;
    for (int i = 0; i < 12; i++) sum += uniform(state);
    return sum - 6;
}

typedef float (*make_fn)(uint64_t *state, size_t row, size_t i);

static float make_normal(uint64_t *state, size_t row, size_t i) {
    (void)row, (void)i;
    return normal(state);
}

static float make_bytes(uint64_t *state, size_t row, size_t i) {
    (void)row, (void)i;
    return floorf(256 * uniform(state));
}

/* Many equal distances: few values. */
static float make_ties(uint64_t *state, size_t row, size_t i) {
    (void)row, (void)i;
    return 0.1f * floorf(3 * uniform(state));
}

/* One row in a hundred is a thousand times as long: sq8's steps are coarse for all others. */
static float make_outliers(uint64_t *state, size_t row, size_t i) {
    (void)i;
    return normal(state) * (row % 100 == 37 ? 1000.0f : 1.0f);
}

/* Most dimensions are constant, and far from 0: the rows differ in their last digits. */
static float make_constant(uint64_t *state, size_t row, size_t i) {
    (void)row;
    float x = normal(state);
    return i % 4 ? 1000.0f : 1000.0f + 0.001f * x;
}

/* Lengths from 1e-18 to 1e15, zero rows among them. */
static float make_lengths(uint64_t *state, size_t row, size_t i) {
    (void)i;
    float x = normal(state);
    return row % 11 == 0 ? 0.0f : x * powf(10, (float)(row % 34) - 18);
}

/* Groups of equal rows, and of rows one digit apart. */
static float make_twins(uint64_t *state, size_t row, size_t i) {
    uint64_t group = bits_mix((row / 8) * 4096 + i);
    float x = (float)(group >> 40) * 0x1p-24f;
    (void)state;
    return row % 8 < 6 || i != row % 7 ? x : nextafterf(x, 2);
}

static struct set set_new(size_t dim, size_t n, size_t n_q, make_fn make) {
    struct set set = {dim, n, n_q, malloc(n * dim * sizeof(float)),
                      malloc(n_q * dim * sizeof(float))};
    uint64_t state = dim * 1000 + n;
    for (size_t i = 0; i < n * dim; i++) set.rows[i] = make(&state, i / dim, i % dim);
    for (size_t i = 0; i < n_q * dim; i++) set.queries[i] = make(&state, n + i / dim, i % dim);
    /* Some queries are rows. */
    for (size_t i = 0; i < n_q; i += 5)
        memcpy(set.queries + i * dim, set.rows + (i * 31 % n) * dim, dim * sizeof(float));
    return set;
}

static void check_made(make_fn make) {
    static const size_t dims[] = {1, 7, 33, 100};
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        struct set set =
            set_new(dims[d], 700, d == 2 ? 80 : 24, make); /* 80: rows are coded on the way */
        check_set(&set, 17);
        set_free(&set);
    }
}

static void test_normal(void **state) {
    (void)state;
    check_made(make_normal);
}

static void test_bytes(void **state) {
    (void)state;
    check_made(make_bytes);
}

static void test_ties(void **state) {
    (void)state;
    check_made(make_ties);
}

static void test_outliers(void **state) {
    (void)state;
    check_made(make_outliers);
}

static void test_constant(void **state) {
    (void)state;
    check_made(make_constant);
}

static void test_twins(void **state) {
    (void)state;
    check_made(make_twins);
}

/* Half floats cannot hold these. */
static void test_lengths(void **state) {
    (void)state;
    struct set set = set_new(19, 500, 20, make_lengths);
    for (size_t m = 0; m < N_METRICS; m++)
        for (size_t s = 0; s < N_SPECS; s++)
            if (!strstr(specs[s], "fp16")) check_index(&set, specs[s], metrics[m], 10);
    set_free(&set);
}

/* Bytes as rows, but not as queries; and the other way round. */
static void test_mixed(void **state) {
    (void)state;
    struct set bytes = set_new(40, 600, 20, make_bytes),
               floats = set_new(40, 600, 20, make_outliers);
    struct set mixed = bytes, other = floats;
    mixed.queries = floats.queries;
    other.queries = bytes.queries;
    check_set(&mixed, 12);
    check_set(&other, 12);
    set_free(&bytes);
    set_free(&floats);
}

/* More results than a block has rows, and as many as there are rows. */
static void test_large_k(void **state) {
    (void)state;
    struct set set = set_new(20, 900, 18, make_normal);
    for (size_t s = 0; s < N_SPECS; s++) {
        check_index(&set, specs[s], KITH_METRIC_L2, 400);
        check_index(&set, specs[s], KITH_METRIC_IP, 900);
    }
    set_free(&set);
}

/* Explicit ids in no order, rows removed, replaced and added again. */
static void check_churned(const char *spec, kith_metric metric) {
    struct set set = set_new(24, 800, 20, make_normal);
    int64_t ids[800];
    uint8_t gone[800] = {0};
    kith_index *index;
    kith_error err;
    kith_filter none = {0};
    for (size_t i = 0; i < set.n; i++) ids[i] = (int64_t)(bits_mix(i) >> 54) * 1000 + (int64_t)i;
    assert_int_equal(kith_index_new(&index, set.dim, metric, spec, NULL, &err), KITH_OK);
    assert_int_equal(kith_index_add(index, 500, set.rows, ids, NULL, &err), KITH_OK);
    for (size_t i = 0; i < 500; i += 3) {
        gone[i] = 1;
        assert_int_equal(kith_index_remove(index, 1, ids + i, &err), KITH_OK);
    }
    assert_int_equal(kith_index_add(index, 300, set.rows + 500 * set.dim, ids + 500, NULL, &err),
                     KITH_OK);
    for (size_t i = 1; i < 500; i += 3) { /* every third row takes the vector of the next */
        memcpy(set.rows + i * set.dim, set.rows + (i + 300) * set.dim, set.dim * sizeof(float));
        assert_int_equal(kith_index_update(index, 1, set.rows + i * set.dim, ids + i, NULL, &err),
                         KITH_OK);
    }
    assert_int_equal(kith_index_check(index, &err), KITH_OK);
    struct plain plain = {.index = index, .set = &set, .filter = &none, .ids = ids, .gone = gone};
    compare_filtered(&plain, 25);
    kith_index_free(index);
    set_free(&set);
}

static void test_churned(void **state) {
    (void)state;
    for (size_t m = 0; m < N_METRICS; m++)
        for (size_t s = 0; s < N_SPECS; s++) check_churned(specs[s], metrics[m]);
}

/* Rows that come later change the code: bytes that are none any more, ranges that grew. */
static void check_growing(const char *spec, kith_metric metric) {
    struct set set = set_new(30, 3000, 20, make_bytes);
    uint64_t state = 5;
    kith_index *index;
    kith_error err;
    kith_filter none = {0};
    assert_int_equal(kith_index_new(&index, set.dim, metric, spec, NULL, &err), KITH_OK);
    for (size_t i = 400 * set.dim; i < set.n * set.dim; i++) /* growing, and no bytes */
        set.rows[i] = normal(&state) * (1 + (float)i / (400 * 30));
    size_t at = 0;
    for (size_t step = 100; at < set.n; at += step, step += 150) {
        if (step > set.n - at) step = set.n - at;
        assert_int_equal(kith_index_add(index, step, set.rows + at * set.dim, NULL, NULL, &err),
                         KITH_OK);
        struct set part = set;
        part.n = at + step;
        struct plain plain = {.index = index, .set = &part, .filter = &none};
        compare_all(&plain, 10);
    }
    assert_int_equal(kith_index_check(index, &err), KITH_OK);
    kith_index_free(index);
    set_free(&set);
}

static void test_growing(void **state) {
    (void)state;
    for (size_t m = 0; m < N_METRICS; m++)
        for (size_t s = 0; s < N_SPECS; s++) check_growing(specs[s], metrics[m]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal),   cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_ties),     cmocka_unit_test(test_outliers),
        cmocka_unit_test(test_constant), cmocka_unit_test(test_twins),
        cmocka_unit_test(test_lengths),  cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_large_k),  cmocka_unit_test(test_churned),
        cmocka_unit_test(test_growing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
