/* An index behind transforms: the inner index's node within a PreTransform, and around both the originals that refine.
 *
 * Rows of the file are the inner index's, whose ids are row numbers of the outer one; those that the outer index does not
 * know any more are left out. Under cosine, the chain or what is behind it scales vectors to length 1; only originals ask for
 * L2norm around all. A transform that FAISS has another form of is written as its matrix. */
#include <string.h>

#include "base/status.h"
#include "convert/export.h"
#include "index/pretransform.h"

/* ---- rows ------------------------------------------------------------------------------------------ */

/* Rows of the inner index that the outer has; `outer_row` becomes their row numbers there. */
static int match_rows(struct exporting *exporting, const struct kith_index *outer,
                      uint32_t **outer_row, kith_error *err) {
    const struct rows *rows = &outer->rows, *inner = &exporting->index->rows;
    uint32_t used = atomic_load_explicit(&rows->n, memory_order_acquire), n = 0;
    bool in_order = true;
    int64_t *ids = export_new(exporting, exporting->n, sizeof *ids);
    *outer_row = export_new(exporting, exporting->n, sizeof **outer_row);
    if (!ids || !*outer_row)
        return FAIL(err, KITH_ENOMEM, "no memory for the ids of %u rows", exporting->n);
    for (uint32_t i = 0; i < exporting->n; i++) {
        uint32_t row = exporting->row[i];
        int64_t id = rows_id(inner, row);
        bool there = id >= 0 && id < used && rows_is_live(rows, (uint32_t)id);
        exporting->place[row] = there ? n : ROW_NONE;
        if (!there) continue;
        (*outer_row)[n] = (uint32_t)id;
        ids[n] = rows_id(rows, (uint32_t)id);
        in_order = in_order && ids[n] == (int64_t)n;
        exporting->row[n++] = row;
    }
    exporting->n = n;
    exporting->ids = in_order ? NULL : ids;
    return KITH_OK;
}

/* ---- transforms ------------------------------------------------------------------------------------ */

/* y = A x of a transform that keeps no matrix, by what it makes of unit vectors. */
static int put_matrix(struct exporting *exporting, const struct transform *transform,
                      struct faiss_transform *out, kith_error *err) {
    size_t d_in = transform->spec.d_in, d_out = transform->spec.d_out;
    float *a = export_new(exporting, d_in * d_out, sizeof *a);
    float *x = export_new(exporting, d_in, sizeof *x), *y = export_new(exporting, d_out, sizeof *y);
    if (!a || !x || !y)
        return FAIL(err, KITH_ENOMEM, "no memory for a matrix of %zu x %zu", d_out, d_in);
    for (size_t j = 0; j < d_in; j++) {
        x[j] = 1;
        transform_apply(transform, 1, 1, x, y);
        x[j] = 0;
        for (size_t i = 0; i < d_out; i++) a[i * d_in + j] = y[i];
    }
    out->A = (struct faiss_array){(const uint8_t *)a, d_in * d_out};
    return KITH_OK;
}

static int put_transform(struct exporting *exporting, const struct transform *transform,
                         struct faiss_transform *out, kith_error *err) {
    uint64_t d_in = transform->spec.d_in, d_out = transform->spec.d_out;
    *out = (struct faiss_transform){
        .kind = FAISS_LINEAR, .d_in = (int32_t)d_in, .d_out = (int32_t)d_out, .is_trained = true};
    switch (transform->spec.kind) {
    case TRANSFORM_NORMALISE:
        out->kind = FAISS_NORMALIZE;
        out->norm = 2;
        return KITH_OK;
    case TRANSFORM_CENTRE: {
        float *mean = export_new(exporting, d_in, sizeof *mean);
        if (!mean) return FAIL(err, KITH_ENOMEM, "no memory for a mean");
        for (uint64_t i = 0; i < d_in; i++) mean[i] = -transform->b[i];
        out->kind = FAISS_CENTER;
        out->mean = (struct faiss_array){(const uint8_t *)mean, d_in};
        return KITH_OK;
    }
    case TRANSFORM_PAD: {
        int32_t *map = export_new(exporting, d_out, sizeof *map);
        if (!map) return FAIL(err, KITH_ENOMEM, "no memory for a map of dimensions");
        for (uint64_t i = 0; i < d_out; i++) map[i] = i < d_in ? (int32_t)i : -1;
        out->kind = FAISS_REMAP;
        out->map = (struct faiss_array){(const uint8_t *)map, d_out};
        return KITH_OK;
    }
    default: break;
    }
    if (!transform->a) return put_matrix(exporting, transform, out, err);
    out->A = (struct faiss_array){(const uint8_t *)transform->a, d_in * d_out};
    out->have_bias = transform->b != NULL;
    if (transform->b) out->b = (struct faiss_array){(const uint8_t *)transform->b, d_out};
    return KITH_OK;
}

static int put_chain(struct exporting *exporting, const struct transform_chain *chain,
                     struct faiss_node **root, kith_error *err) {
    struct faiss_node *node = NULL, *inner = *root;
    int32_t more = inner->kind == FAISS_PRE_TRANSFORM ? inner->n_chain : 0; /* L2norm */
    TRY(export_node(exporting, FAISS_PRE_TRANSFORM, &node, err));
    node->chain = export_new(exporting, chain->n + (uint32_t)more, sizeof *node->chain);
    if (!node->chain) return FAIL(err, KITH_ENOMEM, "no memory for %u transforms", chain->n);
    for (uint32_t i = 0; i < chain->n; i++)
        TRY(put_transform(exporting, &chain->at[i], &node->chain[i], err));
    for (int32_t i = 0; i < more; i++) node->chain[chain->n + (uint32_t)i] = inner->chain[i];
    node->n_chain = (int32_t)chain->n + more;
    node->inner = more ? inner->inner : inner;
    tell(exporting->what, "transforms: kept, what is linear as its matrix");
    *root = node;
    return KITH_OK;
}

/* ---- around ---------------------------------------------------------------------------------------- */

/* Originals of the outer index, by the rows that they have there. */
static int put_originals(struct exporting *exporting, uint32_t *outer_row, struct faiss_node **root,
                         kith_error *err) {
    exporting->row = outer_row;
    return export_refined(exporting, *root, root, err);
}

int export_wrapped(struct exporting *exporting, struct faiss_node **out, bool *has_ids,
                   kith_error *err) {
    const struct kith_index *outer = exporting->index;
    const struct transform_chain *chain = index_pre_chain(outer);
    kith_metric metric = exporting->metric;
    uint32_t *outer_row;
    exporting->index = index_pre_inner(outer);
    exporting->metric = exporting->index->rows.config.metric;
    exporting->dim = chain->d_out;
    exporting->by_place = pre_of(outer)->keeps;
    TRY(export_list_rows(exporting, err));
    TRY(match_rows(exporting, outer, &outer_row, err));
    TRY(export_core(exporting, out, has_ids, err));
    TRY(export_normalised(exporting, out, err));
    exporting->index = outer;
    exporting->metric = metric;
    exporting->dim = chain->d_in;
    TRY(put_chain(exporting, chain, out, err));
    if (!exporting->by_place) return KITH_OK;
    TRY(put_originals(exporting, outer_row, out, err));
    return export_normalised(exporting, out, err);
}
