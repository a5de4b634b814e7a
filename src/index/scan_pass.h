/* One pass of one query over all rows: which rows, their scores, which of them can matter, their law distances.
 *
 *     live bits & filter -> blocks of 256 rows -> scores -> limit -> (fine scores -> limit) -> law distances -> sink
 *
 * The sink (k nearest, or all within a radius) takes law distances and moves tau; what lies beyond tau never comes back.
 * Only rows whose live bit was seen are read, so that rows being written are never looked at. Private to scan*.c. */
#ifndef KITH_INDEX_SCAN_PASS_H
#define KITH_INDEX_SCAN_PASS_H

#include "index/scan.h"
#include "index/scan_bound.h"
#include "index/scan_heap.h"

#define SCAN_BLOCK SCORER_BLOCK

/* Scratch of a reader slot; arrays grow and are kept. */
struct scan_slot {
    uint32_t row[SCAN_BLOCK];
    float est[SCAN_BLOCK], err[SCAN_BLOCK];
    const uint8_t *at[SCAN_BLOCK];
    uint8_t *scorers; /* of one query: walk, exact */
    size_t scorers_bytes;
    struct scan_hit *hits;
    size_t hits_bytes;
    uint8_t *batch; /* scan_batch.c's */
    size_t batch_bytes;
};

struct scan_pass {
    struct rows *rows;
    const struct search_call *call;
    const struct store *store;
    struct scan_slot *slot;
    uint32_t n;                 /* rows at or past this are not looked at */
    struct scorer first, exact; /* of the scores and of the law distances */
    const struct segs *first_rows;
    bool estimated; /* else the scores are law distances */
    struct scan_bound bound;
    struct scan_limit limit, limit_fine; /* of tau */
    float tau;
    uint32_t
        seed; /* while tau is infinite, law distances of the best so many of a block come first */
    /* Take n rows at law distances <= tau; false: no memory. */
    bool (*take)(struct scan_pass *pass, const uint32_t *row, const float *dist, uint32_t n);
    void *sink;
};

/* Make ready: enter the epoch first. tau, seed, take and sink are the caller's to set. */
int scan_pass_init(struct scan_pass *pass, struct rows *rows, const struct search_call *call,
                   struct scan_slot *slot, const float *query, kith_error *err);
int scan_pass_run(struct scan_pass *pass, kith_error *err);

/* The live, passing rows among the 64 from first (a multiple of 64) below n; a callback is not asked here. */
uint64_t scan_eligible(const struct rows *rows, const struct search_call *call, uint32_t first,
                       uint32_t n);

/* The slot's scratch, made on first use; NULL without memory. */
struct scan_slot *scan_slot_get(struct rows *rows, uint32_t slot);
/* Grow an array of a slot; false without memory. */
bool scan_slot_grow(struct rows *rows, void *array, size_t *bytes, size_t want);
void scan_deadline_fail(kith_error *err);

/* One query, or several that share a pass, run inside an epoch, and again where an update was committed meanwhile. */
struct scan_query {
    struct rows *rows;
    const struct search_call *call;
    size_t n;
    const float *queries;
    int64_t *ids;
    float *dists; /* may be NULL */
    int (*run)(struct scan_query *query, struct scan_slot *slot, kith_error *err);
    void (*undo)(struct scan_query *query); /* before another try; may be NULL */
    void *context;
};
int scan_settled(struct scan_query *query, kith_error *err);

/* scan_batch.c: whether n queries at once are better off sharing a pass over packed rows, and that pass. */
bool scan_batch_suits(const struct rows *rows, const struct search_call *call, size_t n);
int scan_batch(struct scan_query *query, struct scan_slot *slot, kith_error *err);
/* Write a heap out, nearest first, and fill up with KITH_NO_ID and INFINITY. */
void scan_put(struct scan_heap *heap, int64_t *ids, float *dists);

#endif
