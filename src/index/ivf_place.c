/* Placing rows: each vector's nearest centre, its code, and new versions of the lists it goes to; and taking rows out.
 *
 *     vectors --pieces--> nearest lists --counting sort--> per list: codes -> version -> published together
 *
 * Nothing that a reader can see changes before every version is made. */
#include <string.h>

#include "base/thread.h"
#include "index/ivf.h"

#define RUN 32u /* vectors coded at a time */

/* One list's part of a write. */
struct edit {
    uint32_t list;
    uint32_t first, n; /* of `order`, or n rows to be removed */
    struct ivf_list *made;
};

struct placing {
    struct ivf *ivf;
    struct ivf_model *model;
    const struct kmeans_rows *x;
    const uint32_t *row;
    size_t n, dim;
    size_t piece;     /* vectors at a time whose lists are looked for */
    uint8_t *scratch; /* scratch_bytes a worker */
    size_t scratch_bytes;
    uint32_t *nearest;
    float *loss;     /* a row */
    uint32_t *order; /* places in x, by list */
    struct edit *edits;
    uint32_t n_edits;
    kith_error *err;
    _Atomic int code;
};

static void fail_once(struct placing *placing, int code, const kith_error *err) {
    int none = KITH_OK;
    if (atomic_compare_exchange_strong(&placing->code, &none, code) && placing->err)
        *placing->err = *err;
}

/* A worker's scratch: max(piece, RUN) vectors and a centre; behind them that of a search for lists. */
static float *vectors_of(const struct placing *placing, uint32_t worker) {
    return (float *)(void *)(placing->scratch + worker * placing->scratch_bytes);
}

static size_t vectors_bytes(const struct placing *placing) {
    size_t n = placing->piece > RUN ? placing->piece : RUN;
    return bits_round_up((n + 1) * placing->dim * sizeof(float), 64);
}

static void read_vector(const struct placing *placing, size_t i, float *out) {
    const struct kmeans_rows *x = placing->x;
    if (x->read)
        x->read(x->context, i, out);
    else
        memcpy(out, x->values + i * placing->dim, placing->dim * sizeof *out);
}

/* ---- the nearest lists ------------------------------------------------------------------------------ */

static void find_nearest(void *context, uint32_t worker, size_t begin, size_t end) {
    struct placing *placing = context;
    float *x = vectors_of(placing, worker), dist[KMEANS_BLOCK];
    const struct kmeans_found found = {1, placing->nearest + begin, dist};
    kith_error err;
    const bool in_place = !placing->x->read && !ivf_code_scales(&placing->model->code);
    void *scratch = (uint8_t *)x + vectors_bytes(placing);
    const float *at = in_place ? placing->x->values + begin * placing->dim : x;
    for (size_t i = begin; i < end && !in_place; i++) {
        float *to = x + (i - begin) * placing->dim;
        read_vector(placing, i, to);
        ivf_code_vector(&placing->model->code, placing->dim, to, to);
    }
    int code = ivf_coarse_find(&placing->model->coarse, end - begin, at, &found, scratch, &err);
    if (code != KITH_OK) fail_once(placing, code, &err);
    kith_metric metric = ivf_coarse_metric(placing->ivf->index.rows.config.metric);
    for (size_t i = begin; i < end; i++)
        placing->loss[i] =
            (float)ivf_loss(metric, placing->dim, at + (i - begin) * placing->dim, dist[i - begin]);
}

/* Places of x by list, each list's in rising order, and an edit for each list that gets some. */
static int sort_by_list(struct placing *placing, kith_error *err) {
    struct mem_account *owner = &placing->ivf->index.mem;
    uint32_t nlist = placing->model->nlist, at = 0;
    size_t bytes = ((size_t)nlist + 1) * sizeof(uint32_t);
    uint32_t *start = mem_new(owner, bytes);
    if (!start) return FAIL(err, KITH_ENOMEM, "no memory to sort %zu rows", placing->n);
    for (size_t i = 0; i < placing->n; i++) start[placing->nearest[i]]++;
    for (uint32_t list = 0; list < nlist; list++) {
        uint32_t n = start[list];
        start[list] = at;
        if (n)
            placing->edits[placing->n_edits++] = (struct edit){.list = list, .first = at, .n = n};
        at += n;
    }
    for (size_t i = 0; i < placing->n; i++)
        placing->order[start[placing->nearest[i]]++] = (uint32_t)i;
    mem_free(owner, start, bytes);
    return KITH_OK;
}

/* ---- new versions ------------------------------------------------------------------------------------ */

static void encode_edit(const struct placing *placing, const struct edit *edit, float *scratch,
                        uint32_t *row, uint8_t *codes) {
    const struct ivf_code *code = &placing->model->code;
    float *centre = scratch + RUN * placing->dim;
    ivf_centre(placing->model, edit->list, centre);
    for (uint32_t i = 0; i < edit->n; i += RUN) {
        uint32_t n = edit->n - i < RUN ? edit->n - i : RUN;
        for (uint32_t j = 0; j < n; j++) {
            uint32_t at = placing->order[edit->first + i + j];
            float *to = scratch + j * placing->dim;
            read_vector(placing, at, to);
            if (code->quantizer) ivf_code_vector(code, placing->dim, to, to);
            row[i + j] = placing->row[at];
        }
        ivf_code_encode(code, placing->dim, n, scratch, centre, codes + i * code->row_bytes);
    }
}

static void make_versions(void *context, uint32_t worker, size_t begin, size_t end) {
    struct placing *placing = context;
    struct mem_account *owner = &placing->ivf->index.mem;
    const struct ivf_code *how = &placing->model->code;
    for (size_t i = begin; i < end; i++) {
        struct edit *edit = &placing->edits[i];
        size_t row_at = bits_round_up(edit->n * how->row_bytes, 64);
        size_t bytes = row_at + edit->n * sizeof(uint32_t);
        kith_error err;
        uint8_t *codes = mem_new(owner, bytes);
        int code =
            codes ? KITH_OK : FAIL(&err, KITH_ENOMEM, "no memory for %u codes of a list", edit->n);
        if (code == KITH_OK) {
            uint32_t *row = (uint32_t *)(void *)(codes + row_at);
            encode_edit(placing, edit, vectors_of(placing, worker), row, codes);
            code = ivf_list_new(&edit->made, how, ivf_list_of(placing->model, edit->list), NULL, 0,
                                row, codes, edit->n, owner, &err);
            mem_free(owner, codes, bytes);
        }
        if (code != KITH_OK) fail_once(placing, code, &err);
    }
}

static void drop_versions(struct ivf *ivf, struct ivf_model *model, struct edit *edits,
                          uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        ivf_list_free(edits[i].made, ivf_list_of(model, edits[i].list), &model->code,
                      &ivf->index.mem);
}

/* From here on nothing fails. */
static void publish_versions(struct ivf *ivf, struct ivf_model *model, struct edit *edits,
                             uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        struct ivf_list *made = edits[i].made;
        edits[i].made =
            atomic_exchange_explicit(&model->list[edits[i].list], made, memory_order_acq_rel);
    }
    if (model == ivf_model_of(ivf)) epoch_wait(&ivf->index.rows.epoch);
    for (uint32_t i = 0; i < n; i++)
        ivf_list_free(edits[i].made, ivf_list_of(model, edits[i].list), &model->code,
                      &ivf->index.mem);
}

/* ---- in ------------------------------------------------------------------------------------------------ */

static int place(struct placing *placing, uint32_t threads, kith_error *err) {
    struct ivf *ivf = placing->ivf;
    uint32_t last = 0;
    for (size_t i = 0; i < placing->n; i++) last = placing->row[i] > last ? placing->row[i] : last;
    if (!segs_reserve(&ivf->list_of, last + 1, &ivf->index.mem))
        return FAIL(err, KITH_ENOMEM, "no memory for the lists of %u rows", last + 1);
    thread_for(threads, placing->n, placing->piece, find_nearest, placing);
    TRY(atomic_load_explicit(&placing->code, memory_order_relaxed));
    TRY(sort_by_list(placing, err));
    thread_for(threads, placing->n_edits, 1, make_versions, placing);
    int code = atomic_load_explicit(&placing->code, memory_order_relaxed);
    if (code != KITH_OK) {
        drop_versions(ivf, placing->model, placing->edits, placing->n_edits);
        return code;
    }
    placing->model->wear.placed = 0;
    for (size_t i = 0; i < placing->n; i++) {
        placing->model->wear.placed += (double)placing->loss[i];
        atomic_store_explicit(ivf_place(ivf, placing->row[i]), placing->nearest[i],
                              memory_order_relaxed);
    }
    publish_versions(ivf, placing->model, placing->edits, placing->n_edits);
    return KITH_OK;
}

int ivf_place_rows(struct ivf *ivf, struct ivf_model *model, const struct kmeans_rows *x,
                   const uint32_t *row, const kith_work *work, kith_error *err) {
    struct mem_account *owner = &ivf->index.mem;
    struct placing placing = {
        .ivf = ivf, .model = model, .x = x, .row = row, .n = x->n, .dim = x->dim, .err = err};
    uint32_t threads = work->threads > THREAD_MAX ? THREAD_MAX : work->threads;
    if (x->n == 0) return KITH_OK;
    size_t edits = x->n < model->nlist ? x->n : model->nlist;
    placing.piece = ivf_coarse_block(&model->coarse, 1);
    placing.scratch_bytes = bits_round_up(
        vectors_bytes(&placing) + ivf_coarse_bytes(&model->coarse, placing.piece, 1), 64);
    size_t nearest_at = threads * placing.scratch_bytes;
    size_t loss_at = nearest_at + x->n * sizeof(uint32_t);
    size_t order_at = loss_at + x->n * sizeof(float);
    size_t edits_at = bits_round_up(order_at + x->n * sizeof(uint32_t), 64);
    size_t bytes = edits_at + edits * sizeof(struct edit);
    uint8_t *memory = mem_new(owner, bytes);
    if (!memory) return FAIL(err, KITH_ENOMEM, "no memory to place %zu rows in lists", x->n);
    placing.scratch = memory;
    placing.nearest = (uint32_t *)(void *)(memory + nearest_at);
    placing.loss = (float *)(void *)(memory + loss_at);
    placing.order = (uint32_t *)(void *)(memory + order_at);
    placing.edits = (struct edit *)(void *)(memory + edits_at);
    int code = place(&placing, threads, err);
    mem_free(owner, memory, bytes);
    return code;
}

/* ---- out ----------------------------------------------------------------------------------------------- */

/* Rows on their way out have no list. */
static bool is_leaving(const struct ivf *ivf, uint32_t row) {
    return atomic_load_explicit(ivf_place(ivf, row), memory_order_relaxed) == ROW_NONE;
}

static int shrink(struct ivf *ivf, struct ivf_model *model, struct edit *edit, kith_error *err) {
    struct mem_account *owner = &ivf->index.mem;
    const struct ivf_list *list = ivf_list_of(model, edit->list);
    size_t bytes = edit->n * sizeof(uint32_t);
    uint32_t *dead = mem_new(owner, bytes), n = 0;
    if (!dead) return FAIL(err, KITH_ENOMEM, "no memory to remove %u rows", edit->n);
    for (uint32_t i = 0; i < list->n && n < edit->n; i++)
        if (is_leaving(ivf, list->chunk[i / IVF_CHUNK].row[i % IVF_CHUNK])) dead[n++] = i;
    int code = ivf_list_new(&edit->made, &model->code, list, dead, n, NULL, NULL, 0, owner, err);
    mem_free(owner, dead, bytes);
    return code;
}

/* The lists of n rows, with how many leave each; the rows are marked as leaving, and list[] keeps where they were. */
static uint32_t mark_leaving(struct ivf *ivf, size_t n, const uint32_t *row, uint32_t *list,
                             struct edit *edits, uint32_t *edit_of) {
    uint32_t n_edits = 0;
    for (size_t i = 0; i < n; i++) {
        list[i] = atomic_load_explicit(ivf_place(ivf, row[i]), memory_order_relaxed);
        atomic_store_explicit(ivf_place(ivf, row[i]), ROW_NONE, memory_order_relaxed);
        if (list[i] == ROW_NONE) continue;
        uint32_t *edit = &edit_of[list[i]]; /* 1 + its number */
        if (*edit == 0) {
            edits[n_edits] = (struct edit){.list = list[i]};
            *edit = ++n_edits;
        }
        edits[*edit - 1].n++;
    }
    return n_edits;
}

int ivf_displace_rows(struct ivf *ivf, struct ivf_model *model, size_t n, const uint32_t *row,
                      kith_error *err) {
    struct mem_account *owner = &ivf->index.mem;
    size_t most = n < model->nlist ? n : model->nlist;
    size_t list_at = most * sizeof(struct edit), of_at = list_at + n * sizeof(uint32_t);
    size_t bytes = of_at + model->nlist * sizeof(uint32_t);
    uint8_t *memory = mem_new(owner, bytes);
    if (!memory) return FAIL(err, KITH_ENOMEM, "no memory to take %zu rows out of lists", n);
    struct edit *edits = (struct edit *)(void *)memory;
    uint32_t *list = (uint32_t *)(void *)(memory + list_at);
    uint32_t n_edits = mark_leaving(ivf, n, row, list, edits, (uint32_t *)(void *)(memory + of_at));
    int code = KITH_OK;
    for (uint32_t i = 0; i < n_edits && code == KITH_OK; i++)
        code = shrink(ivf, model, &edits[i], err);
    if (code == KITH_OK) {
        publish_versions(ivf, model, edits, n_edits);
    } else {
        drop_versions(ivf, model, edits, n_edits);
        for (size_t i = 0; i < n; i++)
            atomic_store_explicit(ivf_place(ivf, row[i]), list[i], memory_order_relaxed);
    }
    mem_free(owner, memory, bytes);
    return code;
}

/* ---- looking --------------------------------------------------------------------------------------------- */

/* The place of a row in a version of a list, or ROW_NONE. */
static uint32_t find_in(const struct ivf_list *list, uint32_t row) {
    for (uint32_t i = 0; list && i < list->n; i++)
        if (list->chunk[i / IVF_CHUNK].row[i % IVF_CHUNK] == row) return i;
    return ROW_NONE;
}

static bool find_spot(const struct ivf_model *model, uint32_t list, uint32_t row,
                      struct ivf_spot *spot) {
    *spot = (struct ivf_spot){.list = list, .version = ivf_list_of(model, list)};
    spot->i = find_in(spot->version, row);
    return spot->i != ROW_NONE;
}

void ivf_forget_strays(struct ivf *ivf, const struct ivf_model *model, size_t n,
                       const uint32_t *row) {
    struct ivf_spot spot;
    for (size_t i = 0; i < n; i++) {
        uint32_t list = atomic_load_explicit(ivf_place(ivf, row[i]), memory_order_relaxed);
        if (list >= model->nlist || !find_spot(model, list, row[i], &spot))
            atomic_store_explicit(ivf_place(ivf, row[i]), ROW_NONE, memory_order_relaxed);
    }
}

/* In the list that list_of names; while lists are learnt anew that may be the other model's, and all are looked at. */
static bool find_row(const struct ivf *ivf, const struct ivf_model *model, uint32_t row,
                     struct ivf_spot *spot) {
    uint32_t list = atomic_load_explicit(ivf_place(ivf, row), memory_order_relaxed);
    if (list < model->nlist && find_spot(model, list, row, spot)) return true;
    for (list = 0; list < model->nlist; list++)
        if (find_spot(model, list, row, spot)) return true;
    return false;
}

int ivf_decode_spot(const struct ivf_model *model, size_t dim, const struct ivf_spot *spot,
                    float *out, kith_error *err) {
    size_t code_at = bits_round_up(dim * sizeof(float), 64);
    const struct ivf_chunk *chunk = &spot->version->chunk[spot->i / IVF_CHUNK];
    uint8_t *scratch = mem_new(NULL, code_at + model->code.row_bytes);
    if (!scratch) return FAIL(err, KITH_ENOMEM, "no memory to decode a row of list %u", spot->list);
    float *centre = (float *)(void *)scratch;
    ivf_centre(model, spot->list, centre);
    ivf_code_unpack(&model->code, chunk->codes, spot->i % IVF_CHUNK, scratch + code_at);
    ivf_code_decode(&model->code, dim, scratch + code_at, centre, out);
    mem_free(NULL, scratch, code_at + model->code.row_bytes);
    return KITH_OK;
}

int ivf_read_row(const struct ivf *ivf, uint32_t row, float *out, kith_error *err) {
    const struct store *store = rows_store(&ivf->index.rows);
    if (!store_is_bare(store)) {
        code_decode(store_exact_code(store), store_exact_row(store, row), out);
        return KITH_OK;
    }
    const struct ivf_model *model = ivf_model_of(ivf); /* which there is */
    struct ivf_spot spot;
    if (!find_row(ivf, model, row, &spot))
        return FAIL_AT(err, KITH_ECORRUPT, row, "row %u is in no list (invariant 1)", row);
    return ivf_decode_spot(model, ivf->index.rows.config.dim, &spot, out, err);
}
