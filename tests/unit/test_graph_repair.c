/* Damage, done on purpose through the graph's insides: check tells of it, repair mends it, check is content, and
 * recall is what it was, less 0.02. Each case also says whose row is told of where there is one.
 *
 * The cases follow graph.h's invariants by number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../recall/vectors.h"
#include "graph_sound.h"

enum { DIM = 16, EF = 64 };
#define N ((size_t)FEWER(2400))

static struct vectors rows, queries;

static int make(void **state) {
    (void)state;
    static struct vectors all;
    all = vectors_clustered(N + 100, DIM, 15, 0.6f, 31);
    rows = vectors_view(&all, 0, N);
    queries = vectors_view(&all, N, 100);
    return 0;
}

typedef void (*damage)(struct graph *graph);

static _Atomic uint32_t *link_of(struct graph *graph, uint32_t row, uint32_t level, uint32_t i) {
    return &graph_links(graph, row, level)[i];
}

static uint32_t entry_of(const struct graph *graph) { return (uint32_t)graph->entry; }

/* A live row of just this level that is not the entry; `nth` of them. */
static uint32_t row_of_level(const struct graph *graph, uint32_t level, uint32_t nth) {
    for (uint32_t row = 0; row < N; row++)
        if (graph_level_of(graph, row) == level && row != entry_of(graph) &&
            rows_is_live(&graph->index.rows, row) && nth-- == 0)
            return row;
    fail_msg("no such row");
    return 0;
}

static uint32_t free_row(const struct graph *graph) {
    for (uint32_t row = 0; row < N; row++)
        if (!rows_is_used(&graph->index.rows, row)) return row;
    fail_msg("no free row");
    return 0;
}

/* A row that has n links or more. */
static uint32_t row_of_links(const struct graph *graph, uint32_t n) {
    uint32_t links[2 * GRAPH_MAX_M];
    for (uint32_t row = 0; row < N; row++)
        if (rows_is_live(&graph->index.rows, row) && link_row_read(graph, row, 0, links) >= n)
            return row;
    fail_msg("no row of %u links", n);
    return 0;
}

/* 1 */
static void link_past_the_end(struct graph *graph) {
    link_store(link_of(graph, row_of_links(graph, 3), 0, 1), 1u << 30);
}
static void link_just_past_the_end(struct graph *graph) {
    link_store(link_of(graph, row_of_links(graph, 1), 0, 0), graph_rows_n(graph));
}
static void link_to_itself(struct graph *graph) {
    uint32_t row = row_of_links(graph, 1);
    link_store(link_of(graph, row, 0, 0), row);
}
static void link_twice(struct graph *graph) {
    uint32_t row = row_of_links(graph, 3);
    link_store(link_of(graph, row, 0, 2), link_load(link_of(graph, row, 0, 0)));
}
static void link_after_the_end(struct graph *graph) {
    uint32_t row = row_of_links(graph, 3);
    link_store(link_of(graph, row, 0, 1), ROW_NONE);
}
static void upper_link_to_itself(struct graph *graph) {
    uint32_t row = row_of_level(graph, 1, 0);
    link_store(link_of(graph, row, 1, 0), row);
}
/* 2 */
static void link_to_a_free_row(struct graph *graph) {
    link_store(link_of(graph, row_of_links(graph, 2), 0, 0), free_row(graph));
}
static void upper_link_to_a_low_row(struct graph *graph) {
    link_store(link_of(graph, row_of_level(graph, 1, 2), 1, 0), row_of_level(graph, 0, 9));
}
static void upper_rows_outside(struct graph *graph) {
    for (uint32_t row = 0; row < N; row++)
        if (graph_level_of(graph, row) > 0)
            *(uint32_t *)(void *)segs_at(&graph->upper_at, row) = (1u << 28) + row;
}
static void free_row_is_linked(struct graph *graph) {
    tree_set_parent(graph, free_row(graph), row_of_level(graph, 0, 0));
}
/* 4 */
static void entry_of_no_graph(struct graph *graph) { graph->entry = entry_pack(ROW_NONE, 0); }
static void entry_past_the_end(struct graph *graph) { graph->entry = entry_pack(1u << 30, 1); }
static void entry_below_another(struct graph *graph) {
    graph->entry = entry_pack(row_of_level(graph, 0, 3), 0);
}
static void entry_of_another_level(struct graph *graph) {
    graph->entry = entry_pack(entry_of(graph), (uint32_t)(graph->entry >> 32) + 1);
}
static void entry_is_free(struct graph *graph) {
    uint32_t row = free_row(graph);
    graph->entry = entry_pack(row, graph_level_of(graph, row));
}
/* 5 */
static void no_parent(struct graph *graph) {
    tree_set_parent(graph, row_of_level(graph, 0, 20), ROW_NONE);
}
static void parent_that_does_not_lead(struct graph *graph) {
    uint32_t row = row_of_level(graph, 0, 20), links[2 * GRAPH_MAX_M];
    for (uint32_t other = 0;; other++) {
        uint32_t n = link_row_read(graph, other, 0, links), i = 0;
        while (i < n && links[i] != row) i++;
        if (i < n || other == row || !rows_is_live(&graph->index.rows, other)) continue;
        tree_set_parent(graph, row, other);
        return;
    }
}
static void parent_past_the_end(struct graph *graph) {
    tree_set_parent(graph, row_of_level(graph, 0, 21), 1u << 30);
}
/* Two rows that lead to each other, each the other's parent. */
static void parents_in_a_circle(struct graph *graph) {
    uint32_t links[2 * GRAPH_MAX_M];
    for (uint32_t row = 0; row < N; row++) {
        if (!rows_is_live(&graph->index.rows, row) || row == entry_of(graph)) continue;
        uint32_t n = link_row_read(graph, row, 0, links);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t back[2 * GRAPH_MAX_M], to = links[i];
            uint32_t n_back = link_row_read(graph, to, 0, back), j = 0;
            while (j < n_back && back[j] != row) j++;
            if (j == n_back || to == entry_of(graph)) continue;
            tree_set_parent(graph, row, to);
            tree_set_parent(graph, to, row);
            return;
        }
    }
    fail_msg("no two rows lead to each other");
}
static void links_of_the_entry_are_gone(struct graph *graph) {
    link_row_write(graph, entry_of(graph), 0, NULL, 0);
}
static void a_third_of_all_links_is_gone(struct graph *graph) {
    for (uint32_t row = 0; row < N; row += 3)
        if (rows_is_used(&graph->index.rows, row)) link_row_write(graph, row, 0, NULL, 0);
}
/* 6 */
static void live_row_is_listed_as_dead(struct graph *graph) {
    graph->dead[0] = row_of_level(graph, 0, 30);
}
static void dead_row_past_the_end(struct graph *graph) { graph->dead[1] = 1u << 30; }
static void dead_row_is_listed_twice(struct graph *graph) { graph->dead[1] = graph->dead[0]; }
static void dead_row_is_not_listed(struct graph *graph) { graph->n_dead--; }
/* All over the place. */
static void noise(struct graph *graph) {
    uint64_t seed = 77;
    for (int i = 0; i < 500; i++) {
        uint32_t row = (uint32_t)(draw(&seed) % N);
        uint32_t junk = (uint32_t)draw(&seed);
        link_store(link_of(graph, row, 0, junk % 16), i % 2 ? junk : junk % (uint32_t)N);
        if (i % 5 == 0) tree_set_parent(graph, (uint32_t)(draw(&seed) % N), junk >> 8);
    }
}

static const struct {
    const char *name;
    damage damage;
    const char *says; /* in check's sentence */
} cases[] = {
    {"a link past the end", link_past_the_end, "invariant 1"},
    {"a link just past the end", link_just_past_the_end, "invariant 1"},
    {"a link to the row itself", link_to_itself, "invariant 1"},
    {"a link that is there twice", link_twice, "invariant 1"},
    {"a link after the end", link_after_the_end, "invariant 1"},
    {"an upper link to the row itself", upper_link_to_itself, "invariant 1"},
    {"a link to a free row", link_to_a_free_row, "invariant 2"},
    {"an upper link to a low row", upper_link_to_a_low_row, "invariant 2"},
    {"upper link rows outside", upper_rows_outside, "outside"},
    {"a free row with a parent", free_row_is_linked, "invariant 2"},
    {"no entry", entry_of_no_graph, "invariant 4"},
    {"an entry past the end", entry_past_the_end, "invariant 4"},
    {"an entry that is not the highest", entry_below_another, "invariant 4"},
    {"an entry of another level", entry_of_another_level, "invariant 4"},
    {"a free entry", entry_is_free, ""},
    {"a row without a parent", no_parent, ""},
    {"a parent that does not lead", parent_that_does_not_lead, "invariant 5"},
    {"a parent past the end", parent_past_the_end, "invariant 5"},
    {"parents in a circle", parents_in_a_circle, "invariant 5"},
    {"no links of the entry", links_of_the_entry_are_gone, "invariant 5"},
    {"a third of all links gone", a_third_of_all_links_is_gone, "invariant 5"},
    {"a live row listed as dead", live_row_is_listed_as_dead, "invariant 6"},
    {"a dead row past the end", dead_row_past_the_end, "invariant 6"},
    {"a dead row listed twice", dead_row_is_listed_twice, "invariant 6"},
    {"a dead row not listed", dead_row_is_not_listed, "invariant 6"},
    {"noise", noise, "invariant"},
};

/* An index with live, dead and free rows. */
static kith_index *used(const char *spec) {
    kith_index *index = index_of(&rows, KITH_METRIC_L2, spec, 2);
    for (int64_t id = 0; id < (int64_t)N / 8; id++)
        assert_int_equal(kith_index_remove(index, 1, &id, NULL), KITH_OK);
    for (int64_t id = (int64_t)N / 8; graph_of(index)->n_dead < 8; id++)
        assert_int_equal(kith_index_remove(index, 1, &id, NULL), KITH_OK);
    expect_sound(index, "before");
    return index;
}

static void expect_mended(size_t c, const char *spec) {
    kith_index *index = used(spec);
    double before = recall_of(index, &queries, 10, EF, NULL);
    uint64_t mended = 0, n = kith_index_rows(index);
    kith_error err = {.text = ""};
    cases[c].damage(graph_of(index));
    int code = kith_index_check(index, &err);
    if (code != KITH_ECORRUPT) fail_msg("%s, %s: check does not see it", cases[c].name, spec);
    if (!strstr(err.text, cases[c].says))
        fail_msg("%s, %s: check says: %s", cases[c].name, spec, err.text);
    code = kith_index_repair(index, &mended, &err);
    if (code != KITH_OK) fail_msg("%s, %s: repair says: %s", cases[c].name, spec, err.text);
    if (mended == 0) fail_msg("%s, %s: nothing mended", cases[c].name, spec);
    expect_sound(index, "%s, %s, mended", cases[c].name, spec);
    assert_int_equal(kith_index_rows(index), n);
    double after = recall_of(index, &queries, 10, EF, NULL);
    if (after < before - 0.02)
        fail_msg("%s, %s: recall %g, before %g", cases[c].name, spec, after, before);
    assert_int_equal(kith_index_repair(index, &mended, NULL), KITH_OK);
    assert_int_equal(mended, 0);
    /* And it lives on. */
    for (int64_t id = (int64_t)N - 200; id < (int64_t)N; id++)
        assert_int_equal(kith_index_remove(index, 1, &id, NULL), KITH_OK);
    assert_int_equal(kith_index_add(index, 300, rows.x, NULL, NULL, NULL), KITH_OK);
    expect_sound(index, "%s, %s, mended and changed", cases[c].name, spec);
    kith_index_free(index);
}

static void test_damage_is_seen_and_mended(void **state) {
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        expect_mended(c, "HNSW8");
        if (c % 4 == 0) expect_mended(c, "HNSW8,SQ8,Refine");
    }
}

/* Searches of a damaged graph may miss, but stay inside the arrays and return live rows. */
static void test_damaged_graphs_are_searched_safely(void **state) {
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        kith_index *index = used("HNSW8");
        kith_search_params params = KITH_SEARCH_PARAMS_INIT;
        int64_t ids[10];
        params.ef = 200;
        cases[c].damage(graph_of(index));
        for (size_t q = 0; q < queries.n; q++) {
            assert_int_equal(
                kith_index_search(index, 1, vectors_at(&queries, q), &params, ids, NULL, NULL), 0);
            for (int i = 0; i < 10; i++) assert_true(kith_index_contains(index, ids[i]));
        }
        kith_index_free(index);
    }
}

static void test_sound_graphs_stay_as_they_are(void **state) {
    (void)state;
    kith_index *index = used("HNSW8");
    struct graph *graph = graph_of(index);
    size_t bytes = N * graph->degree * sizeof(uint32_t);
    uint32_t *links = calloc(N, graph->degree * sizeof(uint32_t));
    for (uint32_t row = 0; row < N; row++)
        memcpy(links + row * graph->degree, (const void *)graph_links(graph, row, 0),
               graph->degree * sizeof(uint32_t));
    uint64_t mended = 9;
    assert_int_equal(kith_index_repair(index, &mended, NULL), KITH_OK);
    assert_int_equal(mended, 0);
    for (uint32_t row = 0; row < N; row++)
        assert_memory_equal(links + row * graph->degree, (const void *)graph_links(graph, row, 0),
                            bytes / N);
    free(links);
    kith_index_free(index);
}

/* Nothing lives, and what is dead is damaged. */
static void test_damage_where_nothing_lives(void **state) {
    (void)state;
    struct vectors few = vectors_view(&rows, 0, 12);
    for (int damaged = 0; damaged < 3; damaged++) {
        kith_index *index = index_of(&few, KITH_METRIC_L2, "HNSW8", 1);
        kith_error err = {.text = ""};
        uint64_t mended = 0;
        for (int64_t id = 0; id < 12; id++)
            assert_int_equal(kith_index_remove(index, 1, &id, NULL), KITH_OK);
        assert_int_equal(graph_of(index)->n_dead, 12);
        if (damaged == 0) entry_past_the_end(graph_of(index));
        if (damaged == 1) dead_row_past_the_end(graph_of(index));
        if (damaged == 2) link_store(link_of(graph_of(index), 3, 0, 0), 3);
        assert_int_equal(kith_index_check(index, NULL), KITH_ECORRUPT);
        if (kith_index_repair(index, &mended, &err) != KITH_OK) fail_msg("%s", err.text);
        expect_sound(index, "nothing lives, damage %d", damaged);
        assert_int_equal(kith_index_add(index, 12, few.x, NULL, NULL, NULL), KITH_OK);
        expect_sound(index, "nothing lived, damage %d", damaged);
        kith_index_free(index);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damage_is_seen_and_mended),
        cmocka_unit_test(test_damaged_graphs_are_searched_safely),
        cmocka_unit_test(test_sound_graphs_stay_as_they_are),
        cmocka_unit_test(test_damage_where_nothing_lives),
    };
    return cmocka_run_group_tests(tests, make, NULL);
}
