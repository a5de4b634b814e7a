/* Certified bounds: from "no farther than tau by the float law" to a limit on an estimate.
 *
 *     law      the distance that is returned: kern.h's f32 sum over the exact row x
 *     est      the scorer's estimate, within slack of the real distance to the decoded row x~
 *     err      a stored bound on |x - x~|; 0 where the walk row is the exact row
 *
 * A row whose law distance is <= tau has est <= a + err * (b + c * err), which scan_bound_limit computes. With
 * u = 2^-24, rho >= (dim/16 + 16) u bounding the relative error of any f32 sum of kern.h (at most dim/16 + 1 fma
 * a lane, 4 levels of the tree, the subtraction and its square), tiny covering underflow:
 *
 *     L2      all terms are >= 0, so the real distance D <= tau / (1 - rho) + tiny = T^2. The triangle inequality gives
 *             |q - x~| <= T + err, hence est <= T^2 + 2 T err + err^2 + slack.
 *     IP      |law - real| <= rho |q| |x| + tiny, and |<q, x> - <q, x~>| <= |q| err (Cauchy & Schwarz).
 *     COSINE  of unit vectors: |law - real| <= 2 rho + 16 u (the dot, and both lengths), and
 *             |<q, x> - <q, x~>| <= err. Queries (and rows, by an infinite err) too short for f32 dots to keep their
 *             digits get no bound: spread INFINITY.
 * Everything here is computed in double and rounded outwards. */
#ifndef KITH_INDEX_SCAN_BOUND_H
#define KITH_INDEX_SCAN_BOUND_H

#include "index/rows.h"

struct scan_bound {
    kith_metric metric;
    double rho;
    double q_len;  /* of the query */
    double spread; /* |law - real| where it does not depend on tau: IP, COSINE */
    bool exact;    /* the estimate is the law distance itself */
};

struct scan_limit {
    float a, b, c;
};

void scan_bound_init(struct scan_bound *bound, const struct store *store, const float *query,
                     bool exact);
struct scan_limit scan_bound_limit(const struct scan_bound *bound, float tau, float slack);

/* Whether a row is so short that under COSINE its f32 dots may lose their digits: its err is INFINITY. */
bool scan_bound_is_short(kith_metric metric, size_t dim, const float *x);

static inline bool scan_within(const struct scan_limit *limit, float est, float err) {
    return est <= limit->a + err * (limit->b + limit->c * err);
}

#endif
