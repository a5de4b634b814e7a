/* Segmented arrays: fixed-size elements that never move, so that readers need no lock while the array grows.
 *
 *     base segment: n0 elements in one block (all of them after a bulk build or an open)
 *     tail segment j: t0 * 2^j elements, j = 0, 1, …       t0 = n0 up to a power of two, at least 1,024
 *
 * Invariants
 *   1. An element's address never changes until segs_deinit.
 *   2. n0 > 0 once anything is reserved; capacity = n0 + t0 * (2^n_tail - 1).
 * Readers may call segs_at for elements whose number they learned through an acquire load that follows the reserve.
 * segs_reserve calls must not overlap each other. */
#ifndef KITH_BASE_SEGS_H
#define KITH_BASE_SEGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGS_TAILS 32u

struct mem_account;

struct segs {
    uint8_t *base;
    size_t stride; /* bytes an element */
    uint32_t n0;
    uint32_t t0_log2;
    uint32_t n_tail;
    bool borrowed; /* base lies in a mapped file, not ours to free */
    uint8_t *tail[SEGS_TAILS];
};

void segs_init(struct segs *segs, size_t stride);
/* Use n elements of somebody else's memory as the base segment. */
void segs_borrow(struct segs *segs, const void *base, uint32_t n);
/* Make room for at least n elements; zeroed. False when memory is short (what was there stays). */
bool segs_reserve(struct segs *segs, uint32_t n, struct mem_account *owner);
void segs_deinit(struct segs *segs, struct mem_account *owner);
uint32_t segs_capacity(const struct segs *segs);
/* Bytes held, borrowed ones included. */
uint64_t segs_bytes(const struct segs *segs);
/* Of these, the borrowed ones. */
static inline uint64_t segs_borrowed_bytes(const struct segs *segs) {
    return segs->borrowed ? (uint64_t)segs->n0 * segs->stride : 0;
}
/* The run of consecutive elements that starts at i: at most max, at least 1. */
uint32_t segs_run(const struct segs *segs, uint32_t i, uint32_t max);

static inline uint8_t *segs_at(const struct segs *segs, uint32_t i) {
    if (i < segs->n0) return segs->base + (size_t)i * segs->stride;
    uint32_t past = i - segs->n0;
    uint32_t j = 31u - (uint32_t)__builtin_clz((past >> segs->t0_log2) + 1u);
    uint32_t first = ((1u << j) - 1u) << segs->t0_log2;
    return segs->tail[j] + (size_t)(past - first) * segs->stride;
}

#endif
