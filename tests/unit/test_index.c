/* The public doors: every error with its code and its numbers, what searches promise about memory and time, and figures.
 * That results are right is tests/oracle's question. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <kith/kith.h>

#include "base/bits.h"
#include "base/mem.h"
#include "index/index.h"

enum { DIM = 16, N = 2000 };

static const char *const specs[] = {"Flat",  "Flat,SQ8",        "SQ8", "SQfp16", "SQbf16",
                                    "HNSW8", "HNSW8,SQ8,Refine"};
enum { N_SPECS = 7 };

static float rows[N * DIM];

static int make_rows(void **state) {
    uint64_t random = 21;
    (void)state;
    for (size_t i = 0; i < N * DIM; i++)
        rows[i] = (float)(bits_random(&random) >> 40) * 0x1p-23f - 1;
    return 0;
}

static kith_index *index_of(const char *spec, kith_metric metric, size_t n) {
    kith_index *index;
    kith_error err;
    assert_int_equal(kith_index_new(&index, DIM, metric, spec, NULL, &err), KITH_OK);
    if (n) assert_int_equal(kith_index_add(index, n, rows, NULL, NULL, &err), KITH_OK);
    return index;
}

/* ---- arguments --------------------------------------------------------------------------------- */

static void test_new_refuses(void **state) {
    kith_index *index = (kith_index *)(uintptr_t)0x10;
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    kith_error err;
    (void)state;
    assert_int_equal(kith_index_new(&index, 0, KITH_METRIC_L2, "Flat", NULL, &err), KITH_EDIM);
    assert_int_equal(kith_index_new(&index, 65537, KITH_METRIC_L2, "Flat", NULL, &err), KITH_EDIM);
    assert_non_null(strstr(err.text, "65537"));
    assert_int_equal(kith_index_new(&index, 4, (kith_metric)5, "Flat", NULL, &err), KITH_EINVAL);
    assert_int_equal(kith_index_new(&index, 4, KITH_METRIC_L2, "Flat,PQ9", NULL, &err), KITH_ESPEC);
    assert_int_equal(err.at, 5);
    assert_int_equal(kith_index_new(&index, 4, KITH_METRIC_L2, NULL, NULL, &err), KITH_EINVAL);
    assert_int_equal(kith_index_new(NULL, 4, KITH_METRIC_L2, "Flat", NULL, NULL), KITH_EINVAL);
    options.size = 10000;
    assert_int_equal(kith_index_new(&index, 4, KITH_METRIC_L2, "Flat", &options, &err),
                     KITH_EINVAL);
    assert_ptr_equal(index, (void *)(uintptr_t)0x10);
    kith_index_free(NULL);
}

static int pass_all(void *context, int64_t id) {
    (void)context, (void)id;
    return 1;
}

static void test_search_refuses(void **state) {
    (void)state;
    for (size_t s = 0; s < N_SPECS; s++) {
        kith_index *index = index_of(specs[s], KITH_METRIC_L2, 0);
        kith_search_params params = KITH_SEARCH_PARAMS_INIT;
        int64_t ids[30] = {42};
        float dists[30], query[2 * DIM] = {0};
        uint64_t bits = 1;
        kith_error err;
        assert_int_equal(kith_index_search(index, 1, rows, &params, ids, dists, &err), KITH_EEMPTY);
        assert_int_equal(kith_index_add(index, 20, rows, NULL, NULL, &err), KITH_OK);
        params.k = 0;
        assert_int_equal(kith_index_search(index, 1, rows, &params, ids, dists, &err), KITH_EK);
        params.k = 21;
        assert_int_equal(kith_index_search(index, 1, rows, &params, ids, dists, &err), KITH_EK);
        assert_non_null(strstr(err.text, "21"));
        params.k = 20;
        assert_int_equal(kith_index_search(index, 1, rows, &params, NULL, dists, &err),
                         KITH_EINVAL);
        assert_int_equal(kith_index_search(index, 1, NULL, &params, ids, dists, &err), KITH_EINVAL);
        assert_int_equal(kith_index_search(NULL, 1, rows, &params, ids, dists, &err), KITH_EINVAL);
        query[DIM + 3] = NAN;
        assert_int_equal(kith_index_search(index, 2, query, &params, ids, dists, &err),
                         KITH_ENONFINITE);
        assert_int_equal(err.at, 1);
        query[DIM + 3] = 3e19f;
        assert_int_equal(kith_index_search(index, 2, query, &params, ids, dists, &err),
                         KITH_ERANGE);
        params.filter = (kith_filter){.n_bits = 64};
        assert_int_equal(kith_index_search(index, 1, rows, &params, ids, dists, &err),
                         KITH_EFILTER);
        params.filter = (kith_filter){.bits = &bits, .n_bits = 64, .pass = pass_all};
        assert_int_equal(kith_index_search(index, 1, rows, &params, ids, dists, &err),
                         KITH_EFILTER);
        params.filter = (kith_filter){0};
        params.ef = 1u << 20;
        assert_int_equal(kith_index_search(index, 1, rows, &params, ids, dists, &err), KITH_EINVAL);
        params.ef = 0;
        params.oversample = NAN;
        assert_int_equal(kith_index_search(index, 1, rows, &params, ids, dists, &err), KITH_EINVAL);
        assert_int_equal(ids[0], 42);
        params.oversample = 0;
        assert_int_equal(kith_index_search(index, 1, rows, &params, ids, NULL, &err), KITH_OK);
        assert_int_equal(ids[0], 0);
        assert_int_equal(kith_index_search(index, 0, NULL, &params, NULL, NULL, &err), KITH_OK);
        kith_index_free(index);
    }
}

static void test_writes_refuse(void **state) {
    (void)state;
    for (size_t s = 0; s < N_SPECS; s++) {
        kith_index *index = index_of(specs[s], KITH_METRIC_COSINE, 50);
        int64_t ids[3] = {1, 2, 77}, twice[2] = {4, 4};
        float bad[DIM] = {INFINITY};
        kith_error err;
        assert_int_equal(kith_index_add(index, 3, rows, ids, NULL, &err), KITH_EDUPLICATE);
        assert_int_equal(kith_index_add(index, 1, bad, NULL, NULL, &err), KITH_ENONFINITE);
        assert_int_equal(kith_index_add(index, 1, NULL, NULL, NULL, &err), KITH_EINVAL);
        assert_int_equal(kith_index_add(index, (size_t)1 << 40, rows, NULL, NULL, &err),
                         KITH_EFULL);
        assert_int_equal(kith_index_remove(index, 3, ids, &err), KITH_ENOTFOUND);
        assert_int_equal(err.at, 2);
        assert_int_equal(kith_index_remove(index, 2, twice, &err), KITH_EDUPLICATE);
        assert_int_equal(kith_index_update(index, 3, rows, ids, NULL, &err), KITH_ENOTFOUND);
        assert_int_equal(kith_index_update(index, 2, rows, twice, NULL, &err), KITH_EDUPLICATE);
        assert_int_equal(kith_index_update(index, 2, rows, NULL, NULL, &err), KITH_EINVAL);
        assert_int_equal(kith_index_reconstruct(index, 50, bad, &err), KITH_ENOTFOUND);
        assert_int_equal(kith_index_rows(index), 50);
        assert_int_equal(kith_index_check(index, &err), KITH_OK);
        assert_int_equal(kith_index_remove(index, 0, NULL, &err), KITH_OK);
        kith_index_free(index);
    }
}

/* ---- what comes back --------------------------------------------------------------------------- */

static void test_scores_are_the_users(void **state) {
    (void)state;
    for (int m = 0; m <= KITH_METRIC_L1; m++) {
        kith_metric metric = (kith_metric)m;
        kith_index *index = index_of("Flat", metric, N);
        kith_search_params params = KITH_SEARCH_PARAMS_INIT;
        int64_t ids[10];
        float dists[10], want;
        uint64_t nothing = 0;
        kith_error err;
        assert_int_equal(kith_index_metric(index), metric);
        assert_int_equal(kith_index_dim(index), DIM);
        assert_int_equal(kith_index_search(index, 1, rows + 5 * DIM, &params, ids, dists, &err),
                         KITH_OK);
        for (int i = 0; i < 10; i++) {
            assert_int_equal(kith_distance(metric, KITH_TYPE_F32, DIM, rows + 5 * DIM,
                                           rows + ids[i] * DIM, &want, &err),
                             KITH_OK);
            assert_true(fabsf(want - dists[i]) <= 1e-6f * (1 + fabsf(want)));
            if (i)
                assert_true(kith_metric_is_similarity(metric) ? dists[i] <= dists[i - 1]
                                                              : dists[i] >= dists[i - 1]);
        }
        params.filter = (kith_filter){.bits = &nothing, .n_bits = 64};
        assert_int_equal(kith_index_search(index, 1, rows, &params, ids, dists, &err), KITH_OK);
        assert_int_equal(ids[0], KITH_NO_ID);
        assert_true(isinf(dists[0]) && (dists[0] < 0) == (kith_metric_is_similarity(metric) != 0));
        kith_index_free(index);
    }
}

static void test_reconstruct(void **state) {
    (void)state;
    for (size_t s = 0; s < N_SPECS; s++) {
        kith_index *index = index_of(specs[s], KITH_METRIC_L2, 300);
        float row[DIM];
        kith_error err;
        bool whole = strcmp(specs[s], "SQ8") != 0 && strncmp(specs[s], "SQ", 2) != 0;
        for (int64_t id = 0; id < 300; id += 7) {
            assert_int_equal(kith_index_reconstruct(index, id, row, &err), KITH_OK);
            assert_true(kith_index_contains(index, id));
            for (int i = 0; i < DIM; i++)
                assert_true(fabsf(row[i] - rows[id * DIM + i]) <= (whole ? 0 : 0.01f));
        }
        assert_false(kith_index_contains(index, 300));
        assert_false(kith_index_contains(index, -1));
        kith_index_free(index);
    }
}

static void test_auto_chooses(void **state) {
    kith_index *index;
    kith_index_stats stats;
    kith_error err;
    (void)state;
    assert_int_equal(kith_index_new(&index, 1, KITH_METRIC_L2, "Auto", NULL, &err), KITH_OK);
    kith_index_stats_get(index, &stats);
    assert_string_equal(stats.spec, "Auto");
    assert_int_equal(kith_index_add(index, 1, (float[]){NAN}, NULL, NULL, &err), KITH_ENONFINITE);
    kith_index_stats_get(index, &stats);
    assert_string_equal(stats.spec, "Auto"); /* a refused add chose nothing */
    assert_int_equal(kith_index_add(index, N, rows, NULL, NULL, &err), KITH_OK);
    kith_index_stats_get(index, &stats);
    assert_string_equal(stats.spec, "Flat");
    assert_int_equal(kith_index_rows(index), N);
    kith_index_free(index);
    assert_int_equal(kith_index_new(&index, 1, KITH_METRIC_L2, "Auto", NULL, &err), KITH_OK);
    assert_int_equal(kith_index_add(index, 20000, rows, NULL, NULL, &err), KITH_OK);
    kith_index_stats_get(index, &stats);
    assert_string_equal(stats.spec, "HNSW16,SQ8,Refine");
    kith_index_free(index);
}

/* ---- memory and time --------------------------------------------------------------------------- */

static void check_account(const kith_index *index) {
    kith_index_stats stats;
    uint64_t sum = 0;
    kith_index_stats_get(index, &stats);
    for (uint32_t i = 0; i < stats.n_components; i++) sum += stats.component[i].bytes;
    assert_int_equal(sum, stats.bytes);
    const struct kith_index *inside = index_real((const struct kith_index *)index);
    if (sum != inside->mem.bytes + inside->object_bytes)
        fail_msg("%s: %llu bytes in components, %llu allocated", stats.spec,
                 (unsigned long long)sum,
                 (unsigned long long)(inside->mem.bytes + inside->object_bytes));
}

static void test_components_are_what_was_allocated(void **state) {
    (void)state;
    for (size_t s = 0; s < N_SPECS; s++)
        for (int m = 0; m <= KITH_METRIC_L1; m++) {
            kith_index *index = index_of(specs[s], (kith_metric)m, 0);
            kith_search_params params = KITH_SEARCH_PARAMS_INIT;
            int64_t ids[1000], id = 500;
            kith_error err;
            check_account(index);
            assert_int_equal(kith_index_add(index, 700, rows, NULL, NULL, &err), KITH_OK);
            check_account(index);
            assert_int_equal(kith_index_search(index, 1, rows, &params, ids, NULL, &err), KITH_OK);
            assert_int_equal(kith_index_search(index, 100, rows, &params, ids, NULL, &err),
                             KITH_OK);
            check_account(index);
            assert_int_equal(kith_index_remove(index, 1, &id, &err), KITH_OK);
            id = 77777;
            assert_int_equal(kith_index_add(index, 1, rows, &id, NULL, &err), KITH_OK);
            assert_int_equal(kith_index_add(index, 1000, rows, NULL, NULL, &err), KITH_OK);
            check_account(index);
            kith_index_free(index);
        }
}

static void test_searches_allocate_nothing_once_warm(void **state) {
    static int64_t ids[200 * 10];
    static float dists[200 * 10];
    (void)state;
    for (size_t s = 0; s < N_SPECS; s++)
        for (int m = 0; m <= KITH_METRIC_L1; m++) {
            kith_index *index = index_of(specs[s], (kith_metric)m, N);
            kith_search_params params = KITH_SEARCH_PARAMS_INIT;
            kith_error err;
            assert_int_equal(kith_index_search(index, 200, rows, &params, ids, dists, &err),
                             KITH_OK);
            for (int i = 0; i < 3; i++)
                assert_int_equal(kith_index_search(index, 1, rows, &params, ids, dists, &err),
                                 KITH_OK);
            uint64_t before = mem_total_calls();
            for (int i = 0; i < 50; i++)
                assert_int_equal(
                    kith_index_search(index, 1, rows + i * DIM, &params, ids, dists, &err),
                    KITH_OK);
            assert_int_equal(kith_index_search(index, 200, rows, &params, ids, NULL, &err),
                             KITH_OK);
            params.exact = 1;
            if (s < 5)
                assert_int_equal(kith_index_search(index, 1, rows, &params, ids, dists, &err),
                                 KITH_OK);
            assert_int_equal(mem_total_calls(), before);
            kith_index_free(index);
        }
}

static void test_deadline(void **state) {
    (void)state;
    for (size_t s = 0; s < 5; s++) {
        kith_index *index = index_of(specs[s], KITH_METRIC_IP, N);
        kith_search_params params = KITH_SEARCH_PARAMS_INIT;
        static int64_t ids[200 * 10];
        kith_range_result *result;
        kith_error err;
        params.deadline_ns = 1;
        assert_int_equal(kith_index_search(index, 1, rows, &params, ids, NULL, &err),
                         KITH_EDEADLINE);
        assert_int_equal(kith_index_search(index, 200, rows, &params, ids, NULL, &err),
                         KITH_EDEADLINE);
        assert_int_equal(kith_index_range_search(index, 1, rows, 0, &params, &result, &err),
                         KITH_EDEADLINE);
        params.deadline_ns = UINT64_MAX;
        assert_int_equal(kith_index_search(index, 200, rows, &params, ids, NULL, &err), KITH_OK);
        kith_index_free(index);
    }
}

static void test_range(void **state) {
    kith_index *index = index_of("Flat,SQ8", KITH_METRIC_L2, N);
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_range_result *result;
    kith_error err;
    (void)state;
    params.threads = 3;
    assert_int_equal(kith_index_range_search(index, 5, rows, 2.5f, &params, &result, &err),
                     KITH_OK);
    assert_int_equal(result->n, 5);
    assert_int_equal(result->start[0], 0);
    for (size_t i = 0; i < 5; i++) {
        assert_true(result->start[i + 1] > result->start[i]);
        assert_int_equal(result->ids[result->start[i]], i);
        for (uint64_t j = result->start[i]; j < result->start[i + 1]; j++)
            assert_true(result->dists[j] <= 2.5f);
    }
    kith_range_result_free(result);
    assert_int_equal(kith_index_range_search(index, 5, rows, -1, NULL, &result, &err), KITH_OK);
    assert_int_equal(result->start[5], 0);
    kith_range_result_free(result);
    assert_int_equal(kith_index_range_search(index, 1, rows, INFINITY, NULL, &result, &err),
                     KITH_OK);
    assert_int_equal(result->start[1], N);
    kith_range_result_free(result);
    assert_int_equal(kith_index_range_search(index, 5, rows, NAN, NULL, &result, &err),
                     KITH_ENONFINITE);
    kith_range_result_free(NULL);
    kith_index_free(index);
}

/* What Auto becomes, by rows and what is asked of it. */
static void test_auto_rules(void **state) {
    static const struct {
        size_t n;
        float bytes, recall, writes;
        const char *spec;
    } cases[] = {{100, 0, 0, 0, "Flat"},
                 {20000, 0, 0, 0, "HNSW16,SQ8,Refine"},
                 {20000, 0, 0.99f, 0, "HNSW32,SQ8,Refine"},
                 {20000, 0, 0.99f, 2, "IVF142,SQ8,Refine"},
                 {20000, 200, 0, 0, "HNSW16,SQfp16"},
                 {100, 20, 0, 0, "IVF10,RaBitQ"},
                 {20000, 30, 0, 0, "IVF142,SQ8"}};
    float *all = calloc(20000, 8 * sizeof *all);
    uint64_t random = 1;
    (void)state;
    for (size_t i = 0; i < 20000 * 8; i++) all[i] = (float)(bits_random(&random) >> 40) * 0x1p-23f;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kith_index_options options = KITH_INDEX_OPTIONS_INIT;
        kith_index_stats stats;
        kith_index *index;
        kith_error err;
        options.ef_construction = 8;
        options.bytes_per_row = cases[i].bytes;
        options.recall = cases[i].recall;
        options.writes = cases[i].writes;
        assert_int_equal(kith_index_new(&index, 8, KITH_METRIC_L2, "Auto", &options, &err), 0);
        assert_int_equal(kith_index_add(index, cases[i].n, all, NULL, NULL, &err), 0);
        kith_index_stats_get(index, &stats);
        assert_string_equal(stats.spec, cases[i].spec);
        kith_index_free(index);
        options.recall = 2;
        assert_int_equal(kith_index_new(&index, 8, KITH_METRIC_L2, "Auto", &options, &err),
                         KITH_EINVAL);
    }
    free(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auto_rules),
        cmocka_unit_test(test_new_refuses),
        cmocka_unit_test(test_search_refuses),
        cmocka_unit_test(test_writes_refuse),
        cmocka_unit_test(test_scores_are_the_users),
        cmocka_unit_test(test_reconstruct),
        cmocka_unit_test(test_auto_chooses),
        cmocka_unit_test(test_components_are_what_was_allocated),
        cmocka_unit_test(test_searches_allocate_nothing_once_warm),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_range),
    };
    return cmocka_run_group_tests(tests, make_rows, NULL);
}
