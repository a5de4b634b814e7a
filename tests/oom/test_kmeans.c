/* Every allocation of k-means fails once: the call says so, and nothing is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/mem.h"
#include "quant/kmeans.h"

enum { N = 900, DIM = 20, K = 12, MOST = 3 };
static float rows[N * DIM], centroids[K * DIM], undisturbed[K * DIM];
static struct mem_account owner;

typedef int (*operation)(kith_error *err);

/* Returns how many allocations failed before the operation did its work. */
static uint64_t fail_each(operation run) {
    uint64_t live = mem_live_blocks();
    for (uint64_t nth = 1;; nth++) {
        kith_error err = {0};
        mem_test_fail_at(nth);
        int code = run(&err);
        uint64_t calls = mem_test_calls();
        mem_test_fail_at(0);
        assert_int_equal(mem_live_blocks(), live);
        assert_int_equal(owner.bytes, 0);
        if (calls < nth) {
            assert_int_equal(code, KITH_OK);
            return nth - 1;
        }
        assert_int_equal(code, KITH_ENOMEM);
        assert_int_equal(err.code, KITH_ENOMEM);
        assert_non_null(strstr(err.text, "no memory"));
    }
}

static const struct kmeans_rows source = {.n = N, .dim = DIM, .values = rows};
static struct kmeans_options options;

static int train(kith_error *err) {
    return kmeans_train(&options, &source, centroids, NULL, &owner, err);
}

static int find(kith_error *err) {
    static uint32_t which[N * MOST];
    struct kmeans_found found = {MOST, which, NULL};
    struct kmeans_set *set;
    int code = kmeans_set_new(&set, KITH_METRIC_L2, K, DIM, undisturbed, &owner, err);
    if (code != KITH_OK) return code;
    code = kmeans_find(set, &source, &found, 2, err);
    kmeans_set_free(set);
    return code;
}

static void fill(void) {
    uint64_t state = 1;
    for (size_t i = 0; i < N * DIM; i++) rows[i] = (float)(bits_random(&state) >> 40) * 0x1p-24f;
}

static void test_training(void **unused) {
    (void)unused;
    for (int kind = 0; kind < 8; kind++) {
        options = (struct kmeans_options){.n_clusters = K,
                                          .threads = 3,
                                          .start = kind & 1 ? KMEANS_PLUS_PLUS : KMEANS_RANDOM,
                                          .spherical = kind & 2,
                                          .balance = kind & 4 ? 0.1 : 0,
                                          .max_rows_per_centroid = 40};
        assert_int_equal(train(NULL), KITH_OK);
        memcpy(undisturbed, centroids, sizeof centroids);
        assert_true(fail_each(train) >= 10);
        assert_memory_equal(centroids, undisturbed, sizeof centroids);
    }
}

static void test_finding(void **unused) {
    (void)unused;
    memcpy(undisturbed, rows, sizeof undisturbed);
    assert_true(fail_each(find) >= 5);
}

int main(void) {
    fill();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training),
        cmocka_unit_test(test_finding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
