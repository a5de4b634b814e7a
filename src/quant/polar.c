/* Polar factors by Newton-Schulz steps: X becomes X (3 I - X'X) / 2, only products of matrices.
 *
 * Each singular value s of X becomes s (3 - s^2) / 2, which brings all of (0, sqrt 3) to 1. Small ones grow by 3/2 a
 * step only, so X is first scaled by r, r^2 = 3 / (1 + l + l^2) where all values are in [l, 1]: then the ends of that
 * interval meet, small values grow by 2.6 a step, and the new l is r l (3 - r^2 l^2) / 2 (Chen & Chow 2014). The least
 * value is about 2^-18 by the term in `near`, so that some 18 steps suffice. If it is less, some steps more are made. */
#include "quant/polar.h"

#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/thread.h"
#include "quant/matrix.h"
#include "quant/sums.h"

#define STAY       0x1p-18
#define ROUNDS_MAX 60
#define CLOSE      0x1p-17f

/* An upper bound of the largest singular value: the root of the sum of squares, or that of the largest sums of columns
 * and of rows, whichever is less. */
static double norm_bound(size_t n, const float *m, double *columns) {
    double most_row = 0, most_column = 0, squares = 0;
    memset(columns, 0, n * sizeof *columns);
    for (size_t i = 0; i < n; i++) {
        double row = 0;
        for (size_t j = 0; j < n; j++) {
            double size = fabs((double)m[i * n + j]);
            row += size;
            columns[j] += size;
            squares += size * size;
        }
        most_row = row > most_row ? row : most_row;
    }
    for (size_t j = 0; j < n; j++)
        most_column = columns[j] > most_column ? columns[j] : most_column;
    return sqrt(squares < most_row * most_column ? squares : most_row * most_column);
}

/* The largest element of |y - I|. */
static float distance_from_unit(size_t n, const float *y) {
    float most = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            float off = fabsf(y[i * n + j] - (i == j ? 1.0f : 0.0f));
            most = off > most ? off : most;
        }
    return most;
}

/* x, of singular values in about [least, 1], becomes its polar factor. False if it does not. */
static bool iterate(size_t n, float *x, float *transposed, float *y, double least,
                    uint32_t threads) {
    for (int round = 0; round < ROUNDS_MAX; round++) {
        matrix_multiply(&(struct matrix_product){n, n, n, x, x}, threads, y);
        if (distance_from_unit(n, y) < CLOSE) return true;
        double r = sqrt(3 / (1 + least + least * least)), l = r * least;
        least = l * (3 - l * l) / 2;
        float once = (float)(1.5 * r), cubed = (float)(-0.5 * r * r * r);
        for (size_t i = 0; i < n * n; i++) y[i] *= cubed;
        for (size_t i = 0; i < n; i++) y[i * n + i] += once;
        matrix_transpose(n, n, x, transposed);
        matrix_multiply(&(struct matrix_product){n, n, n, y, transposed}, threads, x);
    }
    return false;
}

int polar_factor(size_t n, float *m, float *near, uint32_t threads, struct mem_account *owner,
                 kith_error *err) {
    size_t bytes = 2 * n * n * sizeof(float) + n * sizeof(double);
    double *columns = mem_new(owner, bytes);
    if (!columns) return FAIL(err, KITH_ENOMEM, "no memory for a polar factor of %zu rows", n);
    float *transposed = (float *)(columns + n), *y = transposed + n * n;
    double bound = norm_bound(n, m, columns);
    if (bound > 0 && bound < HUGE_VAL) {
        double scale = 1 / (bound * (1 + STAY));
        for (size_t i = 0; i < n * n; i++)
            m[i] = (float)(scale * ((double)m[i] + STAY * bound * (double)near[i]));
        if (iterate(n, m, transposed, y, STAY / 2, threads)) memcpy(near, m, n * n * sizeof *near);
    }
    mem_free(owner, columns, bytes);
    return KITH_OK;
}

/* ---- the last digits --------------------------------------------------------------------------------- */

struct polish {
    size_t n_rows, n;
    const float *r;
    double *fixed; /* n_rows x n */
};

/* Rows begin .. end - 1 of R + (I - R R') R / 2. */
static void polish_part(void *context, uint32_t worker, size_t begin, size_t end) {
    (void)worker;
    const struct polish *work = context;
    size_t n = work->n;
    for (size_t r = begin; r < end; r++) {
        const float *row = work->r + r * n;
        double *out = work->fixed + r * n;
        for (size_t c = 0; c < n; c++) out[c] = (double)row[c];
        for (size_t j = 0; j < work->n_rows; j++) {
            const float *other = work->r + j * n;
            double sum[SUMS_LANES] = {0};
            SUMS_LOOP(n, sum[lane] += (double)row[i] * (double)other[i];);
            double half = ((r == j ? 1 : 0) - sums_tree(sum)) / 2;
            for (size_t c = 0; c < n; c++) out[c] += half * (double)other[c];
        }
    }
}

int polar_polish(size_t n_rows, size_t n, float *r, uint32_t threads, struct mem_account *owner,
                 kith_error *err) {
    size_t bytes = n_rows * n * sizeof(double);
    double *fixed = mem_new(owner, bytes);
    if (!fixed) return FAIL(err, KITH_ENOMEM, "no memory to polish %zu rows of %zu", n_rows, n);
    struct polish work = {n_rows, n, r, fixed};
    thread_for(threads, n_rows, 8, polish_part, &work);
    for (size_t i = 0; i < n_rows * n; i++) r[i] = (float)fixed[i];
    mem_free(owner, fixed, bytes);
    return KITH_OK;
}
