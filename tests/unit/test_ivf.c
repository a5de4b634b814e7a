/* Inverted lists: exact until they are trained, the same answers one by one and in batches, k results under any filter, no
 * tombstones, the same file at any number of threads; and codes of quantizers in graphs and lists. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "../recall/vectors.h"

enum { DIM = 24, ROWS = 6000, N_Q = 60, K = 10 };

static struct vectors rows, queries;

static int begin(void **state) {
    (void)state;
    struct vectors all = vectors_clustered(ROWS + N_Q, DIM, 40, 0.4f, 3);
    rows = vectors_view(&all, 0, ROWS);
    queries = vectors_view(&all, ROWS, N_Q);
    return 0;
}

static int end(void **state) {
    (void)state;
    vectors_free(&rows); /* of which queries are the end */
    return 0;
}

static kith_index *make(const char *spec, kith_metric metric) {
    return index_of(&rows, metric, spec, 2);
}

struct answers {
    int64_t ids[N_Q * K];
    float dists[N_Q * K];
};

static void ask(const kith_index *index, size_t together, uint32_t nprobe, int exact,
                struct answers *answers) {
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_error err;
    params.k = K;
    params.nprobe = nprobe;
    params.exact = exact;
    for (size_t i = 0; i < N_Q; i += together) {
        size_t n = N_Q - i < together ? N_Q - i : together;
        if (kith_index_search(index, n, vectors_at(&queries, i), &params, answers->ids + i * K,
                              answers->dists + i * K, &err) != KITH_OK)
            fail_msg("%s", err.text);
    }
}

static void assert_same(const struct answers *a, const struct answers *b, const char *what) {
    for (size_t i = 0; i < N_Q * K; i++)
        if (a->ids[i] != b->ids[i] || a->dists[i] != b->dists[i])
            fail_msg("%s: query %zu, place %zu: id %lld at %g, and %lld at %g", what, i / K, i % K,
                     (long long)a->ids[i], (double)a->dists[i], (long long)b->ids[i],
                     (double)b->dists[i]);
}

static const char *const lists[] = {
    "IVF32,Flat",          "IVF32,SQfp16",          "IVF32,SQ8",
    "IVF32,SQ4,Refine",    "IVF32,PQ12x4fs,Refine", "IVF32,PQ6",
    "IVF32_HNSW8,RaBitQ4", "RaBitQ,Refine",         "IVF32,Binary,Refine"};
enum { N_LISTS = sizeof lists / sizeof *lists };

static void test_batches_answer_as_single_queries(void **state) {
    (void)state;
    for (kith_metric metric = KITH_METRIC_L2; metric <= KITH_METRIC_COSINE; metric++)
        for (size_t i = 0; i < N_LISTS; i++) {
            kith_index *index = make(lists[i], metric);
            struct answers one, many;
            for (uint32_t nprobe = 1; nprobe <= 32; nprobe += 15) {
                ask(index, 1, nprobe, 0, &one);
                ask(index, N_Q, nprobe, 0, &many);
                assert_same(&one, &many, lists[i]);
            }
            kith_index_free(index);
        }
}

static void test_all_lists_are_all_rows(void **state) {
    (void)state;
    for (kith_metric metric = KITH_METRIC_L2; metric <= KITH_METRIC_L1; metric++) {
        kith_index *flat = make("Flat", metric), *index = make("IVF32,Flat", metric);
        struct answers want, got;
        ask(flat, 1, 0, 0, &want);
        ask(index, 1, 32, 0, &got);
        assert_same(&want, &got, "every list");
        ask(index, N_Q, 0, 1, &got);
        assert_same(&want, &got, "exact");
        kith_index_free(flat);
        kith_index_free(index);
    }
}

static void test_exact_until_trained(void **state) {
    kith_index *flat, *index;
    kith_index_stats stats;
    kith_error err;
    struct answers want, got;
    (void)state;
    assert_int_equal(kith_index_new(&flat, DIM, KITH_METRIC_L2, "Flat", NULL, &err), KITH_OK);
    assert_int_equal(kith_index_new(&index, DIM, KITH_METRIC_L2, "IVF64,PQ12x4fs", NULL, &err),
                     KITH_OK);
    assert_int_equal(kith_index_train(index, 63, rows.x, NULL, &err), KITH_EINVAL);
    assert_non_null(strstr(err.text, "63"));
    assert_non_null(strstr(err.text, "64"));
    for (size_t at = 0; at < 4000; at += 500) {
        assert_int_equal(kith_index_add(flat, 500, vectors_at(&rows, at), NULL, NULL, &err),
                         KITH_OK);
        assert_int_equal(kith_index_add(index, 500, vectors_at(&rows, at), NULL, NULL, &err),
                         KITH_OK);
        ask(flat, 1, 0, 0, &want);
        ask(index, 1, 1, 0, &got);
        assert_same(&want, &got, "untrained");
    }
    kith_index_stats_get(index, &stats);
    assert_int_equal(stats.lists, 0);
    assert_int_equal(kith_index_add(index, 500, vectors_at(&rows, 4000), NULL, NULL, &err),
                     KITH_OK);
    kith_index_stats_get(index, &stats);
    assert_int_equal(stats.lists, 64);
    assert_string_equal(stats.stored, "none");
    assert_int_equal(kith_index_train(index, 63, rows.x, NULL, &err), KITH_EINVAL);
    assert_non_null(strstr(err.text, "63"));
    assert_int_equal(kith_index_check(index, &err), KITH_OK);
    kith_index_free(flat);
    kith_index_free(index);
}

/* Rows that are there already may be of another kind than those that are learnt from. */
static void test_training_on_whole_numbers_rounds_no_row(void **state) {
    kith_index *index;
    kith_error err;
    struct answers want, got;
    struct vectors whole = vectors_integral(200, DIM, 5);
    (void)state;
    assert_int_equal(kith_index_new(&index, DIM, KITH_METRIC_L2, "IVF8,Flat", NULL, &err), KITH_OK);
    assert_int_equal(kith_index_add(index, 100, rows.x, NULL, NULL, &err), KITH_OK);
    ask(index, 1, 8, 0, &want);
    assert_int_equal(kith_index_train(index, 200, whole.x, NULL, &err), KITH_OK);
    ask(index, 1, 8, 0, &got);
    assert_same(&want, &got, "trained on whole numbers");
    vectors_free(&whole);
    kith_index_free(index);
}

static void *file_of(const kith_index *index, size_t *n) {
    char path[64];
    kith_error err;
    snprintf(path, sizeof path, "ivf-%ld.kith", (long)getpid());
    assert_int_equal(kith_index_save(index, path, &err), KITH_OK);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *n = (size_t)ftell(file);
    rewind(file);
    void *bytes = malloc(*n);
    assert_int_equal(fread(bytes, 1, *n, file), *n);
    fclose(file);
    unlink(path);
    return bytes;
}

/* From rows that are given, and from its own; the answers stay those of its rows. */
static void test_learning_anew(void **state) {
    static const char *const specs[] = {"IVF32,Flat", "IVF32,SQfp16", "IVF32,PQ12x4fs,Refine",
                                        "IVF32_HNSW8,SQ8,Refine", "RaBitQ,Refine"};
    struct vectors other = vectors_clustered(ROWS, DIM, 40, 0.4f, 4);
    struct answers before, after;
    kith_error err;
    (void)state;
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
        kith_index *index = make(specs[s], KITH_METRIC_L2);
        ask(index, 1, 0, 1, &before);
        assert_int_equal(kith_index_train(index, ROWS, other.x, NULL, &err), KITH_OK);
        assert_int_equal(kith_index_check(index, &err), KITH_OK);
        ask(index, 1, 0, 1, &after);
        assert_same(&before, &after, specs[s]);
        assert_int_equal(kith_index_train(index, 0, NULL, NULL, &err), KITH_OK);
        assert_int_equal(kith_index_check(index, &err), KITH_OK);
        ask(index, 1, 0, 1, &after);
        assert_same(&before, &after, specs[s]);
        assert_int_equal(kith_index_rows(index), ROWS);
        kith_index_free(index);
    }
    vectors_free(&other);
}

/* Rows like none before, some at a time: the lists follow, by themselves, in the same way at any number of threads. */
static void test_worn_lists_are_learnt_anew(void **state) {
    struct vectors other = vectors_clustered(ROWS, DIM, 60, 0.4f, 9);
    kith_work work = KITH_WORK_INIT;
    size_t n[2];
    void *bytes[2];
    kith_error err;
    (void)state;
    for (size_t i = 0; i < ROWS * DIM; i++) other.x[i] += 3;
    for (uint32_t threads = 1; threads <= 2; threads++) {
        kith_index *index = make("IVF32,SQ8", KITH_METRIC_L2);
        kith_index_stats stats;
        kith_index_stats_get(index, &stats);
        work.threads = threads;
        for (size_t at = 0; at < ROWS; at += 500)
            assert_int_equal(kith_index_add(index, 500, vectors_at(&other, at), NULL, &work, &err),
                             KITH_OK);
        assert_int_equal(kith_index_check(index, &err), KITH_OK);
        kith_index_stats_get(index, &stats);
        assert_int_equal(stats.lists, 32);
        assert_true((double)stats.largest_list < 4 * stats.mean_list);
        bytes[threads - 1] = file_of(index, &n[threads - 1]);
        kith_index_free(index);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(bytes[0], bytes[1], n[0]);
    free(bytes[0]);
    free(bytes[1]);
    vectors_free(&other);
}

/* Passes one id in `context`. */
static int one_in(void *context, int64_t id) { return id % *(const int64_t *)context == 0; }

static void test_filters_cost_no_results(void **state) {
    static const char *const specs[] = {"IVF64,Flat", "IVF64,SQ4", "IVF64,SQ4,Refine"};
    (void)state;
    for (size_t s = 0; s < 3; s++) {
        kith_index *index = make(specs[s], KITH_METRIC_COSINE);
        for (int64_t share = 2; share <= 512; share *= 4) {
            kith_search_params params = KITH_SEARCH_PARAMS_INIT;
            kith_error err;
            int64_t ids[K];
            params.k = K;
            params.nprobe = 1;
            params.filter.pass = one_in;
            params.filter.context = &share;
            for (size_t q = 0; q < 20; q++) {
                assert_int_equal(
                    kith_index_search(index, 1, vectors_at(&queries, q), &params, ids, NULL, &err),
                    KITH_OK);
                for (int i = 0; i < K; i++) assert_true(ids[i] >= 0 && ids[i] % share == 0);
            }
        }
        kith_index_free(index);
    }
}

static uint64_t bytes_of(const kith_index *index, const char *component) {
    kith_index_stats stats;
    kith_index_stats_get(index, &stats);
    for (uint32_t i = 0; i < stats.n_components; i++)
        if (strcmp(stats.component[i].name, component) == 0) return stats.component[i].bytes;
    return 0;
}

static void test_replacing_all_leaves_nothing_behind(void **state) {
    kith_error err;
    struct vectors other = vectors_clustered(ROWS, DIM, 40, 0.4f, 4);
    kith_index *index = make("IVF64,SQfp16", KITH_METRIC_L2);
    (void)state;
    uint64_t before = bytes_of(index, "lists");
    for (int round = 0; round < 6; round++) {
        const struct vectors *from = round % 2 ? &rows : &other;
        for (int64_t id = 0; id < ROWS; id += 100) {
            int64_t ids[100];
            for (int i = 0; i < 100; i++) ids[i] = id + i;
            assert_int_equal(
                kith_index_update(index, 100, vectors_at(from, (size_t)id), ids, NULL, &err),
                KITH_OK);
        }
        assert_int_equal(kith_index_check(index, &err), KITH_OK);
    }
    assert_true(bytes_of(index, "lists") < before + before / 10);
    kith_index *fresh = make("IVF64,SQfp16", KITH_METRIC_L2);
    struct answers want, got;
    ask(fresh, 1, 64, 0, &want);
    ask(index, 1, 64, 0, &got);
    assert_same(&want, &got, "replaced");
    vectors_free(&other);
    kith_index_free(index);
    kith_index_free(fresh);
}

static void test_threads_make_the_same_file(void **state) {
    (void)state;
    for (size_t s = 0; s < N_LISTS; s++) {
        size_t n[3];
        void *bytes[3];
        for (uint32_t threads = 1; threads <= 3; threads++) {
            kith_index *index = index_of(&rows, KITH_METRIC_COSINE, lists[s], threads);
            bytes[threads - 1] = file_of(index, &n[threads - 1]);
            kith_index_free(index);
        }
        for (int i = 1; i < 3; i++) {
            assert_int_equal(n[0], n[i]);
            assert_memory_equal(bytes[0], bytes[i], n[0]);
        }
        for (int i = 0; i < 3; i++) free(bytes[i]);
    }
}

static kith_index *open_bytes(const void *bytes, size_t n, int mode, int want) {
    char path[64];
    kith_index *index = NULL;
    kith_error err;
    snprintf(path, sizeof path, "ivf-%ld.kith", (long)getpid());
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
    int code = kith_index_open(&index, path, mode, &err);
    unlink(path);
    if (code != want) fail_msg("open gave %s", code == KITH_OK ? "an index" : err.text);
    return index;
}

/* Evener lists where that was asked for, also of what is learnt after the file was opened. */
static void test_balance(void **state) {
    static const float bad[] = {-0.1f, 1001, NAN, INFINITY};
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    kith_index *index = make("IVF32,SQ8", KITH_METRIC_L2), *opened;
    kith_index_stats fallen, even;
    kith_error err;
    size_t n;
    (void)state;
    kith_index_stats_get(index, &fallen);
    kith_index_free(index);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        options.balance = bad[i];
        assert_int_equal(kith_index_new(&index, DIM, KITH_METRIC_L2, "IVF32,SQ8", &options, &err),
                         KITH_EINVAL);
        assert_non_null(strstr(err.text, "balance"));
    }
    options.balance = 0.1f;
    assert_int_equal(kith_index_new(&index, DIM, KITH_METRIC_L2, "IVF32,SQ8", &options, &err),
                     KITH_OK);
    assert_int_equal(kith_index_add(index, ROWS, rows.x, NULL, NULL, &err), KITH_OK);
    kith_index_stats_get(index, &even);
    assert_true(even.largest_list < fallen.largest_list);
    uint8_t *bytes = file_of(index, &n);
    opened = open_bytes(bytes, n, KITH_OPEN_READ, KITH_OK);
    assert_int_equal(kith_index_train(opened, 0, NULL, NULL, &err), KITH_OK);
    kith_index_stats_get(opened, &even);
    assert_true(even.largest_list < fallen.largest_list);
    kith_index_free(opened);
    kith_index_free(index);
    free(bytes);
}

/* A file has the graph over the centres: opened either way it answers the same; damaged, it is mended. */
static void test_graphs_over_centres_are_kept(void **state) {
    kith_index *index = make("IVF32_HNSW8,SQ8", KITH_METRIC_L2), *opened;
    struct answers want, got;
    size_t n, at = 0;
    uint64_t offset, mended;
    kith_error err;
    (void)state;
    uint8_t *bytes = file_of(index, &n);
    ask(index, 1, 4, 0, &want);
    for (int mode = KITH_OPEN_READ; mode <= KITH_OPEN_MAP; mode++) {
        opened = open_bytes(bytes, n, mode, KITH_OK);
        assert_int_equal(kith_index_check(opened, &err), KITH_OK);
        ask(opened, 1, 4, 0, &got);
        assert_same(&want, &got, "opened");
        kith_index_free(opened);
    }
    for (size_t i = n - 32; i > 0 && at == 0; i -= 32) /* the table's entry of its links */
        if (memcmp(bytes + i, "0KNL", 4) == 0) at = i;
    assert_true(at > 0);
    memcpy(&offset, bytes + at + 8, sizeof offset);
    memset(bytes + offset, 0x5a, 64);
    open_bytes(bytes, n, KITH_OPEN_READ, KITH_ECORRUPT);
    opened = open_bytes(bytes, n, KITH_OPEN_REPAIR, KITH_OK);
    assert_int_equal(kith_index_repair(opened, &mended, &err), KITH_OK);
    assert_true(mended > 0);
    assert_int_equal(kith_index_check(opened, &err), KITH_OK);
    ask(index, 1, 32, 0, &want);
    ask(opened, 1, 32, 0, &got);
    assert_same(&want, &got, "mended");
    kith_index_free(opened);
    kith_index_free(index);
    free(bytes);
}

static double shared(const struct answers *a, const struct answers *b) {
    size_t found = 0;
    for (size_t q = 0; q < N_Q; q++)
        for (size_t i = 0; i < K; i++)
            for (size_t j = 0; j < K; j++) found += a->ids[q * K + i] == b->ids[q * K + j];
    return (double)found / (N_Q * K);
}

static void test_graphs_over_quantizers(void **state) {
    static const char *const specs[] = {"HNSW8,SQ4,Refine", "HNSW8,RaBitQ4,Refine",
                                        "HNSW8,PQ12,Refine", "HNSW8,SQ6"};
    (void)state;
    for (kith_metric metric = KITH_METRIC_L2; metric <= KITH_METRIC_COSINE; metric++) {
        kith_index *flat = make("Flat", metric);
        struct answers want, got;
        ask(flat, 1, 0, 0, &want);
        for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
            kith_error err;
            kith_index *index = make(specs[s], metric);
            ask(index, 1, 0, 0, &got);
            if (shared(&want, &got) < (metric == KITH_METRIC_IP ? 0.75 : 0.85))
                fail_msg("%s, %s: %.3f of the nearest", specs[s], kith_metric_name(metric),
                         shared(&want, &got));
            assert_int_equal(kith_index_check(index, &err), KITH_OK);
            kith_index_free(index);
        }
        kith_index_free(flat);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches_answer_as_single_queries),
        cmocka_unit_test(test_all_lists_are_all_rows),
        cmocka_unit_test(test_exact_until_trained),
        cmocka_unit_test(test_training_on_whole_numbers_rounds_no_row),
        cmocka_unit_test(test_learning_anew),
        cmocka_unit_test(test_worn_lists_are_learnt_anew),
        cmocka_unit_test(test_filters_cost_no_results),
        cmocka_unit_test(test_replacing_all_leaves_nothing_behind),
        cmocka_unit_test(test_threads_make_the_same_file),
        cmocka_unit_test(test_balance),
        cmocka_unit_test(test_graphs_over_centres_are_kept),
        cmocka_unit_test(test_graphs_over_quantizers),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
