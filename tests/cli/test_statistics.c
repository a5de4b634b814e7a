/* The arithmetic behind kith bench and kith gen: percentiles, medians, speed at a recall, normal quantiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "statistics.h"
#include "synthetic.h"

static void assert_near(double actual, double expected, double error) {
    if (!(fabs(actual - expected) <= error)) fail_msg("%.17g, expected %.17g", actual, expected);
}

static void percentiles_are_nearest_ranks(void **state) {
    (void)state;
    double values[100];
    for (int i = 0; i < 100; i++) values[i] = 100 - i;
    summary s = summarize(values, 100);
    assert_near(s.min, 1, 0);
    assert_near(s.max, 100, 0);
    assert_near(s.p50, 50, 0);
    assert_near(s.p95, 95, 0);
    assert_near(s.p99, 99, 0);
    assert_near(s.mean, 50.5, 0);
    assert_near(s.sd, sqrt(100 * 101 / 12.0), 1e-9);
    double one[] = {7};
    s = summarize(one, 1);
    assert_near(s.p50 + s.p99 + s.sd, 14, 0);
}

static void median_of_even_and_odd(void **state) {
    (void)state;
    double odd[] = {3, 1, 2};
    double even[] = {4, 1, 3, 2};
    assert_near(median(odd, 3), 2, 0);
    assert_near(median(even, 4), 2.5, 0);
}

static void speed_at_a_recall(void **state) {
    (void)state;
    /* The third is beaten by the second in both, and must not count. */
    const double recall[] = {0.8, 0.9, 0.85, 0.98};
    const double qps[] = {1000, 500, 400, 100};
    assert_near(qps_at(recall, qps, 4, 0.9), 500, 0);
    assert_near(qps_at(recall, qps, 4, 0.94), sqrt(500.0 * 100.0), 1e-6);
    assert_near(qps_at(recall, qps, 4, 0.85), sqrt(1000.0 * 500.0), 1e-6);
    assert_near(qps_at(recall, qps, 4, 0.5), 1000, 0);
    assert_true(isnan(qps_at(recall, qps, 4, 0.99)));
    assert_true(isnan(qps_at(recall, qps, 0, 0.5)));
    /* A slow point of low recall does not pull the line down. */
    const double dip_recall[] = {0.7, 0.8, 0.9};
    const double dip_qps[] = {1000, 10, 500};
    assert_near(qps_at(dip_recall, dip_qps, 3, 0.8), sqrt(1000.0 * 500.0), 1e-6);
}

static void quantiles_of_the_normal_distribution(void **state) {
    (void)state;
    assert_near(normal_quantile(0.5), 0, 0);
    assert_near(normal_quantile(0.975), 1.959963984540054, 1e-6);
    assert_near(normal_quantile(0.025), -1.959963984540054, 1e-6);
    assert_near(normal_quantile(0.84134474606854293), 1, 1e-6);
    assert_near(normal_quantile(0x1p-25), -5.419983174916868, 1e-5);
    for (double p = 0.0005; p < 0.5; p += 0.0005) {
        assert_near(normal_quantile(p), -normal_quantile(1 - p), 1e-6);
        assert_true(normal_quantile(p) < normal_quantile(p + 0.0005));
    }
}

static void gaussian_rows_have_the_moments(void **state) {
    (void)state;
    static float rows[20000];
    synthetic s = {.kind = SYNTHETIC_GAUSSIAN, .n = 2000, .dim = 10, .n_clusters = 1, .seed = 5};
    synthetic_fill(&s, 0, 2000, rows);
    double sum = 0;
    double squares = 0;
    for (size_t i = 0; i < 20000; i++)
        sum += (double)rows[i], squares += (double)rows[i] * (double)rows[i];
    assert_near(sum / 20000, 0, 0.03);
    assert_near(squares / 20000, 1, 0.04);
    float again[10];
    synthetic_fill(&s, 1234, 1, again);
    assert_memory_equal(again, rows + 12340, sizeof again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_nearest_ranks),
        cmocka_unit_test(median_of_even_and_odd),
        cmocka_unit_test(speed_at_a_recall),
        cmocka_unit_test(quantiles_of_the_normal_distribution),
        cmocka_unit_test(gaussian_rows_have_the_moments),
    };
    return cmocka_run_group_tests_name("statistics", tests, NULL, NULL);
}
