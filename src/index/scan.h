/* Exact search over rows: the whole index Flat, and the oracle and last resort of every other one.
 *
 * Results are the k smallest (distance by kern.h's float law over the exact rows, then id): always those of the plain
 * float scan, also where a one-byte code pre-selects (the bound is certified, see scan.c). */
#ifndef KITH_INDEX_SCAN_H
#define KITH_INDEX_SCAN_H

#include "index/rows.h"
#include "index/index.h"

/* What a search wants, checked and completed by index.c: shared by all queries of one call. */
struct search_call {
    uint32_t k;
    uint32_t ef;
    uint32_t nprobe;
    float oversample;
    bool exact;
    bool filtered; /* filter.bits or filter.pass is set */
    kith_filter filter;
    uint64_t deadline; /* clock_ns() at which to give up; 0 never */
    uint32_t hidden;   /* 1 + a row that graphs and lists are not to see (calibrate.h); 0: none */
};

static inline bool call_passes(const struct search_call *call, int64_t id) {
    if (call->filter.bits)
        return (uint64_t)id < call->filter.n_bits && bits_test(call->filter.bits, (uint64_t)id);
    return call->filter.pass == NULL || call->filter.pass(call->filter.context, id) != 0;
}

/* k nearest of the live, passing rows for n queries (one: single-query path; from SCAN_BATCH_MIN on: packed panels).
 * ids[n][k], dists[n][k] INSIDE distances (smaller is nearer), missing KITH_NO_ID and INFINITY. Enters the epoch
 * itself. Scratch is kept per epoch slot; no allocation after warm-up. KITH_EDEADLINE, KITH_ENOMEM; KITH_EUNSUPPORTED where
 * the rows keep no vectors. */
int scan_knn(struct rows *rows, const struct search_call *call, size_t n, const float *queries,
             int64_t *ids, float *dists, kith_error *err);

/* An id is there twice among k of one answer: see rows_moment. */
bool scan_has_twins(const int64_t *ids, size_t k);

struct scan_hit {
    float dist;
    int64_t id;
};

/* All live, passing rows at inside distance <= radius, nearest first: appended to a growing list, whose memory is not
 * the index's. */
struct scan_hits {
    struct scan_hit *hits;
    size_t n, capacity;
};
int scan_range(struct rows *rows, const struct search_call *call, const float *query, float radius,
               struct scan_hits *hits, kith_error *err);
/* One more hit (false: no memory), and hits from `first` on sorted, nearest first. */
bool scan_hits_add(struct scan_hits *hits, float dist, int64_t id);
void scan_hits_sort(struct scan_hits *hits, size_t first);
void scan_hits_deinit(struct scan_hits *hits);

/* Scratch: its bytes, and its end, before rows_deinit. */
uint64_t scan_bytes(const struct rows *rows);
void scan_deinit(struct rows *rows);

#endif
