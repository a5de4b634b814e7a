/* A calibration keeps its promises to the rest: refused where it cannot be, kept in the file, the same at any number of
 * threads, aged by writes, and gone without a trace when memory is short. */
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
#include "base/mem.h"
#include "index/effort.h"

enum { DIM = 12, N = 900, K = 5 };

static float rows[2 * N * DIM];
static char path[64];

static int begin(void **state) {
    uint64_t random = 3;
    (void)state;
    for (size_t i = 0; i < 2 * N * DIM; i++)
        rows[i] = (float)(bits_random(&random) >> 40) * 0x1p-23f - 1;
    snprintf(path, sizeof path, "calibrate-%ld.kith", (long)getpid());
    return 0;
}

static int end(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

static const char *const specs[] = {"HNSW4",      "HNSW4,SQ8,Refine",     "HNSW4,SQ4",
                                    "IVF8,Flat",  "IVF8,SQ4,Refine",      "IVF8,RaBitQ",
                                    "PQ4,Refine", "PCA6,IVF8,Flat,RFlat", "PCA6,HNSW4",
                                    "SQ8"};
enum { SPECS = sizeof specs / sizeof *specs };

static kith_index *make(const char *spec, size_t n) {
    kith_index *index;
    kith_error err;
    if (kith_index_new(&index, DIM, KITH_METRIC_L2, spec, NULL, &err) ||
        kith_index_train(index, N, rows, NULL, &err) ||
        kith_index_add(index, n, rows, NULL, NULL, &err))
        fail_msg("%s: %s", spec, err.text);
    return index;
}

static int calibrate(kith_index *index, uint32_t threads, kith_error *err) {
    static const uint32_t k[] = {1, K, 50};
    kith_calibrate_options how = KITH_CALIBRATE_OPTIONS_INIT;
    kith_work work = KITH_WORK_INIT;
    work.threads = threads;
    how.k = k;
    how.n_k = 3;
    how.n_rows = 200;
    how.base = rows;
    how.n_base = kith_index_rows(index);
    return kith_index_calibrate(index, &how, &work, err);
}

static int effort(const kith_index *index, double recall, kith_search_params *params,
                  double *expected, kith_error *err) {
    *params = (kith_search_params)KITH_SEARCH_PARAMS_INIT;
    params->k = K;
    params->recall = (float)recall;
    return kith_index_effort(index, params, expected, err);
}

static char *bytes_of(const kith_index *index, long *n) {
    kith_error err;
    assert_int_equal(kith_index_save(index, path, &err), KITH_OK);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *n = ftell(file);
    char *bytes = malloc((size_t)*n);
    rewind(file);
    assert_int_equal(fread(bytes, 1, (size_t)*n, file), *n);
    fclose(file);
    return bytes;
}

static void test_same_everywhere(void **state) {
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        kith_index *index = make(specs[s], N);
        kith_error err;
        long n[2];
        char *bytes[2];
        for (uint32_t i = 0; i < 2; i++) {
            if (calibrate(index, 1 + 2 * i, &err)) fail_msg("%s: %s", specs[s], err.text);
            bytes[i] = bytes_of(index, &n[i]);
        }
        assert_int_equal(n[0], n[1]);
        assert_memory_equal(bytes[0], bytes[1], (size_t)n[0]);
        free(bytes[0]);
        free(bytes[1]);
        kith_index_free(index);
    }
}

static void test_kept_in_the_file(void **state) {
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        kith_index *index = make(specs[s], N), *opened;
        kith_error err;
        assert_int_equal(calibrate(index, 2, &err), KITH_OK);
        assert_int_equal(kith_index_save(index, path, &err), KITH_OK);
        for (int mode = KITH_OPEN_READ; mode <= KITH_OPEN_MAP; mode++) {
            if (kith_index_open(&opened, path, mode, &err)) fail_msg("%s", err.text);
            for (int percent = 10; percent < 100; percent += 10) {
                kith_search_params a, b;
                double of_a = 0, of_b = 0;
                int code = effort(index, percent / 100.0, &a, &of_a, &err);
                assert_int_equal(effort(opened, percent / 100.0, &b, &of_b, &err), code);
                assert_int_equal(a.ef, b.ef);
                assert_int_equal(a.nprobe, b.nprobe);
                assert_true(a.oversample == b.oversample && of_a == of_b);
            }
            kith_index_free(opened);
        }
        kith_index_free(index);
    }
}

static void test_more_recall_takes_no_less(void **state) {
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        kith_index *index = make(specs[s], N);
        kith_error err;
        kith_search_params last = KITH_SEARCH_PARAMS_INIT, params;
        double before = 0, expected;
        assert_int_equal(calibrate(index, 2, &err), KITH_OK);
        for (int i = 1; i < 1000; i++) {
            if (effort(index, i / 1000.0, &params, &expected, &err)) {
                assert_int_equal(err.code, KITH_ERECALL);
                break;
            }
            assert_true(expected >= (double)(float)(i / 1000.0) - 1e-6);
            assert_true(expected >= before - 1e-6);
            if (!params.exact) {
                assert_true(params.ef >= last.ef && params.nprobe >= last.nprobe);
                last = params;
            }
            before = expected;
        }
        kith_index_free(index);
    }
}

static void test_refusals(void **state) {
    kith_index *index = make("IVF8,RaBitQ", N), *flat = make("Flat", 20);
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_calibrate_options how = KITH_CALIBRATE_OPTIONS_INIT;
    kith_error err;
    int64_t ids[K];
    uint32_t k[] = {5, 5};
    (void)state;
    params.k = K;
    params.recall = 0.9f;
    assert_int_equal(kith_index_search(index, 1, rows, &params, ids, NULL, &err), KITH_ERECALL);
    assert_int_equal(kith_index_calibrate(index, NULL, NULL, &err), KITH_EINVAL); /* wants a base */
    assert_non_null(strstr(err.text, "keeps codes alone"));
    how.k = k;
    how.n_k = 2;
    assert_int_equal(kith_index_calibrate(index, &how, NULL, &err), KITH_EINVAL);
    how.k = NULL;
    assert_int_equal(kith_index_calibrate(index, &how, NULL, &err), KITH_EINVAL);
    how.n_k = 0;
    how.base = rows;
    how.n_base = N - 1;
    assert_int_equal(kith_index_calibrate(index, &how, NULL, &err), KITH_EINVAL);
    /* Base ids are looked at, whether rows stand for queries or queries are given: else the table would be of nothing. */
    static int64_t base_ids[N];
    how.n_base = N;
    how.base_ids = base_ids;
    for (int given = 0; given < 2; given++) {
        for (int i = 0; i < N; i++) base_ids[i] = i + 1;
        how.queries = given ? rows : NULL;
        how.n_queries = given ? 20 : 0;
        assert_int_equal(kith_index_calibrate(index, &how, NULL, &err), KITH_ENOTFOUND);
        assert_int_equal(err.at, N - 1);
        base_ids[N - 1] = 1;
        assert_int_equal(kith_index_calibrate(index, &how, NULL, &err), KITH_EDUPLICATE);
        assert_int_equal(err.at, N - 1);
    }
    assert_int_equal(calibrate(index, 1, &err), KITH_OK);
    assert_int_equal(kith_index_search(index, 1, rows, &params, ids, NULL, &err), KITH_ERECALL);
    assert_non_null(strstr(err.text, "at most"));
    params.recall = 0.3f;
    assert_int_equal(kith_index_search(index, 1, rows, &params, ids, NULL, &err), KITH_OK);
    params.ef = 20;
    assert_int_equal(kith_index_search(index, 1, rows, &params, ids, NULL, &err), KITH_EINVAL);
    params.ef = 0;
    params.recall = 1.5f;
    assert_int_equal(kith_index_search(index, 1, rows, &params, ids, NULL, &err), KITH_EINVAL);
    params.recall = 1;
    assert_int_equal(kith_index_search(flat, 1, rows, &params, ids, NULL, &err), KITH_OK);
    kith_index_free(index);
    kith_index_free(flat);
}

static void test_writes_age_it(void **state) {
    kith_index *index = make("HNSW4,SQ8,Refine", N);
    kith_index_stats stats;
    kith_search_params fresh, aged;
    double expected;
    kith_error err;
    int64_t id = 3;
    (void)state;
    assert_int_equal(calibrate(index, 1, &err), KITH_OK);
    assert_int_equal(effort(index, 0.9, &fresh, &expected, &err), KITH_OK);
    assert_int_equal(kith_index_remove(index, 1, &id, &err), KITH_OK);
    assert_int_equal(kith_index_add(index, N / 10 - 1, rows + N * DIM, NULL, NULL, &err), KITH_OK);
    assert_int_equal(effort(index, 0.9, &aged, &expected, &err), KITH_OK);
    assert_int_equal(aged.ef, fresh.ef);
    kith_index_stats_get(index, &stats);
    assert_int_equal(stats.calibrated_rows, N);
    assert_int_equal(stats.changed_rows, N / 10);
    assert_int_equal(kith_index_add(index, 1, rows + N * DIM, NULL, NULL, &err), KITH_OK);
    assert_int_equal(effort(index, 0.9, &aged, &expected, &err), KITH_OK);
    assert_true(aged.ef > fresh.ef && expected >= 0.95 - 1e-6);
    assert_int_equal(kith_index_add(index, N - N / 10, rows, NULL, NULL, &err), KITH_OK);
    assert_int_equal(effort(index, 0.9, &aged, &expected, &err), KITH_ERECALL);
    assert_int_equal(kith_index_calibrate(index, NULL, NULL, &err), KITH_OK);
    assert_int_equal(effort(index, 0.9, &aged, &expected, &err), KITH_OK);
    kith_index_stats_get(index, &stats);
    assert_int_equal(stats.changed_rows, 0);
    kith_index_free(index);
}

/* What is out of reach of the codes is had by a scan where originals are kept. */
static void test_all_rows_at_last(void **state) {
    kith_index *index = make("IVF8,RaBitQ,Refine", N);
    kith_search_params params;
    double expected;
    kith_error err;
    (void)state;
    assert_int_equal(calibrate(index, 1, &err), KITH_OK);
    assert_int_equal(effort(index, 1.0, &params, &expected, &err), KITH_OK);
    assert_true(expected == 1);
    kith_index_free(index);
}

static void test_given_queries(void **state) {
    kith_index *index = make("IVF8,Flat", N);
    kith_calibrate_options how = KITH_CALIBRATE_OPTIONS_INIT;
    kith_search_params params;
    double expected;
    kith_error err;
    float broken[DIM];
    (void)state;
    how.queries = rows + N * DIM;
    how.n_queries = 100;
    assert_int_equal(kith_index_calibrate(index, &how, NULL, &err), KITH_OK);
    assert_int_equal(effort(index, 0.9, &params, &expected, &err), KITH_OK);
    memset(broken, 0xff, sizeof broken);
    how.queries = broken;
    how.n_queries = 1;
    assert_int_equal(kith_index_calibrate(index, &how, NULL, &err), KITH_ENONFINITE);
    assert_int_equal(effort(index, 0.9, &params, &expected, &err), KITH_OK); /* as it was */
    kith_index_free(index);
}

static void test_no_memory(void **state) {
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        kith_index *index = make(specs[s], 300);
        kith_error err;
        print_message("# %s\n", specs[s]);
        assert_int_equal(calibrate(index, 1, &err), KITH_OK); /* scratch is warm */
        uint64_t blocks = mem_live_blocks();
        int code = KITH_ENOMEM;
        for (uint64_t nth = 1; code == KITH_ENOMEM; nth++) {
            mem_test_fail_at(nth);
            code = calibrate(index, 1, &err);
            mem_test_fail_at(0);
            if (mem_live_blocks() != blocks)
                fail_msg("%s: %d at %llu: %s", specs[s], code, (unsigned long long)nth, err.text);
        }
        assert_int_equal(code, KITH_OK);
        kith_index_free(index);
    }
}

/* Points between those that were measured. */
static void test_table(void **state) {
    struct effort_table table = {.rows = 100, .n_curves = 2};
    const struct effort points[] = {
        {10, 0, 1, 0.8f}, {20, 0, 1, 0.9f}, {20, 0, 2, 0.95f}, {80, 0, 2, 0.99f}};
    struct effort found;
    (void)state;
    table.curve[0].k = 1;
    table.curve[1].k = 10;
    for (int i = 0; i < 4; i++) {
        effort_append(&table.curve[1], &points[i]);
        struct effort half = points[i];
        half.ef /= 2;
        effort_append(&table.curve[0], &half);
    }
    effort_append(&table.curve[1], &points[0]); /* falls: left out */
    assert_int_equal(table.curve[1].n, 4);
    assert_true(effort_choose(&table, 10, 0.5, &found));
    assert_int_equal(found.ef, 10);
    assert_true(effort_choose(&table, 10, 0.85, &found));
    assert_in_range(found.ef, 13, 16);
    assert_true(effort_choose(&table, 10, (double)0.9f, &found));
    assert_int_equal(found.ef, 20);
    assert_true(effort_choose(&table, 10, 0.97, &found));
    assert_in_range(found.ef, 30, 60);
    assert_true(found.oversample == 2 && found.recall >= 0.97f);
    assert_true(effort_choose(&table, 3, 0.8, &found));
    assert_in_range(found.ef, 6, 9);
    assert_true(effort_choose(&table, 40, 0.8, &found));
    assert_int_equal(found.ef, 40);
    assert_false(effort_choose(&table, 10, 0.995, &found));
    assert_true(found.recall == 0.99f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_same_everywhere),
        cmocka_unit_test(test_kept_in_the_file),
        cmocka_unit_test(test_more_recall_takes_no_less),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_writes_age_it),
        cmocka_unit_test(test_all_rows_at_last),
        cmocka_unit_test(test_given_queries),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("calibrate", tests, begin, end);
}
