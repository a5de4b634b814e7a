/* The nearest centroids of a block of rows that are queries already; and of many rows. Private to k-means. */
#ifndef KITH_QUANT_KMEANS_FIND_H
#define KITH_QUANT_KMEANS_FIND_H

#include "quant/kmeans_rows.h"
#include "quant/kmeans_set.h"

struct kmeans_finder {
    const struct kmeans_set *set;
    size_t most;
    uint64_t *keys; /* `most` of each row: a heap */
    float *near;    /* estimates of each row, hits.stride apart, that its limit rests on */
    uint32_t *n_near;
    struct kmeans_hits hits;
};

/* For at most n <= KMEANS_BLOCK rows. */
size_t kmeans_finder_bytes(const struct kmeans_set *set, size_t n, size_t most);
void kmeans_finder_init(struct kmeans_finder *finder, const struct kmeans_set *set, size_t n,
                        size_t most, void *scratch);
/* which[queries->n][most], dist the same or NULL. */
void kmeans_finder_run(struct kmeans_finder *finder, const struct kmeans_queries *queries,
                       const float *const *rows, uint32_t *which, float *dist);

/* kmeans_find of a source's rows. */
int kmeans_find_source(const struct kmeans_set *set, const struct kmeans_source *source,
                       const struct kmeans_found *found, uint32_t threads, kith_error *err);

/* kmeans_balance of a source's rows, each into found->which and ->dist. */
int kmeans_balance_source(const struct kmeans_set *set, const struct kmeans_source *source,
                          double slack, const struct kmeans_found *found, uint32_t threads,
                          kith_error *err);

#endif
