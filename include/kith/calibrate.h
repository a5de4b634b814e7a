/* Recall as a parameter: what effort a search needs to find a given share of the true neighbours.
 *
 *     kith_index_calibrate(index, NULL, NULL, &err);
 *     params.recall = 0.95f;
 *     kith_index_search(index, 1, query, &params, ids, distances, &err);
 *
 * A calibration is a table, kept in the index and in its file: for some k the recall that rising efforts gave (ef,
 * nprobe and oversample, whichever the index has). It is measured on rows of the index in place of queries, each of them
 * hidden from its own search, or on queries that the caller gives. A search that asks for a recall takes the least effort
 * that gave it, between the measured ones by interpolation.
 *
 * What it promises, and what not
 *   1. The mean over queries that come from where the calibration's came from. Rows stand for queries of the same kind;
 *      where queries are unlike rows (questions against documents), give a sample of them.
 *   2. Searches without a filter. Under a filter a search takes the same effort, and the planning of filters adds to it.
 *   3. k between the measured ones by interpolation, beyond the largest by an ef that grows with k.
 *   4. Rows as they were. While at most a tenth of them have been added, removed or replaced since, the table is used as
 *      it is; until as many have changed as there were, searches aim at half the misses; after that they are refused
 *      (KITH_ERECALL): docs/decisions/0029-recall-calibration.md.
 * Indexes of the Flat kinds that keep originals need none: their recall is 1. */
#ifndef KITH_CALIBRATE_H
#define KITH_CALIBRATE_H

#include <kith/index.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KITH_MAX_CALIBRATED_K 8u

typedef struct kith_calibrate_options {
    uint32_t size;
    uint32_t n_k;      /* how many k there are, at most KITH_MAX_CALIBRATED_K (0: 1, 10 and 100) */
    const uint32_t *k; /* rising; those at or over the rows are left out */
    uint32_t n_rows;   /* rows in place of queries, where none are given, at most (0: 2,000) */
    const float *queries; /* queries[n_queries][dim], or NULL */
    size_t n_queries;
    const float *
        base; /* base[n_base][dim]: every row as it was added, for an index that keeps none of them; or NULL */
    size_t n_base;
    const int64_t *base_ids; /* theirs (NULL: 0, 1, …) */
    uint64_t seed;           /* which rows (42) */
} kith_calibrate_options;
#define KITH_CALIBRATE_OPTIONS_INIT \
    { (uint32_t)sizeof(kith_calibrate_options), 0u, NULL, 0u, NULL, 0u, NULL, 0u, NULL, 42u }

/* Measure what recall each effort gives, and keep the table in the index in place of the one before.
 *   Owns     nothing; borrows queries, base and ids until return.
 *   Threads  searches go on; writers wait. The index may be a map.
 *   Cost     an exact search for each query, and some ten to thirty searches of rising effort a k for each.
 *   Errors   KITH_EEMPTY; KITH_EINVAL k not rising, base without queries' rows, an index that keeps no originals and was
 *            given no base; KITH_ENOTFOUND a base id, KITH_EDUPLICATE one that comes twice (err->at); KITH_ENONFINITE, KITH_ERANGE (err->at: query); KITH_ENOMEM.
 *            The table is as it was after any of them.
 *   The same rows, options and seed give the same table at any number of threads. */
KITH_API int kith_index_calibrate(kith_index *index, const kith_calibrate_options *options,
                                  const kith_work *work, kith_error *err);

/* The effort that a search with params->k and params->recall takes, written into its ef, nprobe, oversample and exact,
 * with recall set to 0; *expected (may be NULL) is the recall that the calibration tells for it.
 *   Threads  as kith_index_search.
 *   Errors   KITH_ERECALL not calibrated, outdated, or more than this index can give (with the most that it gave). */
KITH_API int kith_index_effort(const kith_index *index, kith_search_params *params,
                               double *expected, kith_error *err);

#ifdef __cplusplus
}
#endif
#endif
