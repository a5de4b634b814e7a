/* Optimised product quantisation: the rotation before a product quantiser (Ge, He, Ke & Sun 2013, Algorithm 1).
 *
 *     z = V (x - mean)   principal components, zeros where d_out > d_in
 *     start              R permutes them so that the parts' variances have equal products (their section 3.2)
 *     repeat             y = R z;  each part of y to the nearest of 256 centroids, which then become their rows' means;
 *                        R = the orthogonal matrix that brings z nearest to what the codes stand for (Procrustes)
 *     in the end         A = R V, which is applied to x as it is
 *
 * Differences: the mean is taken out while training, since with it each step would be held back by the wish to keep it
 * where it is; it is not taken out of A x, so that dot products are kept. One step of Lloyd's for each step of R. A step
 * ends with a polar factor from products of matrices (quant/polar.h) instead of a singular value decomposition. Products
 * of variances are compared as mantissa and exponent: a logarithm has other last bits in other libraries. */
#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"
#include "quant/kmeans.h"
#include "quant/polar.h"
#include "quant/transform_parts.h"

#define CENTROIDS      256u
#define START_STEPS    8u /* of k-means before R first moves */
#define STEPS          20u
#define STRIP          256u
#define LEAST_VARIANCE 0x1p-40 /* of the largest: what counts as none in a product */

/* A product of variances: mantissa times 2^exponent. */
struct scaled {
    double mantissa;
    long exponent;
};

struct opq {
    const struct transform_spec *spec;
    const struct quantizer_training *how;
    struct mem_account *owner;
    size_t n, d_in, dim, m, part; /* rows, d_in, d_out, parts, elements of a part */
    size_t k;                     /* centroids of a part */
    void *memory;
    size_t bytes;
    struct principal principal;
    float *basis;           /* V: dim rows of d_in */
    float *strip;           /* STRIP rows of d_in */
    float *z, *y;           /* n rows of dim */
    float *rotation;        /* R */
    float *centroids;       /* m times k rows of part */
    float *moment;          /* dim rows of dim */
    double *wide;           /* the same in double */
    double *sums, *counts;  /* of a part's clusters: k rows of part; k */
    struct scaled *product; /* of each part's variances */
    size_t *filled;         /* elements that each part has */
    uint32_t *which;        /* of each row, the centroid of the part at hand */
};

/* ---- memory ---------------------------------------------------------------------------------------- */

/* The next n elements of size bytes, at a multiple of 64; counts only while there is no memory yet. */
static void *take(struct opq *opq, size_t n, size_t size) {
    void *at = opq->memory ? (char *)opq->memory + opq->bytes : NULL;
    opq->bytes += bits_round_up(n * size, 64);
    return at;
}

static void lay_out(struct opq *opq) {
    size_t n_axes = opq->d_in < opq->dim ? opq->d_in : opq->dim, dim = opq->dim;
    opq->bytes = 0;
    opq->principal.n_axes = n_axes;
    opq->principal.through_0 = opq->spec->through_0;
    opq->principal.axes = take(opq, n_axes * opq->d_in, sizeof(double));
    opq->principal.values = take(opq, opq->d_in, sizeof(double));
    opq->principal.mean = take(opq, opq->d_in, sizeof(float));
    opq->basis = take(opq, dim * opq->d_in, sizeof(float));
    opq->strip = take(opq, STRIP * opq->d_in, sizeof(float));
    opq->z = take(opq, opq->n * dim, sizeof(float));
    opq->y = take(opq, opq->n * dim, sizeof(float));
    opq->rotation = take(opq, dim * dim, sizeof(float));
    opq->centroids = take(opq, dim * opq->k, sizeof(float));
    opq->moment = take(opq, dim * dim, sizeof(float));
    opq->wide = take(opq, dim * dim, sizeof(double));
    opq->sums = take(opq, opq->k * opq->part, sizeof(double));
    opq->counts = take(opq, opq->k, sizeof(double));
    opq->product = take(opq, opq->m, sizeof(struct scaled));
    opq->filled = take(opq, opq->m, sizeof(size_t));
    opq->which = take(opq, opq->n, sizeof(uint32_t));
}

static int reserve(struct opq *opq, kith_error *err) {
    lay_out(opq);
    opq->memory = mem_slab(opq->owner, opq->bytes);
    if (!opq->memory)
        return FAIL(err, KITH_ENOMEM, "no memory for %zu bytes to train opq in", opq->bytes);
    lay_out(opq);
    return KITH_OK;
}

/* ---- start ----------------------------------------------------------------------------------------- */

static bool is_less(struct scaled a, struct scaled b) {
    return a.exponent != b.exponent ? a.exponent < b.exponent : a.mantissa < b.mantissa;
}

/* Component i of z, by falling variance, goes to the part that has room and the least product so far. */
static void allocate(struct opq *opq) {
    const double *values = opq->principal.values;
    for (size_t p = 0; p < opq->m; p++) opq->product[p] = (struct scaled){0.5, 1};
    for (size_t i = 0; i < opq->dim; i++) {
        double least = LEAST_VARIANCE * values[0], value = i < opq->d_in ? values[i] : 0;
        double times = value > least ? value / least : 1; /* 1 at least: products must not fall */
        size_t best = opq->m;
        for (size_t p = 0; p < opq->m; p++)
            if (opq->filled[p] < opq->part &&
                (best == opq->m || is_less(opq->product[p], opq->product[best])))
                best = p;
        opq->rotation[(best * opq->part + opq->filled[best]++) * opq->dim + i] = 1;
        struct scaled *product = &opq->product[best];
        int exponent;
        product->mantissa = frexp(product->mantissa * times, &exponent);
        product->exponent += exponent;
    }
}

/* V, and z of the rows. */
static int project(struct opq *opq, const struct matrix_rows *rows, kith_error *err) {
    const struct principal *p = &opq->principal;
    TRY(transform_principal(rows, opq->how->threads, &opq->principal, opq->owner, err));
    for (size_t i = 0; i < p->n_axes * opq->d_in; i++) opq->basis[i] = (float)p->axes[i];
    for (size_t first = 0; first < opq->n; first += STRIP) {
        size_t n = opq->n - first < STRIP ? opq->n - first : STRIP;
        for (size_t i = 0; i < n; i++) {
            const float *row = matrix_row(rows, first + i);
            for (size_t c = 0; c < opq->d_in; c++)
                opq->strip[i * opq->d_in + c] = row[c] - p->mean[c];
        }
        struct matrix_product product = {n, opq->dim, opq->d_in, opq->strip, opq->basis};
        matrix_multiply(&product, opq->how->threads, opq->z + first * opq->dim);
    }
    return KITH_OK;
}

static void rotate(struct opq *opq) {
    struct matrix_product product = {opq->n, opq->dim, opq->dim, opq->z, opq->rotation};
    matrix_multiply(&product, opq->how->threads, opq->y);
}

/* ---- one part of y ----------------------------------------------------------------------------------- */

static float *part_centroids(const struct opq *opq, size_t p) {
    return opq->centroids + p * opq->k * opq->part;
}

static struct kmeans_rows part_rows(const struct opq *opq, size_t p) {
    return (struct kmeans_rows){
        .n = opq->n, .dim = opq->part, .values = opq->y + p * opq->part, .stride = opq->dim};
}

static int start_part(struct opq *opq, size_t p, kith_error *err) {
    struct kmeans_options options = {.n_clusters = opq->k,
                                     .n_iterations = START_STEPS,
                                     .seed = opq->spec->seed + p,
                                     .threads = opq->how->threads};
    struct kmeans_rows rows = part_rows(opq, p);
    return kmeans_train(&options, &rows, part_centroids(opq, p), NULL, opq->owner, err);
}

static int assign(struct opq *opq, size_t p, kith_error *err) {
    struct kmeans_set *set;
    struct kmeans_rows rows = part_rows(opq, p);
    struct kmeans_found found = {.most = 1, .which = opq->which};
    TRY(kmeans_set_new(&set, KITH_METRIC_L2, opq->k, opq->part, part_centroids(opq, p), opq->owner,
                       err));
    int code = kmeans_find(set, &rows, &found, opq->how->threads, err);
    kmeans_set_free(set);
    return code;
}

/* Centroids become the means of their rows; one without rows stays. */
static void move_centroids(struct opq *opq, size_t p) {
    size_t part = opq->part;
    float *centroids = part_centroids(opq, p);
    memset(opq->sums, 0, opq->k * part * sizeof *opq->sums);
    memset(opq->counts, 0, opq->k * sizeof *opq->counts);
    for (size_t i = 0; i < opq->n; i++) {
        const float *row = opq->y + i * opq->dim + p * part;
        double *sum = opq->sums + opq->which[i] * part;
        for (size_t c = 0; c < part; c++) sum[c] += (double)row[c];
        opq->counts[opq->which[i]] += 1;
    }
    for (size_t j = 0; j < opq->k; j++)
        for (size_t c = 0; c < part && opq->counts[j] > 0; c++)
            centroids[j * part + c] = (float)(opq->sums[j * part + c] / opq->counts[j]);
}

/* y becomes what its codes stand for. */
static void decode(struct opq *opq, size_t p) {
    size_t part = opq->part;
    const float *centroids = part_centroids(opq, p);
    for (size_t i = 0; i < opq->n; i++)
        memcpy(opq->y + i * opq->dim + p * part, centroids + opq->which[i] * part,
               part * sizeof *opq->y);
}

/* ---- steps ------------------------------------------------------------------------------------------- */

static int step(struct opq *opq, kith_error *err) {
    for (size_t p = 0; p < opq->m; p++) {
        TRY(assign(opq, p, err));
        move_centroids(opq, p);
        decode(opq, p);
    }
    struct matrix_rows y = {opq->n, opq->n, opq->dim, opq->y},
                       z = {opq->n, opq->n, opq->dim, opq->z};
    TRY(matrix_moment(&y, &z, NULL, opq->how->threads, opq->wide, opq->owner, err));
    for (size_t i = 0; i < opq->dim * opq->dim; i++) opq->moment[i] = (float)opq->wide[i];
    return polar_factor(opq->dim, opq->moment, opq->rotation, opq->how->threads, opq->owner, err);
}

static int learn(struct opq *opq, const struct matrix_rows *rows, kith_error *err) {
    TRY(project(opq, rows, err));
    allocate(opq);
    rotate(opq);
    for (size_t p = 0; p < opq->m; p++) TRY(start_part(opq, p, err));
    for (uint32_t i = 0; i < STEPS; i++) {
        TRY(step(opq, err));
        rotate(opq);
        if (opq->how->progress) opq->how->progress(opq->how->context, i + 1, STEPS);
    }
    return KITH_OK;
}

/* A = R V: V's columns are the rows of the product's other side. */
static int finish(struct opq *opq, struct transform *t, kith_error *err) {
    size_t d_in = opq->d_in, dim = opq->dim;
    uint32_t threads = opq->how->threads;
    matrix_transpose(dim, d_in, opq->basis, t->back);
    struct matrix_product product = {dim, d_in, dim, opq->rotation, t->back};
    matrix_multiply(&product, threads, t->a);
    matrix_transpose(dim, d_in, t->a, t->back);
    if (dim <= d_in) {
        TRY(polar_polish(dim, d_in, t->a, threads, t->owner, err));
        matrix_transpose(dim, d_in, t->a, t->back);
    } else {
        TRY(polar_polish(d_in, dim, t->back, threads, t->owner, err));
        matrix_transpose(d_in, dim, t->back, t->a);
    }
    return KITH_OK;
}

int transform_train_opq(struct transform *t, const struct matrix_rows *rows,
                        const struct quantizer_training *how, kith_error *err) {
    struct opq opq = {.spec = &t->spec,
                      .how = how,
                      .owner = t->owner,
                      .n = rows->n_used,
                      .d_in = t->spec.d_in,
                      .dim = t->spec.d_out,
                      .m = t->spec.m,
                      .part = t->spec.d_out / t->spec.m,
                      .k = rows->n_used < CENTROIDS ? rows->n_used : CENTROIDS};
    TRY(transform_alloc(t, TRANSFORM_A | TRANSFORM_BACK, err));
    TRY(reserve(&opq, err));
    int code = learn(&opq, rows, err);
    if (code == KITH_OK) code = finish(&opq, t, err);
    mem_slab_free(opq.owner, opq.memory, opq.bytes);
    return code;
}
