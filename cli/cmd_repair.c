/* kith repair: mend what kith check finds in the derived parts of an index. */
#include "cli.h"

#include "print.h"

static const struct argp_option options[] = {
    {"output", 'o', "OUT", 0, "Write the index to OUT (default: over FILE)", 10}, OPTION_JSON, {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[1];
    const char *output;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case 'o': a->output = arg; return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 1);
    case ARGP_KEY_END:
        if (state->arg_num < 1) argp_error(state, "FILE is missing: the index");
        if (!a->output) a->output = a->names[0];
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "FILE",
    .doc = "Mend the links of the index FILE. Vectors are never changed."};

static int run(int argc, char **argv) {
    arguments a = {0};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    kith_index *index = NULL;
    uint64_t mended = 0;
    int code;
    TRY_DONE(failure_about(&f, a.names[0],
                           index_file_open(&index, a.names[0], KITH_OPEN_REPAIR, &f.err)));
    TRY_DONE(failure_about(&f, a.names[0], kith_index_repair(index, &mended, &f.err)));
    TRY_DONE(failure_about(&f, a.names[0], kith_index_check(index, &f.err)));
    bool elsewhere = a.output != a.names[0] || is_stream(a.output);
    if (mended || elsewhere)
        TRY_DONE(failure_writing(&f, a.output, index_file_save(index, a.output, &f.err)));
    FILE *file = is_stream(a.output) ? stderr : stdout;
    char texts[2][32];
    if (a.shared.json) {
        struct json_object *o = json_object_new_object();
        json_add(o, "mended", json_object_new_uint64(mended));
        json_add(o, "rows", json_object_new_uint64(kith_index_rows(index)));
        json_print(o, file, true);
    } else if (mended) {
        fprintf(file, "%s places mended, %s rows\n", print_count(texts[0], (double)mended),
                print_count(texts[1], (double)kith_index_rows(index)));
    } else {
        fputs("nothing to mend\n", file);
    }
done:
    kith_index_free(index);
    return failure_exit(&f, code);
}

const command cmd_repair = {"repair", "mend the links of an index", run};
