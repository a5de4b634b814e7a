/* What the files of RaBitQ share: the object, and where things lie in codes and blocks. Private to this folder. */
#ifndef KITH_QUANT_RABITQ_CODE_H
#define KITH_QUANT_RABITQ_CODE_H

#include <pthread.h>
#include <string.h>

#include "quant/fields.h"
#include "quant/rabitq.h"
#include "quant/rotation.h"

/* Values in the fields of a row: upper bits, then, where low is 1, the lowest bit. */
struct rabitq_parts {
    unsigned high, low; /* bits: 0 (nothing), 1, 2, 4, 6, 8; 0 or 1 */
};

/* Padded dimensions up to which encode() and decode() work on the stack. */
#define RABITQ_STACK 4096u
#define RABITQ_LINE  128u

struct rabitq {
    struct quantizer base;
    struct rotation rotation;
    float *mean;    /* dim */
    double mean_sq; /* |m|^2 */
    float longest;
    uint32_t padded;                /* P */
    uint32_t fields;                /* where the fields of a code begin: bytes of its factors */
    struct rabitq_parts row, extra; /* of B bits in a code, of B - 1 in a block */
    uint32_t extra_bytes, factors_at, extra_at; /* in a block */
    float *spare; /* 3 padded floats, where they would not fit on the stack; else NULL */
    pthread_mutex_t spare_lock;
};

/* The factors of a code, in their order there; of a block, 32 of each. */
enum rabitq_factor { SIGN_TERM, SIGN_WEIGHT, SIGN_ERROR, TERM, WEIGHT, RABITQ_FACTORS };

static inline const struct rabitq *rabitq_of(const struct quantizer *quantizer) {
    return (const struct rabitq *)quantizer;
}

static inline float rabitq_factor(const uint8_t *code, unsigned which) {
    float value;
    memcpy(&value, code + 4 * which, sizeof value);
    return value;
}

/* What a whole code is scored by: 1 bit has signs alone. */
static inline unsigned rabitq_term_at(const struct rabitq *r) {
    return r->base.spec.bits == 1 ? SIGN_TERM : TERM;
}
static inline unsigned rabitq_weight_at(const struct rabitq *r) {
    return r->base.spec.bits == 1 ? SIGN_WEIGHT : WEIGHT;
}

static inline double rabitq_g(const struct rabitq *r) {
    return r->base.metric == KITH_METRIC_L2 ? 2 : 1;
}

/* (2^B - 1) / 2: a value less this is a half-integer. */
static inline double rabitq_middle(const struct rabitq *r) {
    return ((1u << r->base.spec.bits) - 1) / 2.0;
}

static inline size_t rabitq_line(const struct rabitq *r, size_t at) {
    return r->padded - at < RABITQ_LINE ? r->padded - at : RABITQ_LINE;
}

/* Values [at, at + n) of the fields of P values, n = rabitq_line(at). */
static inline void rabitq_get(const struct rabitq *r, struct rabitq_parts parts,
                              const uint8_t *fields, size_t at, size_t n, uint8_t *values) {
    memset(values, 0, n);
    fields_add(parts.high, fields + fields_bytes(parts.high, at), parts.low, n, values);
    if (parts.low)
        fields_add(1, fields + fields_bytes(parts.high, r->padded) + at / 8, 0, n, values);
}

static inline void rabitq_put(const struct rabitq *r, struct rabitq_parts parts,
                              const uint8_t *values, size_t at, size_t n, uint8_t *fields) {
    fields_put(parts.high, values, parts.low, n, fields + fields_bytes(parts.high, at));
    if (parts.low)
        fields_put(1, values, 0, n, fields + fields_bytes(parts.high, r->padded) + at / 8);
}

/* The signs of row i of a block in n dimensions, n / 16 of its lines, as u1 fields, n / 8 bytes. */
void rabitq_signs(const uint8_t *lines, size_t n, size_t i, uint8_t *fields);

void rabitq_encode(const struct quantizer *quantizer, size_t n, const float *x, const float *centre,
                   uint8_t *codes, float *norms);
void rabitq_decode(const struct quantizer *quantizer, const uint8_t *code, float *out);
void rabitq_pack(const struct quantizer *quantizer, const uint8_t *codes, size_t n, uint8_t *block);
void rabitq_unpack(const struct quantizer *quantizer, const uint8_t *block, size_t i,
                   uint8_t *code);

size_t rabitq_scorer_bytes(const struct quantizer *quantizer);
void rabitq_scorer_init(const struct quantizer *quantizer, void *scratch);
void rabitq_set_query(struct quantizer_scorer *scorer, const float *query);
void rabitq_list(const struct quantizer_scorer *scorer, const uint8_t *const *codes, size_t n,
                 float *scores);
void rabitq_rows(const struct quantizer_scorer *scorer, const uint8_t *codes, size_t stride,
                 size_t n, float *scores);
float rabitq_score(const struct quantizer_scorer *scorer, const uint8_t *code);
void rabitq_blocks(const struct quantizer_scorer *scorer, const uint8_t *blocks, size_t n,
                   float limit, float *scores);

#endif
