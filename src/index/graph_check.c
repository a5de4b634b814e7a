/* Verifying the graph's numbered invariants (graph.h), and mending what does not hold.
 *
 * check reads everything and changes nothing. repair drops links that break invariants 1 and 2, chooses an entry anew
 * where 4 does not hold, and builds the tree again (5), which links rows that cannot be reached. What is broken still
 * (upper link rows that lie outside, a wrong list of dead rows) is beyond mending, and a graph that lost many links would
 * be sound but poor: then all rows are linked anew. */
#include "base/status.h"
#include "index/graph.h"

#define MENDED_SHARE 64u

static bool is_linked(const struct graph *graph, uint32_t row) {
    return tree_parent(graph, row) != ROW_NONE || row == (uint32_t)atomic_load(&graph->entry);
}

static bool upper_fits(const struct graph *graph, uint32_t row, uint32_t level) {
    return graph_links_if(graph, row, level) != NULL;
}

/* What is wrong with link i of a row's level, or NULL. rows_n: all row numbers are below. */
static const char *link_fault(const struct graph *graph, uint32_t row, uint32_t level,
                              const uint32_t *links, uint32_t i, uint32_t rows_n) {
    uint32_t to = links[i];
    if (to >= rows_n) return "1: it leads past the last row";
    if (to == row) return "1: it leads to the row itself";
    for (uint32_t j = 0; j < i; j++) {
        if (links[j] == to) return "1: it is there twice";
    }
    if (!is_linked(graph, to)) return "2: it leads to a row that is not linked";
    if (graph_level_of(graph, to) < level) return "2: it leads to a row that is not on this level";
    return NULL;
}

static int check_links(const struct graph *graph, uint32_t row, uint32_t rows_n, kith_error *err) {
    uint32_t links[2 * GRAPH_MAX_M];
    for (uint32_t level = graph_level_of(graph, row) + 1; level-- > 0;) {
        if (!upper_fits(graph, row, level))
            return FAIL_AT(err, KITH_ECORRUPT, row, "row %u: its link rows of level %u lie outside",
                           row, level);
        uint32_t n = link_row_read(graph, row, level, links);
        for (uint32_t i = 0; i < n; i++) {
            const char *fault = link_fault(graph, row, level, links, i, rows_n);
            if (fault)
                return FAIL_AT(err, KITH_ECORRUPT, row,
                               "row %u, level %u, link %u (to %u) breaks invariant %s", row, level,
                               i, links[i], fault);
        }
        for (uint32_t i = n; i < graph_degree(graph, level); i++) {
            if (link_load(&graph_links(graph, row, level)[i]) != ROW_NONE)
                return FAIL_AT(err, KITH_ECORRUPT, row,
                               "row %u, level %u: a link after the end (invariant 1)", row, level);
        }
    }
    return KITH_OK;
}

static int check_entry(const struct graph *graph, uint32_t rows_n, kith_error *err) {
    uint64_t entry = atomic_load(&graph->entry);
    uint32_t row = (uint32_t)entry, top = (uint32_t)(entry >> 32);
    if (row == ROW_NONE) {
        if (atomic_load(&graph->index.rows.n_live) > 0)
            return FAIL(err, KITH_ECORRUPT, "no entry, yet %u rows (invariant 4)",
                        atomic_load(&graph->index.rows.n_live));
        return KITH_OK;
    }
    if (row >= rows_n || graph_level_of(graph, row) != top)
        return FAIL(err, KITH_ECORRUPT, "entry %u of %u rows, level %u (invariant 4)", row, rows_n,
                    top);
    for (uint32_t other = 0; other < rows_n; other++) {
        if (is_linked(graph, other) && graph_level_of(graph, other) > top)
            return FAIL_AT(err, KITH_ECORRUPT, other,
                           "row %u of level %u is above the entry's %u (invariant 4)", other,
                           graph_level_of(graph, other), top);
    }
    return KITH_OK;
}

/* Every live row is linked, every parent leads to its child, and all parents end at the entry. state: 0 not seen, 1 on
 * the present path, 2 known to end at the entry. */
static int check_parents(const struct graph *graph, uint32_t rows_n, uint8_t *state,
                         kith_error *err) {
    uint32_t links[2 * GRAPH_MAX_M], entry = (uint32_t)atomic_load(&graph->entry);
    for (uint32_t row = 0; row < rows_n; row++) {
        if (!is_linked(graph, row)) {
            if (rows_is_live(&graph->index.rows, row))
                return FAIL_AT(err, KITH_ECORRUPT, row,
                               "row %u is live but not linked (invariant 5)", row);
            continue;
        }
        uint32_t at = row;
        for (; at != entry && state[at] == 0; at = tree_parent(graph, at)) {
            uint32_t parent = tree_parent(graph, at);
            state[at] = 1;
            if (parent >= rows_n || !is_linked(graph, parent))
                return FAIL_AT(err, KITH_ECORRUPT, at,
                               "row %u: parent %u is not linked (invariant 5)", at, parent);
            uint32_t n = link_row_read(graph, parent, 0, links), i = 0;
            while (i < n && links[i] != at) i++;
            if (i == n)
                return FAIL_AT(err, KITH_ECORRUPT, at,
                               "row %u: its parent %u does not lead to it (invariant 5)", at,
                               parent);
        }
        if (at != entry && state[at] == 1)
            return FAIL_AT(err, KITH_ECORRUPT, at, "row %u is its own ancestor (invariant 5)", at);
        for (at = row; at != entry && state[at] == 1; at = tree_parent(graph, at)) state[at] = 2;
    }
    return KITH_OK;
}

/* The list of dead rows holds just the rows that are neither live nor free, once each. `seen` comes zeroed. */
static int check_dead(const struct graph *graph, uint32_t rows_n, uint8_t *seen, kith_error *err) {
    const struct rows *rows = &graph->index.rows;
    uint32_t n_dead = graph->n_dead;
    for (uint32_t i = 0; i < n_dead; i++) {
        uint32_t row = graph->dead[i];
        if (row >= rows_n || rows_is_live(rows, row) ||
            (!rows->read_only && !rows_is_used(rows, row)))
            return FAIL_AT(err, KITH_ECORRUPT, row, "row %u is listed as dead (invariant 6)", row);
        if (seen[row]++)
            return FAIL_AT(err, KITH_ECORRUPT, row, "row %u is listed as dead twice (invariant 6)",
                           row);
    }
    if (n_dead != rows->n_dead)
        return FAIL(err, KITH_ECORRUPT, "%u rows are dead, %u are listed (invariant 6)",
                    rows->n_dead, n_dead);
    __builtin_memset(seen, 0, rows_n);
    return KITH_OK;
}

static int check_all(struct graph *graph, uint32_t n, uint8_t *state, kith_error *err) {
    const struct rows *rows = &graph->index.rows;
    uint32_t live = atomic_load(&rows->n_live);
    if (n < atomic_load(&rows->n) && live > n)
        return FAIL(err, KITH_ECORRUPT, "links for %u rows, yet %u rows are live", n, live);
    TRY(check_entry(graph, n, err));
    for (uint32_t row = 0; row < n; row++) {
        if (!is_linked(graph, row)) continue;
        if (!rows->read_only && !rows_is_used(rows, row))
            return FAIL_AT(err, KITH_ECORRUPT, row, "row %u is free, yet linked (invariant 2)",
                           row);
        TRY(check_links(graph, row, n, err));
    }
    TRY(check_dead(graph, n, state, err));
    return check_parents(graph, n, state, err);
}

static int check_locked(struct graph *graph, kith_error *err) {
    uint32_t n = graph_rows_n(graph);
    uint8_t *state = mem_new(&graph->index.mem, n);
    if (!state) return FAIL(err, KITH_ENOMEM, "no memory to check %u rows", n);
    int code = check_all(graph, n, state, err);
    mem_free(&graph->index.mem, state, n);
    return code;
}

int graph_check(const struct kith_index *index, kith_error *err) {
    struct graph *graph = graph_of(index);
    graph_pause(&graph->index);
    int code = check_locked(graph, err);
    graph_resume(&graph->index);
    return code;
}

/* Drop the links of one row that are at fault, and close gaps; returns how many were dropped or moved. */
static uint32_t mend_links(struct graph *graph, uint32_t row, uint32_t rows_n) {
    uint32_t links[2 * GRAPH_MAX_M], mended = 0;
    for (uint32_t level = graph_level_of(graph, row) + 1; level-- > 0;) {
        if (!upper_fits(graph, row, level)) continue;
        uint32_t kept = 0;
        for (uint32_t i = 0; i < graph_degree(graph, level); i++) {
            links[kept] = link_load(&graph_links(graph, row, level)[i]);
            if (links[kept] == ROW_NONE) continue;
            bool sound = link_fault(graph, row, level, links, kept, rows_n) == NULL;
            mended += !sound || kept < i;
            kept += sound;
        }
        link_row_write(graph, row, level, links, kept);
    }
    return mended;
}

static uint64_t mend_locked(struct graph *graph, struct graph_context *context,
                            struct tree_scratch *tree) {
    uint64_t mended = 0;
    uint32_t best = ROW_NONE, top = 0;
    /* Every live row counts as linked from here on: the tree gives it a parent. */
    for (uint32_t row = 0; row < tree->n; row++) {
        bool live = rows_is_live(&graph->index.rows, row);
        if (live && tree_parent(graph, row) == ROW_NONE) tree_set_parent(graph, row, row);
        uint32_t level = graph_level_of(graph, row);
        if (live && (best == ROW_NONE || level > top)) {
            best = row;
            top = level;
        }
    }
    for (uint32_t row = 0; row < tree->n; row++) {
        if (is_linked(graph, row)) mended += mend_links(graph, row, tree->n);
    }
    if (best == ROW_NONE) return mended;
    uint64_t entry = atomic_load(&graph->entry);
    if ((uint32_t)entry < tree->n && is_linked(graph, (uint32_t)entry) &&
        graph_level_of(graph, (uint32_t)entry) == (uint32_t)(entry >> 32) &&
        (uint32_t)(entry >> 32) >= top) {
        best = (uint32_t)entry;
        top = (uint32_t)(entry >> 32);
    } else {
        mended++;
    }
    return mended + tree_rebuild(graph, context, tree, best, top);
}

int graph_repair(struct kith_index *index, uint64_t *mended, kith_error *err) {
    struct graph *graph = graph_of(index);
    struct tree_scratch tree = {0};
    uint64_t here = 0;
    int code = KITH_OK;
    graph_pause(index);
    if (check_locked(graph, NULL) == KITH_OK) { /* a new tree would be another one, not a better */
        graph_resume(index);
        return KITH_OK;
    }
    uint32_t n = graph_rows_n(graph), ef = graph->index.options.ef_construction;
    uint32_t slot = epoch_enter(&index->rows.epoch);
    struct graph_context *context = context_of(graph, slot);
    if (!context || !tree_scratch_init(&tree, graph, n) ||
        !context_ready(context, graph, rows_store(&index->rows), n, ef > 512 ? ef : 512))
        code = FAIL(err, KITH_ENOMEM, "no memory to repair %u rows", n);
    else
        here = mend_locked(graph, context, &tree);
    if (code == KITH_OK && here == 0) here = 1; /* parents alone were wrong: the tree is new */
    epoch_leave(&index->rows.epoch, slot);
    tree_scratch_deinit(&tree, graph);
    if (code == KITH_OK && (here > n / MENDED_SHARE || check_locked(graph, NULL) != KITH_OK)) {
        code = graph_relink(graph, err);
        here += atomic_load(&index->rows.n_live);
    }
    *mended += here;
    graph_resume(index);
    return code;
}
