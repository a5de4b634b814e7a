/* Does a search that asks for a recall have it? Expected against measured recall on queries that neither index nor
 * calibration has seen, for each kind of index and each recall from 0.80 to 0.99.
 *
 * A mean over n queries is not known to better than its standard error; the allowance is the 0.01 that is promised and
 * two standard errors of the difference. Short: the glosses of samples/, the last of them as queries. Long (argument "long"): the sets of
 * $KITH_DATA with their own queries; those of wordnet-sg-100 are sentences where rows are definitions, so that half of them is
 * the calibration's sample. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "vectors.h"

enum { K = 10, TIES = 32, NEAR = K + TIES };
#define PROMISED 0.01

static const double targets[] = {0.80, 0.90, 0.95, 0.98, 0.99};
enum { TARGETS = sizeof targets / sizeof *targets };

/* A base, its unseen queries, and perhaps a sample of their like. */
struct set {
    struct vectors base, queries, sample;
    kith_metric metric;
    const char *name;
    int64_t *true_id;
    float *true_dist;
};

static void find_truth(struct set *set) {
    kith_error err;
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_index *flat = index_of(&set->base, set->metric, "Flat", 2);
    size_t n = set->queries.n * NEAR;
    set->true_id = calloc(n, sizeof *set->true_id);
    set->true_dist = calloc(n, sizeof *set->true_dist);
    assert_true(set->true_id && set->true_dist);
    params.k = NEAR;
    params.threads = 2;
    if (kith_index_search(flat, set->queries.n, set->queries.x, &params, set->true_id,
                          set->true_dist, &err))
        fail_msg("%s", err.text);
    kith_index_free(flat);
}

/* The share of query i's K nearest that was found; what is as near as the K-th counts. */
static double share_of(const struct set *set, size_t i, const int64_t *id) {
    const int64_t *true_id = set->true_id + i * NEAR;
    const float *dist = set->true_dist + i * NEAR;
    int hits = 0, places = K;
    while (places < NEAR && dist[places] == dist[K - 1]) places++;
    for (int j = 0; j < K; j++)
        for (int p = 0; p < places; p++) hits += id[j] == true_id[p];
    return (double)hits / K;
}

static double measure(const kith_index *index, const struct set *set, double target,
                      double *error) {
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_error err;
    int64_t id[K];
    double sum = 0, squares = 0, n = (double)set->queries.n;
    params.k = K;
    params.recall = (float)target;
    for (size_t i = 0; i < set->queries.n; i++) {
        if (kith_index_search(index, 1, vectors_at(&set->queries, i), &params, id, NULL, &err))
            fail_msg("%s", err.text);
        double share = share_of(set, i, id);
        sum += share;
        squares += share * share;
    }
    *error = sqrt(fmax(squares / n - sum * sum / n / n, 0) / n);
    return sum / n;
}

static kith_index *calibrated(const struct set *set, const char *spec) {
    kith_calibrate_options how = KITH_CALIBRATE_OPTIONS_INIT;
    kith_work work = KITH_WORK_INIT;
    kith_error err;
    uint32_t k = K;
    kith_index *index;
    work.threads = 2;
    if (kith_index_new(&index, set->base.dim, set->metric, spec, NULL, &err) ||
        kith_index_train(index, set->base.n, set->base.x, &work, &err) ||
        kith_index_add(index, set->base.n, set->base.x, NULL, &work, &err))
        fail_msg("%s: %s", spec, err.text);
    how.n_k = 1;
    how.k = &k;
    how.n_rows = 4000;
    how.base = set->base.x;
    how.n_base = set->base.n;
    how.queries = set->sample.x;
    how.n_queries = set->sample.n;
    if (kith_index_calibrate(index, &how, &work, &err)) fail_msg("%s: %s", spec, err.text);
    return index;
}

static void expect_promise(const struct set *set, const char *spec) {
    kith_index *index = calibrated(set, spec);
    int reached = 0;
    for (int t = 0; t < TARGETS; t++) {
        kith_search_params params = KITH_SEARCH_PARAMS_INIT;
        double expected, error;
        kith_error err;
        params.k = K;
        params.recall = (float)targets[t];
        int code = kith_index_effort(index, &params, &expected, &err);
        if (code == KITH_ERECALL) {
            print_message("# %s, %s: %s\n", set->name, spec, err.text);
            break;
        }
        assert_int_equal(code, KITH_OK);
        reached++;
        assert_true(expected >= (double)(float)targets[t] - 1e-4);
        double found = measure(index, set, targets[t], &error);
        double sampled = set->sample.n ? (double)set->sample.n : 4000 * 0.5;
        double noise = 2 * error * sqrt(1 + (double)set->queries.n / sampled);
        print_message(
            "# %s, %s, %.2f: ef %u nprobe %u oversample %.2f%s: expected %.4f, found %.4f (%+.4f, noise %.4f)\n",
            set->name, spec, targets[t], params.ef, params.nprobe, (double)params.oversample,
            params.exact ? " all rows" : "", expected, found, found - expected, noise);
        if (fabs(found - expected) > PROMISED + noise)
            fail_msg("%s, %s: asked for %.2f, %.4f expected, %.4f found", set->name, spec,
                     targets[t], expected, found);
    }
    if (strstr(spec, "SQ4") == NULL && strstr(spec, "RaBitQ") == NULL)
        assert_int_equal(reached, TARGETS);
    kith_index_free(index);
}

static void expect_promises(struct set *set, const char *const *specs, size_t n) {
    find_truth(set);
    for (size_t i = 0; i < n; i++) expect_promise(set, specs[i]);
    free(set->true_id);
    free(set->true_dist);
}

/* ---- short ------------------------------------------------------------------------------------- */

static const char *const specs[] = {"HNSW8",
                                    "HNSW16,SQ8,Refine",
                                    "HNSW16,SQ4",
                                    "HNSW16,RaBitQ,Refine",
                                    "IVF64,Flat",
                                    "IVF64,SQ4,Refine",
                                    "IVF64,RaBitQ,Refine",
                                    "IVF64,SQ8",
                                    "PQ96x4fs,Refine",
                                    "PCA96,IVF64,SQ8,RFlat",
                                    "SQ8",
                                    "Flat",
                                    "HNSW16"};
enum { SPECS = sizeof specs / sizeof *specs };

static void test_glosses(void **state) {
    struct vectors all;
    (void)state;
    assert_true(vectors_read_source(&all, "samples/glosses.f16.npy", 5000));
    struct set set = {.name = "glosses", .metric = KITH_METRIC_COSINE};
    /* Rows are ordered by topic: every fifth is a query. */
    set.base = vectors_new(all.n / 5 * 4, all.dim);
    set.queries = vectors_new(all.n / 5, all.dim);
    size_t bytes = all.dim * sizeof *all.x, n_base = 0, n_queries = 0;
    for (size_t i = 0; i < all.n / 5 * 5; i++)
        memcpy(i % 5 ? set.base.x + n_base++ * all.dim : set.queries.x + n_queries++ * all.dim,
               vectors_at(&all, i), bytes);
    expect_promises(&set, specs, SPECS);
    vectors_free(&set.base);
    vectors_free(&set.queries);
    vectors_free(&all);
}

/* ---- long -------------------------------------------------------------------------------------- */

static const char *const long_specs[] = {"HNSW16",
                                         "HNSW32",
                                         "HNSW16,SQ8,Refine",
                                         "HNSW16,SQ8",
                                         "HNSW16,RaBitQ,Refine",
                                         "IVF256,Flat",
                                         "IVF256,SQ4,Refine",
                                         "IVF256,RaBitQ,Refine",
                                         "IVF256,SQ8",
                                         "IVF256,RaBitQ4",
                                         "RaBitQ2,Refine",
                                         "SQ8",
                                         "Flat"};
enum { LONG_SPECS = sizeof long_specs / sizeof *long_specs };

static void expect_set(struct set *set, const char *base, const char *queries, size_t n_sample) {
    char path[2][96];
    struct vectors all;
    snprintf(path[0], sizeof path[0], "%s/%s", set->name, base);
    snprintf(path[1], sizeof path[1], "%s/%s", set->name, queries);
    if (!vectors_read_data(&set->base, path[0], SIZE_MAX) ||
        !vectors_read_data(&all, path[1], SIZE_MAX)) {
        print_message("# %s is not there\n", set->name);
        return;
    }
    if (n_sample) set->sample = vectors_view(&all, 0, n_sample);
    set->queries = vectors_view(&all, n_sample, all.n - n_sample);
    expect_promises(set, long_specs, LONG_SPECS);
    vectors_free(&set->base);
    vectors_free(&all);
}

static void test_mnist(void **state) {
    struct set set = {.name = "mnist-784", .metric = KITH_METRIC_L2};
    (void)state;
    expect_set(&set, "base.u8.npy.gz", "queries.u8.npy.gz", 0);
}

static void test_glove(void **state) {
    struct set set = {.name = "glove-twitter-25", .metric = KITH_METRIC_COSINE};
    (void)state;
    expect_set(&set, "base.f32.npy", "queries.f32.npy", 0);
}

static void test_wordnet(void **state) {
    struct set set = {.name = "wordnet-sg-100", .metric = KITH_METRIC_COSINE};
    (void)state;
    expect_set(&set, "base.f32.npy", "queries.f32.npy", 1000);
}

int main(int argc, char **argv) {
    const struct CMUnitTest quick[] = {cmocka_unit_test(test_glosses)};
    const struct CMUnitTest slow[] = {cmocka_unit_test(test_mnist), cmocka_unit_test(test_glove),
                                      cmocka_unit_test(test_wordnet)};
    if (argc > 1 && strcmp(argv[1], "long") == 0)
        return cmocka_run_group_tests_name("calibrated_long", slow, NULL, NULL);
    return cmocka_run_group_tests_name("calibrated", quick, NULL, NULL);
}
