/* The pass of one query; scan_pass.h has the picture.
 *
 * Which scores. Under L1, and where the walk rows are the exact rows in floats, blocks are scored by the float law. One-
 * byte rows are scored through whole-number dots: first with the query in 8 bits, then, for what is left, in 16, then
 * by the law; most rows cost a quarter of the bytes and no float arithmetic. One-byte rows apart from the originals need
 * residual norms; without them the originals are scanned, or the one-byte code that stands for them. */
#include "index/scan_pass.h"

#include <math.h>

#include "base/clock.h"
#include "base/status.h"

#define DEADLINE_BLOCKS 16u

/* ---- making ready ------------------------------------------------------------------------------ */

static bool can_estimate(const struct code *code) {
    return (code->kind == CODE_U8 || code->kind == CODE_SQ8) && code->metric != KITH_METRIC_L1;
}

void scan_view_init(struct scan_view *view, struct rows *rows) {
    *view = (struct scan_view){.rows = rows};
    view->n = atomic_load_explicit(
        &rows->n, memory_order_acquire); /* before the store: rows.h, invariant 6 */
    const struct store *store = view->store = rows_store(rows);
    view->exact = store_exact_code(store);
    bool walk = can_estimate(&store->walk) && (store->shared || !store->has_orig || store->has_err);
    view->first = walk ? &store->walk : view->exact;
    view->rows_of_first = walk ? &store->walk_rows : store_exact_rows(store);
    view->estimates = can_estimate(view->first);
    view->has_err = walk && store->has_err;
    view->fine = true;
}

int scan_view_check(const struct scan_view *view, kith_error *err) {
    return store_is_bare(view->store)
               ? FAIL(err, KITH_EUNSUPPORTED, "the rows keep no vectors to be scanned")
               : KITH_OK;
}

void scan_pass_limit(struct scan_pass *pass) {
    pass->limit = scan_bound_limit(&pass->bound, pass->tau, pass->first.slack);
    if (pass->estimated)
        pass->limit_fine = scan_bound_limit(&pass->bound, pass->tau, pass->first.slack_fine);
}

int scan_pass_init(struct scan_pass *pass, const struct scan_view *view,
                   const struct search_call *call, struct scan_slot *slot, const float *query,
                   kith_error *err) {
    *pass = (struct scan_pass){.view = *view, .call = call, .slot = slot, .tau = INFINITY};
    TRY(scan_view_check(view, err));
    size_t room = bits_round_up(scorer_bytes(view->first), 64);
    if (!scan_slot_grow(view->rows, &slot->scorers, &slot->scorers_bytes,
                        room + scorer_bytes(view->exact)))
        return FAIL(err, KITH_ENOMEM, "no memory for a search");
    scorer_init(&pass->first, view->first, slot->scorers);
    scorer_set_query(&pass->first, query);
    if (view->first == view->exact) {
        pass->exact = pass->first;
    } else {
        scorer_init(&pass->exact, view->exact, slot->scorers + room);
        scorer_set_query(&pass->exact, query);
    }
    pass->estimated = view->estimates && (view->has_err || pass->first.slack > 0);
    if (pass->estimated && view->fine) scorer_refine(&pass->first);
    scan_bound_init(&pass->bound, view->store, query, !pass->estimated);
    return KITH_OK;
}

/* ---- which rows -------------------------------------------------------------------------------- */

/* The live rows among the 64 from first (a multiple of 64) below n that pass a bit view; a callback is not asked. */
static uint64_t eligible(const struct rows *rows, const struct search_call *call, uint32_t first,
                         uint32_t n) {
    const _Atomic uint64_t *live =
        (const _Atomic uint64_t *)(const void *)segs_at(&rows->live, first >> 6);
    uint64_t word = atomic_load_explicit(live, memory_order_acquire);
    if (n - first < 64) word &= ((uint64_t)1 << (n - first)) - 1;
    if (!call->filter.bits || !word) return word;
    if (!atomic_load_explicit(&rows->explicit_ids, memory_order_acquire)) {
        if (first >= call->filter.n_bits) return 0;
        uint64_t left = call->filter.n_bits - first;
        return word & call->filter.bits[first >> 6] &
               (left < 64 ? ((uint64_t)1 << left) - 1 : UINT64_MAX);
    }
    uint64_t passing = 0;
    for (uint64_t rest = word; rest; rest &= rest - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rest);
        if (call_passes(call, rows_id(rows, first + i))) passing |= (uint64_t)1 << i;
    }
    return passing;
}

uint32_t scan_gather(const struct scan_view *view, const struct search_call *call,
                     struct scan_cursor *at, uint32_t *row, uint32_t most) {
    uint32_t n = 0;
    while (n < most) {
        if (!at->word) {
            if (at->first >= view->n) break;
            at->base = at->first;
            at->word = eligible(view->rows, call, at->first, view->n);
            at->first += 64;
        } else if (at->word == UINT64_MAX && n + 64 <= most) {
            for (uint32_t i = 0; i < 64; i++) row[n + i] = at->base + i;
            n += 64;
            at->word = 0;
        } else {
            row[n++] = at->base + (uint32_t)__builtin_ctzll(at->word);
            at->word &= at->word - 1;
        }
    }
    return n;
}

/* ---- scores ------------------------------------------------------------------------------------ */

bool scan_is_run(const struct segs *segs, const uint32_t *row, uint32_t n) {
    return row[n - 1] - row[0] == n - 1 && segs_run(segs, row[0], n) == n;
}

static void find_rows(const struct segs *segs, const uint32_t *row, uint32_t n,
                      const uint8_t **at) {
    for (uint32_t i = 0; i < n; i++) at[i] = segs_at(segs, row[i]);
}

static void score_block(const struct scan_pass *pass, uint32_t n) {
    struct scan_slot *slot = pass->slot;
    if (scan_is_run(pass->view.rows_of_first, slot->row, n)) {
        const uint8_t *rows = segs_at(pass->view.rows_of_first, slot->row[0]);
        if (pass->estimated)
            scorer_rows(&pass->first, rows, n, slot->est);
        else
            scorer_exact_rows(&pass->first, rows, n, slot->est);
        return;
    }
    find_rows(pass->view.rows_of_first, slot->row, n, slot->at);
    if (pass->estimated)
        scorer_list(&pass->first, slot->at, n, slot->est);
    else
        scorer_exact_list(&pass->first, slot->at, n, slot->est);
}

/* Residual norms of a block: where they lie, or gathered; NULL where there are none. */
static const float *block_errs(const struct scan_pass *pass, uint32_t n) {
    struct scan_slot *slot = pass->slot;
    const struct segs *segs = &pass->view.store->err_of;
    if (!pass->estimated || !pass->view.has_err) return NULL;
    if (scan_is_run(segs, slot->row, n))
        return (const float *)(const void *)segs_at(segs, slot->row[0]);
    for (uint32_t i = 0; i < n; i++)
        slot->err[i] = *(const float *)(const void *)segs_at(segs, slot->row[i]);
    return slot->err;
}

/* Keep the rows of [0, n) within a limit, in order; err may be slot->err itself. Most blocks keep none. */
static uint32_t keep_within(struct scan_slot *slot, const struct scan_limit *limit,
                            const float *err, uint32_t n) {
    const float *est = slot->est;
    int any = 0;
    if (err)
        for (uint32_t i = 0; i < n; i++) any |= scan_within(limit, est[i], err[i]);
    else
        for (uint32_t i = 0; i < n; i++) any |= est[i] <= limit->a;
    if (!any) return 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        float e = err ? err[i] : 0;
        slot->row[kept] = slot->row[i];
        slot->est[kept] = slot->est[i];
        slot->err[kept] = e;
        kept += scan_within(limit, slot->est[kept], e);
    }
    return kept;
}

static uint32_t keep_passing(const struct scan_pass *pass, uint32_t n) {
    struct scan_slot *slot = pass->slot;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        slot->row[kept] = slot->row[i];
        slot->est[kept] = slot->est[i];
        slot->err[kept] = slot->err[i];
        kept += call_passes(pass->call, rows_id(pass->view.rows, slot->row[i]));
    }
    return kept;
}

/* ---- law distances ----------------------------------------------------------------------------- */

/* Hand n rows (est: law distances) to the sink; those past tau are left out. */
static bool sink_rows(struct scan_pass *pass, const uint32_t *row, const float *dist, uint32_t n) {
    float before = pass->tau;
    if (!pass->take(pass, row, dist, n)) return false;
    if (pass->tau < before) scan_pass_limit(pass);
    return true;
}

/* Law distances of the first n rows of a block. */
static bool settle(struct scan_pass *pass, uint32_t n) {
    struct scan_slot *slot = pass->slot;
    if (pass->estimated) {
        find_rows(store_exact_rows(pass->view.store), slot->row, n, slot->at);
        scorer_exact_list(&pass->exact, slot->at, n, slot->est);
    }
    return sink_rows(pass, slot->row, slot->est, n);
}

static void swap_rows(struct scan_slot *slot, uint32_t a, uint32_t b) {
    uint32_t row = slot->row[a];
    float est = slot->est[a], err = slot->err[a];
    slot->row[a] = slot->row[b], slot->est[a] = slot->est[b], slot->err[a] = slot->err[b];
    slot->row[b] = row, slot->est[b] = est, slot->err[b] = err;
}

/* Bring the k smallest estimates of n to the front (Hoare's selection). */
static void select_nearest(struct scan_slot *slot, uint32_t n, uint32_t k) {
    uint32_t low = 0, high = n - 1;
    while (low < high) {
        float pivot = slot->est[low + (high - low) / 2];
        uint32_t i = low, j = high;
        for (;;) {
            while (slot->est[i] < pivot) i++;
            while (slot->est[j] > pivot) j--;
            if (i >= j) break;
            swap_rows(slot, i++, j--);
        }
        if (k <= j + 1)
            high = j > low ? j : low;
        else
            low = j + 1;
    }
}

/* While nothing is known, law distances of the most promising rows make tau finite before the others are looked at. */
static bool seed(struct scan_pass *pass, uint32_t *n) {
    struct scan_slot *slot = pass->slot;
    uint32_t k = pass->seed;
    if (!(pass->tau == INFINITY) || !pass->estimated || *n <= k || k == 0) return true;
    select_nearest(slot, *n, k);
    if (!settle(pass, k)) return false;
    for (uint32_t i = k; i < *n; i++) {
        slot->row[i - k] = slot->row[i];
        slot->est[i - k] = slot->est[i];
        slot->err[i - k] = slot->err[i];
    }
    *n = keep_within(slot, &pass->limit, slot->err, *n - k);
    return true;
}

/* The rows of a block that are within the limit. */
static bool finish_block(struct scan_pass *pass, uint32_t n) {
    struct scan_slot *slot = pass->slot;
    if (pass->call->filter.pass && !pass->call->filter.bits) n = keep_passing(pass, n);
    if (!seed(pass, &n)) return false;
    if (n && pass->estimated && pass->view.fine) {
        find_rows(pass->view.rows_of_first, slot->row, n, slot->at);
        scorer_list_fine(&pass->first, slot->at, n, slot->est);
        n = keep_within(slot, &pass->limit_fine, slot->err, n);
    }
    return n == 0 || settle(pass, n);
}

bool scan_pass_feed(struct scan_pass *pass, uint32_t n) {
    n = keep_within(pass->slot, &pass->limit, pass->slot->err, n);
    return n == 0 || finish_block(pass, n);
}

int scan_pass_run(struct scan_pass *pass, kith_error *err) {
    struct scan_cursor at = {0};
    scan_pass_limit(pass);
    uint64_t deadline = pass->call->deadline;
    for (uint32_t block = 0;; block++) {
        uint32_t n = scan_gather(&pass->view, pass->call, &at, pass->slot->row, SCAN_BLOCK);
        if (n == 0) return KITH_OK;
        if (deadline && block % DEADLINE_BLOCKS == 0 && clock_ns() > deadline) {
            scan_deadline_fail(err);
            return KITH_EDEADLINE;
        }
        score_block(pass, n);
        n = keep_within(pass->slot, &pass->limit, block_errs(pass, n), n);
        if (n && !finish_block(pass, n))
            return FAIL(err, KITH_ENOMEM, "no memory for the rows within the radius");
    }
}
