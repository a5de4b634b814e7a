/* Queries: the nearest of a vector, points by id, points in order, how many. Each reads one snapshot, of one batch. */
#include <string.h>

#include "db/hits.h"
#include "db/scan.h"
#include "db/vector.h"

/* A query that has begun: everything it has to give back. */
struct reading {
    struct collection *collection;
    struct snapshot snapshot;
    struct matcher matcher;
    struct filter *filter;
    struct result *result;
    bool began; /* the snapshot */
};

static void reading_end(struct reading *reading) {
    if (reading->began) collection_read_end(&reading->snapshot);
    filter_free(reading->filter);
    matcher_deinit(&reading->matcher);
    result_free(reading->result);
    collection_release(reading->collection);
}

static int reading_begin(struct reading *reading, kith_db *db, const char *name, const char *filter,
                         kith_error *err) {
    *reading = (struct reading){0};
    TRY(collection_use(db, name, &reading->collection, err));
    int code = matcher_init(&reading->matcher, reading->collection, err);
    if (code == KITH_OK && filter)
        code = matcher_parse(&reading->filter, reading->collection, filter, err);
    if (code == KITH_OK) code = collection_read(&reading->snapshot, reading->collection, err);
    reading->began = code == KITH_OK;
    if (code != KITH_OK) reading_end(reading);
    return code;
}

static int read_query(kith_query *query, const kith_query *given, kith_error *err) {
    *query = (kith_query)KITH_QUERY_INIT;
    if (!given || given->size < sizeof query->size || given->size > sizeof *query)
        return FAIL(err, KITH_EINVAL, "%s",
                    given ? "kith_query is of another size" : "query is NULL");
    memcpy(query, given, given->size);
    if (!query->field) query->field = "";
    return KITH_OK;
}

/* ---- nearest ------------------------------------------------------------------------------------ */

/* The vector that is asked for, where its values stand. */
static int query_vector(const struct reading *reading, const kith_query *query, uint32_t f,
                        const float **values, uint32_t *without, kith_error *err) {
    const struct vector_field *field = &reading->collection->field[f];
    char text[KITH_ID_TEXT];
    *without = POINTS_SLOT_NONE;
    if (query->vector) {
        *values = query->vector;
        return KITH_OK;
    }
    if (!query->like) return FAIL(err, KITH_EINVAL, "a query has a vector, or like a point");
    int code = points_find(&reading->snapshot.view, query->like, without, err);
    if (code != KITH_OK && code != KITH_ENOTFOUND) return code;
    kith_id_print(query->like, text);
    if (code == KITH_ENOTFOUND)
        return FAIL(err, KITH_ENOTFOUND, "there is no point with id %.100s", text);
    const struct live *live = reading->snapshot.live;
    if (!(live_row(live, 1 + f)[*without / 64] >> (*without % 64) & 1))
        return FAIL(err, KITH_ENOTFOUND, "point %.100s has no vector in field \"%.80s\"", text,
                    field->name);
    struct point point;
    const void *stored;
    TRY(points_get(&reading->snapshot.view, *without, &point, err));
    TRY(points_vector_of(&reading->snapshot.view, &point, field->number, &stored, err));
    *values = stored;
    return KITH_OK;
}

static int give(struct reading *reading, const kith_query *query, struct nearest *nearest,
                bool similarity, kith_error *err) {
    nearest_sort(nearest);
    for (size_t i = query->offset; i < nearest->n; i++) {
        struct point point;
        float score = similarity ? -nearest->heap[i].dist : nearest->heap[i].dist;
        if (query->has_threshold &&
            !(similarity ? score > query->threshold : score < query->threshold))
            break;
        TRY(points_get(&reading->snapshot.view, nearest->heap[i].slot, &point, err));
        TRY(result_add(reading->result, &reading->snapshot, &point, score, err));
    }
    return KITH_OK;
}

static int find_nearest(struct reading *reading, const kith_query *query, kith_error *err) {
    struct collection *collection = reading->collection;
    struct scan scan = {
        .snapshot = &reading->snapshot, .filter = reading->filter, .matcher = &reading->matcher};
    const float *values = NULL;
    double divisor = 1;
    TRY(collection_field(collection, query->field, &scan.field, err));
    const struct vector_field *field = &collection->field[scan.field];
    TRY(query_vector(reading, query, scan.field, &values, &scan.without, err));
    TRY(vector_check(field, values, query->vector ? query->dim : field->dim, &divisor, err));
    uint64_t most = reading->snapshot.view.state.n_vectors[field->number];
    size_t k = query->limit > most ? (size_t)most : query->limit;
    k = query->offset > most - k ? (size_t)most : k + query->offset;
    struct nearest nearest = {.view = &reading->snapshot.view, .k = k};
    size_t heap_bytes = k * sizeof nearest.heap[0], query_bytes = field->dim * sizeof(float);
    nearest.heap = mem_new(&collection->mem, heap_bytes);
    float *copy = mem_new(&collection->mem, query_bytes);
    int code = nearest.heap && copy ? KITH_OK : FAIL(err, KITH_ENOMEM, "no memory for %zu hits", k);
    if (code == KITH_OK) vector_divide(copy, values, field->dim, divisor);
    scan.query = copy;
    if (code == KITH_OK) code = scan_run(&scan, &nearest, err);
    if (code == KITH_OK)
        code = give(reading, query, &nearest, kith_metric_is_similarity(field->metric), err);
    mem_free(&collection->mem, nearest.heap, heap_bytes);
    mem_free(&collection->mem, copy, query_bytes);
    return code;
}

/* The result, if all went well, is the caller's. */
static int finish(struct reading *reading, int code, kith_hits **out) {
    if (code == KITH_OK) {
        *out = result_finish(reading->result);
        reading->result = NULL;
    }
    reading_end(reading);
    return code;
}

int kith_db_query(kith_db *db, const char *name, const kith_query *given, kith_hits **out,
                  kith_error *err) {
    struct reading reading;
    kith_query query;
    if (!out) return FAIL(err, KITH_EINVAL, "out is NULL");
    TRY(read_query(&query, given, err));
    TRY(reading_begin(&reading, db, name, query.filter, err));
    int code = result_new(&reading.result, query.payload, query.with_vectors, err);
    if (code == KITH_OK) code = find_nearest(&reading, &query, err);
    return finish(&reading, code, out);
}

/* ---- by id, in order, how many ------------------------------------------------------------------ */

int kith_db_retrieve(kith_db *db, const char *name, size_t n, const kith_id *ids,
                     const char *payload, bool with_vectors, kith_hits **out, kith_error *err) {
    struct reading reading;
    if (!out || (n && !ids)) return FAIL(err, KITH_EINVAL, "%s is NULL", out ? "ids" : "out");
    TRY(reading_begin(&reading, db, name, NULL, err));
    int code = result_new(&reading.result, payload, with_vectors, err);
    for (size_t i = 0; i < n && code == KITH_OK; i++) {
        uint32_t slot;
        struct point point;
        code = points_find(&reading.snapshot.view, &ids[i], &slot, err);
        if (code == KITH_ENOTFOUND) {
            code = KITH_OK;
            continue;
        }
        if (code == KITH_OK) code = points_get(&reading.snapshot.view, slot, &point, err);
        if (code == KITH_OK)
            code = result_add(reading.result, &reading.snapshot, &point, 0.0f, err);
    }
    return finish(&reading, code, out);
}

/* The first `limit` points from an id on that pass, and where to go on. */
static int walk(struct reading *reading, const kith_id *from, size_t limit, kith_error *err) {
    struct points_cursor cursor;
    struct point point;
    uint32_t slot;
    TRY(points_cursor_open(&cursor, &reading->snapshot.view, from, err));
    int code;
    while ((code = points_cursor_next(&cursor, &slot, err)) == KITH_OK) {
        bool pass = false;
        code = points_get(&reading->snapshot.view, slot, &point, err);
        if (code == KITH_OK)
            code = matcher_asks(&reading->matcher, reading->filter, &point, &pass, err);
        if (code != KITH_OK) break;
        if (!pass) continue;
        if (reading->result->hits.n == limit) {
            code = result_more(reading->result, &point, err);
            break;
        }
        code = result_add(reading->result, &reading->snapshot, &point, 0.0f, err);
        if (code != KITH_OK) break;
    }
    points_cursor_close(&cursor);
    return code == KITH_ENOTFOUND ? KITH_OK : code;
}

int kith_db_scroll(kith_db *db, const char *name, const kith_id *from, const kith_query *given,
                   kith_hits **out, kith_error *err) {
    struct reading reading;
    kith_query query;
    if (!out) return FAIL(err, KITH_EINVAL, "out is NULL");
    TRY(read_query(&query, given, err));
    TRY(reading_begin(&reading, db, name, query.filter, err));
    int code = result_new(&reading.result, query.payload, query.with_vectors, err);
    if (code == KITH_OK) code = walk(&reading, from, query.limit, err);
    return finish(&reading, code, out);
}

int kith_db_count(kith_db *db, const char *name, const char *filter, uint64_t *count,
                  kith_error *err) {
    struct reading reading;
    struct point point;
    uint32_t from = 0;
    uint64_t n = 0;
    if (!count) return FAIL(err, KITH_EINVAL, "count is NULL");
    TRY(reading_begin(&reading, db, name, filter, err));
    const struct points_view *view = &reading.snapshot.view;
    int code = KITH_OK;
    if (!filter) n = view->state.n_points;
    while (filter && (code = points_next_slot(view, from, &point, err)) == KITH_OK) {
        bool pass;
        code = matcher_asks(&reading.matcher, reading.filter, &point, &pass, err);
        if (code != KITH_OK) break;
        n += pass;
        from = point.slot + 1;
    }
    if (code == KITH_ENOTFOUND) code = KITH_OK;
    if (code == KITH_OK) *count = n;
    reading_end(&reading);
    return code;
}
