/* Flat: the index that has no structure. Rows and a scan are all of it; removed rows are free at once.
 *
 * Locks   `writers` (shared by adds, removals and updates; exclusive from pause to resume), then `changes` (one
 *         removal or update at a time), then those of rows.h. */
#include "base/status.h"
#include "base/thread.h"
#include "index/file.h"
#include "index/index.h"
#include "index/rows_stream.h"
#include "index/scan.h"

struct flat {
    struct kith_index index;
    pthread_rwlock_t writers;
    pthread_mutex_t changes;
};

static struct flat *flat_of(const struct kith_index *index) {
    return (struct flat *)(uintptr_t)index;
}

int index_new_flat(struct kith_index **out, const struct index_spec *spec,
                   const kith_index_options *options, kith_error *err) {
    struct flat *flat = mem_new(NULL, sizeof *flat);
    if (!flat) return FAIL(err, KITH_ENOMEM, "no memory for an index");
    flat->index.ops = &flat_ops;
    flat->index.object_bytes = sizeof *flat;
    flat->index.options = *options;
    int code = rows_init(&flat->index.rows, &spec->rows, &flat->index.mem, err);
    if (code != KITH_OK) {
        mem_free(NULL, flat, sizeof *flat);
        return code;
    }
    thread_rwlock_init(&flat->writers);
    pthread_mutex_init(&flat->changes, NULL);
    *out = &flat->index;
    return KITH_OK;
}

static void flat_deinit(struct kith_index *index) {
    struct flat *flat = flat_of(index);
    pthread_rwlock_destroy(&flat->writers);
    pthread_mutex_destroy(&flat->changes);
}

static void flat_pause(struct kith_index *index) {
    pthread_rwlock_wrlock(&flat_of(index)->writers);
}

static void flat_resume(struct kith_index *index) {
    pthread_rwlock_unlock(&flat_of(index)->writers);
}

/* Arrays of row numbers for a call on n rows. */
static uint32_t *row_numbers(struct kith_index *index, size_t n, kith_error *err) {
    uint32_t *rows = mem_new(&index->mem, n * sizeof *rows);
    if (!rows) (void)FAIL(err, KITH_ENOMEM, "no memory for %zu row numbers", n);
    return rows;
}

static void report(const kith_work *work, size_t n) {
    if (work->progress) work->progress(work->context, n, n);
}

static int flat_add(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
                    const kith_work *work, kith_error *err) {
    struct flat *flat = flat_of(index);
    uint32_t *row = row_numbers(index, n, err);
    if (!row) return KITH_ENOMEM;
    pthread_rwlock_rdlock(&flat->writers);
    int code = rows_add_begin(&index->rows, n, x, ids, work->threads, row, err);
    if (code == KITH_OK) rows_add_commit(&index->rows, n, row);
    pthread_rwlock_unlock(&flat->writers);
    mem_free(&index->mem, row, n * sizeof *row);
    if (code == KITH_OK) report(work, n);
    return code;
}

static int flat_update(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
                       const kith_work *work, kith_error *err) {
    struct flat *flat = flat_of(index);
    uint32_t *row = row_numbers(index, 2 * n, err);
    if (!row) return KITH_ENOMEM;
    pthread_rwlock_rdlock(&flat->writers);
    pthread_mutex_lock(&flat->changes);
    int code = rows_update_begin(&index->rows, n, x, ids, work->threads, row, row + n, err);
    if (code == KITH_OK) {
        rows_update_commit(&index->rows, n, row, row + n);
        code = rows_release(&index->rows, n, row + n, err);
    }
    pthread_mutex_unlock(&flat->changes);
    pthread_rwlock_unlock(&flat->writers);
    mem_free(&index->mem, row, 2 * n * sizeof *row);
    if (code == KITH_OK) report(work, n);
    return code;
}

static int flat_remove(struct kith_index *index, size_t n, const int64_t *ids, kith_error *err) {
    struct flat *flat = flat_of(index);
    uint32_t *row = row_numbers(index, n, err);
    if (!row) return KITH_ENOMEM;
    pthread_rwlock_rdlock(&flat->writers);
    pthread_mutex_lock(&flat->changes);
    int code = rows_remove(&index->rows, n, ids, row, err);
    if (code == KITH_OK) code = rows_release(&index->rows, n, row, err);
    pthread_mutex_unlock(&flat->changes);
    pthread_rwlock_unlock(&flat->writers);
    mem_free(&index->mem, row, n * sizeof *row);
    return code;
}

static int flat_stream(struct kith_index *index, struct rows_stream *stream, const char *path,
                       kith_error *err) {
    (void)index, (void)path, (void)err; /* save reads the rows again */
    rows_stream_drop_sample(stream);
    return KITH_OK;
}

static int flat_search(struct kith_index *index, const struct search_call *call, size_t n,
                       const float *queries, int64_t *ids, float *dists, kith_error *err) {
    return scan_knn(&index->rows, call, n, queries, ids, dists, err);
}

static bool flat_scans(const struct kith_index *index) {
    const struct store *store = rows_store(&index->rows);
    return store->has_orig;
}

static void flat_stats(const struct kith_index *index, kith_index_stats *stats) {
    (void)index, (void)stats;
}

static int flat_check(const struct kith_index *index, kith_error *err) {
    (void)index, (void)err; /* the rows are checked by index.c */
    return KITH_OK;
}

static int flat_repair(struct kith_index *index, uint64_t *mended, kith_error *err) {
    (void)index, (void)err; /* nothing is derived */
    *mended = 0;
    return KITH_OK;
}

static int flat_save(const struct kith_index *index, struct file_sections *out, kith_error *err) {
    (void)index, (void)out, (void)err; /* rows are all there is */
    return KITH_OK;
}

static int flat_load(struct kith_index *index, const struct index_file *file, kith_error *err) {
    (void)index, (void)file, (void)err;
    return KITH_OK;
}

const struct index_ops flat_ops = {
    .kind = "flat",
    .deinit = flat_deinit,
    .add = flat_add,
    .update = flat_update,
    .stream = flat_stream,
    .remove = flat_remove,
    .pause = flat_pause,
    .resume = flat_resume,
    .search = flat_search,
    .scans = flat_scans,
    .stats = flat_stats,
    .check = flat_check,
    .repair = flat_repair,
    .save = flat_save,
    .load = flat_load,
};
