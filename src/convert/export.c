/* The door out: an index of Kith as a FAISS file.
 *
 *     IDMap2 ( PreTransform: L2norm, under cosine ( Refine, where originals are kept ( rows | graph | lists )))
 *
 * Each only where it is needed: ids that are 0 to n - 1 need no map, and lists without originals keep ids themselves. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "convert/export.h"
#include "index/ivf.h"
#include "index/pretransform.h"

/* ---- memory --------------------------------------------------------------------------------------- */

struct held {
    struct held *next;
    size_t bytes;
    _Alignas(64) uint8_t memory[];
};

void *export_new(struct exporting *exporting, size_t n, size_t item_bytes) {
    size_t bytes, all;
    if (!mem_mul(n, item_bytes, &bytes) || !mem_add(bytes, sizeof(struct held), &all)) return NULL;
    struct held *held = mem_new(&exporting->owner, all);
    if (!held) return NULL;
    *held = (struct held){.next = exporting->held, .bytes = all};
    exporting->held = held;
    return held->memory;
}

static void let_go(struct exporting *exporting) {
    while (exporting->held) {
        struct held *next = exporting->held->next;
        mem_free(&exporting->owner, exporting->held, exporting->held->bytes);
        exporting->held = next;
    }
}

/* ---- nodes ---------------------------------------------------------------------------------------- */

static int32_t faiss_metric_of(kith_metric metric) {
    switch (metric) {
    case KITH_METRIC_IP:
    case KITH_METRIC_COSINE: return FAISS_IP;
    case KITH_METRIC_L1: return FAISS_L1;
    default: return FAISS_L2;
    }
}

int export_node(struct exporting *exporting, enum faiss_kind kind, struct faiss_node **out,
                kith_error *err) {
    struct faiss_node *node = export_new(exporting, 1, sizeof *node);
    if (!node) return FAIL(err, KITH_ENOMEM, "no memory for a part of the file");
    *node = (struct faiss_node){.kind = kind,
                                .d = (int32_t)exporting->dim,
                                .ntotal = exporting->n,
                                .is_trained = true,
                                .metric = faiss_metric_of(exporting->metric)};
    *out = node;
    return KITH_OK;
}

int export_refined(struct exporting *exporting, struct faiss_node *base, struct faiss_node **out,
                   kith_error *err) {
    const struct store *store = rows_store(&exporting->index->rows);
    struct faiss_node *node = NULL;
    TRY(export_node(exporting, FAISS_REFINE, &node, err));
    TRY(export_rows(exporting, store_exact_code(store), store_exact_rows(store), &node->refine,
                    err));
    node->inner = base;
    node->k_factor = 2;
    exporting->what->k_factor = 2;
    tell(exporting->what, "refinement: by originals, of twice as many candidates");
    *out = node;
    return KITH_OK;
}

static int export_flat(struct exporting *exporting, struct faiss_node **out, kith_error *err) {
    const struct store *store = rows_store(&exporting->index->rows);
    return export_rows(exporting, store_exact_code(store), store_exact_rows(store), out, err);
}

/* ---- around --------------------------------------------------------------------------------------- */

static int put_ids(struct exporting *exporting, struct faiss_node **root, kith_error *err) {
    struct faiss_node *node;
    if (!exporting->ids) return KITH_OK;
    TRY(export_node(exporting, FAISS_ID_MAP, &node, err));
    node->map_both_ways = true;
    node->ids = (struct faiss_array){(const uint8_t *)exporting->ids, exporting->n};
    node->inner = *root;
    *root = node;
    return KITH_OK;
}

int export_normalised(struct exporting *exporting, struct faiss_node **root, kith_error *err) {
    struct faiss_node *node = NULL;
    if (exporting->metric != KITH_METRIC_COSINE) return KITH_OK;
    TRY(export_node(exporting, FAISS_PRE_TRANSFORM, &node, err));
    node->chain = export_new(exporting, 1, sizeof *node->chain);
    if (!node->chain) return FAIL(err, KITH_ENOMEM, "no memory for a transform");
    *node->chain = (struct faiss_transform){.kind = FAISS_NORMALIZE,
                                            .d_in = (int32_t)exporting->dim,
                                            .d_out = (int32_t)exporting->dim,
                                            .is_trained = true,
                                            .norm = 2};
    node->n_chain = 1;
    node->inner = *root;
    tell(exporting->what, "metric: cosine is written as L2norm and inner product");
    *root = node;
    return KITH_OK;
}

static void name_family(kith_conversion *what, const struct faiss_node *node) {
    for (; node; node = node->inner) {
        size_t n = strlen(what->family);
        snprintf(what->family + n, sizeof what->family - n, "%s%s", n ? ", " : "",
                 faiss_kind_name(node->kind));
    }
}

/* ---- rows ----------------------------------------------------------------------------------------- */

/* Live rows, where each stands, and ids where they are not that. */
int export_list_rows(struct exporting *exporting, kith_error *err) {
    const struct rows *rows = &exporting->index->rows;
    uint32_t used = atomic_load_explicit(&rows->n, memory_order_acquire), n = 0;
    bool in_order = true;
    exporting->place = export_new(exporting, used, sizeof *exporting->place);
    exporting->row = export_new(exporting, used, sizeof *exporting->row);
    if (!exporting->place || !exporting->row)
        return FAIL(err, KITH_ENOMEM, "no memory for %" PRIu32 " row numbers", used);
    for (uint32_t row = 0; row < used; row++) {
        bool live = rows_is_live(rows, row);
        exporting->place[row] = live ? n : ROW_NONE;
        if (!live) continue;
        in_order = in_order && rows_id(rows, row) == (int64_t)n;
        exporting->row[n++] = row;
    }
    exporting->n = n;
    if (in_order) return KITH_OK;
    exporting->ids = export_new(exporting, n, sizeof *exporting->ids);
    if (!exporting->ids) return FAIL(err, KITH_ENOMEM, "no memory for %" PRIu32 " ids", n);
    for (uint32_t i = 0; i < n; i++) exporting->ids[i] = rows_id(rows, exporting->row[i]);
    return KITH_OK;
}

/* ---- the door ------------------------------------------------------------------------------------- */

int export_core(struct exporting *exporting, struct faiss_node **out, bool *has_ids,
                kith_error *err) {
    const struct kith_index *index = exporting->index;
    if (index->ops == &graph_ops) return export_graph(exporting, out, err);
    if (index->ops == &ivf_ops && ivf_model_of(ivf_of(index)))
        return export_lists(exporting, out, has_ids, err);
    if (index->ops != &flat_ops) tell(exporting->what, "training: not done yet, written as rows");
    return export_flat(exporting, out, err);
}

static int make_tree(struct exporting *exporting, struct faiss_node **root, kith_error *err) {
    bool has_ids = false;
    if (index_pre_chain(exporting->index)) {
        TRY(export_wrapped(exporting, root, &has_ids, err));
    } else {
        TRY(export_list_rows(exporting, err));
        TRY(export_core(exporting, root, &has_ids, err));
        TRY(export_normalised(exporting, root, err));
    }
    return has_ids ? KITH_OK : put_ids(exporting, root, err);
}

int kith_index_export(const kith_index *given, const char *path, kith_conversion *what,
                      kith_error *err) {
    kith_conversion done = KITH_CONVERSION_INIT;
    if (!given || !path) return FAIL(err, KITH_EINVAL, "%s is NULL", given ? "path" : "index");
    if (what && what->size != sizeof *what)
        return FAIL(err, KITH_EINVAL,
                    "kith_conversion.size is %u, must be %zu: use its _INIT macro", what->size,
                    sizeof *what);
    struct kith_index *index = index_real(given);
    struct exporting exporting = {.what = &done,
                                  .index = index,
                                  .metric = index->rows.config.metric,
                                  .dim = index->rows.config.dim};
    struct faiss_node *root = NULL;
    done.engine = "FAISS";
    snprintf(done.spec, sizeof done.spec, "%s", index->spec);
    done.vectors = KITH_FATE_KEPT;
    index->ops->pause(index);
    int code = make_tree(&exporting, &root, err);
    index->ops->resume(index);
    if (code == KITH_OK) code = faiss_save(root, path, err);
    if (code == KITH_OK) name_family(&done, root);
    if (code == KITH_OK && exporting.metric == KITH_METRIC_EUCLID)
        tell(&done, "distances: FAISS's are squared");
    let_go(&exporting);
    if (code == KITH_OK && what) *what = done;
    return code;
}
