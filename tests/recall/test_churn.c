/* Does an index that lived find what a fresh one finds? Every row is replaced several times over, one way or another, and
 * recall at the same ef must be that of fresh builds of the same rows (the mean over seeds 42, 43, 44), less 0.005; after
 * each round check must find nothing.
 *
 *     order   random, or cluster by cluster: whole regions go and come
 *     way     update in place; remove and add under the same ids; remove first, add under new ids later
 *
 * Short, three times over: 1,600 glosses under cosine, and 1,600 rows in clusters under L2. Long (argument "long"), ten
 * times over: the same, glove-twitter-25 and 6,000 rows of wordnet-sg-100 under cosine, 6,000 of
 * glove-twitter-25 under inner product. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "vectors.h"

enum { K = 10, EFS = 2, SEEDS = 3 };
#define LOSS 0.005

static uint64_t rounds = 3;

enum way { UPDATE, REMOVE_ADD, REMOVE_THEN_ADD };
static const char *const way_names[] = {"updates", "removals and adds", "removals, then adds"};

struct churn {
    struct vectors rows, queries;
    kith_metric metric;
    const char *spec;
    uint32_t ef[EFS];
    size_t chunk;
    bool clustered; /* the order */
    enum way way;
};

/* Rows in the order in which they are replaced. Clustered: by the nearest of 20 of them, each cluster at once. */
static void order_rows(const struct churn *churn, uint64_t seed, size_t *order) {
    size_t n = churn->rows.n;
    for (size_t i = 0; i < n; i++) order[i] = i;
    for (size_t i = n; i > 1; i--) {
        size_t j = draw(&seed) % i, swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
    if (!churn->clustered) return;
    enum { CENTRES = 20 };
    size_t *placed = malloc(n * sizeof *placed), at = 0;
    uint8_t *of = malloc(n);
    size_t dim = churn->rows.dim;
    for (size_t i = 0; i < n; i++) {
        float best = 0;
        for (uint8_t c = 0; c < CENTRES; c++) {
            const float *a = vectors_at(&churn->rows, i), *b = vectors_at(&churn->rows, order[c]);
            float l2sq = 0;
            for (size_t d = 0; d < dim; d++) l2sq += (a[d] - b[d]) * (a[d] - b[d]);
            if (c == 0 || l2sq < best) {
                best = l2sq;
                of[i] = c;
            }
        }
    }
    for (uint8_t c = 0; c < CENTRES; c++)
        for (size_t i = 0; i < n; i++)
            if (of[order[i]] == c) placed[at++] = order[i];
    memcpy(order, placed, n * sizeof *order);
    free(placed);
    free(of);
}

static void need(int code, const kith_error *err) {
    if (code != KITH_OK) fail_msg("%s: %s", kith_code_name(code), err->text);
}

/* Replace the rows order[first, first + n) by themselves. */
static void replace(kith_index *index, const struct churn *churn, const size_t *order, size_t n,
                    int64_t *id_of) {
    size_t dim = churn->rows.dim;
    float *x = malloc(n * dim * sizeof *x);
    int64_t *ids = malloc(n * sizeof *ids);
    kith_error err;
    for (size_t i = 0; i < n; i++) {
        memcpy(x + i * dim, vectors_at(&churn->rows, order[i]), dim * sizeof *x);
        ids[i] = id_of[order[i]];
    }
    if (churn->way == UPDATE) {
        need(kith_index_update(index, n, x, ids, NULL, &err), &err);
    } else {
        need(kith_index_remove(index, n, ids, &err), &err);
        for (size_t i = 0; i < n && churn->way == REMOVE_THEN_ADD; i++)
            ids[i] = id_of[order[i]] += (int64_t)churn->rows.n;
        need(kith_index_add(index, n, x, ids, NULL, &err), &err);
    }
    free(x);
    free(ids);
}

static kith_index *build(const struct churn *churn, uint64_t seed) {
    kith_index *index;
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    kith_error err;
    options.seed = seed;
    need(kith_index_new(&index, churn->rows.dim, churn->metric, churn->spec, &options, &err), &err);
    need(kith_index_add(index, churn->rows.n, churn->rows.x, NULL, NULL, &err), &err);
    return index;
}

/* Mean recall of fresh builds, and how far they lie apart: the spread by which a loss is to be judged. */
static void measure_fresh(const struct churn *churn, double *mean) {
    double least[EFS] = {1, 1}, most[EFS] = {0, 0};
    for (int e = 0; e < EFS; e++) mean[e] = 0;
    for (uint64_t seed = 42; seed < 42 + SEEDS; seed++) {
        kith_index *index = build(churn, seed);
        for (int e = 0; e < EFS; e++) {
            double recall = recall_of(index, &churn->queries, K, churn->ef[e], NULL);
            mean[e] += recall / SEEDS;
            least[e] = recall < least[e] ? recall : least[e];
            most[e] = recall > most[e] ? recall : most[e];
        }
        kith_index_free(index);
    }
    for (int e = 0; e < EFS; e++)
        print_message("# %s, %s, %zu rows: fresh %.4f at ef %u, %.4f to %.4f\n", churn->spec,
                      kith_metric_name(churn->metric), churn->rows.n, mean[e], churn->ef[e],
                      least[e], most[e]);
}

static void live(kith_index *index, const struct churn *churn) {
    size_t n = churn->rows.n, *order = malloc(n * sizeof *order);
    int64_t *id_of = malloc(n * sizeof *id_of);
    size_t chunk = churn->way == REMOVE_THEN_ADD ? n / 20 : churn->chunk;
    kith_error err;
    for (size_t i = 0; i < n; i++) id_of[i] = (int64_t)i;
    for (uint64_t round = 0; round < rounds; round++) {
        order_rows(churn, 100 + round, order);
        for (size_t at = 0; at < n; at += chunk)
            replace(index, churn, order + at, n - at < chunk ? n - at : chunk, id_of);
        if (kith_index_check(index, &err) != KITH_OK)
            fail_msg("round %d: %s", (int)round, err.text);
        assert_int_equal(kith_index_rows(index), n);
    }
    free(order);
    free(id_of);
}

static void run(const struct churn *churn, const double *fresh) {
    kith_index *index = build(churn, 42);
    const char *order = churn->clustered ? "clustered" : "random";
    live(index, churn);
    for (int e = 0; e < EFS; e++) {
        double lived = recall_of(index, &churn->queries, K, churn->ef[e], NULL);
        print_message("# %s, %s: recall %.4f at ef %u, fresh %.4f\n", way_names[churn->way], order,
                      lived, churn->ef[e], fresh[e]);
        if (lived < fresh[e] - LOSS)
            fail_msg("%s, %s, %s: recall %.4f at ef %u, fresh %.4f", churn->spec,
                     way_names[churn->way], order, lived, churn->ef[e], fresh[e]);
    }
    kith_index_free(index);
}

static void run_all(struct churn *churn) {
    double fresh[EFS];
    measure_fresh(churn, fresh);
    for (int way = 0; way < 3; way++) {
        for (int clustered = 0; clustered < 2; clustered++) {
            churn->way = (enum way)way;
            churn->clustered = clustered;
            run(churn, fresh);
        }
    }
}

/* ---- short ------------------------------------------------------------------------------------- */

static void test_glosses(void **state) {
    (void)state;
    struct vectors all;
    assert_true(vectors_read_source(&all, "samples/glosses.f16.npy", 5000));
    struct churn churn = {.rows = vectors_view(&all, 0, FEWER(1600)),
                          .queries = vectors_view(&all, 4000, FEWER(1000)),
                          .metric = KITH_METRIC_COSINE,
                          .spec = "HNSW8,SQ8,Refine",
                          .ef = {64, 96},
                          .chunk = 20};
    run_all(&churn);
    vectors_free(&all);
}

static void test_clusters(void **state) {
    (void)state;
    struct vectors all = vectors_clustered(FEWER(2600), 24, 30, 0.7f, 3);
    struct churn churn = {.rows = vectors_view(&all, 0, FEWER(1600)),
                          .queries = vectors_view(&all, FEWER(1600), FEWER(1000)),
                          .metric = KITH_METRIC_L2,
                          .spec = "HNSW8",
                          .ef = {24, 64},
                          .chunk = 1};
    run_all(&churn);
    vectors_free(&all);
}

/* ---- long -------------------------------------------------------------------------------------- */

static void run_data(const char *base, const char *queries, size_t n, kith_metric metric,
                     const char *spec) {
    struct churn churn = {.metric = metric, .spec = spec, .ef = {64, 96}, .chunk = 100};
    assert_true(vectors_read_data(&churn.rows, base, n));
    assert_true(vectors_read_data(&churn.queries, queries, 1000));
    run_all(&churn);
    vectors_free(&churn.rows);
    vectors_free(&churn.queries);
}

static void test_glove(void **state) {
    (void)state;
    run_data("glove-twitter-25/base.f32.npy", "glove-twitter-25/queries.f32.npy", 11425,
             KITH_METRIC_COSINE, "HNSW16");
}

static void test_glove_products(void **state) {
    (void)state;
    run_data("glove-twitter-25/base.f32.npy", "glove-twitter-25/queries.f32.npy", 6000,
             KITH_METRIC_IP, "HNSW16");
}

static void test_wordnet(void **state) {
    (void)state;
    run_data("wordnet-sg-100/base.f32.npy", "wordnet-sg-100/queries.f32.npy", 6000,
             KITH_METRIC_COSINE, "HNSW16,SQ8,Refine");
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glosses),
        cmocka_unit_test(test_clusters),
    };
    const struct CMUnitTest long_tests[] = {
        cmocka_unit_test(test_glosses), cmocka_unit_test(test_clusters),
        cmocka_unit_test(test_glove),   cmocka_unit_test(test_glove_products),
        cmocka_unit_test(test_wordnet),
    };
    struct vectors probe;
    if (argc < 2 || strcmp(argv[1], "long") != 0) return cmocka_run_group_tests(tests, NULL, NULL);
    if (!vectors_read_data(&probe, "glove-twitter-25/base.f32.npy", 1)) {
        printf("1..0 # SKIP no glove-twitter-25 below KITH_DATA\n");
        return 0;
    }
    vectors_free(&probe);
    rounds = 10;
    return cmocka_run_group_tests(long_tests, NULL, NULL);
}
