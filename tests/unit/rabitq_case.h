/* What the tests of RaBitQ share: a trained quantizer over random rows, their codes and blocks, and real distances. */
#ifndef TESTS_UNIT_RABITQ_CASE_H
#define TESTS_UNIT_RABITQ_CASE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/mem.h"
#include "quant/rabitq.h"

static uint64_t case_random = 20261122;

static inline size_t random_below(size_t n) { return (size_t)(bits_random(&case_random) % n); }
/* About normal: twelve uniform numbers. */
static inline float random_normal(void) {
    double sum = -6;
    for (int i = 0; i < 12; i++) sum += (double)(bits_random(&case_random) >> 11) * 0x1p-53;
    return (float)sum;
}

/* n rows around a place of their own, in a cluster or scattered, some elements far wider than others. */
static inline float *random_rows(size_t n, size_t dim) {
    float *rows = malloc(n * dim * sizeof *rows), *scale = malloc(dim * sizeof *scale);
    for (size_t j = 0; j < dim; j++) scale[j] = expf(random_normal());
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < dim; j++) rows[i * dim + j] = scale[j] * (random_normal() + 1);
    free(scale);
    return rows;
}

struct rabitq_case {
    struct quantizer *quantizer;
    struct quantizer_scorer *scorer;
    size_t n, dim;
    float *rows, *centre; /* centre may be NULL */
    uint8_t *codes, *blocks;
    float *norms;
};

static inline size_t case_blocks(const struct rabitq_case *c) {
    return (c->n + QUANT_BLOCK - 1) / QUANT_BLOCK;
}
static inline const uint8_t *case_code(const struct rabitq_case *c, size_t i) {
    return c->codes + i * c->quantizer->bytes;
}

static inline struct quantizer *case_quantizer(kith_metric metric, unsigned bits, size_t dim,
                                               uint64_t seed) {
    struct quantizer *quantizer;
    const struct quantizer_spec spec = {.kind = QUANT_RABITQ, .bits = bits, .seed = seed};
    assert_int_equal(quantizer_new(&quantizer, &spec, metric, (uint32_t)dim, NULL, NULL), KITH_OK);
    return quantizer;
}

/* Takes rows and centre. With a centre, what is learnt is learnt from rows less it. */
static inline struct rabitq_case case_of(struct quantizer *quantizer, size_t n, float *rows,
                                         float *centre) {
    struct rabitq_case c = {.quantizer = quantizer, .n = n, .dim = quantizer->dim};
    const struct quantizer_ops *ops = quantizer->ops;
    c.rows = rows;
    c.centre = centre;
    float *residuals = malloc((n + 1) * c.dim * sizeof *residuals);
    for (size_t i = 0; i < n * c.dim; i++)
        residuals[i] = rows[i] - (centre ? centre[i % c.dim] : 0);
    const struct quantizer_training how = {.threads = 1};
    assert_int_equal(ops->train(quantizer, n, residuals, &how, NULL), KITH_OK);
    free(residuals);
    c.codes = malloc((n + 1) * quantizer->bytes);
    c.norms = malloc((n + 1) * sizeof *c.norms);
    ops->encode(quantizer, n, rows, centre, c.codes, c.norms);
    c.blocks = mem_new(NULL, case_blocks(&c) * quantizer->block_bytes);
    for (size_t b = 0; b < case_blocks(&c); b++) {
        const size_t left = n - b * QUANT_BLOCK;
        ops->pack(quantizer, case_code(&c, b * QUANT_BLOCK),
                  left < QUANT_BLOCK ? left : QUANT_BLOCK, c.blocks + b * quantizer->block_bytes);
    }
    c.scorer = mem_new(NULL, ops->scorer_bytes(quantizer));
    ops->scorer_init(quantizer, c.scorer);
    return c;
}

static inline void case_free(struct rabitq_case *c) {
    mem_free(NULL, c->scorer, c->quantizer->ops->scorer_bytes(c->quantizer));
    mem_free(NULL, c->blocks, case_blocks(c) * c->quantizer->block_bytes);
    quantizer_free(c->quantizer);
    free(c->rows);
    free(c->centre);
    free(c->codes);
    free(c->norms);
}

/* What the score of row i should be: L2 |q - x|^2 - |q - c|^2, IP <q, c> - <q, x>. */
static inline double case_real(const struct rabitq_case *c, const float *query, size_t i) {
    double sum = 0;
    for (size_t j = 0; j < c->dim; j++) {
        const double q = (double)query[j], x = (double)c->rows[i * c->dim + j];
        const double from = c->centre ? (double)c->centre[j] : 0;
        sum += c->quantizer->metric == KITH_METRIC_L2 ? (q - x) * (q - x) - (q - from) * (q - from)
                                                      : q * from - q * x;
    }
    return sum;
}

#endif
