/* Rows that come with their codes: a store with a given model, filled in order, and then ids and life at once. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "base/thread.h"
#include "index/import.h"
#include "index/rows_store.h"

#define PIECE 256u

static int set_model(struct code *code, const struct code_model *model, kith_error *err) {
    if (code->kind == CODE_SQ8 && model->low) {
        memcpy(code->low, model->low, code->dim * sizeof(float));
        memcpy(code->step, model->step, code->dim * sizeof(float));
        for (uint32_t i = 0; i < code->dim; i++)
            code->inv_step[i] = model->step[i] > 0 ? 1 / model->step[i] : 0;
    }
    if (!code->quantizer || !model->bytes) return KITH_OK;
    int result =
        code->quantizer->ops->model_read(code->quantizer, model->bytes, model->n_bytes, err);
    if (result == KITH_ECORRUPT && err) err->code = KITH_EUNSUPPORTED;
    return result == KITH_ECORRUPT ? KITH_EUNSUPPORTED : result;
}

int rows_import_open(struct rows *rows, uint32_t n, bool integral, const struct code_model *model,
                     kith_error *err) {
    struct store *old = atomic_load_explicit(&rows->store, memory_order_relaxed), *store;
    uint32_t words = (uint32_t)bits_words(n);
    if (!segs_reserve(&rows->live, words, rows->owner) ||
        !segs_reserve(&rows->held, words, rows->owner) ||
        !segs_reserve(&rows->freed, words, rows->owner))
        return FAIL(err, KITH_ENOMEM, "no memory for the marks of %" PRIu32 " rows", n);
    if (store_is_bare(old)) return KITH_OK;
    const struct store_form form = {.integral = integral,
                                    .quantized = rows->config.walk == CODE_QUANTIZED};
    TRY(store_new(&store, &rows->config, form, rows->owner, err));
    store_free(old, rows->owner);
    atomic_store_explicit(&rows->store, store, memory_order_release); /* freed with the rows */
    TRY(set_model(&store->walk, model, err));
    if (!store_reserve(store, n, rows->owner))
        return FAIL(err, KITH_ENOMEM, "no memory for %" PRIu32 " rows of %" PRIu32 " bytes", n,
                    store->walk.stride);
    return KITH_OK;
}

/* Codes that were taken from vectors near to those that they are to stand for, or from originals, are put right, if they
 * can be: a code that still stands for something else is refused. */
static int settle_codes(struct store *store, uint32_t first, size_t n, const float *coded,
                        struct mem_account *owner, kith_error *err) {
    size_t dim = store->walk.dim, bytes = dim * sizeof(float), i = 0;
    if (store->walk.kind < CODE_SQ8 || !coded) return KITH_OK;
    float *decoded = mem_new(owner, bytes);
    if (!decoded) return FAIL(err, KITH_ENOMEM, "no memory for a row of %zu dimensions", dim);
    for (; i < n; i++, coded += dim) {
        uint8_t *at = segs_at(&store->walk_rows, first + (uint32_t)i);
        code_decode(&store->walk, at, decoded);
        if (import_is_same(dim, decoded, coded)) continue;
        (void)code_encode(&store->walk, coded, at);
        if (store->has_err)
            *(float *)(void *)segs_at(&store->err_of, first + (uint32_t)i) = INFINITY;
        code_decode(&store->walk, at, decoded);
        if (!import_is_same(dim, decoded, coded)) break;
    }
    mem_free(owner, decoded, bytes);
    if (i == n) return KITH_OK;
    return FAIL_AT(err, KITH_EUNSUPPORTED, first + i, "row %zu: its code cannot be kept as it is",
                   first + i);
}

int rows_import_check(const struct rows *rows, size_t n, const float *x, kith_error *err) {
    const struct store_batch batch = {.n = n, .x = x, .threads = 1};
    return store_check_values(&rows->config, &batch, err);
}

int rows_import_put(struct rows *rows, uint32_t first, const struct row_values *values,
                    kith_error *err) {
    struct store *store = atomic_load_explicit(&rows->store, memory_order_relaxed);
    size_t dim = rows->config.dim;
    const float *coded = values->coded;
    if (!coded && !store->has_orig) coded = values->x;
    for (size_t i = 0, some; i < values->n; i += some, first += (uint32_t)some) {
        some = values->n - i < PIECE ? values->n - i : PIECE;
        uint32_t row[PIECE];
        for (uint32_t j = 0; j < some; j++) row[j] = first + j;
        const struct store_batch batch = {
            .n = some, .x = values->x + i * dim, .threads = values->threads};
        TRY(store_check_values(&rows->config, &batch, err));
        store_write(store, &batch, row);
        TRY(settle_codes(store, first, some, coded ? coded + i * dim : NULL, rows->owner, err));
    }
    return KITH_OK;
}

static int put_ids(struct rows *rows, uint32_t n, const int64_t *ids, kith_error *err) {
    if (!segs_reserve(&rows->id_of, n, rows->owner) ||
        !id_map_reserve(&rows->ids, n, &rows->id_of, rows->owner))
        return FAIL(err, KITH_ENOMEM, "no memory for the ids of %" PRIu32 " rows", n);
    for (uint32_t row = 0; row < n; row++) {
        if (ids[row] < 0)
            return FAIL_AT(err, KITH_EINVAL, row, "row %" PRIu32 ": id %" PRId64 " is negative",
                           row, ids[row]);
        *(int64_t *)(void *)segs_at(&rows->id_of, row) = ids[row];
        if (id_map_put(&rows->ids, &rows->id_of, row) != ROW_NONE)
            return FAIL_AT(err, KITH_EDUPLICATE, row, "row %" PRIu32 ": id %" PRId64 " comes twice",
                           row, ids[row]);
        if (ids[row] >= rows->next_id)
            rows->next_id = ids[row] == INT64_MAX ? INT64_MAX : ids[row] + 1;
    }
    atomic_store_explicit(&rows->explicit_ids, true, memory_order_release);
    return KITH_OK;
}

int rows_import_close(struct rows *rows, uint32_t n, const int64_t *ids, kith_error *err) {
    uint32_t in_order = 0;
    while (ids && in_order < n && ids[in_order] == (int64_t)in_order) in_order++;
    if (ids && in_order < n)
        TRY(put_ids(rows, n, ids, err));
    else
        rows->next_id = n;
    for (uint32_t row = 0; row < n; row++) {
        row_bit_set(&rows->held, row);
        rows_set_live(rows, row);
    }
    if (rows_store(rows)->walk.kind >= CODE_SQ8) rows->trained_n = n;
    atomic_store_explicit(&rows->n, n, memory_order_release);
    atomic_store_explicit(&rows->n_live, n, memory_order_release);
    return KITH_OK;
}
