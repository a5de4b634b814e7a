/* The graph's parts, and graphs that have only grown: does each keep its invariants?
 *
 * Levels, keys and the pruning rule are tested alone; then whole graphs over sizes, metrics, codes, M, dimensions,
 * and data that are hard on a graph: all rows equal, constant vectors. Copies of rows are in test_graph_copies.c, what
 * removals and updates do in test_graph_life.c, damage and its repair in test_graph_repair.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../recall/vectors.h"
#include "graph_sound.h"

static const char *const specs[] = {"HNSW8", "HNSW8,SQ8", "HNSW8,SQ8,Refine",
                                    "HNSW8,SQfp16,Refine"};
static const kith_metric metrics[] = {KITH_METRIC_L2, KITH_METRIC_EUCLID, KITH_METRIC_IP,
                                      KITH_METRIC_COSINE, KITH_METRIC_L1};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- parts ------------------------------------------------------------------------------------- */

/* A share of 1/m of each level's rows is on the next. */
static void test_levels_are_a_geometric_series(void **state) {
    (void)state;
    enum { N = 200000 };
    static const char *const m_specs[] = {"HNSW2", "HNSW8", "HNSW32"};
    static const double m_of[] = {2, 8, 32};
    for (size_t s = 0; s < COUNT(m_specs); s++) {
        kith_index *index;
        uint32_t at_least[GRAPH_LEVELS] = {0};
        assert_int_equal(kith_index_new(&index, 4, KITH_METRIC_L2, m_specs[s], NULL, NULL), 0);
        for (uint32_t row = 0; row < N; row++) {
            uint32_t level = graph_level_of(graph_of(index), row);
            assert_true(level < GRAPH_LEVELS);
            for (uint32_t l = 0; l <= level; l++) at_least[l]++;
        }
        assert_int_equal(at_least[0], N);
        double expected = N;
        for (uint32_t l = 1; l < GRAPH_LEVELS; l++) {
            expected /= m_of[s];
            /* Five standard deviations of a binomial count. */
            assert_true(fabs(at_least[l] - expected) <= 5 * sqrt(expected) + 3);
        }
        kith_index_free(index);
    }
}

static void test_levels_follow_from_seed_and_row(void **state) {
    (void)state;
    kith_index *one, *same, *other;
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    options.seed = 7;
    uint32_t differ = 0;
    assert_int_equal(kith_index_new(&one, 4, KITH_METRIC_L2, "HNSW4", &options, NULL), 0);
    assert_int_equal(kith_index_new(&same, 9, KITH_METRIC_IP, "HNSW4,SQ8", &options, NULL), 0);
    options.seed = 8;
    assert_int_equal(kith_index_new(&other, 4, KITH_METRIC_L2, "HNSW4", &options, NULL), 0);
    for (uint32_t row = 0; row < 1000; row++) {
        uint32_t level = graph_level_of(graph_of(one), row);
        assert_int_equal(level, graph_level_of(graph_of(same), row));
        differ += level != graph_level_of(graph_of(other), row);
    }
    assert_true(differ > 100);
    kith_index_free(one);
    kith_index_free(same);
    kith_index_free(other);
}

static void test_keys_order_by_distance_then_row(void **state) {
    (void)state;
    static const float rising[] = {-INFINITY, -1e30f, -2, -1, -1e-30f, -0.0f,   0.0f,
                                   1e-45f,    1e-30f, 1,  2,  3e38f,   INFINITY};
    static const uint32_t rows[] = {0, 1, 2, 1000000, KITH_MAX_ROWS - 1};
    for (size_t i = 0; i < COUNT(rising); i++) {
        for (size_t r = 0; r < COUNT(rows); r++) {
            graph_key key = key_make(rising[i], rows[r]);
            float dist = key_dist(key);
            assert_memory_equal(&dist, &rising[i], sizeof dist);
            assert_int_equal(key_row(key), rows[r]);
            assert_int_equal(key_row(key | 1), rows[r]); /* the mark hides nothing */
            assert_int_equal(key & 1, 0);
            if (r > 0) assert_true(key > (key_make(rising[i], rows[r - 1]) | 1));
            if (i > 0) assert_true(key > key_make(rising[i - 1], rows[COUNT(rows) - 1]));
        }
    }
}

/* Points of a plane, row 0 the base; the rest are offered to prune_select, nearest first. */
static uint32_t prune_points(const float *points, uint32_t n, const char *spec, kith_metric metric,
                             float alpha, uint32_t m, uint32_t *kept) {
    kith_index *index;
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    options.alpha = alpha;
    uint32_t rows[16];
    graph_key keys[16];
    assert_int_equal(kith_index_new(&index, 2, metric, spec, &options, NULL), 0);
    assert_int_equal(kith_index_add(index, n, points, NULL, NULL, NULL), 0);
    struct graph *graph = graph_of(index);
    uint32_t slot = epoch_enter(&index->rows.epoch);
    const struct store *store = rows_store(&index->rows);
    assert_non_null(context_of(graph, slot));
    assert_true(context_ready(graph->context[slot], graph, store, n, 64));
    for (uint32_t i = 0; i < n; i++) rows[i] = n - 1 - i; /* in no order; the base is left out */
    struct graph_prune prune = {graph, store, graph->context[slot], 0};
    uint32_t scored = prune_score(&prune, rows, n, keys);
    assert_int_equal(scored, n - 1);
    for (uint32_t i = 1; i < scored; i++) assert_true(keys[i - 1] < keys[i]);
    uint32_t n_kept = prune_select(&prune, keys, scored, m, kept);
    epoch_leave(&index->rows.epoch, slot);
    kith_index_free(index);
    return n_kept;
}

/* Three in a row to the right, one above: of those in a row only the nearest is nearer to the base than to another. */
static void test_prune_drops_what_a_kept_one_covers(void **state) {
    (void)state;
    static const float points[] = {0, 0, 1, 0, 2.5f, 0, 4, 0.5f, 0, 3};
    static const char *const plain[] = {"HNSW8", "HNSW8,SQfp16", "HNSW8,SQ8,Refine"};
    uint32_t kept[16];
    for (size_t s = 0; s < COUNT(plain); s++) {
        for (int metric = 0; metric < 3; metric++) {
            static const kith_metric lengths[] = {KITH_METRIC_L2, KITH_METRIC_EUCLID,
                                                  KITH_METRIC_L1};
            assert_int_equal(prune_points(points, 5, plain[s], lengths[metric], 1, 8, kept), 2);
            assert_int_equal(kept[0], 1);
            assert_int_equal(kept[1], 4);
        }
    }
    assert_int_equal(prune_points(points, 5, "HNSW8", KITH_METRIC_L2, 1, 1, kept), 1);
    assert_int_equal(kept[0], 1);
}

/* Row 2 is 1.8 from kept row 1 and 2 from the base: dropped at alpha 1 and 1.1, kept from 2 / 1.8 on. */
static void test_prune_slack(void **state) {
    (void)state;
    static const float points[] = {0, 0, 0, 1, 1.8f, 0.87177978f};
    uint32_t kept[16];
    assert_int_equal(prune_points(points, 3, "HNSW8", KITH_METRIC_L2, 1.0f, 8, kept), 1);
    assert_int_equal(prune_points(points, 3, "HNSW8", KITH_METRIC_L2, 1.09f, 8, kept), 1);
    assert_int_equal(prune_points(points, 3, "HNSW8", KITH_METRIC_L2, 1.13f, 8, kept), 2);
    assert_int_equal(kept[1], 2);
    /* Manhattan: 1 from the base, then 2.6718 from it and 1.9282 from row 1. */
    assert_int_equal(prune_points(points, 3, "HNSW8", KITH_METRIC_L1, 1.3f, 8, kept), 1);
    assert_int_equal(prune_points(points, 3, "HNSW8", KITH_METRIC_L1, 1.5f, 8, kept), 2);
    /* Angles from the base (1, 0): 10 and 21 degrees one way, 20 the other. The chord law of the cosine. */
    static const float turned[] = {1,          0,          0.9848078f, 0.1736482f,
                                   0.9335804f, 0.3583679f, 0.9396926f, -0.3420201f};
    assert_int_equal(prune_points(turned, 4, "HNSW8", KITH_METRIC_COSINE, 1, 8, kept), 2);
    assert_int_equal(kept[0], 1);
    assert_int_equal(kept[1], 3);
    assert_int_equal(prune_points(turned, 4, "HNSW8", KITH_METRIC_COSINE, 1.95f, 8, kept), 3);
}

/* Row 1 is long and has large products with all: it covers row 2, which lies near it, but not row 3, which lies nearer to
 * the base. A row that is not longer than the base pays nothing: in the second set row 1 covers row 2. */
static void test_prune_under_inner_product(void **state) {
    (void)state;
    static const float points[] = {1, 0, 3, 0.3f, 2.8f, 0.4f, 1, 1};
    static const float within[] = {2, 0, 1.5f, 1, 1.2f, 1.5f};
    uint32_t kept[16];
    assert_int_equal(prune_points(points, 4, "HNSW8", KITH_METRIC_IP, 1, 8, kept), 2);
    assert_int_equal(kept[0], 1);
    assert_int_equal(kept[1], 3);
    assert_int_equal(prune_points(within, 3, "HNSW8", KITH_METRIC_IP, 1, 8, kept), 1);
    assert_int_equal(kept[0], 1);
}

/* Of rows that are the same one is enough: the places of the others are for what lies elsewhere. */
static void test_prune_keeps_one_of_equals(void **state) {
    (void)state;
    static const char *const all[] = {"HNSW8", "HNSW8,SQfp16", "HNSW8,SQ8"};
    static const float equal[] = {2, 3, 2, 3, 2, 3, 2, 3};
    static const float mixed[] = {2, 3, 2, 3, 5, 3, 2, 3, 5, 3, 2, -9};
    uint32_t kept[16];
    for (size_t s = 0; s < COUNT(all); s++) {
        for (size_t m = 0; m < COUNT(metrics); m++) {
            assert_int_equal(prune_points(equal, 4, all[s], metrics[m], 1, 8, kept), 1);
            assert_int_equal(kept[0], 1);
        }
        assert_int_equal(prune_points(mixed, 6, all[s], KITH_METRIC_L2, 1, 8, kept), 3);
        assert_int_equal(kept[0], 1);
        assert_int_equal(kept[1], 2);
        assert_int_equal(kept[2], 5);
    }
}

/* ---- whole graphs ------------------------------------------------------------------------------ */

/* Rows, as queries, find nearly all of their ten nearest. */
static void expect_found(const kith_index *index, const struct vectors *rows, double floor) {
    struct vectors queries = vectors_new(50, rows->dim);
    uint32_t k = rows->n < 10 ? (uint32_t)rows->n : 10;
    for (size_t i = 0; i < queries.n; i++)
        memcpy(queries.x + i * rows->dim, vectors_at(rows, i * rows->n / queries.n),
               rows->dim * sizeof(float));
    double recall = recall_of(index, &queries, k, 100, NULL);
    if (recall < floor) fail_msg("%zu rows of %zu: recall %g", rows->n, rows->dim, recall);
    vectors_free(&queries);
}

static void test_sizes(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 2, 3, 10, 255, 256, 1000, FEWER(5000)};
    kith_index *empty;
    assert_int_equal(kith_index_new(&empty, 12, KITH_METRIC_L2, "HNSW8", NULL, NULL), 0);
    expect_sound(empty, "empty");
    kith_index_free(empty);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        for (uint32_t threads = 1; threads <= 2; threads++) {
            struct vectors rows = vectors_uniform(sizes[i], 12, 1 + i);
            kith_index *index = index_of(&rows, KITH_METRIC_L2, "HNSW8", threads);
            expect_sound(index, "%zu rows, %u threads", sizes[i], threads);
            assert_int_equal(kith_index_rows(index), sizes[i]);
            expect_found(index, &rows, 0.97);
            kith_index_free(index);
            vectors_free(&rows);
        }
    }
}

static void test_every_metric_and_code(void **state) {
    (void)state;
    struct vectors rows = vectors_clustered(FEWER(1600), 24, 40, 0.4f, 5);
    struct vectors whole = vectors_integral(FEWER(1600), 24, 6);
    for (size_t m = 0; m < COUNT(metrics); m++) {
        for (size_t s = 0; s < COUNT(specs); s++) {
            kith_index *index = index_of(&rows, metrics[m], specs[s], 1);
            expect_sound(index, "%s, %s", specs[s], kith_metric_name(metrics[m]));
            kith_index_free(index);
            index = index_of(&whole, metrics[m], specs[s], 1);
            kith_index_stats stats;
            kith_index_stats_get(index, &stats);
            assert_string_equal(stats.code, "u8");
            expect_sound(index, "%s, %s, whole numbers", specs[s], kith_metric_name(metrics[m]));
            kith_index_free(index);
        }
    }
    vectors_free(&rows);
    vectors_free(&whole);
}

static void test_one_by_one(void **state) {
    (void)state;
    struct vectors rows = vectors_uniform(FEWER(3000), 10, 9);
    for (size_t s = 0; s < COUNT(specs); s++) {
        kith_index *index;
        assert_int_equal(kith_index_new(&index, 10, KITH_METRIC_L2, specs[s], NULL, NULL), 0);
        for (size_t i = 0; i < rows.n; i++) {
            assert_int_equal(kith_index_add(index, 1, vectors_at(&rows, i), NULL, NULL, NULL), 0);
            if (i < 20 || i % 500 == 0) expect_sound(index, "%s, row %zu", specs[s], i);
        }
        expect_sound(index, "%s one by one", specs[s]);
        expect_found(index, &rows, 0.97);
        kith_index_free(index);
    }
    vectors_free(&rows);
}

/* Adds of every size after each other: batches that run beside others, and bulk ones. */
static void test_uneven_adds(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 7, 300, 255, 256, 1, 1000, 40, 255, 3, 600};
    struct vectors rows = vectors_clustered(2718, 8, 10, 0.3f, 10);
    kith_index *index;
    kith_work work = KITH_WORK_INIT;
    size_t at = 0;
    assert_int_equal(kith_index_new(&index, 8, KITH_METRIC_COSINE, "HNSW4", NULL, NULL), 0);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        work.threads = (uint32_t)(1 + i % 3);
        assert_int_equal(kith_index_add(index, sizes[i], vectors_at(&rows, at), NULL, &work, NULL),
                         0);
        at += sizes[i];
        expect_sound(index, "after add %zu of %zu rows", i, sizes[i]);
    }
    assert_int_equal(at, rows.n);
    expect_found(index, &rows, 0.97);
    kith_index_free(index);
    vectors_free(&rows);
}

static void test_least_and_most_links(void **state) {
    (void)state;
    static const char *const extremes[] = {"HNSW2", "HNSW2,SQ8,Refine", "HNSW128", "HNSW128,SQ8"};
    struct vectors rows = vectors_clustered(FEWER(2000), 16, 7, 0.2f, 11);
    for (size_t s = 0; s < COUNT(extremes); s++) {
        kith_index *index = index_of(&rows, KITH_METRIC_L2, extremes[s], 2);
        expect_sound(index, "%s", extremes[s]);
        /* Four links a row, up to half of which are the tree's: 0.64 when this was written. */
        expect_found(index, &rows, s < 2 ? 0.6 : 0.97);
        kith_index_free(index);
    }
    vectors_free(&rows);
}

static void test_least_and_most_dimensions(void **state) {
    (void)state;
    static const size_t dims[] = {1, 2, 1024};
    for (size_t d = 0; d < COUNT(dims); d++) {
        struct vectors rows =
            vectors_uniform(dims[d] > 100 ? FEWER(800) : FEWER(2000), dims[d], 12);
        for (size_t m = 0; m < COUNT(metrics); m++) {
            for (size_t s = 0; s < COUNT(specs); s++) {
                if (dims[d] > 100 && m != 0 && s % 2) continue;
                kith_index *index = index_of(&rows, metrics[m], specs[s], 2);
                expect_sound(index, "%s, %s, dimension %zu", specs[s], kith_metric_name(metrics[m]),
                             dims[d]);
                kith_index_free(index);
            }
        }
        vectors_free(&rows);
    }
}

/* ---- data that are hard on a graph ------------------------------------------------------------- */

/* All k results are there, once each, though everything is equally near. */
static void expect_k_results(const kith_index *index, const float *query, uint32_t k) {
    int64_t ids[64];
    float dists[64];
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    params.k = k;
    assert_int_equal(kith_index_search(index, 1, query, &params, ids, dists, NULL), KITH_OK);
    for (uint32_t i = 0; i < k; i++) {
        assert_true(ids[i] >= 0 && (uint64_t)ids[i] < kith_index_rows(index));
        for (uint32_t j = 0; j < i; j++) assert_int_not_equal(ids[i], ids[j]);
    }
}

static void test_all_rows_equal(void **state) {
    (void)state;
    static const float values[] = {0, 1, -0.37f, 200};
    for (size_t v = 0; v < COUNT(values); v++) {
        struct vectors rows = vectors_new(FEWER(1500), 6);
        for (size_t i = 0; i < rows.n * rows.dim; i++) rows.x[i] = values[v];
        for (size_t m = 0; m < COUNT(metrics); m++) {
            for (size_t s = 0; s < COUNT(specs); s++) {
                kith_index *index = index_of(&rows, metrics[m], specs[s], 1 + (uint32_t)s % 2);
                expect_sound(index, "rows of %g, %s, %s", (double)values[v], specs[s],
                             kith_metric_name(metrics[m]));
                expect_k_results(index, rows.x, 50);
                kith_index_free(index);
            }
        }
        vectors_free(&rows);
    }
}

/* Each row has one value throughout: cosines are all 1, and most dimensions say nothing new. */
static void test_constant_vectors(void **state) {
    (void)state;
    struct vectors rows = vectors_new(FEWER(1500), 16);
    for (size_t i = 0; i < rows.n * rows.dim; i++) rows.x[i] = (float)(i / rows.dim) * 0.01f;
    for (size_t m = 0; m < COUNT(metrics); m++) {
        for (size_t s = 0; s < COUNT(specs); s++) {
            kith_index *index = index_of(&rows, metrics[m], specs[s], 1);
            expect_sound(index, "constant rows, %s, %s", specs[s], kith_metric_name(metrics[m]));
            if (metrics[m] == KITH_METRIC_L2) expect_found(index, &rows, 0.97);
            kith_index_free(index);
        }
    }
    vectors_free(&rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_are_a_geometric_series),
        cmocka_unit_test(test_levels_follow_from_seed_and_row),
        cmocka_unit_test(test_keys_order_by_distance_then_row),
        cmocka_unit_test(test_prune_drops_what_a_kept_one_covers),
        cmocka_unit_test(test_prune_slack),
        cmocka_unit_test(test_prune_under_inner_product),
        cmocka_unit_test(test_prune_keeps_one_of_equals),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_every_metric_and_code),
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_uneven_adds),
        cmocka_unit_test(test_least_and_most_links),
        cmocka_unit_test(test_least_and_most_dimensions),
        cmocka_unit_test(test_all_rows_equal),
        cmocka_unit_test(test_constant_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
