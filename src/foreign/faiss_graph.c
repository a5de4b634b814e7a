/* Graphs on the wire: HNSW.
 *
 *     counted f64 assign_probas, counted i32 cum_nneighbor_per_level, counted i32 levels, counted u64 offsets,
 *     counted i32 neighbors, i32 entry_point, i32 max_level, i32 efConstruction, i32 efSearch, i32 upper_beam
 *
 * What is checked, so that a walk needs no checks of its own
 *   1. cum starts at 0 and never falls; every row's number of levels is in 1 .. cum.n - 1.
 *   2. offsets[0] = 0, offsets[i + 1] - offsets[i] = cum[levels[i]], and the last is the number of neighbours.
 *   3. Each neighbour up to the first -1 is a row that has the level of the link; behind it are rows or -1.
 *   4. The entry is a row with max_level + 1 levels, which no row exceeds; -1 and -1 when there are no rows. */
#include "foreign/faiss_wire.h"

static int check_cum(struct wire *wire, const struct faiss_array *cum) {
    int32_t before = 0;
    for (uint64_t i = 0; i < cum->n; i++) {
        int32_t now = bytes_i32(cum->bytes + 4 * i);
        wire_blame(wire, cum->bytes + 4 * i);
        WIRE_CHECK(wire, i == 0 ? now == 0 : now >= before,
                   "HNSW: %d links up to level %llu after %d", now, (unsigned long long)i, before);
        before = now;
    }
    return KITH_OK;
}

static int check_offsets(struct wire *wire, const struct faiss_graph *graph, uint64_t n) {
    const struct faiss_array *cum = &graph->cum_nneighbor_per_level;
    uint64_t want = 0;
    for (uint64_t row = 0; row <= n; row++) {
        uint64_t offset = bytes_u64(graph->offsets.bytes + 8 * row);
        wire_blame(wire, graph->offsets.bytes + 8 * row);
        WIRE_CHECK(wire, offset == want, "HNSW: offset of row %llu is %llu, %llu wanted",
                   (unsigned long long)row, (unsigned long long)offset, (unsigned long long)want);
        if (row == n) break;
        int32_t levels = bytes_i32(graph->levels.bytes + 4 * row);
        wire_blame(wire, graph->levels.bytes + 4 * row);
        WIRE_CHECK(wire, levels >= 1 && (uint64_t)levels < cum->n && levels <= graph->max_level + 1,
                   "HNSW: row %llu has %d levels, the graph %d and room for %llu",
                   (unsigned long long)row, levels, graph->max_level + 1,
                   (unsigned long long)(cum->n ? cum->n - 1 : 0));
        want += (uint64_t)bytes_i32(cum->bytes + 4 * (uint64_t)levels);
    }
    WIRE_CHECK(wire, want == graph->neighbors.n, "HNSW: %llu neighbours, %llu wanted",
               (unsigned long long)graph->neighbors.n, (unsigned long long)want);
    return KITH_OK;
}

/* The links on a level, in slots from `at` to before `end`. */
static int check_links(struct wire *wire, const struct faiss_graph *graph, int32_t level,
                       uint64_t at, uint64_t end) {
    uint64_t n = graph->levels.n;
    bool ended = false;
    for (; at < end; at++) {
        int32_t to = bytes_i32(graph->neighbors.bytes + 4 * at);
        wire_blame(wire, graph->neighbors.bytes + 4 * at);
        WIRE_CHECK(wire, to >= -1 && (to < 0 || (uint64_t)to < n),
                   "HNSW: a neighbour is row %d of %llu", to, (unsigned long long)n);
        if (to < 0) ended = true;
        WIRE_CHECK(wire, ended || bytes_i32(graph->levels.bytes + 4 * (uint64_t)to) > level,
                   "HNSW: a neighbour on level %d is row %d, which does not have it", level, to);
    }
    return KITH_OK;
}

static int check_neighbors(struct wire *wire, const struct faiss_graph *graph, uint64_t n) {
    const uint8_t *cum = graph->cum_nneighbor_per_level.bytes;
    for (uint64_t row = 0; row < n; row++) {
        uint64_t offset = bytes_u64(graph->offsets.bytes + 8 * row);
        int32_t levels = bytes_i32(graph->levels.bytes + 4 * row);
        for (int32_t level = 0; level < levels; level++) {
            uint64_t from = (uint64_t)bytes_i32(cum + 4 * level);
            uint64_t to = (uint64_t)bytes_i32(cum + 4 * (level + 1));
            TRY(check_links(wire, graph, level, offset + from, offset + to));
        }
    }
    return KITH_OK;
}

static int check_graph(struct wire *wire, const struct faiss_graph *graph, uint64_t n) {
    TRY(check_cum(wire, &graph->cum_nneighbor_per_level));
    WIRE_CHECK(wire, n < INT32_MAX && graph->levels.n == n && graph->offsets.n == n + 1,
               "HNSW: %llu rows with %llu levels and %llu offsets", (unsigned long long)n,
               (unsigned long long)graph->levels.n, (unsigned long long)graph->offsets.n);
    if (n == 0) {
        WIRE_CHECK(wire, graph->entry_point == -1, "HNSW: no rows, but entry %d",
                   graph->entry_point);
    } else {
        WIRE_CHECK(wire, graph->entry_point >= 0 && (uint64_t)graph->entry_point < n,
                   "HNSW: entry %d of %llu rows", graph->entry_point, (unsigned long long)n);
        int32_t levels = bytes_i32(graph->levels.bytes + 4 * (uint64_t)graph->entry_point);
        WIRE_CHECK(wire, graph->max_level >= 0 && levels > 0 && levels - 1 == graph->max_level,
                   "HNSW: the entry has %d levels, the highest level is %d", levels,
                   graph->max_level);
    }
    TRY(check_offsets(wire, graph, n));
    return check_neighbors(wire, graph, n);
}

int wire_graph(struct wire *wire, struct faiss_graph *graph, int64_t ntotal) {
    TRY(wire_array(wire, &graph->assign_probas, sizeof(double), "HNSW level chances"));
    TRY(wire_array(wire, &graph->cum_nneighbor_per_level, sizeof(int32_t), "HNSW level sizes"));
    TRY(wire_array(wire, &graph->levels, sizeof(int32_t), "HNSW levels"));
    TRY(wire_array(wire, &graph->offsets, sizeof(uint64_t), "HNSW offsets"));
    TRY(wire_array(wire, &graph->neighbors, sizeof(int32_t), "HNSW neighbours"));
    TRY(wire_i32(wire, &graph->entry_point));
    TRY(wire_i32(wire, &graph->max_level));
    TRY(wire_i32(wire, &graph->ef_construction));
    TRY(wire_i32(wire, &graph->ef_search));
    TRY(wire_i32(wire, &graph->upper_beam));
    return check_graph(wire, graph, (uint64_t)ntotal);
}
