/* Removing rows: invisible at once, unlinked soon, reused after.
 *
 * A removed row is dead: no search returns it, but it still leads walks on until enough rows are dead (one in
 * DEAD_SHARE). Then one sweep unlinks them all, after FreshDiskANN (Singh et al. 2021, Algorithm 4): each row that leads
 * to dead ones takes the neighbours of those in their place, through further dead rows where a whole region went, and
 * is pruned. At last the tree is built anew, which connects whatever lost its way, and the dead rows are free.
 *
 * So the cost a removed row is about DEAD_SHARE link rows read, and no link to a removed row outlives the sweep. */
#include "base/status.h"
#include "index/graph.h"

#define DEAD_SHARE      64u
#define DEAD_MIN        16u
#define MOST_CANDIDATES 512u
#define LIVE_A_LINK \
    4u /* of the candidates for each link that is wanted, so many live ones are enough */

struct sweep {
    struct graph *graph;
    const struct store *store;
    uint64_t *dead;
    struct graph_context *context;
    uint8_t mark; /* of the rows that were offered, in context->visited */
    uint32_t candidate[MOST_CANDIDATES];
    uint32_t n, n_live, most_live;
};

static bool is_enough(const struct sweep *sweep) {
    return sweep->n == MOST_CANDIDATES || sweep->n_live >= sweep->most_live;
}

/* A row becomes a candidate once. */
static void offer(struct sweep *sweep, uint32_t row) {
    uint8_t *seen = &sweep->context->visited[row];
    if (*seen == sweep->mark || is_enough(sweep)) return;
    *seen = sweep->mark;
    sweep->candidate[sweep->n++] = row;
    sweep->n_live += !bits_test(sweep->dead, row);
}

/* Link one row's level anew without its dead neighbours. */
static void relink(struct sweep *sweep, uint32_t row, uint32_t level) {
    struct graph *graph = sweep->graph;
    uint32_t links[2 * GRAPH_MAX_M], degree = graph_degree(graph, level);
    uint32_t n = link_row_read(graph, row, level, links), n_dead = 0;
    for (uint32_t i = 0; i < n; i++) n_dead += bits_test(sweep->dead, links[i]);
    if (n_dead == 0) return;
    /* Neighbours first, then, breadth first, those of the dead among the candidates. */
    sweep->n = sweep->n_live = 0;
    sweep->most_live = LIVE_A_LINK * degree;
    sweep->mark = context_mark(sweep->context);
    for (uint32_t i = 0; i < n; i++) offer(sweep, links[i]);
    for (uint32_t at = 0; at < sweep->n && !is_enough(sweep); at++) {
        if (!bits_test(sweep->dead, sweep->candidate[at])) continue;
        n = link_row_read(graph, sweep->candidate[at], level, links);
        for (uint32_t i = 0; i < n; i++) offer(sweep, links[i]);
    }
    uint32_t alive = 0;
    for (uint32_t i = 0; i < sweep->n; i++) {
        if (!bits_test(sweep->dead, sweep->candidate[i]) && sweep->candidate[i] != row)
            sweep->candidate[alive++] = sweep->candidate[i];
    }
    struct graph_prune prune = {graph, sweep->store, sweep->context, row};
    uint32_t scored = prune_score(&prune, sweep->candidate, alive, sweep->context->prune);
    uint32_t kept = prune_select(&prune, sweep->context->prune, scored, degree, links);
    link_row_write(graph, row, level, links, kept);
}

/* The row that is to be the entry when the dead are gone: the highest that stays; ROW_NONE if none does. */
static uint32_t next_entry(const struct graph *graph, const uint64_t *dead, uint32_t n,
                           uint32_t *top) {
    uint32_t entry = (uint32_t)atomic_load(&graph->entry), best = ROW_NONE;
    *top = 0;
    for (uint32_t row = 0; row < n; row++) {
        if (bits_test(dead, row) || (tree_parent(graph, row) == ROW_NONE && row != entry)) continue;
        uint32_t level = graph_level_of(graph, row);
        if (best == ROW_NONE || level > *top || (level == *top && row == entry)) {
            best = row;
            *top = level;
        }
    }
    return best;
}

static void sweep_rows(struct sweep *sweep, uint32_t n) {
    struct graph *graph = sweep->graph;
    uint32_t entry = (uint32_t)atomic_load(&graph->entry);
    for (uint32_t row = 0; row < n; row++) {
        if (bits_test(sweep->dead, row) || (tree_parent(graph, row) == ROW_NONE && row != entry))
            continue;
        for (uint32_t level = graph_level_of(graph, row) + 1; level-- > 0;)
            relink(sweep, row, level);
    }
}

/* The caller holds `removals`, and `writers` exclusively. */
static int unlink_dead(struct graph *graph, kith_error *err) {
    struct mem_account *owner = &graph->index.mem;
    struct sweep *sweep = mem_new(owner, sizeof(*sweep));
    struct tree_scratch tree = {0};
    uint32_t n = graph_rows_n(graph), ef = graph->index.options.ef_construction, top;
    size_t bit_bytes = bits_words(n) * sizeof(uint64_t);
    uint64_t *dead = mem_new(owner, bit_bytes);
    uint32_t slot = epoch_enter(&graph->index.rows.epoch);
    const struct store *store = rows_store(&graph->index.rows);
    int code = KITH_OK;
    struct graph_context *context = context_of(graph, slot);
    if (!sweep || !dead || !context || !tree_scratch_init(&tree, graph, n) ||
        !context_ready(context, graph, store, n, ef > MOST_CANDIDATES ? ef : MOST_CANDIDATES)) {
        code = FAIL(err, KITH_ENOMEM, "no memory to unlink %u rows of %u", graph->n_dead, n);
        goto done;
    }
    for (uint32_t i = 0; i < graph->n_dead; i++) bits_set(dead, graph->dead[i]);
    *sweep = (struct sweep){.graph = graph, .store = store, .dead = dead, .context = context};
    sweep_rows(sweep, n);
    uint32_t entry = next_entry(graph, dead, n, &top);
    for (uint32_t i = 0; i < graph->n_dead; i++) tree_set_parent(graph, graph->dead[i], ROW_NONE);
    atomic_store(&graph->entry, entry_pack(entry, top));
    if (entry != ROW_NONE) tree_rebuild(graph, context, &tree, entry, top);
done:
    epoch_leave(&graph->index.rows.epoch, slot);
    tree_scratch_deinit(&tree, graph);
    mem_free(owner, dead, bit_bytes);
    mem_free(owner, sweep, sizeof(*sweep));
    if (code == KITH_OK) {
        TRY(rows_release(&graph->index.rows, graph->n_dead, graph->dead, err));
        graph->n_dead = 0;
    }
    return code;
}

bool graph_reserve_dead(struct graph *graph, size_t n) {
    size_t need = graph->n_dead + n;
    if (need <= graph->dead_cap) return true;
    size_t cap = need + need / 2;
    uint32_t *grown = mem_resize(&graph->index.mem, graph->dead, graph->dead_cap * sizeof(uint32_t),
                                 cap * sizeof(uint32_t));
    if (!grown) return false;
    graph->dead = grown;
    graph->dead_cap = (uint32_t)cap;
    return true;
}

void graph_unlink_some(struct graph *graph) {
    kith_error later;
    if (graph->n_dead < DEAD_MIN || graph->n_dead < graph_rows_n(graph) / DEAD_SHARE) return;
    pthread_rwlock_wrlock(&graph->writers);
    /* The rows are removed already: if memory is short now, the sweep comes with a later call. */
    (void)unlink_dead(graph, &later);
    pthread_rwlock_unlock(&graph->writers);
}

int graph_remove(struct kith_index *index, size_t n, const int64_t *ids, kith_error *err) {
    struct graph *graph = graph_of(index);
    int code;
    pthread_mutex_lock(&graph->removals);
    if (graph_reserve_dead(graph, n))
        code = rows_remove(&index->rows, n, ids, graph->dead + graph->n_dead, err);
    else
        code = FAIL(err, KITH_ENOMEM, "no memory to remove %zu rows", n);
    if (code == KITH_OK) {
        graph->n_dead += (uint32_t)n;
        graph_unlink_some(graph);
    }
    pthread_mutex_unlock(&graph->removals);
    return code;
}
