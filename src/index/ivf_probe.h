/* One query on its way through inverted lists. Private to ivf_*.c. */
#ifndef KITH_INDEX_IVF_PROBE_H
#define KITH_INDEX_IVF_PROBE_H

#include <math.h>

#include "index/ivf.h"
#include "index/scan_heap.h"
#include "index/scan_pass.h"

/* One call on one query, and its scratch. */
struct probe {
    const struct ivf *ivf;
    const struct ivf_model *model;
    const struct store *store; /* rows that become live later are in it too: rows.h, invariant 5 */
    uint32_t n_rows;
    const struct search_call *call;
    const float *query;
    const float *x;        /* the query as it is coded: itself, or scaled */
    float x_l2sq;          /* its squared length, for a quantizer */
    uint32_t *list;        /* as many places as probe_begin was told */
    float *list_dist;      /* of the centres */
    uint32_t n_lists;      /* in list, found so far */
    uint8_t *coarse;       /* scratch of finding them */
    struct scorer plain;   /* lists of plain codes */
    uint8_t *quantized;    /* struct quantizer_scorer */
    struct scorer exact;   /* originals */
    struct scan_heap heap; /* of ids, or where originals come after, of row numbers */
    float ceiling; /* so far at most are as many rows as the heap wants; INFINITY: not known */
    bool refines;
    uint64_t n_passed;
    float score[IVF_CHUNK];
};

/* Make ready, in the epoch, where a model is; scratch is the slot's. */
int probe_init(struct probe *probe, const struct ivf *ivf, const struct scan_query *query,
               struct scan_slot *slot, kith_error *err);
/* The same apart, for several queries at once: what all have in common, then each with probe_bytes of scratch, 64-byte
 * aligned, and places for n_lists lists. x is room for the query at length 1, of use where ivf_code_scales. */
void probe_open(struct probe *probe, const struct ivf *ivf, const struct search_call *call);
size_t probe_bytes(const struct probe *probe, uint32_t n_lists);
void probe_begin(struct probe *probe, const float *query, float *x, uint32_t n_lists,
                 uint8_t *memory);

/* How many lists a call reads. */
uint32_t probe_count(const struct ivf_model *model, const struct search_call *call);
/* Find the lists and scan them, and more than nprobe where a filter or short lists leave less than was asked for. */
int probe_lists(struct probe *probe, kith_error *err);
/* Offer a chunk's rows to the heap; the distance is its list's centre's. */
void probe_scan(struct probe *probe, const struct ivf_chunk *chunk, float list_dist);
/* A row that is within heap_limit. */
void probe_offer(struct probe *probe, uint32_t row, float dist);
/* Re-rank where originals are kept, and write the k nearest. */
void probe_finish(struct probe *probe, int64_t *ids, float *dists);
/* scan_settled's run for several queries without a filter (ivf_batch.c). */
int ivf_batch(struct scan_query *query, struct scan_slot *slot, kith_error *err);
/* The n nearest lists into probe->list. */
int probe_find_lists(struct probe *probe, uint32_t n, kith_error *err);

/* What a quantizer's score lacks to be the distance: that of the list's centre, or without one |q|^2 under L2. */
static inline float probe_base(const struct probe *probe, float list_dist) {
    const struct ivf_code *code = &probe->model->code;
    if (code->residual) return list_dist;
    return code->metric == KITH_METRIC_L2 ? probe->x_l2sq : 0;
}

/* What a row must not exceed to be of use. */
static inline float probe_limit(const struct probe *probe) {
    const float limit = heap_limit(&probe->heap);
    return limit < probe->ceiling ? limit : probe->ceiling;
}

/* What the estimate of a row within tau by the law does not exceed. */
static inline float probe_law_limit(const struct scorer *scorer, float tau, float est) {
    if (scorer->slack == 0) return tau;
    return tau + scorer->slack + 1e-5f * (fabsf(tau) + fabsf(est)); /* the law's rounding */
}

/* A mapped file may hold any row number. */
static inline bool probe_may_return(const struct probe *probe, uint32_t row) {
    const struct rows *rows = &probe->ivf->index.rows;
    return row < probe->n_rows && row + 1 != probe->call->hidden && rows_is_live(rows, row) &&
           (!probe->call->filtered || call_passes(probe->call, rows_id(rows, row)));
}

#endif
