/* Exact search: the doors of scan.h, and the scratch that they share.
 *
 * A search that overlaps the commit of an update may have passed the new row before and the old one after, and so miss
 * an id that was there all the time, or see both; the latter too where an id was removed and added again. So it begins
 * again; the last try keeps commits out. */
#include "index/scan.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "index/scan_pass.h"

#define SCAN_BATCH_MIN 16u
#define SCAN_BATCH_MAX 1024u /* queries that share a pass */
#define TRIES          4u

struct scan_scratch {
    struct scan_slot *slot[EPOCH_SLOTS];
    _Atomic uint64_t bytes;
};

/* ---- scratch ----------------------------------------------------------------------------------- */

static struct scan_scratch *scratch_get(struct rows *rows) {
    struct scan_scratch *scratch = atomic_load_explicit(&rows->scan, memory_order_acquire);
    if (scratch) return scratch;
    struct scan_scratch *made = mem_new(rows->owner, sizeof *made);
    if (!made) return NULL;
    atomic_store_explicit(&made->bytes, sizeof *made, memory_order_relaxed);
    if (atomic_compare_exchange_strong(&rows->scan, &scratch, made)) return made;
    mem_free(rows->owner, made, sizeof *made);
    return scratch;
}

void scan_count_bytes(struct rows *rows, size_t more, size_t less) {
    struct scan_scratch *scratch = atomic_load_explicit(&rows->scan, memory_order_acquire);
    atomic_fetch_add_explicit(&scratch->bytes, more, memory_order_relaxed);
    atomic_fetch_sub_explicit(&scratch->bytes, less, memory_order_relaxed);
}

struct scan_slot *scan_slot_get(struct rows *rows, uint32_t slot) {
    struct scan_scratch *scratch = scratch_get(rows);
    if (!scratch) return NULL;
    if (scratch->slot[slot]) return scratch->slot[slot];
    struct scan_slot *made = mem_new(rows->owner, sizeof *made);
    if (made) scan_count_bytes(rows, sizeof *made, 0);
    return scratch->slot[slot] = made;
}

bool scan_slot_grow(struct rows *rows, void *array, size_t *bytes, size_t want) {
    void *old, *grown;
    if (want <= *bytes) return true;
    if (!(grown = mem_new(rows->owner, want))) return false;
    memcpy(&old, array, sizeof old);
    mem_free(rows->owner, old, *bytes);
    memcpy(array, &grown, sizeof grown);
    scan_count_bytes(rows, want, *bytes);
    *bytes = want;
    return true;
}

uint64_t scan_bytes(const struct rows *rows) {
    const struct scan_scratch *scratch = atomic_load_explicit(&rows->scan, memory_order_acquire);
    return scratch ? atomic_load_explicit(&scratch->bytes, memory_order_relaxed) : 0;
}

void scan_deinit(struct rows *rows) {
    struct scan_scratch *scratch = atomic_load_explicit(&rows->scan, memory_order_acquire);
    if (!scratch) return;
    for (uint32_t i = 0; i < EPOCH_SLOTS; i++) {
        struct scan_slot *slot = scratch->slot[i];
        if (!slot) continue;
        mem_free(rows->owner, slot->scorers, slot->scorers_bytes);
        mem_free(rows->owner, slot->hits, slot->hits_bytes);
        mem_free(rows->owner, slot->batch, slot->batch_bytes);
        if (slot->passing.low) code_deinit(&slot->passing, rows->owner);
        mem_free(rows->owner, slot, sizeof *slot);
    }
    mem_free(rows->owner, scratch, sizeof *scratch);
    atomic_store_explicit(&rows->scan, NULL, memory_order_relaxed);
}

void scan_deadline_fail(kith_error *err) {
    (void)FAIL(err, KITH_EDEADLINE, "the deadline passed before the search ended");
}

/* ---- k nearest --------------------------------------------------------------------------------- */

bool scan_take_nearest(struct scan_pass *pass, const uint32_t *row, const float *dist, uint32_t n) {
    struct scan_heap *heap = pass->sink;
    float tau = pass->tau;
    for (uint32_t i = 0; i < n; i++) {
        if (!(dist[i] <= tau)) continue;
        heap_push(heap, dist[i], rows_id(pass->view.rows, row[i]));
        tau = heap_limit(heap);
    }
    pass->tau = tau;
    return true;
}

void scan_put(struct scan_heap *heap, int64_t *ids, float *dists) {
    heap_sort(heap->hits, heap->n);
    for (uint32_t i = 0; i < heap->k; i++) {
        if (ids) ids[i] = i < heap->n ? heap->hits[i].id : KITH_NO_ID;
        if (dists) dists[i] = i < heap->n ? heap->hits[i].dist : INFINITY;
    }
}

static int search_one(struct scan_query *query, struct scan_slot *slot, kith_error *err) {
    struct rows *rows = query->rows;
    struct scan_heap heap = {.k = query->call->k};
    if (!scan_slot_grow(rows, &slot->hits, &slot->hits_bytes, heap.k * sizeof(struct scan_hit)))
        return FAIL(err, KITH_ENOMEM, "no memory for %u results", heap.k);
    heap.hits = slot->hits;
    struct scan_view view;
    struct scan_pass pass;
    scan_view_init(&view, rows);
    TRY(scan_pass_init(&pass, &view, query->call, slot, query->queries, err));
    pass.take = scan_take_nearest;
    pass.sink = &heap;
    pass.seed = heap.k;
    TRY(scan_pass_run(&pass, err));
    scan_put(&heap, query->ids, query->dists);
    return KITH_OK;
}

bool scan_has_twins(const int64_t *ids, size_t k) {
    for (size_t i = 1; i < k; i++) {
        int twins = 0;
        for (size_t j = 0; j < i; j++) twins |= ids[j] == ids[i] && ids[i] != KITH_NO_ID;
        if (twins) return true;
    }
    return false;
}

static bool has_twins(const struct scan_query *query) {
    size_t k = query->call->k;
    if (query->hits) return scan_hits_have_twins(query->hits, query->first);
    for (size_t i = 0; i < query->n; i++)
        if (scan_has_twins(query->ids + i * k, k)) return true;
    return false;
}

static int run_once(struct scan_query *query, kith_error *err) {
    uint32_t epoch_slot = epoch_enter(&query->rows->epoch);
    struct scan_slot *slot = scan_slot_get(query->rows, epoch_slot);
    int code =
        slot ? query->run(query, slot, err) : FAIL(err, KITH_ENOMEM, "no memory for a search");
    if (code != KITH_OK && query->hits) query->hits->n = query->first;
    epoch_leave(&query->rows->epoch, epoch_slot);
    return code;
}

int scan_settled(struct scan_query *query, kith_error *err) {
    struct rows *rows = query->rows;
    for (uint32_t tries = 1; tries < TRIES; tries++) {
        struct rows_moment before = rows_moment(rows);
        int code = run_once(query, err);
        if (code != KITH_OK) return code;
        bool torn = rows_was_updated(rows, before);
        if (!torn && !(rows_had_removals(rows, before) && has_twins(query))) return code;
        if (query->hits) query->hits->n = query->first;
    }
    pthread_mutex_lock(&rows->commit_lock);
    int code = run_once(query, err);
    pthread_mutex_unlock(&rows->commit_lock);
    return code;
}

int scan_knn(struct rows *rows, const struct search_call *call, size_t n, const float *queries,
             int64_t *ids, float *dists, kith_error *err) {
    size_t dim = rows->config.dim, k = call->k;
    for (size_t i = 0, step; i < n; i += step) {
        bool batch = n - i >= SCAN_BATCH_MIN && scan_batch_suits(rows, call, n - i);
        step = !batch ? 1 : n - i < SCAN_BATCH_MAX ? n - i : SCAN_BATCH_MAX;
        struct scan_query some = {.rows = rows,
                                  .call = call,
                                  .n = step,
                                  .queries = queries + i * dim,
                                  .ids = ids + i * k,
                                  .dists = dists ? dists + i * k : NULL,
                                  .run = batch ? scan_batch : search_one};
        TRY(scan_settled(&some, err));
    }
    return KITH_OK;
}
