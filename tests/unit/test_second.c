/* Refinement on a second code: what it stands for is what is answered, whatever changes beneath it.
 *
 * Every answer's distance is that of the query to the row as kith_index_reconstruct gives it (under cosine of unit
 * vectors), rows come back within the second code's error, and files give the same answers again. */
#include <math.h>
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

enum { DIM = 24, N = 5500, N_Q = 20, K = 10 };

static const struct {
    const char *spec, *stored;
    float error; /* of a row, relative */
} kinds[] = {
    {"HNSW8,SQ4,Refine(SQ8)", "sq8", 0.02f},        {"HNSW8,SQ4_uniform,Refine(SQ6)", "sq", 0.1f},
    {"HNSW8,RaBitQ,Refine(SQ4)", "sq", 0.2f},       {"HNSW8,PQ8,Refine(PQ24)", "pq", 0.06f},
    {"HNSW8,PQ8x4fs,Refine(SQfp16)", "f16", 1e-3f}, {"IVF32,PQ12x4fs,Refine(SQ8)", "sq8", 0.02f},
    {"IVF32,RaBitQ,Refine(SQ4)", "sq", 0.2f},       {"IVF32,SQ4,Refine(RaBitQ8)", "rabitq", 0.02f},
    {"RaBitQ,Refine(SQ8)", "sq8", 0.02f},           {"SQ4,Refine(SQbf16)", "bf16", 0.01f},
    {"IVF32,SQ4,Refine(SQ8_uniform)", "sq", 0.02f}};
enum { KINDS = sizeof kinds / sizeof *kinds };
static const kith_metric metrics[] = {KITH_METRIC_L2, KITH_METRIC_COSINE, KITH_METRIC_IP};

static float rows[N * DIM], queries[N_Q * DIM];
static char path[64];

struct answers {
    int64_t ids[N_Q * K];
    float dists[N_Q * K];
};

static float draw(void) {
    static uint64_t random = 77;
    float sum = 0;
    for (int i = 0; i < 4; i++) sum += (float)(bits_random(&random) >> 40) * 0x1p-24f - 0.5f;
    return sum;
}

static int begin(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) rows[i] = draw();
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) queries[i] = draw();
    snprintf(path, sizeof path, "/tmp/kith-second-%ld.kith", (long)getpid());
    return 0;
}

static int end(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

static kith_index *make(const char *spec, kith_metric metric) {
    kith_index *index;
    kith_error err;
    if (kith_index_new(&index, DIM, metric, spec, NULL, &err) != KITH_OK)
        fail_msg("%s: %s", spec, err.text);
    return index;
}

static void add(kith_index *index, size_t n, const float *x) {
    kith_error err;
    if (kith_index_add(index, n, x, NULL, NULL, &err) != KITH_OK) fail_msg("%s", err.text);
}

static void ask(kith_index *index, int exact, struct answers *out) {
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_error err;
    params.k = K;
    params.exact = exact;
    params.ef = 200;
    params.nprobe = 32;
    params.oversample = 20;
    if (kith_index_search(index, N_Q, queries, &params, out->ids, out->dists, &err) != KITH_OK)
        fail_msg("%s", err.text);
}

static double dot(const float *a, const float *b) {
    double sum = 0;
    for (int i = 0; i < DIM; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* The score of a row as it is kept; a code under cosine keeps the unit vector, floats the vector. */
static double score(kith_metric metric, const float *query, const float *kept, bool code) {
    if (metric == KITH_METRIC_L2) return dot(query, query) - 2 * dot(query, kept) + dot(kept, kept);
    if (metric == KITH_METRIC_IP) return dot(query, kept);
    return dot(query, kept) / sqrt(dot(query, query)) / (code ? 1 : sqrt(dot(kept, kept)));
}

static bool is_code(const char *stored) {
    return !strchr(stored, 'f') && strcmp(stored, "u8") != 0;
}

/* Answers are what is kept; the nearest of them are the nearest of an exact search. */
static void expect_kept(kith_index *index, const char *what, kith_metric metric) {
    kith_index_stats stats;
    struct answers found, exact;
    kith_error err;
    size_t same = 0;
    kith_index_stats_get(index, &stats);
    ask(index, 0, &found);
    ask(index, 1, &exact);
    for (size_t i = 0; i < N_Q * K; i++) {
        const float *query = queries + i / K * DIM;
        float kept[DIM];
        assert_int_equal(kith_index_reconstruct(index, found.ids[i], kept, &err), KITH_OK);
        double want = score(metric, query, kept, is_code(stats.stored));
        double room = 2e-5 * (dot(query, query) + dot(kept, kept) + 1);
        if (!(fabs((double)found.dists[i] - want) <= room))
            fail_msg("%s: id %lld at %.9g, what is kept of it at %.9g", what,
                     (long long)found.ids[i], (double)found.dists[i], want);
        for (size_t j = i / K * K; j < (i / K + 1) * K; j++) same += found.ids[i] == exact.ids[j];
    }
    if ((double)same / (N_Q * K) < 0.9) fail_msg("%s: %zu of %d nearest", what, same, N_Q * K);
}

static void expect_near(kith_index *index, const char *what, kith_metric metric, float error,
                        size_t n, const float *x, int64_t first) {
    kith_error err;
    for (size_t i = 0; i < n; i += 37) {
        float kept[DIM];
        assert_int_equal(kith_index_reconstruct(index, first + (int64_t)i, kept, &err), KITH_OK);
        const float *row = x + i * DIM;
        double scale = 1, off = 0;
        kith_index_stats stats;
        kith_index_stats_get(index, &stats);
        if (metric == KITH_METRIC_COSINE && is_code(stats.stored)) scale = 1 / sqrt(dot(row, row));
        for (int d = 0; d < DIM; d++) {
            double e = (double)kept[d] - scale * (double)row[d];
            off += e * e;
        }
        if (!(sqrt(off) <= (double)error * scale * sqrt(dot(row, row))))
            fail_msg("%s: row %zu is off by %.3g of its length", what, i,
                     sqrt(off) / scale / sqrt(dot(row, row)));
    }
}

static void test_answers_are_what_is_kept(void **state) {
    (void)state;
    for (size_t m = 0; m < 3; m++)
        for (size_t s = m; s < KINDS; s += m == 0 ? 1 : 3) {
            kith_index *index = make(kinds[s].spec, metrics[m]);
            kith_index_stats stats;
            kith_error err;
            add(index, 1000, rows); /* too few to learn from */
            expect_kept(index, kinds[s].spec, metrics[m]);
            add(index, N - 1000, rows + 1000 * DIM);
            kith_index_stats_get(index, &stats);
            assert_string_equal(stats.stored, kinds[s].stored);
            assert_string_equal(stats.spec, kinds[s].spec);
            expect_kept(index, kinds[s].spec, metrics[m]);
            expect_near(index, kinds[s].spec, metrics[m], kinds[s].error, N, rows, 0);
            if (kith_index_check(index, &err) != KITH_OK) fail_msg("%s", err.text);
            kith_index_free(index);
        }
}

static void test_files(void **state) {
    (void)state;
    for (size_t s = 0; s < KINDS; s++) {
        kith_index *index = make(kinds[s].spec, KITH_METRIC_L2), *again;
        struct answers want, got;
        kith_error err;
        add(index, N, rows);
        ask(index, 0, &want);
        assert_int_equal(kith_index_save(index, path, &err), KITH_OK);
        for (int mode = KITH_OPEN_READ; mode <= KITH_OPEN_MAP; mode++) {
            if (kith_index_open(&again, path, mode, &err) != KITH_OK)
                fail_msg("%s: %s", kinds[s].spec, err.text);
            if (kith_index_check(again, &err) != KITH_OK)
                fail_msg("%s: %s", kinds[s].spec, err.text);
            ask(again, 0, &got);
            assert_memory_equal(want.ids, got.ids, sizeof want.ids);
            assert_memory_equal(want.dists, got.dists, sizeof want.dists);
            ask(index, 1, &want);
            ask(again, 1, &got);
            assert_memory_equal(want.dists, got.dists, sizeof want.dists);
            ask(index, 0, &want);
            kith_index_free(again);
        }
        kith_index_free(index);
    }
}

/* Rows ten times as large as those the ranges were learnt from: without new ranges nine tenths of them would be lost. */
static void test_ranges_follow_the_rows(void **state) {
    static const char *const specs[] = {"HNSW8,SQ4,Refine(SQ8)", "IVF32,SQ4,Refine(SQ8)"};
    static float large[N * DIM];
    (void)state;
    for (size_t i = 0; i < N * DIM; i++) large[i] = 10 * rows[i];
    for (size_t s = 0; s < 2; s++) {
        kith_index *index = make(specs[s], KITH_METRIC_L2);
        add(index, 4500, rows);
        for (size_t i = 0; i < 5; i++) add(index, 1000, large + i * 1000 * DIM);
        expect_near(index, specs[s], KITH_METRIC_L2, 0.2f, 5000, large, 4500);
        expect_near(index, specs[s], KITH_METRIC_L2, 0.2f, 4500, rows, 0);
        kith_index_free(index);
    }
}

/* Whole numbers are kept as they are, until one is not whole; a coarser second code has no use for that. */
static void test_whole_numbers(void **state) {
    static const struct {
        const char *spec, *before, *after;
        float error;
    } cases[] = {{"HNSW8,SQ4,Refine(SQ8)", "u8", "sq8", 0.02f},
                 {"HNSW8,SQ4,Refine", "u8", "f32", 1e-6f},
                 {"IVF32,SQ4,Refine(SQ8)", "u8", "sq8", 0.02f},
                 {"HNSW8,RaBitQ,Refine(SQ4)", "sq", "sq", 0.2f}};
    static float whole[N * DIM], half[1000 * DIM];
    (void)state;
    for (size_t i = 0; i < N * DIM; i++) whole[i] = floorf(64 + 60 * rows[i] * 0.5f);
    for (size_t s = 0; s < sizeof cases / sizeof *cases; s++) {
        kith_index *index = make(cases[s].spec, KITH_METRIC_L2);
        kith_index_stats stats;
        add(index, 5000, whole);
        kith_index_stats_get(index, &stats);
        assert_string_equal(stats.stored, cases[s].before);
        if (strcmp(stats.stored, "u8") == 0)
            expect_near(index, cases[s].spec, KITH_METRIC_L2, 0, 5000, whole, 0);
        for (size_t i = 0; i < 1000 * DIM; i++) half[i] = whole[i] + 0.5f;
        add(index, 1000, half);
        kith_index_stats_get(index, &stats);
        assert_string_equal(stats.stored, cases[s].after);
        expect_near(index, cases[s].spec, KITH_METRIC_L2, cases[s].error, 1000, half, 5000);
        expect_near(index, cases[s].spec, KITH_METRIC_L2, cases[s].error, 3000, whole + 1000 * DIM,
                    1000);
        kith_index_free(index);
    }
}

/* All rows replaced, in place; then half of them gone. */
static void test_updates(void **state) {
    (void)state;
    for (size_t s = 0; s < KINDS; s += 3) {
        kith_index *index = make(kinds[s].spec, KITH_METRIC_L2);
        static int64_t ids[N];
        kith_error err;
        add(index, N, rows);
        for (int64_t i = 0; i < N; i++) ids[i] = i;
        if (kith_index_update(index, 500, rows + 3000 * DIM, ids, NULL, &err) != KITH_OK)
            fail_msg("%s: %s", kinds[s].spec, err.text);
        expect_near(index, kinds[s].spec, KITH_METRIC_L2, kinds[s].error, 500, rows + 3000 * DIM,
                    0);
        assert_int_equal(kith_index_remove(index, N / 2, ids, &err), KITH_OK);
        expect_kept(index, kinds[s].spec, KITH_METRIC_L2);
        if (kith_index_check(index, &err) != KITH_OK) fail_msg("%s: %s", kinds[s].spec, err.text);
        kith_index_free(index);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_are_what_is_kept),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_ranges_follow_the_rows),
        cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_updates),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
