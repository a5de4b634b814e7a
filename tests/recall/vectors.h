/* Vectors for tests that search: synthetic ones from a seed, those of .npy files, and what an index finds of them.
 *
 * Recall is measured against the exact search of the same index (parameter `exact`), which tests/oracle compares with
 * the plain float scan. A result counts as found when it is no farther than the k-th true one, so that equal distances
 * may come in any order. Memory is never short here: what cannot be had ends the program. */
#ifndef TESTS_RECALL_VECTORS_H
#define TESTS_RECALL_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kith/kith.h>

/* Sanitizers slow everything down: fewer rows there. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FEWER(n) ((n) / 8)
#else
#define FEWER(n) (n)
#endif

struct vectors {
    size_t n, dim;
    float *x;
};

static inline const float *vectors_at(const struct vectors *vectors, size_t i) {
    return vectors->x + i * vectors->dim;
}

/* A splitmix64 stream, and numbers in [0, 1). */
uint64_t draw(uint64_t *state);
float draw_unit(uint64_t *state);

struct vectors vectors_new(size_t n, size_t dim);
void vectors_free(struct vectors *vectors);
/* Every element uniform in [-1, 1). */
struct vectors vectors_uniform(size_t n, size_t dim, uint64_t seed);
/* Row i lies about centre i % clusters (uniform in [-1, 1) each element), at most `spread` off in each element. The
 * centres follow from the seed alone. */
struct vectors vectors_clustered(size_t n, size_t dim, size_t clusters, float spread,
                                 uint64_t seed);
/* Whole numbers in 0..255. */
struct vectors vectors_integral(size_t n, size_t dim, uint64_t seed);
/* Rows [first, first + n), which stay the other's. */
struct vectors vectors_view(const struct vectors *vectors, size_t first, size_t n);

/* A .npy file of float16, float32 or uint8 in C order, or one that gzip packed; at most `most` rows. False if it is not there. */
bool vectors_read(struct vectors *vectors, const char *path, size_t most);
/* The same below KITH_SOURCE_ROOT, or below KITH_DATA. */
bool vectors_read_source(struct vectors *vectors, const char *path, size_t most);
bool vectors_read_data(struct vectors *vectors, const char *path, size_t most);

/* An index of the vectors with ids 0, 1, …; ends the program when it cannot be made. */
kith_index *index_of(const struct vectors *vectors, kith_metric metric, const char *spec,
                     uint32_t threads);

/* Mean share of the k nearest that searches with ef find; filter may be NULL. */
double recall_of(const kith_index *index, const struct vectors *queries, uint32_t k, uint32_t ef,
                 const kith_filter *filter);

#endif
