/* Scorers: distances from a prepared query to rows, estimated (one-byte rows) or exact.
 *
 * This is the innermost loop of every search, so nothing is decided per row: a call picks its kernel by
 * kind and metric, runs it over blocks of SCORER_BLOCK rows, then turns whole-number dots or float sums
 * into distances in one pass without branches. A row's term lies in its own last line, which the kernel
 * has just read.
 *
 * fmaf is spelled out in double: the product of two f32 is exact there, so that the result is that of
 * fmaf but for a double rounding once in 2^29 (which slack covers), without a call into libm where the
 * compiler may not assume an fma instruction.
 * scorer_query.c prepares queries and derives slack. */
#include "quant/code.h"

#include <string.h>

#include "base/bits.h"
#include "quant/code_quantized.h"
#include "quant/scorer.h"

static const kith_type element_type[CODE_KINDS] = {KITH_TYPE_F32, KITH_TYPE_F16, KITH_TYPE_BF16,
                                                   KITH_TYPE_U8, KITH_TYPE_U8};
static const enum kern_metric float_metric[] = {[KITH_METRIC_L2] = KERN_L2SQ,
                                                [KITH_METRIC_EUCLID] = KERN_L2SQ,
                                                [KITH_METRIC_IP] = KERN_DOT,
                                                [KITH_METRIC_COSINE] = KERN_DOT,
                                                [KITH_METRIC_L1] = KERN_L1};

/* Scratch, each part at a multiple of 64: query, folded, decoded, row_weight, row_offset (dim floats
 * each; float rows: query alone), quantised, fine (bytes each), dots. */
size_t scorer_bytes(const struct code *code) {
    size_t floats = bits_round_up(code->dim * sizeof(float), 64);
    if (code->quantizer) return floats + code->quantizer->ops->scorer_bytes(code->quantizer);
    if (!scorer_is_byte(code)) return floats;
    return 5 * floats + 2 * (size_t)code->bytes + 2 * SCORER_BLOCK * sizeof(int32_t);
}

void scorer_init(struct scorer *scorer, const struct code *code, void *scratch) {
    uint8_t *at = scratch;
    size_t floats = bits_round_up(code->dim * sizeof(float), 64);
    *scorer = (struct scorer){.code = code, .kern = kern_get(), .query = scratch, .inv = 1};
    if (code->quantizer) {
        code->quantizer->ops->scorer_init(code->quantizer, at + floats);
        scorer->quantized = (struct quantizer_scorer *)(void *)(at + floats);
    }
    if (!scorer_is_byte(code)) return;
    scorer->folded = (float *)(void *)(at += floats);
    scorer->decoded = (float *)(void *)(at += floats);
    scorer->row_weight = (float *)(void *)(at += floats);
    scorer->row_offset = (float *)(void *)(at += floats);
    scorer->quantised = (int8_t *)(at += floats);
    scorer->fine = (int8_t *)(at += code->bytes);
    scorer->dots = (int32_t *)(void *)(at += code->bytes);
    memset(scorer->quantised, 0, 2 * (size_t)code->bytes);
}

static inline float load_f32(const uint8_t *at) {
    float value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Float sums, as the kernel gave them, to inside distances. */
static void finish_list(const struct scorer *scorer, const uint8_t *const *rows, size_t n,
                        float *dist) {
    const struct code *code = scorer->code;
    if (code->metric == KITH_METRIC_COSINE && code->inv_at)
        for (size_t i = 0; i < n; i++)
            dist[i] = -(dist[i] * (scorer->inv * load_f32(rows[i] + code->inv_at)));
    else if (float_metric[code->metric] == KERN_DOT)
        for (size_t i = 0; i < n; i++) dist[i] = -dist[i];
}

static void finish_rows(const struct scorer *scorer, const uint8_t *rows, size_t n, float *dist) {
    const struct code *code = scorer->code;
    if (code->metric == KITH_METRIC_COSINE && code->inv_at)
        for (size_t i = 0; i < n; i++)
            dist[i] = -(dist[i] * (scorer->inv * load_f32(rows + i * code->stride + code->inv_at)));
    else if (float_metric[code->metric] == KERN_DOT)
        for (size_t i = 0; i < n; i++) dist[i] = -dist[i];
}

/* By the float kernels. */
static void law_list(const struct scorer *scorer, const uint8_t *const *rows, size_t n,
                     float *dist) {
    const struct code *code = scorer->code;
    if (code->quantizer) {
        for (size_t i = 0; i < n; i++) dist[i] = scorer_exact_quantized(scorer, rows[i]);
        return;
    }
    enum kern_metric metric = float_metric[code->metric];
    if (code->kind == CODE_SQ8) {
        for (size_t i = 0; i < n; i++) {
            code_decode(code, rows[i], scorer->decoded);
            dist[i] = scorer->kern->pair[KITH_TYPE_F32][metric](scorer->query, scorer->decoded,
                                                                code->dim);
        }
    } else {
        kern_list_fn list = scorer->kern->list[element_type[code->kind]][metric];
        list(scorer->query, (const void *const *)rows, n, code->dim, dist);
    }
    finish_list(scorer, rows, n, dist);
}

void scorer_exact_list(const struct scorer *scorer, const uint8_t *const *rows, size_t n,
                       float *dist) {
    const struct code *code = scorer->code;
    if (code->kind != CODE_U8 || !scorer_is_l2(code) || scorer->exact_below < 0) {
        law_list(scorer, rows, n, dist);
        return;
    }
    scorer_list(scorer, rows, n, dist);
    for (size_t i = 0; i < n; i++)
        if (!(dist[i] < scorer->exact_below)) law_list(scorer, rows + i, 1, dist + i);
}

void scorer_exact_rows(const struct scorer *scorer, const uint8_t *rows, size_t n, float *dist) {
    const struct code *code = scorer->code;
    if (code->quantizer) {
        for (size_t i = 0; i < n; i++)
            dist[i] = scorer_exact_quantized(scorer, rows + i * code->stride);
        return;
    }
    enum kern_metric metric = float_metric[code->metric];
    if (code->kind == CODE_SQ8) {
        for (size_t i = 0; i < n; i++) {
            code_decode(code, rows + i * code->stride, scorer->decoded);
            dist[i] = scorer->kern->pair[KITH_TYPE_F32][metric](scorer->query, scorer->decoded,
                                                                code->dim);
        }
    } else {
        kern_rows_fn score = scorer->kern->rows[element_type[code->kind]][metric];
        score(scorer->query, rows, code->stride, n, code->dim, dist);
    }
    finish_rows(scorer, rows, n, dist);
}

float scorer_exact_one(const struct scorer *scorer, const uint8_t *row) {
    float dist;
    scorer_exact_list(scorer, &row, 1, &dist);
    return dist;
}

/* What turns a row's dots into its estimate. `at` is where the row's own part lies: its term, or with an
 * inverse length to multiply by, that. */
struct finish {
    double scale, scale_fine;
    float bias;
    uint32_t at;
};

static inline float estimate(const struct finish *finish, float term, int32_t dot) {
    float base = term + finish->bias;
    return (float)(finish->scale * (double)(float)dot + (double)base);
}

static inline float estimate_cosine(const struct finish *finish, float inverse, int32_t dot) {
    return (float)(finish->scale * (double)(float)dot * (double)inverse);
}

static inline float estimate_fine(const struct finish *finish, float term, int32_t dot,
                                  int32_t dot_fine) {
    double base = (double)term + (double)finish->bias;
    return (float)(finish->scale * (double)dot + (finish->scale_fine * (double)dot_fine + base));
}

static inline float estimate_cosine_fine(const struct finish *finish, float inverse, int32_t dot,
                                         int32_t dot_fine) {
    double sum = finish->scale * (double)dot + finish->scale_fine * (double)dot_fine;
    return (float)(sum * (double)inverse);
}

static struct finish finish_of(const struct scorer *scorer, bool fine) {
    const struct code *code = scorer->code;
    return (struct finish){.scale = (double)scorer->scale,
                           .scale_fine = (double)scorer->scale_fine,
                           .bias = fine ? scorer->bias_fine : scorer->bias,
                           .at = code->term_at + code->inv_at};
}

/* Dots to estimates for a run of rows, row_i being a row's address: one loop a layout. */
#define FINISH_RUN(code, run, row_i, plain, cosine, ...)                                 \
    do {                                                                                 \
        if ((code)->inv_at)                                                              \
            for (size_t i = 0; i < (run); i++)                                           \
                dist[i] = cosine(&finish, load_f32((row_i) + finish.at), __VA_ARGS__);   \
        else if ((code)->term_at)                                                        \
            for (size_t i = 0; i < (run); i++)                                           \
                dist[i] = plain(&finish, load_f32((row_i) + finish.at), __VA_ARGS__);    \
        else                                                                             \
            for (size_t i = 0; i < (run); i++) dist[i] = plain(&finish, 0, __VA_ARGS__); \
    } while (0)

/* True where estimates are used: one-byte rows, and a metric that is made of dots. */
static bool estimates(const struct code *code) {
    return scorer_is_byte(code) && code->metric != KITH_METRIC_L1;
}

void scorer_list(const struct scorer *scorer, const uint8_t *const *rows, size_t n, float *dist) {
    const struct code *code = scorer->code;
    if (code->quantizer) {
        scorer_list_quantized(scorer, rows, n, dist);
        return;
    }
    if (!estimates(code)) {
        scorer_exact_list(scorer, rows, n, dist);
        return;
    }
    const struct finish finish = finish_of(scorer, false);
    int32_t *dots = scorer->dots;
    for (size_t at = 0; at < n; at += SCORER_BLOCK, rows += SCORER_BLOCK, dist += SCORER_BLOCK) {
        size_t run = n - at < SCORER_BLOCK ? n - at : SCORER_BLOCK;
        scorer->kern->dot_u8s8_list(scorer->quantised, rows, run, code->bytes, dots);
        FINISH_RUN(code, run, rows[i], estimate, estimate_cosine, dots[i]);
    }
}

void scorer_rows(const struct scorer *scorer, const uint8_t *rows, size_t n, float *dist) {
    const struct code *code = scorer->code;
    if (code->quantizer) {
        scorer_rows_quantized(scorer, rows, n, dist);
        return;
    }
    if (!estimates(code)) {
        scorer_exact_rows(scorer, rows, n, dist);
        return;
    }
    const struct finish finish = finish_of(scorer, false);
    const size_t stride = code->stride;
    int32_t *dots = scorer->dots;
    for (size_t at = 0; at < n;
         at += SCORER_BLOCK, rows += SCORER_BLOCK * stride, dist += SCORER_BLOCK) {
        size_t run = n - at < SCORER_BLOCK ? n - at : SCORER_BLOCK;
        scorer->kern->dot_u8s8_rows(scorer->quantised, rows, stride, run, code->bytes, dots);
        FINISH_RUN(code, run, rows + i * stride, estimate, estimate_cosine, dots[i]);
    }
}

float scorer_one(const struct scorer *scorer, const uint8_t *row) {
    float dist;
    scorer_list(scorer, &row, 1, &dist);
    return dist;
}

void scorer_list_fine(const struct scorer *scorer, const uint8_t *const *rows, size_t n,
                      float *dist) {
    const struct code *code = scorer->code;
    if (!estimates(code) || scorer->scale_fine == 0) {
        scorer_list(scorer, rows, n, dist);
        return;
    }
    const struct finish finish = finish_of(scorer, true);
    int32_t *dots = scorer->dots, *fine = dots + SCORER_BLOCK;
    for (size_t at = 0; at < n; at += SCORER_BLOCK, rows += SCORER_BLOCK, dist += SCORER_BLOCK) {
        size_t run = n - at < SCORER_BLOCK ? n - at : SCORER_BLOCK;
        scorer->kern->dot_u8s8_list(scorer->quantised, rows, run, code->bytes, dots);
        scorer->kern->dot_u8s8_list(scorer->fine, rows, run, code->bytes, fine);
        FINISH_RUN(code, run, rows[i], estimate_fine, estimate_cosine_fine, dots[i], fine[i]);
    }
}

/* Rows whose second reading should find them in the first-level cache still. */
static size_t fine_run(size_t stride, size_t left) {
    size_t run = (16u << 10) / stride;
    run = run < 4 ? 4 : run > SCORER_BLOCK ? SCORER_BLOCK : run;
    return run < left ? run : left;
}

void scorer_rows_fine(const struct scorer *scorer, const uint8_t *rows, size_t n, float *dist) {
    const struct code *code = scorer->code;
    if (!estimates(code) || scorer->scale_fine == 0) {
        scorer_rows(scorer, rows, n, dist);
        return;
    }
    const struct finish finish = finish_of(scorer, true);
    const size_t stride = code->stride;
    int32_t *dots = scorer->dots, *fine = dots + SCORER_BLOCK;
    for (size_t run; n; n -= run, rows += run * stride, dist += run) {
        run = fine_run(stride, n);
        scorer->kern->dot_u8s8_rows(scorer->quantised, rows, stride, run, code->bytes, dots);
        scorer->kern->dot_u8s8_rows(scorer->fine, rows, stride, run, code->bytes, fine);
        FINISH_RUN(code, run, rows + i * stride, estimate_fine, estimate_cosine_fine, dots[i],
                   fine[i]);
    }
}
