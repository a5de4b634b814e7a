/* The centres of lists, and the nearest of them.
 *
 *     L2, IP, cosine   k-means' scan of one-byte centres in register tiles, then law distances (quant/kmeans.h)
 *     a graph, L1      an index over the centres
 *
 * Either way lists come by (law distance, number). A scan is exact; a graph is asked with COARSE_WIDER times as many as it
 * is to find.
 * Threads  constant once made. */
#include <stdio.h>
#include <string.h>

#include "index/ivf.h"

#define COARSE_EF    64u /* at least, or COARSE_WIDER times the lists */
#define COARSE_WIDER 2u
#define GRAPH_SPEC   "HNSW%u,SQ8,Refine"
#define BLOCK_BYTES  ((size_t)4 << 20) /* of scratch, for vectors that are looked for together */

kith_metric ivf_coarse_metric(kith_metric metric) {
    switch (metric) {
    case KITH_METRIC_COSINE: return KITH_METRIC_IP;
    case KITH_METRIC_EUCLID: return KITH_METRIC_L2;
    default: return metric;
    }
}

/* ---- life ---------------------------------------------------------------------------------------- */

static size_t centres_bytes(const struct ivf_coarse *coarse) {
    return (size_t)coarse->nlist * coarse->dim * sizeof(float);
}

static int make_set(struct ivf_coarse *coarse, kith_metric metric, const float *centres,
                    struct mem_account *owner, kith_error *err) {
    const struct kmeans_rows rows = {.n = coarse->nlist, .dim = coarse->dim, .values = centres};
    TRY(kmeans_check(&rows, err));
    coarse->centres = mem_new(owner, centres_bytes(coarse));
    if (!coarse->centres) return FAIL(err, KITH_ENOMEM, "no memory for %u centres", coarse->nlist);
    memcpy(coarse->centres, centres, centres_bytes(coarse));
    return kmeans_set_new(&coarse->set, metric, coarse->nlist, coarse->dim, coarse->centres, owner,
                          err);
}

static int make_index(struct ivf_coarse *coarse, const struct ivf *ivf, kith_metric metric,
                      const float *centres, kith_error *err) {
    struct mem_account *owner = (struct mem_account *)(uintptr_t)&ivf->index.mem;
    const kith_work work = KITH_WORK_INIT;
    kith_index_options options = ivf->index.options;
    char spec[FACTORY_TEXT] = "Flat";
    if (ivf->coarse_m) snprintf(spec, sizeof spec, GRAPH_SPEC, ivf->coarse_m);
    options.ef_construction = 0;
    options.memory_limit = 0; /* the account that it joins has one */
    TRY(index_new(&coarse->index, (uint32_t)coarse->dim, metric, spec, &options, err));
    if (!mem_account_join(&coarse->index->mem, owner, coarse->index->object_bytes))
        return FAIL(err, KITH_ENOMEM, "no memory for an index of %u centres", coarse->nlist);
    return coarse->index->ops->add(coarse->index, coarse->nlist, centres, NULL, &work, err);
}

int ivf_coarse_init(struct ivf_coarse *coarse, const struct ivf *ivf, uint32_t nlist,
                    const float *centres, kith_error *err) {
    struct mem_account *owner = (struct mem_account *)(uintptr_t)&ivf->index.mem;
    const kith_metric metric = ivf_coarse_metric(ivf->index.rows.config.metric);
    *coarse = (struct ivf_coarse){.nlist = nlist, .dim = ivf->index.rows.config.dim};
    int code = ivf->coarse_m || metric == KITH_METRIC_L1
                   ? make_index(coarse, ivf, metric, centres, err)
                   : make_set(coarse, metric, centres, owner, err);
    if (code != KITH_OK) ivf_coarse_deinit(coarse, owner);
    return code;
}

void ivf_coarse_deinit(struct ivf_coarse *coarse, struct mem_account *owner) {
    kmeans_set_free(coarse->set);
    index_free(coarse->index);
    if (coarse->centres) mem_free(owner, coarse->centres, centres_bytes(coarse));
    *coarse = (struct ivf_coarse){0};
}

uint64_t ivf_coarse_memory(const struct ivf_coarse *coarse) {
    if (coarse->set) return centres_bytes(coarse) + kmeans_set_bytes(coarse->set);
    return coarse->index->object_bytes +
           atomic_load_explicit(&coarse->index->mem.bytes, memory_order_relaxed);
}

void ivf_coarse_centre(const struct ivf_coarse *coarse, uint32_t list, float *out) {
    if (coarse->set) {
        memcpy(out, coarse->centres + (size_t)list * coarse->dim, coarse->dim * sizeof *out);
        return;
    }
    const struct store *store = rows_store(&coarse->index->rows);
    code_decode(store_exact_code(store), store_exact_row(store, list), out);
}

/* ---- finding ------------------------------------------------------------------------------------- */

size_t ivf_coarse_block(const struct ivf_coarse *coarse, uint32_t most) {
    if (!coarse->set) return KMEANS_BLOCK;
    size_t n = BLOCK_BYTES / kmeans_find_bytes(coarse->set, 1, most);
    return n < 1 ? 1 : n > KMEANS_BLOCK ? KMEANS_BLOCK : n;
}

size_t ivf_coarse_bytes(const struct ivf_coarse *coarse, size_t n, uint32_t most) {
    if (most == 0) return 0;
    return coarse->set ? kmeans_find_bytes(coarse->set, n, most) : n * most * sizeof(int64_t);
}

int ivf_coarse_find(const struct ivf_coarse *coarse, size_t n, const float *x,
                    const struct kmeans_found *found, void *scratch, kith_error *err) {
    if (coarse->set) {
        kmeans_find_block(coarse->set, n, x, found, scratch);
        return KITH_OK;
    }
    uint32_t most = (uint32_t)found->most;
    uint32_t ef = COARSE_WIDER * most > COARSE_EF ? COARSE_WIDER * most : COARSE_EF;
    const struct search_call call = {.k = most, .ef = ef, .exact = most == coarse->nlist};
    int64_t *ids = scratch;
    TRY(coarse->index->ops->search(coarse->index, &call, n, x, ids, found->dist, err));
    for (size_t i = 0; i < n * most; i++) found->which[i] = (uint32_t)ids[i];
    return KITH_OK;
}
