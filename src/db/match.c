/* Filters over the points of a collection: the payload is parsed where a condition reads it. */
#include "db/match.h"

#include <string.h>

int matcher_init(struct matcher *out, struct collection *collection, kith_error *err) {
    *out = (struct matcher){.collection = collection};
    return json_parser_new(&out->parser, &collection->mem, err);
}

void matcher_deinit(struct matcher *matcher) { json_parser_free(matcher->parser); }

int matcher_parse(struct filter **out, struct collection *collection, const char *text,
                  kith_error *err) {
    struct json_text names[KITH_MAX_FIELDS];
    TRY(filter_parse(out, text, strlen(text), &collection->mem, err));
    for (uint32_t i = 0; i < collection->n_fields; i++)
        names[i] = (struct json_text){collection->field[i].name, strlen(collection->field[i].name)};
    filter_bind_vectors(*out, names, collection->n_fields);
    return KITH_OK;
}

int matcher_asks(struct matcher *matcher, const struct filter *filter, const struct point *point,
                 bool *passes, kith_error *err) {
    *passes = true;
    if (!filter) return KITH_OK;
    struct filter_point asked = {.id = &point->id,
                                 .vectors = collection_fields_of(matcher->collection, point)};
    if (filter_reads_payload(filter))
        TRY(json_parse(matcher->parser, point->payload, point->payload_bytes, JSON_TRUSTED,
                       &asked.payload, err));
    *passes = filter_matches(filter, &asked);
    return KITH_OK;
}
