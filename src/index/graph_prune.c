/* Choosing neighbours: the pruning rule (Algorithm 4 of the paper, with the slack alpha of DiskANN).
 *
 * A candidate stays unless a kept one covers it: is nearer to it, by the factor alpha, than the base is. With alpha above
 * 1 fewer are dropped, and the graph bears deletes better (docs/papers.md). The rule is applied forward: each kept
 * candidate becomes a query and is scored against all later ones at once, so that scoring runs in batches.
 *
 * A candidate whose walk row is the same, byte for byte, as a kept one's is dropped too. By distances alone all copies
 * of a row would keep only each other, and a search among them would never get out again (decision 0013).
 *
 * alpha multiplies a distance. On squared distances it counts squared; a cosine is turned into the squared distance of
 * unit vectors first; for inner products, which are no distance, alpha is not used.
 *
 * Inner products. A long row has large products with everything and would cover everything. So a kept row k covers c
 * from the base b only if it does so by both measures, as an inner product and as a Euclidean distance:
 *
 *     -k.c < -b.c   and   |k|^2 - 2 k.c < |b|^2 - 2 b.c      (what |c|^2 would add stands on both sides)
 *
 * which is one comparison, -k.c + surcharge < -b.c, where a k that is longer than the base pays half of the difference
 * of the squared lengths, and others nothing (decision 0014). */
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

static bool is_product(const struct graph_prune *prune) {
    return prune->graph->index.rows.config.metric == KITH_METRIC_IP;
}

/* Make a row the query; returns its squared length under inner product, 0 under metrics that do not ask. */
static float take_query(const struct graph_prune *prune, uint32_t row) {
    const uint8_t *at = store_walk_row(prune->store, row);
    scorer_set_row(&prune->context->other, at);
    return is_product(prune) ? -scorer_one(&prune->context->other, at) : 0.0f;
}

/* What remains of n sorted candidates when their first is kept; it is the query. */
static uint32_t drop_covered(const struct graph_prune *prune, graph_key *candidates, uint32_t n,
                             float surcharge) {
    enum { BATCH = SCORER_BLOCK };
    const uint8_t *at[BATCH];
    float dist[BATCH];
    kith_metric metric = prune->graph->index.rows.config.metric;
    float factor = slack_factor(prune->graph);
    graph_key kept = candidates[0];
    uint32_t left = 0;
    for (uint32_t first = 1; first < n; first += BATCH) {
        uint32_t count = n - first < BATCH ? n - first : BATCH;
        for (uint32_t i = 0; i < count; i++)
            at[i] = store_walk_row(prune->store, key_row(candidates[first + i]));
        scorer_list(&prune->context->other, at, count, dist);
        for (uint32_t i = 0; i < count; i++) {
            graph_key key = candidates[first + i];
            float to_base = as_length(metric, key_dist(key));
            float to_kept = as_length(metric, dist[i]) + surcharge;
            candidates[left] = key;
            left += !(factor * to_kept < to_base) && !is_copy(prune->store, kept, key);
        }
    }
    return left;
}

uint32_t prune_select(const struct graph_prune *prune, graph_key *candidates, uint32_t n,
                      uint32_t m, uint32_t *out) {
    float sq_base = is_product(prune) ? take_query(prune, prune->base) : 0.0f;
    uint32_t kept = 0;
    while (n > 0) {
        out[kept++] = key_row(candidates[0]);
        if (kept == m) break;
        float longer = take_query(prune, out[kept - 1]) - sq_base;
        n = drop_covered(prune, candidates, n, longer > 0.0f ? 0.5f * longer : 0.0f);
    }
    return kept;
}

/* Shell's sort, with Ciura's gaps of 2001: some hundred keys at most. */
static void keys_sort(graph_key *keys, uint32_t n) {
    static const uint32_t gaps[] = {132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++) {
        uint32_t gap = gaps[g];
        for (uint32_t i = gap; i < n; i++) {
            graph_key key = keys[i];
            uint32_t at = i;
            for (; at >= gap && keys[at - gap] > key; at -= gap) keys[at] = keys[at - gap];
            keys[at] = key;
        }
    }
}

uint32_t prune_score(const struct graph_prune *prune, const uint32_t *rows, uint32_t n,
                     graph_key *out) {
    enum { BATCH = SCORER_BLOCK };
    const uint8_t *at[BATCH];
    float dist[BATCH];
    uint32_t kept = 0;
    scorer_set_row(&prune->context->other, store_walk_row(prune->store, prune->base));
    for (uint32_t first = 0; first < n; first += BATCH) {
        uint32_t count = n - first < BATCH ? n - first : BATCH;
        for (uint32_t i = 0; i < count; i++) at[i] = store_walk_row(prune->store, rows[first + i]);
        scorer_list(&prune->context->other, at, count, dist);
        for (uint32_t i = 0; i < count; i++) {
            out[kept] = key_make(dist[i], rows[first + i]);
            kept += rows[first + i] != prune->base;
        }
    }
    keys_sort(out, kept);
    return kept;
}
