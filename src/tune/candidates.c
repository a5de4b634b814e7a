/* What is tried: a graph, lists and scans with each code at a usual size, then other sizes of the best.
 *
 * Of every family one size is tried with every code, and of the codes that do well every size: the sum of the two in
 * place of their product. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "tune/tune.h"

#define USUAL_M     16.0
#define USUAL_LISTS 1.0

static void add(struct candidates *all, enum family family, const char *code, double size) {
    for (uint32_t i = 0; i < all->n; i++)
        if (all->at[i].family == family && all->at[i].code == code && all->at[i].size == size)
            return;
    if (all->n < MAX_CANDIDATES) all->at[all->n++] = (struct candidate){family, code, size};
}

static void add_all(struct candidates *all, enum family family, const char *const *code, size_t n,
                    double size) {
    for (size_t i = 0; i < n; i++) add(all, family, code[i], size);
}

#define ADD(family, codes, size) add_all(all, family, codes, sizeof codes / sizeof *codes, size)

void candidates_first(struct candidates *all, size_t dim, bool bytes, bool memory_is_short) {
    static const char *const graph[] = {"", ",SQ8,Refine", ",SQ4,Refine"};
    static const char *const graph_wide[] = {",RaBitQ2,Refine"};
    static const char *const lists[] = {",Flat", ",SQ8,Refine", ",SQ4,Refine", ",RaBitQ,Refine"};
    static const char *const scans[] = {"Flat", "Flat,SQ8"};
    static const char *const small_graph[] = {",SQ8", ",SQfp16", ",SQ4", ",RaBitQ4"};
    static const char *const small_lists[] = {",SQ8", ",SQfp16", ",SQ4", ",RaBitQ4", ",RaBitQ8"};
    static const char *const small_scans[] = {"SQ8", "SQfp16", "SQ4", "RaBitQ4", "RaBitQ8"};
    all->n = 0;
    ADD(FAMILY_SCAN, scans, 0);
    ADD(FAMILY_LISTS, lists, USUAL_LISTS);
    if (bytes) {
        add(all, FAMILY_GRAPH, graph[0], USUAL_M); /* its rows are bytes already */
    } else {
        ADD(FAMILY_GRAPH, graph, USUAL_M);
    }
    if (dim >= 256) ADD(FAMILY_GRAPH, graph_wide, USUAL_M);
    if (!memory_is_short) return;
    ADD(FAMILY_SCAN, small_scans, 0);
    ADD(FAMILY_LISTS, small_lists, USUAL_LISTS);
    ADD(FAMILY_GRAPH, small_graph, USUAL_M);
}

void candidates_around(struct candidates *all, const struct candidate *one) {
    static const double m[] = {8, 16, 24, 32}, lists[] = {0.5, 1, 2, 4};
    if (one->family == FAMILY_GRAPH)
        for (int i = 0; i < 4; i++) add(all, one->family, one->code, m[i]);
    else if (one->family == FAMILY_LISTS)
        for (int i = 0; i < 4; i++) add(all, one->family, one->code, lists[i]);
    else
        add(all, one->family, one->code, one->size);
}

void candidate_print(const struct candidate *one, size_t rows, char *spec) {
    double lists = fmax(4.0, round(one->size * sqrt((double)rows)));
    switch (one->family) {
    case FAMILY_GRAPH: snprintf(spec, KITH_TUNE_SPEC, "HNSW%.0f%s", one->size, one->code); break;
    case FAMILY_LISTS: snprintf(spec, KITH_TUNE_SPEC, "IVF%.0f%s", lists, one->code); break;
    default: snprintf(spec, KITH_TUNE_SPEC, "%s", one->code); break;
    }
}

/* A scan reads every row; lists that go with the root of the rows read that root's part; a walk's length goes with the
 * logarithm. */
double candidate_grow(const struct candidate *one, double seconds, size_t rows, size_t n) {
    double times = (double)n / (double)rows;
    switch (one->family) {
    case FAMILY_GRAPH: return seconds * log((double)n) / log((double)rows);
    case FAMILY_LISTS: return seconds * sqrt(times);
    default: return seconds * times;
    }
}
