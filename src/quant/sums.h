/* Sums over a vector in eight lanes: element i into lane i % 8, double lanes added as a tree. One
 * order of additions, whatever the compiler makes of it, so that every machine gets the same bits; and
 * wide enough that the error, at most dim * 2^-53 of the sum of magnitudes, never matters to a bound
 * that is rounded up by 2^-20. Header only. */
#ifndef KITH_QUANT_SUMS_H
#define KITH_QUANT_SUMS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define SUMS_LANES 8u

static inline double sums_tree(const double lane[SUMS_LANES]) {
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/* Run the statements for i = 0..n-1 with `lane` the sum's lane of i: eight at a time, then the rest. */
#define SUMS_LOOP(n, ...)                                        \
    do {                                                         \
        size_t sums_i = 0;                                       \
        for (; sums_i + SUMS_LANES <= (n); sums_i += SUMS_LANES) \
            for (size_t lane = 0; lane < SUMS_LANES; lane++) {   \
                size_t i = sums_i + lane;                        \
                __VA_ARGS__                                      \
            }                                                    \
        for (size_t lane = 0; sums_i + lane < (n); lane++) {     \
            size_t i = sums_i + lane;                            \
            __VA_ARGS__                                          \
        }                                                        \
    } while (0)

/* sum(x^2) */
static inline double sums_squares(size_t n, const float *x) {
    double sum[SUMS_LANES] = {0};
    SUMS_LOOP(n, {
        double value = (double)x[i];
        sum[lane] += value * value;
    });
    return sums_tree(sum);
}

/* sum((a x - b y)^2) */
static inline double sums_residual(size_t n, const float *x, double a, const float *y, double b) {
    double sum[SUMS_LANES] = {0};
    SUMS_LOOP(n, {
        double value = a * (double)x[i] - b * (double)y[i];
        sum[lane] += value * value;
    });
    return sums_tree(sum);
}

/* sum(step^2 (c - 128)^2) */
static inline double sums_term(size_t n, const float *step, const uint8_t *c) {
    double sum[SUMS_LANES] = {0};
    SUMS_LOOP(n, {
        double value = (double)step[i] * (double)(c[i] - 128);
        sum[lane] += value * value;
    });
    return sums_tree(sum);
}

/* y = a x, rounded once. */
static inline void sums_scale(size_t n, const float *x, double a, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = (float)(a * (double)x[i]);
}

#endif
