/* Tuning keeps to what it was asked: recall, memory and build time, on queries that it held out; and says what it did. */
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

enum { DIM = 16, N = 1500, CENTRES = 50 };

static float rows[N * DIM];

static float draw(uint64_t *random) { return (float)(bits_random(random) >> 40) * 0x1p-23f - 1; }

static int begin(void **state) {
    uint64_t random = 9;
    float centre[CENTRES * DIM];
    (void)state;
    for (int i = 0; i < CENTRES * DIM; i++) centre[i] = draw(&random);
    for (int i = 0; i < N * DIM; i++)
        rows[i] = centre[i / DIM % CENTRES * DIM + i % DIM] + 0.4f * draw(&random);
    return 0;
}

static void expect_true_trial(const kith_tune_result *result, const kith_tune_trial *trial,
                              double recall) {
    assert_true(trial->rows <= result->rows);
    assert_true(trial->verdict != KITH_TUNE_FINE || trial->n_points > 0);
    for (uint32_t i = 0; i < trial->n_points; i++) {
        assert_true(trial->point[i].seconds > 0);
        assert_true(trial->point[i].recall <= 1 && trial->point[i].expected <= 1);
    }
    if (trial->n_points) assert_true(trial->point[0].expected >= recall - 1e-6);
}

static void test_reaches_recall(void **state) {
    kith_tune_options options = KITH_TUNE_OPTIONS_INIT;
    kith_tune_result *result;
    kith_index *index;
    kith_error err;
    (void)state;
    options.recall = 0.9;
    if (kith_tune(N, DIM, rows, KITH_METRIC_L2, &options, NULL, &result, &err))
        fail_msg("%s", err.text);
    assert_int_equal(result->queries, N / 10);
    assert_int_equal(result->rows, N - N / 10);
    for (size_t i = 0; i < result->n_trials; i++) expect_true_trial(result, &result->trial[i], 0.9);
    assert_non_null(result->best);
    assert_int_equal(result->best->rows, result->rows);
    assert_true(result->best->point[0].recall >= 0.84); /* of 75 queries */
    assert_int_equal(kith_index_new(&index, DIM, KITH_METRIC_L2, result->best->full, NULL, &err),
                     0);
    kith_index_free(index);
    kith_tune_result_free(result);
}

static void test_keeps_to_memory(void **state) {
    static const char *const specs[] = {"HNSW16", "SQ8", "SQ4"};
    kith_tune_options options = KITH_TUNE_OPTIONS_INIT;
    kith_tune_result *result;
    kith_error err;
    (void)state;
    options.candidates = specs;
    options.n_candidates = 3;
    options.memory = 60;
    options.recall = 0.5;
    if (kith_tune(N, DIM, rows, KITH_METRIC_L2, &options, NULL, &result, &err))
        fail_msg("%s", err.text);
    assert_int_equal(result->n_trials, 3);
    assert_int_equal(result->trial[0].verdict, KITH_TUNE_MEMORY);
    assert_int_equal(result->trial[0].n_points, 0);
    if (result->best) assert_true(result->best->bytes <= 60);
    kith_tune_result_free(result);
    options.memory = 0;
    options.build_seconds = 1e-9;
    assert_int_equal(kith_tune(N, DIM, rows, KITH_METRIC_L2, &options, NULL, &result, &err), 0);
    assert_null(result->best);
    assert_int_equal(result->trial[0].verdict, KITH_TUNE_BUILD);
    kith_tune_result_free(result);
}

static void test_refuses(void **state) {
    static const char *const specs[] = {"HNSW16,Nonsense"};
    kith_tune_options options = KITH_TUNE_OPTIONS_INIT;
    kith_tune_result *result = NULL;
    kith_error err;
    (void)state;
    assert_int_equal(kith_tune(50, DIM, rows, KITH_METRIC_L2, NULL, NULL, &result, &err),
                     KITH_EINVAL);
    options.recall = 1.5;
    assert_int_equal(kith_tune(N, DIM, rows, KITH_METRIC_L2, &options, NULL, &result, &err),
                     KITH_EINVAL);
    options.recall = 0.9;
    options.queries = 1; /* which half would judge? */
    assert_int_equal(kith_tune(N, DIM, rows, KITH_METRIC_L2, &options, NULL, &result, &err),
                     KITH_EINVAL);
    options.queries = 0;
    options.n_candidates = 1;
    assert_int_equal(kith_tune(N, DIM, rows, KITH_METRIC_L2, &options, NULL, &result, &err),
                     KITH_EINVAL);
    char longer[KITH_TUNE_SPEC + 1] = "";
    memset(longer, 'x', KITH_TUNE_SPEC);
    const char *const odd[] = {longer, NULL};
    options.candidates = odd;
    assert_int_equal(kith_tune(N, DIM, rows, KITH_METRIC_L2, &options, NULL, &result, &err),
                     KITH_EINVAL);
    options.candidates = odd + 1;
    assert_int_equal(kith_tune(N, DIM, rows, KITH_METRIC_L2, &options, NULL, &result, &err),
                     KITH_EINVAL);
    options.n_candidates = 0;
    options.k = N;
    assert_int_equal(kith_tune(N, DIM, rows, KITH_METRIC_L2, &options, NULL, &result, &err),
                     KITH_EK);
    options.k = 10;
    options.candidates = specs;
    options.n_candidates = 1;
    assert_int_equal(kith_tune(N, DIM, rows, KITH_METRIC_L2, &options, NULL, &result, &err),
                     KITH_ESPEC);
    assert_null(result);
}

static void test_no_memory(void **state) {
    static const char *const specs[] = {"IVF4,SQ8,Refine"};
    kith_tune_options options = KITH_TUNE_OPTIONS_INIT;
    kith_tune_result *result;
    kith_error err;
    int code = KITH_ENOMEM;
    (void)state;
    options.candidates = specs;
    options.n_candidates = 1;
    uint64_t blocks = mem_live_blocks();
    for (uint64_t nth = 1; code == KITH_ENOMEM; nth += 1 + nth / 4) {
        mem_test_fail_at(nth);
        code = kith_tune(400, DIM, rows, KITH_METRIC_L2, &options, NULL, &result, &err);
        mem_test_fail_at(0);
        if (code == KITH_OK) kith_tune_result_free(result);
        assert_int_equal(mem_live_blocks(), blocks);
    }
    assert_int_equal(code, KITH_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reaches_recall),
        cmocka_unit_test(test_keeps_to_memory),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("tune", tests, begin, NULL);
}
