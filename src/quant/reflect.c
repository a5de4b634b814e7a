/* Householder reflections, applied to rows in blocks (Golub & Van Loan 2013, section 5.1).
 *
 * A block of rows stays in the second cache while all reflections pass over it, so that these are read once a block and
 * not once a row. Rows do not see each other: which block or thread one is in changes nothing. */
#include "quant/reflect.h"

#include "base/thread.h"
#include "quant/sums.h"

#define ROWS_BLOCK 8u

double reflect_to_axis(size_t n, double *v, double *alpha) {
    double rest[SUMS_LANES] = {0};
    SUMS_LOOP(n - 1, rest[lane] += v[i + 1] * v[i + 1];);
    double below = sums_tree(rest);
    if (below < 0x1p-900) { /* nothing, or too little for beta to be finite */
        *alpha = v[0];
        return 0;
    }
    double length = sqrt(v[0] * v[0] + below);
    *alpha = v[0] > 0 ? -length : length; /* away from v[0]: no digits are lost */
    v[0] -= *alpha;
    return 2 / (v[0] * v[0] + below);
}

static void reflect(size_t n, const double *v, double beta, double *x) {
    double sum[SUMS_LANES] = {0};
    SUMS_LOOP(n, sum[lane] += v[i] * x[i];);
    double factor = beta * sums_tree(sum);
    for (size_t i = 0; i < n; i++) x[i] -= factor * v[i];
}

struct work {
    const struct reflections *of;
    double *rows;
};

static void reflect_block(const struct reflections *of, size_t n_rows, double *rows) {
    for (size_t k = of->count; k-- > 0;) {
        size_t at = of->first + k;
        if (of->beta[k] == 0) continue;
        for (size_t row = 0; row < n_rows; row++)
            reflect(of->n - at, of->v + k * of->n + at, of->beta[k], rows + row * of->n + at);
    }
}

static void reflect_part(void *context, uint32_t worker, size_t begin, size_t end) {
    (void)worker;
    const struct work *work = context;
    for (size_t row = begin; row < end; row += ROWS_BLOCK)
        reflect_block(work->of, end - row < ROWS_BLOCK ? end - row : ROWS_BLOCK,
                      work->rows + row * work->of->n);
}

void reflect_rows(const struct reflections *reflections, uint32_t threads, size_t n_rows,
                  double *rows) {
    struct work work = {reflections, rows};
    thread_for(threads, n_rows, ROWS_BLOCK, reflect_part, &work);
}
