/* Exact search: every live point that has the vector and passes the filter is scored. */
#ifndef KITH_DB_SCAN_H
#define KITH_DB_SCAN_H

#include "db/match.h"

/* Distances are inside ones: smaller is nearer; similarities are negated. */
struct candidate {
    float dist;
    uint32_t slot;
};

/* The k nearest so far: a heap whose first is the farthest. Equal distances by id. */
struct nearest {
    const struct points_view *view;
    struct candidate *heap;
    size_t n, k;
};

struct scan {
    const struct snapshot *snapshot;
    uint32_t field;
    const float *query; /* normalised under COSINE */
    const struct filter *filter;
    struct matcher *matcher;
    uint32_t without; /* a slot that is no candidate, or POINTS_SLOT_NONE */
};
int scan_run(const struct scan *scan, struct nearest *out, kith_error *err);
/* Nearest first. */
void nearest_sort(struct nearest *nearest);

#endif
