/* The tree that keeps every row reachable.
 *
 * Pruning looks at distances only, so in any graph of this family rows lose their last incoming link as others are
 * added or removed, and are never found again. Here each row has one parent whose link to it may not be pruned; the
 * parents form a tree with the entry as its root. A row adopts at most half of its links as children.
 *
 * A new row's parent is older than the row, so adoption cannot make a cycle. When the entry changes or rows are
 * unlinked, the tree is built anew, breadth first over the links; a row that is not reached by then is linked from the
 * nearest reached row that has a link to spare (one that is free, or leads to a row that is not its child). */
#include "index/graph.h"

static uint32_t n_children(const struct graph *graph, uint32_t row, const uint32_t *links,
                           uint32_t n) {
    uint32_t children = 0;
    for (uint32_t i = 0; i < n; i++) children += tree_parent(graph, links[i]) == row;
    return children;
}

/* Make `parent` lead to row and adopt it, if it may have another child. With force false only an existing link is
 * used. The caller holds parent's stripe. */
static bool adopt_locked(struct graph *graph, uint32_t parent, uint32_t row, bool force,
                         uint32_t most) {
    uint32_t links[2 * GRAPH_MAX_M];
    uint32_t n = link_row_read(graph, parent, 0, links), at = 0;
    while (at < n && links[at] != row) at++;
    if ((at == n && !force) || n_children(graph, parent, links, n) >= most) return false;
    if (at == n && n == graph->degree) {
        do at--;
        while (tree_parent(graph, links[at]) == parent);
    }
    if (at == n || links[at] != row) link_store(&graph_links(graph, parent, 0)[at], row);
    tree_set_parent(graph, row, parent);
    return true;
}

static bool adopt(struct graph *graph, uint32_t parent, uint32_t row, bool force, uint32_t most) {
    link_lock(graph, parent);
    bool adopted = adopt_locked(graph, parent, row, force, most);
    link_unlock(graph, parent);
    return adopted;
}

/* One of parent's children but row; parent itself when a concurrent writer moved them. */
static uint32_t some_child(const struct graph *graph, uint32_t parent, uint32_t row,
                           uint64_t which) {
    uint32_t links[2 * GRAPH_MAX_M], n_children = 0;
    uint32_t n = link_row_read(graph, parent, 0, links);
    for (uint32_t i = 0; i < n; i++) {
        if (links[i] != row && tree_parent(graph, links[i]) == parent)
            links[n_children++] = links[i];
    }
    return n_children > 0 ? links[which % n_children] : parent;
}

void tree_adopt(struct graph *graph, uint32_t row, const uint32_t *near, uint32_t n) {
    uint32_t half = graph->degree / 2;
    for (uint32_t i = 0; i < n; i++) {
        if (adopt(graph, near[i], row, false, half)) return;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (adopt(graph, near[i], row, true, half)) return;
    }
    /* All neighbours have many children: go down. A child of a full row always exists and the tree is finite; which
     * child follows from the row's number, so that the tree grows broad, not deep. */
    uint64_t path = row;
    for (uint32_t parent = near[0]; !adopt(graph, parent, row, true, half);)
        parent = some_child(graph, parent, row, bits_random(&path));
}

bool tree_scratch_init(struct tree_scratch *scratch, struct graph *graph, uint32_t n) {
    struct mem_account *owner = &graph->index.mem;
    size_t bit_bytes = bits_words(n) * sizeof(uint64_t);
    *scratch = (struct tree_scratch){.n = n};
    scratch->queue = mem_new(owner, n * sizeof(uint32_t));
    scratch->reached = mem_new(owner, bit_bytes);
    scratch->linked = mem_new(owner, bit_bytes);
    return scratch->queue && scratch->reached && scratch->linked;
}

void tree_scratch_deinit(struct tree_scratch *scratch, struct graph *graph) {
    struct mem_account *owner = &graph->index.mem;
    size_t bit_bytes = bits_words(scratch->n) * sizeof(uint64_t);
    mem_free(owner, scratch->queue, scratch->n * sizeof(uint32_t));
    mem_free(owner, scratch->reached, bit_bytes);
    mem_free(owner, scratch->linked, bit_bytes);
    *scratch = (struct tree_scratch){0};
}

static void reach(struct tree_scratch *scratch, uint32_t row) {
    bits_set(scratch->reached, row);
    scratch->queue[scratch->tail++] = row;
}

/* Breadth first from a row that is reached: gives parents to all that it leads to. */
static void spread(struct graph *graph, struct tree_scratch *scratch, uint32_t from) {
    uint32_t links[2 * GRAPH_MAX_M];
    reach(scratch, from);
    while (scratch->head < scratch->tail) {
        uint32_t row = scratch->queue[scratch->head++];
        uint32_t n = link_row_read(graph, row, 0, links), children = 0;
        for (uint32_t i = 0; i < n && children < graph->degree - 1; i++) {
            if (links[i] >= scratch->n || bits_test(scratch->reached, links[i])) continue;
            tree_set_parent(graph, links[i], row);
            reach(scratch, links[i]);
            children++;
        }
    }
}

/* Link an unreached row from the nearest reached one that can take it. */
static void connect(struct graph_walk *walk, struct tree_scratch *scratch, uint32_t row,
                    uint32_t entry, uint32_t top) {
    struct graph *graph = (struct graph *)(uintptr_t)walk->graph;
    uint32_t near[64], n_near = 0;
    float dist;
    scorer_set_row(&walk->context->query, store_walk_row(walk->store, row));
    uint32_t start = walk_descend(walk, entry, top, 0, &dist);
    if (!bits_test(scratch->reached, start)) {
        start = entry;
        dist = scorer_one(&walk->context->query, store_walk_row(walk->store, entry));
    }
    uint32_t n = walk_level(walk, start, dist, 0, graph->index.options.ef_construction);
    for (uint32_t i = 0; i < n && n_near < 64; i++) {
        uint32_t candidate = key_row(walk->context->pool[i]);
        if (candidate != row && bits_test(scratch->reached, candidate)) near[n_near++] = candidate;
    }
    if (n_near == 0) near[n_near++] = entry;
    tree_adopt(graph, row, near, n_near);
    spread(graph, scratch, row);
}

uint64_t tree_rebuild(struct graph *graph, struct graph_context *context,
                      struct tree_scratch *scratch, uint32_t entry, uint32_t top) {
    uint32_t old_entry = (uint32_t)atomic_load(&graph->entry);
    struct graph_walk walk = {.graph = graph,
                              .store = rows_store(&graph->index.rows),
                              .context = context,
                              .rows_n = scratch->n};
    uint64_t connected = 0;
    __builtin_memset(scratch->reached, 0, bits_words(scratch->n) * sizeof(uint64_t));
    __builtin_memset(scratch->linked, 0, bits_words(scratch->n) * sizeof(uint64_t));
    scratch->head = scratch->tail = 0;
    for (uint32_t row = 0; row < scratch->n; row++) {
        if (tree_parent(graph, row) != ROW_NONE || row == entry || row == old_entry)
            bits_set(scratch->linked, row);
        tree_set_parent(graph, row, ROW_NONE);
    }
    atomic_store(&graph->entry, entry_pack(entry, top));
    spread(graph, scratch, entry);
    for (uint32_t row = 0; row < scratch->n; row++) {
        if (!bits_test(scratch->linked, row) || bits_test(scratch->reached, row)) continue;
        connect(&walk, scratch, row, entry, top);
        connected++;
    }
    return connected;
}
