/* The doors of <kith/index.h>: arguments are checked here, and errors about them made here; distances turn into what the
 * user's metric calls them on the way out. What an index does is behind struct index_ops. */
#include <kith/index.h>

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "api/arguments.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/thread.h"
#include "index/calibrate.h"
#include "index/scan.h"

#define EF_MAX 65536u

/* ---- life -------------------------------------------------------------------------------------- */

int kith_index_new(kith_index **out, size_t dim, kith_metric metric, const char *spec,
                   const kith_index_options *given, kith_error *err) {
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    if (!out || !spec) return FAIL(err, KITH_EINVAL, "%s is NULL", out ? "spec" : "out");
    if (dim == 0 || dim > KITH_MAX_DIM)
        return FAIL(err, KITH_EDIM, "dimension %zu, must be 1 to %u", dim, KITH_MAX_DIM);
    if ((unsigned)metric > KITH_METRIC_L1)
        return FAIL(err, KITH_EINVAL, "metric %d is not known", (int)metric);
    TRY(api_copy_sized(&options, sizeof options, given, "kith_index_options", err));
    if (!(options.bytes_per_row >= 0) || !(options.recall >= 0 && options.recall <= 1) ||
        !(options.writes >= 0))
        return FAIL(err, KITH_EINVAL, "bytes_per_row %g, recall %g, writes %g: one is out of range",
                    (double)options.bytes_per_row, (double)options.recall, (double)options.writes);
    options.size = sizeof options;
    return index_new(out, (uint32_t)dim, metric, spec, &options, err);
}

void kith_index_free(kith_index *index) { index_free(index); }

/* Where memory_limit refused: the sentence with the limit's numbers. */
static int tell_limit(const struct kith_index *given, int code, kith_error *err) {
    struct mem_account *mem = &index_real(given)->mem;
    if (code != KITH_ENOMEM || mem->limit == 0 || !err) return code;
    uint64_t refused = atomic_exchange_explicit(&mem->refused, 0, memory_order_relaxed);
    if (refused == 0) return code; /* the system had none */
    char said[sizeof err->text];
    memcpy(said, err->text, sizeof said);
    return FAIL_AT(
        err, code, err->at,
        "%.120s (memory_limit %" PRIu64 ": %" PRIu64 " bytes held, %" PRIu64 " more wanted)", said,
        mem->limit, atomic_load_explicit(&mem->bytes, memory_order_relaxed), refused);
}

/* ---- writing ----------------------------------------------------------------------------------- */

static int check_writable(const struct kith_index *index, size_t n, const void *array,
                          kith_error *err) {
    if (!index || (n && !array))
        return FAIL(err, KITH_EINVAL, "%s is NULL", index ? "an array" : "index");
    if (n > KITH_MAX_ROWS)
        return FAIL(err, KITH_EFULL, "%zu rows at once, at most %u fit", n, KITH_MAX_ROWS);
    if (index_real(index)->rows.read_only)
        return FAIL(err, KITH_EREADONLY, "the index was opened as a map, which is read-only");
    return KITH_OK;
}

/* What a write of n rows came to; a calibration ages by those that were written. */
static int changed(struct kith_index *index, size_t n, int code, kith_error *err) {
    if (code != KITH_OK) return tell_limit(index, code, err);
    atomic_fetch_add_explicit(&index->changed, n, memory_order_relaxed);
    return KITH_OK;
}

int kith_index_add(kith_index *index, size_t n, const float *rows, const int64_t *ids,
                   const kith_work *given, kith_error *err) {
    kith_work work;
    struct kith_index *real, *fresh;
    TRY(check_writable(index, n, rows, err));
    TRY(api_read_work(given, &work, err));
    if (n == 0) return KITH_OK;
    TRY(index_choose(index, n, &real, &fresh, err));
    int code = real->ops->add(real, n, rows, ids, &work, err);
    code = changed(real, n, code, err);
    if (fresh) index_chose(index, fresh, code == KITH_OK);
    return code;
}

int kith_index_train(kith_index *index, size_t n, const float *rows, const kith_work *given,
                     kith_error *err) {
    kith_work work;
    TRY(check_writable(index, n, rows, err));
    TRY(api_read_work(given, &work, err));
    TRY(api_check_vectors(index->rows.config.dim, n, rows, "row", err));
    struct kith_index *real = index_real(index);
    return real->ops->train ? tell_limit(real, real->ops->train(real, n, rows, &work, err), err)
                            : KITH_OK;
}

int kith_index_remove(kith_index *index, size_t n, const int64_t *ids, kith_error *err) {
    TRY(check_writable(index, n, ids, err));
    if (n == 0) return KITH_OK;
    struct kith_index *real = index_real(index);
    return changed(real, n, real->ops->remove(real, n, ids, err), err);
}

int kith_index_update(kith_index *index, size_t n, const float *rows, const int64_t *ids,
                      const kith_work *given, kith_error *err) {
    kith_work work;
    TRY(check_writable(index, n, rows, err));
    if (n && !ids) return FAIL(err, KITH_EINVAL, "ids is NULL");
    TRY(api_read_work(given, &work, err));
    if (n == 0) return KITH_OK;
    struct kith_index *real = index_real(index);
    if (!real->ops->update)
        return FAIL(err, KITH_EUNSUPPORTED, "a %s index cannot update, remove and add",
                    real->ops->kind);
    return changed(real, n, real->ops->update(real, n, rows, ids, &work, err), err);
}

int kith_index_repair(kith_index *index, uint64_t *mended, kith_error *err) {
    uint64_t count = 0;
    TRY(check_writable(index, 0, NULL, err));
    struct kith_index *real = index_real(index);
    TRY(real->ops->repair(real, &count, err));
    if (mended) *mended = count;
    return KITH_OK;
}

/* ---- searching --------------------------------------------------------------------------------- */

/* Check what is common to all searches and complete the call. */
static int read_params(const kith_search_params *given, uint64_t begin, kith_search_params *params,
                       struct search_call *call, kith_error *err) {
    *params = (kith_search_params)KITH_SEARCH_PARAMS_INIT;
    TRY(api_copy_sized(params, sizeof *params, given, "kith_search_params", err));
    const kith_filter *filter = &params->filter;
    if (params->ef > EF_MAX)
        return FAIL(err, KITH_EINVAL, "ef %" PRIu32 ", at most %u", params->ef, EF_MAX);
    if (!(params->oversample >= 0 && params->oversample <= FLT_MAX))
        return FAIL(err, KITH_EINVAL, "oversample %g, must be 0 or more",
                    (double)params->oversample);
    if (!(params->recall >= 0 && params->recall <= 1))
        return FAIL(err, KITH_EINVAL, "recall %g, must be 0 to 1", (double)params->recall);
    if (params->recall > 0 && (params->ef || params->nprobe || params->oversample > 0))
        return FAIL(err, KITH_EINVAL, "recall %g is asked for, and an effort beside it",
                    (double)params->recall);
    if (filter->bits && filter->pass)
        return FAIL(err, KITH_EFILTER, "a filter is a bit view or a callback, not both");
    if (!filter->bits && filter->n_bits)
        return FAIL(err, KITH_EFILTER, "a filter of %" PRIu64 " bits without bits", filter->n_bits);
    if (params->threads == 0) params->threads = 1;
    if (params->threads > THREAD_MAX) params->threads = THREAD_MAX;
    *call = (struct search_call){.k = params->k,
                                 .ef = params->ef,
                                 .nprobe = params->nprobe,
                                 .oversample = params->oversample,
                                 .exact = params->exact != 0,
                                 .filtered = filter->bits || filter->pass,
                                 .filter = *filter};
    if (params->deadline_ns)
        call->deadline =
            params->deadline_ns > UINT64_MAX - begin ? UINT64_MAX : begin + params->deadline_ns;
    return KITH_OK;
}

/* The effort that gives the recall asked for; what is exact already needs none. */
static int take_effort(const struct kith_index *index, const kith_search_params *params,
                       struct search_call *call, kith_error *err) {
    struct effort effort;
    bool exact = true;
    if (call->exact) return KITH_OK;
    TRY(index_effort(index, params->k, (double)params->recall, &effort, &exact, err));
    call->ef = effort.ef;
    call->nprobe = effort.nprobe;
    call->oversample = effort.oversample;
    call->exact = exact;
    return KITH_OK;
}

static void to_scores(kith_metric metric, size_t n, float *dists) {
    if (metric == KITH_METRIC_L2 || metric == KITH_METRIC_L1) return;
    for (size_t i = 0; i < n; i++) dists[i] = code_score(metric, dists[i]);
}

struct search_job {
    struct kith_index *index;
    const struct search_call *call;
    const float *queries;
    int64_t *ids;
    float *dists;
    kith_error *err;
    _Atomic int code;
};

/* Distances that nobody asked for are kept on the stack, so many queries at a time. */
static int search_without_dists(const struct search_job *job, size_t begin, size_t end,
                                kith_error *err) {
    float dists[KITH_MAX_K];
    size_t dim = job->index->rows.config.dim, k = job->call->k, most = KITH_MAX_K / k;
    for (size_t i = begin, step; i < end; i += step) {
        step = end - i < most ? end - i : most;
        TRY(job->index->ops->search(job->index, job->call, step, job->queries + i * dim,
                                    job->ids + i * k, dists, err));
    }
    return KITH_OK;
}

static void search_part(void *context, uint32_t worker, size_t begin, size_t end) {
    struct search_job *job = context;
    kith_error failed;
    size_t dim = job->index->rows.config.dim, k = job->call->k;
    (void)worker;
    if (atomic_load_explicit(&job->code, memory_order_relaxed) != KITH_OK) return;
    int code, none = KITH_OK;
    if (job->dists) {
        float *dists = job->dists + begin * k;
        code =
            job->index->ops->search(job->index, job->call, end - begin, job->queries + begin * dim,
                                    job->ids + begin * k, dists, &failed);
        if (code == KITH_OK) to_scores(job->index->rows.config.metric, (end - begin) * k, dists);
    } else {
        code = search_without_dists(job, begin, end, &failed);
    }
    if (code != KITH_OK && atomic_compare_exchange_strong(&job->code, &none, code) && job->err)
        *job->err = failed;
}

/* Queries a piece: flat scans share a pass, so that each thread has one; graph walks differ in length. */
static size_t piece_of(const struct kith_index *index, const struct search_call *call, size_t n,
                       uint32_t threads) {
    size_t share = (n + threads - 1) / threads;
    bool shares = index->ops == &flat_ops || call->exact;
    return threads == 1 || shares || share < 16 ? share : 16;
}

int kith_index_search(const kith_index *given_index, size_t n, const float *queries,
                      const kith_search_params *given, int64_t *ids, float *dists,
                      kith_error *err) {
    uint64_t begin = given && given->deadline_ns ? clock_ns() : 0;
    kith_search_params params;
    struct search_call call;
    if (!given_index || (n && (!queries || !ids)))
        return FAIL(err, KITH_EINVAL, "%s is NULL",
                    !given_index ? "index"
                    : !queries   ? "queries"
                                 : "ids");
    struct kith_index *index = index_real(given_index);
    TRY(read_params(given, begin, &params, &call, err));
    uint32_t rows = atomic_load_explicit(&index->rows.n_live, memory_order_acquire);
    if (rows == 0) return FAIL(err, KITH_EEMPTY, "the index holds no rows");
    uint32_t k_max = rows < KITH_MAX_K ? rows : KITH_MAX_K;
    if (call.k == 0 || call.k > k_max)
        return FAIL(err, KITH_EK,
                    "k is %" PRIu32 ", must be 1 to %" PRIu32 " here (%" PRIu32 " rows)", call.k,
                    k_max, rows);
    TRY(api_check_vectors(index->rows.config.dim, n, queries, "query", err));
    if (params.recall > 0) TRY(take_effort(index, &params, &call, err));
    if (n == 0) return KITH_OK;
    struct search_job job = {index, &call, queries, ids, dists, err, KITH_OK};
    thread_for(params.threads, n, piece_of(index, &call, n, params.threads), search_part, &job);
    return tell_limit(index, atomic_load_explicit(&job.code, memory_order_relaxed), err);
}

/* ---- threshold search -------------------------------------------------------------------------- */

struct range_job {
    struct kith_index *index;
    const struct search_call *call;
    const float *queries;
    float radius;
    struct scan_hits *hits; /* one a query */
    kith_error *err;
    _Atomic int code;
};

static void range_part(void *context, uint32_t worker, size_t begin, size_t end) {
    struct range_job *job = context;
    size_t dim = job->index->rows.config.dim;
    (void)worker;
    for (size_t i = begin;
         i < end && atomic_load_explicit(&job->code, memory_order_relaxed) == KITH_OK; i++) {
        kith_error failed;
        int none = KITH_OK;
        const float *query = job->queries + i * dim;
        int code = job->index->ops->range
                       ? job->index->ops->range(job->index, job->call, query, job->radius,
                                                &job->hits[i], &failed)
                       : scan_range(&job->index->rows, job->call, query, job->radius, &job->hits[i],
                                    &failed);
        if (code != KITH_OK && atomic_compare_exchange_strong(&job->code, &none, code) && job->err)
            *job->err = failed;
    }
}

void kith_range_result_free(kith_range_result *result) {
    if (!result) return;
    uint64_t total = result->start ? result->start[result->n] : 0;
    mem_free(NULL, result->ids, total * sizeof *result->ids);
    mem_free(NULL, result->dists, total * sizeof *result->dists);
    mem_free(NULL, result->start, (result->n + 1) * sizeof *result->start);
    mem_free(NULL, result, sizeof *result);
}

static int gather_hits(const struct range_job *job, size_t n, kith_range_result **out,
                       kith_error *err) {
    kith_metric metric = job->index->rows.config.metric;
    kith_range_result *result = mem_new(NULL, sizeof *result);
    if (!result) return FAIL(err, KITH_ENOMEM, "no memory for the results of %zu queries", n);
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++) total += job->hits[i].n;
    result->n = n;
    result->start = mem_new(NULL, (n + 1) * sizeof *result->start);
    if (result->start) {
        result->start[n] = total;
        result->ids = mem_new(NULL, total * sizeof *result->ids);
        result->dists = mem_new(NULL, total * sizeof *result->dists);
    }
    if (!result->start || !result->ids || !result->dists) {
        kith_range_result_free(result);
        return FAIL(err, KITH_ENOMEM, "no memory for %" PRIu64 " hits", total);
    }
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        result->start[i] = at;
        for (size_t j = 0; j < job->hits[i].n; j++, at++) {
            result->ids[at] = job->hits[i].hits[j].id;
            result->dists[at] = code_score(metric, job->hits[i].hits[j].dist);
        }
    }
    *out = result;
    return KITH_OK;
}

int kith_index_range_search(const kith_index *given_index, size_t n, const float *queries,
                            float radius, const kith_search_params *given, kith_range_result **out,
                            kith_error *err) {
    uint64_t begin = given && given->deadline_ns ? clock_ns() : 0;
    kith_search_params params;
    struct search_call call;
    if (!given_index || !out || (n && !queries))
        return FAIL(err, KITH_EINVAL, "%s is NULL",
                    !given_index ? "index"
                    : !out       ? "out"
                                 : "queries");
    if (isnan(radius)) return FAIL(err, KITH_ENONFINITE, "the radius is not a number");
    struct kith_index *index = index_real(given_index);
    TRY(read_params(given, begin, &params, &call, err));
    TRY(api_check_vectors(index->rows.config.dim, n, queries, "query", err));
    struct range_job job = {.index = index, .call = &call, .queries = queries, .err = err};
    job.radius = code_unscore(index->rows.config.metric, radius);
    job.hits = mem_new(NULL, n * sizeof *job.hits);
    if (!job.hits) return FAIL(err, KITH_ENOMEM, "no memory for %zu queries", n);
    thread_for(params.threads, n, 1, range_part, &job);
    int code = tell_limit(index, atomic_load_explicit(&job.code, memory_order_relaxed), err);
    if (code == KITH_OK) code = gather_hits(&job, n, out, err);
    for (size_t i = 0; i < n; i++) scan_hits_deinit(&job.hits[i]);
    mem_free(NULL, job.hits, n * sizeof *job.hits);
    return code;
}

/* ---- looking ----------------------------------------------------------------------------------- */

int kith_index_reconstruct(const kith_index *given, int64_t id, float *row, kith_error *err) {
    if (!given || !row) return FAIL(err, KITH_EINVAL, "%s is NULL", given ? "row" : "index");
    struct kith_index *index = index_real(given);
    uint32_t slot = epoch_enter(&index->rows.epoch);
    uint32_t at = rows_find(&index->rows, id);
    int code = KITH_OK;
    if (at != ROW_NONE && index->ops->reconstruct) {
        code = index->ops->reconstruct(index, at, row, err);
    } else if (at != ROW_NONE) {
        const struct store *store = rows_store(&index->rows);
        code_decode(store_exact_code(store), store_exact_row(store, at), row);
    }
    epoch_leave(&index->rows.epoch, slot);
    if (at == ROW_NONE) return FAIL(err, KITH_ENOTFOUND, "id %" PRId64 " is not present", id);
    return code;
}

int kith_index_contains(const kith_index *index, int64_t id) {
    return index && rows_find(&index_real(index)->rows, id) != ROW_NONE;
}

uint64_t kith_index_rows(const kith_index *index) {
    return index ? atomic_load_explicit(&index_real(index)->rows.n_live, memory_order_acquire) : 0;
}

size_t kith_index_dim(const kith_index *index) { return index ? index->rows.config.dim : 0; }

kith_metric kith_index_metric(const kith_index *index) {
    return index ? index->rows.config.metric : KITH_METRIC_L2;
}

void kith_index_stats_get(const kith_index *index, kith_index_stats *stats) {
    if (index && stats) index_stats(index_real(index), stats);
}

int kith_index_check(const kith_index *index, kith_error *err) {
    if (!index) return FAIL(err, KITH_EINVAL, "index is NULL");
    return index_check(index_real(index), err);
}

/* ---- files ------------------------------------------------------------------------------------- */

int kith_index_save(const kith_index *index, const char *path, kith_error *err) {
    if (!index || !path) return FAIL(err, KITH_EINVAL, "%s is NULL", index ? "path" : "index");
    return index_save(index_real(index), path, err);
}

int kith_index_open(kith_index **out, const char *path, int mode, kith_error *err) {
    if (!out || !path) return FAIL(err, KITH_EINVAL, "%s is NULL", out ? "path" : "out");
    if (mode != KITH_OPEN_READ && mode != KITH_OPEN_MAP && mode != KITH_OPEN_REPAIR &&
        mode != KITH_OPEN_CODES)
        return FAIL(err, KITH_EINVAL,
                    "open mode %d is none of KITH_OPEN_READ, _MAP, _REPAIR and _CODES", mode);
    return index_open(out, path, mode, err);
}
