/* Link rows, read and written as a whole.
 *
 * Writers of one row exclude each other by a stripe lock; readers do not lock: each link is stored by itself, new ones
 * before the end mark moves, so that a reader sees a mix of old and new links and stops at ROW_NONE or at the degree. */
#include <sched.h>

#include "index/graph.h"

uint32_t link_row_read(const struct graph *graph, uint32_t row, uint32_t level, uint32_t *out) {
    const _Atomic uint32_t *links = graph_links(graph, row, level);
    uint32_t degree = graph_degree(graph, level), n = 0;
    for (; n < degree; n++) {
        out[n] = link_load(&links[n]);
        if (out[n] == ROW_NONE) break;
    }
    return n;
}

void link_row_write(const struct graph *graph, uint32_t row, uint32_t level, const uint32_t *rows,
                    uint32_t n) {
    _Atomic uint32_t *links = graph_links(graph, row, level);
    uint32_t degree = graph_degree(graph, level);
    for (uint32_t i = 0; i < n; i++) link_store(&links[i], rows[i]);
    for (uint32_t i = n; i < degree; i++) link_store(&links[i], ROW_NONE);
}

void link_lock(struct graph *graph, uint32_t row) {
    _Atomic uint8_t *stripe = &graph->stripes[row % GRAPH_STRIPES];
    while (atomic_exchange_explicit(stripe, 1, memory_order_acquire)) sched_yield();
}

void link_unlock(struct graph *graph, uint32_t row) {
    atomic_store_explicit(&graph->stripes[row % GRAPH_STRIPES], 0, memory_order_release);
}
