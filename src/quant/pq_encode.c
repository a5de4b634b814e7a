/* Product codes: rows to codes and back, codes to blocks and back.
 *
 * Coding goes part by part over PQ_ROWS rows, so that a part's columns stay in the first cache; a part of more than
 * PQ_PIECE elements goes piece by piece, which changes no bit (kern.h's columns). Equally near: the smaller index. */
#include <float.h>
#include <math.h>

#include "kern/kern.h"
#include "quant/pq_code.h"

void pq_nearest(const struct pq *pq, uint32_t j, const struct pq_rows *rows, uint8_t *index) {
    const struct kern *kern = kern_get();
    float moved[PQ_ROWS * PQ_PIECE], near[PQ_ROWS * 256];
    struct kern_columns c = {.x = moved, .stride = PQ_PIECE, .n = rows->n, .k = pq->k, .out = near};
    for (size_t at = 0; at < pq->part; at += PQ_PIECE) {
        const size_t first = (size_t)j * pq->part + at;
        c.dim = pq->part - at < PQ_PIECE ? pq->part - at : PQ_PIECE;
        for (size_t i = 0; i < rows->n; i++) {
            const float *x = rows->x + i * rows->stride + at;
            for (size_t d = 0; d < c.dim; d++) {
                const float value = rows->centre ? x[d] - rows->centre[at + d] : x[d];
                moved[i * PQ_PIECE + d] = value - pq->middle[first + d];
            }
        }
        c.columns = pq->columns + first * pq->k;
        c.start = at == 0 ? pq->start + (size_t)j * pq->k : NULL;
        kern->columns_dot(&c);
    }
    for (size_t i = 0; i < rows->n; i++) index[i] = (uint8_t)kern->largest(near + i * pq->k, pq->k);
}

/* What a row's code is worth: |r - r~|^2, |r~|^2 + 2 <c, r~>. */
struct worth {
    double left, term;
};

static void add_part(const struct pq *pq, uint32_t j, const float *x, const float *centre,
                     uint32_t index, struct worth *worth) {
    const float *centroid = pq_centroid(pq, j, index);
    const size_t first = (size_t)j * pq->part;
    double left = 0, term = 0;
    for (size_t d = 0; d < pq->part; d++) {
        double r = (double)x[first + d], c = centre ? (double)centre[first + d] : 0;
        double element = (double)centroid[d];
        left += (r - c - element) * (r - c - element);
        term += element * (element + 2 * c);
    }
    worth->left += left;
    worth->term += term;
}

/* At most PQ_ROWS rows. */
static void encode_rows(const struct pq *pq, size_t n, const float *x, const float *centre,
                        uint8_t *codes, float *norms) {
    const size_t bytes = pq->base.bytes;
    const bool l2 = pq->base.metric == KITH_METRIC_L2;
    struct worth worth[PQ_ROWS] = {{0, 0}};
    memset(codes, 0, n * bytes);
    for (uint32_t j = 0; j < pq->base.spec.m; j++) {
        uint8_t index[PQ_ROWS];
        const size_t first = (size_t)j * pq->part;
        const struct pq_rows part = {.n = n,
                                     .x = x + first,
                                     .stride = pq->base.dim,
                                     .centre = centre ? centre + first : NULL};
        pq_nearest(pq, j, &part, index);
        for (size_t i = 0; i < n; i++) {
            uint8_t *indexes = codes + i * bytes + pq->index_at;
            if (pq->k == 256)
                indexes[j] = index[i];
            else
                indexes[j / 2] |= (uint8_t)(index[i] << j % 2 * 4);
            if (l2 || norms) add_part(pq, j, x + i * pq->base.dim, centre, index[i], &worth[i]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        const float term = (float)fmin(worth[i].term, (double)FLT_MAX);
        if (l2) memcpy(codes + i * bytes, &term, sizeof term);
        if (norms) norms[i] = (float)(sqrt(worth[i].left) * (1 + 0x1p-20));
    }
}

void pq_encode(const struct quantizer *quantizer, size_t n, const float *x, const float *centre,
               uint8_t *codes, float *norms) {
    for (size_t i = 0; i < n; i += PQ_ROWS)
        encode_rows(pq_of(quantizer), n - i < PQ_ROWS ? n - i : PQ_ROWS, x + i * quantizer->dim,
                    centre, codes + i * quantizer->bytes, norms ? norms + i : NULL);
}

void pq_decode(const struct quantizer *quantizer, const uint8_t *code, float *out) {
    const struct pq *pq = pq_of(quantizer);
    for (uint32_t j = 0; j < quantizer->spec.m; j++)
        memcpy(out + (size_t)j * pq->part, pq_centroid(pq, j, pq_index(pq, code + pq->index_at, j)),
               pq->part * sizeof *out);
}

/* Where nibble j of row i of a block lies, and how far up in its byte. */
static size_t nibble_at(uint32_t j, size_t i) { return j / 4 * 64 + i % 16 * 4 + j % 4; }
static unsigned nibble_shift(size_t i) { return i < 16 ? 0 : 4; }

void pq_pack(const struct quantizer *quantizer, const uint8_t *codes, size_t n, uint8_t *block) {
    const struct pq *pq = pq_of(quantizer);
    memset(block, 0, quantizer->block_bytes);
    for (size_t i = 0; i < n; i++, codes += quantizer->bytes) {
        for (uint32_t j = 0; j < quantizer->spec.m; j++)
            block[nibble_at(j, i)] |=
                (uint8_t)(pq_index(pq, codes + pq->index_at, j) << nibble_shift(i));
        if (pq->term_at) memcpy(block + pq->term_at + 4 * i, codes, 4);
    }
}

void pq_unpack(const struct quantizer *quantizer, const uint8_t *block, size_t i, uint8_t *code) {
    const struct pq *pq = pq_of(quantizer);
    uint8_t *indexes = code + pq->index_at;
    memset(code, 0, quantizer->bytes);
    for (uint32_t j = 0; j < quantizer->spec.m; j++)
        indexes[j / 2] |=
            (uint8_t)(((uint32_t)block[nibble_at(j, i)] >> nibble_shift(i) & 15u) << j % 2 * 4);
    if (pq->term_at) memcpy(code, block + pq->term_at + 4 * i, 4);
}
