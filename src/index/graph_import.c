/* Links that another engine made: taken in on level 0, the levels above linked anew, and the tree grown over all. */
#include "base/status.h"
#include "index/graph.h"
#include "index/import.h"

static bool contains(const uint32_t *links, uint32_t n, uint32_t row) {
    for (uint32_t i = 0; i < n; i++)
        if (links[i] == row) return true;
    return false;
}

/* A row's links, sound by invariant 1, in the order they came. */
static void take_links(struct graph *graph, const struct link_source *source, uint32_t row) {
    uint32_t links[2 * GRAPH_MAX_M], n = source->links(source->context, row, links, graph->degree),
                                     kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (links[i] != row && !contains(links, kept, links[i])) links[kept++] = links[i];
    link_row_write(graph, row, 0, links, kept);
}

int graph_import(struct kith_index *index, const struct link_source *source, const kith_work *work,
                 uint64_t *connected, kith_error *err) {
    struct graph *graph = graph_of(index);
    uint32_t n = atomic_load(&index->rows.n), upper = 0;
    *connected = 0;
    if (n == 0) return KITH_OK;
    uint32_t *rows = mem_new(&index->mem, n * sizeof *rows);
    if (!rows) return FAIL(err, KITH_ENOMEM, "no memory for %u row numbers", n);
    for (uint32_t row = 0; row < n; row++) rows[row] = row;
    int code = KITH_OK;
    if (!graph_reserve_links(graph, n, rows)) {
        code = FAIL(err, KITH_ENOMEM, "no memory for the links of %u rows", n);
    } else {
        for (uint32_t row = 0; row < n; row++) {
            take_links(graph, source, row);
            tree_set_parent(graph, row, row); /* linked; the tree comes last */
            if (graph_level_of(graph, row) > 0) rows[upper++] = row;
        }
        code = graph_link_upper(graph, upper, rows, source->entry, work, connected, err);
    }
    mem_free(&index->mem, rows, n * sizeof *rows);
    return code;
}

int graph_import_anew(struct kith_index *index, kith_error *err) {
    graph_pause(index);
    int code = graph_relink(graph_of(index), err);
    graph_resume(index);
    return code;
}
