/* The centres of lists, and the nearest of them.
 *
 *     L2, IP, cosine   k-means' scan of one-byte centres in register tiles, then law distances (quant/kmeans.h)
 *     a graph, L1      an index over the centres
 *
 * Either way lists come by (law distance, number). A scan is exact; a graph is asked with COARSE_WIDER times as many as it
 * is to find.
 * A graph takes seconds to make of 65,536 centres. So a file has it whole, as an index whose sections have their tags
 * backwards; of the others it has the centres.
 * Threads  constant once made. */
#include <stdio.h>
#include <string.h>

#include "index/file.h"
#include "index/ivf.h"

#define TAG_CENTRES  FILE_TAG('C', 'E', 'N', 'T')
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

static void describe(const struct ivf *ivf, char spec[FACTORY_TEXT]) {
    snprintf(spec, FACTORY_TEXT, ivf->coarse_m ? GRAPH_SPEC : "Flat", ivf->coarse_m);
}

static int join(struct ivf_coarse *coarse, struct mem_account *owner, kith_error *err) {
    if (mem_account_join(&coarse->index->mem, owner, coarse->index->object_bytes)) return KITH_OK;
    return FAIL(err, KITH_ENOMEM, "no memory for an index of %u centres", coarse->nlist);
}

static int make_index(struct ivf_coarse *coarse, const struct ivf *ivf, kith_metric metric,
                      const float *centres, kith_error *err) {
    struct mem_account *owner = (struct mem_account *)(uintptr_t)&ivf->index.mem;
    const kith_work work = KITH_WORK_INIT;
    kith_index_options options = ivf->index.options;
    char spec[FACTORY_TEXT];
    describe(ivf, spec);
    options.ef_construction = 0;
    options.memory_limit = 0; /* the account that it joins has one */
    TRY(index_new(&coarse->index, (uint32_t)coarse->dim, metric, spec, &options, err));
    TRY(join(coarse, owner, err));
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

uint64_t ivf_coarse_memory(const struct ivf_coarse *coarse, uint64_t *mapped) {
    kith_index_stats stats;
    *mapped = 0;
    if (coarse->set) return centres_bytes(coarse) + kmeans_set_bytes(coarse->set);
    index_stats(coarse->index, &stats);
    *mapped = stats.mapped_bytes;
    return coarse->index->object_bytes + stats.mapped_bytes +
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

/* ---- files --------------------------------------------------------------------------------------- */

static int save_centres(const struct ivf_coarse *coarse, struct file_sections *out,
                        kith_error *err) {
    size_t bytes = coarse->dim * sizeof(float);
    float *centre = mem_new(NULL, bytes);
    if (!centre)
        return FAIL(err, KITH_ENOMEM, "no memory for a centre of %zu dimensions", coarse->dim);
    int code = file_sections_begin(out, TAG_CENTRES, err);
    for (uint32_t i = 0; i < coarse->nlist && code == KITH_OK; i++) {
        ivf_coarse_centre(coarse, i, centre);
        code = file_sections_more(out, centre, bytes, err);
    }
    mem_free(NULL, centre, bytes);
    if (code == KITH_OK) file_sections_end(out);
    return code;
}

static bool is_graph(const struct ivf_coarse *coarse) {
    return coarse->index && coarse->index->ops == &graph_ops;
}

int ivf_coarse_save(const struct ivf_coarse *coarse, struct file_sections *out, kith_error *err) {
    if (!is_graph(coarse)) return save_centres(coarse, out, err);
    file_sections_reverse(out, true);
    coarse->index->ops->pause(coarse->index);
    int code = index_put_sections(coarse->index, out, err);
    coarse->index->ops->resume(coarse->index);
    file_sections_reverse(out, false);
    return code;
}

/* Whether it is what make_index makes: rows 0 to nlist - 1 live, under those ids. */
static int check_index(const struct ivf_coarse *coarse, const struct ivf *ivf, kith_error *err) {
    const struct rows *rows = &coarse->index->rows;
    char spec[FACTORY_TEXT];
    describe(ivf, spec);
    bool same = strcmp(coarse->index->spec, spec) == 0 && rows->config.dim == coarse->dim &&
                rows->config.metric == ivf_coarse_metric(ivf->index.rows.config.metric) &&
                !atomic_load_explicit(&rows->explicit_ids, memory_order_relaxed) &&
                atomic_load_explicit(&rows->n, memory_order_relaxed) == coarse->nlist;
    for (uint32_t i = 0; same && i < coarse->nlist; i++) same = rows_is_live(rows, i);
    if (same) return KITH_OK;
    return FAIL(err, KITH_ECORRUPT, "the index over the centres is not %s of %u rows", spec,
                coarse->nlist);
}

static int load_graph(struct ivf_coarse *coarse, const struct ivf *ivf,
                      const struct index_file *file, kith_error *err) {
    struct index_file sections = *file;
    sections.reversed = true;
    sections.originals = false; /* every search reads them */
    TRY(index_load_sections(&coarse->index, &sections, false, err));
    TRY(join(coarse, (struct mem_account *)(uintptr_t)&ivf->index.mem, err));
    return check_index(coarse, ivf, err);
}

int ivf_coarse_load(struct ivf_coarse *coarse, const struct ivf *ivf, uint32_t nlist,
                    const struct index_file *file, kith_error *err) {
    struct mem_account *owner = (struct mem_account *)(uintptr_t)&ivf->index.mem;
    const void *centres;
    size_t n, dim = ivf->index.rows.config.dim;
    if (!ivf->coarse_m) {
        TRY(index_file_section(file, TAG_CENTRES, nlist * dim * sizeof(float), &centres, &n, err));
        int code = ivf_coarse_init(coarse, ivf, nlist, centres, err);
        return code == KITH_OK || code == KITH_ENOMEM
                   ? code
                   : FAIL(err, KITH_ECORRUPT, "section CENT holds no centres");
    }
    *coarse = (struct ivf_coarse){.nlist = nlist, .dim = dim};
    int code = load_graph(coarse, ivf, file, err);
    if (code != KITH_OK) ivf_coarse_deinit(coarse, owner);
    return code;
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
    /* A damaged map may leave places empty. */
    for (size_t i = 0; i < n * most; i++) found->which[i] = ids[i] < 0 ? 0 : (uint32_t)ids[i];
    return KITH_OK;
}
