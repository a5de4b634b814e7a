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

bool scan_hits_add(struct scan_hits *hits, float dist, int64_t id) {
    if (!hits_reserve(hits, hits->n + 1)) return false;
    hits->hits[hits->n++] = (struct scan_hit){dist, id};
    return true;
}

void scan_hits_sort(struct scan_hits *hits, size_t first) {
    if (hits->n == first) return;
    struct scan_hit *found = hits->hits + first;
    size_t n = hits->n - first;
    for (size_t i = n / 2; i-- > 0;) heap_sink(found, i, n, found[i]);
    heap_sort(found, n);
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

/* By id, in a copy. */
bool scan_hits_have_twins(const struct scan_hits *hits, size_t first) {
    size_t n = hits->n - first, bytes = n * sizeof(struct scan_hit);
    struct scan_hit *by_id = mem_new(NULL, bytes);
    if (!by_id) return true;
    for (size_t i = 0; i < n; i++) by_id[i].id = hits->hits[first + i].id;
    for (size_t i = n / 2; i-- > 0;) heap_sink(by_id, i, n, by_id[i]);
    heap_sort(by_id, n);
    bool twins = false;
    for (size_t i = 1; i < n; i++) twins |= by_id[i].id == by_id[i - 1].id;
    mem_free(NULL, by_id, bytes);
    return twins;
}

static int search_range(struct scan_query *query, struct scan_slot *slot, kith_error *err) {
    const float *radius = query->context;
    struct scan_view view;
    struct scan_pass pass;
    scan_view_init(&view, query->rows);
    TRY(scan_pass_init(&pass, &view, query->call, slot, query->queries, err));
    pass.take = take_within;
    pass.sink = query->hits;
    pass.tau = *radius;
    TRY(scan_pass_run(&pass, err));
    scan_hits_sort(query->hits, query->first);
    return KITH_OK;
}

int scan_range(struct rows *rows, const struct search_call *call, const float *query, float radius,
               struct scan_hits *hits, kith_error *err) {
    struct scan_query one = {.rows = rows,
                             .call = call,
                             .n = 1,
                             .queries = query,
                             .hits = hits,
                             .first = hits->n,
                             .run = search_range,
                             .context = &radius};
    return scan_settled(&one, err);
}
