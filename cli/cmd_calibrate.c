/* kith calibrate: measure what recall each effort gives, and keep the table in the index. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "print.h"
#include "progress.h"

enum { KEY_QUERIES = KEY_OWN, KEY_BASE, KEY_ROWS, KEY_SEED };

static const struct argp_option options[] = {
    {NULL, 'k', "K,…", 0, "Results a query that tables are made for (default: 1,10,100)", 1},
    {"queries", KEY_QUERIES, "FILE", 0,
     "A sample of the queries to come, where they are unlike the rows (default: rows in their place)",
     2},
    {"base", KEY_BASE, "BASE", 0, "The vectors that the index was made of, where it keeps none", 2},
    {"rows", KEY_ROWS, "N", 0, "Rows in place of queries, at most (default: 2,000)", 2},
    {"seed", KEY_SEED, "S", 0, "Seed that draws the rows (default: 42)", 3},
    {"output", 'o', "FILE", 0, "Write the index to FILE instead of over itself", 10},
    OPTION_THREADS,
    OPTION_FROM,
    OPTION_JSON,
    {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[1];
    const char *queries, *base, *output;
    uint32_t k[KITH_MAX_CALIBRATED_K];
    kith_calibrate_options how;
} arguments;

static void parse_k(struct argp_state *state, arguments *a, const char *text) {
    char *end;
    for (const char *at = text;; at = end + 1) {
        unsigned long value = strtoul(at, &end, 10);
        if (end == at || value < 1 || value > KITH_MAX_K || (*end && *end != ',') ||
            a->how.n_k == KITH_MAX_CALIBRATED_K)
            argp_error(state, "-k: \"%s\" is no list of at most %u numbers from 1 to %u", text,
                       KITH_MAX_CALIBRATED_K, KITH_MAX_K);
        a->k[a->how.n_k++] = (uint32_t)value;
        if (!*end) return;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case 'k': parse_k(state, a, arg); return 0;
    case KEY_QUERIES: a->queries = arg; return 0;
    case KEY_BASE: a->base = arg; return 0;
    case KEY_ROWS:
        a->how.n_rows = (uint32_t)argument_count(state, "--rows", arg, 1, KITH_MAX_ROWS);
        return 0;
    case KEY_SEED: a->how.seed = argument_count(state, "--seed", arg, 0, UINT64_MAX); return 0;
    case 'o': a->output = arg; return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 1);
    case ARGP_KEY_END:
        if (state->arg_num < 1) argp_error(state, "FILE is missing: the index");
        if (is_stream(a->names[0]) && !a->output)
            argp_error(state, "-o FILE is missing: where to write the index");
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "FILE",
    .doc = "Measure what recall searches of rising effort have in the index FILE, so that `kith "
           "search --recall' can choose."};

/* The base rows that are still in the index, and their ids. */
typedef struct present {
    float *data;
    int64_t *ids;
    size_t n;
} present;

static int find_present(const kith_index *index, const vectors *base, present *p, kith_error *err) {
    size_t bytes = base->dim * sizeof *p->data;
    p->data = malloc((base->n + 1) * bytes);
    p->ids = malloc((base->n + 1) * sizeof *p->ids);
    if (!p->data || !p->ids)
        return format_fail(err, KITH_ENOMEM, -1, "no memory for %zu rows", base->n);
    for (size_t i = 0; i < base->n; i++) {
        int64_t id = base->ids ? base->ids[i] : (int64_t)i;
        if (!kith_index_contains(index, id)) continue;
        memcpy(p->data + p->n * base->dim, base->data + i * base->dim, bytes);
        p->ids[p->n++] = id;
    }
    return KITH_OK;
}

static int read_vectors(const arguments *a, const kith_index *index, const char *path, vectors *v,
                        failure *f) {
    int code = failure_about(f, path, vectors_read(v, path, &a->shared.read, &f->err));
    return code ? code
                : failure_about(f, path, check_dim(v, kith_index_dim(index), "the index", &f->err));
}

static void report(const arguments *a, const kith_index *index, double seconds) {
    static const float targets[] = {0.8f, 0.9f, 0.95f, 0.98f, 0.99f, 0.999f};
    static const uint32_t default_k[] = {1, 10, 100};
    const uint32_t *k = a->how.n_k ? a->k : default_k;
    uint32_t n_k = a->how.n_k ? a->how.n_k : 3;
    struct json_object *rows = json_object_new_array();
    static const char *const columns[] = {">k",      ">recall",     ">expected", ">ef",
                                          ">nprobe", ">oversample", "scan",      NULL};
    table *t = table_new(columns);
    for (uint32_t i = 0; i < n_k; i++) {
        for (size_t j = 0; j < sizeof targets / sizeof *targets; j++) {
            kith_search_params params = KITH_SEARCH_PARAMS_INIT;
            double expected;
            params.k = k[i];
            params.recall = targets[j];
            if (kith_index_effort(index, &params, &expected, NULL)) continue;
            json_object_array_add(rows, json_effort(&params, expected, (double)targets[j]));
            effort_row(t, &params, expected, (double)targets[j]);
        }
    }
    if (a->shared.json) {
        struct json_object *o = json_object_new_object();
        json_add(o, "file", json_text(a->names[0]));
        json_add(o, "rows", json_object_new_uint64(kith_index_rows(index)));
        json_add(o, "seconds", json_number(seconds, 5));
        json_add(o, "efforts", rows);
        json_print(o, stdout, true);
    } else {
        table_print(t, is_stream(a->names[0]) ? stderr : stdout);
        json_object_put(rows);
    }
    table_free(t);
}

static int run(int argc, char **argv) {
    arguments a = {.how = KITH_CALIBRATE_OPTIONS_INIT};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    kith_index *index = NULL;
    vectors queries = {0};
    vectors base = {0};
    present there = {0};
    progress bar;
    double start = wall_s();
    int code;
    TRY_DONE(
        failure_about(&f, a.names[0], index_file_open(&index, a.names[0], KITH_OPEN_READ, &f.err)));
    if (a.queries) TRY_DONE(read_vectors(&a, index, a.queries, &queries, &f));
    if (a.base) TRY_DONE(read_vectors(&a, index, a.base, &base, &f));
    if (a.base) TRY_DONE(failure_about(&f, a.base, find_present(index, &base, &there, &f.err)));
    a.how.k = a.how.n_k ? a.k : NULL;
    a.how.queries = queries.data;
    a.how.n_queries = queries.n;
    a.how.base = there.data;
    a.how.n_base = there.n;
    a.how.base_ids = there.ids;
    progress_start(&bar, "calibrate", "tables");
    kith_work work = KITH_WORK_INIT;
    work.threads = a.shared.threads;
    work.progress = progress_update;
    work.context = &bar;
    code = kith_index_calibrate(index, &a.how, &work, &f.err);
    progress_finish(&bar);
    TRY_DONE(failure_about(&f, a.names[0], code));
    const char *output = a.output ? a.output : a.names[0];
    TRY_DONE(failure_writing(&f, output, index_file_save(index, output, &f.err)));
    report(&a, index, wall_s() - start);
done:
    kith_index_free(index);
    vectors_free(&queries);
    vectors_free(&base);
    free(there.data);
    free(there.ids);
    return failure_exit(&f, code);
}

const command cmd_calibrate = {"calibrate", "measure what effort gives what recall", run};
