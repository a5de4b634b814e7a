/* What linear codes have in common. Sums are f32 by the law within KERN_FOLD_MAX elements, whose error is below 24 * 2^-24
 * of the sum of magnitudes, and double beyond. */
#include "quant/folding.h"

#include <float.h>
#include <math.h>
#include <string.h>

struct folding_level folding_quantise(const struct kern *kern, size_t dim, float *values,
                                      int8_t *out) {
    const float largest = kern->max_abs(values, dim);
    struct folding_level level = {.scale = largest / 127};
    if (!(largest < FLT_MAX)) {
        level.scale = INFINITY;
        return level;
    }
    if (level.scale < FOLDING_SCALE_MIN) level.scale = 0;
    const float inverse = level.scale > 0 ? 1 / level.scale : 0;
    for (size_t at = 0, n; at < dim; at += n) {
        float sums[4];
        n = dim - at < KERN_FOLD_MAX ? dim - at : KERN_FOLD_MAX;
        kern->quantise(values + at, level.scale, inverse, n, out + at, sums);
        level.sum += (double)sums[0];
        level.abs_sum += (double)sums[1];
        level.left_abs_sum += (double)sums[2];
        level.codes += (double)sums[3];
    }
    return level;
}

float folding_step(double width) {
    if (!(width > 0)) return 0;
    float step = (float)width;
    uint32_t bits;
    memcpy(&bits, &step, sizeof bits);
    bits = (bits + 0x1ffu) & ~0xffu;
    memcpy(&step, &bits, sizeof step);
    return step > FOLDING_STEP_MIN ? step : FOLDING_STEP_MIN;
}

float folding_round_up(double x) {
    double more = x * (1 + 0x1p-18);
    return more < (double)FLT_MAX / 2 ? nextafterf((float)more, INFINITY) : INFINITY;
}

float folding_root_up(double l2sq, double off) {
    double root = (sqrt(l2sq) + off) * (1 + 0x1p-20);
    if (root == 0) return 0;
    return root < (double)FLT_MAX ? nextafterf((float)root, INFINITY) : INFINITY;
}
