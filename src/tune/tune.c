/* The rungs: everything on a small sample, the better part and its neighbours on a larger one, the last few on all rows.
 *
 * 1. Queries are held out before anything is built, and no index contains one.
 * 2. Samples are first parts of one shuffled copy, so that each contains the one before.
 * 3. Who goes on is decided by seconds a query, grown to the whole base as its family grows; who wins, by what was measured
 *    on the whole base. */
#include "tune/tune.h"

#include <math.h>
#include <string.h>

#include "api/arguments.h"
#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"

#define RUNG_0       16u /* of the base, one part in so many, */
#define RUNG_1       4u
#define RUNG_LEAST   4096u /* but so many rows */
#define ROWS_LEAST   100u
#define MAX_TRIALS   128u
#define DEFAULT_HELD 1000u
#define GO_ON        3u /* families with their code that are varied on rung 1 */
#define FINALISTS    3u
#define CLOSE        1.3 /* finalists are at most so much slower than the first */
#define TIES         32u

/* ---- the base, shuffled ---------------------------------------------------------------------------- */

static int split(struct tune *tune, size_t n, const float *base, kith_error *err) {
    uint64_t state = tune->options.seed;
    size_t held = tune->options.queries < n / 10 ? tune->options.queries : n / 10;
    size_t bytes = tune->dim * sizeof *base;
    uint32_t *order = mem_new(NULL, n * sizeof *order);
    tune->n_queries = held;
    tune->n = n - held;
    tune->queries = mem_new(NULL, held * bytes);
    tune->rows = mem_new(NULL, tune->n * bytes);
    int code = order && tune->queries && tune->rows
                   ? KITH_OK
                   : FAIL(err, KITH_ENOMEM, "no memory for a copy of %zu rows", n);
    for (size_t i = 0; i < n && code == KITH_OK; i++) order[i] = (uint32_t)i;
    for (size_t i = 0; i < n && code == KITH_OK; i++) {
        size_t j = i + (size_t)(bits_random(&state) % (n - i));
        uint32_t drawn = order[j];
        order[j] = order[i];
        float *to = i < held ? tune->queries + i * tune->dim : tune->rows + (i - held) * tune->dim;
        memcpy(to, base + (size_t)drawn * tune->dim, bytes);
    }
    mem_free(NULL, order, n * sizeof *order);
    return code;
}

static void free_data(struct tune *tune) {
    size_t bytes = tune->dim * sizeof *tune->rows;
    size_t known = (tune->n_queries - tune->n_queries / 2) * tune->near;
    mem_free(NULL, tune->rows, tune->n * bytes);
    mem_free(NULL, tune->queries, tune->n_queries * bytes);
    mem_free(NULL, tune->true_id, known * sizeof *tune->true_id);
    mem_free(NULL, tune->true_dist, known * sizeof *tune->true_dist);
}

static bool is_bytes(const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!(x[i] >= 0 && x[i] <= 255 && x[i] == floorf(x[i]))) return false;
    return true;
}

/* The true neighbours of the measuring half among the first n rows. */
static int find_truth(struct tune *tune, size_t n, kith_error *err) {
    kith_index *flat = NULL;
    kith_work quiet = KITH_WORK_INIT;
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    size_t first = tune->n_queries / 2, some = tune->n_queries - first;
    if (!tune->true_id) {
        tune->near = tune->options.k + TIES;
        tune->true_id = mem_new(NULL, some * tune->near * sizeof *tune->true_id);
        tune->true_dist = mem_new(NULL, some * tune->near * sizeof *tune->true_dist);
        if (!tune->true_id || !tune->true_dist)
            return FAIL(err, KITH_ENOMEM, "no memory for the truth of %zu queries", some);
    }
    quiet.threads = tune->work.threads;
    params.threads = tune->work.threads;
    params.k = tune->near;
    TRY(kith_index_new(&flat, tune->dim, tune->metric, "Flat", NULL, err));
    int code = kith_index_add(flat, n, tune->rows, NULL, &quiet, err);
    if (code == KITH_OK)
        code = kith_index_search(flat, some, tune->queries + first * tune->dim, &params,
                                 tune->true_id, tune->true_dist, err);
    kith_index_free(flat);
    return code;
}

/* ---- rungs ----------------------------------------------------------------------------------------- */

struct ranked {
    struct candidate one;
    double predicted;
};

/* Those that are fine, the quickest first. */
static uint32_t rank(const struct tune *tune, const struct candidates *all, size_t from,
                     struct ranked *order) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < all->n; i++) {
        const kith_tune_trial *trial = &tune->result->trial[from + i];
        if (trial->verdict != KITH_TUNE_FINE) continue;
        uint32_t at = n++;
        for (; at > 0 && order[at - 1].predicted > trial->predicted; at--)
            order[at] = order[at - 1];
        order[at] = (struct ranked){all->at[i], trial->predicted};
    }
    return n;
}

static int run_rung(struct tune *tune, const struct candidates *all, uint32_t rung, size_t rows,
                    uint64_t total, kith_error *err) {
    kith_tune_result *result = tune->result;
    TRY(find_truth(tune, rows, err));
    for (uint32_t i = 0; i < all->n && result->n_trials < MAX_TRIALS; i++) {
        kith_tune_trial *trial = &result->trial[result->n_trials];
        TRY(trial_run(tune, &all->at[i], rows, trial, err));
        trial->rung = rung;
        result->n_trials++;
        uint64_t done = result->n_trials;
        if (tune->work.progress)
            tune->work.progress(tune->work.context, done, done < total ? total : done);
    }
    return KITH_OK;
}

/* The next rung's: the best with their neighbours in size, or the best alone. */
static void go_on(const struct ranked *order, uint32_t n, bool varied, struct candidates *next) {
    next->n = 0;
    uint32_t most = varied ? GO_ON : FINALISTS;
    for (uint32_t i = 0; i < n && i < most; i++) {
        if (!varied && order[i].predicted > CLOSE * order[0].predicted) break;
        if (varied)
            candidates_around(next, &order[i].one);
        else
            next->at[next->n++] = order[i].one;
    }
}

static int run_given(struct tune *tune, kith_error *err) {
    struct candidates all = {0};
    const kith_tune_options *options = &tune->options;
    if (options->n_candidates > MAX_CANDIDATES)
        return FAIL(err, KITH_EINVAL, "%u candidates, at most %u", options->n_candidates,
                    MAX_CANDIDATES);
    for (uint32_t i = 0; i < options->n_candidates; i++)
        all.at[all.n++] = (struct candidate){FAMILY_GIVEN, options->candidates[i], 0};
    return run_rung(tune, &all, 0, tune->n, all.n, err);
}

static int run_rungs(struct tune *tune, kith_error *err) {
    struct candidates all;
    struct ranked order[MAX_CANDIDATES];
    size_t size[] = {tune->n / RUNG_0, tune->n / RUNG_1, tune->n};
    candidates_first(&all, tune->dim, is_bytes(tune->rows, tune->n * tune->dim),
                     tune->options.memory > 0);
    uint64_t total = all.n + 4u * GO_ON + FINALISTS;
    for (uint32_t rung = 0; rung < 3 && all.n > 0; rung++) {
        size_t rows = size[rung] > RUNG_LEAST ? size[rung] : RUNG_LEAST;
        size_t from = tune->result->n_trials;
        if (rows > tune->n) rows = tune->n;
        TRY(run_rung(tune, &all, rung, rows, total, err));
        if (rung == 2) break;
        uint32_t n = rank(tune, &all, from, order);
        go_on(order, n, rung == 0, &all);
    }
    return KITH_OK;
}

/* Of the trials on all rows the quickest that is fine. */
static void choose(kith_tune_result *result) {
    for (size_t i = 0; i < result->n_trials; i++) {
        const kith_tune_trial *trial = &result->trial[i];
        if (trial->rows != result->rows || trial->verdict != KITH_TUNE_FINE || !trial->n_points)
            continue;
        if (!result->best || trial->point[0].seconds < result->best->point[0].seconds)
            result->best = trial;
    }
}

/* ---- the doors ------------------------------------------------------------------------------------- */

static int check(const struct tune *tune, size_t n, const float *base, kith_error *err) {
    const kith_tune_options *options = &tune->options;
    if (!base) return FAIL(err, KITH_EINVAL, "base is NULL");
    if (n < ROWS_LEAST || n > KITH_MAX_ROWS)
        return FAIL(err, KITH_EINVAL, "%zu rows, must be %u to %u to tune on", n, ROWS_LEAST,
                    KITH_MAX_ROWS);
    if (!(options->recall > 0 && options->recall <= 1))
        return FAIL(err, KITH_EINVAL, "recall %g, must be above 0, at most 1", options->recall);
    if (options->queries == 1)
        return FAIL(err, KITH_EINVAL, "1 row held out: one half calibrates, the other judges");
    if (options->n_candidates && !options->candidates)
        return FAIL(err, KITH_EINVAL, "candidates is NULL");
    for (uint32_t i = 0; i < options->n_candidates; i++) {
        const char *spec = options->candidates[i];
        if (!spec || strlen(spec) >= KITH_TUNE_SPEC)
            return FAIL_AT(err, KITH_EINVAL, i, "candidate %u %s", i,
                           spec ? "is longer than any description" : "is NULL");
    }
    if (options->k == 0 || options->k + TIES > n - n / 10 || options->k > 1024)
        return FAIL(err, KITH_EK, "k %u of %zu rows", options->k, n);
    return api_check_vectors(tune->dim, n, base, "row", err);
}

int kith_tune(size_t n, size_t dim, const float *base, kith_metric metric,
              const kith_tune_options *given, const kith_work *given_work, kith_tune_result **out,
              kith_error *err) {
    struct tune tune = {.options = KITH_TUNE_OPTIONS_INIT, .metric = metric, .dim = dim};
    if (!out) return FAIL(err, KITH_EINVAL, "out is NULL");
    TRY(api_copy_sized(&tune.options, sizeof tune.options, given, "kith_tune_options", err));
    TRY(api_read_work(given_work, &tune.work, err));
    TRY(check(&tune, n, base, err));
    if (tune.options.queries == 0) tune.options.queries = DEFAULT_HELD;
    double start = tune_clock(&tune);
    tune.result = mem_new(NULL, sizeof *tune.result);
    int code = tune.result ? KITH_OK : FAIL(err, KITH_ENOMEM, "no memory for a result");
    if (code == KITH_OK) {
        tune.result->trial = mem_new(NULL, MAX_TRIALS * sizeof(kith_tune_trial));
        if (!tune.result->trial)
            code = FAIL(err, KITH_ENOMEM, "no memory for %u trials", MAX_TRIALS);
    }
    if (code == KITH_OK) code = split(&tune, n, base, err);
    if (code == KITH_OK)
        code = tune.options.n_candidates ? run_given(&tune, err) : run_rungs(&tune, err);
    free_data(&tune);
    if (code != KITH_OK) {
        kith_tune_result_free(tune.result);
        return code;
    }
    tune.result->queries = tune.n_queries;
    tune.result->rows = tune.n;
    choose(tune.result);
    tune.result->seconds = tune_clock(&tune) - start;
    *out = tune.result;
    return KITH_OK;
}

void kith_tune_result_free(kith_tune_result *result) {
    if (!result) return;
    mem_free(NULL, result->trial, MAX_TRIALS * sizeof(kith_tune_trial));
    mem_free(NULL, result, sizeof *result);
}
