/* Checking and mending. Lists are derived data where originals are kept: mending codes all rows anew. */
#include <string.h>

#include "index/ivf.h"

/* One list: chunks are full, row numbers are there, live ones once and with this list. `seen` counts by row. */
static int check_list(const struct ivf *ivf, const struct ivf_list *list, uint32_t number,
                      uint32_t n_rows, uint8_t *seen, kith_error *err) {
    const struct rows *rows = &ivf->index.rows;
    uint32_t n = 0;
    for (uint32_t c = 0; c < list->n_chunks; c++) {
        const struct ivf_chunk *chunk = &list->chunk[c];
        if (chunk->n == 0 || chunk->n > IVF_CHUNK ||
            (c + 1 < list->n_chunks && chunk->n < IVF_CHUNK))
            return FAIL_AT(err, KITH_ECORRUPT, number,
                           "list %u: chunk %u has %u rows (invariant 2)", number, c, chunk->n);
        for (uint32_t i = 0; i < chunk->n; i++) {
            uint32_t row = chunk->row[i];
            if (row >= n_rows)
                return FAIL_AT(err, KITH_ECORRUPT, number, "list %u holds row %u of %u", number,
                               row, n_rows);
            if (!rows_is_live(rows, row)) continue;
            if (seen[row]++)
                return FAIL_AT(err, KITH_ECORRUPT, row, "row %u is in lists twice (invariant 1)",
                               row);
            if (atomic_load_explicit(ivf_place(ivf, row), memory_order_relaxed) != number)
                return FAIL_AT(err, KITH_ECORRUPT, row,
                               "row %u is in list %u, not where it should be (invariant 1)", row,
                               number);
        }
        n += chunk->n;
    }
    if (n != list->n)
        return FAIL_AT(err, KITH_ECORRUPT, number, "list %u: %u rows in chunks, %u counted", number,
                       n, list->n);
    return KITH_OK;
}

static int check_lists(const struct ivf *ivf, const struct ivf_model *model, uint32_t n_rows,
                       uint8_t *seen, kith_error *err) {
    for (uint32_t i = 0; i < model->nlist; i++) {
        const struct ivf_list *list = ivf_list_of(model, i);
        if (list) TRY(check_list(ivf, list, i, n_rows, seen, err));
    }
    for (uint32_t row = 0; row < n_rows; row++)
        if (rows_is_live(&ivf->index.rows, row) && !seen[row])
            return FAIL_AT(err, KITH_ECORRUPT, row, "row %u is in no list (invariant 1)", row);
    return KITH_OK;
}

int ivf_check(const struct kith_index *index, kith_error *err) {
    struct ivf *ivf = ivf_of(index);
    pthread_mutex_lock(&ivf->writers);
    const struct ivf_model *model = ivf_model_of(ivf);
    int code = KITH_OK;
    if (model) {
        code = model->coarse.index ? index_check(model->coarse.index, err) : KITH_OK;
        uint32_t n_rows = atomic_load_explicit(&index->rows.n, memory_order_acquire);
        uint8_t *seen = mem_new(NULL, n_rows);
        if (!seen)
            code = FAIL(err, KITH_ENOMEM, "no memory to check %u rows", n_rows);
        else if (code == KITH_OK)
            code = check_lists(ivf, model, n_rows, seen, err);
        if (seen) mem_free(NULL, seen, n_rows);
    }
    pthread_mutex_unlock(&ivf->writers);
    return code;
}

/* The graph over the centres has what it takes in itself. */
static int repair_coarse(struct ivf *ivf, uint64_t *mended, kith_error *err) {
    pthread_mutex_lock(&ivf->writers);
    const struct ivf_model *model = ivf_model_of(ivf);
    struct kith_index *coarse = model ? model->coarse.index : NULL;
    int code = coarse && coarse->ops->repair ? coarse->ops->repair(coarse, mended, err) : KITH_OK;
    pthread_mutex_unlock(&ivf->writers);
    return code;
}

int ivf_repair(struct kith_index *index, uint64_t *mended, kith_error *err) {
    struct ivf *ivf = ivf_of(index);
    kith_error found;
    *mended = 0;
    TRY(repair_coarse(ivf, mended, err));
    int code = ivf_check(index, &found);
    if (code != KITH_OK && code != KITH_ECORRUPT && err) *err = found;
    if (code != KITH_ECORRUPT) return code;
    if (!ivf->refine)
        return FAIL(err, KITH_ECORRUPT,
                    "the lists are damaged, and there are no originals to make them from");
    *mended += atomic_load_explicit(&index->rows.n_live, memory_order_acquire);
    return ivf_rebuild(index, err);
}
