/* Writing: training, adding, replacing, removing. One writer at a time; its threads are inside training and placing. */
#include <string.h>

#include "index/ivf.h"

static uint32_t *new_numbers(struct ivf *ivf, size_t n, kith_error *err) {
    uint32_t *rows = mem_new(&ivf->index.mem, n * sizeof *rows);
    if (!rows) (void)FAIL(err, KITH_ENOMEM, "no memory for %zu row numbers", n);
    return rows;
}

/* ---- a new model ----------------------------------------------------------------------------------- */

/* All vectors: live rows, then new ones. */
struct source {
    const struct ivf *ivf;
    const struct ivf_model *old;
    uint32_t *row;         /* numbers of all */
    uint32_t *place, used; /* where the lists have the only vectors: a row's place in its list */
    size_t n_live, n;
    const float *x; /* of the new ones */
};

static void read_source(void *context, size_t i, float *out) {
    const struct source *source = context;
    size_t dim = source->ivf->index.rows.config.dim;
    if (i >= source->n_live) {
        memcpy(out, source->x + (i - source->n_live) * dim, dim * sizeof *out);
    } else if (!source->place) {
        (void)ivf_read_row(source->ivf, source->row[i], out, NULL);
    } else {
        uint32_t row = source->row[i];
        struct ivf_spot spot = {.i = source->place[row]};
        spot.list = atomic_load_explicit(ivf_place(source->ivf, row), memory_order_relaxed);
        spot.version = ivf_list_of(source->old, spot.list);
        (void)ivf_decode_spot(source->old, dim, &spot, out, NULL);
    }
}

static int find_places(struct source *source, struct ivf *ivf, kith_error *err) {
    source->place = new_numbers(ivf, source->used, err);
    if (!source->place) return KITH_ENOMEM;
    for (uint32_t list = 0; list < source->old->nlist; list++) {
        const struct ivf_list *version = ivf_list_of(source->old, list);
        for (uint32_t i = 0; version && i < version->n; i++)
            source->place[version->chunk[i / IVF_CHUNK].row[i % IVF_CHUNK]] = i;
    }
    return KITH_OK;
}

static void source_deinit(struct source *source, struct mem_account *owner) {
    mem_free(owner, source->row, source->n * sizeof *source->row);
    if (source->place) mem_free(owner, source->place, source->used * sizeof *source->place);
}

static int source_init(struct source *source, struct ivf *ivf, size_t n, const float *x,
                       const uint32_t *row, kith_error *err) {
    const struct rows *rows = &ivf->index.rows;
    uint32_t used = atomic_load_explicit(&rows->n, memory_order_acquire);
    uint32_t n_live = atomic_load_explicit(&rows->n_live, memory_order_acquire);
    *source = (struct source){
        .ivf = ivf, .old = ivf_model_of(ivf), .x = x, .n = n_live + n, .used = used};
    source->row = new_numbers(ivf, source->n, err);
    if (!source->row) return KITH_ENOMEM;
    for (uint32_t i = 0; i < used; i++)
        if (rows_is_live(rows, i)) source->row[source->n_live++] = i;
    if (n) memcpy(source->row + n_live, row, n * sizeof *row);
    int code = store_is_bare(rows_store(rows)) ? find_places(source, ivf, err) : KITH_OK;
    if (code != KITH_OK) source_deinit(source, &ivf->index.mem);
    return code;
}

/* What a new model learns from: `given`, or where that is NULL all rows; the centres stay where `keep` is set. */
struct relearning {
    const struct kmeans_rows *given;
    bool keep;
};

/* Replace the model (or make the first one) and place all rows in it: live ones and n new ones. */
static int remake(struct ivf *ivf, size_t n, const float *x, const uint32_t *row,
                  const struct relearning *how, const kith_work *work, kith_error *err) {
    struct mem_account *owner = &ivf->index.mem;
    struct ivf_model *model = NULL, *old = ivf_model_of(ivf);
    struct source source;
    TRY(source_init(&source, ivf, n, x, row, err));
    struct kmeans_rows all = {.n = source.n, .dim = ivf->index.rows.config.dim, .values = x};
    if (source.n_live) {
        all.read = read_source;
        all.context = &source;
    }
    const struct ivf_lesson lesson = {
        .x = how->given ? how->given : &all, .placed = &all, .old = how->keep ? old : NULL};
    int code = ivf_model_train(&model, ivf, &lesson, work, err);
    if (code == KITH_OK) code = ivf_place_rows(ivf, model, &all, source.row, work, err);
    source_deinit(&source, owner);
    if (code != KITH_OK) {
        ivf_model_free(model, owner);
        return code;
    }
    atomic_store_explicit(&ivf->model, model, memory_order_release);
    if (!old) return KITH_OK;
    epoch_wait(&ivf->index.rows.epoch);
    ivf_model_free(old, owner);
    return KITH_OK;
}

int ivf_rebuild(struct kith_index *index, kith_error *err) {
    const kith_work work = KITH_WORK_INIT;
    struct ivf *ivf = ivf_of(index);
    pthread_mutex_lock(&ivf->writers);
    int code = remake(ivf, 0, NULL, NULL, &(struct relearning){.keep = true}, &work, err);
    pthread_mutex_unlock(&ivf->writers);
    return code;
}

/* ---- after a write ---------------------------------------------------------------------------------- */

/* Vectors that lists have now leave the rows. Short memory: another time. */
static void let_go(struct ivf *ivf) {
    bool bare = store_is_bare(rows_store(&ivf->index.rows));
    if (ivf_model_of(ivf) && ivf->index.rows.config.may_forget && !bare)
        (void)rows_forget(&ivf->index.rows, NULL);
}

/* Dead rows leave their lists and become free; where memory is short they stay, for the next write to try again. */
static void bury(struct ivf *ivf, size_t n, const uint32_t *row) {
    struct ivf_model *model = ivf_model_of(ivf);
    if (model && ivf_displace_rows(ivf, model, n, row, NULL) != KITH_OK)
        ivf->stale = true;
    else
        (void)rows_release(&ivf->index.rows, n, row, NULL);
}

static void bury_stale(struct ivf *ivf) {
    struct rows *rows = &ivf->index.rows;
    uint32_t used = atomic_load_explicit(&rows->n, memory_order_acquire), n = 0;
    if (!ivf->stale || rows->n_dead == 0) return;
    size_t bytes = rows->n_dead * sizeof(uint32_t);
    uint32_t *dead = mem_new(&ivf->index.mem, bytes);
    if (!dead) return;
    for (uint32_t row = 0; row < used && n < bytes / sizeof *dead; row++)
        if (rows_is_used(rows, row) && !rows_is_live(rows, row)) dead[n++] = row;
    ivf->stale = false;
    if (ivf_model_of(ivf)) ivf_forget_strays(ivf, ivf_model_of(ivf), n, dead);
    bury(ivf, n, dead);
    mem_free(&ivf->index.mem, dead, bytes);
}

/* ---- operations --------------------------------------------------------------------------------------- */

static void report(const kith_work *work, size_t n) {
    if (work->progress) work->progress(work->context, n, n);
}

int ivf_train(struct kith_index *index, size_t n, const float *x, const kith_work *work,
              kith_error *err) {
    struct ivf *ivf = ivf_of(index);
    const struct kmeans_rows given = {.n = n, .dim = index->rows.config.dim, .values = x};
    pthread_mutex_lock(&ivf->writers);
    int code =
        remake(ivf, 0, NULL, NULL, &(struct relearning){.given = n ? &given : NULL}, work, err);
    if (code == KITH_OK) let_go(ivf);
    pthread_mutex_unlock(&ivf->writers);
    return code;
}

size_t ivf_rows_to_train(const struct ivf *ivf) {
    size_t n = (size_t)IVF_TRAIN_POINTS * ivf->nlist;
    return ivf->list_code == CODE_QUANTIZED && n < IVF_QUANTIZE_ROWS ? IVF_QUANTIZE_ROWS : n;
}

/* Pending rows into lists, training first where now there are enough rows or the lists are worn, or coding all anew where
 * the lists hold bytes and these are not. */
static int place_new(struct ivf *ivf, size_t n, const float *x, const uint32_t *row,
                     const kith_work *work, kith_error *err) {
    struct ivf_model *model = ivf_model_of(ivf);
    size_t dim = ivf->index.rows.config.dim;
    if (!model) {
        size_t total = atomic_load_explicit(&ivf->index.rows.n_live, memory_order_acquire) + n;
        if (total < ivf_rows_to_train(ivf)) return KITH_OK;
        return remake(ivf, n, x, row, &(struct relearning){0}, work, err);
    }
    bool bytes = !model->code.quantizer && model->code.plain.kind == CODE_U8;
    if (bytes && !code_is_integral(n * dim, x))
        return remake(ivf, n, x, row, &(struct relearning){.keep = true}, work, err);
    const struct kmeans_rows given = {.n = n, .dim = dim, .values = x};
    TRY(ivf_place_rows(ivf, model, &given, row, work, err));
    /* Worn lists are learnt anew while the new rows are at hand as they are; short memory: at a later write. */
    if (ivf_is_worn(ivf, n, atomic_load_explicit(&ivf->index.rows.n_live, memory_order_acquire)))
        (void)remake(ivf, n, x, row, &(struct relearning){0}, work, NULL);
    return KITH_OK;
}

int ivf_add(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
            const kith_work *work, kith_error *err) {
    struct ivf *ivf = ivf_of(index);
    uint32_t *row = new_numbers(ivf, n, err);
    if (!row) return KITH_ENOMEM;
    pthread_mutex_lock(&ivf->writers);
    bury_stale(ivf);
    int code = rows_add_begin(&index->rows, n, x, ids, work->threads, row, err);
    if (code == KITH_OK) {
        code = place_new(ivf, n, x, row, work, err);
        if (code == KITH_OK)
            rows_add_commit(&index->rows, n, row);
        else
            rows_add_abort(&index->rows, n, row);
    }
    if (code == KITH_OK) let_go(ivf);
    pthread_mutex_unlock(&ivf->writers);
    mem_free(&index->mem, row, n * sizeof *row);
    if (code == KITH_OK) report(work, n);
    return code;
}

int ivf_update(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
               const kith_work *work, kith_error *err) {
    struct ivf *ivf = ivf_of(index);
    uint32_t *row = new_numbers(ivf, 2 * n, err);
    if (!row) return KITH_ENOMEM;
    pthread_mutex_lock(&ivf->writers);
    bury_stale(ivf);
    int code = rows_update_begin(&index->rows, n, x, ids, work->threads, row, row + n, err);
    if (code == KITH_OK) {
        code = place_new(ivf, n, x, row, work, err);
        if (code == KITH_OK)
            rows_update_commit(&index->rows, n, row, row + n);
        else
            rows_update_abort(&index->rows, n, row);
    }
    if (code == KITH_OK) {
        let_go(ivf);
        bury(ivf, n, row + n);
    }
    pthread_mutex_unlock(&ivf->writers);
    mem_free(&index->mem, row, 2 * n * sizeof *row);
    if (code == KITH_OK) report(work, n);
    return code;
}

int ivf_remove(struct kith_index *index, size_t n, const int64_t *ids, kith_error *err) {
    struct ivf *ivf = ivf_of(index);
    uint32_t *row = new_numbers(ivf, n, err);
    if (!row) return KITH_ENOMEM;
    pthread_mutex_lock(&ivf->writers);
    bury_stale(ivf);
    int code = rows_remove(&index->rows, n, ids, row, err);
    if (code == KITH_OK) bury(ivf, n, row);
    pthread_mutex_unlock(&ivf->writers);
    mem_free(&index->mem, row, n * sizeof *row);
    return code;
}
