/* Vector arithmetic as the user sees it: metrics over kern's sums.
 *
 *   1. f32, f16 and bf16 go by the float law of kern.h; the first vector of a half type is widened into scratch.
 *   2. i8 and u8 are summed as whole numbers and rounded once.
 *   3. COSINE is dot * (inv_a * inv_b) with inv = 1/|x|, or 0 for a zero vector: the same everywhere in Kith.
 *   4. All three doors give the same bits for the same pair. */
#include <kith/vector.h>

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "kern/kern.h"

static int check(kith_metric metric, kith_type type, size_t dim, kith_error *err) {
    if ((unsigned)metric > KITH_METRIC_L1)
        return FAIL(err, KITH_EINVAL, "metric %d is none", (int)metric);
    if (kith_type_bytes(type) == 0) return FAIL(err, KITH_EINVAL, "type %d is none", (int)type);
    if (dim == 0 || dim > KITH_MAX_DIM)
        return FAIL(err, KITH_EDIM, "dim %zu, must be 1 to %u", dim, KITH_MAX_DIM);
    return KITH_OK;
}

static enum kern_metric kern_metric_of(kith_metric metric) {
    switch (metric) {
    case KITH_METRIC_L2:
    case KITH_METRIC_EUCLID: return KERN_L2SQ;
    case KITH_METRIC_L1: return KERN_L1;
    default: return KERN_DOT;
    }
}

static bool is_whole(kith_type type) { return type == KITH_TYPE_I8 || type == KITH_TYPE_U8; }
static bool is_half(kith_type type) { return type == KITH_TYPE_F16 || type == KITH_TYPE_BF16; }

/* ---- whole numbers ----------------------------------------------------------------------------- */

/* 1/|x| from the exact sum of squares, which fits 32 bits; 0 for a zero vector. */
static float whole_inv(kith_type type, size_t dim, const void *x) {
    uint32_t squares = kern_get()->int_pair[type == KITH_TYPE_U8][KERN_DOT](x, x, dim);
    return squares ? 1.0f / sqrtf((float)squares) : 0.0f;
}

static float whole_distance(kith_metric metric, kith_type type, size_t dim, const void *a,
                            const void *b, float inv_product) {
    bool is_u8 = type == KITH_TYPE_U8;
    uint32_t sum = kern_get()->int_pair[is_u8][kern_metric_of(metric)](a, b, dim);
    if (metric == KITH_METRIC_EUCLID) return (float)sqrt((double)sum);
    if (!kith_metric_is_similarity(metric)) return (float)sum;
    float dot = is_u8 ? (float)sum : (float)(int32_t)sum;
    return metric == KITH_METRIC_IP ? dot : dot * inv_product;
}

static void whole_distances(kith_metric metric, kith_type type, size_t dim, const void *query,
                            size_t n, const char *rows, float *out) {
    bool cosine = metric == KITH_METRIC_COSINE;
    float inv = cosine ? whole_inv(type, dim, query) : 0;
    for (size_t i = 0; i < n; i++, rows += dim) {
        float product = cosine ? inv * whole_inv(type, dim, rows) : 0;
        out[i] = whole_distance(metric, type, dim, query, rows, product);
    }
}

/* ---- floats ------------------------------------------------------------------------------------ */

/* Sums become distances in place: out[i] is of the query with 1/|query| = inv, and of row i. */
static void finish(kith_metric metric, kith_type type, size_t dim, float inv, size_t n,
                   const char *rows, float *out) {
    const struct kern *kern = kern_get();
    size_t stride = dim * kith_type_bytes(type);
    if (metric == KITH_METRIC_EUCLID)
        for (size_t i = 0; i < n; i++) out[i] = sqrtf(out[i]);
    if (metric == KITH_METRIC_COSINE)
        for (size_t i = 0; i < n; i++)
            out[i] *= inv * kern_inv_length(kern, type, rows + i * stride, dim);
}

static void float_distances(kith_metric metric, kith_type type, size_t dim, const float *query,
                            size_t n, const char *rows, float *out) {
    const struct kern *kern = kern_get();
    float inv = 0;
    if (metric == KITH_METRIC_COSINE) inv = kern_inv_length(kern, KITH_TYPE_F32, query, dim);
    kern->rows[type][kern_metric_of(metric)](query, rows, dim * kith_type_bytes(type), n, dim, out);
    finish(metric, type, dim, inv, n, rows, out);
}

/* ---- the doors --------------------------------------------------------------------------------- */

int kith_distances(kith_metric metric, kith_type type, size_t dim, const void *query, size_t n,
                   const void *rows, float *out, kith_error *err) {
    TRY(check(metric, type, dim, err));
    if (is_whole(type)) {
        whole_distances(metric, type, dim, query, n, rows, out);
    } else if (is_half(type)) {
        float *wide = mem_new(NULL, dim * sizeof *wide);
        if (!wide) return FAIL(err, KITH_ENOMEM, "no memory for %zu floats", dim);
        kern_get()->to_f32[type](query, dim, wide);
        float_distances(metric, type, dim, wide, n, rows, out);
        mem_free(NULL, wide, dim * sizeof *wide);
    } else {
        float_distances(metric, type, dim, query, n, rows, out);
    }
    return KITH_OK;
}

int kith_distance(kith_metric metric, kith_type type, size_t dim, const void *a, const void *b,
                  float *out, kith_error *err) {
    return kith_distances(metric, type, dim, a, 1, b, out, err);
}

/* Rows of a that are widened and multiplied at a time. */
#define MATRIX_ROWS 32u

/* wide: MATRIX_ROWS * dim floats for the half types; inv_b: n_b inverse lengths for COSINE. */
static void float_matrix(kith_metric metric, kith_type type, size_t dim, size_t n_a, const char *a,
                         size_t n_b, const char *b, float *wide, const float *inv_b, float *out) {
    const struct kern *kern = kern_get();
    size_t stride = dim * kith_type_bytes(type);
    for (size_t i = 0; i < n_a; i += MATRIX_ROWS) {
        size_t n = n_a - i < MATRIX_ROWS ? n_a - i : MATRIX_ROWS;
        const float *queries = (const float *)(a + i * stride);
        if (is_half(type)) {
            kern->to_f32[type](a + i * stride, n * dim, wide);
            queries = wide;
        }
        float *block = out + i * n_b;
        kern->tile[type][kern_metric_of(metric)](queries, dim, n, b, stride, n_b, dim, block, n_b);
        for (size_t q = 0; q < n && metric == KITH_METRIC_COSINE; q++) {
            float inv = kern_inv_length(kern, KITH_TYPE_F32, queries + q * dim, dim);
            for (size_t j = 0; j < n_b; j++) block[q * n_b + j] *= inv * inv_b[j];
        }
        for (size_t j = 0; j < n * n_b && metric == KITH_METRIC_EUCLID; j++)
            block[j] = sqrtf(block[j]);
    }
}

static void whole_matrix(kith_metric metric, kith_type type, size_t dim, size_t n_a, const char *a,
                         size_t n_b, const char *b, const float *inv_b, float *out) {
    bool cosine = metric == KITH_METRIC_COSINE;
    for (size_t i = 0; i < n_a; i++) {
        float inv = cosine ? whole_inv(type, dim, a + i * dim) : 0;
        for (size_t j = 0; j < n_b; j++) {
            float product = cosine ? inv * inv_b[j] : 0;
            out[i * n_b + j] = whole_distance(metric, type, dim, a + i * dim, b + j * dim, product);
        }
    }
}

int kith_distance_matrix(kith_metric metric, kith_type type, size_t dim, size_t n_a, const void *a,
                         size_t n_b, const void *b, float *out, kith_error *err) {
    TRY(check(metric, type, dim, err));
    size_t n_wide = is_half(type) ? MATRIX_ROWS * dim : 0, n_inv = 0, bytes;
    if (metric == KITH_METRIC_COSINE) n_inv = n_b;
    if (!mem_mul(n_wide + n_inv, sizeof(float), &bytes))
        return FAIL(err, KITH_ENOMEM, "%zu rows are too many", n_b);
    float *scratch = mem_new(NULL, bytes);
    if (!scratch) return FAIL(err, KITH_ENOMEM, "no memory for %zu bytes of scratch", bytes);
    float *inv_b = scratch + n_wide;
    const char *row = b;
    for (size_t j = 0; j < n_inv; j++, row += dim * kith_type_bytes(type))
        inv_b[j] = is_whole(type) ? whole_inv(type, dim, row)
                                  : kern_inv_length(kern_get(), type, row, dim);
    if (is_whole(type))
        whole_matrix(metric, type, dim, n_a, a, n_b, b, inv_b, out);
    else
        float_matrix(metric, type, dim, n_a, a, n_b, b, scratch, inv_b, out);
    mem_free(NULL, scratch, bytes);
    return KITH_OK;
}

int kith_normalized_dot(size_t dim, const float *a, const float *b, float *out, kith_error *err) {
    return kith_distance(KITH_METRIC_COSINE, KITH_TYPE_F32, dim, a, b, out, err);
}

/* Rows whose sum of squares leaves f32's normal numbers are first scaled by a power of two, which is exact. */
static void normalize_row(const struct kern *kern, size_t dim, const float *in, float *out) {
    float squares = kern->dot_self[KITH_TYPE_F32](in, dim);
    float most = kern->max_abs(in, dim);
    if (most > 0 && isfinite(most) && !(squares > 0x1p-100f && squares < INFINITY)) {
        int exponent;
        frexpf(most, &exponent);
        for (size_t i = 0; i < dim; i++) out[i] = ldexpf(in[i], -exponent);
        in = out;
        squares = kern->dot_self[KITH_TYPE_F32](in, dim);
    }
    float inv = squares > 0 ? 1.0f / sqrtf(squares) : 0.0f;
    for (size_t i = 0; i < dim; i++) out[i] = in[i] * inv;
}

int kith_normalize(size_t dim, size_t n, const float *in, float *out, kith_error *err) {
    TRY(check(KITH_METRIC_L2, KITH_TYPE_F32, dim, err));
    for (size_t i = 0; i < n; i++) normalize_row(kern_get(), dim, in + i * dim, out + i * dim);
    return KITH_OK;
}
