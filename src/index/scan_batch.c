/* Many queries at once: rows are packed in panels, and each packed group is scanned for all queries by register tiles
 * that keep what is within a query's limit; the score matrix is never written.
 *
 *     group of rows --pack--> panels (~256 KiB, second cache)
 *     for 64 queries at a time: scan_u8s8 -> hits within the limit -> pending rows of the query
 *     pending full, or the end: law distances of the pending rows (scan_pass.c) -> the query's heap -> a smaller limit
 *
 * Limits. The kernel compares with one number a query, so a group's limit takes the group's largest residual norm; each
 * hit is then compared with its own. Between two settlings tau stays where it was: a query that has settled m rows and
 * takes 2k + 64 more pending hits before it settles again has seen several times as many rows by then, so that a scan
 * needs a handful of settlings a query.
 *
 * Rows without a one-byte code of the right kind (plain floats; u8 under COSINE, whose estimate is no sum) are coded on
 * the way, by a passing sq8 code that is trained on a sample and certified like any other: coding a row costs as much as
 * some ten dots, and saves them all. Not so a quantizer's codes, whose exact scores are no distances by the law. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "index/scan_pass.h"

#define DIRECT_MIN  16u /* queries from which packing pays */
#define PASSING_MIN 64u /* from which coding pays */
#define GROUP_BYTES ((size_t)256 << 10)
#define GROUP_MAX   512u
#define GROUP_FIRST 128u
#define TOGETHER    64u /* queries a call of the kernel */
#define BATCH_BYTES ((size_t)64 << 20)
#define SAMPLE_ROWS 1024u

struct pending {
    uint32_t row;
    float est, err;
};

struct batch_query {
    struct scan_limit limit;
    struct scan_heap heap;
    struct pending *pending;
    uint32_t n_pending;
    float tau;
};

struct batch {
    struct scan_view view;
    const struct search_call *call;
    struct scan_slot *slot;
    size_t n_q;
    const float *queries;
    bool passing;       /* rows are coded on the way */
    uint32_t group;     /* most rows of one */
    uint32_t settle_at; /* pending rows */
    /* of the group */
    uint32_t n, *row;
    float *err, *term, err_max;
    float *decoded; /* a row */
    uint8_t *coded, *panels;
    /* of the queries */
    struct batch_query *query;
    int8_t *codes;
    float *scale, *bias, *limit;
    struct kern_hit *hits;
    uint32_t *n_hits;
};

static bool has_panels(const struct scan_view *view) {
    return view->estimates &&
           !(view->first->kind == CODE_U8 && view->first->metric == KITH_METRIC_COSINE);
}

bool scan_batch_suits(const struct rows *rows, const struct search_call *call, size_t n) {
    (void)call;
    const struct rows_config *config = &rows->config;
    enum code_kind exact = config->keep_orig ? config->orig : config->walk;
    if (config->metric == KITH_METRIC_L1 || exact == CODE_QUANTIZED || n < DIRECT_MIN) return false;
    if (n >= PASSING_MIN) return true;
    struct epoch *epoch = (struct epoch *)(uintptr_t)&rows->epoch;
    struct scan_view view;
    uint32_t slot = epoch_enter(epoch);
    scan_view_init(&view, (struct rows *)(uintptr_t)rows);
    bool suits = has_panels(&view);
    epoch_leave(epoch, slot);
    return suits;
}

/* ---- the passing code -------------------------------------------------------------------------- */

static int train_passing(struct batch *batch, kith_error *err) {
    struct scan_slot *slot = batch->slot;
    const struct scan_view *view = &batch->view;
    size_t dim = view->exact->dim, bytes = SAMPLE_ROWS * dim * sizeof(float);
    float *sample = mem_new(view->rows->owner, bytes);
    if (!sample) return FAIL(err, KITH_ENOMEM, "no memory for a batch of %zu queries", batch->n_q);
    uint32_t step = view->n / SAMPLE_ROWS + 1, n = 0;
    for (uint32_t row = 0; row < view->n && n < SAMPLE_ROWS; row += step)
        if (rows_is_live(view->rows, row))
            code_decode(view->exact, store_exact_row(view->store, row), sample + n++ * dim);
    code_train(&slot->passing, n, sample);
    mem_free(view->rows->owner, sample, bytes);
    slot->passing_store = view->store;
    slot->passing_n = view->n;
    return KITH_OK;
}

/* Use the slot's passing code; it is trained anew for another store, or when the rows have doubled. */
static int use_passing(struct batch *batch, kith_error *err) {
    struct scan_slot *slot = batch->slot;
    struct scan_view *view = &batch->view;
    const struct rows_config *config = &view->rows->config;
    if (!slot->passing.low) {
        TRY(code_init(&slot->passing, CODE_SQ8, config->metric, config->dim, view->rows->owner,
                      err));
        scan_count_bytes(view->rows, 3 * config->dim * sizeof(float), 0);
    }
    if (slot->passing_store != view->store || view->n / 2 > slot->passing_n)
        TRY(train_passing(batch, err));
    view->first = &slot->passing;
    view->estimates = view->has_err = true;
    view->fine = false;
    batch->passing = true;
    return KITH_OK;
}

/* ---- memory ------------------------------------------------------------------------------------ */

struct layout {
    uint8_t *base; /* NULL: only measured */
    size_t at;
};

static void *carve(struct layout *layout, size_t bytes) {
    void *p = layout->base ? layout->base + layout->at : NULL;
    layout->at += bits_round_up(bytes, 64);
    return p;
}

/* Lay everything out from base on; returns the bytes it takes. */
static size_t lay_out(struct batch *batch, uint8_t *base) {
    const struct code *code = batch->view.first;
    size_t group = batch->group, n_q = batch->n_q, k = batch->call->k;
    struct layout at = {base, 0};
    batch->row = carve(&at, group * sizeof(uint32_t));
    batch->err = carve(&at, group * sizeof(float));
    batch->term = carve(&at, group * sizeof(float));
    batch->decoded = carve(&at, code->dim * sizeof(float));
    batch->coded = carve(&at, group * code->stride);
    batch->panels = carve(&at, group / KERN_PANEL * kern_get()->panel_bytes(code->bytes));
    batch->hits = carve(&at, TOGETHER * group * sizeof(struct kern_hit));
    batch->n_hits = carve(&at, TOGETHER * sizeof(uint32_t));
    batch->query = carve(&at, n_q * sizeof(struct batch_query));
    batch->codes = carve(&at, n_q * code->bytes);
    batch->scale = carve(&at, n_q * sizeof(float));
    batch->bias = carve(&at, n_q * sizeof(float));
    batch->limit = carve(&at, n_q * sizeof(float));
    struct scan_hit *hits = carve(&at, n_q * k * sizeof(struct scan_hit));
    struct pending *pending = carve(&at, n_q * (batch->settle_at + group) * sizeof(struct pending));
    for (size_t i = 0; base && i < n_q; i++) {
        batch->query[i].heap.hits = hits + i * k;
        batch->query[i].pending = pending + i * (batch->settle_at + group);
    }
    return at.at;
}

static int batch_memory(struct batch *batch, kith_error *err) {
    size_t rows = GROUP_BYTES / batch->view.first->bytes;
    rows = rows > GROUP_MAX ? GROUP_MAX : rows < KERN_PANEL ? KERN_PANEL : rows;
    batch->group = (uint32_t)rows / KERN_PANEL * KERN_PANEL;
    batch->settle_at = 2 * batch->call->k + 64;
    struct scan_slot *slot = batch->slot;
    if (!scan_slot_grow(batch->view.rows, &slot->batch, &slot->batch_bytes, lay_out(batch, NULL)))
        return FAIL(err, KITH_ENOMEM, "no memory for a batch of %zu queries", batch->n_q);
    lay_out(batch, slot->batch);
    return KITH_OK;
}

/* ---- queries ----------------------------------------------------------------------------------- */

static int begin_pass(struct batch *batch, size_t i, struct scan_pass *pass, kith_error *err) {
    struct batch_query *query = &batch->query[i];
    const float *x = batch->queries + i * batch->view.exact->dim;
    TRY(scan_pass_init(pass, &batch->view, batch->call, batch->slot, x, err));
    pass->take = scan_take_nearest;
    pass->sink = &query->heap;
    pass->seed = batch->call->k;
    pass->tau = query->tau;
    scan_pass_limit(pass);
    return KITH_OK;
}

static int begin_query(struct batch *batch, size_t i, kith_error *err) {
    struct batch_query *query = &batch->query[i];
    const struct code *code = batch->view.first;
    struct scan_pass pass;
    query->tau = INFINITY;
    query->n_pending = 0;
    query->heap.n = 0;
    query->heap.k = batch->call->k;
    TRY(begin_pass(batch, i, &pass, err));
    query->limit = pass.limit;
    memcpy(batch->codes + i * code->bytes, pass.first.quantised, code->bytes);
    batch->scale[i] = pass.first.scale;
    batch->bias[i] = pass.first.bias;
    return KITH_OK;
}

/* Law distances of the pending rows. */
static int settle(struct batch *batch, size_t i, kith_error *err) {
    struct batch_query *query = &batch->query[i];
    struct scan_slot *slot = batch->slot;
    struct scan_pass pass;
    TRY(begin_pass(batch, i, &pass, err));
    for (uint32_t first = 0, n; first < query->n_pending; first += n) {
        n = query->n_pending - first < SCAN_BLOCK ? query->n_pending - first : SCAN_BLOCK;
        for (uint32_t j = 0; j < n; j++) {
            slot->row[j] = query->pending[first + j].row;
            slot->est[j] = query->pending[first + j].est;
            slot->err[j] = query->pending[first + j].err;
        }
        if (!scan_pass_feed(&pass, n)) return FAIL(err, KITH_ENOMEM, "no memory for a batch");
    }
    query->n_pending = 0;
    query->tau = pass.tau;
    query->limit = pass.limit;
    return KITH_OK;
}

/* ---- groups ------------------------------------------------------------------------------------ */

static float load_f32(const uint8_t *at) {
    float value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Code the rows of the group by the passing code. */
static void code_group(struct batch *batch) {
    const struct scan_view *view = &batch->view;
    size_t dim = view->exact->dim;
    for (uint32_t i = 0; i < batch->n; i++) {
        const uint8_t *row = store_exact_row(view->store, batch->row[i]);
        const float *x = batch->decoded;
        if (view->exact->kind == CODE_F32)
            x = (const float *)(const void *)row;
        else
            code_decode(view->exact, row, batch->decoded);
        batch->err[i] = code_encode(view->first, x, batch->coded + i * view->first->stride);
        if (scan_bound_is_short(view->exact->metric, dim, x)) batch->err[i] = INFINITY;
    }
}

/* Put the codes of the group side by side, if they are not. */
static const uint8_t *gather_codes(struct batch *batch) {
    const struct scan_view *view = &batch->view;
    if (scan_is_run(view->rows_of_first, batch->row, batch->n))
        return segs_at(view->rows_of_first, batch->row[0]);
    for (uint32_t i = 0; i < batch->n; i++)
        memcpy(batch->coded + i * view->first->stride, segs_at(view->rows_of_first, batch->row[i]),
               view->first->stride);
    return batch->coded;
}

static void pack_group(struct batch *batch) {
    const struct scan_view *view = &batch->view;
    const struct code *code = view->first;
    const uint8_t *codes = batch->coded;
    if (batch->passing)
        code_group(batch);
    else
        codes = gather_codes(batch);
    batch->err_max = 0;
    for (uint32_t i = 0; i < batch->n; i++) {
        batch->term[i] = code->term_at ? load_f32(codes + i * code->stride + code->term_at) : 0;
        if (!batch->passing)
            batch->err[i] =
                view->has_err
                    ? *(const float *)(const void *)segs_at(&view->store->err_of, batch->row[i])
                    : 0;
        if (!(batch->err[i] <= batch->err_max)) batch->err_max = batch->err[i];
    }
    kern_get()->pack_u8(codes, code->stride, batch->n, code->bytes, batch->panels);
}

static int take_hits(struct batch *batch, size_t i, const struct kern_hit *hits, uint32_t n,
                     kith_error *err) {
    struct batch_query *query = &batch->query[i];
    for (uint32_t j = 0; j < n; j++) {
        float e = batch->err[hits[j].row];
        query->pending[query->n_pending] =
            (struct pending){batch->row[hits[j].row], hits[j].dist, e};
        query->n_pending += scan_within(&query->limit, hits[j].dist, e);
    }
    return query->n_pending > batch->settle_at ? settle(batch, i, err) : KITH_OK;
}

static int scan_group(struct batch *batch, kith_error *err) {
    const struct kern *kern = kern_get();
    size_t bytes = batch->view.first->bytes;
    for (size_t i = 0; i < batch->n_q; i++) {
        const struct scan_limit *limit = &batch->query[i].limit;
        batch->limit[i] = limit->a + batch->err_max * (limit->b + limit->c * batch->err_max);
    }
    for (size_t first = 0, n; first < batch->n_q; first += n) {
        n = batch->n_q - first < TOGETHER ? batch->n_q - first : TOGETHER;
        memset(batch->n_hits, 0, n * sizeof *batch->n_hits);
        struct kern_scan scan = {.panels = batch->panels,
                                 .term = batch->term,
                                 .n = batch->n,
                                 .bytes = bytes,
                                 .codes = batch->view.first->dim,
                                 .queries = batch->codes + first * bytes,
                                 .n_q = n,
                                 .scale = batch->scale + first,
                                 .bias = batch->bias + first,
                                 .limit = batch->limit + first,
                                 .hits = batch->hits,
                                 .hits_stride = batch->group,
                                 .n_hits = batch->n_hits};
        kern->scan_u8s8(&scan);
        for (size_t i = 0; i < n; i++)
            if (batch->n_hits[i])
                TRY(take_hits(batch, first + i, batch->hits + i * batch->group, batch->n_hits[i],
                              err));
    }
    return KITH_OK;
}

static int scan_groups(struct batch *batch, kith_error *err) {
    struct scan_cursor at = {0};
    /* While tau is infinite all rows are hits: a small group first. */
    uint32_t most = batch->group < GROUP_FIRST ? batch->group : GROUP_FIRST;
    for (; (batch->n = scan_gather(&batch->view, batch->call, &at, batch->row, most)) > 0;
         most = batch->group) {
        if (batch->call->deadline && clock_ns() > batch->call->deadline) {
            scan_deadline_fail(err);
            return KITH_EDEADLINE;
        }
        pack_group(batch);
        TRY(scan_group(batch, err));
    }
    for (size_t i = 0; i < batch->n_q; i++)
        if (batch->query[i].n_pending) TRY(settle(batch, i, err));
    return KITH_OK;
}

/* Queries that fit the memory together. */
static size_t queries_together(const struct batch *batch) {
    size_t k = batch->call->k;
    size_t bytes = batch->view.first->bytes + k * sizeof(struct scan_hit) +
                   (2 * k + 64 + GROUP_MAX) * sizeof(struct pending) + sizeof(struct batch_query) +
                   16;
    size_t n = BATCH_BYTES / bytes;
    return n < DIRECT_MIN ? DIRECT_MIN : n;
}

int scan_batch(struct scan_query *query, struct scan_slot *slot, kith_error *err) {
    struct batch batch = {.call = query->call, .slot = slot};
    scan_view_init(&batch.view, query->rows);
    TRY(scan_view_check(&batch.view, err));
    if (!has_panels(&batch.view)) TRY(use_passing(&batch, err));
    size_t dim = query->rows->config.dim, k = query->call->k, most = queries_together(&batch);
    for (size_t first = 0; first < query->n; first += batch.n_q) {
        batch.n_q = query->n - first < most ? query->n - first : most;
        batch.queries = query->queries + first * dim;
        TRY(batch_memory(&batch, err));
        for (size_t i = 0; i < batch.n_q; i++) TRY(begin_query(&batch, i, err));
        TRY(scan_groups(&batch, err));
        for (size_t i = 0; i < batch.n_q; i++)
            scan_put(&batch.query[i].heap, query->ids + (first + i) * k,
                     query->dists ? query->dists + (first + i) * k : NULL);
    }
    return KITH_OK;
}
