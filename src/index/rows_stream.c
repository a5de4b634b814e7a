/* Rows from a stream: looked at, learnt from, coded into memory or into a file. See rows_stream.h. */
#include "index/rows_stream.h"

#include <inttypes.h>
#include <string.h>

#include "base/status.h"
#include "base/thread.h"
#include "index/file.h"
#include "index/rows_store.h"

#define GRAIN 64u

int rows_stream_read(struct rows_stream *stream, uint64_t first, size_t n, kith_error *err) {
    const kith_rows *from = stream->from;
    int code = from->read(from->context, first, n, stream->x, err);
    if (code < 0)
        return FAIL(err, KITH_EIO, "rows %" PRIu64 " to %" PRIu64 " cannot be read: code %d", first,
                    first + n - 1, code);
    return code;
}

static size_t block_at(const struct rows_stream *stream, uint64_t first) {
    uint64_t left = stream->from->n - first;
    return left < stream->block ? (size_t)left : stream->block;
}

/* ---- one look at all rows ------------------------------------------------------------------------ */

/* What the look finds out. */
struct survey {
    struct code ranges; /* sq8's, where the rows may want them */
    bool wants_ranges;
    float l2sq; /* the largest squared length */
    uint32_t n_sampled;
};

static void take_sample(struct rows_stream *stream, struct survey *survey, uint64_t first,
                        size_t n) {
    size_t dim = stream->from->dim;
    for (; survey->n_sampled < stream->n_sample; survey->n_sampled++) {
        uint64_t from = (uint64_t)survey->n_sampled * stream->from->n / stream->n_sample;
        if (from >= first + n) return;
        memcpy(stream->sample + survey->n_sampled * dim, stream->x + (from - first) * dim,
               dim * sizeof(float));
    }
}

static int survey_block(const struct rows_config *config, struct rows_stream *stream,
                        struct survey *survey, uint64_t first, kith_error *err) {
    size_t n = block_at(stream, first), dim = config->dim;
    kern_pair_fn dot = kern_get()->pair[KITH_TYPE_F32][KERN_DOT];
    TRY(rows_stream_read(stream, first, n, err));
    const struct store_batch batch = {
        .n = n, .x = stream->x, .threads = stream->work->threads, .first = first};
    TRY(store_check_values(config, &batch, err));
    if (stream->integral) stream->integral = code_is_integral(n * dim, stream->x);
    if (survey->wants_ranges) code_ranges_take(&survey->ranges, n, stream->x);
    for (size_t i = 0; i < n; i++) {
        float l2sq = dot(stream->x + i * dim, stream->x + i * dim, dim);
        survey->l2sq = l2sq > survey->l2sq ? l2sq : survey->l2sq;
    }
    take_sample(stream, survey, first, n);
    return KITH_OK;
}

static int survey_all(const struct rows_config *config, struct rows_stream *stream,
                      struct survey *survey, kith_error *err) {
    size_t dim = config->dim;
    stream->integral = true;
    if (stream->n_sample > stream->from->n) stream->n_sample = (uint32_t)stream->from->n;
    stream->x = mem_new(stream->owner, stream->block * dim * sizeof(float));
    stream->sample = mem_new(stream->owner, stream->n_sample * dim * sizeof(float));
    if (!stream->x || !stream->sample)
        return FAIL(err, KITH_ENOMEM,
                    "no memory for blocks of %" PRIu32 " rows and a sample of %" PRIu32,
                    stream->block, stream->n_sample);
    survey->wants_ranges =
        config->walk == CODE_SQ8 || (config->keep_orig && config->orig == CODE_SQ8);
    if (survey->wants_ranges) {
        TRY(code_init(&survey->ranges, CODE_SQ8, config->metric, config->dim, stream->owner, err));
        code_ranges_begin(&survey->ranges);
    }
    int code = KITH_OK;
    for (uint64_t first = 0; first < stream->from->n && code == KITH_OK; first += stream->block)
        code = survey_block(config, stream, survey, first, err);
    if (survey->wants_ranges) code_ranges_end(&survey->ranges);
    return code;
}

/* ---- rows of what was seen ------------------------------------------------------------------------- */

static int learn(struct code *code, const struct rows_stream *stream, const struct survey *survey,
                 kith_error *err) {
    size_t bytes = code->dim * sizeof(float);
    if (code->kind == CODE_QUANTIZED)
        return code_train_quantized(code, stream->n_sample, stream->sample, stream->work->threads,
                                    stream->owner, err);
    if (code->kind != CODE_SQ8) return KITH_OK;
    memcpy(code->low, survey->ranges.low, bytes);
    memcpy(code->step, survey->ranges.step, bytes);
    memcpy(code->inv_step, survey->ranges.inv_step, bytes);
    return KITH_OK;
}

static int give_store(struct rows *rows, const struct rows_stream *stream,
                      const struct survey *survey, kith_error *err) {
    struct store *store, *old = atomic_load_explicit(&rows->store, memory_order_relaxed);
    const struct store_batch batch = {.n = stream->from->n, .integral = stream->integral};
    TRY(store_new(&store, &rows->config, store_form_next(rows, &batch), rows->owner, err));
    int code = learn(&store->walk, stream, survey, err);
    if (code == KITH_OK && store->has_orig && !store->shared)
        code = learn(&store->orig, stream, survey, err);
    if (code != KITH_OK) {
        store_free(store, rows->owner);
        return code;
    }
    store_note_length(store, survey->l2sq);
    if (store->walk.kind >= CODE_SQ8) rows->trained_n = (uint32_t)stream->from->n;
    atomic_store_explicit(&rows->store, store, memory_order_release);
    store_free(old, rows->owner);
    return KITH_OK;
}

static bool ids_are_rows(const kith_rows *from) {
    for (uint64_t i = 0; from->ids && i < from->n; i++)
        if (from->ids[i] != (int64_t)i) return false;
    return true;
}

/* The caller's array is used as it is, and goes through an id map once, to see each id once. */
static int give_ids(struct rows *rows, const kith_rows *from, kith_error *err) {
    uint32_t n = (uint32_t)from->n;
    rows->next_id = n;
    if (ids_are_rows(from)) return KITH_OK;
    segs_borrow(&rows->id_of, from->ids, n);
    atomic_store_explicit(&rows->explicit_ids, true, memory_order_relaxed);
    if (!id_map_reserve(&rows->ids, n, &rows->id_of, rows->owner))
        return FAIL(err, KITH_ENOMEM, "no memory for the ids of %" PRIu32 " rows", n);
    int code = KITH_OK;
    rows->next_id = 0;
    for (uint32_t i = 0; i < n && code == KITH_OK; i++) {
        int64_t id = from->ids[i];
        if (id >= rows->next_id) rows->next_id = id == INT64_MAX ? id : id + 1;
        if (id < 0)
            code =
                FAIL_AT(err, KITH_EINVAL, i, "row %" PRIu32 ": id %" PRId64 " is negative", i, id);
        else if (id_map_put(&rows->ids, &rows->id_of, i) != ROW_NONE)
            code = FAIL_AT(err, KITH_EDUPLICATE, i, "id %" PRId64 " is given twice", id);
    }
    id_map_deinit(&rows->ids, rows->owner);
    return code;
}

static int give_life(struct rows *rows, const kith_rows *from, kith_error *err) {
    uint32_t n = (uint32_t)from->n, words = (uint32_t)bits_words(n);
    if (!segs_reserve(&rows->live, words, rows->owner) ||
        !segs_reserve(&rows->freed, words, rows->owner))
        return FAIL(err, KITH_ENOMEM, "no memory for the marks of %" PRIu32 " rows", n);
    for (uint32_t row = 0; row < n; row++) rows_set_live(rows, row);
    atomic_store_explicit(&rows->n, n, memory_order_release);
    atomic_store_explicit(&rows->n_live, n, memory_order_release);
    return KITH_OK;
}

int rows_stream_begin(struct rows *rows, struct rows_stream *stream, kith_error *err) {
    struct survey survey = {0};
    int code = survey_all(&rows->config, stream, &survey, err);
    if (code == KITH_OK) code = give_store(rows, stream, &survey, err);
    if (survey.ranges.low) code_deinit(&survey.ranges, stream->owner);
    TRY(code);
    TRY(give_ids(rows, stream->from, err));
    TRY(give_life(rows, stream->from, err));
    rows->stream = stream;
    return KITH_OK;
}

void rows_stream_drop_sample(struct rows_stream *stream) {
    mem_free(stream->owner, stream->sample, stream->n_sample * stream->from->dim * sizeof(float));
    stream->sample = NULL;
}

void rows_stream_deinit(struct rows_stream *stream) {
    rows_stream_drop_sample(stream);
    mem_free(stream->owner, stream->x, stream->block * stream->from->dim * sizeof(float));
    mem_free(stream->owner, stream->codes, stream->codes_bytes);
}

/* ---- codes into memory ----------------------------------------------------------------------------- */

/* A block being coded: where row i of it goes, and what else a worker needs to find its residual norm. */
struct coding {
    const struct store *store;
    const struct rows_stream *stream;
    uint32_t first;
    enum { PUT_WALK, PUT_ORIG, PUT_ERR, HOLD } what;
    struct segs *walk_rows, *err_of; /* HOLD */
    uint8_t *room;                   /* a worker's walk row and original */
    size_t room_bytes;               /* of one worker */
};

static bool is_apart(const struct store *store) { return store->has_orig && !store->shared; }

static void code_rows(void *context, uint32_t worker, size_t begin, size_t end) {
    const struct coding *coding = context;
    const struct store *store = coding->store;
    uint8_t *codes = coding->stream->codes;
    uint8_t *walk = coding->room + worker * coding->room_bytes;
    uint8_t *orig = is_apart(store) ? walk + bits_round_up(store->walk.stride, 64) : NULL;
    for (size_t i = begin; i < end; i++) {
        const float *x = coding->stream->x + i * store->walk.dim;
        uint32_t row = coding->first + (uint32_t)i;
        switch (coding->what) {
        case PUT_WALK: (void)store_encode(store, x, codes + i * store->walk.stride, NULL); break;
        case PUT_ORIG: (void)store_encode(store, x, NULL, codes + i * store->orig.stride); break;
        case PUT_ERR: ((float *)(void *)codes)[i] = store_encode(store, x, walk, orig); break;
        case HOLD: {
            float err = store_encode(store, x, segs_at(coding->walk_rows, row),
                                     store->has_err ? orig : NULL);
            if (store->has_err) *(float *)(void *)segs_at(coding->err_of, row) = err;
        }
        }
    }
}

static int coding_init(struct coding *coding, kith_error *err) {
    const struct store *store = coding->store;
    coding->room_bytes = bits_round_up(store->walk.stride, 64) +
                         (is_apart(store) ? bits_round_up(store->orig.stride, 64) : 0);
    coding->room =
        mem_new(coding->stream->owner, coding->stream->work->threads * coding->room_bytes);
    return coding->room ? KITH_OK
                        : FAIL(err, KITH_ENOMEM, "no memory to code rows of %" PRIu32 " dimensions",
                               store->walk.dim);
}

static void coding_deinit(struct coding *coding) {
    mem_free(coding->stream->owner, coding->room,
             coding->stream->work->threads * coding->room_bytes);
}

int rows_stream_hold(struct rows *rows, struct rows_stream *stream, kith_error *err) {
    struct store *store = atomic_load_explicit(&rows->store, memory_order_relaxed);
    uint32_t n = (uint32_t)stream->from->n;
    if (!segs_reserve(&store->walk_rows, n, rows->owner) ||
        (store->has_err && !segs_reserve(&store->err_of, n, rows->owner)))
        return FAIL(err, KITH_ENOMEM, "no memory for the codes of %" PRIu32 " rows", n);
    struct coding coding = {.store = store,
                            .stream = stream,
                            .what = HOLD,
                            .walk_rows = &store->walk_rows,
                            .err_of = &store->err_of};
    TRY(coding_init(&coding, err));
    int code = KITH_OK;
    for (uint32_t first = 0; first < n && code == KITH_OK; first += stream->block) {
        size_t some = block_at(stream, first);
        code = rows_stream_read(stream, first, some, err);
        coding.first = first;
        if (code == KITH_OK) thread_for(stream->work->threads, some, GRAIN, code_rows, &coding);
    }
    coding_deinit(&coding);
    return code;
}

/* ---- codes into a file ------------------------------------------------------------------------------- */

bool rows_stream_has(const struct rows *rows, const struct segs *segs) {
    return rows->stream && segs->n0 == 0;
}

static int put_blocks(struct coding *coding, size_t stride, struct file_sections *out,
                      kith_error *err) {
    struct rows_stream *stream = (struct rows_stream *)(uintptr_t)coding->stream;
    size_t bytes = stream->block * stride;
    if (bytes > stream->codes_bytes) {
        mem_free(stream->owner, stream->codes, stream->codes_bytes);
        stream->codes = mem_new(stream->owner, bytes);
        stream->codes_bytes = stream->codes ? bytes : 0;
        if (!stream->codes)
            return FAIL(err, KITH_ENOMEM, "no memory for blocks of %" PRIu32 " codes",
                        stream->block);
    }
    for (uint64_t first = 0; first < stream->from->n; first += stream->block) {
        size_t n = block_at(stream, first);
        TRY(rows_stream_read(stream, first, n, err));
        thread_for(stream->work->threads, n, GRAIN, code_rows, coding);
        TRY(file_sections_more(out, stream->codes, n * stride, err));
    }
    return KITH_OK;
}

int rows_stream_put(const struct rows *rows, uint32_t tag, const struct segs *segs,
                    struct file_sections *out, kith_error *err) {
    const struct store *store = rows_store(rows);
    struct coding coding = {.store = store,
                            .stream = rows->stream,
                            .what = segs == &store->walk_rows   ? PUT_WALK
                                    : segs == &store->orig_rows ? PUT_ORIG
                                                                : PUT_ERR};
    TRY(coding_init(&coding, err));
    int code = file_sections_begin(out, tag, err);
    if (code == KITH_OK) code = put_blocks(&coding, segs->stride, out, err);
    if (code == KITH_OK) file_sections_end(out);
    coding_deinit(&coding);
    return code;
}
