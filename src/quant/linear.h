/* Linear codes: element i of a vector is low[i] + step[i] c[i] for a whole number c[i] of a few bits, 0 to M = 2^bits - 1,
 * so that scores are dots of whole numbers. What scalar quantizers (sq.h, 4 to 8 bits) and sign bits (binary.h, 1 bit) have in common:
 * everything but how ranges are learnt.
 *
 * With mid = low + M/2 step, y = step (c - M/2), w = q - mid under L2 and w = q under IP, quantizer.h's scores are
 *
 *     L2   term + |mid|^2 - 2 <q, mid> - 2 <w, y>,   term = |r~ - mid|^2 + 2 <c, r~>
 *     IP   -<q, mid> - <w, y>
 *
 * where the numbers that must cancel are those between things that lie apart, not those between them and the origin.
 *
 * A code, n = code_bytes, and its term (L2 only, f32), which lies in the last 4 bytes of the n where dim leaves them
 * free, else behind them:
 *
 *     bits   n                     codes lie
 *     8      32 ceil(dim / 32)     one a byte
 *     6      48 ceil(dim / 64)     as kern.h's u6: lines of 128 codes, the last of 128 or 64
 *     4      32 ceil(dim / 64)     as kern.h's u4: the same
 *     1      8 ceil(dim / 64)      code i is bit i % 8 of byte i / 8; the term is always behind, so that bytes compare
 *
 * Invariants
 *   1. Elements before the last line are at the position of their number. With its bytes halved (4 bits) or quartered
 *      (6 bits), the last line is two or four segments; where the term lies inside, the last four codes of each are left
 *      out, so that `keep` of `segment` positions are used. Positions that no element has are zeros.
 *   2. Steps have 16 significant bits: low + step c is rounded once. The dimensions that never varied have step 0.
 *   3. Estimate and score are within slack of each other, but for the last rounding of both, 2^-24 |score|:
 *      linear_score.c has the proof.
 * Threads: constant once trained. A scorer belongs to one thread. Private to this folder. */
#ifndef KITH_QUANT_LINEAR_H
#define KITH_QUANT_LINEAR_H

#include "quant/quantizer.h"

#define LINEAR_PIECE 128u /* elements that are coded at a time */

struct linear {
    struct quantizer base;
    uint32_t bits, top;     /* of a code; its greatest value, 2^bits - 1 */
    uint32_t code_bytes;    /* what kernels read of a row */
    uint32_t term_at;       /* L2: offset of the f32 term; else 0 */
    uint32_t positions;     /* codes that code_bytes hold */
    uint32_t last;          /* elements before the last line */
    uint32_t segment, keep; /* element last + k lies at last + k / keep * segment + k % keep */
    float *low, *step;      /* dim floats each, as the following: decoding */
    float *cut, *inverse;   /* coding: c = round((r - cut) inverse) within 0..top */
    float *middle, *below;  /* mid, and -M/2 step: a code decoded from there is y */
    double reach, spread;   /* no r~, no y is longer */
};

/* Lay a code out and have memory for its ranges. base is filled in but for bytes, which this sets. KITH_ENOMEM. */
int linear_init(struct linear *linear, uint32_t bits, kith_error *err);
void linear_deinit(struct quantizer *quantizer);
/* After low, step, cut and inverse are known: the rest. */
void linear_ready(struct linear *linear);
/* True where low and step are what invariant 2 says, and r~ is within f32. */
bool linear_sound(const struct linear *linear);

/* The operations of quantizer.h. */
void linear_encode(const struct quantizer *quantizer, size_t n, const float *x, const float *centre,
                   uint8_t *codes, float *norms);
void linear_decode(const struct quantizer *quantizer, const uint8_t *code, float *out);
size_t linear_scorer_bytes(const struct quantizer *quantizer);
void linear_scorer_init(const struct quantizer *quantizer, void *scratch);
void linear_set_query(struct quantizer_scorer *scorer, const float *query);
void linear_list(const struct quantizer_scorer *scorer, const uint8_t *const *codes, size_t n,
                 float *scores);
void linear_rows(const struct quantizer_scorer *scorer, const uint8_t *codes, size_t stride,
                 size_t n, float *scores);
float linear_score(const struct quantizer_scorer *scorer, const uint8_t *code);

uint32_t linear_wide_bytes(const struct quantizer *quantizer);
struct quantizer_bytes linear_widen(const struct quantizer *quantizer, const uint8_t *codes,
                                    size_t n, uint8_t *wide, float *terms);
struct quantizer_wide linear_wide_query(const struct quantizer_scorer *scorer, int8_t *codes);

/* low + step c, for any low[dim]. */
void linear_decode_from(const struct linear *linear, const float *low, const uint8_t *code,
                        float *out);
/* The codes of at most LINEAR_PIECE elements from element `at` (a multiple of it) on, one byte each: from their order to
 * their positions, and back. */
void linear_place(const struct linear *linear, uint32_t at, uint8_t piece[LINEAR_PIECE]);
void linear_take(const struct linear *linear, uint32_t at, uint8_t piece[LINEAR_PIECE]);
static inline uint32_t linear_piece(const struct linear *linear, uint32_t at) {
    return linear->base.dim - at < LINEAR_PIECE ? linear->base.dim - at : LINEAR_PIECE;
}

#endif
