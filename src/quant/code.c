/* Codes: layout of a row, encoding, decoding, and the user's value of a distance.
 *
 *     0            bytes      stride - 4   stride
 *     | elements   | zeros    | f32        |          u8, sq8: the term (L2); the inverse length (u8, COSINE)
 *     | elements              | f32        |          f32, f16, bf16: the inverse length (COSINE)
 *
 * Invariants
 *   1. A decoded element is fma(c, step, low), which is low + step * c, too: step * c is exact (16 times 8
 *      bits), and the sum the only rounding. u8, f16 and bf16 decode exactly.
 *   2. The row term under L2 is sum(step^2 (c-128)^2), in double, rounded once; u8 has step 1, where it
 *      is a whole number. Under all other metrics rows have none.
 *   3. The residual norm is never below the real |x - decoded|: summed in double, scaled by 1 + 2^-20, and
 *      plus 2^-48 where unit vectors are compared, whose elements are rounded before the subtraction.
 * Whatever is summed here is summed in eight double lanes, so that every machine gets the same bits. */
#include "quant/code.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"
#include "quant/folding.h"
#include "quant/code_quantized.h"
#include "quant/scorer.h"
#include "quant/sums.h"

enum { BLOCK = 256 };

static const kith_type element_type[CODE_KINDS] = {KITH_TYPE_F32, KITH_TYPE_F16, KITH_TYPE_BF16,
                                                   KITH_TYPE_U8, KITH_TYPE_U8};
static const uint32_t element_bytes[CODE_KINDS] = {4, 2, 2, 1, 1};

const char *code_kind_name(enum code_kind kind) {
    static const char *const name[CODE_KINDS] = {"f32", "f16", "bf16", "u8", "sq8"};
    return (unsigned)kind < CODE_KINDS ? name[kind] : kind == CODE_NONE ? "none" : "?";
}

static bool is_l2(kith_metric metric) {
    return metric == KITH_METRIC_L2 || metric == KITH_METRIC_EUCLID;
}

static void lay_out(struct code *code) {
    uint32_t element = element_bytes[code->kind];
    code->bytes = code->dim * element;
    bool cosine = code->metric == KITH_METRIC_COSINE;
    if (element > 1) {
        code->inv_at = cosine ? (uint32_t)bits_round_up(code->bytes, 4) : 0;
        code->stride = cosine ? code->inv_at + 4 : code->bytes;
        return;
    }
    bool term = is_l2(code->metric), inverse = cosine && code->kind == CODE_U8;
    code->stride = (uint32_t)bits_round_up(code->dim + (term || inverse ? 4u : 0u), 64);
    code->bytes = (uint32_t)bits_round_up(code->dim, 64);
    code->term_at = term ? code->stride - 4 : 0;
    code->inv_at = inverse ? code->stride - 4 : 0;
}

int code_init(struct code *code, enum code_kind kind, kith_metric metric, uint32_t dim,
              struct mem_account *owner, kith_error *err) {
    if ((unsigned)kind >= CODE_KINDS || (unsigned)metric > KITH_METRIC_L1)
        return FAIL(err, KITH_EINVAL, "no code of kind %d under metric %d", (int)kind, (int)metric);
    if (dim == 0 || dim > KITH_MAX_DIM)
        return FAIL(err, KITH_EDIM, "dimension %u, must be 1 to %u", dim, KITH_MAX_DIM);
    struct code made = {.kind = kind, .metric = metric, .dim = dim};
    lay_out(&made);
    if (kind == CODE_SQ8) {
        size_t bytes = dim * sizeof(float);
        made.low = mem_new(owner, bytes);
        made.step = made.low ? mem_new(owner, bytes) : NULL;
        made.inv_step = made.step ? mem_new(owner, bytes) : NULL;
        if (!made.inv_step) {
            code_deinit(&made, owner);
            return FAIL(err, KITH_ENOMEM, "no memory for the ranges of %u dimensions", dim);
        }
    }
    *code = made;
    return KITH_OK;
}

const char *code_name(const struct code *code) {
    return code->quantizer ? code->quantizer->ops->name : code_kind_name(code->kind);
}

uint64_t code_bytes(const struct code *code) {
    if (code->quantizer) return code->quantizer->ops->model_bytes(code->quantizer);
    return code->kind == CODE_SQ8 ? 3 * (uint64_t)code->dim * sizeof(float) : 0;
}

void code_deinit(struct code *code, struct mem_account *owner) {
    quantizer_free(code->quantizer);
    code->quantizer = NULL;
    size_t bytes = code->dim * sizeof(float);
    if (code->low) mem_free(owner, code->low, bytes);
    if (code->step) mem_free(owner, code->step, bytes);
    if (code->inv_step) mem_free(owner, code->inv_step, bytes);
    code->low = code->step = code->inv_step = NULL;
}

float code_inverse_length(size_t dim, const float *x) {
    return kern_inv_length(kern_get(), KITH_TYPE_F32, x, dim);
}

static void put_f32(uint8_t *at, float value) { memcpy(at, &value, sizeof value); }

/* Elements [i, i + n) of a row, decoded. */
static void decode_part(const struct code *code, const uint8_t *row, size_t i, size_t n,
                        float *out) {
    const struct kern *kern = kern_get();
    if (code->kind == CODE_SQ8)
        kern->decode_u8(row + i, code->low + i, code->step + i, n, out);
    else
        kern->to_f32[element_type[code->kind]](row + i * element_bytes[code->kind], n, out);
}

void code_decode(const struct code *code, const uint8_t *row, float *out) {
    if (code->quantizer)
        code->quantizer->ops->decode(code->quantizer, row, out);
    else
        decode_part(code, row, 0, code->dim, out);
}

/* |scale_x * x - scale_row * decoded| over a row. */
static float residual(const struct code *code, const float *x, double scale_x, const uint8_t *row,
                      double scale_row) {
    float decoded[BLOCK];
    double sum = 0;
    for (size_t i = 0; i < code->dim; i += BLOCK) {
        size_t n = code->dim - i < BLOCK ? code->dim - i : BLOCK;
        decode_part(code, row, i, n, decoded);
        sum += sums_residual(n, x + i, scale_x, decoded, scale_row);
    }
    return folding_root_up(sum, scale_x == 1 || scale_x == 0 ? 0 : 0x1p-48);
}

/* The inverse length of a row's decoded vector, in double; 0 for zero. */
static double decoded_inverse(const struct code *code, const uint8_t *row) {
    float decoded[BLOCK];
    double sum = 0;
    for (size_t i = 0; i < code->dim; i += BLOCK) {
        size_t n = code->dim - i < BLOCK ? code->dim - i : BLOCK;
        decode_part(code, row, i, n, decoded);
        sum += sums_squares(n, decoded);
    }
    return sum == 0 ? 0 : 1 / sqrt(sum);
}

static float encode_float(const struct code *code, const float *row, uint8_t *out) {
    const kith_type type = element_type[code->kind];
    memset(out, 0, code->stride);
    kern_get()->from_f32[type](row, code->dim, out);
    if (code->inv_at)
        put_f32(out + code->inv_at, kern_inv_length(kern_get(), type, out, code->dim));
    if (code->kind == CODE_F32) return 0;
    if (code->metric != KITH_METRIC_COSINE) return residual(code, row, 1, out, 1);
    return residual(code, row, scorer_unit_scale(code->dim, row), out, decoded_inverse(code, out));
}

static float encode_u8(const struct code *code, const float *row, uint8_t *out) {
    memset(out, 0, code->stride);
    int64_t term = 0;
    for (size_t i = 0; i < code->dim; i++) {
        int32_t c = (int32_t)row[i];
        out[i] = (uint8_t)c;
        term += (c - 128) * (c - 128);
    }
    if (code->term_at) put_f32(out + code->term_at, (float)term);
    if (code->inv_at) put_f32(out + code->inv_at, code_inverse_length(code->dim, row));
    return 0;
}

static float encode_sq8(const struct code *code, const float *row, uint8_t *out) {
    memset(out, 0, code->stride);
    double scale = 1;
    if (code->metric == KITH_METRIC_COSINE) scale = scorer_unit_scale(code->dim, row);
    float scaled[BLOCK];
    const struct kern *kern = kern_get();
    double term = 0;
    for (size_t i = 0; i < code->dim; i += BLOCK) {
        size_t n = code->dim - i < BLOCK ? code->dim - i : BLOCK;
        sums_scale(n, row + i, scale, scaled);
        kern->encode_u8(scaled, code->low + i, code->inv_step + i, n, out + i);
        if (code->term_at) term += sums_term(n, code->step + i, out + i);
    }
    if (code->term_at) put_f32(out + code->term_at, (float)term);
    return residual(code, row, scale, out, 1);
}

float code_encode(const struct code *code, const float *row, uint8_t *out) {
    if (code->quantizer) return code_encode_quantized(code, row, out);
    if (code->kind == CODE_U8) return encode_u8(code, row, out);
    if (code->kind == CODE_SQ8) return encode_sq8(code, row, out);
    return encode_float(code, row, out);
}

float code_score(kith_metric metric, float dist) {
    switch (metric) {
    case KITH_METRIC_EUCLID: return dist > 0 ? sqrtf(dist) : 0;
    case KITH_METRIC_IP:
    case KITH_METRIC_COSINE: return -dist;
    default: return dist;
    }
}

float code_unscore(kith_metric metric, float score) {
    if (metric == KITH_METRIC_IP || metric == KITH_METRIC_COSINE) return -score;
    if (metric != KITH_METRIC_EUCLID) return score;
    if (!(score >= 0)) return -1;
    float dist = score * score;
    while (dist > 0 && sqrtf(dist) > score) dist = nextafterf(dist, 0);
    while (dist < FLT_MAX && sqrtf(nextafterf(dist, INFINITY)) <= score)
        dist = nextafterf(dist, INFINITY);
    return dist;
}
