/* Is a graph what graph.h promises? For the tests of the graph: kith_index_check, and beside it what check ought to
 * mean, counted anew: from the entry, links of level 0 alone lead to every live row.
 *
 * Include after cmocka.h. */
#ifndef TESTS_UNIT_GRAPH_SOUND_H
#define TESTS_UNIT_GRAPH_SOUND_H

#include <stdlib.h>

#include "index/graph.h"

/* How many live rows breadth-first search from the entry reaches on level 0. */
static uint32_t graph_reached(const struct graph *graph) {
    uint32_t n = graph_rows_n(graph), entry = (uint32_t)graph->entry, head = 0, tail = 0, live = 0;
    uint32_t links[2 * GRAPH_MAX_M];
    if (entry == ROW_NONE) return 0;
    assert_true(entry < n);
    uint32_t *queue = calloc(n, sizeof *queue);
    uint8_t *seen = calloc(n, 1);
    assert_true(queue && seen);
    seen[entry] = 1;
    for (queue[tail++] = entry; head < tail; head++) {
        live += rows_is_live(&graph->index.rows, queue[head]);
        uint32_t n_links = link_row_read(graph, queue[head], 0, links);
        for (uint32_t i = 0; i < n_links; i++) {
            assert_true(links[i] < n);
            if (seen[links[i]]) continue;
            seen[links[i]] = 1;
            queue[tail++] = links[i];
        }
    }
    free(queue);
    free(seen);
    return live;
}

#define expect_sound(index, ...)                                                  \
    do {                                                                          \
        kith_error sound_err = {.text = ""};                                      \
        char sound_where[160];                                                    \
        snprintf(sound_where, sizeof sound_where, __VA_ARGS__);                   \
        if (kith_index_check((index), &sound_err) != KITH_OK)                     \
            fail_msg("%s: check says: %s", sound_where, sound_err.text);          \
        uint32_t sound_reached = graph_reached(graph_of(index));                  \
        if (sound_reached != kith_index_rows(index))                              \
            fail_msg("%s: %u of %u rows are reached", sound_where, sound_reached, \
                     (unsigned)kith_index_rows(index));                           \
    } while (0)

#endif
