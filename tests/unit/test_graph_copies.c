/* Rows that are the same, byte for byte: are they a wall?
 *
 * Copies are equally near to everything, so that without a rule for them they fill each other's link rows and the pools
 * of searches, and what lies behind is lost (graph_prune.c, decision 0013). Here few different rows have many copies
 * each, however they come and go; and among many different rows some have copies. */
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
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- few different rows ------------------------------------------------------------------------ */

/* Copies of five rows, in turn or sorted, then five more rows that are alone. Whoever looks for one of the five finds ten
 * copies of it: copies of another are no wall. Nor are they to the rows that are alone: all but one in thirty are found at
 * an ef that is below the number of copies (one in nine was missed before decision 0013). */
enum { KINDS = 10, KIND_DIM = 8, MANY = 5 };

struct kinds {
    struct vectors kinds, rows;
    size_t copies;
    bool sorted;
};

static size_t kind_of(const struct kinds *kinds, size_t i) {
    if (i >= MANY * kinds->copies) return i - MANY * kinds->copies + MANY;
    return kinds->sorted ? i / kinds->copies : i % MANY;
}

static struct kinds kinds_make(size_t copies, bool sorted, uint64_t seed) {
    struct kinds made = {.copies = copies, .sorted = sorted};
    made.kinds = vectors_uniform(KINDS, KIND_DIM, seed);
    made.rows = vectors_new(MANY * copies + KINDS - MANY, KIND_DIM);
    for (size_t i = 0; i < made.rows.n; i++)
        memcpy(made.rows.x + i * KIND_DIM, vectors_at(&made.kinds, kind_of(&made, i)),
               KIND_DIM * sizeof(float));
    return made;
}

static void kinds_free(struct kinds *kinds) {
    vectors_free(&kinds->kinds);
    vectors_free(&kinds->rows);
}

static const char *spec_of(const kith_index *index) {
    kith_index_stats stats;
    kith_index_stats_get(index, &stats);
    return stats.spec;
}

static void expect_kinds(const kith_index *index, const struct kinds *kinds, const char *what) {
    enum { K = 10 };
    int64_t ids[K];
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    params.k = K;
    params.ef = 64;
    expect_sound(index, "%zu copies, %s", kinds->copies, what);
    for (size_t kind = 0; kind < MANY; kind++) {
        uint32_t found = 0;
        assert_int_equal(
            kith_index_search(index, 1, vectors_at(&kinds->kinds, kind), &params, ids, NULL, NULL),
            KITH_OK);
        for (uint32_t i = 0; i < K; i++) found += kind_of(kinds, (size_t)ids[i]) == kind;
        if (found < K)
            fail_msg("%s: %zu %s copies each, %s: of kind %zu %u found", spec_of(index),
                     kinds->copies, kinds->sorted ? "sorted" : "mixed", what, kind, found);
    }
}

static void update_all(kith_index *index, const struct kinds *kinds) {
    for (size_t i = 0; i < kinds->rows.n; i++) {
        int64_t id = (int64_t)(i * 7919 % kinds->rows.n);
        assert_int_equal(
            kith_index_update(index, 1, vectors_at(&kinds->rows, (size_t)id), &id, NULL, NULL), 0);
    }
}

static void remove_and_add_all(kith_index *index, const struct kinds *kinds) {
    for (size_t i = 0; i < kinds->rows.n; i++) {
        int64_t id = (int64_t)(i * 7919 % kinds->rows.n);
        assert_int_equal(kith_index_remove(index, 1, &id, NULL), KITH_OK);
        assert_int_equal(
            kith_index_add(index, 1, vectors_at(&kinds->rows, (size_t)id), &id, NULL, NULL), 0);
    }
}

static void add_in_chunks(kith_index *index, const struct vectors *rows, size_t chunk) {
    for (size_t i = 0; i < rows->n; i += chunk) {
        size_t n = rows->n - i < chunk ? rows->n - i : chunk;
        assert_int_equal(kith_index_add(index, n, vectors_at(rows, i), NULL, NULL, NULL), 0);
    }
}

/* How many of the rows that are alone a search with their own vector misses. */
static uint32_t alone_missed(const kith_index *index, const struct kinds *kinds) {
    uint32_t missed = 0;
    for (size_t kind = MANY; kind < KINDS; kind++) {
        struct vectors one = vectors_view(&kinds->kinds, kind, 1);
        missed += recall_of(index, &one, 1, 64, NULL) < 1;
    }
    return missed;
}

/* In bulk, in chunks, one by one; returns how many rows that are alone were missed, of 3 * (KINDS - MANY). */
static uint32_t add_every_way(const struct kinds *kinds, const char *spec) {
    const size_t chunks[] = {kinds->rows.n, 100, 1};
    uint32_t missed = 0;
    for (size_t i = 0; i < COUNT(chunks); i++) {
        kith_index *index;
        char what[40];
        snprintf(what, sizeof what, "%zu at a time", chunks[i]);
        assert_int_equal(kith_index_new(&index, KIND_DIM, KITH_METRIC_L2, spec, NULL, NULL), 0);
        add_in_chunks(index, &kinds->rows, chunks[i]);
        expect_kinds(index, kinds, what);
        missed += alone_missed(index, kinds);
        kith_index_free(index);
    }
    return missed;
}

static void test_few_different_rows(void **state) {
    (void)state;
    static const struct {
        size_t copies;
        uint64_t seed;
    } sets[] = {{100, 13}, {250, 13}, {100, 14}, {250, 14}, {FEWER(1000), 13}};
    uint32_t missed = 0, alone = 0;
    for (size_t i = 0; i < COUNT(sets); i++) {
        for (size_t s = 0; s < COUNT(specs); s++) {
            for (int sorted = 0; sorted < 2; sorted++) {
                struct kinds kinds = kinds_make(sets[i].copies, sorted, sets[i].seed);
                missed += add_every_way(&kinds, specs[s]);
                alone += 3 * (KINDS - MANY);
                kinds_free(&kinds);
            }
        }
    }
    print_message("# of %u rows that are alone %u were missed\n", alone, missed);
    if (missed > alone / 30) fail_msg("of %u rows that are alone %u were missed", alone, missed);
}

static void test_few_different_rows_come_and_go(void **state) {
    (void)state;
    static const size_t copies[] = {60, 125};
    for (size_t c = 0; c < COUNT(copies); c++) {
        for (size_t s = 0; s < COUNT(specs); s++) {
            struct kinds kinds = kinds_make(copies[c], c % 2, 13);
            kith_index *index = index_of(&kinds.rows, KITH_METRIC_L2, specs[s], 2);
            update_all(index, &kinds);
            expect_kinds(index, &kinds, "updated");
            remove_and_add_all(index, &kinds);
            expect_kinds(index, &kinds, "removed and added");
            kith_index_free(index);
            kinds_free(&kinds);
        }
    }
}

/* ---- copies of some rows ------------------------------------------------------------------------ */

/* One row in ten is a copy of a random other: recall is that of the same rows without copies. */
static void test_some_rows_have_copies(void **state) {
    (void)state;
    enum { DIM = 16, QUERIES = 200 };
    struct vectors all = vectors_clustered(FEWER(4000) + QUERIES, DIM, 40, 0.6f, 31);
    struct vectors held = vectors_view(&all, all.n - QUERIES, QUERIES),
                   rows = vectors_view(&all, 0, all.n - QUERIES), copied = vectors_new(rows.n, DIM);
    uint64_t seed = 32;
    memcpy(copied.x, rows.x, rows.n * DIM * sizeof(float));
    for (size_t i = 0; i < rows.n / 10; i++)
        memcpy(copied.x + draw(&seed) % rows.n * DIM, vectors_at(&rows, draw(&seed) % rows.n),
               DIM * sizeof(float));
    for (size_t s = 0; s < COUNT(specs); s++) {
        size_t chunks[] = {rows.n, 50};
        for (size_t i = 0; i < COUNT(chunks); i++) {
            kith_index *plain, *index;
            assert_int_equal(kith_index_new(&plain, DIM, KITH_METRIC_L2, specs[s], NULL, NULL), 0);
            assert_int_equal(kith_index_new(&index, DIM, KITH_METRIC_L2, specs[s], NULL, NULL), 0);
            add_in_chunks(plain, &rows, chunks[i]);
            add_in_chunks(index, &copied, chunks[i]);
            expect_sound(index, "%s, some copies, %zu at a time", specs[s], chunks[i]);
            double without = recall_of(plain, &held, 10, 48, NULL),
                   with = recall_of(index, &held, 10, 48, NULL);
            if (with < without - 0.01)
                fail_msg("%s, %zu at a time: recall %.4f, without copies %.4f", specs[s], chunks[i],
                         with, without);
            kith_index_free(plain);
            kith_index_free(index);
        }
    }
    vectors_free(&all);
    vectors_free(&copied);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_different_rows),
        cmocka_unit_test(test_few_different_rows_come_and_go),
        cmocka_unit_test(test_some_rows_have_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
