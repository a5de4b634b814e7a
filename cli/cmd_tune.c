/* kith tune: choose an index for a file of vectors by measuring. */
#include "cli.h"

#include <errno.h>
#include <string.h>

#include "progress.h"
#include "tune_report.h"

enum {
    KEY_RECALL = KEY_OWN,
    KEY_MEMORY,
    KEY_BUILD_SECONDS,
    KEY_QUERIES,
    KEY_SEED,
    KEY_COMPARE,
    KEY_REPORT
};

enum { MAX_SPECS = 64, MAX_REPORTS = 4 };

static const struct argp_option options[] = {
    {"recall", KEY_RECALL, "R", 0, "The mean share of true neighbours to find (default: 0.95)", 1},
    {NULL, 'k', "K", 0, "Results a query (default: 10)", 1},
    OPTION_METRIC,
    {"memory", KEY_MEMORY, "BYTES", 0, "At most so many bytes a vector, originals included", 11},
    {"build-seconds", KEY_BUILD_SECONDS, "S", 0, "A build of at most so many CPU seconds", 11},
    {"index", 'i', "SPEC", 0,
     "Measure SPEC on all rows instead of choosing what to try; may be given many times", 12},
    {"compare", KEY_COMPARE, NULL, 0,
     "Measure the two simple strategies too: IVF50 to IVF400, HNSW8 to HNSW64", 12},
    {"queries", KEY_QUERIES, "N", 0, "Hold out N rows in place of queries (default: 1,000)", 13},
    {"seed", KEY_SEED, "S", 0, "Seed of all that is drawn by chance (default: 42)", 13},
    {"report", KEY_REPORT, "FILE", 0, "Write the report to FILE.json or FILE.html", 14},
    OPTION_THREADS,
    OPTION_FROM,
    OPTION_JSON,
    {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[1];
    const char *specs[MAX_SPECS];
    const char *reports[MAX_REPORTS];
    size_t n_reports;
    kith_tune_options how;
    bool compare;
} arguments;

static bool ends_in(const char *path, const char *end) {
    size_t n = strlen(path), m = strlen(end);
    return n >= m && strcmp(path + n - m, end) == 0;
}

static void add_report(struct argp_state *state, arguments *a, const char *path) {
    if (!ends_in(path, ".json") && !ends_in(path, ".html"))
        argp_error(state, "--report: \"%s\" ends neither in .json nor in .html", path);
    if (a->n_reports == MAX_REPORTS) argp_error(state, "--report: more than %d", MAX_REPORTS);
    a->reports[a->n_reports++] = path;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case KEY_RECALL: a->how.recall = argument_number(state, "--recall", arg, 0.01, 1.0); return 0;
    case 'k': a->how.k = (uint32_t)argument_count(state, "-k", arg, 1, 1024); return 0;
    case KEY_MEMORY: a->how.memory = argument_number(state, "--memory", arg, 1, 1e9); return 0;
    case KEY_BUILD_SECONDS:
        a->how.build_seconds = argument_number(state, "--build-seconds", arg, 1e-3, 1e9);
        return 0;
    case 'i':
        if (a->how.n_candidates == MAX_SPECS) argp_error(state, "-i: more than %d", MAX_SPECS);
        a->specs[a->how.n_candidates++] = arg;
        return 0;
    case KEY_COMPARE: a->compare = true; return 0;
    case KEY_QUERIES:
        a->how.queries = (uint32_t)argument_count(state, "--queries", arg, 10, KITH_MAX_ROWS);
        return 0;
    case KEY_SEED: a->how.seed = argument_count(state, "--seed", arg, 0, UINT64_MAX); return 0;
    case KEY_REPORT: add_report(state, a, arg); return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 1);
    case ARGP_KEY_END:
        if (state->arg_num < 1) argp_error(state, "BASE is missing: the vectors to index");
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "BASE",
    .doc = "Choose index, parameters, code and search effort for the vectors in BASE, by measuring "
           "on a part of them that is held out."};

static int write_report(const char *path, const tune_report *r, failure *f) {
    FILE *file = fopen(path, "w");
    bool done = file && (ends_in(path, ".json") ? tune_print_json : tune_print_html)(r, file);
    if (file && fclose(file)) done = false;
    if (done) return KITH_OK;
    f->subject = path;
    return failure_set(f, KITH_EIO, "cannot be written: %s", strerror(errno));
}

static int tune(const arguments *a, const kith_tune_options *how, const vectors *base,
                const char *what, kith_tune_result **out, failure *f) {
    progress bar;
    kith_work work = KITH_WORK_INIT;
    work.threads = a->shared.threads;
    work.progress = progress_update;
    work.context = &bar;
    progress_start(&bar, what, "indexes");
    int code =
        kith_tune(base->n, base->dim, base->data, a->shared.metric, how, &work, out, &f->err);
    progress_finish(&bar);
    return failure_about(f, a->names[0], code);
}

/* The strategies that many use: one size of lists or graph after the other, on all rows. */
static int compare(const arguments *a, const vectors *base, kith_tune_result **out, failure *f) {
    static const char *const simple[] = {"IVF50,Flat", "IVF100,Flat", "IVF200,Flat", "IVF400,Flat",
                                         "HNSW8",      "HNSW16",      "HNSW32",      "HNSW64"};
    kith_tune_options how = a->how;
    how.candidates = simple;
    how.n_candidates = sizeof simple / sizeof *simple;
    how.memory = how.build_seconds = 0;
    return tune(a, &how, base, "compare", out, f);
}

static int run(int argc, char **argv) {
    arguments a = {.how = KITH_TUNE_OPTIONS_INIT};
    shared_options_init(&a.shared);
    a.shared.threads = 1;
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    vectors base = {0};
    kith_tune_result *result = NULL;
    kith_tune_result *simple = NULL;
    int code;
    a.how.candidates = a.specs;
    TRY_DONE(
        failure_about(&f, a.names[0], vectors_read(&base, a.names[0], &a.shared.read, &f.err)));
    TRY_DONE(tune(&a, &a.how, &base, "tune", &result, &f));
    if (a.compare) TRY_DONE(compare(&a, &base, &simple, &f));
    tune_report r = {a.names[0], base.n, base.dim, a.shared.metric, &a.how, result, simple};
    for (size_t i = 0; i < a.n_reports; i++) TRY_DONE(write_report(a.reports[i], &r, &f));
    if (a.shared.json)
        tune_print_json(&r, stdout);
    else
        tune_print(&r, stdout);
    if (!result->best) {
        f.subject = a.names[0];
        code = failure_set(&f, KITH_ERECALL, "no index meets what was asked for");
    }
done:
    kith_tune_result_free(result);
    kith_tune_result_free(simple);
    vectors_free(&base);
    return failure_exit(&f, code);
}

const command cmd_tune = {"tune", "choose an index by measuring", run};
