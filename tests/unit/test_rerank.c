/* When re-ranking stops: never too early where estimates are as good as they were, at once where they are exact, and hardly
 * ever a result is lost where they err by chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/bits.h"
#include "index/rerank.h"

enum { ROWS = 2000, N = 160, K = 10, TRIALS = 300 };

struct row {
    float estimate, exact;
};

static uint64_t random_state = 3;

static float uniform(void) { return (float)(bits_random(&random_state) >> 40) * 0x1p-24f; }

/* About normal, deviation 1. */
static float normal(void) {
    float sum = 0;
    for (int i = 0; i < 12; i++) sum += uniform();
    return sum - 6;
}

static int by_estimate(const void *a, const void *b) {
    const struct row *x = a, *y = b;
    return (x->estimate > y->estimate) - (x->estimate < y->estimate);
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The k-th smallest of n distances, INFINITY where there are fewer. */
static float kth(const struct row *row, uint32_t n) {
    float dist[N];
    for (uint32_t i = 0; i < n; i++) dist[i] = row[i].exact;
    qsort(dist, n, sizeof *dist, by_value);
    return n < K ? INFINITY : dist[K - 1];
}

/* How many of N candidates are read. */
static uint32_t run(const struct row *row) {
    struct rerank rerank = {.k = K};
    uint32_t read = 0;
    while (read < N && !rerank_is_over(&rerank, row[read].estimate, kth(row, read)))
        for (uint32_t some = rerank_next(&rerank, N - read); some > 0; some--, read++)
            rerank_note(&rerank, row[read].estimate, row[read].exact);
    assert_int_equal(rerank.n_read, read);
    return read;
}

static void make(struct row *row, float error, float offset) {
    for (int i = 0; i < ROWS; i++) {
        row[i].exact = sqrtf(uniform()) * 100;
        row[i].estimate = row[i].exact + error * normal() + offset;
    }
    qsort(row, ROWS, sizeof *row, by_estimate);
}

static void test_few_results_are_lost(void **state) {
    static struct row row[ROWS];
    static const float errors[] = {0.1f, 0.5f, 1, 3};
    (void)state;
    for (int e = 0; e < 8; e++) {
        uint32_t lost = 0, read = 0;
        for (int t = 0; t < TRIALS; t++) {
            make(row, errors[e % 4], e < 4 ? 0 : -5);
            uint32_t n = run(row);
            float want = kth(row, N);
            read += n;
            for (uint32_t i = n; i < N; i++) lost += row[i].exact <= want;
        }
        if (lost > TRIALS * K / 1000)
            fail_msg("errors of %g: %u of %d results lost", (double)errors[e % 4], lost,
                     TRIALS * K);
        if (errors[e % 4] < 1 && read > TRIALS * N / 2)
            fail_msg("errors of %g: %u originals read a query", (double)errors[e % 4],
                     read / TRIALS);
    }
}

static void test_exact_estimates_end_at_once(void **state) {
    static struct row row[ROWS];
    (void)state;
    make(row, 0, 0);
    assert_int_equal(run(row), K);
    for (int i = 0; i < N; i++)
        row[i] = (struct row){7, 7}; /* equals may be results, by their ids */
    assert_int_equal(run(row), N);
}

/* Candidates that are worse than they look, all alike, leave those behind them as they look. */
static void test_an_offset_towards_the_query_is_not_trusted(void **state) {
    struct row row[N];
    (void)state;
    for (int i = 0; i < N; i++) row[i] = (struct row){(float)i, (float)i + 20};
    assert_int_equal(run(row), 34);
    for (int i = 0; i < N; i++) row[i] = (struct row){(float)i + 20, (float)i};
    assert_true(run(row) <= K + RERANK_STEP);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_results_are_lost),
        cmocka_unit_test(test_exact_estimates_end_at_once),
        cmocka_unit_test(test_an_offset_towards_the_query_is_not_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
