/* Codes of whole vectors by quantizers: no centre, so that the base of a distance is the query's squared length (L2) or 0.
 * Under cosine rows and queries are scaled to length 1, and the quantizer is asked for inner products. */
#include "quant/code_quantized.h"

#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"
#include "quant/scorer.h"
#include "quant/sums.h"

#define SHORT_DIM 2048u

static kith_metric metric_of(kith_metric metric) {
    if (metric == KITH_METRIC_COSINE) return KITH_METRIC_IP;
    return metric == KITH_METRIC_EUCLID ? KITH_METRIC_L2 : metric;
}

int code_init_quantized(struct code *code, const struct quantizer_spec *spec, kith_metric metric,
                        uint32_t dim, struct mem_account *owner, kith_error *err) {
    struct code made = {.kind = CODE_QUANTIZED, .metric = metric, .dim = dim};
    TRY(quantizer_new(&made.quantizer, spec, metric_of(metric), dim, owner, err));
    made.bytes = made.quantizer->bytes;
    made.stride = (uint32_t)bits_round_up(made.bytes, 4);
    *code = made;
    return KITH_OK;
}

/* x at the length that is coded. */
static void scale_row(const struct code *code, const float *x, float *out) {
    double scale = code->metric == KITH_METRIC_COSINE ? scorer_unit_scale(code->dim, x) : 1;
    sums_scale(code->dim, x, scale, out);
}

int code_train_quantized(struct code *code, size_t n, const float *rows, uint32_t threads,
                         struct mem_account *owner, kith_error *err) {
    const struct quantizer_training how = {.threads = threads};
    struct quantizer *quantizer = code->quantizer;
    if (code->metric != KITH_METRIC_COSINE)
        return quantizer->ops->train(quantizer, n, rows, &how, err);
    size_t bytes = n * code->dim * sizeof(float);
    float *unit = mem_new(owner, bytes);
    if (!unit) return FAIL(err, KITH_ENOMEM, "no memory to train on %zu rows", n);
    for (size_t i = 0; i < n; i++) scale_row(code, rows + i * code->dim, unit + i * code->dim);
    int result = quantizer->ops->train(quantizer, n, unit, &how, err);
    mem_free(owner, unit, bytes);
    return result;
}

/* Code a row by way of room for its scaled copy. */
static float encode_scaled(const struct code *code, const float *row, float *room, uint8_t *out) {
    float norm = 0;
    scale_row(code, row, room);
    code->quantizer->ops->encode(code->quantizer, 1, room, NULL, out, &norm);
    return norm;
}

/* Long vectors want a quarter of a megabyte of stack; others are spared that. */
static __attribute__((noinline)) float encode_long(const struct code *code, const float *row,
                                                   uint8_t *out) {
    float room[KITH_MAX_DIM];
    return encode_scaled(code, row, room, out);
}

float code_encode_quantized(const struct code *code, const float *row, uint8_t *out) {
    float room[SHORT_DIM], norm = 0;
    memset(out + code->bytes, 0, code->stride - code->bytes);
    if (code->metric == KITH_METRIC_COSINE)
        return code->dim > SHORT_DIM ? encode_long(code, row, out)
                                     : encode_scaled(code, row, room, out);
    code->quantizer->ops->encode(code->quantizer, 1, row, NULL, out, &norm);
    return norm;
}

void scorer_set_query_quantized(struct scorer *scorer, const float *query) {
    const struct code *code = scorer->code;
    scale_row(code, query, scorer->query);
    code->quantizer->ops->set_query(scorer->quantized, scorer->query);
    scorer->offset = scorer_is_l2(code) ? (float)sums_squares(code->dim, query) : 0;
    scorer->slack = scorer->slack_fine = scorer->quantized->slack;
}

void scorer_set_row_quantized(struct scorer *scorer, const uint8_t *row) {
    const struct code *code = scorer->code;
    code->quantizer->ops->decode(code->quantizer, row, scorer->query);
    code->quantizer->ops->set_query(scorer->quantized, scorer->query);
    scorer->offset = scorer_is_l2(code) ? (float)sums_squares(code->dim, scorer->query) : 0;
    scorer->slack = scorer->slack_fine = scorer->quantized->slack;
}

static void add_offset(const struct scorer *scorer, size_t n, float *dist) {
    for (size_t i = 0; i < n; i++) dist[i] += scorer->offset;
}

void scorer_list_quantized(const struct scorer *scorer, const uint8_t *const *rows, size_t n,
                           float *dist) {
    scorer->code->quantizer->ops->list(scorer->quantized, rows, n, dist);
    add_offset(scorer, n, dist);
}

void scorer_rows_quantized(const struct scorer *scorer, const uint8_t *rows, size_t n,
                           float *dist) {
    scorer->code->quantizer->ops->rows(scorer->quantized, rows, scorer->code->stride, n, dist);
    add_offset(scorer, n, dist);
}

float scorer_exact_quantized(const struct scorer *scorer, const uint8_t *row) {
    return scorer->offset + scorer->code->quantizer->ops->score(scorer->quantized, row);
}
