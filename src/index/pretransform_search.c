/* Searching behind transforms: queries through the chain, the inner index's candidates, and the best of them again on the
 * originals where those are kept.
 *
 *     query --chain--> inner search --row numbers--> live? passing? --originals--> k results
 *
 * A candidate that is not live (it is being added, or was just removed) is dropped; where that, or a filter, leaves fewer
 * than k, the inner index is asked again with a filter that lets only live, passing rows through. So a filter never costs
 * results, and neither does a write.
 *
 * Row numbers order equal distances otherwise than ids do. An exact search without originals therefore asks for one more,
 * and where the k-th and the next are equal, for a few times as many, and where that is not enough, for all as near. */
#include <math.h>
#include <string.h>

#include "index/pretransform.h"
#include "index/scan_heap.h"
#include "index/scan_pass.h"
#include "quant/quantizer.h"

#define BLOCK          512u   /* queries that go through together */
#define CANDIDATES_MAX 65536u /* of a block */
#define TIES_WIDER     4u     /* where distances are equal, so many times k are looked at first */
#define OVERSAMPLE     4.0f /* candidates a result, where the code behind the chain wants no more */

/* ---- what is asked -------------------------------------------------------------------------------------------- */

/* The filter of the inner index: whether a row number is of a live row whose id passes. */
struct passing {
    const struct rows *rows;
    const struct search_call *call;
    uint32_t n_rows; /* a mapped file may hold any number */
};

static bool is_live(const struct passing *passing, int64_t row) {
    return row >= 0 && row < (int64_t)passing->n_rows && rows_is_live(passing->rows, (uint32_t)row);
}

/* Graphs and lists do not see a hidden row; a scan does. */
static bool is_hidden(const struct passing *passing, int64_t row) {
    return row + 1 == (int64_t)passing->call->hidden;
}

static int passes(void *context, int64_t row) {
    const struct passing *passing = context;
    if (!is_live(passing, row) || is_hidden(passing, row)) return 0;
    return !passing->call->filtered ||
           call_passes(passing->call, rows_id(passing->rows, (uint32_t)row));
}

/* A block of queries on its way. */
struct asking {
    const struct pre *pre;
    const struct pre_model *model;
    const struct store *store;
    struct passing passing;
    struct search_call inner; /* what the inner index is asked */
    uint32_t k;
    bool refines;
    uint32_t wide; /* candidates looked at where distances are equal; 0: order is right */
    float *x, *scratch, *dists; /* transformed queries; the chain's; n times inner.k, then wide */
    int64_t *rows;              /* n times inner.k, then wide */
    struct scan_hit *hits;      /* inner.k or wide, of one query */
    struct scorer exact;        /* originals */
};

static float oversample_of(const struct pre *pre, const struct search_call *call) {
    const struct index_spec *inner = &pre->inner;
    bool lists = inner->structure == INDEX_IVF;
    float wanted = 0;
    if (call->oversample > 0) return call->oversample;
    if ((lists ? inner->list : inner->rows.walk) == CODE_QUANTIZED)
        wanted = quantizer_spec_oversample(lists ? &inner->quantizer : &inner->rows.quantizer);
    return wanted > OVERSAMPLE ? wanted : OVERSAMPLE;
}

static bool scans_inside(const struct asking *asking) {
    return asking->inner.exact || asking->model->inner->ops == &flat_ops;
}

static uint32_t candidates_of(const struct asking *asking, const struct search_call *call) {
    const struct rows *rows = asking->passing.rows;
    if (!asking->refines) return call->k + (asking->wide > 0 ? 1 : 0);
    double n = ceil((double)oversample_of(asking->pre, call) * call->k);
    uint32_t most = atomic_load_explicit(&rows->n_live, memory_order_acquire);
    most = most < KITH_MAX_K ? most : KITH_MAX_K;
    if (most < call->k) most = call->k; /* rows were removed since k was looked at */
    return n < call->k ? call->k : n > (double)most ? most : (uint32_t)n;
}

/* From now on only live, passing rows. */
static void ask_strictly(struct asking *asking) {
    asking->inner.filtered = true;
    asking->inner.filter = (kith_filter){.pass = passes, .context = &asking->passing};
}

/* While ids are row numbers a bit view can be handed on as it is. */
static void ask(struct asking *asking, const struct scan_query *query) {
    const struct rows *rows = query->rows;
    const struct search_call *call = query->call;
    *asking = (struct asking){.pre = query->context, .model = pre_model_of(query->context)};
    asking->passing.rows = rows;
    asking->passing.call = call;
    asking->passing.n_rows = atomic_load_explicit(&rows->n, memory_order_acquire);
    asking->store = rows_store(rows); /* after n: rows.h, invariant 7 */
    asking->k = call->k;
    asking->refines = asking->pre->keeps;
    asking->inner = *call;
    asking->inner.oversample = 0;
    if (call->hidden)
        asking->inner.hidden = rows_find(&asking->model->inner->rows, call->hidden - 1) + 1;
    bool named = atomic_load_explicit(&rows->explicit_ids, memory_order_acquire);
    if (named && !asking->refines && scans_inside(asking))
        asking->wide = TIES_WIDER * (call->k + 1);
    asking->inner.k = candidates_of(asking, call) + (call->hidden ? 1 : 0);
    if (call->filtered && (named || !call->filter.bits)) ask_strictly(asking);
}

static size_t lay_out(struct asking *asking, size_t n, uint8_t *memory) {
    const struct transform_chain *chain = &asking->model->chain;
    size_t k = asking->inner.k, x = 0, at = bits_round_up(n * chain->d_out * sizeof(float), 64);
    size_t scratch = at;
    at = bits_round_up(at + transform_chain_scratch(chain, n) * sizeof(float), 64);
    size_t rows = at;
    at = bits_round_up(at + (n * k + asking->wide) * sizeof(int64_t), 64);
    size_t dists = at;
    at = bits_round_up(at + (n * k + asking->wide) * sizeof(float), 64);
    size_t hits = at;
    at = bits_round_up(at + (k + asking->wide) * sizeof(struct scan_hit), 64);
    size_t exact = at;
    if (asking->refines) at += bits_round_up(scorer_bytes(store_exact_code(asking->store)), 64);
    if (!memory) return at;
    asking->x = (float *)(void *)(memory + x);
    asking->scratch = (float *)(void *)(memory + scratch);
    asking->rows = (int64_t *)(void *)(memory + rows);
    asking->dists = (float *)(void *)(memory + dists);
    asking->hits = (struct scan_hit *)(void *)(memory + hits);
    if (asking->refines)
        scorer_init(&asking->exact, store_exact_code(asking->store), memory + exact);
    return at;
}

static int make_ready(struct asking *asking, const struct scan_query *query, struct scan_slot *slot,
                      kith_error *err) {
    size_t bytes = lay_out(asking, query->n, NULL);
    if (!scan_slot_grow(query->rows, &slot->batch, &slot->batch_bytes, bytes))
        return FAIL(err, KITH_ENOMEM, "no memory to transform %zu queries", query->n);
    lay_out(asking, query->n, slot->batch);
    transform_chain_apply(&asking->model->chain, 1, query->n, query->queries, asking->x,
                          asking->scratch);
    return KITH_OK;
}

/* ---- what comes back --------------------------------------------------------------------------------------------- */

/* The k candidates from place `at` on that are live and pass, into hits, ids still row numbers. True: some were dropped. */
static bool sift(struct asking *asking, size_t at, size_t k, uint32_t *n) {
    const struct passing *passing = &asking->passing;
    const int64_t *row = asking->rows + at;
    bool bits = passing->call->filter.bits != NULL, dropped = false;
    *n = 0;
    for (size_t j = 0; j < k && row[j] != KITH_NO_ID; j++) {
        if (is_hidden(passing, row[j])) continue;
        bool fine = is_live(passing, row[j]) &&
                    (!bits || call_passes(passing->call, rows_id(passing->rows, (uint32_t)row[j])));
        if (fine) asking->hits[(*n)++] = (struct scan_hit){asking->dists[at + j], row[j]};
        dropped |= !fine;
    }
    return dropped;
}

static void refine(struct asking *asking, const float *query, uint32_t n) {
    const uint8_t *at[SCORER_BLOCK];
    float dist[SCORER_BLOCK];
    scorer_set_query(&asking->exact, query);
    for (uint32_t first = 0; first < n; first += SCORER_BLOCK) {
        uint32_t some = n - first < SCORER_BLOCK ? n - first : SCORER_BLOCK;
        struct scan_hit *hits = asking->hits + first;
        for (uint32_t i = 0; i < some; i++)
            at[i] = store_exact_row(asking->store, (uint32_t)hits[i].id);
        scorer_exact_list(&asking->exact, at, some, dist);
        for (uint32_t i = 0; i < some; i++) hits[i].dist = dist[i];
    }
}

/* The k nearest of n hits, as ids, in place of what is there. */
static void put_nearest(const struct asking *asking, struct scan_hit *hits, size_t n, int64_t *ids,
                        float *dists) {
    struct scan_heap best = {.hits = hits, .k = asking->k};
    for (size_t i = 0; i < n; i++)
        heap_push(&best, hits[i].dist, rows_id(asking->passing.rows, (uint32_t)hits[i].id));
    scan_put(&best, ids, dists);
}

/* All rows at most `radius` away in the inner index that are live and pass, ids still row numbers. */
static int find_within(struct asking *asking, const float *x, float radius, struct scan_hits *hits,
                       kith_error *err) {
    struct kith_index *inner = asking->model->inner;
    size_t first = hits->n, kept = first;
    ask_strictly(asking);
    TRY(inner->ops->range ? inner->ops->range(inner, &asking->inner, x, radius, hits, err)
                          : scan_range(&inner->rows, &asking->inner, x, radius, hits, err));
    for (size_t i = first; i < hits->n; i++)
        if (is_live(&asking->passing, hits->hits[i].id)) hits->hits[kept++] = hits->hits[i];
    hits->n = kept;
    return KITH_OK;
}

/* n queries to the inner index; candidates go to place `at` on. */
static int search_inner(struct asking *asking, const float *x, size_t n, size_t at,
                        kith_error *err) {
    struct kith_index *inner = asking->model->inner;
    return inner->ops->search(inner, &asking->inner, n, x, asking->rows + at, asking->dists + at,
                              err);
}

/* Rows as near as the k-th were left out: the smallest ids of all that are. */
static int settle_ties(struct asking *asking, const struct scan_query *query, size_t i,
                       int64_t *ids, float *dists, kith_error *err) {
    struct scan_hits all = {0};
    const struct search_call asked = asking->inner;
    const float *x = asking->x + i * asking->model->chain.d_out;
    float radius = asking->hits[asking->k].dist;
    size_t at = query->n * asked.k;
    uint32_t n = 0;
    ask_strictly(asking);
    asking->inner.k = asking->wide;
    int code = search_inner(asking, x, 1, at, err);
    if (code == KITH_OK) (void)sift(asking, at, asking->wide, &n);
    if (code == KITH_OK && n == asking->wide && asking->hits[n - 1].dist == radius) {
        code = find_within(asking, x, radius, &all, err);
        if (code == KITH_OK) put_nearest(asking, all.hits, all.n, ids, dists);
        scan_hits_deinit(&all);
    } else if (code == KITH_OK) {
        put_nearest(asking, asking->hits, n, ids, dists);
    }
    asking->inner = asked;
    return code;
}

static int finish(struct asking *asking, const struct scan_query *query, size_t i, uint32_t n,
                  kith_error *err) {
    const struct scan_hit *hits = asking->hits;
    uint32_t k = asking->k;
    int64_t *ids = query->ids + i * k;
    float *dists = query->dists ? query->dists + i * k : NULL;
    if (asking->refines)
        refine(asking, query->queries + i * asking->model->chain.d_in, n);
    else if (asking->wide > 0 && n > k && hits[k].dist == hits[k - 1].dist)
        return settle_ties(asking, query, i, ids, dists, err);
    put_nearest(asking, asking->hits, n, ids, dists);
    return KITH_OK;
}

/* scan_settled's run. */
static int search_block(struct scan_query *query, struct scan_slot *slot, kith_error *err) {
    struct asking asking;
    uint32_t n;
    ask(&asking, query);
    TRY(make_ready(&asking, query, slot, err));
    TRY(search_inner(&asking, asking.x, query->n, 0, err));
    size_t k = asking.inner.k, enough = asking.refines ? asking.k : k;
    for (size_t i = 0; i < query->n; i++) {
        if (sift(&asking, i * k, k, &n) && n < enough) {
            const struct search_call asked = asking.inner;
            ask_strictly(&asking);
            TRY(search_inner(&asking, asking.x + i * asking.model->chain.d_out, 1, i * k, err));
            (void)sift(&asking, i * k, k, &n);
            asking.inner = asked;
        }
        TRY(finish(&asking, query, i, n, err));
    }
    return KITH_OK;
}

/* ---- operations ------------------------------------------------------------------------------------------------------ */

int pre_search(struct kith_index *index, const struct search_call *call, size_t n,
               const float *queries, int64_t *ids, float *dists, kith_error *err) {
    struct pre *pre = pre_of(index);
    size_t dim = index->rows.config.dim, k = call->k;
    if (!pre_model_of(pre) || (pre->keeps && call->exact)) {
        int code = scan_knn(&index->rows, call, n, queries, ids, dists, err);
        if (code != KITH_EUNSUPPORTED) return code;
        /* it learnt just now, and its vectors are behind the chain */
    }
    size_t block = CANDIDATES_MAX / (4 * k + 1) + 1;
    block = block < BLOCK ? block : BLOCK;
    for (size_t i = 0, step; i < n; i += step) {
        step = n - i < block ? n - i : block;
        struct scan_query some = {.rows = &index->rows,
                                  .call = call,
                                  .n = step,
                                  .queries = queries + i * dim,
                                  .ids = ids + i * k,
                                  .dists = dists ? dists + i * k : NULL,
                                  .run = search_block,
                                  .context = pre};
        TRY(scan_settled(&some, err));
    }
    return KITH_OK;
}

/* scan_settled's run: hits of one query, then ids for row numbers. */
struct ranging {
    struct pre *pre;
    float radius;
};

static int search_range(struct scan_query *query, struct scan_slot *slot, kith_error *err) {
    const struct ranging *ranging = query->context;
    struct scan_query inside = *query;
    struct asking asking;
    inside.context = ranging->pre;
    ask(&asking, &inside);
    asking.refines = false;
    asking.inner.k = 1; /* no heap is used */
    TRY(make_ready(&asking, query, slot, err));
    TRY(find_within(&asking, asking.x, ranging->radius, query->hits, err));
    for (size_t i = query->first; i < query->hits->n; i++) {
        struct scan_hit *hit = &query->hits->hits[i];
        hit->id = rows_id(query->rows, (uint32_t)hit->id);
    }
    scan_hits_sort(query->hits, query->first);
    return KITH_OK;
}

int pre_range(struct kith_index *index, const struct search_call *call, const float *query,
              float radius, struct scan_hits *hits, kith_error *err) {
    struct ranging ranging = {pre_of(index), radius};
    if (!pre_model_of(ranging.pre) || ranging.pre->keeps) {
        int code = scan_range(&index->rows, call, query, radius, hits, err);
        if (code != KITH_EUNSUPPORTED) return code;
    }
    struct scan_query one = {.rows = &index->rows,
                             .call = call,
                             .n = 1,
                             .queries = query,
                             .hits = hits,
                             .first = hits->n,
                             .run = search_range,
                             .context = &ranging};
    return scan_settled(&one, err);
}

/* ---- single rows ------------------------------------------------------------------------------------------------------ */

/* The vector of a row as the inner index has it. */
static int read_inner(const struct kith_index *given, uint32_t row, float *out, kith_error *err) {
    struct kith_index *inner = (struct kith_index *)(uintptr_t)given;
    uint32_t slot = epoch_enter(&inner->rows.epoch), at = rows_find(&inner->rows, row);
    int code = KITH_OK;
    if (at == ROW_NONE && inner->rows.read_only)
        code = FAIL_AT(err, KITH_ECORRUPT, row, "row %u is not behind the transforms", row);
    else if (at == ROW_NONE)
        code = FAIL(err, KITH_ENOTFOUND, "row %u was removed meanwhile", row);
    else if (inner->ops->reconstruct)
        code = inner->ops->reconstruct(inner, at, out, err);
    else
        code_decode(store_exact_code(rows_store(&inner->rows)),
                    store_exact_row(rows_store(&inner->rows), at), out);
    epoch_leave(&inner->rows.epoch, slot);
    return code;
}

int pre_reconstruct(const struct kith_index *index, uint32_t row, float *out, kith_error *err) {
    const struct store *store = rows_store(&index->rows);
    const struct pre_model *model = pre_model_of(pre_of(index));
    if (!store_is_bare(store)) {
        code_decode(store_exact_code(store), store_exact_row(store, row), out);
        return KITH_OK;
    }
    if (!model) return FAIL(err, KITH_ECORRUPT, "row %u has no vector", row);
    const struct transform_chain *chain = &model->chain;
    if (!transform_chain_reversible(chain))
        return FAIL(err, KITH_EUNSUPPORTED,
                    "the transforms have no way back, and no originals are kept");
    size_t bytes = (chain->d_out + transform_chain_scratch(chain, 1)) * sizeof(float);
    float *y = mem_new(NULL, bytes);
    if (!y) return FAIL(err, KITH_ENOMEM, "no memory for a row of %u dimensions", chain->d_out);
    int code = read_inner(model->inner, row, y, err);
    if (code == KITH_OK) transform_chain_reverse(chain, 1, 1, y, out, y + chain->d_out);
    mem_free(NULL, y, bytes);
    return code;
}
