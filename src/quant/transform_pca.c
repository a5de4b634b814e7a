/* Principal components: the covariance by tile kernels, its eigenvectors by quant/eigen.h.
 *
 * A direction counts as having no variance where its eigenvalue is at most 2^-22 of the largest: the covariance is summed
 * from f32 products and knows no better. Whitening then gives 0 there, where dividing by the root would give noise of any
 * size (or infinity). A whitened vector's way back is the mean of its rows there. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "quant/eigen.h"
#include "quant/transform_parts.h"

#define NO_VARIANCE 0x1p-22

int transform_principal(const struct matrix_rows *rows, uint32_t threads, struct principal *out,
                        struct mem_account *owner, kith_error *err) {
    size_t dim = rows->dim, bytes = (dim * dim + dim) * sizeof(double);
    double *moment = mem_slab(owner, bytes);
    if (!moment) return FAIL(err, KITH_ENOMEM, "no memory for a covariance of dim %zu", dim);
    double *mean = moment + dim * dim;
    if (!out->through_0) matrix_mean(rows, threads, mean); /* else zeros, as it was made */
    for (size_t i = 0; i < dim; i++) out->mean[i] = (float)mean[i];
    int code = matrix_moment(rows, NULL, out->mean, threads, moment, owner, err);
    if (code == KITH_OK)
        code =
            eigen_symmetric(dim, moment, out->values, out->n_axes, out->axes, threads, owner, err);
    for (size_t i = 0; code == KITH_OK && i < dim; i++) {
        double value = out->values[i] / (double)rows->n_used;
        out->values[i] = value > 0 ? value : 0;
    }
    mem_slab_free(owner, moment, bytes);
    return code;
}

/* Row j of `to` is axis j, times its factor or divided by it. */
static void scale_axes(const struct principal *p, size_t dim, bool whiten, bool inverse,
                       float *to) {
    for (size_t j = 0; j < p->n_axes; j++) {
        double deviation = sqrt(p->values[j]), factor = 1;
        if (whiten && p->values[j] <= NO_VARIANCE * p->values[0])
            factor = 0;
        else if (whiten)
            factor = inverse ? deviation : 1 / deviation;
        for (size_t i = 0; i < dim; i++) to[j * dim + i] = (float)(factor * p->axes[j * dim + i]);
    }
}

/* rows[n][dim] become rotation[n][n] times them. */
static int rotate_axes(size_t n, size_t dim, const float *rotation, float *rows,
                       const struct quantizer_training *how, struct mem_account *owner,
                       kith_error *err) {
    size_t bytes = 2 * n * dim * sizeof(float);
    float *columns = mem_new(owner, bytes), *turned = columns + n * dim;
    if (!columns) return FAIL(err, KITH_ENOMEM, "no memory to rotate %zu axes", n);
    matrix_transpose(n, dim, rows, columns);
    matrix_multiply(&(struct matrix_product){n, dim, n, rotation, columns}, how->threads, turned);
    memcpy(rows, turned, n * dim * sizeof *rows);
    mem_free(owner, columns, bytes);
    return KITH_OK;
}

static int finish(struct transform *t, const struct principal *p,
                  const struct quantizer_training *how, float *rotation, kith_error *err) {
    size_t in = t->spec.d_in, out = t->spec.d_out;
    bool rotate = t->spec.rotate;
    if (rotate) TRY(transform_random_rows(out, out, t->spec.seed, rotation, t->owner, err));
    /* the way back first, as rows of out in A's place, then A */
    scale_axes(p, in, t->spec.whiten, true, t->a);
    if (rotate) TRY(rotate_axes(out, in, rotation, t->a, how, t->owner, err));
    matrix_transpose(out, in, t->a, t->back);
    scale_axes(p, in, t->spec.whiten, false, t->a);
    if (rotate) TRY(rotate_axes(out, in, rotation, t->a, how, t->owner, err));
    for (size_t i = 0; i < in; i++) t->values[i] = (float)p->values[i];
    if (t->spec.through_0) return KITH_OK;
    matrix_multiply(&(struct matrix_product){1, out, in, p->mean, t->a}, 1, t->b);
    for (size_t i = 0; i < out; i++) t->b[i] = -t->b[i];
    return KITH_OK;
}

int transform_train_pca(struct transform *t, const struct matrix_rows *rows,
                        const struct quantizer_training *how, kith_error *err) {
    size_t in = t->spec.d_in, out = t->spec.d_out;
    unsigned arrays = TRANSFORM_A | TRANSFORM_BACK | TRANSFORM_VALUES;
    if (!t->spec.through_0) arrays |= TRANSFORM_B | TRANSFORM_ORIGIN;
    TRY(transform_alloc(t, arrays, err));
    size_t bytes = (out * in + in) * sizeof(double) + (out * out + in) * sizeof(float);
    double *axes = mem_slab(t->owner, bytes);
    if (!axes) return FAIL(err, KITH_ENOMEM, "no memory for %zu axes of dim %zu", out, in);
    struct principal p = {
        .through_0 = t->spec.through_0, .n_axes = out, .axes = axes, .values = axes + out * in};
    float *rotation = (float *)(p.values + in);
    p.mean = t->origin ? t->origin : rotation + out * out;
    int code = transform_principal(rows, how->threads, &p, t->owner, err);
    if (code == KITH_OK) code = finish(t, &p, how, rotation, err);
    mem_slab_free(t->owner, axes, bytes);
    return code;
}
