/* Transforms: vectors on their way to an index. One is a map of d_in floats to d_out; a chain is up to eight of them.
 *
 *   LINEAR      y = A x + b, given from outside (a file of another engine)
 *   PCA         y = S V (x - mean): V the d_out leading eigenvectors of the covariance, S = I, or whitening: 1 / the
 *               standard deviation, 0 where there is none; `rotate`: and a random rotation of y after it; `through_0`:
 *               y = S V x, V the eigenvectors of the mean of x x', for which products lose least
 *   OPQ         y = A x: A makes a product quantiser of m parts lose least: Ge, He, Ke & Sun 2013
 *   ROTATION    y = A x: random, orthogonal; A's rows (d_out <= d_in) or columns are orthonormal
 *   NORMALISE   y = x / |x|; a zero vector stays one
 *   CENTRE      y = x - mean
 *   PAD         y = (x, 0, ..., 0)
 *   HADAMARD    y = R x: random and orthogonal as ROTATION, in O(d log d) and without a matrix (quant/rotation.h)
 *
 * All that is linear is kept as A (rows of d_in) and b, as FAISS keeps it.
 *
 * Invariants
 *   1. Same rows, spec and seed give the same bits of A and b, at any number of threads and on any machine; same A and b
 *      give the same bits of y: sums by kern.h's law, then one rounding for b.
 *   2. Only + - * / sqrt and powers of two reach a bit; nothing of libm whose last bit is a library's choice.
 *   3. PCA's values fall, and none is negative. Fewer rows than dimensions, equal rows and dependent columns are no
 *      error: directions without variance come last.
 *   4. A's rows are orthonormal within 2^-20 (element of A A' - I) for PCA without whitening, OPQ, and ROTATION with
 *      d_out <= d_in; its columns for OPQ and ROTATION with d_out > d_in.
 * Threads: a trained transform is constant. Decisions: docs/decisions/0021. Papers: docs/papers.md. */
#ifndef KITH_QUANT_TRANSFORM_H
#define KITH_QUANT_TRANSFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>

#include "quant/quantizer.h" /* struct quantizer_training: threads and progress */
#include "quant/rotation.h"

struct mem_account;

enum transform_kind {
    TRANSFORM_LINEAR,
    TRANSFORM_PCA,
    TRANSFORM_OPQ,
    TRANSFORM_ROTATION,
    TRANSFORM_NORMALISE,
    TRANSFORM_CENTRE,
    TRANSFORM_PAD,
    TRANSFORM_HADAMARD,
    TRANSFORM_KINDS
};

#define TRANSFORM_MATRIX_MAX 8192u /* largest d_in and d_out of what is linear, and of HADAMARD */

/* What a transform is made from; fields that a kind does not know are 0. */
struct transform_spec {
    enum transform_kind kind;
    uint32_t d_in, d_out;
    bool whiten, rotate; /* PCA */
    bool through_0;      /* PCA, OPQ (to fewer dimensions): what is kept is chosen for products */
    uint32_t m;          /* OPQ: parts, which divide d_out */
    uint64_t seed;       /* ROTATION, HADAMARD, OPQ, PCA with rotate */
};

struct transform {
    struct transform_spec spec;
    bool trained;
    float *a;      /* d_out rows of d_in, owned; NULL for NORMALISE, CENTRE, PAD, HADAMARD */
    float *b;      /* d_out, owned: what is added; NULL: nothing. CENTRE: minus the mean */
    float *back;   /* d_in rows of d_out, owned: the way back; NULL where there is none */
    float *origin; /* d_in, owned: the way back is origin + back y; NULL: 0. PCA: the mean */
    float *values; /* PCA: d_in variances, falling, owned */
    struct rotation rotation; /* HADAMARD */
    struct mem_account *owner;
};

const char *transform_name(enum transform_kind kind); /* "linear", "pca", ... */

/* An untrained transform; ROTATION, NORMALISE, PAD and HADAMARD are ready at once.
 *   Errors   KITH_ESPEC (PCA: d_out > d_in; OPQ: m does not divide d_out; NORMALISE, CENTRE: d_out is not d_in; PAD: d_out
 *            < d_in; HADAMARD: d_out is not transform_hadamard_dim), KITH_EDIM, KITH_ENOMEM. The transform is then empty, and deinit allowed. */
int transform_init(struct transform *transform, const struct transform_spec *spec,
                   struct mem_account *owner, kith_error *err);
void transform_deinit(struct transform *transform);
int transform_check(const struct transform_spec *spec, kith_error *err); /* as transform_init */
/* What HADAMARD makes of d_in dimensions: that, up to a multiple of 64. */
uint32_t transform_hadamard_dim(uint32_t d_in);

/* Make LINEAR what it is: a[d_out][d_in], b[d_out] or NULL, copied. CENTRE: b is minus the mean, a NULL. It has a way back
 * if A's rows (or columns, where d_out > d_in) are orthonormal within 2^-14.
 *   Errors   KITH_ENONFINITE, KITH_ENOMEM. */
int transform_set(struct transform *transform, const float *a, const float *b, kith_error *err);

/* Learn from n rows of d_in floats. PCA and CENTRE look at up to 1,000 rows a dimension, OPQ at 32,768, evenly spaced.
 * What needs no training returns at once. progress counts steps of OPQ.
 *   Cost     PCA n d_in^2 / 2 multiply-adds and an eigen solution (quant/eigen.h); OPQ that, and 2 n d_out^2 a step.
 *   Errors   KITH_EEMPTY no rows; KITH_ENONFINITE (err->at the row), KITH_ERANGE a row whose squared length is
 *            above 2^100; KITH_ENOMEM.
 *            The transform is then as it was. */
int transform_train(struct transform *transform, size_t n, const float *rows,
                    const struct quantizer_training *how, kith_error *err);

/* out[n][d_out] of rows[n][d_in]; they must not overlap. Allocates nothing. NaN and infinities spread as they do in sums. */
void transform_apply(const struct transform *transform, uint32_t threads, size_t n,
                     const float *rows, float *out);
/* The way back, exact where d_out >= d_in, else to the nearest point of the subspace; NORMALISE gives the unit vectors as
 * they are. out[n][d_in] of rows[n][d_out]. Only where transform_reversible. */
bool transform_reversible(const struct transform *transform);
void transform_reverse(const struct transform *transform, uint32_t threads, size_t n,
                       const float *rows, float *out);

/* The trained transform as bytes, for files: docs/format.md. read makes a transform (KITH_ECORRUPT for bytes that no write
 * made, KITH_ENOMEM), and answers how many bytes it took. */
size_t transform_bytes(const struct transform *transform);
void transform_write(const struct transform *transform, uint8_t *out);
int transform_read(struct transform *transform, const uint8_t *bytes, size_t n, size_t *taken,
                   struct mem_account *owner, kith_error *err);

/* ---- chains ------------------------------------------------------------------------------------------------------ */

#define TRANSFORM_CHAIN_MAX 8u

struct transform_chain {
    uint32_t n; /* 0: vectors pass as they are */
    uint32_t d_in, d_out;
    struct transform at[TRANSFORM_CHAIN_MAX];
};

/* n specs, each taking what the one before gives; d is the first one's d_in (and d_out too for n = 0).
 *   Errors   those of transform_init; KITH_ESPEC more than eight, or dimensions that do not meet. Empty then. */
int transform_chain_init(struct transform_chain *chain, uint32_t d, uint32_t n,
                         const struct transform_spec *specs, struct mem_account *owner,
                         kith_error *err);
void transform_chain_deinit(struct transform_chain *chain);
/* Each is trained on what the trained ones before make of the rows. */
int transform_chain_train(struct transform_chain *chain, size_t n, const float *rows,
                          const struct quantizer_training *how, kith_error *err);
bool transform_chain_trained(const struct transform_chain *chain);
bool transform_chain_reversible(const struct transform_chain *chain);

/* out[n][d_out] of rows[n][d_in] and back. scratch: transform_chain_scratch(chain, n) floats (0 for chains of one), the
 * caller's, so that queries allocate nothing. */
size_t transform_chain_scratch(const struct transform_chain *chain, size_t n);
void transform_chain_apply(const struct transform_chain *chain, uint32_t threads, size_t n,
                           const float *rows, float *out, float *scratch);
void transform_chain_reverse(const struct transform_chain *chain, uint32_t threads, size_t n,
                             const float *rows, float *out, float *scratch);

/* Bytes of memory that the transforms hold. */
size_t transform_chain_held(const struct transform_chain *chain);

/* The same three as of one transform. */
size_t transform_chain_bytes(const struct transform_chain *chain);
void transform_chain_write(const struct transform_chain *chain, uint8_t *out);
int transform_chain_read(struct transform_chain *chain, const uint8_t *bytes, size_t n,
                         struct mem_account *owner, kith_error *err);

#endif
