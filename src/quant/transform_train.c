/* Training of transforms: the rows looked at, and what is learnt into a new transform, which then takes the old one's
 * place, so that an error leaves what was. */
#include <inttypes.h>
#include <math.h>

#include "base/mem.h"
#include "base/status.h"
#include "quant/sums.h"
#include "quant/transform_parts.h"

#define ROWS_A_DIM   1000u /* PCA and CENTRE */
#define OPQ_ROWS     32768u
#define SQUARES_MOST 0x1p100

static size_t rows_used(const struct transform_spec *spec, size_t n) {
    size_t most = spec->kind == TRANSFORM_OPQ ? OPQ_ROWS : (size_t)ROWS_A_DIM * spec->d_in;
    return n < most ? n : most;
}

static int check_rows(const struct matrix_rows *rows, kith_error *err) {
    for (size_t i = 0; i < rows->n_used; i++) {
        const float *row = matrix_row(rows, i);
        double squares = sums_squares(rows->dim, row);
        if (squares <= SQUARES_MOST) continue;
        size_t at = (size_t)(row - rows->values) / rows->dim;
        if (isfinite(squares))
            return FAIL_AT(err, KITH_ERANGE, at,
                           "row %zu: its squared length is %.3g, at most %.3g are learnt from", at,
                           squares, SQUARES_MOST);
        return FAIL_AT(err, KITH_ENONFINITE, at, "row %zu has a value that is not finite", at);
    }
    return KITH_OK;
}

static int train_centre(struct transform *t, const struct matrix_rows *rows, uint32_t threads,
                        kith_error *err) {
    TRY(transform_alloc(t, TRANSFORM_B, err));
    double *mean = mem_new(t->owner, rows->dim * sizeof *mean);
    if (!mean) return FAIL(err, KITH_ENOMEM, "no memory for a mean of dim %zu", rows->dim);
    matrix_mean(rows, threads, mean);
    for (size_t i = 0; i < rows->dim; i++) t->b[i] = -(float)mean[i];
    mem_free(t->owner, mean, rows->dim * sizeof *mean);
    return KITH_OK;
}

int transform_train(struct transform *t, size_t n, const float *rows,
                    const struct quantizer_training *how, kith_error *err) {
    enum transform_kind kind = t->spec.kind;
    bool learns = kind == TRANSFORM_PCA || kind == TRANSFORM_OPQ || kind == TRANSFORM_CENTRE;
    if (!learns && t->trained) return KITH_OK;
    if (!learns) return FAIL(err, KITH_EINVAL, "a linear transform is set, not trained");
    if (n == 0) return FAIL(err, KITH_EEMPTY, "no rows to train %s on", transform_name(kind));
    struct matrix_rows used = {n, rows_used(&t->spec, n), t->spec.d_in, rows};
    TRY(check_rows(&used, err));
    struct transform made = {.spec = t->spec, .owner = t->owner};
    int code = kind == TRANSFORM_PCA   ? transform_train_pca(&made, &used, how, err)
               : kind == TRANSFORM_OPQ ? transform_train_opq(&made, &used, how, err)
                                       : train_centre(&made, &used, how->threads, err);
    if (code != KITH_OK) {
        transform_drop(&made);
        return code;
    }
    transform_drop(t);
    *t = made;
    t->trained = true;
    return KITH_OK;
}
