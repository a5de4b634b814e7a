/* Searching the graph: descend, walk level 0, re-rank, and never come back with less than there is.
 *
 *     entry --greedy--> start --beam of ef--> pool --exact distances of the best--> k results
 *
 * Where the walk scores estimates (one-byte codes) or rounded originals, the best of the pool are scored again by the
 * float law on what is kept of the originals, so that returned distances are those of an exact scan.
 *
 * Filters. With share s of n rows passing, a scan of the passing rows costs about s*n distances and a walk that skips
 * failing rows about ef*m/s: the cheaper one runs (decision 0006). A walk that goes over its budget, or ends with
 * fewer than k rows, is replaced by the scan: a filter never costs results. */
#include <math.h>

#include "base/status.h"
#include "index/graph.h"
#include "index/rerank.h"

#define DEFAULT_EF     64u
#define SAMPLE         1024u
#define SCAN_ADVANTAGE 2.5 /* a scanned row is so much cheaper than a walked one */
#define TRIES          4u
#define OVERSAMPLE     2.0f
#define DEAD_PART      8u /* of a pool, one in so many may be dead */
#define WIDEN_MOST     8u /* else it may become so many times wider */

/* What does not change from query to query of one call. */
struct plan {
    struct graph *graph;
    const struct search_call *call;
    uint32_t ef;
    bool scan;       /* the filter lets so few pass that a scan is cheaper */
    uint64_t budget; /* rows a filtered walk may score */
};

static double passing_share(const struct rows *rows, const struct search_call *call) {
    uint32_t n = atomic_load(&rows->n), step = n / SAMPLE + 1, seen = 0, passed = 0;
    for (uint32_t row = 0; row < n; row += step) {
        seen++;
        passed += rows_is_live(rows, row) && call_passes(call, rows_id(rows, row));
    }
    return seen > 0 ? ((double)passed + 0.5) / ((double)seen + 0.5) : 0.0;
}

static void plan_init(struct plan *plan, struct graph *graph, const struct search_call *call) {
    uint32_t ef = call->ef > 0 ? call->ef : DEFAULT_EF;
    *plan = (struct plan){.graph = graph, .call = call};
    plan->ef = ef > call->k ? ef : call->k;
    if (!call->filtered) return;
    uint32_t slot = epoch_enter(&graph->index.rows.epoch);
    double n = atomic_load(&graph->index.rows.n), share = passing_share(&graph->index.rows, call);
    epoch_leave(&graph->index.rows.epoch, slot);
    plan->scan = share * share * n < SCAN_ADVANTAGE * plan->ef * graph->m;
    plan->budget = (uint64_t)(2.0 * share * n) + 16u * plan->ef;
}

static uint32_t n_dead_of(const struct graph *graph, const graph_key *keys, uint32_t n) {
    uint32_t n_dead = 0;
    if (atomic_load_explicit(&graph->n_dead, memory_order_relaxed) == 0) return 0;
    for (uint32_t i = 0; i < n; i++) n_dead += !rows_is_live(&graph->index.rows, key_row(keys[i]));
    return n_dead;
}

/* Level 0 without a filter; returns the number found, 0 when memory is short. Dead rows take places of the pool, where
 * many lie together almost all of them: then the walk begins again with so many more. */
static uint32_t walk_past_dead(struct graph_walk *walk, const struct plan *plan, const float *query,
                               uint32_t start, float dist) {
    for (uint32_t ef = plan->ef, most = WIDEN_MOST * plan->ef;;) {
        uint32_t n = walk_level(walk, start, dist, 0, ef);
        uint32_t n_dead = n_dead_of(plan->graph, walk->context->pool, n);
        bool enough = n < ef || n - n_dead >= plan->ef - plan->ef / DEAD_PART;
        if (enough || ef == most || walk->late) return n;
        ef = plan->ef + 2 * n_dead < most ? plan->ef + 2 * n_dead : most;
        if (!context_ready(walk->context, plan->graph, walk->store, walk->rows_n, ef)) return 0;
        scorer_set_query(&walk->context->query, query);
    }
}

/* The best `most` live rows of n sorted keys, moved to the front. */
static uint32_t keep_live(const struct rows *rows, graph_key *keys, uint32_t n, uint32_t most) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n && kept < most; i++) {
        keys[kept] = keys[i];
        kept += rows_is_live(rows, key_row(keys[i]));
    }
    return kept;
}

/* Put an answer into its place among `found` sorted by (distance, id), of k at most; returns how many there are then. */
static uint32_t place_answer(int64_t *ids, float *dists, uint32_t found, uint32_t k, int64_t id,
                             float dist) {
    uint32_t place = found < k ? found++ : k;
    while (place > 0 &&
           (dists[place - 1] > dist || (dists[place - 1] == dist && ids[place - 1] > id))) {
        if (place < k) {
            dists[place] = dists[place - 1];
            ids[place] = ids[place - 1];
        }
        place--;
    }
    if (place < k) {
        dists[place] = dist;
        ids[place] = id;
    }
    return found;
}

/* Exact distances of the first n keys, by exact code, as far as they matter; sorted into the k places of the answer. */
static void answer(const struct graph_walk *walk, const float *query, const graph_key *keys,
                   uint32_t n, uint32_t k, int64_t *ids, float *dists) {
    const struct rows *rows = &walk->graph->index.rows;
    const struct store *store = walk->store;
    struct graph_context *context = walk->context;
    const struct code *exact_code = store_exact_code(store);
    bool walked_exactly = exact_code == &store->walk && store->walk.kind <= CODE_BF16;
    const uint8_t *at[SCORER_BLOCK];
    float exact[SCORER_BLOCK];
    uint32_t found = 0;
    struct rerank rerank = {.k = k};
    if (!walked_exactly) {
        scorer_init(&context->other, exact_code,
                    context->scratch + context->scratch_bytes -
                        bits_round_up(scorer_bytes(exact_code), 64));
        scorer_set_query(&context->other, query);
    }
    for (uint32_t first = 0, count; first < n; first += count) {
        float tau = found < k ? INFINITY : dists[k - 1];
        if (rerank_is_over(&rerank, key_dist(keys[first]), tau)) break;
        count = walked_exactly ? n - first : rerank_next(&rerank, n - first);
        count = count < SCORER_BLOCK ? count : SCORER_BLOCK;
        for (uint32_t i = 0; i < count; i++) {
            at[i] = store_exact_row(store, key_row(keys[first + i]));
            exact[i] = key_dist(keys[first + i]);
        }
        if (!walked_exactly) rows_fetch(rows, at, count);
        if (!walked_exactly) scorer_exact_list(&context->other, at, count, exact);
        for (uint32_t i = 0; i < count; i++) {
            int64_t id = rows_id(rows, key_row(keys[first + i]));
            if (!walked_exactly) rerank_note(&rerank, key_dist(keys[first + i]), exact[i]);
            found = place_answer(ids, dists, found, k, id, exact[i]);
        }
    }
}

static uint32_t rerank_count(const struct plan *plan, const struct store *store) {
    const struct search_call *call = plan->call;
    float factor = call->oversample;
    if (factor <= 0.0f)
        factor = store->walk.quantizer ? quantizer_oversample(store->walk.quantizer)
                 : store->walk.kind <= CODE_BF16 && store_exact_code(store) == &store->walk
                     ? 1.0f
                     : OVERSAMPLE;
    double most = ceil((double)factor * call->k);
    return most < call->k ? call->k : most > plan->ef ? plan->ef : (uint32_t)most;
}

enum outcome { ANSWERED, STARVED, LATE, NO_MEMORY };

/* One query, inside the epoch. */
static enum outcome search_slot(const struct plan *plan, uint32_t slot, const float *query,
                                int64_t *ids, float *dists) {
    struct graph *graph = plan->graph;
    const struct search_call *call = plan->call;
    struct graph_context *context = context_of(graph, slot);
    const struct store *store = rows_store(&graph->index.rows);
    uint64_t entry = atomic_load_explicit(&graph->entry, memory_order_acquire);
    uint32_t rows_n = graph_rows_n(graph), n;
    float dist;
    if ((uint32_t)entry >= rows_n) return STARVED;
    if (!context || !context_ready(context, graph, store, rows_n, plan->ef) ||
        (call->filtered && !context_ready_filtered(context, graph, rows_n, plan->ef)))
        return NO_MEMORY;
    struct graph_walk walk = {.graph = graph,
                              .store = store,
                              .context = context,
                              .rows_n = rows_n,
                              .deadline = call->deadline,
                              .hidden = call->hidden <= rows_n ? call->hidden : 0};
    scorer_set_query(&context->query, query);
    uint32_t start = walk_descend(&walk, (uint32_t)entry, (uint32_t)(entry >> 32), 0, &dist);
    if (call->filtered) {
        n = walk_filtered(&walk, call, start, dist, plan->ef, plan->budget);
        if (n == UINT32_MAX) return STARVED;
    } else {
        n = walk_past_dead(&walk, plan, query, start, dist);
        if (n == 0) return NO_MEMORY;
    }
    graph_key *keys = call->filtered ? context->found : context->pool;
    if (walk.late) return LATE;
    n = keep_live(&graph->index.rows, keys, n, rerank_count(plan, store));
    if (n < call->k) return STARVED;
    answer(&walk, query, keys, n, call->k, ids, dists);
    return ANSWERED;
}

/* One query; again where what was committed meanwhile demands it (rows_moment). In the end the scan settles it. */
static enum outcome search_one(const struct plan *plan, const float *query, int64_t *ids,
                               float *dists) {
    struct rows *rows = &plan->graph->index.rows;
    for (uint32_t tries = 0; tries < TRIES; tries++) {
        struct rows_moment before = rows_moment(rows);
        uint32_t slot = epoch_enter(&rows->epoch);
        enum outcome outcome = search_slot(plan, slot, query, ids, dists);
        epoch_leave(&rows->epoch, slot);
        if (outcome != ANSWERED) return outcome;
        bool torn = rows_was_updated(rows, before);
        if (!torn && !(rows_had_removals(rows, before) && scan_has_twins(ids, plan->call->k)))
            return outcome;
    }
    return STARVED;
}

int graph_search(struct kith_index *index, const struct search_call *call, size_t n,
                 const float *queries, int64_t *ids, float *dists, kith_error *err) {
    struct graph *graph = graph_of(index);
    uint32_t dim = index->rows.config.dim, k = call->k;
    struct plan plan;
    if (!call->exact) plan_init(&plan, graph, call);
    if (call->exact || plan.scan) return scan_knn(&index->rows, call, n, queries, ids, dists, err);
    for (size_t i = 0; i < n; i++) {
        const float *query = queries + i * dim;
        enum outcome outcome = search_one(&plan, query, ids + i * k, dists + i * k);
        if (outcome == STARVED)
            TRY(scan_knn(&index->rows, call, 1, query, ids + i * k, dists + i * k, err));
        else if (outcome == LATE)
            return FAIL_AT(err, KITH_EDEADLINE, i, "deadline passed in query %zu of %zu", i, n);
        else if (outcome == NO_MEMORY)
            return FAIL(err, KITH_ENOMEM, "no memory to search %u rows with ef %u",
                        graph_rows_n(graph), plan.ef);
    }
    return KITH_OK;
}
