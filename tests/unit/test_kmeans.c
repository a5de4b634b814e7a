/* k-means: small cases by hand, bad arguments, repairs, row sources, and determinism. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/mem.h"
#include "kern/kern.h"
#include "quant/kmeans.h"

enum { N = 3000, DIM = 24, K = 40 };
static float rows[N * DIM], centroids[N * DIM], again[N * DIM];
static uint64_t state;

static float uniform(void) { return (float)(bits_random(&state) >> 40) * 0x1p-24f; }

/* Lumps of rows around 60 places. */
static void fill(uint64_t seed) {
    static float places[60 * DIM];
    state = seed;
    for (size_t i = 0; i < 60 * DIM; i++) places[i] = 10 * uniform();
    for (size_t i = 0; i < N; i++) {
        const float *place = places + bits_random(&state) % 60 * DIM;
        for (size_t j = 0; j < DIM; j++) rows[i * DIM + j] = place[j] + 3 * uniform();
    }
}

static struct kmeans_rows all_rows(size_t n) {
    return (struct kmeans_rows){.n = n, .dim = DIM, .values = rows};
}

static struct kmeans_report train(const struct kmeans_options *options,
                                  const struct kmeans_rows *source, float *out) {
    struct kmeans_report report;
    struct mem_account owner = {0};
    kith_error err = {0};
    uint64_t live = mem_live_blocks();
    if (kmeans_train(options, source, out, &report, &owner, &err) != KITH_OK)
        fail_msg("%s", err.text);
    assert_int_equal(mem_live_blocks(), live);
    assert_int_equal(owner.bytes, 0);
    return report;
}

static void expect_failure(const struct kmeans_options *options, const struct kmeans_rows *source,
                           int code, const char *words) {
    kith_error err = {0};
    uint64_t live = mem_live_blocks();
    assert_int_equal(kmeans_train(options, source, centroids, NULL, NULL, &err), code);
    assert_int_equal(err.code, code);
    if (!strstr(err.text, words)) fail_msg("\"%s\" does not say \"%s\"", err.text, words);
    assert_int_equal(mem_live_blocks(), live);
}

/* ---- by hand ----------------------------------------------------------------------------------- */

static void test_two_clusters_by_hand(void **unused) {
    (void)unused;
    float x[] = {0, 1, 2, 10, 11, 12}, c[2];
    struct kmeans_rows source = {.n = 6, .dim = 1, .values = x};
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct kmeans_options options = {.n_clusters = 2, .seed = seed};
        struct kmeans_report report = train(&options, &source, c);
        assert_true((c[0] == 1 && c[1] == 11) || (c[0] == 11 && c[1] == 1));
        assert_true(report.objective == 4);
        assert_true(report.imbalance == 1);
        assert_int_equal(report.largest, 3);
        assert_int_equal(report.n_rows, 6);
        assert_true(report.iterations < 8);
    }
}

static void test_one_cluster_is_the_mean(void **unused) {
    (void)unused;
    fill(1);
    struct kmeans_options options = {.n_clusters = 1, .max_rows_per_centroid = N};
    struct kmeans_rows source = all_rows(N);
    struct kmeans_report report = train(&options, &source, centroids);
    for (size_t j = 0; j < DIM; j++) {
        double sum = 0;
        for (size_t i = 0; i < N; i++) sum += (double)rows[i * DIM + j];
        assert_true(centroids[j] == (float)(sum * (1 / (double)N)));
    }
    assert_true(report.imbalance == 1 && report.n_empty == 0);
}

static void test_as_many_clusters_as_rows(void **unused) {
    (void)unused;
    fill(2);
    struct kmeans_rows source = all_rows(100);
    for (int start = KMEANS_RANDOM; start <= KMEANS_PLUS_PLUS; start++) {
        struct kmeans_options options = {.n_clusters = 100, .start = (enum kmeans_start)start};
        struct kmeans_report report = train(&options, &source, centroids);
        assert_true(report.objective == 0);
        assert_int_equal(report.largest, 1);
        assert_int_equal(report.n_empty, 0);
    }
}

static void test_plus_plus_finds_far_lumps(void **unused) {
    (void)unused;
    enum { LUMPS = 20, EACH = 50 };
    state = 3;
    for (size_t i = 0; i < LUMPS * EACH; i++)
        for (size_t j = 0; j < DIM; j++)
            rows[i * DIM + j] = (j == i % LUMPS ? 1000.0f : 0) + uniform();
    struct kmeans_rows source = all_rows(LUMPS * EACH);
    struct kmeans_options options = {.n_clusters = LUMPS, .start = KMEANS_PLUS_PLUS};
    for (options.seed = 0; options.seed < 10; options.seed++) {
        struct kmeans_report report = train(&options, &source, centroids);
        assert_true(report.imbalance == 1);
        assert_true(report.objective < LUMPS * EACH * DIM / 12.0 * 1.05);
    }
}

/* ---- what is refused --------------------------------------------------------------------------- */

static void test_bad_arguments(void **unused) {
    (void)unused;
    fill(4);
    struct kmeans_options options = {.n_clusters = 31};
    struct kmeans_rows source = all_rows(30);
    expect_failure(&options, &source, KITH_EINVAL, "31 clusters of 30 rows");
    options.n_clusters = 0;
    expect_failure(&options, &source, KITH_EINVAL, "0 clusters");
    options.n_clusters = 4;
    source.stride = DIM - 1;
    expect_failure(&options, &source, KITH_EINVAL, "stride of 23 floats");
    source.stride = 0;
    source.dim = 0;
    expect_failure(&options, &source, KITH_EDIM, "dim 0");
    source.dim = 65537;
    expect_failure(&options, &source, KITH_EDIM, "dim 65537");
    source.dim = DIM;
    options.balance = -1;
    expect_failure(&options, &source, KITH_EINVAL, "balance -1");
    options.balance = 0;
    options.tolerance = (double)NAN;
    expect_failure(&options, &source, KITH_EINVAL, "tolerance nan");
}

static void test_values_that_are_no_numbers(void **unused) {
    (void)unused;
    fill(5);
    struct kmeans_options options = {.n_clusters = 4};
    struct kmeans_rows source = all_rows(30);
    kith_error err;
    rows[7 * DIM + 3] = NAN;
    expect_failure(&options, &source, KITH_ENONFINITE, "row 7: element 3 is nan");
    rows[7 * DIM + 3] = -INFINITY;
    expect_failure(&options, &source, KITH_ENONFINITE, "row 7: element 3 is -inf");
    rows[7 * DIM + 3] = 1e19f;
    expect_failure(&options, &source, KITH_ERANGE, "row 7: its squared length");
    assert_int_equal(kmeans_train(&options, &source, centroids, NULL, NULL, &err), KITH_ERANGE);
    assert_int_equal(err.at, 7);
    assert_int_equal(kmeans_train(&options, &source, centroids, NULL, NULL, NULL), KITH_ERANGE);
}

static void test_set_refuses(void **unused) {
    (void)unused;
    fill(6);
    struct kmeans_set *set;
    kith_error err;
    uint32_t which[8];
    assert_int_equal(kmeans_set_new(&set, KITH_METRIC_L1, 4, DIM, rows, NULL, &err), KITH_EINVAL);
    assert_int_equal(kmeans_set_new(&set, KITH_METRIC_L2, 0, DIM, rows, NULL, &err), KITH_EINVAL);
    assert_int_equal(kmeans_set_new(&set, KITH_METRIC_L2, 4, 0, rows, NULL, &err), KITH_EDIM);
    assert_int_equal(kmeans_set_new(&set, KITH_METRIC_L2, 4, DIM, rows, NULL, &err), KITH_OK);
    struct kmeans_rows source = all_rows(2);
    struct kmeans_found found = {5, which, NULL};
    assert_int_equal(kmeans_find(set, &source, &found, 1, &err), KITH_EK);
    assert_non_null(strstr(err.text, "5 nearest of 4"));
    found.most = 4;
    source.dim = DIM + 1;
    assert_int_equal(kmeans_find(set, &source, &found, 1, &err), KITH_EDIM);
    source.dim = DIM;
    rows[DIM] = INFINITY;
    assert_int_equal(kmeans_find(set, &source, &found, 1, &err), KITH_ENONFINITE);
    assert_int_equal(err.at, 1);
    kmeans_set_free(set);
    kmeans_set_free(NULL);
}

/* ---- empty clusters ---------------------------------------------------------------------------- */

static void test_fewer_distinct_rows_than_clusters(void **unused) {
    (void)unused;
    for (size_t i = 0; i < 200; i++)
        for (size_t j = 0; j < DIM; j++) rows[i * DIM + j] = (float)((i % 7 + 1) * (j + 1));
    struct kmeans_rows source = all_rows(200);
    struct kmeans_options options = {.n_clusters = 20};
    struct kmeans_report report = train(&options, &source, centroids);
    assert_true(report.objective == 0);
    assert_int_equal(report.n_empty, 13);
    assert_true(report.iterations < 25);
    options.spherical = true; /* all of one direction */
    report = train(&options, &source, centroids);
    assert_int_equal(report.n_empty, 19);
}

static void test_every_distinct_row_gets_a_cluster(void **unused) {
    (void)unused;
    /* 5 rows apart, and 500 copies of one, which take nearly all random starts */
    fill(7);
    for (size_t i = 1; i < 500; i++) memcpy(rows + i * DIM, rows, DIM * sizeof(float));
    struct kmeans_rows source = all_rows(505);
    struct kmeans_options options = {.n_clusters = 6};
    for (options.seed = 0; options.seed < 20; options.seed++) {
        struct kmeans_report report = train(&options, &source, centroids);
        assert_true(report.objective == 0);
        assert_int_equal(report.n_empty, 0);
        assert_true(report.repairs > 0);
    }
}

static void test_zero_rows_under_spherical(void **unused) {
    (void)unused;
    fill(8);
    memset(rows, 0, 50 * DIM * sizeof(float));
    struct kmeans_rows source = all_rows(400);
    for (int start = KMEANS_RANDOM; start <= KMEANS_PLUS_PLUS; start++) {
        struct kmeans_options options = {
            .n_clusters = 30, .spherical = true, .start = (enum kmeans_start)start};
        train(&options, &source, centroids);
        for (size_t c = 0; c < 30; c++) {
            double squares = 0;
            for (size_t j = 0; j < DIM; j++)
                squares += (double)centroids[c * DIM + j] * (double)centroids[c * DIM + j];
            assert_true(squares == 0 || fabs(squares - 1) < 1e-6);
        }
    }
    source.n = 50;
    struct kmeans_options options = {.n_clusters = 3, .spherical = true};
    assert_true(train(&options, &source, centroids).objective == 0);
}

/* ---- one answer -------------------------------------------------------------------------------- */

static void read_row(void *context, size_t row, float *out) {
    memcpy(out, (const float *)context + row * DIM, DIM * sizeof(float));
}

static void test_any_threads_and_any_source(void **unused) {
    (void)unused;
    fill(9);
    static float wide[N * (DIM + 5)];
    for (size_t i = 0; i < N; i++)
        memcpy(wide + i * (DIM + 5), rows + i * DIM, DIM * sizeof(float));
    const struct kmeans_rows sources[] = {
        all_rows(N),
        {.n = N, .dim = DIM, .values = wide, .stride = DIM + 5},
        {.n = N, .dim = DIM, .read = read_row, .context = rows},
    };
    for (int kind = 0; kind < 8; kind++) {
        struct kmeans_options options = {.n_clusters = K,
                                         .spherical = kind & 1,
                                         .start = kind & 2 ? KMEANS_PLUS_PLUS : KMEANS_RANDOM,
                                         .max_rows_per_centroid = kind & 4 ? 50 : 0,
                                         .seed = 5};
        struct kmeans_report first = train(&options, &sources[0], centroids);
        for (int s = 0; s < 3; s++)
            for (options.threads = 1; options.threads <= 5; options.threads += 2) {
                memset(again, 0, sizeof again);
                struct kmeans_report report = train(&options, &sources[s], again);
                assert_memory_equal(again, centroids, K * DIM * sizeof(float));
                assert_memory_equal(&report, &first, sizeof report);
            }
        options.seed = 6;
        train(&options, &sources[0], again);
        assert_memory_not_equal(again, centroids, K * DIM * sizeof(float));
    }
}

static void test_sample_is_limited(void **unused) {
    (void)unused;
    fill(10);
    struct kmeans_rows source = all_rows(N);
    struct kmeans_options options = {.n_clusters = 5};
    assert_int_equal(train(&options, &source, centroids).n_rows, 5 * 256);
    options.max_rows_per_centroid = 10;
    assert_int_equal(train(&options, &source, centroids).n_rows, 50);
    options.max_rows_per_centroid = UINT32_MAX;
    assert_int_equal(train(&options, &source, centroids).n_rows, N);
}

struct heard {
    uint32_t n, stop_at;
    double last;
};

static bool listen(void *context, uint32_t iteration, double objective) {
    struct heard *heard = context;
    assert_int_equal(iteration, ++heard->n);
    assert_true(heard->n == 1 || objective <= heard->last);
    heard->last = objective;
    return iteration != heard->stop_at;
}

static void test_progress_and_its_end(void **unused) {
    (void)unused;
    fill(11);
    struct kmeans_rows source = all_rows(N);
    struct heard heard = {0};
    struct kmeans_options options = {
        .n_clusters = K, .progress = listen, .context = &heard, .n_iterations = 7};
    assert_int_equal(train(&options, &source, centroids).iterations, 7);
    assert_int_equal(heard.n, 7);
    heard = (struct heard){.stop_at = 3};
    assert_int_equal(train(&options, &source, centroids).iterations, 3);
    options.n_iterations = 1000;
    heard = (struct heard){0};
    uint32_t to_rest = train(&options, &source, centroids).iterations;
    assert_true(to_rest < 1000);
    options.tolerance = 0.01;
    heard = (struct heard){0};
    assert_true(train(&options, &source, centroids).iterations < to_rest);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_clusters_by_hand),
        cmocka_unit_test(test_one_cluster_is_the_mean),
        cmocka_unit_test(test_as_many_clusters_as_rows),
        cmocka_unit_test(test_plus_plus_finds_far_lumps),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_values_that_are_no_numbers),
        cmocka_unit_test(test_set_refuses),
        cmocka_unit_test(test_fewer_distinct_rows_than_clusters),
        cmocka_unit_test(test_every_distinct_row_gets_a_cluster),
        cmocka_unit_test(test_zero_rows_under_spherical),
        cmocka_unit_test(test_any_threads_and_any_source),
        cmocka_unit_test(test_sample_is_limited),
        cmocka_unit_test(test_progress_and_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
