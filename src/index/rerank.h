/* Re-ranking: how far down the candidates, in order of their estimates, originals are worth reading.
 *
 *     candidates by estimate:  | first | step | step | …  stop: no estimate from here on can become one of the k nearest
 *
 * An original costs a read of memory that nobody has touched; an estimate is there. The errors (exact less estimate) of
 * the candidates read so far tell how far this query's estimates are off, whatever code made them. The rest is left out
 * once the next estimate, less RERANK_SIGMAS deviations of those errors, and less their mean where that is below 0, is
 * beyond the k-th exact distance so far. Candidates that got far up have too small an estimate rather than too large a one,
 * so that those further down err less to their favour than what was seen: the rule is on the safe side. It is a rule by
 * probability, as that of the RaBitQ paper (docs/papers.md), but learns its width instead of being told it. Figures and
 * what was tried beside it: decision 0035. */
#ifndef KITH_INDEX_RERANK_H
#define KITH_INDEX_RERANK_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define RERANK_SIGMAS 4.0
#define RERANK_LEAST  10u /* errors before they are believed */
#define RERANK_STEP   8u

struct rerank {
    uint32_t k, n_read;  /* results wanted; candidates whose originals were read */
    double sum, squares; /* of their errors */
};

/* How many of `left` candidates come next. */
static inline uint32_t rerank_next(const struct rerank *rerank, uint32_t left) {
    uint32_t first = rerank->k > RERANK_LEAST ? rerank->k : RERANK_LEAST;
    uint32_t some = rerank->n_read ? RERANK_STEP : first;
    return some < left ? some : left;
}

static inline void rerank_note(struct rerank *rerank, float estimate, float exact) {
    double error = (double)exact - (double)estimate;
    rerank->n_read++;
    rerank->sum += error;
    rerank->squares += error * error;
}

/* Whether no candidate from this estimate on is worth reading; tau is the k-th exact distance so far, or INFINITY. */
static inline bool rerank_is_over(const struct rerank *rerank, float estimate, float tau) {
    if (rerank->n_read < RERANK_LEAST || tau == INFINITY) return false;
    double mean = rerank->sum / rerank->n_read;
    double variance = rerank->squares / rerank->n_read - mean * mean;
    double room = RERANK_SIGMAS * sqrt(variance > 0 ? variance : 0) - (mean < 0 ? mean : 0);
    return (double)estimate - room > (double)tau;
}

#endif
