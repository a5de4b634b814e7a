/* Random rotations as matrices: products of random reflections.
 *
 * H_0 H_1 ... H_(n-2) D with D random signs, H_k the reflection along a normally distributed vector of n - k elements, is
 * distributed evenly over all orthogonal matrices (Stewart 1980): no matrix is taken apart for it. Normal numbers are
 * counts of ones among 64 random bits plus a uniform number, because a logarithm or cosine has other last bits in other
 * libraries; their distribution's fourth moment is 2.97, not 3.
 *
 * Only the rows that are wanted are made, each from a unit vector by all reflections. Where the rotation itself is wanted
 * and not its matrix, quant/rotation.h is far faster. */
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"
#include "quant/reflect.h"
#include "quant/sums.h"
#include "quant/transform_parts.h"

static double random_normal(uint64_t *state) {
    int ones = __builtin_popcountll(bits_random(state));
    double uniform = (double)(bits_random(state) >> 11) * 0x1p-53;
    return (double)ones + uniform - 32.5;
}

/* v[k] of dim - k elements at the end of row k, and its beta. */
static void random_reflections(size_t dim, uint64_t *state, double *v, double *beta) {
    for (size_t k = 0; k + 1 < dim; k++) {
        double *at = v + k * dim + k, sum[SUMS_LANES] = {0};
        for (size_t i = 0; i < dim - k; i++) at[i] = random_normal(state);
        SUMS_LOOP(dim - k, sum[lane] += at[i] * at[i];);
        double squares = sums_tree(sum);
        beta[k] = squares > 0 ? 2 / squares : 0;
    }
}

int transform_random_rows(size_t n, size_t dim, uint64_t seed, float *rows,
                          struct mem_account *owner, kith_error *err) {
    size_t bytes = (dim * dim + dim + n * dim) * sizeof(double);
    double *v = mem_slab(owner, bytes);
    if (!v) return FAIL(err, KITH_ENOMEM, "no memory for a random rotation of dim %zu", dim);
    double *beta = v + dim * dim, *made = beta + dim;
    uint64_t state = seed;
    random_reflections(dim, &state, v, beta);
    for (size_t i = 0; i < n; i++) made[i * dim + i] = bits_random(&state) & 1 ? 1 : -1;
    reflect_rows(&(struct reflections){dim, 0, dim - 1, v, beta}, 1, n, made);
    for (size_t i = 0; i < n * dim; i++) rows[i] = (float)made[i];
    mem_slab_free(owner, v, bytes);
    return KITH_OK;
}

int transform_make_rotation(struct transform *t, kith_error *err) {
    size_t in = t->spec.d_in, out = t->spec.d_out;
    TRY(transform_alloc(t, TRANSFORM_A | TRANSFORM_BACK, err));
    if (out <= in) {
        TRY(transform_random_rows(out, in, t->spec.seed, t->a, t->owner, err));
        matrix_transpose(out, in, t->a, t->back);
    } else {
        TRY(transform_random_rows(in, out, t->spec.seed, t->back, t->owner, err));
        matrix_transpose(in, out, t->back, t->a);
    }
    t->trained = true;
    return KITH_OK;
}
