/* kith gen: vectors drawn by chance, the same on every machine for the same seed. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#include "print.h"
#include "synthetic.h"

enum { KEY_KIND = KEY_OWN, KEY_SEED, KEY_QUERIES, KEY_QUERIES_OUT, KEY_CLUSTERS, KEY_SPREAD };

static const struct argp_option options[] = {
    {"rows", 'n', "N", 0, "Rows (default: 10000)", 1},
    {"dim", 'd', "D", 0, "Dimensions (default: 128)", 1},
    {"kind", KEY_KIND, "KIND", 0,
     "gaussian, clusters, sphere, uniform or integral (default: gaussian)", 1},
    {"seed", KEY_SEED, "S", 0, "Seed (default: 42)", 1},
    {"clusters", KEY_CLUSTERS, "N", 0, "clusters: how many (default: 100)", 2},
    {"spread", KEY_SPREAD, "X", 0,
     "clusters: deviation around a centre, of 1 between them (default: 0.3)", 2},
    {"queries", KEY_QUERIES, "N", 0, "Draw N more rows as queries", 3},
    {"queries-out", KEY_QUERIES_OUT, "FILE", 0, "Write the queries to FILE", 3},
    {"output", 'o', "FILE", 0, "Write the rows to FILE", 10},
    {"to", KEY_TO, "FORMAT", 0, "Write FORMAT (default: the ending of FILE tells)", 10},
    OPTION_JSON,
    {0}};

typedef struct arguments {
    shared_options shared;
    const char *output, *queries_out;
    size_t n_queries;
    write_options write;
    synthetic what;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case 'n': a->what.n = (size_t)argument_count(state, "--rows", arg, 1, KITH_MAX_ROWS); return 0;
    case 'd': a->what.dim = (size_t)argument_count(state, "--dim", arg, 1, KITH_MAX_DIM); return 0;
    case KEY_KIND:
        if (!synthetic_kind_parse(arg, &a->what.kind))
            argp_error(state,
                       "--kind: \"%s\" is none of gaussian, clusters, sphere, uniform, integral",
                       arg);
        return 0;
    case KEY_SEED: a->what.seed = argument_count(state, "--seed", arg, 0, UINT64_MAX); return 0;
    case KEY_CLUSTERS:
        a->what.n_clusters = (size_t)argument_count(state, "--clusters", arg, 1, 1u << 30);
        return 0;
    case KEY_SPREAD: a->what.spread = argument_number(state, "--spread", arg, 0.0, 1e6); return 0;
    case KEY_QUERIES:
        a->n_queries = (size_t)argument_count(state, "--queries", arg, 1, KITH_MAX_ROWS);
        return 0;
    case KEY_QUERIES_OUT: a->queries_out = arg; return 0;
    case 'o': a->output = arg; return 0;
    case KEY_TO:
        a->write.format = format_parse(arg);
        if (a->write.format == FORMAT_AUTO)
            argp_error(state, "--to: \"%s\" is no format that kith knows", arg);
        return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, NULL, 0);
    case ARGP_KEY_END:
        if (!a->output) argp_error(state, "-o FILE is missing: where to write the vectors");
        if (!a->n_queries != !a->queries_out)
            argp_error(state, "--queries and --queries-out belong together");
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "-o FILE",
    .doc = "Write vectors drawn by chance. The same seed gives the same bytes on "
           "every machine."};

static int make(const synthetic *what, size_t first, size_t n, const char *path,
                const write_options *as, failure *f) {
    float *data = calloc(n, what->dim * sizeof *data);
    if (!data) return failure_set(f, KITH_ENOMEM, "no memory for %zu rows of %zu", n, what->dim);
    synthetic_fill(what, first, n, data);
    vectors v = {.n = n, .dim = what->dim, .data = data};
    int code = failure_writing(f, path, vectors_write(&v, path, as, &f->err));
    free(data);
    return code;
}

static int run(int argc, char **argv) {
    arguments a = {.what = {.n = 10000, .dim = 128, .seed = 42, .n_clusters = 100, .spread = 0.3}};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    int code = make(&a.what, 0, a.what.n, a.output, &a.write, &f);
    if (!code && a.n_queries)
        code = make(&a.what, a.what.n, a.n_queries, a.queries_out, &a.write, &f);
    if (code) return failure_exit(&f, code);
    bool busy = is_stream(a.output) || (a.queries_out && is_stream(a.queries_out));
    char texts[2][32];
    if (a.shared.json) {
        struct json_object *o = json_object_new_object();
        json_add(o, "rows", json_object_new_uint64(a.what.n));
        json_add(o, "queries", json_object_new_uint64(a.n_queries));
        json_add(o, "dim", json_object_new_uint64(a.what.dim));
        json_add(o, "seed", json_object_new_uint64(a.what.seed));
        json_print(o, busy ? stderr : stdout, true);
    } else if (!busy) {
        printf("%s: %s rows of %zu\n", a.output, print_count(texts[0], (double)a.what.n),
               a.what.dim);
        if (a.n_queries)
            printf("%s: %s rows of %zu\n", a.queries_out,
                   print_count(texts[1], (double)a.n_queries), a.what.dim);
    }
    return EXIT_OK;
}

const command cmd_gen = {"gen", "write vectors drawn by chance", run};
