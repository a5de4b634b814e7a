/* The symmetric eigen solver, first part: to tridiagonal form by reflections, and from there back.
 *
 * Step k takes row k right of the diagonal as x, reflects it to (e[k], 0, ..., 0), and subtracts v w' + w v' from what is
 * right of and below it (Golub & Van Loan 2013, Algorithm 8.3.1). Differences:
 *   1. The whole square is kept, not one half, so that rows are whole and each product is a dot product of rows.
 *   2. The subtraction of step k and the product of step k + 1 are one pass over the square, which is what the time goes
 *      into: row k + 1 is brought up to date first, the next reflection is made from it, and then each further row is
 *      updated and multiplied while it is in the cache.
 *   3. v stays in row k, right of the diagonal, which nobody needs any more.
 * The matrix is scaled by a power of two first, so that no square overflows. */
#include "quant/eigen.h"

#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/thread.h"
#include "quant/reflect.h"
#include "quant/sums.h"

#define PART_ELEMENTS 32768u /* of the square, at least so many for a piece of a thread's work */

/* One pass: rows first .. n - 1 of a, elements first .. n - 1. */
struct pass {
    size_t n, first;
    double *a;
    const double *v, *w; /* subtracted, indexed by element; NULL: nothing */
    const double *next;  /* multiplied by */
    double *product;
};

static void update(double *row, const struct pass *pass, size_t i) {
    double vi = pass->v[i], wi = pass->w[i];
    for (size_t j = pass->first; j < pass->n; j++) row[j] -= vi * pass->w[j] + wi * pass->v[j];
}

static void pass_rows(void *context, uint32_t worker, size_t begin, size_t end) {
    (void)worker;
    const struct pass *pass = context;
    size_t first = pass->first, m = pass->n - first;
    for (size_t r = first + begin; r < first + end; r++) {
        double *row = pass->a + r * pass->n, sum[SUMS_LANES] = {0};
        if (pass->v) {
            double vr = pass->v[r], wr = pass->w[r], *at = row + first;
            const double *v = pass->v + first, *w = pass->w + first, *next = pass->next + first;
            SUMS_LOOP(m, {
                at[i] -= vr * w[i] + wr * v[i];
                sum[lane] += at[i] * next[i];
            });
        } else {
            const double *at = row + first, *next = pass->next + first;
            SUMS_LOOP(m, sum[lane] += at[i] * next[i];);
        }
        pass->product[r] = sums_tree(sum);
    }
}

static void run_pass(struct pass *pass, uint32_t threads) {
    size_t rows = pass->n - pass->first, grain = 1 + PART_ELEMENTS / rows;
    thread_for(threads, rows, grain, pass_rows, pass);
}

/* w = beta (p - (beta p v / 2) v), for elements first .. n - 1; p is w on entry. */
static void make_w(size_t n, size_t first, double beta, const double *v, double *w) {
    double sum[SUMS_LANES] = {0};
    const double *at = v + first, *p = w + first;
    SUMS_LOOP(n - first, sum[lane] += at[i] * p[i];);
    double half = beta * sums_tree(sum) / 2;
    for (size_t i = first; i < n; i++) w[i] = beta * (w[i] - half * v[i]);
}

void eigen_tridiagonal(size_t n, double *a, double *d, double *e, double *beta, double *scratch,
                       uint32_t threads) {
    double *w = scratch, *product = scratch + n;
    const double *v = NULL;
    for (size_t k = 0; k < n; k++) {
        double *row = a + k * n;
        struct pass pass = {n, k, a, v, w, NULL, product};
        if (v) update(row, &pass, k);
        d[k] = row[k];
        if (k + 1 == n) break;
        beta[k] = reflect_to_axis(n - k - 1, row + k + 1, &e[k]);
        pass.first = k + 1;
        pass.next = row;
        run_pass(&pass, threads);
        make_w(n, k + 1, beta[k], row, product);
        memcpy(w + k + 1, product + k + 1, (n - k - 1) * sizeof *w);
        v = row;
    }
}

/* The power of two that makes the largest element 1/2 to 1, 2^1000 at most; 0 where an element is past 2^1000. */
static double scale_of(size_t n, const double *a) {
    double most = 0;
    bool finite = true;
    for (size_t i = 0; i < n * n; i++) {
        double size = fabs(a[i]);
        finite &= size <= 0x1p1000;
        most = size > most ? size : most;
    }
    int exponent;
    frexp(most, &exponent);
    return finite ? ldexp(1, exponent < -1000 ? 1000 : -exponent) : 0;
}

/* The largest element becomes positive, the first of equals deciding. */
static void settle_sign(size_t n, double *vector) {
    size_t most = 0;
    for (size_t i = 1; i < n; i++)
        if (fabs(vector[i]) > fabs(vector[most])) most = i;
    if (vector[most] < 0)
        for (size_t i = 0; i < n; i++) vector[i] = -vector[i];
}

int eigen_symmetric(size_t n, double *a, double *values, size_t n_vectors, double *vectors,
                    uint32_t threads, struct mem_account *owner, kith_error *err) {
    double scale = scale_of(n, a);
    if (scale == 0)
        return FAIL(err, KITH_ENONFINITE, "a matrix of %zu rows is not finite, or above 2^1000", n);
    size_t bytes = 5 * n * sizeof(double);
    double *d = mem_new(owner, bytes);
    if (!d) return FAIL(err, KITH_ENOMEM, "no memory for the eigenvalues of %zu rows", n);
    double *e = d + n, *beta = e + n, *scratch = beta + n;
    for (size_t i = 0; i < n * n; i++) a[i] *= scale;
    eigen_tridiagonal(n, a, d, e, beta, scratch, threads);
    int code = eigen_of_tridiagonal(n, d, e, values, n_vectors, vectors, threads, owner, err);
    if (code == KITH_OK) {
        struct reflections q = {n, 1, n - 1, a, beta};
        reflect_rows(&q, threads, n_vectors, vectors);
        for (size_t i = 0; i < n; i++) values[i] /= scale;
        for (size_t j = 0; j < n_vectors; j++) settle_sign(n, vectors + j * n);
    }
    mem_free(owner, d, bytes);
    return code;
}
