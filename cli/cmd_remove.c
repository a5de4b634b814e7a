/* kith remove: take vectors out of an index by id. */
#include "cli.h"

#include <stdlib.h>

#include "print.h"

enum { KEY_ID = KEY_OWN };

static const struct argp_option options[] = {
    {"id", KEY_ID, "ID", 0, "Remove ID as well; may be given many times", 1},
    {"output", 'o', "OUT", 0, "Write the index to OUT (default: over FILE)", 10},
    OPTION_FROM,
    OPTION_JSON,
    {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[2];
    const char *output;
    int64_t *ids; /* of --id */
    size_t n_ids;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    int64_t *more;
    switch (key) {
    case KEY_ID:
        more = realloc(a->ids, (a->n_ids + 1) * sizeof *more);
        if (!more) return ENOMEM;
        a->ids = more;
        a->ids[a->n_ids++] = (int64_t)argument_count(state, "--id", arg, 0, INT64_MAX);
        return 0;
    case 'o': a->output = arg; return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 2);
    case ARGP_KEY_END:
        if (state->arg_num < 1) argp_error(state, "FILE is missing: the index");
        if (state->arg_num < 2 && !a->n_ids)
            argp_error(state, "nothing to remove: name a file of IDS, or --id ID");
        if (!a->output) a->output = a->names[0];
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "FILE [IDS]",
    .doc = "Remove the ids listed in file IDS from the index FILE: all of "
           "them, or none when one is not present."};

/* The ids of --id, then those of the file. */
static int join_ids(arguments *a, const id_table *list, kith_error *err) {
    int64_t *more = realloc(a->ids, (a->n_ids + list->n) * sizeof *more);
    if (!more) return format_fail(err, KITH_ENOMEM, -1, "no memory for %zu ids", list->n);
    a->ids = more;
    for (size_t i = 0; i < list->n; i++) a->ids[a->n_ids++] = list->ids[i];
    return KITH_OK;
}

static int run(int argc, char **argv) {
    arguments a = {0};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    id_table list = {0};
    kith_index *index = NULL;
    int code;
    TRY_DONE(
        failure_about(&f, a.names[0], index_file_open(&index, a.names[0], KITH_OPEN_READ, &f.err)));
    if (a.names[1]) {
        TRY_DONE(
            failure_about(&f, a.names[1], id_list_read(&list, a.names[1], &a.shared.read, &f.err)));
        TRY_DONE(join_ids(&a, &list, &f.err));
    }
    TRY_DONE(failure_about(&f, a.names[0], kith_index_remove(index, a.n_ids, a.ids, &f.err)));
    TRY_DONE(failure_writing(&f, a.output, index_file_save(index, a.output, &f.err)));
    FILE *file = is_stream(a.output) ? stderr : stdout;
    uint64_t rows = kith_index_rows(index);
    if (a.shared.json) {
        struct json_object *o = json_object_new_object();
        json_add(o, "removed", json_object_new_uint64(a.n_ids));
        json_add(o, "rows", json_object_new_uint64(rows));
        json_print(o, file, true);
    } else {
        char texts[2][32];
        fprintf(file, "%s removed, %s rows now\n", print_count(texts[0], (double)a.n_ids),
                print_count(texts[1], (double)rows));
    }
done:
    kith_index_free(index);
    id_table_free(&list);
    free(a.ids);
    return failure_exit(&f, code);
}

const command cmd_remove = {"remove", "take vectors out of an index by id", run};
