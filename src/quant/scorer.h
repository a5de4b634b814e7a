/* What scorer.c and scorer_query.c share. Private to this folder. */
#ifndef KITH_QUANT_SCORER_H
#define KITH_QUANT_SCORER_H

#include "quant/code.h"

static inline bool scorer_is_byte(const struct code *code) {
    return code->kind == CODE_U8 || code->kind == CODE_SQ8;
}

static inline bool scorer_is_l2(const struct code *code) {
    return code->metric == KITH_METRIC_L2 || code->metric == KITH_METRIC_EUCLID;
}

#endif
