/* Threshold search: every row within a radius, as one pass whose tau does not move. */
#include "index/scan.h"

#include <math.h>

#include "base/status.h"
#include "index/scan_pass.h"

#define HITS_MIN 64u

static bool hits_reserve(struct scan_hits *hits, size_t n) {
    size_t want = hits->capacity ? hits->capacity : HITS_MIN;
    while (want < n) want *= 2;
    if (want == hits->capacity) return true;
    size_t bytes = sizeof(struct scan_hit);
    struct scan_hit *grown = mem_resize(NULL, hits->hits, hits->capacity * bytes, want * bytes);
    if (!grown) return false;
    hits->hits = grown;
    hits->capacity = want;
    return true;
}

void scan_hits_deinit(struct scan_hits *hits) {
    mem_free(NULL, hits->hits, hits->capacity * sizeof(struct scan_hit));
    *hits = (struct scan_hits){0};
}

static bool take_within(struct scan_pass *pass, const uint32_t *row, const float *dist,
                        uint32_t n) {
    struct scan_hits *hits = pass->sink;
    if (!hits_reserve(hits, hits->n + n)) return false;
    for (uint32_t i = 0; i < n; i++)
        if (dist[i] <= pass->tau)
            hits->hits[hits->n++] = (struct scan_hit){dist[i], rows_id(pass->view.rows, row[i])};
    return true;
}

struct range_search {
    float radius;
    struct scan_hits *hits;
    size_t first; /* of this query */
};

static void forget_hits(struct scan_query *query) {
    const struct range_search *range = query->context;
    range->hits->n = range->first;
}

static int search_range(struct scan_query *query, struct scan_slot *slot, kith_error *err) {
    const struct range_search *range = query->context;
    struct scan_hits *hits = range->hits;
    struct scan_view view;
    struct scan_pass pass;
    scan_view_init(&view, query->rows);
    TRY(scan_pass_init(&pass, &view, query->call, slot, query->queries, err));
    pass.take = take_within;
    pass.sink = hits;
    pass.tau = range->radius;
    TRY(scan_pass_run(&pass, err));
    if (hits->n == range->first) return KITH_OK;
    struct scan_hit *found = hits->hits + range->first;
    size_t n = hits->n - range->first;
    for (size_t i = n / 2; i-- > 0;) heap_sink(found, i, n, found[i]);
    heap_sort(found, n);
    return KITH_OK;
}

int scan_range(struct rows *rows, const struct search_call *call, const float *query, float radius,
               struct scan_hits *hits, kith_error *err) {
    struct range_search range = {radius, hits, hits->n};
    struct scan_query one = {.rows = rows,
                             .call = call,
                             .n = 1,
                             .queries = query,
                             .run = search_range,
                             .undo = forget_hits,
                             .context = &range};
    int code = scan_settled(&one, err);
    if (code != KITH_OK) forget_hits(&one);
    return code;
}
