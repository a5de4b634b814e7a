/* What linear codes have in common: steps, vectors folded and quantised to s8, and numbers rounded upwards. Of code.c
 * (its one-byte rows) and of linear.h. Private to this folder.
 *
 * A folded vector f is written as t e + d with whole e in -127..127 and t = max|f| / 127; what is then left out of a
 * sum with codes is bounded through sum|d|. */
#ifndef KITH_QUANT_FOLDING_H
#define KITH_QUANT_FOLDING_H

#include <stddef.h>
#include <stdint.h>

#include "kern/kern.h"

/* Below it 1 / t would leave f32. */
#define FOLDING_SCALE_MIN 0x1p-110f
/* Below it a step's inverse or square would leave f32; the range is then wider than what was seen. */
#define FOLDING_STEP_MIN 0x1p-100f

/* A quantised vector: its scale, and sums over it and over what it leaves. */
struct folding_level {
    float scale;         /* t; INFINITY where values are too large */
    double sum, abs_sum; /* f */
    double left_abs_sum; /* d */
    double codes;        /* e */
};

/* Quantise dim values to s8 at out; the remainder takes their place. */
struct folding_level folding_quantise(const struct kern *kern, size_t dim, float *values,
                                      int8_t *out);

/* A step not below a width of at least 0, with 16 significant bits, so that step * code is exact in f32; 0 for 0. */
float folding_step(double width);

/* A float that is not below a double of at least 0 (nor 2^-18 above it). */
float folding_round_up(double x);
/* Rounded up: an upper bound of the root of a sum of squares that was computed in double, when that root may be off by
 * `off` besides. */
float folding_root_up(double l2sq, double off);

#endif
