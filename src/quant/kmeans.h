/* k-means of our own: training of centroids, and the nearest centroids of rows.
 *
 *     start      k rows, drawn at random or by k-means++
 *     repeat     assign each row to its nearest centroid; mend empty clusters; each centroid becomes its cluster's mean
 *     until      nothing changes, the objective moves by less than `tolerance`, or n_iterations are done
 *
 * The inside distance of a row x from a centroid c is l2sq(x, c), or -dot(x, c) for KITH_METRIC_IP and spherical
 * training, as kern.h's float law computes it; equal distances go to the smaller number. An assignment is always that
 * of a scan of all centroids: one-byte estimates and bounds kept from iteration to iteration (kmeans_set.h,
 * kmeans_assign.c) only spare computing what cannot be nearest. So results are the same bits at any number of threads
 * and any instruction set: sums over a cluster are made in double, in rising order of rows.
 *
 * Rows may be anywhere: in memory at a stride, or behind a function that decodes one (f16, u8, a mapped file). They are
 * copied only where they have up to 64 dimensions; training keeps a byte a dimension of each row that it uses, and some 160
 * bytes more. */
#ifndef KITH_QUANT_KMEANS_H
#define KITH_QUANT_KMEANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>
#include <kith/vector.h>

struct mem_account;

/* n rows of dim floats. */
struct kmeans_rows {
    size_t n, dim;
    const float *values; /* row i at values + i * stride; not read where `read` is given */
    size_t stride;       /* in floats; 0: dim */
    /* Write the dim floats of a row; called by several threads at once, many times for a row. NULL: values. */
    void (*read)(void *context, size_t row, float *out);
    void *context;
};

enum kmeans_start {
    KMEANS_RANDOM,    /* k rows, each as likely */
    KMEANS_PLUS_PLUS, /* k-means++ over 4 k to 16 k rows: Arthur & Vassilvitskii 2007 */
    KMEANS_GIVEN,     /* what is in `centroids` (finite; spherical: of length 1) */
};

/* All zeros but n_clusters are good defaults. */
struct kmeans_options {
    size_t n_clusters;
    uint32_t n_iterations; /* at most so many; 0: 25 */
    /* train on a random sample of at most so many rows a centroid; 0: 256 */
    uint32_t max_rows_per_centroid;
    enum kmeans_start start;
    bool spherical; /* centroids are unit vectors, the nearest is that of the largest dot product */
    /* > 0: no cluster has more than (1 + balance) n / k rows (kmeans_balance); 0: they fall as they may. */
    double balance;
    /* stop when an iteration lowers the objective by less than this share of it; 0: never */
    double tolerance;
    uint64_t seed;
    uint32_t threads; /* 0: 1 */
    /* Called after each iteration; false ends training there. May be NULL. */
    bool (*progress)(void *context, uint32_t iteration, double objective);
    void *context;
};

struct kmeans_report {
    /* sum of the rows' distances from the centroids returned, in their clusters */
    double objective;
    uint32_t iterations; /* made, not counting those that balance */
    size_t n_rows;       /* trained on */
    size_t repairs;      /* empty clusters that were given a row */
    /* clusters empty at the end: only where distinct rows are fewer than clusters */
    size_t n_empty;
    /* k sum(size^2) / n^2: 1 when all clusters have one size, k when one has all */
    double imbalance;
    size_t largest; /* cluster's size */
};

/* Learn k centroids.
 *   Shape    centroids[k][dim] f32, in no order of meaning; report may be NULL.
 *   Owns     nothing; borrows the rows until return; its scratch is counted to owner.
 *   Threads  as asked.
 *   Cost     an iteration: at most n k dim one-byte products; later ones far less (docs/performance.md).
 *   Errors   KITH_EINVAL no clusters, or more than rows (both numbers are told); KITH_ENONFINITE, KITH_ERANGE a row that
 *            is not finite or whose squared length is over FLT_MAX / 8 (err->at its number); KITH_EDIM; KITH_ENOMEM.
 *            Centroids are undefined after an error.
 *   Source   Lloyd 1982; docs/papers.md and docs/decisions/0020. */
int kmeans_train(const struct kmeans_options *options, const struct kmeans_rows *rows,
                 float *centroids, struct kmeans_report *report, struct mem_account *owner,
                 kith_error *err);

/* ---- nearest centroids ------------------------------------------------------------------------------------------- */

struct
    kmeans_set; /* k vectors made ready for finding, constant once made: any number of threads at once */

/* L2 or IP. The centroids (k x dim, finite) are borrowed until kmeans_set_free. */
int kmeans_set_new(struct kmeans_set **out, kith_metric metric, size_t k, size_t dim,
                   const float *centroids, struct mem_account *owner, kith_error *err);
void kmeans_set_free(struct kmeans_set *set);
/* What it takes, the centroids not counted. */
uint64_t kmeans_set_bytes(const struct kmeans_set *set);
/* Whether all rows are what a set may be made of: KITH_ENONFINITE, KITH_ERANGE as above. Rows in memory only. */
int kmeans_check(const struct kmeans_rows *rows, kith_error *err);

/* The `most` nearest centroids of each row, nearest first.
 *   Shape    which[n][most]; dist[n][most] inside distances, may be NULL. most is 1..k.
 *   Threads  as asked.
 *   Cost     n k dim one-byte products and a few float distances a row.
 *   Errors   KITH_EK; KITH_ENONFINITE, KITH_ERANGE as above; KITH_ENOMEM. */
struct kmeans_found {
    size_t most;
    uint32_t *which;
    float *dist;
};
int kmeans_find(const struct kmeans_set *set, const struct kmeans_rows *rows,
                const struct kmeans_found *found, uint32_t threads, kith_error *err);

/* The same for at most KMEANS_BLOCK rows in memory, dim floats apart, on this thread, without a check and without an
 * allocation: scratch is kmeans_find_bytes(set, n, most) bytes, 64-byte aligned. For a query's nprobe. */
#define KMEANS_BLOCK 96u
size_t kmeans_find_bytes(const struct kmeans_set *set, size_t n, size_t most);
void kmeans_find_block(const struct kmeans_set *set, size_t n, const float *rows,
                       const struct kmeans_found *found, void *scratch);

/* ---- lists of bounded length ------------------------------------------------------------------- */

/* Rows to centroids, none with more than kmeans_capacity rows, at a sum of distances that is near the least.
 *   Shape    which[n]; dist[n] law distances.
 *   Threads  as asked; one answer.
 *   Cost     kmeans_find of 16, and some passes over its result, which takes 160 bytes a row.
 *   Errors   those of kmeans_find; KITH_EINVAL a slack below 0.
 *   Source   the auction of Bertsekas 1988, over the nearest 16; docs/papers.md. */
int kmeans_balance(const struct kmeans_set *set, const struct kmeans_rows *rows, double slack,
                   uint32_t threads, uint32_t *which, float *dist, kith_error *err);
/* max(ceil(n / k), floor((1 + slack) n / k)) */
size_t kmeans_capacity(size_t n, size_t k, double slack);

#endif
