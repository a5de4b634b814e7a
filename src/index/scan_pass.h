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
    uint8_t *scorers; /* of one query: scores, law distances */
    size_t scorers_bytes;
    struct scan_hit *hits;
    size_t hits_bytes;
    uint8_t *batch; /* scan_batch.c's */
    size_t batch_bytes;
    struct code passing; /* scan_batch.c's: trained for the rows below passing_n of one store */
    const struct store *passing_store;
    uint32_t passing_n;
};

/* What is scanned: the rows of one moment, and which scores come first. */
struct scan_view {
    struct rows *rows;
    const struct store *store;
    uint32_t n;               /* rows at or past this are not looked at */
    const struct code *first; /* of the scores */
    const struct code *exact; /* of the law distances */
    const struct segs *rows_of_first;
    bool estimates; /* else scores are law distances */
    bool has_err;   /* rows of first are not the exact rows: residual norms are needed */
    bool fine;      /* rows of first can be scored again */
};

struct scan_pass {
    struct scan_view view;
    const struct search_call *call;
    struct scan_slot *slot;
    struct scorer first, exact;
    bool estimated; /* the view estimates, and not without loss for this query */
    struct scan_bound bound;
    struct scan_limit limit, limit_fine; /* of tau */
    float tau;
    /* while tau is infinite, law distances of the best so many of a block come first */
    uint32_t seed;
    /* Take n rows at law distances, those <= tau; false: no memory. */
    bool (*take)(struct scan_pass *pass, const uint32_t *row, const float *dist, uint32_t n);
    void *sink;
};

/* What a single query scans; inside the epoch. */
void scan_view_init(struct scan_view *view, struct rows *rows);
/* KITH_EUNSUPPORTED where there are no vectors. */
int scan_view_check(const struct scan_view *view, kith_error *err);
/* Make ready for a query. take, sink, seed and tau (else INFINITY) are the caller's to set, then scan_pass_limit. */
int scan_pass_init(struct scan_pass *pass, const struct scan_view *view,
                   const struct search_call *call, struct scan_slot *slot, const float *query,
                   kith_error *err);
void scan_pass_limit(struct scan_pass *pass);
/* The next block of eligible rows after *at (begin with zeros), into slot->row; 0 at the end. */
struct scan_cursor {
    uint32_t first; /* of the next word */
    uint32_t base;  /* of this word */
    uint64_t word;  /* rows of it still to come */
};
uint32_t scan_gather(const struct scan_view *view, const struct search_call *call,
                     struct scan_cursor *at, uint32_t *row, uint32_t most);
/* Whether n rows in rising order lie side by side. */
bool scan_is_run(const struct segs *segs, const uint32_t *row, uint32_t n);
/* All rows. */
int scan_pass_run(struct scan_pass *pass, kith_error *err);
/* n rows of slot->row with their scores in slot->est and residual norms (or 0) in slot->err, some of them beyond the
 * limit; false without memory. */
bool scan_pass_feed(struct scan_pass *pass, uint32_t n);

/* The slot's scratch, made on first use; NULL without memory. */
struct scan_slot *scan_slot_get(struct rows *rows, uint32_t slot);
/* Grow an array of a slot; false without memory. */
bool scan_slot_grow(struct rows *rows, void *array, size_t *bytes, size_t want);
/* Bytes of scratch that came and went. */
void scan_count_bytes(struct rows *rows, size_t more, size_t less);
void scan_deadline_fail(kith_error *err);

/* One query, or several that share a pass, run inside an epoch, and again where what was committed meanwhile demands it
 * (rows_moment). */
struct scan_query {
    struct rows *rows;
    const struct search_call *call;
    size_t n;
    const float *queries;
    int64_t *ids;
    float *dists; /* may be NULL */
    /* of a threshold search, from `first` on, in place of ids and dists; else NULL */
    struct scan_hits *hits;
    size_t first;
    int (*run)(struct scan_query *query, struct scan_slot *slot, kith_error *err);
    void *context;
};
int scan_settled(struct scan_query *query, kith_error *err);
/* An id is there twice among the hits from `first` on, or there was no memory to know. */
bool scan_hits_have_twins(const struct scan_hits *hits, size_t first);

/* scan_batch.c: whether n queries at once are better off sharing a pass over packed rows, and that pass. */
bool scan_batch_suits(const struct rows *rows, const struct search_call *call, size_t n);
int scan_batch(struct scan_query *query, struct scan_slot *slot, kith_error *err);
/* Hits of a pass whose sink is a heap. */
bool scan_take_nearest(struct scan_pass *pass, const uint32_t *row, const float *dist, uint32_t n);
/* Write a heap out, nearest first, and fill up with KITH_NO_ID and INFINITY. */
void scan_put(struct scan_heap *heap, int64_t *ids, float *dists);

#endif
