/* The graph index (HNSW): one navigable graph over the rows, updated in place. Private to graph_*.c.
 *
 *     level 2        o-----------o            few rows, m links each
 *     level 1     o--o----o------o--o
 *     level 0   o-o--o-o--o-o-o--o--o-o-o     every row, 2m links each, one 64-byte-aligned slab
 *
 * A link row is degree uint32_t row numbers, nearest-first when it was last pruned, ended by ROW_NONE where it is not
 * full. It is padded to whole cache lines; `link_stride` may grow later to hold the neighbours' codes beside the links.
 * Upper levels: row r of level L > 0 owns L consecutive link rows of m links in `upper`, the first at upper_at[r].
 *
 * Invariants (numbers are those that check reports)
 *   1. Links are row numbers below rows.n, never the row itself, never twice in one link row, packed before ROW_NONE.
 *   2. A link never leads to a free row; on level l it leads to a row of level >= l.
 *   3. A row's level is a function of (seed, row number) alone: level_of. So rows can be reused in place.
 *   4. entry is a linked row of level `top`, and no linked row has a higher level; ROW_NONE when nothing is linked.
 *   5. Every linked row but the entry has a parent: a linked row whose level 0 links lead to it; following parents
 *      ends at the entry. So every row can be reached from the entry, by construction: pruning never drops the link
 *      of a parent to its child (graph_tree.c).
 *   6. Dead rows (removed, not yet unlinked) are listed in `dead`; all others that are not free are live or pending.
 *
 * Locks   `removals` (remove, update, save, check: the dead list), then `writers` (shared: small adds; exclusive: bulk
 *         adds, a new entry, unlinking, check, repair, save), then rows.layout, then `guard` (room for link rows), then
 *         one stripe of `stripes` (a link row being rewritten, and the parents of the rows that it leads to).
 *         Searches take none: links are loaded and stored atomically, and rows are reused only after a grace period
 *         (base/epoch.h).
 *
 * Malkov & Yashunin 2018 (HNSW); differences, with reasons, in docs/papers.md. */
#ifndef KITH_INDEX_GRAPH_H
#define KITH_INDEX_GRAPH_H

#include <pthread.h>

#include "base/thread.h"
#include "index/index.h"
#include "index/scan.h"

#define GRAPH_LEVELS  16u
#define GRAPH_MAX_M   128u
#define GRAPH_MAX_EF  65536u
#define GRAPH_STRIPES 1024u
#define GRAPH_SPARE   8u /* a pruned link row leaves one in so many places free */

/* A candidate: ordered distance above, row below, so that one integer compare orders by (distance, row). The lowest
 * bit says that the row's links have been followed. */
typedef uint64_t graph_key;

static inline graph_key key_make(float dist, uint32_t row) {
    uint32_t bits;
    __builtin_memcpy(&bits, &dist, sizeof(bits));
    bits ^= (uint32_t)((int32_t)bits >> 31) | 0x80000000u;
    return (uint64_t)bits << 32 | (uint64_t)row << 1;
}

static inline uint32_t key_row(graph_key key) { return (uint32_t)key >> 1; }

static inline float key_dist(graph_key key) {
    uint32_t bits = (uint32_t)(key >> 32);
    bits ^= (bits & 0x80000000u) ? 0x80000000u : 0xffffffffu;
    float dist;
    __builtin_memcpy(&dist, &bits, sizeof(dist));
    return dist;
}

/* What one thread needs to walk: a reader slot's, or a builder's worker's. Grown, never shrunk. */
struct graph_context {
    uint8_t *visited; /* epoch marks, one a row */
    uint32_t n_visited;
    uint8_t mark;
    graph_key *pool; /* sorted candidates */
    uint32_t pool_cap;
    graph_key *found; /* filtered walks: passing rows, sorted */
    uint32_t found_cap;
    graph_key *prune; /* candidates of one pruning */
    uint32_t prune_cap;
    uint8_t *scratch; /* two scorers' */
    size_t scratch_bytes;
    struct scorer query; /* against walk rows */
    struct scorer other; /* pruning, re-ranking */
};

struct graph {
    struct kith_index index;
    uint32_t m;      /* links a row on upper levels, and chosen for a new row */
    uint32_t degree; /* links a row on level 0: 2m */
    float alpha;
    /* a row is of level l or higher when its hash is below [l] */
    uint64_t level_limit[GRAPH_LEVELS];
    struct segs links;    /* level 0 */
    struct segs upper_at; /* uint32_t a row, atomic: its first upper link row; 0: none */
    struct segs upper;    /* link rows of m links */
    struct segs parent;   /* uint32_t a row: 1 + the row that must keep a link to it; 0: none */
    _Atomic uint32_t n_upper;
    _Atomic uint32_t n_room; /* rows that link rows were had for: those below may be linked */
    _Atomic uint64_t entry;  /* top << 32 | row, so that both change at once */
    uint32_t *dead;
    _Atomic uint32_t n_dead;
    _Atomic uint32_t dead_cap;
    pthread_mutex_t removals;
    pthread_rwlock_t writers;
    pthread_mutex_t guard;
    _Atomic uint8_t stripes[GRAPH_STRIPES];
    struct graph_context *context[EPOCH_SLOTS]; /* each looked at by who holds the slot */
    _Atomic uint64_t context_bytes;             /* of all of them */
};

static inline struct graph *graph_of(const struct kith_index *index) {
    return (struct graph *)(uintptr_t)index;
}

/* Two rows are copies of each other: their walk rows are the same, byte for byte (decision 0013). */
static inline bool graph_is_copy(const struct store *store, uint32_t a, uint32_t b) {
    return __builtin_memcmp(store_walk_row(store, a), store_walk_row(store, b),
                            store->walk.stride) == 0;
}

static inline uint64_t entry_pack(uint32_t row, uint32_t top) { return (uint64_t)top << 32 | row; }

static inline uint32_t graph_level_of(const struct graph *graph, uint32_t row) {
    uint64_t hash = bits_mix(graph->index.options.seed ^ bits_mix(row));
    uint32_t level = 0;
    while (level + 1 < GRAPH_LEVELS && hash < graph->level_limit[level + 1]) level++;
    return level;
}

static inline uint32_t graph_degree(const struct graph *graph, uint32_t level) {
    return level == 0 ? graph->degree : graph->m;
}

static inline _Atomic uint32_t *graph_upper_at(const struct graph *graph, uint32_t row) {
    return (_Atomic uint32_t *)(void *)segs_at(&graph->upper_at, row);
}

/* How many links pruning leaves in a link row that is to take in more soon. */
static inline uint32_t graph_roomy(const struct graph *graph, uint32_t level) {
    uint32_t degree = graph_degree(graph, level);
    return degree - degree / GRAPH_SPARE;
}

/* The link row of a row on a level that it has. */
static inline _Atomic uint32_t *graph_links(const struct graph *graph, uint32_t row,
                                            uint32_t level) {
    if (level == 0) return (_Atomic uint32_t *)(void *)segs_at(&graph->links, row);
    uint32_t first = atomic_load_explicit(graph_upper_at(graph, row), memory_order_relaxed);
    return (_Atomic uint32_t *)(void *)segs_at(&graph->upper, first + level - 1);
}

/* The same on a level that the row should have, or NULL where its link rows do not lie inside `upper`: in a mapped file
 * that is corrupt, for its large sections are verified by check alone, and for a moment while all rows are linked anew. */
static inline _Atomic uint32_t *graph_links_if(const struct graph *graph, uint32_t row,
                                               uint32_t level) {
    if (level == 0) return graph_links(graph, row, 0);
    uint32_t first = atomic_load_explicit(graph_upper_at(graph, row), memory_order_relaxed);
    uint32_t n = atomic_load_explicit(&graph->n_upper, memory_order_relaxed);
    if (first == 0 || first >= n || level > n - first) return NULL;
    return (_Atomic uint32_t *)(void *)segs_at(&graph->upper, first + level - 1);
}

static inline uint32_t link_load(const _Atomic uint32_t *link) {
    return atomic_load_explicit(link, memory_order_acquire);
}

static inline void link_store(_Atomic uint32_t *link, uint32_t row) {
    atomic_store_explicit(link, row, memory_order_release);
}

/* graph_context.c: the context of a slot that the caller holds, made at first; NULL when memory is short. */
struct graph_context *context_of(struct graph *graph, uint32_t slot);
/* Make a context able to walk `rows_n` rows with pools of ef; false when memory is short. */
bool context_ready(struct graph_context *context, struct graph *graph, const struct store *store,
                   uint32_t rows_n, uint32_t ef);
bool context_ready_filtered(struct graph_context *context, struct graph *graph, uint32_t rows_n,
                            uint32_t ef);
void context_deinit(struct graph_context *context, struct graph *graph);
/* A fresh mark; afterwards no row counts as visited. */
uint8_t context_mark(struct graph_context *context);

/* A walk's arguments: everything that one level needs. */
struct graph_walk {
    const struct graph *graph;
    const struct store *store;
    struct graph_context *context; /* query scorer set */
    uint32_t rows_n;               /* rows at or past this are not followed */
    uint64_t deadline;             /* 0: none */
    bool late;                     /* set when the deadline passed */
    uint32_t hidden;               /* 1 + a row that is taken for seen; 0: none */
};

/* graph_walk.c
 * Greedy descent from the entry to `level` (exclusive of it): the row where the search of `level` starts. */
uint32_t walk_descend(struct graph_walk *walk, uint32_t entry, uint32_t top, uint32_t level,
                      float *dist);
/* The ef best rows found from start on one level, sorted into context->pool; returns their number. */
uint32_t walk_level(struct graph_walk *walk, uint32_t start, float start_dist, uint32_t level,
                    uint32_t ef);
/* The same, but one of the copies of a row only: for a new row that looks for its neighbours. */
uint32_t walk_distinct(struct graph_walk *walk, uint32_t start, float start_dist, uint32_t level,
                       uint32_t ef);
/* The same as walk_level on level 0 where only live rows that pass count: sorted into context->found, at most ef. Gives up (returns
 * UINT32_MAX) after `budget` scored rows. */
uint32_t walk_filtered(struct graph_walk *walk, const struct search_call *call, uint32_t start,
                       float start_dist, uint32_t ef, uint64_t budget);

/* graph_hidden.c: rows that a row would be linked to were the hidden row, which it leads to, not there; at most 2m of
 * them, none a link it has. Writes the context's scorer `other`. */
uint32_t hidden_stand_ins(const struct graph_walk *walk, uint32_t row, uint32_t level,
                          uint32_t *out);

/* graph_prune.c: who chooses neighbours for the row `base`. */
struct graph_prune {
    const struct graph *graph;
    const struct store *store;
    struct graph_context *context; /* its scorer `other` is written */
    uint32_t base;
};

/* Of n candidates sorted by distance to the base, at most m that no kept one covers; written to out in order.
 * Algorithm 4 of the paper, with alpha; candidates[] is written over. */
uint32_t prune_select(const struct graph_prune *prune, graph_key *candidates, uint32_t n,
                      uint32_t m, uint32_t *out);
/* Distances of the base to n rows, as sorted keys; rows equal to base are left out. Returns their number. */
uint32_t prune_score(const struct graph_prune *prune, const uint32_t *rows, uint32_t n,
                     graph_key *out);

/* Rows that may be linked are below this. */
static inline uint32_t graph_rows_n(const struct graph *graph) {
    uint32_t n = atomic_load(&graph->index.rows.n), room = atomic_load(&graph->n_room);
    return n < room ? n : room;
}

/* graph_link.c: link rows read and written as a whole. */
uint32_t link_row_read(const struct graph *graph, uint32_t row, uint32_t level, uint32_t *out);
void link_row_write(const struct graph *graph, uint32_t row, uint32_t level, const uint32_t *rows,
                    uint32_t n);
void link_lock(struct graph *graph, uint32_t row);
void link_unlock(struct graph *graph, uint32_t row);

/* graph_build.c: link rows that have vectors and are pending. Cannot fail once its memory is had. */
int graph_add(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
              const kith_work *work, kith_error *err);
int graph_update(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
                 const kith_work *work, kith_error *err);
/* Hold the walk rows of a stream and link them, as an add of all of them in one call does. */
int graph_stream(struct kith_index *index, struct rows_stream *stream, const char *path,
                 kith_error *err);

/* Room for the link rows of n new rows; false when memory is short. Nothing visible changes. */
bool graph_reserve_links(struct graph *graph, size_t n, const uint32_t *rows);
/* Link on the levels above 0 the n rows that have such, where all rows are linked on level 0 and have a parent that stands
 * for one (themselves); then grow the tree. Without such rows `entry` is the entry. *connected: rows that no link led to.
 * The graph is the caller's alone. */
int graph_link_upper(struct graph *graph, size_t n, const uint32_t *rows, uint32_t entry,
                     const kith_work *work, uint64_t *connected, kith_error *err);

/* graph_reverse.c: the other direction of new links. Lead `target` on `level` to each of n new rows, pruning where its
 * link row overflows. */
void reverse_links(struct graph *graph, const struct store *store, struct graph_context *context,
                   uint32_t target, uint32_t level, const uint32_t *sources, uint32_t n);

/* graph_tree.c: parents, invariant 5. */
static inline _Atomic uint32_t *tree_slot(const struct graph *graph, uint32_t row) {
    return (_Atomic uint32_t *)(void *)segs_at(&graph->parent, row);
}

static inline uint32_t tree_parent(const struct graph *graph, uint32_t row) {
    return atomic_load_explicit(tree_slot(graph, row), memory_order_relaxed) -
           1u; /* 0 gives ROW_NONE */
}

static inline void tree_set_parent(const struct graph *graph, uint32_t row, uint32_t parent) {
    atomic_store_explicit(tree_slot(graph, row), parent + 1u, memory_order_relaxed);
}

/* Give a newly linked row a parent: the nearest of its n neighbours that leads to it and has room for a child, else one
 * that is made to. near[] is sorted by distance; not empty. */
void tree_adopt(struct graph *graph, uint32_t row, const uint32_t *near, uint32_t n);
/* What a rebuild needs, had beforehand: a queue and two sets of `n` rows. */
struct tree_scratch {
    uint32_t *queue;
    uint64_t *reached, *linked;
    uint32_t n, head, tail;
};
bool tree_scratch_init(struct tree_scratch *scratch, struct graph *graph, uint32_t n);
void tree_scratch_deinit(struct tree_scratch *scratch, struct graph *graph);
/* Make `entry` the root, give every linked row a parent anew, and connect those that cannot be reached; returns how many
 * these were. The caller holds `writers` exclusively; context is ready for scratch->n rows. Cannot fail. */
uint64_t tree_rebuild(struct graph *graph, struct graph_context *context,
                      struct tree_scratch *scratch, uint32_t entry, uint32_t top);

/* Link all live rows anew and free the dead ones. The caller holds `removals`, and `writers` exclusively. */
int graph_relink(struct graph *graph, kith_error *err);

/* graph_search.c */
int graph_search(struct kith_index *index, const struct search_call *call, size_t n,
                 const float *queries, int64_t *ids, float *dists, kith_error *err);

/* graph_remove.c */
int graph_remove(struct kith_index *index, size_t n, const int64_t *ids, kith_error *err);
/* Room in the list of dead rows for n more, had before anything dies. The caller holds `removals` in both. */
bool graph_reserve_dead(struct graph *graph, size_t n);
/* Unlink and free the dead rows if they are many. */
void graph_unlink_some(struct graph *graph);

/* graph.c: writers wait from pause to resume. */
void graph_pause(struct kith_index *index);
void graph_resume(struct kith_index *index);

/* graph_check.c */
int graph_check(const struct kith_index *index, kith_error *err);
int graph_repair(struct kith_index *index, uint64_t *mended, kith_error *err);

/* graph_file.c */
int graph_save(const struct kith_index *index, struct file_sections *out, kith_error *err);
int graph_load(struct kith_index *index, const struct index_file *file, kith_error *err);

#endif
