/* Measuring answers against the truth: recall@k, MAP, nDCG, MRR. */
#ifndef KITH_EVAL_H
#define KITH_EVAL_H

#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kith_eval {
    double recall; /* mean share of the true k nearest that were found, by id */
    /* by id or distance: a hit is a true one, or as near as the k-th true one; NAN when no distances were given */
    double recall_ties;
    /* 5th percentile (nearest rank) of the per-query recall; by ties where distances were given */
    double recall_p5;
    double map;  /* mean average precision at k, the true k nearest being the relevant ones */
    double ndcg; /* nDCG@k, gain of the true i-th nearest k - i + 1 (i from 1), log2 discount */
    double mrr;  /* mean reciprocal rank of the true nearest, 0 where it is not among the k */
} kith_eval;

/* Compare n answers with the truth.
 *   Shape    got[n][got_k], truth[n][truth_k] ids, nearest first, negative = missing; 1 <= k <= truth_k. Where
 *            got_k < k the missing places count as misses; an id given twice counts once; where the truth misses places
 *            fewer than k are to be found, and where it has none the query counts as answered perfectly. got_dists[n][got_k] and truth_dists[n][truth_k] may both be
 *            NULL; similarity non-zero: larger is nearer.
 *   Threads  any.   Cost  n*k*log k; one scratch allocation.
 *   Errors   KITH_EK k 0 or over truth_k; KITH_EINVAL n 0, an array missing, distances of one side only; KITH_ENOMEM;
 *            *out untouched. */
KITH_API int kith_eval_knn(size_t n, size_t k, const int64_t *got, size_t got_k,
                           const int64_t *truth, size_t truth_k, const float *got_dists,
                           const float *truth_dists, int similarity, kith_eval *out,
                           kith_error *err);

#ifdef __cplusplus
}
#endif
#endif
