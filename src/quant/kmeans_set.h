/* Centroids made ready to be scanned by one-byte estimates, and what an estimate proves. Private to k-means.
 *
 * The centroids are coded in sq8 (code.h), ranges learnt from themselves, and packed in panels; rows are the s8 queries
 * (scorer_query.c). For a row x and a centroid c, decoded c~:
 *
 *     est      is within `slack` (of the row) of the real distance of x from c~
 *     err      >= |c - c~|, the largest of all centroids
 *     law      the inside distance by kern.h's law, which decides
 *     reach    of the row: 1 under L2, a bound on |x| under IP
 *     value    what drift adds to: the real |x - c| under L2, -<x, c> under IP. A centroid that moves by s moves the
 *              value by at most reach s.
 *
 * With u = 2^-24 and rho = (dim/16 + 16) u, a bound on the relative error of any sum by the law:
 *
 *   1. law <= t             =>  value <= above_law(t):   L2 sqrt(t (1 + 2 rho)), IP t + rho reach C, C = max |c|
 *   2. est <= e             =>  value <= above_est(e):   L2 sqrt(e + slack) + err, IP e + slack + reach err
 *   3. est  = e             =>  value >= below_est(e):   L2 sqrt(e - slack) - err, IP e - slack - reach err
 *   4. est  > limit_of(v)   =>  value >  v               (3, solved for e)
 *   5. value <= v           =>  law   <= law_above(v):   L2 v^2 (1 + 2 rho), IP v + rho reach C
 *
 * Computed in double, whose own rounding the factors 1 +- 2^-40 cover; floats are rounded outwards. Where no estimate
 * can be given slack is infinite: every est is 0, and every centroid passes. */
#ifndef KITH_QUANT_KMEANS_SET_H
#define KITH_QUANT_KMEANS_SET_H

#include <float.h>
#include <math.h>

#include "base/bits.h"
#include "quant/code.h"
#include "quant/kmeans.h"

#define KMEANS_TINY 0x1p-120 /* more than 65,536 products can lose to underflow */

/* The next part of a block of memory, 64-byte aligned; from 0 on, parts only add up to its bytes. */
static inline void *kmeans_carve(uintptr_t *at, size_t bytes) {
    void *part = (void *)*at;
    *at += bits_round_up(bytes, 64);
    return part;
}

/* Coded centroids side by side: all of them in their order, or the n that `which` names. */
struct kmeans_panels {
    size_t n, room;
    uint8_t *coded, *packed;
    float *term; /* readable up to a multiple of KERN_PANEL */
    uint32_t *which;
};

struct kmeans_set {
    const struct kern *kern;
    enum kern_metric law;
    bool ip;
    size_t k, dim;
    const float *centroids;
    struct code code;
    struct kmeans_panels all;
    size_t group; /* panels' rows that are scanned at once */
    double err, err_trained, rho, longest;
    struct mem_account *owner;
};

/* Caller's storage. The centroids may change: kmeans_set_update makes them ready (again). */
int kmeans_set_init(struct kmeans_set *set, kith_metric metric, size_t k, size_t dim,
                    const float *centroids, struct mem_account *owner, kith_error *err);
void kmeans_set_deinit(struct kmeans_set *set);
/* True when the code was learnt anew, so that queries made before are stale. */
bool kmeans_set_update(struct kmeans_set *set);

int kmeans_panels_init(struct kmeans_panels *panels, const struct kmeans_set *set, size_t room,
                       kith_error *err);
void kmeans_panels_deinit(struct kmeans_panels *panels, const struct kmeans_set *set);
/* Copy and pack the centroids which[0..n-1]. */
void kmeans_panels_pick(struct kmeans_panels *panels, const struct kmeans_set *set);

/* Rows as queries, one after the other. */
struct kmeans_queries {
    size_t n;
    int8_t *codes; /* code.bytes each */
    float *scale, *bias, *slack;
    float *reach; /* NULL under L2: 1 */
};

static inline double kmeans_reach(const struct kmeans_queries *queries, size_t i) {
    return queries->reach ? (double)queries->reach[i] : 1;
}

/* Make query i of a row. */
void kmeans_set_query(const struct kmeans_set *set, struct scorer *scorer, const float *row,
                      const struct kmeans_queries *queries, size_t i);

/* What a scan finds: hits of query i at hits + i * stride, n_hits[i] of them. */
struct kmeans_hits {
    struct kern_hit *hits;
    size_t stride; /* at least as many as there are panels' rows */
    uint32_t *n_hits;
    float *limit; /* of each query */
};

/* Scan n panels' rows from `first` on, a multiple of KERN_PANEL; hits are appended. */
void kmeans_set_scan(const struct kmeans_set *set, const struct kmeans_panels *panels, size_t first,
                     size_t n, const struct kmeans_queries *queries, const struct kmeans_hits *out);

/* Law distances of one row from n <= KMEANS_LIST centroids. */
#define KMEANS_LIST 16u
void kmeans_set_law(const struct kmeans_set *set, const float *row, const uint32_t *which, size_t n,
                    float *dist);

/* ---- the rules above ------------------------------------------------------------------------- */

static inline double kmeans_above_law(const struct kmeans_set *set, double reach, float law) {
    if (set->ip) return (double)law + set->rho * reach * set->longest + KMEANS_TINY;
    return sqrt((double)law * (1 + 2 * set->rho) + KMEANS_TINY);
}

static inline double kmeans_law_above(const struct kmeans_set *set, double reach, double value) {
    if (set->ip) return value + set->rho * reach * set->longest + KMEANS_TINY;
    return value * value * (1 + 2 * set->rho) + KMEANS_TINY;
}

static inline double kmeans_above_est(const struct kmeans_set *set, double reach, float slack,
                                      float est) {
    double most = (double)est + (double)slack;
    if (set->ip) return most + reach * set->err;
    return sqrt(most > 0 ? most : 0) + set->err;
}

static inline double kmeans_below_est(const struct kmeans_set *set, double reach, float slack,
                                      float est) {
    double least = (double)est - (double)slack;
    if (set->ip) return least - reach * set->err;
    return sqrt(least > 0 ? least : 0) - set->err;
}

/* A float not below, and one not above x. */
static inline float kmeans_up(double x) {
    x += fabs(x) * 0x1p-40;
    return x < (double)FLT_MAX ? nextafterf((float)x, INFINITY) : INFINITY;
}

static inline float kmeans_down(double x) { return -kmeans_up(-x); }

static inline float kmeans_limit_of(const struct kmeans_set *set, double reach, float slack,
                                    double value) {
    if (set->ip) return kmeans_up(value + reach * set->err + (double)slack);
    double far = value + set->err;
    return far < 0 ? -1 : kmeans_up(far * far + (double)slack);
}

#endif
