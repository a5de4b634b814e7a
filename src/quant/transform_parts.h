/* What the files of transforms share. Private to this folder. */
#ifndef KITH_QUANT_TRANSFORM_PARTS_H
#define KITH_QUANT_TRANSFORM_PARTS_H

#include "quant/matrix.h"
#include "quant/transform.h"

enum {
    TRANSFORM_A = 1u,
    TRANSFORM_BACK = 2u,
    TRANSFORM_B = 4u,
    TRANSFORM_ORIGIN = 8u,
    TRANSFORM_VALUES = 16u,
};

bool transform_is_linear(enum transform_kind kind); /* kept as A and b */
size_t transform_a_bytes(const struct transform *transform);
/* The arrays of the flags, zeros; KITH_ENOMEM: then all arrays are gone. */
int transform_alloc(struct transform *transform, unsigned flags, kith_error *err);
void transform_drop(struct transform *transform); /* all arrays: it is untrained again */
void transform_drop_back(struct transform *transform);
/* Given A and b: `back` and `origin`, if A has a way back. */
int transform_find_back(struct transform *transform, kith_error *err);

/* rows[n][dim] become n orthonormal rows, drawn by the seed; n <= dim.   Errors   KITH_ENOMEM. */
int transform_random_rows(size_t n, size_t dim, uint64_t seed, float *rows,
                          struct mem_account *owner, kith_error *err);
int transform_make_rotation(struct transform *transform, kith_error *err); /* transform_random.c */
int transform_make_hadamard(struct transform *transform,
                            kith_error *err); /* the signs of its seed */

/* Training into an empty transform that has spec and owner: transform_pca.c, transform_opq.c. */
int transform_train_pca(struct transform *transform, const struct matrix_rows *rows,
                        const struct quantizer_training *how, kith_error *err);
int transform_train_opq(struct transform *transform, const struct matrix_rows *rows,
                        const struct quantizer_training *how, kith_error *err);

/* The mean of rows in f32, and the leading eigenvectors of their covariance and all its eigenvalues (falling, at least 0):
 * axes[n_axes][dim], values[dim] in double. */
struct principal {
    bool through_0; /* in: products about 0, and the mean is zeros */
    float *mean;
    size_t n_axes;
    double *axes, *values;
};
int transform_principal(const struct matrix_rows *rows, uint32_t threads, struct principal *out,
                        struct mem_account *owner, kith_error *err);

#endif
