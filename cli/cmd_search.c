/* kith search: the nearest neighbours of queries in an index, or all within a radius. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "clock.h"
#include "print.h"
#include "progress.h"

/* Queries a call: enough for a batch scan, few enough for a progress bar. */
#define CHUNK ((size_t)2048)

enum {
    KEY_EF = KEY_OWN,
    KEY_NPROBE,
    KEY_OVERSAMPLE,
    KEY_RECALL,
    KEY_RADIUS,
    KEY_FILTER,
    KEY_EXACT,
    KEY_DISTANCES,
    KEY_DEADLINE,
    KEY_NAMES,
    KEY_MAP
};

static const struct argp_option options[] = {
    {NULL, 'k', "K", 0, "Results a query (default: 10)", 1},
    {"ef", KEY_EF, "N", 0, "Graph: pool size; more is slower and finds more (default: 64)", 2},
    {"nprobe", KEY_NPROBE, "N", 0,
     "Inverted lists: how many are read (default: the root of their number)", 2},
    {"oversample", KEY_OVERSAMPLE, "X", 0,
     "Re-rank X times K candidates on the originals (default: 2 to 16, by the code)", 2},
    {"recall", KEY_RECALL, "R", 0,
     "In place of these: what a calibrated index says gives recall R (kith calibrate)", 2},
    {"exact", KEY_EXACT, NULL, 0, "Scan all rows, whatever the index", 2},
    {"radius", KEY_RADIUS, "R", 0, "All rows within distance R (similarity R or more) instead of K",
     2},
    {"filter-ids", KEY_FILTER, "F", 0, "Only return ids that are listed in file F", 3},
    {"deadline", KEY_DEADLINE, "MS", 0, "Give up after MS milliseconds", 3},
    {"output", 'o', "IDS", 0, "Write the ids to IDS (.ivecs, .ibin, .npy)", 10},
    {"distances", KEY_DISTANCES, "D", 0, "Write the distances to D (.fvecs, .fbin, .npy)", 10},
    {"names", KEY_NAMES, "FILE", 0, "Print the names in FILE, one a line or a row, beside the ids",
     10},
    {"map", KEY_MAP, NULL, 0, "The same as --open map", 11},
    OPTION_OPEN,
    OPTION_THREADS,
    OPTION_FROM,
    OPTION_JSON,
    {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[2];
    const char *filter, *output, *distances, *labels;
    kith_search_params params;
    double deadline_ms;
    bool range;
    float radius;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case 'k': a->params.k = (uint32_t)argument_count(state, "-k", arg, 1, UINT32_MAX); return 0;
    case KEY_EF:
        a->params.ef = (uint32_t)argument_count(state, "--ef", arg, 1, UINT32_MAX);
        return 0;
    case KEY_NPROBE:
        a->params.nprobe = (uint32_t)argument_count(state, "--nprobe", arg, 1, UINT32_MAX);
        return 0;
    case KEY_OVERSAMPLE:
        a->params.oversample = (float)argument_number(state, "--oversample", arg, 1.0, 1e6);
        return 0;
    case KEY_RECALL:
        a->params.recall = (float)argument_number(state, "--recall", arg, 0.01, 1.0);
        return 0;
    case KEY_EXACT: a->params.exact = 1; return 0;
    case KEY_RADIUS:
        a->range = true;
        a->radius =
            (float)argument_number(state, "--radius", arg, -(double)INFINITY, (double)INFINITY);
        return 0;
    case KEY_FILTER: a->filter = arg; return 0;
    case KEY_DEADLINE:
        a->deadline_ms = argument_number(state, "--deadline", arg, 0.001, 1e9);
        return 0;
    case 'o': a->output = arg; return 0;
    case KEY_DISTANCES: a->distances = arg; return 0;
    case KEY_NAMES: a->labels = arg; return 0;
    case KEY_MAP: a->shared.open = KITH_OPEN_MAP; return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 2);
    case ARGP_KEY_END:
        if (state->arg_num < 1) argp_error(state, "FILE is missing: the index");
        if (state->arg_num < 2) argp_error(state, "QUERIES is missing: the vectors to search for");
        if (is_stream(a->names[0]) && is_stream(a->names[1]))
            argp_error(state, "FILE and QUERIES cannot both be standard input");
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "FILE QUERIES",
    .doc = "Find the nearest neighbours of each vector of QUERIES in the index FILE."};

/* All queries, a chunk at a time. */
static int search_all(const kith_index *index, const vectors *queries, const arguments *a,
                      answers *out, failure *f) {
    progress bar;
    progress_start(&bar, "search", "queries");
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    kith_search_params params = a->params;
    uint64_t limit = (uint64_t)(a->deadline_ms * 1e6);
    int code = KITH_OK;
    for (size_t i = 0; i < queries->n && !code; i += CHUNK) {
        size_t n = queries->n - i < CHUNK ? queries->n - i : CHUNK;
        uint64_t spent = clock_ns(CLOCK_MONOTONIC) - start;
        if (limit && spent >= limit) {
            code = failure_set(f, KITH_EDEADLINE, "%g ms passed after %zu of %zu queries",
                               a->deadline_ms, i, queries->n);
            break;
        }
        params.deadline_ns = limit ? limit - spent : 0;
        const float *data = queries->data + i * queries->dim;
        code = a->range ? answers_range(out, index, i, n, data, a->radius, &params, &f->err)
                        : kith_index_search(index, n, data, &params, out->ids + i * out->k,
                                            out->dists + i * out->k, &f->err);
        progress_update(&bar, i + n, queries->n);
    }
    progress_finish(&bar);
    return code;
}

static int write_answers(const answers *all, const arguments *a, failure *f) {
    int code = KITH_OK;
    id_table ids = {0};
    vectors dists = {0};
    answers padded = *all;
    if (a->range) TRY_DONE(answers_pad(all, &padded, &f->err));
    ids = (id_table){.n = padded.n, .k = padded.k, .ids = padded.ids};
    dists = (vectors){.n = padded.n, .dim = padded.k, .data = padded.dists};
    if (a->output)
        TRY_DONE(failure_writing(f, a->output, id_table_write(&ids, a->output, NULL, &f->err)));
    if (a->distances)
        TRY_DONE(
            failure_writing(f, a->distances, vectors_write(&dists, a->distances, NULL, &f->err)));
done:
    if (a->range) answers_free(&padded);
    return code;
}

static int write_results(const answers *all, const vectors *queries, const arguments *a,
                         double seconds, failure *f) {
    bool to_files = a->output || a->distances;
    if (to_files) {
        int code = write_answers(all, a, f);
        if (code) return code;
        bool busy =
            (a->output && is_stream(a->output)) || (a->distances && is_stream(a->distances));
        answers_summary(all, queries->n, seconds, a->shared.json, busy ? stderr : stdout);
        return KITH_OK;
    }
    names labels = {0};
    int code =
        a->labels ? failure_about(f, a->labels, names_read(&labels, a->labels, &f->err)) : KITH_OK;
    if (!code && a->shared.json) answers_print_json(all, queries, &labels, stdout);
    if (!code && !a->shared.json) answers_print(all, queries, &labels, stdout);
    names_free(&labels);
    return code;
}

static int run(int argc, char **argv) {
    arguments a = {.params = KITH_SEARCH_PARAMS_INIT};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    a.params.threads = a.shared.threads;
    a.shared.read.dataset = "test";
    failure f = {0};
    vectors queries = {0};
    kith_index *index = NULL;
    id_filter only = {0};
    answers all = {0};
    int code;
    TRY_DONE(
        failure_about(&f, a.names[0], index_file_open(&index, a.names[0], a.shared.open, &f.err)));
    TRY_DONE(
        failure_about(&f, a.names[1], vectors_read(&queries, a.names[1], &a.shared.read, &f.err)));
    TRY_DONE(failure_about(&f, a.names[1],
                           check_dim(&queries, kith_index_dim(index), "the index", &f.err)));
    if (a.filter) TRY_DONE(failure_about(&f, a.filter, id_filter_read(&only, a.filter, &f.err)));
    a.params.filter = only.filter;
    all.metric = kith_index_metric(index);
    if (!a.range && a.params.k > kith_index_rows(index) && kith_index_rows(index) > 0) {
        f.subject = a.names[0];
        code = failure_set(&f, KITH_EK, "k of %u; the index has %llu rows", a.params.k,
                           (unsigned long long)kith_index_rows(index));
        goto done;
    }
    TRY_DONE(answers_init(&all, queries.n, a.range ? 0 : a.params.k, &f.err));
    double start = wall_s();
    TRY_DONE(failure_about(&f, a.names[0], search_all(index, &queries, &a, &all, &f)));
    code = write_results(&all, &queries, &a, wall_s() - start, &f);
done:
    answers_free(&all);
    id_filter_free(&only);
    kith_index_free(index);
    vectors_free(&queries);
    return failure_exit(&f, code);
}

const command cmd_search = {"search", "find the nearest neighbours of queries in an index", run};
