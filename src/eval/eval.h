/* Measuring one answer against the truth. <kith/eval.h> says what each figure means. */
#ifndef KITH_EVAL_EVAL_H
#define KITH_EVAL_EVAL_H

#include <stddef.h>
#include <stdint.h>

#include <kith/eval.h>

struct eval_scratch;

/* Scratch for answers of k ids, and n figures beside it; NULL when memory is short. */
struct eval_scratch *eval_scratch_new(size_t k, size_t n);
void eval_scratch_free(struct eval_scratch *scratch);

/* One query: ids got[n_got] (n_got at most k) against truth[k]. Distances may be NULL, both or neither; similarity
 * non-zero: larger is nearer. Fills all of *out but recall_p5; recall_ties is NAN without distances. */
struct eval_answer {
    const int64_t *got;
    const float *got_dists;
    size_t n_got;
    const int64_t *truth;
    const float *truth_dists;
    int similarity;
};
void eval_query(struct eval_scratch *scratch, const struct eval_answer *answer, kith_eval *out);

/* All queries: shapes as in kith_eval_knn, arguments checked by the caller. */
struct eval_run {
    size_t n, k;
    const int64_t *got;
    const float *got_dists;
    size_t got_k;
    const int64_t *truth;
    const float *truth_dists;
    size_t truth_k;
    int similarity;
};
void eval_all(struct eval_scratch *scratch, const struct eval_run *run, kith_eval *out);

#endif
