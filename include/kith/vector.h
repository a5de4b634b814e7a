/* Vector arithmetic: distances of one pair, of one against many, and the pairwise matrix.
 *
 * Values are the user's: L2 is the squared Euclidean distance, EUCLID its root, L1 Manhattan (all three
 * ascending: smaller is nearer); IP and COSINE are similarities (larger is nearer). The cosine of a zero
 * vector with anything is 0. f32 results are the same bits on every machine; i8 and u8 are summed exactly
 * in integers and rounded once. */
#ifndef KITH_VECTOR_H
#define KITH_VECTOR_H

#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KITH_MAX_DIM 65536u

typedef enum kith_metric {
    KITH_METRIC_L2 = 0,     /* squared Euclidean distance */
    KITH_METRIC_EUCLID = 1, /* Euclidean distance */
    KITH_METRIC_IP = 2,     /* inner product, a similarity */
    KITH_METRIC_COSINE = 3, /* cosine similarity: the dot product of the normalised vectors */
    KITH_METRIC_L1 = 4      /* Manhattan distance */
} kith_metric;

typedef enum kith_type {
    KITH_TYPE_F32 = 0,
    KITH_TYPE_F16 = 1,  /* IEEE binary16, as uint16_t */
    KITH_TYPE_BF16 = 2, /* bfloat16, as uint16_t */
    KITH_TYPE_I8 = 3,
    KITH_TYPE_U8 = 4
} kith_type;

/* The metric that a name means: l2 sqeuclidean | euclid euclidean | ip dot inner | cosine cos angular |
 * l1 manhattan cityblock; case does not matter.
 *   Errors   KITH_EINVAL unknown name (the known ones are listed); *out untouched. */
KITH_API int kith_metric_parse(const char *name, kith_metric *out, kith_error *err);
KITH_API const char *kith_metric_name(kith_metric metric);

/* 1 when larger values are nearer (IP, COSINE), else 0. */
KITH_API int kith_metric_is_similarity(kith_metric metric);

/* Bytes of one element of a type; 0 for numbers that are no type. */
KITH_API size_t kith_type_bytes(kith_type type);

/* The distance (or similarity) of two vectors.
 *   Shape    a[dim], b[dim], both of the given type, any alignment.
 *   Threads  any number at once.      Cost  dim multiply-adds; no allocation for i8, u8 and f32.
 *   Errors   KITH_EDIM dim 0 or over KITH_MAX_DIM, KITH_EINVAL unknown metric or type. NaN and infinity are
 *            not refused here: they give what IEEE 754 gives. */
KITH_API int kith_distance(kith_metric metric, kith_type type, size_t dim, const void *a,
                           const void *b, float *out, kith_error *err);

/* One against many: out[i] is the distance of query to rows[i].
 *   Shape    query[dim]; rows[n][dim] row-major; out[n]. */
KITH_API int kith_distances(kith_metric metric, kith_type type, size_t dim, const void *query,
                            size_t n, const void *rows, float *out, kith_error *err);

/* The pairwise matrix: out[i][j] is the distance of a[i] to b[j].
 *   Shape    a[n_a][dim], b[n_b][dim], out[n_a][n_b], row-major.
 *   Cost     n_a*n_b*dim multiply-adds, blocked in registers; one scratch allocation. */
KITH_API int kith_distance_matrix(kith_metric metric, kith_type type, size_t dim, size_t n_a,
                                  const void *a, size_t n_b, const void *b, float *out,
                                  kith_error *err);

/* The normalised dot product: a.b / (|a| |b|), 0 where either is zero. */
KITH_API int kith_normalized_dot(size_t dim, const float *a, const float *b, float *out,
                                 kith_error *err);

/* Scale each row to length 1; a zero row stays zero. in and out may be the same array. */
KITH_API int kith_normalize(size_t dim, size_t n, const float *in, float *out, kith_error *err);

/* The instruction set in use ("avx512vnni"), and everything that `kith info` prints about this machine:
 * writes at most size bytes, NUL-ended. KITH_ISA in the environment forces a level, read at the first use. */
KITH_API const char *kith_isa(void);
KITH_API void kith_describe_machine(char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
