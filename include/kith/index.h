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
 *     HNSWm,SQ8,Refine | HNSWm,SQfp16,Refine   the same (SQbf16 too), originals kept and results re-ranked on them;
 *                     Refine(Flat) and RFlat say the same; Refine(CODE) keeps a second code in place of originals, any
 *                     that has no fewer bits than what it refines: HNSW16,SQ4,Refine(SQ8). What it decodes to is given back
 *                     and measured to
 *     IVFn,CODE       n inverted lists, nprobe of them read by a search; CODE is Flat, SQfp16, SQbf16, or one of the
 *                     quantizers' below; IVFn_HNSWm finds the lists through a graph
 *     SQ4 SQ6 SQ8 PQm PQmx4fs RaBitQ RaBitQb Binary    quantizers: 4, 6 or 8 bits a dimension; m sub-quantizers of 8 or 4
 *                     bits; 1 or b bits a dimension; signs. Alone, after HNSWm, or in lists (of residuals there).
 *                     SQ4_uniform SQ6_uniform SQ8_uniform: with one range for all dimensions
 *     Auto            chooses by rows, dimension, and the options' bytes_per_row, recall and writes: without them Flat below
 *                     20,000 rows, else HNSW16,SQ8,Refine
 *     T,…             transforms before any of these but Auto, at most eight, each followed by a comma: PCAd (principal
 *                     components; PCAWd whitened, PCARd and PCAWRd rotated after), OPQm and OPQm_d (rotated to suit a
 *                     product quantizer of m parts), RR and RRd (random rotation), HR (a fast one, to a multiple of 64),
 *                     L2norm, Padd, Centre. A refinement is then on what was given: OPQ16,IVF256,PQ16x4fs,Refine. Without
 *                     one, distances are those of the transformed vectors
 * A quantizer without a refinement gives the distances of its codes. IDMap, before or after, says nothing.
 * Rows whose values are all integers in 0..255 are kept as u8 in place of floats and SQ8, without loss. */
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

/* Called now and then during long work with done of total rows.
 *   Threads  one at a time, that of the call. It may search the index; it must not change, save or check it, for the call
 *            that it reports on holds the locks of writers. */
typedef void (*kith_progress_fn)(void *context, uint64_t done, uint64_t total);

typedef struct kith_index_options {
    /* sizeof(kith_index_options): set by the INIT macro, so that fields can be added */
    uint32_t size;
    uint32_t ef_construction; /* graph: pool size while inserting (0: 128) */
    float alpha;              /* graph: pruning slack on distances, 1 (HNSW's rule) to 2 (0: 1.1) */
    uint64_t seed;            /* levels, sampling (42) */
    /* bytes; 0: none. A call that would need more answers KITH_ENOMEM with the numbers, and changes nothing. Counted
     * is all that the index holds, and what its adds, training and searches take for a while (docs/limits.md); not
     * stored in files */
    uint64_t memory_limit;
    /* inverted lists: while centres are learnt no list has more than 1 + balance times the mean; rows then go to the
     * nearest centre all the same. Evener lists, evener latency (0: as lists fall) */
    float balance;
    /* What Auto goes by beside rows, dimension and metric (docs/choosing.md); not stored in files. */
    float bytes_per_row; /* the index may take so much, originals included (0: any) */
    float recall;        /* that searches will ask for (0: not known) */
    float writes;        /* rows added, removed or replaced for each search (0: few) */
} kith_index_options;
#define KITH_INDEX_OPTIONS_INIT \
    { (uint32_t)sizeof(kith_index_options), 0u, 0.0f, 42u, 0u, 0.0f, 0.0f, 0.0f, 0.0f }

/* How work on many rows is done. */
typedef struct kith_work {
    uint32_t size;
    uint32_t threads; /* at most this many, the caller's included (1) */
    kith_progress_fn progress;
    void *context;
} kith_work;
#define KITH_WORK_INIT \
    { (uint32_t)sizeof(kith_work), 1u, NULL, NULL }

/* A filter: the ids that may be returned. Both NULL: all.
 *   Shape    a bit view: bit i % 64 of bits[i / 64] is id i, ids at or past n_bits fail; or a callback that answers
 *            non-zero for ids that pass.
 *   Owns     nothing; bits and context are borrowed until the search returns, and must not change before.
 *   Threads  the callback is called from every thread that searches: with threads > 1 from several at once. It may call
 *            kith_index_contains and kith_index_reconstruct. It must not add to, change, save, check or search the same
 *            index: a write waits until the searches that began before it have ended, and so would wait for itself.
 *   Cost     a bit view: next to nothing. A callback: up to one call a row that is looked at, some 1,000 more a search
 *            call to learn how many pass; the same id may be asked for more than once. */
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
    /* re-rank up to so many times k candidates on originals (0: 2 to 16, as the code is coarse) */
    float oversample;
    int exact;            /* non-zero: scan, whatever the index */
    uint32_t threads;     /* for several queries: at most this many, the caller's included (1) */
    uint64_t deadline_ns; /* give up this long after the call began; 0: never */
    kith_filter filter;
    uint32_t nprobe; /* inverted lists: how many are read (0: the root of their number) */
    /* above 0: in place of ef, nprobe and oversample, what gives this recall (kith/calibrate.h) */
    float recall;
} kith_search_params;
#define KITH_SEARCH_PARAMS_INIT                                                                 \
    {                                                                                           \
        (uint32_t)sizeof(kith_search_params), 10u, 0u, 0.0f, 0, 1u, 0u, {NULL, 0u, NULL, NULL}, \
            0u, 0.0f                                                                            \
    }

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
    const char *stored; /* how originals are kept: as code is, or "none" */
    /* What a search walks or scans first: "f32", "f16", "bf16", "u8", "sq8"; "sq", "pq", "rabitq" or "binary" of a quantizer. */
    const char *code;
    uint32_t max_degree, levels; /* graph, else 0 */
    double mean_degree;
    uint32_t lists; /* inverted lists, once trained, else 0 */
    double mean_list;
    uint64_t largest_list;
    uint64_t bytes;        /* all components, heap or map */
    uint64_t mapped_bytes; /* of these, in a mapped file: in memory as far as they were touched */
    uint64_t calibrated_rows; /* when recall was measured; 0: it was not (kith/calibrate.h) */
    uint64_t changed_rows;    /* added, removed or replaced since */
    uint32_t n_components;
    kith_component component[KITH_MAX_COMPONENTS];
    uint64_t heap_bytes; /* what the allocator gave the index: what memory_limit is compared with */
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
 *            negative id, KITH_EFULL, KITH_ENOMEM, KITH_EREADONLY; the index is unchanged after any of them, but that after
 *            KITH_ENOMEM codes kept in place of originals may have been coded anew for the ranges of these rows.
 *   Same rows, options and seed give the same index bytes at any number of threads. */
KITH_API int kith_index_add(kith_index *index, size_t n, const float *rows, const int64_t *ids,
                            const kith_work *work, kith_error *err);

/* Learn what the index needs before it codes rows: an index of inverted lists its centres and codes, transforms that learn
 * (PCA, OPQ, Centre) their maps. Without this call it learns from its own rows, lists once they have 16 a list, transforms
 * once they are 4,096 and four a dimension; until then it scans them. Others need no training, and return at once.
 * Called again, it learns anew: from what is given, or with n = 0 from its own rows. Lists also learn anew by themselves,
 * inside the add or update after which they no longer fit their rows (docs/limits.md); the number of lists stays. Transforms
 * learn anew where originals are kept; else only what is behind them does.
 *   Shape    rows[n][dim] f32, like the rows that will be added; at least as many as there are lists (64 a list are
 *            looked at, and 16,384 at least). Rows that the index already has are coded; where no originals are kept, from their codes.
 *   Threads  as kith_index_add; searches go on, with the lists as they were.
 *   Cost     ten passes of k-means over these; all lists a second time while they are made anew.
 *   Errors   KITH_EINVAL too few rows; KITH_ENONFINITE, KITH_ERANGE (err->at: row), KITH_ENOMEM, KITH_EREADONLY; the index
 *            is unchanged after any of them. */
KITH_API int kith_index_train(kith_index *index, size_t n, const float *rows, const kith_work *work,
                              kith_error *err);

/* Remove rows by id: all of them, or none.
 *   Threads  may run beside searches and adds; removals and updates wait for each other. No search that starts after it
 *            returned gives a removed row; one that is under way may.
 *   Cost     flat: waits until the searches that are under way have ended. Graph: little; each time one row in 64 has gone,
 *            a sweep over all rows unlinks them. Space is reused.
 *   Errors   KITH_ENOTFOUND (err->at: the first id that is missing), KITH_EDUPLICATE an id given twice, KITH_ENOMEM,
 *            KITH_EREADONLY; the index is unchanged after any of them. */
KITH_API int kith_index_remove(kith_index *index, size_t n, const int64_t *ids, kith_error *err);

/* Replace the vectors of ids that are present: all of them, or none.
 *   Shape    rows[n][dim] f32; ids[n], each present, none twice.
 *   Threads  as kith_index_remove. A search sees all of the old vectors or all of the new ones, and each id once.
 *   Cost     an add of n rows and a removal of n.
 *   Errors   those of kith_index_add but KITH_EINVAL, and KITH_ENOTFOUND; the index is unchanged after any of them. */
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
 *   Errors   KITH_EK k 0 or over the rows; KITH_EEMPTY; KITH_ENONFINITE, KITH_ERANGE (err->at: query); KITH_EINVAL ef,
 *            oversample or recall out of range; KITH_ERECALL the recall asked for cannot be promised; KITH_EFILTER;
 *            KITH_EDEADLINE; KITH_ENOMEM. Outputs are undefined on KITH_EDEADLINE and KITH_ENOMEM, which come when queries may
 *            have been answered already, else untouched. */
KITH_API int kith_index_search(const kith_index *index, size_t n, const float *queries,
                               const kith_search_params *params, int64_t *ids, float *dists,
                               kith_error *err);

/* All rows within radius of each query (at distance <= radius, or similarity >= radius), nearest first. Exact in every
 * index, of what it stores: all rows are scanned. params may be NULL; k and ef are not used.
 *   Shape    query i's hits are ids and dists[start[i]] to [start[i + 1] - 1].
 *   Owns     the result, freed by kith_range_result_free.
 *   Threads  as kith_index_search.
 *   Cost     a scan a query; memory for the hits.
 *   Errors   KITH_ENONFINITE, KITH_ERANGE, KITH_EINVAL, KITH_EFILTER, KITH_EDEADLINE, KITH_ENOMEM; *out is untouched. */
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
 * be reached. KITH_OK, or KITH_ECORRUPT with the first violation in err.
 *   Threads  searches go on; writers wait.
 *   Cost     every link, and every byte of a mapped file, is read once.
 *   Errors   KITH_ECORRUPT (err->at: row, or byte of the file), KITH_ENOMEM. */
KITH_API int kith_index_check(const kith_index *index, kith_error *err);

/* Mend what check finds in derived data (links, codes); *mended counts what was changed. Originals are not touched.
 *   Threads  searches go on, and scan where all rows have to be linked anew; writers wait.
 *   Cost     that of a check where nothing is wrong, at most that of a build.
 *   Errors   KITH_ENOMEM, KITH_EREADONLY. */
KITH_API int kith_index_repair(kith_index *index, uint64_t *mended, kith_error *err);

/* Write the index to a file: a temporary beside it, synced, then renamed over it: the old file or the new, never a mix.
 *   Owns     nothing. A process that is killed meanwhile leaves PATH.kith-tmp-N (N a small number); the next save to PATH
 *            removes it, on file systems that know locks (flock), and while nothing is being saved to PATH so may you.
 *   Threads  searches go on; writers wait. Several saves at once, also of several processes, to one path: the last wins.
 *   Cost     the bytes of the file written and synced; 1 MiB of memory.
 *   Errors   KITH_EIO, KITH_ENOSPC, KITH_ENOMEM; the old file is as it was. (KITH_EIO also when the new file is in place but
 *            its folder could not be synced.) */
KITH_API int kith_index_save(const kith_index *index, const char *path, kith_error *err);

/* Open a saved index. KITH_OPEN_READ copies it into memory and verifies every checksum. KITH_OPEN_MAP maps it
 * read-only, at a cost that does not depend on its size; header and section table are verified, the rest by
 * kith_index_check; writes to it answer KITH_EREADONLY. KITH_OPEN_REPAIR is KITH_OPEN_READ for a file whose links are
 * damaged: checksums of a graph's links are not verified (all others are), and the index is to be repaired and checked
 * before it is used.
 * KITH_OPEN_CODES is for indexes whose originals do not fit memory: what a search goes through (codes, links, lists) is
 * copied and verified, originals that only re-ranking reads are mapped, and those of a query's candidates asked for together,
 * so that reads from the disk overlap. Read-only.
 *   Errors   KITH_EIO, KITH_EFORMAT foreign file, KITH_EVERSION, KITH_ETRUNCATED, KITH_ECORRUPT (err->at: byte), KITH_ENOMEM. */
enum { KITH_OPEN_READ = 0, KITH_OPEN_MAP = 1, KITH_OPEN_REPAIR = 2, KITH_OPEN_CODES = 3 };
KITH_API int kith_index_open(kith_index **out, const char *path, int mode, kith_error *err);

#ifdef __cplusplus
}
#endif
#endif
