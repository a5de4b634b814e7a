/* DIR/NAME: the last slash parts the folder from the name. */
#include "collection.h"

#include <stdlib.h>
#include <string.h>

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
