/* An index behind transforms from parts that were made elsewhere, as files of other engines have them. */
#include <stdio.h>
#include <string.h>

#include "index/import.h"
#include "index/pretransform.h"

static int check_parts(const struct pre_parts *parts, kith_error *err) {
    const struct transform_chain *chain = parts->chain;
    const struct rows *inner = &parts->inner->rows;
    uint32_t n_live = atomic_load_explicit(&inner->n_live, memory_order_acquire);
    if (chain->n == 0 || !transform_chain_trained(chain))
        return FAIL(err, KITH_EINVAL, "a chain of %u transforms that is not trained", chain->n);
    if (chain->d_out != inner->config.dim)
        return FAIL(err, KITH_EINVAL, "transforms to dimension %u before an index of dimension %u",
                    chain->d_out, inner->config.dim);
    if (inner->config.metric == KITH_METRIC_COSINE || parts->inner->chooses ||
        parts->inner->ops == &pre_ops)
        return FAIL(err, KITH_EINVAL, "no %s index goes behind transforms as it is",
                    parts->inner->spec);
    if (n_live != parts->n)
        return FAIL(err, KITH_EINVAL, "%zu ids for %u rows behind transforms", parts->n, n_live);
    for (size_t i = 0; i < parts->n; i++)
        if (rows_find(inner, (int64_t)i) == ROW_NONE)
            return FAIL_AT(err, KITH_EINVAL, i, "no row of id %zu behind transforms", i);
    return KITH_OK;
}

/* "PCA64,IVF256,PQ16,Refine": an index of that description, still without rows. */
static int make_empty(struct kith_index **out, const struct pre_parts *parts, kith_error *err) {
    struct index_spec spec;
    char text[2 * FACTORY_TEXT];
    pre_print_chain(parts->chain, text, FACTORY_TEXT);
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "%s%s", parts->inner->spec,
             parts->originals ? ",Refine" : "");
    TRY(factory_parse(text, &spec, err));
    spec.rows.dim = parts->chain->d_in;
    spec.rows.metric = parts->inner->rows.config.metric;
    return index_make(out, &spec, &parts->inner->options, err);
}

/* Rows of the numbers 0 ... n - 1, as nothing else was ever added. */
static int add_rows(struct rows *rows, const struct pre_parts *parts, kith_error *err) {
    const struct code_model nothing = {0};
    const struct row_values values = {.n = parts->n, .x = parts->originals, .threads = 1};
    uint32_t n = (uint32_t)parts->n;
    bool integral =
        parts->originals && code_is_integral(parts->n * parts->chain->d_in, parts->originals);
    TRY(rows_import_open(rows, n, integral, &nothing, err));
    if (parts->originals && n) TRY(rows_import_put(rows, 0, &values, err));
    return rows_import_close(rows, n, parts->ids, err);
}

/* The chain is copied by way of its bytes, so that its memory is the index's. */
static int copy_chain(struct transform_chain *to, const struct transform_chain *from,
                      struct mem_account *owner, kith_error *err) {
    size_t n = transform_chain_bytes(from);
    uint8_t *bytes = mem_new(owner, n);
    if (!bytes) return FAIL(err, KITH_ENOMEM, "no memory for transforms of %zu bytes", n);
    transform_chain_write(from, bytes);
    int code = transform_chain_read(to, bytes, n, owner, err);
    mem_free(owner, bytes, n);
    return code;
}

int index_pre_wrap(struct kith_index **out, const struct pre_parts *parts, kith_error *err) {
    struct kith_index *index;
    TRY(check_parts(parts, err));
    TRY(make_empty(&index, parts, err));
    struct pre *pre = pre_of(index);
    struct mem_account *owner = &index->mem;
    struct pre_model *model = mem_new(owner, sizeof *model);
    int code = model ? copy_chain(&model->chain, parts->chain, owner, err)
                     : FAIL(err, KITH_ENOMEM, "no memory for transforms");
    if (code == KITH_OK) code = pre_join(pre, parts->inner, err);
    if (code == KITH_OK && !pre->keeps && !store_is_bare(rows_store(&index->rows)))
        code = rows_forget(&index->rows, err);
    if (code == KITH_OK) code = add_rows(&index->rows, parts, err);
    if (code != KITH_OK) {
        mem_account_leave(&parts->inner->mem, parts->inner->object_bytes);
        pre_model_free(model, owner);
        index_free(index);
        return code;
    }
    pre_model_free(pre_model_of(pre), owner); /* of what learns nothing: nobody has seen it */
    model->inner = parts->inner;
    atomic_store_explicit(&pre->model, model, memory_order_release);
    *out = index;
    return KITH_OK;
}
