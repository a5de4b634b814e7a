/* The plain float scan, and every exact index held against it: ids and distances must be the same bits.
 *
 * The scan is kern.h's float law over the vectors that were added (where they are kept as they are), or the scorer's
 * exact distance to each stored row (where they are not), sorted by (distance, id). An index is searched one query at a
 * time and in batches, by k and by radius, with and without filters. */
#ifndef KITH_TESTS_PLAIN_SCAN_H
#define KITH_TESTS_PLAIN_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include <kith/kith.h>

#include "index/index.h"

enum { N_METRICS = 5, N_SPECS = 6 };
extern const kith_metric metrics[N_METRICS];
extern const char *const specs[N_SPECS]; /* of exact indexes */

struct set {
    size_t dim, n, n_q;
    float *rows, *queries;
};
void set_free(struct set *set);

/* An index that holds the rows of a set. */
struct plain {
    const struct kith_index *index;
    const struct set *set;
    const int64_t *ids;  /* of rows; NULL: their numbers */
    const uint8_t *gone; /* rows that were removed; NULL: none */
    const kith_filter *filter;
};

/* All queries of the set, together and alone; the same under four filters, and by radius. */
void compare_all(const struct plain *plain, size_t k);
void compare_filtered(struct plain *plain, size_t k);
/* Build an index from a set and compare; every spec under every metric. */
void check_index(const struct set *set, const char *spec, kith_metric metric, size_t k);
void check_set(const struct set *set, size_t k);

#endif
