/* The other direction of new links, with pruning where a link row overflows.
 *
 * A full row is pruned to a little less than full, so that the next few links need no pruning (`graph_roomy`): pruning on
 * every overflow costs more than the searches of a build (decision 0005). Links to the row's own children in the tree
 * are never dropped. */
#include "index/graph.h"

static bool contains(const uint32_t *rows, uint32_t n, uint32_t row) {
    for (uint32_t i = 0; i < n; i++) {
        if (rows[i] == row) return true;
    }
    return false;
}

/* Put back children that the selection dropped, in place of the farthest that are no children. */
static uint32_t keep_children(const struct graph *graph, uint32_t target, const uint32_t *before,
                              uint32_t n_before, uint32_t *kept, uint32_t n_kept, uint32_t degree) {
    for (uint32_t i = 0; i < n_before; i++) {
        uint32_t child = before[i];
        if (tree_parent(graph, child) != target || contains(kept, n_kept, child)) continue;
        if (n_kept < degree) {
            kept[n_kept++] = child;
            continue;
        }
        for (uint32_t j = n_kept; j-- > 0;) {
            if (tree_parent(graph, kept[j]) != target) {
                kept[j] = child;
                break;
            }
        }
    }
    return n_kept;
}

void reverse_links(struct graph *graph, const struct store *store, struct graph_context *context,
                   uint32_t target, uint32_t level, const uint32_t *sources, uint32_t n) {
    uint32_t links[4 * GRAPH_MAX_M], kept[2 * GRAPH_MAX_M];
    struct graph_prune prune = {graph, store, context, target};
    uint32_t degree = graph_degree(graph, level), have, done = 0;
    link_lock(graph, target);
    have = link_row_read(graph, target, level, links);
    while (done < n) {
        while (done < n && have < 2 * degree) {
            if (!contains(links, have, sources[done])) links[have++] = sources[done];
            done++;
        }
        if (have <= degree) break;
        uint32_t scored = prune_score(&prune, links, have, context->prune);
        uint32_t n_kept =
            prune_select(&prune, context->prune, scored, graph_roomy(graph, level), kept);
        if (level == 0) n_kept = keep_children(graph, target, links, have, kept, n_kept, degree);
        __builtin_memcpy(links, kept, n_kept * sizeof(*kept));
        have = n_kept;
    }
    link_row_write(graph, target, level, links, have);
    link_unlock(graph, target);
}
