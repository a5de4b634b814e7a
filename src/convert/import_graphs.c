/* hnswlib's and usearch's indexes: rows with keys, and a graph. Rows that they removed are taken in with their links and
 * then removed, so that the graph is mended as Kith mends it. */
#include <inttypes.h>
#include <stdio.h>

#include "base/status.h"
#include "convert/convert.h"
#include "foreign/bytes.h"
#include "foreign/hnswlib.h"
#include "foreign/usearch.h"

/* Either engine's view. */
struct graph_view {
    const struct hnswlib_view *hnswlib;
    const struct usearch_view *usearch;
};

static uint32_t read_links(void *context, uint32_t row, uint32_t *out, uint32_t most) {
    const struct graph_view *view = context;
    uint32_t n;
    const uint8_t *at = view->hnswlib ? hnswlib_links(view->hnswlib, row, 0, &n)
                                      : usearch_links(view->usearch, row, 0, &n);
    n = n < most ? n : most;
    for (uint32_t i = 0; i < n; i++) out[i] = bytes_u32(at + 4 * (size_t)i);
    return n;
}

static bool is_removed(const struct graph_view *view, uint64_t row) {
    return view->hnswlib ? hnswlib_deleted(view->hnswlib, row)
                         : usearch_deleted(view->usearch, row);
}

static uint64_t key_of(const struct graph_view *view, uint64_t row) {
    return view->hnswlib ? hnswlib_label(view->hnswlib, row) : usearch_key(view->usearch, row);
}

/* What a graph of either engine is made from. */
struct graph_parts {
    struct graph_view view;
    struct storage rows;
    kith_metric metric;
    uint64_t most; /* links a row on level 0 */
    uint32_t entry;
};

/* The keys of rows that are there; removed ones get the numbers after the highest. */
static int make_ids(const struct graph_parts *parts, int64_t *ids, int64_t *next, uint64_t *removed,
                    kith_error *err) {
    int64_t highest = -1;
    for (uint64_t row = 0; row < parts->rows.n; row++) {
        if (is_removed(&parts->view, row)) continue;
        uint64_t key = key_of(&parts->view, row);
        if (key > INT64_MAX)
            return FAIL_AT(err, KITH_EINVAL, row, "row %" PRIu64 ": key %" PRIu64 " is over 2^63",
                           row, key);
        ids[row] = (int64_t)key;
        highest = ids[row] > highest ? ids[row] : highest;
    }
    if (highest > INT64_MAX - 1 - (int64_t)parts->rows.n)
        return FAIL(err, KITH_EFULL, "no numbers left after key %" PRId64, highest);
    *next = highest + 1;
    for (uint64_t row = 0; row < parts->rows.n; row++)
        if (is_removed(&parts->view, row)) ids[row] = *next + (int64_t)(*removed)++;
    return KITH_OK;
}

static int remove_rows(struct kith_index *index, int64_t first, uint64_t n,
                       struct importing *importing, kith_error *err) {
    size_t bytes = n * sizeof(int64_t);
    int64_t *ids = mem_new(&importing->owner, bytes);
    if (!ids) return FAIL(err, KITH_ENOMEM, "no memory to remove %" PRIu64 " rows", n);
    for (uint64_t i = 0; i < n; i++) ids[i] = first + (int64_t)i;
    int code = index->ops->remove(index, n, ids, err);
    index->rows.next_id = first;
    mem_free(&importing->owner, ids, bytes);
    if (code == KITH_OK) tell(importing->what, "rows: %" PRIu64 " removed ones are left out", n);
    return code;
}

static int import_graph(struct kith_index **out, const struct graph_parts *parts,
                        struct importing *importing, kith_error *err) {
    const struct storage *rows = &parts->rows;
    char word[24], spec[64], text[200];
    size_t bytes = rows->n * sizeof(int64_t);
    int64_t next = 0;
    uint64_t removed = 0;
    storage_word(rows, word);
    storage_tell(rows, text, sizeof text);
    tell(importing->what, "vectors: %s", text);
    importing->what->vectors = storage_is_kept(rows) ? KITH_FATE_KEPT : KITH_FATE_RECODED;
    snprintf(spec, sizeof spec, "HNSW%u,%s", graph_links_for(parts->most), word);
    TRY(import_new(out, rows->dim, rows->n, parts->metric, spec, importing, err));
    if (rows->n == 0) return KITH_OK;
    int64_t *ids = mem_new(&importing->owner, bytes);
    if (!ids) return FAIL(err, KITH_ENOMEM, "no memory for %" PRIu64 " keys", rows->n);
    const struct row_source source = {.rows = rows, .ids = ids};
    const struct link_source links = {
        .context = (void *)(uintptr_t)&parts->view, .links = read_links, .entry = parts->entry};
    int code = make_ids(parts, ids, &next, &removed, err);
    if (code == KITH_OK) code = import_rows(*out, &source, importing, err);
    if (code == KITH_OK) code = import_links(*out, &links, parts->most, importing, err);
    mem_free(&importing->owner, ids, bytes);
    return code == KITH_OK && removed ? remove_rows(*out, next, removed, importing, err) : code;
}

int import_hnswlib(struct kith_index **out, const uint8_t *bytes, size_t n,
                   struct importing *importing, kith_error *err) {
    struct hnswlib_view view;
    struct graph_parts parts = {.metric = (kith_metric)importing->options.metric};
    snprintf(importing->what->family, sizeof importing->what->family, "HNSW");
    if (importing->options.metric < 0)
        return FAIL(err, KITH_EINVAL,
                    "hnswlib's files do not tell their metric: it has to be given");
    TRY(hnswlib_read(&view, bytes, n, &importing->owner, err));
    uint64_t dim = view.vector_bytes / sizeof(float);
    parts.view.hnswlib = &view;
    parts.most = view.M0;
    parts.entry = view.entry;
    int code = KITH_OK;
    if (view.vector_bytes % sizeof(float) != 0 || dim > KITH_MAX_DIM)
        code = FAIL(err, KITH_EUNSUPPORTED,
                    "hnswlib vectors of %" PRIu64 " bytes: f32 of up to %u dimensions are read",
                    view.vector_bytes, KITH_MAX_DIM);
    if (code == KITH_OK) {
        storage_of_rows(&parts.rows, STORAGE_F32, (uint32_t)dim, view.n,
                        view.n ? hnswlib_vector(&view, 0) : NULL, view.row_bytes);
        tell(importing->what, "vectors: taken for f32, for the file does not tell");
        code = import_graph(out, &parts, importing, err);
    }
    if (code == KITH_OK && parts.metric == KITH_METRIC_IP)
        tell(importing->what, "distances: hnswlib's are 1 less the inner product, Kith's are it");
    hnswlib_deinit(&view, &importing->owner);
    return code;
}

static kith_metric metric_of(enum usearch_metric metric) {
    switch (metric) {
    case USEARCH_IP: return KITH_METRIC_IP;
    case USEARCH_COS: return KITH_METRIC_COSINE;
    default: return KITH_METRIC_L2;
    }
}

static enum storage_kind kind_of(enum usearch_scalar scalar) {
    switch (scalar) {
    case USEARCH_F16: return STORAGE_F16;
    case USEARCH_BF16: return STORAGE_BF16;
    case USEARCH_U8: return STORAGE_U8;
    case USEARCH_I8: return STORAGE_I8;
    default: return STORAGE_F32;
    }
}

int import_usearch(struct kith_index **out, const uint8_t *bytes, size_t n,
                   struct importing *importing, kith_error *err) {
    struct usearch_view view;
    snprintf(importing->what->family, sizeof importing->what->family, "dense");
    TRY(usearch_read(&view, bytes, n, &importing->owner, err));
    struct graph_parts parts = {.view.usearch = &view,
                                .metric = metric_of(view.metric),
                                .most = view.M0,
                                .entry = view.entry};
    int code = KITH_OK;
    if (view.dim > KITH_MAX_DIM)
        code =
            FAIL(err, KITH_EDIM, "dimension %" PRIu64 ", must be 1 to %u", view.dim, KITH_MAX_DIM);
    if (code == KITH_OK) {
        storage_of_rows(&parts.rows, kind_of(view.scalar), (uint32_t)view.dim, view.n, view.vectors,
                        view.vector_bytes);
        code = import_graph(out, &parts, importing, err);
    }
    if (code == KITH_OK && parts.metric != KITH_METRIC_L2)
        tell(importing->what, "distances: usearch's are 1 less the similarity, Kith's are it");
    if (code == KITH_OK && view.scalar == USEARCH_I8)
        tell(importing->what,
             "vectors: usearch stored them at length 127, and so are queries to be");
    usearch_deinit(&view, &importing->owner);
    return code;
}
