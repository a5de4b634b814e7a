/* kith delete: take points out of a collection, by id or by filter. */
#include "cli.h"

#include <stdlib.h>

#include "collection.h"
#include "print.h"

enum { KEY_ID = KEY_OWN, KEY_FILTER };

static const struct argp_option options[] = {
    {"id", KEY_ID, "ID", 0, "Delete point ID; may be given many times", 1},
    {"filter", KEY_FILTER, "JSON", 0, "Delete the points that this filter takes", 1},
    OPTION_JSON,
    {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[1];
    const char *filter;
    kith_id *ids;
    size_t n_ids;
} arguments;

static error_t add_id(arguments *a, const char *text, struct argp_state *state) {
    kith_error err;
    kith_id *more = realloc(a->ids, (a->n_ids + 1) * sizeof *more);
    if (!more) return ENOMEM;
    a->ids = more;
    if (id_of_text(&a->ids[a->n_ids++], text, &err)) argp_error(state, "--id: %s", err.text);
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case KEY_ID: return add_id(a, arg, state);
    case KEY_FILTER: a->filter = arg; return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 1);
    case ARGP_KEY_END:
        if (state->arg_num < 1) argp_error(state, "DIR/NAME is missing: the collection");
        argument_collection(state, a->names[0]);
        if (!a->ids == !a->filter) argp_error(state, "one of --id and --filter is wanted");
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "DIR/NAME",
    .doc = "Delete points from a collection, all at once. Ids that are not there are passed over."};

static int delete_points(const collection *c, const arguments *a, kith_error *err) {
    kith_op op = {.kind = KITH_OP_DELETE, .n_ids = a->n_ids, .ids = a->ids, .filter = a->filter};
    kith_collection_info before, after;
    int code = kith_db_info(c->db, c->name, &before, err);
    if (!code) code = kith_db_write(c->db, c->name, 1, &op, NULL, err);
    if (!code) code = kith_db_info(c->db, c->name, &after, err);
    if (code) return code;
    uint64_t n_deleted = before.n_points - after.n_points;
    char texts[2][32];
    if (a->shared.json) {
        struct json_object *o = json_object_new_object();
        json_add(o, "deleted", json_object_new_uint64(n_deleted));
        json_add(o, "points", json_object_new_uint64(after.n_points));
        json_print(o, stdout, true);
    } else {
        printf("%s deleted, %s points now\n", print_count(texts[0], (double)n_deleted),
               print_count(texts[1], (double)after.n_points));
    }
    return KITH_OK;
}

static int run(int argc, char **argv) {
    arguments a = {0};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    collection c;
    int code;
    TRY_DONE(failure_about(&f, a.names[0], collection_open(&c, a.names[0], false, &f.err)));
    code = failure_about(&f, a.names[0], delete_points(&c, &a, &f.err));
done:
    collection_close(&c);
    free(a.ids);
    return failure_exit(&f, code);
}

const command cmd_delete = {"delete", "take points out of a collection", run};
