/* Synthetic vectors: row i of a seed is the same, whatever is drawn before it and on whatever machine. */
#ifndef KITH_CLI_SYNTHETIC_H
#define KITH_CLI_SYNTHETIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum synthetic_kind {
    SYNTHETIC_GAUSSIAN, /* independent, deviation 1 */
    SYNTHETIC_CLUSTERS, /* around centres that are gaussian themselves */
    SYNTHETIC_SPHERE,   /* gaussian, scaled to length 1 */
    SYNTHETIC_UNIFORM,  /* 0 to 1, exclusive */
    SYNTHETIC_INTEGRAL  /* whole numbers 0 to 255, around clusters */
} synthetic_kind;

typedef struct synthetic {
    synthetic_kind kind;
    size_t n, dim, n_clusters;
    double spread;
    uint64_t seed;
} synthetic;

bool synthetic_kind_parse(const char *name, synthetic_kind *out);
/* Rows first … first + n - 1. */
void synthetic_fill(const synthetic *s, size_t first, size_t n, float *out);
/* The quantile of the normal distribution at p, 0 < p < 1. */
double normal_quantile(double p);

#endif
