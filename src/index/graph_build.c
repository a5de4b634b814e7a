/* Adding rows to the graph: deterministic batches (after ParlayANN: Manohar et al. 2024).
 *
 * Rows are linked in batches, small at first and then a fixed share of what is linked already. In each batch
 *   1. every new row searches the graph as it was before the batch, and chooses its neighbours    (parallel by row)
 *   2. new rows' own links are written, and the links back are grouped by target, level by level
 *   3. every target takes in its group, pruning when its link row overflows                       (parallel by target)
 *   4. every new row is given its parent in the tree (graph_tree.c), in order
 * Rows of one batch do not see each other, and neighbours often stand next to each other in a file, so bulk adds link
 * rows in an order shuffled by the seed: with the rows of wordnet-sg-100 in file order recall at ef 128 was 0.967,
 * shuffled it is 0.985. No step depends on timing, so the same rows, options and seed give the same graph at any number of threads.
 *
 * A row that takes the place of a removed one comes into a graph whose rows are all there already: few that come later
 * will add links to it, as they do while a graph grows. So it chooses more neighbours at once (decision 0015).
 *
 * All memory is had before the first link is written: from there an add cannot fail. Small adds run beside each other
 * (`writers` shared); bulk adds, and the rare row that becomes the entry, have the graph for themselves. */
#include <stdlib.h>

#include "base/status.h"
#include "index/graph.h"
#include "index/rows_stream.h"

#define BATCH_MAX     4096u
#define BATCH_SHARE   50u /* a batch is at most 1/50 of the final size */
#define BATCH_GROWTH  8u  /* and at most 1/8 of what the add has linked */
#define BULK_MIN      256u
#define SMALL_GRAPH   1024u
#define BUILD_THREADS 64u
#define GRAIN         4u

/* A link back: which row of the batch (by its first slot) wants to be led to by target. */
struct edge {
    uint32_t target;
    uint32_t source;
};

/* Where the descent for a row of the batch lands on levels 3, 2 and 1: near rows land near each other. */
struct landing {
    uint32_t at[3];
    uint32_t i;
};

struct build {
    struct graph *graph;
    const struct store *store;
    const uint32_t *rows; /* the batch */
    uint32_t n;
    uint32_t entry, top; /* as before the batch */
    uint32_t rows_n;
    uint32_t reused_n; /* rows below this take the places of removed ones */
    uint32_t base; /* the lowest level that is linked here: 1 where level 0 came with the rows */
    uint32_t threads;
    uint32_t slots[BUILD_THREADS]; /* reader slots whose contexts the workers use */
    /* Chosen neighbours: slot i belongs to one (row, level); a row's slots are consecutive, level 0 first. */
    uint32_t *first_slot;     /* a batch row */
    uint32_t *chosen;         /* slots x 2m */
    uint32_t *n_chosen;       /* a slot */
    struct landing *landings; /* the batch in the order in which step 1 takes it */
    struct edge *edges, *sorted;
    uint32_t *group_at; /* starts of groups of equal targets, and one past the last */
    uint32_t level;     /* step 3: the level at hand */
    uint32_t batch_cap, slot_cap, edge_cap;
    struct tree_scratch tree; /* bulk adds only */
};

static struct graph_context *worker_context(const struct build *build, uint32_t worker) {
    return build->graph->context[build->slots[worker]];
}

static uint32_t *slot_links(const struct build *build, uint32_t slot) {
    return build->chosen + (size_t)slot * build->graph->degree;
}

/* Step 1 for one row. */
static void choose_neighbours(struct build *build, struct graph_context *context, uint32_t i) {
    struct graph *graph = build->graph;
    uint32_t row = build->rows[i], level = graph_level_of(graph, row);
    uint32_t start_level = level < build->top ? level : build->top;
    struct graph_walk walk = {
        .graph = graph, .store = build->store, .context = context, .rows_n = build->rows_n};
    struct graph_prune prune = {graph, build->store, context, row};
    float dist;
    for (uint32_t l = 0; l <= level; l++) build->n_chosen[build->first_slot[i] + l] = 0;
    scorer_set_row(&context->query, store_walk_row(build->store, row));
    uint32_t start = walk_descend(&walk, build->entry, build->top, start_level, &dist);
    for (uint32_t l = start_level + 1; l-- > build->base;) {
        uint32_t slot = build->first_slot[i] + l;
        uint32_t n = walk_distinct(&walk, start, dist, l, graph->index.options.ef_construction);
        start = key_row(context->pool[0]);
        dist = key_dist(context->pool[0]);
        uint32_t most = l == 0 && row < build->reused_n ? graph_roomy(graph, 0) : graph->m;
        build->n_chosen[slot] =
            prune_select(&prune, context->pool, n, most, slot_links(build, slot));
    }
}

static void choose_body(void *arg, uint32_t worker, size_t begin, size_t end) {
    struct build *build = arg;
    for (size_t i = begin; i < end; i++)
        choose_neighbours(build, worker_context(build, worker), build->landings[i].i);
}

static void land_body(void *arg, uint32_t worker, size_t begin, size_t end) {
    struct build *build = arg;
    struct graph_context *context = worker_context(build, worker);
    struct graph_walk walk = {
        .graph = build->graph, .store = build->store, .context = context, .rows_n = build->rows_n};
    float dist;
    for (size_t i = begin; i < end; i++) {
        struct landing *landing = &build->landings[i];
        uint32_t at = build->entry, from = build->top;
        scorer_set_row(&context->query, store_walk_row(build->store, build->rows[i]));
        landing->i = (uint32_t)i;
        for (uint32_t level = 3; level > 0; level--) {
            at = walk_descend(&walk, at, from, from < level ? from : level - 1, &dist);
            from = from < level ? from : level - 1;
            landing->at[3 - level] = at;
        }
    }
}

static int landing_order(const void *a, const void *b) {
    const struct landing *x = a, *y = b;
    for (uint32_t i = 0; i < 3; i++) {
        if (x->at[i] != y->at[i]) return x->at[i] < y->at[i] ? -1 : 1;
    }
    return x->i < y->i ? -1 : 1;
}

/* Take near rows one after the other: their searches read the same rows, which are in the cache then. The order does not
 * matter to the result. */
static void order_batch(struct build *build) {
    thread_for(build->threads, build->n, 4 * GRAIN, land_body, build);
    qsort(build->landings, build->n, sizeof(*build->landings), landing_order);
}

/* Step 3 for a range of targets. */
static void reverse_body(void *arg, uint32_t worker, size_t begin, size_t end) {
    struct build *build = arg;
    uint32_t sources[64];
    for (size_t group = begin; group < end; group++) {
        uint32_t at = build->group_at[group], last = build->group_at[group + 1];
        while (at < last) {
            uint32_t target = build->sorted[at].target, n = 0;
            while (at < last && n < 64) sources[n++] = build->rows[build->sorted[at++].source];
            reverse_links(build->graph, build->store, worker_context(build, worker), target,
                          build->level, sources, n);
        }
    }
}

/* Stable radix sort of n edges by target: build->edges into build->sorted. */
static void sort_edges(struct build *build, uint32_t n) {
    struct edge *from = build->edges, *to = build->sorted;
    for (uint32_t shift = 0; shift < 32; shift += 8) {
        uint32_t start[257] = {0};
        for (uint32_t i = 0; i < n; i++) start[((from[i].target >> shift) & 255u) + 1]++;
        for (uint32_t d = 0; d < 256; d++) start[d + 1] += start[d];
        for (uint32_t i = 0; i < n; i++) to[start[(from[i].target >> shift) & 255u]++] = from[i];
        struct edge *swap = from;
        from = to;
        to = swap;
    }
    /* Four passes: the result is back where it began. */
    build->edges = to;
    build->sorted = from;
}

/* Steps 2 and 3 on one level. */
static void link_back(struct build *build, uint32_t level) {
    uint32_t n = 0, groups = 0;
    for (uint32_t i = 0; i < build->n; i++) {
        if (graph_level_of(build->graph, build->rows[i]) < level) continue;
        uint32_t slot = build->first_slot[i] + level;
        for (uint32_t j = 0; j < build->n_chosen[slot]; j++)
            build->edges[n++] = (struct edge){slot_links(build, slot)[j], i};
    }
    if (n == 0) return;
    sort_edges(build, n);
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || build->sorted[i].target != build->sorted[i - 1].target)
            build->group_at[groups++] = i;
    }
    build->group_at[groups] = n;
    build->level = level;
    thread_for(build->threads, groups, 4 * GRAIN, reverse_body, build);
}

/* The first row of all, or one of a higher level than the entry: only with the graph for ourselves. */
static void take_entry(struct build *build) {
    uint32_t best = ROW_NONE, top = build->top;
    for (uint32_t i = 0; i < build->n; i++) {
        uint32_t level = graph_level_of(build->graph, build->rows[i]);
        if (build->entry == ROW_NONE ? best == ROW_NONE || level > top : level > top) {
            best = build->rows[i];
            top = level;
        }
    }
    build->entry = best == ROW_NONE ? build->entry : best;
    build->top = top;
}

static void link_batch(struct build *build) {
    struct graph *graph = build->graph;
    uint32_t slot = 0, levels = 0;
    for (uint32_t i = 0; i < build->n; i++) {
        uint32_t level = graph_level_of(graph, build->rows[i]);
        build->first_slot[i] = slot;
        slot += level + 1;
        levels = level > levels ? level : levels;
    }
    if (build->entry != ROW_NONE) {
        order_batch(build);
        thread_for(build->threads, build->n, GRAIN, choose_body, build);
    } else
        __builtin_memset(build->n_chosen, 0, slot * sizeof(*build->n_chosen));
    for (uint32_t i = 0; i < build->n; i++) {
        for (uint32_t l = build->base; l <= graph_level_of(graph, build->rows[i]); l++) {
            uint32_t at = build->first_slot[i] + l;
            link_row_write(graph, build->rows[i], l, slot_links(build, at), build->n_chosen[at]);
        }
    }
    for (uint32_t level = levels + 1; level-- > build->base;) link_back(build, level);
    for (uint32_t i = 0; build->base == 0 && i < build->n; i++) {
        uint32_t at = build->first_slot[i];
        if (build->n_chosen[at] > 0)
            tree_adopt(graph, build->rows[i], slot_links(build, at), build->n_chosen[at]);
    }
}

/* How many rows are linked at once: a share of what this add has linked so far, since its rows are perhaps near to
 * nothing but each other (a new topic in an old index). */
static uint32_t batch_size(uint32_t before, size_t done, size_t n) {
    size_t by_growth = done / BATCH_GROWTH, by_share = (before + n) / BATCH_SHARE;
    size_t size = by_growth < by_share ? by_growth : by_share;
    if (size > BATCH_MAX) size = BATCH_MAX;
    if (size < 1) size = 1;
    return (uint32_t)(size < n - done ? size : n - done);
}

static void build_deinit(struct build *build) {
    struct mem_account *owner = &build->graph->index.mem;
    mem_free(owner, build->first_slot, build->batch_cap * sizeof(uint32_t));
    mem_free(owner, build->chosen,
             (size_t)build->slot_cap * build->graph->degree * sizeof(uint32_t));
    mem_free(owner, build->n_chosen, build->slot_cap * sizeof(uint32_t));
    mem_free(owner, build->landings, build->batch_cap * sizeof(struct landing));
    mem_free(owner, build->edges, build->edge_cap * sizeof(struct edge));
    mem_free(owner, build->sorted, build->edge_cap * sizeof(struct edge));
    mem_free(owner, build->group_at, (build->edge_cap + 1) * sizeof(uint32_t));
    tree_scratch_deinit(&build->tree, build->graph);
    for (uint32_t i = 0; i < build->threads; i++)
        epoch_leave(&build->graph->index.rows.epoch, build->slots[i]);
}

/* Sizes that hold for every batch to come. */
static void measure_batches(struct build *build, size_t n, const uint32_t *rows, uint32_t linked) {
    for (size_t done = 0; done < n;) {
        uint32_t size = batch_size(linked, done, n);
        uint32_t slots = 0;
        for (uint32_t i = 0; i < size; i++)
            slots += graph_level_of(build->graph, rows[done + i]) + 1;
        build->batch_cap = size > build->batch_cap ? size : build->batch_cap;
        build->slot_cap = slots > build->slot_cap ? slots : build->slot_cap;
        done += size;
    }
}

/* Claim a reader slot a worker, and make its context; all that the batches need. Builders that hold slots do not wait for
 * more: with fewer there are fewer workers. */
static bool build_init(struct build *build, bool alone) {
    struct graph *graph = build->graph;
    struct mem_account *owner = &graph->index.mem;
    uint32_t ef = graph->index.options.ef_construction, largest = build->batch_cap;
    build->edge_cap = largest * graph_roomy(graph, 0);
    build->first_slot = mem_new(owner, largest * sizeof(uint32_t));
    build->chosen = mem_new(owner, (size_t)build->slot_cap * graph->degree * sizeof(uint32_t));
    build->n_chosen = mem_new(owner, build->slot_cap * sizeof(uint32_t));
    build->landings = mem_new(owner, largest * sizeof(struct landing));
    build->edges = mem_new(owner, build->edge_cap * sizeof(struct edge));
    build->sorted = mem_new(owner, build->edge_cap * sizeof(struct edge));
    build->group_at = mem_new(owner, (build->edge_cap + 1) * sizeof(uint32_t));
    bool ok = build->first_slot && build->chosen && build->n_chosen && build->landings &&
              build->edges && build->sorted && build->group_at;
    uint32_t want = build->threads;
    build->threads = 0;
    ef = ef > 2 * graph->degree ? ef : 2 * graph->degree;
    if (alone) ok = tree_scratch_init(&build->tree, graph, build->rows_n) && ok;
    while (ok && build->threads < want) {
        uint32_t slot, first = build->threads == 0;
        if (first)
            slot = epoch_enter(&graph->index.rows.epoch);
        else if (!epoch_try_enter(&graph->index.rows.epoch, &slot))
            break;
        build->slots[build->threads++] = slot;
        struct graph_context *context = context_of(graph, slot);
        ok = context && context_ready(context, graph, build->store, build->rows_n, ef);
    }
    return ok;
}

bool graph_reserve_links(struct graph *graph, size_t n, const uint32_t *rows) {
    struct mem_account *owner = &graph->index.mem;
    uint32_t rows_n = 0;
    bool ok = true;
    for (size_t i = 0; i < n; i++) rows_n = rows[i] + 1 > rows_n ? rows[i] + 1 : rows_n;
    pthread_mutex_lock(&graph->guard);
    ok = segs_reserve(&graph->links, rows_n, owner) &&
         segs_reserve(&graph->parent, rows_n, owner) &&
         segs_reserve(&graph->upper_at, rows_n, owner);
    if (ok) atomic_store(&graph->n_room, segs_capacity(&graph->parent));
    for (size_t i = 0; ok && i < n; i++) {
        uint32_t level = graph_level_of(graph, rows[i]);
        _Atomic uint32_t *at = graph_upper_at(graph, rows[i]);
        if (level == 0 || atomic_load_explicit(at, memory_order_relaxed) != 0) continue;
        /* 0 means none yet: the first link row of `upper` is left unused. */
        uint32_t n_upper = atomic_load_explicit(&graph->n_upper, memory_order_relaxed);
        uint32_t first = n_upper > 0 ? n_upper : 1;
        ok = segs_reserve(&graph->upper, first + level, owner);
        if (ok) {
            atomic_store_explicit(at, first, memory_order_relaxed);
            atomic_store_explicit(&graph->n_upper, first + level, memory_order_relaxed);
        }
    }
    pthread_mutex_unlock(&graph->guard);
    return ok;
}

/* Link all rows, batch after batch. */
static void link_all(struct build *build, size_t n, const uint32_t *rows, uint32_t linked,
                     bool alone, const kith_work *work) {
    for (size_t done = 0; done < n;) {
        uint64_t entry = atomic_load(&build->graph->entry);
        build->entry = (uint32_t)entry;
        build->top = build->entry == ROW_NONE ? 0 : (uint32_t)(entry >> 32);
        build->rows = rows + done;
        build->n = batch_size(linked, done, n);
        link_batch(build);
        if (alone) {
            take_entry(build);
            if (build->base > 0)
                atomic_store(&build->graph->entry, entry_pack(build->entry, build->top));
            else if (entry_pack(build->entry, build->top) != entry)
                tree_rebuild(build->graph, worker_context(build, 0), &build->tree, build->entry,
                             build->top);
        }
        done += build->n;
        if (work && work->progress) work->progress(work->context, done, n);
    }
}

static uint32_t most_level(const struct graph *graph, size_t n, const uint32_t *rows) {
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t level = graph_level_of(graph, rows[i]);
        most = level > most ? level : most;
    }
    return most;
}

/* The order in which rows are linked: shuffled for bulk adds (Fisher & Yates). */
static void shuffle(uint32_t *order, size_t n, const uint32_t *rows, uint64_t seed, bool bulk) {
    __builtin_memcpy(order, rows, n * sizeof(*order));
    for (size_t i = n; bulk && i > 1; i--) {
        size_t j = (size_t)(bits_random(&seed) % i);
        uint32_t swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
}

/* Rows to be added, or to take the place of others. */
struct addition {
    size_t n;
    const float *x;
    const int64_t *ids;
    uint32_t threads;
    uint32_t *rows;
    uint32_t *old;     /* replacements: the rows that go; else NULL */
    uint32_t reused_n; /* rows below this had a vector before */
};

/* Between rows_add_begin and commit: link, or change nothing. */
static int link_rows(struct graph *graph, const struct addition *add, uint32_t linked, bool alone,
                     const kith_work *work, kith_error *err) {
    struct build build = {
        .graph = graph, .store = rows_store(&graph->index.rows), .reused_n = add->reused_n};
    size_t n = add->n;
    const uint32_t *rows = add->rows;
    uint32_t *order = mem_new(&graph->index.mem, n * sizeof(*order));
    if (!order) return FAIL(err, KITH_ENOMEM, "no memory for the order of %zu rows", n);
    int code = KITH_OK;
    build.rows_n = atomic_load(&graph->index.rows.n);
    build.threads = work && work->threads > 1 ? work->threads : 1;
    if (build.threads > BUILD_THREADS) build.threads = BUILD_THREADS;
    shuffle(order, n, rows, graph->index.options.seed, alone);
    measure_batches(&build, n, order, linked);
    if (!graph_reserve_links(graph, n, rows) || !build_init(&build, alone))
        code = FAIL(err, KITH_ENOMEM, "no memory to link %zu rows", n);
    else
        link_all(&build, n, order, linked, alone, work);
    build_deinit(&build);
    mem_free(&graph->index.mem, order, n * sizeof(*order));
    return code;
}

static int begin(struct rows *rows, const struct addition *add, kith_error *err) {
    if (add->old)
        return rows_update_begin(rows, add->n, add->x, add->ids, add->threads, add->rows, add->old,
                                 err);
    return rows_add_begin(rows, add->n, add->x, add->ids, add->threads, add->rows, err);
}

static void abandon(struct rows *rows, const struct addition *add) {
    if (add->old)
        rows_update_abort(rows, add->n, add->rows);
    else
        rows_add_abort(rows, add->n, add->rows);
}

static void commit(struct rows *rows, const struct addition *add) {
    if (add->old)
        rows_update_commit(rows, add->n, add->rows, add->old);
    else
        rows_add_commit(rows, add->n, add->rows);
}

static int add_rows(struct graph *graph, struct addition *add, const kith_work *work,
                    kith_error *err) {
    struct rows *rows = &graph->index.rows;
    bool alone = add->n >= BULK_MIN || atomic_load(&rows->n_live) < SMALL_GRAPH;
    if (alone)
        pthread_rwlock_wrlock(&graph->writers);
    else
        pthread_rwlock_rdlock(&graph->writers);
    add->reused_n = atomic_load(&rows->n);
    int code = begin(rows, add, err);
    if (code == KITH_OK && !alone &&
        most_level(graph, add->n, add->rows) > (uint32_t)(atomic_load(&graph->entry) >> 32)) {
        /* One of them becomes the entry: begin again with the graph for ourselves. */
        abandon(rows, add);
        pthread_rwlock_unlock(&graph->writers);
        pthread_rwlock_wrlock(&graph->writers);
        alone = true;
        code = begin(rows, add, err);
    }
    if (code == KITH_OK) {
        uint32_t linked = atomic_load(&rows->n_live) + graph->n_dead;
        code = link_rows(graph, add, linked, alone, work, err);
        if (code == KITH_OK)
            commit(rows, add);
        else
            abandon(rows, add);
    }
    pthread_rwlock_unlock(&graph->writers);
    return code;
}

int graph_add(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
              const kith_work *work, kith_error *err) {
    size_t bytes = n * sizeof(uint32_t);
    struct addition add = {.n = n, .x = x, .ids = ids, .threads = work ? work->threads : 1};
    add.rows = mem_new(&index->mem, bytes);
    if (!add.rows) return FAIL(err, KITH_ENOMEM, "no memory for %zu row numbers", n);
    int code = add_rows(graph_of(index), &add, work, err);
    mem_free(&index->mem, add.rows, bytes);
    return code;
}

int graph_update(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
                 const kith_work *work, kith_error *err) {
    struct graph *graph = graph_of(index);
    size_t bytes = n * sizeof(uint32_t);
    struct addition add = {.n = n, .x = x, .ids = ids, .threads = work ? work->threads : 1};
    pthread_mutex_lock(&graph->removals);
    add.rows = mem_new(&index->mem, bytes);
    int code = KITH_OK;
    if (!add.rows || !graph_reserve_dead(graph, n))
        code = FAIL(err, KITH_ENOMEM, "no memory for %zu row numbers", n);
    if (code == KITH_OK) {
        add.old = graph->dead + graph->n_dead;
        code = add_rows(graph, &add, work, err);
    }
    if (code == KITH_OK) {
        graph->n_dead += (uint32_t)n;
        graph_unlink_some(graph);
    }
    mem_free(&index->mem, add.rows, bytes);
    pthread_mutex_unlock(&graph->removals);
    return code;
}

int graph_link_upper(struct graph *graph, size_t n, const uint32_t *rows, uint32_t entry,
                     const kith_work *work, uint64_t *connected, kith_error *err) {
    struct build build = {.graph = graph,
                          .store = rows_store(&graph->index.rows),
                          .base = 1,
                          .rows_n = atomic_load(&graph->index.rows.n),
                          .threads = work->threads > BUILD_THREADS ? BUILD_THREADS : work->threads};
    uint32_t *order = mem_new(&graph->index.mem, n * sizeof(*order));
    if (!order) return FAIL(err, KITH_ENOMEM, "no memory for the order of %zu rows", n);
    int code = KITH_OK;
    shuffle(order, n, rows, graph->index.options.seed, true);
    measure_batches(&build, n, order, 0);
    if (!build_init(&build, true)) {
        code = FAIL(err, KITH_ENOMEM, "no memory to link %zu rows", n);
    } else {
        atomic_store(&graph->entry, entry_pack(n > 0 ? ROW_NONE : entry, 0));
        link_all(&build, n, order, 0, true, work);
        uint64_t found = atomic_load(&graph->entry);
        *connected = tree_rebuild(graph, worker_context(&build, 0), &build.tree, (uint32_t)found,
                                  (uint32_t)(found >> 32));
    }
    build_deinit(&build);
    mem_free(&graph->index.mem, order, n * sizeof(*order));
    return code;
}

int graph_stream(struct kith_index *index, struct rows_stream *stream, const char *path,
                 kith_error *err) {
    uint32_t n = atomic_load(&index->rows.n);
    (void)path;
    rows_stream_drop_sample(stream);
    TRY(rows_stream_hold(&index->rows, stream, err));
    struct addition all = {.n = n, .rows = mem_new(&index->mem, n * sizeof(uint32_t))};
    if (!all.rows) return FAIL(err, KITH_ENOMEM, "no memory for %u row numbers", n);
    for (uint32_t row = 0; row < n; row++) all.rows[row] = row;
    int code = link_rows(graph_of(index), &all, 0, true, stream->work, err);
    mem_free(&index->mem, all.rows, n * sizeof(uint32_t));
    return code;
}

int graph_relink(struct graph *graph, kith_error *err) {
    struct rows *rows = &graph->index.rows;
    uint32_t n = atomic_load(&rows->n), n_live = 0;
    size_t bytes = n * sizeof(uint32_t);
    uint32_t *live = mem_new(&graph->index.mem, bytes);
    graph->n_dead = 0;
    if (!live || !graph_reserve_dead(graph, n)) {
        mem_free(&graph->index.mem, live, bytes);
        return FAIL(err, KITH_ENOMEM, "no memory to link %u rows anew", n);
    }
    /* Until rows are linked, searches scan. */
    atomic_store(&graph->entry, entry_pack(ROW_NONE, 0));
    graph->n_upper = 0;
    for (uint32_t row = 0; row < n; row++) {
        if (row < graph_rows_n(graph)) {
            tree_set_parent(graph, row, ROW_NONE);
            atomic_store_explicit(graph_upper_at(graph, row), 0, memory_order_relaxed);
        }
        if (rows_is_live(rows, row))
            live[n_live++] = row;
        else if (rows_is_used(rows, row))
            graph->dead[graph->n_dead++] = row;
    }
    struct addition all = {.n = n_live, .rows = live};
    int code = n_live > 0 ? link_rows(graph, &all, 0, true, NULL, err) : KITH_OK;
    if (code == KITH_OK) code = rows_release(rows, graph->n_dead, graph->dead, err);
    if (code == KITH_OK) graph->n_dead = 0;
    mem_free(&graph->index.mem, live, bytes);
    return code;
}
