/* Results. Everything a hit points to is copied, so that it outlives the view it came from. */
#include "db/hits.h"

#include <stddef.h>
#include <string.h>

static int no_memory(kith_error *err) { return FAIL(err, KITH_ENOMEM, "no memory for the hits"); }

void result_free(struct result *result) {
    if (!result) return;
    json_parser_free(result->parser);
    json_writer_free(result->writer);
    arena_deinit(&result->arena);
    mem_free(NULL, result->hits.hits, result->room * sizeof(kith_hit));
    mem_free(NULL, result, sizeof *result);
}

void kith_hits_free(kith_hits *hits) {
    if (hits) result_free((struct result *)(void *)((char *)hits - offsetof(struct result, hits)));
}

static int parse_selector(struct result *result, const char *payload, kith_error *err) {
    struct json_value value;
    TRY(json_parser_new(&result->parser, NULL, err));
    TRY(json_parse(result->parser, payload, strlen(payload), JSON_CHECKED, &value, err));
    TRY(payload_selector_parse(&result->shown.payload, value, &result->arena, err));
    return json_writer_new(&result->writer, NULL, err);
}

int result_new(struct result **out, const char *payload, bool with_vectors, kith_error *err) {
    struct result *result = mem_new(NULL, sizeof *result);
    if (!result) return no_memory(err);
    result->shown.with_vectors = with_vectors;
    int code = payload ? parse_selector(result, payload, err) : KITH_OK;
    if (code == KITH_OK)
        *out = result;
    else
        result_free(result);
    return code;
}

kith_hits *result_finish(struct result *result) {
    json_parser_free(result->parser);
    json_writer_free(result->writer);
    result->parser = NULL;
    result->writer = NULL;
    return &result->hits;
}

static int copy_payload(struct result *result, const struct point *point, kith_hit *hit,
                        kith_error *err) {
    const struct payload_selector *selector = &result->shown.payload;
    struct json_text text = {point->payload, point->payload_bytes};
    if (selector->rule == PAYLOAD_NONE) return KITH_OK;
    if (selector->rule != PAYLOAD_ALL) {
        struct json_value root;
        TRY(json_parse(result->parser, text.bytes, text.n, JSON_TRUSTED, &root, err));
        json_writer_reset(result->writer);
        payload_select(selector, root, result->writer);
        TRY(json_writer_text(result->writer, &text, err));
    }
    hit->payload = arena_copy(&result->arena, text.bytes, text.n);
    hit->payload_bytes = text.n;
    return hit->payload ? KITH_OK : no_memory(err);
}

static int copy_vectors(struct result *result, const struct snapshot *snapshot,
                        const struct point *point, kith_hit *hit, kith_error *err) {
    const struct collection *collection = snapshot->collection;
    uint64_t fields = collection_fields_of(collection, point);
    uint32_t n = (uint32_t)__builtin_popcountll(fields);
    kith_vector *vectors = arena_new(&result->arena, n * sizeof *vectors);
    if (!vectors) return no_memory(err);
    hit->vectors = vectors;
    hit->n_vectors = n;
    for (uint32_t f = 0; f < collection->n_fields; f++) {
        if (!(fields >> f & 1)) continue;
        const struct vector_field *field = &collection->field[f];
        size_t bytes = field->dim * sizeof(float);
        float *values = arena_new(&result->arena, bytes);
        vectors->field = arena_copy(&result->arena, field->name, strlen(field->name));
        if (!values || !vectors->field) return no_memory(err);
        const void *stored;
        TRY(points_vector_of(&snapshot->view, point, field->number, &stored, err));
        memcpy(values, stored, bytes);
        vectors->values = values;
        vectors->dim = field->dim;
        vectors++;
    }
    return KITH_OK;
}

static int copy_id(struct result *result, const kith_id *id, kith_id *out, kith_error *err) {
    *out = *id;
    if (id->kind == KITH_ID_STRING) {
        out->string = arena_copy(&result->arena, id->string, id->length);
        if (!out->string) return no_memory(err);
    }
    return KITH_OK;
}

int result_add(struct result *result, const struct snapshot *snapshot, const struct point *point,
               float score, kith_error *err) {
    if (result->hits.n == result->room) {
        size_t room = result->room ? 2 * result->room : 16;
        void *more = mem_resize(NULL, result->hits.hits, result->room * sizeof(kith_hit),
                                room * sizeof(kith_hit));
        if (!more) return no_memory(err);
        result->hits.hits = more;
        result->room = room;
    }
    kith_hit *hit = &result->hits.hits[result->hits.n];
    *hit = (kith_hit){.version = point->version, .score = score};
    TRY(copy_id(result, &point->id, &hit->id, err));
    TRY(copy_payload(result, point, hit, err));
    if (result->shown.with_vectors) TRY(copy_vectors(result, snapshot, point, hit, err));
    result->hits.n++;
    return KITH_OK;
}

int result_more(struct result *result, const struct point *point, kith_error *err) {
    TRY(copy_id(result, &point->id, &result->hits.next, err));
    result->hits.more = true;
    return KITH_OK;
}
