/* Threshold search over lists, and single rows of them.
 *
 * Every list is read: the rows whose exact score (the float law for plain codes) is within the radius. Where originals are
 * kept the rows are scanned instead. */
#include "index/ivf_probe.h"

struct ranging {
    const struct ivf *ivf;
    float radius;
    struct scan_hits *hits;
    size_t first;
};

/* The exact score of row i of a chunk; `row` is room for its code. */
static float exact_score(struct probe *probe, const struct ivf_chunk *chunk, uint32_t i, float base,
                         uint8_t *row) {
    const struct ivf_code *code = &probe->model->code;
    if (!code->quantizer)
        return scorer_exact_one(&probe->plain, chunk->codes + i * code->row_bytes);
    ivf_code_unpack(code, chunk->codes, i, row);
    return base + code->quantizer->ops->score((const void *)probe->quantized, row);
}

static int read_list(struct probe *probe, const struct ranging *ranging, uint32_t place,
                     uint8_t *row, kith_error *err) {
    const struct ivf_list *list = ivf_list_of(probe->model, probe->list[place]);
    float base = probe_base(probe, probe->list_dist[place]);
    for (uint32_t i = 0; list && i < list->n; i++) {
        const struct ivf_chunk *chunk = &list->chunk[i / IVF_CHUNK];
        uint32_t number = chunk->row[i % IVF_CHUNK];
        if (!probe_may_return(probe, number)) continue;
        float dist = exact_score(probe, chunk, i % IVF_CHUNK, base, row);
        if (dist <= ranging->radius &&
            !scan_hits_add(ranging->hits, dist, rows_id(&probe->ivf->index.rows, number)))
            return FAIL(err, KITH_ENOMEM, "no memory for %zu hits", ranging->hits->n + 1);
    }
    return KITH_OK;
}

static int range_lists(struct scan_query *query, struct scan_slot *slot, kith_error *err) {
    const struct ranging *ranging = query->context;
    struct probe probe;
    TRY(probe_init(&probe, ranging->ivf, query, slot, err));
    TRY(probe_find_lists(&probe, probe.model->nlist, err));
    size_t bytes = probe.model->code.row_bytes;
    uint8_t *row = mem_new(NULL, bytes);
    int code = row ? KITH_OK : FAIL(err, KITH_ENOMEM, "no memory for a code of %zu bytes", bytes);
    for (uint32_t place = 0; code == KITH_OK && place < probe.model->nlist; place++)
        code = read_list(&probe, ranging, place, row, err);
    if (row) mem_free(NULL, row, bytes);
    if (code == KITH_OK) scan_hits_sort(ranging->hits, ranging->first);
    return code;
}

int ivf_range(struct kith_index *index, const struct search_call *call, const float *query,
              float radius, struct scan_hits *hits, kith_error *err) {
    const struct ivf *ivf = ivf_of(index);
    if (!ivf_model_of(ivf) || ivf->refine) {
        int code = scan_range(&index->rows, call, query, radius, hits, err);
        if (code != KITH_EUNSUPPORTED) return code;
    }
    struct search_call all = *call;
    all.k = 1; /* the heap is not used */
    struct ranging ranging = {ivf, radius, hits, hits->n};
    struct scan_query one = {.rows = &index->rows,
                             .call = &all,
                             .n = 1,
                             .queries = query,
                             .hits = hits,
                             .first = hits->n,
                             .run = range_lists,
                             .context = &ranging};
    return scan_settled(&one, err);
}

int ivf_reconstruct(const struct kith_index *index, uint32_t row, float *out, kith_error *err) {
    return ivf_read_row(ivf_of(index), row, out, err);
}
