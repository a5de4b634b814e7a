/* Segmented arrays: growing without moving. See segs.h for the picture and the invariants.
 *
 * A segment of 64 KiB or more is a slab (whole pages, huge ones where they fit, no cost until touched), a smaller one a
 * block; which one follows from its size, so that nothing has to be remembered. n0 is at most 2^31, so that t0 fits 32
 * bits and segs_at can do all its arithmetic in them. */
#include "base/segs.h"

#include "base/mem.h"

#define SEGS_SLAB_MIN ((size_t)64 << 10)
#define SEGS_MAX      ((uint32_t)1 << 31)
#define SEGS_T0_MIN   10u

static uint8_t *segment_new(struct mem_account *owner, uint64_t n, size_t stride) {
    size_t bytes;
    if (!mem_mul((size_t)n, stride, &bytes)) return NULL;
    return bytes >= SEGS_SLAB_MIN ? mem_slab(owner, bytes) : mem_new(owner, bytes);
}

static void segment_free(struct mem_account *owner, uint8_t *segment, uint64_t n, size_t stride) {
    size_t bytes = (size_t)n * stride;
    if (bytes >= SEGS_SLAB_MIN)
        mem_slab_free(owner, segment, bytes);
    else
        mem_free(owner, segment, bytes);
}

/* log2 of n up to a power of two, at least SEGS_T0_MIN. */
static uint32_t tail_log2(uint32_t n) {
    uint32_t log2 = SEGS_T0_MIN;
    while (((uint64_t)1 << log2) < n) log2++;
    return log2;
}

static uint64_t tail_elements(const struct segs *segs, uint32_t j) {
    return (uint64_t)1 << (segs->t0_log2 + j);
}

static uint64_t elements(const struct segs *segs) {
    return segs->n0 + (((uint64_t)1 << segs->n_tail) - 1) * ((uint64_t)1 << segs->t0_log2);
}

void segs_init(struct segs *segs, size_t stride) { *segs = (struct segs){.stride = stride}; }

void segs_borrow(struct segs *segs, const void *base, uint32_t n) {
    if (n == 0) return;
    segs->base = (uint8_t *)(uintptr_t)base; /* the borrower knows that a map is read-only */
    segs->n0 = n;
    segs->t0_log2 = tail_log2(n);
    segs->borrowed = true;
}

bool segs_reserve(struct segs *segs, uint32_t n, struct mem_account *owner) {
    if (n > SEGS_MAX) return false;
    if (n == 0) return true;
    if (segs->n0 == 0) {
        segs->base = segment_new(owner, n, segs->stride);
        if (!segs->base) return false;
        segs->t0_log2 = tail_log2(n);
        segs->n0 = n;
    }
    while (elements(segs) < n) {
        uint8_t *tail = segment_new(owner, tail_elements(segs, segs->n_tail), segs->stride);
        if (!tail) return false;
        segs->tail[segs->n_tail++] = tail;
    }
    return true;
}

void segs_deinit(struct segs *segs, struct mem_account *owner) {
    if (segs->n0 && !segs->borrowed) segment_free(owner, segs->base, segs->n0, segs->stride);
    for (uint32_t j = 0; j < segs->n_tail; j++)
        segment_free(owner, segs->tail[j], tail_elements(segs, j), segs->stride);
    segs_init(segs, segs->stride);
}

uint32_t segs_capacity(const struct segs *segs) {
    uint64_t n = elements(segs);
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

uint64_t segs_bytes(const struct segs *segs) { return elements(segs) * segs->stride; }

/* Reads nothing that a reserve beside it may write. */
uint32_t segs_run(const struct segs *segs, uint32_t i, uint32_t max) {
    uint64_t left;
    if (i < segs->n0) {
        left = segs->n0 - i;
    } else {
        uint32_t past = i - segs->n0;
        uint32_t j = 31u - (uint32_t)__builtin_clz((past >> segs->t0_log2) + 1u);
        left = (((uint64_t)2 << j) - 1) * ((uint64_t)1 << segs->t0_log2) - past;
    }
    return left < max ? (uint32_t)left : max;
}
