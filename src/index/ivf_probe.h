/* One query on its way through inverted lists. Private to ivf_search.c and ivf_range.c. */
#ifndef KITH_INDEX_IVF_PROBE_H
#define KITH_INDEX_IVF_PROBE_H

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
    float *x;              /* the query as it is coded */
    int64_t *list;         /* nlist places */
    float *list_dist;      /* of the centres */
    uint32_t n_lists;      /* in list, found so far */
    struct scorer plain;   /* lists of plain codes */
    uint8_t *quantized;    /* struct quantizer_scorer */
    struct scorer exact;   /* originals */
    struct scan_heap heap; /* of ids, or where originals come after, of row numbers */
    bool refines;
    uint64_t n_passed;
    float score[IVF_CHUNK];
};

/* Make ready, in the epoch, where a model is; scratch is the slot's. */
int probe_init(struct probe *probe, const struct ivf *ivf, const struct scan_query *query,
               struct scan_slot *slot, kith_error *err);
/* The n nearest lists into probe->list. */
int probe_find_lists(struct probe *probe, uint32_t n, kith_error *err);

/* A mapped file may hold any row number. */
static inline bool probe_may_return(const struct probe *probe, uint32_t row) {
    const struct rows *rows = &probe->ivf->index.rows;
    return row < probe->n_rows && rows_is_live(rows, row) &&
           (!probe->call->filtered || call_passes(probe->call, rows_id(rows, row)));
}

#endif
