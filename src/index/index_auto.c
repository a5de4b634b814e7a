/* What Auto chooses: rules of rows, dimension, memory, recall and writes, in the order of docs/choosing.md.
 *
 * They are cheap and know nothing of the data; kith_tune measures instead. Bytes are those that kith info reports, a row:
 * d of a code's row come in multiples of 64, a graph of 16 links has 150 beside them, lists have 20. */
#include <stdio.h>

#include "index/index.h"

#define FLAT_ROWS    20000u /* below, a scan is quick enough that nothing else is worth building */
#define WRITES       1.0    /* a search's worth: from here on cheap adds decide */
#define NARROW       128u   /* dimensions up to which more links pay at a high recall */
#define HIGH_RECALL  0.98
#define BEYOND_CODES 0.97 /* the recall that one byte a dimension without originals may miss */
#define GRAPH_BYTES  150.0
#define MORE_LINKS   150.0
#define LIST_BYTES   20.0

static uint32_t lists_for(size_t n) {
    uint32_t lists = 1;
    while ((uint64_t)lists * lists < n) lists++;
    return lists;
}

/* Lists, where memory is short or writes are many. */
static void choose_lists(size_t n, double d, double room, char *spec) {
    uint32_t lists = lists_for(n);
    const char *code = room >= 4 * d + d + LIST_BYTES       ? "SQ8,Refine"
                       : room >= 4 * d + d / 8 + LIST_BYTES ? "RaBitQ,Refine"
                       : room >= 2 * d + LIST_BYTES         ? "SQfp16"
                       : room >= d + LIST_BYTES             ? "SQ8"
                       : room >= d / 2 + LIST_BYTES         ? "RaBitQ4"
                                                            : "RaBitQ";
    snprintf(spec, FACTORY_TEXT, "IVF%u,%s", lists, code);
}

void index_auto(uint32_t dim, size_t n, const kith_index_options *wanted, char *spec) {
    double d = dim, row = 64.0 * ((dim + 4 + 63) / 64);
    double room = wanted->bytes_per_row > 0 ? (double)wanted->bytes_per_row : 1e18;
    double recall = (double)wanted->recall;
    bool wide = recall > HIGH_RECALL && dim <= NARROW;
    if (n < FLAT_ROWS && room >= 4 * d + LIST_BYTES)
        snprintf(spec, FACTORY_TEXT, "Flat");
    else if ((double)wanted->writes > WRITES)
        choose_lists(n, d, room, spec);
    else if (wide && room >= 4 * d + row + GRAPH_BYTES + MORE_LINKS)
        snprintf(spec, FACTORY_TEXT, "HNSW32,SQ8,Refine");
    else if (room >= 4 * d + row + GRAPH_BYTES)
        snprintf(spec, FACTORY_TEXT, "HNSW16,SQ8,Refine");
    else if (room >= 2 * d + GRAPH_BYTES)
        snprintf(spec, FACTORY_TEXT, "HNSW16,SQfp16");
    else if (room >= row + GRAPH_BYTES && recall <= BEYOND_CODES)
        snprintf(spec, FACTORY_TEXT, "HNSW16,SQ8");
    else
        choose_lists(n, d, room, spec);
}
