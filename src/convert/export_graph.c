/* A graph as FAISS's HNSW: rows that are there, their links to such on every level, levels counted from 1. */
#include <string.h>

#include "base/status.h"
#include "convert/export.h"
#include "index/graph.h"

#define LEVELS_MAX   64u
#define CHANCE_LEAST 1e-9 /* FAISS keeps levels down to this chance */

/* cum_nneighbor_per_level and the chances of levels, as FAISS makes them for m. */
static int put_levels(struct exporting *exporting, struct faiss_graph *graph, uint32_t m,
                      uint32_t least, kith_error *err) {
    double *chance = export_new(exporting, LEVELS_MAX, sizeof *chance);
    int32_t *cum = export_new(exporting, LEVELS_MAX + 1, sizeof *cum);
    uint32_t n = 0;
    if (!chance || !cum) return FAIL(err, KITH_ENOMEM, "no memory for levels");
    for (double p = 1 - 1.0 / m; n < LEVELS_MAX; n++, p /= m) {
        if (p < CHANCE_LEAST && n >= least) break;
        chance[n] = p;
        cum[n + 1] = cum[n] + (int32_t)(n == 0 ? 2 * m : m);
    }
    graph->assign_probas = (struct faiss_array){(const uint8_t *)chance, n};
    graph->cum_nneighbor_per_level = (struct faiss_array){(const uint8_t *)cum, n + 1};
    return KITH_OK;
}

/* Links of a row's level into their slots, -1 in those that are left. */
static void put_links(const struct exporting *exporting, const struct graph *graph, uint32_t row,
                      uint32_t level, int32_t *out) {
    uint32_t links[2 * GRAPH_MAX_M], degree = graph_degree(graph, level), kept = 0;
    uint32_t n = graph_links_if(graph, row, level) ? link_row_read(graph, row, level, links) : 0;
    uint32_t used = atomic_load_explicit(&graph->index.rows.n, memory_order_acquire);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t to = links[i] < used ? exporting->place[links[i]] : ROW_NONE;
        if (to != ROW_NONE && graph_level_of(graph, links[i]) >= level) out[kept++] = (int32_t)to;
    }
    while (kept < degree) out[kept++] = -1;
}

/* The entry, or where it is gone the highest row there is. */
static uint32_t find_entry(const struct exporting *exporting, const struct graph *graph,
                           uint32_t *top) {
    uint32_t best = ROW_NONE, entry = (uint32_t)atomic_load(&graph->entry);
    *top = 0;
    for (uint32_t i = 0; i < exporting->n; i++) {
        uint32_t level = graph_level_of(graph, exporting->row[i]);
        if (best != ROW_NONE && level < *top) continue;
        if (best != ROW_NONE && level == *top && exporting->row[i] != entry) continue;
        best = i;
        *top = level;
    }
    return best;
}

static int put_graph(struct exporting *exporting, const struct graph *graph,
                     struct faiss_graph *out, kith_error *err) {
    uint32_t n = exporting->n, top, entry = find_entry(exporting, graph, &top);
    int32_t *levels = export_new(exporting, n, sizeof *levels);
    uint64_t *offsets = export_new(exporting, (size_t)n + 1, sizeof *offsets);
    TRY(put_levels(exporting, out, graph->m, top + 1, err));
    const int32_t *cum = (const void *)out->cum_nneighbor_per_level.bytes;
    if (!levels || !offsets)
        return FAIL(err, KITH_ENOMEM, "no memory for the levels of %u rows", n);
    for (uint32_t i = 0; i < n; i++) {
        levels[i] = (int32_t)graph_level_of(graph, exporting->row[i]) + 1;
        offsets[i + 1] = offsets[i] + (uint64_t)cum[levels[i]];
    }
    int32_t *links = export_new(exporting, offsets[n], sizeof *links);
    if (!links) return FAIL(err, KITH_ENOMEM, "no memory for the links of %u rows", n);
    for (uint32_t i = 0; i < n; i++)
        for (int32_t level = 0; level < levels[i]; level++)
            put_links(exporting, graph, exporting->row[i], (uint32_t)level,
                      links + offsets[i] + cum[level]);
    out->levels = (struct faiss_array){(const uint8_t *)levels, n};
    out->offsets = (struct faiss_array){(const uint8_t *)offsets, (uint64_t)n + 1};
    out->neighbors = (struct faiss_array){(const uint8_t *)links, offsets[n]};
    out->entry_point = n ? (int32_t)entry : -1;
    out->max_level = n ? (int32_t)top : -1;
    return KITH_OK;
}

/* What the graph's rows are searched by: the walk's codes, or the originals where FAISS has no such code. */
static int put_storage(struct exporting *exporting, struct faiss_node **out, bool *refines,
                       kith_error *err) {
    const struct store *store = rows_store(&exporting->index->rows);
    bool apart = store->has_orig && !store->shared;
    int code = export_rows(exporting, &store->walk, &store->walk_rows, out, err);
    *refines = apart && code == KITH_OK;
    if (code != KITH_EUNSUPPORTED || !apart) return code;
    tell(exporting->what, "vectors: FAISS has no code as Kith's %s; originals are walked",
         code_name(&store->walk));
    exporting->what->vectors = KITH_FATE_RECODED;
    return export_rows(exporting, &store->orig, &store->orig_rows, out, err);
}

int export_graph(struct exporting *exporting, struct faiss_node **out, kith_error *err) {
    const struct graph *graph = graph_of(exporting->index);
    struct faiss_node *node;
    bool refines;
    TRY(export_node(exporting, FAISS_HNSW, &node, err));
    TRY(put_storage(exporting, &node->inner, &refines, err));
    TRY(put_graph(exporting, graph, &node->graph, err));
    node->graph.ef_construction = (int32_t)exporting->index->options.ef_construction;
    node->graph.ef_search = 64; /* Kith's, where none is asked for */
    node->graph.upper_beam = 1;
    exporting->what->ef = 64;
    exporting->what->links = KITH_FATE_KEPT;
    tell(exporting->what, "links: kept on every level");
    *out = node;
    return refines ? export_refined(exporting, node, out, err) : KITH_OK;
}
