/* The model of model.h. */
#include "model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct model model_make(size_t dim, kith_metric metric) {
    return (struct model){.dim = dim, .metric = metric};
}

void model_free(struct model *model) {
    free(model->ids);
    free(model->rows);
    *model = (struct model){0};
}

size_t model_find(const struct model *model, int64_t id) {
    size_t i = 0;
    while (i < model->n && model->ids[i] != id) i++;
    return i;
}

void model_put(struct model *model, int64_t id, const float *row) {
    size_t at = model_find(model, id), row_bytes = model->dim * sizeof(float);
    if (at == model->capacity) {
        model->capacity = model->capacity ? 2 * model->capacity : 64;
        model->ids = realloc(model->ids, model->capacity * sizeof(int64_t));
        model->rows = realloc(model->rows, model->capacity * row_bytes);
    }
    if (at == model->n) model->n++;
    model->ids[at] = id;
    memcpy(model->rows + at * model->dim, row, row_bytes);
    if (id >= model->next_id) model->next_id = id + 1;
}

void model_drop(struct model *model, int64_t id) {
    size_t at = model_find(model, id), last = model->n - 1;
    if (at == model->n) return;
    model->ids[at] = model->ids[last];
    memmove(model->rows + at * model->dim, model->rows + last * model->dim,
            model->dim * sizeof(float));
    model->n--;
}

float model_dist(const struct model *model, const float *query, const float *row) {
    float dist = NAN;
    kith_distance(model->metric, KITH_TYPE_F32, model->dim, query, row, &dist, NULL);
    return dist;
}

float model_key(const struct model *model, const float *query, const float *row) {
    float key = NAN;
    kith_metric metric = model->metric == KITH_METRIC_EUCLID ? KITH_METRIC_L2 : model->metric;
    kith_distance(metric, KITH_TYPE_F32, model->dim, query, row, &key, NULL);
    return kith_metric_is_similarity(metric) ? -key : key;
}

bool model_passes(const kith_filter *filter, int64_t id) {
    if (filter->bits)
        return (uint64_t)id < filter->n_bits && (filter->bits[id / 64] >> (id % 64) & 1);
    return !filter->pass || filter->pass(filter->context, id);
}

static int by_key(const void *a, const void *b) {
    const struct model_hit *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

size_t model_search(const struct model *model, const float *query, const kith_filter *filter,
                    struct model_hit *hits) {
    size_t n = 0;
    for (size_t i = 0; i < model->n; i++) {
        const float *row = model->rows + i * model->dim;
        if (!model_passes(filter, model->ids[i])) continue;
        hits[n++] = (struct model_hit){model->ids[i], model_key(model, query, row),
                                       model_dist(model, query, row)};
    }
    qsort(hits, n, sizeof *hits, by_key);
    return n;
}
