/* Statistics of measurements: percentiles, spread, and speed at a recall on the Pareto hull. */
#ifndef KITH_CLI_STATISTICS_H
#define KITH_CLI_STATISTICS_H

#include <stddef.h>

typedef struct summary {
    double mean, sd, min, max, p50, p95, p99;
} summary;

/* Sorts values; n at least 1. Percentiles by nearest rank: the smallest value that p percent do not exceed. */
summary summarize(double *values, size_t n);
/* Sorts values; the mean of the middle two where n is even. */
double median(double *values, size_t n);

/* Speed at a recall: linear in log(qps) between neighbours among the points that no other beats in both;
 * the fastest point's where even that has more recall; NAN where none has as much. */
double qps_at(const double *recall, const double *qps, size_t n, double target);

#endif
