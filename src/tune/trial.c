/* One index: built, calibrated on one half of the queries, measured on the other.
 *
 * Searches are single and timed by the CPU time of the thread; of several rounds the quickest counts, for what disturbs only
 * ever adds. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/status.h"
#include "tune/tune.h"

#define ROUNDS  3
#define ROUND_S 0.05 /* a round goes over the queries again until it lasts so long */
#define PREDICTED \
    1.5 /* a sample's build or memory may be over the limit by so much before it counts */

double tune_clock(const struct tune *tune) {
    struct timespec now;
    clock_gettime(tune->work.threads > 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_THREAD_CPUTIME_ID,
                  &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double thread_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- an index -------------------------------------------------------------------------------------- */

static int build(const struct tune *tune, size_t n, const char *spec, kith_index **out,
                 kith_error *err) {
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    kith_work quiet = KITH_WORK_INIT;
    options.seed = tune->options.seed;
    quiet.threads = tune->work.threads;
    TRY(kith_index_new(out, tune->dim, tune->metric, spec, &options, err));
    int code = kith_index_add(*out, n, tune->rows, NULL, &quiet, err);
    if (code == KITH_OK) return code;
    kith_index_free(*out);
    *out = NULL;
    return code;
}

/* What the index takes for itself, without what searches keep for the next. */
static double bytes_of(const kith_index *index) {
    kith_index_stats stats;
    kith_index_stats_get(index, &stats);
    uint64_t bytes = stats.bytes;
    for (uint32_t i = 0; i < stats.n_components; i++)
        if (strstr(stats.component[i].name, "scratch")) bytes -= stats.component[i].bytes;
    return (double)bytes / (double)stats.rows;
}

static int calibrate(const struct tune *tune, kith_index *index, size_t n, kith_error *err) {
    kith_calibrate_options how = KITH_CALIBRATE_OPTIONS_INIT;
    kith_work quiet = KITH_WORK_INIT;
    quiet.threads = tune->work.threads;
    how.n_k = 1;
    how.k = &tune->options.k;
    how.queries = tune->queries;
    how.n_queries = tune->n_queries / 2;
    how.base = tune->rows;
    how.n_base = n;
    return kith_index_calibrate(index, &how, &quiet, err);
}

/* ---- a point --------------------------------------------------------------------------------------- */

static uint32_t hits_of(const struct tune *tune, size_t query, const int64_t *found) {
    const int64_t *id = tune->true_id + query * tune->near;
    const float *dist = tune->true_dist + query * tune->near;
    uint32_t k = tune->options.k, places = k, hits = 0;
    while (places < tune->near && dist[places] == dist[k - 1]) places++;
    for (uint32_t i = 0; i < k; i++) {
        uint32_t at = 0;
        while (at < places && id[at] != found[i]) at++;
        hits += at < places;
    }
    return hits;
}

/* One round; *hits and the seconds a query. */
static int search_all(const struct tune *tune, const kith_index *index,
                      const kith_search_params *at, int64_t *found, double *seconds,
                      kith_error *err) {
    size_t first = tune->n_queries / 2, n = tune->n_queries - first, done = 0;
    double start = thread_clock(), now = start;
    while (now - start < ROUND_S || done == 0) {
        for (size_t i = 0; i < n; i++)
            TRY(kith_index_search(index, 1, tune->queries + (first + i) * tune->dim, at,
                                  found + i * at->k, NULL, err));
        done += n;
        now = thread_clock();
    }
    *seconds = (now - start) / (double)done;
    return KITH_OK;
}

static int measure(const struct tune *tune, const kith_index *index, kith_tune_point *point,
                   kith_error *err) {
    size_t n = tune->n_queries - tune->n_queries / 2, k = tune->options.k;
    int64_t *found = mem_new(NULL, n * k * sizeof *found);
    if (!found) return FAIL(err, KITH_ENOMEM, "no memory for the answers of %zu queries", n);
    int code = KITH_OK;
    uint64_t hits = 0;
    for (int round = 0; round < ROUNDS && code == KITH_OK; round++) {
        double seconds = 0;
        code = search_all(tune, index, &point->params, found, &seconds, err);
        if (round == 0 || seconds < point->seconds) point->seconds = seconds;
    }
    for (size_t i = 0; i < n && code == KITH_OK; i++) hits += hits_of(tune, i, found + i * k);
    point->recall = (double)hits / (double)(n * k);
    mem_free(NULL, found, n * k * sizeof *found);
    return code;
}

/* Add a point for a recall; *reached: the index has it. */
static int add_point(const struct tune *tune, const kith_index *index, double recall,
                     kith_tune_trial *trial, bool *reached, kith_error *err) {
    kith_tune_point point = {.params = KITH_SEARCH_PARAMS_INIT};
    kith_error why;
    point.params.k = tune->options.k;
    point.params.recall = (float)recall;
    *reached = kith_index_effort(index, &point.params, &point.expected, &why) == KITH_OK;
    if (!*reached) return KITH_OK;
    TRY(measure(tune, index, &point, err));
    trial->point[trial->n_points++] = point;
    return KITH_OK;
}

/* Recalls around the one asked for, for the picture. */
static int add_points(const struct tune *tune, const kith_index *index, kith_tune_trial *trial,
                      kith_error *err) {
    static const double miss[] = {4.0, 2.0, 0.5, 0.2, 0.05};
    for (size_t i = 0; i < sizeof miss / sizeof *miss; i++) {
        double recall = 1.0 - (1.0 - tune->options.recall) * miss[i];
        bool reached = true;
        if (recall > 0 && recall < 0.9999)
            TRY(add_point(tune, index, recall, trial, &reached, err));
    }
    return KITH_OK;
}

/* ---- all of it ------------------------------------------------------------------------------------- */

static int judge(const struct tune *tune, const struct candidate *one,
                 const kith_tune_trial *trial) {
    const kith_tune_options *wanted = &tune->options;
    bool last = trial->rows == tune->n;
    double slack = last ? 1.0 : PREDICTED, times = (double)tune->n / (double)trial->rows;
    double whole_build = trial->build_seconds * times;
    if (wanted->memory > 0 && trial->bytes > wanted->memory * slack) return KITH_TUNE_MEMORY;
    if (wanted->build_seconds > 0 && whole_build > wanted->build_seconds * slack)
        return KITH_TUNE_BUILD;
    return one->family == FAMILY_GIVEN || trial->n_points > 0 ? KITH_TUNE_FINE : KITH_TUNE_RECALL;
}

int trial_run(struct tune *tune, const struct candidate *one, size_t n, kith_tune_trial *trial,
              kith_error *err) {
    kith_index *index;
    bool reached = false;
    *trial = (kith_tune_trial){.rows = n};
    candidate_print(one, n, trial->spec);
    candidate_print(one, tune->n, trial->full);
    double start = tune_clock(tune);
    int code = build(tune, n, trial->spec, &index, err);
    if ((code == KITH_ESPEC || code == KITH_EINVAL) && one->family != FAMILY_GIVEN) {
        trial->verdict = KITH_TUNE_SPEC_REFUSED; /* a code that this dimension or metric has not */
        return KITH_OK;
    }
    TRY(code);
    trial->build_seconds = tune_clock(tune) - start;
    trial->bytes = bytes_of(index);
    trial->verdict = judge(tune, one, trial);
    if (trial->verdict == KITH_TUNE_RECALL || trial->verdict == KITH_TUNE_FINE) {
        code = calibrate(tune, index, n, err);
        if (code == KITH_OK)
            code = add_point(tune, index, tune->options.recall, trial, &reached, err);
        trial->verdict = reached ? KITH_TUNE_FINE : KITH_TUNE_RECALL;
        if (code == KITH_OK && reached && n == tune->n) code = add_points(tune, index, trial, err);
        if (reached) trial->predicted = candidate_grow(one, trial->point[0].seconds, n, tune->n);
    }
    kith_index_free(index);
    return code;
}
