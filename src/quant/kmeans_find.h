/* The nearest centroids of a block of rows that are queries already. Private to k-means. */
#ifndef KITH_QUANT_KMEANS_FIND_H
#define KITH_QUANT_KMEANS_FIND_H

#include "quant/kmeans_set.h"

struct kmeans_finder {
    const struct kmeans_set *set;
    size_t most;
    uint64_t *keys; /* `most` of each row: a heap */
    uint32_t *n_keys;
    struct kmeans_hits hits;
};

/* For at most n <= KMEANS_BLOCK rows. */
size_t kmeans_finder_bytes(const struct kmeans_set *set, size_t n, size_t most);
void kmeans_finder_init(struct kmeans_finder *finder, const struct kmeans_set *set, size_t n,
                        size_t most, void *scratch);
/* which[queries->n][most], dist the same or NULL. */
void kmeans_finder_run(struct kmeans_finder *finder, const struct kmeans_queries *queries,
                       const float *const *rows, uint32_t *which, float *dist);

#endif
