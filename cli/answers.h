/* The answers to queries: k ids and distances each, or as many as lie within a radius; and how they are shown. */
#ifndef KITH_CLI_ANSWERS_H
#define KITH_CLI_ANSWERS_H

#include "cli.h"
#include "names.h"

typedef struct answers {
    kith_metric metric;
    size_t n, k;     /* k 0: rows of different lengths, of which start tells the places */
    uint64_t *start; /* n + 1, or NULL */
    size_t capacity; /* of ids and dists, when k is 0 */
    int64_t *ids;
    float *dists;
} answers;

/* Room for n queries of k. k = 0: rows are appended by answers_range. */
int answers_init(answers *a, size_t n, size_t k, kith_error *err);
void answers_free(answers *a);
/* Range-search queries first … first + n - 1 and append what they found. */
int answers_range(answers *a, const kith_index *index, size_t first, size_t n, const float *queries,
                  float radius, const kith_search_params *params, kith_error *err);
/* Rows of the longest length, filled up with KITH_NO_ID and the farthest distance there is. */
int answers_pad(const answers *a, answers *out, kith_error *err);

void answers_print(const answers *a, const vectors *queries, const names *labels, FILE *file);
/* A line of JSON for each query. */
void answers_print_json(const answers *a, const vectors *queries, const names *labels, FILE *file);
void answers_summary(const answers *a, size_t n_queries, double seconds, bool json, FILE *file);

#endif
