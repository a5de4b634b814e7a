/* What scorer.c and scorer_query.c share. Private to this folder. */
#ifndef KITH_QUANT_SCORER_H
#define KITH_QUANT_SCORER_H

#include <math.h>

#include "quant/code.h"
#include "quant/sums.h"

static inline bool scorer_is_byte(const struct code *code) {
    return code->kind == CODE_U8 || code->kind == CODE_SQ8;
}

static inline bool scorer_is_l2(const struct code *code) {
    return code->metric == KITH_METRIC_L2 || code->metric == KITH_METRIC_EUCLID;
}

/* What makes a vector's length 1, in double; 0 where kern.h's law finds its length to be 0. */
static inline double scorer_unit_scale(size_t dim, const float *x) {
    return code_inverse_length(dim, x) == 0 ? 0 : 1 / sqrt(sums_squares(dim, x));
}

#endif
