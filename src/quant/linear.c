/* Linear codes: layout, coding and decoding, LINEAR_PIECE elements at a time. */
#include "quant/linear.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"
#include "kern/kern.h"
#include "quant/folding.h"
#include "quant/sums.h"

enum { TABLES = 6 };

static void lay_out(struct linear *linear) {
    const uint32_t dim = linear->base.dim, bits = linear->bits;
    const uint32_t unit = bits == 8 ? 32 : 64; /* codes */
    const bool term = linear->base.metric == KITH_METRIC_L2;
    linear->positions = (uint32_t)bits_round_up(dim, unit);
    linear->code_bytes = linear->positions / 8 * bits;
    uint32_t line = linear->positions; /* codes of the last one */
    if (bits == 4 || bits == 6) line = linear->positions % 128 ? 64 : 128;
    const uint32_t segments = bits == 4 ? 2 : bits == 6 ? 4 : 1;
    linear->last = linear->positions - line;
    linear->segment = line / segments;
    const bool inside = term && bits != 1 && dim - linear->last <= line - 4 * segments;
    linear->keep = linear->segment - (inside ? 4 : 0);
    linear->base.bytes = linear->code_bytes + (term && !inside ? 4 : 0);
    linear->term_at = term ? linear->base.bytes - 4 : 0;
}

int linear_init(struct linear *linear, uint32_t bits, kith_error *err) {
    const uint32_t dim = linear->base.dim;
    linear->bits = bits;
    linear->top = (1u << bits) - 1;
    lay_out(linear);
    float *tables = mem_new(linear->base.owner, TABLES * dim * sizeof(float));
    if (!tables) return FAIL(err, KITH_ENOMEM, "no memory for the ranges of %u dimensions", dim);
    linear->low = tables;
    linear->step = tables + dim;
    linear->cut = tables + 2 * (size_t)dim;
    linear->inverse = tables + 3 * (size_t)dim;
    linear->middle = tables + 4 * (size_t)dim;
    linear->below = tables + 5 * (size_t)dim;
    return KITH_OK;
}

void linear_deinit(struct quantizer *quantizer) {
    struct linear *linear = (struct linear *)quantizer;
    mem_free(quantizer->owner, linear->low, TABLES * quantizer->dim * sizeof(float));
}

void linear_ready(struct linear *linear) {
    double reach_sq = 0, spread_sq = 0;
    for (uint32_t i = 0; i < linear->base.dim; i++) {
        double low = (double)linear->low[i], step = (double)linear->step[i];
        double half = 0.5 * linear->top * step, large = fabs(low) + 2 * half;
        linear->middle[i] = (float)(low + half);
        linear->below[i] = (float)-half;
        reach_sq += large * large;
        spread_sq += half * half;
    }
    linear->reach = (double)folding_root_up(reach_sq, 0);
    linear->spread = (double)folding_root_up(spread_sq, 0);
    linear->base.trained = true;
}

bool linear_sound(const struct linear *linear) {
    for (uint32_t i = 0; i < linear->base.dim; i++) {
        const float step = linear->step[i];
        uint32_t bits;
        memcpy(&bits, &step, sizeof bits);
        if (!(step >= 0) || (bits & 0xff) != 0 || signbit(step)) return false;
        if (step > 0 && step < FOLDING_STEP_MIN) return false;
        if (!(fabsf(linear->low[i]) + (float)linear->top * step < FLT_MAX)) return false;
    }
    return true;
}

/* ---- Positions ---------------------------------------------------------------------------------- */

static bool spread(const struct linear *linear, uint32_t at) {
    return at >= linear->last && linear->keep < linear->segment;
}

void linear_place(const struct linear *linear, uint32_t at, uint8_t piece[LINEAR_PIECE]) {
    if (!spread(linear, at)) return;
    const uint32_t n = linear_piece(linear, at), keep = linear->keep, segment = linear->segment;
    for (uint32_t s = (n - 1) / keep; s > 0; s--) {
        uint32_t some = n - s * keep < keep ? n - s * keep : keep;
        memmove(piece + s * segment, piece + s * keep, some);
        memset(piece + s * segment + some, 0, segment - some);
    }
    if (n > keep) memset(piece + keep, 0, segment - keep);
}

void linear_take(const struct linear *linear, uint32_t at, uint8_t piece[LINEAR_PIECE]) {
    if (!spread(linear, at)) return;
    const uint32_t n = linear_piece(linear, at), keep = linear->keep, segment = linear->segment;
    for (uint32_t s = 1; s * keep < n; s++) memmove(piece + s * keep, piece + s * segment, keep);
}

/* n positions, one code each, to bytes. */
static void pack(uint32_t bits, const uint8_t *piece, uint32_t n, uint8_t *out) {
    const uint32_t half = n / 2, quarter = n / 4;
    switch (bits) {
    case 8: memcpy(out, piece, n); return;
    case 1:
        memset(out, 0, n / 8);
        for (uint32_t i = 0; i < n; i++) out[i / 8] |= (uint8_t)(piece[i] << i % 8);
        return;
    default:
        for (uint32_t j = 0; j < half; j++)
            out[j] = (uint8_t)((piece[j] & 15) | (piece[half + j] & 15) << 4);
        for (uint32_t j = 0; bits == 6 && j < quarter; j++)
            out[half + j] =
                (uint8_t)(piece[j] >> 4 | piece[quarter + j] >> 4 << 2 | piece[half + j] >> 4 << 4 |
                          piece[half + quarter + j] >> 4 << 6);
    }
}

static void unpack(uint32_t bits, const uint8_t *in, uint32_t n, uint8_t *piece) {
    const uint32_t half = n / 2, quarter = n / 4;
    switch (bits) {
    case 8: memcpy(piece, in, n); return;
    case 1:
        for (uint32_t i = 0; i < n; i++) piece[i] = in[i / 8] >> i % 8 & 1;
        return;
    default:
        for (uint32_t j = 0; j < half; j++) {
            piece[j] = in[j] & 15;
            piece[half + j] = in[j] >> 4;
        }
        for (uint32_t k = 0; bits == 6 && k < 4; k++)
            for (uint32_t j = 0; j < quarter; j++)
                piece[k * quarter + j] |= (uint8_t)((in[half + j] >> 2 * k & 3) << 4);
    }
}

static uint32_t positions_of(const struct linear *linear, uint32_t at) {
    return linear->positions - at < LINEAR_PIECE ? linear->positions - at : LINEAR_PIECE;
}

/* ---- Coding ------------------------------------------------------------------------------------- */

struct coded {
    double term, residual;
};

/* Sums over n elements: (r~ - mid)^2 + 2 c r~, and (x - c - r~)^2. */
static void add_sums(struct coded *sums, uint32_t n, const float *x, const float *centre,
                     const float *decoded, const float *middle) {
    double term[SUMS_LANES] = {0}, residual[SUMS_LANES] = {0};
    SUMS_LOOP(n, {
        double c = centre ? (double)centre[i] : 0, y = (double)decoded[i];
        double left = (double)x[i] - c - y, off = y - (double)middle[i];
        term[lane] += off * off + 2 * c * y;
        residual[lane] += left * left;
    });
    sums->term += sums_tree(term);
    sums->residual += sums_tree(residual);
}

static struct coded encode_row(const struct linear *linear, const float *x, const float *centre,
                               uint8_t *out) {
    const struct kern *kern = kern_get();
    struct coded sums = {0, 0};
    for (uint32_t at = 0; at < linear->base.dim; at += LINEAR_PIECE) {
        const uint32_t n = linear_piece(linear, at);
        uint8_t piece[LINEAR_PIECE] = {0};
        float values[LINEAR_PIECE];
        for (uint32_t i = 0; i < n; i++)
            values[i] = centre ? x[at + i] - centre[at + i] : x[at + i];
        kern->encode_u8(values, linear->cut + at, linear->inverse + at, n, piece);
        for (uint32_t i = 0; i < n; i++)
            piece[i] = piece[i] < linear->top ? piece[i] : (uint8_t)linear->top;
        kern->decode_u8(piece, linear->low + at, linear->step + at, n, values);
        add_sums(&sums, n, x + at, centre ? centre + at : NULL, values, linear->middle + at);
        linear_place(linear, at, piece);
        pack(linear->bits, piece, positions_of(linear, at), out + at / 8 * linear->bits);
    }
    return sums;
}

void linear_encode(const struct quantizer *quantizer, size_t n, const float *x, const float *centre,
                   uint8_t *codes, float *norms) {
    const struct linear *linear = (const struct linear *)quantizer;
    for (size_t row = 0; row < n; row++, x += quantizer->dim, codes += quantizer->bytes) {
        const struct coded sums = encode_row(linear, x, centre, codes);
        const float term = (float)sums.term;
        if (linear->term_at) memcpy(codes + linear->term_at, &term, sizeof term);
        if (norms)
            norms[row] =
                folding_root_up(sums.residual, 0x1p-51 * (linear->reach + sqrt(sums.residual)));
    }
}

void linear_decode_from(const struct linear *linear, const float *low, const uint8_t *code,
                        float *out) {
    const struct kern *kern = kern_get();
    for (uint32_t at = 0; at < linear->base.dim; at += LINEAR_PIECE) {
        uint8_t piece[LINEAR_PIECE];
        unpack(linear->bits, code + at / 8 * linear->bits, positions_of(linear, at), piece);
        linear_take(linear, at, piece);
        kern->decode_u8(piece, low + at, linear->step + at, linear_piece(linear, at), out + at);
    }
}

void linear_decode(const struct quantizer *quantizer, const uint8_t *code, float *out) {
    const struct linear *linear = (const struct linear *)quantizer;
    linear_decode_from(linear, linear->low, code, out);
}

/* ---- Many queries --------------------------------------------------------------------------------- */

uint32_t linear_wide_bytes(const struct quantizer *quantizer) {
    const struct linear *linear = (const struct linear *)quantizer;
    if (quantizer->metric == KITH_METRIC_L1) return 0;
    return (uint32_t)bits_round_up(linear->positions, 64);
}

static void widen_row(const struct linear *linear, const uint8_t *code, uint8_t *wide) {
    const uint32_t bytes = linear_wide_bytes(&linear->base);
    for (uint32_t at = 0; at < linear->positions; at += LINEAR_PIECE)
        unpack(linear->bits, code + at / 8 * linear->bits, positions_of(linear, at), wide + at);
    memset(wide + linear->positions, 0, bytes - linear->positions);
}

struct quantizer_bytes linear_widen(const struct quantizer *quantizer, const uint8_t *codes,
                                    size_t n, uint8_t *wide, float *terms) {
    const struct linear *linear = (const struct linear *)quantizer;
    const uint32_t bytes = linear_wide_bytes(quantizer), stride = quantizer->bytes;
    memset(terms, 0, n * sizeof *terms);
    for (size_t i = 0; i < n && linear->term_at; i++)
        memcpy(&terms[i], codes + i * stride + linear->term_at, sizeof *terms);
    if (linear->bits == 8 && bytes == linear->positions)
        return (struct quantizer_bytes){codes, stride};
    for (size_t i = 0; i < n; i++) widen_row(linear, codes + i * stride, wide + i * bytes);
    return (struct quantizer_bytes){wide, bytes};
}
