/* A filter costs no results: whenever k rows pass, k come back, whatever share passes and however they lie.
 *
 *     kinds    random ids; a run of ids; one cluster near the queries; one far from them; ids of one residue
 *     forms    bit view, callback: the same answer
 *
 * Compared with the exact search under the same filter: every place that it fills is filled, distances are right, and
 * recall at ef 128 is 0.95 or more for each kind, metric and code. And what was removed must not hide its neighbours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "vectors.h"

enum { K = 10, DIM = 20, CLUSTERS = 20, QUERIES = 60 };
#define N       ((size_t)FEWER(6000))
#define N_WORDS ((N + 63) / 64)

static struct vectors rows, queries;

static int make(void **state) {
    (void)state;
    static struct vectors all;
    all = vectors_clustered(N + CLUSTERS * 3, DIM, CLUSTERS, 0.6f, 4);
    rows = vectors_view(&all, 0, N);
    queries = vectors_view(&all, N, QUERIES); /* three about each centre */
    return 0;
}

struct set {
    uint64_t *bits;
    size_t n;
};

static void set_clear(struct set *set) {
    memset(set->bits, 0, N_WORDS * sizeof(uint64_t));
    set->n = 0;
}

static void set_put(struct set *set, size_t id) {
    if (set->bits[id / 64] >> (id % 64) & 1) return;
    set->bits[id / 64] |= (uint64_t)1 << (id % 64);
    set->n++;
}

static int set_passes(void *context, int64_t id) {
    const struct set *set = context;
    return (int)(set->bits[id / 64] >> (id % 64) & 1);
}

enum kind { RANDOM, RUN, RESIDUE, NEAR, KINDS };
static const char *const kind_names[KINDS] = {"random", "a run", "a residue", "clusters"};

/* About share * N ids. NEAR: of as few clusters as hold them, so that most queries are far from all of them. */
static void set_fill(struct set *set, enum kind kind, double share) {
    uint64_t seed = 8;
    size_t want = (size_t)(share * (double)N + 0.5), every = (size_t)(1 / share + 0.5);
    set_clear(set);
    for (size_t i = 0; i < N; i++) {
        bool in = false;
        if (kind == RANDOM) in = draw_unit(&seed) < (float)share;
        if (kind == RUN) in = i >= N / 3 && i < N / 3 + want;
        if (kind == RESIDUE) in = share > 0.5 ? i % 10 != 0 : i % every == 3 % every;
        if (kind == NEAR) in = i % CLUSTERS * (N / CLUSTERS) + i / CLUSTERS < want;
        if (in) set_put(set, i);
    }
}

/* Every place that the exact search fills is filled, once each id, all pass, in order, at true distances. */
static void expect_full(const kith_index *index, const struct set *set, const kith_filter *filter,
                        uint32_t k, const char *what) {
    int64_t ids[K * 2], true_ids[K * 2];
    float dists[K * 2], true_dists[K * 2];
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_error err;
    params.k = k;
    params.filter = *filter;
    bool similar = kith_metric_is_similarity(kith_index_metric(index));
    for (size_t q = 0; q < queries.n; q++) {
        params.exact = 0;
        if (kith_index_search(index, 1, vectors_at(&queries, q), &params, ids, dists, &err) != 0)
            fail_msg("%s: %s", what, err.text);
        params.exact = 1;
        assert_int_equal(kith_index_search(index, 1, vectors_at(&queries, q), &params, true_ids,
                                           true_dists, NULL),
                         KITH_OK);
        for (uint32_t i = 0; i < k; i++) {
            if ((ids[i] == KITH_NO_ID) != (true_ids[i] == KITH_NO_ID))
                fail_msg("%s: %zu ids pass, query %zu: place %u holds %d, the scan's %d", what,
                         set->n, q, i, (int)ids[i], (int)true_ids[i]);
            if (ids[i] == KITH_NO_ID) continue;
            assert_true(set_passes((void *)(uintptr_t)set, ids[i]));
            if (i > 0) assert_true(similar ? dists[i] <= dists[i - 1] : dists[i] >= dists[i - 1]);
            for (uint32_t j = 0; j < i; j++) assert_int_not_equal(ids[i], ids[j]);
            for (uint32_t j = 0; j < k; j++)
                if (true_ids[j] == ids[i]) assert_true(true_dists[j] == dists[i]);
        }
    }
}

static void test_every_share(void **state) {
    (void)state;
    static const double shares[] = {0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.003, 0.001};
    static const struct {
        const char *spec;
        kith_metric metric;
    } kinds_of_index[] = {{"HNSW8", KITH_METRIC_L2},
                          {"HNSW8,SQ8", KITH_METRIC_EUCLID},
                          {"HNSW8,SQ8,Refine", KITH_METRIC_COSINE},
                          {"HNSW16,SQfp16,Refine", KITH_METRIC_L1},
                          {"HNSW32", KITH_METRIC_IP}};
    struct set set = {calloc(N_WORDS, sizeof(uint64_t)), 0};
    for (size_t x = 0; x < sizeof kinds_of_index / sizeof kinds_of_index[0]; x++) {
        kith_index *index = index_of(&rows, kinds_of_index[x].metric, kinds_of_index[x].spec, 2);
        for (int kind = 0; kind < KINDS; kind++) {
            for (size_t s = 0; s < sizeof shares / sizeof shares[0]; s++) {
                char what[120];
                set_fill(&set, (enum kind)kind, shares[s]);
                snprintf(what, sizeof what, "%s, %s, %s of %g", kinds_of_index[x].spec,
                         kith_metric_name(kinds_of_index[x].metric), kind_names[kind], shares[s]);
                kith_filter bits = {.bits = set.bits, .n_bits = N};
                kith_filter call = {.pass = set_passes, .context = &set};
                expect_full(index, &set, &bits, K, what);
                double by_bits = recall_of(index, &queries, K, 128, &bits),
                       by_call = recall_of(index, &queries, K, 128, &call);
                if (by_bits < 0.95) fail_msg("%s: recall %g", what, by_bits);
                if (by_bits != by_call)
                    fail_msg("%s: recall %g by bits, %g by call", what, by_bits, by_call);
            }
        }
        kith_index_free(index);
    }
    free(set.bits);
}

/* None, one, k - 1 and k rows pass; ids past the view fail; k up to all that pass. */
static void test_few_pass(void **state) {
    (void)state;
    static const size_t counts[] = {0, 1, K - 1, K, K + 1, 2 * K};
    struct set set = {calloc(N_WORDS, sizeof(uint64_t)), 0};
    kith_index *index = index_of(&rows, KITH_METRIC_L2, "HNSW8,SQ8,Refine", 1);
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        uint64_t seed = 3 + c;
        set_clear(&set);
        while (set.n < counts[c]) set_put(&set, draw(&seed) % (N / 2));
        kith_filter bits = {.bits = set.bits, .n_bits = N / 2};
        kith_filter call = {.pass = set_passes, .context = &set};
        expect_full(index, &set, &bits, K, "few, bits");
        expect_full(index, &set, &call, K, "few, call");
        expect_full(index, &set, &bits, 2 * K, "few, bits, k 20");
    }
    kith_index_free(index);
    free(set.bits);
}

/* Filters beside removed rows: those that pass but are gone do not count. */
static void test_filter_after_removals(void **state) {
    (void)state;
    struct set set = {calloc(N_WORDS, sizeof(uint64_t)), 0};
    kith_index *index = index_of(&rows, KITH_METRIC_L2, "HNSW8", 1);
    for (size_t i = 0; i < N; i++)
        if (i % 3 == 0) set_put(&set, i);
    for (int64_t id = 0; id < (int64_t)N; id += 6)
        assert_int_equal(kith_index_remove(index, 1, &id, NULL), KITH_OK);
    kith_filter bits = {.bits = set.bits, .n_bits = N};
    expect_full(index, &set, &bits, K, "after removals");
    assert_true(recall_of(index, &queries, K, 128, &bits) >= 0.95);
    kith_index_free(index);
    free(set.bits);
}

/* The ten best of a query go; the next ten are there at once, and so on until ninety are gone: just before the dead are
 * unlinked they are all about the query, and must not take the places of the living. */
static void test_next_ten(void **state) {
    (void)state;
    static const char *const specs[] = {"HNSW8", "HNSW8,SQ8,Refine"};
    for (size_t s = 0; s < 2; s++) {
        double found = 0, rounds = 0;
        for (size_t q = 0; q < 5; q++) {
            kith_index *index = index_of(&rows, KITH_METRIC_L2, specs[s], 2);
            struct vectors query = vectors_view(&queries, q, 1);
            for (size_t gone = 0; gone < N / 64 - K; gone += K) {
                int64_t best[K];
                kith_search_params params = KITH_SEARCH_PARAMS_INIT;
                params.exact = 1;
                assert_int_equal(kith_index_search(index, 1, query.x, &params, best, NULL, NULL),
                                 KITH_OK);
                assert_int_equal(kith_index_remove(index, K, best, NULL), KITH_OK);
                found += recall_of(index, &query, K, 40, NULL);
                rounds++;
            }
            kith_index_free(index);
        }
        print_message("# %s: recall %.4f beside the dead\n", specs[s], found / rounds);
        if (found < 0.995 * rounds) fail_msg("%s: recall %.4f", specs[s], found / rounds);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_share),
        cmocka_unit_test(test_few_pass),
        cmocka_unit_test(test_filter_after_removals),
        cmocka_unit_test(test_next_ten),
    };
    return cmocka_run_group_tests(tests, make, NULL);
}
