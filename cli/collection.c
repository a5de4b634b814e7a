/* DIR/NAME: the last slash parts the folder from the name. */
#include "collection.h"

#include <stdlib.h>
#include <string.h>

#include "print.h"

void argument_collection(struct argp_state *state, const char *text) {
    const char *slash = strrchr(text, '/');
    if (!slash || slash == text || !slash[1])
        argp_error(state, "\"%s\" is not DIR/NAME, a database's folder and a collection in it",
                   text);
}

int collection_open(collection *out, const char *text, bool create, kith_error *err) {
    const char *slash = strrchr(text, '/');
    kith_db_options options = KITH_DB_OPTIONS_INIT;
    options.no_create = !create;
    *out = (collection){.folder = strndup(text, (size_t)(slash - text)), .name = slash + 1};
    if (!out->folder) return format_fail(err, KITH_ENOMEM, -1, "no memory for a name");
    return kith_db_open(&out->db, out->folder, &options, err);
}

void collection_close(collection *c) {
    kith_db_close(c->db);
    free(c->folder);
    *c = (collection){0};
}

int id_of_json(kith_id *out, struct json_object *value, kith_error *err) {
    if (json_object_is_type(value, json_type_string))
        return kith_id_from_text(out, json_object_get_string(value),
                                 (size_t)json_object_get_string_len(value), err);
    bool whole = json_object_is_type(value, json_type_int) && json_object_get_int64(value) >= 0;
    if (!whole)
        return format_fail(err, KITH_ESYNTAX, -1,
                           "id %.40s is neither a string nor a whole number from 0 on",
                           json_object_to_json_string(value));
    *out = kith_id_number(json_object_get_uint64(value));
    return KITH_OK;
}

int id_of_text(kith_id *out, const char *text, kith_error *err) {
    size_t n = strlen(text);
    if (n == 0 || strspn(text, "0123456789") < n) return kith_id_from_text(out, text, n, err);
    errno = 0;
    *out = kith_id_number(strtoull(text, NULL, 10));
    if (errno == 0) return KITH_OK;
    return format_fail(err, KITH_ERANGE, -1, "id %.40s is over 2^64 - 1", text);
}

static struct json_object *json_id(const kith_id *id) {
    char text[KITH_ID_TEXT];
    if (id->kind == KITH_ID_NUMBER) return json_object_new_uint64(id->number);
    kith_id_print(id, text);
    return json_text(text);
}

static struct json_object *json_vectors(const kith_hit *hit) {
    if (hit->n_vectors == 1 && !*hit->vectors[0].field)
        return json_floats(hit->vectors[0].values, hit->vectors[0].dim);
    struct json_object *all = json_object_new_object();
    for (uint32_t i = 0; i < hit->n_vectors; i++)
        json_add(all, hit->vectors[i].field,
                 json_floats(hit->vectors[i].values, hit->vectors[i].dim));
    return all;
}

/* JSON text that stands as it is; borrowed until the object is put. */
static struct json_object *json_verbatim(const char *text) {
    struct json_object *o = json_object_new_object();
    json_object_set_serializer(o, json_object_userdata_to_json_string, (void *)(uintptr_t)text,
                               NULL);
    return o;
}

struct json_object *json_point(const kith_hit *hit, bool scored) {
    struct json_object *o = json_object_new_object();
    json_add(o, "id", json_id(&hit->id));
    if (scored) json_add(o, "score", json_float(hit->score));
    if (hit->n_vectors) json_add(o, "vector", json_vectors(hit));
    if (hit->payload) json_add(o, "payload", json_verbatim(hit->payload));
    return o;
}
