/* A fast random rotation: an orthogonal map of a vector that looks random, in O(d log d) and without a matrix.
 *
 * The vector is padded with zeros to a multiple of 64, p in all. Then comes a few times: random signs, and a Hadamard
 * transform of the first or (in turn) the last w elements, w the largest power of two in p; in the middle, unless w = p,
 * random signs, and the sum and difference of the two halves. Each step is scaled to be orthogonal. Nothing but the seed
 * is random, and nothing but (dim, seed) need be stored.
 *
 * Invariants
 *   1. Exactly computed, lengths and dot products are kept: |R x| = |x| and (R x)(R y) = x y.
 *   2. Computed, R x differs from the exact one by at most rotation_error() |x| in length, and the way there and back
 *      from x by at most twice that, for |x| below 2^100 and above 2^-80 (smaller ones: 2^-120 in length, beside).
 *   3. The same bits at every instruction set.
 *   4. Whatever the vector, each element of R x has, over all seeds, mean 0 and a mean square within 7 % of |x|^2 / p
 *      (0 % where p is a power of two).
 * Threads: a rotation is constant after init. Cost: about 4 w log2(w) + 6 p additions and multiplications (3 p log2(p) +
 * 3 p where p is a power of two), no allocation; docs/kernels.md has times. Sources, differences: docs/papers.md. */
#ifndef KITH_QUANT_ROTATION_H
#define KITH_QUANT_ROTATION_H

#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>

struct mem_account;

struct rotation {
    uint32_t dim;    /* of the vectors, at least 1 */
    uint32_t padded; /* dim up to a multiple of 64: what a rotated vector has */
    uint32_t window; /* largest power of two <= padded */
    uint32_t rounds;
    uint64_t seed;
    float *factors; /* rounds x padded: sign times scale, owned */
};

/* KITH_ENOMEM, or KITH_EDIM for dim 0 or above 65536. */
int rotation_init(struct rotation *rotation, uint32_t dim, uint64_t seed, struct mem_account *owner,
                  kith_error *err);
/* The one that leaves a vector as it is, padded. Holds nothing. */
void rotation_init_none(struct rotation *rotation, uint32_t dim);
void rotation_deinit(struct rotation *rotation, struct mem_account *owner);
size_t rotation_held(const struct rotation *rotation); /* bytes of memory */

/* out[padded] = R x[dim]. They must not overlap. */
void rotation_apply(const struct rotation *rotation, const float *x, float *out);
/* In place on padded floats: the inverse. Of a vector that was rotated, the first dim elements are the vector again. */
void rotation_reverse(const struct rotation *rotation, float *x);

/* The bound of invariant 2, relative to |x|. */
double rotation_error(const struct rotation *rotation);

#endif
