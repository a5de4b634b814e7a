/* k-means: options, memory, and the loop; kmeans_run.h says what its phases share. */
#include "quant/kmeans.h"

#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/thread.h"
#include "quant/kmeans_find.h"
#include "quant/kmeans_run.h"

#define N_ITERATIONS      25u
#define ROWS_PER_CENTROID 256u
#define BALANCE_ROUNDS    6u
#define KEPT_DIM          64u /* up to which rows are copied side by side */

/* ---- options ----------------------------------------------------------------------------------- */

static int check_options(const struct kmeans_options *options, const struct kmeans_rows *rows,
                         kith_error *err) {
    if (rows->dim < 1 || rows->dim > 65536)
        return FAIL(err, KITH_EDIM, "dim %zu, 1 to 65536 is allowed", rows->dim);
    if (rows->n > UINT32_MAX)
        return FAIL(err, KITH_EINVAL, "%zu rows, at most %u are allowed", rows->n, UINT32_MAX);
    if (options->n_clusters < 1 || options->n_clusters > rows->n)
        return FAIL(err, KITH_EINVAL, "%zu clusters of %zu rows", options->n_clusters, rows->n);
    if (rows->stride && rows->stride < rows->dim && !rows->read)
        return FAIL(err, KITH_EINVAL, "a stride of %zu floats for %zu dimensions", rows->stride,
                    rows->dim);
    if (!(options->balance >= 0) || !(options->tolerance >= 0))
        return FAIL(err, KITH_EINVAL, "balance %g and tolerance %g must be at least 0",
                    options->balance, options->tolerance);
    return KITH_OK;
}

/* ---- memory ------------------------------------------------------------------------------------ */

/* Place the arrays in a block of memory; with NULL only count its bytes. */
static size_t lay_out(struct kmeans_run *run, void *block) {
    const size_t n = run->n, k = run->k;
    uintptr_t at = (uintptr_t)block;
    run->queries.codes = kmeans_carve(&at, n * run->set.code.bytes);
    run->queries.scale = kmeans_carve(&at, n * sizeof(float));
    run->queries.bias = kmeans_carve(&at, n * sizeof(float));
    run->queries.slack = kmeans_carve(&at, n * sizeof(float));
    run->queries.reach = run->set.ip ? kmeans_carve(&at, n * sizeof(float)) : NULL;
    run->near = kmeans_carve(&at, n * KMEANS_LIST * sizeof *run->near);
    run->n_near = kmeans_carve(&at, n * sizeof *run->n_near);
    run->rest = kmeans_carve(&at, n * sizeof *run->rest);
    run->assign = kmeans_carve(&at, n * sizeof *run->assign);
    run->before = kmeans_carve(&at, n * sizeof *run->before);
    run->dist = kmeans_carve(&at, n * sizeof *run->dist);
    run->members = kmeans_carve(&at, n * sizeof *run->members);
    run->start = kmeans_carve(&at, (k + 1) * sizeof *run->start);
    run->dirty = kmeans_carve(&at, k * sizeof *run->dirty);
    run->drift = kmeans_carve(&at, k * sizeof *run->drift);
    run->step = kmeans_carve(&at, k * sizeof *run->step);
    run->kept_values =
        run->dim <= KEPT_DIM ? kmeans_carve(&at, n * run->dim * sizeof(float)) : NULL;
    run->listed_at = kmeans_carve(&at, k * run->dim * sizeof *run->listed_at);
    return at;
}

static size_t lay_out_worker(const struct kmeans_run *run, struct kmeans_worker *worker,
                             void *block) {
    const size_t find = kmeans_finder_bytes(&run->set, KMEANS_BLOCK, 1);
    const size_t score = scorer_bytes(&run->set.code);
    uintptr_t at = (uintptr_t)block;
    worker->scratch = kmeans_carve(&at, find > score ? find : score);
    worker->room = kmeans_carve(&at, kmeans_room(run->source.rows, KMEANS_BLOCK) * sizeof(float));
    worker->sum = kmeans_carve(&at, run->dim * sizeof *worker->sum);
    worker->codes = kmeans_carve(&at, KMEANS_BLOCK * run->set.code.bytes);
    return at;
}

/* Draw the sample, and have all memory but the set's. */
static int run_init(struct kmeans_run *run, kith_error *err) {
    const size_t all = run->source.rows->n;
    TRY(kmeans_panels_init(&run->fast, &run->set, run->k, err));
    run->block_bytes = lay_out(run, NULL);
    run->block = mem_slab(run->owner, run->block_bytes);
    if (!run->block) goto full;
    lay_out(run, run->block);
    if (run->n < all) {
        run->sample = mem_new(run->owner, run->n * sizeof *run->sample);
        if (!run->sample) goto full;
        kmeans_draw(&run->draws, all, run->n, run->sample);
        run->source.sample = run->sample;
    }
    run->worker = mem_new(run->owner, run->threads * sizeof *run->worker);
    if (!run->worker) goto full;
    for (uint32_t w = 0; w < run->threads; w++) {
        struct kmeans_worker *worker = &run->worker[w];
        worker->block_bytes = lay_out_worker(run, worker, NULL);
        worker->block = mem_new(run->owner, worker->block_bytes);
        if (!worker->block) goto full;
        lay_out_worker(run, worker, worker->block);
    }
    return KITH_OK;
full:
    return FAIL(err, KITH_ENOMEM, "no memory for k-means of %zu rows of %zu dimensions", run->n,
                run->dim);
}

static void run_deinit(struct kmeans_run *run) {
    for (uint32_t w = 0; run->worker && w < run->threads; w++)
        mem_free(run->owner, run->worker[w].block, run->worker[w].block_bytes);
    mem_free(run->owner, run->worker, run->threads * sizeof *run->worker);
    mem_free(run->owner, run->sample, run->n * sizeof *run->sample);
    mem_slab_free(run->owner, run->block, run->block_bytes);
    kmeans_panels_deinit(&run->fast, &run->set);
    kmeans_set_deinit(&run->set);
}

/* ---- the loop ---------------------------------------------------------------------------------- */

static double objective_of(const struct kmeans_run *run) {
    double sum = 0;
    for (size_t i = 0; i < run->n; i++) sum += (double)run->dist[i];
    return sum;
}

static void assign(struct kmeans_run *run, uint32_t iteration) {
    if (kmeans_set_update(&run->set)) kmeans_prepare(run);
    if (iteration == 1)
        kmeans_assign_first(run);
    else
        kmeans_assign(run);
}

/* Returns the number of iterations made. */
static uint32_t iterate(struct kmeans_run *run) {
    const struct kmeans_options *options = run->options;
    const uint32_t most = options->n_iterations ? options->n_iterations : N_ITERATIONS;
    double before = HUGE_VAL;
    memset(run->before, 0xff, run->n * sizeof *run->before);
    for (uint32_t iteration = 1;; iteration++) {
        assign(run, iteration);
        double objective = objective_of(run);
        bool moved = kmeans_regroup(run) > 0;
        if (moved) kmeans_update(run);
        bool goes_on =
            !options->progress || options->progress(options->context, iteration, objective);
        bool rests =
            options->tolerance > 0 && before - objective < options->tolerance * fabs(objective);
        if (!moved || rests || !goes_on || iteration == most) return iteration;
        before = objective;
    }
}

/* Means of balanced clusters, until they rest. */
static int balance(struct kmeans_run *run, kith_error *err) {
    const struct kmeans_found found = {1, run->assign, run->dist};
    for (uint32_t round = 0; round < BALANCE_ROUNDS; round++) {
        kmeans_set_update(&run->set);
        TRY(kmeans_balance_source(&run->set, &run->source, run->options->balance, &found,
                                  run->threads, err));
        if (kmeans_regroup(run) == 0) break;
        kmeans_update(run);
    }
    return KITH_OK;
}

static void report_sizes(const struct kmeans_run *run, struct kmeans_report *report) {
    double squares = 0;
    report->largest = report->n_empty = 0;
    for (size_t c = 0; c < run->k; c++) {
        size_t size = run->start[c + 1] - run->start[c];
        squares += (double)size * (double)size;
        report->n_empty += size == 0;
        report->largest = size > report->largest ? size : report->largest;
    }
    report->imbalance = squares * (double)run->k / ((double)run->n * (double)run->n);
}

static int check_rows(const struct kmeans_run *run, kith_error *err) {
    return kmeans_rows_check(&run->source, 0, run->n, run->worker[0].room, err);
}

/* Parts of long rows lie far from each other: short rows are better read once and kept. */
static void keep_rows(struct kmeans_run *run) {
    if (!run->kept_values) return;
    for (size_t i = 0; i < run->n; i++) {
        const float *x = kmeans_row(&run->source, i, run->worker[0].room);
        memcpy(run->kept_values + i * run->dim, x, run->dim * sizeof *x);
    }
    run->kept = (struct kmeans_rows){.n = run->n, .dim = run->dim, .values = run->kept_values};
    run->source = (struct kmeans_source){.rows = &run->kept, .n = run->n};
}

int kmeans_train(const struct kmeans_options *options, const struct kmeans_rows *rows,
                 float *centroids, struct kmeans_report *report, struct mem_account *owner,
                 kith_error *err) {
    TRY(check_options(options, rows, err));
    struct kmeans_run run = {.options = options,
                             .source = {.rows = rows},
                             .k = options->n_clusters,
                             .dim = rows->dim,
                             .centroids = centroids,
                             .draws = bits_mix(options->seed),
                             .owner = owner};
    run.threads = options->threads < 1            ? 1
                  : options->threads > THREAD_MAX ? THREAD_MAX
                                                  : options->threads;
    size_t most =
        options->max_rows_per_centroid ? options->max_rows_per_centroid : ROWS_PER_CENTROID;
    run.n = !mem_mul(most, run.k, &most) || most > rows->n ? rows->n : most;
    run.source.n = run.n;
    TRY(kmeans_set_init(&run.set, options->spherical ? KITH_METRIC_IP : KITH_METRIC_L2, run.k,
                        run.dim, centroids, owner, err));
    int code;
    TRY_DONE(run_init(&run, err));
    TRY_DONE(check_rows(&run, err));
    keep_rows(&run);
    TRY_DONE(kmeans_start(&run, err));
    uint32_t iterations = iterate(&run);
    if (options->balance > 0) TRY_DONE(balance(&run, err));
    if (report) {
        *report = (struct kmeans_report){.objective = objective_of(&run),
                                         .iterations = iterations,
                                         .n_rows = run.n,
                                         .repairs = run.repairs};
        report_sizes(&run, report);
    }
done:
    run_deinit(&run);
    return code;
}
