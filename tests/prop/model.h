/* The model: what an index should be, as a table. Ids and vectors in an array; the nearest are found by
 * looking at all of them with kith_distance, sorted by (distance, id). A hundred lines, no cleverness. */
#ifndef KITH_TESTS_PROP_MODEL_H
#define KITH_TESTS_PROP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kith/kith.h>

struct model {
    size_t dim, n, capacity;
    kith_metric metric;
    int64_t *ids;
    float *rows;
    int64_t next_id;
};

struct model_hit {
    int64_t id;
    float key;  /* smaller is nearer: L2 for EUCLID, minus the similarity for IP and COSINE */
    float dist; /* the user's value */
};

struct model model_make(size_t dim, kith_metric metric);
void model_free(struct model *model);
/* The place of an id, or n. */
size_t model_find(const struct model *model, int64_t id);
/* Add or replace. */
void model_put(struct model *model, int64_t id, const float *row);
void model_drop(struct model *model, int64_t id);
float model_key(const struct model *model, const float *query, const float *row);
float model_dist(const struct model *model, const float *query, const float *row);
/* All rows whose ids pass (bits NULL: all), nearest first; returns how many. hits has room for n. */
size_t model_search(const struct model *model, const float *query, const kith_filter *filter,
                    struct model_hit *hits);
bool model_passes(const kith_filter *filter, int64_t id);

#endif
