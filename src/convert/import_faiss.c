/* FAISS indexes: what a tree of nodes says is put together as one index of Kith.
 *
 *     IDMap, PreTransform, Refine     around, in any order that has a meaning
 *     Flat, PQ, SQ, PQ fast scan      rows that are scanned, or one list of codes
 *     HNSW                            a graph over such rows
 *     IVF of ...                      lists: import_lists.c
 *
 * Codes that cannot be kept are taken as the vectors that they stand for (`plain`), in the same structure. Where vectors are
 * searched and others refine the results, those others are searched themselves. */
#include "convert/import_faiss.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "foreign/bytes.h"

/* ---- what is there -------------------------------------------------------------------------------- */

/* Take off what is around the core. */
static int peel(struct faiss_plan *plan, const struct faiss_node *node, kith_error *err) {
    kith_conversion *what = plan->importing->what;
    for (;; node = node->inner) {
        const struct faiss_node **place = NULL;
        size_t n = strlen(what->family);
        snprintf(what->family + n, sizeof what->family - n, "%s%s", n ? ", " : "",
                 faiss_kind_name(node->kind));
        if (node->kind == FAISS_ID_MAP) place = &plan->map;
        if (node->kind == FAISS_PRE_TRANSFORM) place = &plan->chain;
        if (node->kind == FAISS_REFINE) place = &plan->refine;
        if (!place) break;
        if (*place)
            return FAIL_AT(err, KITH_EUNSUPPORTED, node->at, "one %s within another",
                           faiss_kind_name(node->kind));
        if (node->kind == FAISS_ID_MAP && plan->refine)
            return FAIL_AT(err, KITH_EUNSUPPORTED, node->at, "an IDMap within a refinement");
        *place = node;
    }
    plan->refines_around = plan->refine && plan->chain && plan->refine->inner == plan->chain;
    plan->core = node;
    plan->stored = node->kind == FAISS_HNSW ? node->inner : node;
    return KITH_OK;
}

/* Unit vectors by inner product are what Kith calls cosine. Codes of unit vectors have other lengths: they stay behind the
 * transform. */
static bool is_cosine(const struct faiss_plan *plan) {
    const struct faiss_node *chain = plan->chain;
    bool normalises = chain && chain->n_chain == 1 && chain->chain->kind == FAISS_NORMALIZE &&
                      chain->metric == FAISS_IP;
    return normalises && (plan->stored->kind == FAISS_FLAT || plan->stored->kind == FAISS_IVF_FLAT);
}

static int find_metric(struct faiss_plan *plan, const struct faiss_node *root, kith_error *err) {
    const struct faiss_node *parts[] = {plan->core, plan->stored,
                                        plan->refine ? plan->refine->refine : plan->core};
    switch (root->metric) {
    case FAISS_L2: plan->metric = KITH_METRIC_L2; break;
    case FAISS_IP: plan->metric = KITH_METRIC_IP; break;
    case FAISS_L1: plan->metric = KITH_METRIC_L1; break;
    default:
        return FAIL_AT(err, KITH_EUNSUPPORTED, root->at,
                       "FAISS's metric %s is not one of Kith's, which are L2, inner product, L1",
                       faiss_metric_name(root->metric));
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i]->metric != root->metric)
            return FAIL_AT(err, KITH_EUNSUPPORTED, parts[i]->at, "an index by %s within one by %s",
                           faiss_metric_name(parts[i]->metric), faiss_metric_name(root->metric));
    return KITH_OK;
}

/* ---- rows and ids --------------------------------------------------------------------------------- */

static int make_ids(struct faiss_plan *plan, kith_error *err) {
    if (!plan->map) return KITH_OK;
    uint64_t n = plan->map->ids.n;
    plan->ids = mem_new(&plan->importing->owner, n * sizeof *plan->ids);
    if (!plan->ids) return FAIL(err, KITH_ENOMEM, "no memory for %" PRIu64 " ids", n);
    plan->n_ids = n;
    if (n > 0) memcpy(plan->ids, plan->map->ids.bytes, n * sizeof *plan->ids);
    return KITH_OK;
}

static int open_storages(struct faiss_plan *plan, bool plain, kith_error *err) {
    kith_conversion *what = plan->importing->what;
    struct mem_account *owner = &plan->importing->owner;
    char text[200];
    TRY(storage_of_node(&plan->storage, plan->stored, plain, owner, err));
    plan->filling = &plan->storage;
    if (plan->refine) what->k_factor = (uint32_t)plan->refine->k_factor;
    if (plan->refine && !plan->refines_around) {
        TRY(storage_of_node(&plan->originals, plan->refine->refine, true, owner, err));
        plan->refines = !storage_is_flat(&plan->storage);
        if (!plan->refines) plan->filling = &plan->originals;
    }
    storage_tell(plan->filling, text, sizeof text);
    tell(what, "vectors: %s", text);
    if (plan->refine && !plan->refines && !plan->refines_around)
        tell(what, "refinement: the vectors that refine are searched themselves");
    else if (plan->refine)
        tell(what, "refinement: originals are kept; k_factor %g is oversample",
             (double)plan->refine->k_factor);
    what->vectors = storage_is_kept(plan->filling) ? KITH_FATE_KEPT : KITH_FATE_RECODED;
    return KITH_OK;
}

const char *plan_refine_word(const struct faiss_plan *plan) {
    if (!plan->refines) return "";
    return plan->originals.kind == STORAGE_F16 ? ",Refine(SQfp16)" : ",Refine";
}

int plan_fill_rows(struct kith_index *index, struct faiss_plan *plan, kith_error *err) {
    const struct row_source source = {.rows = plan->filling,
                                      .originals = plan->refines ? &plan->originals : NULL,
                                      .ids = plan->chain ? NULL : plan->ids};
    return import_rows(index, &source, plan->importing, err);
}

/* ---- structures ----------------------------------------------------------------------------------- */

static int import_flat(struct kith_index **out, struct faiss_plan *plan, kith_error *err) {
    char word[24], spec[64];
    const struct storage *storage = plan->filling;
    storage_word(storage, word);
    snprintf(spec, sizeof spec, "%s%s", word, plan_refine_word(plan));
    if (plan->refines && storage->kind == STORAGE_SQ)
        tell(plan->importing->what, "refinement: the scan is certified, so that results are exact");
    TRY(import_new(out, storage->dim, storage->n, plan->metric, spec, plan->importing, err));
    return plan_fill_rows(*out, plan, err);
}

/* Level 0 of a FAISS graph. */
static uint32_t read_links(void *context, uint32_t row, uint32_t *out, uint32_t most) {
    const struct faiss_graph *graph = context;
    const uint8_t *at = graph->neighbors.bytes + 4 * bytes_u64(graph->offsets.bytes + 8 * row);
    int32_t room = bytes_i32(graph->cum_nneighbor_per_level.bytes + 4);
    uint32_t n = 0;
    for (; n < most && (int32_t)n < room; n++, at += 4) {
        int32_t to = bytes_i32(at);
        if (to < 0) break;
        out[n] = (uint32_t)to;
    }
    return n;
}

static int import_graph(struct kith_index **out, struct faiss_plan *plan, kith_error *err) {
    const struct faiss_graph *graph = &plan->core->graph;
    const struct storage *storage = plan->filling;
    char word[24], spec[64];
    uint64_t most = 2 * 32;
    if (graph->cum_nneighbor_per_level.n > 1)
        most = (uint64_t)bytes_i32(graph->cum_nneighbor_per_level.bytes + 4);
    storage_word(storage, word);
    snprintf(spec, sizeof spec, "HNSW%u,%s%s", graph_links_for(most), word, plan_refine_word(plan));
    if (graph->ef_search > 0) plan->importing->what->ef = (uint32_t)graph->ef_search;
    TRY(import_new(out, storage->dim, storage->n, plan->metric, spec, plan->importing, err));
    if (storage->n == 0) return KITH_OK;
    TRY(plan_fill_rows(*out, plan, err));
    const struct link_source links = {.context = (void *)(uintptr_t)graph,
                                      .links = read_links,
                                      .entry = (uint32_t)graph->entry_point};
    return import_links(*out, &links, most, plan->importing, err);
}

static int build(struct kith_index **out, struct faiss_plan *plan, kith_error *err) {
    const struct storage *storage = plan->filling;
    bool coded = !storage_is_flat(storage) && (storage->kind >= STORAGE_PQ ||
                                               (storage->kind == STORAGE_SQ && storage->bits < 8));
    if (plan->core->kind == FAISS_HNSW) return import_graph(out, plan, err);
    if (faiss_kind_has_lists(plan->core->kind)) return import_lists(out, plan, err);
    return coded && storage->n > 0 ? import_lone(out, plan, err) : import_flat(out, plan, err);
}

static void close_storages(struct faiss_plan *plan) {
    storage_deinit(&plan->storage);
    storage_deinit(&plan->originals);
}

/* First with the codes as they are, and if they cannot be had so with what they stand for. */
static int build_either(struct kith_index **out, struct faiss_plan *plan, kith_error *err) {
    kith_conversion before = *plan->importing->what;
    int code = open_storages(plan, false, err);
    if (code == KITH_OK) {
        bool plain = storage_is_flat(plan->filling);
        code = build(out, plan, err);
        close_storages(plan);
        if (code != KITH_EUNSUPPORTED || plain) return code;
        index_free(*out);
        *out = NULL;
        *plan->importing->what = before;
        code = open_storages(plan, true, err);
    }
    if (code == KITH_OK) code = build(out, plan, err);
    close_storages(plan);
    return code;
}

int import_faiss(struct kith_index **out, const uint8_t *bytes, size_t n,
                 struct importing *importing, kith_error *err) {
    struct faiss_plan plan = {.importing = importing};
    struct faiss_node *root;
    TRY(faiss_read(&root, bytes, n, &importing->owner, err));
    int code = peel(&plan, root, err);
    if (code == KITH_OK) code = find_metric(&plan, root, err);
    if (code == KITH_OK && is_cosine(&plan)) {
        plan.metric = KITH_METRIC_COSINE;
        plan.chain = NULL;
        tell(importing->what, "metric: L2norm and inner product are cosine");
    }
    if (code == KITH_OK) code = make_ids(&plan, err);
    if (code == KITH_OK) code = build_either(out, &plan, err);
    if (code == KITH_OK && plan.chain) code = import_wrapped(out, &plan, err);
    mem_free(&importing->owner, plan.ids, plan.n_ids * sizeof *plan.ids);
    faiss_free(root, &importing->owner);
    return code;
}
