/* First centroids: rows, drawn at random or by k-means++.
 *
 * k-means++ (Arthur & Vassilvitskii 2007) draws each next centroid from the rows, each as likely as its distance from the
 * nearest centroid so far; under spherical training as |x| (1 - cos). It runs over ROWS_MIN to ROWS_MAX rows a centroid,
 * drawn beforehand: its cost is rows times centroids times dim. Under L2 a row x of distance d from its nearest centroid a
 * needs no look at a new one, c, when l2sq(a, c) >= 4 d (Elkan 2003, Lemma 1; Raff 2021 for k-means++). */
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/thread.h"
#include "quant/kmeans_run.h"
#include "quant/sums.h"

#define ROWS_MIN 4u /* a centroid, for k-means++ */
#define ROWS_MAX 16u
#define FLOATS   ((size_t)4 << 20) /* that a third cache holds */
#define PART     256u              /* rows a thread takes at once */

struct plus_plus {
    struct kmeans_run *run;
    size_t n, made;  /* rows, centroids */
    uint32_t *row;   /* numbers of the rows */
    float *weight;   /* distance from the nearest centroid */
    float *length;   /* |x|, spherical only */
    uint32_t *owner; /* the nearest centroid */
    float *apart;    /* distances of the new centroid from those before it */
};

/* A unit vector where one is asked for; the zero vector stays. */
static void place(struct kmeans_run *run, size_t c, size_t row) {
    float *centroid = run->centroids + c * run->dim;
    const float *x = kmeans_row(&run->source, row, run->worker[0].room);
    double squares = run->set.ip ? sums_squares(run->dim, x) : 0;
    if (squares > 0)
        sums_scale(run->dim, x, 1 / sqrt(squares), centroid);
    else
        memcpy(centroid, x, run->dim * sizeof *centroid);
}

static int start_random(struct kmeans_run *run) {
    uint32_t *drawn = run->members; /* not in use yet */
    kmeans_draw(&run->draws, run->n, run->k, drawn);
    for (size_t c = 0; c < run->k; c++) place(run, c, drawn[c]);
    return KITH_OK;
}

/* Take the newest centroid into account. */
static void weigh_part(void *context, uint32_t worker, size_t begin, size_t end) {
    struct plus_plus *plus = context;
    struct kmeans_run *run = plus->run;
    const size_t newest = plus->made - 1;
    const float *centroid = run->centroids + newest * run->dim;
    for (size_t i = begin; i < end; i++) {
        bool far = newest > 0 && !run->set.ip && plus->apart[plus->owner[i]] >= 4 * plus->weight[i];
        if (far) continue;
        const float *x = kmeans_row(&run->source, plus->row[i], run->worker[worker].room);
        float dist = run->set.kern->pair[KITH_TYPE_F32][run->set.law](centroid, x, run->dim);
        if (run->set.ip) dist = plus->length[i] > dist ? plus->length[i] - dist : 0;
        if (newest > 0 && dist >= plus->weight[i]) continue;
        plus->weight[i] = dist;
        plus->owner[i] = (uint32_t)newest;
    }
}

static void weigh(struct plus_plus *plus) {
    const struct kmeans_run *run = plus->run;
    const size_t newest = plus->made - 1;
    run->set.kern->rows[KITH_TYPE_F32][KERN_L2SQ](run->centroids + newest * run->dim,
                                                  run->centroids, run->dim * sizeof(float), newest,
                                                  run->dim, plus->apart);
    thread_for(run->threads, plus->n, PART, weigh_part, plus);
}

/* A row, as likely as its weight; any row where all weights are 0. */
static size_t draw_by_weight(const struct plus_plus *plus) {
    double total = 0, sum = 0;
    for (size_t i = 0; i < plus->n; i++) total += (double)plus->weight[i];
    double at = (double)(bits_random(&plus->run->draws) >> 11) * 0x1p-53;
    if (!(total > 0)) return (size_t)(at * (double)plus->n);
    for (size_t i = 0; i < plus->n; i++) {
        sum += (double)plus->weight[i];
        if (sum > at * total) return i;
    }
    return plus->n - 1;
}

static void run_plus_plus(struct plus_plus *plus) {
    struct kmeans_run *run = plus->run;
    kmeans_draw(&run->draws, run->n, plus->n, plus->row);
    for (size_t i = 0; run->set.ip && i < plus->n; i++)
        plus->length[i] = (float)sqrt(
            sums_squares(run->dim, kmeans_row(&run->source, plus->row[i], run->worker[0].room)));
    for (size_t c = 0; c < run->k; c++) {
        size_t i = c == 0 ? bits_random(&plus->run->draws) % plus->n : draw_by_weight(plus);
        place(run, c, plus->row[i]);
        plus->made = c + 1;
        weigh(plus);
    }
}

static int start_plus_plus(struct kmeans_run *run, kith_error *err) {
    struct plus_plus plus = {.run = run};
    plus.n = FLOATS / run->dim;
    if (plus.n < ROWS_MIN * run->k) plus.n = ROWS_MIN * run->k;
    if (plus.n > ROWS_MAX * run->k) plus.n = ROWS_MAX * run->k;
    if (plus.n > run->n) plus.n = run->n;
    const size_t bytes = plus.n * 16 + run->k * sizeof(float);
    uint32_t *block = mem_new(run->owner, bytes);
    if (!block) return FAIL(err, KITH_ENOMEM, "no memory for k-means++ over %zu rows", plus.n);
    plus.row = block;
    plus.owner = block + plus.n;
    plus.weight = (float *)(block + 2 * plus.n);
    plus.length = (float *)(block + 3 * plus.n);
    plus.apart = (float *)(block + 4 * plus.n);
    run_plus_plus(&plus);
    mem_free(run->owner, block, bytes);
    return KITH_OK;
}

int kmeans_start(struct kmeans_run *run, kith_error *err) {
    switch (run->options->start) {
    case KMEANS_RANDOM: return start_random(run);
    case KMEANS_PLUS_PLUS: return start_plus_plus(run, err);
    case KMEANS_GIVEN: return KITH_OK;
    }
    return FAIL(err, KITH_EINVAL, "no start of k-means is number %d", (int)run->options->start);
}
