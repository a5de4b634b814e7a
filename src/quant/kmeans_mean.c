/* Centroids to means, and empty clusters.
 *
 * Rows are grouped by cluster, rising; a cluster whose members are the same as before keeps its centroid, bit for bit,
 * and its rows their distances. Others are summed in double in the order of their rows, one cluster by one thread, so
 * that the mean does not depend on how many there are; their rows' distances are computed while they are still in the
 * cache.
 *
 * An empty cluster takes a row out of a cluster of two or more, drawn as k-means++ draws: as likely as the row is far
 * from its centroid, all empty clusters in one systematic pass. The objective falls by the row's distance. The farthest
 * rows of all would be outliers; halves of large clusters, as FAISS takes, can raise the objective. A row that lies
 * on its centroid is not taken: where distinct rows are fewer than clusters, clusters stay empty. Under spherical
 * training, where a distance is -|x| cos, |x| (1 - cos) stands for it. */
#include <string.h>

#include "base/bits.h"
#include "base/thread.h"
#include "quant/kmeans_run.h"

#define LENGTH_MIN 0x1p-60f /* shorter rows have no direction */

/* ---- grouping ---------------------------------------------------------------------------------- */

static void count(struct kmeans_run *run) {
    memset(run->start, 0, (run->k + 1) * sizeof *run->start);
    for (size_t i = 0; i < run->n; i++) run->start[run->assign[i] + 1]++;
}

/* A row's worth to an empty cluster: how much the objective would fall, 0 when it lies on its centroid. */
static float worth(const struct kmeans_run *run, size_t row) {
    float fall = run->dist[row];
    if (run->set.ip && run->queries.reach[row] > LENGTH_MIN)
        fall += run->queries.reach[row] * (float)(1 - 4 * run->set.rho);
    return fall > 0 ? fall : 0;
}

/* start[c + 1] is the size of c. */
static void fill_empty(struct kmeans_run *run) {
    size_t n_empty = 0, c = 0;
    double total = 0, sum = 0;
    for (size_t i = 0; i < run->k; i++) n_empty += run->start[i + 1] == 0;
    if (n_empty == 0) return;
    for (size_t i = 0; i < run->n; i++) total += (double)worth(run, i);
    const double step = total / (double)n_empty;
    double next = step * ((double)(bits_random(&run->draws) >> 11) * 0x1p-53);
    for (size_t i = 0; i < run->n; i++) {
        const float far = worth(run, i);
        sum += (double)far;
        if (!(far > 0 && sum > next) || run->start[run->assign[i] + 1] < 2) continue;
        while (c < run->k && run->start[c + 1] > 0) c++;
        if (c == run->k) return;
        run->start[run->assign[i] + 1]--;
        run->start[c + 1] = 1;
        run->assign[i] = (uint32_t)c;
        run->repairs++;
        next += step;
    }
}

size_t kmeans_regroup(struct kmeans_run *run) {
    size_t changed = 0;
    count(run);
    fill_empty(run);
    memset(run->dirty, 0, run->k);
    for (size_t i = 0; i < run->n; i++) {
        uint32_t now = run->assign[i], was = run->before[i];
        if (now == was) continue;
        run->dirty[now] = 1;
        if (was < run->k) run->dirty[was] = 1;
        run->before[i] = now;
        changed++;
    }
    for (size_t c = 0; c < run->k; c++) run->start[c + 1] += run->start[c];
    for (size_t i = 0; i < run->n; i++) run->members[run->start[run->assign[i]]++] = (uint32_t)i;
    for (size_t c = run->k; c > 0; c--) run->start[c] = run->start[c - 1];
    run->start[0] = 0;
    return changed;
}

/* ---- means ------------------------------------------------------------------------------------- */

static void sum_members(const struct kmeans_run *run, const struct kmeans_worker *own, size_t c) {
    memset(own->sum, 0, run->dim * sizeof *own->sum);
    for (size_t m = run->start[c]; m < run->start[c + 1]; m++) {
        const float *x = kmeans_row(&run->source, run->members[m], own->room);
        for (size_t j = 0; j < run->dim; j++) own->sum[j] += (double)x[j];
    }
}

/* The mean, or its direction; a sum of no direction leaves the centroid as it is. */
static void set_centroid(const struct kmeans_run *run, const double *sum, size_t c) {
    float *centroid = run->centroids + c * run->dim;
    double scale = 1 / (double)(run->start[c + 1] - run->start[c]);
    if (run->set.ip) {
        double squares = 0;
        for (size_t j = 0; j < run->dim; j++) squares += sum[j] * sum[j];
        if (!(squares > 0)) return;
        scale = 1 / sqrt(squares);
    }
    for (size_t j = 0; j < run->dim; j++) centroid[j] = (float)(sum[j] * scale);
}

/* Law distances of the members from their centroid: the law has no order of operands. */
static void measure_members(const struct kmeans_run *run, const struct kmeans_worker *own,
                            size_t c) {
    const float *centroid = run->centroids + c * run->dim;
    const void *rows[KMEANS_LIST];
    float dist[KMEANS_LIST];
    for (size_t m = run->start[c], n; m < run->start[c + 1]; m += n) {
        n = run->start[c + 1] - m < KMEANS_LIST ? run->start[c + 1] - m : KMEANS_LIST;
        for (size_t j = 0; j < n; j++)
            rows[j] = kmeans_row(&run->source, run->members[m + j],
                                 own->room + kmeans_room(run->source.rows, j));
        run->set.kern->list[KITH_TYPE_F32][run->set.law](centroid, rows, n, run->dim, dist);
        for (size_t j = 0; j < n; j++)
            run->dist[run->members[m + j]] = run->set.ip ? -dist[j] : dist[j];
    }
}

static void update_part(void *context, uint32_t worker, size_t begin, size_t end) {
    struct kmeans_run *run = context;
    const struct kmeans_worker *own = &run->worker[worker];
    for (size_t c = begin; c < end; c++) {
        run->step[c] = 0;
        if (!run->dirty[c] || run->start[c] == run->start[c + 1]) continue;
        float *old = (float *)own->scratch;
        memcpy(old, run->centroids + c * run->dim, run->dim * sizeof *old);
        sum_members(run, own, c);
        set_centroid(run, own->sum, c);
        run->step[c] = sqrtf(run->set.kern->pair[KITH_TYPE_F32][KERN_L2SQ](
            old, run->centroids + c * run->dim, run->dim));
        measure_members(run, own, c);
    }
}

void kmeans_update(struct kmeans_run *run) {
    thread_for(run->threads, run->k, 4, update_part, run);
}
