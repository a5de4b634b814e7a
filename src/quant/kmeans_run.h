/* One training of k-means: what its phases share. Private to k-means.
 *
 *     kmeans.c         options, memory, the loop           kmeans_assign.c  rows to centroids
 *     kmeans_start.c   first centroids                     kmeans_mean.c    centroids to means, empty clusters
 *
 * Invariants between phases
 *   1. dist[i] is the law distance of row i from centroid assign[i] as it is now.
 *   2. Clusters are start[c]..start[c+1] of members, rising rows, as of the last update.
 *   3. While `listed`, for each row i and each centroid c as it was at `listed_at`: c is in the row's list with `below`
 *      not above its value (kmeans_set.h), or its value is above rest[i]. */
#ifndef KITH_QUANT_KMEANS_RUN_H
#define KITH_QUANT_KMEANS_RUN_H

#include "quant/kmeans_rows.h"
#include "quant/kmeans_set.h"

/* A centroid that may become a row's nearest. */
struct kmeans_near {
    uint32_t which;
    float below;
};

struct kmeans_worker {
    void *scratch; /* a finder's or a scorer's */
    float *room;   /* KMEANS_BLOCK rows, decoded */
    double *sum;   /* of a cluster: dim */
    int8_t *codes; /* KMEANS_BLOCK queries */
    void *block;   /* all of it */
    size_t block_bytes;
};

struct kmeans_run {
    const struct kmeans_options *options;
    struct kmeans_source source;
    size_t n, k, dim;
    float *centroids;
    struct kmeans_set set;
    /* of each row */
    uint32_t *assign, *before; /* the cluster, now and at the last update */
    float *dist;
    struct kmeans_queries queries;
    float *rest;
    uint8_t *n_near;
    struct kmeans_near *near; /* KMEANS_LIST each */
    uint32_t *members;
    /* of each cluster */
    size_t *start; /* k + 1 */
    uint8_t *dirty;
    float *listed_at; /* k x dim */
    float *drift;     /* how far it is from there */
    float *step;      /* how far it went at the last update */
    bool listed;
    double margin; /* how much drift lists are made to outlast */
    struct kmeans_panels fast;
    struct kmeans_worker *worker;
    uint32_t threads;
    uint64_t draws; /* state of random numbers */
    size_t repairs;
    uint32_t *sample;
    struct kmeans_rows kept; /* rows of few dimensions, side by side */
    float *kept_values;      /* NULL: they stay where they are */
    void *block;             /* the arrays above, but for the workers */
    size_t block_bytes;
    struct mem_account *owner;
};

/* First centroids, by the options. */
int kmeans_start(struct kmeans_run *run, kith_error *err);
/* Rows as queries of the set's code. */
void kmeans_prepare(struct kmeans_run *run);
/* Each row to its nearest centroid, without and with knowing where it was. */
void kmeans_assign_first(struct kmeans_run *run);
void kmeans_assign(struct kmeans_run *run);
/* Give each empty cluster a row; note which clusters changed, and tell how many rows moved. */
size_t kmeans_regroup(struct kmeans_run *run);
/* Centroids of clusters that changed become their means. */
void kmeans_update(struct kmeans_run *run);

#endif
