/* The nearest centroids of many rows: rows become queries block by block, and blocks are found by threads. */
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/thread.h"
#include "quant/kmeans_find.h"
#include "quant/kmeans_rows.h"

int kmeans_set_new(struct kmeans_set **out, kith_metric metric, size_t k, size_t dim,
                   const float *centroids, struct mem_account *owner, kith_error *err) {
    struct kmeans_set *set = mem_new(owner, sizeof *set);
    if (!set) return FAIL(err, KITH_ENOMEM, "no memory for a set of %zu centroids", k);
    int code = kmeans_set_init(set, metric, k, dim, centroids, owner, err);
    if (code != KITH_OK) {
        mem_free(owner, set, sizeof *set);
        return code;
    }
    kmeans_set_update(set);
    *out = set;
    return KITH_OK;
}

void kmeans_set_free(struct kmeans_set *set) {
    if (!set) return;
    struct mem_account *owner = set->owner;
    kmeans_set_deinit(set);
    mem_free(owner, set, sizeof *set);
}

int kmeans_check(const struct kmeans_rows *rows, kith_error *err) {
    const struct kmeans_source source = {rows, NULL, rows->n};
    return kmeans_rows_check(&source, 0, rows->n, NULL, err);
}

/* ---- one block --------------------------------------------------------------------------------- */

struct finding {
    struct kmeans_queries queries;
    void *scorer, *finder;
};

static uintptr_t lay_out(struct finding *finding, const struct kmeans_set *set, size_t n,
                         size_t most, void *scratch) {
    uintptr_t at = (uintptr_t)scratch;
    struct kmeans_queries *queries = &finding->queries;
    queries->n = n;
    queries->codes = kmeans_carve(&at, n * set->code.bytes);
    queries->scale = kmeans_carve(&at, n * sizeof(float));
    queries->bias = kmeans_carve(&at, n * sizeof(float));
    queries->slack = kmeans_carve(&at, n * sizeof(float));
    queries->reach = set->ip ? kmeans_carve(&at, n * sizeof(float)) : NULL;
    finding->scorer = kmeans_carve(&at, scorer_bytes(&set->code));
    finding->finder = kmeans_carve(&at, kmeans_finder_bytes(set, n, most));
    return at;
}

size_t kmeans_find_bytes(const struct kmeans_set *set, size_t n, size_t most) {
    struct finding finding;
    return lay_out(&finding, set, n, most, NULL);
}

static void find(const struct kmeans_set *set, size_t n, const float *const *rows,
                 const struct kmeans_found *found, void *scratch) {
    struct finding finding;
    struct scorer scorer;
    struct kmeans_finder finder;
    lay_out(&finding, set, n, found->most, scratch);
    scorer_init(&scorer, &set->code, finding.scorer);
    for (size_t i = 0; i < n; i++) kmeans_set_query(set, &scorer, rows[i], &finding.queries, i);
    kmeans_finder_init(&finder, set, n, found->most, finding.finder);
    kmeans_finder_run(&finder, &finding.queries, rows, found->which, found->dist);
}

void kmeans_find_block(const struct kmeans_set *set, size_t n, const float *rows,
                       const struct kmeans_found *found, void *scratch) {
    const float *row[KMEANS_BLOCK];
    for (size_t i = 0; i < n; i++) row[i] = rows + i * set->dim;
    find(set, n, row, found, scratch);
}

/* ---- many -------------------------------------------------------------------------------------- */

struct find_job {
    const struct kmeans_set *set;
    struct kmeans_source source;
    const struct kmeans_found *found;
    size_t block;    /* rows at once */
    char *scratch;   /* of worker 0; the others' follow */
    size_t bytes;    /* a worker's */
    kith_error *err; /* of the first error */
    _Atomic int code;
};

static void find_part(void *context, uint32_t worker, size_t begin, size_t end) {
    struct find_job *job = context;
    const size_t most = job->found->most, n = end - begin;
    char *scratch = job->scratch + worker * job->bytes;
    float *room = (float *)(void *)(scratch + kmeans_find_bytes(job->set, job->block, most));
    const float *rows[KMEANS_BLOCK];
    kith_error failed;
    int none = KITH_OK, code;
    if (atomic_load_explicit(&job->code, memory_order_relaxed) != KITH_OK) return;
    code = kmeans_rows_check(&job->source, begin, end, room, &failed);
    if (code != KITH_OK) {
        bool is_first = atomic_compare_exchange_strong(&job->code, &none, code);
        if (is_first && job->err) *job->err = failed;
        return;
    }
    for (size_t i = 0; i < n; i++)
        rows[i] = kmeans_row(&job->source, begin + i, room + kmeans_room(job->source.rows, i));
    struct kmeans_found found = {most, job->found->which + begin * most,
                                 job->found->dist ? job->found->dist + begin * most : NULL};
    find(job->set, n, rows, &found, scratch);
}

int kmeans_find_source(const struct kmeans_set *set, const struct kmeans_source *source,
                       const struct kmeans_found *found, uint32_t threads, kith_error *err) {
    const struct kmeans_rows *rows = source->rows;
    if (rows->dim != set->dim)
        return FAIL(err, KITH_EDIM, "rows of dim %zu, centroids of %zu", rows->dim, set->dim);
    if (found->most < 1 || found->most > set->k)
        return FAIL(err, KITH_EK, "%zu nearest of %zu centroids", found->most, set->k);
    struct find_job job = {.set = set, .source = *source, .found = found, .err = err};
    job.block = source->n < KMEANS_BLOCK ? source->n : KMEANS_BLOCK;
    if (job.block == 0) return KITH_OK;
    job.bytes = kmeans_find_bytes(set, job.block, found->most) +
                bits_round_up((kmeans_room(rows, job.block) + 1) * sizeof(float), 64);
    threads = threads < 1 ? 1 : threads > THREAD_MAX ? THREAD_MAX : threads;
    job.scratch = mem_new(set->owner, threads * job.bytes);
    if (!job.scratch)
        return FAIL(err, KITH_ENOMEM, "no memory to find the nearest of %zu centroids", set->k);
    thread_for(threads, source->n, job.block, find_part, &job);
    mem_free(set->owner, job.scratch, threads * job.bytes);
    return atomic_load_explicit(&job.code, memory_order_relaxed);
}

int kmeans_find(const struct kmeans_set *set, const struct kmeans_rows *rows,
                const struct kmeans_found *found, uint32_t threads, kith_error *err) {
    const struct kmeans_source source = {rows, NULL, rows->n};
    return kmeans_find_source(set, &source, found, threads, err);
}
