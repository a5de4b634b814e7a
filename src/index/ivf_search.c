/* Searching lists: the nprobe nearest centres, a scan of their lists, the best candidates again on the originals.
 *
 *     query --coarse--> lists, nearest first --scores--> heap of candidates --originals--> k results
 *
 * Lists of plain codes give law distances, so that their heap holds results. Quantised lists give estimates: with
 * originals the best `oversample` times k of them are scored by the float law, without they are the results.
 *
 * A filter never costs results: lists beyond nprobe are read until enough rows have passed, and where few pass at all and
 * originals are kept, those are scanned instead. */
#include "index/ivf_probe.h"

#define SAMPLE 1024u
#define SCAN_ADVANTAGE \
    4.0 /* over a row of a list that fails, a quarter of an original that is scored */
#define BATCH_MIN 8u
#define BATCH_MAX 4096u /* queries that share lists */

static int search_one(struct scan_query *query, struct scan_slot *slot, kith_error *err) {
    struct probe probe;
    TRY(probe_init(&probe, query->context, query, slot, err));
    TRY(probe_lists(&probe, err));
    probe_finish(&probe, query->ids, query->dists);
    return KITH_OK;
}

/* Whether scoring every passing original is cheaper than reading lists that they are thin in. */
static bool scan_is_cheaper(const struct ivf *ivf, const struct search_call *call) {
    struct rows *rows = (struct rows *)(uintptr_t)&ivf->index.rows;
    uint32_t n = atomic_load_explicit(&rows->n, memory_order_acquire), step = n / SAMPLE + 1;
    uint32_t seen = 0, passed = 0, slot = epoch_enter(&rows->epoch);
    for (uint32_t row = 0; row < n; row += step, seen++)
        passed += rows_is_live(rows, row) && call_passes(call, rows_id(rows, row));
    const struct ivf_model *model = ivf_model_of(ivf);
    double read = (double)probe_count(model, call) / model->nlist;
    epoch_leave(&rows->epoch, slot);
    double share = ((double)passed + 0.5) / ((double)seen + 0.5);
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
    for (size_t i = 0, step; i < n; i += step) {
        bool batch = n - i >= BATCH_MIN && !call->filtered;
        step = !batch ? 1 : n - i < BATCH_MAX ? n - i : BATCH_MAX;
        struct scan_query some = {.rows = &index->rows,
                                  .call = call,
                                  .n = step,
                                  .queries = queries + i * dim,
                                  .ids = ids + i * k,
                                  .dists = dists ? dists + i * k : NULL,
                                  .run = batch ? ivf_batch : search_one,
                                  .context = (void *)(uintptr_t)ivf};
        TRY(scan_settled(&some, err));
    }
    return KITH_OK;
}
