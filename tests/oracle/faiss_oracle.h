/* What FAISS answers, computed from the tree of its file in the plainest way: the oracle of src/foreign.
 *
 * Each code is decoded by its definition, each distance summed up one by one; what FAISS does approximately by design is
 * done the same way: the walk through a graph, the choice of lists, tables in 8 bits for fast scan. RaBitQ is asked
 * with queries that are not quantised (qb = 0). */
#ifndef KITH_TESTS_FAISS_ORACLE_H
#define KITH_TESTS_FAISS_ORACLE_H

#include "foreign/faiss.h"

enum { ORACLE_K_MAX = 64 };

struct oracle_hits {
    int n, k;
    int64_t id[ORACLE_K_MAX];
    float dist[ORACLE_K_MAX]; /* FAISS's: squared, or a similarity, the best first */
};

/* all_lists: nprobe is nlist at the root; elsewhere it is what the file says. query has root->d values. */
void oracle_search(const struct faiss_node *root, const float *query, int k, int all_lists,
                   struct oracle_hits *hits);

#endif
