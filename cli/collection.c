/* DIR/NAME: the last slash parts the folder from the name. */
#include "collection.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

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
