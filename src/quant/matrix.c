/* Matrix products through the tile kernels.
 *
 * A tile takes rows of both operands, so a sum of outer products wants columns: 1,024 rows at a time are transposed, and
 * each thread then fills rows of the result from them, 256 terms of each sum at a time. */
#include "quant/matrix.h"

#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/thread.h"
#include "kern/kern.h"

#define PRODUCT_ROWS   64u   /* of x, for a piece of work */
#define STRIP          1024u /* rows transposed together */
#define TERMS          256u  /* added in f32 before they are added in double */
#define MOMENT_ROWS    32u   /* of the result, for a piece of work */
#define TRANSPOSE_TILE 16u

static const struct kern *law(void) { return kern_get(); }

static kern_tile_fn dots(void) { return law()->tile[KITH_TYPE_F32][KERN_DOT]; }

struct product_work {
    const struct matrix_product *of;
    float *out;
};

static void multiply_part(void *context, uint32_t worker, size_t begin, size_t end) {
    (void)worker;
    const struct product_work *work = context;
    const struct matrix_product *of = work->of;
    size_t row_bytes = of->dim * sizeof(float);
    const float *x = of->x + begin * of->dim;
    float *out = work->out + begin * of->n_y;
    if (end - begin == 1)
        law()->rows[KITH_TYPE_F32][KERN_DOT](x, of->y, row_bytes, of->n_y, of->dim, out);
    else
        dots()(x, of->dim, end - begin, of->y, row_bytes, of->n_y, of->dim, out, of->n_y);
}

void matrix_multiply(const struct matrix_product *product, uint32_t threads, float *out) {
    struct product_work work = {product, out};
    thread_for(threads, product->n_x, PRODUCT_ROWS, multiply_part, &work);
}

void matrix_transpose(size_t rows, size_t columns, const float *in, float *out) {
    for (size_t r0 = 0; r0 < rows; r0 += TRANSPOSE_TILE)
        for (size_t c0 = 0; c0 < columns; c0 += TRANSPOSE_TILE) {
            size_t r1 = r0 + TRANSPOSE_TILE < rows ? r0 + TRANSPOSE_TILE : rows;
            size_t c1 = c0 + TRANSPOSE_TILE < columns ? c0 + TRANSPOSE_TILE : columns;
            for (size_t c = c0; c < c1; c++)
                for (size_t r = r0; r < r1; r++) out[c * rows + r] = in[r * columns + c];
        }
}

/* ---- means --------------------------------------------------------------------------------------- */

struct mean_work {
    const struct matrix_rows *rows;
    double *mean;
};

static void mean_part(void *context, uint32_t worker, size_t begin, size_t end) {
    (void)worker;
    const struct mean_work *work = context;
    for (size_t c = begin; c < end; c++) work->mean[c] = 0;
    for (size_t i = 0; i < work->rows->n_used; i++) {
        const float *row = matrix_row(work->rows, i);
        for (size_t c = begin; c < end; c++) work->mean[c] += (double)row[c];
    }
    for (size_t c = begin; c < end; c++) work->mean[c] /= (double)work->rows->n_used;
}

void matrix_mean(const struct matrix_rows *rows, uint32_t threads, double *mean) {
    struct mean_work work = {rows, mean};
    thread_for(threads, rows->dim, 64, mean_part, &work);
}

/* ---- sums of outer products ------------------------------------------------------------------------ */

struct moment_work {
    size_t dim, n; /* n: rows of this strip */
    bool symmetric;
    const float *a, *b; /* the strip's columns: dim rows of STRIP */
    float *sums;        /* MOMENT_ROWS * dim floats a worker */
    double *out;
};

/* Columns of rows first .. first + n - 1. */
static void transpose_strip(const struct matrix_rows *rows, size_t first, size_t n,
                            const float *mean, float *out) {
    for (size_t i = 0; i < n; i++) {
        const float *row = matrix_row(rows, first + i);
        for (size_t c = 0; c < rows->dim; c++)
            out[c * STRIP + i] = mean ? row[c] - mean[c] : row[c];
    }
}

static void moment_part(void *context, uint32_t worker, size_t begin, size_t end) {
    const struct moment_work *work = context;
    size_t dim = work->dim, n_y = work->symmetric ? end : dim;
    float *sums = work->sums + worker * MOMENT_ROWS * dim;
    for (size_t at = 0; at < work->n; at += TERMS) {
        size_t terms = work->n - at < TERMS ? work->n - at : TERMS;
        dots()(work->a + begin * STRIP + at, STRIP, end - begin, work->b + at,
               STRIP * sizeof(float), n_y, terms, sums, n_y);
        for (size_t i = begin; i < end; i++) {
            const float *from = sums + (i - begin) * n_y;
            double *to = work->out + i * dim;
            for (size_t j = 0; j < n_y; j++) to[j] += (double)from[j];
        }
    }
}

static void mirror(size_t dim, double *out) {
    for (size_t i = 0; i < dim; i++)
        for (size_t j = 0; j < i; j++) out[j * dim + i] = out[i * dim + j];
}

int matrix_moment(const struct matrix_rows *a, const struct matrix_rows *b, const float *mean,
                  uint32_t threads, double *out, struct mem_account *owner, kith_error *err) {
    size_t dim = a->dim, n_workers = threads < 1 ? 1 : threads > THREAD_MAX ? THREAD_MAX : threads;
    size_t strip = dim * STRIP, floats = (b ? 2 : 1) * strip + n_workers * MOMENT_ROWS * dim;
    float *columns = mem_new(owner, floats * sizeof *columns);
    if (!columns) return FAIL(err, KITH_ENOMEM, "no memory for sums of products of dim %zu", dim);
    struct moment_work work = {.dim = dim,
                               .symmetric = !b,
                               .a = columns,
                               .b = b ? columns + strip : columns,
                               .sums = columns + (b ? 2 : 1) * strip,
                               .out = out};
    memset(out, 0, dim * dim * sizeof *out);
    for (size_t first = 0; first < a->n_used; first += STRIP) {
        work.n = a->n_used - first < STRIP ? a->n_used - first : STRIP;
        transpose_strip(a, first, work.n, mean, columns);
        if (b) transpose_strip(b, first, work.n, mean, columns + strip);
        thread_for(threads, dim, MOMENT_ROWS, moment_part, &work);
    }
    if (!b) mirror(dim, out);
    mem_free(owner, columns, floats * sizeof *columns);
    return KITH_OK;
}
