/* The k nearest so far: a binary heap with the farthest at the root, ordered by (distance, id).
 *
 * The order is total, so that the k that stay do not depend on the order in which hits came. */
#ifndef KITH_INDEX_SCAN_HEAP_H
#define KITH_INDEX_SCAN_HEAP_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/scan.h"

struct scan_heap {
    struct scan_hit *hits;
    uint32_t n, k;
};

static inline bool hit_before(struct scan_hit a, struct scan_hit b) {
    return a.dist < b.dist || (a.dist == b.dist && a.id < b.id);
}

/* What a hit must not exceed to get in. */
static inline float heap_limit(const struct scan_heap *heap) {
    return heap->n < heap->k ? INFINITY : heap->hits[0].dist;
}

/* Let a hit sink from place `at` of n. */
static inline void heap_sink(struct scan_hit *hits, size_t at, size_t n, struct scan_hit hit) {
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && hit_before(hits[child], hits[child + 1])) child++;
        if (!hit_before(hit, hits[child])) break;
        hits[at] = hits[child];
    }
    hits[at] = hit;
}

static inline void heap_push(struct scan_heap *heap, float dist, int64_t id) {
    struct scan_hit hit = {dist, id};
    if (heap->n == heap->k) {
        if (hit_before(hit, heap->hits[0])) heap_sink(heap->hits, 0, heap->n, hit);
        return;
    }
    uint32_t at = heap->n++;
    for (uint32_t up; at > 0 && hit_before(heap->hits[up = (at - 1) / 2], hit); at = up)
        heap->hits[at] = heap->hits[up];
    heap->hits[at] = hit;
}

/* Sort n hits that form a heap: nearest first. */
static inline void heap_sort(struct scan_hit *hits, size_t n) {
    while (n > 1) {
        struct scan_hit last = hits[--n];
        hits[n] = hits[0];
        heap_sink(hits, 0, n, last);
    }
}

#endif
