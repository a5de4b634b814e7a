/* Writing behind transforms: training, adding, replacing, removing. One writer at a time; its threads are inside the
 * transforms and the inner index.
 *
 * The inner index has a row before the outer rows show it, and forgets it after they no longer do; what it forgets can
 * fail for want of memory, and is then tried again by the next write (`stale`). */
#include <string.h>

#include "index/pretransform.h"

#define BLOCK       1024u               /* rows decoded at a time */
#define TRAIN_BYTES ((size_t)256 << 20) /* of rows gathered to learn from */
#define POINTS      4u                  /* a dimension, at least, to learn from */

static int no_memory(kith_error *err, size_t n) {
    return FAIL(err, KITH_ENOMEM, "no memory to transform %zu rows", n);
}

static uint32_t *new_numbers(struct pre *pre, size_t n, kith_error *err) {
    uint32_t *row = mem_new(&pre->index.mem, n * sizeof *row);
    if (!row) (void)FAIL(err, KITH_ENOMEM, "no memory for %zu row numbers", n);
    return row;
}

/* ---- vectors to be transformed -------------------------------------------------------------------------------- */

/* Live rows, whose vectors the outer rows have, then n - n_live new ones. */
struct source {
    const struct rows *rows;
    const uint32_t *row; /* numbers of all */
    size_t n_live, n;
    const float *x; /* of the new ones */
};

static void read_source(const struct source *source, size_t i, float *out) {
    const struct store *store = rows_store(source->rows);
    size_t dim = source->rows->config.dim;
    if (i >= source->n_live)
        memcpy(out, source->x + (i - source->n_live) * dim, dim * sizeof *out);
    else
        code_decode(store_exact_code(store), store_exact_row(store, source->row[i]), out);
}

/* All of them through the chain into y[n][d_out]; scratch: transform_chain_scratch of a block, then a block of rows. */
static void transform_source(const struct source *source, const struct transform_chain *chain,
                             uint32_t threads, float *y, float *scratch) {
    float *block = scratch + transform_chain_scratch(chain, BLOCK);
    for (size_t first = 0, n; first < source->n_live; first += n) {
        n = source->n_live - first < BLOCK ? source->n_live - first : BLOCK;
        for (size_t i = 0; i < n; i++) read_source(source, first + i, block + i * chain->d_in);
        transform_chain_apply(chain, threads, n, block, y + first * chain->d_out, scratch);
    }
    size_t n_new = source->n - source->n_live;
    if (n_new)
        transform_chain_apply(chain, threads, n_new, source->x, y + source->n_live * chain->d_out,
                              scratch);
}

/* Put all of them into the inner index under their row numbers; all or none. */
static int place(struct pre *pre, const struct pre_model *model, const struct source *source,
                 const kith_work *work, kith_error *err) {
    const struct transform_chain *chain = &model->chain;
    struct mem_account *owner = &pre->index.mem;
    size_t n = source->n, y_at = bits_round_up(n * sizeof(int64_t), 64);
    size_t scratch_at = bits_round_up(y_at + n * chain->d_out * sizeof(float), 64);
    size_t block = source->n_live ? (size_t)BLOCK * chain->d_in : 0;
    size_t bytes = scratch_at + (transform_chain_scratch(chain, BLOCK) + block) * sizeof(float);
    if (n == 0) return KITH_OK;
    uint8_t *memory = mem_new(owner, bytes);
    if (!memory) return no_memory(err, n);
    int64_t *ids = (int64_t *)(void *)memory;
    float *y = (float *)(void *)(memory + y_at);
    for (size_t i = 0; i < n; i++) ids[i] = source->row[i];
    transform_source(source, chain, work->threads, y, (float *)(void *)(memory + scratch_at));
    int code = model->inner->ops->add(model->inner, n, y, ids, work, err);
    mem_free(owner, memory, bytes);
    return code;
}

/* ---- learning --------------------------------------------------------------------------------------------------- */

static int train_chain(struct pre_model *model, size_t n, const float *x, const kith_work *work,
                       kith_error *err) {
    const struct quantizer_training how = {.threads = work->threads};
    return transform_chain_train(&model->chain, n, x, &how, err);
}

/* From an even sample of what is there, or from the new rows alone where there are no others. */
static int train_chain_on(struct pre *pre, struct pre_model *model, const struct source *source,
                          const kith_work *work, kith_error *err) {
    size_t dim = pre->index.rows.config.dim, most = TRAIN_BYTES / (dim * sizeof(float));
    if (source->n_live == 0) return train_chain(model, source->n, source->x, work, err);
    most = most < PRE_TRAIN_ROWS ? PRE_TRAIN_ROWS : most;
    size_t n = source->n < most ? source->n : most, bytes = n * dim * sizeof(float);
    float *sample = mem_new(&pre->index.mem, bytes);
    if (!sample) return no_memory(err, n);
    for (size_t i = 0; i < n; i++) read_source(source, i * source->n / n, sample + i * dim);
    int code = train_chain(model, n, sample, work, err);
    mem_free(&pre->index.mem, sample, bytes);
    return code;
}

/* Let the inner index learn, where it is of a kind that does, from rows as they were given. */
static int train_inner(struct pre *pre, const struct pre_model *model, size_t n, const float *x,
                       const kith_work *work, kith_error *err) {
    const struct transform_chain *chain = &model->chain;
    size_t scratch_at = bits_round_up(n * chain->d_out * sizeof(float), 64);
    size_t bytes = scratch_at + transform_chain_scratch(chain, n) * sizeof(float);
    if (!model->inner->ops->train) return KITH_OK;
    if (n == 0) return model->inner->ops->train(model->inner, 0, NULL, work, err);
    uint8_t *y = mem_new(&pre->index.mem, bytes);
    if (!y) return no_memory(err, n);
    transform_chain_apply(chain, work->threads, n, x, (float *)(void *)y,
                          (float *)(void *)(y + scratch_at));
    int code = model->inner->ops->train(model->inner, n, (const float *)(const void *)y, work, err);
    mem_free(&pre->index.mem, y, bytes);
    return code;
}

/* Rows that died while memory was short; NULL where there are none, or no memory. */
static uint32_t *dead_rows(struct pre *pre, uint32_t *n) {
    struct rows *rows = &pre->index.rows;
    uint32_t used = atomic_load_explicit(&rows->n, memory_order_acquire), most = rows->n_dead;
    uint32_t *dead = most ? mem_new(&pre->index.mem, most * sizeof *dead) : NULL;
    *n = 0;
    for (uint32_t row = 0; dead && row < used && *n < most; row++)
        if (rows_is_used(rows, row) && !rows_is_live(rows, row)) dead[(*n)++] = row;
    return dead;
}

/* Put a model in the place of what there was, which is answered (NULL: the first), and which nobody sees any more. Rows that
 * died are not in the new inner index. */
static struct pre_model *publish(struct pre *pre, struct pre_model *model) {
    uint32_t n, *dead = dead_rows(pre, &n);
    struct pre_model *old = atomic_exchange_explicit(&pre->model, model, memory_order_acq_rel);
    epoch_wait(&pre->index.rows.epoch);
    if (dead) (void)rows_release(&pre->index.rows, n, dead, NULL);
    mem_free(&pre->index.mem, dead, n * sizeof *dead);
    pre->stale = pre->index.rows.n_dead > 0;
    return old;
}

/* What is learnt from: rows that are not the index's own, or where x is NULL its own; those make the inner index learn too,
 * where it does not by itself, if `thoroughly`. */
struct lesson {
    size_t n;
    const float *x;
    bool thoroughly;
};

static int learn_lesson(struct pre *pre, struct pre_model *model, const struct lesson *lesson,
                        const struct source *source, const kith_work *work, kith_error *err) {
    struct kith_index *inner = model->inner;
    if (lesson->x) {
        TRY(train_chain(model, lesson->n, lesson->x, work, err));
        TRY(train_inner(pre, model, lesson->n, lesson->x, work, err));
        return place(pre, model, source, work, err);
    }
    TRY(train_chain_on(pre, model, source, work, err));
    TRY(place(pre, model, source, work, err));
    return lesson->thoroughly && inner->ops->train ? inner->ops->train(inner, 0, NULL, work, err)
                                                   : KITH_OK;
}

/* A new model, which then holds the source. */
static int make_model(struct pre *pre, const struct lesson *lesson, const struct source *source,
                      const kith_work *work, kith_error *err) {
    struct pre_model *model;
    TRY(pre_model_new(&model, pre, err));
    int code = learn_lesson(pre, model, lesson, source, work, err);
    if (code == KITH_OK) model = publish(pre, model);
    pre_model_free(model, &pre->index.mem);
    return code;
}

/* The live rows, then n more of numbers row[n]; numbers are the caller's to free. */
static int source_init(struct source *source, struct pre *pre, size_t n, const float *x,
                       const uint32_t *row, kith_error *err) {
    const struct rows *rows = &pre->index.rows;
    uint32_t used = atomic_load_explicit(&rows->n, memory_order_acquire);
    uint32_t n_live = atomic_load_explicit(&rows->n_live, memory_order_acquire);
    uint32_t *number = new_numbers(pre, n_live + n, err);
    if (!number) return KITH_ENOMEM;
    *source = (struct source){.rows = rows, .row = number, .n = n_live + n, .x = x};
    for (uint32_t i = 0; i < used; i++)
        if (rows_is_live(rows, i)) number[source->n_live++] = i;
    if (n) memcpy(number + n_live, row, n * sizeof *row);
    return KITH_OK;
}

static void source_deinit(struct source *source, struct pre *pre) {
    mem_free(&pre->index.mem, (void *)(uintptr_t)source->row, source->n * sizeof *source->row);
}

static int learn(struct pre *pre, const struct lesson *lesson, size_t n, const float *x,
                 const uint32_t *row, const kith_work *work, kith_error *err) {
    struct source source;
    TRY(source_init(&source, pre, n, x, row, err));
    int code = make_model(pre, lesson, &source, work, err);
    source_deinit(&source, pre);
    return code;
}

/* ---- after a write ------------------------------------------------------------------------------------------------ */

/* Dead rows leave the inner index and become free; where memory is short they stay, for the next write to try again. */
static void bury(struct pre *pre, size_t n, const uint32_t *row) {
    struct pre_model *model = pre_model_of(pre);
    int code = KITH_OK;
    if (model && n) {
        int64_t *ids = mem_new(&pre->index.mem, n * sizeof *ids);
        size_t there = 0; /* an inner index that was made since they died has them no more */
        for (size_t i = 0; ids && i < n; i++)
            if (rows_find(&model->inner->rows, row[i]) != ROW_NONE) ids[there++] = row[i];
        code = !ids    ? KITH_ENOMEM
               : there ? model->inner->ops->remove(model->inner, there, ids, NULL)
                       : KITH_OK;
        mem_free(&pre->index.mem, ids, n * sizeof *ids);
    }
    if (code == KITH_OK)
        (void)rows_release(&pre->index.rows, n, row, NULL);
    else
        pre->stale = true;
}

static void bury_stale(struct pre *pre) {
    uint32_t n, *dead = pre->stale ? dead_rows(pre, &n) : NULL;
    if (!dead) return;
    pre->stale = false;
    bury(pre, n, dead);
    mem_free(&pre->index.mem, dead, n * sizeof *dead);
}

/* ---- anew ----------------------------------------------------------------------------------------------------------- */

static int place_live(struct pre *pre, const struct pre_model *model, const kith_work *work,
                      kith_error *err) {
    struct source source;
    TRY(source_init(&source, pre, 0, NULL, NULL, err));
    int code = place(pre, model, &source, work, err);
    source_deinit(&source, pre);
    return code;
}

static int make_anew(struct pre *pre, const kith_work *work, kith_error *err) {
    struct pre_model *old = pre_model_of(pre), *model;
    TRY(pre_model_new(&model, pre, err));
    transform_chain_deinit(&model->chain);
    model->chain = old->chain; /* shared until one of the two is gone */
    int code = place_live(pre, model, work, err);
    if (code == KITH_OK) model = publish(pre, model);
    model->chain = (struct transform_chain){0};
    pre_model_free(model, &pre->index.mem);
    return code;
}

int pre_rebuild(struct kith_index *index, kith_error *err) {
    const kith_work work = KITH_WORK_INIT;
    struct pre *pre = pre_of(index);
    pthread_mutex_lock(&pre->writers);
    int code = make_anew(pre, &work, err);
    pthread_mutex_unlock(&pre->writers);
    return code;
}

/* ---- operations --------------------------------------------------------------------------------------------------- */

/* With originals all is learnt anew; without them the chain stays, for what went through it is all there is. */
static int train(struct pre *pre, size_t n, const float *x, const kith_work *work,
                 kith_error *err) {
    const struct lesson lesson = {n, n ? x : NULL, true};
    const struct pre_model *model = pre_model_of(pre);
    bool learns = pre_learns(pre);
    if (n == 0 && atomic_load_explicit(&pre->index.rows.n_live, memory_order_acquire) == 0)
        return FAIL(err, KITH_EINVAL, "no rows to learn from");
    if (!model || (learns && pre->keeps)) return learn(pre, &lesson, 0, NULL, NULL, work, err);
    if (model->inner->ops->train) return train_inner(pre, model, n, x, work, err);
    if (!learns) return KITH_OK;
    return FAIL(err, KITH_EINVAL, "the transforms have learnt, and without originals cannot anew");
}

int pre_train(struct kith_index *index, size_t n, const float *x, const kith_work *work,
              kith_error *err) {
    struct pre *pre = pre_of(index);
    pthread_mutex_lock(&pre->writers);
    int code = train(pre, n, x, work, err);
    pre_let_go(pre);
    pthread_mutex_unlock(&pre->writers);
    return code;
}

static size_t rows_to_train(const struct pre *pre) {
    size_t n = (size_t)POINTS * pre->index.rows.config.dim;
    return n < PRE_TRAIN_ROWS ? PRE_TRAIN_ROWS : n;
}

/* Pending rows into the inner index; learning first where now there are enough rows. */
static int place_new(struct pre *pre, size_t n, const float *x, const uint32_t *row,
                     const kith_work *work, kith_error *err) {
    const struct pre_model *model = pre_model_of(pre);
    const struct source given = {.rows = &pre->index.rows, .row = row, .n = n, .x = x};
    if (model) return place(pre, model, &given, work, err);
    size_t total = atomic_load_explicit(&pre->index.rows.n_live, memory_order_acquire) + n;
    const struct lesson own = {0};
    return total < rows_to_train(pre) ? KITH_OK : learn(pre, &own, n, x, row, work, err);
}

static void report(const kith_work *work, size_t n) {
    if (work->progress) work->progress(work->context, n, n);
}

int pre_add(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
            const kith_work *work, kith_error *err) {
    struct pre *pre = pre_of(index);
    uint32_t *row = new_numbers(pre, n, err);
    if (!row) return KITH_ENOMEM;
    pthread_mutex_lock(&pre->writers);
    bury_stale(pre);
    int code = rows_add_begin(&index->rows, n, x, ids, work->threads, row, err);
    if (code == KITH_OK) {
        code = place_new(pre, n, x, row, work, err);
        if (code == KITH_OK)
            rows_add_commit(&index->rows, n, row);
        else
            rows_add_abort(&index->rows, n, row);
    }
    pre_let_go(pre);
    pthread_mutex_unlock(&pre->writers);
    mem_free(&index->mem, row, n * sizeof *row);
    if (code == KITH_OK) report(work, n);
    return code;
}

int pre_update(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
               const kith_work *work, kith_error *err) {
    struct pre *pre = pre_of(index);
    uint32_t *row = new_numbers(pre, 2 * n, err);
    if (!row) return KITH_ENOMEM;
    pthread_mutex_lock(&pre->writers);
    bury_stale(pre);
    int code = rows_update_begin(&index->rows, n, x, ids, work->threads, row, row + n, err);
    if (code == KITH_OK) {
        code = place_new(pre, n, x, row, work, err);
        if (code == KITH_OK)
            rows_update_commit(&index->rows, n, row, row + n);
        else
            rows_update_abort(&index->rows, n, row);
    }
    if (code == KITH_OK) bury(pre, n, row + n);
    pre_let_go(pre);
    pthread_mutex_unlock(&pre->writers);
    mem_free(&index->mem, row, 2 * n * sizeof *row);
    if (code == KITH_OK) report(work, n);
    return code;
}

int pre_remove(struct kith_index *index, size_t n, const int64_t *ids, kith_error *err) {
    struct pre *pre = pre_of(index);
    uint32_t *row = new_numbers(pre, n, err);
    if (!row) return KITH_ENOMEM;
    pthread_mutex_lock(&pre->writers);
    bury_stale(pre);
    int code = rows_remove(&index->rows, n, ids, row, err);
    if (code == KITH_OK) bury(pre, n, row);
    pthread_mutex_unlock(&pre->writers);
    mem_free(&index->mem, row, n * sizeof *row);
    return code;
}
