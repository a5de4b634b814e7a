/* Recall, MAP, nDCG, MRR against figures worked out by hand. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <kith/eval.h>

#include "base/mem.h"

static void assert_near(double got, double want) {
    if (!(fabs(got - want) < 1e-12)) fail_msg("%.17g, not %.17g", got, want);
}

static kith_eval measure(size_t n, size_t k, const int64_t *got, size_t got_k, const int64_t *truth,
                         size_t truth_k) {
    kith_eval out;
    kith_error err = {0};
    assert_int_equal(kith_eval_knn(n, k, got, got_k, truth, truth_k, NULL, NULL, 0, &out, &err),
                     KITH_OK);
    assert_true(isnan(out.recall_ties));
    return out;
}

static void the_truth_itself_is_perfect(void **state) {
    (void)state;
    const int64_t truth[] = {5, 3, 9, 1, 7, 2};
    kith_eval out = measure(2, 3, truth, 3, truth, 3);
    assert_near(out.recall, 1);
    assert_near(out.recall_p5, 1);
    assert_near(out.map, 1);
    assert_near(out.ndcg, 1);
    assert_near(out.mrr, 1);
}

/* Truth 10 20 30 40, gains 4 3 2 1. Answer 30 99 10 98: hits at places 1 and 3.
 *   recall 2/4;  AP (1/1 + 2/3) / 4;  RR 1/3;  DCG 2/log2(2) + 4/log2(4) = 4
 *   ideal 4/1 + 3/log2(3) + 2/2 + 1/log2(5) */
static void one_query_by_hand(void **state) {
    (void)state;
    const int64_t truth[] = {10, 20, 30, 40}, got[] = {30, 99, 10, 98};
    kith_eval out = measure(1, 4, got, 4, truth, 4);
    assert_near(out.recall, 0.5);
    assert_near(out.recall_p5, 0.5);
    assert_near(out.map, (1.0 + 2.0 / 3.0) / 4.0);
    assert_near(out.mrr, 1.0 / 3.0);
    assert_near(out.ndcg, 4.0 / (4.0 + 3.0 / log2(3.0) + 1.0 + 1.0 / log2(5.0)));
}

/* k below both widths: only the first k of each row count, at each row's own stride. */
static void rows_may_be_wider_than_k(void **state) {
    (void)state;
    const int64_t truth[] = {1, 2, 3, 4, /**/ 5, 6, 7, 8}, got[] = {2, 9, 1, /**/ 9, 5, 6};
    kith_eval out = measure(2, 2, got, 3, truth, 4);
    assert_near(out.recall, 0.5);
    assert_near(out.mrr, (0.0 + 0.5) / 2);
    assert_near(out.map, (1.0 / 2 + (1.0 / 2) / 2) / 2);
    double ideal = 2 + 1 / log2(3.0);
    assert_near(out.ndcg, (1.0 / ideal + 2.0 / log2(3.0) / ideal) / 2);
}

static void missing_places_are_misses(void **state) {
    (void)state;
    const int64_t truth[] = {1, 2, 3, 4}, few[] = {1, 2}, none[] = {1, -1, -1, 3};
    assert_near(measure(1, 4, few, 2, truth, 4).recall, 0.5);
    assert_near(measure(1, 4, none, 4, truth, 4).recall, 0.5);
    assert_near(measure(1, 4, none, 4, truth, 4).map, (1.0 + 2.0 / 4.0) / 4.0);
    assert_near(measure(1, 4, NULL, 0, truth, 4).recall, 0);
    assert_near(measure(1, 4, NULL, 0, truth, 4).ndcg, 0);
}

static void an_id_twice_counts_once(void **state) {
    (void)state;
    const int64_t truth[] = {1, 2, 3, 4}, got[] = {1, 1, 1, 1};
    kith_eval out = measure(1, 4, got, 4, truth, 4);
    assert_near(out.recall, 0.25);
    assert_near(out.map, 0.25);
}

/* Only two rows were there to be found: finding them is everything. */
static void a_short_truth_wants_no_more(void **state) {
    (void)state;
    const int64_t truth[] = {4, 8, -1, -1}, got[] = {8, 4, -1, -1}, empty[] = {-1, -1, -1, -1};
    kith_eval out = measure(1, 4, got, 4, truth, 4);
    assert_near(out.recall, 1);
    assert_near(out.map, 1);
    assert_near(out.mrr, 0.5);
    assert_near(out.ndcg, (3.0 + 4.0 / log2(3.0)) / (4.0 + 3.0 / log2(3.0)));
    const int64_t gap[] = {-1, 4, 8, -1}; /* the first that is there counts as the nearest */
    assert_near(measure(1, 4, got, 4, gap, 4).mrr, 0.5);
    out = measure(1, 4, got, 4, empty, 4);
    assert_near(out.recall, 1);
    assert_near(out.ndcg, 1);
    assert_near(out.mrr, 1);
}

/* Of n queries the i-th has i/10 recall for i < 10, else 1: the nearest rank of 5 % is the ceil(n/20)-th smallest. */
static void assert_p5(size_t n, double want) {
    static int64_t truth[50 * 10], got[50 * 10];
    for (size_t q = 0; q < n; q++)
        for (size_t i = 0; i < 10; i++) {
            truth[q * 10 + i] = (int64_t)i;
            got[q * 10 + i] =
                (int64_t)(n - 1 - q > i ? i : 100 + i); /* the worst queries come last */
        }
    assert_near(measure(n, 10, got, 10, truth, 10).recall_p5, want);
}

static void p5_is_the_nearest_rank(void **state) {
    (void)state;
    assert_p5(1, 0);
    assert_p5(20, 0);
    assert_p5(21, 0.1);
    assert_p5(40, 0.1);
    assert_p5(41, 0.2);
}

/* Truth 1 2 3 at distances 1 2 2. Id 7 lies at 2 as well: a miss by id, a hit by distance. Id 8 lies at 2.5. */
static void ties_count_by_distance(void **state) {
    (void)state;
    const int64_t truth[] = {1, 2, 3, /**/ 1, 2, 3}, got[] = {1, 3, 7, /**/ 1, 7, 8};
    const float truth_dists[] = {1, 2, 2, 1, 2, 2}, got_dists[] = {1, 2, 2, 1, 2, 2.5f};
    kith_eval out;
    assert_int_equal(kith_eval_knn(2, 3, got, 3, truth, 3, got_dists, truth_dists, 0, &out, NULL),
                     KITH_OK);
    assert_near(out.recall, (2.0 / 3 + 1.0 / 3) / 2);
    assert_near(out.recall_ties, (1 + 2.0 / 3) / 2);
    assert_near(out.recall_p5, 2.0 / 3);
}

/* One row was to be found, and two as near as it were given: that is all, not twice all. */
static void ties_never_pass_one(void **state) {
    (void)state;
    const int64_t truth[] = {1, -1}, got[] = {7, 1};
    const float truth_dists[] = {1, INFINITY}, got_dists[] = {1, 1};
    kith_eval out;
    assert_int_equal(kith_eval_knn(1, 2, got, 2, truth, 2, got_dists, truth_dists, 0, &out, NULL),
                     KITH_OK);
    assert_near(out.recall_ties, 1);
    assert_near(out.recall, 1);
}

static void similarities_are_nearer_when_larger(void **state) {
    (void)state;
    const int64_t truth[] = {1, 2}, got[] = {7, 8};
    const float truth_dists[] = {0.9f, 0.8f}, got_dists[] = {0.8f, 0.7f};
    kith_eval out;
    assert_int_equal(kith_eval_knn(1, 2, got, 2, truth, 2, got_dists, truth_dists, 1, &out, NULL),
                     KITH_OK);
    assert_near(out.recall, 0);
    assert_near(out.recall_ties, 0.5);
    assert_int_equal(kith_eval_knn(1, 2, got, 2, truth, 2, got_dists, truth_dists, 0, &out, NULL),
                     KITH_OK);
    assert_near(out.recall_ties, 1);
}

/* A true id whose distance another program rounded up is still a hit; a missing or repeated one is none; NaN is none. */
static void ties_are_never_below_ids(void **state) {
    (void)state;
    const int64_t truth[] = {1, 2, 3, 4}, got[] = {1, 1, -1, 9}, right[] = {4, 3, 2, 1};
    const float truth_dists[] = {1, 2, 3, 4}, got_dists[] = {1, 1, 1, NAN};
    const float rounded[] = {4.000001f, 3.1f, 2, 1};
    kith_eval out;
    assert_int_equal(kith_eval_knn(1, 4, got, 4, truth, 4, got_dists, truth_dists, 0, &out, NULL),
                     KITH_OK);
    assert_near(out.recall_ties, 0.25);
    assert_int_equal(kith_eval_knn(1, 4, right, 4, truth, 4, rounded, truth_dists, 0, &out, NULL),
                     KITH_OK);
    assert_near(out.recall_ties, 1);
}

static void bad_arguments_are_named(void **state) {
    (void)state;
    const int64_t ids[4] = {1, 2, 3, 4};
    const float dists[4] = {0};
    kith_eval out, before;
    kith_error err = {0};
    memset(&out, 0x55, sizeof out);
    before = out;
#define REFUSED(want, ...)                                        \
    do {                                                          \
        memset(&err, 0, sizeof err);                              \
        assert_int_equal(kith_eval_knn(__VA_ARGS__, &err), want); \
        assert_int_equal(err.code, want);                         \
        assert_true(err.text[0] != '\0');                         \
        assert_memory_equal(&out, &before, sizeof out);           \
    } while (0)
    REFUSED(KITH_EK, 1, 0, ids, 4, ids, 4, NULL, NULL, 0, &out);
    REFUSED(KITH_EK, 1, 5, ids, 4, ids, 4, NULL, NULL, 0, &out);
    assert_non_null(strstr(err.text, "5"));
    REFUSED(KITH_EINVAL, 0, 4, ids, 4, ids, 4, NULL, NULL, 0, &out);
    REFUSED(KITH_EINVAL, 1, 4, NULL, 4, ids, 4, NULL, NULL, 0, &out);
    REFUSED(KITH_EINVAL, 1, 4, ids, 4, NULL, 4, NULL, NULL, 0, &out);
    REFUSED(KITH_EINVAL, 1, 4, ids, 4, ids, 4, dists, NULL, 0, &out);
    REFUSED(KITH_EINVAL, 1, 4, ids, 4, ids, 4, NULL, dists, 0, &out);
    REFUSED(KITH_EINVAL, 1, 4, ids, 4, ids, 4, NULL, NULL, 0, NULL);
    mem_test_fail_at(1);
    REFUSED(KITH_ENOMEM, 1, 4, ids, 4, ids, 4, NULL, NULL, 0, &out);
    mem_test_fail_at(0);
    REFUSED(KITH_ENOMEM, SIZE_MAX / 4, 4, ids, 4, ids, 4, NULL, NULL, 0, &out);
    assert_int_equal(mem_live_blocks(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_truth_itself_is_perfect),
        cmocka_unit_test(one_query_by_hand),
        cmocka_unit_test(rows_may_be_wider_than_k),
        cmocka_unit_test(missing_places_are_misses),
        cmocka_unit_test(an_id_twice_counts_once),
        cmocka_unit_test(a_short_truth_wants_no_more),
        cmocka_unit_test(p5_is_the_nearest_rank),
        cmocka_unit_test(ties_count_by_distance),
        cmocka_unit_test(ties_never_pass_one),
        cmocka_unit_test(similarities_are_nearer_when_larger),
        cmocka_unit_test(ties_are_never_below_ids),
        cmocka_unit_test(bad_arguments_are_named),
    };
    return cmocka_run_group_tests_name("unit_eval", tests, NULL, NULL);
}
