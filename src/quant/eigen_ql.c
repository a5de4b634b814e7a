/* The symmetric eigen solver, second part: a tridiagonal matrix by implicit QL steps.
 *
 * A QL step with Wilkinson's shift chases a bulge from row m up to row l by plane rotations (Golub & Van Loan 2013,
 * section 8.3.5, from the other end; Dubrulle 1970, EISPACK imtql2), until e[l] is negligible.
 * Difference: rotations are not applied to the vectors as they come, but noted, and thousands of them are then run over
 * the vectors in columns narrow enough for the second cache, each thread having columns of its own:
 *
 *     z, in chunks:   chunk 0: rows 0 .. n - 1 of elements 0 .. 31     chunk 1: of elements 32 .. 63    ...
 *
 * Row j is the vector of d[j]. An element sees the same rotations in the same order whatever the chunks and threads. */
#include <float.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/thread.h"
#include "quant/eigen.h"
#include "quant/sums.h"

#define CHUNK     32u    /* elements */
#define NOTES     16384u /* rotations, at least n */
#define STEPS_MAX 60u    /* a value takes two or three */

struct note {
    double c, s;
    size_t i; /* of rows i and i + 1 */
};

struct ql {
    size_t n, n_chunks, n_notes, notes_max;
    double *z;
    struct note *notes;
    uint32_t threads;
};

static double *chunk_row(const struct ql *ql, size_t chunk, size_t row) {
    return ql->z + (chunk * ql->n + row) * CHUNK;
}

static void rotate_chunks(void *context, uint32_t worker, size_t begin, size_t end) {
    (void)worker;
    const struct ql *ql = context;
    for (size_t chunk = begin; chunk < end; chunk++)
        for (size_t note = 0; note < ql->n_notes; note++) {
            double c = ql->notes[note].c, s = ql->notes[note].s;
            double *restrict low = chunk_row(ql, chunk, ql->notes[note].i);
            double *restrict high = low + CHUNK;
            for (size_t k = 0; k < CHUNK; k++) {
                double x = low[k], y = high[k];
                low[k] = c * x - s * y;
                high[k] = s * x + c * y;
            }
        }
}

static void run_notes(struct ql *ql) {
    thread_for(ql->threads, ql->n_chunks, 1, rotate_chunks, ql);
    ql->n_notes = 0;
}

/* One step on rows l .. m of T. */
static void step(struct ql *ql, double *d, double *e, size_t l, size_t m) {
    double shift = (d[l + 1] - d[l]) / (2 * e[l]);
    double root = sqrt(shift * shift + 1);
    double g = d[m] - d[l] + e[l] / (shift + (shift < 0 ? -root : root));
    double s = 1, c = 1, p = 0;
    for (size_t i = m; i-- > l;) {
        double f = s * e[i], b = c * e[i], r = sqrt(f * f + g * g);
        e[i + 1] = r;
        if (r == 0) { /* the bulge is gone: T has come apart here */
            d[i + 1] -= p;
            e[m] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        ql->notes[ql->n_notes++] = (struct note){c, s, i};
    }
    d[l] -= p;
    e[l] = g;
    e[m] = 0;
}

/* What counts as no link between rows: the rounding of the largest elements. Each step brings that much noise to every
 * row, and where a matrix is rank-deficient all values are noise: a link is then never small beside its neighbours. */
static double negligible(size_t n, const double *d, const double *e) {
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double size = fabs(d[i]) + fabs(e[i]);
        most = size > most ? size : most;
    }
    return DBL_EPSILON / 2 * most;
}

/* The first row from l on that is cut off from the next. */
static size_t block_end(size_t n, const double *e, double least, size_t l) {
    size_t m = l;
    while (m + 1 < n && fabs(e[m]) > least) m++;
    return m;
}

static bool diagonalise(struct ql *ql, double *d, double *e) {
    size_t n = ql->n;
    e[n - 1] = 0;
    double least = negligible(n, d, e);
    for (size_t l = 0; l < n; l++) {
        size_t m;
        for (unsigned steps = 0; (m = block_end(n, e, least, l)) != l; steps++) {
            if (steps == STEPS_MAX) return false;
            if (ql->n_notes + (m - l) > ql->notes_max) run_notes(ql);
            step(ql, d, e, l, m);
        }
    }
    run_notes(ql);
    return true;
}

/* Rows of d by falling value, those of equal values as they were: insertion into order, by halves. */
static void order(size_t n, const double *d, size_t *row) {
    for (size_t i = 0; i < n; i++) {
        size_t low = 0, high = i;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (d[row[middle]] >= d[i])
                low = middle + 1;
            else
                high = middle;
        }
        memmove(row + low + 1, row + low, (i - low) * sizeof *row);
        row[low] = i;
    }
}

static void collect(const struct ql *ql, const size_t *row, size_t n_vectors, double *vectors) {
    for (size_t j = 0; j < n_vectors; j++)
        for (size_t chunk = 0; chunk < ql->n_chunks; chunk++) {
            size_t left = ql->n - chunk * CHUNK, count = left < CHUNK ? left : CHUNK;
            memcpy(vectors + j * ql->n + chunk * CHUNK, chunk_row(ql, chunk, row[j]),
                   count * sizeof *vectors);
        }
}

int eigen_of_tridiagonal(size_t n, double *d, double *e, double *values, size_t n_vectors,
                         double *vectors, uint32_t threads, struct mem_account *owner,
                         kith_error *err) {
    struct ql ql = {.n = n, .n_chunks = (n + CHUNK - 1) / CHUNK, .threads = threads};
    ql.notes_max = n > NOTES ? n : NOTES;
    size_t z_bytes = ql.n_chunks * CHUNK * n * sizeof(double);
    size_t note_bytes = ql.notes_max * sizeof *ql.notes, row_bytes = n * sizeof(size_t);
    ql.z = mem_slab(owner, z_bytes);
    ql.notes = mem_new(owner, note_bytes);
    size_t *row = mem_new(owner, row_bytes);
    int code = KITH_OK;
    if (!ql.z || !ql.notes || !row) {
        code = FAIL(err, KITH_ENOMEM, "no memory for the eigenvectors of %zu rows", n);
        goto done;
    }
    for (size_t i = 0; i < n; i++) chunk_row(&ql, i / CHUNK, i)[i % CHUNK] = 1;
    if (!diagonalise(&ql, d, e)) {
        code = FAIL(err, KITH_ERANGE, "the eigenvalues of %zu rows do not converge", n);
        goto done;
    }
    order(n, d, row);
    for (size_t i = 0; i < n; i++) values[i] = d[row[i]];
    collect(&ql, row, n_vectors, vectors);
done:
    if (row) mem_free(owner, row, row_bytes);
    if (ql.notes) mem_free(owner, ql.notes, note_bytes);
    if (ql.z) mem_slab_free(owner, ql.z, z_bytes);
    return code;
}
