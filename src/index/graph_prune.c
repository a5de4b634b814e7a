/* Choosing neighbours: the pruning rule (Algorithm 4 of the paper, with the slack alpha of DiskANN).
 *
 * A candidate stays unless a kept one is nearer to it, by the factor alpha, than the base is. With alpha above 1 fewer
 * are dropped, and the graph bears deletes better (docs/papers.md). The rule is applied forward: each kept candidate
 * becomes a query and is scored against all later ones at once, so that scoring runs in batches.
 *
 * A candidate whose walk row is the same, byte for byte, as a kept one's is dropped too. By distances alone all copies
 * of a row would keep only each other, and a search among them would never get out again (decision 0013).
 *
 * alpha multiplies a distance. On squared distances it counts squared; a cosine is turned into the squared distance of
 * unit vectors first; for inner products, which are no distance, alpha is not used. */
#include "index/graph.h"

/* A distance on which a factor means something. */
static inline float as_length(kith_metric metric, float dist) {
    return metric == KITH_METRIC_COSINE ? 1.0f + dist : dist;
}

/* Rows that are the same are at the same distance from the base: only then are the bytes looked at. */
static bool is_copy(const struct store *store, graph_key kept, graph_key key) {
    return kept >> 32 == key >> 32 && graph_is_copy(store, key_row(kept), key_row(key));
}

static float slack_factor(const struct graph *graph) {
    switch (graph->index.rows.config.metric) {
    case KITH_METRIC_IP: return 1.0f;
    case KITH_METRIC_L1: return graph->alpha;
    default: return graph->alpha * graph->alpha;
    }
}

uint32_t prune_select(const struct graph *graph, const struct store *store,
                      struct graph_context *context, graph_key *candidates, uint32_t n, uint32_t m,
                      uint32_t *out) {
    enum { BATCH = SCORER_BLOCK };
    const uint8_t *at[BATCH];
    float dist[BATCH];
    kith_metric metric = graph->index.rows.config.metric;
    float factor = slack_factor(graph);
    uint32_t kept = 0;
    /* candidates[0, n) shrinks from both ends: its first is kept, the rest is filtered in place. */
    while (n > 0) {
        graph_key base = candidates[0];
        out[kept++] = key_row(base);
        if (kept == m) break;
        scorer_set_row(&context->other, store_walk_row(store, key_row(base)));
        uint32_t left = 0;
        for (uint32_t first = 1; first < n; first += BATCH) {
            uint32_t count = n - first < BATCH ? n - first : BATCH;
            for (uint32_t i = 0; i < count; i++)
                at[i] = store_walk_row(store, key_row(candidates[first + i]));
            scorer_list(&context->other, at, count, dist);
            for (uint32_t i = 0; i < count; i++) {
                graph_key key = candidates[first + i];
                float to_base = as_length(metric, key_dist(key));
                float to_kept = as_length(metric, dist[i]);
                candidates[left] = key;
                left += !(factor * to_kept < to_base) && !is_copy(store, base, key);
            }
        }
        n = left;
    }
    return kept;
}

static void keys_sort(graph_key *keys, uint32_t n) {
    for (uint32_t i = 1; i < n; i++) {
        graph_key key = keys[i];
        uint32_t at = i;
        for (; at > 0 && keys[at - 1] > key; at--) keys[at] = keys[at - 1];
        keys[at] = key;
    }
}

uint32_t prune_score(const struct store *store, struct graph_context *context, uint32_t base,
                     const uint32_t *rows, uint32_t n, graph_key *out) {
    enum { BATCH = SCORER_BLOCK };
    const uint8_t *at[BATCH];
    float dist[BATCH];
    uint32_t kept = 0;
    scorer_set_row(&context->other, store_walk_row(store, base));
    for (uint32_t first = 0; first < n; first += BATCH) {
        uint32_t count = n - first < BATCH ? n - first : BATCH;
        for (uint32_t i = 0; i < count; i++) at[i] = store_walk_row(store, rows[first + i]);
        scorer_list(&context->other, at, count, dist);
        for (uint32_t i = 0; i < count; i++) {
            out[kept] = key_make(dist[i], rows[first + i]);
            kept += rows[first + i] != base;
        }
    }
    keys_sort(out, kept);
    return kept;
}
