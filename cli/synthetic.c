/* Synthetic vectors.
 *
 * 1. A value depends on seed, row and column alone: a counter goes through the mixer of SplitMix64
 *    (Steele, Lea & Flood 2014), so that rows can be drawn in any order.
 * 2. Only operations that IEEE 754 rounds correctly are used (the logarithm is ours), so that every
 *    machine and C library gives the same bits.
 * 3. Normal values come from the inverse distribution function, algorithm AS 241, PPND7
 *    (Wichura 1988), good to 7 digits. */
#include "synthetic.h"

#include <math.h>
#include <string.h>

bool synthetic_kind_parse(const char *name, synthetic_kind *out) {
    static const char *const names[] = {"gaussian", "clusters", "sphere", "uniform", "integral"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *out = (synthetic_kind)i;
        return true;
    }
    return false;
}

/* ---- chance ----------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t draw(uint64_t seed, uint64_t stream, uint64_t i) {
    return mix(mix(mix(seed + 0x9e3779b97f4a7c15u) + stream * 0x9e3779b97f4a7c15u) +
               i * 0xd1342543de82ef95u);
}

/* In the middle of one of 2^24 cells of (0, 1). */
static double uniform(uint64_t bits) { return ((double)(bits >> 40) + 0.5) * 0x1p-24; }

/* ln(x) for 0 < x <= 1, by 2 atanh((m - 1) / (m + 1)) of the mantissa. */
static double natural_log(double x) {
    int exponent;
    double m = frexp(x, &exponent); /* 0.5 <= m < 1 */
    double t = (m - 1.0) / (m + 1.0);
    double square = t * t;
    double sum = 0.0;
    for (int i = 27; i >= 1; i -= 2) sum = sum * square + 1.0 / i;
    return 2.0 * t * sum + exponent * 0.6931471805599453;
}

double normal_quantile(double p) {
    double q = p - 0.5;
    if (fabs(q) <= 0.425) {
        double r = 0.180625 - q * q;
        double over = ((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179;
        double under = ((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0;
        return q * over / under;
    }
    double r = sqrt(-natural_log(q < 0 ? p : 1.0 - p));
    double value;
    if (r <= 5.0) {
        r -= 1.6;
        double over = ((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777;
        value = over / ((0.12021132975 * r + 0.73700164250) * r + 1.0);
    } else {
        r -= 5.0;
        double over = ((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150;
        value = over / ((0.012258202635 * r + 0.24197894225) * r + 1.0);
    }
    return q < 0 ? -value : value;
}

static double normal(uint64_t seed, uint64_t stream, uint64_t i) {
    return normal_quantile(uniform(draw(seed, stream, i)));
}

/* ---- rows ------------------------------------------------------------------------------------------- */

/* Streams: 2i is row i, 2c + 1 is centre c; which centre a row has is place dim of its stream. */
static double around_centre(const synthetic *s, uint64_t row, uint64_t column) {
    uint64_t centre = draw(s->seed, 2 * row, s->dim) % s->n_clusters;
    return normal(s->seed, 2 * centre + 1, column) + s->spread * normal(s->seed, 2 * row, column);
}

static double value_at(const synthetic *s, uint64_t row, uint64_t column) {
    double value;
    switch (s->kind) {
    case SYNTHETIC_UNIFORM: return uniform(draw(s->seed, 2 * row, column));
    case SYNTHETIC_CLUSTERS: return around_centre(s, row, column);
    case SYNTHETIC_INTEGRAL:
        value = floor(128.0 + 40.0 * around_centre(s, row, column));
        return value < 0 ? 0 : value > 255 ? 255 : value;
    default: return normal(s->seed, 2 * row, column);
    }
}

void synthetic_fill(const synthetic *s, size_t first, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) {
        float *row = out + i * s->dim;
        double sum = 0.0;
        for (size_t j = 0; j < s->dim; j++) {
            row[j] = (float)value_at(s, first + i, j);
            sum += (double)row[j] * (double)row[j];
        }
        if (s->kind != SYNTHETIC_SPHERE) continue;
        for (size_t j = 0; j < s->dim; j++) row[j] = (float)((double)row[j] / sqrt(sum));
    }
}
