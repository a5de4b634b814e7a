/* Certified bounds; the reasoning is in scan_bound.h. */
#include "index/scan_bound.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define U        0x1p-24
#define TINY     0x1p-120 /* more than 65,536 products can lose to underflow */
#define NEVER_0  1e-30    /* an infinite err times it is infinite, not NaN */
#define L2SQ_MIN 1e-30    /* squared lengths below lose digits to underflow under COSINE */

void scan_bound_init(struct scan_bound *bound, const struct store *store, const float *query,
                     bool exact) {
    const struct code *code = &store->walk;
    *bound = (struct scan_bound){.metric = code->metric, .exact = exact};
    if (exact) return;
    bound->rho = ((double)code->dim / 16 + 16) * U * 1.01;
    double l2sq = 0;
    for (uint32_t i = 0; i < code->dim; i++) l2sq += (double)query[i] * (double)query[i];
    bound->q_len = sqrt(l2sq) * (1 + U);
    if (code->metric == KITH_METRIC_IP) {
        uint32_t bits = atomic_load_explicit(&store->l2sq_bits, memory_order_relaxed);
        float x_l2sq;
        memcpy(&x_l2sq, &bits, sizeof x_l2sq);
        double x_len = sqrt((double)x_l2sq * (1 + 2 * bound->rho) + TINY);
        bound->spread = bound->rho * bound->q_len * x_len + TINY;
    } else if (code->metric == KITH_METRIC_COSINE) {
        bound->q_len = 1 + 4 * U;
        bound->spread = l2sq > 0 && l2sq < L2SQ_MIN ? HUGE_VAL : 2 * bound->rho + 16 * U;
    }
}

/* A float not below x. */
static float up(double x) {
    return x < (double)FLT_MAX ? nextafterf((float)x, INFINITY) : INFINITY;
}

struct scan_limit scan_bound_limit(const struct scan_bound *bound, float tau, float slack) {
    if (bound->exact) return (struct scan_limit){tau, 0, 0};
    if (tau >= FLT_MAX || slack >= FLT_MAX) return (struct scan_limit){INFINITY, 1, 1};
    double a, b, c;
    if (bound->metric == KITH_METRIC_L2 || bound->metric == KITH_METRIC_EUCLID) {
        if (tau < 0) return (struct scan_limit){-1 - slack, 0, 0};
        double t_sq = (double)tau * (1 + 2 * bound->rho) + TINY;
        a = t_sq + (double)slack;
        b = 2 * sqrt(t_sq);
        c = 1;
    } else {
        a = (double)tau + bound->spread + (double)slack;
        b = bound->q_len;
        c = 0;
    }
    /* The evaluation rounds three times: make room for it. */
    a += fabs(a) * 4 * U;
    return (struct scan_limit){up(a), up(b * (1 + 8 * U) + NEVER_0), up(c * (1 + 8 * U) + NEVER_0)};
}

bool scan_bound_is_short(kith_metric metric, size_t dim, const float *x) {
    const struct kern *kern = kern_get();
    return metric == KITH_METRIC_COSINE &&
           kern->pair[KITH_TYPE_F32][KERN_DOT](x, x, dim) < (float)L2SQ_MIN &&
           kern->max_abs(x, dim) > 0;
}
