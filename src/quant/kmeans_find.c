/* The nearest centroids of a block of rows.
 *
 *     rows -> s8 queries -> groups of panels, each with the limit that the groups before it allow -> hits
 *     hits that are still within the last limit -> law distances -> the `most` nearest
 *
 * The limit. Some estimate is found, by halving, that `most` of those so far do not exceed; by rules 2 and 5 of
 * kmeans_set.h so many centroids have a law distance up to some t, so that what belongs to the answer has, too, and by
 * rules 1 and 4 an estimate within the limit. Hits are kept, k a row at most, until the last limit is known: then few are left to score by the law.
 *
 * A key orders (distance, number): the float's bits, made to compare as an unsigned number, above the centroid's. */
#include <string.h>

#include "quant/kmeans_find.h"

/* No limit is known yet: a small group. Where many are asked for, groups double. */
#define GROUP_FIRST 64u
#define HALVINGS    7 /* of the range of estimates, for a limit on them */

/* ---- keys -------------------------------------------------------------------------------------- */

static uint64_t key_of(float dist, uint32_t which) {
    uint32_t bits;
    dist += 0.0f; /* -0 and 0 are equal */
    memcpy(&bits, &dist, sizeof bits);
    bits ^= bits >> 31 ? UINT32_MAX : 0x80000000u;
    return (uint64_t)bits << 32 | which;
}

static float key_dist(uint64_t key) {
    uint32_t bits = (uint32_t)(key >> 32);
    float dist;
    bits ^= bits >> 31 ? 0x80000000u : UINT32_MAX;
    memcpy(&dist, &bits, sizeof dist);
    return dist;
}

/* A heap of the `room` least keys, the greatest at the root. */
static void keys_sink(uint64_t *keys, size_t n, uint64_t key) {
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && keys[child] < keys[child + 1]) child++;
        if (key >= keys[child]) break;
        keys[at] = keys[child];
    }
    keys[at] = key;
}

static size_t keys_push(uint64_t *keys, size_t n, size_t room, uint64_t key) {
    if (n == room) {
        if (key < keys[0]) keys_sink(keys, n, key);
        return n;
    }
    size_t at = n;
    for (size_t up; at > 0 && keys[up = (at - 1) / 2] < key; at = up) keys[at] = keys[up];
    keys[at] = key;
    return n + 1;
}

/* ---- scratch ----------------------------------------------------------------------------------- */

static uintptr_t lay_out(struct kmeans_finder *finder, size_t n, void *scratch) {
    const struct kmeans_set *set = finder->set;
    uintptr_t at = (uintptr_t)scratch;
    struct kmeans_hits *hits = &finder->hits;
    finder->keys = kmeans_carve(&at, n * finder->most * sizeof *finder->keys);
    finder->n_near = kmeans_carve(&at, n * sizeof *finder->n_near);
    hits->stride = set->k + 16; /* rows would share the first cache's few sets at a power of two */
    hits->hits = kmeans_carve(&at, n * hits->stride * sizeof *hits->hits);
    finder->near = kmeans_carve(&at, n * hits->stride * sizeof *finder->near);
    hits->n_hits = kmeans_carve(&at, n * sizeof *hits->n_hits);
    hits->limit = kmeans_carve(&at, n * sizeof *hits->limit);
    return at;
}

size_t kmeans_finder_bytes(const struct kmeans_set *set, size_t n, size_t most) {
    struct kmeans_finder finder = {.set = set, .most = most};
    return lay_out(&finder, n, NULL);
}

void kmeans_finder_init(struct kmeans_finder *finder, const struct kmeans_set *set, size_t n,
                        size_t most, void *scratch) {
    *finder = (struct kmeans_finder){.set = set, .most = most};
    lay_out(finder, n, scratch);
}

/* ---- finding ----------------------------------------------------------------------------------- */

/* A value that at least `most` of n values do not exceed, near the least such. */
static float bound_of(const float *values, size_t n, size_t most) {
    float low = values[0], high = values[0];
    for (size_t i = 1; i < n; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    if (most == 1) return low;
    for (int halving = 0; halving < HALVINGS; halving++) {
        const float middle = low + (high - low) * 0.5f;
        uint32_t within = 0;
        for (size_t i = 0; i < n; i++) within += values[i] <= middle;
        if (within >= most)
            high = middle;
        else
            low = middle;
    }
    return high;
}

/* Take note of the estimates that a group brought, and lower the limit. */
static void take_estimates(struct kmeans_finder *finder, const struct kmeans_queries *queries,
                           size_t i, uint32_t from) {
    const struct kmeans_set *set = finder->set;
    const struct kern_hit *hits = finder->hits.hits + i * finder->hits.stride;
    float *near = finder->near + i * finder->hits.stride;
    size_t n = finder->n_near[i], kept = 0;
    for (uint32_t h = from; h < finder->hits.n_hits[i]; h++) near[n++] = hits[h].dist;
    finder->n_near[i] = (uint32_t)n;
    if (n < finder->most || from == finder->hits.n_hits[i]) return;
    const float bound = bound_of(near, n, finder->most);
    for (size_t j = 0; j < n; j++) {
        near[kept] = near[j];
        kept += near[j] <= bound;
    }
    finder->n_near[i] = (uint32_t)kept;
    const double reach = kmeans_reach(queries, i);
    const float slack = queries->slack[i];
    double law = kmeans_law_above(set, reach, kmeans_above_est(set, reach, slack, bound));
    finder->hits.limit[i] =
        kmeans_limit_of(set, reach, slack, kmeans_above_law(set, reach, kmeans_up(law)));
}

static void scan(struct kmeans_finder *finder, const struct kmeans_queries *queries) {
    const struct kmeans_set *set = finder->set;
    uint32_t *n_hits = finder->hits.n_hits, before[KMEANS_BLOCK];
    memset(n_hits, 0, queries->n * sizeof *n_hits);
    memset(finder->n_near, 0, queries->n * sizeof *finder->n_near);
    for (size_t i = 0; i < queries->n; i++) finder->hits.limit[i] = INFINITY;
    for (size_t first = 0, n; first < set->k; first += n) {
        n = first < GROUP_FIRST ? GROUP_FIRST : finder->most > 1 ? first : set->group;
        n = n < set->group ? n : set->group;
        n = n < set->k - first ? n : set->k - first;
        memcpy(before, n_hits, queries->n * sizeof *before);
        kmeans_set_scan(set, &set->all, first, n, queries, &finder->hits);
        for (size_t i = 0; i < queries->n; i++) take_estimates(finder, queries, i, before[i]);
    }
}

/* Law distances of what is within the limit; the nearest to keys. */
static void settle(struct kmeans_finder *finder, size_t i, const float *row) {
    const struct kern_hit *hits = finder->hits.hits + i * finder->hits.stride;
    const float limit = finder->hits.limit[i];
    uint64_t *keys = finder->keys + i * finder->most;
    size_t n_keys = 0, n = 0;
    uint32_t which[KMEANS_LIST];
    float dist[KMEANS_LIST];
    for (uint32_t h = 0, end = finder->hits.n_hits[i]; h < end; h++) {
        if (hits[h].dist <= limit) which[n++] = hits[h].row;
        if (n < KMEANS_LIST && h + 1 < end) continue;
        kmeans_set_law(finder->set, row, which, n, dist);
        for (size_t j = 0; j < n; j++)
            n_keys = keys_push(keys, n_keys, finder->most, key_of(dist[j], which[j]));
        n = 0;
    }
}

void kmeans_finder_run(struct kmeans_finder *finder, const struct kmeans_queries *queries,
                       const float *const *rows, uint32_t *which, float *dist) {
    scan(finder, queries);
    for (size_t i = 0; i < queries->n; i++) {
        uint64_t *keys = finder->keys + i * finder->most;
        settle(finder, i, rows[i]);
        for (size_t n = finder->most; n-- > 0;) {
            uint64_t greatest = keys[0];
            keys_sink(keys, n, keys[n]);
            which[i * finder->most + n] = (uint32_t)greatest;
            if (dist) dist[i * finder->most + n] = key_dist(greatest);
        }
    }
}
