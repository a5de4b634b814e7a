/* Statistics of measurements. */
#include "statistics.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double nearest_rank(const double *sorted, size_t n, double percent) {
    size_t rank = (size_t)ceil(percent / 100.0 * (double)n);
    return sorted[rank ? rank - 1 : 0];
}

summary summarize(double *values, size_t n) {
    qsort(values, n, sizeof *values, by_value);
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += values[i];
    double mean = sum / (double)n;
    double squares = 0.0;
    for (size_t i = 0; i < n; i++) squares += (values[i] - mean) * (values[i] - mean);
    return (summary){.mean = mean,
                     .sd = n > 1 ? sqrt(squares / (double)(n - 1)) : 0.0,
                     .min = values[0],
                     .max = values[n - 1],
                     .p50 = nearest_rank(values, n, 50),
                     .p95 = nearest_rank(values, n, 95),
                     .p99 = nearest_rank(values, n, 99)};
}

double median(double *values, size_t n) {
    qsort(values, n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* The neighbours of the target on the hull, found directly: of all points with at least that recall the
 * fastest, and of all that are faster than it the one with most recall. */
double qps_at(const double *recall, const double *qps, size_t n, double target) {
    size_t above = n;
    for (size_t i = 0; i < n; i++) {
        if (recall[i] < target) continue;
        if (above == n || qps[i] > qps[above] ||
            (qps[i] == qps[above] && recall[i] > recall[above]))
            above = i;
    }
    if (above == n) return (double)NAN;
    size_t below = n;
    for (size_t i = 0; i < n; i++) {
        if (recall[i] >= target || qps[i] <= qps[above]) continue;
        if (below == n || recall[i] > recall[below] ||
            (recall[i] == recall[below] && qps[i] > qps[below]))
            below = i;
    }
    if (below == n || recall[above] == target) return qps[above];
    double share = (target - recall[below]) / (recall[above] - recall[below]);
    return exp((1 - share) * log(qps[below]) + share * log(qps[above]));
}
