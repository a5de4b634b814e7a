/* kith exact: the true nearest neighbours, by a scan of all rows in batches. */
#include "cli.h"

#include "answers.h"
#include "clock.h"
#include "progress.h"

#define CHUNK ((size_t)2048)

enum { KEY_DISTANCES = KEY_OWN };

static const struct argp_option options[] = {
    {NULL, 'k', "K", 0, "Results a query (default: 100, or all rows where there are fewer)", 1},
    OPTION_METRIC,
    {"output", 'o', "GT", 0, "Write the ids to GT (.ivecs, .ibin, .npy)", 10},
    {"distances", KEY_DISTANCES, "D", 0, "Write the distances to D (.fvecs, .fbin, .npy)", 10},
    OPTION_THREADS,
    OPTION_FROM,
    OPTION_JSON,
    {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[2];
    const char *output, *distances;
    uint32_t k; /* 0: not given */
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case 'k': a->k = (uint32_t)argument_count(state, "-k", arg, 1, UINT32_MAX); return 0;
    case 'o': a->output = arg; return 0;
    case KEY_DISTANCES: a->distances = arg; return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 2);
    case ARGP_KEY_END:
        if (state->arg_num < 1) argp_error(state, "BASE is missing: the vectors to search in");
        if (state->arg_num < 2) argp_error(state, "QUERIES is missing: the vectors to search for");
        if (is_stream(a->names[0]) && is_stream(a->names[1]))
            argp_error(state, "BASE and QUERIES cannot both be standard input");
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "BASE QUERIES",
    .doc = "Compute the true nearest neighbours in BASE of each vector of QUERIES."};

static int scan(const kith_index *index, const vectors *queries, const arguments *a, answers *out,
                kith_error *err) {
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    params.k = (uint32_t)out->k;
    params.threads = a->shared.threads;
    progress bar;
    progress_start(&bar, "exact", "queries");
    int code = KITH_OK;
    for (size_t i = 0; i < queries->n && !code; i += CHUNK) {
        size_t n = queries->n - i < CHUNK ? queries->n - i : CHUNK;
        code = kith_index_search(index, n, queries->data + i * queries->dim, &params,
                                 out->ids + i * out->k, out->dists + i * out->k, err);
        progress_update(&bar, i + n, queries->n);
    }
    progress_finish(&bar);
    return code;
}

static int write_results(const answers *all, const vectors *queries, const arguments *a,
                         double seconds, failure *f) {
    id_table ids = {.n = all->n, .k = all->k, .ids = all->ids};
    vectors dists = {.n = all->n, .dim = all->k, .data = all->dists};
    int code = KITH_OK;
    names none = {0};
    bool busy = (a->output && is_stream(a->output)) || (a->distances && is_stream(a->distances));
    if (a->output)
        TRY_DONE(failure_writing(f, a->output, id_table_write(&ids, a->output, NULL, &f->err)));
    if (a->distances)
        TRY_DONE(
            failure_writing(f, a->distances, vectors_write(&dists, a->distances, NULL, &f->err)));
    if (a->output || a->distances)
        answers_summary(all, queries->n, seconds, a->shared.json, busy ? stderr : stdout);
    else if (a->shared.json)
        answers_print_json(all, queries, &none, stdout);
    else
        answers_print(all, queries, &none, stdout);
done:
    return code;
}

static int run(int argc, char **argv) {
    arguments a = {0};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    vectors base = {0};
    vectors queries = {0};
    kith_index *index = NULL;
    answers all = {.metric = a.shared.metric};
    read_options for_queries = a.shared.read;
    for_queries.dataset = "test";
    int code;
    TRY_DONE(
        failure_about(&f, a.names[0], vectors_read(&base, a.names[0], &a.shared.read, &f.err)));
    TRY_DONE(
        failure_about(&f, a.names[1], vectors_read(&queries, a.names[1], &for_queries, &f.err)));
    TRY_DONE(failure_about(&f, a.names[1], check_dim(&queries, base.dim, "the base", &f.err)));
    TRY_DONE(kith_index_new(&index, base.dim, a.shared.metric, "Flat", NULL, &f.err));
    TRY_DONE(failure_about(&f, a.names[0],
                           kith_index_add(index, base.n, base.data, base.ids, NULL, &f.err)));
    if (!a.k) a.k = base.n < 100 ? (uint32_t)base.n : 100;
    if (a.k > base.n) {
        f.subject = a.names[0];
        code = failure_set(&f, KITH_EK, "k of %u; there are %zu rows", a.k, base.n);
        goto done;
    }
    TRY_DONE(answers_init(&all, queries.n, a.k, &f.err));
    double start = wall_s();
    TRY_DONE(failure_about(&f, a.names[1], scan(index, &queries, &a, &all, &f.err)));
    code = write_results(&all, &queries, &a, wall_s() - start, &f);
done:
    answers_free(&all);
    kith_index_free(index);
    vectors_free(&queries);
    vectors_free(&base);
    return failure_exit(&f, code);
}

const command cmd_exact = {"exact", "compute the true nearest neighbours by a full scan", run};
