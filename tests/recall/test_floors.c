/* How much must a search find? A floor for each metric, code and way to build, measured once and never to be undercut.
 *
 *     ways    bulk; bulk with three threads; one row at a time; in chunks of 100; a new topic at last, in one add
 *
 * Each way has the same floor: how rows came must not matter. Short: 3,000 glosses, and 2,000 synthetic rows under every
 * metric. Long (argument "long"): mnist-784 and wordnet-sg-100 whole. */
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

enum { K = 10 };
#define FLOOR_HELD    0.975
#define FLOOR_ASKED   0.99
#define FLOOR_ALL     0.98
#define FLOOR_LENGTHS 0.955
#define FLOOR_MNIST   0.99
#define FLOOR_WORDNET 0.97
#define FLOOR_PRODUCT 0.98
#define FLOOR_GLOVE   0.99

enum way { BULK, THREADS, SINGLY, CHUNKS, WAYS };
static const char *const way_names[WAYS] = {"bulk", "three threads", "one by one", "chunks"};

static void add(kith_index *index, const struct vectors *rows, size_t chunk, uint32_t threads) {
    kith_work work = KITH_WORK_INIT;
    kith_error err;
    work.threads = threads;
    for (size_t at = 0; at < rows->n; at += chunk) {
        size_t n = rows->n - at < chunk ? rows->n - at : chunk;
        if (kith_index_add(index, n, vectors_at(rows, at), NULL, &work, &err) != KITH_OK)
            fail_msg("%s", err.text);
    }
}

static kith_index *build(const struct vectors *rows, kith_metric metric, const char *spec,
                         enum way way) {
    kith_index *index;
    kith_error err;
    if (kith_index_new(&index, rows->dim, metric, spec, NULL, &err) != KITH_OK)
        fail_msg("%s", err.text);
    add(index, rows, way == SINGLY ? 1 : way == CHUNKS ? 100 : rows->n, way == THREADS ? 3 : 1);
    return index;
}

static void expect_floor(const kith_index *index, const struct vectors *queries, uint32_t ef,
                         double floor, const char *what) {
    kith_index_stats stats;
    double recall = recall_of(index, queries, K, ef, NULL);
    kith_index_stats_get(index, &stats);
    const char *metric = kith_metric_name(stats.metric);
    print_message("# %s, %s, %s: recall %.4f at ef %u\n", stats.spec, metric, what, recall, ef);
    if (recall < floor)
        fail_msg("%s, %s, %s: recall %.4f at ef %u, must be %.4f", stats.spec, metric, what, recall,
                 ef, floor);
}

static const char *const specs[] = {"HNSW8", "HNSW8,SQ8", "HNSW8,SQ8,Refine",
                                    "HNSW8,SQfp16,Refine"};
enum { SPECS = sizeof specs / sizeof specs[0] };

/* ---- short ------------------------------------------------------------------------------------- */

static void test_glosses(void **state) {
    (void)state;
    struct vectors all, queries;
    assert_true(vectors_read_source(&all, "samples/glosses.f16.npy", 5000));
    assert_true(vectors_read_source(&queries, "samples/queries.f16.npy", 50));
    struct vectors rows = vectors_view(&all, 0, FEWER(3000)),
                   held = vectors_view(&all, 4000, FEWER(1000));
    for (size_t s = 0; s < SPECS; s++) {
        for (int way = 0; way < WAYS; way++) {
            if (way != BULK && s != 2) continue;
            kith_index *index = build(&rows, KITH_METRIC_COSINE, specs[s], (enum way)way);
            expect_floor(index, &held, 64, FLOOR_HELD, way_names[way]);
            expect_floor(index, &queries, 64, FLOOR_ASKED, "questions");
            kith_index_free(index);
        }
    }
    vectors_free(&all);
    vectors_free(&queries);
}

static void test_every_metric(void **state) {
    (void)state;
    static const kith_metric metrics[] = {KITH_METRIC_L2, KITH_METRIC_EUCLID, KITH_METRIC_IP,
                                          KITH_METRIC_COSINE, KITH_METRIC_L1};
    struct vectors all = vectors_clustered(FEWER(2400), 24, 60, 0.8f, 17);
    struct vectors rows = vectors_view(&all, 0, FEWER(2000)),
                   held = vectors_view(&all, FEWER(2000), FEWER(400));
    for (size_t m = 0; m < sizeof metrics / sizeof metrics[0]; m++) {
        for (size_t s = 0; s < SPECS; s++) {
            for (int way = 0; way < WAYS; way++) {
                if (way != BULK && s != m % SPECS) continue;
                kith_index *index = build(&rows, metrics[m], specs[s], (enum way)way);
                expect_floor(index, &held, 32, FLOOR_ALL, way_names[way]);
                kith_index_free(index);
            }
        }
    }
    vectors_free(&all);
}

/* Inner products of rows whose lengths are far apart: log-normal, the longest tenth some four times the median. */
static void test_every_length(void **state) {
    (void)state;
    enum { DIM = 24, QUERIES = 300 };
    struct vectors all = vectors_uniform(FEWER(4000) + QUERIES, DIM, 23);
    uint64_t seed = 24;
    for (size_t i = 0; i < all.n; i++) {
        float sum = -6; /* of twelve uniform numbers: all but normal */
        for (int j = 0; j < 12; j++) sum += draw_unit(&seed);
        for (size_t d = 0; d < DIM; d++) all.x[i * DIM + d] *= expf(sum);
    }
    struct vectors rows = vectors_view(&all, 0, all.n - QUERIES),
                   held = vectors_view(&all, all.n - QUERIES, QUERIES);
    for (size_t s = 0; s < SPECS; s++) {
        for (int way = 0; way < WAYS; way++) {
            if (way != BULK && s != 0) continue;
            kith_index *index = build(&rows, KITH_METRIC_IP, specs[s], (enum way)way);
            expect_floor(index, &held, 32, FLOOR_LENGTHS, way_names[way]);
            kith_index_free(index);
        }
    }
    vectors_free(&all);
}

/* Whole numbers are kept as bytes: nothing is lost. */
static void test_whole_numbers(void **state) {
    (void)state;
    struct vectors all = vectors_clustered(FEWER(2400), 32, 40, 0.9f, 18);
    for (size_t i = 0; i < all.n * all.dim; i++)
        all.x[i] = (float)(int)(64 * (all.x[i] + 2) < 255 ? 64 * (all.x[i] + 2) : 255);
    struct vectors rows = vectors_view(&all, 0, FEWER(2000)),
                   held = vectors_view(&all, FEWER(2000), FEWER(400));
    kith_index *index = build(&rows, KITH_METRIC_L2, "HNSW8", BULK);
    kith_index_stats stats;
    kith_index_stats_get(index, &stats);
    assert_string_equal(stats.code, "u8");
    expect_floor(index, &held, 32, FLOOR_ALL, "whole numbers");
    kith_index_free(index);
    vectors_free(&all);
}

/* A topic that is far from all there is comes in one add: its rows must find each other. */
static void test_new_topic(void **state) {
    (void)state;
    static const size_t topic_sizes[] = {50, 200, 255, 256, 600};
    struct vectors old = vectors_clustered(FEWER(3000), 24, 40, 0.5f, 1);
    struct vectors topic = vectors_clustered(1000, 24, 1, 0.3f, 777);
    struct vectors held = vectors_view(&topic, 600, 200);
    for (size_t t = 0; t < sizeof topic_sizes / sizeof topic_sizes[0]; t++) {
        kith_index *index = build(&old, KITH_METRIC_L2, "HNSW8", BULK);
        struct vectors fresh = vectors_view(&topic, 0, topic_sizes[t]);
        char what[40];
        snprintf(what, sizeof what, "a new topic of %zu", fresh.n);
        add(index, &fresh, fresh.n, 2);
        expect_floor(index, &held, 64, 0.99, what);
        kith_index_free(index);
    }
    vectors_free(&old);
    vectors_free(&topic);
}

/* ---- long -------------------------------------------------------------------------------------- */

static void run_data(const char *base, const char *asked, kith_metric metric, uint32_t ef,
                     double floor) {
    struct vectors rows, queries;
    assert_true(vectors_read_data(&rows, base, 200000));
    assert_true(vectors_read_data(&queries, asked, 1000));
    for (int way = 0; way < WAYS; way++) {
        kith_index *index = build(&rows, metric, "HNSW16,SQ8,Refine", (enum way)way);
        expect_floor(index, &queries, ef, floor, way_names[way]);
        kith_index_free(index);
    }
    vectors_free(&rows);
    vectors_free(&queries);
}

static void test_mnist(void **state) {
    (void)state;
    run_data("mnist-784/base.u8.npy.gz", "mnist-784/queries.u8.npy.gz", KITH_METRIC_L2, 64,
             FLOOR_MNIST);
}

static void test_wordnet(void **state) {
    (void)state;
    run_data("wordnet-sg-100/base.f32.npy", "wordnet-sg-100/queries.f32.npy", KITH_METRIC_COSINE,
             128, FLOOR_WORDNET);
}

/* Inner products of vectors as they are, lengths from 1 to 5. */
static void test_wordnet_products(void **state) {
    (void)state;
    run_data("wordnet-sg-100/base.f32.npy", "wordnet-sg-100/queries.f32.npy", KITH_METRIC_IP, 128,
             FLOOR_PRODUCT);
}

static void test_glove_products(void **state) {
    (void)state;
    run_data("glove-twitter-25/base.f32.npy", "glove-twitter-25/queries.f32.npy", KITH_METRIC_IP,
             64, FLOOR_GLOVE);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glosses),      cmocka_unit_test(test_every_metric),
        cmocka_unit_test(test_every_length), cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_new_topic),
    };
    const struct CMUnitTest long_tests[] = {
        cmocka_unit_test(test_mnist),
        cmocka_unit_test(test_wordnet),
        cmocka_unit_test(test_wordnet_products),
        cmocka_unit_test(test_glove_products),
    };
    struct vectors probe;
    if (argc < 2 || strcmp(argv[1], "long") != 0) return cmocka_run_group_tests(tests, NULL, NULL);
    if (!vectors_read_data(&probe, "mnist-784/base.u8.npy.gz", 1)) {
        printf("1..0 # SKIP no mnist-784 below KITH_DATA\n");
        return 0;
    }
    vectors_free(&probe);
    return cmocka_run_group_tests(long_tests, NULL, NULL);
}
