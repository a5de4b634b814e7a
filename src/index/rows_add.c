/* Adding and replacing rows: from the user's floats to pending rows.
 *
 * Order of a begin, chosen so that everything that can fail comes before anything that changes:
 *   1. values: finite, and lengths that keep every distance finite (no lock)
 *   2. `layout`: shared where the store suits the data, else exclusive, and then held so until commit
 *   3. `ids_lock`: room in every array, row numbers, ids (taken back if one is there already)
 *   4. encoding, by several threads, into rows that nobody else looks at */
#include "index/rows.h"
#include "index/rows_store.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

#include "base/status.h"
#include "base/thread.h"

#define CHECK_GRAIN 64u
#define F16_MAX     65504.0f
/* Two vectors of a squared length up to this are at a finite squared distance. */
#define L2SQ_MAX (FLT_MAX / 8)

/* One call: rows to be added (old NULL) or put in place of others. */
struct claim {
    struct store_batch batch;
    const int64_t *ids;
    uint32_t *row; /* out: the new rows */
    uint32_t *old; /* out: the rows they replace */
    uint32_t n_after;
};

/* ---- values ------------------------------------------------------------------------------------ */

struct value_check {
    const float *x;
    size_t dim;
    bool half; /* a half float must hold each value */
    _Atomic size_t bad;
};

static void check_values(void *context, uint32_t worker, size_t begin, size_t end) {
    struct value_check *check = context;
    const struct kern *kern = kern_get();
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        const float *x = check->x + i * check->dim;
        float l2sq = kern->pair[KITH_TYPE_F32][KERN_DOT](x, x, check->dim);
        if (l2sq <= L2SQ_MAX && !(check->half && kern->max_abs(x, check->dim) > F16_MAX)) continue;
        size_t least = atomic_load(&check->bad);
        while (i < least && !atomic_compare_exchange_weak(&check->bad, &least, i)) {}
        return;
    }
}

static int fail_value(const struct value_check *check, size_t first, kith_error *err) {
    size_t row = first + check->bad;
    const float *x = check->x + check->bad * check->dim;
    for (size_t i = 0; i < check->dim; i++)
        if (!isfinite(x[i]))
            return FAIL_AT(err, KITH_ENONFINITE, row, "row %zu: element %zu is %g", row, i,
                           (double)x[i]);
    for (size_t i = 0; check->half && i < check->dim; i++)
        if (fabsf(x[i]) > F16_MAX)
            return FAIL_AT(err, KITH_ERANGE, row,
                           "row %zu: element %zu is %g, a half float holds at most 65504", row, i,
                           (double)x[i]);
    return FAIL_AT(err, KITH_ERANGE, row, "row %zu: its squared length is over %g", row,
                   (double)L2SQ_MAX);
}

int store_check_values(const struct rows_config *config, const struct store_batch *batch,
                       kith_error *err) {
    struct value_check check = {.x = batch->x, .dim = config->dim, .bad = SIZE_MAX};
    check.half = config->walk == CODE_F16 || (config->keep_orig && config->orig == CODE_F16);
    thread_for(batch->threads, batch->n, CHECK_GRAIN, check_values, &check);
    return check.bad == SIZE_MAX ? KITH_OK : fail_value(&check, batch->first, err);
}

/* ---- claiming rows ----------------------------------------------------------------------------- */

/* The numbers that n new rows will have: free ones in rising order, then new ones. Nothing is marked. */
static uint32_t pick_rows(const struct rows *rows, size_t n, uint32_t *row) {
    uint32_t n_used = atomic_load_explicit(&rows->n, memory_order_relaxed);
    size_t i = 0, reuse = n < rows->n_free ? n : rows->n_free;
    for (uint32_t first = rows->free_from & ~63u; i < reuse && first < n_used; first += 64) {
        uint64_t word = *row_word(&rows->freed, first);
        for (; word && i < reuse; word &= word - 1)
            row[i++] = first + (uint32_t)__builtin_ctzll(word);
    }
    while (i < n) row[i++] = n_used++;
    return n_used;
}

/* The store is left out when it is about to be changed anyway. */
static int make_room(struct rows *rows, uint32_t n, bool with_store, kith_error *err) {
    struct store *store = atomic_load_explicit(&rows->store, memory_order_relaxed);
    uint32_t words = (uint32_t)bits_words(n);
    bool made = (!with_store || store_reserve(store, n, rows->owner)) &&
                segs_reserve(&rows->live, words, rows->owner) &&
                segs_reserve(&rows->held, words, rows->owner) &&
                segs_reserve(&rows->freed, words, rows->owner);
    if (made && atomic_load_explicit(&rows->explicit_ids, memory_order_relaxed))
        made = segs_reserve(&rows->id_of, n, rows->owner);
    return made ? KITH_OK
                : FAIL(err, KITH_ENOMEM, "no memory for %u rows of %u dimensions", n,
                       rows->config.dim);
}

/* From ids that are row numbers to ids that are written down: n rows in all. */
static int make_explicit(struct rows *rows, uint32_t n, kith_error *err) {
    if (atomic_load_explicit(&rows->explicit_ids, memory_order_relaxed)) return KITH_OK;
    uint32_t n_used = atomic_load_explicit(&rows->n, memory_order_relaxed);
    if (!segs_reserve(&rows->id_of, n, rows->owner) ||
        !id_map_reserve(&rows->ids, n, &rows->id_of, rows->owner))
        return FAIL(err, KITH_ENOMEM, "no memory for the ids of %u rows", n);
    for (uint32_t row = 0; row < n_used; row++)
        *(int64_t *)(void *)segs_at(&rows->id_of, row) = row;
    for (uint32_t row = 0; row < n_used; row++)
        if (row_bit(&rows->held, row)) id_map_put(&rows->ids, &rows->id_of, row);
    atomic_store_explicit(&rows->explicit_ids, true, memory_order_release);
    return KITH_OK;
}

static int64_t claim_id(const struct rows *rows, const struct claim *claim, size_t i) {
    return claim->ids ? claim->ids[i] : rows->next_id + (int64_t)i;
}

static bool ids_are_rows(const struct rows *rows, const struct claim *claim) {
    for (size_t i = 0; i < claim->batch.n; i++)
        if (claim_id(rows, claim, i) != (int64_t)claim->row[i]) return false;
    return true;
}

static int fail_duplicate(const struct claim *claim, size_t at, uint32_t there, kith_error *err) {
    for (size_t i = 0; i < at; i++)
        if (claim->row[i] == there)
            return FAIL_AT(err, KITH_EDUPLICATE, at,
                           "id %" PRId64 " is given twice, for rows %zu and %zu", claim->ids[at], i,
                           at);
    return FAIL_AT(err, KITH_EDUPLICATE, at, "row %zu: id %" PRId64 " is already present", at,
                   claim->ids[at]);
}

/* Write down the ids of the picked rows; map those of an add. */
static int enter_ids(struct rows *rows, const struct claim *claim, kith_error *err) {
    size_t n = claim->batch.n;
    if (!id_map_reserve(&rows->ids, rows->ids.n + (uint32_t)n, &rows->id_of, rows->owner))
        return FAIL(err, KITH_ENOMEM, "no memory for %zu more ids", n);
    for (size_t i = 0; i < n; i++)
        *(int64_t *)(void *)segs_at(&rows->id_of, claim->row[i]) = claim_id(rows, claim, i);
    for (size_t i = 0; i < n && !claim->old; i++) {
        uint32_t there = id_map_put(&rows->ids, &rows->id_of, claim->row[i]);
        if (there == ROW_NONE) continue;
        for (size_t j = i; j-- > 0;) id_map_take(&rows->ids, &rows->id_of, claim->row[j]);
        return fail_duplicate(claim, i, there, err);
    }
    return KITH_OK;
}

/* The live rows of an update's ids. A held bit cleared on the way tells an id that comes twice. */
static int find_old(struct rows *rows, const struct claim *claim, kith_error *err) {
    int code = KITH_OK;
    size_t i = 0;
    for (; i < claim->batch.n; i++) {
        uint32_t row = rows_lookup(rows, claim->ids[i]);
        if (row == ROW_NONE || !rows_is_live(rows, row)) {
            code = FAIL_AT(err, KITH_ENOTFOUND, i, "row %zu: id %" PRId64 " is not present", i,
                           claim->ids[i]);
            break;
        }
        if (!row_bit(&rows->held, row)) {
            code = FAIL_AT(err, KITH_EDUPLICATE, i, "row %zu: id %" PRId64 " is given twice", i,
                           claim->ids[i]);
            break;
        }
        row_bit_clear(&rows->held, row);
        claim->old[i] = row;
    }
    while (i-- > 0) row_bit_set(&rows->held, claim->old[i]);
    return code;
}

static void mark_claimed(struct rows *rows, const struct claim *claim) {
    uint32_t n_used = atomic_load_explicit(&rows->n, memory_order_relaxed);
    int64_t next = rows->next_id;
    for (size_t i = 0; i < claim->batch.n; i++) {
        uint32_t row = claim->row[i];
        if (row < n_used) {
            row_bit_clear(&rows->freed, row);
            rows->n_free--;
            rows->free_from = row;
        }
        row_bit_set(&rows->held, row);
        int64_t id = claim_id(rows, claim, i);
        if (id >= next) next = id == INT64_MAX ? id : id + 1;
    }
    rows->next_id = next;
}

static int claim_locked(struct rows *rows, struct claim *claim, bool publish, kith_error *err) {
    uint32_t n_used = atomic_load_explicit(&rows->n, memory_order_relaxed);
    size_t n = claim->batch.n, fresh = n > rows->n_free ? n - rows->n_free : 0;
    if (fresh > KITH_MAX_ROWS - n_used)
        return FAIL(err, KITH_EFULL, "%u rows and %zu more, at most %u fit", n_used, n,
                    KITH_MAX_ROWS);
    if (!claim->ids && rows->next_id > INT64_MAX - (int64_t)n)
        return FAIL(err, KITH_EFULL, "no numbers left after id %" PRId64 ", give ids",
                    rows->next_id);
    if (claim->old) TRY(find_old(rows, claim, err));
    claim->n_after = pick_rows(rows, n, claim->row);
    TRY(make_room(rows, claim->n_after, publish, err));
    bool written = atomic_load_explicit(&rows->explicit_ids, memory_order_relaxed);
    if (written || claim->old || !ids_are_rows(rows, claim)) {
        TRY(make_explicit(rows, claim->n_after, err));
        TRY(enter_ids(rows, claim, err));
    }
    mark_claimed(rows, claim);
    if (publish) atomic_store_explicit(&rows->n, claim->n_after, memory_order_release);
    return KITH_OK;
}

static int claim_rows(struct rows *rows, struct claim *claim, bool publish, kith_error *err) {
    pthread_mutex_lock(&rows->ids_lock);
    int code = claim_locked(rows, claim, publish, err);
    pthread_mutex_unlock(&rows->ids_lock);
    return code;
}

/* Undo a claim: rows below n are free again, rows at or past it were never there. */
static void unclaim(struct rows *rows, size_t n, const uint32_t *row, bool mapped) {
    uint32_t n_used = atomic_load_explicit(&rows->n, memory_order_relaxed);
    for (size_t i = 0; i < n; i++) {
        if (mapped && atomic_load_explicit(&rows->explicit_ids, memory_order_relaxed))
            id_map_take(&rows->ids, &rows->id_of, row[i]);
        row_bit_clear(&rows->held, row[i]);
        if (row[i] < n_used) rows_free_one(rows, row[i]);
    }
}

/* ---- the three steps --------------------------------------------------------------------------- */

/* The data want another store: with `layout` held exclusively, so that no other adder is there. */
static int claim_changing(struct rows *rows, struct claim *claim, kith_error *err) {
    int64_t next_id = rows->next_id;
    TRY(claim_rows(rows, claim, false, err));
    int code = store_change(rows, &claim->batch, claim->n_after, err);
    pthread_mutex_lock(&rows->ids_lock);
    if (code == KITH_OK) {
        atomic_store_explicit(&rows->n, claim->n_after, memory_order_release);
    } else {
        unclaim(rows, claim->batch.n, claim->row, !claim->old);
        rows->next_id = next_id;
    }
    pthread_mutex_unlock(&rows->ids_lock);
    return code;
}

static int begin(struct rows *rows, struct claim *claim, kith_error *err) {
    size_t n = claim->batch.n;
    if (rows->read_only)
        return FAIL(err, KITH_EREADONLY, "the index was opened as a map, which is read-only");
    for (size_t i = 0; claim->ids && i < n; i++)
        if (claim->ids[i] < 0)
            return FAIL_AT(err, KITH_EINVAL, i, "row %zu: id %" PRId64 " is negative", i,
                           claim->ids[i]);
    TRY(store_check_values(&rows->config, &claim->batch, err));
    claim->batch.integral = code_is_integral(n * rows->config.dim, claim->batch.x);
    pthread_rwlock_rdlock(&rows->layout);
    bool suits = store_suits(rows, &claim->batch);
    if (!suits) {
        pthread_rwlock_unlock(&rows->layout);
        pthread_rwlock_wrlock(&rows->layout);
        suits = store_suits(rows, &claim->batch);
    }
    int code = suits ? claim_rows(rows, claim, true, err) : claim_changing(rows, claim, err);
    if (code != KITH_OK) {
        pthread_rwlock_unlock(&rows->layout);
        return code;
    }
    if (suits)
        atomic_fetch_add_explicit(&rows->n_clipped, claim->batch.n_clipped, memory_order_relaxed);
    store_write(atomic_load_explicit(&rows->store, memory_order_relaxed), &claim->batch,
                claim->row);
    return KITH_OK;
}

/* Give back the numbers of a claim that nobody claimed after: the next add gets them again. */
static void unclaim_ids(struct rows *rows, size_t n, const uint32_t *row) {
    int64_t first = rows_id(rows, row[0]);
    for (size_t i = 0; i < n; i++)
        if (rows_id(rows, row[i]) != first + (int64_t)i) return;
    if (rows->next_id == first + (int64_t)n) rows->next_id = first;
}

static void end_pending(struct rows *rows, size_t n, const uint32_t *row, bool mapped) {
    pthread_mutex_lock(&rows->ids_lock);
    if (mapped) unclaim_ids(rows, n, row);
    unclaim(rows, n, row, mapped);
    pthread_mutex_unlock(&rows->ids_lock);
    pthread_rwlock_unlock(&rows->layout);
}

int rows_add_begin(struct rows *rows, size_t n, const float *x, const int64_t *ids,
                   uint32_t threads, uint32_t *row_out, kith_error *err) {
    struct claim claim = {
        .batch = {.n = n, .x = x, .threads = threads}, .ids = ids, .row = row_out};
    return begin(rows, &claim, err);
}

void rows_add_commit(struct rows *rows, size_t n, const uint32_t *row) {
    for (size_t i = 0; i < n; i++) rows_set_live(rows, row[i]);
    atomic_fetch_add_explicit(&rows->n_live, (uint32_t)n, memory_order_release);
    pthread_rwlock_unlock(&rows->layout);
}

void rows_add_abort(struct rows *rows, size_t n, const uint32_t *row) {
    end_pending(rows, n, row, true);
}

int rows_update_begin(struct rows *rows, size_t n, const float *x, const int64_t *ids,
                      uint32_t threads, uint32_t *new_out, uint32_t *old_out, kith_error *err) {
    struct claim claim = {
        .batch = {.n = n, .x = x, .threads = threads}, .ids = ids, .row = new_out, .old = old_out};
    return begin(rows, &claim, err);
}

void rows_update_commit(struct rows *rows, size_t n, const uint32_t *new_row,
                        const uint32_t *old_row) {
    pthread_mutex_lock(&rows->commit_lock);
    pthread_mutex_lock(&rows->ids_lock);
    atomic_fetch_add_explicit(&rows->n_updates, 1, memory_order_acq_rel);
    for (size_t i = 0; i < n; i++) {
        id_map_replace(&rows->ids, &rows->id_of, old_row[i], new_row[i]);
        row_bit_clear(&rows->held, old_row[i]);
        rows_set_live(rows, new_row[i]);
        rows_set_dead(rows, old_row[i]);
    }
    rows->n_dead += (uint32_t)n;
    atomic_fetch_add_explicit(&rows->n_updates, 1, memory_order_acq_rel);
    pthread_mutex_unlock(&rows->ids_lock);
    pthread_mutex_unlock(&rows->commit_lock);
    pthread_rwlock_unlock(&rows->layout);
}

void rows_update_abort(struct rows *rows, size_t n, const uint32_t *new_row) {
    end_pending(rows, n, new_row, false);
}
