/* kith convert: from one format of vectors to another, and from one engine's index to another's. */
#include "convert_index.h"

#include <stdlib.h>
#include <string.h>

#include "print.h"

enum { KEY_TYPE = KEY_OWN, KEY_NORMALIZE, KEY_FIRST, KEY_ROWS };

static const struct argp_option options[] = {
    {"to", KEY_TO, "FORMAT", 0,
     "Write FORMAT (default: the ending of OUT tells); of an index: kith or faiss", 1},
    {"type", KEY_TYPE, "TYPE", 0,
     "npy: elements of f32, f16, f64, u8, i8, u16, i16, u32, i32, u64 or i64 (default: as in IN)",
     1},
    {"normalize", KEY_NORMALIZE, NULL, 0, "Scale each row to length 1", 2},
    {"skip", KEY_FIRST, "N", 0, "Leave out the first N rows", 2},
    {"rows", KEY_ROWS, "N", 0, "Take at most N rows", 2},
    {"metric", 'm', "METRIC", 0, "hnswlib: what its distances are; the file does not tell", 3},
    OPTION_THREADS,
    OPTION_FROM,
    OPTION_JSON,
    {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[2];
    write_options write;
    index_target to;
    size_t skip, rows;
    bool normalize;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case KEY_TO:
        a->to = index_target_parse(arg);
        if (a->to != INDEX_TO_NOTHING) return 0;
        a->write.format = format_parse(arg);
        if (a->write.format == FORMAT_AUTO)
            argp_error(state, "--to: \"%s\" is no format that kith knows", arg);
        return 0;
    case KEY_TYPE:
        a->write.typed = true;
        if (!element_parse(arg, &a->write.type))
            argp_error(state, "--type: \"%s\" is no type of elements", arg);
        return 0;
    case KEY_NORMALIZE: a->normalize = true; return 0;
    case KEY_FIRST: a->skip = (size_t)argument_count(state, "--skip", arg, 0, SIZE_MAX); return 0;
    case KEY_ROWS: a->rows = (size_t)argument_count(state, "--rows", arg, 1, SIZE_MAX); return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 2);
    case ARGP_KEY_END:
        if (state->arg_num < 1) argp_error(state, "IN is missing: the vectors to convert");
        if (state->arg_num < 2) argp_error(state, "OUT is missing: where to write them");
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "IN OUT",
    .doc =
        "Write the vectors of IN to OUT in another format. What the format "
        "cannot hold exactly as whole numbers is refused, not rounded. An index of FAISS, hnswlib "
        "or usearch becomes one of Kith, and one of Kith one of FAISS."};

/* A view of the rows that were asked for. */
static int slice(const arguments *a, const vectors *all, vectors *part, failure *f) {
    if (a->skip >= all->n) {
        f->subject = a->names[0];
        return failure_set(f, KITH_ERANGE, "%zu rows to skip, there are %zu", a->skip, all->n);
    }
    *part = *all;
    part->n = all->n - a->skip;
    if (a->rows && a->rows < part->n) part->n = a->rows;
    part->data = all->data + a->skip * all->dim;
    part->ids = all->ids ? all->ids + a->skip : NULL;
    part->words = all->words ? all->words + a->skip : NULL;
    return KITH_OK;
}

static int run(int argc, char **argv) {
    arguments a = {0};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    vectors all = {0};
    vectors part = {0};
    float *scaled = NULL;
    int code;
    if (index_is_converted(a.names[0], a.to)) {
        const index_conversion c = {a.names[0], a.names[1], a.to, &a.shared};
        return failure_exit(&f, convert_index(&c, &f));
    }
    TRY_DONE(failure_about(&f, a.names[0], vectors_read(&all, a.names[0], &a.shared.read, &f.err)));
    TRY_DONE(slice(&a, &all, &part, &f));
    if (!a.write.typed && !a.normalize) { /* npy keeps the type of elements */
        a.write.typed = true;
        a.write.type = all.type;
    }
    if (a.normalize) {
        scaled = malloc(part.n * part.dim * sizeof *scaled);
        if (!scaled) {
            code = failure_set(&f, KITH_ENOMEM, "no memory for %zu rows", part.n);
            goto done;
        }
        TRY_DONE(kith_normalize(part.dim, part.n, part.data, scaled, &f.err));
        part.data = scaled;
    }
    TRY_DONE(failure_writing(&f, a.names[1], vectors_write(&part, a.names[1], &a.write, &f.err)));
    FILE *file = is_stream(a.names[1]) ? stderr : stdout;
    char text[32];
    if (a.shared.json) {
        struct json_object *o = json_object_new_object();
        json_add(o, "from", json_text(format_name(all.format)));
        json_add(o, "rows", json_object_new_uint64(part.n));
        json_add(o, "dim", json_object_new_uint64(part.dim));
        json_print(o, file, true);
    } else if (file == stdout) {
        fprintf(file, "%s: %s rows of %zu from %s\n", a.names[1], print_count(text, (double)part.n),
                part.dim, format_name(all.format));
    }
done:
    free(scaled);
    vectors_free(&all);
    return failure_exit(&f, code);
}

const command cmd_convert = {"convert",
                             "write vectors in another format, indexes as another engine's", run};
