/* The fast random rotation of rotation.h: signs, Hadamard transforms, sums and differences of halves.
 *
 *     p a power of two     p not a power of two, w < p < 2 w
 *     3 x  D H             D [ H of w | as it is ]   D [ as it is | H of w ]   D B
 *                          D [ H of w | as it is ]   D [ as it is | H of w ]
 *
 * B: x[i], x[i + p/2] become their sum and difference. D is diagonal: a random sign, times the scale that makes what
 * follows it orthogonal, so that no step in between exceeds the length of the vector. As signs stand before each step,
 * the mean square of an element after H (B) is, over all seeds, the average of those before it in the window (pair), and
 * so on from the start; that average over the steps gives invariant 4, by counting.
 *
 * B stands after both windows and not after each: an element outside a window keeps what it has, and B after each would
 * leave a sixteenth of the energy of some unit vectors in one element.
 *
 * Error. D rounds a factor and its product: 2 u, u = 2^-24. A stage of H, or B, rounds each element once, by at most u of
 * itself, so by at most u of the length of the whole. Steps being orthogonal, errors pass on unchanged, and n of them
 * make at most (1 + u)^n - 1 < 1.01 n u. */
#include "quant/rotation.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"
#include "kern/kern.h"

#define DIM_MAX 65536u

static bool is_power(const struct rotation *r) { return r->window == r->padded; }

/* The round that mixes the halves; 5 where there is none. */
static uint32_t halves_round(const struct rotation *r) { return is_power(r) ? 5 : 2; }

/* Where the window of a round begins. */
static uint32_t window_at(const struct rotation *r, uint32_t round) {
    return round == 1 || round == 4 ? r->padded - r->window : 0;
}

static void fill_factors(struct rotation *r) {
    uint64_t random = r->seed, bits = 0;
    for (uint32_t round = 0; round < r->rounds; round++) {
        float *factor = r->factors + (size_t)round * r->padded;
        bool halves = round == halves_round(r);
        uint32_t at = window_at(r, round), n = halves ? r->padded : r->window;
        float inside = (float)sqrt(halves ? 0.5 : 1.0 / r->window);
        for (uint32_t i = 0; i < r->padded; i++) {
            if (i % 64 == 0) bits = bits_random(&random);
            float scale = i - at < n ? inside : 1;
            factor[i] = bits >> (i % 64) & 1 ? -scale : scale;
        }
    }
}

/* H or B of a round; each is its own inverse but for the scale. */
static void mix(const struct rotation *r, uint32_t round, float *x) {
    if (round == halves_round(r))
        kern_get()->butterfly(x, r->padded / 2);
    else
        kern_get()->hadamard(x + window_at(r, round), r->window);
}

static size_t factor_bytes(const struct rotation *r) {
    return (size_t)r->rounds * r->padded * sizeof(float);
}

int rotation_init(struct rotation *r, uint32_t dim, uint64_t seed, struct mem_account *owner,
                  kith_error *err) {
    memset(r, 0, sizeof *r);
    if (dim < 1 || dim > DIM_MAX)
        return FAIL(err, KITH_EDIM, "a rotation of dim %" PRIu32 ", must be 1 to %u", dim, DIM_MAX);
    r->dim = dim;
    r->padded = (uint32_t)bits_round_up(dim, 64);
    r->window = 1u << (31 - __builtin_clz(r->padded));
    r->rounds = is_power(r) ? 3 : 5;
    r->seed = seed;
    r->factors = mem_new(owner, factor_bytes(r));
    if (!r->factors) return FAIL(err, KITH_ENOMEM, "no memory for a rotation of dim %" PRIu32, dim);
    fill_factors(r);
    return KITH_OK;
}

void rotation_init_none(struct rotation *r, uint32_t dim) {
    *r = (struct rotation){.dim = dim, .padded = (uint32_t)bits_round_up(dim, 64), .window = 1};
}

void rotation_deinit(struct rotation *r, struct mem_account *owner) {
    if (r->factors) mem_free(owner, r->factors, factor_bytes(r));
    memset(r, 0, sizeof *r);
}

size_t rotation_held(const struct rotation *r) { return r->factors ? factor_bytes(r) : 0; }

void rotation_apply(const struct rotation *r, const float *x, float *out) {
    const struct kern *kern = kern_get();
    memset(out + r->dim, 0, (r->padded - r->dim) * sizeof *out);
    if (r->rounds == 0) memcpy(out, x, r->dim * sizeof *out);
    for (uint32_t round = 0; round < r->rounds; round++) {
        const float *factor = r->factors + (size_t)round * r->padded;
        if (round == 0)
            kern->multiply(x, factor, r->dim, out);
        else
            kern->multiply(out, factor, r->padded, out);
        mix(r, round, out);
    }
}

void rotation_reverse(const struct rotation *r, float *x) {
    const struct kern *kern = kern_get();
    for (uint32_t round = r->rounds; round-- > 0;) {
        mix(r, round, x);
        kern->multiply(x, r->factors + (size_t)round * r->padded, r->padded, x);
    }
}

double rotation_error(const struct rotation *r) {
    uint32_t stages = 31 - (uint32_t)__builtin_clz(r->window);
    return 1.01 * (is_power(r) ? 3 * (stages + 2) : 4 * (stages + 2) + 3) * 0x1p-24;
}
