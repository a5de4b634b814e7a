/* Exact search. Slots that follow each other lie so in the file too, and are scored by one call of the kernels. */
#include "db/scan.h"

#include <string.h>

#include "base/bits.h"

#define BLOCK 256u

/* a comes after b. An id is looked up only where distances are equal. */
static bool after(const struct nearest *nearest, const struct candidate *a,
                  const struct candidate *b) {
    if (a->dist != b->dist) return a->dist > b->dist;
    struct point one, other;
    if (points_get(nearest->view, a->slot, &one, NULL) != KITH_OK ||
        points_get(nearest->view, b->slot, &other, NULL) != KITH_OK)
        return a->slot > b->slot;
    return kith_id_compare(&one.id, &other.id) > 0;
}

static void sift_down(struct nearest *nearest, size_t i) {
    struct candidate *heap = nearest->heap, moving = heap[i];
    for (size_t child; (child = 2 * i + 1) < nearest->n; i = child) {
        if (child + 1 < nearest->n && after(nearest, &heap[child + 1], &heap[child])) child++;
        if (!after(nearest, &heap[child], &moving)) break;
        heap[i] = heap[child];
    }
    heap[i] = moving;
}

static void offer(struct nearest *nearest, struct candidate candidate) {
    struct candidate *heap = nearest->heap;
    if (nearest->n < nearest->k) {
        size_t i = nearest->n++;
        for (; i && after(nearest, &candidate, &heap[(i - 1) / 2]); i = (i - 1) / 2)
            heap[i] = heap[(i - 1) / 2];
        heap[i] = candidate;
    } else if (nearest->k && after(nearest, &heap[0], &candidate)) {
        heap[0] = candidate;
        sift_down(nearest, 0);
    }
}

void nearest_sort(struct nearest *nearest) {
    size_t n = nearest->n;
    while (nearest->n > 1) {
        struct candidate farthest = nearest->heap[0];
        nearest->heap[0] = nearest->heap[--nearest->n];
        sift_down(nearest, 0);
        nearest->heap[nearest->n] = farthest;
    }
    nearest->n = n;
}

static int score_block(const struct scan *scan, const uint32_t *slot, uint32_t n,
                       struct nearest *out, kith_error *err) {
    const struct collection *collection = scan->snapshot->collection;
    const struct vector_field *field = &collection->field[scan->field];
    kith_metric metric = field->metric == KITH_METRIC_COSINE ? KITH_METRIC_IP : field->metric;
    bool similarity = kith_metric_is_similarity(metric);
    size_t bytes = field->dim * sizeof(float);
    float dist[BLOCK];
    for (uint32_t i = 0; i < n;) {
        const uint8_t *first = points_vector(collection->points, field->number, slot[i]);
        uint32_t run = 1;
        if (!first)
            return FAIL_AT(err, KITH_ECORRUPT, slot[i],
                           "the vector of slot %u is past the end of its file", slot[i]);
        while (i + run < n && points_vector(collection->points, field->number, slot[i + run]) ==
                                  (const void *)(first + run * bytes))
            run++;
        TRY(kith_distances(metric, KITH_TYPE_F32, field->dim, scan->query, run, first, dist, err));
        for (uint32_t r = 0; r < run; r++)
            offer(out, (struct candidate){similarity ? -dist[r] : dist[r], slot[i + r]});
        i += run;
    }
    return KITH_OK;
}

static int passes(const struct scan *scan, uint32_t slot, bool *pass, kith_error *err) {
    struct point point;
    *pass = slot != scan->without;
    if (!*pass || !scan->filter) return KITH_OK;
    TRY(points_get(&scan->snapshot->view, slot, &point, err));
    return matcher_asks(scan->matcher, scan->filter, &point, pass, err);
}

int scan_run(const struct scan *scan, struct nearest *out, kith_error *err) {
    const struct live *live = scan->snapshot->live;
    const uint64_t *bits = live_row(live, 1 + scan->field);
    uint32_t block[BLOCK], n = 0;
    for (size_t word = 0; word < live->words; word++) {
        for (uint64_t left = bits[word]; left; left &= left - 1) {
            uint32_t slot = (uint32_t)(word * 64) + (uint32_t)__builtin_ctzll(left);
            bool pass;
            TRY(passes(scan, slot, &pass, err));
            if (!pass) continue;
            block[n++] = slot;
            if (n < BLOCK) continue;
            TRY(score_block(scan, block, n, out, err));
            n = 0;
        }
    }
    return score_block(scan, block, n, out, err);
}
