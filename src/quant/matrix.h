/* Products of f32 matrices through the tile kernels, and sums of outer products for training. Rows are packed.
 *
 * Every element of a product is a dot product by kern.h's law, so that blocking, threads and instruction sets change no
 * bit. Threads: as asked. */
#ifndef KITH_QUANT_MATRIX_H
#define KITH_QUANT_MATRIX_H

#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>

struct mem_account;

/* out[n_x][n_y]: the dot product of each of n_x rows with each of n_y rows, of dim floats. Allocates nothing. */
struct matrix_product {
    size_t n_x, n_y, dim;
    const float *x, *y;
};
void matrix_multiply(const struct matrix_product *product, uint32_t threads, float *out);

/* out[columns][rows] of in[rows][columns]. */
void matrix_transpose(size_t rows, size_t columns, const float *in, float *out);

/* Rows that stand for many: row i is row i * n / n_used of n, so that any n_used <= n are spread evenly. */
struct matrix_rows {
    size_t n, n_used, dim;
    const float *values;
};
static inline const float *matrix_row(const struct matrix_rows *rows, size_t i) {
    size_t at = rows->n == rows->n_used
                    ? i
                    : (size_t)((double)i * ((double)rows->n / (double)rows->n_used));
    return rows->values + at * rows->dim;
}

/* mean[dim] in double, added row by row. */
void matrix_mean(const struct matrix_rows *rows, uint32_t threads, double *mean);

/* out[dim][dim] = the sum over rows of (a - mean)(b - mean)'; mean NULL: zeros; b NULL: b is a, and out symmetric to the
 * bit. Elements less the mean are f32; 256 rows at a time are summed by kern.h's law, and those sums in double: an error
 * of at most 25 * 2^-24 of the square root of both diagonal elements' product, beside the rounding of the elements.
 *   Cost     n dim^2 multiply-adds (half, b NULL), 4096 dim bytes and a little.   Errors   KITH_ENOMEM. */
int matrix_moment(const struct matrix_rows *a, const struct matrix_rows *b, const float *mean,
                  uint32_t threads, double *out, struct mem_account *owner, kith_error *err);

#endif
