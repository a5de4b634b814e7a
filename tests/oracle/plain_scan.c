/* The plain float scan; see plain_scan.h. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "index/scan.h"
#include "plain_scan.h"

const kith_metric metrics[] = {KITH_METRIC_L2, KITH_METRIC_EUCLID, KITH_METRIC_IP,
                               KITH_METRIC_COSINE, KITH_METRIC_L1};
const char *const specs[] = {"Flat", "Flat,SQ8", "SQ8,Refine(SQfp16)", "SQ8", "SQfp16", "SQbf16"};
static const char *const metric_names[] = {"l2", "euclid", "ip", "cosine", "l1"};

void set_free(struct set *set) {
    free(set->rows);
    free(set->queries);
}

/* ---- the plain scan ---------------------------------------------------------------------------- */

struct hit {
    float dist;
    int64_t id;
};

static int by_dist(const void *a, const void *b) {
    const struct hit *x = a, *y = b;
    if (x->dist != y->dist) return x->dist < y->dist ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static float law(kith_metric metric, size_t dim, const float *query, const float *row) {
    const struct kern *kern = kern_get();
    if (metric == KITH_METRIC_L1) return kern->pair[KITH_TYPE_F32][KERN_L1](query, row, dim);
    if (metric == KITH_METRIC_L2 || metric == KITH_METRIC_EUCLID)
        return kern->pair[KITH_TYPE_F32][KERN_L2SQ](query, row, dim);
    float dot = kern->pair[KITH_TYPE_F32][KERN_DOT](query, row, dim);
    if (metric == KITH_METRIC_IP) return -dot;
    return -(dot * (code_inverse_length(dim, query) * code_inverse_length(dim, row)));
}

static bool is_kept(const struct kith_index *index) {
    enum code_kind kind = store_exact_code(rows_store(&index->rows))->kind;
    return kind == CODE_F32 || kind == CODE_U8;
}

static bool passes(const struct plain *plain, int64_t id) {
    const kith_filter *filter = plain->filter;
    if (filter->bits) return (uint64_t)id < filter->n_bits && bits_test(filter->bits, (uint64_t)id);
    return !filter->pass || filter->pass(filter->context, id);
}

static size_t plain_scan(const struct plain *plain, const float *query, struct hit *hits) {
    const struct rows *rows = &plain->index->rows;
    const struct store *store = rows_store(rows);
    const struct code *code = store_exact_code(store);
    struct scorer scorer;
    void *scratch = mem_new(NULL, scorer_bytes(code));
    size_t n = 0;
    scorer_init(&scorer, code, scratch);
    scorer_set_query(&scorer, query);
    for (size_t i = 0; i < plain->set->n; i++) {
        int64_t id = plain->ids ? plain->ids[i] : (int64_t)i;
        if ((plain->gone && plain->gone[i]) || !passes(plain, id)) continue;
        uint32_t row = rows_find(rows, id);
        assert_int_not_equal(row, ROW_NONE);
        hits[n].id = id;
        hits[n++].dist = is_kept(plain->index)
                             ? law(rows->config.metric, plain->set->dim, query,
                                   plain->set->rows + i * plain->set->dim)
                             : scorer_exact_one(&scorer, store_exact_row(store, row));
    }
    mem_free(NULL, scratch, scorer_bytes(code));
    qsort(hits, n, sizeof *hits, by_dist);
    return n;
}

static void compare(const struct plain *plain, const struct hit *want, size_t n_want, size_t k,
                    size_t query, const int64_t *ids, const float *dists) {
    kith_metric metric = plain->index->rows.config.metric;
    for (size_t i = 0; i < k; i++) {
        int64_t id = i < n_want ? want[i].id : KITH_NO_ID;
        float score = code_score(metric, i < n_want ? want[i].dist : INFINITY);
        if (ids[i] == id && dists[i] == score) continue;
        fail_msg(
            "%s, %s, dim %zu: query %zu, place %zu of %zu: id %lld at %.9g, must be %lld at %.9g",
            plain->index->spec, metric_names[metric], plain->set->dim, query, i, k,
            (long long)ids[i], (double)dists[i], (long long)id, (double)score);
    }
}

/* All queries at once, and the first ones alone. */
void compare_all(const struct plain *plain, size_t k) {
    const struct set *set = plain->set;
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    params.k = (uint32_t)k;
    params.filter = *plain->filter;
    int64_t *ids = malloc(set->n_q * k * sizeof *ids), *one = malloc(k * sizeof *one);
    float *dists = malloc(set->n_q * k * sizeof *dists), *one_dist = malloc(k * sizeof *one_dist);
    struct hit *want = malloc(set->n * sizeof *want);
    kith_error err;
    assert_int_equal(
        kith_index_search(plain->index, set->n_q, set->queries, &params, ids, dists, &err),
        KITH_OK);
    for (size_t i = 0; i < set->n_q; i++) {
        size_t n = plain_scan(plain, set->queries + i * set->dim, want);
        compare(plain, want, n, k, i, ids + i * k, dists + i * k);
        assert_int_equal(kith_index_search(plain->index, 1, set->queries + i * set->dim, &params,
                                           one, one_dist, &err),
                         KITH_OK);
        compare(plain, want, n, k, i, one, one_dist);
    }
    free(ids), free(one), free(dists), free(one_dist), free(want);
}

/* A threshold in the middle of the hits, and exactly at one of them. */
static void compare_range(const struct plain *plain, size_t at) {
    const struct set *set = plain->set;
    struct hit *want = malloc(set->n * sizeof *want);
    size_t n = plain_scan(plain, set->queries, want);
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    params.filter = *plain->filter;
    kith_range_result *got;
    kith_error err;
    if (n > 0) {
        kith_metric metric = plain->index->rows.config.metric;
        float radius = code_score(metric, want[at % n].dist);
        assert_int_equal(
            kith_index_range_search(plain->index, 1, set->queries, radius, &params, &got, &err),
            KITH_OK);
        size_t within = 0;
        while (within < n && want[within].dist <= code_unscore(metric, radius)) within++;
        assert_int_equal(got->start[1], within);
        compare(plain, want, n, within, 0, got->ids, got->dists);
        kith_range_result_free(got);
    }
    free(want);
}

static int every_third(void *context, int64_t id) {
    (void)context;
    return id % 3 == 0;
}

void compare_filtered(struct plain *plain, size_t k) {
    size_t n_bits = plain->set->n * 2 / 3, words = bits_words(n_bits);
    uint64_t *bits = calloc(words, sizeof *bits), state = 7;
    for (size_t i = 0; i < words; i++) bits[i] = bits_random(&state) & bits_random(&state);
    kith_filter none = {0}, view = {.bits = bits, .n_bits = n_bits}, call = {.pass = every_third};
    kith_filter few = {.bits = bits, .n_bits = 9};
    const kith_filter *const filters[] = {&none, &view, &call, &few};
    for (size_t i = 0; i < 4; i++) {
        plain->filter = filters[i];
        compare_all(plain, k);
        compare_range(plain, 20 * i);
    }
    free(bits);
}

/* ---- one set through every index --------------------------------------------------------------- */

void check_index(const struct set *set, const char *spec, kith_metric metric, size_t k) {
    kith_index *index;
    kith_error err;
    kith_filter none = {0};
    assert_int_equal(kith_index_new(&index, set->dim, metric, spec, NULL, &err), KITH_OK);
    int code = kith_index_add(index, set->n, set->rows, NULL, NULL, &err);
    if (code != KITH_OK) fail_msg("%s %s: %s", spec, metric_names[metric], err.text);
    struct plain plain = {.index = index, .set = set, .filter = &none};
    compare_filtered(&plain, k);
    plain.filter = &none;
    compare_all(&plain, 1);
    assert_int_equal(kith_index_check(index, &err), KITH_OK);
    kith_index_free(index);
}

void check_set(const struct set *set, size_t k) {
    for (size_t m = 0; m < N_METRICS; m++)
        for (size_t s = 0; s < N_SPECS; s++)
            check_index(set, specs[s], metrics[m], k < set->n ? k : set->n);
}
