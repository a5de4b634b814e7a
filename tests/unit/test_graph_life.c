/* Graphs that lose and regain rows: after removals, updates and adds into freed rows every invariant holds.
 *
 * Which rows go: one at a time at random, a whole cluster, the entry again and again, everything. What comes back takes
 * the numbers of rows that went. Recall over such lives is the question of tests/recall. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "../recall/vectors.h"
#include "graph_sound.h"

enum { DIM = 12, CLUSTERS = 8 };
#define N ((size_t)FEWER(2000))

static const char *const specs[] = {"HNSW8", "HNSW4,SQ8", "HNSW8,SQ8,Refine", "HNSW2"};
enum { SPECS = sizeof specs / sizeof specs[0] };

static struct vectors rows;

static int make(void **state) {
    (void)state;
    rows = vectors_clustered(N, DIM, CLUSTERS, 0.3f, 21);
    return 0;
}

static kith_index *fresh(size_t s) {
    return index_of(&rows, s % 2 ? KITH_METRIC_COSINE : KITH_METRIC_L2, specs[s], 2);
}

static void drop(kith_index *index, size_t n, const int64_t *ids) {
    kith_error err;
    if (kith_index_remove(index, n, ids, &err) != KITH_OK) fail_msg("%s", err.text);
}

/* What is searched for comes in full, and nothing that is gone. */
static void expect_answers(const kith_index *index) {
    int64_t ids[10];
    uint64_t n = kith_index_rows(index);
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    if (n == 0) {
        assert_int_equal(kith_index_search(index, 1, rows.x, &params, ids, NULL, NULL),
                         KITH_EEMPTY);
        return;
    }
    params.k = n < 10 ? (uint32_t)n : 10;
    for (size_t q = 0; q < 20; q++) {
        const float *query = vectors_at(&rows, q * 37 % N);
        assert_int_equal(kith_index_search(index, 1, query, &params, ids, NULL, NULL), KITH_OK);
        for (uint32_t i = 0; i < params.k; i++) {
            assert_true(kith_index_contains(index, ids[i]));
            for (uint32_t j = 0; j < i; j++) assert_int_not_equal(ids[i], ids[j]);
        }
    }
}

static void test_random_rows_go(void **state) {
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        kith_index *index = fresh(s);
        uint64_t seed = s;
        size_t left = N;
        while (left > N / 10) {
            int64_t id = (int64_t)(draw(&seed) % N);
            if (!kith_index_contains(index, id)) continue;
            drop(index, 1, &id);
            if (--left % (N / 16) == 0) expect_sound(index, "%s, %zu left", specs[s], left);
        }
        expect_sound(index, "%s, %zu left", specs[s], left);
        expect_answers(index);
        kith_index_free(index);
    }
}

static void test_a_cluster_goes(void **state) {
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        kith_index *index = fresh(s);
        for (size_t cluster = 0; cluster < CLUSTERS - 1; cluster++) {
            int64_t *ids = calloc(N, sizeof *ids);
            size_t n = 0;
            for (size_t i = cluster; i < N; i += CLUSTERS) ids[n++] = (int64_t)i;
            /* At once, and in parts that are each too small for a sweep. */
            size_t part = cluster % 2 ? 10 : n;
            for (size_t at = 0; at < n; at += part)
                drop(index, n - at < part ? n - at : part, ids + at);
            expect_sound(index, "%s, cluster %zu gone", specs[s], cluster);
            expect_answers(index);
            free(ids);
        }
        kith_index_free(index);
    }
}

static void test_the_entry_goes(void **state) {
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        kith_index *index = fresh(s);
        struct graph *graph = graph_of(index);
        for (int i = 0; i < 300 && kith_index_rows(index) > 0; i++) {
            uint32_t row = (uint32_t)graph->entry;
            /* A dead entry stays until the sweep; others die meanwhile. */
            int64_t id = row;
            for (id = row; !kith_index_contains(index, id);) id = (id + 1) % (int64_t)N;
            drop(index, 1, &id);
            if (i % 10 == 0) expect_sound(index, "%s, entry gone for the %dth time", specs[s], i);
        }
        expect_sound(index, "%s, many entries gone", specs[s]);
        expect_answers(index);
        kith_index_free(index);
    }
}

static void test_everything_goes_and_returns(void **state) {
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        kith_index *index = fresh(s);
        for (int round = 0; round < 3; round++) {
            int64_t *ids = calloc(N, sizeof *ids);
            for (size_t i = 0; i < N; i++) ids[i] = (int64_t)(i * 7919 % N);
            /* In one call; one by one; one by one in order, so that the last rows stay dead a while. */
            if (round == 0) drop(index, N, ids);
            for (size_t i = 0; i < N && round == 1; i++) drop(index, 1, ids + i);
            for (int64_t id = 0; id < (int64_t)N && round == 2; id++) drop(index, 1, &id);
            expect_sound(index, "%s, all gone, round %d", specs[s], round);
            expect_answers(index);
            for (size_t i = 0; i < N; i++) ids[i] = (int64_t)i;
            if (round == 1)
                for (size_t i = 0; i < N; i++)
                    assert_int_equal(
                        kith_index_add(index, 1, vectors_at(&rows, i), ids + i, NULL, NULL), 0);
            else
                assert_int_equal(kith_index_add(index, N, rows.x, ids, NULL, NULL), 0);
            expect_sound(index, "%s, all back, round %d", specs[s], round);
            expect_answers(index);
            free(ids);
        }
        /* Freed rows were used again, but for the few that were still dead. */
        assert_true(atomic_load(&index->rows.n) <= N + N / 32 + 32);
        kith_index_free(index);
    }
}

/* Few rows: all dead, none swept, and new ones link to the dead. */
static void test_a_handful(void **state) {
    (void)state;
    struct vectors few = vectors_view(&rows, 0, 10);
    for (size_t s = 0; s < SPECS; s++) {
        kith_index *index = index_of(&few, KITH_METRIC_L2, specs[s], 1);
        for (int64_t round = 1; round < 8; round++) {
            for (int64_t id = 10 * (round - 1); id < 10 * round; id++) {
                drop(index, 1, &id);
                expect_sound(index, "%s, round %d, id %d gone", specs[s], (int)round, (int)id);
            }
            expect_answers(index);
            assert_int_equal(kith_index_add(index, 10, few.x, NULL, NULL, NULL), KITH_OK);
            expect_sound(index, "%s, round %d, ten added", specs[s], (int)round);
            expect_answers(index);
        }
        kith_index_free(index);
    }
}

static void test_updates(void **state) {
    (void)state;
    struct vectors moved = vectors_clustered(N, DIM, CLUSTERS, 0.3f, 22);
    for (size_t s = 0; s < SPECS; s++) {
        kith_index *index = fresh(s);
        int64_t *ids = calloc(N, sizeof *ids);
        uint64_t seed = 5;
        for (size_t i = 0; i < N; i++) ids[i] = (int64_t)(i * 7919 % N);
        for (size_t i = 0; i < N / 4; i++) { /* one by one */
            assert_int_equal(
                kith_index_update(index, 1, vectors_at(&moved, i), ids + i, NULL, NULL), 0);
            if (i % (N / 16) == 0) expect_sound(index, "%s, %zu updates", specs[s], i);
        }
        for (size_t at = N / 4; at < N / 2;) { /* in chunks */
            size_t n = 1 + draw(&seed) % 40;
            if (n > N / 2 - at) n = N / 2 - at;
            assert_int_equal(
                kith_index_update(index, n, vectors_at(&moved, at), ids + at, NULL, NULL), 0);
            at += n;
        }
        expect_sound(index, "%s, half updated", specs[s]);
        expect_answers(index);
        assert_int_equal(kith_index_update(index, N, rows.x, ids, NULL, NULL), 0); /* all at once */
        expect_sound(index, "%s, all updated", specs[s]);
        expect_answers(index);
        assert_int_equal(kith_index_rows(index), N);
        float back[DIM];
        assert_int_equal(kith_index_reconstruct(index, ids[3], back, NULL), KITH_OK);
        if (strstr(specs[s], "SQ8") == NULL)
            assert_memory_equal(back, vectors_at(&rows, 3), sizeof back);
        free(ids);
        kith_index_free(index);
    }
    vectors_free(&moved);
}

/* A saved index with dead and free rows is the same after opening, and lives on. */
static void test_life_goes_on_after_a_file(void **state) {
    (void)state;
    char path[40];
    snprintf(path, sizeof path, "graph-life-%ld.kith", (long)getpid());
    for (size_t s = 0; s < SPECS; s++) {
        kith_index *index = fresh(s), *opened;
        kith_error err;
        for (int64_t id = 0; id < (int64_t)N; id += 3) drop(index, 1, &id);
        assert_true(graph_of(index)->n_dead > 0); /* else the test wants other numbers */
        assert_int_equal(kith_index_save(index, path, NULL), KITH_OK);
        if (kith_index_open(&opened, path, KITH_OPEN_READ, &err) != KITH_OK)
            fail_msg("%s", err.text);
        expect_sound(opened, "%s, opened", specs[s]);
        for (int64_t id = 1; id < (int64_t)N; id += 3) drop(opened, 1, &id);
        assert_int_equal(kith_index_add(opened, N / 2, rows.x, NULL, NULL, NULL), KITH_OK);
        expect_sound(opened, "%s, opened and changed", specs[s]);
        expect_answers(opened);
        kith_index_free(opened);
        kith_index_free(index);
    }
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_rows_go),
        cmocka_unit_test(test_a_cluster_goes),
        cmocka_unit_test(test_the_entry_goes),
        cmocka_unit_test(test_everything_goes_and_returns),
        cmocka_unit_test(test_a_handful),
        cmocka_unit_test(test_updates),
        cmocka_unit_test(test_life_goes_on_after_a_file),
    };
    return cmocka_run_group_tests(tests, make, NULL);
}
