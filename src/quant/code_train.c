/* What a code learns from data: the ranges of sq8, and whether data is integral.
 *
 * sq8 cuts the range of each dimension, from the least to the greatest value seen, into 255 steps. A step
 * is rounded up to 16 significant bits, so that its product with a code is exact in f32 and the range
 * still covers what was seen. A dimension that never varied has step 0 and costs nothing. */
#include "quant/code.h"

#include <float.h>

#include "quant/folding.h"
#include "quant/scorer.h"

/* The scale that encoding applies to a row first. */
static double row_scale(const struct code *code, const float *row) {
    return code->metric == KITH_METRIC_COSINE ? scorer_unit_scale(code->dim, row) : 1;
}

void code_ranges_begin(struct code *code) {
    for (size_t i = 0; code->kind == CODE_SQ8 && i < code->dim; i++) {
        code->low[i] = FLT_MAX;
        code->step[i] = -FLT_MAX; /* until the end: the greatest value */
    }
}

void code_ranges_take(struct code *code, size_t n, const float *rows) {
    if (code->kind != CODE_SQ8) return;
    size_t dim = code->dim;
    float *low = code->low, *high = code->step;
    for (size_t r = 0; r < n; r++) {
        const float *row = rows + r * dim;
        double scale = row_scale(code, row);
        for (size_t i = 0; i < dim; i++) {
            float x = (float)(scale * (double)row[i]);
            low[i] = x < low[i] ? x : low[i];
            high[i] = x > high[i] ? x : high[i];
        }
    }
}

void code_ranges_end(struct code *code) {
    for (size_t i = 0; code->kind == CODE_SQ8 && i < code->dim; i++) {
        if (code->low[i] > code->step[i]) code->low[i] = code->step[i] = 0; /* no rows */
        float step = folding_step(((double)code->step[i] - (double)code->low[i]) / 255);
        code->step[i] = step;
        code->inv_step[i] = step > 0 ? 1 / step : 0;
    }
}

void code_train(struct code *code, size_t n, const float *rows) {
    code_ranges_begin(code);
    code_ranges_take(code, n, rows);
    code_ranges_end(code);
}

bool code_covers(const struct code *code, const float *row) {
    if (code->kind == CODE_U8) return code_is_integral(code->dim, row);
    if (code->kind != CODE_SQ8) return true;
    double scale = row_scale(code, row);
    unsigned outside = 0;
    for (size_t i = 0; i < code->dim; i++) {
        double x = (double)(float)(scale * (double)row[i]), low = (double)code->low[i];
        outside |= (unsigned)(x < low) | (unsigned)(x > low + 255 * (double)code->step[i]);
    }
    return outside == 0;
}

bool code_is_integral(size_t n, const float *values) {
    enum { BLOCK = 1024 };
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t end = n - at < BLOCK ? n : at + BLOCK;
        unsigned other = 0;
        for (size_t i = at; i < end; i++) {
            float x = values[i];
            bool in_range = x >= 0 && x <= 255;
            other |= (unsigned)!in_range |
                     (unsigned)((float)(int32_t)(in_range ? x : 0) != (in_range ? x : 0));
        }
        if (other) return false;
    }
    return true;
}
