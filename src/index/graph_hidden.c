/* Walking as if a row had never been added: what stands for it in the links of others.
 *
 * Without the hidden row, its neighbours would be linked to each other in its place. So where a walk expands a row that
 * leads to the hidden one, it also follows the links that the row would get if the hidden one were removed: those that
 * pruning chooses from its own links and the hidden row's, as the sweep after removals does (graph_remove.c). Leaving
 * the links out instead told 0.02 to 0.04 less recall than queries from outside the index had (decision 0029).
 *
 * For calibration alone: each such row costs a pruning. */
#include "index/graph.h"

enum { MOST = 4 * GRAPH_MAX_M, LINKS_A_STAND_IN = 48 };

static bool leads_to(const uint32_t *links, uint32_t n, uint32_t row) {
    uint32_t i = 0;
    while (i < n && links[i] != row) i++;
    return i < n;
}

/* One stand-in for each LINKS_A_STAND_IN links a row has, and for the rest one with that chance. */
static uint32_t share_of(const struct graph *graph, uint32_t row, uint32_t hidden) {
    uint32_t chance = (uint32_t)(bits_mix((uint64_t)hidden << 32 | row) % LINKS_A_STAND_IN);
    return (graph->degree + chance) / LINKS_A_STAND_IN;
}

uint32_t hidden_stand_ins(const struct graph_walk *walk, uint32_t row, uint32_t level,
                          uint32_t *out) {
    uint32_t hidden = walk->hidden - 1, candidate[MOST], kept[2 * GRAPH_MAX_M];
    graph_key key[MOST];
    uint32_t n_own = link_row_read(walk->graph, row, level, candidate);
    uint32_t most = share_of(walk->graph, row, hidden);
    if (most == 0) return 0;
    if (!leads_to(candidate, n_own, hidden)) return 0;
    if (graph_level_of(walk->graph, hidden) < level) return 0;
    uint32_t n = n_own + link_row_read(walk->graph, hidden, level, candidate + n_own), some = 0;
    for (uint32_t i = 0; i < n; i++) {
        bool known = candidate[i] == hidden || candidate[i] == row ||
                     candidate[i] >= walk->rows_n ||
                     (i >= n_own && leads_to(candidate, some, candidate[i]));
        candidate[some] = candidate[i];
        some += !known;
    }
    struct graph_prune prune = {walk->graph, walk->store, walk->context, row};
    uint32_t scored = prune_score(&prune, candidate, some, key);
    uint32_t n_kept = prune_select(&prune, key, scored, graph_degree(walk->graph, level), kept),
             n_out = 0;
    n_own = link_row_read(walk->graph, row, level, candidate);
    for (uint32_t i = 0; i < n_kept && n_out < most; i++)
        if (!leads_to(candidate, n_own, kept[i])) out[n_out++] = kept[i];
    return n_out;
}
