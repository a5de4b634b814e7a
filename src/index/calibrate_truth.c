/* Queries of a calibration, and their true neighbours.
 *
 * Rows that stand for queries are drawn one from each of n equal stretches of the rows, and shuffled, so that any first
 * few of them are a sample too. Their vectors are those of the base where one is given, else what the index kept. Truth is the
 * exact search of the index, or, where it keeps no originals, that of the base a stretch at a time. */
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "base/thread.h"
#include "index/calibrate.h"
#include "index/graph.h"
#include "index/scan.h"

#define STRETCH 16384u /* rows of the base that are searched at once */
#define PIECE   64u    /* queries */

/* ---- queries --------------------------------------------------------------------------------------- */

static void shuffle(uint32_t *row, size_t n, uint64_t seed) {
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)(bits_random(&seed) % i);
        uint32_t swapped = row[i - 1];
        row[i - 1] = row[j];
        row[j] = swapped;
    }
}

/* Live rows, 1 + each, at most n; returns how many. */
static size_t draw_rows(const struct kith_index *index, size_t n, uint64_t seed, uint32_t *drawn) {
    uint64_t rows = atomic_load_explicit(&index->rows.n, memory_order_acquire), state = seed;
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t low = rows * i / n, high = rows * (i + 1) / n;
        if (low == high) continue;
        uint64_t at = low + bits_random(&state) % (high - low);
        for (uint64_t tries = 0; tries < high - low; tries++, at = at + 1 < high ? at + 1 : low) {
            if (!rows_is_live(&index->rows, (uint32_t)at)) continue;
            drawn[found++] = (uint32_t)at + 1;
            break;
        }
    }
    shuffle(drawn, found, seed);
    return found;
}

/* Where the vector of each row is in the base: row -> 1 + place; as many rows as there are, so all of them have one. */
static int map_base(const struct kith_index *index, const kith_calibrate_options *options,
                    uint32_t *place, kith_error *err) {
    for (size_t i = 0; i < options->n_base; i++) {
        int64_t id = options->base_ids ? options->base_ids[i] : (int64_t)i;
        uint32_t row = rows_find(&index->rows, id);
        if (row == ROW_NONE)
            return FAIL_AT(err, KITH_ENOTFOUND, i, "row %zu of the base: id %lld is not present", i,
                           (long long)id);
        if (place[row] != 0)
            return FAIL_AT(err, KITH_EDUPLICATE, i, "row %zu of the base: id %lld was there before",
                           i, (long long)id);
        place[row] = (uint32_t)i + 1;
    }
    return KITH_OK;
}

/* Looks at the base, and where rows stand for queries takes their vectors from it. */
static int use_base(const struct kith_index *index, const kith_calibrate_options *options,
                    const struct calibrate_truth *truth, float *queries, kith_error *err) {
    size_t rows = atomic_load_explicit(&index->rows.n, memory_order_acquire);
    uint32_t *place = mem_new(NULL, rows * sizeof *place);
    if (!place) return FAIL(err, KITH_ENOMEM, "no memory for the places of %zu rows", rows);
    int code = map_base(index, options, place, err);
    for (size_t i = 0; queries && i < truth->n && code == KITH_OK; i++)
        memcpy(queries + i * truth->dim,
               options->base + (size_t)(place[truth->hidden[i] - 1] - 1) * truth->dim,
               truth->dim * sizeof *queries);
    mem_free(NULL, place, rows * sizeof *place);
    return code;
}

static int copy_from_index(const struct kith_index *index, const struct calibrate_truth *truth,
                           float *queries, kith_error *err) {
    struct epoch *epoch = (struct epoch *)(uintptr_t)&index->rows.epoch;
    uint32_t slot = epoch_enter(epoch);
    const struct store *store = rows_store(&index->rows);
    int code = KITH_OK;
    for (size_t i = 0; i < truth->n && code == KITH_OK; i++) {
        uint32_t row = truth->hidden[i] - 1;
        float *out = queries + i * truth->dim;
        if (index->ops->reconstruct)
            code = index->ops->reconstruct(index, row, out, err);
        else
            code_decode(store_exact_code(store), store_exact_row(store, row), out);
    }
    epoch_leave(epoch, slot);
    return code;
}

static int draw_queries(struct calibrate_truth *truth, const struct kith_index *index,
                        const kith_calibrate_options *options, kith_error *err) {
    size_t n = options->n_rows;
    uint32_t live = atomic_load_explicit(&index->rows.n_live, memory_order_acquire);
    if (n > live) n = live;
    float *queries = mem_new(NULL, n * truth->dim * sizeof *queries);
    truth->hidden = mem_new(NULL, n * sizeof *truth->hidden);
    truth->queries = queries;
    truth->room = n;
    if (!queries || !truth->hidden) return FAIL(err, KITH_ENOMEM, "no memory for %zu queries", n);
    truth->n = draw_rows(index, n, options->seed, truth->hidden);
    return options->base ? use_base(index, options, truth, queries, err)
                         : copy_from_index(index, truth, queries, err);
}

/* ---- neighbours ------------------------------------------------------------------------------------ */

struct exact_job {
    struct kith_index *index;
    const struct calibrate_truth *truth;
    const struct search_call *call;
    int64_t *id; /* n of call->k */
    float *dist;
    kith_error *err;
    _Atomic int code;
};

static void exact_part(void *context, uint32_t worker, size_t begin, size_t end) {
    struct exact_job *job = context;
    kith_error failed;
    int none = KITH_OK;
    uint32_t k = job->call->k;
    (void)worker;
    int code = job->index->ops->search(job->index, job->call, end - begin,
                                       job->truth->queries + begin * job->truth->dim,
                                       job->id + begin * k, job->dist + begin * k, &failed);
    if (code != KITH_OK && atomic_compare_exchange_strong(&job->code, &none, code) && job->err)
        *job->err = failed;
}

/* The k nearest of all rows to each query. */
static int search_exactly(struct kith_index *index, const struct calibrate_truth *truth, uint32_t k,
                          uint32_t threads, int64_t *id, float *dist, kith_error *err) {
    struct search_call call = {.k = k, .exact = true};
    struct exact_job job = {index, truth, &call, id, dist, err, KITH_OK};
    size_t share = (truth->n + threads - 1) / threads;
    thread_for(threads, truth->n, share > PIECE ? share : PIECE, exact_part, &job);
    return atomic_load_explicit(&job.code, memory_order_relaxed);
}

/* Merge n sorted neighbours into `near` sorted ones; ids are distinct. */
static void merge(int64_t *id, float *dist, uint32_t near, const int64_t *more_id,
                  const float *more_dist, uint32_t n) {
    for (uint32_t i = 0; i < n && more_dist[i] < dist[near - 1]; i++) {
        uint32_t place = near - 1;
        for (; place > 0 && dist[place - 1] > more_dist[i]; place--) {
            dist[place] = dist[place - 1];
            id[place] = id[place - 1];
        }
        dist[place] = more_dist[i];
        id[place] = more_id[i];
    }
}

/* One stretch of the base as an index of its own, whose answers are merged into the truth. */
static int search_stretch(const struct calibrate_truth *truth, const struct kith_index *like,
                          const kith_calibrate_options *options, size_t from, size_t n,
                          const kith_work *work, kith_error *err) {
    struct kith_index *flat = NULL;
    kith_work quiet = KITH_WORK_INIT;
    kith_index_options plain = like->options;
    plain.memory_limit = 0; /* that of the index is not for this */
    uint32_t k = truth->n_near < n ? truth->n_near : (uint32_t)n;
    int64_t *id = mem_new(NULL, truth->n * k * sizeof *id);
    float *dist = mem_new(NULL, truth->n * k * sizeof *dist);
    int code = id && dist ? KITH_OK : FAIL(err, KITH_ENOMEM, "no memory for %zu answers", truth->n);
    quiet.threads = work->threads;
    if (code == KITH_OK)
        code = index_new(&flat, truth->dim, like->rows.config.metric, "Flat", &plain, err);
    if (code == KITH_OK)
        code = flat->ops->add(flat, n, options->base + from * truth->dim,
                              options->base_ids ? options->base_ids + from : NULL, &quiet, err);
    if (code == KITH_OK) code = search_exactly(flat, truth, k, work->threads, id, dist, err);
    for (size_t i = 0; i < truth->n && code == KITH_OK; i++) {
        for (uint32_t j = 0; j < k && !options->base_ids; j++) id[i * k + j] += (int64_t)from;
        merge(truth->id + i * truth->n_near, truth->dist + i * truth->n_near, truth->n_near,
              id + i * k, dist + i * k, k);
    }
    index_free(flat);
    mem_free(NULL, id, truth->n * k * sizeof *id);
    mem_free(NULL, dist, truth->n * k * sizeof *dist);
    return code;
}

static int search_base(const struct calibrate_truth *truth, const struct kith_index *like,
                       const kith_calibrate_options *options, const kith_work *work,
                       kith_error *err) {
    for (size_t i = 0; i < truth->n * truth->n_near; i++) {
        truth->id[i] = KITH_NO_ID;
        truth->dist[i] = INFINITY;
    }
    for (size_t from = 0; from < options->n_base; from += STRETCH) {
        size_t n = options->n_base - from < STRETCH ? options->n_base - from : STRETCH;
        TRY(search_stretch(truth, like, options, from, n, work, err));
    }
    return KITH_OK;
}

/* A hidden row is no neighbour of itself. */
static void leave_out_hidden(const struct calibrate_truth *truth, const struct kith_index *index) {
    for (size_t i = 0; i < truth->n && truth->hidden; i++) {
        int64_t *id = truth->id + i * truth->n_near,
                self = rows_id(&index->rows, truth->hidden[i] - 1);
        float *dist = truth->dist + i * truth->n_near;
        uint32_t at = 0;
        while (at < truth->n_near - 1 && id[at] != self) at++;
        memmove(id + at, id + at + 1, (truth->n_near - 1 - at) * sizeof *id);
        memmove(dist + at, dist + at + 1, (truth->n_near - 1 - at) * sizeof *dist);
        id[truth->n_near - 1] = KITH_NO_ID;
        dist[truth->n_near - 1] = INFINITY;
    }
}

void calibrate_truth_free(struct calibrate_truth *truth) {
    size_t all = truth->n * truth->n_near;
    if (truth->room) {
        mem_free(NULL, (void *)(uintptr_t)truth->queries,
                 truth->room * truth->dim * sizeof *truth->queries);
        mem_free(NULL, truth->hidden, truth->room * sizeof *truth->hidden);
    }
    mem_free(NULL, truth->id, all * sizeof *truth->id);
    mem_free(NULL, truth->dist, all * sizeof *truth->dist);
    *truth = (struct calibrate_truth){0};
}

int calibrate_truth_new(struct calibrate_truth *truth, const struct kith_index *index,
                        const kith_calibrate_options *options, uint32_t most_k,
                        const kith_work *work, kith_error *err) {
    struct kith_index *searched = (struct kith_index *)(uintptr_t)index;
    uint32_t live = atomic_load_explicit(&index->rows.n_live, memory_order_acquire);
    uint32_t want = most_k + 1 + CALIBRATE_TIES;
    *truth = (struct calibrate_truth){.dim = index->rows.config.dim,
                                      .n = options->n_queries,
                                      .queries = options->queries,
                                      .n_near = want < live ? want : live};
    int code = KITH_OK;
    if (!options->queries)
        code = draw_queries(truth, index, options, err);
    else if (options->base)
        code = use_base(index, options, truth, NULL, err);
    size_t all = truth->n * truth->n_near;
    if (code == KITH_OK) {
        truth->id = mem_new(NULL, all * sizeof *truth->id);
        truth->dist = mem_new(NULL, all * sizeof *truth->dist);
        if (!truth->id || !truth->dist)
            code = FAIL(err, KITH_ENOMEM, "no memory for %zu neighbours", all);
    }
    if (code == KITH_OK)
        code = options->base ? search_base(truth, index, options, work, err)
                             : search_exactly(searched, truth, truth->n_near, work->threads,
                                              truth->id, truth->dist, err);
    if (code == KITH_OK)
        leave_out_hidden(truth, index);
    else
        calibrate_truth_free(truth);
    return code;
}
