/* What building and keeping an index takes, told before it is built. docs/limits.md has the table. */
#ifndef KITH_INDEX_PLAN_H
#define KITH_INDEX_PLAN_H

#include <kith/build.h>

#include "index/index.h"

struct index_plan {
    kith_plan bytes;
    uint32_t block;    /* rows that a build reads at a time */
    uint32_t n_sample; /* rows that it learns from */
};

/* For an empty index (an Auto that has chosen), n rows of it, and a limit (0: none); block and n_sample are the largest that
 * fit, or the least there can be. Errors  KITH_EUNSUPPORTED, KITH_ENOMEM. */
/* The same of a description, completed, for kith_index_plan. */
int index_estimate(kith_plan *out, uint64_t n, size_t dim, const kith_build *how, uint32_t threads,
                   kith_error *err);
int index_plan(struct index_plan *plan, const struct kith_index *index, uint64_t n,
               uint32_t threads, kith_error *err);

#endif
