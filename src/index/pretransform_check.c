/* Checking and mending behind transforms. The inner index is derived data where originals are kept. */
#include "index/pretransform.h"

/* Invariant 2: every live row is in the inner index, and nothing is but rows in use. */
static int check_rows(const struct rows *rows, const struct rows *inner, kith_error *err) {
    uint32_t n = atomic_load_explicit(&rows->n, memory_order_acquire);
    uint32_t n_inner = atomic_load_explicit(&inner->n, memory_order_acquire);
    for (uint32_t row = 0; row < n; row++)
        if (rows_is_live(rows, row) && rows_find(inner, row) == ROW_NONE)
            return FAIL_AT(err, KITH_ECORRUPT, row,
                           "row %u is not behind the transforms (invariant 2)", row);
    for (uint32_t at = 0; at < n_inner; at++) {
        if (!rows_is_live(inner, at)) continue;
        int64_t row = rows_id(inner, at);
        if (row < 0 || row >= (int64_t)n || !rows_is_used(rows, (uint32_t)row))
            return FAIL_AT(err, KITH_ECORRUPT, at,
                           "row %lld behind the transforms is none of %u in use (invariant 2)",
                           (long long)row, n);
    }
    return KITH_OK;
}

int pre_check(const struct kith_index *index, kith_error *err) {
    struct pre *pre = pre_of(index);
    pthread_mutex_lock(&pre->writers);
    const struct pre_model *model = pre_model_of(pre);
    int code = model ? index_check(model->inner, err) : KITH_OK;
    if (code == KITH_OK && model) code = check_rows(&index->rows, &model->inner->rows, err);
    pthread_mutex_unlock(&pre->writers);
    return code;
}

/* First by the inner index's own means; where that is not enough all of it is made anew from the originals. */
int pre_repair(struct kith_index *index, uint64_t *mended, kith_error *err) {
    struct pre *pre = pre_of(index);
    kith_error found;
    *mended = 0;
    int code = pre_check(index, &found);
    if (code == KITH_ECORRUPT) {
        struct kith_index *inner = pre_model_of(pre)->inner;
        code = inner->ops->repair(inner, mended, &found);
        if (code == KITH_OK) code = pre_check(index, &found);
    }
    if (code == KITH_ECORRUPT && pre->keeps) {
        *mended = atomic_load_explicit(&index->rows.n_live, memory_order_acquire);
        code = pre_rebuild(index, &found);
    }
    if (code != KITH_OK && err) *err = found;
    return code;
}
