/* Walking the graph: greedy descent, and the beam search of one level (Algorithm 2 of the paper).
 *
 * One sorted array of keys serves as candidates and results at once: the first key whose links have not been followed
 * is the next to expand, the array is cut at ef, and the walk ends when all have been followed. For each expanded row
 * the neighbours not yet seen are gathered first, then scored together, so that the scorer can prefetch one row while
 * it scores another; the link row of the next candidate is fetched meanwhile.
 *
 * A walk that looks for a new row's neighbours takes one of the copies of a row (decision 0013): a pool full of copies
 * would say nothing about where else the row lies.
 *
 * Links are read while other threads may rewrite them: any mix of old and new links is a legal neighbour list. */
#include "base/clock.h"
#include "index/graph.h"

#define DEADLINE_EVERY 32u

/* Unseen neighbours of one row: numbers and addresses of their walk rows. */
struct unseen {
    uint32_t n;
    uint32_t row[2 * GRAPH_MAX_M];
    const uint8_t *at[2 * GRAPH_MAX_M];
    float dist[2 * GRAPH_MAX_M];
};

static inline void prefetch_links(const struct graph *graph, uint32_t row, uint32_t level) {
    const char *line = (const char *)graph_links(graph, row, level);
    __builtin_prefetch(line);
    __builtin_prefetch(line + 64);
}

static inline void gather_unseen(const struct graph_walk *walk, uint32_t row, uint32_t level,
                                 uint8_t mark, struct unseen *unseen) {
    const struct segs *codes = &walk->store->walk_rows;
    unseen->n = 0;
    const _Atomic uint32_t *links = graph_links_if(walk->graph, row, level);
    if (!links) return;
    uint32_t degree = graph_degree(walk->graph, level);
    uint8_t *visited = walk->context->visited;
    uint32_t n = 0;
    for (uint32_t i = 0; i < degree; i++) {
        uint32_t to = link_load(&links[i]);
        if (to >= walk->rows_n) {
            if (to == ROW_NONE) break;
            continue;
        }
        /* Branch-free: written always, kept when unseen. */
        unseen->row[n] = to;
        unseen->at[n] = segs_at(codes, to);
        n += visited[to] != mark;
        visited[to] = mark;
    }
    unseen->n = n;
    /* First and last lines now, what lies between when the scorer gets near. gcc 12 keeps only the first of several
     * prefetches in a loop unless something stands between them. */
    uint32_t last = walk->store->walk.stride - 1;
    for (uint32_t i = 0; i < n; i++) {
        __builtin_prefetch(unseen->at[i]);
        atomic_signal_fence(memory_order_seq_cst);
        __builtin_prefetch(unseen->at[i] + last);
        atomic_signal_fence(memory_order_seq_cst);
    }
}

/* A new mark, under which the hidden row is seen already. */
static inline uint8_t fresh_mark(const struct graph_walk *walk) {
    uint8_t mark = context_mark(walk->context);
    if (walk->hidden) walk->context->visited[walk->hidden - 1] = mark;
    return mark;
}

/* The unseen rows that stand for the hidden one among a row's links. Where they find no room, the row has enough links. */
static void gather_stand_ins(const struct graph_walk *walk, uint32_t row, uint32_t level,
                             uint8_t mark, struct unseen *unseen) {
    uint32_t to[2 * GRAPH_MAX_M], n = hidden_stand_ins(walk, row, level, to);
    uint8_t *visited = walk->context->visited;
    for (uint32_t i = 0; i < n && unseen->n < 2 * GRAPH_MAX_M; i++) {
        if (visited[to[i]] == mark) continue;
        visited[to[i]] = mark;
        unseen->row[unseen->n] = to[i];
        unseen->at[unseen->n++] = segs_at(&walk->store->walk_rows, to[i]);
    }
}

static bool deadline_passed(struct graph_walk *walk, uint32_t *countdown) {
    if (walk->deadline == 0 || --*countdown > 0) return false;
    *countdown = DEADLINE_EVERY;
    walk->late = clock_ns() >= walk->deadline;
    return walk->late;
}

uint32_t walk_descend(struct graph_walk *walk, uint32_t entry, uint32_t top, uint32_t level,
                      float *dist) {
    struct unseen near;
    uint32_t best = entry;
    float best_dist = scorer_one(&walk->context->query, store_walk_row(walk->store, entry));
    for (uint32_t at = top; at > level; at--) {
        uint8_t mark = fresh_mark(walk);
        for (uint32_t from = ROW_NONE; from != best;) {
            from = best;
            gather_unseen(walk, from, at, mark, &near);
            if (walk->hidden) gather_stand_ins(walk, from, at, mark, &near);
            scorer_list(&walk->context->query, near.at, near.n, near.dist);
            for (uint32_t i = 0; i < near.n; i++) {
                if (near.dist[i] < best_dist) {
                    best_dist = near.dist[i];
                    best = near.row[i];
                }
            }
        }
    }
    *dist = best_dist;
    return best;
}

/* The place of a key among n sorted ones. The search has no branch that depends on the data. */
static inline uint32_t sorted_place(const graph_key *keys, uint32_t n, graph_key key) {
    const graph_key *low = keys;
    uint32_t left = n;
    while (left > 1) {
        uint32_t half = left / 2;
        low += low[half - 1] < key ? half : 0;
        left -= half;
    }
    return (uint32_t)(low - keys) + (n > 0 && *low < key);
}

/* Insert into keys sorted ascending, n of at most cap, at its place; the last falls off when full. */
static inline void sorted_put(graph_key *keys, uint32_t *n, uint32_t cap, uint32_t place,
                              graph_key key) {
    uint32_t last = *n < cap ? (*n)++ : cap - 1;
    __builtin_memmove(&keys[place + 1], &keys[place], (last - place) * sizeof(*keys));
    keys[place] = key;
}

static inline void sorted_insert(graph_key *keys, uint32_t *n, uint32_t cap, graph_key key) {
    sorted_put(keys, n, cap, sorted_place(keys, *n, key), key);
}

/* One of n sorted keys is a copy of key's row: copies are at the same distance, and so next to its place. */
static bool has_copy(const struct store *store, const graph_key *keys, uint32_t n, uint32_t place,
                     graph_key key) {
    for (uint32_t i = place; i < n && keys[i] >> 32 == key >> 32; i++) {
        if (graph_is_copy(store, key_row(keys[i]), key_row(key))) return true;
    }
    for (uint32_t i = place; i > 0 && keys[i - 1] >> 32 == key >> 32; i--) {
        if (graph_is_copy(store, key_row(keys[i - 1]), key_row(key))) return true;
    }
    return false;
}

/* With `distinct` the pool takes one of the copies of a row. A constant at each call, so that searches do not ask. */
static inline uint32_t walk_beam(struct graph_walk *walk, uint32_t start, float start_dist,
                                 uint32_t level, uint32_t ef, bool distinct) {
    struct graph_context *context = walk->context;
    struct unseen near;
    graph_key *pool = context->pool;
    uint8_t mark = fresh_mark(walk);
    uint32_t n = 1, cursor = 0, countdown = DEADLINE_EVERY;
    pool[0] = key_make(start_dist, start);
    context->visited[start] = mark;
    while (cursor < n && !deadline_passed(walk, &countdown)) {
        uint32_t row = key_row(pool[cursor]);
        pool[cursor] |= 1;
        while (++cursor < n && (pool[cursor] & 1))
            ;
        if (cursor < n) prefetch_links(walk->graph, key_row(pool[cursor]), level);
        gather_unseen(walk, row, level, mark, &near);
        if (walk->hidden) gather_stand_ins(walk, row, level, mark, &near);
        scorer_list(&context->query, near.at, near.n, near.dist);
        for (uint32_t i = 0; i < near.n; i++) {
            graph_key key = key_make(near.dist[i], near.row[i]);
            if (n == ef && key >= pool[n - 1]) continue;
            uint32_t place = sorted_place(pool, n, key);
            if (distinct && has_copy(walk->store, pool, n, place, key)) continue;
            sorted_put(pool, &n, ef, place, key);
            if (place < cursor) cursor = place;
        }
    }
    return n;
}

uint32_t walk_level(struct graph_walk *walk, uint32_t start, float start_dist, uint32_t level,
                    uint32_t ef) {
    return walk_beam(walk, start, start_dist, level, ef, false);
}

uint32_t walk_distinct(struct graph_walk *walk, uint32_t start, float start_dist, uint32_t level,
                       uint32_t ef) {
    return walk_beam(walk, start, start_dist, level, ef, true);
}

static void heap_push(graph_key *heap, uint32_t n, graph_key key) {
    uint32_t at = n;
    while (at > 0 && heap[(at - 1) / 2] > key) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = key;
}

/* Take the least of n; n is at least 1. */
static graph_key heap_pop(graph_key *heap, uint32_t n) {
    graph_key least = heap[0], moved = heap[n - 1];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= n - 1) break;
        if (child + 1 < n - 1 && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= moved) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
    return least;
}

static bool row_passes(const struct graph_walk *walk, const struct search_call *call,
                       uint32_t row) {
    const struct rows *rows = &walk->graph->index.rows;
    return rows_is_live(rows, row) && call_passes(call, rows_id(rows, row));
}

uint32_t walk_filtered(struct graph_walk *walk, const struct search_call *call, uint32_t start,
                       float start_dist, uint32_t ef, uint64_t budget) {
    struct graph_context *context = walk->context;
    struct unseen near;
    graph_key *heap = context->pool, *found = context->found;
    uint8_t mark = context_mark(context);
    uint32_t n = 1, n_found = 0, countdown = DEADLINE_EVERY;
    uint64_t scored = 1;
    heap[0] = key_make(start_dist, start);
    context->visited[start] = mark;
    if (row_passes(walk, call, start)) sorted_insert(found, &n_found, ef, heap[0]);
    while (n > 0 && !deadline_passed(walk, &countdown)) {
        graph_key next = heap_pop(heap, n--);
        if (n_found == ef && next > found[ef - 1]) break;
        if (scored > budget) return UINT32_MAX;
        gather_unseen(walk, key_row(next), 0, mark, &near);
        scorer_list(&context->query, near.at, near.n, near.dist);
        scored += near.n;
        for (uint32_t i = 0; i < near.n; i++) {
            graph_key key = key_make(near.dist[i], near.row[i]);
            if (n_found == ef && key >= found[ef - 1]) continue;
            heap_push(heap, n++, key);
            if (row_passes(walk, call, near.row[i])) sorted_insert(found, &n_found, ef, key);
        }
    }
    return n_found;
}
