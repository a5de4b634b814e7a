/* What the files of product quantisation share. Private to this folder.
 *
 * Part j's centroids lie twice: as the model has them, row by row, and by columns for kern.h's columns, moved by `middle`,
 * so that data far from the origin lose nothing to cancellation: with x' = x - middle and c' = c - middle the nearest
 * centroid is that of the largest <x', c'> - |c'|^2 / 2. */
#ifndef KITH_QUANT_PQ_CODE_H
#define KITH_QUANT_PQ_CODE_H

#include <string.h>

#include "quant/pq.h"

#define PQ_PIECE 64u /* elements of a part that are coded at a time */
#define PQ_ROWS  16u /* rows that are coded at a time */

struct pq {
    struct quantizer base;
    uint32_t k, part;     /* centroids of a part, elements of a part */
    uint32_t index_at;    /* offset of the indexes in a code: behind the term, if there is one */
    uint32_t index_bytes; /* that hold all indexes */
    uint32_t nibbles, term_at; /* of a block: m up to a multiple of 4, offset of the terms or 0 */
    float *centroids;          /* [m][k][part] */
    float *columns;            /* [m][part][k], c' */
    float *start;              /* [m][k], -|c'|^2 / 2 */
    float *middle;             /* [dim] */
    double reach; /* L2, IP: the root of the sum over parts of (|middle| + the longest |c'|)^2;
                     L1: the sum over parts of the largest sum of |c'| */
};

static inline const struct pq *pq_of(const struct quantizer *quantizer) {
    return (const struct pq *)quantizer;
}

static inline const float *pq_centroid(const struct pq *pq, uint32_t j, uint32_t index) {
    return pq->centroids + ((size_t)j * pq->k + index) * pq->part;
}

static inline uint32_t pq_index(const struct pq *pq, const uint8_t *indexes, uint32_t j) {
    return pq->k == 256 ? indexes[j] : (uint32_t)indexes[j / 2] >> j % 2 * 4 & 15u;
}

/* After part j's centroids are known: its columns, starts and middle; returns its share of `reach`. After all are: all. */
double pq_ready_part(struct pq *pq, uint32_t j);
void pq_ready(struct pq *pq);

/* A part of n rows, at most PQ_ROWS: elements at x, x + stride, ... less those of `centre`, if there is one. */
struct pq_rows {
    size_t n;
    const float *x;
    size_t stride;
    const float *centre;
};
/* Which of part j's centroids each is nearest to. */
void pq_nearest(const struct pq *pq, uint32_t j, const struct pq_rows *rows, uint8_t *index);

int pq_train(struct quantizer *quantizer, size_t n, const float *rows,
             const struct quantizer_training *how, kith_error *err);
void pq_encode(const struct quantizer *quantizer, size_t n, const float *x, const float *centre,
               uint8_t *codes, float *norms);
void pq_decode(const struct quantizer *quantizer, const uint8_t *code, float *out);
void pq_pack(const struct quantizer *quantizer, const uint8_t *codes, size_t n, uint8_t *block);
void pq_unpack(const struct quantizer *quantizer, const uint8_t *block, size_t i, uint8_t *code);

size_t pq_scorer_bytes(const struct quantizer *quantizer);
void pq_scorer_init(const struct quantizer *quantizer, void *scratch);
void pq_set_query(struct quantizer_scorer *scorer, const float *query);
void pq_list(const struct quantizer_scorer *scorer, const uint8_t *const *codes, size_t n,
             float *scores);
void pq_rows(const struct quantizer_scorer *scorer, const uint8_t *codes, size_t stride, size_t n,
             float *scores);
float pq_score(const struct quantizer_scorer *scorer, const uint8_t *code);
void pq_blocks(const struct quantizer_scorer *scorer, const uint8_t *blocks, size_t n, float limit,
               float *scores);

#endif
