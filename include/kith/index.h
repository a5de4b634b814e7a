/* kith_index: rows of float32 in, (ids, distances) out. Tier 1 of the library.
 *
 *     kith_index *index;
 *     kith_index_new(&index, 384, KITH_METRIC_COSINE, "HNSW16", NULL, &err);
 *     kith_index_add(index, n, vectors, NULL, NULL, &err);
 *     kith_search_params params = KITH_SEARCH_PARAMS_INIT;
 *     params.k = 10;
 *     kith_index_search(index, 1, query, &params, ids, distances, &err);
 *
 * Descriptions (SPEC), FAISS's grammar for what exists; case does not matter in the words:
 *     Flat            every row is scanned; float32, or u8 where all values are integers in 0..255 (lossless)
 *     Flat,SQ8        float32 kept, a one-byte code pre-selects under a certified bound; same results as Flat
 *     SQ8 SQfp16 SQbf16        flat over the code alone; results equal the float32 scan of what is stored
 *     HNSWm           graph with m links a row (2m on the base level), m in 2..128; traversal over f32
 *     HNSWm,SQ8       traversal over one-byte codes, float32 originals dropped
 *     HNSWm,SQfp16    traversal over half floats, originals dropped
 *     HNSWm,SQ8,Refine | HNSWm,SQfp16,Refine   the same, originals kept and results re-ranked on them;
 *                     Refine(Flat), RFlat and Refine(SQfp16) (originals kept as half floats) also parse
 *     Auto            chooses by size: Flat below 20,000 rows, else HNSW16,SQ8,Refine
 * Rows whose values are all integers in 0..255 are kept as u8 everywhere, without loss. */
#ifndef KITH_INDEX_H
#define KITH_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>
#include <kith/vector.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KITH_NO_ID    ((int64_t)-1)
#define KITH_MAX_ROWS 2147483646u
#define KITH_MAX_K    16384u

typedef struct kith_index kith_index;

/* Called now and then during long work with done of total rows; a non-zero answer is ignored for now.
 * Called from one thread at a time, never while a lock that a search needs is held. */
typedef void (*kith_progress_fn)(void *context, uint64_t done, uint64_t total);

typedef struct kith_index_options {
    uint32_t
        size; /* sizeof(kith_index_options): set by the INIT macro, so that fields can be added */
    uint32_t ef_construction; /* graph: pool size while inserting (0: 128) */
    float alpha;              /* graph: pruning slack on distances, 1 (HNSW's rule) to 2 (0: 1.1) */
    uint64_t seed;            /* levels, sampling (42) */
} kith_index_options;
#define KITH_INDEX_OPTIONS_INIT \
    { (uint32_t)sizeof(kith_index_options), 0u, 0.0f, 42u }

/* How work on many rows is done. */
typedef struct kith_work {
    uint32_t size;
    uint32_t threads; /* at most this many, the caller's included (1) */
    kith_progress_fn progress;
    void *context;
} kith_work;
#define KITH_WORK_INIT \
    { (uint32_t)sizeof(kith_work), 1u, NULL, NULL }

/* A filter: the ids that may be returned. Either a bit view (bit i of bits[i / 64] is id i; ids at or past n_bits
 * fail), or a callback that answers non-zero for ids that pass (called from the searching thread). Both NULL: all. */
typedef struct kith_filter {
    const uint64_t *bits;
    uint64_t n_bits;
    int (*pass)(void *context, int64_t id);
    void *context;
} kith_filter;

typedef struct kith_search_params {
    uint32_t size;
    uint32_t k;  /* results a query, 1..min(KITH_MAX_K, rows) (10) */
    uint32_t ef; /* graph: pool size; raised to k where smaller (0: 64, or k if larger) */
    float
        oversample; /* graph: re-rank this many times k candidates of the pool on originals (0: 2) */
    int exact;      /* non-zero: scan, whatever the index */
    uint32_t threads;     /* for several queries: at most this many, the caller's included (1) */
    uint64_t deadline_ns; /* give up this long after the call began; 0: never */
    kith_filter filter;
    uint32_t nprobe; /* inverted lists: how many are read (0: the root of their number) */
} kith_search_params;
#define KITH_SEARCH_PARAMS_INIT \
    { (uint32_t)sizeof(kith_search_params), 10u, 0u, 0.0f, 0, 1u, 0u, {NULL, 0u, NULL, NULL}, 0u }

/* Bytes of one component ("vectors", "codes", "links", …), of n at most KITH_MAX_COMPONENTS. */
#define KITH_MAX_COMPONENTS 16
typedef struct kith_component {
    const char *name;
    uint64_t bytes;
} kith_component;

typedef struct kith_index_stats {
    uint64_t rows;     /* live rows: what can be found */
    uint64_t capacity; /* rows that fit before the next allocation */
    uint64_t removed;  /* removed rows whose space is not reused yet */
    uint32_t dim;
    kith_metric metric;
    const char *spec;   /* as given, or as Auto chose; lives as long as the index */
    const char *stored; /* how originals are kept: "f32", "f16", "bf16", "u8", "sq8" or "none" */
    const char *code;   /* what a search walks or scans first: "f32", "f16", "bf16", "u8", "sq8" */
    uint32_t max_degree, levels; /* graph, else 0 */
    double mean_degree;
    uint32_t lists; /* inverted lists, once trained, else 0 */
    double mean_list;
    uint64_t largest_list;
    uint64_t bytes;        /* all components, heap or map */
    uint64_t mapped_bytes; /* of these, in a mapped file */
    uint32_t n_components;
    kith_component component[KITH_MAX_COMPONENTS];
} kith_index_stats;

/* Make an empty index. options NULL: all defaults.
 *   Owns     *out, freed by kith_index_free.
 *   Errors   KITH_EDIM dim 0 or over KITH_MAX_DIM; KITH_ESPEC (err->at: offset in spec); KITH_EINVAL; KITH_ENOMEM. */
KITH_API int kith_index_new(kith_index **out, size_t dim, kith_metric metric, const char *spec,
                            const kith_index_options *options, kith_error *err);

/* Free an index; NULL is allowed. No call on it may be running. */
KITH_API void kith_index_free(kith_index *index);

/* Add rows.
 *   Shape    rows[n][dim] f32; ids[n], each 0 or more and not present, or NULL: the next numbers after the highest
 *            id ever used.
 *   Threads  may run beside searches and other adds; visible to searches that start after it returns.
 *   Cost     flat: a copy and an encode a row. Graph: about ef_construction*M distances a row.
 *   Errors   KITH_ENONFINITE (err->at: row), KITH_ERANGE length not representable in f32, KITH_EDUPLICATE, KITH_EINVAL
 *            negative id, KITH_EFULL, KITH_ENOMEM, KITH_EREADONLY; the index is unchanged after any of them.
 *   Same rows, options and seed give the same index bytes at any number of threads. */
KITH_API int kith_index_add(kith_index *index, size_t n, const float *rows, const int64_t *ids,
                            const kith_work *work, kith_error *err);

/* Learn what the index needs before it codes rows: an index of inverted lists its centres and codes. Without this call it
 * learns from its own rows, once it has 16 a list; until then it scans them. Others need no training, and return at once.
 *   Shape    rows[n][dim] f32, like the rows that will be added; at least as many as there are lists (256 a list are
 *            looked at). Rows that the index already has are coded.
 *   Threads  as kith_index_add.
 *   Cost     ten passes of k-means over 256 rows a list.
 *   Errors   KITH_EINVAL too few rows, or trained already; KITH_ENONFINITE, KITH_ERANGE (err->at: row), KITH_ENOMEM,
 *            KITH_EREADONLY; the index is unchanged after any of them. */
KITH_API int kith_index_train(kith_index *index, size_t n, const float *rows, const kith_work *work,
                              kith_error *err);

/* Remove rows by id: all of them, or none (KITH_ENOTFOUND names the first that is missing; KITH_EDUPLICATE an id given
 * twice). Removed rows are never returned by searches that start after the call; their space is reused. */
KITH_API int kith_index_remove(kith_index *index, size_t n, const int64_t *ids, kith_error *err);

/* Replace the vectors of ids that are present: all of them, or none. */
KITH_API int kith_index_update(kith_index *index, size_t n, const float *rows, const int64_t *ids,
                               const kith_work *work, kith_error *err);

/* Find the k nearest rows to each query.
 *   Shape    queries[n][dim] f32; ids[n][k] and dists[n][k] (may be NULL), nearest first, equal distances by smaller id;
 *            missing places (fewer rows pass the filter) KITH_NO_ID and INFINITY (similarities: -INFINITY).
 *   Units    the index's metric; KITH_METRIC_L2 is squared; IP and COSINE are similarities, descending.
 *   Owns     nothing; borrows queries until return.
 *   Threads  any number at once, beside adds and removes; sees every write that returned before the call.
 *   Cost     flat: one pass over the codes. Graph: about ef*M distances. No allocation, lock or system call a query
 *            after a thread's first calls, with threads = 1.
 *   Errors   KITH_EK k 0 or over the rows; KITH_EEMPTY; KITH_ENONFINITE (err->at: query); KITH_EFILTER; KITH_EDEADLINE;
 *            outputs undefined on KITH_EDEADLINE, else untouched. */
KITH_API int kith_index_search(const kith_index *index, size_t n, const float *queries,
                               const kith_search_params *params, int64_t *ids, float *dists,
                               kith_error *err);

/* All rows within radius of each query (at distance <= radius, or similarity >= radius), nearest first.
 * Flat: every one. Graph: exact too (it scans). params may be NULL; k and ef are not used.
 *   Owns     the result, freed by kith_range_result_free. Row i's hits are [start[i], start[i + 1]). */
typedef struct kith_range_result {
    size_t n;
    uint64_t *start; /* n + 1 */
    int64_t *ids;
    float *dists;
} kith_range_result;
KITH_API int kith_index_range_search(const kith_index *index, size_t n, const float *queries,
                                     float radius, const kith_search_params *params,
                                     kith_range_result **out, kith_error *err);
KITH_API void kith_range_result_free(kith_range_result *result);

/* The stored vector of an id, decoded to f32 (exact where originals are kept as f32 or u8). */
KITH_API int kith_index_reconstruct(const kith_index *index, int64_t id, float *row,
                                    kith_error *err);

/* Non-zero if the id is present. */
KITH_API int kith_index_contains(const kith_index *index, int64_t id);

KITH_API uint64_t kith_index_rows(const kith_index *index);
KITH_API size_t kith_index_dim(const kith_index *index);
KITH_API kith_metric kith_index_metric(const kith_index *index);
KITH_API void kith_index_stats_get(const kith_index *index, kith_index_stats *stats);

/* Verify every numbered invariant (docs/architecture.md), every checksum of a mapped file, and that every row can
 * be reached. KITH_OK, or KITH_ECORRUPT with the first violation in err. */
KITH_API int kith_index_check(const kith_index *index, kith_error *err);

/* Mend what check finds in derived data (links, codes); *mended counts what was changed. Originals are not touched. */
KITH_API int kith_index_repair(kith_index *index, uint64_t *mended, kith_error *err);

/* Write the index to a file: a temporary beside it, synced, then renamed over it: the old file or the new, never a mix. */
KITH_API int kith_index_save(const kith_index *index, const char *path, kith_error *err);

/* Open a saved index. KITH_OPEN_READ copies it into memory and verifies every checksum. KITH_OPEN_MAP maps it
 * read-only, at a cost that does not depend on its size; header and section table are verified, the rest by
 * kith_index_check; writes to it answer KITH_EREADONLY. KITH_OPEN_REPAIR is KITH_OPEN_READ for a file whose links are
 * damaged: checksums of a graph's links are not verified (all others are), and the index is to be repaired and checked
 * before it is used.
 *   Errors   KITH_EIO, KITH_EFORMAT foreign file, KITH_EVERSION, KITH_ETRUNCATED, KITH_ECORRUPT (err->at: byte), KITH_ENOMEM. */
enum { KITH_OPEN_READ = 0, KITH_OPEN_MAP = 1, KITH_OPEN_REPAIR = 2 };
KITH_API int kith_index_open(kith_index **out, const char *path, int mode, kith_error *err);

#ifdef __cplusplus
}
#endif
#endif
