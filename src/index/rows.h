/* Rows: what every index is made of besides its structure. Row numbers (uint32_t) to vectors, codes,
 * ids and life.
 *
 * A row's two stores:  walk  what searches score first (f32, f16, bf16, u8 or sq8)
 *                      orig  what is re-ranked on and given back (f32, f16, u8, or a second code that is finer than
 *                            walk), absent, or the same store as walk
 *
 * Invariants
 *   1. A row is free, pending (being added), live, or dead (removed, perhaps still linked). Only live
 *      rows are returned. free: the free bit; pending or live: the held bit; live: the live bit.
 *   2. id -> row holds exactly the held rows; row -> id is right for every row that is not free. While
 *      every id is its own row number (the usual bulk build) neither is stored.
 *   3. live bit i is set if and only if row i is live; n_live is their number.
 *   4. Every row below n that is not free has both stores written; err[i] >= |x - decode(walk row i)|
 *      where kept (INFINITY where no bound can be given).
 *   5. A store is never changed in place but for rows that no reader can see: a change of code (u8 data
 *      that turns out not to be integral, sq8 ranges that grew) builds a new `struct store`, publishes
 *      it, and frees the old after a grace period.
 *   6. A store whose walk is CODE_NONE has no vectors: rows_forget made it, and it stays the last.
 *   7. A reader that loads n (acquire) and then the store finds every row below n in that store.
 * Locks   `layout` (shared by adders for a whole add, exclusive for one whose data changes the store),
 *         then `ids_lock` (short, around id map, free rows and counters). Readers take neither: they
 *         hold an epoch slot. Removals and updates exclude each other by the caller's lock.
 */
#ifndef KITH_INDEX_ROWS_H
#define KITH_INDEX_ROWS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <kith/build.h>
#include <kith/index.h>

#include "base/bits.h"
#include "base/epoch.h"
#include "base/mem.h"
#include "base/segs.h"
#include "index/id_map.h"
#include "quant/code.h"
#include "quant/quantizer.h"

#define ROW_NONE UINT32_MAX

struct scan_scratch;
struct rows_stream;

struct store {
    struct code walk;
    struct code orig; /* meaningful when has_orig and not shared */
    bool has_orig;    /* originals are kept (perhaps as walk itself) */
    bool shared;      /* walk is the original */
    bool has_err;     /* err_of is kept: residual norms of walk against orig */
    struct segs walk_rows;
    struct segs orig_rows; /* unused when shared or not has_orig */
    struct segs err_of;    /* float a row */
    /* the bits of an f32: no row has a larger squared length (as kern.h sums it) */
    _Atomic uint32_t l2sq_bits;
};

/* What an index wants kept. */
struct rows_config {
    uint32_t dim;
    kith_metric metric;
    enum code_kind walk; /* for integral data CODE_U8 takes its place, without loss */
    enum code_kind orig; /* any but CODE_U8 and CODE_NONE */
    bool keep_orig;      /* false: walk alone is kept */
    bool keep_err;       /* keep residual norms, for certified scans */
    bool may_forget;     /* the index may come to keep the vectors itself: rows_forget */
    struct quantizer_spec quantizer;      /* of walk where it is CODE_QUANTIZED */
    struct quantizer_spec orig_quantizer; /* of orig, likewise */
};

struct rows {
    struct rows_config config;
    struct mem_account *owner;
    struct epoch epoch;
    _Atomic(struct store *) store; /* never NULL after rows_init */
    _Atomic uint32_t n;            /* rows ever used: all row numbers are below */
    _Atomic uint32_t n_live;
    _Atomic uint64_t n_updates;  /* replacements begun and ended; rows_moment */
    _Atomic uint64_t n_removals; /* calls that removed rows */
    _Atomic bool explicit_ids;   /* false: every id is its row number; id_of and ids are empty */
    struct segs id_of;           /* int64_t a row, when explicit_ids */
    struct segs live;            /* uint64_t words of live bits, atomic or/and; use rows_is_live */
    struct segs held, freed;     /* words of held and free bits, under ids_lock */
    struct id_map ids;           /* private: id -> row, when explicit_ids and not sorted */
    const uint32_t *sorted;      /* mapped file: live rows by rising id, instead of ids */
    int64_t next_id;
    pthread_rwlock_t layout;
    pthread_mutex_t ids_lock;
    /* outside ids_lock: an update's commit against a search that insists */
    pthread_mutex_t commit_lock;
    uint32_t n_free, n_dead;
    uint32_t free_from;         /* no free row is below */
    uint32_t trained_n;         /* rows when the walk code was last trained */
    _Atomic uint32_t n_clipped; /* rows outside its ranges that were added since */
    bool read_only;
    bool fetches; /* originals lie in a map: those that are scored next are asked for first */
    _Atomic uint64_t n_fetched;
    _Atomic(struct scan_scratch *) scan; /* scan.c's, freed by scan_deinit */
    /* while a file is built from rows that are not held; rows_stream.h */
    struct rows_stream *stream;
};

int rows_init(struct rows *rows, const struct rows_config *config, struct mem_account *owner,
              kith_error *err);
void rows_deinit(struct rows *rows);

/* Add, in three steps, so that an index can link the rows between encoding and visibility.
 * begin: checks (finite, lengths, ids), makes room, changes the store where this data demands it, gives
 *        each row its number (freed ones first, in rising order, then new ones), writes vectors and
 *        ids; on success the caller's thread holds `layout` until commit or abort. ids NULL: next_id,
 *        next_id + 1, … Encoding uses threads.
 * commit: the rows are live.     abort: they are free again.
 * On error nothing has changed. */
int rows_add_begin(struct rows *rows, size_t n, const float *x, const int64_t *ids,
                   uint32_t threads, uint32_t *row_out, kith_error *err);
void rows_add_commit(struct rows *rows, size_t n, const uint32_t *row);
void rows_add_abort(struct rows *rows, size_t n, const uint32_t *row);

/* Replace, in the same three steps: begin gives each id (all live, none twice) a new pending row and tells
 * its old one; commit makes the new rows live and the old ones dead, to be given to rows_release once
 * nothing links to them. */
int rows_update_begin(struct rows *rows, size_t n, const float *x, const int64_t *ids,
                      uint32_t threads, uint32_t *new_out, uint32_t *old_out, kith_error *err);
void rows_update_commit(struct rows *rows, size_t n, const uint32_t *new_row,
                        const uint32_t *old_row);
void rows_update_abort(struct rows *rows, size_t n, const uint32_t *new_row);

/* Find the rows of ids to be removed: all present and none twice, else an error; then make them dead (no
 * search that starts now returns them; ids are free for reuse). Vectors stay until rows_release. */
int rows_remove(struct rows *rows, size_t n, const int64_t *ids, uint32_t *row_out,
                kith_error *err);
/* Dead rows that nothing links to any more become free, after a grace period. Not from inside an epoch. */
int rows_release(struct rows *rows, size_t n, const uint32_t *row, kith_error *err);

/* Keep no vectors from now on: the index has its own. The old store is freed after a grace period; `layout` is held
 * exclusively, or no row is being added. */
int rows_forget(struct rows *rows, kith_error *err);

/* ROW_NONE if absent or pending. May be called inside an epoch (takes ids_lock shortly). */
uint32_t rows_find(const struct rows *rows, int64_t id);
/* Not free: live, pending or dead. Under the caller's quiet. */
bool rows_is_used(const struct rows *rows, uint32_t row);
/* Every numbered invariant; nothing may be adding or removing. */
int rows_check(const struct rows *rows, kith_error *err);
/* Figures and components of the rows. */
void rows_stats(const struct rows *rows, kith_index_stats *stats);

static inline bool rows_is_live(const struct rows *rows, uint32_t row) {
    const _Atomic uint64_t *word =
        (const _Atomic uint64_t *)(const void *)segs_at(&rows->live, row >> 6);
    return (atomic_load_explicit(word, memory_order_acquire) >> (row & 63)) & 1u;
}

/* The id of a row seen live. */
static inline int64_t rows_id(const struct rows *rows, uint32_t row) {
    if (!atomic_load_explicit(&rows->explicit_ids, memory_order_acquire)) return (int64_t)row;
    return *(const int64_t *)(const void *)segs_at(&rows->id_of, row);
}

/* What a search looks at before and after, for it may overlap a commit. Across an update it may have seen the old and the
 * new row of an id, or neither: it begins again (rows_was_updated). Across a removal it may have seen an id's row, and the
 * row with which the id came back: it begins again if an id is there twice (rows_had_removals). */
struct rows_moment {
    uint64_t updates, removals;
};

static inline struct rows_moment rows_moment(const struct rows *rows) {
    return (struct rows_moment){atomic_load_explicit(&rows->n_updates, memory_order_acquire),
                                atomic_load_explicit(&rows->n_removals, memory_order_acquire)};
}

static inline bool rows_was_updated(const struct rows *rows, struct rows_moment since) {
    return since.updates % 2 != 0 || rows_moment(rows).updates != since.updates;
}

static inline bool rows_had_removals(const struct rows *rows, struct rows_moment since) {
    return rows_moment(rows).removals != since.removals;
}

static inline const struct store *rows_store(const struct rows *rows) {
    return atomic_load_explicit(&rows->store, memory_order_acquire);
}

static inline bool store_is_bare(const struct store *store) {
    return store->walk.kind == CODE_NONE;
}

static inline const struct code *store_exact_code(const struct store *store) {
    return store->has_orig && !store->shared ? &store->orig : &store->walk;
}

static inline const struct segs *store_exact_rows(const struct store *store) {
    return store->has_orig && !store->shared ? &store->orig_rows : &store->walk_rows;
}

/* The row that exact scoring reads: the original where there is one, else the walk row. */
static inline const uint8_t *store_exact_row(const struct store *store, uint32_t row) {
    return segs_at(store_exact_rows(store), row);
}

/* Ask for originals that will be scored, so that those that are not in memory come while others do. */
void rows_fetch(const struct rows *rows, const uint8_t *const *at, size_t n);

static inline const uint8_t *store_walk_row(const struct store *store, uint32_t row) {
    return segs_at(&store->walk_rows, row);
}

#endif
