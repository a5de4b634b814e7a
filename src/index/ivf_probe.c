/* A query among lists: its scratch, the lists it reads, scores of a chunk, and candidates again on the originals. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "index/ivf_probe.h"
#include "index/rerank.h"
#include "quant/sums.h"

#define PASSING_MORE 4u /* filtered: go on until so many times the candidates have passed */

/* ---- scratch --------------------------------------------------------------------------------------- */

/* Parts of one block, or with NULL how many bytes it has. */
static size_t lay_out(struct probe *probe, uint32_t n_lists, uint8_t *memory) {
    const struct ivf_code *code = &probe->model->code;
    size_t at = 0;
    size_t list = at;
    at = bits_round_up(at + n_lists * sizeof(uint32_t), 64);
    size_t dist = at;
    at = bits_round_up(at + n_lists * sizeof(float), 64);
    size_t coarse = at;
    at = bits_round_up(at + ivf_coarse_bytes(&probe->model->coarse, 1, n_lists), 64);
    size_t hits = at;
    at = bits_round_up(at + probe->heap.k * sizeof(struct scan_hit), 64);
    size_t scorer = at;
    at += bits_round_up(code->quantizer ? code->quantizer->ops->scorer_bytes(code->quantizer)
                                        : scorer_bytes(&code->plain),
                        64);
    size_t exact = at;
    if (probe->refines) at += bits_round_up(scorer_bytes(store_exact_code(probe->store)), 64);
    if (!memory) return at;
    probe->list = (uint32_t *)(void *)(memory + list);
    probe->coarse = memory + coarse;
    probe->list_dist = (float *)(void *)(memory + dist);
    probe->heap.hits = (struct scan_hit *)(void *)(memory + hits);
    probe->quantized = memory + scorer;
    if (code->quantizer)
        code->quantizer->ops->scorer_init(code->quantizer, memory + scorer);
    else
        scorer_init(&probe->plain, &code->plain, memory + scorer);
    if (probe->refines) scorer_init(&probe->exact, store_exact_code(probe->store), memory + exact);
    return at;
}

static uint32_t candidates_of(const struct probe *probe) {
    const struct search_call *call = probe->call;
    if (!probe->refines) return call->k;
    float factor = call->oversample > 0 ? call->oversample
                                        : quantizer_oversample(probe->model->code.quantizer);
    double n = ceil((double)factor * call->k);
    uint32_t most = atomic_load_explicit(&probe->ivf->index.rows.n_live, memory_order_acquire);
    if (most < call->k) most = call->k; /* rows were removed since k was looked at */
    return n < call->k ? call->k : n > (double)most ? most : (uint32_t)n;
}

void probe_open(struct probe *probe, const struct ivf *ivf, const struct search_call *call) {
    const struct rows *rows = &ivf->index.rows;
    uint32_t n_rows = atomic_load_explicit(&rows->n, memory_order_acquire); /* before the store */
    *probe = (struct probe){.ivf = ivf,
                            .model = ivf_model_of(ivf),
                            .store = rows_store(rows),
                            .n_rows = n_rows,
                            .call = call,
                            .ceiling = INFINITY};
    probe->refines = probe->model->code.quantizer && ivf->refine;
    probe->heap.k = candidates_of(probe);
}

size_t probe_bytes(const struct probe *probe, uint32_t n_lists) {
    struct probe measured = *probe;
    return lay_out(&measured, n_lists, NULL);
}

void probe_begin(struct probe *probe, const float *query, float *x, uint32_t n_lists,
                 uint8_t *memory) {
    const struct ivf_code *code = &probe->model->code;
    const size_t dim = probe->ivf->index.rows.config.dim;
    lay_out(probe, n_lists, memory);
    probe->query = query;
    probe->x = query;
    if (ivf_code_scales(code)) {
        ivf_code_vector(code, dim, query, x);
        probe->x = x;
    }
    if (code->quantizer) {
        struct quantizer_scorer *scorer = (struct quantizer_scorer *)(void *)probe->quantized;
        code->quantizer->ops->set_query(scorer, probe->x);
        probe->x_l2sq = (float)sums_squares(dim, probe->x);
    } else {
        scorer_set_query(&probe->plain, probe->query);
    }
}

int probe_init(struct probe *probe, const struct ivf *ivf, const struct scan_query *query,
               struct scan_slot *slot, kith_error *err) {
    probe_open(probe, ivf, query->call);
    uint32_t nlist = probe->model->nlist;
    size_t x_bytes = bits_round_up(query->rows->config.dim * sizeof(float), 64);
    if (!scan_slot_grow(query->rows, &slot->batch, &slot->batch_bytes,
                        x_bytes + probe_bytes(probe, nlist)))
        return FAIL(err, KITH_ENOMEM, "no memory to search %u lists", nlist);
    probe_begin(probe, query->queries, (float *)(void *)slot->batch, nlist, slot->batch + x_bytes);
    return KITH_OK;
}

/* ---- a list ------------------------------------------------------------------------------------------ */

void probe_offer(struct probe *probe, uint32_t row, float dist) {
    if (!probe_may_return(probe, row)) return;
    heap_push(&probe->heap, dist,
              probe->refines ? (int64_t)row : rows_id(&probe->ivf->index.rows, row));
}

/* A float not below x + y, both finite or infinite. */
static float sum_up(float x, float y) { return nextafterf(x + y, INFINITY); }

/* |q - c|; centres of inner products have length 1. */
static float centre_dist(const struct probe *probe, float base) {
    if (!probe->model->code.residual) return -1;
    float l2sq = probe->model->code.metric == KITH_METRIC_L2 ? base : probe->x_l2sq + 1 + 2 * base;
    return l2sq > 0 ? sqrtf(l2sq) : 0;
}

static void scan_quantized(struct probe *probe, const struct ivf_chunk *chunk, float base) {
    const struct quantizer *quantizer = probe->model->code.quantizer;
    struct quantizer_scorer *scorer = (void *)probe->quantized;
    scorer->centre_dist = centre_dist(probe, base);
    float tau = probe_limit(probe);
    if (probe->model->code.blocks)
        quantizer->ops->blocks(scorer, chunk->codes, chunk->n, sum_up(tau, -base), probe->score);
    else
        quantizer->ops->rows(scorer, chunk->codes, quantizer->bytes, chunk->n, probe->score);
    for (uint32_t i = 0; i < chunk->n; i++) {
        float dist = base + probe->score[i];
        if (!(dist <= tau)) continue;
        probe_offer(probe, chunk->row[i], dist);
        tau = probe_limit(probe);
    }
}

/* The same by exact scores, of those rows alone whose estimate can be within tau. */
static void scan_exact(struct probe *probe, const struct ivf_chunk *chunk, float base) {
    const struct quantizer *quantizer = probe->model->code.quantizer;
    const struct quantizer_scorer *scorer = (const void *)probe->quantized;
    float tau = probe_limit(probe);
    quantizer->ops->rows(scorer, chunk->codes, quantizer->bytes, chunk->n, probe->score);
    for (uint32_t i = 0; i < chunk->n; i++) {
        float room = scorer->slack + 1e-5f * (fabsf(tau) + fabsf(base)); /* roundings */
        if (!(base + probe->score[i] <= tau + room)) continue;
        float dist =
            base + quantizer->ops->score(scorer, chunk->codes + i * (size_t)quantizer->bytes);
        if (!(dist <= tau)) continue;
        probe_offer(probe, chunk->row[i], dist);
        tau = probe_limit(probe);
    }
}

/* Law distances, of those rows alone whose estimate can be within tau. */
static void scan_plain(struct probe *probe, const struct ivf_chunk *chunk) {
    const struct scorer *scorer = &probe->plain;
    size_t stride = scorer->code->stride;
    float tau = probe_limit(probe);
    scorer_rows(scorer, chunk->codes, chunk->n, probe->score);
    for (uint32_t i = 0; i < chunk->n; i++) {
        float dist = probe->score[i];
        if (!(dist <= probe_law_limit(scorer, tau, dist))) continue;
        if (!(dist < scorer->exact_below))
            dist = scorer_exact_one(scorer, chunk->codes + i * stride);
        if (!(dist <= tau)) continue;
        probe_offer(probe, chunk->row[i], dist);
        tau = probe_limit(probe);
    }
}

static uint32_t n_passing(const struct probe *probe, const struct ivf_chunk *chunk) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < chunk->n; i++) n += probe_may_return(probe, chunk->row[i]);
    return n;
}

void probe_scan(struct probe *probe, const struct ivf_chunk *chunk, float list_dist) {
    const struct ivf_code *code = &probe->model->code;
    if (probe->call->filtered) {
        uint32_t n = n_passing(probe, chunk);
        probe->n_passed += n;
        if (n == 0) return;
    }
    if (code->quantizer && code->exact)
        scan_exact(probe, chunk, probe_base(probe, list_dist));
    else if (code->quantizer)
        scan_quantized(probe, chunk, probe_base(probe, list_dist));
    else
        scan_plain(probe, chunk);
}

static void scan_list(struct probe *probe, uint32_t place) {
    const struct ivf_list *list = ivf_list_of(probe->model, probe->list[place]);
    for (uint32_t c = 0; list && c < list->n_chunks; c++)
        probe_scan(probe, &list->chunk[c], probe->list_dist[place]);
}

/* ---- a query ------------------------------------------------------------------------------------------- */

int probe_find_lists(struct probe *probe, uint32_t n, kith_error *err) {
    const struct kmeans_found found = {n, probe->list, probe->list_dist};
    probe->n_lists = n;
    return ivf_coarse_find(&probe->model->coarse, 1, probe->x, &found, probe->coarse, err);
}

uint32_t probe_count(const struct ivf_model *model, const struct search_call *call) {
    uint32_t nprobe = call->nprobe ? call->nprobe : (uint32_t)ceil(sqrt((double)model->nlist));
    return call->exact || nprobe > model->nlist ? model->nlist : nprobe;
}

static bool wants_more(const struct probe *probe) {
    uint64_t enough = (uint64_t)PASSING_MORE * probe->heap.k;
    return probe->call->filtered && probe->n_passed < enough;
}

int probe_lists(struct probe *probe, kith_error *err) {
    uint32_t nlist = probe->model->nlist, nprobe = probe_count(probe->model, probe->call);
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

/* The candidates by the float law, in place of their estimates; results are kept by id from here, in a heap that grows over
 * the places of candidates that were read. */
static void refine(struct probe *probe) {
    const struct rows *rows = &probe->ivf->index.rows;
    struct scan_hit *hits = probe->heap.hits;
    struct scan_heap best = {.hits = hits, .k = probe->call->k};
    struct rerank rerank = {.k = best.k};
    const uint8_t *at[SCORER_BLOCK];
    scorer_set_query(&probe->exact, probe->query);
    heap_sort(hits, probe->heap.n);
    for (uint32_t first = 0, n; first < probe->heap.n; first += n) {
        if (rerank_is_over(&rerank, hits[first].dist, heap_limit(&best))) break;
        n = rerank_next(&rerank, probe->heap.n - first);
        n = n < SCORER_BLOCK ? n : SCORER_BLOCK;
        for (uint32_t i = 0; i < n; i++)
            at[i] = store_exact_row(probe->store, (uint32_t)hits[first + i].id);
        rows_fetch(rows, at, n);
        scorer_exact_list(&probe->exact, at, n, probe->score);
        for (uint32_t i = 0; i < n; i++) {
            struct scan_hit hit = hits[first + i];
            rerank_note(&rerank, hit.dist, probe->score[i]);
            heap_push(&best, probe->score[i], rows_id(rows, (uint32_t)hit.id));
        }
    }
    probe->heap = best;
}

void probe_finish(struct probe *probe, int64_t *ids, float *dists) {
    if (probe->refines) refine(probe);
    scan_put(&probe->heap, ids, dists);
}
