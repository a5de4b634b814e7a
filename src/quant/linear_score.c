/* Scores of linear codes: by whole-number dots with a query in s8, or (L1, and the exact score) by decoding.
 *
 * With M, mid, y and w of linear.h and f_i = w_i step_i = t e_i + d_i (folding.h),
 *
 *     <w, y> = sum f (c - M/2) = t sum(e c) - M/2 t sum(e) + R,     |R| <= M/2 sum|d|,
 *     estimate = fl(term + bias - g t sum(e c)),                     bias = fixed + g M/2 t sum(e),
 *     score    = fl(term + fixed - g <w, y>),     g = 2 under L2, 1 under IP, where there is no term:
 *
 * taking out the mean of c keeps R small. fixed is the same number for both, so that its rounding is no matter; all but
 * <w, y> of the score is summed in double and rounded once, so that a large term, as a row gets that lies near a large
 * centre, costs nothing but the rounding of the score itself.
 *
 * slack, with u = 2^-24 and A = |w| spread >= sum |w_i| max|y_i|, is the sum of
 *     M/2 g sum|d|              the quantised query
 *     g u A (dim / 16 + 10)     <w, y> by kern.h's law, in the exact score
 *     g u A 4                   the roundings of y, f and d, and those in double
 *     2^-120                    underflow of any product
 * times 1 + 2^-10, for the second order, |w| by the law, and rounding in these sums themselves. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "kern/kern.h"
#include "quant/folding.h"
#include "quant/linear.h"
#include "quant/sums.h"

enum { BLOCK = 256 };

struct linear_scorer {
    struct quantizer_scorer base;
    const struct kern *kern;
    kern_dot_u8s8_rows_fn rows; /* of these bits */
    kern_dot_u8s8_list_fn list;
    double fixed, scale, bias;       /* estimate = term + bias + scale dot */
    float *query, *folded, *decoded; /* dim floats each; query is w, under L1 the query */
    int8_t *quantised;               /* a position each */
    int32_t *dots;                   /* BLOCK */
};

static const struct linear *linear_of(const struct quantizer_scorer *scorer) {
    return (const struct linear *)scorer->quantizer;
}

/* Scratch, each part at a multiple of 64: the scorer, three vectors of floats, the quantised one, dots. */
size_t linear_scorer_bytes(const struct quantizer *quantizer) {
    const struct linear *linear = (const struct linear *)quantizer;
    return bits_round_up(sizeof(struct linear_scorer), 64) +
           3 * bits_round_up(quantizer->dim * sizeof(float), 64) +
           bits_round_up(linear->positions, 64) + BLOCK * sizeof(int32_t);
}

void linear_scorer_init(const struct quantizer *quantizer, void *scratch) {
    const struct linear *linear = (const struct linear *)quantizer;
    const size_t floats = bits_round_up(quantizer->dim * sizeof(float), 64);
    struct linear_scorer *scorer = scratch;
    uint8_t *at = (uint8_t *)scratch + bits_round_up(sizeof *scorer, 64);
    const struct kern *kern = kern_get();
    *scorer = (struct linear_scorer){.base.quantizer = quantizer, .kern = kern};
    scorer->query = (float *)(void *)at;
    scorer->folded = (float *)(void *)(at += floats);
    scorer->decoded = (float *)(void *)(at += floats);
    scorer->quantised = (int8_t *)(at += floats);
    scorer->dots = (int32_t *)(void *)(at + bits_round_up(linear->positions, 64));
    switch (linear->bits) {
    case 1: scorer->rows = kern->dot_u1s8_rows, scorer->list = kern->dot_u1s8_list; break;
    case 4: scorer->rows = kern->dot_u4s8_rows, scorer->list = kern->dot_u4s8_list; break;
    case 6: scorer->rows = kern->dot_u6s8_rows, scorer->list = kern->dot_u6s8_list; break;
    default: scorer->rows = kern->dot_u8s8_rows, scorer->list = kern->dot_u8s8_list;
    }
}

/* No estimate can be trusted: every one is the term, within INFINITY. */
static void give_up(struct linear_scorer *scorer) {
    memset(scorer->quantised, 0, linear_of(&scorer->base)->positions);
    scorer->scale = scorer->bias = 0;
    scorer->base.slack = INFINITY;
}

/* |mid|^2 - 2 <q, mid>, or -<q, mid>; w to scorer->query. */
static double set_off(struct linear_scorer *scorer, const float *query) {
    const struct linear *linear = linear_of(&scorer->base);
    const uint32_t dim = linear->base.dim;
    double fixed[SUMS_LANES] = {0};
    if (linear->base.metric == KITH_METRIC_L2) {
        for (uint32_t i = 0; i < dim; i++) scorer->query[i] = query[i] - linear->middle[i];
        SUMS_LOOP(dim, {
            const double middle = (double)linear->middle[i];
            fixed[lane] += middle * (middle - 2 * (double)query[i]);
        });
    } else {
        memcpy(scorer->query, query, dim * sizeof(float));
        SUMS_LOOP(dim, { fixed[lane] -= (double)linear->middle[i] * (double)query[i]; });
    }
    return sums_tree(fixed);
}

void linear_set_query(struct quantizer_scorer *base, const float *query) {
    struct linear_scorer *scorer = (struct linear_scorer *)base;
    const struct linear *linear = linear_of(base);
    const struct kern *kern = scorer->kern;
    const uint32_t dim = linear->base.dim;
    base->slack = 0;
    if (linear->base.metric == KITH_METRIC_L1) {
        memcpy(scorer->query, query, dim * sizeof(float));
        return;
    }
    const double g = linear->base.metric == KITH_METRIC_L2 ? 2 : 1, half = 0.5 * linear->top;
    scorer->fixed = set_off(scorer, query);
    kern->multiply(scorer->query, linear->step, dim, scorer->folded);
    memset(scorer->quantised + dim, 0, linear->positions - dim);
    const struct folding_level level =
        folding_quantise(kern, dim, scorer->folded, scorer->quantised);
    linear_place(linear, linear->last, (uint8_t *)scorer->quantised + linear->last);
    const double length = sqrt((double)kern->dot_self[KITH_TYPE_F32](scorer->query, dim)) + 0x1p-60;
    const double rounding = length * linear->spread * (dim / 16.0 + 14);
    scorer->scale = -g * (double)level.scale;
    scorer->bias = scorer->fixed + g * half * (double)level.scale * level.codes;
    base->slack = folding_round_up(
        g * (half * level.left_abs_sum + 0x1p-24 * rounding) * (1 + 0x1p-10) + 0x1p-120);
    if (!(length * (linear->reach + length) < (double)FLT_MAX / 8) || level.scale == INFINITY)
        give_up(scorer);
}

static inline float load_f32(const uint8_t *at) {
    float value;
    memcpy(&value, at, sizeof value);
    return value;
}

static float exact(const struct linear_scorer *scorer, const uint8_t *code) {
    const struct linear *linear = linear_of(&scorer->base);
    const bool l1 = linear->base.metric == KITH_METRIC_L1;
    linear_decode_from(linear, l1 ? linear->low : linear->below, code, scorer->decoded);
    const float sum = scorer->kern->pair[KITH_TYPE_F32][l1 ? KERN_L1 : KERN_DOT](
        scorer->query, scorer->decoded, linear->base.dim);
    if (l1) return sum;
    if (!linear->term_at) return (float)(scorer->fixed - (double)sum);
    return (float)((double)load_f32(code + linear->term_at) + (scorer->fixed - 2 * (double)sum));
}

float linear_score(const struct quantizer_scorer *scorer, const uint8_t *code) {
    return exact((const struct linear_scorer *)scorer, code);
}

/* Dots to estimates, row_i being a row's address. */
#define FINISH_RUN(row_i)                                                      \
    do {                                                                       \
        const double scale = scorer->scale, bias = scorer->bias;               \
        const size_t term_at = linear->term_at;                                \
        if (term_at)                                                           \
            for (size_t i = 0; i < run; i++)                                   \
                scores[i] = (float)((double)load_f32((row_i) + term_at) +      \
                                    (bias + scale * (double)scorer->dots[i])); \
        else                                                                   \
            for (size_t i = 0; i < run; i++)                                   \
                scores[i] = (float)(bias + scale * (double)scorer->dots[i]);   \
    } while (0)

void linear_list(const struct quantizer_scorer *base, const uint8_t *const *codes, size_t n,
                 float *scores) {
    const struct linear_scorer *scorer = (const struct linear_scorer *)base;
    const struct linear *linear = linear_of(base);
    if (linear->base.metric == KITH_METRIC_L1) {
        for (size_t i = 0; i < n; i++) scores[i] = exact(scorer, codes[i]);
        return;
    }
    for (size_t run; n; n -= run, codes += run, scores += run) {
        run = n < BLOCK ? n : BLOCK;
        scorer->list(scorer->quantised, codes, run, linear->code_bytes, scorer->dots);
        FINISH_RUN(codes[i]);
    }
}

void linear_rows(const struct quantizer_scorer *base, const uint8_t *codes, size_t stride, size_t n,
                 float *scores) {
    const struct linear_scorer *scorer = (const struct linear_scorer *)base;
    const struct linear *linear = linear_of(base);
    if (linear->base.metric == KITH_METRIC_L1) {
        for (size_t i = 0; i < n; i++) scores[i] = exact(scorer, codes + i * stride);
        return;
    }
    for (size_t run; n; n -= run, codes += run * stride, scores += run) {
        run = n < BLOCK ? n : BLOCK;
        scorer->rows(scorer->quantised, codes, stride, run, linear->code_bytes, scorer->dots);
        FINISH_RUN(codes + i * stride);
    }
}

/* |dot| is at most top sum|e|; scale, bias, the dot, their sums with the term and both results are rounded: nine times. */
struct quantizer_wide linear_wide_query(const struct quantizer_scorer *base, int8_t *codes) {
    const struct linear_scorer *scorer = (const struct linear_scorer *)base;
    const struct linear *linear = linear_of(base);
    const uint32_t n = linear->positions, bytes = linear_wide_bytes(base->quantizer);
    uint32_t sum = 0;
    memcpy(codes, scorer->quantised, n);
    memset(codes + n, 0, bytes - n);
    for (uint32_t i = 0; i < n; i++) sum += (uint32_t)abs(codes[i]);
    const double largest = fabs(scorer->scale) * linear->top * sum;
    return (struct quantizer_wide){(float)scorer->scale, (float)scorer->bias,
                                   folding_round_up(0x1p-21 * (largest + fabs(scorer->bias)))};
}
