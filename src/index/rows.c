/* Rows: birth, removal, release, look-up, figures. Adding is in rows_add.c, codes in rows_store.c. */
#include "index/rows.h"

#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/status.h"
#include "base/thread.h"
#include "index/rows_store.h"

#define FETCHED_MOST 2048u /* originals that stay mapped */

static void init_locks(struct rows *rows) {
    thread_rwlock_init(&rows->layout);
    pthread_mutex_init(&rows->ids_lock, NULL);
    pthread_mutex_init(&rows->commit_lock, NULL);
}

int rows_init(struct rows *rows, const struct rows_config *config, struct mem_account *owner,
              kith_error *err) {
    memset(rows, 0, sizeof *rows);
    rows->config = *config;
    rows->owner = owner;
    struct store *store;
    TRY(store_try(config, owner, err));
    TRY(store_new(&store, config, (struct store_form){0}, owner, err));
    atomic_init(&rows->store, store);
    epoch_init(&rows->epoch);
    segs_init(&rows->id_of, sizeof(int64_t));
    segs_init(&rows->live, sizeof(uint64_t));
    segs_init(&rows->held, sizeof(uint64_t));
    segs_init(&rows->freed, sizeof(uint64_t));
    init_locks(rows);
    return KITH_OK;
}

void rows_deinit(struct rows *rows) {
    struct store *store = atomic_load_explicit(&rows->store, memory_order_relaxed);
    if (!store) return; /* never begun */
    store_free(store, rows->owner);
    atomic_store_explicit(&rows->store, NULL, memory_order_relaxed);
    segs_deinit(&rows->id_of, rows->owner);
    segs_deinit(&rows->live, rows->owner);
    segs_deinit(&rows->held, rows->owner);
    segs_deinit(&rows->freed, rows->owner);
    id_map_deinit(&rows->ids, rows->owner);
    pthread_rwlock_destroy(&rows->layout);
    pthread_mutex_destroy(&rows->ids_lock);
    pthread_mutex_destroy(&rows->commit_lock);
}

/* ---- bits -------------------------------------------------------------------------------------- */

static _Atomic uint64_t *live_word(struct rows *rows, uint32_t row) {
    return (_Atomic uint64_t *)(void *)segs_at(&rows->live, row >> 6);
}

void rows_set_live(struct rows *rows, uint32_t row) {
    atomic_fetch_or_explicit(live_word(rows, row), (uint64_t)1 << (row & 63), memory_order_release);
}

void rows_set_dead(struct rows *rows, uint32_t row) {
    atomic_fetch_and_explicit(live_word(rows, row), ~((uint64_t)1 << (row & 63)),
                              memory_order_release);
}

void rows_free_one(struct rows *rows, uint32_t row) {
    row_bit_set(&rows->freed, row);
    if (rows->n_free == 0 || row < rows->free_from) rows->free_from = row;
    rows->n_free++;
}

bool rows_is_used(const struct rows *rows, uint32_t row) {
    return rows->read_only ? rows_is_live(rows, row) : !row_bit(&rows->freed, row);
}

/* ---- looking up -------------------------------------------------------------------------------- */

static uint32_t find_sorted(const struct rows *rows, int64_t id) {
    uint32_t n = atomic_load_explicit(&rows->n, memory_order_relaxed);
    uint32_t low = 0, high = atomic_load_explicit(&rows->n_live, memory_order_relaxed);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2, row = rows->sorted[middle];
        if (row >= n) return ROW_NONE; /* check tells */
        int64_t there = rows_id(rows, row);
        if (there == id) return row;
        if (there < id)
            low = middle + 1;
        else
            high = middle;
    }
    return ROW_NONE;
}

uint32_t rows_lookup(const struct rows *rows, int64_t id) {
    if (id < 0) return ROW_NONE;
    if (!atomic_load_explicit(&rows->explicit_ids, memory_order_relaxed)) {
        uint32_t n = atomic_load_explicit(&rows->n, memory_order_relaxed);
        return id < (int64_t)n ? (uint32_t)id : ROW_NONE;
    }
    return rows->sorted ? find_sorted(rows, id) : id_map_find(&rows->ids, &rows->id_of, id);
}

uint32_t rows_find(const struct rows *rows, int64_t id) {
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&rows->ids_lock;
    pthread_mutex_lock(lock);
    uint32_t row = rows_lookup(rows, id);
    pthread_mutex_unlock(lock);
    return row != ROW_NONE && rows_is_live(rows, row) ? row : ROW_NONE;
}

/* ---- removing ---------------------------------------------------------------------------------- */

/* A held bit cleared on the way tells an id that comes twice. */
static int find_removed(struct rows *rows, size_t n, const int64_t *ids, uint32_t *row_out,
                        kith_error *err) {
    for (size_t i = 0; i < n; i++) {
        uint32_t row = rows_lookup(rows, ids[i]);
        int code = KITH_OK;
        if (row == ROW_NONE || !rows_is_live(rows, row))
            code = FAIL_AT(err, KITH_ENOTFOUND, i, "id %" PRId64 " is not present", ids[i]);
        else if (!row_bit(&rows->held, row))
            code = FAIL_AT(err, KITH_EDUPLICATE, i, "id %" PRId64 " is given twice", ids[i]);
        if (code != KITH_OK) {
            while (i-- > 0) row_bit_set(&rows->held, row_out[i]);
            return code;
        }
        row_bit_clear(&rows->held, row);
        row_out[i] = row;
    }
    return KITH_OK;
}

int rows_remove(struct rows *rows, size_t n, const int64_t *ids, uint32_t *row_out,
                kith_error *err) {
    if (rows->read_only)
        return FAIL(err, KITH_EREADONLY, "the index was opened as a map, which is read-only");
    pthread_mutex_lock(&rows->commit_lock);
    pthread_mutex_lock(&rows->ids_lock);
    int code = find_removed(rows, n, ids, row_out, err);
    if (code == KITH_OK) atomic_fetch_add_explicit(&rows->n_removals, 1, memory_order_release);
    bool mapped = atomic_load_explicit(&rows->explicit_ids, memory_order_relaxed);
    for (size_t i = 0; code == KITH_OK && i < n; i++) {
        if (mapped) id_map_take(&rows->ids, &rows->id_of, row_out[i]);
        rows_set_dead(rows, row_out[i]);
        rows->n_dead++;
    }
    if (code == KITH_OK)
        atomic_fetch_sub_explicit(&rows->n_live, (uint32_t)n, memory_order_release);
    pthread_mutex_unlock(&rows->ids_lock);
    pthread_mutex_unlock(&rows->commit_lock);
    return code;
}

int rows_release(struct rows *rows, size_t n, const uint32_t *row, kith_error *err) {
    (void)err; /* nothing here can fail; the place is kept for stores that cannot reuse at once */
    if (n == 0) return KITH_OK;
    epoch_wait(&rows->epoch);
    pthread_mutex_lock(&rows->ids_lock);
    for (size_t i = 0; i < n; i++) rows_free_one(rows, row[i]);
    rows->n_dead -= (uint32_t)n;
    pthread_mutex_unlock(&rows->ids_lock);
    return KITH_OK;
}

/* A page that is touched brings those around it that the system has in its cache, so that now and then all are let go. */
void rows_fetch(const struct rows *rows, const uint8_t *const *at, size_t n) {
    if (!rows->fetches) return;
    const struct segs *originals = store_exact_rows(rows_store(rows));
    _Atomic uint64_t *fetched = &((struct rows *)(uintptr_t)rows)->n_fetched;
    uint64_t before = atomic_fetch_add_explicit(fetched, n, memory_order_relaxed);
    if (before / FETCHED_MOST != (before + n) / FETCHED_MOST)
        file_map_drop(originals->base, segs_borrowed_bytes(originals));
    size_t bytes = originals->stride;
    for (size_t i = 0; i < n; i++) file_map_fetch(at[i], bytes);
}

/* ---- figures ----------------------------------------------------------------------------------- */

static void put_component(kith_index_stats *stats, const char *name, uint64_t bytes) {
    if (bytes == 0 || stats->n_components == KITH_MAX_COMPONENTS) return;
    stats->component[stats->n_components++] = (kith_component){name, bytes};
}

void rows_stats(const struct rows *rows, kith_index_stats *stats) {
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&rows->ids_lock;
    struct epoch *epoch = (struct epoch *)(uintptr_t)&rows->epoch;
    uint32_t slot = epoch_enter(epoch);
    pthread_mutex_lock(lock);
    const struct store *store = rows_store(rows);
    bool apart = store->has_orig && !store->shared;
    stats->rows = atomic_load_explicit(&rows->n_live, memory_order_relaxed);
    stats->capacity = segs_capacity(&store->walk_rows);
    stats->removed = rows->n_free + rows->n_dead;
    stats->dim = rows->config.dim;
    stats->metric = rows->config.metric;
    stats->stored = store->has_orig ? code_name(store_exact_code(store)) : "none";
    stats->code = code_name(&store->walk);
    if (apart)
        put_component(stats, "vectors", segs_bytes(&store->orig_rows) + code_bytes(&store->orig));
    put_component(stats, apart || !store->has_orig ? "codes" : "vectors",
                  segs_bytes(&store->walk_rows) + code_bytes(&store->walk));
    put_component(stats, "residuals", segs_bytes(&store->err_of));
    uint64_t sorted = rows->sorted ? stats->rows * sizeof *rows->sorted : 0;
    put_component(stats, "ids", segs_bytes(&rows->id_of) + id_map_bytes(&rows->ids) + sorted);
    put_component(stats, "marks",
                  segs_bytes(&rows->live) + segs_bytes(&rows->held) + segs_bytes(&rows->freed));
    stats->mapped_bytes +=
        segs_borrowed_bytes(&store->walk_rows) + segs_borrowed_bytes(&store->orig_rows) +
        segs_borrowed_bytes(&store->err_of) + segs_borrowed_bytes(&rows->id_of) + sorted +
        segs_borrowed_bytes(&rows->live) + segs_borrowed_bytes(&rows->freed);
    pthread_mutex_unlock(lock);
    epoch_leave(epoch, slot);
}

/* ---- check ------------------------------------------------------------------------------------- */

static int check_row(const struct rows *rows, uint32_t row, kith_error *err) {
    bool live = rows_is_live(rows, row), held = row_bit(&rows->held, row),
         freed = row_bit(&rows->freed, row);
    if (freed && (live || held))
        return FAIL_AT(err, KITH_ECORRUPT, row, "rows 1: row %u is free and in use", row);
    if (live && !held)
        return FAIL_AT(err, KITH_ECORRUPT, row, "rows 1: row %u is live but not held", row);
    if (held && rows_lookup(rows, rows_id(rows, row)) != row && live)
        return FAIL_AT(err, KITH_ECORRUPT, row,
                       "rows 2: id %" PRId64 " does not lead to its row %u", rows_id(rows, row),
                       row);
    return KITH_OK;
}

static int check_mapped(const struct rows *rows, uint32_t n, kith_error *err) {
    uint32_t n_live = atomic_load_explicit(&rows->n_live, memory_order_relaxed);
    for (uint32_t i = 0; i < n_live && rows->sorted; i++) {
        uint32_t row = rows->sorted[i];
        if (row >= n || !rows_is_live(rows, row))
            return FAIL_AT(err, KITH_ECORRUPT, i,
                           "rows 2: place %u of the sorted ids holds row %u, not a live one", i,
                           row);
        if (i > 0 && rows_id(rows, rows->sorted[i - 1]) >= rows_id(rows, row))
            return FAIL_AT(err, KITH_ECORRUPT, i,
                           "rows 2: place %u of the sorted ids is out of order", i);
    }
    return KITH_OK;
}

int rows_check(const struct rows *rows, kith_error *err) {
    uint32_t n = atomic_load_explicit(&rows->n, memory_order_relaxed), n_live = 0, n_free = 0,
             n_held = 0;
    for (uint32_t row = 0; row < n; row++) {
        n_live += rows_is_live(rows, row);
        if (rows->read_only) continue;
        TRY(check_row(rows, row, err));
        n_free += row_bit(&rows->freed, row);
        n_held += row_bit(&rows->held, row);
    }
    uint32_t want = atomic_load_explicit(&rows->n_live, memory_order_relaxed);
    if (n_live != want)
        return FAIL(err, KITH_ECORRUPT, "rows 3: %u live bits, %u rows counted", n_live, want);
    if (rows->read_only) return check_mapped(rows, n, err);
    if (n_free != rows->n_free)
        return FAIL(err, KITH_ECORRUPT, "rows 1: %u free bits, %u rows counted", n_free,
                    rows->n_free);
    bool mapped = atomic_load_explicit(&rows->explicit_ids, memory_order_relaxed);
    if (mapped && rows->ids.n != n_held)
        return FAIL(err, KITH_ECORRUPT, "rows 2: %u ids, %u rows held", rows->ids.n, n_held);
    return KITH_OK;
}
