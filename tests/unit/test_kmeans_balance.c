/* Balanced k-means: no list is longer than it may be, and little is paid for that. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/mem.h"
#include "kern/kern.h"
#include "quant/kmeans.h"

enum { N = 3000, DIM = 10, K = 30 };
static float rows[N * DIM], centroids[K * DIM], again[K * DIM], dist[N];
static uint32_t which[N];
static uint64_t state;

static float uniform(void) { return (float)(bits_random(&state) >> 40) * 0x1p-24f; }

/* Lumps of very different sizes. */
static void fill(uint64_t seed) {
    state = seed;
    for (size_t i = 0; i < N; i++) {
        uint64_t lump = bits_random(&state) % 40;
        lump = lump * lump / 40;
        for (size_t j = 0; j < DIM; j++)
            rows[i * DIM + j] = 4 * (float)(bits_mix(lump * DIM + j) >> 40) * 0x1p-24f + uniform();
    }
}

static struct kmeans_set *make_set(kith_metric metric, size_t k) {
    struct kmeans_set *set;
    assert_int_equal(kmeans_set_new(&set, metric, k, DIM, centroids, NULL, NULL), KITH_OK);
    return set;
}

static size_t largest_of(size_t n, size_t k) {
    size_t size[K] = {0}, most = 0;
    for (size_t i = 0; i < n; i++) {
        assert_true(which[i] < k);
        size[which[i]]++;
    }
    for (size_t c = 0; c < k; c++) most = size[c] > most ? size[c] : most;
    return most;
}

static void test_capacity(void **unused) {
    (void)unused;
    assert_int_equal(kmeans_capacity(100, 10, 0), 10);
    assert_int_equal(kmeans_capacity(101, 10, 0), 11);
    assert_int_equal(kmeans_capacity(100, 10, 0.25), 12);
    assert_int_equal(kmeans_capacity(100, 10, 1e30), 100);
    assert_int_equal(kmeans_capacity(7, 7, 0), 1);
}

static void test_no_list_is_too_long(void **unused) {
    (void)unused;
    const double slacks[] = {0, 0.01, 0.1, 0.5, 3};
    const struct kmeans_rows source = {.n = N, .dim = DIM, .values = rows};
    for (int kind = 0; kind < 12; kind++) {
        fill((uint64_t)kind);
        const kith_metric metric = kind & 1 ? KITH_METRIC_IP : KITH_METRIC_L2;
        const size_t k = kind < 8 ? K : 5;
        /* rows of the same lumps; or all centroids far off, or all the same */
        memcpy(centroids, rows, k * DIM * sizeof(float));
        for (size_t c = 1; (kind & 6) == 2 && c < k; c++)
            memcpy(centroids + c * DIM, centroids, DIM * sizeof(float));
        for (size_t j = DIM; (kind & 6) == 4 && j < k * DIM; j++) centroids[j] += 100;
        struct kmeans_set *set = make_set(metric, k);
        for (size_t s = 0; s < sizeof slacks / sizeof *slacks; s++) {
            uint64_t live = mem_live_blocks();
            assert_int_equal(kmeans_balance(set, &source, slacks[s], 2, which, dist, NULL),
                             KITH_OK);
            assert_int_equal(mem_live_blocks(), live);
            assert_true(largest_of(N, k) <= kmeans_capacity(N, k, slacks[s]));
            for (size_t i = 0; i < N; i++) {
                const float *c = centroids + which[i] * DIM;
                enum kern_metric law = metric == KITH_METRIC_IP ? KERN_DOT : KERN_L2SQ;
                float want = kern_get()->pair[KITH_TYPE_F32][law](rows + i * DIM, c, DIM);
                assert_true(dist[i] == (metric == KITH_METRIC_IP ? -want : want));
            }
        }
        kmeans_set_free(set);
    }
}

static void test_room_for_all_is_the_nearest(void **unused) {
    (void)unused;
    static uint32_t nearest[N];
    const struct kmeans_rows source = {.n = N, .dim = DIM, .values = rows};
    fill(3);
    memcpy(centroids, rows, sizeof centroids);
    struct kmeans_set *set = make_set(KITH_METRIC_L2, K);
    struct kmeans_found found = {1, nearest, NULL};
    assert_int_equal(kmeans_find(set, &source, &found, 1, NULL), KITH_OK);
    assert_int_equal(kmeans_balance(set, &source, K, 1, which, dist, NULL), KITH_OK);
    assert_memory_equal(which, nearest, sizeof which);
    kmeans_set_free(set);
}

/* The least sum of distances of 9 rows in 3 lists of 3, by trying all. */
static double least_sum(void) {
    double least = HUGE_VAL;
    for (unsigned code = 0; code < 19683; code++) {
        unsigned rest = code, size[3] = {0};
        double sum = 0;
        for (size_t i = 0; i < 9; i++, rest /= 3) {
            size[rest % 3]++;
            sum += (double)kern_get()->pair[KITH_TYPE_F32][KERN_L2SQ](
                rows + i * DIM, centroids + rest % 3 * DIM, DIM);
        }
        if (size[0] == 3 && size[1] == 3 && sum < least) least = sum;
    }
    return least;
}

static void test_near_the_least_sum(void **unused) {
    (void)unused;
    const struct kmeans_rows source = {.n = 9, .dim = DIM, .values = rows};
    double all = 0, all_least = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        fill(seed);
        memcpy(centroids, rows + (N - 3) * DIM, 3 * DIM * sizeof(float));
        struct kmeans_set *set = make_set(KITH_METRIC_L2, 3);
        assert_int_equal(kmeans_balance(set, &source, 0, 1, which, dist, NULL), KITH_OK);
        double sum = 0, least = least_sum();
        for (size_t i = 0; i < 9; i++) sum += (double)dist[i];
        assert_true(sum >= least * (1 - 1e-6) && sum <= least * 1.3);
        all += sum;
        all_least += least;
        kmeans_set_free(set);
    }
    if (all > 1.02 * all_least) fail_msg("the sum is %.4f of the least", all / all_least);
}

/* Dense near one corner, without gaps. */
static void fill_skewed(uint64_t seed) {
    state = seed;
    for (size_t i = 0; i < N; i++) {
        float scale = uniform();
        for (size_t j = 0; j < DIM; j++) rows[i * DIM + j] = scale * scale * uniform() + 0.01f;
    }
}

static void test_training(void **unused) {
    (void)unused;
    const struct kmeans_rows source = {.n = N, .dim = DIM, .values = rows};
    for (int spherical = 0; spherical < 2; spherical++) {
        struct kmeans_options options = {.n_clusters = K, .spherical = spherical, .threads = 1};
        struct kmeans_report free_sizes, report, threaded;
        fill_skewed(4);
        assert_int_equal(kmeans_train(&options, &source, centroids, &free_sizes, NULL, NULL),
                         KITH_OK);
        options.balance = 0.1;
        assert_int_equal(kmeans_train(&options, &source, centroids, &report, NULL, NULL), KITH_OK);
        assert_true(free_sizes.largest > 110);
        assert_true(report.largest <= 110);
        assert_true(report.imbalance < free_sizes.imbalance && report.imbalance < 1.1);
        assert_true(report.objective < free_sizes.objective + 0.1 * fabs(free_sizes.objective));
        options.threads = 3;
        assert_int_equal(kmeans_train(&options, &source, again, &threaded, NULL, NULL), KITH_OK);
        assert_memory_equal(again, centroids, sizeof centroids);
        assert_memory_equal(&threaded, &report, sizeof report);
    }
}

static void test_refusals(void **unused) {
    (void)unused;
    const struct kmeans_rows source = {.n = N, .dim = DIM, .values = rows};
    kith_error err;
    fill(5);
    memcpy(centroids, rows, sizeof centroids);
    struct kmeans_set *set = make_set(KITH_METRIC_L2, K);
    assert_int_equal(kmeans_balance(set, &source, -0.5, 1, which, dist, &err), KITH_EINVAL);
    assert_non_null(strstr(err.text, "-0.5"));
    rows[5 * DIM] = NAN;
    assert_int_equal(kmeans_balance(set, &source, 1, 1, which, dist, &err), KITH_ENONFINITE);
    kmeans_set_free(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_capacity),
        cmocka_unit_test(test_no_list_is_too_long),
        cmocka_unit_test(test_room_for_all_is_the_nearest),
        cmocka_unit_test(test_near_the_least_sum),
        cmocka_unit_test(test_training),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
