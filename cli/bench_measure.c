/* Measuring an index: how good its answers are, and how fast they come.
 *
 * 1. Everything that a pass needs is allocated and touched before the clock starts.
 * 2. The same queries in the same order every time; a pass is one setting of one index. The caller goes
 *    round all settings before it repeats one, so that a disturbance hits none alone.
 * 3. An answer is right when it is as near as the k-th true neighbour, by distances computed here, in
 *    float32, for both: neither ties nor an index's own rounding decide. */
#include "bench.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "progress.h"

/* ---- truth -------------------------------------------------------------------------------------- */

static int distance_to(const bench_setup *s, size_t query, int64_t id, float *out,
                       kith_error *err) {
    if (id < 0 || (uint64_t)id >= s->base.n) {
        *out = kith_metric_is_similarity(s->metric) ? -INFINITY : INFINITY;
        return KITH_OK;
    }
    return kith_distance(s->metric, KITH_TYPE_F32, s->base.dim,
                         s->queries.data + query * s->base.dim,
                         s->base.data + (size_t)id * s->base.dim, out, err);
}

int bench_prepare(bench_setup *s, const id_table *truth, kith_error *err) {
    s->n = s->queries.n < truth->n ? s->queries.n : truth->n;
    s->truth = malloc(s->n * s->k * sizeof *s->truth);
    s->dists = malloc(s->n * s->k * sizeof *s->dists);
    if (!s->truth || !s->dists)
        return format_fail(err, KITH_ENOMEM, -1, "no memory for %zu true rows", s->n);
    for (size_t i = 0; i < s->n; i++) {
        for (size_t j = 0; j < s->k; j++) {
            int64_t id = truth->ids[i * truth->k + j];
            if (id < 0 || (uint64_t)id >= s->base.n)
                return format_fail(err, KITH_ERANGE, (int64_t)i,
                                   "row %zu, column %zu: id %lld; the base has %zu rows", i, j,
                                   (long long)id, s->base.n);
            s->truth[i * s->k + j] = id;
            int code = distance_to(s, i, id, &s->dists[i * s->k + j], err);
            if (code) return code;
        }
    }
    return KITH_OK;
}

/* ---- build --------------------------------------------------------------------------------------- */

int bench_build(const bench_setup *s, bench_run *run, const kith_index_options *options,
                kith_error *err) {
    int code = kith_index_new(&run->index, s->base.dim, s->metric, run->spec, options, err);
    if (code) return code;
    progress bar;
    progress_start(&bar, run->spec, "rows");
    kith_work work = KITH_WORK_INIT;
    work.threads = s->build_threads;
    work.progress = progress_update;
    work.context = &bar;
    double wall = wall_s();
    double cpu = process_cpu_s();
    code = kith_index_add(run->index, s->base.n, s->base.data, NULL, &work, err);
    run->build_wall_s = wall_s() - wall;
    run->build_cpu_s = process_cpu_s() - cpu;
    progress_finish(&bar);
    if (code == KITH_OK && s->open != KITH_OPEN_READ)
        code = index_file_reopen(&run->index, s->open, err);
    if (code == KITH_OK) kith_index_stats_get(run->index, &run->stats);
    return code;
}

int bench_calibrate(const bench_setup *s, const bench_run *run, kith_error *err) {
    kith_calibrate_options how = KITH_CALIBRATE_OPTIONS_INIT;
    kith_work work = KITH_WORK_INIT;
    how.n_k = 1;
    how.k = &s->k;
    how.base = s->base.data;
    how.n_base = s->base.n;
    work.threads = s->build_threads;
    return kith_index_calibrate(run->index, &how, &work, err);
}

/* ---- passes ---------------------------------------------------------------------------------------- */

static kith_search_params params_of(const bench_setup *s, const bench_point *point) {
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    params.k = s->k;
    params.ef = params.nprobe = point->effort; /* an index looks at its own */
    params.recall = point->target;
    params.threads = s->batch ? s->threads : 1;
    return params;
}

int bench_quality(const bench_setup *s, const bench_run *run, bench_point *point, kith_error *err) {
    int64_t *ids = malloc(s->n * s->k * sizeof *ids);
    float *dists = malloc(s->n * s->k * sizeof *dists);
    int code =
        ids && dists ? KITH_OK : format_fail(err, KITH_ENOMEM, -1, "no memory for the answers");
    kith_search_params params = params_of(s, point);
    params.threads = s->threads;
    double seconds = wall_s();
    if (!code)
        code = kith_index_search(run->index, s->n, s->queries.data, &params, ids, dists, err);
    seconds = wall_s() - seconds;
    point->rounds = seconds < BENCH_MIN_S ? (uint32_t)fmin(BENCH_MIN_S / seconds + 1, 10000) : 1;
    for (size_t i = 0; i < s->n && !code; i++)
        for (size_t j = 0; j < s->k && !code; j++)
            code = distance_to(s, i, ids[i * s->k + j], &dists[i * s->k + j], err);
    if (!code)
        code = kith_eval_knn(s->n, s->k, ids, s->k, s->truth, s->k, dists, s->dists,
                             kith_metric_is_similarity(s->metric), &point->quality, err);
    free(ids);
    free(dists);
    return code;
}

/* What one thread of a pass does: every step-th query of all rounds, from its own first. */
typedef struct lane {
    const bench_setup *s;
    const bench_run *run;
    kith_search_params params;
    size_t first, step, rounds;
    double *latency_us; /* of all queries */
    int64_t *ids;       /* k */
    float *dists;
    double start_s, end_s, cpu_s; /* without the first query, which warms the thread up */
    int code;
    kith_error err;
} lane;

static void *run_lane(void *context) {
    lane *l = context;
    const vectors *queries = &l->s->queries;
    l->code =
        kith_index_search(l->run->index, 1, queries->data, &l->params, l->ids, l->dists, &l->err);
    l->start_s = wall_s();
    uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    size_t n = l->s->n * l->rounds;
    for (size_t i = l->first; i < n && !l->code; i += l->step) {
        const float *query = queries->data + i % l->s->n * queries->dim;
        uint64_t start = clock_ns(CLOCK_MONOTONIC);
        l->code = kith_index_search(l->run->index, 1, query, &l->params, l->ids, l->dists, &l->err);
        l->latency_us[i] = (double)(clock_ns(CLOCK_MONOTONIC) - start) * 1e-3;
    }
    l->cpu_s = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) * 1e-9;
    l->end_s = wall_s();
    return NULL;
}

/* Run the lanes, the first one here; seconds of wall time from the first start to the last end. */
static double run_lanes(lane *lanes, pthread_t *threads, size_t n) {
    size_t n_started = 1;
    for (; n_started < n; n_started++) {
        if (pthread_create(&threads[n_started], NULL, run_lane, &lanes[n_started])) break;
    }
    run_lane(&lanes[0]);
    for (size_t i = 1; i < n_started; i++) pthread_join(threads[i], NULL);
    double start = lanes[0].start_s;
    double end = lanes[0].end_s;
    for (size_t i = 1; i < n_started; i++) {
        start = fmin(start, lanes[i].start_s);
        end = fmax(end, lanes[i].end_s);
    }
    for (size_t i = n_started; i < n; i++)
        lanes[i].code =
            format_fail(&lanes[i].err, KITH_ENOMEM, -1, "thread %zu could not be started", i);
    return end - start;
}

static int measure_singles(const bench_setup *s, const bench_run *run, const bench_point *point,
                           bench_pass *out, kith_error *err) {
    size_t n = s->n * point->rounds;
    size_t n_lanes = s->threads < s->n ? s->threads : s->n;
    lane *lanes = calloc(n_lanes, sizeof *lanes);
    pthread_t *threads = calloc(n_lanes, sizeof *threads);
    double *latency = calloc(n, sizeof *latency);
    int64_t *ids = calloc(n_lanes * s->k, sizeof *ids);
    float *dists = calloc(n_lanes * s->k, sizeof *dists);
    int code = KITH_OK;
    if (!lanes || !threads || !latency || !ids || !dists)
        code = format_fail(err, KITH_ENOMEM, -1, "no memory for %zu latencies", n);
    for (size_t i = 0; i < n_lanes && !code; i++)
        lanes[i] = (lane){.s = s,
                          .run = run,
                          .params = params_of(s, point),
                          .first = i,
                          .step = n_lanes,
                          .rounds = point->rounds,
                          .latency_us = latency,
                          .ids = ids + i * s->k,
                          .dists = dists + i * s->k};
    double wall = code ? 0 : run_lanes(lanes, threads, n_lanes);
    double cpu = 0;
    for (size_t i = 0; i < n_lanes && !code; i++) {
        cpu += lanes[i].cpu_s;
        code = lanes[i].code;
        if (code && err) *err = lanes[i].err;
    }
    if (!code) *out = (bench_pass){(double)n / wall, (double)n / cpu, summarize(latency, n)};
    free(lanes);
    free(threads);
    free(latency);
    free(ids);
    free(dists);
    return code;
}

static int measure_batch(const bench_setup *s, const bench_run *run, const bench_point *point,
                         bench_pass *out, kith_error *err) {
    int64_t *ids = calloc(s->n * s->k, sizeof *ids);
    float *dists = calloc(s->n * s->k, sizeof *dists);
    int code =
        ids && dists ? KITH_OK : format_fail(err, KITH_ENOMEM, -1, "no memory for the answers");
    kith_search_params params = params_of(s, point);
    double wall = wall_s();
    double cpu = process_cpu_s();
    for (uint32_t i = 0; i < point->rounds && !code; i++)
        code = kith_index_search(run->index, s->n, s->queries.data, &params, ids, dists, err);
    wall = wall_s() - wall;
    cpu = process_cpu_s() - cpu;
    double none = (double)NAN;
    double n = (double)s->n * point->rounds;
    *out = (bench_pass){n / wall, n / cpu, {none, none, none, none, none, none, none}};
    free(ids);
    free(dists);
    return code;
}

int bench_measure(const bench_setup *s, const bench_run *run, const bench_point *point,
                  bench_pass *out, kith_error *err) {
    return s->batch ? measure_batch(s, run, point, out, err)
                    : measure_singles(s, run, point, out, err);
}

/* ---- conclusions -------------------------------------------------------------------------------------- */

/* The median over the passes of the figure that lies offset bytes into each. */
static double median_of(const bench_point *point, size_t n, size_t offset) {
    double values[BENCH_MAX_REPEATS];
    for (size_t i = 0; i < n; i++)
        memcpy(&values[i], (const char *)&point->passes[i] + offset, sizeof values[i]);
    return median(values, n);
}

void bench_conclude(const bench_setup *s, bench_run *run) {
    static const double targets[BENCH_N_TARGETS] = {0.90, 0.95, 0.99, 0.999};
    double recall[BENCH_MAX_POINTS];
    double qps[BENCH_MAX_POINTS];
    for (size_t i = 0; i < run->n_points; i++) {
        bench_point *point = &run->points[i];
        bench_pass *m = &point->median;
        m->qps_wall = median_of(point, s->repeats, offsetof(bench_pass, qps_wall));
        m->qps_cpu = median_of(point, s->repeats, offsetof(bench_pass, qps_cpu));
        m->latency.mean = median_of(point, s->repeats, offsetof(bench_pass, latency.mean));
        m->latency.sd = median_of(point, s->repeats, offsetof(bench_pass, latency.sd));
        m->latency.p50 = median_of(point, s->repeats, offsetof(bench_pass, latency.p50));
        m->latency.p95 = median_of(point, s->repeats, offsetof(bench_pass, latency.p95));
        m->latency.p99 = median_of(point, s->repeats, offsetof(bench_pass, latency.p99));
        m->latency.min = point->passes[0].latency.min;
        m->latency.max = point->passes[0].latency.max;
        for (size_t j = 1; j < s->repeats; j++) {
            m->latency.min = fmin(m->latency.min, point->passes[j].latency.min);
            m->latency.max = fmax(m->latency.max, point->passes[j].latency.max);
        }
        recall[i] = point->quality.recall_ties;
        qps[i] = m->qps_cpu;
    }
    for (int i = 0; i < BENCH_N_TARGETS; i++) {
        run->at[i] = qps_at(recall, qps, run->n_points, targets[i]);
        run->above[i] = run->n_points > 1;
        for (size_t j = 0; j < run->n_points; j++)
            if (recall[j] <= targets[i]) run->above[i] = false;
    }
}
