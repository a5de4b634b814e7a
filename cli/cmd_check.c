/* kith check: verify a file of an index, every checksum and every invariant. */
#include "cli.h"

#include "clock.h"
#include "print.h"

static const struct argp_option options[] = {OPTION_JSON, {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[1];
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    if (key == ARGP_KEY_ARG) return argument_positional(state, arg, a->names, 1);
    if (key == ARGP_KEY_END && state->arg_num < 1) argp_error(state, "FILE is missing: the index");
    return shared_option(key, arg, state, &a->shared);
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "FILE",
    .doc = "Verify every checksum and every invariant of the index FILE, and "
           "that every row can be reached."};

static void report(const char *path, const kith_index *index, int code, const failure *f, bool json,
                   double seconds) {
    char texts[2][32];
    if (!json && !code)
        printf("%s: sound, %s rows checked in %s\n", path,
               print_count(texts[0], (double)kith_index_rows(index)),
               print_seconds(texts[1], seconds));
    if (!json) return;
    struct json_object *o = json_object_new_object();
    json_add(o, "file", json_text(path));
    json_add(o, "sound", json_object_new_boolean(code == KITH_OK));
    json_add(o, "rows", index ? json_object_new_uint64(kith_index_rows(index)) : NULL);
    json_add(o, "code", json_text(kith_code_name(code)));
    json_add(o, "error", code ? json_text(f->err.text) : NULL);
    json_add(o, "at", code && f->err.at >= 0 ? json_object_new_int64(f->err.at) : NULL);
    json_print(o, stdout, true);
}

static int run(int argc, char **argv) {
    arguments a = {0};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    kith_index *index = NULL;
    double start = wall_s();
    int code =
        failure_about(&f, a.names[0], index_file_open(&index, a.names[0], KITH_OPEN_READ, &f.err));
    if (!code) code = failure_about(&f, a.names[0], kith_index_check(index, &f.err));
    report(a.names[0], index, code, &f, a.shared.json, wall_s() - start);
    kith_index_free(index);
    return failure_exit(&f, code);
}

const command cmd_check = {"check", "verify every checksum and invariant of an index", run};
