/* Quantizers: codes that are learnt from data, a few bits a dimension. Scalar (sq.h), product (pq.h), RaBitQ
 * (rabitq.h), sign bits (binary.h). One table of operations, so that every index scores every code.
 *
 * What is coded is r = x - c: x a vector (a unit vector where the index is under cosine, which then asks for IP), c the
 * centre it is near to, as in an inverted list, or no centre, which is c = 0. With r~ for what a code stands for, the
 * inside distance (smaller is nearer) from a query q is
 *
 *     L2   base + score,   base = |q - c|^2,   score = |r~|^2 + 2 <c, r~> - 2 <q, r~>
 *     IP   base + score,   base = -<q, c>,     score = -<q, r~>
 *     L1   score = sum |q - r~|, no centre, base 0
 *
 * so that a query is made ready once, whatever number of centres it meets: a row keeps |r~|^2 + 2 <c, r~> as a f32 term
 * (a quantizer may keep a better estimate of |r|^2 instead, and more factors), and the base is the caller's.
 * Metrics here: KITH_METRIC_L2, IP, L1. EUCLID is asked for as L2, COSINE as IP over unit vectors.
 *
 * Two forms of a row. As a code: `bytes` bytes, factors included, any alignment of 4. As part of a block: QUANT_BLOCK
 * rows interleaved for an in-register scan, `block_bytes` bytes at a multiple of 64; missing rows of a last block are
 * zeros. block_bytes 0: the quantizer has no such form, and lists keep codes.
 *
 * Scores of rows(), list() and blocks() are estimates, the same at every instruction set, of the exact score, which is
 * score(), in f32 sums of kern.h's law; `slack` bounds how far an estimate is from it. How far the exact score is from that
 * of x itself, which is the error of the code, is each kind's to say: a residual norm (encode), or a probability (rabitq.h).
 *
 * Determinism: same rows, options and seed give the same model and codes, at any number of threads, on any machine.
 * Threads: a trained quantizer is constant; a scorer belongs to one thread. */
#ifndef KITH_QUANT_QUANTIZER_H
#define KITH_QUANT_QUANTIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>
#include <kith/index.h>
#include <kith/vector.h>

struct mem_account;

#define QUANT_BLOCK 32u

enum quantizer_kind { QUANT_SQ, QUANT_PQ, QUANT_RABITQ, QUANT_BINARY, QUANT_KINDS };

/* What a quantizer is made from; fields that a kind does not know are 0. */
struct quantizer_spec {
    enum quantizer_kind kind;
    uint32_t bits; /* SQ: 4, 6, 8; PQ: of a sub-quantizer, 4 or 8; RABITQ: of a dimension, 1 to 8 */
    uint32_t m;    /* PQ: sub-quantizers, which divide dim */
    bool uniform;  /* SQ: one range for all dimensions */
    float clip;    /* SQ: share of the values, both ends together, left outside the range; 0 none */
    uint64_t seed; /* rotations, starts of k-means */
    bool median;   /* BINARY: cut at the median of each dimension, not at its mean */
};

struct quantizer_training {
    uint32_t threads;
    kith_progress_fn progress;
    void *context;
};

struct quantizer {
    const struct quantizer_ops *ops;
    struct quantizer_spec spec;
    kith_metric metric;
    uint32_t dim;
    uint32_t bytes, block_bytes;
    bool trained;
    struct mem_account *owner; /* of all it holds */
};

/* A query made ready. An implementation's scorer begins with this one. */
struct quantizer_scorer {
    const struct quantizer *quantizer;
    /* At least |estimate - score()| for the query that is set and any code that encode() makes (RaBitQ: of rows no longer
     * than rabitq.h says). */
    float slack;
    /* |q - c| of the centre whose blocks are scored next: the caller's to set, negative (as set_query leaves it) where
     * there is no centre; only RaBitQ reads it, to see which rows blocks() may skip */
    float centre_dist;
};

/* A query in s8 for rows of byte codes: fma(scale, dot, term + bias), each a rounding to f32, is within room + 2^-22 |term|
 * of what rows() answers. */
struct quantizer_wide {
    float scale, bias, room;
};

/* Rows of byte codes, stride bytes apart. */
struct quantizer_bytes {
    const uint8_t *at;
    size_t stride;
};

struct quantizer_ops {
    const char *name; /* "sq", "pq", "rabitq", "binary" */
    size_t object_bytes;
    /* Checks spec, metric and dim (KITH_ESPEC with the numbers in it), and sets bytes and block_bytes. */
    int (*init)(struct quantizer *quantizer, kith_error *err);
    void (*deinit)(struct quantizer *quantizer);
    /* Learn from n rows of dim floats: of r, where there will be centres. n too small for the kind is no error: it learns
     * what it can. */
    int (*train)(struct quantizer *quantizer, size_t n, const float *rows,
                 const struct quantizer_training *how, kith_error *err);
    /* Code n rows x - centre (centre NULL: x), `bytes` apart. Any thread. norms, where not NULL, takes the real |r - r~|,
     * rounded up. */
    void (*encode)(const struct quantizer *quantizer, size_t n, const float *x, const float *centre,
                   uint8_t *codes, float *norms);
    /* r~ of a code: the caller adds the centre. */
    void (*decode)(const struct quantizer *quantizer, const uint8_t *code, float *out);

    /* Scorers: scratch of scorer_bytes, 64-byte aligned, is the caller's and holds everything. */
    size_t (*scorer_bytes)(const struct quantizer *quantizer);
    void (*scorer_init)(const struct quantizer *quantizer, void *scratch);
    void (*set_query)(struct quantizer_scorer *scorer, const float *query);
    /* Scores of codes by address (the first ones fetched ahead), and of n codes `stride` bytes apart. */
    void (*list)(const struct quantizer_scorer *scorer, const uint8_t *const *codes, size_t n,
                 float *scores);
    void (*rows)(const struct quantizer_scorer *scorer, const uint8_t *codes, size_t stride,
                 size_t n, float *scores);
    /* The exact score of one code. */
    float (*score)(const struct quantizer_scorer *scorer, const uint8_t *code);
    /* This and the next two are NULL where block_bytes is 0.
     * Scores of the n rows of consecutive blocks, ceil(n / 32) of them; room for whole blocks in scores. A row whose
     * score is above `limit` (for RaBitQ: but with the probability that rabitq.h states) may get INFINITY instead. */
    void (*blocks)(const struct quantizer_scorer *scorer, const uint8_t *blocks, size_t n,
                   float limit, float *scores);
    /* Codes to a block (n <= 32, `bytes` apart) and one row of a block back to its code, bit for bit. */
    void (*pack)(const struct quantizer *quantizer, const uint8_t *codes, size_t n, uint8_t *block);
    void (*unpack)(const struct quantizer *quantizer, const uint8_t *block, size_t i,
                   uint8_t *code);

    /* Codes as bytes, for kern.h's scan_u8s8 of many queries; all three NULL where a kind has no such form, and wide_bytes 0
     * where a metric has none. wide_bytes: of a row, a multiple of 64. widen: n codes, `bytes` apart, as rows of so many
     * bytes, written to `wide` where they are not already, and their terms. wide_query: the query as s8, all wide_bytes. */
    uint32_t (*wide_bytes)(const struct quantizer *quantizer);
    struct quantizer_bytes (*widen)(const struct quantizer *quantizer, const uint8_t *codes,
                                    size_t n, uint8_t *wide, float *terms);
    struct quantizer_wide (*wide_query)(const struct quantizer_scorer *scorer, int8_t *codes);

    /* The trained model as bytes, for files: little-endian, what the kind's header says. read answers KITH_ECORRUPT for
     * bytes that no write made. */
    size_t (*model_bytes)(const struct quantizer *quantizer);
    void (*model_write)(const struct quantizer *quantizer, uint8_t *out);
    int (*model_read)(struct quantizer *quantizer, const uint8_t *bytes, size_t n, kith_error *err);
};

/* Make an untrained quantizer.   Errors   KITH_ESPEC, KITH_EDIM, KITH_ENOMEM. */
int quantizer_new(struct quantizer **out, const struct quantizer_spec *spec, kith_metric metric,
                  uint32_t dim, struct mem_account *owner, kith_error *err);
void quantizer_free(struct quantizer *quantizer); /* NULL is allowed */

/* How many candidates are worth scoring again on originals, as a multiple of k: by bits, generously. */
float quantizer_oversample(const struct quantizer *quantizer);
float quantizer_spec_oversample(const struct quantizer_spec *spec);

extern const struct quantizer_ops sq_ops;     /* sq.c */
extern const struct quantizer_ops pq_ops;     /* pq.c */
extern const struct quantizer_ops rabitq_ops; /* rabitq.c */
extern const struct quantizer_ops binary_ops; /* binary.c */

#endif
