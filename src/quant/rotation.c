/* The fast random rotation of rotation.h: signs, Hadamard transforms, sums and differences of halves.
 *
 *     p a power of two     p not a power of two, w < p < 2 w
 *     3 x  D H             2 x  D [ H of w | as it is ]   D [ as it is | H of w ]   B
 *
 * D is diagonal: a random sign, times the scale that makes the H and B that follow it orthogonal, so that no step in
 * between exceeds the length of the vector. B: x[i], x[i + p/2] become their sum and difference; p/2 is no power of two,
 * hence B never undoes a stage of H. B stands after both windows, not after each: an element outside a window keeps what
 * it has, and B after each would leave a sixteenth of the energy of some unit vectors in one element.
 *
 * Error. A round is D, at most log2(w) stages and at most one B. A factor is rounded and its product too: 2 u,
 * u = 2^-24. A stage rounds each element once, by at most u of itself, so by at most u of the length of the whole. Steps
 * being orthogonal, errors pass on unchanged, and n of them make at most (1 + u)^n - 1 < 1.01 n u. */
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

/* Halves are mixed at the end of a round. */
static bool has_halves(const struct rotation *r, uint32_t round) {
    return !is_power(r) && round % 2 == 1;
}

/* Where the window of a round begins. */
static uint32_t window_at(const struct rotation *r, uint32_t round) {
    return round % 2 ? r->padded - r->window : 0;
}

static void fill_factors(struct rotation *r) {
    uint64_t random = r->seed, bits = 0;
    for (uint32_t round = 0; round < r->rounds; round++) {
        float *factor = r->factors + (size_t)round * r->padded;
        double square = has_halves(r, round) ? 0.5 : 1.0;
        float outside = (float)sqrt(square), inside = (float)sqrt(square / r->window);
        for (uint32_t i = 0, at = window_at(r, round); i < r->padded; i++) {
            if (i % 64 == 0) bits = bits_random(&random);
            float scale = i - at < r->window ? inside : outside;
            factor[i] = bits >> (i % 64) & 1 ? -scale : scale;
        }
    }
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
    r->rounds = is_power(r) ? 3 : 4;
    r->seed = seed;
    r->factors = mem_new(owner, factor_bytes(r));
    if (!r->factors) return FAIL(err, KITH_ENOMEM, "no memory for a rotation of dim %" PRIu32, dim);
    fill_factors(r);
    return KITH_OK;
}

void rotation_deinit(struct rotation *r, struct mem_account *owner) {
    if (r->factors) mem_free(owner, r->factors, factor_bytes(r));
    memset(r, 0, sizeof *r);
}

void rotation_apply(const struct rotation *r, const float *x, float *out) {
    const struct kern *kern = kern_get();
    memset(out + r->dim, 0, (r->padded - r->dim) * sizeof *out);
    for (uint32_t round = 0; round < r->rounds; round++) {
        const float *factor = r->factors + (size_t)round * r->padded;
        if (round == 0)
            kern->multiply(x, factor, r->dim, out);
        else
            kern->multiply(out, factor, r->padded, out);
        kern->hadamard(out + window_at(r, round), r->window);
        if (has_halves(r, round)) kern->butterfly(out, r->padded / 2);
    }
}

void rotation_reverse(const struct rotation *r, float *x) {
    const struct kern *kern = kern_get();
    for (uint32_t round = r->rounds; round-- > 0;) {
        if (has_halves(r, round)) kern->butterfly(x, r->padded / 2);
        kern->hadamard(x + window_at(r, round), r->window);
        kern->multiply(x, r->factors + (size_t)round * r->padded, r->padded, x);
    }
}

double rotation_error(const struct rotation *r) {
    uint32_t stages = 31 - (uint32_t)__builtin_clz(r->window), halves = is_power(r) ? 0 : 2;
    return 1.01 * (r->rounds * (stages + 2) + halves) * 0x1p-24;
}
