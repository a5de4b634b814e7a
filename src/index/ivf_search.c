/* Searching lists: the nprobe nearest centres, a scan of their lists, the best candidates again on the originals.
 *
 *     query --coarse--> lists, nearest first --scores--> heap of candidates --originals--> k results
 *
 * Lists of plain codes give law distances, so that their heap holds results. Quantised lists give estimates: with
 * originals the best `oversample` times k of them are scored by the float law, without they are the results.
 *
 * A filter never costs results: lists beyond nprobe are read until enough rows have passed, and where few pass at all and
 * originals are kept, those are scanned instead. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "index/ivf_probe.h"

#define COARSE_EF    64u /* at least, or COARSE_WIDER times nprobe */
#define COARSE_WIDER 2u
#define PASSING_MORE 4u /* filtered: go on until so many times the candidates have passed */
#define SAMPLE       1024u
#define SCAN_ADVANTAGE \
    4.0 /* a row of a list that fails costs a quarter of an original that is scored */

/* ---- scratch --------------------------------------------------------------------------------------- */

/* Parts of one block, or with NULL how many bytes it has. */
static size_t lay_out(struct probe *probe, uint8_t *memory) {
    const struct ivf_code *code = &probe->model->code;
    size_t dim = probe->ivf->index.rows.config.dim, nlist = probe->model->nlist, at = 0;
    size_t x = at;
    at = bits_round_up(at + dim * sizeof(float), 64);
    size_t list = at;
    at = bits_round_up(at + nlist * sizeof(int64_t), 64);
    size_t dist = at;
    at = bits_round_up(at + nlist * sizeof(float), 64);
    size_t scorer = at;
    at += bits_round_up(code->quantizer ? code->quantizer->ops->scorer_bytes(code->quantizer)
                                        : scorer_bytes(&code->plain),
                        64);
    size_t exact = at;
    if (probe->refines) at += bits_round_up(scorer_bytes(store_exact_code(probe->store)), 64);
    if (!memory) return at;
    probe->x = (float *)(void *)(memory + x);
    probe->list = (int64_t *)(void *)(memory + list);
    probe->list_dist = (float *)(void *)(memory + dist);
    probe->quantized = memory + scorer;
    if (code->quantizer)
        code->quantizer->ops->scorer_init(code->quantizer, memory + scorer);
    else
        scorer_init(&probe->plain, &code->plain, memory + scorer);
    if (probe->refines) scorer_init(&probe->exact, store_exact_code(probe->store), memory + exact);
    return at;
}

/* How many candidates are scored again, as a multiple of k, unless the caller says. */
static float oversample_of(const struct quantizer *quantizer) {
    switch (quantizer->spec.kind) {
    case QUANT_PQ: return quantizer->spec.bits == 4 ? 8.0f : 4.0f;
    case QUANT_RABITQ:
        return quantizer->spec.bits == 1 ? 16.0f : quantizer->spec.bits < 4 ? 4.0f : 2.0f;
    case QUANT_BINARY: return 16.0f;
    default: return quantizer->spec.bits < 6 ? 4.0f : 2.0f;
    }
}

static uint32_t candidates_of(const struct probe *probe) {
    const struct search_call *call = probe->call;
    if (!probe->refines) return call->k;
    float factor =
        call->oversample > 0 ? call->oversample : oversample_of(probe->model->code.quantizer);
    double n = ceil((double)factor * call->k);
    uint32_t most = atomic_load_explicit(&probe->ivf->index.rows.n_live, memory_order_acquire);
    return n < call->k ? call->k : n > (double)most && most >= call->k ? most : (uint32_t)n;
}

int probe_init(struct probe *probe, const struct ivf *ivf, const struct scan_query *query,
               struct scan_slot *slot, kith_error *err) {
    struct rows *rows = query->rows;
    const struct ivf_model *model = ivf_model_of(ivf);
    *probe = (struct probe){.ivf = ivf,
                            .model = model,
                            .store = rows_store(rows),
                            .n_rows = atomic_load_explicit(&rows->n, memory_order_acquire),
                            .call = query->call,
                            .query = query->queries};
    probe->refines = model->code.quantizer && ivf->refine;
    probe->heap.k = candidates_of(probe);
    if (!scan_slot_grow(rows, &slot->batch, &slot->batch_bytes, lay_out(probe, NULL)) ||
        !scan_slot_grow(rows, &slot->hits, &slot->hits_bytes,
                        probe->heap.k * sizeof(struct scan_hit)))
        return FAIL(err, KITH_ENOMEM, "no memory to search %u lists", model->nlist);
    lay_out(probe, slot->batch);
    probe->heap.hits = slot->hits;
    ivf_code_vector(&model->code, rows->config.dim, probe->query, probe->x);
    if (model->code.quantizer) {
        struct quantizer_scorer *scorer = (struct quantizer_scorer *)(void *)probe->quantized;
        model->code.quantizer->ops->set_query(scorer, probe->x);
    } else {
        scorer_set_query(&probe->plain, probe->query);
    }
    return KITH_OK;
}

/* ---- a list ------------------------------------------------------------------------------------------ */

static inline void offer(struct probe *probe, uint32_t row, float dist) {
    if (!probe_may_return(probe, row)) return;
    heap_push(&probe->heap, dist,
              probe->refines ? (int64_t)row : rows_id(&probe->ivf->index.rows, row));
}

/* A float not below x + y, both finite or infinite. */
static float sum_up(float x, float y) { return nextafterf(x + y, INFINITY); }

static void scan_quantized(struct probe *probe, const struct ivf_chunk *chunk, float base) {
    const struct quantizer *quantizer = probe->model->code.quantizer;
    const struct quantizer_scorer *scorer = (const void *)probe->quantized;
    float tau = heap_limit(&probe->heap);
    if (probe->model->code.blocks)
        quantizer->ops->blocks(scorer, chunk->codes, chunk->n, sum_up(tau, -base), probe->score);
    else
        quantizer->ops->rows(scorer, chunk->codes, quantizer->bytes, chunk->n, probe->score);
    for (uint32_t i = 0; i < chunk->n; i++) {
        float dist = base + probe->score[i];
        if (!(dist <= tau)) continue;
        offer(probe, chunk->row[i], dist);
        tau = heap_limit(&probe->heap);
    }
}

/* Law distances, of those rows alone whose estimate can be within tau. */
static void scan_plain(struct probe *probe, const struct ivf_chunk *chunk) {
    const struct scorer *scorer = &probe->plain;
    size_t stride = scorer->code->stride;
    float tau = heap_limit(&probe->heap);
    scorer_rows(scorer, chunk->codes, chunk->n, probe->score);
    for (uint32_t i = 0; i < chunk->n; i++) {
        float dist = probe->score[i];
        if (scorer->slack > 0) {
            float room =
                scorer->slack + 1e-5f * (fabsf(tau) + fabsf(dist)); /* the law's rounding */
            if (!(dist <= tau + room)) continue;
            dist = scorer_exact_one(scorer, chunk->codes + i * stride);
        }
        if (!(dist <= tau)) continue;
        offer(probe, chunk->row[i], dist);
        tau = heap_limit(&probe->heap);
    }
}

static uint32_t n_passing(const struct probe *probe, const struct ivf_chunk *chunk) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < chunk->n; i++) n += probe_may_return(probe, chunk->row[i]);
    return n;
}

static void scan_list(struct probe *probe, uint32_t place) {
    const struct ivf_list *list = ivf_list_of(probe->model, (uint32_t)probe->list[place]);
    const struct ivf_code *code = &probe->model->code;
    for (uint32_t c = 0; list && c < list->n_chunks; c++) {
        const struct ivf_chunk *chunk = &list->chunk[c];
        if (probe->call->filtered) {
            uint32_t n = n_passing(probe, chunk);
            probe->n_passed += n;
            if (n == 0) continue;
        }
        if (code->quantizer)
            scan_quantized(probe, chunk, code->residual ? probe->list_dist[place] : 0);
        else
            scan_plain(probe, chunk);
    }
}

/* ---- a query ------------------------------------------------------------------------------------------- */

int probe_find_lists(struct probe *probe, uint32_t n, kith_error *err) {
    struct kith_index *coarse = probe->model->coarse;
    uint32_t ef = COARSE_WIDER * n > COARSE_EF ? COARSE_WIDER * n : COARSE_EF;
    struct search_call call = {.k = n, .ef = ef, .exact = n == probe->model->nlist};
    probe->n_lists = n;
    return coarse->ops->search(coarse, &call, 1, probe->x, probe->list, probe->list_dist, err);
}

static uint32_t nprobe_of(const struct ivf_model *model, const struct search_call *call) {
    uint32_t nprobe = call->nprobe ? call->nprobe : (uint32_t)ceil(sqrt((double)model->nlist));
    return call->exact || nprobe > model->nlist ? model->nlist : nprobe;
}

static bool wants_more(const struct probe *probe) {
    uint64_t enough = (uint64_t)PASSING_MORE * probe->heap.k;
    return probe->call->filtered && probe->n_passed < enough;
}

static int scan_lists(struct probe *probe, kith_error *err) {
    uint32_t nlist = probe->model->nlist, nprobe = nprobe_of(probe->model, probe->call);
    TRY(probe_find_lists(probe, nprobe, err));
    for (uint32_t place = 0; place < nprobe || wants_more(probe) || probe->heap.n < probe->call->k;
         place++) {
        if (place == nlist) break;
        if (place == probe->n_lists) /* the same lists come first again */
            TRY(probe_find_lists(probe, 4 * place < nlist ? 4 * place : nlist, err));
        if (probe->call->deadline && clock_ns() > probe->call->deadline) {
            scan_deadline_fail(err);
            return KITH_EDEADLINE;
        }
        scan_list(probe, place);
    }
    return KITH_OK;
}

/* The candidates by the float law, in place of their estimates; results are kept by id from here. */
static void refine(struct probe *probe) {
    const struct rows *rows = &probe->ivf->index.rows;
    struct scan_hit *hits = probe->heap.hits;
    const uint8_t *at[SCORER_BLOCK];
    uint32_t n = probe->heap.n;
    scorer_set_query(&probe->exact, probe->query);
    for (uint32_t first = 0; first < n; first += SCORER_BLOCK) {
        uint32_t some = n - first < SCORER_BLOCK ? n - first : SCORER_BLOCK;
        for (uint32_t i = 0; i < some; i++)
            at[i] = store_exact_row(probe->store, (uint32_t)hits[first + i].id);
        scorer_exact_list(&probe->exact, at, some, probe->score);
        for (uint32_t i = 0; i < some; i++)
            hits[first + i] =
                (struct scan_hit){probe->score[i], rows_id(rows, (uint32_t)hits[first + i].id)};
    }
    struct scan_heap best = {.hits = hits, .k = probe->call->k};
    for (uint32_t i = 0; i < n; i++) heap_push(&best, hits[i].dist, hits[i].id);
    probe->heap = best;
}

static int search_one(struct scan_query *query, struct scan_slot *slot, kith_error *err) {
    struct probe probe;
    TRY(probe_init(&probe, query->context, query, slot, err));
    TRY(scan_lists(&probe, err));
    if (probe.refines) refine(&probe);
    scan_put(&probe.heap, query->ids, query->dists);
    return KITH_OK;
}

/* ---- doors ----------------------------------------------------------------------------------------------- */

/* Whether scoring every passing original is cheaper than reading lists that they are thin in. */
static bool scan_is_cheaper(const struct ivf *ivf, const struct search_call *call) {
    struct rows *rows = (struct rows *)(uintptr_t)&ivf->index.rows;
    uint32_t n = atomic_load_explicit(&rows->n, memory_order_acquire), step = n / SAMPLE + 1;
    uint32_t seen = 0, passed = 0, slot = epoch_enter(&rows->epoch);
    for (uint32_t row = 0; row < n; row += step, seen++)
        passed += rows_is_live(rows, row) && call_passes(call, rows_id(rows, row));
    epoch_leave(&rows->epoch, slot);
    const struct ivf_model *model = ivf_model_of(ivf);
    double share = ((double)passed + 0.5) / ((double)seen + 0.5);
    double read = (double)nprobe_of(model, call) / model->nlist;
    return share * SCAN_ADVANTAGE < read;
}

int ivf_search(struct kith_index *index, const struct search_call *call, size_t n,
               const float *queries, int64_t *ids, float *dists, kith_error *err) {
    const struct ivf *ivf = ivf_of(index);
    size_t dim = index->rows.config.dim, k = call->k;
    const struct ivf_model *model = ivf_model_of(ivf);
    bool scans =
        !model || (ivf->refine && (call->exact || (call->filtered && scan_is_cheaper(ivf, call))));
    if (scans) {
        int code = scan_knn(&index->rows, call, n, queries, ids, dists, err);
        if (code != KITH_EUNSUPPORTED) return code;
        /* it was trained just now, and its vectors are in lists */
    }
    for (size_t i = 0; i < n; i++) {
        struct scan_query one = {.rows = &index->rows,
                                 .call = call,
                                 .n = 1,
                                 .queries = queries + i * dim,
                                 .ids = ids + i * k,
                                 .dists = dists ? dists + i * k : NULL,
                                 .run = search_one,
                                 .context = (void *)(uintptr_t)ivf};
        TRY(scan_settled(&one, err));
    }
    return KITH_OK;
}
